//! Rendered metrics, so that several scrapers share one rendering.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use crate::clock::Mono;
use crate::telemetry::metrics::ExpositionFormat;

/// A scrape sees a snapshot that is at most this old.
const METRICS_FRESH: Duration = Duration::from_millis(250);
/// Time after the last scrape at which the memory of its text is freed.
const METRICS_KEPT: Duration = Duration::from_mins(1);

/// A rendered text and when it was rendered.
type CachedText = RefCell<Option<(Mono, Rc<[u8]>)>>;

#[derive(Default)]
pub struct ExpositionCache {
    text: CachedText,
    open_metrics: CachedText,
}

impl ExpositionCache {
    /// The cached text in that format, or that of `render`.
    pub fn get(&self, format: ExpositionFormat, now: Mono, render: impl FnOnce() -> String) -> Rc<[u8]> {
        let mut cached = match format {
            ExpositionFormat::Text => &self.text,
            ExpositionFormat::OpenMetrics => &self.open_metrics,
        }
        .borrow_mut();
        match &*cached {
            Some((rendered, text)) if now.since(*rendered) < METRICS_FRESH => Rc::clone(text),
            _ => {
                let text: Rc<[u8]> = render().into_bytes().into();
                *cached = Some((now, Rc::clone(&text)));
                text
            }
        }
    }

    pub fn drop_stale(&self, now: Mono) {
        for cached in [&self.text, &self.open_metrics] {
            cached.borrow_mut().take_if(|(rendered, _)| now.since(*rendered) > METRICS_KEPT);
        }
    }
}
