//! Starts connectors and passes their readings to the next step of the simulation.

use std::sync::{Arc, Mutex};

use super::builder::Components;
use super::tracing::{CurrentPoll, Deliveries, Traces};
use super::{DaemonError, identity};
use crate::clock::Wall;
use crate::config::Config;
use crate::connectors::{
    ConnectorControl, ConnectorSource, ConnectorSpec, FieldBusy, MeasuredAt, Reading, ReadingSink, spawn,
};
use crate::engine::{EngineInbox, InputSample, QueuedStimulus};
use crate::signals::{QueuedSample, SignalQueue};
use crate::snapshots::InputView;
use crate::sync::lock;
use mycelium_core::window::MAX_INPUTS;

/// Inputs in the order of their numbers, without values yet.
pub fn inputs(config: &Config) -> Vec<InputView> {
    let of = |name: &str| {
        let brings = |c: &&crate::connectors::Connector| c.inputs.iter().any(|input| input.name == name);
        config.connectors.iter().find(brings).map(|c| c.name.clone()).unwrap_or_default()
    };
    let view =
        |name: &Arc<str>| InputView { name: name.to_string(), connector: of(name), last: None, values: 0 };
    config.inputs.iter().map(view).collect()
}

pub fn start(
    components: &Components<'_>,
    inbox: &Arc<Mutex<EngineInbox>>,
    signals: Option<&Arc<SignalQueue>>,
) -> Result<Vec<ConnectorControl>, DaemonError> {
    let Components { config, data, snapshots, metrics, tracer, traces } = components;
    let mut controls = Vec::new();
    for (connector, metrics) in config.connectors.iter().zip(&metrics.connectors) {
        let poll = CurrentPoll::default();
        let spec = ConnectorSpec {
            connector: connector.clone(),
            breaker: config.breaker,
            directory: data.join("connectors"),
            snapshots: Arc::clone(snapshots),
            metrics: Arc::clone(metrics),
            sink: sink(
                Arc::clone(inbox),
                signals.cloned(),
                traces.clone().map(|traces| (traces, Arc::clone(&poll))),
            ),
            trace: Box::new(Deliveries::for_polls(tracer.clone(), &connector.name, connector.origin(), poll)),
            seed: identity::random().map_err(DaemonError::io("draw a seed"))?,
        };
        let control = spawn(spec)
            .map_err(|error| DaemonError::Endpoint(format!("connector {}: {error}", connector.name)))?;
        controls.push(control);
    }
    Ok(controls)
}

/// Applies the keys of HTTP connectors that can change while running: address, headers, time-outs, breaker policy.
pub fn reload(controls: &[ConnectorControl], config: &Config) {
    for control in controls {
        let named = config.connectors.iter().find(|connector| connector.name == control.worker().name());
        if let Some(ConnectorSource::Http(target)) = named.map(|connector| &connector.source) {
            control.update((**target).clone(), config.breaker);
        }
    }
}

/// With `traces`, the poll whose readings stimulate the field becomes the trigger of the open window.
fn sink(
    inbox: Arc<Mutex<EngineInbox>>,
    signals: Option<Arc<SignalQueue>>,
    traces: Option<(Traces, CurrentPoll)>,
) -> ReadingSink {
    Box::new(move |readings| {
        let stimuli: heapless::Vec<QueuedStimulus, MAX_INPUTS> =
            readings.iter().filter_map(stimulus).collect();
        let samples =
            readings.iter().map(|reading| InputSample { series: reading.input, value: reading.value });
        let stimulates = !stimuli.is_empty();
        let offer = || lock(&inbox).offer(stimuli.into_iter(), samples);
        let accepted = match &signals {
            Some(queue) => queue.offer(signal_samples(readings, Wall::now()), offer).is_ok(),
            None => offer(),
        };
        if accepted
            && stimulates
            && let Some((traces, poll)) = &traces
        {
            traces.record_poll_trigger(poll);
        }
        if accepted { Ok(()) } else { Err(FieldBusy) }
    })
}

/// The samples of readings whose time is known.
fn signal_samples(readings: &[Reading], now: Wall) -> impl Iterator<Item = QueuedSample> + Clone {
    readings.iter().filter_map(move |reading| {
        let t_ms = match reading.time {
            MeasuredAt::Reading => now.0,
            MeasuredAt::Time(t_ms) => t_ms,
            MeasuredAt::Unknown => return None,
        };
        Some(QueuedSample { input: reading.input, t_ms, value: reading.value })
    })
}

fn stimulus(reading: &Reading) -> Option<QueuedStimulus> {
    reading.push.map(|push| QueuedStimulus { row: push.row, col: push.col, volts: push.volts })
}
