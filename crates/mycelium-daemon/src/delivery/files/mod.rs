//! The endpoint kind `files`: events as lines of files on a disk, a stick or a shared directory.
//!
//! Lines are appended to one part, a file with a leading dot in the fixed directory of the template, and are synced
//! before the batch counts as taken. When the part is large or old enough it is renamed to its final name, so a file that
//! can be seen is whole. Rotation happens between batches, when everything in the part has been acknowledged.
//!
//! - A batch that failed is written again from the last synced length on; after a restart a torn line is cut off, and
//!   lines of the first batch that are there already are not written twice. What is written twice in spite of this has
//!   the same ids.
//! - No file is open between batches, so that the disk can be unmounted at any time. A directory that is missing, or no
//!   longer on the mount that it was on, is an outage: nothing is written to the directory below a mount point, and the
//!   fixed directory is never created.

mod csv;
mod part;
mod retention;
mod settings;
mod template;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use settings::{FileEndpoint, LineFormat, RawFileEndpoint};
pub use template::PathTemplate;

use self::part::Part;
use super::kind::{EndpointKind, SendContext, SendReply};
use super::source::Record;
use crate::clock::Mono;
use crate::net::abort::AbortHandle;
use crate::net::outcome::RequestOutcome;

/// Longest time a write and its sync may take before the daemon counts as stalled: a dying stick retries
/// for long.
pub(super) const SYNC_TIMEOUT: Duration = Duration::from_mins(2);

/// Buffers of one endpoint: a piece of lines, and twice the end of a recovered part.
pub(super) const BUFFER_BYTES: usize = 576 << 10;

pub(super) struct FilesKind {
    settings: FileEndpoint,
    /// `None` until the first batch.
    part: Option<Part>,
    /// The mount that the directory was on.
    mount: Option<PathBuf>,
}

/// Why the files cannot be written: what was tried, and the cause.
struct FileProblem(String);

impl FileProblem {
    fn of<'a>(what: &'a str, path: &'a Path) -> impl Fn(io::Error) -> Self + 'a {
        move |error| {
            let remedy = match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    ": free space or lower `keep_bytes`"
                }
                io::ErrorKind::ReadOnlyFilesystem => ": mount it for writing",
                io::ErrorKind::PermissionDenied => ": let the daemon's user write there",
                io::ErrorKind::NotFound => ": mount the disk or create the directory",
                _ => ": check the disk",
            };
            Self(format!("cannot {what} {}: {error}{remedy}", path.display()))
        }
    }
}

impl FilesKind {
    pub(super) fn new(settings: &FileEndpoint) -> Self {
        Self { settings: settings.clone(), part: None, mount: None }
    }

    /// Checks that the directory is there, on the mount it was on before.
    fn check_mount(&mut self) -> Result<(), FileProblem> {
        let directory = self.settings.path.directory();
        let found = mount_of(directory).map_err(FileProblem::of("use", directory))?;
        if let Some(wanted) = &self.settings.mount_point
            && found != fs::canonicalize(wanted).map_err(FileProblem::of("use", wanted))?
        {
            let text =
                format!("cannot use {}: {} is not mounted: mount it", directory.display(), wanted.display());
            return Err(FileProblem(text));
        }
        match &self.mount {
            Some(before) if !found.starts_with(before) => Err(FileProblem(format!(
                "cannot use {}: {} is no longer mounted: mount it again, or send SIGHUP if that is meant",
                directory.display(),
                before.display()
            ))),
            _ => {
                self.mount = Some(found);
                Ok(())
            }
        }
    }

    /// Writes records from the front; `taken` counts those that are synced.
    fn write(&mut self, records: &[Record], taken: &mut usize, now: Mono) -> Result<(), FileProblem> {
        self.check_mount()?;
        let first = &records[0];
        if self.part.is_none() {
            self.part = Part::recover(&self.settings, first, now)?;
        }
        while *taken < records.len() {
            let rest = &records[*taken..];
            let header = self.settings.format.header(&rest[0]);
            if let Some(part) =
                self.part.take_if(|part| part.is_due(&self.settings, now) || part.header != header)
            {
                part.finish(&self.settings)?;
            }
            if self.part.is_none() {
                self.part = Some(Part::create(&self.settings, &rest[0], header.clone(), now)?);
            }
            let part = self.part.as_mut().expect("just created");
            let same = rest.iter().take_while(|record| self.settings.format.header(record) == header).count();
            if !part.append(&rest[..same], self.settings.format)? {
                // Another disk was mounted, or somebody removed the part: what it had is gone with it.
                self.part = None;
                continue;
            }
            *taken += same;
        }
        Ok(())
    }
}

impl EndpointKind for FilesKind {
    fn send(&mut self, records: &[Record], context: SendContext<'_>) -> SendReply {
        let mut taken = 0;
        let written = self.write(records, &mut taken, context.now.mono);
        let took = Mono::now().since(context.now.mono);
        match written {
            Ok(()) => SendReply::success(taken, took),
            Err(FileProblem(note)) => {
                let rest = RequestOutcome::Failed { retry_after: None };
                SendReply { taken, rest, status: None, note, took }
            }
        }
    }

    /// Finishes the part when its time is over.
    fn idle(&mut self, now: Mono) -> Result<Option<Mono>, String> {
        let Some(part) = &self.part else { return Ok(None) };
        if !part.is_due(&self.settings, now) {
            return Ok(Some(part.due(&self.settings)));
        }
        let finished = self.check_mount();
        let part = self.part.take().expect("seen above");
        finished.and_then(|()| part.finish(&self.settings)).map(|()| None).map_err(|FileProblem(text)| text)
    }

    fn probe(&mut self) -> Result<(), String> {
        self.check_mount().map_err(|FileProblem(text)| text)
    }

    /// A write to a disk cannot be aborted.
    fn abort_handle(&self) -> AbortHandle {
        AbortHandle::new(|| {})
    }
}

/// The mount point that a directory lies on.
fn mount_of(directory: &Path) -> io::Result<PathBuf> {
    let mut at = fs::canonicalize(directory)?;
    let device = fs::metadata(&at)?.dev();
    while let Some(parent) = at.parent() {
        if fs::metadata(parent)?.dev() != device {
            break;
        }
        at = parent.to_owned();
    }
    Ok(at)
}

#[cfg(test)]
mod tests;
