//! Every metric of the daemon in one place. Each part of the daemon owns its numbers and writes them without waiting;
//! [`FAMILIES`] says how each is called, of what type and unit it is and what it means, and is the only source of the
//! exposition and of `docs/METRICS.md`.

mod families;

use std::sync::Arc;

pub use families::{FAMILIES, MetricsSource};

use super::outbox_metrics::OutboxMetrics;
use crate::api::HttpMetrics;
use crate::connectors::{ConnectorMetrics, InputMetrics};
use crate::delivery::DeliveryMetrics;
use crate::engine::SimulationMetrics;
use crate::signals::SignalMetricsTable;
use crate::telemetry::metrics::{Counter, Gauge};
use crate::telemetry::trace::SpanCounters;

/// All of them. Memory is allocated once; its size depends only on the number of endpoints.
#[derive(Debug, Default)]
pub struct Metrics {
    pub sim: Arc<SimulationMetrics>,
    pub http: Arc<HttpMetrics>,
    pub outbox: OutboxMetrics,
    pub delivery: Vec<Arc<DeliveryMetrics>>,
    pub connectors: Vec<Arc<ConnectorMetrics>>,
    pub inputs: Arc<InputMetrics>,
    pub signals: Arc<SignalMetricsTable>,
    pub spans: Arc<SpanCounters>,
    pub clock_synced: Gauge,
    pub log_suppressed: Counter,
    pub log_lost: Counter,
    /// Set once, at start.
    pub memory_budget: Gauge,
}

impl Metrics {
    /// Names of the configured endpoints (at most 8), connectors (8) and inputs (32).
    pub fn new<'a>(
        endpoints: impl IntoIterator<Item = &'a str>,
        connectors: impl IntoIterator<Item = &'a str>,
        inputs: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let inputs = Arc::new(InputMetrics::new(inputs));
        let signals = inputs.0.iter().map(|(name, _)| name.as_str());
        let signals = Arc::new(SignalMetricsTable::new(signals));
        let connector = |name| Arc::new(ConnectorMetrics::new(name, Arc::clone(&inputs)));
        Self {
            delivery: endpoints.into_iter().map(|name| Arc::new(DeliveryMetrics::new(name))).collect(),
            connectors: connectors.into_iter().map(connector).collect(),
            inputs,
            signals,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::telemetry::metrics::{BuildInfo, ExpositionFormat, ProcessStats, render};

    fn text(format: ExpositionFormat) -> String {
        let metrics = Metrics::new(["cloud", "a\"b\\c\nd"], [], []);
        metrics.http.record_response(1, "GET", 200, 0.002);
        metrics.sim.step_seconds.observe(3e-6);
        metrics.sim.features[0].set(f64::NAN);
        let process = ProcessStats { cpu_seconds: 1.25, ..ProcessStats::default() };
        let source = MetricsSource { metrics: metrics.into(), process, build: BuildInfo::THIS };
        render(FAMILIES, &source, format)
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

    /// A number that is counted but not exposed costs time for nothing.
    #[test]
    fn every_number_of_the_table_is_rendered() {
        let tables = [
            include_str!("mod.rs"),
            include_str!("../outbox_metrics.rs"),
            include_str!("../../engine/metrics.rs"),
            include_str!("../../api/metrics.rs"),
            include_str!("../../delivery/metrics.rs"),
            include_str!("../../events/metrics.rs"),
            include_str!("../../connectors/metrics.rs"),
            include_str!("../../telemetry/trace/tracer.rs"),
        ];
        let families = include_str!("families.rs");
        let kinds = ["Counter", "Gauge", "Histogram<", "[Gauge;", "LabelledCounters<", "StateGauge<"];
        let mut seen = 0;
        for line in tables.iter().flat_map(|table| table.lines()) {
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
