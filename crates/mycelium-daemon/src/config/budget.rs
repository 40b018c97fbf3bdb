//! Memory that a configuration will take, before anything is allocated.

use super::Config;
use crate::api::{MAX_TOTAL_BODY_BYTES, frame_response_bytes};
use crate::snapshots::FeatureRecord;
use mycelium_core::features;
use mycelium_core::sim::{FrameRing, Simulator};
use mycelium_core::window;

/// Feature records kept for polling and for streams that resume.
pub const FEATURE_RECORDS: usize = 512;
/// Feature windows that wait in memory while the disk refuses writes.
pub const WAITING_RECORDS: usize = 4032;
/// Bytes of a window beside its payload: header, stamps, queue slot.
const RECORD_OVERHEAD: usize = 96;
/// Buffers of one connection: head, and the answer being written.
const CONNECTION_BYTES: usize = 8 * 1024 + 1024;
/// TLS of one connection: session, and the records under way in both directions.
const TLS_BYTES: usize = 24 * 1024;
/// TLS session and reply of one endpoint.
const ENDPOINT_BYTES: usize = 32 * 1024;
/// Buffers of one connector: an answer or a chunk of a file with what is made of it, and names that were seen.
const CONNECTOR_BYTES: usize = 128 * 1024;

/// What each part takes at most, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    pub parts: [(&'static str, u64); 10],
    /// What they leave of `memory.max_bytes`: simulations on request share it.
    pub work: u64,
    /// A third of what the outbox takes when its disk refuses records, lent to simulations of some seconds while it
    /// does not.
    pub lent: u64,
}

impl Budget {
    pub fn of(config: &Config) -> Self {
        let field = Simulator::memory_bytes(&config.sim);
        let copies = |gzip| if gzip { 2 } else { 1 };
        let endpoints: usize =
            config.webhooks.iter().map(|e| ENDPOINT_BYTES + copies(e.gzip) * e.batch_bytes).sum();
        // Number of inputs, then of each name with length, count and summary.
        let inputs: usize = config.inputs.iter().map(|name| 1 + name.len() + 4 + 32).sum();
        let connection = CONNECTION_BYTES + if config.api.tls.is_some() { TLS_BYTES } else { 0 };
        let outbox = WAITING_RECORDS * (window::ENCODED_BYTES + inputs + RECORD_OVERHEAD);
        let parts = [
            ("field", field),
            ("twin field of lyapunov", field),
            ("frames", FrameRing::memory_bytes(&config.sim, config.frames)),
            ("features", features::memory_bytes(config.sim.grid, &config.profile)),
            ("feature records", FEATURE_RECORDS * size_of::<FeatureRecord>()),
            ("outbox", outbox),
            ("large answers", frame_response_bytes(config.sim.grid, config.sim.precision)),
            ("connections", config.api.max_connections * connection + MAX_TOTAL_BODY_BYTES),
            ("webhooks", endpoints),
            ("connectors", config.connectors.len() * CONNECTOR_BYTES),
        ];
        let parts = parts.map(|(name, bytes)| (name, bytes as u64));
        let total = parts.iter().map(|(_, bytes)| bytes).sum();
        let lent = outbox as u64 / 3;
        Self { parts, work: config.memory_max.saturating_sub(total), lent }
    }

    pub fn total(&self) -> u64 {
        self.parts.iter().map(|(_, bytes)| bytes).sum()
    }

    /// The part that takes most.
    pub fn largest(&self) -> (&'static str, u64) {
        self.parts.into_iter().max_by_key(|(_, bytes)| *bytes).unwrap_or(("nothing", 0))
    }
}
