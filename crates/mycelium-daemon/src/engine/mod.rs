//! The simulation thread: steps the field on time, extracts features, closes windows, hands them on.
//!
//! [`EngineCore`] decides what a step yields and knows no clock; [`Engine`] is the thread around it. The thread owns
//! the field, the estimators and the window; others see the [`Snapshots`](crate::snapshots::Snapshots), the ring of frames
//! and a queue of stimuli. Nothing is allocated per step.

mod core;
mod metrics;
mod thread;

pub use self::core::{EngineCore, EnginePlan, StepOutput};
pub use metrics::SimulationMetrics;
pub use thread::{Engine, EngineDeps, EngineInbox, EngineObserver, InputSample, QueuedStimulus};
