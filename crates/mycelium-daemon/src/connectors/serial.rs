//! Lines from a terminal device, such as a microcontroller on USB. The device may come and go.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::termios::{ControlModes, OptionalActions, isatty, tcgetattr, tcsetattr};

use super::follower::{FilePiece, Flow, OnPiece, PollProgress};
use super::line_splitter::LineSplitter;

/// Longest wait for input, after which the thread looks at its commands.
const INPUT_WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 500_000_000 };
/// Bytes of one read: the buffer of a terminal device.
const CHUNK_BYTES: usize = 4 << 10;
/// Reads of one poll, so that a device that never pauses does not keep the thread from its commands.
const CHUNKS_PER_POLL: usize = 16;

#[derive(Debug)]
pub struct SerialPort {
    path: PathBuf,
    baud: u32,
    opened: Option<OpenPort>,
}

#[derive(Debug)]
struct OpenPort {
    device: File,
    lines: LineSplitter,
    /// What was read and not yet taken.
    pending: Vec<u8>,
    /// Bytes taken since it was opened.
    offset: u64,
    /// No whole line was taken yet.
    first: bool,
}

impl SerialPort {
    pub fn new(path: PathBuf, baud: u32) -> Self {
        Self { path, baud, opened: None }
    }

    /// Waits for input, at most half a second, and reads what there is. A device that is gone is an error, and is opened
    /// again by the next call.
    pub fn poll(&mut self, on_piece: OnPiece<'_>) -> io::Result<PollProgress> {
        if self.opened.is_none() {
            let device = open(&self.path, self.baud)?;
            // The first bytes may be the end of a line, which would be read as another number.
            let lines = LineSplitter::within_a_line();
            self.opened = Some(OpenPort { device, lines, pending: Vec::new(), offset: 0, first: true });
        }
        let Some(opened) = &mut self.opened else { return Ok(PollProgress::default()) };
        let result = opened.read(on_piece);
        if result.is_err() {
            self.opened = None;
        }
        result
    }
}

/// Opens the device without waiting for a carrier, without becoming its session, and sets it to raw bytes.
fn open(path: &Path, baud: u32) -> io::Result<File> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32;
    let device = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if !isatty(&device) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a terminal device"));
    }
    let mut settings = tcgetattr(&device)?;
    settings.make_raw();
    settings.control_modes |= ControlModes::CREAD | ControlModes::CLOCAL;
    settings.set_speed(baud)?;
    tcsetattr(&device, OptionalActions::Now, &settings)?;
    Ok(device)
}

impl OpenPort {
    fn read(&mut self, on_piece: OnPiece<'_>) -> io::Result<PollProgress> {
        // Lines that were refused before come first.
        if !self.take_lines(on_piece) {
            return Ok(PollProgress { lag: self.pending.len() as u64, more: false });
        }
        poll(&mut [PollFd::new(&self.device, PollFlags::IN)], Some(&INPUT_WAIT))?;
        for _ in 0..CHUNKS_PER_POLL {
            let before = self.pending.len();
            self.pending.resize(before + CHUNK_BYTES, 0);
            let read = self.device.read(&mut self.pending[before..]);
            self.pending.truncate(before + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the device is gone")),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            }
            if !self.take_lines(on_piece) {
                return Ok(PollProgress { lag: self.pending.len() as u64, more: false });
            }
        }
        Ok(PollProgress { lag: 0, more: true })
    }

    /// Hands over all whole lines; false if one was not taken.
    fn take_lines(&mut self, on_piece: OnPiece<'_>) -> bool {
        let mut from = 0;
        let mut taken_all = true;
        loop {
            let before = self.lines;
            let Some((line, length)) = self.lines.next(&self.pending[from..], false) else { break };
            let piece = FilePiece::Line { line, offset: self.offset, first: self.first };
            if on_piece(piece) == Flow::Backpressure {
                self.lines = before;
                taken_all = false;
                break;
            }
            self.first &= !matches!(line, super::line_splitter::FileLine::Whole(_));
            self.offset += length as u64;
            from += length;
        }
        self.pending.drain(..from);
        taken_all
    }
}
