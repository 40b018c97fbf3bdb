//! PURE. Encodes records as a `CloudEvents` 1.0 batch in JSON.
//!
//! The encoding is deterministic: the same records give the same bytes. `time` is the wall time of the record, corrected
//! where possible; the extension attribute `clock` (repeated in `data`) tells how reliable it is: `synced`, `corrected`
//! or `unsynced`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::source::{self, Record, RecordKind};
use crate::clock::clock_label;
use crate::events::{EVENT, StoredEvent};
use crate::formats::json::JsonObject;
use crate::formats::signals::{
    SAMPLES_TYPE, SPIKE_TYPE, WINDOW_TYPE, sample_members, spike_members, window_members,
};
use crate::signals::record::{SIGNAL_SAMPLES, SIGNAL_SPIKE, SIGNAL_WINDOW, StoredOutput, StoredSignal};
use mycelium_core::features::FEATURE_NAMES;
use mycelium_core::window::{EventCounts, FeatureWindow, ValueSummary};
use mycelium_outbox::Gap;

/// Media type of a batch (`CloudEvents` JSON format, section 4).
pub const CONTENT_TYPE: &str = "application/cloudevents-batch+json";

/// Event types. The version is increased by incompatible changes.
const WINDOW: &str = "io.mycelium.window.v1";
const GAP: &str = "io.mycelium.gap.v1";
const CLOCK: &str = "io.mycelium.clock.v1";
const OTHER: &str = "io.mycelium.record.v1";

/// Encoded events, concatenated; any number of the first ones makes a body.
#[derive(Debug, Default)]
pub struct Events {
    text: String,
    /// End of each event in `text`.
    ends: Vec<usize>,
}

impl Events {
    pub fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Adds a record unless the body would then be longer than `max_bytes`; the first always fits.
    pub fn push(&mut self, record: &Record, max_bytes: usize) -> bool {
        let before = self.text.len();
        self.text.push(if before == 0 { '[' } else { ',' });
        event(&mut self.text, record);
        if !self.ends.is_empty() && self.text.len() + 1 > max_bytes {
            self.text.truncate(before);
            return false;
        }
        self.ends.push(self.text.len());
        true
    }

    /// The first `count` events as a batch; `count` is at least 1 and at most [`Events::len`].
    pub fn body(&self, count: usize, into: &mut Vec<u8>) {
        into.clear();
        into.extend_from_slice(&self.text.as_bytes()[..self.ends[count - 1]]);
        into.push(b']');
    }
}

/// `<device>-<boot>-<seq>`: unique, and the same for every attempt.
pub fn event_id(record: &Record) -> String {
    record.meta.event_id(&record.device)
}

/// How reliable the event's `time` is.
pub(super) fn clock(record: &Record) -> &'static str {
    clock_label(record.meta.stamp.synced, record.corrected.is_some())
}

/// The `type` of the event; known without decoding JSON.
pub fn type_of(record: &Record) -> &str {
    match (record.meta.kind, StoredEvent::decode(&record.payload)) {
        (EVENT, Some(event)) => event.event_type,
        (kind, _) if payload_of(record).is_some() => event_type(kind),
        _ => OTHER,
    }
}

/// An event of the user's own: its members as they were written, and the attributes they lack.
fn user_event(out: &mut String, record: &Record, stored: &StoredEvent<'_>) {
    let mut event = JsonObject::new(out);
    event.string("specversion", "1.0");
    if !stored.has_id {
        event.string("id", &event_id(record));
    }
    if !stored.has_source {
        event.string("source", &format!("/mycelium/{}", record.device));
    }
    event.string("type", stored.event_type);
    if !stored.has_time {
        event.display("time", record.corrected.unwrap_or(record.meta.stamp.wall));
    }
    extensions(&mut event, record);
    event.members(stored.members);
}

/// The extension attributes of every event.
fn extensions(event: &mut JsonObject<'_>, record: &Record) {
    // The extension `sequence` orders its values as texts.
    event.display("sequence", format_args!("{:020}", record.meta.seq));
    event.display("boot", record.meta.boot);
    event.string("clock", clock(record));
}

/// Appends one event as a JSON object without line breaks.
pub(super) fn event(out: &mut String, record: &Record) {
    if record.meta.kind == EVENT
        && let Some(stored) = StoredEvent::decode(&record.payload)
    {
        return user_event(out, record, &stored);
    }
    let mut data = String::with_capacity(2048);
    let readable = data_of(&mut data, record);
    let mut event = JsonObject::new(out);
    event.string("specversion", "1.0");
    event.string("id", &event_id(record));
    event.string("source", &format!("/mycelium/{}", record.device));
    event.string("type", if readable { event_type(record.meta.kind) } else { OTHER });
    event.display("time", record.corrected.unwrap_or(record.meta.stamp.wall));
    extensions(&mut event, record);
    if readable {
        event.string("datacontenttype", "application/json");
        event.raw("data", &data);
    } else {
        event.string("datacontenttype", "application/octet-stream");
        event.string("data_base64", &STANDARD.encode(&record.payload));
    }
}

/// The type of an event of this kind.
pub(super) fn event_type(kind: RecordKind) -> &'static str {
    match kind {
        source::WINDOW => WINDOW,
        RecordKind::GAP => GAP,
        RecordKind::CLOCK_SYNC => CLOCK,
        SIGNAL_WINDOW => WINDOW_TYPE,
        SIGNAL_SPIKE => SPIKE_TYPE,
        SIGNAL_SAMPLES => SAMPLES_TYPE,
        _ => OTHER,
    }
}

/// The decoded payload.
enum Payload<'a> {
    Window(Box<FeatureWindow>),
    Gap(Gap),
    Clock,
    Signal(StoredSignal<'a>),
}

/// `None` if this program cannot decode it.
fn payload_of(record: &Record) -> Option<Payload<'_>> {
    match record.meta.kind {
        source::WINDOW => FeatureWindow::decode(&record.payload).ok().map(Box::new).map(Payload::Window),
        RecordKind::GAP => Gap::decode(&record.payload).map(Payload::Gap),
        RecordKind::CLOCK_SYNC => Some(Payload::Clock),
        kind => StoredSignal::decode(kind, &record.payload).map(Payload::Signal),
    }
}

/// Writes the event's `data`; false if this program cannot decode the payload.
fn data_of(out: &mut String, record: &Record) -> bool {
    let Some(payload) = payload_of(record) else { return false };
    let mut data = JsonObject::new(out);
    data.string("device", record.device.as_str());
    data.display("boot", record.meta.boot);
    data.integer("seq", record.meta.seq);
    data.string("clock", clock(record));
    data.integer("mono_ms", record.meta.stamp.mono.0 / 1_000_000);
    match payload {
        Payload::Window(window) => window_fields(&mut data, &window),
        Payload::Gap(gap) => gap_fields(&mut data, &gap),
        Payload::Clock => {}
        Payload::Signal(signal) => signal_fields(&mut data, &signal),
    }
    true
}

/// `endpoint` is present if only that endpoint misses the records.
fn gap_fields(data: &mut JsonObject<'_>, gap: &Gap) {
    data.string("reason", gap.reason.name());
    data.integer("records", gap.records);
    data.integer("bytes", gap.bytes);
    data.integer("from", gap.from.0);
    data.integer("through", gap.through.0);
    if !gap.endpoint.as_str().is_empty() {
        data.string("endpoint", gap.endpoint.as_str());
    }
}

/// `unit` is absent if none is configured.
fn signal_fields(data: &mut JsonObject<'_>, signal: &StoredSignal<'_>) {
    data.string("input", signal.name);
    if !signal.unit.is_empty() {
        data.string("unit", signal.unit);
    }
    match &signal.output {
        StoredOutput::Window(window) => window_members(data, window),
        StoredOutput::Spike(spike) => spike_members(data, spike),
        StoredOutput::Samples(block) => sample_members(data, block),
    }
}

fn window_fields(data: &mut JsonObject<'_>, window: &FeatureWindow) {
    data.integer("first_step", window.first_step);
    data.integer("last_step", window.last_step);
    data.integer("samples", window.samples);
    let EventCounts { growth_events, turing_activations, clamping_events, reseeds, stimuli } = window.counts;
    data.object("counts")
        .integer("growth_events", growth_events)
        .integer("turing_activations", turing_activations)
        .integer("clamping_events", clamping_events)
        .integer("reseeds", reseeds)
        .integer("stimuli", stimuli);
    let mut features = data.object("features");
    for (name, summary) in FEATURE_NAMES.iter().zip(&window.features) {
        summary_fields(&mut features.object(name), summary);
    }
    drop(features);
    if window.inputs.is_empty() {
        return;
    }
    let mut inputs = data.object("inputs");
    for input in &window.inputs {
        let mut series = inputs.object(&input.name);
        summary_fields(&mut series, &input.summary);
        series.integer("count", input.count);
    }
}

fn summary_fields(object: &mut JsonObject<'_>, summary: &ValueSummary) {
    object
        .number("min", summary.min)
        .number("mean", summary.mean)
        .number("max", summary.max)
        .number("last", summary.last);
}

#[cfg(test)]
mod tests {
    use super::super::source::{Position, RecordMeta, SafeName};
    use super::*;
    use crate::clock::{BootId, Mono, Stamp, Wall};
    use mycelium_core::features::FEATURE_COUNT;
    use mycelium_core::window::WindowBuilder;

    fn record(seq: u64) -> Record {
        let mut builder = WindowBuilder::new(1);
        builder.sample(&std::array::from_fn(|k| k as f64 / 3.0));
        builder.count(&EventCounts { growth_events: 2, ..EventCounts::default() });
        Record {
            meta: RecordMeta {
                position: Position(seq),
                seq,
                boot: BootId(0xA1),
                kind: source::WINDOW,
                priority: 0,
                stamp: Stamp { mono: Mono(5_000_000_000), wall: Wall(1_700_000_000_123), synced: true },
            },
            corrected: None,
            device: SafeName::new("greenhouse-3").unwrap(),
            payload: builder.finish(600).unwrap().encode(),
        }
    }

    fn with_stamp(stamp: Stamp, corrected: Option<Wall>) -> Record {
        let meta = RecordMeta { stamp, ..record(1).meta };
        Record { meta, corrected, ..record(1) }
    }

    fn body(records: &[Record]) -> String {
        let mut events = Events::default();
        assert!(records.iter().all(|r| events.push(r, usize::MAX)));
        let mut out = Vec::new();
        events.body(records.len(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_event_carries_the_required_attributes_and_the_window() {
        let text = body(&[record(7)]);
        let head = "[{\"specversion\":\"1.0\",\"id\":\"greenhouse-3-00000000000000a1-7\",\
                    \"source\":\"/mycelium/greenhouse-3\",\"type\":\"io.mycelium.window.v1\",\
                    \"time\":\"2023-11-14T22:13:20.123Z\",\"sequence\":\"00000000000000000007\",\
                    \"boot\":\"00000000000000a1\",\"clock\":\"synced\",\
                    \"datacontenttype\":\"application/json\",\"data\":{\"device\":\"greenhouse-3\",\
                    \"boot\":\"00000000000000a1\",\"seq\":7,\"clock\":\"synced\",\"mono_ms\":5000,\
                    \"first_step\":1,\"last_step\":600,\"samples\":1,\"counts\":{\"growth_events\":2,";
        assert!(text.starts_with(head), "{text}");
        assert!(text.contains("\"D_r2\":{\"min\":0.3333333333333333,\"mean\":0.3333333333333333,"), "{text}");
        assert_eq!(text.matches("\"last\":").count(), FEATURE_COUNT);
        assert!(text.ends_with("}}}]"), "{text}");
    }

    #[test]
    fn inputs_are_encoded_after_the_features_if_there_are_any() {
        let mut builder = WindowBuilder::new(1).with_inputs(["greenhouse.temp".into(), "silent".into()]);
        builder.sample(&[0.5; FEATURE_COUNT]);
        builder.input(0, 20.0);
        builder.input(0, 25.0);
        let text = body(&[Record { payload: builder.finish(600).unwrap().encode(), ..record(1) }]);
        let inputs = "\"inputs\":{\"greenhouse.temp\":{\"min\":20.0,\"mean\":22.5,\"max\":25.0,\"last\":25.0,\"count\":2}}}}]";
        assert!(text.ends_with(inputs), "{text}");
        assert!(!body(&[record(1)]).contains("inputs"), "and are left out when there are none");
    }

    #[test]
    fn time_is_corrected_where_possible_and_labelled() {
        let unsynced = Stamp { wall: Wall(0), synced: false, ..record(1).meta.stamp };
        let rows = [
            (record(1), "2023-11-14T22:13:20.123Z", "synced"),
            (with_stamp(unsynced, None), "1970-01-01T00:00:00.000Z", "unsynced"),
            (with_stamp(unsynced, Some(Wall(1_700_000_000_000))), "2023-11-14T22:13:20.000Z", "corrected"),
        ];
        for (record, time, clock) in rows {
            let text = body(&[record]);
            assert!(text.contains(&format!("\"time\":\"{time}\",\"sequence\":")), "{text}");
            assert!(text.contains(&format!("\"boot\":\"00000000000000a1\",\"clock\":\"{clock}\"")), "{text}");
        }
    }

    #[test]
    fn the_first_records_of_a_batch_encode_as_they_would_alone() {
        let records = [record(1), record(2), record(3)];
        let mut events = Events::default();
        for record in &records {
            events.push(record, usize::MAX);
        }
        for count in 1..=3 {
            let mut out = Vec::new();
            events.body(count, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), body(&records[..count]));
        }
    }

    #[test]
    fn a_body_never_grows_beyond_its_limit_except_for_a_single_record() {
        let one = body(&[record(1)]).len();
        for (limit, want, why) in [
            (1, 1, "a record that is too large goes alone"),
            (2 * one - 2, 1, "one byte short"),
            (2 * one - 1, 2, "two events share the brackets, a comma joins them"),
        ] {
            let mut events = Events::default();
            let fitted = (1..=3).take_while(|&seq| events.push(&record(seq), limit)).count();
            assert_eq!((fitted, events.len()), (want, want), "{why}");
            let mut out = Vec::new();
            events.body(want, &mut out);
            assert!(want == 1 || out.len() <= limit, "{why}");
        }
    }

    #[test]
    fn a_payload_of_another_version_is_sent_as_base64() {
        let odd = Record { payload: vec![1, 2, 3], ..record(1) };
        let text = body(&[odd]);
        assert!(
            text.contains("\"type\":\"io.mycelium.record.v1\"") && text.contains("\"data_base64\":\"AQID\"")
        );
    }

    #[test]
    fn a_gap_states_which_records_are_missing_and_why() {
        use mycelium_outbox::GapReason;
        let gap = Gap {
            reason: GapReason::DropOldest,
            records: 12,
            bytes: 0,
            from: Position(4),
            through: Position(15),
            endpoint: SafeName::new("lab").unwrap(),
        };
        let meta = RecordMeta { kind: RecordKind::GAP, ..record(9).meta };
        let text = body(&[Record { meta, payload: gap.encode().to_vec(), ..record(9) }]);
        assert!(text.contains("\"type\":\"io.mycelium.gap.v1\""), "{text}");
        let want = "\"reason\":\"drop-oldest\",\"records\":12,\"bytes\":0,\"from\":4,\"through\":15,\"endpoint\":\"lab\"}";
        assert!(text.contains(want), "{text}");
    }

    #[test]
    fn non_finite_features_are_null_and_the_body_stays_json() {
        let mut builder = WindowBuilder::new(1);
        builder.sample(&[f64::NAN; FEATURE_COUNT]);
        let text = body(&[Record { payload: builder.finish(2).unwrap().encode(), ..record(1) }]);
        assert!(text.contains("\"mean\":null"), "{text}");
    }
}
