//! The outbox against raw writes of the same bytes, alternately in one process on a real disk.
//!
//! `cargo bench --bench outbox`; `BENCH_SMALL=1` for a short run, `BENCH_DIR` for another directory than
//! Cargo's (a tmpfs says nothing about syncs).

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FallocateFlags, fallocate};

use mycelium_core::window;
use mycelium_daemon::clock::{BootId, Mono, Stamp, Wall};
use mycelium_daemon::delivery::source::WINDOW;
use mycelium_outbox::format::record::RECORD_HEADER_BYTES;
use mycelium_outbox::storage::DiskStorage;
use mycelium_outbox::{Durability, Outbox, OutboxPolicy, RecordBatch, SafeName, WriterIdentity};

const PAYLOAD: [u8; window::ENCODED_BYTES] = [0x5A; window::ENCODED_BYTES];
const RECORD: usize = RECORD_HEADER_BYTES + PAYLOAD.len();
/// Length of the file a raw writer goes around in.
const RAW: u64 = 64 << 20;
const STAMP: Stamp = Stamp { mono: Mono(1), wall: Wall(1), synced: true };

fn small() -> bool {
    std::env::var_os("BENCH_SMALL").is_some_and(|v| v == "1")
}

/// What the blocks of the raw writer's file are before it writes them.
#[derive(Clone, Copy, PartialEq)]
enum Blocks {
    /// Written full of zeros: the fastest there is, for twice the bytes.
    Written,
    /// Reserved by `fallocate`, as a segment's are: the first write of each costs the file system a note.
    Reserved,
}

/// Preallocated; one `pwrite` and one `fdatasync` per commit: the fastest honest ways.
struct Raw {
    file: File,
    blocks: Blocks,
    at: u64,
}

impl Raw {
    fn new(dir: &Path, blocks: Blocks) -> Self {
        let path = dir.join(if blocks == Blocks::Written { "raw-written" } else { "raw-reserved" });
        let file = OpenOptions::new().create(true).truncate(true).write(true).open(path).unwrap();
        let mut raw = Self { file, blocks, at: 0 };
        raw.prepare();
        raw
    }

    fn prepare(&mut self) {
        if self.blocks == Blocks::Reserved {
            self.file.set_len(0).unwrap();
            fallocate(&self.file, FallocateFlags::empty(), 0, RAW).unwrap();
        } else if self.file.metadata().unwrap().len() == 0 {
            let zeros = vec![0; 1 << 20];
            for at in (0..RAW).step_by(zeros.len()) {
                self.file.write_all_at(&zeros, at).unwrap();
            }
        }
        self.file.sync_all().unwrap();
        self.at = 0;
    }

    fn commit(&mut self, bytes: &[u8]) {
        self.file.write_all_at(bytes, self.at).unwrap();
        self.file.sync_data().unwrap();
        self.at += bytes.len() as u64;
    }

    /// Commits, after making room for all of them outside of what is measured.
    fn room_for(&mut self, bytes: usize) {
        if self.at + bytes as u64 > RAW {
            self.prepare();
        }
    }
}

fn open(dir: &Path, policy: OutboxPolicy) -> Outbox<DiskStorage> {
    let identity = WriterIdentity { device: SafeName::new("bench").unwrap(), boot: BootId(1), stamp: STAMP };
    Outbox::open(DiskStorage::new(dir), policy, &identity, &[SafeName::new("hub").unwrap()], Mono::now())
        .unwrap()
}

fn append(outbox: &mut Outbox<DiskStorage>, records: usize) {
    for _ in 0..records {
        outbox.append(WINDOW, STAMP, &PAYLOAD, Mono(1)).unwrap();
    }
}

/// Medians over rounds: the time of each competitor, and ours as a ratio to each of the others.
struct Compared {
    ratios: [f64; 2],
    times: [Duration; 3],
}

/// Three competitors in turns, ours last in the list; who begins changes, so that nobody always pays for another's
/// aftermath.
fn compare(rounds: usize, mut run: impl FnMut(usize) -> Duration) -> Compared {
    let mut rows = Vec::with_capacity(rounds);
    for round in 0..rounds {
        let mut times = [Duration::ZERO; 3];
        for turn in 0..3 {
            let who = (round + turn) % 3;
            times[who] = run(who);
        }
        rows.push(times);
    }
    let mid = rounds / 2;
    let ratio = |raw: usize| {
        let mut all: Vec<f64> = rows.iter().map(|t| t[raw].as_secs_f64() / t[2].as_secs_f64()).collect();
        all.sort_by(f64::total_cmp);
        all[mid]
    };
    let time = |who: usize| {
        let mut all: Vec<Duration> = rows.iter().map(|t| t[who]).collect();
        all.sort();
        all[mid]
    };
    Compared { ratios: [ratio(0), ratio(1)], times: [time(0), time(1), time(2)] }
}

fn report(what: &str, records: usize, c: &Compared) {
    let [written, reserved, ours] = c.times.map(|d| records as f64 / d.as_secs_f64());
    println!(
        "{what:<66} {ours:>7.0} records/s; raw: {reserved:>7.0} on reserved blocks ({:.2}), {written:>7.0} on \
         written ones ({:.2})",
        c.ratios[1], c.ratios[0]
    );
}

/// Sectors written to the block device the directory is on (all processes, the journal included), in bytes.
fn device_bytes(dir: &Path) -> Option<u64> {
    let dev = fs::metadata(dir).ok()?.dev();
    let (major, minor) = (rustix::fs::major(dev), rustix::fs::minor(dev));
    let stats = fs::read_to_string("/proc/diskstats").ok()?;
    let line = stats.lines().find(|line| {
        let mut words = line.split_whitespace();
        words.next() == Some(&major.to_string()) && words.next() == Some(&minor.to_string())
    })?;
    line.split_whitespace().nth(9)?.parse::<u64>().ok().map(|sectors| sectors * 512)
}

/// Bytes this process caused to be written, without the journal.
fn process_bytes() -> u64 {
    let io = fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = io.lines().find_map(|l| l.strip_prefix("write_bytes: "));
    line.and_then(|n| n.parse().ok()).unwrap_or(0)
}

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    line.and_then(|l| l.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// A fresh directory below the one given.
fn fresh(root: &Path, name: &str) -> PathBuf {
    let dir = root.join(name);
    drop(fs::remove_dir_all(&dir));
    fs::create_dir_all(&dir).unwrap();
    dir
}

fn policy(durability: Durability) -> OutboxPolicy {
    OutboxPolicy { durability, max_bytes: 4 << 30, keep_free_bytes: 0, ..OutboxPolicy::default() }
}

/// Appends against raw writes; `steady` acknowledges as it goes, so that segments are used again.
fn appends(root: &Path, durability: Durability, commit: usize, steady: bool) {
    let commits = if commit == 1 { 32 } else { 8 };
    let state =
        if steady { format!("uplink up, a cursor sync per {commits}") } else { "uplink down".to_owned() };
    let class = durability.name();
    let mut outbox = open(&fresh(root, "appends"), policy(durability));
    let mut raws = [Raw::new(root, Blocks::Written), Raw::new(root, Blocks::Reserved)];
    let bytes = vec![0x5A; commit * RECORD];
    let rounds = if small() { 11 } else { 101 };
    if steady {
        // Spare segments are there before anything is measured, as they are in ordinary operation.
        append(&mut outbox, 4_096);
        ack_all(&mut outbox);
    }
    let c = compare(rounds, |who| {
        if let Some(raw) = raws.get_mut(who) {
            raw.room_for(commits * bytes.len());
            let start = Instant::now();
            (0..commits).for_each(|_| raw.commit(&bytes));
            return start.elapsed();
        }
        let start = Instant::now();
        append(&mut outbox, commits * commit);
        if steady {
            ack_all(&mut outbox);
        }
        start.elapsed()
    });
    report(&format!("append, class {class}, commits of {commit}, {state}"), commits * commit, &c);
}

fn ack_all(outbox: &mut Outbox<DiskStorage>) {
    outbox.ack(0, outbox.readable(), Mono(1)).unwrap();
    outbox.flush(Mono(1));
}

fn wear(root: &Path, steady: bool) {
    let mut outbox = open(&fresh(root, "wear"), policy(Durability::Group));
    if steady {
        append(&mut outbox, 4_096);
        ack_all(&mut outbox);
    }
    let records = if small() { 6_400 } else { 64_000 };
    rustix::fs::sync();
    let (device, process) = (device_bytes(root), process_bytes());
    for _ in 0..records / 64 {
        append(&mut outbox, 64);
        if steady {
            outbox.ack(0, outbox.readable(), Mono(1)).unwrap();
            outbox.freeze(0, outbox.readable(), 0, Mono(1)).unwrap();
        }
    }
    let payload = (records * PAYLOAD.len()) as f64;
    let by_process = (process_bytes() - process) as f64 / payload;
    let by_device = device_bytes(root).zip(device).map_or(f64::NAN, |(b, a)| (b - a) as f64 / payload);
    let state = if steady { "uplink up, cursor synced per group" } else { "uplink down" };
    println!(
        "bytes written per payload byte in groups of 64, {state}: {by_device:.2} at the device (journal and \
         other processes included), {by_process:.2} by this process"
    );
}

fn drain_and_open(root: &Path) {
    let dir = fresh(root, "drain");
    let records = if small() { 10_000 } else { 100_000 };
    let mut outbox = open(&dir, policy(Durability::Group));
    append(&mut outbox, records);
    assert!(outbox.flush(Mono(1)));
    drop(outbox);

    let mut times: Vec<Duration> = (0..if small() { 5 } else { 101 })
        .map(|_| {
            let start = Instant::now();
            let outbox = open(&dir, policy(Durability::Group));
            let took = start.elapsed();
            assert_eq!(outbox.status().endpoints[0].lag, records as u64);
            took
        })
        .collect();
    times.sort();
    println!("open with {records} pending: {:.2} ms", times[times.len() / 2].as_secs_f64() * 1e3);

    let mut outbox = open(&dir, policy(Durability::Group));
    let mut batch = RecordBatch::default();
    outbox.fetch(0, 64, 256 << 10, &mut batch, Mono(1)).unwrap();
    let before = resident_kib();
    let (mut got, start) = (0, Instant::now());
    loop {
        outbox.fetch(0, 64, 256 << 10, &mut batch, Mono(1)).unwrap();
        if batch.is_empty() {
            break;
        }
        got += batch.records.len();
        outbox.ack(0, batch.through, Mono(1)).unwrap();
        outbox.tick(Mono(1));
    }
    let took = start.elapsed().as_secs_f64();
    assert_eq!(got, records);
    let grown = resident_kib().saturating_sub(before);
    println!(
        "drain and acknowledge: {:.0} records/s, resident memory grew by {grown} KiB",
        got as f64 / took
    );
}

fn main() {
    let root = std::env::var_os("BENCH_DIR").map_or_else(
        || PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("outbox-bench"),
        |dir| PathBuf::from(dir).join("outbox-bench"),
    );
    fs::create_dir_all(&root).unwrap();
    for steady in [true, false] {
        appends(&root, Durability::Each, 1, steady);
        appends(&root, Durability::Group, 64, steady);
    }
    for steady in [true, false] {
        wear(&root, steady);
    }
    drain_and_open(&root);
    fs::remove_dir_all(&root).unwrap();
}
