//! Power cuts at every call, thousands of times: whatever was said to be durable comes back whole, in order,
//! and nothing else does.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use crate::support::outbox::{CrashDisk, EIO, ENOSPC, EVENT, NOW, identity, name, payload, policy, stamp};
use mycelium_daemon::clock::{BootId, Mono};
use mycelium_outbox::{
    BatchRecord, DeadLetterRecord, Durability, Gap, GapReason, Outbox, OutboxError, OutboxPolicy, Position,
    RecordBatch, RecordGroup, RecordKey, RecordKind,
};

type Id = (BootId, u64);

const NAMES: [&str; 2] = ["hub", "lab"];
/// What an unsynced clock shows, and a synced one at the monotonic time 0.
const WRONG: i64 = 1;
const TRUE_WALL: i64 = 1_700_000_000_000;

/// What one receiver knows.
#[derive(Default)]
struct Receiver {
    /// Everything that came or was refused for good, in order of first arrival.
    order: Vec<Id>,
    seen: BTreeSet<Id>,
    /// The batch that may be in flight, and whether the disk had it before it was sent.
    frozen: Option<(Vec<Id>, bool)>,
    /// Positions gap records speak of.
    announced: Vec<(GapReason, RangeInclusive<u64>)>,
    /// `AppendError`, kept among the dead letters and not given up since.
    dead: BTreeSet<Id>,
}

/// What the receivers and the caller of the outbox know, over all lives of the device.
#[derive(Default)]
struct World {
    /// Every event accepted, by boot and number of its payload.
    accepted: BTreeSet<(BootId, u64)>,
    /// Boot, number of the payload and sequence number of every record of a group.
    grouped: Vec<(BootId, u64, u64)>,
    /// Highest sequence number said to be durable, by boot.
    durable: BTreeMap<BootId, u64>,
    /// What anybody received: the same for all, however often.
    received: BTreeMap<Id, (RecordKind, i64, Vec<u8>)>,
    /// Position less sequence number, the same for a whole boot.
    offsets: BTreeMap<BootId, u64>,
    receivers: [Receiver; NAMES.len()],
    boots: u64,
    /// What the next payload is made from.
    count: u64,
}

/// How a world goes about it.
#[derive(Clone, Copy)]
struct Habits {
    policy: OutboxPolicy,
    lives: u32,
    steps: u32,
    /// Calls of the disk after which the power goes.
    calls: u64,
    /// One in so many steps delivers.
    pace: u8,
    /// Refusals, replays, an unsynced clock, a disk that refuses for a while.
    eventful: bool,
    /// The disk also fills up, and gives no room for what it has room for.
    fills: bool,
}

fn habits(policy: OutboxPolicy) -> Habits {
    Habits { policy, lives: 3, steps: 200, calls: 160, pace: 9, eventful: false, fills: false }
}

fn id(entry: &BatchRecord) -> Id {
    (entry.meta.boot, entry.meta.seq)
}

impl World {
    fn open(disk: &CrashDisk, policy: OutboxPolicy, boot: u64) -> Result<Outbox<CrashDisk>, OutboxError> {
        Outbox::open(disk.clone(), policy, &identity(boot), &NAMES.map(name), NOW)
    }

    /// One life: opens, works at random until the power is gone or enough was done.
    fn live(&mut self, disk: &CrashDisk, habits: Habits, rng: &mut fastrand::Rng) {
        self.boots += 1;
        let boot = BootId(self.boots);
        let Ok(mut outbox) = Self::open(disk, habits.policy, self.boots) else {
            assert!(disk.is_dead(), "opens after any power cut");
            return;
        };
        self.check_dead(&mut outbox, disk);
        let mut batch = RecordBatch::default();
        let mut now = NOW;
        let mut synced = !habits.eventful || rng.bool();
        if habits.fills {
            // The first cursors are there: without space for one the oldest is dropped all the same.
            outbox.flush(now);
        }
        for _ in 0..habits.steps {
            now = now + std::time::Duration::from_millis(rng.u64(0..400));
            match rng.u8(..=habits.pace) {
                0 => outbox.tick(now),
                1 => self.deliver(&mut outbox, &mut batch, habits, rng, now),
                2 | 3 => self.append_group(&mut outbox, boot, synced, rng, now),
                _ => self.append(&mut outbox, boot, synced, now),
            }
            if habits.eventful {
                match rng.u8(..40) {
                    5 if habits.fills => disk.capacity(Some(rng.u64(200 << 10..800 << 10))),
                    6 if habits.fills => disk.refuse_data(Some(ENOSPC)),
                    7 | 8 if habits.fills => has_space(disk),
                    0 => disk.refuse_writes(Some(EIO)),
                    1 | 2 => disk.refuse_writes(None),
                    3 => self.replay(&mut outbox, &mut batch, rng),
                    4 if !synced => {
                        synced = true;
                        outbox.clock_synced(stamp(now.0 / 1_000_000, true_wall(now), true), now);
                    }
                    _ => {}
                }
            }
            let durable = outbox.status().durable_seq;
            self.durable.insert(boot, durable);
            if disk.is_dead() {
                return;
            }
        }
    }

    fn append(&mut self, outbox: &mut Outbox<CrashDisk>, boot: BootId, synced: bool, now: Mono) {
        self.count += 1;
        let bytes = payload(boot.0, self.count);
        let wall = if synced { true_wall(now) } else { WRONG };
        if outbox.append(EVENT, stamp(now.0 / 1_000_000, wall, synced), &bytes, now).is_ok() {
            self.accepted.insert((boot, self.count));
        }
    }

    /// Some new records, and maybe some of the last group once more: they keep their numbers.
    fn append_group(
        &mut self,
        outbox: &mut Outbox<CrashDisk>,
        boot: BootId,
        synced: bool,
        rng: &mut fastrand::Rng,
        now: Mono,
    ) {
        let wall = if synced { true_wall(now) } else { WRONG };
        let mut group = RecordGroup::new(EVENT, stamp(now.0 / 1_000_000, wall, synced));
        let key =
            |number: u64| -> RecordKey { (u128::from(boot.0) << 64 | u128::from(number)).to_le_bytes() };
        let repeated = self.grouped.iter().rev().filter(|(of, ..)| *of == boot).take(rng.usize(..3));
        let repeated: Vec<u64> = repeated.map(|&(_, number, _)| number).collect();
        let new: Vec<u64> = (1..=rng.u64(1..5)).map(|n| self.count + n).collect();
        for &number in repeated.iter().chain(&new) {
            group.push(&payload(boot.0, number), Some(key(number)));
        }
        self.count += new.len() as u64;
        let Ok(receipt) = outbox.append_group(&group, now) else { return };
        assert_eq!(receipt.repeated, repeated.len());
        for (seq, &number) in (receipt.last_seq + 1 - new.len() as u64..).zip(&new) {
            self.accepted.insert((boot, number));
            self.grouped.push((boot, number, seq));
        }
        let first = self.grouped.iter().find(|(of, number, _)| *of == boot && repeated.contains(number));
        assert_eq!(first.map_or(receipt.first_seq, |&(.., seq)| seq), receipt.first_seq);
    }

    /// As delivery does it: fetch, freeze, send, acknowledge; the receiver gets it even if what follows fails.
    fn deliver(
        &mut self,
        outbox: &mut Outbox<CrashDisk>,
        batch: &mut RecordBatch,
        habits: Habits,
        rng: &mut fastrand::Rng,
        now: Mono,
    ) {
        let to = rng.usize(..NAMES.len());
        if outbox.fetch(to, rng.usize(1..20), 1 << 14, batch, now).is_err() || batch.is_empty() {
            return;
        }
        let ids: Vec<Id> = batch.records.iter().map(id).collect();
        if batch.frozen
            && let Some((frozen, _)) = &self.receivers[to].frozen
        {
            assert_eq!(ids, *frozen, "a frozen batch is repeated as it was");
        }
        match outbox.freeze(to, batch.through, batch.epoch, now) {
            Ok(()) => self.receivers[to].frozen = Some((ids, true)),
            // What can be read is sent, noted or not.
            Err(OutboxError::Io { .. }) => self.receivers[to].frozen = Some((ids, false)),
            Err(_) => return,
        }
        if habits.eventful && rng.u8(..5) == 0 {
            let first = batch.records[0].clone();
            if store_dead_letter(outbox, to, batch, &first).is_ok() {
                self.learn(batch, &first);
                self.receivers[to].dead.insert(id(&first));
                self.arrive(to, batch, &first);
                if outbox.ack(to, first.meta.position, now).is_ok() {
                    self.receivers[to].frozen = None;
                }
            }
            return;
        }
        self.receive(to, batch);
        if rng.u8(..4) > 0 && outbox.ack(to, batch.through, now).is_ok() {
            self.receivers[to].frozen = None;
        }
    }

    /// Somebody has a letter sent again; it arrives, is refused again, or is given up.
    fn replay(&mut self, outbox: &mut Outbox<CrashDisk>, batch: &mut RecordBatch, rng: &mut fastrand::Rng) {
        let Ok(dead_letters) = outbox.list_dead_letters(50) else { return };
        let Some(dead_letter) = rng.choice(&dead_letters) else { return };
        let (to, number) =
            (NAMES.iter().position(|n| *n == dead_letter.endpoint.as_str()).unwrap(), dead_letter.id);
        if rng.u8(..4) == 0 {
            // Whether or not it works: it may be gone from now on.
            let (_, boot, seq) = parts(&dead_letter.event_id);
            self.receivers[to].dead.remove(&(boot, seq));
            drop(outbox.discard_dead_letters(&[number]));
            return;
        }
        if outbox.replay_dead_letters(&[number]).is_err()
            || outbox.fetch_replay(to, 9, 1 << 14, batch).is_err()
        {
            return;
        }
        for entry in &batch.records {
            self.learn(batch, entry);
            self.receivers[to].dead.remove(&id(entry));
        }
        if rng.bool() {
            drop(outbox.ack_replay(to, batch.through));
        } else if let Some(first) = batch.records.first() {
            drop(outbox.reject_replay(first.meta.position));
        }
    }

    /// Whoever gets an event gets the same as everybody else, as often as it comes.
    fn learn(&mut self, batch: &RecordBatch, entry: &BatchRecord) {
        let what = (entry.meta.kind, entry.wall().0, batch.payload(entry).to_vec());
        if entry.meta.kind == EVENT && entry.meta.boot != BootId(999) {
            let right = true_wall(entry.meta.stamp.mono);
            assert!(
                entry.wall().0 == right || entry.wall().0 == WRONG && !entry.meta.stamp.synced,
                "{entry:?}"
            );
        }
        let before = self.received.entry(id(entry)).or_insert_with(|| what.clone());
        assert_eq!(*before, what, "an event once sent never changes: {:?}", id(entry));
    }

    fn arrive(&mut self, to: usize, batch: &RecordBatch, entry: &BatchRecord) {
        let receiver = &mut self.receivers[to];
        if receiver.seen.insert(id(entry)) {
            receiver.order.push(id(entry));
        }
        self.offsets.insert(entry.meta.boot, entry.meta.position.0 - entry.meta.seq);
        let gap = Gap::decode(batch.payload(entry)).filter(|_| entry.meta.kind == RecordKind::GAP);
        if let Some(gap) = gap.filter(|gap| ["", NAMES[to]].contains(&gap.endpoint.as_str())) {
            receiver.announced.push((gap.reason, gap.from.0..=gap.through.0));
        }
    }

    fn receive(&mut self, to: usize, batch: &RecordBatch) {
        for entry in &batch.records {
            self.learn(batch, entry);
            self.arrive(to, batch, entry);
        }
    }

    /// Letters are there until they are sent again or given up.
    fn check_dead(&self, outbox: &mut Outbox<CrashDisk>, disk: &CrashDisk) {
        let Ok(dead_letters) = outbox.list_dead_letters(usize::MAX) else {
            assert!(disk.is_dead(), "letters can be listed");
            return;
        };
        for (to, receiver) in self.receivers.iter().enumerate() {
            for &(boot, seq) in &receiver.dead {
                let event = format!("edge-1-{boot}-{seq}");
                let there =
                    dead_letters.iter().any(|l| l.event_id == event && l.endpoint.as_str() == NAMES[to]);
                assert!(there || disk.is_dead(), "the letter of {event} to {} is gone", NAMES[to]);
            }
        }
    }

    /// The power was gone: what was not noted may go out in other batches.
    fn restart(&mut self) {
        for receiver in &mut self.receivers {
            receiver.frozen.take_if(|(_, noted)| !*noted);
        }
    }

    /// The last life: everything there is gets out.
    fn drain(&mut self, disk: &CrashDisk, policy: OutboxPolicy) {
        let mut outbox = Self::open(disk, policy, 999).unwrap();
        self.check_dead(&mut outbox, disk);
        outbox.append(EVENT, stamp(1, 1, true), b"the end", NOW).unwrap();
        let mut batch = RecordBatch::default();
        for _ in 0..10_000 {
            assert!(outbox.flush(NOW), "{:?}", outbox.degraded());
            let mut more = false;
            for to in 0..NAMES.len() {
                outbox.fetch(to, 64, 1 << 16, &mut batch, NOW).unwrap();
                self.receive(to, &batch);
                outbox.ack(to, batch.through, NOW).unwrap();
                more |= !batch.is_empty() || outbox.status().endpoints[to].lag > 0;
            }
            if !more {
                return;
            }
        }
        panic!("does not come to an end");
    }

    /// What gave way and came back with a power cut, before its report was on the disk, arrives after all and late:
    /// only where the disk takes names and no data.
    fn check(&self, in_order: bool) {
        let mut last = (BootId(0), 0);
        for (&(boot, seq), (kind, _, bytes)) in &self.received {
            if *kind == EVENT && boot != BootId(999) {
                let number = u64::from_le_bytes(*bytes.first_chunk().unwrap());
                let appended = self.accepted.contains(&(boot, number)) && *bytes == payload(boot.0, number);
                assert!(appended, "{boot} {seq} is not what was appended");
                assert!(last < (boot, number), "{boot} {seq} is in the wrong place");
                last = (boot, number);
            }
        }
        for &(boot, number, seq) in &self.grouped {
            if let Some((_, _, bytes)) = self.received.get(&(boot, seq)) {
                assert_eq!(*bytes, payload(boot.0, number), "{boot} {seq} has the number its caller knows");
            }
        }
        for (name, receiver) in NAMES.iter().zip(&self.receivers) {
            self.check_one(name, receiver);
            let sorted = receiver.order.is_sorted();
            assert!(sorted || !in_order, "{name}: boots and numbers arrive one after the other");
        }
    }

    fn check_one(&self, name: &str, receiver: &Receiver) {
        let given_up = |reason: &GapReason| matches!(reason, GapReason::DropOldest | GapReason::Missing);
        for (&boot, &durable) in &self.durable {
            for seq in (1..=durable).filter(|&seq| !receiver.seen.contains(&(boot, seq))) {
                let at = self.offsets.get(&boot).map(|offset| offset + seq);
                let reported = |(reason, range): &(GapReason, RangeInclusive<u64>)| {
                    given_up(reason) && at.is_none_or(|at| range.contains(&at))
                };
                assert!(
                    receiver.announced.iter().any(reported),
                    "{name}: {boot} {seq} was durable and is lost"
                );
            }
        }
        // Of a commit that was cut short a later record may survive an earlier one: that hole is no durable
        // record (see above), and a gap record names it.
        let mut last: BTreeMap<BootId, u64> = BTreeMap::new();
        for &(boot, seq) in &receiver.order {
            let before = last.insert(boot, seq).unwrap_or(0);
            let announced = |reason: &GapReason| given_up(reason) || *reason == GapReason::Damage;
            let holes = before + 1..seq;
            assert!(
                holes.is_empty() || receiver.announced.iter().any(|(r, _)| announced(r)),
                "{name}: a gap that no gap record reports"
            );
        }
        let honest = |(r, _): &(GapReason, _)| {
            matches!(r, GapReason::Torn | GapReason::Damage | GapReason::Memory) || given_up(r)
        };
        assert!(receiver.announced.iter().all(honest), "{name}: {:?}", receiver.announced);
    }
}

fn has_space(disk: &CrashDisk) {
    disk.capacity(None);
    disk.refuse_data(None);
}

fn true_wall(mono: Mono) -> i64 {
    TRUE_WALL + (mono.0 / 1_000_000).cast_signed()
}

fn parts(event: &str) -> (&str, BootId, u64) {
    let (rest, seq) = event.rsplit_once('-').unwrap();
    let (device, boot) = rest.rsplit_once('-').unwrap();
    (device, BootId(u64::from_str_radix(boot, 16).unwrap()), seq.parse().unwrap())
}

fn store_dead_letter(
    outbox: &mut Outbox<CrashDisk>,
    to: usize,
    batch: &RecordBatch,
    entry: &BatchRecord,
) -> Result<u64, OutboxError> {
    outbox.store_dead_letter(&DeadLetterRecord {
        meta: entry.meta,
        device: entry.device.clone(),
        corrected: entry.corrected,
        endpoint: name(NAMES[to]),
        status: 422,
        reason: "no",
        payload: batch.payload(entry),
    })
}

fn cut_power_at_random(seeds: std::ops::Range<u64>, habits: Habits) -> World {
    let mut all = World::default();
    for seed in seeds {
        let rng = &mut fastrand::Rng::with_seed(seed);
        let mut disk = CrashDisk::new();
        let mut world = World::default();
        for _ in 0..habits.lives {
            disk.dead_after_calls(rng.u64(3..habits.calls));
            world.live(&disk, habits, rng);
            world.restart();
            disk = if rng.u8(..4) == 0 { disk.restarted() } else { disk.power_cycled(rng) };
            has_space(&disk);
        }
        world.drain(&disk, habits.policy);
        world.check(!habits.fills);
        for (all, one) in all.receivers.iter_mut().zip(world.receivers) {
            all.announced.extend(one.announced);
            all.dead.extend(one.dead);
        }
    }
    all
}

/// Mutants this was seen to fail with: no sync after a write, no sync of the directory after naming a segment, cursors
/// never synced, segments given back at the acknowledgement, freezes that do not reach the disk, no payload CRC,
/// durable before the sync. Those it lets through are in `outbox_faults.rs` (a cursor written over its only good slot,
/// header CRCs not bound to the segment) and `outbox_guards.rs` (positions reused after a torn end, cursors of other
/// endpoints, losses reported too early, ends found and not synced).
#[test]
fn durable_records_survive_power_cuts_at_any_call_in_groups() {
    cut_power_at_random(0..1_500, habits(policy()));
}

#[test]
fn durable_records_survive_power_cuts_at_any_call_one_by_one() {
    cut_power_at_random(10_000..11_000, habits(OutboxPolicy { durability: Durability::Each, ..policy() }));
}

/// `AppendError` records, letters sent again and given up, a clock that becomes known, a disk that refuses for a while.
#[test]
fn dead_letters_and_clock_corrections_survive_disk_faults() {
    let all = cut_power_at_random(20_000..20_500, Habits { lives: 4, eventful: true, ..habits(policy()) });
    assert!(all.receivers.iter().all(|r| !r.dead.is_empty()), "letters were among it");
}

/// The smallest outbox, receivers that are too slow for it, and all of the above; then a disk that fills up besides.
///
/// Mutants seen red: a segment is dropped before an endpoint has its first cursor; what is found missing at the start
/// without the last report nobody had taken.
#[test]
fn records_dropped_before_a_power_cut_are_reported_to_their_endpoints() {
    let policy = OutboxPolicy { max_bytes: 512 << 10, ..policy() };
    let slow = Habits { policy, steps: 900, calls: 900, pace: 60, eventful: true, ..habits(policy) };
    for (seeds, fills) in [(40_150..40_300, false), (50_000..50_150, true)] {
        let all = cut_power_at_random(seeds, Habits { fills, ..slow });
        let dropped = |r: &Receiver| r.announced.iter().any(|(reason, _)| *reason == GapReason::DropOldest);
        assert!(all.receivers.iter().all(dropped), "something gave way");
    }
}

#[test]
fn durable_records_survive_a_power_cut_at_every_single_call_of_one_run() {
    for cut in 1..400 {
        let rng = &mut fastrand::Rng::with_seed(77);
        let disk = CrashDisk::new();
        let mut world = World::default();
        disk.dead_after_calls(cut);
        world.live(&disk, Habits { steps: 300, ..habits(policy()) }, rng);
        let disk = disk.power_cycled(rng);
        world.drain(&disk, policy());
        world.check(true);
    }
}

#[test]
fn nothing_is_durable_before_its_sync_returned() {
    let disk = CrashDisk::new();
    let mut outbox = Outbox::open(disk.clone(), policy(), &identity(1), &[], NOW).unwrap();
    for n in 1..=7 {
        outbox.append(EVENT, stamp(1, 1, true), &payload(1, n), NOW).unwrap();
        assert_eq!(
            (outbox.status().durable_seq, outbox.readable()),
            (0, Position(0)),
            "waits with its group"
        );
    }
    let before = disk.syncs();
    outbox.append(EVENT, stamp(1, 1, true), &payload(1, 8), NOW).unwrap();
    assert_eq!((outbox.status().durable_seq, outbox.readable()), (8, Position(8)), "the group is full");
    assert_eq!(disk.syncs() - before, 1, "one for the group, the new segment with it");
    outbox.append(EVENT, stamp(1, 1, true), &payload(1, 9), NOW).unwrap();
    let due = outbox.next_deadline().unwrap();
    outbox.tick(NOW);
    assert_eq!(outbox.status().durable_seq, 8, "its time has not come");
    outbox.tick(due);
    assert_eq!((outbox.status().durable_seq, disk.syncs() - before), (9, 2));
    assert_eq!(outbox.next_deadline(), None, "nothing left to do");
}
