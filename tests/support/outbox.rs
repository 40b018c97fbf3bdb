//! A disk that fails, fills up and loses power on command. Synced bytes stay; of what was written since, a
//! random part survives a power cut, sector by sector; of names made, changed and removed since the last
//! sync of the directory, a random prefix does.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use mycelium_daemon::clock::{BootId, Mono, Stamp, Wall};
use mycelium_outbox::storage::{Preallocation, Storage};
use mycelium_outbox::{
    AppendError, DeadLetterRecord, Gap, Outbox, OutboxError, OutboxPolicy, Position, RecordBatch, RecordKind,
    RecordMeta, SafeName, WriterIdentity,
};

const SECTOR: usize = 512;
pub const EIO: i32 = 5;
pub const ENOSPC: i32 = 28;
pub const EROFS: i32 = 30;

#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Len(usize),
}

#[derive(Clone, Debug, Default)]
struct FileState {
    /// What survives any power cut.
    durable: Vec<u8>,
    /// What a reader sees.
    now: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Clone, Debug)]
enum NameChange {
    Set(String, usize),
    Remove(String),
    Rename(String, String),
}

#[derive(Clone, Debug, Default)]
struct State {
    files: Vec<FileState>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    pending_names: Vec<NameChange>,
    calls: u64,
    dead_after: Option<u64>,
    /// Errno every write, creation and rename fails with.
    write_error: Option<i32>,
    /// Errno the next syncs fail with, and how many; a failed sync drops what it should have kept.
    sync_error: Option<(i32, u32)>,
    /// Errno reads of this file fail with.
    read_error: Option<(String, i32)>,
    /// So many of the next reads work, and then so many fail with EIO.
    working_reads: u64,
    failing_reads: u64,
    /// Reads of these bytes of this file fail with EIO.
    bad_block: Option<(String, Range<u64>)>,
    /// Errno writes into files fail with, while creating, renaming and removing them works.
    data_error: Option<i32>,
    capacity: Option<u64>,
    syncs: u64,
}

/// Clones share one disk.
#[derive(Clone, Debug, Default)]
pub struct CrashDisk(Rc<RefCell<State>>);

impl CrashDisk {
    pub fn new() -> Self {
        Self::default()
    }

    /// From this many more calls on, nothing works: the power is gone.
    pub fn dead_after_calls(&self, calls: u64) {
        let mut state = self.0.borrow_mut();
        state.dead_after = Some(state.calls + calls);
    }

    pub fn is_dead(&self) -> bool {
        let state = self.0.borrow();
        state.dead_after.is_some_and(|n| state.calls >= n)
    }

    pub fn calls(&self) -> u64 {
        self.0.borrow().calls
    }

    pub fn syncs(&self) -> u64 {
        self.0.borrow().syncs
    }

    pub fn refuse_writes(&self, errno: Option<i32>) {
        self.0.borrow_mut().write_error = errno;
    }

    pub fn fail_syncs(&self, errno: i32, times: u32) {
        self.0.borrow_mut().sync_error = Some((errno, times));
    }

    pub fn refuse_data(&self, errno: Option<i32>) {
        self.0.borrow_mut().data_error = errno;
    }

    pub fn refuse_reads(&self, of: Option<(&str, i32)>) {
        self.0.borrow_mut().read_error = of.map(|(name, errno)| (name.to_owned(), errno));
    }

    /// The next reads fail with EIO, whatever they are of.
    pub fn fail_reads(&self, times: u64) {
        self.fail_reads_after(0, times);
    }

    pub fn fail_reads_after(&self, working: u64, times: u64) {
        let mut state = self.0.borrow_mut();
        (state.working_reads, state.failing_reads) = (working, times);
    }

    pub fn bad_block(&self, of: Option<(&str, Range<u64>)>) {
        self.0.borrow_mut().bad_block = of.map(|(name, bytes)| (name.to_owned(), bytes));
    }

    pub fn capacity(&self, bytes: Option<u64>) {
        self.0.borrow_mut().capacity = bytes;
    }

    /// What is found when the power is back.
    pub fn power_cycled(&self, rng: &mut fastrand::Rng) -> Self {
        let mut state = self.0.borrow().clone();
        for file in &mut state.files {
            file.settle(rng);
        }
        let keep = if rng.bool() { rng.usize(..=state.pending_names.len()) } else { 0 };
        for change in state.pending_names.drain(..).take(keep) {
            apply(&mut state.durable_names, change);
        }
        state.names = state.durable_names.clone();
        (state.dead_after, state.write_error, state.sync_error, state.read_error) = (None, None, None, None);
        Self(Rc::new(RefCell::new(state)))
    }

    /// The process ends, the machine stays up: everything written is there.
    pub fn restarted(&self) -> Self {
        let mut state = self.0.borrow().clone();
        (state.dead_after, state.write_error, state.sync_error, state.read_error) = (None, None, None, None);
        Self(Rc::new(RefCell::new(state)))
    }

    pub fn names(&self) -> Vec<String> {
        self.0.borrow().names.keys().cloned().collect()
    }

    pub fn contents(&self, name: &str) -> Vec<u8> {
        let state = self.0.borrow();
        state.files[state.names[name]].now.clone()
    }

    /// Changes a file behind the back of everybody; `None` removes it.
    pub fn put(&self, name: &str, contents: Option<Vec<u8>>) {
        let mut state = self.0.borrow_mut();
        let Some(now) = contents else {
            state.names.remove(name);
            state.durable_names.remove(name);
            return;
        };
        state.files.push(FileState { durable: now.clone(), now, pending: Vec::new() });
        let at = state.files.len() - 1;
        state.names.insert(name.to_owned(), at);
        state.durable_names.insert(name.to_owned(), at);
    }

    /// Changes what stands in a file somebody may have open.
    pub fn overwrite(&self, name: &str, contents: Vec<u8>) {
        let mut state = self.0.borrow_mut();
        let at = state.names[name];
        state.files[at] = FileState { durable: contents.clone(), now: contents, pending: Vec::new() };
    }

    fn call(&self) -> io::Result<std::cell::RefMut<'_, State>> {
        let mut state = self.0.borrow_mut();
        state.calls += 1;
        if state.dead_after.is_some_and(|n| state.calls > n) {
            return Err(io::Error::other("the power is gone"));
        }
        Ok(state)
    }

    fn writing(&self) -> io::Result<std::cell::RefMut<'_, State>> {
        let state = self.call()?;
        match state.write_error {
            Some(errno) => Err(io::Error::from_raw_os_error(errno)),
            None => Ok(state),
        }
    }
}

impl FileState {
    fn settle(&mut self, rng: &mut fastrand::Rng) {
        let mode = rng.u8(..4);
        for change in self.pending.drain(..) {
            match change {
                Change::Len(len) if mode == 0 || rng.bool() => self.durable.resize(len, 0),
                Change::Len(_) => {}
                Change::Write(at, bytes) => {
                    let stop = rng.usize(..=bytes.len());
                    let mut from = 0;
                    while from < bytes.len() {
                        let end = bytes.len().min(from + SECTOR - (at + from) % SECTOR);
                        let lives = match mode {
                            0 => true,
                            1 => false,
                            2 => end <= stop,
                            _ => rng.bool(),
                        };
                        if lives {
                            put(&mut self.durable, at + from, &bytes[from..end]);
                        }
                        from = end;
                    }
                }
            }
        }
        self.now = self.durable.clone();
    }
}

fn put(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if file.len() < at + bytes.len() {
        file.resize(at + bytes.len(), 0);
    }
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

fn apply(names: &mut BTreeMap<String, usize>, change: NameChange) {
    match change {
        NameChange::Set(name, at) => drop(names.insert(name, at)),
        NameChange::Remove(name) => drop(names.remove(&name)),
        NameChange::Rename(from, to) => {
            if let Some(at) = names.remove(&from) {
                names.insert(to, at);
            }
        }
    }
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl State {
    fn used(&self) -> u64 {
        self.names.values().map(|&at| self.files[at].now.len() as u64).sum()
    }

    fn change_names(&mut self, change: NameChange) {
        apply(&mut self.names, change.clone());
        self.pending_names.push(change);
    }
}

impl Storage for CrashDisk {
    type File = usize;

    fn prepare(&mut self) -> io::Result<()> {
        self.writing().map(drop)
    }

    fn list(&self, each: &mut dyn FnMut(&str, u64)) -> io::Result<()> {
        let state = self.call()?;
        for (name, &at) in &state.names {
            each(name, state.files[at].now.len() as u64);
        }
        Ok(())
    }

    fn create(&mut self, name: &str, len: u64, _: Preallocation) -> io::Result<usize> {
        let mut state = self.writing()?;
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if state.capacity.is_some_and(|most| state.used() + len > most) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let now = vec![0; len as usize];
        state.files.push(FileState { durable: Vec::new(), now, pending: vec![Change::Len(len as usize)] });
        let at = state.files.len() - 1;
        state.change_names(NameChange::Set(name.to_owned(), at));
        Ok(at)
    }

    fn open(&self, name: &str, _: bool) -> io::Result<usize> {
        self.call()?.names.get(name).copied().ok_or_else(not_found)
    }

    fn read_at(&self, file: &usize, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut state = self.call()?;
        let read = offset..offset + into.len() as u64;
        let hit = |bad: &Range<u64>| bad.start < read.end && read.start < bad.end;
        let works = state.working_reads > 0;
        state.working_reads = state.working_reads.saturating_sub(1);
        let bad_block = state.bad_block.as_ref();
        if state.failing_reads > 0 && !works
            || bad_block.is_some_and(|(name, bad)| state.names.get(name) == Some(file) && hit(bad))
        {
            state.failing_reads = state.failing_reads.saturating_sub(1);
            return Err(io::Error::from_raw_os_error(EIO));
        }
        if let Some((name, errno)) = &state.read_error
            && state.names.get(name) == Some(file)
        {
            return Err(io::Error::from_raw_os_error(*errno));
        }
        let bytes = state.files[*file].now.get(offset as usize..).unwrap_or_default();
        let n = bytes.len().min(into.len());
        into[..n].copy_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn write_at(&mut self, file: &usize, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.writing()?;
        if let Some(errno) = state.data_error {
            return Err(io::Error::from_raw_os_error(errno));
        }
        let file = &mut state.files[*file];
        put(&mut file.now, offset as usize, bytes);
        file.pending.push(Change::Write(offset as usize, bytes.to_vec()));
        Ok(())
    }

    fn sync(&mut self, file: &usize) -> io::Result<()> {
        let mut state = self.call()?;
        state.syncs += 1;
        if let Some((errno, times)) = state.sync_error {
            state.sync_error = (times > 1).then_some((errno, times - 1));
            // As Linux does it: the pages count as clean, and are not on the disk.
            state.files[*file].pending.clear();
            return Err(io::Error::from_raw_os_error(errno));
        }
        let file = &mut state.files[*file];
        for change in std::mem::take(&mut file.pending) {
            match change {
                Change::Len(len) => file.durable.resize(len, 0),
                Change::Write(at, bytes) => put(&mut file.durable, at, &bytes),
            }
        }
        Ok(())
    }

    fn truncate(&mut self, file: &usize, len: u64) -> io::Result<()> {
        let mut state = self.writing()?;
        let file = &mut state.files[*file];
        file.now.resize(len as usize, 0);
        file.pending.push(Change::Len(len as usize));
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.writing()?;
        if !state.names.contains_key(from) {
            return Err(not_found());
        }
        state.change_names(NameChange::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        let mut state = self.writing()?;
        if !state.names.contains_key(name) {
            return Err(not_found());
        }
        state.change_names(NameChange::Remove(name.to_owned()));
        Ok(())
    }

    fn sync_dir(&mut self) -> io::Result<()> {
        let mut state = self.call()?;
        state.pending_names.clear();
        state.durable_names = state.names.clone();
        Ok(())
    }

    fn free_space(&self) -> io::Result<u64> {
        let state = self.call()?;
        Ok(state.capacity.unwrap_or(1 << 40).saturating_sub(state.used()))
    }
}

pub fn name(text: &str) -> SafeName {
    SafeName::new(text).unwrap()
}

pub fn stamp(mono_ms: u64, wall: i64, synced: bool) -> Stamp {
    Stamp { mono: Mono(mono_ms * 1_000_000), wall: Wall(wall), synced }
}

pub fn identity(boot: u64) -> WriterIdentity {
    WriterIdentity { device: name("edge-1"), boot: BootId(boot), stamp: stamp(0, 0, true) }
}

/// A kind of the application that the outbox knows nothing about.
pub const EVENT: RecordKind = RecordKind(4);
/// The kind of feature windows.
pub const WINDOW: RecordKind = mycelium_daemon::delivery::source::WINDOW;

pub const NOW: Mono = Mono(1_000_000_000);

/// Small segments, no group time unless a test moves the clock.
pub fn policy() -> OutboxPolicy {
    OutboxPolicy {
        segment_bytes: 65_536,
        keep_free_bytes: 0,
        group_records: 8,
        group: Duration::from_secs(1),
        ..OutboxPolicy::default()
    }
}

pub fn open(disk: &CrashDisk, boot: u64, policy: OutboxPolicy, endpoints: &[&str]) -> Outbox<CrashDisk> {
    let names: Vec<SafeName> = endpoints.iter().map(|n| name(n)).collect();
    Outbox::open(disk.clone(), policy, &identity(boot), &names, NOW).unwrap()
}

/// Payload number `n` of boot `boot`: any length up to 2 KiB, and never the same bytes twice.
pub fn payload(boot: u64, n: u64) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(boot << 32 | n);
    let len = rng.usize(8..2_048);
    let mut bytes: Vec<u8> = (0..len).map(|_| rng.u8(..)).collect();
    bytes[..8].copy_from_slice(&n.to_le_bytes());
    bytes
}

/// Stores a dead letter for endpoint `hub`, with a payload of `len` bytes or 8 that starts with `n`.
pub fn store_dead_letter(outbox: &mut Outbox<CrashDisk>, n: u64, len: usize) -> Result<u64, OutboxError> {
    let mut payload = n.to_le_bytes().to_vec();
    payload.resize(len.max(8), 0xA5);
    let meta = RecordMeta {
        position: Position(n),
        seq: n,
        boot: BootId(1),
        kind: EVENT,
        priority: 0,
        stamp: stamp(n, 1, true),
    };
    outbox.store_dead_letter(&DeadLetterRecord {
        meta,
        device: name("edge-1"),
        corrected: None,
        endpoint: name("hub"),
        status: 422,
        reason: "no",
        payload: &payload,
    })
}

/// Numbers of the records among the dead letters.
pub fn stored_dead_letters(outbox: &mut Outbox<CrashDisk>) -> Vec<u64> {
    let dead_letters = outbox.list_dead_letters(usize::MAX).unwrap();
    dead_letters
        .iter()
        .map(|dead_letter| dead_letter.event_id.rsplit('-').next().unwrap().parse().unwrap())
        .collect()
}

/// Appends an event of 900 bytes that begins with `n`.
pub fn append(outbox: &mut Outbox<CrashDisk>, n: u64, now: Mono) -> Result<(), AppendError> {
    let mut payload = [0x5A; 900];
    payload[..8].copy_from_slice(&n.to_le_bytes());
    outbox.append(EVENT, stamp(n, 1, true), &payload, now)
}

/// Numbers of all events still to come for an endpoint, in order, and the gaps among them; takes everything.
pub fn drain(outbox: &mut Outbox<CrashDisk>, endpoint: usize, now: Mono) -> (Vec<u64>, Vec<Gap>) {
    let (mut events, mut gaps, mut batch) = (Vec::new(), Vec::new(), RecordBatch::default());
    for _ in 0..1_000 {
        assert!(outbox.flush(now), "{:?}", outbox.degraded());
        outbox.fetch(endpoint, 100, 1 << 20, &mut batch, now).unwrap();
        if batch.is_empty() && outbox.status().endpoints[endpoint].lag == 0 {
            return (events, gaps);
        }
        for entry in &batch.records {
            let bytes = batch.payload(entry);
            match entry.meta.kind {
                RecordKind::GAP => gaps.push(Gap::decode(bytes).unwrap()),
                _ => events.push(u64::from_le_bytes(*bytes.first_chunk().unwrap())),
            }
        }
        outbox.ack(endpoint, batch.through, now).unwrap();
    }
    panic!("does not come to an end");
}
