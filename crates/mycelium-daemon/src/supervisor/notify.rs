//! Messages to the service manager: readiness, reloads, stopping, and the watchdog.

use std::time::Duration;

use sd_notify::NotifyState;

use crate::clock::Mono;
use crate::snapshots::MonitoredTask;

/// A task whose heartbeat is overdue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stalled {
    pub name: &'static str,
    pub silence: Duration,
}

/// The first task that has stalled.
pub fn stalled(tasks: &[MonitoredTask], now: Mono) -> Option<Stalled> {
    tasks.iter().find_map(|task| task.stalled(now).map(|silence| Stalled { name: task.name, silence }))
}

/// How often to feed the watchdog: half of its limit; `None` without one.
pub fn watchdog_period() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2)
}

pub fn ready(status: &str) {
    send(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// `Type=notify-reload` requires the monotonic time in the same message.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => send(&[NotifyState::Reloading, now]),
        Err(error) => log::warn!("cannot notify the service manager of the reload: {error}"),
    }
}

pub fn stopping() {
    send(&[NotifyState::Stopping]);
}

pub fn feed_watchdog() {
    send(&[NotifyState::Watchdog]);
}

fn send(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        log::warn!("cannot notify the service manager: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_stalled_only_after_its_heartbeat_timeout() {
        let start = Mono(0);
        let tasks = [
            MonitoredTask::new("simulation", Duration::from_secs(5), start),
            MonitoredTask::new("outbox", Duration::from_secs(1), start),
        ];
        let later = start + Duration::from_secs(2);
        assert_eq!(stalled(&tasks, start), None);
        assert_eq!(stalled(&tasks, later), Some(Stalled { name: "outbox", silence: Duration::from_secs(2) }));
        tasks[1].beat(later);
        assert_eq!(stalled(&tasks, later), None);
    }
}
