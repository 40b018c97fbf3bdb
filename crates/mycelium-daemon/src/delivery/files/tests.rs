use std::fs::OpenOptions;
use std::io::Write;

use super::*;
use crate::clock::{BootId, Stamp, Wall};
use crate::delivery::RawDelivery;
use crate::delivery::source::{Position, RecordMeta, SafeName, WINDOW};
use crate::net::trace::TraceHeaders;
use mycelium_core::window::WindowBuilder;

/// A directory that is removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("mycelium-files-{:016x}", fastrand::u64(..)));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn settings(&self, change: impl FnOnce(&mut RawFileEndpoint)) -> FileEndpoint {
        let mut raw = RawFileEndpoint {
            delivery: RawDelivery { name: "usb".into(), ..RawDelivery::default() },
            path: format!("{}/{{date}}/{{device}}-{{seq}}.ndjson", self.0.display()),
            format: LineFormat::Ndjson,
            rotate_bytes: 1 << 20,
            rotate_s: 60,
            keep_bytes: None,
            mount_point: None,
        };
        change(&mut raw);
        FileEndpoint::checked("files[0]", &raw).unwrap()
    }

    fn part(&self) -> PathBuf {
        let found = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path());
        found.filter(|path| path.extension().is_some_and(|e| e == "part")).min().unwrap()
    }

    /// Finished files, oldest first.
    fn finished(&self) -> Vec<PathBuf> {
        let days =
            fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
        let files = days.flat_map(|day| fs::read_dir(day).unwrap().map(|entry| entry.unwrap().path()));
        let mut files: Vec<_> = files.collect();
        files.sort();
        files
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn record(seq: u64) -> Record {
    let mut builder = WindowBuilder::new(seq * 600);
    builder.sample(&std::array::from_fn(|k| seq as f64 + k as f64 / 7.0));
    Record {
        meta: RecordMeta {
            position: Position(seq),
            seq,
            boot: BootId(7),
            kind: WINDOW,
            priority: 0,
            stamp: Stamp { mono: Mono(seq), wall: Wall(1_790_000_000_000), synced: true },
        },
        corrected: None,
        device: SafeName::new("dev").unwrap(),
        payload: builder.finish(seq * 600 + 599).unwrap().encode(),
    }
}

fn send(kind: &mut FilesKind, seqs: std::ops::RangeInclusive<u64>, at: Mono) -> SendReply {
    let records: Vec<Record> = seqs.map(record).collect();
    let trace = TraceHeaders::from("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
    let now = Stamp { mono: at, wall: Wall(0), synced: false };
    kind.send(&records, SendContext { trace: &trace, now })
}

/// The sequence numbers of the events in a file; every line must be whole.
fn seqs(path: &Path) -> Vec<u64> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "a torn line in {}", path.display());
    let seq = |line: &str| {
        assert!(line.starts_with("{\"specversion\":\"1.0\"") && line.ends_with('}'), "{line}");
        assert_eq!(line.matches("specversion").count(), 1, "a torn line goes on: {line}");
        let at = line.find("\"sequence\":\"").unwrap() + 12;
        line[at..at + 20].parse().unwrap()
    };
    text.lines().map(seq).collect()
}

#[test]
fn lines_are_appended_to_a_part_that_gets_its_name_when_its_time_is_over() {
    let scratch = Scratch::new();
    let mut kind = FilesKind::new(&scratch.settings(|_| {}));
    assert_eq!(send(&mut kind, 1..=3, Mono(0)).taken, 3);
    assert_eq!(send(&mut kind, 4..=4, Mono(1)).taken, 1);
    assert_eq!((seqs(&scratch.part()), scratch.finished().len()), (vec![1, 2, 3, 4], 0));
    let due = Mono(0) + Duration::from_mins(1);
    assert_eq!(kind.idle(Mono(2)), Ok(Some(due)));
    assert_eq!(kind.idle(due), Ok(None));
    let files = scratch.finished();
    assert!(files[0].ends_with("2026-09-21/dev-0000000001.ndjson"), "{files:?}");
    assert_eq!((files.len(), seqs(&files[0])), (1, vec![1, 2, 3, 4]));
}

#[test]
fn after_a_crash_the_part_goes_on_where_it_was_torn_and_repeats_no_line() {
    let scratch = Scratch::new();
    let settings = scratch.settings(|_| {});
    assert_eq!(send(&mut FilesKind::new(&settings), 1..=5, Mono(0)).taken, 5);
    let mut part = OpenOptions::new().append(true).open(scratch.part()).unwrap();
    part.write_all(b"{\"specversion\":\"1.0\",\"id\":\"to").unwrap();
    // The cursor was at 3: 4 and 5 come again.
    let mut kind = FilesKind::new(&settings);
    assert_eq!(send(&mut kind, 4..=7, Mono(0)).taken, 4);
    assert_eq!(send(&mut kind, 8..=8, Mono(0)).taken, 1);
    assert_eq!(seqs(&scratch.part()), (1..=8).collect::<Vec<_>>());
}

/// Seen red when a failed attempt's lines stayed in the file.
#[test]
fn what_was_written_but_not_synced_is_written_again_in_its_place() {
    let scratch = Scratch::new();
    let mut kind = FilesKind::new(&scratch.settings(|_| {}));
    assert_eq!(send(&mut kind, 1..=2, Mono(0)).taken, 2);
    let mut part = OpenOptions::new().append(true).open(scratch.part()).unwrap();
    part.write_all(b"half of an attempt that failed").unwrap();
    assert_eq!(send(&mut kind, 3..=4, Mono(0)).taken, 2);
    assert_eq!(seqs(&scratch.part()), [1, 2, 3, 4]);
}

#[test]
fn a_directory_that_is_gone_is_an_outage_and_is_not_created() {
    let scratch = Scratch::new();
    let stick = scratch.0.join("stick");
    let path = format!("{}/{{seq}}.ndjson", stick.display());
    let mut kind = FilesKind::new(&scratch.settings(|raw| raw.path = path));
    let reply = send(&mut kind, 1..=1, Mono(0));
    assert_eq!((reply.taken, reply.rest), (0, RequestOutcome::Failed { retry_after: None }));
    assert!(reply.note.contains("mount the disk or create the directory"), "{}", reply.note);
    assert!(!stick.exists() && kind.probe().is_err());
    fs::create_dir(&stick).unwrap();
    assert_eq!(send(&mut kind, 1..=1, Mono(0)).taken, 1);
    // Another stick is put in: what is delivered from now on is on that one.
    fs::remove_dir_all(&stick).unwrap();
    fs::create_dir(&stick).unwrap();
    assert_eq!(send(&mut kind, 2..=2, Mono(0)).taken, 1);
}

/// Mutant seen red: no look at the mount point.
#[test]
fn nothing_is_written_below_a_mount_point_on_which_nothing_is_mounted() {
    let scratch = Scratch::new();
    let here = scratch.0.clone();
    let mut kind = FilesKind::new(&scratch.settings(|raw| raw.mount_point = Some(here)));
    let reply = send(&mut kind, 1..=1, Mono(0));
    assert!(reply.taken == 0 && reply.note.contains("is not mounted: mount it"), "{}", reply.note);
    assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 0);
}

#[test]
fn a_mount_that_goes_away_while_running_is_noticed() {
    let scratch = Scratch::new();
    let mut kind = FilesKind::new(&scratch.settings(|_| {}));
    assert_eq!(send(&mut kind, 1..=1, Mono(0)).taken, 1);
    kind.mount = Some("/mnt/stick".into());
    let reply = send(&mut kind, 2..=2, Mono(0));
    assert!(reply.taken == 0 && reply.note.contains("/mnt/stick is no longer mounted"), "{}", reply.note);
}

/// Seen red without `keep_bytes` in `finish`.
#[test]
fn the_oldest_files_are_removed_and_others_stay() {
    let scratch = Scratch::new();
    let settings = scratch.settings(|raw| {
        raw.rotate_bytes = 4_096;
        raw.keep_bytes = Some(16_384);
    });
    fs::write(scratch.0.join("holiday.jpg"), "not ours").unwrap();
    let mut kind = FilesKind::new(&settings);
    for seq in 1..=40 {
        assert_eq!(send(&mut kind, seq..=seq, Mono(0)).taken, 1);
    }
    let files = scratch.finished();
    let kept: u64 = files.iter().map(|file| fs::metadata(file).unwrap().len()).sum();
    assert!(kept <= 16_384 && !files.is_empty(), "{kept}");
    let mut all: Vec<u64> = files.iter().flat_map(|file| seqs(file)).collect();
    all.extend(seqs(&scratch.part()));
    assert_eq!(all.last(), Some(&40));
    assert!(all.windows(2).all(|pair| pair[1] == pair[0] + 1), "the newest without a hole: {all:?}");
    assert!(scratch.0.join("holiday.jpg").exists());
}

#[test]
fn columns_are_named_by_the_first_line_and_other_inputs_begin_another_file() {
    let scratch = Scratch::new();
    let settings = scratch.settings(|raw| {
        raw.format = LineFormat::Csv;
        raw.path = raw.path.replace("ndjson", "csv");
    });
    assert_eq!(send(&mut FilesKind::new(&settings), 1..=2, Mono(0)).taken, 2);
    let mut kind = FilesKind::new(&settings);
    assert_eq!(send(&mut kind, 2..=3, Mono(0)).taken, 2);
    let text = fs::read_to_string(scratch.part()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let columns = lines[0].split(',').count();
    assert!(lines[0].starts_with("time,device,boot,sequence,") && columns == 8 + 28 * 4, "{}", lines[0]);
    assert_eq!(lines.len(), 4);
    assert!(lines.iter().all(|line| line.split(',').count() == columns));
    assert!(settings.delivery.types.matches("io.mycelium.window.v1"));
    assert!(!settings.delivery.types.matches("io.mycelium.gap.v1"));
}
