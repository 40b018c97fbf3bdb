//! PURE. From one piece of text to readings: each input's number, and the push it gives the field.

use super::settings::{Drive, Input};
use crate::formats::json;
use crate::telemetry::metrics::labels;
use mycelium_core::sim::STIMULUS_VOLTS;
use mycelium_core::window::MAX_INPUTS;

/// A push for one cell at the next step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Push {
    pub row: u16,
    pub col: u16,
    pub volts: f64,
}

/// One number that an input has picked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// Number of the input among all of the daemon.
    pub input: usize,
    pub value: f64,
    pub push: Option<Push>,
}

/// Why a piece of data or one value of it was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reject {
    /// Not JSON, not CSV, not UTF-8.
    Malformed,
    /// Nothing stands at the pointer.
    Missing,
    /// Something does, but no finite number.
    NotANumber,
    /// The push would be outside what `POST /v1/stimuli` takes; the value itself is kept.
    Volts,
    /// A line or file beyond the limit.
    TooLong,
    /// The field takes no more before its next step.
    Busy,
}

labels!(Reject {
    Malformed = "malformed",
    Missing = "missing",
    NotANumber = "not_a_number",
    Volts = "volts",
    TooLong = "too_long",
    Busy = "busy",
});

/// What one piece of data came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Picked {
    pub readings: heapless::Vec<Reading, MAX_INPUTS>,
    /// Index among the connector's inputs, and why nothing or not all was taken.
    pub rejects: heapless::Vec<(usize, Reject), MAX_INPUTS>,
}

impl Picked {
    /// Takes what input number `k` found.
    pub fn take(&mut self, k: usize, input: &Input, found: Result<f64, Reject>) {
        let reject = match found {
            Err(why) => Some(why),
            Ok(value) => {
                let push = input.drive.map(|drive| push(drive, value));
                let reading = Reading { input: input.index, value, push: push.and_then(Result::ok) };
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

fn push(drive: Drive, value: f64) -> Result<Push, Reject> {
    let volts = drive.gain * value + drive.offset;
    let volts = STIMULUS_VOLTS.check("volts", volts).map_err(|_| Reject::Volts)?;
    Ok(Push { row: drive.row, col: drive.col, volts })
}

/// The number a text stands for; blanks around it do not count.
pub fn number(text: &str) -> Result<f64, Reject> {
    let value: Option<f64> = text.trim().parse().ok();
    value.filter(|value| value.is_finite()).ok_or(Reject::NotANumber)
}

/// A JSON value as a number: numbers, strings that hold one, and 1 and 0 for true and false.
fn json_number(raw: &str) -> Result<f64, Reject> {
    match raw {
        "true" => Ok(1.0),
        "false" => Ok(0.0),
        _ => number(raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(raw)),
    }
}

/// Picks from one JSON text, which has to pass the strict reader as a whole.
pub fn json(bytes: &[u8], inputs: &[Input]) -> Result<Picked, String> {
    let text = std::str::from_utf8(bytes).map_err(|e| format!("not UTF-8 at byte {}", e.valid_up_to()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    json::check(text).map_err(|refused| refused.to_string())?;
    let mut picked = Picked::default();
    for (k, input) in inputs.iter().enumerate() {
        let found = input.pointer.find(text).ok_or(Reject::Missing).and_then(json_number);
        picked.take(k, input, found);
    }
    Ok(picked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::json::JsonPointer;

    pub(crate) fn input(index: usize, pointer: &str, drive: Option<Drive>) -> Input {
        Input { name: format!("i{index}"), index, pointer: JsonPointer::parse(pointer).unwrap(), drive }
    }

    #[test]
    fn numbers_are_picked_scaled_and_pushed_and_what_does_not_fit_is_named() {
        let drive = Drive { row: 3, col: 4, gain: 0.001, offset: -0.01 };
        let inputs = [
            input(7, "/t", Some(drive)),
            input(8, "/none", None),
            input(9, "/text", None),
            input(10, "/on", None),
            input(11, "/word", None),
            input(12, "/big", Some(drive)),
        ];
        let text = br#"{"t":21.5,"text":" 4e1 ","on":true,"word":"warm","big":1e9}"#;
        let picked = json(text, &inputs).unwrap();
        let push = Push { row: 3, col: 4, volts: 0.001 * 21.5 - 0.01 };
        let plain = |input, value| Reading { input, value, push: None };
        let want = [
            Reading { input: 7, value: 21.5, push: Some(push) },
            plain(9, 40.0),
            plain(10, 1.0),
            plain(12, 1e9),
        ];
        assert_eq!(picked.readings, want);
        assert_eq!(picked.rejects, [(1, Reject::Missing), (4, Reject::NotANumber), (5, Reject::Volts)]);
    }

    #[test]
    fn texts_that_are_no_good_json_give_nothing_at_all() {
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
            assert_eq!(number(nothing), Err(Reject::NotANumber), "{nothing}");
        }
    }
}
