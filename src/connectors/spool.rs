//! A directory of JSON files: each is read once, and again when it has changed.
//!
//! What was read is remembered by name and look (times, size, inode), so nothing depends on the order of clocks, and a
//! bad file is not tried again before somebody has touched it. Names that begin with a dot are left alone: writers
//! put unfinished files there and rename them.

use std::fs::Metadata;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ring::digest::{SHA256, digest};

use super::MAX_BODY;
use super::follow::{Flow, Look, open_regular};
use super::place::Seen;
use super::settings::Start;

/// Files of a directory that are remembered.
pub const MAX_FILES: usize = 1024;
/// Names that are looked at in one go, whatever they are.
const MAX_NAMES: usize = 8 * MAX_FILES;
/// Files read in one look.
const FILES: usize = 64;

/// What became of one file.
pub enum Found<'a> {
    Bytes(&'a [u8]),
    TooLong,
    Unreadable(io::Error),
}

/// Takes a file by its name.
pub type Each<'a> = &'a mut dyn FnMut(&str, Found<'_>) -> Flow;

#[derive(Debug)]
pub struct Spool {
    path: PathBuf,
    seen: Seen,
    /// The next look only takes down what is there.
    skip: bool,
}

struct New {
    changed: (i64, i64),
    name: String,
    key: u64,
    print: u64,
    len: u64,
}

impl Spool {
    pub fn new(path: PathBuf, start: Start, kept: Option<Seen>) -> Self {
        let skip = start == Start::End && kept.is_none();
        Self { path, seen: kept.unwrap_or_default(), skip }
    }

    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Hands out files that are new or have changed, oldest change first.
    pub fn look(&mut self, each: Each<'_>) -> io::Result<Look> {
        let (present, mut new) = self.list()?;
        if std::mem::take(&mut self.skip) {
            self.seen = present;
            return Ok(Look::default());
        }
        self.seen.retain(|name, _| present.contains_key(name));
        new.sort_unstable_by(|a, b| (a.changed, &a.name).cmp(&(b.changed, &b.name)));
        let mut taken = 0;
        for file in new.iter().take(FILES) {
            if hand_out(&self.path, file, each) == Flow::Stop {
                return Ok(Look { lag: (new.len() - taken) as u64, more: false });
            }
            self.seen.insert(file.key, file.print);
            taken += 1;
        }
        Ok(Look { lag: (new.len() - taken) as u64, more: taken < new.len() })
    }

    fn list(&self) -> io::Result<(Seen, Vec<New>)> {
        let (mut present, mut new) = (Seen::new(), Vec::new());
        for (count, entry) in std::fs::read_dir(&self.path)?.enumerate() {
            if count == MAX_NAMES {
                return Err(overfull());
            }
            let name = entry?.file_name();
            let Some(name) = name.to_str().filter(|name| is_ours(name)) else { continue };
            // Gone again, or nothing to read: either way no file of ours.
            let Some(found) = std::fs::metadata(self.path.join(name)).ok().filter(Metadata::is_file) else {
                continue;
            };
            if present.len() == MAX_FILES {
                return Err(overfull());
            }
            let (key, print) = (hash(name.as_bytes()), print(&found));
            present.insert(key, print);
            if self.seen.get(&key) != Some(&print) {
                let changed = (found.mtime(), found.mtime_nsec());
                new.push(New { changed, name: name.to_owned(), key, print, len: found.len() });
            }
        }
        Ok((present, new))
    }
}

fn is_ours(name: &str) -> bool {
    !name.starts_with('.') && Path::new(name).extension().is_some_and(|ending| ending == "json")
}

fn overfull() -> io::Error {
    io::Error::other("it holds more than 1024 files: remove what has been read")
}

fn hand_out(directory: &Path, file: &New, each: Each<'_>) -> Flow {
    if file.len > MAX_BODY as u64 {
        return each(&file.name, Found::TooLong);
    }
    let read = || {
        let mut bytes = Vec::with_capacity(file.len as usize + 1);
        let (opened, _) = open_regular(&directory.join(&file.name))?;
        opened.take(MAX_BODY as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match read() {
        Ok(bytes) if bytes.len() > MAX_BODY => each(&file.name, Found::TooLong),
        Ok(bytes) => each(&file.name, Found::Bytes(&bytes)),
        Err(error) => each(&file.name, Found::Unreadable(error)),
    }
}

fn hash(bytes: &[u8]) -> u64 {
    let digest = digest(&SHA256, bytes);
    digest.as_ref().iter().take(8).fold(0, |hash, &b| hash << 8 | u64::from(b))
}

/// How a file looks without being opened.
fn print(found: &Metadata) -> u64 {
    let facts = [
        found.mtime().cast_unsigned(),
        found.mtime_nsec().cast_unsigned(),
        found.ctime().cast_unsigned(),
        found.ctime_nsec().cast_unsigned(),
        found.len(),
        found.ino(),
    ];
    hash(&facts.map(u64::to_le_bytes).concat())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Self {
            let path = std::env::temp_dir().join(format!("mycelium-spool-{:016x}", fastrand::u64(..)));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        /// As careful writers do it: the name appears with the whole content.
        fn put(&self, name: &str, text: &str) {
            let hidden = self.0.join(format!(".{name}"));
            fs::write(&hidden, text).unwrap();
            fs::rename(hidden, self.0.join(name)).unwrap();
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn look(spool: &mut Spool) -> Vec<String> {
        let mut found = Vec::new();
        spool
            .look(&mut |name, content| {
                found.push(match content {
                    Found::Bytes(bytes) => format!("{name}={}", String::from_utf8_lossy(bytes)),
                    Found::TooLong => format!("{name} too long"),
                    Found::Unreadable(_) => format!("{name} unreadable"),
                });
                Flow::Taken
            })
            .unwrap();
        found.sort();
        found
    }

    #[test]
    fn each_file_is_read_once_and_again_when_it_has_changed() {
        let scratch = Scratch::new();
        scratch.put("a.json", "1");
        scratch.put("notes.txt", "no");
        fs::create_dir(scratch.0.join("dir.json")).unwrap();
        fs::write(scratch.0.join(".hidden.json"), "9").unwrap();
        let mut spool = Spool::new(scratch.0.clone(), Start::Begin, None);
        assert_eq!(look(&mut spool), ["a.json=1"]);
        assert_eq!(look(&mut spool), [""; 0]);
        scratch.put("a.json", "2");
        scratch.put("b.json", "3");
        assert_eq!(look(&mut spool), ["a.json=2", "b.json=3"]);
        let kept = spool.seen().clone();
        fs::remove_file(scratch.0.join("b.json")).unwrap();
        assert_eq!(look(&mut spool), [""; 0]);
        assert_eq!(spool.seen().len(), 1, "what is gone is forgotten");
        let mut again = Spool::new(scratch.0.clone(), Start::End, Some(kept));
        scratch.put("c.json", "4");
        assert_eq!(look(&mut again), ["c.json=4"], "a restart repeats nothing");
    }

    #[test]
    fn what_was_there_before_the_first_start_is_left_unless_asked_for() {
        let scratch = Scratch::new();
        scratch.put("old.json", "1");
        let mut spool = Spool::new(scratch.0.clone(), Start::End, None);
        assert_eq!(look(&mut spool), [""; 0]);
        scratch.put("new.json", "2");
        assert_eq!(look(&mut spool), ["new.json=2"]);
    }

    #[test]
    fn many_files_come_in_parts_and_too_many_are_said_so() {
        let scratch = Scratch::new();
        for k in 0..FILES + 3 {
            scratch.put(&format!("{k:04}.json"), "0");
        }
        scratch.put("big.json", &"x".repeat(MAX_BODY + 1));
        let mut spool = Spool::new(scratch.0.clone(), Start::Begin, None);
        let mut count = 0;
        let mut take = |_: &str, _: Found<'_>| {
            count += 1;
            Flow::Taken
        };
        assert_eq!(spool.look(&mut take).unwrap(), Look { lag: 4, more: true });
        assert_eq!(spool.look(&mut take).unwrap(), Look::default());
        assert_eq!(count, FILES + 4);
        let mut full = |_: &str, _: Found<'_>| Flow::Stop;
        scratch.put("later.json", "1");
        assert_eq!(spool.look(&mut full).unwrap(), Look { lag: 1, more: false });
        assert_eq!(look(&mut spool), ["later.json=1"], "what was not taken comes again");
        for k in 0..=MAX_FILES {
            fs::write(scratch.0.join(format!("n{k}.json")), "").unwrap();
        }
        assert!(spool.look(&mut full).unwrap_err().to_string().contains("1024"));
    }
}
