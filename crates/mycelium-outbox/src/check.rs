//! Reading and checking a directory without running it: what it holds, whether it is intact, and its dead letters.
//!
//! [`inspect`] and [`list_dead_letters`] only read, and may run beside the process that writes. [`replay_dead_letters`]
//! and [`discard_dead_letters`] need the lock of the state directory.

use std::fs::File;
use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::bad_blocks::OpeningReads;
use crate::cursors::read_cursor_file;
use crate::dead_letter_store::DeadLetterStore;
use crate::error::OutboxError;
use crate::format::cursor::{Cursor, CursorFile};
use crate::format::dead_letter::{DeadLetter, DeadLetterState};
use crate::format::file_name::{DEAD_LETTER_FILE, FileKind, cursor_file_name, segment_file_name};
use crate::format::name::SafeName;
use crate::format::record::{Position, RecordHeader};
use crate::format::segment::{HeaderStatus, SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::log::WriterIdentity;
use crate::scan::{ScanItem, SegmentScanner, read_segment_header};
use crate::state_dir::{self, StateDir};
use crate::storage::{DiskStorage, Storage, open_existing};
use crate::time::{BootId, Stamp};

const TORN: &str = "the last write is torn or damaged: nothing is readable after it";
const MISSING_START: &str = "the oldest records are missing";
const FOREIGN: &str = "not a file of this outbox; left alone";
const NO_SEGMENT: &str = "named like a segment, but holds no record; left alone";

/// Most findings kept; the rest is not counted.
const MAX_FINDINGS: usize = 100;

/// Most passes over a directory that another process writes.
const MAX_PASSES: u32 = 4;
/// Wait between two passes: longer than the write of a group.
const PASS_INTERVAL: Duration = Duration::from_millis(50);

/// Called with every record: its header and its payload.
pub type OnRecord<'a> = &'a mut dyn FnMut(&RecordHeader, &[u8]);

/// Something about a file that an operator should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Name of the file in the outbox directory.
    pub file: String,
    /// Offset in the file, if it is about one place.
    pub offset: Option<u64>,
    /// What was found, as a sentence.
    pub what: String,
    /// Records are lost or may be; otherwise it is only a remark.
    pub damage: bool,
}

/// What one segment holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentSummary {
    /// Name of the file.
    pub file: String,
    /// Its header; `None` if that is damaged.
    pub header: Option<SegmentHeader>,
    /// Number of valid records.
    pub records: u64,
    /// Position of the first record.
    pub first: Position,
    /// Position of the last record.
    pub last: Position,
    /// Length of the file.
    pub bytes: u64,
}

/// What a directory holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Segments, oldest first.
    pub segments: Vec<SegmentSummary>,
    /// The valid cursors.
    pub cursors: Vec<(SafeName, Cursor)>,
    /// Number of dead letters.
    pub dead_letters: u64,
    /// Number of spare files.
    pub spares: u64,
    /// Number of valid records in all segments.
    pub records: u64,
    /// At most 100 findings.
    pub findings: Vec<Finding>,
}

impl CheckReport {
    /// Whether nothing is damaged and nothing was lost.
    pub fn is_sound(&self) -> bool {
        !self.findings.iter().any(|f| f.damage)
    }

    /// What this pass is worth while another process writes: only damage that the pass before has also seen counts,
    /// because other damage may be a write in progress; the end of the last segment may always be one.
    fn beside_a_writer(mut self, before: &Self) -> Self {
        let active = self.segments.last().map(|s| s.file.clone());
        for finding in self.findings.iter_mut().filter(|f| f.damage) {
            let same = |f: &&Finding| f.damage && (&f.file, f.offset) == (&finding.file, finding.offset);
            let seen_before = before.findings.iter().any(|f| same(&f));
            let in_progress = finding.what == TORN && Some(&finding.file) == active.as_ref();
            // Just dropped: the cursors follow once the gap record is durable.
            let just_dropped = finding.what.starts_with(MISSING_START);
            finding.damage = seen_before && !in_progress && !just_dropped;
        }
        self.findings.retain(|f| f.damage || f.what == FOREIGN || f.what == NO_SEGMENT);
        self
    }

    fn add(&mut self, file: &str, offset: Option<u64>, damage: bool, what: impl Into<String>) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(Finding { file: file.to_owned(), offset, what: what.into(), damage });
        }
    }
}

/// Reads everything in `data`/outbox and changes nothing. `each` sees every record, in the order of the files. While
/// another process holds the lock, apparent damage is read again, because it may be a write in progress.
///
/// # Errors
/// [`OutboxError::Io`], [`OutboxError::Newer`]; damage is in the report.
pub fn inspect(data: &Path, each: OnRecord<'_>) -> Result<CheckReport, OutboxError> {
    let mut disk = DiskStorage::new(data.join("outbox"));
    let mut report = inspect_storage(&mut disk, each)?;
    for _ in 1..MAX_PASSES {
        if report.is_sound() || !state_dir::is_locked(data) {
            break;
        }
        thread::sleep(PASS_INTERVAL);
        let again = inspect_storage(&mut disk, &mut |_, _| {})?;
        report = again.beside_a_writer(&report);
    }
    Ok(report)
}

/// One pass of [`inspect`], on any storage.
///
/// # Errors
/// As [`inspect`].
pub fn inspect_storage<S: Storage>(storage: &mut S, each: OnRecord<'_>) -> Result<CheckReport, OutboxError> {
    let mut report = CheckReport::default();
    let mut files: Vec<(u64, u64)> = Vec::new();
    let mut cursors = Vec::new();
    let listing = &mut |name: &str, bytes: u64| match FileKind::from_name(name) {
        FileKind::Segment(number) => files.push((number, bytes)),
        FileKind::Spare(_) => report.spares += 1,
        FileKind::Cursor(endpoint) => cursors.push(endpoint.to_owned()),
        FileKind::DeadLetters | FileKind::Temporary => {}
        FileKind::Foreign => report.add(name, None, false, FOREIGN),
    };
    storage.list(listing).map_err(OutboxError::io("list", ""))?;
    files.sort_unstable();
    let mut scanner = SegmentScanner::default();
    let mut numbered = Vec::new();
    for (number, bytes) in files {
        match check_segment(storage, number, bytes, &mut scanner, &mut report, each)? {
            Checked::Segment(summary) => {
                let number = summary.header.as_ref().map_or(number, |h| h.number);
                numbered.push((number, summary));
            }
            Checked::NoSegment => {}
            // Segments are removed oldest first: those before it are gone as well.
            Checked::Removed => numbered.clear(),
        }
    }
    numbered.sort_by_key(|(number, _)| *number);
    report.segments = numbered.into_iter().map(|(_, summary)| summary).collect();
    report.records = report.segments.iter().map(|s| s.records).sum();
    check_continuity(&mut report);
    for endpoint in cursors {
        check_cursor(storage, &endpoint, &mut report)?;
    }
    check_start(&mut report);
    let mut warnings = Vec::new();
    report.dead_letters = DeadLetterStore::open(storage, &mut scanner, &mut warnings, false)?.len() as u64;
    for warning in warnings {
        report.add(DEAD_LETTER_FILE, None, true, warning);
    }
    Ok(report)
}

/// What a file with the name of a segment is.
enum Checked {
    Segment(SegmentSummary),
    NoSegment,
    /// The running process removed it after the directory was listed.
    Removed,
}

fn check_segment<S: Storage>(
    storage: &S,
    number: u64,
    bytes: u64,
    scanner: &mut SegmentScanner,
    report: &mut CheckReport,
    each: OnRecord<'_>,
) -> Result<Checked, OutboxError> {
    let name = segment_file_name(number);
    let Some(file) = open_existing(storage, &name, false).map_err(OutboxError::io("open", &name))? else {
        return Ok(Checked::Removed);
    };
    let mut bad = OpeningReads::default();
    let findings_before = report.findings.len();
    let header = match read_segment_header(storage, &file, number, &mut bad)
        .map_err(OutboxError::io("read", &name))?
    {
        HeaderStatus::Valid(header) => Some(header),
        HeaderStatus::Newer(version) => return Err(OutboxError::Newer { name, version }),
        HeaderStatus::Damaged => None,
    };
    let bound = header.as_ref().map_or(number, |h| h.number);
    if bound != number {
        report.add(&name, Some(0), true, format!("is segment {bound:016x} under another name"));
    }
    scanner.start(bound, if header.is_some() { SEGMENT_HEADER_BYTES as u64 } else { 0 }, bytes);
    let first = header.as_ref().map(|h| h.first);
    let mut summary = SegmentSummary {
        file: name.clone(),
        first: first.unwrap_or_default(),
        last: first.unwrap_or_default().previous(),
        header,
        records: 0,
        bytes,
    };
    check_records(storage, &file, scanner, &mut summary, report, each)
        .map_err(OutboxError::io("read", &name))?;
    // Removed while it was read: what is there now may be a reuse of the file.
    if report.findings.len() > findings_before && storage.open(&name, false).is_err() {
        report.findings.truncate(findings_before);
        return Ok(Checked::Removed);
    }
    if summary.header.is_none() {
        if summary.records == 0 {
            report.add(&name, None, false, NO_SEGMENT);
            return Ok(Checked::NoSegment);
        }
        report.add(&name, Some(0), true, "its header is damaged; its records can still be read");
    }
    Ok(Checked::Segment(summary))
}

fn check_records<S: Storage>(
    storage: &S,
    file: &S::File,
    scanner: &mut SegmentScanner,
    summary: &mut SegmentSummary,
    report: &mut CheckReport,
    each: OnRecord<'_>,
) -> io::Result<()> {
    let mut bad = OpeningReads::default();
    let mut complete = false;
    loop {
        let offset = Some(scanner.offset());
        let expected = summary.last.next();
        let any = summary.records > 0 || summary.header.is_some();
        match scanner.next(storage, file, &mut bad)? {
            ScanItem::Record { header, payload, skipped } => {
                complete = false;
                let position = header.meta.position;
                if !any {
                    summary.first = position;
                } else if position > expected {
                    let lost = position.0 - expected.0;
                    let what =
                        format!("{} from position {}: {skipped} bytes", lost_records(lost), expected.0);
                    report.add(&summary.file, offset, true, what);
                } else if skipped > 0 {
                    report.add(&summary.file, offset, true, format!("{skipped} bytes are not a record"));
                }
                summary.last = summary.last.max(position);
                summary.records += 1;
                each(&header, payload);
            }
            ScanItem::Marker { next } => {
                complete = true;
                if next > expected {
                    let lost = next.0 - expected.0;
                    let what = format!("{} from position {}", lost_records(lost), expected.0);
                    report.add(&summary.file, offset, true, what);
                    summary.last = next.previous();
                }
            }
            ScanItem::End { .. } => {
                if any && !complete {
                    report.add(&summary.file, offset, true, TORN);
                }
                return Ok(());
            }
        }
    }
}

fn lost_records(count: u64) -> String {
    format!("{count} {} lost", if count == 1 { "record is" } else { "records are" })
}

/// Whether each segment continues where the one before ended.
fn check_continuity(report: &mut CheckReport) {
    let mut gaps = Vec::new();
    for pair in report.segments.windows(2) {
        let before = resumes_after(&pair[1]);
        if before > pair[0].last {
            let (from, lost) = (pair[0].last.next().0, before.0 - pair[0].last.0);
            let what = format!("records before it are missing: {lost} from position {from}");
            gaps.push((pair[1].file.clone(), what));
        }
    }
    for (file, what) in gaps {
        report.add(&file, None, true, what);
    }
}

/// Last position used before a segment.
fn resumes_after(segment: &SegmentSummary) -> Position {
    segment.header.as_ref().map_or(segment.first.previous(), |h| h.resumes_after)
}

/// Whether the oldest segment starts where it should: every cursor is past what was removed. Without a valid cursor
/// this cannot be known.
fn check_start(report: &mut CheckReport) {
    let Some(first) = report.segments.first() else { return };
    // A cursor that fell back to its older slot says less than was acknowledged.
    if report.findings.iter().any(|f| f.damage && f.file.ends_with(".cursor")) {
        return;
    }
    let before = resumes_after(first);
    let acked = report.cursors.iter().map(|(_, cursor)| cursor.acked).max();
    let Some(acked) = acked.filter(|&acked| acked < before) else { return };
    let (file, from, lost) = (first.file.clone(), acked.next().0, before.0 - acked.0);
    let what = format!(
        "{MISSING_START}: {lost} from position {from}, and no cursor is past them; not a loss if they were dropped \
         while no endpoint was configured"
    );
    report.add(&file, None, true, what);
}

fn check_cursor<S: Storage>(
    storage: &S,
    endpoint: &str,
    report: &mut CheckReport,
) -> Result<(), OutboxError> {
    let file = cursor_file_name(endpoint);
    match read_cursor_file(storage, &file, &mut OpeningReads::default())? {
        Some(CursorFile::Valid { cursor, other_damaged, .. }) => {
            if other_damaged {
                report.add(&file, None, true, "one of its two slots is damaged; the other one counts");
            }
            report.cursors.extend(SafeName::new(endpoint).map(|name| (name, cursor)));
        }
        Some(CursorFile::Newer(version)) => return Err(OutboxError::Newer { name: file, version }),
        Some(CursorFile::Damaged) => {
            let what = "both slots are damaged: every record that is still here will be sent again";
            report.add(&file, None, true, what);
        }
        None => {}
    }
    Ok(())
}

/// Up to `limit` dead letters, oldest first; only reads.
///
/// # Errors
/// [`OutboxError::Io`], [`OutboxError::Newer`].
pub fn list_dead_letters(data: &Path, limit: usize) -> Result<Vec<DeadLetter>, OutboxError> {
    let mut disk = DiskStorage::new(data.join("outbox"));
    open_dead_letters(&mut disk, false)?.list(&disk, limit)
}

/// Marks the dead letters with these ids to be delivered again once the outbox runs; no ids means all. Returns how many
/// there were.
///
/// # Errors
/// [`OutboxError::Io`], [`OutboxError::Newer`]; then nothing was changed.
pub fn replay_dead_letters(state: &StateDir, ids: &[u64], stamp: Stamp) -> Result<usize, OutboxError> {
    change_dead_letters(state, ids, stamp, DeadLetterState::Replay)
}

/// Discards the dead letters with these ids; no ids means all. Returns how many there were.
///
/// # Errors
/// [`OutboxError::Io`], [`OutboxError::Newer`]; then nothing was changed.
pub fn discard_dead_letters(state: &StateDir, ids: &[u64], stamp: Stamp) -> Result<usize, OutboxError> {
    change_dead_letters(state, ids, stamp, DeadLetterState::Removed)
}

fn change_dead_letters(
    state: &StateDir,
    ids: &[u64],
    stamp: Stamp,
    to: DeadLetterState,
) -> Result<usize, OutboxError> {
    let mut disk = DiskStorage::new(state.outbox());
    let mut store = open_dead_letters(&mut disk, true)?;
    let device = SafeName::new("offline").expect("a valid name");
    store.change(&mut disk, &WriterIdentity { boot: BootId(0), device, stamp }, ids, to)
}

fn open_dead_letters(disk: &mut DiskStorage, may_change: bool) -> Result<DeadLetterStore<File>, OutboxError> {
    DeadLetterStore::open(disk, &mut SegmentScanner::default(), &mut Vec::new(), may_change)
}
