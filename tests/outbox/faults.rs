//! Every kind of damage to every kind of file. The claim: one fault costs at most the records it touched,
//! never the start, never a wrong byte, and what it costs is said by a gap record.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::support::outbox::{CrashDisk, EVENT, NOW, identity, name, open, payload, policy, stamp};
use mycelium_daemon::clock::BootId;
use mycelium_outbox::check::{CheckReport, inspect_storage};
use mycelium_outbox::format::crc;
use mycelium_outbox::format::cursor::{CURSOR_FILE_BYTES, SLOT_BYTES, SLOT_STRIDE_BYTES};
use mycelium_outbox::format::file_name::segment_file_name;
use mycelium_outbox::format::record::{COMMIT_MARKER_BYTES, DecodedItem, RECORD_HEADER_BYTES, decode_at};
use mycelium_outbox::format::segment::SEGMENT_HEADER_BYTES;
use mycelium_outbox::{Gap, GapReason, Outbox, OutboxError, Position, RecordBatch, RecordKind};

const RECORDS: u64 = 230;
const DEVICE: &str = "edge-1";

/// A directory as a process leaves it that is killed: three segments and a part of a fourth.
struct WrittenLog {
    disk: CrashDisk,
    payloads: BTreeMap<u64, Vec<u8>>,
    /// File and bytes of every record, by sequence number.
    places: BTreeMap<u64, (String, Range<usize>)>,
    /// Where the commits of each file end.
    ends: BTreeMap<String, usize>,
}

impl WrittenLog {
    fn new() -> Self {
        let disk = CrashDisk::new();
        let mut outbox = open(&disk, 1, policy(), &["hub"]);
        let mut payloads = BTreeMap::new();
        for n in 1..=RECORDS {
            let bytes = payload(1, n);
            outbox.append(EVENT, stamp(n, 1, true), &bytes, NOW).unwrap();
            payloads.insert(n, bytes);
        }
        assert!(outbox.flush(NOW));
        let mut original = Self { disk, payloads, places: BTreeMap::new(), ends: BTreeMap::new() };
        original.find_places();
        assert!(original.ends.len() >= 4, "{:?}", original.ends);
        original
    }

    fn find_places(&mut self) {
        for number in 1.. {
            let file = segment_file_name(number);
            if !self.disk.names().contains(&file) {
                return;
            }
            let bytes = self.disk.contents(&file);
            let mut at = SEGMENT_HEADER_BYTES;
            while let DecodedItem::Record(header) = decode_at(&bytes[at..], number) {
                let end = at + header.record_len();
                self.places.insert(header.meta.seq, (file.clone(), at..end));
                at = end;
            }
            assert!(matches!(decode_at(&bytes[at..], number), DecodedItem::Marker(_)));
            self.ends.insert(file, at + COMMIT_MARKER_BYTES);
        }
    }

    fn files(&self) -> Vec<String> {
        self.ends.keys().cloned().collect()
    }

    /// Records with a byte in `range` of `file`.
    fn touched(&self, file: &str, range: &Range<usize>) -> BTreeSet<u64> {
        let hit = |(f, r): &(String, Range<usize>)| f == file && r.start < range.end && range.start < r.end;
        self.places.iter().filter(|(_, place)| hit(place)).map(|(&seq, _)| seq).collect()
    }

    /// The disk with one file changed.
    fn with(&self, file: &str, contents: Option<Vec<u8>>) -> CrashDisk {
        let disk = self.disk.restarted();
        disk.put(file, contents);
        disk
    }

    /// The claim, for a disk on which a fault touched these records.
    fn check(&self, disk: &CrashDisk, touched: &BTreeSet<u64>, why: &str) -> Drained {
        let drained = drain(disk);
        let mut last = 0;
        for (&seq, bytes) in &drained.events {
            assert_eq!(self.payloads.get(&seq), Some(bytes), "{why}: record {seq} has wrong bytes");
        }
        for &seq in &drained.order {
            assert!(seq > last, "{why}: {seq} came after {last}");
            last = seq;
        }
        let lost: BTreeSet<u64> = (1..=RECORDS).filter(|n| !drained.events.contains_key(n)).collect();
        assert!(lost.is_subset(touched), "{why}: lost {lost:?}, touched {touched:?}");
        for &seq in &lost {
            // Position and sequence number agree in a first boot.
            let announced = |g: &Gap| (g.from.0 <= seq && seq <= g.through.0) || g.reason == GapReason::Torn;
            assert!(drained.gaps.iter().any(announced), "{why}: {seq} was not reported: {:?}", drained.gaps);
        }
        drained
    }

    fn verify(disk: &CrashDisk) -> CheckReport {
        inspect_storage(&mut disk.clone(), &mut |_, _| {}).unwrap()
    }
}

struct Drained {
    events: BTreeMap<u64, Vec<u8>>,
    order: Vec<u64>,
    gaps: Vec<Gap>,
    devices: BTreeSet<String>,
    warnings: Vec<String>,
}

fn drain(disk: &CrashDisk) -> Drained {
    let mut outbox = open(disk, 2, policy(), &["hub"]);
    let warnings = outbox.warnings().to_vec();
    outbox.append(EVENT, stamp(1, 1, true), b"the end", NOW).unwrap();
    let mut drained =
        Drained { events: BTreeMap::new(), order: vec![], gaps: vec![], devices: BTreeSet::new(), warnings };
    let mut batch = RecordBatch::default();
    for _ in 0..100 {
        assert!(outbox.flush(NOW));
        outbox.fetch(0, 64, 1 << 20, &mut batch, NOW).unwrap();
        if batch.is_empty() && outbox.status().endpoints[0].lag == 0 {
            return drained;
        }
        for entry in &batch.records {
            drained.devices.insert(entry.device.to_string());
            let bytes = batch.payload(entry);
            match Gap::decode(bytes).filter(|_| entry.meta.kind == RecordKind::GAP) {
                Some(gap) => drained.gaps.push(gap),
                None if entry.meta.boot == BootId(1) => {
                    drained.order.push(entry.meta.seq);
                    drained.events.insert(entry.meta.seq, bytes.to_vec());
                }
                None => {}
            }
        }
        outbox.ack(0, batch.through, NOW).unwrap();
    }
    panic!("does not come to an end");
}

#[test]
fn an_undamaged_directory_comes_back_whole_and_is_sound() {
    let original = WrittenLog::new();
    let drained = original.check(&original.disk.restarted(), &BTreeSet::new(), "no fault");
    assert_eq!((drained.gaps, drained.warnings), (vec![], vec![]));
    let report = WrittenLog::verify(&original.disk);
    assert!(report.is_sound(), "{:?}", report.findings);
    assert_eq!(report.records, RECORDS);
}

/// Mutants this was seen to fail with: no header CRC (a length is believed), no payload CRC (wrong bytes), no
/// search for the next record after a bad one, segments with a bad header left out.
#[test]
fn a_flipped_bit_costs_at_most_the_record_it_is_in_and_verify_sees_it() {
    let original = WrittenLog::new();
    let mut rng = fastrand::Rng::with_seed(1);
    for file in original.files() {
        let clean = original.disk.contents(&file);
        let first = original.places.values().find(|(f, _)| *f == file).unwrap().1.clone();
        let end = original.ends[&file];
        // Every bit of both headers, of the last mark, and some of everything else.
        let mut bits: Vec<usize> = (0..(first.start + RECORD_HEADER_BYTES) * 8).step_by(3).collect();
        bits.extend((end - COMMIT_MARKER_BYTES) * 8..end * 8);
        bits.extend((0..150).map(|_| rng.usize(0..end * 8)));
        for bit in bits {
            let mut bad = clean.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let disk = original.with(&file, Some(bad));
            let touched = original.touched(&file, &(bit / 8..bit / 8 + 1));
            let report = WrittenLog::verify(&disk);
            assert!(!report.is_sound(), "{file}, bit {bit}: verify says it is sound");
            let drained = original.check(&disk, &touched, &format!("{file}, bit {bit}"));
            assert_eq!(drained.devices, BTreeSet::from([DEVICE.to_owned()]), "{file}, bit {bit}");
        }
    }
}

#[test]
fn a_zeroed_or_scrambled_block_costs_at_most_the_records_in_it() {
    let original = WrittenLog::new();
    let mut rng = fastrand::Rng::with_seed(2);
    for file in original.files() {
        let clean = original.disk.contents(&file);
        for round in 0..120 {
            let len = [512, 4_096, 16_384][round % 3];
            let at = if round < 6 { 0 } else { rng.usize(0..original.ends[&file]) / 512 * 512 };
            let range = at..clean.len().min(at + len);
            let mut bad = clean.clone();
            if round % 2 == 0 {
                bad[range.clone()].fill(0);
            } else {
                bad[range.clone()].iter_mut().for_each(|b| *b = rng.u8(..));
            }
            let disk = original.with(&file, Some(bad));
            original.check(&disk, &original.touched(&file, &range), &format!("{file}, block {range:?}"));
        }
    }
}

#[test]
fn a_block_written_to_the_wrong_place_or_not_at_all_hands_out_no_wrong_byte() {
    let original = WrittenLog::new();
    let mut rng = fastrand::Rng::with_seed(3);
    let files = original.files();
    for round in 0..200 {
        let (from, to) = (rng.choice(&files).unwrap(), rng.choice(&files).unwrap());
        let source = original.disk.contents(from);
        let mut bad = original.disk.contents(to);
        let len = 4_096;
        let at = rng.usize(0..bad.len() / len - 1) * len;
        let from_at = rng.usize(0..source.len() / len - 1) * len;
        bad[at..at + len].copy_from_slice(&source[from_at..from_at + len]);
        let disk = original.with(to, Some(bad));
        original.check(&disk, &original.touched(to, &(at..at + len)), &format!("round {round}"));
    }
}

/// A disk that forgets a write gives back what stood there before, marks of earlier commits included.
///
/// Mutant seen red: a mark is believed although records are missing before the next segment.
#[test]
fn a_block_that_went_back_to_what_it_was_costs_at_most_the_records_in_it() {
    let original = WrittenLog::new();
    let disk = CrashDisk::new();
    let mut outbox = open(&disk, 1, policy(), &["hub"]);
    let file = segment_file_name(2);
    let last = original.disk.contents(&file);
    let mut before = Vec::new();
    let mut tried = 0;
    for n in 1..=RECORDS {
        outbox.append(EVENT, stamp(n, 1, true), &payload(1, n), NOW).unwrap();
        if !disk.names().contains(&file) {
            continue;
        }
        let now = disk.contents(&file);
        for at in (0..last.len()).step_by(512) {
            let range = at..last.len().min(at + 512);
            let changed = before.len() == now.len() && now[range.clone()] != before[range.clone()];
            if changed && now[range.clone()] != last[range.clone()] {
                let mut bad = last.clone();
                bad[range.clone()].copy_from_slice(&now[range.clone()]);
                let touched = original.touched(&file, &range);
                original.check(&original.with(&file, Some(bad)), &touched, &format!("block {range:?}"));
                tried += 1;
            }
        }
        before = now;
    }
    assert!(tried > 5, "{tried}");
}

#[test]
fn a_cut_file_costs_what_was_cut_off() {
    let original = WrittenLog::new();
    let mut rng = fastrand::Rng::with_seed(4);
    for file in original.files() {
        let clean = original.disk.contents(&file);
        let mut cuts = vec![0, 1, SEGMENT_HEADER_BYTES - 1, SEGMENT_HEADER_BYTES, SEGMENT_HEADER_BYTES + 1];
        cuts.extend((0..60).map(|_| rng.usize(0..original.ends[&file])));
        for cut in cuts {
            let disk = original.with(&file, Some(clean[..cut].to_vec()));
            let last = *original.files().last().unwrap() == file;
            if last && cut < SEGMENT_HEADER_BYTES {
                continue; // nothing is left that says there was a file
            }
            let touched = original.touched(&file, &(cut..clean.len()));
            original.check(&disk, &touched, &format!("{file} cut at {cut}"));
        }
    }
}

/// Mutants seen red: a second file with the number of another taken for a segment; without the number in the CRC, the
/// copy that lost its header taken for one.
#[test]
fn missing_double_and_swapped_segments_cost_what_is_missing_and_nothing_twice() {
    let original = WrittenLog::new();
    let files = original.files();
    let whole = |file: &str| original.touched(file, &(0..usize::MAX));
    for file in &files[..files.len() - 1] {
        let disk = original.with(file, None);
        // Was sound where the first was missing: only neighbours were compared.
        assert!(!WrittenLog::verify(&disk).is_sound(), "{file} is missing");
        let drained = original.check(&disk, &whole(file), &format!("{file} is missing"));
        assert_eq!(drained.events.len() as u64, RECORDS - whole(file).len() as u64);
    }
    let (a, b) = (original.disk.contents(&files[0]), original.disk.contents(&files[2]));
    let disk = original.with(&files[0], Some(b.clone()));
    disk.put(&files[2], Some(a.clone()));
    assert!(!WrittenLog::verify(&disk).is_sound());
    original.check(&disk, &BTreeSet::new(), "two names were swapped");

    let disk = original.with(&segment_file_name(77), Some(a.clone()));
    let drained = original.check(&disk, &BTreeSet::new(), "a copy under another name");
    assert!(drained.warnings[0].contains(&segment_file_name(77)), "{:?}", drained.warnings);
    assert_eq!(disk.contents(&segment_file_name(77)), a, "left alone");

    // Nothing but the CRC of each record says whose it is.
    let headless = [&[0; SEGMENT_HEADER_BYTES], &a[SEGMENT_HEADER_BYTES..]].concat();
    let disk = original.with(&segment_file_name(77), Some(headless.clone()));
    let drained = original.check(&disk, &BTreeSet::new(), "a copy without its header under another name");
    assert!(drained.warnings[0].contains(&segment_file_name(77)), "{:?}", drained.warnings);
    assert_eq!(disk.contents(&segment_file_name(77)), headless, "left alone");
}

#[test]
fn foreign_files_are_mentioned_and_left_alone() {
    let original = WrittenLog::new();
    let disk = original.disk.restarted();
    let foreign = ["notes.txt", "00000000000000ff.seg", "x.cursor.bak"];
    for file in foreign {
        disk.put(file, Some(b"somebody's".to_vec()));
    }
    let drained = original.check(&disk, &BTreeSet::new(), "foreign files");
    for file in foreign {
        assert!(drained.warnings.iter().any(|r| r.contains(file)), "{file}: {:?}", drained.warnings);
        assert_eq!(disk.contents(file), b"somebody's");
    }
}

#[test]
fn a_newer_directory_is_refused_with_a_clear_message_and_not_changed() {
    let original = WrittenLog::new();
    let file = &original.files()[1];
    let mut newer = original.disk.contents(file);
    newer[8] = 2;
    let prefix = crc(&newer[..12]).to_le_bytes();
    newer[12..16].copy_from_slice(&prefix);
    let disk = original.with(file, Some(newer.clone()));
    let refused = Outbox::open(disk.clone(), policy(), &identity(2), &[name("hub")], NOW).unwrap_err();
    assert!(matches!(refused, OutboxError::Newer { version: 2, .. }), "{refused}");
    assert!(refused.to_string().contains("format version 2"), "{refused}");
    assert_eq!(disk.contents(file), newer);
}

/// A directory with a cursor: 40 records acknowledged, the next 10 frozen.
fn with_cursor() -> (WrittenLog, Position) {
    let original = WrittenLog::new();
    let mut outbox = open(&original.disk, 2, policy(), &["hub"]);
    let mut batch = RecordBatch::default();
    outbox.fetch(0, 40, 1 << 20, &mut batch, NOW).unwrap();
    let acked = batch.through;
    outbox.freeze(0, acked, 0, NOW).unwrap();
    outbox.ack(0, acked, NOW).unwrap();
    outbox.fetch(0, 10, 1 << 20, &mut batch, NOW).unwrap();
    outbox.freeze(0, batch.through, 0, NOW).unwrap();
    (original, acked)
}

#[test]
fn a_damaged_cursor_sends_again_and_never_skips() {
    let (original, acked) = with_cursor();
    let clean = original.disk.contents("hub.cursor");
    assert_eq!(clean.len(), CURSOR_FILE_BYTES);
    let (newer, older) = (SLOT_STRIDE_BYTES, 0);
    let fetched = |contents: Vec<u8>| {
        let disk = original.with("hub.cursor", Some(contents));
        let mut outbox = open(&disk, 3, policy(), &["hub"]);
        let mut batch = RecordBatch::default();
        outbox.fetch(0, 100, 1 << 20, &mut batch, NOW).unwrap();
        (batch.records[0].meta.position, batch.records.len(), batch.frozen, outbox.warnings().len())
    };
    assert_eq!(fetched(clean.clone()), (acked.next(), 10, true, 0), "undamaged");
    for bit in 0..SLOT_BYTES * 8 {
        let mut bad = clean.clone();
        bad[newer + bit / 8] ^= 1 << (bit % 8);
        let want = (Position(1), 40, true, 1);
        assert_eq!(fetched(bad), want, "bit {bit} of the newer slot: the batch before is repeated");
        let mut bad = clean.clone();
        bad[older + bit / 8] ^= 1 << (bit % 8);
        assert_eq!(fetched(bad), (acked.next(), 10, true, 1), "bit {bit} of the older slot");
    }
    let mut half = clean.clone();
    half[newer + SLOT_BYTES / 2..newer + SLOT_BYTES].fill(0);
    assert_eq!(fetched(half), (Position(1), 40, true, 1), "half-written");
    let (first, _, frozen, _) = fetched(vec![0xEE; CURSOR_FILE_BYTES]);
    assert_eq!((first, frozen), (Position(1), false), "nothing is known: from the oldest record on");
}

/// The older slot does not know that records were taken whose segment is gone; that is no loss.
#[test]
fn falling_back_to_the_older_slot_reports_no_loss_of_what_was_taken() {
    let (original, _) = with_cursor();
    let mut outbox = open(&original.disk, 3, policy(), &["hub"]);
    outbox.ack(0, Position(150), NOW).unwrap();
    assert!(outbox.flush(NOW));
    assert!(!original.disk.names().contains(&original.files()[0]), "given back");
    let mut bad = original.disk.contents("hub.cursor");
    bad[..SLOT_BYTES].fill(0xEE);
    let drained = drain(&original.with("hub.cursor", Some(bad)));
    assert_eq!(drained.gaps, []);
    let sent_again = *drained.order.first().unwrap();
    assert!((58..150).contains(&sent_again), "{sent_again}");
}

#[test]
fn a_cursor_that_says_nothing_is_kept_aside() {
    let (original, _) = with_cursor();
    let disk = original.with("hub.cursor", Some(vec![0xEE; 100]));
    let outbox = open(&disk, 3, policy(), &["hub"]);
    assert!(outbox.warnings()[0].contains("hub.cursor.damaged.1"), "{:?}", outbox.warnings());
    assert_eq!(disk.contents("hub.cursor.damaged.1"), vec![0xEE; 100]);
}

/// Regression: positions handed out after the end of the log was lost must not hide behind the cursor.
#[test]
fn a_lost_end_does_not_hide_new_records_behind_the_cursor() {
    let (original, _) = with_cursor();
    let disk = original.disk.restarted();
    let segments = disk.names().into_iter().filter(|n| n.contains(".seg"));
    segments.for_each(|file| disk.put(&file, None));
    let mut outbox = open(&disk, 3, policy(), &["hub"]);
    outbox.append(EVENT, stamp(1, 1, true), b"new", NOW).unwrap();
    let mut batch = RecordBatch::default();
    let mut got = Vec::new();
    for _ in 0..10 {
        assert!(outbox.flush(NOW));
        outbox.fetch(0, 100, 1 << 20, &mut batch, NOW).unwrap();
        got.extend(batch.records.iter().map(|e| batch.payload(e).to_vec()));
        outbox.ack(0, batch.through, NOW).unwrap();
    }
    assert!(got.contains(&b"new".to_vec()));
}

#[test]
fn a_cursor_of_no_endpoint_holds_nothing_back_and_is_kept() {
    let (original, acked) = with_cursor();
    let disk = original.disk.restarted();
    let mut outbox = open(&disk, 3, policy(), &["other"]);
    assert!(outbox.warnings().iter().any(|r| r.contains("hub.cursor")), "{:?}", outbox.warnings());
    let mut batch = RecordBatch::default();
    outbox.fetch(0, 1, 1 << 20, &mut batch, NOW).unwrap();
    assert_eq!(batch.records[0].meta.position, Position(1), "a new endpoint starts at the oldest record");
    outbox.ack(0, outbox.readable(), NOW).unwrap();
    assert!(outbox.flush(NOW));
    assert_eq!(outbox.status().segments, 1, "what `other` has taken is given back");
    assert!(disk.names().contains(&"hub.cursor".to_owned()));
    assert!(acked > Position(0));
}
