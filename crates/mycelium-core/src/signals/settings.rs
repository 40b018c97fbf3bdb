//! PURE. What is computed from a signal: settings as written, and the same checked.

use std::fmt;
use std::str::FromStr;

use crate::range::{Interval, OutOfRange, one_of, string_enum};

/// Most periods at which a channel computes an amplitude.
pub const MAX_PERIODS: usize = 4;

/// Spike detection as recommended in `docs/SIGNALS.md` for extracellular potentials of fungi at about 1 Hz.
pub const DEFAULT_SPIKES: RawSpikeSettings = RawSpikeSettings {
    window_s: 1200.0,
    threshold: SpikeThreshold::Mad(26.0),
    dead_s: 300.0,
    polarity: SpikePolarity::Both,
};

/// Directions from the baseline in which spikes are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpikePolarity {
    /// Above and below.
    Both,
    /// Above only.
    Positive,
    /// Below only.
    Negative,
}
string_enum!(SpikePolarity, "polarity", Both = "both", Positive = "positive", Negative = "negative");

/// How far from the baseline a spike begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SpikeThreshold {
    /// In the unit of the signal.
    Absolute(f64),
    /// In median absolute deviations of the noise, which is estimated from the signal.
    Mad(f64),
}

impl SpikeThreshold {
    /// The number, without its unit.
    pub const fn number(self) -> f64 {
        match self {
            Self::Absolute(number) | Self::Mad(number) => number,
        }
    }
}

/// `20mad` or a number in the unit of the signal.
impl FromStr for SpikeThreshold {
    type Err = OutOfRange;

    fn from_str(text: &str) -> Result<Self, OutOfRange> {
        let (number, variant): (_, fn(f64) -> Self) = match text.strip_suffix("mad") {
            Some(number) => (number.trim_end(), Self::Mad),
            None => (text, Self::Absolute),
        };
        number.parse().map(variant).map_err(|_| OutOfRange {
            key: "threshold".to_owned(),
            value: format!("{text:?}"),
            accepted: "a number in the unit of the signal, or a number followed by `mad`".to_owned(),
        })
    }
}

impl fmt::Display for SpikeThreshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absolute(number) => write!(f, "{number}"),
            Self::Mad(number) => write!(f, "{number}mad"),
        }
    }
}

/// Spike detection as it was written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RawSpikeSettings {
    /// Length of the surroundings that give the baseline, seconds.
    pub window_s: f64,
    /// Distance from the baseline.
    pub threshold: SpikeThreshold,
    /// Time after a spike in which there is no other, seconds.
    pub dead_s: f64,
    /// Directions.
    pub polarity: SpikePolarity,
}

/// Checked settings of spike detection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpikeSettings {
    /// Length of the surroundings that give the baseline, milliseconds.
    pub window_ms: i64,
    /// Distance from the baseline; positive.
    pub threshold: SpikeThreshold,
    /// Time after a spike in which there is no other, milliseconds.
    pub dead_ms: i64,
    /// Directions.
    pub polarity: SpikePolarity,
}

/// Settings of a channel as they were written.
#[derive(Clone, Debug, PartialEq)]
pub struct RawSignalSettings {
    /// Length of a window, seconds.
    pub window_s: i64,
    /// A sample is multiplied by it.
    pub scale: f64,
    /// Added after the multiplication.
    pub offset: f64,
    /// Samples at or below it are saturated; in the unit of the signal.
    pub low: Option<f64>,
    /// Samples at or above it are saturated; in the unit of the signal.
    pub high: Option<f64>,
    /// A sample no further than this from the last reported one is not reported; in the unit of the signal.
    pub deadband: Option<f64>,
    /// Whether samples are reported in blocks.
    pub raw: bool,
    /// Time between two samples, milliseconds, if it is known.
    pub expected_ms: Option<i64>,
    /// Samples in a pattern of the permutation entropy.
    pub permutation_order: i64,
    /// Distance between the samples of a pattern, in samples.
    pub permutation_delay: i64,
    /// Periods at which an amplitude is computed, seconds.
    pub periods_s: Vec<f64>,
    /// Spike detection, if any.
    pub spikes: Option<RawSpikeSettings>,
}

impl Default for RawSignalSettings {
    fn default() -> Self {
        Self {
            window_s: 60,
            scale: 1.0,
            offset: 0.0,
            low: None,
            high: None,
            deadband: None,
            raw: false,
            expected_ms: None,
            permutation_order: 3,
            permutation_delay: 1,
            periods_s: Vec::new(),
            spikes: None,
        }
    }
}

/// Keys that [`RawSignalSettings::set`] knows.
const KEYS: [&str; 15] = [
    "window_s",
    "scale",
    "offset",
    "low",
    "high",
    "deadband",
    "raw",
    "expected_ms",
    "permutation_order",
    "permutation_delay",
    "periods_s",
    "spikes.window_s",
    "spikes.threshold",
    "spikes.dead_s",
    "spikes.polarity",
];

impl RawSignalSettings {
    /// Sets the key to the value that `text` stands for. The first key of `spikes` turns spike detection on with
    /// [`DEFAULT_SPIKES`].
    pub fn set(&mut self, key: &str, text: &str) -> Result<(), OutOfRange> {
        match key {
            "window_s" => self.window_s = number(key, text)?,
            "scale" => self.scale = number(key, text)?,
            "offset" => self.offset = number(key, text)?,
            "low" => self.low = Some(number(key, text)?),
            "high" => self.high = Some(number(key, text)?),
            "deadband" => self.deadband = Some(number(key, text)?),
            "raw" => self.raw = text.parse().map_err(|_| refused(key, text, "true or false"))?,
            "expected_ms" => self.expected_ms = Some(number(key, text)?),
            "permutation_order" => self.permutation_order = number(key, text)?,
            "permutation_delay" => self.permutation_delay = number(key, text)?,
            "periods_s" => {
                self.periods_s = text.split(',').map(|one| number(key, one)).collect::<Result<_, _>>()?;
            }
            _ => return self.set_spikes(key, text),
        }
        Ok(())
    }

    fn set_spikes(&mut self, key: &str, text: &str) -> Result<(), OutOfRange> {
        let mut spikes = self.spikes.unwrap_or(DEFAULT_SPIKES);
        let renamed = |error: OutOfRange| OutOfRange { key: key.to_owned(), ..error };
        match key {
            "spikes.window_s" => spikes.window_s = number(key, text)?,
            "spikes.threshold" => spikes.threshold = text.parse().map_err(renamed)?,
            "spikes.dead_s" => spikes.dead_s = number(key, text)?,
            "spikes.polarity" => spikes.polarity = text.parse().map_err(renamed)?,
            _ => return Err(refused("key", key, &one_of(&KEYS))),
        }
        self.spikes = Some(spikes);
        Ok(())
    }
}

fn refused(key: &str, text: &str, accepted: &str) -> OutOfRange {
    OutOfRange { key: key.to_owned(), value: format!("{text:?}"), accepted: accepted.to_owned() }
}

fn number<T: FromStr>(key: &str, text: &str) -> Result<T, OutOfRange> {
    text.trim().parse().map_err(|_| refused(key, text, "a number"))
}

/// Checked settings of a channel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SignalSettings {
    /// Length of a window, seconds.
    pub window_s: u32,
    /// A sample is multiplied by it.
    pub scale: f64,
    /// Added after the multiplication.
    pub offset: f64,
    /// Samples at or below it are saturated; in the unit of the signal.
    pub low: Option<f64>,
    /// Samples at or above it are saturated; in the unit of the signal.
    pub high: Option<f64>,
    /// A sample no further than this from the last reported one is not reported; in the unit of the signal.
    pub deadband: Option<f64>,
    /// Whether samples are reported in blocks.
    pub raw: bool,
    /// Time between two samples, milliseconds, if it is known.
    pub expected_ms: Option<u32>,
    /// Samples in a pattern of the permutation entropy.
    pub permutation_order: usize,
    /// Distance between the samples of a pattern, in samples.
    pub permutation_delay: usize,
    /// Periods at which an amplitude is computed, seconds; 0 is none.
    pub periods_s: [f64; MAX_PERIODS],
    /// Spike detection, if any.
    pub spikes: Option<SpikeSettings>,
}

/// The checked defaults of [`RawSignalSettings`].
impl Default for SignalSettings {
    fn default() -> Self {
        Self::checked(&RawSignalSettings::default()).expect("the defaults are in their ranges")
    }
}

impl SignalSettings {
    /// Range of `window_s`, seconds.
    pub const WINDOW_S: Interval = Interval::closed(1.0, 86_400.0);
    /// Range of `scale` (which is not 0), `offset`, `low` and `high`.
    pub const NUMBERS: Interval = Interval::closed(-1e15, 1e15);
    /// Range of `deadband`, in the unit of the signal.
    pub const DEADBAND: Interval = Interval::closed(0.0, 1e15);
    /// Range of `expected_ms`, milliseconds.
    pub const EXPECTED_MS: Interval = Interval::closed(1.0, 86_400_000.0);
    /// Range of `permutation_order`.
    pub const PERMUTATION_ORDER: Interval = Interval::closed(3.0, 5.0);
    /// Range of `permutation_delay`, samples.
    pub const PERMUTATION_DELAY: Interval = Interval::closed(1.0, 16.0);
    /// Range of each of `periods_s`, seconds.
    pub const PERIOD_S: Interval = Interval::closed(0.002, 86_400.0);

    /// The settings, or every violation.
    pub fn checked(raw: &RawSignalSettings) -> Result<Self, Vec<OutOfRange>> {
        let mut bad = Vec::new();
        let mut check = |key: &str, value: f64, interval: Interval| {
            interval.check(key, value).unwrap_or_else(|refused| {
                bad.push(refused);
                interval.low
            })
        };
        let spikes = raw.spikes.map(|spikes| SpikeSettings {
            window_ms: millis(check("spikes.window_s", spikes.window_s, SpikeSettings::WINDOW_S)),
            threshold: {
                check("spikes.threshold", spikes.threshold.number(), SpikeSettings::THRESHOLD);
                spikes.threshold
            },
            dead_ms: millis(check("spikes.dead_s", spikes.dead_s, SpikeSettings::DEAD_S)),
            polarity: spikes.polarity,
        });
        let mut periods_s = [0.0; MAX_PERIODS];
        for (period, &value) in periods_s.iter_mut().zip(&raw.periods_s) {
            *period = check("periods_s", value, Self::PERIOD_S);
        }
        let settings = Self {
            window_s: check("window_s", raw.window_s as f64, Self::WINDOW_S) as u32,
            scale: check("scale", raw.scale, Self::NUMBERS),
            offset: check("offset", raw.offset, Self::NUMBERS),
            low: raw.low.map(|low| check("low", low, Self::NUMBERS)),
            high: raw.high.map(|high| check("high", high, Self::NUMBERS)),
            deadband: raw.deadband.map(|deadband| check("deadband", deadband, Self::DEADBAND)),
            raw: raw.raw,
            expected_ms: raw.expected_ms.map(|ms| check("expected_ms", ms as f64, Self::EXPECTED_MS) as u32),
            permutation_order: check(
                "permutation_order",
                raw.permutation_order as f64,
                Self::PERMUTATION_ORDER,
            ) as usize,
            permutation_delay: check(
                "permutation_delay",
                raw.permutation_delay as f64,
                Self::PERMUTATION_DELAY,
            ) as usize,
            periods_s,
            spikes,
        };
        let mut refuse = |key: &str, value: String, accepted: String| {
            bad.push(OutOfRange { key: key.to_owned(), value, accepted });
        };
        if raw.scale == 0.0 {
            refuse("scale", "0".to_owned(), "another number, or every sample is the same".to_owned());
        }
        if let (Some(low), Some(high)) = (raw.low, raw.high)
            && low >= high
        {
            refuse("low", low.to_string(), format!("below `high`, {high}"));
        }
        if raw.periods_s.len() > MAX_PERIODS {
            let count = raw.periods_s.len();
            refuse("periods_s", format!("{count} periods"), format!("at most {MAX_PERIODS} periods"));
        }
        if bad.is_empty() { Ok(settings) } else { Err(bad) }
    }

    /// Length of a window, milliseconds.
    pub const fn window_ms(&self) -> i64 {
        self.window_s as i64 * 1000
    }
}

impl SpikeSettings {
    /// Range of `window_s`, seconds.
    pub const WINDOW_S: Interval = Interval::closed(0.064, 86_400.0);
    /// Range of `threshold`, in its unit.
    pub const THRESHOLD: Interval = Interval::open(0.0, 1e15);
    /// Range of `dead_s`, seconds.
    pub const DEAD_S: Interval = Interval::closed(0.0, 86_400.0);
}

fn millis(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(pairs: &[(&str, &str)]) -> Result<SignalSettings, String> {
        let mut raw = RawSignalSettings::default();
        for (key, text) in pairs {
            raw.set(key, text).map_err(|refused| refused.to_string())?;
        }
        let text = |bad: Vec<OutOfRange>| bad.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        SignalSettings::checked(&raw).map_err(text)
    }

    #[test]
    fn every_key_can_be_set_and_keeps_its_value() {
        let values = [
            "30", "2.5", "-1", "-5", "5", "0.1", "true", "500", "4", "2", "60,300", "600", "5mad", "60",
            "negative",
        ];
        let pairs: Vec<_> = KEYS.into_iter().zip(values).collect();
        let wanted = SignalSettings {
            window_s: 30,
            scale: 2.5,
            offset: -1.0,
            low: Some(-5.0),
            high: Some(5.0),
            deadband: Some(0.1),
            raw: true,
            expected_ms: Some(500),
            permutation_order: 4,
            permutation_delay: 2,
            periods_s: [60.0, 300.0, 0.0, 0.0],
            spikes: Some(SpikeSettings {
                window_ms: 600_000,
                threshold: SpikeThreshold::Mad(5.0),
                dead_ms: 60_000,
                polarity: SpikePolarity::Negative,
            }),
        };
        assert_eq!(checked(&pairs), Ok(wanted));
        assert_eq!(checked(&[]), Ok(SignalSettings::default()));
        let spikes = checked(&[("spikes.threshold", "0.05")]).unwrap().spikes.unwrap();
        assert_eq!((spikes.threshold, spikes.window_ms), (SpikeThreshold::Absolute(0.05), 1_200_000));
    }

    #[test]
    fn a_value_outside_its_range_is_refused_with_its_key() {
        for (key, text, message) in [
            ("window_s", "0", "`window_s` is 0; it must be from 1 to 86400"),
            ("window_s", "x", "`window_s` is \"x\"; it must be a number"),
            ("scale", "0", "`scale` is 0; it must be another number, or every sample is the same"),
            ("scale", "NaN", "`scale` is NaN; it must be from -1000000000000000 to 1000000000000000"),
            ("raw", "yes", "`raw` is \"yes\"; it must be true or false"),
            ("expected_ms", "0", "`expected_ms` is 0; it must be from 1 to 86400000"),
            ("permutation_order", "6", "`permutation_order` is 6; it must be from 3 to 5"),
            ("permutation_delay", "17", "`permutation_delay` is 17; it must be from 1 to 16"),
            ("periods_s", "60,0", "`periods_s` is 0; it must be from 0.002 to 86400"),
            ("periods_s", "1,2,3,4,5", "`periods_s` is 5 periods; it must be at most 4 periods"),
            ("spikes.threshold", "0mad", "`spikes.threshold` is 0; it must be above 0 and below"),
            ("spikes.threshold", "mad", "`spikes.threshold` is \"mad\"; it must be a number in the unit"),
            ("spikes.polarity", "up", "`spikes.polarity` is \"up\"; it must be one of both"),
            ("spikes.window_s", "0.05", "`spikes.window_s` is 0.05; it must be from 0.064"),
            ("colour", "red", "`key` is \"colour\"; it must be one of window_s, scale"),
        ] {
            let refused = checked(&[(key, text)]).unwrap_err();
            assert!(refused.starts_with(message), "{key}={text}: {refused}");
        }
        assert!(checked(&[("low", "2"), ("high", "2")]).unwrap_err().contains("below `high`, 2"));
    }
}
