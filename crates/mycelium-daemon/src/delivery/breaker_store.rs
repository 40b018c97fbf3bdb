//! The file that stores a breaker across restarts: `DATA/breakers/<name>.json`, one per endpoint.
//!
//! Two lines: a JSON object, and the CRC-32 of its bytes as eight hex digits. The file is replaced atomically (temporary
//! file, fsync, rename, fsync of the directory). One that is damaged or of a newer version is renamed to
//! `<name>.json.damaged.1` (or the next free number), and the breaker starts closed. The CRC is checked before the JSON
//! is parsed, so only text that this program wrote reaches the parser.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nanoserde::{DeJson, SerJson};

use crate::net::BreakerMode;
use crate::net::breaker::{BreakerSnapshot, BreakerState};
use crate::telemetry::metrics::Label;
use mycelium_outbox::state_dir::{make_directory, read_file, write_atomically};
use mycelium_outbox::storage::{DiskStorage, quarantine};

/// The file has about 150 bytes; a larger one was not written by this program.
const MAX_FILE_BYTES: usize = 1024;
const VERSION: u32 = 1;

/// The stored state of one endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredBreaker {
    pub breaker: BreakerSnapshot,
    /// The endpoint responded 410.
    pub disabled: bool,
    /// CRC-32 of the URL that responded 410; it does not disable another URL.
    pub url_crc: u32,
}

#[derive(DeJson, SerJson)]
struct Line {
    version: u32,
    mode: String,
    state: String,
    remaining_ms: u64,
    opens: u32,
    gone: bool,
    url_crc: u32,
}

/// The breaker file of one endpoint.
#[derive(Clone, Debug)]
pub struct BreakerStore {
    directory: PathBuf,
    path: PathBuf,
}

impl BreakerStore {
    /// `name` is an endpoint's name, safe in file names.
    pub fn new(directory: &Path, name: &str) -> Self {
        Self { directory: directory.to_owned(), path: directory.join(format!("{name}.json")) }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `None` without a file. A file that cannot be used is quarantined and reported as an error.
    pub fn load(&self) -> io::Result<Option<StoredBreaker>> {
        let Some(bytes) = read_file(&self.path, MAX_FILE_BYTES)? else { return Ok(None) };
        let text = String::from_utf8_lossy(&bytes);
        if let Some(stored) = decode(&text) {
            return Ok(Some(stored));
        }
        let why = if is_newer(&text) { "is of a newer version" } else { "is damaged" };
        let file = self.path.file_name().and_then(OsStr::to_str).expect("made from the name of an endpoint");
        let renamed = quarantine(&mut DiskStorage::new(&self.directory), file)?;
        let renamed = self.directory.join(renamed);
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("it {why} and was renamed to {}", renamed.display()),
        ))
    }

    pub fn save(&self, stored: &StoredBreaker) -> io::Result<()> {
        make_directory(&self.directory)?;
        write_atomically(&self.path, encode(stored).as_bytes(), 0o600)
    }
}

fn encode(stored: &StoredBreaker) -> String {
    let line = Line {
        version: VERSION,
        mode: stored.breaker.mode.name().to_owned(),
        state: stored.breaker.state.text().to_owned(),
        remaining_ms: u64::try_from(stored.breaker.remaining.as_millis()).unwrap_or(u64::MAX),
        opens: stored.breaker.opens,
        gone: stored.disabled,
        url_crc: stored.url_crc,
    };
    let json = line.serialize_json();
    format!("{json}\n{:08x}\n", crc32fast::hash(json.as_bytes()))
}

/// The JSON of an undamaged file.
fn intact(text: &str) -> Option<&str> {
    let (json, rest) = text.split_once('\n')?;
    let crc = rest.strip_suffix('\n').filter(|hex| hex.len() == 8)?;
    (u32::from_str_radix(crc, 16).ok()? == crc32fast::hash(json.as_bytes())).then_some(json)
}

/// Every version begins with its number.
fn is_newer(text: &str) -> bool {
    let number = intact(text).and_then(|json| json.strip_prefix("{\"version\":"));
    let number = number.and_then(|rest| rest.split([',', '}']).next()?.parse::<u32>().ok());
    number.is_some_and(|version| version > VERSION)
}

fn decode(text: &str) -> Option<StoredBreaker> {
    let json = intact(text)?;
    let line = Line::deserialize_json(json).ok().filter(|line| line.version == VERSION)?;
    let breaker = BreakerSnapshot {
        mode: line.mode.parse::<BreakerMode>().ok()?,
        state: BreakerState::ALL.iter().copied().find(|state| state.text() == line.state)?,
        remaining: Duration::from_millis(line.remaining_ms),
        opens: line.opens,
    };
    Some(StoredBreaker { breaker, disabled: line.gone, url_crc: line.url_crc })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const STORED: StoredBreaker = StoredBreaker {
        breaker: BreakerSnapshot {
            mode: BreakerMode::Auto,
            state: BreakerState::Open,
            remaining: Duration::from_millis(12_345),
            opens: 3,
        },
        disabled: true,
        url_crc: 0xDEAD_BEEF,
    };

    #[test]
    fn a_stored_breaker_reads_back_and_any_damage_is_noticed() {
        let text = encode(&STORED);
        assert_eq!(decode(&text), Some(STORED));
        assert!(include_str!("../../../../docs/FORMAT.md").contains(&text), "the example there is this file");
        let bytes = text.as_bytes();
        for cut in 0..bytes.len() {
            assert_eq!(decode(std::str::from_utf8(&bytes[..cut]).unwrap()), None, "cut at {cut}");
        }
        // Seen red without the CRC: flipped digits of `remaining_ms` are taken as they are.
        for at in 0..bytes.len() {
            for bit in 0..7 {
                let mut bent = bytes.to_vec();
                bent[at] ^= 1 << bit;
                let same = String::from_utf8(bent).ok().and_then(|t| decode(&t));
                assert!(same.is_none_or(|stored| stored == STORED), "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn a_missing_file_is_none_and_a_foreign_one_an_error() {
        let directory = std::env::temp_dir().join(format!("mycelium-store-{}", fastrand::u64(..)));
        let store = BreakerStore::new(&directory, "lab");
        assert_eq!(store.load().unwrap(), None);
        store.save(&STORED).unwrap();
        assert_eq!(store.load().unwrap(), Some(STORED));
        fs::write(store.path(), "{\"z\":[").unwrap();
        assert_eq!(store.load().unwrap_err().kind(), io::ErrorKind::InvalidData);
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_file_of_a_newer_version_is_reported_as_such_and_quarantined() {
        let directory = std::env::temp_dir().join(format!("mycelium-store-{}", fastrand::u64(..)));
        let store = BreakerStore::new(&directory, "lab.a");
        store.save(&STORED).unwrap();
        let json = "{\"version\":2,\"state\":{\"of\":\"another kind\"}}";
        let newer = format!("{json}\n{:08x}\n", crc32fast::hash(json.as_bytes()));
        for (n, text, why) in [(1, newer.as_str(), "is of a newer version"), (2, "{", "is damaged")] {
            fs::write(store.path(), text).unwrap();
            let message = store.load().unwrap_err().to_string();
            let aside = directory.join(format!("lab.a.json.damaged.{n}"));
            assert!(message.contains(why) && message.contains(aside.to_str().unwrap()), "{message}");
            assert_eq!(fs::read_to_string(aside).unwrap(), text);
            assert_eq!(store.load().unwrap(), None, "starts as if nothing was stored");
        }
        fs::remove_dir_all(directory).unwrap();
    }
}
