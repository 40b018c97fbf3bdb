//! The outbox itself: one owner, no thread, no clock of its own.
//!
//! A record is accepted (it has position and sequence number from then on), held, written with its group,
//! synced, and then handed out; it leaves when every endpoint has taken it or the caps demand it.
//! Invariants: positions and, within a boot, sequence numbers have no holes among records that were written;
//! nothing is handed out before the sync its class promises; nothing is given back before the cursors that
//! allow it are on the disk.

use std::time::Duration;

use super::cursors::Endpoint;
use super::dead::Dead;
use super::endpoint::Name;
use super::error::{Error, Refused};
use super::gap::{Gap, Reason};
use super::held::Held;
use super::log::{Log, Making, Opened, Owner};
use super::policy::{Durability, Full, Policy};
use super::record::{self, Header, Kind, MAX_PAYLOAD, Position};
use super::segment::Walk;
use super::storage::{Fill, Storage};
use super::sync::ClockSync;
use crate::time::{BootId, Mono, Stamp};

/// Endpoints an outbox serves.
pub const ENDPOINTS: usize = 8;
/// First wait after a failed write, and the longest.
const RETRY: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(10);

/// Why nothing can be written, and when to try again.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    pub text: String,
    pub retry_at: Mono,
    pub wait: Duration,
    /// There is no room, rather than something broken.
    pub space: bool,
}

/// Who this process is.
#[derive(Clone, Debug)]
pub struct Identity {
    pub device: Name,
    pub boot: BootId,
    pub stamp: Stamp,
}

#[derive(Debug)]
pub struct Outbox<S: Storage> {
    pub(super) log: Log<S>,
    pub(super) policy: Policy,
    pub(super) owner: Owner,
    pub(super) held: Held,
    /// What is about to be written.
    pub(super) out: Vec<u8>,
    next_position: Position,
    next_seq: u64,
    /// Position that goes before the first of a new segment; see `Head::resumes_after`.
    pub(super) resumes_after: Position,
    /// Last record that may be handed out.
    pub(super) readable: Position,
    pub(super) durable_seq: u64,
    pub(super) written_seq: u64,
    pub(super) commit_at: Option<Mono>,
    pub(super) trouble: Option<Trouble>,
    pub(super) cursor_trouble: Option<Trouble>,
    /// `max_bytes` is reached and nothing may be dropped.
    pub(super) full: bool,
    /// The disk has no room and memory is full: the oldest give way.
    pub(super) squeeze: bool,
    /// Refused since the last gap record said so.
    losses: [u64; Reason::ALL.len()],
    pub(super) dropped: [u64; Reason::ALL.len()],
    pub(super) skipped_bytes: u64,
    pub(super) commits: u64,
    pub(super) endpoints: heapless::Vec<Endpoint<S::File>, ENDPOINTS>,
    /// Holes that have a gap record already.
    pub(super) reported: heapless::Deque<(Position, Position), 64>,
    pub(super) walk: Walk,
    pub(super) reader: Option<super::fetch::Reader<S::File>>,
    /// The oldest record some endpoint has not taken, as last looked up.
    pub(super) oldest: Option<(Position, BootId, Stamp)>,
    /// What is known of the clocks of earlier boots; `None` where there is nothing to know.
    pub(super) clocks: heapless::Deque<(BootId, Option<ClockSync>), 16>,
    pub(super) sync: Option<ClockSync>,
    pub(super) sync_wanted: Option<Stamp>,
    pub(super) sync_held: Option<ClockSync>,
    /// Counts up when times that were handed out uncorrected would now be corrected.
    pub(super) epoch: u32,
    /// Records up to here may have been sent uncorrected.
    pub(super) uncorrected_through: Position,
    pub(super) dead: Dead<S::File>,
    pub(super) remarks: Vec<String>,
}

impl<S: Storage> Outbox<S> {
    /// Opens or makes the outbox in `storage`. Endpoints not named here keep their cursor file, but hold
    /// nothing back. `now` starts the clock of anything found to report.
    pub fn open(
        storage: S,
        policy: Policy,
        identity: &Identity,
        endpoints: &[Name],
        now: Mono,
    ) -> Result<Self, Error> {
        let making = Making {
            segment_len: policy.segment_len(),
            syncs: policy.durability != Durability::None,
            fill: if policy.durability == Durability::Each { Fill::Zeros } else { Fill::Reserve },
        };
        let (log, opened) = Log::open(storage, making)?;
        let mut outbox = Self::empty(log, policy, identity, &opened);
        outbox.remarks.extend(opened.foreign.iter().map(|name| {
            format!("outbox/{name} is not a file of this outbox: it is left alone; move it away if you can")
        }));
        outbox.open_cursors(endpoints, &opened, now)?;
        outbox.dead = Dead::open(&mut outbox.log.storage, &mut outbox.walk, &mut outbox.remarks, true)?;
        outbox.report_opening(&opened, now);
        Ok(outbox)
    }

    fn empty(log: Log<S>, policy: Policy, identity: &Identity, opened: &Opened) -> Self {
        let Identity { device, boot, stamp } = identity.clone();
        Self {
            log,
            policy,
            owner: Owner { boot, device, stamp },
            held: Held::default(),
            out: Vec::new(),
            next_position: opened.next,
            next_seq: 1,
            resumes_after: opened.written,
            readable: opened.last,
            durable_seq: 0,
            written_seq: 0,
            commit_at: None,
            trouble: None,
            cursor_trouble: None,
            full: false,
            squeeze: false,
            losses: Default::default(),
            dropped: Default::default(),
            skipped_bytes: 0,
            commits: 0,
            endpoints: heapless::Vec::new(),
            reported: heapless::Deque::new(),
            walk: Walk::default(),
            reader: None,
            oldest: None,
            clocks: heapless::Deque::new(),
            sync: None,
            sync_wanted: None,
            sync_held: None,
            epoch: 0,
            uncorrected_through: Position(0),
            dead: Dead::default(),
            remarks: Vec::new(),
        }
    }

    /// Positions up to `through` were given out in an earlier life, whatever the log has kept of them.
    pub(super) fn never_reuse(&mut self, through: Position) {
        if through >= self.next_position {
            self.next_position = through.next();
        }
    }

    fn report_opening(&mut self, opened: &Opened, now: Mono) {
        if let Some(bytes) = opened.torn_bytes {
            self.skipped_bytes += bytes;
            self.remarks.push(format!(
                "the last write before the stop was not finished: up to {bytes} bytes were skipped"
            ));
            let (from, through) = (opened.written.next(), self.next_position.previous());
            self.push_gap(Reason::Torn, 0, bytes, from, through, &Name::default(), now);
        }
        // Positions between `resumes_after` and `first` of the oldest segment were never records.
        let missing_through = self.log.segments.front().map_or(Position(0), |s| s.resumes_after);
        for at in 0..self.endpoints.len() {
            // With the last report, as long as that was not taken: nobody remembers it after this.
            if let Some((from, records)) = self.endpoints[at].loses(missing_through) {
                let (name, through) = (self.endpoints[at].name.clone(), missing_through);
                let gap_at = self.next_position;
                self.push_gap(Reason::Missing, records, 0, from, through, &name, now);
                let fresh = self.endpoints[at].lost((from, through), records, gap_at, now);
                self.dropped[Reason::Missing.index()] += fresh;
            }
        }
    }

    /// Takes one record. Positions are given in the order of calls; never waits, but class `each` and a full
    /// group write here and now.
    pub fn append(
        &mut self,
        kind: Kind,
        priority: u8,
        stamp: Stamp,
        payload: &[u8],
        now: Mono,
    ) -> Result<(), Refused> {
        if payload.len() > MAX_PAYLOAD {
            return Err(Refused::TooLarge);
        }
        self.admit(now)?;
        if self.trouble.is_none() && !self.full {
            self.report_losses(now);
        }
        self.push(kind, priority, stamp, payload, now);
        let group = self.held.len() >= self.policy.group_records as usize;
        if group || self.policy.durability == Durability::Each {
            self.commit(now);
        }
        Ok(())
    }

    /// Whether one more record may be held, after whatever the policy allows to make it so.
    fn admit(&mut self, now: Mono) -> Result<(), Refused> {
        if self.full {
            return match self.policy.full {
                Full::Block => Err(Refused::Full),
                Full::DropOldest | Full::DropNewest => Err(self.refuse(Reason::DropNewest)),
            };
        }
        if !self.held.is_full() {
            return Ok(());
        }
        // Once is enough: where the room of the oldest is not given to the newest, each further try waits its turn.
        let may_drop = self.policy.full == Full::DropOldest && self.log.oldest_ends().is_some();
        if let Some(trouble) = self.trouble.as_mut().filter(|t| t.space && may_drop && !self.squeeze) {
            trouble.retry_at = now;
            self.squeeze = true;
            self.commit(now);
        }
        match (self.held.is_full(), self.policy.full) {
            (false, _) => Ok(()),
            (true, Full::Block) => Err(Refused::Full),
            (true, Full::DropOldest | Full::DropNewest) => Err(self.refuse(Reason::Memory)),
        }
    }

    /// Class `block`: nothing is accepted until a receiver takes something or the disk works again.
    pub fn is_blocked(&self) -> bool {
        self.policy.full == Full::Block && (self.full || self.held.is_full())
    }

    /// Counts a record that was not taken; the next gap record says so.
    pub fn refuse(&mut self, reason: Reason) -> Refused {
        self.refused(reason, 1);
        Refused::Dropped(reason)
    }

    pub(super) fn refused(&mut self, reason: Reason, records: u64) {
        self.losses[reason.index()] += records;
        self.dropped[reason.index()] += records;
    }

    pub(super) fn has_losses(&self) -> bool {
        self.losses.iter().any(|&n| n > 0)
    }

    pub(super) fn report_losses(&mut self, now: Mono) {
        for reason in Reason::ALL {
            let records = std::mem::take(&mut self.losses[reason.index()]);
            if records > 0 {
                let none = Position(0);
                self.push_gap(reason, records, 0, none, none, &Name::default(), now);
            }
        }
    }

    /// Appends a gap record; these are taken even when ordinary ones are not. Stamped with the monotonic
    /// time alone: the wall clock is not asked here, so the record counts as unsynced and is corrected
    /// like others.
    #[expect(clippy::too_many_arguments, reason = "the fields of a gap")]
    pub(super) fn push_gap(
        &mut self,
        reason: Reason,
        records: u64,
        bytes: u64,
        from: Position,
        through: Position,
        endpoint: &Name,
        now: Mono,
    ) {
        let gap = Gap { reason, records, bytes, from, through, endpoint: endpoint.clone() };
        let stamp = self.stamp(now);
        self.push(Kind::Gap, 0, stamp, &gap.encode(), now);
    }

    /// Both clocks at `now`, reckoned from the stamp this process started with or was synced by.
    fn stamp(&self, now: Mono) -> Stamp {
        let known = self.sync.map(|s| Stamp { mono: s.mono, wall: s.wall, synced: true });
        let base = known.unwrap_or(self.owner.stamp);
        let ahead = i64::try_from(now.since(base.mono).as_millis()).unwrap_or(i64::MAX);
        let wall = crate::time::Wall(base.wall.0.saturating_add(ahead));
        Stamp { mono: now, wall, synced: base.synced }
    }

    pub(super) fn push(&mut self, kind: Kind, priority: u8, stamp: Stamp, payload: &[u8], now: Mono) {
        let header = Header {
            position: self.next_position,
            seq: self.next_seq,
            boot: self.owner.boot,
            kind,
            priority,
            stamp,
            device_tag: self.owner.device.tag(),
            payload_len: payload.len() as u32,
            payload_crc: record::crc(payload),
        };
        self.held.push(&header, payload);
        self.next_position = self.next_position.next();
        self.next_seq += 1;
        self.commit_at.get_or_insert(now + self.policy.group);
    }

    pub(super) fn next_position(&self) -> Position {
        self.next_position
    }

    /// Records accepted by this process.
    pub fn accepted(&self) -> u64 {
        self.next_seq - 1
    }

    pub(super) fn set_trouble(&mut self, error: &Error, space: bool, now: Mono) {
        let wait = self.trouble.as_ref().map_or(RETRY, |t| (t.wait * 2).min(RETRY_MAX));
        self.close_files();
        self.trouble = Some(Trouble { text: error.to_string(), retry_at: now + wait, wait, space });
    }

    /// While the disk refuses, nothing stays open for writing, so that it can be remounted or replaced.
    fn close_files(&mut self) {
        self.endpoints.iter_mut().for_each(Endpoint::close);
        self.dead.close();
    }

    pub(super) fn set_cursor_trouble(&mut self, error: &Error, now: Mono) {
        let wait = self.cursor_trouble.as_ref().map_or(RETRY, |t| (t.wait * 2).min(RETRY_MAX));
        self.close_files();
        self.cursor_trouble =
            Some(Trouble { text: error.to_string(), retry_at: now + wait, wait, space: false });
    }

    /// Why writing does not work, if it does not.
    pub fn degraded(&self) -> Option<&str> {
        self.trouble.as_ref().or(self.cursor_trouble.as_ref()).map(|t| t.text.as_str())
    }

    /// Files and findings worth telling once, at start.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }
}
