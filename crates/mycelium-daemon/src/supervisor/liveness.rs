//! Which tasks must send heartbeats, and how long each may be silent (ADR 0022).
//!
//! The simulation and the endpoints send heartbeats as they work. The HTTP loop and the outbox thread sleep while there
//! is nothing to do, so the main thread requests a heartbeat from them at each poll. Connectors, the command thread and
//! the exporter of spans are not monitored: when one of them hangs, as on an unreachable mount, only its own work stops,
//! and a restart would not help.

use std::ops::RangeFrom;
use std::time::Duration;

use crate::clock::Mono;
use crate::config::Config;
use crate::delivery::worker;
use crate::snapshots::MonitoredTask;

/// Lower bound for the simulation, whose time-out is three ticks.
const SIM_HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(5);
/// The loop answers within milliseconds; a heartbeat is requested every ten seconds at the latest.
const HTTP_HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(30);
/// A worn SD card may take tens of seconds for one call, and a restart would not make it faster.
const OUTBOX_HEARTBEAT_TIMEOUT: Duration = Duration::from_mins(2);

/// Indices into `Snapshots::tasks`.
pub const SIMULATION: usize = 0;
pub const OUTBOX: usize = 1;
const HTTP: usize = 2;
pub const ENDPOINTS: RangeFrom<usize> = HTTP + 1..;

/// The tasks, in the order of the indices above.
pub fn tasks(config: &Config, now: Mono) -> Vec<MonitoredTask> {
    let mut tasks = vec![
        MonitoredTask::new("simulation", SIM_HEARTBEAT_TIMEOUT.max(config.tick * 3), now),
        MonitoredTask::new("outbox", OUTBOX_HEARTBEAT_TIMEOUT, now),
        MonitoredTask::new(MonitoredTask::HTTP, HTTP_HEARTBEAT_TIMEOUT, now),
    ];
    let endpoints = config.endpoints.iter().map(worker::heartbeat_timeout);
    tasks.extend(endpoints.map(|timeout| MonitoredTask::new("endpoint", timeout, now)));
    tasks
}
