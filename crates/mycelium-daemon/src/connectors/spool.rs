//! A directory of JSON files: each is read once, and again when it has changed, or cleared away once it has been read.
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
use super::clear::clear;
use super::follow::{Flow, Look, open_regular};
use super::place::Seen;
use super::settings::{Done, Start};

/// Files of a directory that are remembered; where they are cleared away, those of one look.
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
    done: Done,
    /// Has been read and is still to be cleared away, and whether it was good.
    left: Option<(New, bool)>,
}

#[derive(Clone, Debug)]
struct New {
    changed: (i64, i64),
    name: String,
    key: u64,
    print: u64,
    len: u64,
}

impl Spool {
    pub fn new(path: PathBuf, (start, done): (Start, Done), kept: Option<Seen>) -> Self {
        let skip = start == Start::End && kept.is_none();
        Self { path, seen: kept.unwrap_or_default(), skip, done, left: None }
    }

    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Hands out files that are new or have changed, oldest change first.
    pub fn look(&mut self, each: Each<'_>) -> io::Result<Look> {
        self.clear_left()?;
        let (present, mut new, whole) = self.list()?;
        if std::mem::take(&mut self.skip) {
            self.seen = present;
            return Ok(Look::default());
        }
        if whole {
            self.seen.retain(|name, _| present.contains_key(name));
        }
        new.sort_unstable_by(|a, b| (a.changed, &a.name).cmp(&(b.changed, &b.name)));
        let mut taken = 0;
        for file in new.iter().take(FILES) {
            let flow = hand_out(&self.path, file, each);
            if flow == Flow::Stop {
                return Ok(Look { lag: (new.len() - taken) as u64, more: false });
            }
            self.seen.insert(file.key, file.print);
            taken += 1;
            if self.done != Done::Keep {
                self.left = Some((file.clone(), flow == Flow::Taken));
                self.clear_left()?;
            }
        }
        Ok(Look { lag: (new.len() - taken) as u64, more: taken < new.len() || !whole })
    }

    /// Nothing more is read before this has come off: or files that cannot be cleared away would pile up.
    fn clear_left(&mut self) -> io::Result<()> {
        if let Some((file, good)) = &self.left {
            clear(&self.path, &file.name, file.print, self.done, *good)?;
            self.seen.remove(&file.key);
            self.left = None;
        }
        Ok(())
    }

    /// All files, those of them that are new, and whether that was the whole directory. Where files are cleared away,
    /// too many of them are no mistake: the others come with the next look.
    fn list(&self) -> io::Result<(Seen, Vec<New>, bool)> {
        let (mut present, mut new) = (Seen::new(), Vec::new());
        let in_parts = self.done != Done::Keep && !self.skip;
        for (count, entry) in std::fs::read_dir(&self.path)?.enumerate() {
            if in_parts && (new.len() == MAX_FILES || count == MAX_NAMES && !new.is_empty()) {
                return Ok((present, new, false));
            }
            if count == MAX_NAMES {
                return Err(overfull());
            }
            let name = entry?.file_name();
            let Some(name) = name.to_str().filter(|name| is_ours(name)) else { continue };
            // Gone again, or nothing to read: either way no file of ours.
            let Some(found) = std::fs::metadata(self.path.join(name)).ok().filter(Metadata::is_file) else {
                continue;
            };
            if present.len() == MAX_FILES && !in_parts {
                return Err(overfull());
            }
            let (key, print) = (hash(name.as_bytes()), print(&found));
            present.insert(key, print);
            if self.seen.get(&key) != Some(&print) {
                let changed = (found.mtime(), found.mtime_nsec());
                new.push(New { changed, name: name.to_owned(), key, print, len: found.len() });
            }
        }
        Ok((present, new, true))
    }
}

fn is_ours(name: &str) -> bool {
    !name.starts_with('.') && Path::new(name).extension().is_some_and(|ending| ending == "json")
}

fn overfull() -> io::Error {
    io::Error::other(
        "it holds more than 1024 files: remove what has been read, or set done = \"delete\" or \"move\"",
    )
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
pub fn print(found: &Metadata) -> u64 {
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
        let mut spool = Spool::new(scratch.0.clone(), (Start::Begin, Done::Keep), None);
        assert_eq!(look(&mut spool), ["a.json=1"]);
        assert_eq!(look(&mut spool), [""; 0]);
        scratch.put("a.json", "2");
        scratch.put("b.json", "3");
        assert_eq!(look(&mut spool), ["a.json=2", "b.json=3"]);
        let kept = spool.seen().clone();
        fs::remove_file(scratch.0.join("b.json")).unwrap();
        assert_eq!(look(&mut spool), [""; 0]);
        assert_eq!(spool.seen().len(), 1, "what is gone is forgotten");
        let mut again = Spool::new(scratch.0.clone(), (Start::End, Done::Keep), Some(kept));
        scratch.put("c.json", "4");
        assert_eq!(look(&mut again), ["c.json=4"], "a restart repeats nothing");
    }

    #[test]
    fn what_was_there_before_the_first_start_is_left_unless_asked_for() {
        let scratch = Scratch::new();
        scratch.put("old.json", "1");
        let mut spool = Spool::new(scratch.0.clone(), (Start::End, Done::Keep), None);
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
        let mut spool = Spool::new(scratch.0.clone(), (Start::Begin, Done::Keep), None);
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

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !name.starts_with('.'))
            .collect();
        names.sort();
        names
    }

    /// Mutants seen red: what was there before the start cleared away too; a file that has changed since it was read
    /// cleared away unread.
    #[test]
    fn files_that_have_been_read_are_cleared_away_good_and_bad_apart() {
        for done in [Done::Delete, Done::Move] {
            let scratch = Scratch::new();
            scratch.put("old.json", "0");
            let mut spool = Spool::new(scratch.0.clone(), (Start::End, done), None);
            assert_eq!(look(&mut spool), [""; 0]);
            scratch.put("a.json", "1");
            scratch.put("b.json", "bad");
            scratch.put("c.json", "3");
            let mut take = |name: &str, _: Found<'_>| match name {
                "b.json" => Flow::Refused,
                "c.json" => {
                    scratch.put("c.json", "news");
                    Flow::Taken
                }
                _ => Flow::Taken,
            };
            assert_eq!(spool.look(&mut take).unwrap(), Look::default());
            let (left, moved): (&[_], &[_]) = match done {
                Done::Delete => (&["c.json", "old.json", "rejected"], &[]),
                _ => (&["c.json", "done", "old.json", "rejected"], &["a.json"]),
            };
            assert_eq!(names(&scratch.0), left);
            assert_eq!(names(&scratch.0.join("rejected")), ["b.json"]);
            assert!(moved.is_empty() || names(&scratch.0.join("done")) == moved);
            assert_eq!(look(&mut spool), ["c.json=news"]);
            assert_eq!(spool.seen().len(), 1, "what was there before is all that has to be remembered");
        }
    }

    /// Mutants seen red: more than can be remembered taken for a mistake; files forgotten that a look did not reach.
    #[test]
    fn a_backlog_beyond_what_is_remembered_drains_when_files_are_cleared_away() {
        const OLD: usize = 300;
        let scratch = Scratch::new();
        let fill = |prefix: &str, count: usize| {
            for k in 0..count {
                fs::write(scratch.0.join(format!("{prefix}{k}.json")), "1").unwrap();
            }
        };
        fill("old", OLD);
        let mut spool = Spool::new(scratch.0.clone(), (Start::End, Done::Delete), None);
        assert_eq!(look(&mut spool), [""; 0]);
        fill("new", MAX_FILES + FILES);
        let mut count = 0;
        loop {
            let found = spool.look(&mut |name: &str, _: Found<'_>| {
                assert!(name.starts_with("new"), "{name}");
                count += 1;
                Flow::Taken
            });
            if !found.unwrap().more {
                break;
            }
        }
        assert_eq!((count, names(&scratch.0).len(), spool.seen().len()), (MAX_FILES + FILES, OLD, OLD));
    }

    /// Mutant seen red: the next file read all the same.
    #[test]
    fn a_file_that_cannot_be_cleared_away_is_said_so_read_once_and_nothing_more_before_it() {
        let scratch = Scratch::new();
        let mut spool = Spool::new(scratch.0.clone(), (Start::Begin, Done::Move), None);
        fs::write(scratch.0.join("done"), "in the way of the directory").unwrap();
        scratch.put("a.json", "1");
        scratch.put("b.json", "2");
        let mut count = 0;
        for _ in 0..3 {
            let error = spool
                .look(&mut |_: &str, _: Found<'_>| {
                    count += 1;
                    Flow::Taken
                })
                .unwrap_err();
            assert!(error.to_string().starts_with("cannot clear away a.json: "), "{error}");
        }
        assert_eq!(count, 1);
        fs::remove_file(scratch.0.join("done")).unwrap();
        assert_eq!(look(&mut spool), ["b.json=2"]);
        assert_eq!(names(&scratch.0.join("done")), ["a.json", "b.json"]);
    }
}
