//! Spans around what the daemon does; the parts that do it do not know the tracer.
//!
//! A window's span is the root of a trace, or part of that of the request or the connector's look that has pushed the field. Below it are
//! its step batches, its commit and its delivery, so one trace leads from a cause to the receiver.

mod deliveries;
mod export;
mod requests;
mod windows;

use std::sync::{Arc, Mutex};

pub(super) use deliveries::Deliveries;
pub use export::{Exporter, export};
pub(super) use requests::{answered, begin};
pub(super) use windows::Windows;

use crate::clock::Mono;
use crate::sync::lock;
use crate::telemetry::trace::{LINKS, Links, Span, SpanContext, Tracer};

/// Windows whose place is remembered until they are delivered; later ones begin a trace of their own.
const REMEMBERED: usize = 256;

/// The place of the look a connector is taking.
pub(super) type Look = Arc<Mutex<Option<Place>>>;

/// A place in a trace, and what callers have put beside it.
#[derive(Clone, Debug)]
pub(super) struct Place {
    context: SpanContext,
    state: Option<Arc<str>>,
}

#[derive(Debug, Default)]
struct Kept {
    /// The last request, or else the first look of a connector, that has pushed the field, until a window takes it over.
    cause: Option<Place>,
    /// Closed windows by the time they were closed at, which their records carry.
    windows: heapless::Deque<(Mono, Place), REMEMBERED>,
    uncommitted: heapless::Vec<Place, LINKS>,
}

/// What the spans of different threads have to know of each other. There is none with tracing off.
#[derive(Clone)]
pub(super) struct Traces {
    tracer: Tracer,
    kept: Arc<Mutex<Kept>>,
}

impl Traces {
    pub(super) fn new(tracer: &Tracer) -> Option<Self> {
        tracer.is_on().then(|| Self { tracer: tracer.clone(), kept: Arc::default() })
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        lock(&self.kept)
    }

    /// A new place below another, or at the root of a trace.
    fn below(&self, parent: Option<&Place>) -> Place {
        let context = self.tracer.begin(parent.map(|parent| parent.context));
        Place { context, state: parent.and_then(|parent| parent.state.clone()) }
    }

    /// The window closed at `mono` is at this place.
    fn closed(&self, mono: Mono, place: Place) {
        let mut kept = self.kept();
        // Those that do not fit are committed all the same, and only not linked.
        drop(kept.uncommitted.push(place.clone()));
        if kept.windows.is_full() {
            kept.windows.pop_front();
        }
        kept.windows.push_back((mono, place)).expect("a place was made just now");
    }

    /// The place of the first of these windows that is remembered, and links to the others.
    fn of(&self, closed: impl Iterator<Item = Mono>) -> (Option<Place>, Links) {
        let kept = self.kept();
        let mut places = closed.filter_map(|mono| {
            kept.windows.iter().find(|(at, _)| *at == mono).map(|(_, place)| place.clone())
        });
        let first = places.next();
        (first, places.take(LINKS).map(|place| place.context).collect())
    }

    /// Trace and span id of the window closed then, for a log line; empty when it is not remembered.
    pub(super) fn ids_of(&self, closed: Mono) -> (String, String) {
        let (place, _) = self.of(std::iter::once(closed));
        place.map(|Place { context, .. }| context.ids()).unwrap_or_default()
    }

    /// Trace and span id of the first window that waits for a commit, for a log line; empty without one.
    pub(super) fn waiting(&self) -> (String, String) {
        self.kept().uncommitted.first().map(|place| place.context.ids()).unwrap_or_default()
    }

    /// A connector's look has pushed the field; a request that did before stays the cause.
    pub(super) fn pushed(&self, look: &Look) {
        let place = lock(look).clone();
        let mut kept = self.kept();
        kept.cause = kept.cause.take().or(place);
    }

    /// The windows that wait for a commit, taken: the first, and links to the others.
    fn committed(&self) -> (Option<Place>, Links) {
        let waiting = std::mem::take(&mut self.kept().uncommitted);
        let mut places = waiting.into_iter();
        let first = places.next();
        (first, places.map(|place| place.context).collect())
    }

    fn end(&self, span: Span) {
        self.tracer.end(span);
    }
}
