//! What the API needs from the rest of the daemon, as closures: the API does not know which queue or thread is behind
//! them.
//!
//! All but [`Ports::dead_letters`] are called on the HTTP loop and must return within microseconds: they copy under a
//! briefly held lock, or put a request into a bounded queue.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Mono;
use crate::events::{AppendError, OnGroup, RecordGroup};
use crate::net::BreakerMode;
use crate::signals::QueuedSample;
use crate::telemetry::metrics::ExpositionFormat;
use crate::telemetry::trace::{RequestOrigin, SpanContext};

/// Facts about the daemon that do not change while it runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StaticInfo {
    pub version: &'static str,
    pub model: &'static str,
    pub precision: &'static str,
    pub boundary: &'static str,
    /// Cells along one edge.
    pub grid: usize,
    pub tick: Duration,
    /// When the field becomes constant unless inputs or stimuli drive it; `None` if never.
    pub constant_after: Option<Duration>,
    /// Frames the ring can hold.
    pub frames: usize,
    /// Steps between two feature records.
    pub every: u64,
    /// How features are defined, for the daemon's own field and for on-demand simulations.
    pub profile: Option<mycelium_core::features::FeatureProfile>,
    /// Sum of the memory budget, and `memory.max_bytes`.
    pub memory_bytes: u64,
    pub memory_max_bytes: u64,
    /// Bytes left for on-demand and live simulations.
    pub simulation_bytes: u64,
    /// Bytes that on-demand simulations may borrow from the outbox while it can write to disk.
    pub borrowable_bytes: u64,
    /// `outbox.group_ms`.
    pub outbox_group: Duration,
    /// What is dropped when the outbox is full, as in `outbox.full`.
    pub outbox_full: &'static str,
}

/// Row-major cells in volts, in the precision they were computed in.
#[derive(Clone, Debug, PartialEq)]
pub enum Cells {
    F32(Vec<f32>),
    F64(Vec<f64>),
}

/// A frame copied out of the ring.
#[derive(Clone, Debug, PartialEq)]
pub struct FrameCopy {
    /// Counted from 1.
    pub step: u64,
    pub grid: usize,
    pub cells: Cells,
}

/// The ring does not have that frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameUnavailable {
    /// First and last step of the frames it has; `None` before the first frame.
    pub available: Option<(u64, u64)>,
}

/// Voltage added to one cell at the next step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StimulusRequest {
    pub row: usize,
    pub col: usize,
    pub volts: f64,
}

/// A bounded queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// No endpoint has that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownEndpoint;

/// One record that its receiver has rejected permanently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterView {
    /// Event id, `<device>-<boot>-<seq>`.
    pub id: String,
    pub endpoint: String,
    /// HTTP status of the rejection, 0 if there was none.
    pub status: u16,
    pub reason: String,
}

/// Why the dead letters could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLettersUnavailable(pub String);

/// One request and its response, for logs and traces.
#[derive(Clone, Copy, Debug)]
pub struct AccessRecord<'a> {
    pub request_id: &'a str,
    pub method: &'a str,
    /// Template of the route; `other` if there is none.
    pub route: &'static str,
    pub status: u16,
    pub took: Duration,
    pub peer: std::net::IpAddr,
    /// Name of the key, never its secret.
    pub key: Option<&'a str>,
    /// Span of the caller.
    pub trace: Option<SpanContext>,
    /// Span of this request; `None` if [`Ports::start_span`] was not called for it.
    pub span: Option<SpanContext>,
    /// `tracestate` of the caller, validated.
    pub tracestate: Option<&'a str>,
}

type CopyFrame = dyn Fn(Option<u64>) -> Result<FrameCopy, FrameUnavailable> + Send;
type OnResponse = dyn Fn(&AccessRecord<'_>) + Send;
type StartSpan = dyn Fn(Option<SpanContext>, bool) -> SpanContext + Send;
type Command = dyn Fn(RequestOrigin) -> Result<(), Busy> + Send;
type ReadDeadLetters = dyn Fn() -> Result<Vec<DeadLetterView>, DeadLettersUnavailable> + Send + Sync;
type AppendEvents = dyn Fn(RecordGroup, Option<Mono>, OnGroup) -> Result<(), AppendError> + Send;
type AddSamples = dyn Fn(&[QueuedSample]) -> Result<(), Busy> + Send;
type Stimulate = dyn Fn(&[StimulusRequest]) -> Result<(), Busy> + Send;
type SetBreaker = dyn Fn(&str, BreakerMode, RequestOrigin) -> Result<(), UnknownEndpoint> + Send;

/// The closures. Those of [`Ports::closed`] have nothing behind them.
pub struct Ports {
    pub info: StaticInfo,
    /// The frame after that step; `None` for the newest.
    pub frame: Box<CopyFrame>,
    pub metrics: Box<dyn Fn(ExpositionFormat) -> String + Send>,
    pub stimulate: Box<Stimulate>,
    /// Hands samples to their signals, all or none.
    pub add_samples: Box<AddSamples>,
    /// Hands events to the outbox, all or none. The callback is called once they are durable or the time has passed; without a
    /// time, once they are accepted.
    pub append_events: Box<AppendEvents>,
    /// Commits what the outbox has buffered and delivers pending records without delay.
    pub flush: Box<Command>,
    /// Oldest first, bounded by the dead-letter store. Waits for the outbox thread: call it on a job thread.
    pub dead_letters: Arc<ReadDeadLetters>,
    /// Delivers the dead letters again.
    pub replay: Box<Command>,
    /// Name of the endpoint, its new mode, and the request that sets it.
    pub set_breaker: Box<SetBreaker>,
    /// Starts the span of a request whose trace continues after the response. Takes the span of the caller, and whether
    /// the caller is authenticated. `None` if tracing is off.
    pub start_span: Option<Box<StartSpan>>,
    pub on_response: Option<Box<OnResponse>>,
}

impl Ports {
    /// No frame, no metrics, and every command is answered with [`Busy`].
    pub fn closed() -> Self {
        Self {
            info: StaticInfo::default(),
            frame: Box::new(|_| Err(FrameUnavailable { available: None })),
            metrics: Box::new(|_| String::new()),
            stimulate: Box::new(|_| Err(Busy)),
            append_events: Box::new(|_, _, _| Err(AppendError::Full)),
            add_samples: Box::new(|_| Err(Busy)),
            flush: Box::new(|_| Err(Busy)),
            dead_letters: Arc::new(|| Ok(Vec::new())),
            replay: Box::new(|_| Err(Busy)),
            set_breaker: Box::new(|_, _, _| Err(UnknownEndpoint)),
            start_span: None,
            on_response: None,
        }
    }
}

impl fmt::Debug for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ports").field("info", &self.info).finish_non_exhaustive()
    }
}
