//! PURE. Memory that a configuration needs, computed before anything is allocated.

use super::settings::Config;
use crate::api::{MAX_TOTAL_BODY_BYTES, frame_response_bytes};
use crate::signals;
use crate::snapshots::{FEATURE_RECORDS, FeatureRecord};
use mycelium_core::features;
use mycelium_core::sim::{FrameRing, Simulator};
use mycelium_core::window;
use mycelium_outbox::{MAX_QUEUED_GROUP_BYTES, MAX_RECORDS_IN_MEMORY, SEEN_KEYS_BYTES};

/// Bytes of a record in memory besides its payload: header, time stamps, slot of the queue.
const RECORD_OVERHEAD_BYTES: usize = 96;
/// Buffers of one connection: request head, and the response being written.
const CONNECTION_BYTES: usize = 8 * 1024 + 1024;
/// TLS of one connection: session, and the TLS records of both directions.
const TLS_BYTES: usize = 24 * 1024;
/// TLS session and response of one endpoint.
const ENDPOINT_BYTES: usize = 32 * 1024;
/// Buffers of one connector: a response or chunk of a file, the values parsed from it, and names of files already read.
const CONNECTOR_BYTES: usize = 128 * 1024;

/// Upper limits of the memory of each part, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    pub parts: [(&'static str, u64); 12],
    /// The rest of `memory.max_bytes`, shared by on-demand simulations.
    pub on_demand: u64,
    /// A third of the part of the outbox, which it needs only while the disk refuses writes; until then, simulations of
    /// some seconds may borrow it.
    pub borrowable: u64,
}

impl Budget {
    pub fn of(config: &Config) -> Self {
        let field = Simulator::memory_bytes(&config.sim);
        let endpoints: usize = config.endpoints.iter().map(|e| ENDPOINT_BYTES + e.memory_bytes()).sum();
        // The encoding of a window: number of inputs, then of each its length, name, count and summary.
        let inputs: usize = config.inputs.iter().map(|name| 1 + name.len() + 4 + 32).sum();
        let connection = CONNECTION_BYTES + if config.api.tls.is_some() { TLS_BYTES } else { 0 };
        let outbox = MAX_RECORDS_IN_MEMORY * (window::ENCODED_BYTES + inputs + RECORD_OVERHEAD_BYTES);
        let parts = [
            ("field", field),
            ("twin field of lyapunov", field),
            ("frames", FrameRing::memory_bytes(&config.sim, config.frames)),
            ("features", features::memory_bytes(config.sim.grid, &config.profile)),
            ("feature records", FEATURE_RECORDS * size_of::<FeatureRecord>()),
            ("outbox", outbox),
            ("events", MAX_QUEUED_GROUP_BYTES + SEEN_KEYS_BYTES),
            ("large answers", frame_response_bytes(config.sim.grid, config.sim.precision)),
            ("connections", config.api.max_connections * connection + MAX_TOTAL_BODY_BYTES),
            ("endpoints", endpoints),
            ("connectors", config.connectors.len() * CONNECTOR_BYTES),
            ("signals", signals::memory_bytes(&config.signals)),
        ];
        let parts = parts.map(|(name, bytes)| (name, bytes as u64));
        let total = parts.iter().map(|(_, bytes)| bytes).sum();
        let on_demand = config.memory_max_bytes.saturating_sub(total);
        Self { parts, on_demand, borrowable: outbox as u64 / 3 }
    }

    pub fn total(&self) -> u64 {
        self.parts.iter().map(|(_, bytes)| bytes).sum()
    }

    /// The largest part.
    pub fn largest(&self) -> (&'static str, u64) {
        self.parts.into_iter().max_by_key(|(_, bytes)| *bytes).unwrap_or(("nothing", 0))
    }
}
