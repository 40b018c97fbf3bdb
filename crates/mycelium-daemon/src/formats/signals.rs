//! PURE. The JSON of windows, spikes and sample blocks of a signal: members of the `data` of their events.

use mycelium_core::signals::{SampleBlock, SignalSpike, SignalWindow};

use super::json::JsonObject;
use crate::clock::Wall;

/// Event type of a window.
pub const WINDOW_TYPE: &str = "io.mycelium.signal.window.v1";
/// Event type of a spike.
pub const SPIKE_TYPE: &str = "io.mycelium.signal.spike.v1";
/// Event type of a block of samples.
pub const SAMPLES_TYPE: &str = "io.mycelium.signal.samples.v1";

/// Adds the members of a window: times, counts, then every value under its name, null where it is unknown.
pub fn window_members(object: &mut JsonObject<'_>, window: &SignalWindow) {
    object.display("start", Wall(window.start_ms)).number("window_s", f64::from(window.length_ms) / 1000.0);
    object.integer("count", window.count).integer("missing", window.missing);
    object.integer("late", window.late).integer("saturated", window.saturated);
    object.display("first_time", Wall(window.first_time)).display("last_time", Wall(window.last_time));
    window.for_each_value(|name, value| {
        match value {
            Some(value) => object.number(name, value),
            None => object.null(name),
        };
    });
}

/// Adds the members of a spike.
pub fn spike_members(object: &mut JsonObject<'_>, spike: &SignalSpike) {
    object.display("time", Wall(spike.time_ms)).number("amplitude", spike.amplitude);
    object.number("width_s", spike.width_s).string("polarity", spike.polarity());
    object.number("baseline", spike.baseline);
}

/// Adds the members of a block: the first time, and of each sample its milliseconds after that and its value.
pub fn sample_members(object: &mut JsonObject<'_>, block: &SampleBlock) {
    object.display("t0", Wall(block.t0_ms()));
    let mut times = object.array("dt_ms");
    block.dt_ms().iter().for_each(|&dt| {
        times.integer(dt);
    });
    drop(times);
    let mut values = object.array("values");
    block.values().iter().for_each(|&value| {
        values.number(value);
    });
}
