//! How far a file or directory has been read, kept over restarts: `DATA/connectors/NAME.place`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};

use mycelium_outbox::state_dir::write_atomically;

/// Which file, how far, and what stood before that position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    pub device: u64,
    pub inode: u64,
    pub offset: u64,
    /// CRC of the last bytes before `offset`, [`super::follow::TAIL`] of them if there are so many.
    pub tail: u32,
}

/// Name of each file that was read and how it looked then, both hashed.
pub type Seen = BTreeMap<u64, u64>;

/// What is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    File(Mark),
    Directory(Seen),
}

/// Where it is kept.
#[derive(Debug)]
pub struct Keep {
    path: PathBuf,
}

/// A directory has at most `spool::MAX_FILES` lines of 34 bytes.
const MAX_BYTES: u64 = 64 << 10;

impl Keep {
    pub fn new(directory: &Path, connector: &str) -> Self {
        Self { path: directory.join(format!("{connector}.place")) }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `None` when nothing was kept.
    pub fn load(&self) -> io::Result<Option<Place>> {
        use io::Read;
        let mut text = String::new();
        match std::fs::File::open(&self.path) {
            Ok(file) => file.take(MAX_BYTES).read_to_string(&mut text)?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        decode(&text).map(Some).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it is damaged"))
    }

    pub fn save(&self, place: &Place) -> io::Result<()> {
        if let Some(directory) = self.path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        write_atomically(&self.path, encode(place).as_bytes(), 0o600)
    }
}

fn encode(place: &Place) -> String {
    let mut text = String::new();
    match place {
        Place::File(Mark { device, inode, offset, tail }) => {
            push(&mut text, format_args!("file 1 {device} {inode} {offset} {tail}\n"));
        }
        Place::Directory(seen) => {
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

fn decode(text: &str) -> Option<Place> {
    let body = text.len().checked_sub(9).filter(|&at| text.is_char_boundary(at))?;
    let (body, crc) = text.split_at(body);
    if crc != format!("{:08x}\n", crc32fast::hash(body.as_bytes())) {
        return None;
    }
    let mut lines = body.lines();
    let head: Vec<&str> = lines.next()?.split(' ').collect();
    match head[..] {
        ["file", "1", device, inode, offset, tail] => Some(Place::File(Mark {
            device: device.parse().ok()?,
            inode: inode.parse().ok()?,
            offset: offset.parse().ok()?,
            tail: tail.parse().ok()?,
        })),
        ["directory", "1"] => {
            let hex = |text: &str| u64::from_str_radix(text, 16).ok();
            let entry = |line: &str| line.split_once(' ').and_then(|(a, b)| Some((hex(a)?, hex(b)?)));
            lines.map(entry).collect::<Option<Seen>>().map(Place::Directory)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_reads_back_and_damage_is_noticed() {
        let file = Place::File(Mark { device: 1, inode: u64::MAX, offset: 77, tail: 0xdead_beef });
        let directory = Place::Directory([(1, 2), (u64::MAX, 3)].into());
        for place in [file, directory, Place::Directory(Seen::new())] {
            let text = encode(&place);
            assert_eq!(decode(&text), Some(place));
            for cut in 0..text.len() {
                assert_eq!(decode(&text[..cut]), None, "cut at {cut}");
            }
            // Seen red without the CRC: another digit of the offset is taken as it is.
            for at in 0..text.len() {
                let mut bent = text.clone().into_bytes();
                bent[at] ^= 1;
                assert_eq!(decode(std::str::from_utf8(&bent).unwrap()), None, "byte {at}");
            }
        }
    }
}
