//! PURE. What is known of the wall clocks of this boot and of earlier ones.

use crate::format::clock_sync::ClockSync;
use crate::format::record::{Position, RecordMeta};
use crate::time::{BootId, Mono, Stamp, Wall};

/// Earlier boots whose clock is remembered; others are looked up in the log again.
const MAX_EARLIER_BOOTS: usize = 16;

/// How far this boot has come with its clock.
#[derive(Clone, Copy, Debug, Default)]
enum OwnClock {
    /// Records have the times of an unsynced clock.
    #[default]
    Unsynced,
    /// The clock is known; its record is not accepted yet.
    Requested(Stamp),
    /// The record that says so is accepted and not durable yet.
    Pending(ClockSync),
    /// The record is durable: unsynced times are corrected from now on.
    Durable(ClockSync),
}

/// Corrections of wall times.
///
/// Invariant: a time is corrected only once the clock-sync record is durable, and never for a record up to
/// `uncorrected_through`: those may have been sent with the time they had.
#[derive(Debug, Default)]
pub(crate) struct ClockCorrection {
    own: OwnClock,
    /// Increases when records that were fetched with uncorrected times would now be corrected.
    epoch: u32,
    uncorrected_through: Position,
    /// Clocks of earlier boots; `None` where the log holds no clock-sync record.
    earlier: heapless::Deque<(BootId, Option<ClockSync>), MAX_EARLIER_BOOTS>,
}

impl ClockCorrection {
    /// The clock became known; false when it was known before.
    pub fn request(&mut self, stamp: Stamp) -> bool {
        let new = matches!(self.own, OwnClock::Unsynced | OwnClock::Requested(_));
        if new {
            self.own = OwnClock::Requested(stamp);
        }
        new
    }

    /// The record to append for a requested sync, with the stamp of its header. The caller must append it.
    pub fn take_request(&mut self, boot: BootId) -> Option<(Stamp, ClockSync)> {
        let OwnClock::Requested(stamp) = self.own else { return None };
        let Stamp { mono, wall, .. } = stamp;
        let sync = ClockSync { boot, mono, wall, uncorrected_through: self.uncorrected_through };
        self.own = OwnClock::Pending(sync);
        Some((Stamp { synced: true, ..stamp }, sync))
    }

    /// Everything accepted so far is durable, a pending clock-sync record among it.
    pub fn committed(&mut self) {
        if let OwnClock::Pending(sync) = self.own {
            self.own = OwnClock::Durable(sync);
            self.epoch += 1;
        }
    }

    /// Records up to `through` may have been sent with the times they had when they were fetched.
    pub fn sent(&mut self, through: Position) {
        if self.durable().is_none() {
            self.uncorrected_through = self.uncorrected_through.max(through);
        }
    }

    /// The correction of this boot once its record is durable.
    pub fn durable(&self) -> Option<ClockSync> {
        if let OwnClock::Durable(sync) = self.own { Some(sync) } else { None }
    }

    /// Whether the unsynced records `first..=last` of this boot get other times once the pending record is durable.
    pub fn will_change(&self, first: Position, last: Position) -> bool {
        let OwnClock::Pending(sync) = self.own else { return false };
        first.max(sync.uncorrected_through.next()) <= last
    }

    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The clock of an earlier boot, if it was looked up before.
    #[expect(clippy::option_option, reason = "not looked up, or looked up and unknown")]
    pub fn cached(&self, boot: BootId) -> Option<Option<ClockSync>> {
        self.earlier.iter().find(|(b, _)| *b == boot).map(|(_, sync)| *sync)
    }

    /// Remembers what the log says about the clock of an earlier boot.
    pub fn cache(&mut self, boot: BootId, sync: Option<ClockSync>) {
        if self.earlier.is_full() {
            self.earlier.pop_front();
        }
        self.earlier.push_back((boot, sync)).expect("an element was removed");
    }

    /// Both clocks at `now`, computed from the durable sync or else from `started`, the stamp of the process start.
    pub fn stamp(&self, started: Stamp, now: Mono) -> Stamp {
        let known = self.durable().map(|s| Stamp { mono: s.mono, wall: s.wall, synced: true });
        let base = known.unwrap_or(started);
        let elapsed_ms = i64::try_from(now.since(base.mono).as_millis()).unwrap_or(i64::MAX);
        Stamp { mono: now, wall: Wall(base.wall.0.saturating_add(elapsed_ms)), synced: base.synced }
    }
}

/// The corrected wall time of a record; `None` when it keeps its own.
pub(crate) fn corrected(sync: Option<ClockSync>, meta: &RecordMeta) -> Option<Wall> {
    sync.and_then(|sync| sync.corrected(meta))
}
