//! What the front asks of the rest of the daemon, as closures: it knows neither queues nor threads behind them.
//!
//! All but [`Ports::dead_letters`] are called on the HTTP loop and must come back within microseconds: copy under a short
//! lock, or put a request into a bounded queue.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::net::BreakerMode;
use crate::telemetry::trace::{RequestOrigin, SpanContext};

/// What never changes and only `/v1/status` tells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StaticInfo {
    pub version: &'static str,
    pub model: &'static str,
    pub precision: &'static str,
    pub boundary: &'static str,
    /// Cells along one edge.
    pub grid: usize,
    pub tick: Duration,
    /// Frames the ring can hold.
    pub frames: usize,
    /// Steps between two feature records.
    pub every: u64,
    /// How the daemon defines its features; simulations on request go by the same.
    pub profile: Option<mycelium_core::features::FeatureProfile>,
    /// What the daemon has set aside, and what it may, in bytes.
    pub memory_bytes: u64,
    pub memory_max_bytes: u64,
    /// What it leaves to simulations on request, and what the outbox lends to those that soon end while its disk takes
    /// its records.
    pub work_bytes: u64,
    pub lent_bytes: u64,
    /// What gives way when the outbox has reached its size, as `outbox.full` names it.
    pub outbox_full: &'static str,
}

/// Row-major cells in volts, in the precision they were computed in.
#[derive(Clone, Debug, PartialEq)]
pub enum Cells {
    F32(Vec<f32>),
    F64(Vec<f64>),
}

/// A frame copied out of the ring.
#[derive(Clone, Debug, PartialEq)]
pub struct FrameCopy {
    /// Counted from 1.
    pub step: u64,
    pub grid: usize,
    pub cells: Cells,
}

/// The ring no longer, or not yet, has that frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameGone {
    /// Steps still there, both included; `None` before the first frame.
    pub held: Option<(u64, u64)>,
}

/// A push from outside: added to V of one cell at the next step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stimulus {
    pub row: usize,
    pub col: usize,
    pub volts: f64,
}

/// A bounded queue has no place at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// No endpoint has that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownEndpoint;

/// One record that its receiver refused for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterView {
    /// Event id, `<device>-<boot>-<seq>`.
    pub id: String,
    pub endpoint: String,
    /// Status of the refusal, 0 when there was none.
    pub status: u16,
    pub reason: String,
}

/// The dead letters could not be read, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLettersUnavailable(pub String);

/// The two texts of `/metrics`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposition {
    /// Prometheus text format 0.0.4.
    Text,
    OpenMetrics,
}

/// One answered request, for logs and traces.
#[derive(Clone, Copy, Debug)]
pub struct AccessRecord<'a> {
    pub request_id: &'a str,
    pub method: &'a str,
    /// Template of the route, `other` when there is none.
    pub route: &'static str,
    pub status: u16,
    pub took: Duration,
    pub peer: std::net::IpAddr,
    /// Name of the key, never its text.
    pub key: Option<&'a str>,
    /// The caller's span.
    pub trace: Option<SpanContext>,
    /// The request's own, where [`Ports::start_span`] was asked for it.
    pub span: Option<SpanContext>,
    /// What the caller sent beside it, already checked.
    pub tracestate: Option<&'a str>,
}

type Frame = dyn Fn(Option<u64>) -> Result<FrameCopy, FrameGone> + Send;
type OnResponse = dyn Fn(&AccessRecord<'_>) + Send;
type StartSpan = dyn Fn(Option<SpanContext>, bool) -> SpanContext + Send;
type Command = dyn Fn(RequestOrigin) -> Result<(), Busy> + Send;
type ReadDeadLetters = dyn Fn() -> Result<Vec<DeadLetterView>, DeadLettersUnavailable> + Send + Sync;
type Stimulate = dyn Fn(&[Stimulus]) -> Result<(), Busy> + Send;
type SetBreaker = dyn Fn(&str, BreakerMode, RequestOrigin) -> Result<(), UnknownEndpoint> + Send;

/// The closures. [`Ports::closed`] has one of each that says no.
pub struct Ports {
    pub info: StaticInfo,
    /// The frame after a step, or the newest.
    pub frame: Box<Frame>,
    pub metrics: Box<dyn Fn(Exposition) -> String + Send>,
    pub stimulate: Box<Stimulate>,
    /// Commit what the outbox holds and send what waits, without lingering.
    pub flush: Box<Command>,
    /// Oldest first, bounded by the dead-letter log. Waits for the outbox: called on a thread of its own.
    pub dead_letters: Arc<ReadDeadLetters>,
    /// Hand the dead letters to delivery once more.
    pub replay: Box<Command>,
    /// Name, wish, and who asks.
    pub set_breaker: Box<SetBreaker>,
    /// The span of a request that others go on with, below the caller's; and whether that has shown a key.
    pub start_span: Option<Box<StartSpan>>,
    pub on_response: Option<Box<OnResponse>>,
}

impl Ports {
    /// Nothing behind them: no frame, no metrics, every request is one too many.
    pub fn closed() -> Self {
        Self {
            info: StaticInfo::default(),
            frame: Box::new(|_| Err(FrameGone { held: None })),
            metrics: Box::new(|_| String::new()),
            stimulate: Box::new(|_| Err(Busy)),
            flush: Box::new(|_| Err(Busy)),
            dead_letters: Arc::new(|| Ok(Vec::new())),
            replay: Box::new(|_| Err(Busy)),
            set_breaker: Box::new(|_, _, _| Err(UnknownEndpoint)),
            start_span: None,
            on_response: None,
        }
    }
}

impl fmt::Debug for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ports").field("info", &self.info).finish_non_exhaustive()
    }
}
