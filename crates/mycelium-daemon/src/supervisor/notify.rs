//! The service manager: readiness, reloads, stopping, and a watchdog fed by real progress only.

use std::time::Duration;

use sd_notify::NotifyState;

use crate::clock::Mono;
use crate::snapshots::MonitoredTask;

/// A task that has shown no sign of life for longer than its patience.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stalled {
    pub name: &'static str,
    pub silence: Duration,
}

/// The first task that has stalled.
pub fn stalled(tasks: &[MonitoredTask], now: Mono) -> Option<Stalled> {
    tasks.iter().find_map(|task| task.stalled(now).map(|silence| Stalled { name: task.name, silence }))
}

/// How often the manager wants to hear from us, when it wants to at all.
pub fn watchdog_period() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2)
}

pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// `Type=notify-reload` wants the monotonic time along with it.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => log::warn!("cannot tell the service manager of the reload: {error}"),
    }
}

pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        log::warn!("cannot notify the service manager: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_silence_beyond_its_patience_makes_a_task_stalled() {
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
