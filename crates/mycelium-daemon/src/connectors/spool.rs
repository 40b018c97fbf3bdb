//! A directory of JSON files: each is read once, and again after a change, or removed after reading.
//!
//! Files that were read are recognized by name and fingerprint (times, size, inode), which does not depend on the order
//! of times; an invalid file is not read again until it has changed. Names that begin with a dot are ignored: writers use
//! them for unfinished files, which they rename.

use std::fs::Metadata;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::checkpoint::SeenFiles;
use super::disposal::dispose;
use super::fingerprint::{fingerprint, short_hash};
use super::follower::{Flow, PollProgress, open_regular};
use super::limits::MAX_BODY_BYTES;
use super::settings::{AfterRead, StartPosition};

/// Files of a directory; if files are removed after reading, files of one poll.
pub const MAX_FILES: usize = 1024;
/// Names read in one poll, of whatever kind.
const MAX_NAMES: usize = 8 * MAX_FILES;
/// Files read in one poll.
const FILES_PER_POLL: usize = 64;

/// The content of one file.
pub enum SpoolFile<'a> {
    Bytes(&'a [u8]),
    TooLong,
    Unreadable(io::Error),
}

/// Takes a file and its name.
pub type OnFile<'a> = &'a mut dyn FnMut(&str, SpoolFile<'_>) -> Flow;

#[derive(Debug)]
pub struct SpoolDirectory {
    path: PathBuf,
    seen: SeenFiles,
    /// The next poll only records which files are present.
    skip: bool,
    after_read: AfterRead,
    /// A file that was read but not disposed of yet, and whether it was valid.
    undisposed: Option<(NewFile, bool)>,
}

#[derive(Clone, Debug)]
struct NewFile {
    changed: (i64, i64),
    name: String,
    key: u64,
    fingerprint: u64,
    len: u64,
}

impl SpoolDirectory {
    pub fn new(
        path: PathBuf,
        (start, after_read): (StartPosition, AfterRead),
        seen: Option<SeenFiles>,
    ) -> Self {
        let skip = start == StartPosition::End && seen.is_none();
        Self { path, seen: seen.unwrap_or_default(), skip, after_read, undisposed: None }
    }

    pub fn seen(&self) -> &SeenFiles {
        &self.seen
    }

    /// Reads files that are new or have changed, oldest change first.
    pub fn poll(&mut self, on_file: OnFile<'_>) -> io::Result<PollProgress> {
        self.dispose_last()?;
        let (present, mut new, whole) = self.list()?;
        if std::mem::take(&mut self.skip) {
            self.seen = present;
            return Ok(PollProgress::default());
        }
        if whole {
            self.seen.retain(|name, _| present.contains_key(name));
        }
        new.sort_unstable_by(|a, b| (a.changed, &a.name).cmp(&(b.changed, &b.name)));
        let mut taken = 0;
        for file in new.iter().take(FILES_PER_POLL) {
            let flow = read(&self.path, file, on_file);
            if flow == Flow::Backpressure {
                return Ok(PollProgress { lag: (new.len() - taken) as u64, more: false });
            }
            self.seen.insert(file.key, file.fingerprint);
            taken += 1;
            if self.after_read != AfterRead::Keep {
                self.undisposed = Some((file.clone(), flow == Flow::Taken));
                self.dispose_last()?;
            }
        }
        Ok(PollProgress { lag: (new.len() - taken) as u64, more: taken < new.len() || !whole })
    }

    /// Nothing more is read before this succeeds; otherwise files that cannot be removed would accumulate.
    fn dispose_last(&mut self) -> io::Result<()> {
        if let Some((file, valid)) = &self.undisposed {
            dispose(&self.path, &file.name, file.fingerprint, self.after_read, *valid)?;
            self.seen.remove(&file.key);
            self.undisposed = None;
        }
        Ok(())
    }

    /// All files, those of them that are new, and whether that was the whole directory. If files are removed after
    /// reading, more than [`MAX_FILES`] are no error: the next poll reads the others.
    fn list(&self) -> io::Result<(SeenFiles, Vec<NewFile>, bool)> {
        let (mut present, mut new) = (SeenFiles::new(), Vec::new());
        let in_parts = self.after_read != AfterRead::Keep && !self.skip;
        for (count, entry) in std::fs::read_dir(&self.path)?.enumerate() {
            if in_parts && (new.len() == MAX_FILES || count == MAX_NAMES && !new.is_empty()) {
                return Ok((present, new, false));
            }
            if count == MAX_NAMES {
                return Err(too_many_files());
            }
            let name = entry?.file_name();
            let Some(name) = name.to_str().filter(|name| is_candidate(name)) else { continue };
            // Removed in the meantime, or not a regular file.
            let Some(found) = std::fs::metadata(self.path.join(name)).ok().filter(Metadata::is_file) else {
                continue;
            };
            if present.len() == MAX_FILES && !in_parts {
                return Err(too_many_files());
            }
            let (key, fingerprint) = (short_hash(name.as_bytes()), fingerprint(&found));
            present.insert(key, fingerprint);
            if self.seen.get(&key) != Some(&fingerprint) {
                let changed = (found.mtime(), found.mtime_nsec());
                new.push(NewFile { changed, name: name.to_owned(), key, fingerprint, len: found.len() });
            }
        }
        Ok((present, new, true))
    }
}

fn is_candidate(name: &str) -> bool {
    !name.starts_with('.') && Path::new(name).extension().is_some_and(|ending| ending == "json")
}

fn too_many_files() -> io::Error {
    io::Error::other(
        "it holds more than 1024 files: remove what has been read, or set done = \"delete\" or \"move\"",
    )
}

fn read(directory: &Path, file: &NewFile, on_file: OnFile<'_>) -> Flow {
    if file.len > MAX_BODY_BYTES as u64 {
        return on_file(&file.name, SpoolFile::TooLong);
    }
    let content = || {
        let mut bytes = Vec::with_capacity(file.len as usize + 1);
        let (opened, _) = open_regular(&directory.join(&file.name))?;
        opened.take(MAX_BODY_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match content() {
        Ok(bytes) if bytes.len() > MAX_BODY_BYTES => on_file(&file.name, SpoolFile::TooLong),
        Ok(bytes) => on_file(&file.name, SpoolFile::Bytes(&bytes)),
        Err(error) => on_file(&file.name, SpoolFile::Unreadable(error)),
    }
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

        /// Written like by a careful writer: the name appears with the whole content.
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

    fn poll(spool: &mut SpoolDirectory) -> Vec<String> {
        let mut found = Vec::new();
        spool
            .poll(&mut |name, content| {
                found.push(match content {
                    SpoolFile::Bytes(bytes) => format!("{name}={}", String::from_utf8_lossy(bytes)),
                    SpoolFile::TooLong => format!("{name} too long"),
                    SpoolFile::Unreadable(_) => format!("{name} unreadable"),
                });
                Flow::Taken
            })
            .unwrap();
        found.sort();
        found
    }

    #[test]
    fn each_file_is_read_once_and_again_after_a_change() {
        let scratch = Scratch::new();
        scratch.put("a.json", "1");
        scratch.put("notes.txt", "no");
        fs::create_dir(scratch.0.join("dir.json")).unwrap();
        fs::write(scratch.0.join(".hidden.json"), "9").unwrap();
        let mut spool = SpoolDirectory::new(scratch.0.clone(), (StartPosition::Begin, AfterRead::Keep), None);
        assert_eq!(poll(&mut spool), ["a.json=1"]);
        assert_eq!(poll(&mut spool), [""; 0]);
        scratch.put("a.json", "2");
        scratch.put("b.json", "3");
        assert_eq!(poll(&mut spool), ["a.json=2", "b.json=3"]);
        let seen = spool.seen().clone();
        fs::remove_file(scratch.0.join("b.json")).unwrap();
        assert_eq!(poll(&mut spool), [""; 0]);
        assert_eq!(spool.seen().len(), 1, "removed files are forgotten");
        let mut again =
            SpoolDirectory::new(scratch.0.clone(), (StartPosition::End, AfterRead::Keep), Some(seen));
        scratch.put("c.json", "4");
        assert_eq!(poll(&mut again), ["c.json=4"], "a restart repeats nothing");
    }

    #[test]
    fn files_from_before_the_first_start_are_skipped_unless_configured() {
        let scratch = Scratch::new();
        scratch.put("old.json", "1");
        let mut spool = SpoolDirectory::new(scratch.0.clone(), (StartPosition::End, AfterRead::Keep), None);
        assert_eq!(poll(&mut spool), [""; 0]);
        scratch.put("new.json", "2");
        assert_eq!(poll(&mut spool), ["new.json=2"]);
    }

    #[test]
    fn many_files_are_read_in_parts_and_too_many_are_an_error() {
        let scratch = Scratch::new();
        for k in 0..FILES_PER_POLL + 3 {
            scratch.put(&format!("{k:04}.json"), "0");
        }
        scratch.put("big.json", &"x".repeat(MAX_BODY_BYTES + 1));
        let mut spool = SpoolDirectory::new(scratch.0.clone(), (StartPosition::Begin, AfterRead::Keep), None);
        let mut count = 0;
        let mut take = |_: &str, _: SpoolFile<'_>| {
            count += 1;
            Flow::Taken
        };
        assert_eq!(spool.poll(&mut take).unwrap(), PollProgress { lag: 4, more: true });
        assert_eq!(spool.poll(&mut take).unwrap(), PollProgress::default());
        assert_eq!(count, FILES_PER_POLL + 4);
        let mut full = |_: &str, _: SpoolFile<'_>| Flow::Backpressure;
        scratch.put("later.json", "1");
        assert_eq!(spool.poll(&mut full).unwrap(), PollProgress { lag: 1, more: false });
        assert_eq!(poll(&mut spool), ["later.json=1"], "a file not taken is read again");
        for k in 0..=MAX_FILES {
            fs::write(scratch.0.join(format!("n{k}.json")), "").unwrap();
        }
        assert!(spool.poll(&mut full).unwrap_err().to_string().contains("1024"));
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

    /// Mutants seen red: files from before the start removed too; a file that has changed since it was read removed
    /// unread.
    #[test]
    fn files_are_removed_after_reading_and_invalid_ones_moved_apart() {
        for after_read in [AfterRead::Delete, AfterRead::Move] {
            let scratch = Scratch::new();
            scratch.put("old.json", "0");
            let mut spool = SpoolDirectory::new(scratch.0.clone(), (StartPosition::End, after_read), None);
            assert_eq!(poll(&mut spool), [""; 0]);
            scratch.put("a.json", "1");
            scratch.put("b.json", "bad");
            scratch.put("c.json", "3");
            let mut take = |name: &str, _: SpoolFile<'_>| match name {
                "b.json" => Flow::Rejected,
                "c.json" => {
                    scratch.put("c.json", "news");
                    Flow::Taken
                }
                _ => Flow::Taken,
            };
            assert_eq!(spool.poll(&mut take).unwrap(), PollProgress::default());
            let (left, moved): (&[_], &[_]) = match after_read {
                AfterRead::Delete => (&["c.json", "old.json", "rejected"], &[]),
                _ => (&["c.json", "done", "old.json", "rejected"], &["a.json"]),
            };
            assert_eq!(names(&scratch.0), left);
            assert_eq!(names(&scratch.0.join("rejected")), ["b.json"]);
            assert!(moved.is_empty() || names(&scratch.0.join("done")) == moved);
            assert_eq!(poll(&mut spool), ["c.json=news"]);
            assert_eq!(spool.seen().len(), 1, "only files from before the start are remembered");
        }
    }

    /// Mutants seen red: more files than the limit taken for an error; files forgotten that a poll did not reach.
    #[test]
    fn a_backlog_beyond_the_file_limit_drains_if_files_are_removed_after_reading() {
        const OLD: usize = 300;
        let scratch = Scratch::new();
        let fill = |prefix: &str, count: usize| {
            for k in 0..count {
                fs::write(scratch.0.join(format!("{prefix}{k}.json")), "1").unwrap();
            }
        };
        fill("old", OLD);
        let mut spool = SpoolDirectory::new(scratch.0.clone(), (StartPosition::End, AfterRead::Delete), None);
        assert_eq!(poll(&mut spool), [""; 0]);
        fill("new", MAX_FILES + FILES_PER_POLL);
        let mut count = 0;
        loop {
            let found = spool.poll(&mut |name: &str, _: SpoolFile<'_>| {
                assert!(name.starts_with("new"), "{name}");
                count += 1;
                Flow::Taken
            });
            if !found.unwrap().more {
                break;
            }
        }
        assert_eq!(
            (count, names(&scratch.0).len(), spool.seen().len()),
            (MAX_FILES + FILES_PER_POLL, OLD, OLD)
        );
    }

    /// Mutant seen red: the next file read anyway.
    #[test]
    fn a_file_that_cannot_be_removed_is_an_error_and_read_once_and_blocks_the_next() {
        let scratch = Scratch::new();
        let mut spool = SpoolDirectory::new(scratch.0.clone(), (StartPosition::Begin, AfterRead::Move), None);
        fs::write(scratch.0.join("done"), "blocks the name of the directory").unwrap();
        scratch.put("a.json", "1");
        scratch.put("b.json", "2");
        let mut count = 0;
        for _ in 0..3 {
            let error = spool
                .poll(&mut |_: &str, _: SpoolFile<'_>| {
                    count += 1;
                    Flow::Taken
                })
                .unwrap_err();
            assert!(error.to_string().starts_with("cannot remove a.json after reading: "), "{error}");
        }
        assert_eq!(count, 1);
        fs::remove_file(scratch.0.join("done")).unwrap();
        assert_eq!(poll(&mut spool), ["b.json=2"]);
        assert_eq!(names(&scratch.0.join("done")), ["a.json", "b.json"]);
    }
}
