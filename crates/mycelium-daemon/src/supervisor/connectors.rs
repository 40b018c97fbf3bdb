//! Connectors: their rows on the snapshots, their threads, and the way from a sensor to the next step.

use std::sync::{Arc, Mutex};

use super::builder::Components;
use super::tracing::{Deliveries, Look, Traces};
use super::{Error, identity};
use crate::config::Config;
use crate::connectors::{
    ConnectorControl, ConnectorSource, ConnectorSpec, FieldBusy, Reading, ReadingSink, spawn,
};
use crate::engine::{EngineInbox, InputSample, QueuedStimulus};
use crate::snapshots::InputView;
use crate::sync::lock;
use mycelium_core::window::MAX_INPUTS;

/// Inputs in the order of their numbers, without a value yet.
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
) -> Result<Vec<ConnectorControl>, Error> {
    let Components { config, data, snapshots, metrics, tracer, traces } = components;
    let mut controls = Vec::new();
    for (connector, metrics) in config.connectors.iter().zip(&metrics.connectors) {
        let look = Look::default();
        let spec = ConnectorSpec {
            connector: connector.clone(),
            breaker: config.breaker,
            directory: data.join("connectors"),
            snapshots: Arc::clone(snapshots),
            metrics: Arc::clone(metrics),
            sink: sink(Arc::clone(inbox), traces.clone().map(|traces| (traces, Arc::clone(&look)))),
            trace: Box::new(Deliveries::looks(tracer.clone(), &connector.name, connector.origin(), look)),
            seed: identity::random().map_err(Error::io("draw a seed"))?,
        };
        let control =
            spawn(spec).map_err(|error| Error::Webhook(format!("connector {}: {error}", connector.name)))?;
        controls.push(control);
    }
    Ok(controls)
}

/// What a reload takes over: addresses, headers, time-outs and the breaker's policy.
pub fn reload(controls: &[ConnectorControl], config: &Config) {
    for control in controls {
        let named = config.connectors.iter().find(|connector| connector.name == control.worker().name());
        if let Some(ConnectorSource::Http(target)) = named.map(|connector| &connector.source) {
            control.update((**target).clone(), config.breaker);
        }
    }
}

/// With `traces`, a look whose readings push the field is the cause of the window under way.
fn sink(inbox: Arc<Mutex<EngineInbox>>, traces: Option<(Traces, Look)>) -> ReadingSink {
    Box::new(move |readings| {
        let stimuli: heapless::Vec<QueuedStimulus, MAX_INPUTS> =
            readings.iter().filter_map(stimulus).collect();
        let samples =
            readings.iter().map(|reading| InputSample { series: reading.input, value: reading.value });
        let pushes = !stimuli.is_empty();
        let taken = {
            let mut inbox = lock(&inbox);
            inbox.offer(stimuli.into_iter(), samples)
        };
        if taken
            && pushes
            && let Some((traces, look)) = &traces
        {
            traces.pushed(look);
        }
        if taken { Ok(()) } else { Err(FieldBusy) }
    })
}

fn stimulus(reading: &Reading) -> Option<QueuedStimulus> {
    reading.push.map(|push| QueuedStimulus { row: push.row, col: push.col, volts: push.volts })
}
