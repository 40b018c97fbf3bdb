//! The directory without its owner: what is in it, whether it is sound, and what to do with dead letters.
//!
//! [`inspect`] and [`dead_list`] only read and may run beside the daemon; [`dead_replay`] and [`dead_drop`]
//! need the lock of the state directory.

use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::cursors;
use super::dead::Dead;
use super::disk::Disk;
use super::endpoint::{Cursor, CursorFound, Name};
use super::error::Error;
use super::letter::DeadLetter;
use super::log::Owner;
use super::record::{Header, Position};
use super::segment::{self, HEAD, Head, HeadFound, Named, Step, Walk};
use super::storage::Storage;
use crate::state_dir::{self, StateDir};
use crate::time::{BootId, Stamp};

const TORN: &str = "the last write is torn or damaged: nothing readable behind it";
const START: &str = "the oldest records are missing";
const FOREIGN: &str = "not a file of this outbox; left alone";
const NO_SEGMENT: &str = "named like a segment, but holds no record; left alone";

/// Findings kept; a directory with more is damaged enough.
const FINDINGS: usize = 100;

/// Looks at a directory that is being written, and the time between them.
const LOOKS: u32 = 4;
const BETWEEN: Duration = Duration::from_millis(50);

/// Something worth telling about a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// File below `outbox/`.
    pub file: String,
    /// Where in the file, if it is one place.
    pub offset: Option<u64>,
    pub what: String,
    /// It costs or cost something; else it is only worth knowing.
    pub damage: bool,
}

/// One segment as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentSummary {
    pub file: String,
    /// `None` where the header is damaged.
    pub head: Option<Head>,
    pub records: u64,
    pub first: Position,
    pub last: Position,
    pub bytes: u64,
}

/// All of a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub segments: Vec<SegmentSummary>,
    pub cursors: Vec<(Name, Cursor)>,
    pub dead: u64,
    pub spares: u64,
    pub records: u64,
    pub findings: Vec<Finding>,
}

impl Report {
    /// Nothing was lost and nothing is broken.
    pub fn is_sound(&self) -> bool {
        !self.findings.iter().any(|f| f.damage)
    }

    /// What a look beside a writer is worth: damage stays where it is, while what was caught half written does
    /// not, and the end of the last segment is always about to be written.
    fn beside_a_writer(mut self, before: &Self) -> Self {
        let active = self.segments.last().map(|s| s.file.clone());
        for finding in self.findings.iter_mut().filter(|f| f.damage) {
            let same = |f: &&Finding| f.damage && (&f.file, f.offset) == (&finding.file, finding.offset);
            let stays = before.findings.iter().any(|f| same(&f));
            let being_written = finding.what == TORN && Some(&finding.file) == active.as_ref();
            // Given up a moment ago: the cursors follow once the gap record is on the disk.
            let given_up = finding.what.starts_with(START);
            finding.damage = stays && !being_written && !given_up;
        }
        self.findings.retain(|f| f.damage || f.what == FOREIGN || f.what == NO_SEGMENT);
        self
    }

    fn find(&mut self, file: &str, offset: Option<u64>, damage: bool, what: String) {
        if self.findings.len() < FINDINGS {
            self.findings.push(Finding { file: file.to_owned(), offset, what, damage });
        }
    }
}

/// Reads everything below `data`/outbox and changes nothing. `each` sees every record in the order of the
/// files. While another process holds the lock, what looks damaged is looked at again, as it may only be half
/// written.
pub fn inspect(data: &Path, each: &mut dyn FnMut(&Header, &[u8])) -> Result<Report, Error> {
    let mut disk = Disk::new(data.join("outbox"));
    let mut report = inspect_in(&mut disk, each)?;
    for _ in 1..LOOKS {
        if report.is_sound() || !state_dir::is_held(data) {
            break;
        }
        thread::sleep(BETWEEN);
        let again = inspect_in(&mut disk, &mut |_, _| {})?;
        report = again.beside_a_writer(&report);
    }
    Ok(report)
}

/// [`inspect`] on any storage, once.
pub fn inspect_in<S: Storage>(
    storage: &mut S,
    each: &mut dyn FnMut(&Header, &[u8]),
) -> Result<Report, Error> {
    let mut report = Report::default();
    let mut files: Vec<(u64, u64)> = Vec::new();
    let mut cursors = Vec::new();
    let listing = &mut |name: &str, bytes: u64| match Named::of(name) {
        Named::Segment(number) => files.push((number, bytes)),
        Named::Spare(_) => report.spares += 1,
        Named::Cursor(endpoint) => cursors.push(endpoint.to_owned()),
        Named::Dead | Named::Temporary => {}
        Named::Foreign => {
            report.find(name, None, false, FOREIGN.to_owned());
        }
    };
    storage.list(listing).map_err(Error::io("list", ""))?;
    files.sort_unstable();
    let mut walk = Walk::default();
    for (number, bytes) in files {
        summarize(storage, number, bytes, &mut walk, &mut report, each)?;
    }
    report.records = report.segments.iter().map(|s| s.records).sum();
    report.segments.sort_by_key(|s| s.head.as_ref().map_or(number_of(&s.file), |h| h.number));
    continuity(&mut report);
    for name in cursors {
        read_cursor(storage, &name, &mut report)?;
    }
    start(&mut report);
    let mut remarks = Vec::new();
    report.dead = Dead::open(storage, &mut walk, &mut remarks, false)?.len() as u64;
    for remark in remarks {
        report.find("dead.log", None, true, remark);
    }
    Ok(report)
}

fn number_of(file: &str) -> u64 {
    match Named::of(file) {
        Named::Segment(number) => number,
        _ => 0,
    }
}

fn summarize<S: Storage>(
    storage: &S,
    number: u64,
    bytes: u64,
    walk: &mut Walk,
    report: &mut Report,
    each: &mut dyn FnMut(&Header, &[u8]),
) -> Result<(), Error> {
    let name = segment::file_name(number);
    let file = match storage.open(&name, false) {
        Ok(file) => file,
        // Taken and given back by the daemon since the directory was read.
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            given_back(report);
            return Ok(());
        }
        Err(e) => return Err(Error::io("open", &name)(e)),
    };
    let findings = report.findings.len();
    let head = match segment::read_head(storage, &file).map_err(Error::io("read", &name))? {
        HeadFound::Good(head) => Some(head),
        HeadFound::Newer(version) => return Err(Error::Newer { name, version }),
        HeadFound::Bad => None,
    };
    let bound = head.as_ref().map_or(number, |h| h.number);
    if bound != number {
        report.find(&name, Some(0), true, format!("is segment {bound:016x} under another name"));
    }
    walk.start(bound, if head.is_some() { HEAD as u64 } else { 0 }, bytes);
    let (first, before) = head.as_ref().map_or((None, Position(0)), |h| (Some(h.first), h.first.previous()));
    let mut summary = SegmentSummary {
        file: name.clone(),
        first: first.unwrap_or_default(),
        last: before,
        head,
        records: 0,
        bytes,
    };
    walk_records(storage, &file, walk, &mut summary, report, each).map_err(Error::io("read", &name))?;
    // Given back while it was read: what stands there now is of its next life.
    if report.findings.len() > findings && storage.open(&name, false).is_err() {
        report.findings.truncate(findings);
        given_back(report);
        return Ok(());
    }
    if summary.head.is_none() && summary.records == 0 {
        report.find(&name, None, false, NO_SEGMENT.to_owned());
        return Ok(());
    }
    if summary.head.is_none() {
        report.find(
            &name,
            Some(0),
            true,
            "its header is damaged; its records are read all the same".to_owned(),
        );
    }
    report.segments.push(summary);
    Ok(())
}

/// The daemon gives segments back oldest first: those before one that is gone are gone as well.
fn given_back(report: &mut Report) {
    report.segments.clear();
}

fn walk_records<S: Storage>(
    storage: &S,
    file: &S::File,
    walk: &mut Walk,
    summary: &mut SegmentSummary,
    report: &mut Report,
    each: &mut dyn FnMut(&Header, &[u8]),
) -> io::Result<()> {
    let mut ended = false;
    loop {
        let good = walk.offset();
        match walk.next(storage, file)? {
            Step::Record { header, payload, skipped } => {
                ended = false;
                let expected = summary.last.next();
                if summary.records == 0 && summary.head.is_none() {
                    summary.first = header.position;
                } else if header.position > expected {
                    let lost = header.position.0 - expected.0;
                    let what =
                        format!("{lost} records are lost from position {}: {skipped} bytes", expected.0);
                    report.find(&summary.file, Some(good), true, what);
                } else if skipped > 0 {
                    report.find(&summary.file, Some(good), true, format!("{skipped} bytes are not a record"));
                }
                summary.last = summary.last.max(header.position);
                summary.records += 1;
                each(&header, payload);
            }
            Step::Mark { next, .. } => {
                ended = true;
                if next > summary.last.next() {
                    let (from, lost) = (summary.last.next().0, next.0 - summary.last.next().0);
                    let what = format!("{lost} records are lost from position {from}");
                    report.find(&summary.file, Some(good), true, what);
                    summary.last = next.previous();
                }
            }
            Step::End { .. } if ended || summary.records == 0 && summary.head.is_none() => return Ok(()),
            Step::End { .. } => {
                report.find(&summary.file, Some(good), true, TORN.to_owned());
                return Ok(());
            }
        }
    }
}

/// Whether each segment goes on where the one before ended.
fn continuity(report: &mut Report) {
    let mut holes = Vec::new();
    for pair in report.segments.windows(2) {
        let after = pair[1].head.as_ref().map_or(pair[1].first.previous(), |h| h.resumes_after);
        if after > pair[0].last {
            let (from, lost) = (pair[0].last.next().0, after.0 - pair[0].last.0);
            holes.push((
                pair[1].file.clone(),
                format!("{lost} records before it are missing, from position {from}"),
            ));
        }
    }
    for (file, what) in holes {
        report.find(&file, None, true, what);
    }
}

/// Whether the oldest segment begins where it should: what is given back lies behind every cursor, and behind none
/// lies what nobody has taken. Without a cursor nothing can be said.
fn start(report: &mut Report) {
    let Some(first) = report.segments.first() else { return };
    // One that fell back to its older slot knows less than was taken.
    if report.findings.iter().any(|f| f.damage && f.file.ends_with(".cursor")) {
        return;
    }
    let before = first.head.as_ref().map_or(first.first.previous(), |h| h.resumes_after);
    let Some(most) = report.cursors.iter().map(|(_, cursor)| cursor.acked).max().filter(|&p| p < before)
    else {
        return;
    };
    let (file, from, lost) = (first.file.clone(), most.next().0, before.0 - most.0);
    let what = format!(
        "{START}: {lost} from position {from} are gone and no cursor has passed them; not a loss if they gave way \
         while no endpoint was configured"
    );
    report.find(&file, None, true, what);
}

fn read_cursor<S: Storage>(storage: &S, name: &str, report: &mut Report) -> Result<(), Error> {
    let file_name = cursors::cursor_name(name);
    let found = match cursors::read_cursor(storage, &file_name) {
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    match found {
        CursorFound::Good { cursor, other_bad, .. } => {
            if other_bad {
                let what = "one of its two slots is damaged; the other one counts".to_owned();
                report.find(&file_name, None, true, what);
            }
            if let Some(name) = Name::new(name) {
                report.cursors.push((name, cursor));
            }
        }
        CursorFound::Newer(version) => return Err(Error::Newer { name: file_name, version }),
        CursorFound::Bad => {
            let what = "both slots are damaged: everything still here will be sent again".to_owned();
            report.find(&file_name, None, true, what);
        }
    }
    Ok(())
}

/// Up to `limit` dead letters, oldest first; only reads.
pub fn dead_list(data: &Path, limit: usize) -> Result<Vec<DeadLetter>, Error> {
    let mut disk = Disk::new(data.join("outbox"));
    Dead::open(&mut disk, &mut Walk::default(), &mut Vec::new(), false)?.list(&disk, limit)
}

/// Marks dead letters to be sent again once the daemon runs; no ids means all. Returns how many there were.
pub fn dead_replay(state: &StateDir, ids: &[u64], stamp: Stamp) -> Result<usize, Error> {
    let (mut disk, mut dead, owner) = open_dead(state, stamp)?;
    dead.replay(&mut disk, &owner, ids)
}

/// Gives dead letters up; no ids means all. Returns how many there were.
pub fn dead_drop(state: &StateDir, ids: &[u64], stamp: Stamp) -> Result<usize, Error> {
    let (mut disk, mut dead, owner) = open_dead(state, stamp)?;
    dead.discard(&mut disk, &owner, ids)
}

fn open_dead(state: &StateDir, stamp: Stamp) -> Result<(Disk, Dead<std::fs::File>, Owner), Error> {
    let mut disk = Disk::new(state.outbox());
    let dead = Dead::open(&mut disk, &mut Walk::default(), &mut Vec::new(), true)?;
    let device = Name::new("offline").expect("a plain name");
    Ok((disk, dead, Owner { boot: BootId(0), device, stamp }))
}
