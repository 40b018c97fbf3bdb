//! PURE. Feature records as JSON, the same on every door.

use crate::formats::json::JsonObject;
use crate::snapshots::FeatureRecord;
use mycelium_core::features::FEATURE_NAMES;

/// Appends one record.
pub fn render(out: &mut String, record: &FeatureRecord) {
    let mut object = JsonObject::new(out);
    object
        .integer("seq", record.seq)
        .integer("step", record.step)
        .display("time", record.stamp.wall)
        .string("clock", clock(record.stamp.synced));
    let mut features = object.object("features");
    for (name, value) in FEATURE_NAMES.iter().zip(record.values) {
        features.number(name, value);
    }
}

/// Whether a wall time can be believed, in one word.
pub fn clock(synced: bool) -> &'static str {
    if synced { "synced" } else { "unsynced" }
}
