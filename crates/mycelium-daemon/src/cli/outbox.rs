//! `outbox`: inspects the outbox, also of a running daemon, and changes the dead letters of a stopped one.

use std::io::Write;
use std::path::Path;

use super::command::{OutboxAction, OutboxArgs};
use super::failure::{ExitStatus, Failure};
use crate::clock::{Mono, Stamp, Wall};
use crate::config;
use mycelium_outbox::check::{self, CheckReport, Finding};
use mycelium_outbox::state_dir::{StateDir, StateDirError};
use mycelium_outbox::{Cursor, MAX_DEAD_LETTERS, OutboxError};

pub(super) fn outbox(args: &OutboxArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let dir = config::state_dir(args.data_dir.as_deref());
    if !dir.join("outbox").is_dir() {
        let dir = dir.display();
        let text = format!("cannot find {dir}/outbox: name the state directory with --data-dir");
        return Err(Failure::new(ExitStatus::Io, text));
    }
    match args.action {
        OutboxAction::List => list(&dir, args.config.as_deref(), out),
        OutboxAction::Verify => verify(&dir, out),
        OutboxAction::Dead => dead(&dir, out),
        OutboxAction::Replay | OutboxAction::Drop => change(&dir, args, out),
    }
}

/// Files of a newer version are an error of the data, everything else one of input or output.
fn failed(error: OutboxError) -> Failure {
    let code = if matches!(error, OutboxError::Newer { .. }) { ExitStatus::Data } else { ExitStatus::Io };
    Failure::new(code, error)
}

fn inspect(dir: &Path) -> Result<CheckReport, Failure> {
    check::inspect(dir, &mut |_, _| {}).map_err(failed)
}

fn list(dir: &Path, config: Option<&Path>, out: &mut dyn Write) -> Result<(), Failure> {
    let configured = configured(config)?;
    let report = inspect(dir)?;
    let bytes: u64 = report.segments.iter().map(|s| s.bytes).sum();
    let (segments, records) = (report.segments.len(), report.records);
    writeln!(out, "segments  {segments} with {bytes} bytes, and {} spare", report.spares)?;
    writeln!(out, "records   {records}")?;
    writeln!(out, "dead      {}", report.dead_letters)?;
    if report.cursors.is_empty() {
        writeln!(out, "endpoint  none has a cursor")?;
    }
    for (name, cursor) in &report.cursors {
        let unknown = configured.as_ref().is_some_and(|names| !names.iter().any(|n| n == name.as_str()));
        let unknown = if unknown { ", not in the configuration: keeps no records" } else { "" };
        let frozen = if cursor.is_frozen() { ", a batch may have been sent" } else { "" };
        writeln!(out, "endpoint  {name}: {} records behind{frozen}{unknown}", behind(&report, cursor))?;
    }
    for segment in &report.segments {
        let (file, records) = (&segment.file, segment.records);
        match records {
            0 => writeln!(out, "segment   {file}: no records")?,
            _ => writeln!(
                out,
                "segment   {file}: {records} records, {} to {}",
                segment.first.0, segment.last.0
            )?,
        }
    }
    for finding in &report.findings {
        writeln!(out, "{}", line(finding))?;
    }
    Ok(())
}

fn configured(config: Option<&Path>) -> Result<Option<Vec<String>>, Failure> {
    let Some(file) = config else { return Ok(None) };
    let loaded = config::load(Some(file), Vec::new()).map_err(|problems| Failure::config(&problems))?;
    Ok(Some(loaded.config.endpoints.iter().map(|endpoint| endpoint.name().to_owned()).collect()))
}

/// Records after the cursor. Positions between segments are unused and do not count.
fn behind(report: &CheckReport, cursor: &Cursor) -> u64 {
    let left = |s: &check::SegmentSummary| s.last.0.saturating_sub(s.first.previous().0.max(cursor.acked.0));
    report.segments.iter().map(left).sum()
}

fn line(finding: &Finding) -> String {
    let word = if finding.damage { "damaged: " } else { "remark:  " };
    let at = finding.offset.map_or_else(String::new, |offset| format!(" at byte {offset}"));
    format!("{word} {}{at}: {}", finding.file, finding.what)
}

fn verify(dir: &Path, out: &mut dyn Write) -> Result<(), Failure> {
    let report = inspect(dir)?;
    let bytes: u64 = report.segments.iter().map(|s| s.bytes).sum();
    let segments = plural(report.segments.len() as u64, "segment");
    let (records, dead_letters) =
        (plural(report.records, "record"), plural(report.dead_letters, "dead letter"));
    writeln!(out, "{segments}, {records}, {bytes} bytes, {dead_letters}")?;
    for finding in &report.findings {
        writeln!(out, "{}", line(finding))?;
    }
    if report.is_sound() {
        return Ok(writeln!(out, "sound")?);
    }
    let damaged = report.findings.iter().filter(|finding| finding.damage).count() as u64;
    let dir = dir.join("outbox");
    let text = format_args!(
        "{} in {}: the daemon continues after them and reports a gap",
        plural(damaged, "damaged place"),
        dir.display()
    )
    .to_string();
    Err(Failure::new(ExitStatus::Data, text))
}

fn dead(dir: &Path, out: &mut dyn Write) -> Result<(), Failure> {
    for dead_letter in check::list_dead_letters(dir, MAX_DEAD_LETTERS).map_err(failed)? {
        let mut line = String::new();
        {
            let mut object = crate::formats::json::JsonObject::new(&mut line);
            object.integer("id", dead_letter.id).display("endpoint", &dead_letter.endpoint);
            object.string("event_id", &dead_letter.event_id).integer("status", dead_letter.status);
            object.string("reason", &dead_letter.reason).integer("payload_bytes", dead_letter.payload_bytes);
            object.boolean("replay", dead_letter.replay);
        }
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// Changes nothing unless all of the ids exist.
fn change(dir: &Path, args: &OutboxArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let state = StateDir::open_for_operator(dir).map_err(|error| refused(&error, args.action))?;
    let known = check::list_dead_letters(dir, MAX_DEAD_LETTERS).map_err(failed)?;
    if let Some(id) = args.ids.iter().find(|&&id| !known.iter().any(|dead_letter| dead_letter.id == id)) {
        let text = format_args!("there is no dead letter {id}: `outbox dead` lists them").to_string();
        return Err(Failure::new(ExitStatus::Data, text));
    }
    let stamp = Stamp { mono: Mono::now(), wall: Wall::now(), synced: false };
    if args.action == OutboxAction::Replay {
        let count = check::replay_dead_letters(&state, &args.ids, stamp).map_err(failed)?;
        writeln!(out, "{} will be sent again once the daemon runs", plural(count as u64, "dead letter"))?;
    } else {
        let count = check::discard_dead_letters(&state, &args.ids, stamp).map_err(failed)?;
        writeln!(out, "{} discarded", plural(count as u64, "dead letter"))?;
    }
    Ok(())
}

fn refused(error: &StateDirError, action: OutboxAction) -> Failure {
    let StateDirError::Locked { lock, .. } = error else { return Failure::new(ExitStatus::Io, error) };
    let (verb, instead) = match action {
        OutboxAction::Replay => ("replay", ", or ask it by POST /v1/outbox/dead/replay"),
        _ => ("drop", ""),
    };
    let lock = lock.display();
    let text = format!("cannot {verb} dead letters: a daemon holds the lock {lock}: stop it first{instead}");
    Failure::new(ExitStatus::Io, text)
}

/// The number with its noun.
fn plural(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
