//! Ranges of parameters, checked with one message at every door: file, environment, command line and API.

use std::fmt;

/// A value that was refused: which key, what it was, and what would have been accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutOfRange {
    pub key: String,
    pub value: String,
    pub accepted: String,
}

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is {}; it must be {}", self.key, self.value, self.accepted)
    }
}

impl std::error::Error for OutOfRange {}

/// What [`is_name`] accepts, in words.
pub const NAME: &str = "1 to 64 characters of [A-Za-z0-9._-]";

/// What names of devices, endpoints and keys are made of: safe in paths, labels and event ids.
pub fn is_name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=64).contains(&text.len()) && text.bytes().all(plain)
}

/// Gives an enum one text per variant, the same in files, flags and answers: `ALL`, `name`, `Display`, `FromStr`.
/// `$key` is what a refusal calls the value.
#[macro_export]
macro_rules! texts {
    ($name:ident, $key:literal, $($variant:ident = $text:literal),+ $(,)?) => {
        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::range::OutOfRange;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err($crate::range::OutOfRange {
                        key: $key.to_owned(),
                        value: format!("{text:?}"),
                        accepted: [$($text),+].join(" | "),
                    }),
                }
            }
        }
    };
}
pub use crate::texts;

/// An interval of finite numbers with a name of its own.
#[derive(Clone, Copy, Debug)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
    /// Both ends are excluded.
    pub open: bool,
}

impl Interval {
    pub const fn closed(low: f64, high: f64) -> Self {
        Self { low, high, open: false }
    }

    pub const fn open(low: f64, high: f64) -> Self {
        Self { low, high, open: true }
    }

    /// The value itself when it lies in the interval; NaN and infinities never do.
    pub fn check(&self, key: &str, value: f64) -> Result<f64, OutOfRange> {
        let inside = if self.open {
            value > self.low && value < self.high
        } else {
            value >= self.low && value <= self.high
        };
        if inside {
            return Ok(value);
        }
        Err(OutOfRange { key: key.to_owned(), value: value.to_string(), accepted: self.to_string() })
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.open {
            write!(f, "above {} and below {}", self.low, self.high)
        } else {
            write!(f, "from {} to {}", self.low, self.high)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_belong_to_a_closed_interval_and_not_to_an_open_one() {
        let rows = [
            (Interval::closed(0.0, 1.0), 0.0, true, "lower end of a closed interval"),
            (Interval::closed(0.0, 1.0), 1.0, true, "upper end of a closed interval"),
            (Interval::closed(0.0, 1.0), 1.0 + f64::EPSILON, false, "just above"),
            (Interval::open(0.0, 0.25), 0.25, false, "upper end of an open interval"),
            (Interval::open(0.0, 0.25), 0.0, false, "lower end of an open interval"),
            (Interval::open(0.0, 0.25), 0.2499, true, "inside"),
            (Interval::closed(0.0, 1.0), f64::NAN, false, "NaN is in no interval"),
            (Interval::closed(0.0, f64::MAX), f64::INFINITY, false, "nor is infinity"),
        ];
        for (interval, value, inside, why) in rows {
            assert_eq!(interval.check("x", value).is_ok(), inside, "{why}");
        }
    }

    #[test]
    fn names_are_safe_in_paths_labels_and_ids() {
        let rows = [
            ("pi-3.lab_2", true, "all that is allowed"),
            ("", false, "empty"),
            ("a/b", false, "would leave its directory"),
            ("a b", false, "blank"),
            ("ä", false, "not ASCII"),
        ];
        for (text, want, why) in rows {
            assert_eq!(is_name(text), want, "{why}");
        }
        assert!(is_name(&"x".repeat(64)));
        assert!(!is_name(&"x".repeat(65)));
    }

    #[test]
    fn a_refusal_names_key_value_and_what_is_accepted() {
        let refused = Interval::open(0.0, 0.25).check("alpha", 0.3).unwrap_err();
        assert_eq!(refused.to_string(), "`alpha` is 0.3; it must be above 0 and below 0.25");
    }
}
