//! `/metrics`.

use crate::api::http::response::{Response, ResponseBody};
use crate::api::request::ApiRequest;
use crate::api::state::AppState;
use crate::telemetry::metrics::ExpositionFormat;

const OPEN_METRICS: &str = "application/openmetrics-text";

/// `OpenMetrics` for a client whose `Accept` names it, Prometheus text otherwise.
pub fn metrics(state: &AppState, request: &ApiRequest<'_>) -> Response {
    let wants_open_metrics = request.head.accept.is_some_and(|accept| {
        accept.windows(OPEN_METRICS.len()).any(|part| part.eq_ignore_ascii_case(OPEN_METRICS.as_bytes()))
    });
    let (format, content_type) = if wants_open_metrics {
        (ExpositionFormat::OpenMetrics, "application/openmetrics-text; version=1.0.0; charset=utf-8")
    } else {
        (ExpositionFormat::Text, "text/plain; version=0.0.4; charset=utf-8")
    };
    let text = state.expositions().get(format, request.now, || {
        let (idle, busy) = state.connections().counts();
        state.metrics().idle.set(idle as f64);
        state.metrics().busy.set(busy as f64);
        (state.ports().metrics)(format)
    });
    Response::new(200, content_type, ResponseBody::Shared(text))
}
