//! Files of format version 1 as they were first written are committed under `fixtures/outbox/v1` and, of a device that
//! had a harder life, `fixtures/outbox/v1-losses`: every later program reads them, and one that writes other bytes for
//! the same records has to raise the version.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::outbox::{EVENT, NOW, WINDOW, identity, name, policy, stamp};
use mycelium_core::signals::{SampleBlock, SignalOutput, SignalSpike, SignalWindow};
use mycelium_core::window::{EventCounts, FeatureWindow, WindowBuilder};
use mycelium_daemon::clock::Wall;
use mycelium_daemon::events::{EVENT as STORED_EVENT, StoredEvent};
use mycelium_daemon::signals::record::{StoredOutput, StoredSignal, encode};
use mycelium_outbox::format::record::{DecodedItem, RECORD_HEADER_BYTES, RecordHeader, decode_at, seal};
use mycelium_outbox::format::segment::{HeaderStatus, SEGMENT_HEADER_BYTES, SegmentHeader};
use mycelium_outbox::storage::DiskStorage;
use mycelium_outbox::{
    BatchRecord, DeadLetter, DeadLetterRecord, Gap, GapReason, Outbox, OutboxPolicy, Position, RecordBatch,
    RecordGroup, RecordKind, RecordMeta, SafeName, check,
};

const FILES: [&str; 4] = ["0000000000000001.seg", "0000000000000002.seg", "dead.log", "hub.cursor"];
const LOSSES: [&str; 5] =
    ["0000000000000002.seg", "0000000000000003.seg", "dead.log", "hub.cursor", "lab.cursor"];
const EVENTS: [&str; 1] = ["0000000000000001.seg"];
const SIGNALS: [&str; 1] = EVENTS;
const TRUE_WALL: i64 = 1_700_000_000_000;

fn fixtures(of: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/outbox").join(of)
}

/// A new directory, removed unless the test fails.
fn scratch(name: &str) -> PathBuf {
    let data = std::env::temp_dir().join(format!("mycelium-outbox-compat-{name}-{}", std::process::id()));
    fs::create_dir_all(data.join("outbox")).unwrap();
    data
}

/// A directory with the files as they were first written.
fn restored(of: &str, files: &[&str], name: &str) -> PathBuf {
    let data = scratch(name);
    for file in files {
        fs::copy(fixtures(of).join(file), data.join("outbox").join(file)).unwrap();
    }
    data
}

fn open(data: &Path, boot: u64, endpoints: &[&str]) -> Outbox<DiskStorage> {
    let disk = DiskStorage::new(data.join("outbox"));
    let names: Vec<_> = endpoints.iter().map(|n| name(n)).collect();
    Outbox::open(disk, OutboxPolicy { ..policy() }, &identity(boot), &names, NOW).unwrap()
}

fn window() -> FeatureWindow {
    let mut builder = WindowBuilder::new(1);
    builder.sample(&std::array::from_fn(|k| k as f64 * 0.5));
    builder.sample(&std::array::from_fn(|k| -(k as f64)));
    builder.count(&EventCounts { growth_events: 3, stimuli: 1, ..EventCounts::default() });
    builder.finish(600).unwrap()
}

/// Two lives of a device: unsynced records, a batch taken, one frozen, the clock found, a dead letter.
fn write(data: &Path) {
    let mut outbox = open(data, 1, &["hub"]);
    let window = fs::read(fixtures("window-1.bin")).unwrap();
    outbox.append(WINDOW, stamp(1_000, 5, false), &window, NOW).unwrap();
    outbox.append(EVENT, stamp(2_000, 1_005, false), b"{\"door\":\"open\"}", NOW).unwrap();
    assert!(outbox.flush(NOW));
    let mut batch = RecordBatch::default();
    outbox.fetch(0, 1, 1 << 20, &mut batch, NOW).unwrap();
    outbox.freeze(0, batch.through, batch.epoch, NOW).unwrap();
    outbox.ack(0, batch.through, NOW).unwrap();
    outbox.clock_synced(stamp(10_000, TRUE_WALL, true), NOW);
    outbox.fetch(0, 1, 1 << 20, &mut batch, NOW).unwrap();
    outbox.freeze(0, batch.through, batch.epoch, NOW).unwrap();
    let entry = batch.records[0].clone();
    store_dead_letter(&mut outbox, &batch, &entry, "hub", 400, "no such field");
    drop(outbox);
    let mut outbox = open(data, 2, &["hub"]);
    outbox.append(EVENT, stamp(1, TRUE_WALL + 60_000, true), b"second life", NOW).unwrap();
    assert!(outbox.flush(NOW));
}

/// Two endpoints and three lives: letters sent again and given up, records refused, the oldest segment removed before
/// one endpoint had taken it, a last write that was cut short.
fn write_losses(data: &Path) {
    let mut outbox = open(data, 1, &["hub", "lab"]);
    for text in ["one", "two", "three"] {
        outbox.append(EVENT, stamp(1_000, TRUE_WALL, true), text.as_bytes(), NOW).unwrap();
    }
    assert!(outbox.flush(NOW));
    let mut batch = RecordBatch::default();
    outbox.fetch(0, 10, 1 << 20, &mut batch, NOW).unwrap();
    outbox.freeze(0, batch.through, batch.epoch, NOW).unwrap();
    for (at, to) in ["hub", "lab", "hub"].into_iter().enumerate() {
        let entry = batch.records[at].clone();
        store_dead_letter(&mut outbox, &batch, &entry, to, 422, "");
    }
    assert_eq!(
        (outbox.replay_dead_letters(&[2]).unwrap(), outbox.discard_dead_letters(&[1]).unwrap()),
        (1, 1)
    );
    outbox.ack(0, batch.through, NOW).unwrap();
    assert!(outbox.flush(NOW));
    drop(outbox);
    let mut outbox = open(data, 2, &["hub", "lab"]);
    outbox.refuse(GapReason::Queue, 1);
    outbox.append(EVENT, stamp(1, TRUE_WALL + 60_000, true), b"second life", NOW).unwrap();
    assert!(outbox.flush(NOW));
    drop(outbox);
    fs::remove_file(data.join("outbox/0000000000000001.seg")).unwrap();
    let mut outbox = open(data, 3, &["hub", "lab"]);
    outbox.append(EVENT, stamp(1, TRUE_WALL + 90_000, true), b"third life", NOW).unwrap();
    assert!(outbox.flush(NOW));
    drop(outbox);
    // Into the event behind header and gap record.
    let last = fs::OpenOptions::new().write(true).open(data.join("outbox/0000000000000003.seg")).unwrap();
    last.set_len(136 + 64 + 100 + 64 + 3).unwrap();
}

/// Two events in one group, one of them with an id that comes again, beside a window; then a second start, which cuts
/// the segment.
fn write_events(data: &Path) {
    let mut outbox = open(data, 1, &[]);
    outbox.append(WINDOW, stamp(1_000, TRUE_WALL, true), &window().encode(), NOW).unwrap();
    let mut group = RecordGroup::new(STORED_EVENT, stamp(2_000, TRUE_WALL + 1_000, true));
    for (event, key) in
        [(plain_event(), None), (complete_event(), Some([7; 16])), (complete_event(), Some([7; 16]))]
    {
        let mut payload = Vec::new();
        event.encode(&mut payload);
        group.push(&payload, key);
    }
    outbox.append_group(&group, NOW).unwrap();
    assert!(outbox.flush(NOW));
    drop(outbox);
    drop(open(data, 2, &[]));
}

/// One output of each kind of a signal.
fn write_signals(data: &Path) {
    let mut outbox = open(data, 1, &[]);
    let (window, spike, block) = signal_outputs();
    for (k, output) in
        [SignalOutput::Window(&window), SignalOutput::Spike(&spike), SignalOutput::Samples(&block)]
            .into_iter()
            .enumerate()
    {
        let mut payload = Vec::new();
        let kind = encode("agar.1", "mV", output, &mut payload);
        let stamp = stamp(1_000 * (k as u64 + 1), TRUE_WALL, true);
        outbox.append(kind, stamp, &payload, NOW).unwrap();
    }
    assert!(outbox.flush(NOW));
    drop(outbox);
    drop(open(data, 2, &[]));
}

fn signal_outputs() -> (SignalWindow, SignalSpike, SampleBlock) {
    let window = SignalWindow {
        start_ms: TRUE_WALL,
        length_ms: 60_000,
        count: 59,
        missing: 1,
        late: 2,
        saturated: 3,
        first_time: TRUE_WALL + 1,
        last_time: TRUE_WALL + 59_001,
        min: Some(-0.5),
        mean: Some(0.25),
        spike_count: Some(1.0),
        ..SignalWindow::default()
    };
    let spike =
        SignalSpike { time_ms: TRUE_WALL, amplitude: 0.4, width_s: 90.0, positive: false, baseline: 0.1 };
    let mut block = SampleBlock::EMPTY;
    assert!(block.push(TRUE_WALL, 0.125) && block.push(TRUE_WALL + 1_000, -0.125));
    (window, spike, block)
}

#[test]
fn signals_of_the_first_version_are_read() {
    let data = restored("v1-signals", &SIGNALS, "signals-read");
    let mut outbox = open(&data, 3, &["hub"]);
    let mut batch = RecordBatch::default();
    outbox.fetch(0, 10, 1 << 20, &mut batch, NOW).unwrap();
    let (window, spike, block) = signal_outputs();
    let wanted = [
        StoredOutput::Window(Box::new(window)),
        StoredOutput::Spike(spike),
        StoredOutput::Samples(Box::new(block)),
    ];
    assert_eq!(batch.records.len(), wanted.len());
    for (record, output) in batch.records.iter().zip(wanted) {
        let found = StoredSignal::decode(record.meta.kind, batch.payload(record));
        assert_eq!(found, Some(StoredSignal { name: "agar.1", unit: "mV", output }));
    }
    drop(outbox);
    fs::remove_dir_all(data).unwrap();
}

fn plain_event() -> StoredEvent<'static> {
    StoredEvent {
        event_type: "com.example.door",
        has_id: false,
        has_source: false,
        has_time: false,
        members: r#""data":{"open" : true, "level":1.50}"#,
    }
}

fn complete_event() -> StoredEvent<'static> {
    StoredEvent {
        event_type: "com.example.\u{e9}",
        has_id: true,
        has_source: true,
        has_time: true,
        members: r#""id":"7","source":"/door","time":"2026-03-01T12:00:00+01:00","data_base64":"AAE=""#,
    }
}

#[test]
fn a_directory_with_events_is_read_as_it_was_meant() {
    let data = restored("v1-events", &EVENTS, "read-events");
    assert!(check::inspect(&data, &mut |_, _| {}).unwrap().is_sound());
    let mut outbox = open(&data, 3, &["hub"]);
    let mut batch = RecordBatch::default();
    outbox.fetch(0, 10, 1 << 20, &mut batch, NOW).unwrap();
    let kinds: Vec<_> = batch.records.iter().map(|record| (record.meta.kind, record.meta.seq)).collect();
    assert_eq!(kinds, [(WINDOW, 1), (STORED_EVENT, 2), (STORED_EVENT, 3)]);
    let stored = |at: usize| StoredEvent::decode(batch.payload(&batch.records[at]));
    assert_eq!((stored(1), stored(2)), (Some(plain_event()), Some(complete_event())));
    drop(outbox);
    fs::remove_dir_all(data).unwrap();
}

fn store_dead_letter(
    outbox: &mut Outbox<DiskStorage>,
    batch: &RecordBatch,
    entry: &BatchRecord,
    to: &str,
    status: u16,
    reason: &str,
) {
    let (meta, device, corrected) = (entry.meta, entry.device.clone(), entry.corrected);
    let (endpoint, payload) = (name(to), batch.payload(entry));
    let record = DeadLetterRecord { meta, device, corrected, endpoint, status, reason, payload };
    outbox.store_dead_letter(&record).unwrap();
}

/// A file as it is written without the priority that one record of the fixtures has: byte 57 of its header, and byte 6
/// of the dead letter that wraps it. Everything else is left as it is.
fn without_priority(mut file: Vec<u8>) -> Vec<u8> {
    let HeaderStatus::Valid(header) = SegmentHeader::decode(&file) else { return file };
    let mut at = SEGMENT_HEADER_BYTES;
    while let DecodedItem::Record(record) = decode_at(&file[at..], header.number) {
        // The last record of one fixture is cut off.
        let Some(bytes) = file.get_mut(at..at + record.record_len()) else { break };
        let payload = &mut bytes[RECORD_HEADER_BYTES..];
        if record.meta.kind == RecordKind::DEAD_LETTER {
            payload[6] = 0;
        }
        let meta = RecordMeta { priority: 0, ..record.meta };
        let header_bytes = RecordHeader::new(meta, record.device_tag, payload).encode_unsealed();
        bytes[..RECORD_HEADER_BYTES].copy_from_slice(&header_bytes);
        seal(bytes, header.number);
        at += record.record_len();
    }
    file
}

#[test]
fn a_directory_of_version_1_is_read_as_it_was_meant() {
    let data = restored("v1", &FILES, "read");
    let report = check::inspect(&data, &mut |_, _| {}).unwrap();
    assert!(report.is_sound(), "{:?}", report.findings);
    assert_eq!((report.records, report.segments.len(), report.dead_letters), (4, 2, 1));

    let mut outbox = open(&data, 3, &["hub"]);
    assert_eq!(outbox.warnings(), [] as [String; 0]);
    let mut batch = RecordBatch::default();
    outbox.fetch(0, 10, 1 << 20, &mut batch, NOW).unwrap();
    assert!(batch.frozen);
    let door = &batch.records[0];
    assert_eq!(door.event_id(), "edge-1-0000000000000001-2");
    assert_eq!((door.meta.kind, door.meta.priority, door.meta.position), (EVENT, 3, Position(2)));
    assert_eq!((door.wall(), door.clock()), (Wall(TRUE_WALL - 8_000), "corrected"));
    assert_eq!(batch.payload(door), b"{\"door\":\"open\"}");
    outbox.ack(0, batch.through, NOW).unwrap();
    outbox.fetch(0, 10, 1 << 20, &mut batch, NOW).unwrap();
    let kinds: Vec<(RecordKind, String)> =
        batch.records.iter().map(|e| (e.meta.kind, e.event_id())).collect();
    let want = [(RecordKind::CLOCK_SYNC, "edge-1-0000000000000001-3"), (EVENT, "edge-1-0000000000000002-1")];
    assert_eq!(kinds, want.map(|(kind, id)| (kind, id.to_owned())));
    assert_eq!(batch.payload(&batch.records[1]), b"second life");

    let dead_letters: Vec<DeadLetter> = outbox.list_dead_letters(10).unwrap();
    assert_eq!(
        (dead_letters[0].event_id.as_str(), dead_letters[0].status),
        ("edge-1-0000000000000001-2", 400)
    );
    assert_eq!(
        (dead_letters[0].endpoint.as_str(), dead_letters[0].reason.as_str()),
        ("hub", "no such field")
    );
    drop(outbox);
    fs::remove_dir_all(data).unwrap();
}

#[test]
fn the_first_record_of_version_1_is_the_window_that_was_put_in() {
    let data = restored("v1", &FILES, "window");
    let mut windows = Vec::new();
    check::inspect(&data, &mut |header, payload| {
        if header.meta.kind == WINDOW {
            windows.push(FeatureWindow::decode(payload).unwrap());
        }
    })
    .unwrap();
    let [read] = &windows[..] else { panic!("{} windows", windows.len()) };
    assert_older(read, &window());
    fs::remove_dir_all(data).unwrap();
}

/// Versions 1 and 2 of the window have the first 24 features; all others are unknown. The features differ, the rest is
/// the same.
fn assert_older(read: &FeatureWindow, window: &FeatureWindow) {
    assert_eq!(read.features[..24], window.features[..24]);
    assert!(read.features.len() > 24);
    for later in &read.features[24..] {
        assert!([later.min, later.mean, later.max, later.last].iter().all(|value| value.is_nan()));
    }
    assert_eq!(FeatureWindow { features: window.features, ..read.clone() }, *window);
}

/// Version 2 of the window has a summary for each input behind the features, version 3 the number of features before
/// them.
#[test]
fn a_window_with_inputs_is_read_and_written_as_it_was_first_written() {
    let mut builder =
        WindowBuilder::new(1).with_inputs(["air.celsius".into(), "silent".into(), "door".into()]);
    builder.sample(&std::array::from_fn(|k| k as f64 * 0.5));
    builder.input(0, 21.5);
    builder.input(0, 20.25);
    builder.input(2, 1.0);
    builder.count(&EventCounts { stimuli: 2, ..EventCounts::default() });
    let window = builder.finish(600).unwrap();
    let ever = fs::read(fixtures("window-2.bin")).unwrap();
    assert_older(&FeatureWindow::decode(&ever).unwrap(), &window);
    let ever = fs::read(fixtures("window-3.bin")).unwrap();
    assert_eq!(FeatureWindow::decode(&ever).as_ref(), Ok(&window));
    assert!(window.encode() == ever, "the bytes differ: raise the version");
}

/// Everything that is still to come for an endpoint: events by their text, gaps as they are.
fn drain(outbox: &mut Outbox<DiskStorage>, endpoint: usize) -> Vec<(String, Result<String, Gap>)> {
    let (mut all, mut batch) = (Vec::new(), RecordBatch::default());
    loop {
        assert!(outbox.flush(NOW), "{:?}", outbox.degraded());
        outbox.fetch(endpoint, 10, 1 << 20, &mut batch, NOW).unwrap();
        if batch.is_empty() {
            return all;
        }
        for entry in &batch.records {
            let bytes = batch.payload(entry);
            let what = match entry.meta.kind {
                RecordKind::GAP => Err(Gap::decode(bytes).unwrap()),
                _ => Ok(String::from_utf8(bytes.to_vec()).unwrap()),
            };
            all.push((entry.event_id(), what));
        }
        outbox.ack(endpoint, batch.through, NOW).unwrap();
    }
}

#[test]
fn losses_dead_letters_and_a_torn_end_of_version_1_are_read() {
    let data = restored("v1-losses", &LOSSES, "losses");
    let report = check::inspect(&data, &mut |_, _| {}).unwrap();
    assert_eq!(
        (report.is_sound(), report.records, report.segments.len(), report.dead_letters),
        (false, 3, 2, 2)
    );

    let mut outbox = open(&data, 4, &["hub", "lab"]);
    let torn = "the last write before the stop was not completed: up to 67 bytes were skipped";
    assert_eq!(outbox.warnings(), [torn]);
    let gap = |reason, records, bytes, (from, through), endpoint: &str| {
        let (from, through, endpoint) =
            (Position(from), Position(through), SafeName::or_empty(endpoint).unwrap());
        Err(Gap { reason, records, bytes, from, through, endpoint })
    };
    let want = [
        ("edge-1-0000000000000002-1", gap(GapReason::Queue, 1, 0, (0, 0), "")),
        ("edge-1-0000000000000002-2", Ok("second life".to_owned())),
        ("edge-1-0000000000000003-1", gap(GapReason::Missing, 3, 0, (1, 3), "lab")),
        ("edge-1-0000000000000004-1", gap(GapReason::Torn, 0, 67, (7, 1_030), "")),
    ]
    .map(|(id, what)| (id.to_owned(), what));
    for endpoint in [0, 1] {
        assert_eq!(drain(&mut outbox, endpoint), want);
    }

    let dead_letters = outbox.list_dead_letters(10).unwrap();
    let announced: Vec<_> = dead_letters.iter().map(|l| (l.id, l.endpoint.as_str(), l.replay)).collect();
    assert_eq!(announced, [(2, "lab", true), (3, "hub", false)]);
    let mut batch = RecordBatch::default();
    outbox.fetch_replay(1, 10, 1 << 20, &mut batch).unwrap();
    assert_eq!(batch.payload(&batch.records[0]), b"two");
    drop(outbox);
    fs::remove_dir_all(data).unwrap();
}

#[test]
fn the_same_records_make_the_same_bytes_as_ever() {
    type Case<'a> = (&'a str, &'a [&'a str], fn(&Path));
    let cases: [Case<'_>; 4] = [
        ("v1", &FILES, write),
        ("v1-losses", &LOSSES, write_losses),
        ("v1-events", &EVENTS, write_events),
        ("v1-signals", &SIGNALS, write_signals),
    ];
    for (of, files, write) in cases {
        let data = scratch(of);
        write(&data);
        for file in files {
            let now = fs::read(data.join("outbox").join(file)).unwrap();
            let first_written = without_priority(fs::read(fixtures(of).join(file)).unwrap());
            assert!(now == first_written, "{of}/{file} differs: raise the format version; see {data:?}");
        }
        fs::remove_dir_all(data).unwrap();
    }
}
