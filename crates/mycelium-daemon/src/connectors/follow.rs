//! Follows one growing file through rotation and truncation, line by line.
//!
//! A file is known by device, inode and the bytes before the position: one that was truncated, written anew in place
//! or replaced is read from its beginning. After a rename the old file is read to its end before the new one.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::MAX_LINE;
use super::lines::{Line, Lines};
use super::place::Mark;
use super::settings::Start;

/// Bytes before the position that have to be as they were.
pub const TAIL: u64 = 64;
/// Bytes read at once.
const CHUNK: usize = 64 << 10;
/// Chunks of one look, so that a long backlog does not keep the thread from anything else.
const CHUNKS: usize = 4;

/// Whether a piece was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    Taken,
    /// It was no good, and is not looked at again.
    Refused,
    /// Not now: it comes again with the next look.
    Stop,
}

/// What comes out of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// First line of a file that is taken up in its middle, for the names of its columns.
    Head(&'a [u8]),
    /// A line, where it begins, and whether it is the first of its file.
    Line { line: Line<'a>, offset: u64, first: bool },
}

/// What a look came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Bytes, or files, that are there and were not taken.
    pub lag: u64,
    /// There is more that could be taken at once.
    pub more: bool,
}

/// Takes a piece.
pub type Each<'a> = &'a mut dyn FnMut(Piece<'_>) -> Flow;

#[derive(Debug)]
struct Opened {
    file: File,
    mark: Mark,
    lines: Lines,
}

/// One followed file.
#[derive(Debug)]
pub struct Follow {
    path: PathBuf,
    /// Where to begin in the first file, when nothing was kept.
    start: Start,
    kept: Option<Mark>,
    opened: Option<Opened>,
    /// The last look found no file of that name any more.
    gone: bool,
    buffer: Vec<u8>,
}

impl Follow {
    pub fn new(path: PathBuf, start: Start, kept: Option<Mark>) -> Self {
        Self { path, start, kept, opened: None, gone: false, buffer: Vec::new() }
    }

    /// How far it has been read.
    pub fn mark(&self) -> Option<Mark> {
        self.opened.as_ref().map(|opened| opened.mark).or(self.kept)
    }

    /// Hands out what has come since the last look.
    pub fn look(&mut self, each: Each<'_>) -> io::Result<Look> {
        self.buffer.resize(CHUNK, 0);
        let mut look = Look::default();
        // A file that was rotated away, and the one in its place.
        for _ in 0..2 {
            if self.opened.is_none() {
                self.open(each)?;
            }
            let Some(opened) = &mut self.opened else { break };
            look = opened.read(&mut self.buffer, false, each)?;
            if look.more || look.lag > MAX_LINE as u64 {
                return Ok(look);
            }
            match std::fs::metadata(&self.path) {
                Ok(found) if same(&found, &opened.mark) => {
                    self.gone = false;
                    return Ok(look);
                }
                Ok(_) => {
                    // What has no line break now will never get one.
                    look = opened.read(&mut self.buffer, true, each)?;
                    if look.lag > 0 {
                        return Ok(look);
                    }
                    self.opened = None;
                }
                // Between the two steps of a rotation there is no file for a moment.
                Err(e) if e.kind() == io::ErrorKind::NotFound && !self.gone => {
                    self.gone = true;
                    return Ok(look);
                }
                Err(e) => return Err(e),
            }
        }
        Ok(look)
    }

    fn open(&mut self, each: Each<'_>) -> io::Result<()> {
        let opened = open_regular(&self.path);
        if opened.is_err() {
            // What comes later is new from its first byte on.
            self.start = Start::Begin;
        }
        let (file, found) = opened?;
        let mut mark = Mark { device: found.dev(), inode: found.ino(), ..Mark::default() };
        let mut lines = Lines::default();
        let kept = self.kept.take();
        if let Some(kept) = kept {
            if same(&found, &kept) && found.len() >= kept.offset && tail(&file, kept.offset)? == kept.tail {
                mark = kept;
            }
        } else if self.start == Start::End && found.len() > 0 {
            mark.offset = found.len();
            let mut byte = [0; 1];
            file.read_exact_at(&mut byte, mark.offset - 1)?;
            if byte != *b"\n" {
                lines = Lines::within_a_line();
            }
        }
        self.start = Start::Begin;
        mark.tail = tail(&file, mark.offset)?;
        if mark.offset > 0 {
            let mut head = [0; MAX_LINE];
            let n = file.read_at(&mut head, 0)?;
            let end = head[..n].iter().position(|&b| b == b'\n').unwrap_or(n);
            each(Piece::Head(&head[..end]));
        }
        self.opened = Some(Opened { file, mark, lines });
        Ok(())
    }
}

impl Opened {
    fn read(&mut self, buffer: &mut [u8], last: bool, each: Each<'_>) -> io::Result<Look> {
        let len = self.file.metadata()?.len();
        if len < self.mark.offset || tail(&self.file, self.mark.offset)? != self.mark.tail {
            self.mark.offset = 0;
            self.lines = Lines::default();
        }
        let mut stopped = false;
        let mut chunks = 0;
        while chunks < CHUNKS && !stopped {
            chunks += 1;
            let n = self.file.read_at(buffer, self.mark.offset)?;
            let ends = last && n < buffer.len();
            let taken = self.hand_out(&buffer[..n], ends, &mut stopped, each);
            self.mark.offset += taken as u64;
            if taken == 0 || n < buffer.len() {
                break;
            }
        }
        self.mark.tail = tail(&self.file, self.mark.offset)?;
        let lag = len.saturating_sub(self.mark.offset);
        Ok(Look { lag, more: chunks == CHUNKS && !stopped && lag > 0 })
    }

    /// Bytes that were taken of those at hand.
    fn hand_out(&mut self, bytes: &[u8], last: bool, stopped: &mut bool, each: Each<'_>) -> usize {
        let mut used = 0;
        while let Some((line, taken)) = self.lines.next(&bytes[used..], last) {
            let offset = self.mark.offset + used as u64;
            if each(Piece::Line { line, offset, first: offset == 0 }) == Flow::Stop {
                *stopped = true;
                break;
            }
            used += taken;
        }
        used
    }
}

fn same(found: &Metadata, mark: &Mark) -> bool {
    (found.dev(), found.ino()) == (mark.device, mark.inode)
}

/// A pipe would wait for its writer for ever, so only regular files are opened, and without waiting.
pub(super) fn open_regular(path: &Path) -> io::Result<(File, Metadata)> {
    let nonblock = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(nonblock).open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    Ok((file, found))
}

/// CRC of the bytes before a position.
fn tail(file: &File, offset: u64) -> io::Result<u32> {
    let mut bytes = [0; TAIL as usize];
    let len = offset.min(TAIL);
    let bytes = &mut bytes[..len as usize];
    match file.read_exact_at(bytes, offset - len) {
        Ok(()) => Ok(crc32fast::hash(bytes)),
        // It has become shorter in the meantime, and so is not what it was.
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
            let path = std::env::temp_dir().join(format!("mycelium-follow-{:016x}", fastrand::u64(..)));
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

    /// Lines of one look; first ones have a `^`, heads a `#`.
    fn look(follow: &mut Follow) -> Vec<String> {
        let mut found = Vec::new();
        follow
            .look(&mut |piece| {
                found.push(match piece {
                    Piece::Head(line) => format!("#{}", String::from_utf8_lossy(line)),
                    Piece::Line { line: Line::Whole(line), first, .. } => {
                        format!("{}{}", if first { "^" } else { "" }, String::from_utf8_lossy(line))
                    }
                    Piece::Line { line, .. } => format!("{line:?}"),
                });
                Flow::Taken
            })
            .unwrap();
        found
    }

    #[test]
    fn only_what_is_added_is_read_or_all_of_it() {
        let scratch = Scratch::new();
        scratch.append("head\nold\nha");
        let mut end = Follow::new(scratch.file(), Start::End, None);
        assert_eq!(look(&mut end), ["#head"]);
        let mut begin = Follow::new(scratch.file(), Start::Begin, None);
        assert_eq!(look(&mut begin), ["^head", "old"]);
        scratch.append("lf\nnew\n");
        assert_eq!(look(&mut end), ["Skipped", "new"], "half a line is none");
        assert_eq!(look(&mut begin), ["half", "new"], "the half is waited for");
        assert_eq!(look(&mut begin), [""; 0]);
    }

    #[test]
    fn a_file_that_comes_later_is_new_as_a_whole() {
        let scratch = Scratch::new();
        let mut follow = Follow::new(scratch.file(), Start::End, None);
        assert_eq!(follow.look(&mut |_| Flow::Taken).unwrap_err().kind(), io::ErrorKind::NotFound);
        scratch.append("one\n");
        assert_eq!(look(&mut follow), ["^one"]);
    }

    #[test]
    fn rotation_loses_no_line_and_truncation_starts_over() {
        let scratch = Scratch::new();
        scratch.append("1\n");
        let mut follow = Follow::new(scratch.file(), Start::Begin, None);
        assert_eq!(look(&mut follow), ["^1"]);
        scratch.append("2\nlast");
        fs::rename(scratch.file(), scratch.0.join("log.1")).unwrap();
        assert_eq!(look(&mut follow), ["2"], "read on while there is no new one");
        scratch.append("3\n");
        assert_eq!(look(&mut follow), ["last", "^3"]);
        // Truncated and written further than before: only the bytes before the position tell.
        fs::write(scratch.file(), "44\n55\n").unwrap();
        assert_eq!(look(&mut follow), ["^44", "55"]);
        fs::write(scratch.file(), "").unwrap();
        assert_eq!(look(&mut follow), [""; 0]);
        scratch.append("6\n");
        assert_eq!(look(&mut follow), ["^6"]);
        fs::remove_file(scratch.file()).unwrap();
        assert_eq!(look(&mut follow), [""; 0], "a moment without a file is part of a rotation");
        assert!(follow.look(&mut |_| Flow::Taken).is_err(), "a second one is not");
    }

    #[test]
    fn a_restart_goes_on_where_it_was_unless_the_file_is_another() {
        let scratch = Scratch::new();
        scratch.append("a\nb\n");
        let mut follow = Follow::new(scratch.file(), Start::Begin, None);
        look(&mut follow);
        let mark = follow.mark();
        scratch.append("c\n");
        let mut again = Follow::new(scratch.file(), Start::End, mark);
        assert_eq!(look(&mut again), ["#a", "c"]);
        fs::write(scratch.file(), "x\ny\nz\n").unwrap();
        let mut other = Follow::new(scratch.file(), Start::End, mark);
        assert_eq!(look(&mut other), ["^x", "y", "z"], "same inode, other bytes");
    }

    #[test]
    fn what_is_not_taken_comes_again_and_a_long_backlog_in_parts() {
        let scratch = Scratch::new();
        let line = format!("{}\n", "x".repeat(1023));
        scratch.append(&line.repeat(300));
        let mut follow = Follow::new(scratch.file(), Start::Begin, None);
        let mut count = 0;
        let stopped = follow.look(&mut |_| {
            count += 1;
            if count > 5 { Flow::Stop } else { Flow::Taken }
        });
        assert_eq!(stopped.unwrap(), Look { lag: 295 * 1024, more: false });
        let mut count = 0;
        let mut take = |_: Piece<'_>| {
            count += 1;
            Flow::Taken
        };
        let part = follow.look(&mut take).unwrap();
        assert_eq!(part, Look { lag: 39 * 1024, more: true });
        assert_eq!(follow.look(&mut take).unwrap(), Look { lag: 0, more: false });
        assert_eq!(count, 295);
    }

    #[test]
    fn a_pipe_or_a_directory_is_refused_at_once() {
        let scratch = Scratch::new();
        let mut follow = Follow::new(scratch.0.clone(), Start::End, None);
        assert!(follow.look(&mut |_| Flow::Taken).unwrap_err().to_string().contains("regular"));
        let pipe = scratch.0.join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let mut follow = Follow::new(pipe, Start::End, None);
        assert!(follow.look(&mut |_| Flow::Taken).is_err());
    }
}
