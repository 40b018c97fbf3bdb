//! PURE. Extracts the number of each input from one piece of text, and computes its stimulus.

use super::settings::{ConnectorInput, ReadingTime, Stimulation};
use crate::formats::json;
use crate::telemetry::metrics::labels;
use mycelium_core::sim::STIMULUS_VOLTS;
use mycelium_core::window::MAX_INPUTS;

/// Each input may lack its time and have a stimulus out of range.
const MAX_REJECTS: usize = 64;
const _: () = assert!(MAX_REJECTS == 2 * MAX_INPUTS);

/// A stimulus for one cell at the next step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CellPush {
    pub row: u16,
    pub col: u16,
    pub volts: f64,
}

/// When a value was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeasuredAt {
    /// When it was read.
    Reading,
    /// Milliseconds since 1970.
    Time(i64),
    /// Its data has no valid time where the input says: it is not part of the signal.
    Unknown,
}

/// The number of one input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// Index of the input among all inputs of the daemon.
    pub input: usize,
    pub value: f64,
    pub time: MeasuredAt,
    pub push: Option<CellPush>,
}

/// Why a piece of data or one of its values was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectReason {
    /// Not JSON, not CSV, not UTF-8.
    Malformed,
    /// The pointer finds no value.
    Missing,
    /// The value is not a finite number.
    NotANumber,
    /// The stimulus would be outside the range of `POST /v1/stimuli`; the value itself is used.
    Volts,
    /// The time is missing or not in its format; the value itself is used, but not in the signal.
    Time,
    /// A line or file exceeds the limit.
    TooLong,
    /// The field takes no more before its next step.
    Busy,
}
labels!(RejectReason {
    Malformed = "malformed",
    Missing = "missing",
    NotANumber = "not_a_number",
    Volts = "volts",
    Time = "time",
    TooLong = "too_long",
    Busy = "busy",
});

/// What was extracted from one piece of data.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Extraction {
    pub readings: heapless::Vec<Reading, MAX_INPUTS>,
    /// Index among the connector's inputs, and why its value or stimulus was rejected.
    pub rejects: heapless::Vec<(usize, RejectReason), MAX_REJECTS>,
}

impl Extraction {
    /// Adds the result of input number `k`. `read_time` reads the time of the value, if the input says where it stands.
    pub fn take(
        &mut self,
        k: usize,
        input: &ConnectorInput,
        found: Result<f64, RejectReason>,
        read_time: impl FnOnce(&ReadingTime) -> Option<i64>,
    ) {
        let reject = match found {
            Err(why) => Some(why),
            Ok(value) => {
                let push = input.stimulation.map(|stimulation| push(stimulation, value));
                let time = input.time.as_ref().map_or(MeasuredAt::Reading, |time| {
                    read_time(time).map_or(MeasuredAt::Unknown, MeasuredAt::Time)
                });
                if time == MeasuredAt::Unknown {
                    let _ = self.rejects.push((k, RejectReason::Time));
                }
                let reading = Reading { input: input.index, value, time, push: push.and_then(Result::ok) };
                // Cannot be full: a connector has at most MAX_INPUTS inputs.
                let _ = self.readings.push(reading);
                push.and_then(Result::err)
            }
        };
        if let Some(why) = reject {
            let _ = self.rejects.push((k, why));
        }
    }
}

fn push(stimulation: Stimulation, value: f64) -> Result<CellPush, RejectReason> {
    let volts = stimulation.gain * value + stimulation.offset;
    let volts = STIMULUS_VOLTS.check("volts", volts).map_err(|_| RejectReason::Volts)?;
    Ok(CellPush { row: stimulation.row, col: stimulation.col, volts })
}

/// The number in a text; surrounding white space is ignored.
pub fn number(text: &str) -> Result<f64, RejectReason> {
    let value: Option<f64> = text.trim().parse().ok();
    value.filter(|value| value.is_finite()).ok_or(RejectReason::NotANumber)
}

/// A JSON value as a number: a number, a string that contains one, or 1 and 0 for true and false.
fn json_number(raw: &str) -> Result<f64, RejectReason> {
    match raw {
        "true" => Ok(1.0),
        "false" => Ok(0.0),
        _ => number(raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(raw)),
    }
}

/// The number in a file of the kernel: a line with a number alone, or the two lines of a 1-wire thermometer, whose first
/// ends with the result of its checksum and whose second with `t=` and thousandths of a degree.
pub fn value_file(bytes: &[u8]) -> Result<f64, RejectReason> {
    let text = std::str::from_utf8(bytes).map_err(|_| RejectReason::NotANumber)?.trim();
    if text.is_empty() {
        return Err(RejectReason::Missing);
    }
    match text.split_once('\n') {
        Some((first, rest)) if first.contains("crc=") => {
            if !first.trim_end().ends_with("YES") {
                return Err(RejectReason::Malformed);
            }
            let (_, thousandths) = rest.rsplit_once("t=").ok_or(RejectReason::Missing)?;
            number(thousandths)
        }
        _ => number(text),
    }
}

/// Extracts from one JSON text; an error if any of it is not strict JSON.
pub fn json(bytes: &[u8], inputs: &[ConnectorInput]) -> Result<Extraction, String> {
    let text = std::str::from_utf8(bytes).map_err(|e| format!("not UTF-8 at byte {}", e.valid_up_to()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    json::check(text).map_err(|refused| refused.to_string())?;
    let mut extraction = Extraction::default();
    for (k, input) in inputs.iter().enumerate() {
        let found = input.pointer.find(text).ok_or(RejectReason::Missing).and_then(json_number);
        extraction.take(k, input, found, |time| time.format.parse_json(time.pointer.find(text)?));
    }
    Ok(extraction)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::json::JsonPointer;
    use crate::formats::time_format::TimeFormat;

    pub(crate) fn input(index: usize, pointer: &str, stimulation: Option<Stimulation>) -> ConnectorInput {
        ConnectorInput {
            name: format!("i{index}"),
            index,
            pointer: JsonPointer::parse(pointer).unwrap(),
            time: None,
            stimulation,
        }
    }

    #[test]
    fn a_value_file_holds_a_number_or_a_1_wire_temperature() {
        let good = "73 01 4b 46 7f ff 0d 10 41 : crc=41 YES\n73 01 4b 46 7f ff 0d 10 41 t=23187\n";
        let rows: [(&str, Result<f64, RejectReason>, &str); 9] = [
            ("21500\n", Ok(21_500.0), "sysfs"),
            (" -1.5e-3 ", Ok(-0.0015), "blanks around it"),
            (good, Ok(23_187.0), "a 1-wire thermometer"),
            (&good.replace("YES", "NO"), Err(RejectReason::Malformed), "its checksum is wrong"),
            (&good.replace("t=23187", ""), Err(RejectReason::Missing), "it has no temperature"),
            ("", Err(RejectReason::Missing), "empty"),
            ("1\n2\n", Err(RejectReason::NotANumber), "two numbers"),
            ("nan", Err(RejectReason::NotANumber), "not finite"),
            ("<html>", Err(RejectReason::NotANumber), "text"),
        ];
        for (text, want, why) in rows {
            assert_eq!(value_file(text.as_bytes()), want, "{why}");
        }
        assert_eq!(value_file(&[0xff, b'1']), Err(RejectReason::NotANumber), "not UTF-8");
    }

    #[test]
    fn numbers_are_extracted_and_scaled_and_rejected_ones_have_a_reason() {
        let stimulation = Stimulation { row: 3, col: 4, gain: 0.001, offset: -0.01 };
        let inputs = [
            input(7, "/t", Some(stimulation)),
            input(8, "/none", None),
            input(9, "/text", None),
            input(10, "/on", None),
            input(11, "/word", None),
            input(12, "/big", Some(stimulation)),
        ];
        let text = br#"{"t":21.5,"text":" 4e1 ","on":true,"word":"warm","big":1e9}"#;
        let extraction = json(text, &inputs).unwrap();
        let push = CellPush { row: 3, col: 4, volts: 0.001 * 21.5 - 0.01 };
        let plain = |input, value| Reading { input, value, time: MeasuredAt::Reading, push: None };
        let want = [
            Reading { input: 7, value: 21.5, time: MeasuredAt::Reading, push: Some(push) },
            plain(9, 40.0),
            plain(10, 1.0),
            plain(12, 1e9),
        ];
        assert_eq!(extraction.readings, want);
        assert_eq!(
            extraction.rejects,
            [(1, RejectReason::Missing), (4, RejectReason::NotANumber), (5, RejectReason::Volts)]
        );
    }

    #[test]
    fn a_value_has_the_time_that_stands_beside_it_and_one_without_is_counted() {
        let time = |format| Some(ReadingTime { pointer: JsonPointer::parse("/at").unwrap(), format });
        let rows = [
            (r#"{"v":1,"at":1700000000.25}"#, TimeFormat::UnixS, MeasuredAt::Time(1_700_000_000_250)),
            (r#"{"v":1,"at":"1700000000250"}"#, TimeFormat::UnixMs, MeasuredAt::Time(1_700_000_000_250)),
            (
                r#"{"v":1,"at":"2023-11-14T22:13:20Z"}"#,
                TimeFormat::Rfc3339,
                MeasuredAt::Time(1_700_000_000_000),
            ),
            (r#"{"v":1,"at":1700000000}"#, TimeFormat::Rfc3339, MeasuredAt::Unknown),
            (r#"{"v":1,"at":null}"#, TimeFormat::UnixS, MeasuredAt::Unknown),
            (r#"{"v":1}"#, TimeFormat::UnixS, MeasuredAt::Unknown),
        ];
        for (text, format, want) in rows {
            let input = ConnectorInput { time: time(format), ..input(0, "/v", None) };
            let extraction = json(text.as_bytes(), &[input]).unwrap();
            assert_eq!(extraction.readings[0].time, want, "{text}");
            let rejected = extraction.rejects.contains(&(0, RejectReason::Time));
            assert_eq!(rejected, want == MeasuredAt::Unknown, "{text}");
        }
    }

    #[test]
    fn texts_that_are_not_json_give_nothing() {
        let inputs = [input(0, "/t", None)];
        let rows: [(&[u8], &str); 6] = [
            (b"", "empty"),
            (b"{\"t\":1", "cut short"),
            (b"{\"t\":1}{\"t\":2}", "two values"),
            (b"{\"t\":1,\"t\":2}", "the same key twice"),
            (b"{\"t\":1e999}", "infinite"),
            (b"\xff\xfe", "not UTF-8"),
        ];
        for (text, why) in rows {
            assert!(json(text, &inputs).is_err(), "{why}");
        }
        assert_eq!(
            json(b"\xef\xbb\xbf{\"t\":1}", &inputs).unwrap().readings[0].value,
            1.0,
            "a byte order mark"
        );
        for nothing in ["nan", "inf", "-inf", "", "1 2", "0x10"] {
            assert_eq!(number(nothing), Err(RejectReason::NotANumber), "{nothing}");
        }
    }
}
