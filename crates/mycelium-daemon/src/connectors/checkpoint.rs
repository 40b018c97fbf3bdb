//! How far a file or directory has been read, stored across restarts in `DATA/connectors/NAME.place`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};

use mycelium_outbox::state_dir::{make_directory, read_file, write_atomically};

/// A position in a file, and what identifies the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileOffset {
    pub device: u64,
    pub inode: u64,
    pub offset: u64,
    /// CRC of the last bytes before `offset`, at most [`super::follower::TAIL_BYTES`].
    pub tail: u32,
}

/// Fingerprint at the time of reading, by hash of the file's name.
pub type SeenFiles = BTreeMap<u64, u64>;

/// How far a source has been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checkpoint {
    File(FileOffset),
    Directory(SeenFiles),
}

/// The checkpoint file of one connector.
#[derive(Debug)]
pub struct CheckpointStore {
    path: PathBuf,
}

/// A directory has at most `spool::MAX_FILES` lines of 34 bytes.
const MAX_FILE_BYTES: usize = 64 << 10;

impl CheckpointStore {
    pub fn new(directory: &Path, connector: &str) -> Self {
        Self { path: directory.join(format!("{connector}.place")) }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `None` without a file.
    pub fn load(&self) -> io::Result<Option<Checkpoint>> {
        let Some(bytes) = read_file(&self.path, MAX_FILE_BYTES)? else { return Ok(None) };
        let text = String::from_utf8_lossy(&bytes);
        decode(&text).map(Some).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it is damaged"))
    }

    pub fn save(&self, checkpoint: &Checkpoint) -> io::Result<()> {
        if let Some(directory) = self.path.parent() {
            make_directory(directory)?;
        }
        write_atomically(&self.path, encode(checkpoint).as_bytes(), 0o600)
    }
}

fn encode(checkpoint: &Checkpoint) -> String {
    let mut text = String::new();
    match checkpoint {
        Checkpoint::File(FileOffset { device, inode, offset, tail }) => {
            push(&mut text, format_args!("file 1 {device} {inode} {offset} {tail}\n"));
        }
        Checkpoint::Directory(seen) => {
            text.push_str("directory 1\n");
            for (name, look) in seen {
                push(&mut text, format_args!("{name:016x} {look:016x}\n"));
            }
        }
    }
    let crc = crc32fast::hash(text.as_bytes());
    push(&mut text, format_args!("{crc:08x}\n"));
    text
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a String cannot fail");
}

fn decode(text: &str) -> Option<Checkpoint> {
    let body = text.len().checked_sub(9).filter(|&at| text.is_char_boundary(at))?;
    let (body, crc) = text.split_at(body);
    if crc != format!("{:08x}\n", crc32fast::hash(body.as_bytes())) {
        return None;
    }
    let mut lines = body.lines();
    let head: Vec<&str> = lines.next()?.split(' ').collect();
    match head[..] {
        ["file", "1", device, inode, offset, tail] => Some(Checkpoint::File(FileOffset {
            device: device.parse().ok()?,
            inode: inode.parse().ok()?,
            offset: offset.parse().ok()?,
            tail: tail.parse().ok()?,
        })),
        ["directory", "1"] => {
            let hex = |text: &str| u64::from_str_radix(text, 16).ok();
            let entry = |line: &str| line.split_once(' ').and_then(|(a, b)| Some((hex(a)?, hex(b)?)));
            lines.map(entry).collect::<Option<SeenFiles>>().map(Checkpoint::Directory)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_reads_back_and_damage_is_noticed() {
        let file = Checkpoint::File(FileOffset { device: 1, inode: u64::MAX, offset: 77, tail: 0xdead_beef });
        let directory = Checkpoint::Directory([(1, 2), (u64::MAX, 3)].into());
        for checkpoint in [file, directory, Checkpoint::Directory(SeenFiles::new())] {
            let text = encode(&checkpoint);
            assert_eq!(decode(&text), Some(checkpoint));
            for cut in 0..text.len() {
                assert_eq!(decode(&text[..cut]), None, "cut at {cut}");
            }
            // SeenFiles red without the CRC: another digit of the offset is taken as it is.
            for at in 0..text.len() {
                let mut bent = text.clone().into_bytes();
                bent[at] ^= 1;
                assert_eq!(decode(std::str::from_utf8(&bent).unwrap()), None, "byte {at}");
            }
        }
    }
}
