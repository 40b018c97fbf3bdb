//! The configuration after all checks.

use std::sync::Arc;
use std::time::Duration;

use crate::api;
use crate::connectors::Connector;
use crate::delivery::Endpoint;
use crate::net::BreakerPolicy;
use crate::signals::SignalSpec;
use crate::telemetry::{logs, trace};
use mycelium_core::features::FeatureProfile;
use mycelium_core::sim::Params;
use mycelium_outbox::OutboxPolicy;

/// The settings of every module. No module stores the whole: the supervisor hands out the parts.
#[derive(Clone, Debug)]
pub struct Config {
    /// `None`: host name, or a random id kept in the data directory.
    pub device: Option<String>,
    pub memory_max_bytes: u64,
    pub sim: Params,
    /// `None`: drawn from entropy.
    pub seed: Option<u64>,
    pub tick: Duration,
    pub steps_per_tick: u32,
    /// Frames in the ring.
    pub frames: usize,
    /// Steps between feature records.
    pub every: u64,
    pub profile: FeatureProfile,
    pub api: api::Settings,
    /// Empty: a first key is made at start.
    pub keys: Vec<api::ApiKey>,
    pub rate: api::Rate,
    /// Steps per outbox record.
    pub window_steps: u64,
    pub outbox: OutboxPolicy,
    /// Of all kinds, with different names.
    pub endpoints: Vec<Endpoint>,
    /// Each with its inputs.
    pub connectors: Vec<Connector>,
    /// Names of all inputs; `index` of an input is its index here.
    pub inputs: Vec<Arc<str>>,
    /// The signal of each input, in the same order.
    pub signals: Vec<SignalSpec>,
    pub breaker: BreakerPolicy,
    pub log: logs::LogSettings,
    pub trace: trace::TraceSettings,
}

impl Config {
    /// Time after which the field is about constant unless inputs or stimuli drive it; `None` if it goes on for ever.
    pub fn constant_after(&self) -> Option<Duration> {
        let steps = self.sim.constant_after()?;
        Some(self.tick.mul_f64(steps as f64 / f64::from(self.steps_per_tick)))
    }

    /// What `check` and the log say about the field: what it will not show, and when it becomes constant.
    pub fn field_warnings(&self) -> Vec<String> {
        let mut warnings: Vec<String> = self.sim.warnings().iter().map(ToString::to_string).collect();
        if let (Some(steps), Some(time)) = (self.sim.constant_after(), self.constant_after()) {
            warnings.push(format!(
                "model {} becomes constant after about {steps} steps, {:.1} h at this pace, unless inputs or stimuli drive \
                 it; excitable never does",
                self.sim.model,
                time.as_secs_f64() / 3600.0
            ));
        }
        warnings
    }
}
