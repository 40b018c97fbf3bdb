//! Spans of the simulation and of commits: window, step batch, commit.

use std::time::Duration;

use super::{SpanRef, Traces};
use crate::clock::{Mono, Stamp, Wall};
use crate::engine::EngineObserver;
use crate::telemetry::trace::{Attributes, Links, Span, SpanKind};
use mycelium_core::window::FeatureWindow;

/// Step batches of one window with a span each; the last covers the rest.
const BATCHES: usize = 64;

/// Steps from one feature record to the next.
#[derive(Clone, Copy, Debug)]
struct Steps {
    began: (Mono, Wall),
    ended: Mono,
    count: u64,
    last: u64,
}

/// Traces the simulation thread. Batches are stored until the window closes, because its trace is known only then.
pub(in crate::supervisor) struct Windows {
    traces: Traces,
    batches: heapless::Vec<Steps, BATCHES>,
    /// Start of the open batch.
    began: (Mono, Wall),
    last: u64,
}

impl Windows {
    pub(in crate::supervisor) fn new(traces: Traces) -> Self {
        Self { traces, batches: heapless::Vec::new(), began: (Mono::now(), Wall::now()), last: 0 }
    }

    fn batch(&self, parent: &SpanRef, batch: &Steps) {
        let span = self.traces.child(Some(parent));
        self.traces.end(Span {
            context: span.context,
            parent: Some(parent.context.span_id),
            name: "step batch".to_owned(),
            kind: SpanKind::Internal,
            start: batch.began.1,
            took: batch.ended.since(batch.began.0),
            attributes: Attributes::default()
                .integer("mycelium.steps", batch.count as i64)
                .integer("mycelium.step", batch.last as i64),
            state: span.state,
            links: Links::new(),
            error: None,
        });
    }
}

impl EngineObserver for Windows {
    fn features(&mut self, step: u64, stamp: Stamp) {
        let batch =
            Steps { began: self.began, ended: stamp.mono, count: step.saturating_sub(self.last), last: step };
        if let Err(batch) = self.batches.push(batch)
            && let Some(open) = self.batches.last_mut()
        {
            *open = Steps { began: open.began, count: open.count + batch.count, ..batch };
        }
        self.began = (stamp.mono, stamp.wall);
        self.last = step;
    }

    fn window(&mut self, window: &FeatureWindow, stamp: Stamp) {
        let trigger = self.traces.state().trigger.take();
        let span = self.traces.child(trigger.as_ref());
        self.traces.remember_window(stamp.mono, span.clone());
        if span.context.sampled {
            let began = self.batches.first().map_or(self.began, |first| first.began);
            for batch in &self.batches {
                self.batch(&span, batch);
            }
            self.traces.end(Span {
                context: span.context,
                parent: trigger.map(|trigger| trigger.context.span_id),
                name: "feature window".to_owned(),
                kind: SpanKind::Internal,
                start: began.1,
                took: stamp.mono.since(began.0),
                attributes: Attributes::default()
                    .integer(
                        "mycelium.steps",
                        (window.last_step + 1).saturating_sub(window.first_step) as i64,
                    )
                    .integer("mycelium.step", window.last_step as i64)
                    .integer("mycelium.samples", i64::from(window.samples)),
                state: span.state,
                links: Links::new(),
                error: None,
            });
        }
        self.batches.clear();
        self.began = (stamp.mono, stamp.wall);
    }
}

impl Traces {
    /// Ends the span of `commits` commits, each of which took this long.
    pub(in crate::supervisor) fn commit(&self, took: Duration, commits: u64) {
        let (parent, links) = self.take_uncommitted();
        let span = self.child(parent.as_ref());
        if !span.context.sampled {
            return;
        }
        let ms = i64::try_from(took.as_millis()).unwrap_or(i64::MAX);
        self.end(Span {
            context: span.context,
            parent: parent.map(|parent| parent.context.span_id),
            name: "outbox commit".to_owned(),
            kind: SpanKind::Internal,
            start: Wall(Wall::now().0.saturating_sub(ms)),
            took,
            attributes: Attributes::default().integer("mycelium.commits", commits as i64),
            state: span.state,
            links,
            error: None,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::telemetry::trace::{SpanContext, TraceSettings, Tracer};

    fn at(ms: u64) -> Stamp {
        Stamp { mono: Mono(ms * 1_000_000), wall: Wall(ms as i64), synced: true }
    }

    /// Two windows of 100 feature records each make 2 x (64 + 1) spans, of which a batch takes 128.
    /// Seen red with the last batch replaced instead of extended, and with the trigger not removed.
    #[test]
    fn a_window_of_many_records_has_few_spans_that_cover_every_step_and_belongs_to_its_trigger() {
        let settings = TraceSettings { otlp_url: Some("http://127.0.0.1:9/".to_owned()), sample_ratio: 1.0 };
        let tracer = Tracer::new(&settings, 5, Arc::default());
        let traces = Traces::new(&tracer).unwrap();
        let mut windows = Windows::new(traces.clone());
        let trigger = SpanContext { trace_id: 0xca, span_id: 0x5e, sampled: true };
        traces.state().trigger = Some(SpanRef { context: trigger, state: Some("a=1".into()) });
        for round in 0..2 {
            for record in 1..=100 {
                let step = round * 1000 + record * 10;
                windows.features(step, at(step));
            }
            let mut builder = mycelium_core::window::WindowBuilder::new(round * 1000 + 1);
            builder.sample(&[0.0; mycelium_core::features::FEATURE_COUNT]);
            windows.window(&builder.finish(round * 1000 + 1000).unwrap(), at(round * 1000 + 1000));
        }
        let spans = tracer.next_batch().unwrap();
        let (first, second) = spans.split_at(65);
        let steps = |span: &Span| match span.attributes.get("mycelium.steps") {
            Some(crate::telemetry::trace::Attribute::Integer(n)) => *n,
            other => panic!("{other:?}"),
        };
        let (window, batches) = first.split_last().unwrap();
        assert_eq!(
            (window.name.as_str(), window.parent, steps(window)),
            ("feature window", Some(0x5e), 1000)
        );
        assert_eq!(batches.iter().map(steps).sum::<i64>(), 1000);
        assert_eq!(batches.last().unwrap().took, Duration::from_millis(370), "the last covers 37 records");
        for span in first {
            assert_eq!((span.context.trace_id, span.state.as_deref()), (0xca, Some("a=1")), "{}", span.name);
        }
        assert!(batches.iter().all(|batch| batch.parent == Some(window.context.span_id)));
        assert!(second.iter().all(|span| span.context.trace_id != 0xca && span.state.is_none()));

        let (span, links) =
            traces.windows_at([Mono(2_000_000_000), Mono(7), Mono(1_000_000_000)].into_iter());
        assert!(span.unwrap().context.trace_id != 0xca, "the parent is the first that is remembered");
        assert_eq!(links.iter().map(|link| link.trace_id).collect::<Vec<_>>(), [0xca]);
        assert_eq!(traces.first_uncommitted(), window.context.ids(), "the oldest");
        let (parent, links) = traces.take_uncommitted();
        assert_eq!((parent.unwrap().context.trace_id, links.len()), (0xca, 1));
        assert!(traces.take_uncommitted().0.is_none(), "removed");
        assert_eq!(traces.first_uncommitted(), (String::new(), String::new()));
    }
}
