//! The file that is being written: found again after a restart, appended to, and renamed when it is whole.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::settings::{FileEndpoint, LineFormat};
use super::template::NameFields;
use super::{FileProblem, retention};
use crate::clock::Mono;
use crate::delivery::source::{Record, SafeName};

/// Bytes at the end of a recovered part in which lines of the first batch are looked for; more than the longest line.
pub(super) const TAIL_BYTES: u64 = 256 << 10;
/// Lines are written in pieces of about this size.
pub(super) const CHUNK_BYTES: usize = 64 << 10;
/// Files of the same name, told apart by a number.
const MAX_SAME_NAME: u32 = 1_000;

pub(super) struct Part {
    path: PathBuf,
    target: PathBuf,
    device: SafeName,
    /// Bytes that were synced; whatever follows them is written again.
    synced: u64,
    opened: Mono,
    /// The first line, if the format has one.
    pub(super) header: Option<String>,
    /// Last lines of a part of an earlier process, until the first batch was compared with them.
    recovered: VecDeque<Vec<u8>>,
}

impl Part {
    /// Begins a file whose first event is `first`.
    pub(super) fn create(
        settings: &FileEndpoint,
        first: &Record,
        header: Option<String>,
        now: Mono,
    ) -> Result<Self, FileProblem> {
        let time = first.corrected.unwrap_or(first.meta.stamp.wall).to_string();
        let date = time.get(..10).unwrap_or(&time);
        let boot = first.meta.boot.to_string();
        let name = format!("{}{date}-{boot}-{}.part", prefix(settings, first), first.meta.seq);
        let directory = settings.path.directory();
        let path = directory.join(name);
        let target = settings.path.expand(NameFields {
            date,
            device: first.device.as_str(),
            endpoint: &settings.delivery.name,
            boot: &boot,
            seq: first.meta.seq,
        });
        let text = header.as_ref().map(|header| format!("{header}\n")).unwrap_or_default();
        let created = File::create(&path).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
        created.map_err(FileProblem::of("create", &path))?;
        sync_directory(directory)?;
        let recovered = VecDeque::new();
        Ok(Self {
            path,
            target,
            device: first.device.clone(),
            synced: text.len() as u64,
            opened: now,
            header,
            recovered,
        })
    }

    /// The part that an earlier process left, cut after its last whole line; `None` if there is none.
    pub(super) fn recover(
        settings: &FileEndpoint,
        first: &Record,
        now: Mono,
    ) -> Result<Option<Self>, FileProblem> {
        let directory = settings.path.directory();
        let prefix = prefix(settings, first);
        let entries = fs::read_dir(directory).map_err(FileProblem::of("list", directory))?;
        for entry in entries {
            let entry = entry.map_err(FileProblem::of("list", directory))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some((date, boot, seq)) = parse(&name, &prefix) else { continue };
            let path = entry.path();
            let target = settings.path.expand(NameFields {
                date,
                device: first.device.as_str(),
                endpoint: &settings.delivery.name,
                boot,
                seq,
            });
            let (synced, header, recovered) =
                whole_lines(&path, settings.format).map_err(FileProblem::of("recover", &path))?;
            return Ok(Some(Self {
                path,
                target,
                device: first.device.clone(),
                synced,
                opened: now,
                header,
                recovered,
            }));
        }
        Ok(None)
    }

    pub(super) fn due(&self, settings: &FileEndpoint) -> Mono {
        self.opened + settings.rotate
    }

    /// Whether it is large or old enough.
    pub(super) fn is_due(&self, settings: &FileEndpoint, now: Mono) -> bool {
        self.synced >= settings.rotate_bytes || now >= self.due(settings)
    }

    /// Appends lines and syncs them. False if the part is no longer there.
    pub(super) fn append(&mut self, records: &[Record], format: LineFormat) -> Result<bool, FileProblem> {
        let mut file = match OpenOptions::new().write(true).open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(FileProblem::of("open", &self.path)(error)),
        };
        let length = file.metadata().map_err(FileProblem::of("read", &self.path))?.len();
        if length < self.synced {
            return Ok(false);
        }
        let written = self.write(&mut file, records, format);
        self.synced = written.map_err(FileProblem::of("write", &self.path))?;
        Ok(true)
    }

    /// Returns the length after the sync.
    fn write(&mut self, file: &mut File, records: &[Record], format: LineFormat) -> io::Result<u64> {
        file.set_len(self.synced)?;
        let mut end = file.seek(SeekFrom::Start(self.synced))?;
        let mut text = String::new();
        let mut present = std::mem::take(&mut self.recovered);
        for record in records {
            let before = text.len();
            format.line(&mut text, record);
            if is_next(&mut present, &text.as_bytes()[before..]) {
                text.truncate(before);
            }
            if text.len() >= CHUNK_BYTES {
                file.write_all(text.as_bytes())?;
                end += text.len() as u64;
                text.clear();
            }
        }
        file.write_all(text.as_bytes())?;
        file.sync_data()?;
        Ok(end + text.len() as u64)
    }

    /// Gives the file its final name, which no other file has.
    pub(super) fn finish(self, settings: &FileEndpoint) -> Result<(), FileProblem> {
        let directory = settings.path.directory();
        if self.synced == 0 {
            return fs::remove_file(&self.path).map_err(FileProblem::of("remove", &self.path));
        }
        let parent = self.target.parent().unwrap_or(directory);
        fs::create_dir_all(parent).map_err(FileProblem::of("create", parent))?;
        let target = free_name(&self.target).map_err(FileProblem::of("name", &self.target))?;
        match fs::rename(&self.path, &target) {
            // Another disk was mounted.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            renamed => renamed.map_err(FileProblem::of("rename to", &target))?,
        }
        let mut at = parent;
        loop {
            sync_directory(at)?;
            match at.parent() {
                Some(above) if at != directory && at.starts_with(directory) => at = above,
                _ => break,
            }
        }
        if let Some(keep) = settings.keep_bytes {
            let parts = settings.path.parts(self.device.as_str(), &settings.delivery.name);
            retention::remove_oldest(&settings.path, &parts, keep)
                .map_err(FileProblem::of("clear", directory))?;
        }
        Ok(())
    }
}

/// How the names of the parts of this device and endpoint begin.
fn prefix(settings: &FileEndpoint, record: &Record) -> String {
    format!(".{}.{}-", record.device, settings.delivery.name)
}

/// Date, boot and sequence in the name of a part.
fn parse<'a>(name: &'a str, prefix: &str) -> Option<(&'a str, &'a str, u64)> {
    let rest = name.strip_prefix(prefix)?.strip_suffix(".part")?;
    let (date, rest) = rest.split_at_checked(10)?;
    let (boot, seq) = rest.strip_prefix('-')?.split_once('-')?;
    let good =
        date.bytes().all(|b| b.is_ascii_digit() || b == b'-') && boot.bytes().all(|b| b.is_ascii_hexdigit());
    good.then_some(())?;
    Some((date, boot, seq.parse().ok()?))
}

/// Cuts a torn line off; returns the length, the first line if the format has a header, and the last lines.
fn whole_lines(path: &Path, format: LineFormat) -> io::Result<(u64, Option<String>, VecDeque<Vec<u8>>)> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let length = file.metadata()?.len();
    let from = length.saturating_sub(TAIL_BYTES);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    (&file).take(TAIL_BYTES).read_to_end(&mut tail)?;
    let Some(last) = tail.iter().rposition(|&b| b == b'\n') else {
        if length <= TAIL_BYTES {
            file.set_len(0)?;
            file.sync_all()?;
            return Ok((0, None, VecDeque::new()));
        }
        return Err(io::Error::new(ErrorKind::InvalidData, "it has no lines"));
    };
    tail.truncate(last + 1);
    let whole = from + tail.len() as u64;
    file.set_len(whole)?;
    file.sync_all()?;
    let mut lines: VecDeque<Vec<u8>> = tail.split_inclusive(|&b| b == b'\n').map(<[u8]>::to_vec).collect();
    if from > 0 {
        lines.pop_front();
    }
    let header = if format == LineFormat::Csv { Some(first_line(&mut file)?) } else { None };
    Ok((whole, header, lines))
}

fn first_line(file: &mut File) -> io::Result<String> {
    file.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    let line = bytes.split(|&b| b == b'\n').next().unwrap_or_default();
    Ok(String::from_utf8_lossy(line).into_owned())
}

/// Whether a line is the next of those that were written before; the first one is looked for.
fn is_next(present: &mut VecDeque<Vec<u8>>, line: &[u8]) -> bool {
    let found = present.iter().position(|known| known == line);
    match found {
        Some(at) => drop(present.drain(..=at)),
        None => present.clear(),
    }
    found.is_some()
}

/// The path itself, or with a number before its extension.
fn free_name(path: &Path) -> io::Result<PathBuf> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let extension = path.extension().map(|e| format!(".{}", e.to_string_lossy())).unwrap_or_default();
    let numbered = (2..MAX_SAME_NAME).map(|n| path.with_file_name(format!("{stem}-{n}{extension}")));
    for name in std::iter::once(path.to_owned()).chain(numbered) {
        if !name.try_exists()? {
            return Ok(name);
        }
    }
    Err(io::Error::new(ErrorKind::AlreadyExists, "too many files have this name"))
}

fn sync_directory(path: &Path) -> Result<(), FileProblem> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(FileProblem::of("sync", path))
}
