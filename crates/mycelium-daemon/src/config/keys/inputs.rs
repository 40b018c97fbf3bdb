//! PURE. Keys of `[[inputs]]`: where a value stands, its push into the field, and its signal.

use super::field::number;
use super::spec::DefaultValue::{Absent, Flag, Integer, Number, Text};
use super::spec::{Kind, NAME, integer, keys, whole};
use crate::formats::json::{self, JsonPointer};
use crate::formats::time_format::TimeFormat;
use mycelium_core::range::Interval;
use mycelium_core::signals::{MAX_PERIODS, SignalSettings, SpikePolarity, SpikeSettings, SpikeThreshold};

const POINTER: Kind =
    Kind::Text { accepted: json::POINTER_RULE, is_valid: |text| JsonPointer::parse(text).is_some() };
/// Row or column of the largest grid.
const CELL: Kind = integer(0, number("grid").range.high as i64 - 1);
const GAIN: Interval = Interval::closed(-1e9, 1e9);
const UNIT: Kind = Kind::Text {
    accepted: "at most 16 bytes without control characters, such as mV",
    is_valid: |text| (1..=16).contains(&text.len()) && !text.chars().any(char::is_control),
};
const THRESHOLD: Kind = Kind::NumberOrText {
    accepted: "a number in the unit of the input, or a text such as \"20mad\"",
    is_valid: |text| text.parse::<SpikeThreshold>().is_ok_and(|t| t.number() > 0.0 && t.number().is_finite()),
};

#[rustfmt::skip]
keys! {
    INPUT_KEYS;

    INPUTS_NAME: Option<String>, "inputs[].name": NAME, Absent("required"), "";
        "Name of the series in records, health and metrics.";
        "With its unit, such as `air.celsius`."
    INPUTS_CONNECTOR: Option<String>, "inputs[].connector": NAME, Absent("only POST /v1/samples brings values"), "";
        "Name of the connector that brings the value.";
        "Several inputs may read one connector."
    INPUTS_POINTER: Option<JsonPointer>, "inputs[].pointer": POINTER, Absent("required for `http` and `file`; `/0` for `serial`"), "";
        "Where the value stands: a JSON pointer, or for CSV `/` and a column's name or number from 0; not for `value`.";
        "`~1` stands for a slash in a name, `~0` for a tilde."
    INPUTS_ROW: Option<u16>, "inputs[].row": CELL, Absent("the field is not pushed"), "cells";
        "Row of the cell that each value pushes at the next step; only with `col`.";
        "To let the sensor drive the field."
    INPUTS_COL: Option<u16>, "inputs[].col": CELL, Absent("the field is not pushed"), "cells";
        "Column of that cell; only with `row`.";
        "To let the sensor drive the field."
    INPUTS_GAIN: f64, "inputs[].gain": Kind::Number(GAIN), Number(1.0), "volts per unit";
        "The push is `gain` times the value plus `offset`, at most 10 V either way.";
        "Some 0.01 V move a resting cell."
    INPUTS_OFFSET: f64, "inputs[].offset": Kind::Number(GAIN), Number(0.0), "volts";
        "Added to each push.";
        "-`gain` times the usual value, so that only deviations push."
    INPUTS_TIME_POINTER: Option<JsonPointer>, "inputs[].time_pointer": POINTER, Absent("a sample has the time of reading"), "";
        "Where the time of the value stands, as `pointer`; not for `value`.";
        "Where the device or the file notes when it measured: windows are those of that time."
    INPUTS_TIME_FORMAT: TimeFormat, "inputs[].time_format": Kind::Choice(TimeFormat::NAMES), Text(TimeFormat::Rfc3339.name()), "";
        "How that time is written: date and time with offset, or seconds or milliseconds since 1970.";
        "As the device writes it."
    INPUTS_UNIT: Option<String>, "inputs[].unit": UNIT, Absent("none"), "";
        "Unit of the signal, after `scale` and `shift`.";
        "So that receivers and the page show it."
    INPUTS_SCALE: f64, "inputs[].scale": Kind::Number(SignalSettings::NUMBERS), Number(1.0), "";
        "A sample of the signal is the value times `scale` plus `shift`; the push and the series of the window are not affected.";
        "For raw counts of a converter, such as 0.125 mV each."
    INPUTS_SHIFT: f64, "inputs[].shift": Kind::Number(SignalSettings::NUMBERS), Number(0.0), "";
        "Added after `scale`, in the unit of the signal.";
        "-273.15 for a sensor in kelvin."
    INPUTS_WINDOW_S: i64, "inputs[].window_s": whole(SignalSettings::WINDOW_S), Integer(60), "seconds";
        "Length of the windows of the signal, in the time of the samples.";
        "Some hundred samples; longer windows are fewer records."
    INPUTS_LOW: Option<f64>, "inputs[].low": Kind::Number(SignalSettings::NUMBERS), Absent("none"), "";
        "Samples at or below it count as saturated; in the unit of the signal.";
        "The lower end of the range of the converter."
    INPUTS_HIGH: Option<f64>, "inputs[].high": Kind::Number(SignalSettings::NUMBERS), Absent("none"), "";
        "Samples at or above it count as saturated; in the unit of the signal.";
        "The upper end of the range of the converter."
    INPUTS_DEADBAND: Option<f64>, "inputs[].deadband": Kind::Number(SignalSettings::DEADBAND), Absent("every sample is reported"), "";
        "A sample no further than this from the last reported one is in the features, but not reported.";
        "With `raw`, to store changes only."
    INPUTS_RAW: bool, "inputs[].raw": Kind::Flag, Flag(false), "";
        "Whether every reported sample is stored and delivered, in blocks of at most 256.";
        "Where the receiver needs the samples and not only windows and spikes."
    INPUTS_EXPECTED_MS: Option<i64>, "inputs[].expected_ms": whole(SignalSettings::EXPECTED_MS), Absent("missing samples are not counted"), "milliseconds";
        "Time between two samples.";
        "`interval_ms` of the connector, or the pace of the device, so that gaps are counted."
    INPUTS_PERIODS_S: Option<Vec<f64>>, "inputs[].periods_s": Kind::NumberList { interval: SignalSettings::PERIOD_S, max: MAX_PERIODS }, Absent("none"), "seconds";
        "Periods at which the amplitude of the signal is computed.";
        "For a rhythm whose period is known."
    INPUTS_SPIKES_WINDOW_S: Option<f64>, "inputs[].spikes.window_s": Kind::Number(SpikeSettings::WINDOW_S), Absent("1200 if another key of `spikes` is set"), "seconds";
        "Length of the surroundings whose mean is the baseline.";
        "Some times the width of a spike."
    INPUTS_SPIKES_THRESHOLD: Option<SpikeThreshold>, "inputs[].spikes.threshold": THRESHOLD, Absent("20mad if another key of `spikes` is set"), "";
        "Distance from the baseline at which a spike begins, in the unit of the signal or in median absolute deviations of its noise.";
        "docs/SIGNALS.md has what was measured."
    INPUTS_SPIKES_DEAD_S: Option<f64>, "inputs[].spikes.dead_s": Kind::Number(SpikeSettings::DEAD_S), Absent("300 if another key of `spikes` is set"), "seconds";
        "Time after a spike in which there is no other.";
        "About the shortest time between two spikes."
    INPUTS_SPIKES_POLARITY: Option<SpikePolarity>, "inputs[].spikes.polarity": Kind::Choice(SpikePolarity::NAMES), Absent("both if another key of `spikes` is set"), "";
        "Directions from the baseline.";
        "Where only one direction is of interest."
}
