//! Where spans go and how many.

/// The table `[trace]`.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceSettings {
    /// OTLP/HTTP in JSON; `None` switches tracing off.
    pub otlp_url: Option<String>,
    /// Share of traces recorded when no caller has decided, `0..=1`.
    pub sample_ratio: f64,
}
