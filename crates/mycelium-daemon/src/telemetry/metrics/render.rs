//! Metrics as text: Prometheus 0.0.4 and OpenMetrics 1.0.

use std::fmt::Write;

use super::families::{FAMILIES, MetricFamily, MetricKind};
use super::primitives::{Counter, Histogram};
use super::process::ProcessStats;
use super::table::Metrics;

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

    /// By an `Accept` field: OpenMetrics only for those who ask for it by name.
    pub fn accepted(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") { Self::OpenMetrics } else { Self::Text }
    }
}

/// What was built.
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

/// Where the numbers come from.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) metrics: &'a Metrics,
    pub(super) process: &'a ProcessStats,
    pub(super) build: &'a BuildInfo,
}

/// All metrics. Takes no lock; a few tens of microseconds, so that callers keep the text for a while.
pub fn render(
    metrics: &Metrics,
    process: &ProcessStats,
    build: &BuildInfo,
    format: ExpositionFormat,
) -> String {
    let source = Source { metrics, process, build };
    let mut out = String::with_capacity(16 * 1024);
    for family in FAMILIES {
        let mut sink = Sink { out: &mut out, family, format };
        sink.heading();
        (family.write)(&source, &mut sink);
    }
    if format == ExpositionFormat::OpenMetrics {
        out.push_str("# EOF\n");
    }
    out
}

/// Writes the samples of one family.
pub(super) struct Sink<'a> {
    out: &'a mut String,
    family: &'a MetricFamily,
    format: ExpositionFormat,
}

impl Sink<'_> {
    fn heading(&mut self) {
        let MetricFamily { kind, unit, help, .. } = *self.family;
        let (name, kind) = match (self.format, kind) {
            (ExpositionFormat::OpenMetrics, kind) => (self.family.name.to_owned(), kind.name()),
            (ExpositionFormat::Text, MetricKind::Info) => (self.sample_name(), "gauge"),
            (ExpositionFormat::Text, kind) => (self.sample_name(), kind.name()),
        };
        self.push(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        if self.format == ExpositionFormat::OpenMetrics && !unit.is_empty() {
            self.push(format_args!("# UNIT {name} {unit}\n"));
        }
    }

    /// Name of the samples; counters and infos carry a suffix the family does not have.
    fn sample_name(&self) -> String {
        let suffix = match self.family.kind {
            MetricKind::Counter => "_total",
            MetricKind::Info => "_info",
            MetricKind::Gauge | MetricKind::Histogram => "",
        };
        format!("{}{suffix}", self.family.name)
    }

    pub(super) fn count(&mut self, labels: &[(&str, &str)], count: u64) {
        let name = self.sample_name();
        self.sample(&name, labels, None, format_args!("{count}"));
    }

    pub(super) fn value(&mut self, labels: &[(&str, &str)], value: f64) {
        let name = self.sample_name();
        self.sample(&name, labels, None, format_args!("{}", Number(value)));
    }

    /// A counter that is no whole number.
    pub(super) fn total(&mut self, labels: &[(&str, &str)], value: f64) {
        self.value(labels, value);
    }

    /// One counter per value of a label.
    pub(super) fn each(&mut self, label: &str, values: &[&str], counters: &[Counter]) {
        for (value, counter) in values.iter().zip(counters) {
            self.count(&[(label, value)], counter.get());
        }
    }

    pub(super) fn histogram<const B: usize>(&mut self, labels: &[(&str, &str)], histogram: &Histogram<B>) {
        let name = self.family.name;
        let (counts, total) = histogram.cumulative();
        let bucket = format!("{name}_bucket");
        for (bound, count) in histogram.bounds().iter().zip(counts) {
            let le = match self.format {
                ExpositionFormat::Text => bound.to_string(),
                // Canonical numbers of OpenMetrics have a decimal point.
                ExpositionFormat::OpenMetrics if bound.fract() == 0.0 => format!("{bound}.0"),
                ExpositionFormat::OpenMetrics => bound.to_string(),
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
        labels: &[(&str, &str)],
        le: Option<&str>,
        value: std::fmt::Arguments<'_>,
    ) {
        debug_assert!(labels.iter().map(|(label, _)| label).eq(self.family.labels), "labels of {name}");
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

/// A sample value; what is not finite has names of its own.
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn text(format: ExpositionFormat) -> String {
        let metrics = Metrics::new(["cloud", "a\"b\\c\nd"]);
        metrics.http.answered(1, "GET", 200, 0.002);
        metrics.sim.step_seconds.observe(3e-6);
        metrics.sim.features[0].set(f64::NAN);
        let process = ProcessStats { cpu_seconds: 1.25, ..ProcessStats::default() };
        render(&metrics, &process, &BuildInfo::THIS, format)
    }

    #[test]
    fn every_family_is_there_once_with_help_type_and_at_least_its_own_samples() {
        for format in [ExpositionFormat::Text, ExpositionFormat::OpenMetrics] {
            let text = text(format);
            let mut seen = BTreeSet::new();
            for line in text.lines().filter(|line| line.starts_with("# TYPE ")) {
                assert!(seen.insert(line.split(' ').nth(2).unwrap()), "{line} is there twice");
            }
            assert_eq!(seen.len(), FAMILIES.len());
            let samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
            let unique: BTreeSet<_> = samples.iter().map(|line| line.rsplit_once(' ').unwrap().0).collect();
            assert_eq!(unique.len(), samples.len(), "no series twice");
        }
    }

    #[test]
    fn samples_look_as_the_formats_want_them() {
        let old = text(ExpositionFormat::Text);
        let new = text(ExpositionFormat::OpenMetrics);
        let rows = [
            (&old, "# TYPE mfn_simulation_steps_total counter", "counters carry _total"),
            (&new, "# TYPE mfn_simulation_steps counter", "families do not"),
            (&new, "# UNIT mfn_outbox_bytes bytes", "units"),
            (&old, "# TYPE mfn_build_info gauge", "an info is a gauge"),
            (&new, "# TYPE mfn_build info", "or an info"),
            (
                &old,
                "mfn_http_requests_total{endpoint=\"/healthz\",method=\"GET\",status=\"200\"} 1",
                "labels",
            ),
            (&old, "mfn_feature{name=\"D_box\"} NaN", "not a number"),
            (&old, "mfn_delivery_retries_total{endpoint=\"a\\\"b\\\\c\\nd\"} 0", "escapes"),
            (&old, "mfn_fractal_dimension_bucket{le=\"1\"} 0", "bounds"),
            (&new, "mfn_fractal_dimension_bucket{le=\"1.0\"} 0", "canonical bounds"),
            (&old, "mfn_simulation_step_duration_seconds_bucket{le=\"0.000005\"} 1", "small bounds"),
            (&old, "process_cpu_seconds_total 1.25", "fractions"),
        ];
        for (text, line, why) in rows {
            assert!(text.lines().any(|l| l == line), "{why}: no line {line} in\n{text}");
        }
        assert!(new.ends_with("\n# EOF\n") && !old.contains("# EOF"));
    }

    /// What is counted and never shown is work for nothing: dropped stream records were for a while.
    #[test]
    fn every_number_of_the_table_is_rendered() {
        let (table, families) = (include_str!("table.rs"), include_str!("families.rs"));
        let kinds = ["Counter", "Gauge", "Histogram<", "[Counter;", "[Gauge;", "AtomicU64"];
        let mut seen = 0;
        for line in table.lines() {
            let Some((name, kind)) = line.trim().strip_prefix("pub ").and_then(|l| l.split_once(": ")) else {
                continue;
            };
            if kinds.iter().any(|k| kind.starts_with(k)) {
                seen += 1;
                assert!(families.contains(&format!(".{name}")), "{name} is counted and not rendered");
            }
        }
        assert!(seen > 40, "only {seen} fields were found");
    }

    #[test]
    fn units_end_names_and_every_family_is_explained() {
        for family in FAMILIES {
            assert!(family.unit.is_empty() || family.name.ends_with(family.unit), "{}", family.name);
            assert!(family.help.ends_with('.'), "{}", family.name);
        }
    }
}
