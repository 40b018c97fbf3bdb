//! `outbox`: looking after the outbox of a daemon that is not running.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::command::{Outbox as Wish, OutboxAction};
use super::failure::{Code, Failure};
use super::verify;
use crate::clock::{BootId, Mono, Stamp, Wall};
use crate::config::{self, Config};
use crate::outbox::core::{Identity, Outbox};
use crate::outbox::disk::Disk;
use crate::outbox::endpoint::Name;
use crate::outbox::gap::Reason;
use crate::state_dir::StateDir;

/// State directory when nobody names one.
const DEFAULT_DIR: &str = "data";

/// `--data-dir`, else `$STATE_DIRECTORY`, else `./data`.
pub fn data_dir(named: Option<&Path>) -> PathBuf {
    let by_service = || std::env::var_os("STATE_DIRECTORY").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    named.map(Path::to_owned).or_else(by_service).unwrap_or_else(|| DEFAULT_DIR.into())
}

pub(super) fn outbox(wish: &Wish, out: &mut dyn Write) -> Result<(), Failure> {
    let dir = data_dir(wish.data_dir.as_deref());
    if !dir.join("outbox").is_dir() {
        let text =
            format_args!("cannot find {}/outbox: name the state directory with --data-dir", dir.display())
                .to_string();
        return Err(Failure::new(Code::Io, text));
    }
    let state = StateDir::open(&dir).map_err(|error| Failure::new(Code::Io, error))?;
    if wish.action == OutboxAction::Verify {
        return verify::verify(&Disk::new(state.outbox()), &state.outbox(), out);
    }
    let loaded = config::load(wish.config.as_deref(), config::environment(), Vec::new())
        .map_err(|problems| Failure::config(&problems))?;
    let mut outbox = open(&state, &loaded.config)?;
    let failed = |error: crate::outbox::error::Error| Failure::new(Code::Io, error);
    match wish.action {
        OutboxAction::List => list(&outbox, out)?,
        OutboxAction::Dead => dead(&mut outbox, out)?,
        OutboxAction::Replay => {
            let count = outbox.dead_replay(&wish.ids).map_err(failed)?;
            writeln!(out, "{count} dead records will be sent again")?;
        }
        OutboxAction::Drop => {
            let count = outbox.dead_drop(&wish.ids).map_err(failed)?;
            writeln!(out, "{count} dead records dropped")?;
        }
        OutboxAction::Verify => unreachable!("done above, without opening for writing"),
    }
    Ok(())
}

/// Opens for looking after: records made here would carry a boot of their own, but none are made.
fn open(state: &StateDir, config: &Config) -> Result<Outbox<Disk>, Failure> {
    let stamp = Stamp { mono: Mono::now(), wall: Wall::now(), synced: false };
    let device = config.device.as_deref().and_then(Name::new).or_else(|| Name::new("outbox-command"));
    let identity = Identity { device: device.unwrap_or_default(), boot: BootId(fastrand::u64(..)), stamp };
    let mut names: Vec<Name> = config.webhooks.iter().filter_map(|hook| Name::new(&hook.name)).collect();
    if names.is_empty() {
        // Without the configuration, whoever has a cursor is an endpoint: looking must not lose its place.
        names = cursors(&state.outbox());
    }
    Outbox::open(Disk::new(state.outbox()), config.outbox, &identity, &names, stamp.mono)
        .map_err(|error| Failure::new(Code::Io, error))
}

fn cursors(dir: &Path) -> Vec<Name> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let name = |entry: std::fs::DirEntry| Name::new(entry.file_name().to_str()?.strip_suffix(".cursor")?);
    let mut names: Vec<Name> = entries.flatten().filter_map(name).collect();
    names.sort_unstable();
    names.truncate(crate::outbox::core::ENDPOINTS);
    names
}

fn list(outbox: &Outbox<Disk>, out: &mut dyn Write) -> Result<(), Failure> {
    let status = outbox.status();
    writeln!(out, "segments  {} with {} bytes", status.segments, status.bytes)?;
    writeln!(out, "dead      {} with {} bytes", status.dead, status.dead_bytes)?;
    for (reason, count) in Reason::ALL.iter().zip(status.dropped).filter(|(_, count)| *count > 0) {
        writeln!(out, "lost      {count} ({reason:?})")?;
    }
    if status.endpoints.is_empty() {
        writeln!(out, "endpoints none")?;
    }
    for endpoint in &status.endpoints {
        let state = if endpoint.frozen { ", a batch may have been sent" } else { "" };
        writeln!(
            out,
            "endpoint  {}: {} records behind ({} bytes){state}",
            endpoint.name, endpoint.lag, endpoint.lag_bytes
        )?;
    }
    for remark in outbox.remarks() {
        writeln!(out, "remark    {remark}")?;
    }
    Ok(())
}

fn dead(outbox: &mut Outbox<Disk>, out: &mut dyn Write) -> Result<(), Failure> {
    let letters =
        outbox.dead_list(crate::outbox::dead::RECORDS).map_err(|error| Failure::new(Code::Io, error))?;
    for letter in letters {
        let mut line = String::new();
        {
            let mut object = crate::json::Object::new(&mut line);
            object.integer("id", letter.id).display("endpoint", &letter.endpoint);
            object.string("event_id", &letter.event_id).integer("status", letter.status);
            object.string("reason", &letter.reason).integer("payload_bytes", letter.payload_bytes);
            object.boolean("replay", letter.replay);
        }
        writeln!(out, "{line}")?;
    }
    Ok(())
}
