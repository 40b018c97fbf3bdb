//! `outbox verify`: every record of every segment is read and checked; nothing is written.

use std::io::{self, Write};
use std::path::Path;

use super::failure::{Code, Failure};
use crate::outbox::record::Position;
use crate::outbox::segment::{HEAD, Head, HeadFound, Named, Step, Walk};
use crate::outbox::storage::Storage;

/// What the segments hold, and what is wrong with them.
#[derive(Debug, Default)]
struct Findings {
    segments: u64,
    records: u64,
    bytes: u64,
    damage: Vec<String>,
}

pub(super) fn verify<S: Storage>(storage: &S, dir: &Path, out: &mut dyn Write) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::io("read", dir, &error);
    let mut files = Vec::new();
    storage
        .list(&mut |name, len| {
            if matches!(Named::of(name), Named::Segment(_)) {
                files.push((name.to_owned(), len));
            }
        })
        .map_err(failed)?;
    files.sort_unstable();
    let mut findings = Findings::default();
    let mut expected = None;
    for (name, len) in &files {
        expected = segment(storage, name, *len, expected, &mut findings).map_err(failed)?;
    }
    let Findings { segments, records, bytes, damage } = findings;
    writeln!(out, "{segments} segments, {records} records, {bytes} bytes")?;
    if damage.is_empty() {
        return Ok(writeln!(out, "sound")?);
    }
    for line in &damage {
        writeln!(out, "damaged: {line}")?;
    }
    Err(Failure::new(
        Code::Data,
        format_args!(
            "{} findings in {}: start the daemon, it goes on behind them and reports a gap",
            damage.len(),
            dir.display()
        ),
    ))
}

/// Checks one segment; gives the position that must come next.
fn segment<S: Storage>(
    storage: &S,
    name: &str,
    len: u64,
    expected: Option<Position>,
    findings: &mut Findings,
) -> io::Result<Option<Position>> {
    findings.segments += 1;
    findings.bytes += len;
    let file = storage.open(name, false)?;
    let mut head = [0; HEAD];
    let read = storage.read_at(&file, 0, &mut head)?;
    let head = match Head::decode(&head[..read]) {
        HeadFound::Good(head) => head,
        HeadFound::Newer(version) => {
            findings.damage.push(format!("{name}: format version {version}: use the newer program"));
            return Ok(None);
        }
        HeadFound::Bad => {
            findings.damage.push(format!("{name}: its header, bytes 0..{HEAD}"));
            return Ok(None);
        }
    };
    let mut next = head.first;
    if expected.is_some_and(|expected| expected <= head.resumes_after) {
        findings.damage.push(format!("{name}: the segment before it ends early or is missing"));
    }
    let mut walk = Walk::default();
    walk.start(head.number, HEAD as u64, len);
    let (mut records, mut closed) = (0, false);
    loop {
        let from = walk.offset();
        match walk.next(storage, &file)? {
            Step::Record { header, skipped, .. } => {
                (records, closed) = (records + 1, false);
                next = header.position.next();
                findings.note(name, from, skipped);
            }
            Step::Mark { skipped, .. } => {
                closed = true;
                findings.note(name, from, skipped);
            }
            Step::End { rest } => {
                if !closed && records > 0 {
                    findings.damage.push(format!("{name}: cut short at byte {from}, {rest} bytes follow"));
                }
                break;
            }
        }
    }
    findings.records += records;
    Ok(Some(next))
}

impl Findings {
    fn note(&mut self, name: &str, from: u64, skipped: u64) {
        if skipped > 0 {
            self.damage.push(format!("{name}: bytes {from}..{} hold no record", from + skipped));
        }
    }
}
