//! Opening a directory: which files there are, where the log ends, and what the last process left incomplete.

use std::collections::VecDeque;
use std::io;

use crate::bad_blocks::{BLOCK_BYTES, BadBlocks, OpeningReads};
use crate::cursors::read_cursor_file;
use crate::dead_letter_store;
use crate::error::OutboxError;
use crate::format::cursor::CursorFile;
use crate::format::file_name::{FileKind, cursor_file_name, segment_file_name, spare_file_name};
use crate::format::record::{Position, RECORD_HEADER_BYTES};
use crate::format::segment::{HeaderStatus, SEGMENT_HEADER_BYTES};
use crate::log::{COMMIT_BYTES, COMMIT_RECORDS, SegmentConfig, SegmentInfo, SegmentLog};
use crate::scan::{ScanItem, SegmentScanner, read_segment_header};
use crate::storage::{EIO, Storage};

/// A file with a number above this is not one of ours: it would leave no numbers for new segments.
const MAX_SEGMENT_NUMBER: u64 = 1 << 56;

/// What opening a directory has found.
#[derive(Debug, Default)]
pub(crate) struct RecoveryReport {
    /// Position of the last record, 0 when there is none.
    pub last: Position,
    /// Last position that is known to have been written, whether its record is readable or not.
    pub written: Position,
    /// The next position to assign.
    pub next: Position,
    /// Bytes after the last commit marker, if the log does not end with one.
    pub torn_bytes: Option<u64>,
    /// Endpoints with a cursor file.
    pub cursors: Vec<String>,
    /// Files that are left alone: of someone else, or duplicates.
    pub foreign: Vec<String>,
}

/// The names of a directory, by kind.
struct Listing {
    /// Number and length of each.
    segments: Vec<(u64, u64)>,
    spares: Vec<u64>,
    next_number: u64,
}

/// Reads every segment header and scans the last segment. Fails before anything is changed if a file is of a later
/// program, or if the disk refuses every read.
pub(crate) fn recover<S: Storage>(
    mut storage: S,
    config: SegmentConfig,
    scanner: &mut SegmentScanner,
) -> Result<(SegmentLog<S>, RecoveryReport), OutboxError> {
    storage.prepare().map_err(OutboxError::io("make a file in", ""))?;
    let mut report = RecoveryReport::default();
    let listing = list(&storage, &mut report)?;
    let mut bad = OpeningReads::default();
    let mut segments = Vec::new();
    for (number, bytes) in listing.segments {
        match inspect(&storage, number, bytes, scanner, &mut bad)? {
            Some(segment) => segments.push(segment),
            None => report.foreign.push(segment_file_name(number)),
        }
    }
    refuse_newer(&storage, &report, &mut bad)?;
    if !bad.disk_works() {
        return Err(OutboxError::io("read", "")(io::Error::from_raw_os_error(EIO)));
    }
    let mut segments = in_order(segments, &mut report);
    let after_last = segments.back().map_or(1, |last| last.number.saturating_add(1));
    let next_number = listing.next_number.max(after_last);
    match segments.back_mut() {
        Some(last) => recover_last(&mut storage, last, config.syncs, scanner, &mut report, &mut bad)?,
        None => report.next = Position(1),
    }
    for number in listing.spares {
        let name = spare_file_name(number);
        storage.remove(&name).map_err(OutboxError::io("remove", &name))?;
    }
    Ok((SegmentLog::new(storage, config, segments, next_number), report))
}

fn list<S: Storage>(storage: &S, report: &mut RecoveryReport) -> Result<Listing, OutboxError> {
    let mut listing = Listing { segments: Vec::new(), spares: Vec::new(), next_number: 1 };
    let each = &mut |name: &str, bytes: u64| match FileKind::from_name(name) {
        FileKind::Segment(number) | FileKind::Spare(number) if number > MAX_SEGMENT_NUMBER => {
            report.foreign.push(name.to_owned());
        }
        FileKind::Segment(number) => {
            listing.next_number = listing.next_number.max(number.saturating_add(1));
            listing.segments.push((number, bytes));
        }
        FileKind::Spare(number) => {
            listing.next_number = listing.next_number.max(number.saturating_add(1));
            listing.spares.push(number);
        }
        FileKind::Cursor(endpoint) => report.cursors.push(endpoint.to_owned()),
        FileKind::DeadLetters | FileKind::Temporary => {}
        FileKind::Foreign => report.foreign.push(name.to_owned()),
    };
    storage.list(each).map_err(OutboxError::io("list", ""))?;
    Ok(listing)
}

/// What a segment file holds; `None` when it has neither a valid header nor a record.
fn inspect<S: Storage>(
    storage: &S,
    number: u64,
    bytes: u64,
    scanner: &mut SegmentScanner,
    bad: &mut dyn BadBlocks,
) -> Result<Option<SegmentInfo>, OutboxError> {
    let name = segment_file_name(number);
    let file = storage.open(&name, false).map_err(OutboxError::io("open", &name))?;
    let header = read_segment_header(storage, &file, number, bad).map_err(OutboxError::io("read", &name))?;
    let info = match header {
        HeaderStatus::Valid(header) => SegmentInfo {
            number: header.number,
            file: number,
            first: header.first,
            resumes_after: header.resumes_after,
            boot: Some(header.boot),
            bytes,
            end: None,
        },
        HeaderStatus::Newer(version) => return Err(OutboxError::Newer { name, version }),
        HeaderStatus::Damaged => {
            scanner.start(number, 0, bytes);
            let first =
                lowest_position(storage, &file, scanner, bad).map_err(OutboxError::io("read", &name))?;
            let Some(first) = first else { return Ok(None) };
            let resumes_after = first.previous();
            SegmentInfo { number, file: number, first, resumes_after, boot: None, bytes, end: None }
        }
    };
    Ok(Some(info))
}

/// The lowest position in a segment: its first record may have been written to the wrong place.
fn lowest_position<S: Storage>(
    storage: &S,
    file: &S::File,
    scanner: &mut SegmentScanner,
    bad: &mut dyn BadBlocks,
) -> io::Result<Option<Position>> {
    let mut lowest: Option<Position> = None;
    loop {
        match scanner.next(storage, file, bad)? {
            ScanItem::Record { header, .. } => {
                let position = header.meta.position;
                lowest = Some(lowest.map_or(position, |p| p.min(position)));
            }
            ScanItem::Marker { .. } => {}
            ScanItem::End { .. } => return Ok(lowest),
        }
    }
}

/// Cursors and dead letters of a later program.
fn refuse_newer<S: Storage>(
    storage: &S,
    report: &RecoveryReport,
    bad: &mut OpeningReads,
) -> Result<(), OutboxError> {
    for endpoint in &report.cursors {
        let name = cursor_file_name(endpoint);
        if let Some(CursorFile::Newer(version)) = read_cursor_file(storage, &name, bad)? {
            return Err(OutboxError::Newer { name, version });
        }
    }
    dead_letter_store::refuse_newer(storage, bad)
}

/// Sorts the segments by number. Of several files with the same number, the one that also has it in its name counts.
fn in_order(mut segments: Vec<SegmentInfo>, report: &mut RecoveryReport) -> VecDeque<SegmentInfo> {
    segments.sort_by_key(|s| (s.number, s.number != s.file));
    let mut previous = None;
    segments.retain(|s| {
        let duplicate = previous == Some(s.number);
        previous = Some(s.number);
        if duplicate {
            report.foreign.push(s.file_name());
        }
        !duplicate
    });
    segments.into()
}

/// Finds the end of the log, makes sure that it is durable, and frees what was preallocated after it.
fn recover_last<S: Storage>(
    storage: &mut S,
    last: &mut SegmentInfo,
    syncs: bool,
    scanner: &mut SegmentScanner,
    report: &mut RecoveryReport,
    bad: &mut OpeningReads,
) -> Result<(), OutboxError> {
    let name = last.file_name();
    let file = storage.open(&name, true).map_err(OutboxError::io("open", &name))?;
    scanner.start(last.number, SEGMENT_HEADER_BYTES as u64, last.bytes);
    (report.last, report.next) = (last.resumes_after, last.resumes_after.next());
    let damaged_before = bad.damaged();
    let mut complete = false;
    let mut valid_end = SEGMENT_HEADER_BYTES as u64;
    loop {
        match scanner.next(storage, &file, bad).map_err(OutboxError::io("read", &name))? {
            ScanItem::Record { header, .. } => {
                complete = false;
                report.last = report.last.max(header.meta.position);
            }
            ScanItem::Marker { next } => {
                complete = true;
                if next > last.first {
                    report.next = report.next.max(next);
                }
            }
            ScanItem::End { rest } => {
                report.torn_bytes = (!complete).then_some(rest.min(COMMIT_BYTES as u64));
                break;
            }
        }
        valid_end = scanner.offset();
    }
    report.next = report.next.max(report.last.next());
    report.written = report.next.previous().max(report.last);
    report.next = report.next.max(last.first);
    if report.torn_bytes.is_some() {
        // Records of the torn commit may become readable again: their positions stay unused.
        let unreadable = (bad.damaged() - damaged_before) * BLOCK_BYTES / RECORD_HEADER_BYTES as u64;
        report.next = Position(report.next.0 + unreadable.max(COMMIT_RECORDS as u64));
    }
    if syncs {
        // Contents and name may have been read from the page cache only: nothing counts as durable before this.
        storage.sync(&file).map_err(OutboxError::io("sync", &name))?;
        storage.sync_dir().map_err(OutboxError::io("sync the directory of", &name))?;
    }
    if complete && last.bytes > valid_end {
        storage.truncate(&file, valid_end).map_err(OutboxError::io("shorten", &name))?;
        (last.bytes, last.end) = (valid_end, Some(valid_end));
    }
    Ok(())
}
