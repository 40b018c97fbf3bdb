//! Ranges of parameters, with the same error message from file, environment, command line and API.

use std::fmt;

/// A refused value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutOfRange {
    /// Name of the parameter.
    pub key: String,
    /// The value as given.
    pub value: String,
    /// What is accepted, as it reads after "it must be".
    pub accepted: String,
}

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is {}; it must be {}", self.key, self.value, self.accepted)
    }
}

impl std::error::Error for OutOfRange {}

/// Gives an enum one text per variant, the same in files, options and responses: `ALL`, `NAMES`, `name`, `Display`
/// and `FromStr`. `$key` is the name of the value in error messages.
#[macro_export]
macro_rules! string_enum {
    ($name:ident, $key:literal, $($variant:ident = $text:literal),+ $(,)?) => {
        impl $name {
            /// Every variant, in the order of [`Self::NAMES`].
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// The text of every variant.
            pub const NAMES: &'static [&'static str] = &[$($text),+];

            /// The text of this variant.
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
                        accepted: $crate::range::one_of(Self::NAMES),
                    }),
                }
            }
        }
    };
}
pub use crate::string_enum;

/// The accepted values of a choice, as part of an error message.
pub fn one_of(names: &[&str]) -> String {
    match names {
        [only] => (*only).to_owned(),
        _ => format!("one of {}", names.join(", ")),
    }
}

/// An interval of finite numbers.
#[derive(Clone, Copy, Debug)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Whether both ends are excluded.
    pub open: bool,
}

impl Interval {
    /// From `low` to `high`, both included.
    pub const fn closed(low: f64, high: f64) -> Self {
        Self { low, high, open: false }
    }

    /// Above `low` and below `high`.
    pub const fn open(low: f64, high: f64) -> Self {
        Self { low, high, open: true }
    }

    /// The value itself if it lies in the interval; NaN and infinities never do. `key` names it in the error.
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
    fn a_closed_interval_includes_its_ends_and_an_open_one_does_not() {
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
    fn an_error_names_the_key_the_value_and_what_is_accepted() {
        let refused = Interval::open(0.0, 0.25).check("alpha", 0.3).unwrap_err();
        assert_eq!(refused.to_string(), "`alpha` is 0.3; it must be above 0 and below 0.25");
    }
}
