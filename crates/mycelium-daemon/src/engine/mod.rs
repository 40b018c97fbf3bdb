//! The simulation thread: steps the field on time, extracts features, closes windows and passes them to a sink.
//!
//! [`EngineCore`] computes a step and knows no clock; [`Engine`] is the thread around it. The thread owns the field, the
//! estimators and the window; other threads see the [`Snapshots`](crate::snapshots::Snapshots), the ring of frames and
//! a queue of stimuli. No step allocates.

mod core;
mod metrics;
mod thread;

pub use self::core::{EngineCore, EnginePlan, StepOutput};
pub use metrics::SimulationMetrics;
pub use thread::{Engine, EngineDeps, EngineInbox, EngineObserver, InputSample, QueuedStimulus};
