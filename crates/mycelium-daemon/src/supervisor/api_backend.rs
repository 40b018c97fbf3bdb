//! Implements the ports of the API with the parts of the daemon that own the data.

use std::sync::{Arc, Mutex};

use super::builder::Components;
use super::command_thread::{Command, CommandThread};
use super::metrics::{FAMILIES, Metrics, MetricsSource};
use super::tracing::{on_response, start_request_span};
use crate::api::{
    Busy, Cells, DeadLetterView, DeadLettersUnavailable, FrameCopy, FrameUnavailable, Ports, StaticInfo,
    StimulusRequest, UnknownEndpoint,
};
use crate::engine::{self, EngineInbox};
use crate::net::{BreakerMode, WorkerControl};
use crate::signals::SignalQueue;
use crate::sync::lock;
use crate::telemetry::metrics::{BuildInfo, ExpositionFormat, ProcessStats, render};
use crate::telemetry::trace::RequestOrigin;
use mycelium_core::field::Frame;
use mycelium_core::sim::FrameRing;
use mycelium_outbox::OutboxHandle;

/// Dead letters in one response; the store is bounded too.
const MAX_DEAD_LETTERS: usize = 1000;

/// What the ports need besides [`Components`].
pub struct ApiBackend {
    pub info: StaticInfo,
    pub ring: Arc<Mutex<FrameRing>>,
    pub inbox: Arc<Mutex<EngineInbox>>,
    pub outbox: OutboxHandle,
    /// `None` without inputs.
    pub signals: Option<Arc<SignalQueue>>,
    /// Everything with a breaker: webhooks and connectors.
    pub breakers: Vec<WorkerControl>,
    pub commands: CommandThread,
    /// `http` or `https`.
    pub scheme: &'static str,
}

pub fn ports(backend: ApiBackend, components: &Components<'_>) -> Ports {
    let ApiBackend { info, ring, inbox, outbox, signals, breakers, commands, scheme } = backend;
    let grid = info.grid;
    let (metrics, replays) = (Arc::clone(&components.metrics), commands.clone());
    let events = outbox.clone();
    let (starts, ends) = (components.tracer.clone(), components.tracer.clone());
    Ports {
        info,
        frame: Box::new(move |step| copy_frame(&ring, grid, step)),
        stimulate: Box::new(move |items| stimulate(&inbox, items)),
        append_events: Box::new(move |group, wait, done| events.append_group(group, wait, done)),
        add_samples: Box::new(move |samples| {
            let queue = signals.as_ref().ok_or(Busy)?;
            queue.offer(samples.iter().copied(), || true).map_err(|_| Busy)
        }),
        flush: Box::new(move |origin| busy_unless(commands.send(Command::Flush(origin)))),
        replay: Box::new(move |origin| busy_unless(replays.send(Command::Replay(origin)))),
        dead_letters: Arc::new(move || dead_letters(&outbox)),
        set_breaker: Box::new(move |name, mode, origin| set_breaker(&breakers, name, mode, origin)),
        metrics: Box::new(move |format| exposition(&metrics, format)),
        start_span: Some(Box::new(move |caller, known| start_request_span(&starts, caller, known))),
        on_response: Some(on_response(ends, components.traces.clone(), scheme)),
    }
}

fn busy_unless(accepted: bool) -> Result<(), Busy> {
    if accepted { Ok(()) } else { Err(Busy) }
}

fn copy_frame(
    ring: &Mutex<FrameRing>,
    grid: usize,
    step: Option<u64>,
) -> Result<FrameCopy, FrameUnavailable> {
    let ring = lock(ring);
    let found = match step {
        None => ring.latest(),
        Some(step) => ring.get(step).map(|frame| (step, frame)),
    };
    let (step, frame) = found.ok_or_else(|| FrameUnavailable { available: ring.steps() })?;
    let cells = match frame {
        Frame::F32(cells) => Cells::F32(cells.to_vec()),
        Frame::F64(cells) => Cells::F64(cells.to_vec()),
    };
    Ok(FrameCopy { step, grid, cells })
}

/// All of them or none: half a pattern of stimuli is another experiment.
fn stimulate(inbox: &Mutex<EngineInbox>, items: &[StimulusRequest]) -> Result<(), Busy> {
    let stimulus = |&StimulusRequest { row, col, volts }: &StimulusRequest| engine::QueuedStimulus {
        row: row as u16,
        col: col as u16,
        volts,
    };
    let mut inbox = lock(inbox);
    busy_unless(inbox.offer(items.iter().map(stimulus), std::iter::empty()))
}

fn dead_letters(outbox: &OutboxHandle) -> Result<Vec<DeadLetterView>, DeadLettersUnavailable> {
    let dead_letters = outbox
        .list_dead_letters(MAX_DEAD_LETTERS)
        .map_err(|error| DeadLettersUnavailable(error.to_string()))?;
    let views = dead_letters.into_iter().map(|dead_letter| DeadLetterView {
        id: dead_letter.event_id,
        endpoint: dead_letter.endpoint.as_str().to_owned(),
        status: dead_letter.status,
        reason: dead_letter.reason,
    });
    Ok(views.collect())
}

fn set_breaker(
    breakers: &[WorkerControl],
    name: &str,
    mode: BreakerMode,
    origin: RequestOrigin,
) -> Result<(), UnknownEndpoint> {
    let control = breakers.iter().find(|control| control.name() == name).ok_or(UnknownEndpoint)?;
    control.set_mode(mode, origin);
    Ok(())
}

/// What cannot be read of /proc is shown as 0: a scrape must not fail for it.
fn exposition(metrics: &Arc<Metrics>, format: ExpositionFormat) -> String {
    let process = ProcessStats::read().unwrap_or_default();
    let (suppressed, lost) = crate::telemetry::logs::unwritten_lines();
    metrics.log_suppressed.store(suppressed);
    metrics.log_lost.store(lost);
    let source = MetricsSource { metrics: Arc::clone(metrics), process, build: BuildInfo::THIS };
    render(FAMILIES, &source, format)
}
