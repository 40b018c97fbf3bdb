//! Metrics as text: Prometheus 0.0.4 and `OpenMetrics` 1.0.

use std::fmt::Write;

use super::label::{Label, LabelledCounters, StateGauge};
use super::primitives::Histogram;

/// Which exposition format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpositionFormat {
    /// Prometheus text format 0.0.4.
    Text,
    OpenMetrics,
}

impl ExpositionFormat {
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// For the value of an `Accept` field: `OpenMetrics` only if it is named.
    pub fn accepted(accept: &[u8]) -> Self {
        const NAME: &[u8] = b"application/openmetrics-text";
        let named = accept.windows(NAME.len()).any(|window| window.eq_ignore_ascii_case(NAME));
        if named { Self::OpenMetrics } else { Self::Text }
    }
}

/// Version and target of this binary.
#[derive(Clone, Copy, Debug)]
pub struct BuildInfo {
    pub version: &'static str,
    pub target: &'static str,
}

impl BuildInfo {
    pub const THIS: Self = Self { version: env!("CARGO_PKG_VERSION"), target: TARGET };
}

/// Architecture and environment, as far as the compiler tells a crate about them.
const TARGET: &str =
    match (cfg!(target_arch = "x86_64"), cfg!(target_arch = "aarch64"), cfg!(target_env = "musl")) {
        (true, _, true) => "x86_64-linux-musl",
        (true, _, false) => "x86_64-linux-gnu",
        (_, true, true) => "aarch64-linux-musl",
        (_, true, false) => "aarch64-linux-gnu",
        (_, _, true) => "arm-linux-musl",
        _ => "other",
    };

/// The type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    Counter,
    Gauge,
    Histogram,
    /// Constant facts in labels; a gauge of 1 in the older format.
    Info,
}

impl MetricKind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "info",
        }
    }

    /// What the names of samples have and the name of the family does not.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Counter => "_total",
            Self::Info => "_info",
            Self::Gauge | Self::Histogram => "",
        }
    }
}

/// One metric family, and how its samples are read from `S`.
#[derive(Clone, Copy)]
pub struct MetricFamily<S> {
    /// Without the suffix of its kind.
    pub name: &'static str,
    pub kind: MetricKind,
    /// Empty for counts and numbers; else the end of the name.
    pub unit: &'static str,
    pub labels: &'static [&'static str],
    pub help: &'static str,
    pub write: fn(&S, &mut SampleWriter<'_>),
}

/// Name and value of a label.
type LabelPair<'a> = (&'a str, &'a str);

/// All families. Takes no lock; a few tens of microseconds, so callers cache the text.
pub fn render<S>(families: &[MetricFamily<S>], source: &S, format: ExpositionFormat) -> String {
    let mut out = String::with_capacity(16 * 1024);
    for &MetricFamily { name, kind, unit, labels, help, write } in families {
        let mut writer = SampleWriter { out: &mut out, name, kind, labels, format };
        writer.heading(unit, help);
        write(source, &mut writer);
    }
    if format == ExpositionFormat::OpenMetrics {
        out.push_str("# EOF\n");
    }
    out
}

/// Writes the samples of one family.
pub struct SampleWriter<'a> {
    out: &'a mut String,
    name: &'static str,
    kind: MetricKind,
    labels: &'static [&'static str],
    format: ExpositionFormat,
}

impl SampleWriter<'_> {
    fn heading(&mut self, unit: &str, help: &str) {
        let (name, kind) = match (self.format, self.kind) {
            (ExpositionFormat::OpenMetrics, kind) => (self.name.to_owned(), kind.name()),
            (ExpositionFormat::Text, MetricKind::Info) => (self.sample_name(), "gauge"),
            (ExpositionFormat::Text, kind) => (self.sample_name(), kind.name()),
        };
        self.push(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        if self.format == ExpositionFormat::OpenMetrics && !unit.is_empty() {
            self.push(format_args!("# UNIT {name} {unit}\n"));
        }
    }

    fn sample_name(&self) -> String {
        format!("{}{}", self.name, self.kind.suffix())
    }

    pub fn count(&mut self, labels: &[LabelPair<'_>], count: u64) {
        let name = self.sample_name();
        self.sample(&name, labels, None, format_args!("{count}"));
    }

    pub fn value(&mut self, labels: &[LabelPair<'_>], value: f64) {
        let name = self.sample_name();
        self.sample(&name, labels, None, format_args!("{}", Number(value)));
    }

    /// One counter per value of the label `by`, below the label `of` if the family has one.
    pub fn counters<L: Label>(
        &mut self,
        of: Option<LabelPair<'_>>,
        by: &str,
        counters: &LabelledCounters<L>,
    ) {
        for &value in L::ALL {
            self.by_value(of, (by, value.text()), counters.get(value));
        }
    }

    /// 1 for the state that holds, 0 for the others.
    pub fn states<L: Label>(&mut self, of: LabelPair<'_>, by: &str, state: &StateGauge<L>) {
        for &value in L::ALL {
            self.by_value(Some(of), (by, value.text()), u64::from(value == state.get()));
        }
    }

    fn by_value(&mut self, of: Option<LabelPair<'_>>, by: LabelPair<'_>, count: u64) {
        match of {
            Some(of) => self.count(&[of, by], count),
            None => self.count(&[by], count),
        }
    }

    pub fn histogram<const B: usize>(&mut self, labels: &[LabelPair<'_>], histogram: &Histogram<B>) {
        let name = self.name;
        let (counts, total) = histogram.cumulative();
        let bucket = format!("{name}_bucket");
        for (bound, count) in histogram.bounds().iter().zip(counts) {
            let le = match self.format {
                // Canonical numbers of OpenMetrics have a decimal point.
                ExpositionFormat::OpenMetrics if bound.fract() == 0.0 => format!("{bound}.0"),
                ExpositionFormat::Text | ExpositionFormat::OpenMetrics => bound.to_string(),
            };
            self.sample(&bucket, labels, Some(&le), format_args!("{count}"));
        }
        self.sample(&bucket, labels, Some("+Inf"), format_args!("{total}"));
        self.sample(&format!("{name}_sum"), labels, None, format_args!("{}", Number(histogram.sum())));
        self.sample(&format!("{name}_count"), labels, None, format_args!("{total}"));
    }

    fn sample(
        &mut self,
        name: &str,
        labels: &[LabelPair<'_>],
        le: Option<&str>,
        value: std::fmt::Arguments<'_>,
    ) {
        debug_assert!(labels.iter().map(|(label, _)| label).eq(self.labels), "labels of {name}");
        self.out.push_str(name);
        let mut open = '{';
        for (label, text) in labels.iter().copied().chain(le.map(|le| ("le", le))) {
            self.push(format_args!("{open}{label}=\"{}\"", Escaped(text)));
            open = ',';
        }
        if open == ',' {
            self.out.push('}');
        }
        self.push(format_args!(" {value}\n"));
    }

    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        self.out.write_fmt(text).expect("writing to a String cannot fail");
    }
}

/// A sample value; NaN and infinities have fixed names in both formats.
struct Number(f64);

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_nan() {
            f.write_str("NaN")
        } else if self.0.is_infinite() {
            f.write_str(if self.0 > 0.0 { "+Inf" } else { "-Inf" })
        } else {
            self.0.fmt(f)
        }
    }
}

/// A label value inside quotes.
struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for c in self.0.chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}
