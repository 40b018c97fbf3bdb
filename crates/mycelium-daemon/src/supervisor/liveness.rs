//! What has to show signs of life, and where on the snapshots each of it does so.
//!
//! The simulation and webhooks beat as they go. The HTTP loop and the outbox sleep for as long as nobody wants
//! anything, so the main thread knocks on them whenever it looks around, and they beat when they get round to it. Connectors, the clerk and the exporter of spans are left out on purpose: one that hangs,
//! as on a mount that is gone, costs itself alone, and starting everything again would not mend it.

use std::ops::RangeFrom;
use std::time::Duration;

use crate::clock::Mono;
use crate::config::Config;
use crate::delivery::worker;
use crate::snapshots::MonitoredTask;

/// Least silence of the simulation thread that counts as a stall.
const SIM_HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(5);
/// The loop answers within milliseconds; it is knocked on every ten seconds at the latest.
const HTTP_HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(30);
/// A worn card may take tens of seconds for one call, and starting again would not make it faster.
const OUTBOX_HEARTBEAT_TIMEOUT: Duration = Duration::from_mins(2);

/// Indices into `Snapshots::tasks`.
pub const SIMULATION: usize = 0;
pub const OUTBOX: usize = 1;
const HTTP: usize = 2;
pub const WEBHOOKS: RangeFrom<usize> = HTTP + 1..;

pub fn tasks(config: &Config, now: Mono) -> Vec<MonitoredTask> {
    let mut tasks = vec![
        MonitoredTask::new("simulation", SIM_HEARTBEAT_TIMEOUT.max(config.tick * 3), now),
        MonitoredTask::new("outbox", OUTBOX_HEARTBEAT_TIMEOUT, now),
        MonitoredTask::new(MonitoredTask::HTTP, HTTP_HEARTBEAT_TIMEOUT, now),
    ];
    let webhooks = config.webhooks.iter().map(worker::heartbeat_timeout);
    tasks.extend(webhooks.map(|heartbeat_timeout| MonitoredTask::new("webhook", heartbeat_timeout, now)));
    tasks
}
