//! Records spans of requests, windows, commits, deliveries and polls; the code that does the work knows no tracer.
//!
//! The span of a window is the root of a trace, or belongs to the trace of the request or poll that stimulated the
//! field. Below it are its step batches, its commit and its delivery: one trace leads from a trigger to the receiver.

mod deliveries;
mod export;
mod requests;
mod windows;

use std::sync::{Arc, Mutex};

pub(super) use deliveries::Deliveries;
pub use export::{Exporter, export};
pub(super) use requests::{on_response, start_request_span};
pub(super) use windows::Windows;

use crate::clock::Mono;
use crate::sync::lock;
use crate::telemetry::trace::{LINKS, Links, Span, SpanContext, Tracer};

/// Windows whose span is remembered until they are delivered; deliveries of older windows start a new trace.
const REMEMBERED: usize = 256;

/// Span of the poll in progress of one connector.
pub(super) type CurrentPoll = Arc<Mutex<Option<SpanRef>>>;

/// A span and the `tracestate` of its caller.
#[derive(Clone, Debug)]
pub(super) struct SpanRef {
    context: SpanContext,
    state: Option<Arc<str>>,
}

#[derive(Debug, Default)]
struct TraceState {
    /// The last request, or else the first poll, that stimulated the field since the last window closed.
    trigger: Option<SpanRef>,
    /// Closed windows by the monotonic time of their end, which their records carry.
    windows: heapless::Deque<(Mono, SpanRef), REMEMBERED>,
    uncommitted: heapless::Vec<SpanRef, LINKS>,
}

/// State shared by the spans of different threads; `None` if tracing is off.
#[derive(Clone)]
pub(super) struct Traces {
    tracer: Tracer,
    shared: Arc<Mutex<TraceState>>,
}

impl Traces {
    pub(super) fn new(tracer: &Tracer) -> Option<Self> {
        tracer.is_on().then(|| Self { tracer: tracer.clone(), shared: Arc::default() })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, TraceState> {
        lock(&self.shared)
    }

    /// A new span below `parent`, or the root of a new trace.
    fn child(&self, parent: Option<&SpanRef>) -> SpanRef {
        let context = self.tracer.begin(parent.map(|parent| parent.context));
        SpanRef { context, state: parent.and_then(|parent| parent.state.clone()) }
    }

    /// Remembers the span of the window that closed at `mono`.
    fn remember_window(&self, mono: Mono, span: SpanRef) {
        let mut state = self.state();
        // The commit links to at most this many windows.
        drop(state.uncommitted.push(span.clone()));
        if state.windows.is_full() {
            state.windows.pop_front();
        }
        state.windows.push_back((mono, span)).expect("the oldest was removed above");
    }

    /// Span of the first of these windows that is remembered, and links to the others.
    fn windows_at(&self, closed: impl Iterator<Item = Mono>) -> (Option<SpanRef>, Links) {
        let state = self.state();
        let mut spans = closed.filter_map(|mono| {
            state.windows.iter().find(|(at, _)| *at == mono).map(|(_, span)| span.clone())
        });
        let first = spans.next();
        (first, spans.take(LINKS).map(|span| span.context).collect())
    }

    /// Trace and span id of the window that closed then, for a log line; empty if it is not remembered.
    pub(super) fn ids_of(&self, closed: Mono) -> (String, String) {
        let (span, _) = self.windows_at(std::iter::once(closed));
        span.map(|SpanRef { context, .. }| context.ids()).unwrap_or_default()
    }

    /// Trace and span id of the first window that is not committed, for a log line; empty without one.
    pub(super) fn first_uncommitted(&self) -> (String, String) {
        self.state().uncommitted.first().map(|span| span.context.ids()).unwrap_or_default()
    }

    /// A poll has stimulated the field; an earlier trigger since the last window is kept.
    pub(super) fn record_poll_trigger(&self, poll: &CurrentPoll) {
        let span = lock(poll).clone();
        let mut state = self.state();
        state.trigger = state.trigger.take().or(span);
    }

    /// Removes the windows that are not committed: the span of the first, and links to the others.
    fn take_uncommitted(&self) -> (Option<SpanRef>, Links) {
        let windows = std::mem::take(&mut self.state().uncommitted);
        let mut spans = windows.into_iter();
        let first = spans.next();
        (first, spans.map(|span| span.context).collect())
    }

    fn end(&self, span: Span) {
        self.tracer.end(span);
    }
}
