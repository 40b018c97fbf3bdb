//! Follows one growing file through rotation and truncation, line by line.
//!
//! A file is identified by device, inode and the bytes before the current offset: one that was truncated, rewritten in
//! place or replaced is read from its beginning. After a rename the old file is read to its end before the new one.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::checkpoint::FileOffset;
use super::limits::MAX_LINE_BYTES;
use super::line_splitter::{FileLine, LineSplitter};
use super::settings::StartPosition;

/// Bytes before the offset that must not have changed.
pub const TAIL_BYTES: u64 = 64;
/// Bytes of one read.
const CHUNK_BYTES: usize = 64 << 10;
/// Reads of one poll, so that the thread applies commands during a long backlog.
const CHUNKS_PER_POLL: usize = 4;

/// Whether a piece was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    Taken,
    /// It is invalid and is not read again.
    Rejected,
    /// It is not taken now and is read again by the next poll.
    Backpressure,
}

/// A part of a followed file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilePiece<'a> {
    /// First line of a file that is read from a later offset; it may name columns.
    Head(&'a [u8]),
    /// A line, its offset, and whether it is the first of its file.
    Line { line: FileLine<'a>, offset: u64, first: bool },
}

/// The result of a poll.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PollProgress {
    /// Bytes or files that were not read yet.
    pub lag: u64,
    /// The next poll is worth doing at once.
    pub more: bool,
}

/// Takes a piece.
pub type OnPiece<'a> = &'a mut dyn FnMut(FilePiece<'_>) -> Flow;

#[derive(Debug)]
struct OpenFile {
    file: File,
    position: FileOffset,
    lines: LineSplitter,
}

#[derive(Debug)]
pub struct FileFollower {
    path: PathBuf,
    /// Where to start in the first file without a checkpoint.
    start: StartPosition,
    checkpoint: Option<FileOffset>,
    opened: Option<OpenFile>,
    /// The last poll found no file of that name.
    missing: bool,
    buffer: Vec<u8>,
}

impl FileFollower {
    pub fn new(path: PathBuf, start: StartPosition, checkpoint: Option<FileOffset>) -> Self {
        Self { path, start, checkpoint, opened: None, missing: false, buffer: Vec::new() }
    }

    /// How far the file has been read.
    pub fn offset(&self) -> Option<FileOffset> {
        self.opened.as_ref().map(|opened| opened.position).or(self.checkpoint)
    }

    /// Reads what was added since the last poll.
    pub fn poll(&mut self, on_piece: OnPiece<'_>) -> io::Result<PollProgress> {
        self.buffer.resize(CHUNK_BYTES, 0);
        let mut progress = PollProgress::default();
        // After a rotation: the old file, then the new one.
        for _ in 0..2 {
            if self.opened.is_none() {
                self.open(on_piece)?;
            }
            let Some(opened) = &mut self.opened else { break };
            progress = opened.read(&mut self.buffer, false, on_piece)?;
            if progress.more || progress.lag > MAX_LINE_BYTES as u64 {
                return Ok(progress);
            }
            match std::fs::metadata(&self.path) {
                Ok(found) if same(&found, &opened.position) => {
                    self.missing = false;
                    return Ok(progress);
                }
                Ok(_) => {
                    // Nothing will be added to the old file, so an unfinished line is a line.
                    progress = opened.read(&mut self.buffer, true, on_piece)?;
                    if progress.lag > 0 {
                        return Ok(progress);
                    }
                    self.opened = None;
                }
                // In the middle of a rotation there is no file for a moment.
                Err(e) if e.kind() == io::ErrorKind::NotFound && !self.missing => {
                    self.missing = true;
                    return Ok(progress);
                }
                Err(e) => return Err(e),
            }
        }
        Ok(progress)
    }

    fn open(&mut self, on_piece: OnPiece<'_>) -> io::Result<()> {
        let opened = open_regular(&self.path);
        if opened.is_err() {
            // A file that appears later is new as a whole.
            self.start = StartPosition::Begin;
        }
        let (file, found) = opened?;
        let mut position = FileOffset { device: found.dev(), inode: found.ino(), ..FileOffset::default() };
        let mut lines = LineSplitter::default();
        let checkpoint = self.checkpoint.take();
        if let Some(checkpoint) = checkpoint {
            if same(&found, &checkpoint)
                && found.len() >= checkpoint.offset
                && tail(&file, checkpoint.offset)? == checkpoint.tail
            {
                position = checkpoint;
            }
        } else if self.start == StartPosition::End && found.len() > 0 {
            position.offset = found.len();
            let mut byte = [0; 1];
            file.read_exact_at(&mut byte, position.offset - 1)?;
            if byte != *b"\n" {
                lines = LineSplitter::within_a_line();
            }
        }
        self.start = StartPosition::Begin;
        position.tail = tail(&file, position.offset)?;
        if position.offset > 0 {
            let mut head = [0; MAX_LINE_BYTES];
            let n = file.read_at(&mut head, 0)?;
            let end = head[..n].iter().position(|&b| b == b'\n').unwrap_or(n);
            on_piece(FilePiece::Head(&head[..end]));
        }
        self.opened = Some(OpenFile { file, position, lines });
        Ok(())
    }
}

impl OpenFile {
    fn read(&mut self, buffer: &mut [u8], last: bool, on_piece: OnPiece<'_>) -> io::Result<PollProgress> {
        let len = self.file.metadata()?.len();
        if len < self.position.offset || tail(&self.file, self.position.offset)? != self.position.tail {
            self.position.offset = 0;
            self.lines = LineSplitter::default();
        }
        let mut stopped = false;
        let mut chunks = 0;
        while chunks < CHUNKS_PER_POLL && !stopped {
            chunks += 1;
            let n = self.file.read_at(buffer, self.position.offset)?;
            let ends = last && n < buffer.len();
            let taken = self.emit(&buffer[..n], ends, &mut stopped, on_piece);
            self.position.offset += taken as u64;
            if taken == 0 || n < buffer.len() {
                break;
            }
        }
        self.position.tail = tail(&self.file, self.position.offset)?;
        let lag = len.saturating_sub(self.position.offset);
        Ok(PollProgress { lag, more: chunks == CHUNKS_PER_POLL && !stopped && lag > 0 })
    }

    /// Passes on the lines in `bytes`; returns how many bytes were taken.
    fn emit(&mut self, bytes: &[u8], last: bool, stopped: &mut bool, on_piece: OnPiece<'_>) -> usize {
        let mut used = 0;
        while let Some((line, taken)) = self.lines.next(&bytes[used..], last) {
            let offset = self.position.offset + used as u64;
            if on_piece(FilePiece::Line { line, offset, first: offset == 0 }) == Flow::Backpressure {
                *stopped = true;
                break;
            }
            used += taken;
        }
        used
    }
}

fn same(found: &Metadata, offset: &FileOffset) -> bool {
    (found.dev(), found.ino()) == (offset.device, offset.inode)
}

/// Opening a pipe would block until it has a writer, so the file is opened without blocking and must be regular.
pub(super) fn open_regular(path: &Path) -> io::Result<(File, Metadata)> {
    let nonblock = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(nonblock).open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    Ok((file, found))
}

/// CRC of the bytes before `offset`.
fn tail(file: &File, offset: u64) -> io::Result<u32> {
    let mut bytes = [0; TAIL_BYTES as usize];
    let len = offset.min(TAIL_BYTES);
    let bytes = &mut bytes[..len as usize];
    match file.read_exact_at(bytes, offset - len) {
        Ok(()) => Ok(crc32fast::hash(bytes)),
        // The file became shorter in the meantime, so it has changed: return a CRC that differs.
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(!crc32fast::hash(bytes)),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Self {
            let path = std::env::temp_dir().join(format!("mycelium-follower-{:016x}", fastrand::u64(..)));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn file(&self) -> PathBuf {
            self.0.join("log")
        }

        fn append(&self, text: &str) {
            let mut file = OpenOptions::new().create(true).append(true).open(self.file()).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// Lines of one poll; a first line is marked with `^`, a head with `#`.
    fn poll(follower: &mut FileFollower) -> Vec<String> {
        let mut found = Vec::new();
        follower
            .poll(&mut |piece| {
                found.push(match piece {
                    FilePiece::Head(line) => format!("#{}", String::from_utf8_lossy(line)),
                    FilePiece::Line { line: FileLine::Whole(line), first, .. } => {
                        format!("{}{}", if first { "^" } else { "" }, String::from_utf8_lossy(line))
                    }
                    FilePiece::Line { line, .. } => format!("{line:?}"),
                });
                Flow::Taken
            })
            .unwrap();
        found
    }

    #[test]
    fn reading_starts_at_the_end_or_at_the_beginning() {
        let scratch = Scratch::new();
        scratch.append("head\nold\nha");
        let mut end = FileFollower::new(scratch.file(), StartPosition::End, None);
        assert_eq!(poll(&mut end), ["#head"]);
        let mut begin = FileFollower::new(scratch.file(), StartPosition::Begin, None);
        assert_eq!(poll(&mut begin), ["^head", "old"]);
        scratch.append("lf\nnew\n");
        assert_eq!(poll(&mut end), ["Skipped", "new"], "half a line is skipped");
        assert_eq!(poll(&mut begin), ["half", "new"], "the half is waited for");
        assert_eq!(poll(&mut begin), [""; 0]);
    }

    #[test]
    fn a_file_that_appears_later_is_read_from_its_beginning() {
        let scratch = Scratch::new();
        let mut follower = FileFollower::new(scratch.file(), StartPosition::End, None);
        assert_eq!(follower.poll(&mut |_| Flow::Taken).unwrap_err().kind(), io::ErrorKind::NotFound);
        scratch.append("one\n");
        assert_eq!(poll(&mut follower), ["^one"]);
    }

    #[test]
    fn rotation_loses_no_line_and_truncation_starts_over() {
        let scratch = Scratch::new();
        scratch.append("1\n");
        let mut follower = FileFollower::new(scratch.file(), StartPosition::Begin, None);
        assert_eq!(poll(&mut follower), ["^1"]);
        scratch.append("2\nlast");
        fs::rename(scratch.file(), scratch.0.join("log.1")).unwrap();
        assert_eq!(poll(&mut follower), ["2"], "read on while there is no new one");
        scratch.append("3\n");
        assert_eq!(poll(&mut follower), ["last", "^3"]);
        // Truncated and written further than before: only the bytes before the position tell.
        fs::write(scratch.file(), "44\n55\n").unwrap();
        assert_eq!(poll(&mut follower), ["^44", "55"]);
        fs::write(scratch.file(), "").unwrap();
        assert_eq!(poll(&mut follower), [""; 0]);
        scratch.append("6\n");
        assert_eq!(poll(&mut follower), ["^6"]);
        fs::remove_file(scratch.file()).unwrap();
        assert_eq!(poll(&mut follower), [""; 0], "a moment without a file is part of a rotation");
        assert!(follower.poll(&mut |_| Flow::Taken).is_err(), "a second one is not");
    }

    #[test]
    fn a_restart_continues_at_the_checkpoint_unless_the_file_is_another() {
        let scratch = Scratch::new();
        scratch.append("a\nb\n");
        let mut follower = FileFollower::new(scratch.file(), StartPosition::Begin, None);
        poll(&mut follower);
        let offset = follower.offset();
        scratch.append("c\n");
        let mut again = FileFollower::new(scratch.file(), StartPosition::End, offset);
        assert_eq!(poll(&mut again), ["#a", "c"]);
        fs::write(scratch.file(), "x\ny\nz\n").unwrap();
        let mut other = FileFollower::new(scratch.file(), StartPosition::End, offset);
        assert_eq!(poll(&mut other), ["^x", "y", "z"], "same inode, other bytes");
    }

    #[test]
    fn lines_not_taken_are_read_again_and_a_long_backlog_in_parts() {
        let scratch = Scratch::new();
        let line = format!("{}\n", "x".repeat(1023));
        scratch.append(&line.repeat(300));
        let mut follower = FileFollower::new(scratch.file(), StartPosition::Begin, None);
        let mut count = 0;
        let stopped = follower.poll(&mut |_| {
            count += 1;
            if count > 5 { Flow::Backpressure } else { Flow::Taken }
        });
        assert_eq!(stopped.unwrap(), PollProgress { lag: 295 * 1024, more: false });
        let mut count = 0;
        let mut take = |_: FilePiece<'_>| {
            count += 1;
            Flow::Taken
        };
        let part = follower.poll(&mut take).unwrap();
        assert_eq!(part, PollProgress { lag: 39 * 1024, more: true });
        assert_eq!(follower.poll(&mut take).unwrap(), PollProgress { lag: 0, more: false });
        assert_eq!(count, 295);
    }

    #[test]
    fn a_pipe_or_a_directory_is_rejected_without_blocking() {
        let scratch = Scratch::new();
        let mut follower = FileFollower::new(scratch.0.clone(), StartPosition::End, None);
        assert!(follower.poll(&mut |_| Flow::Taken).unwrap_err().to_string().contains("regular"));
        let pipe = scratch.0.join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let mut follower = FileFollower::new(pipe, StartPosition::End, None);
        assert!(follower.poll(&mut |_| Flow::Taken).is_err());
    }
}
