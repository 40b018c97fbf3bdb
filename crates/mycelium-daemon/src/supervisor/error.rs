//! Why the daemon could not start, or had to stop.

use std::fmt;
use std::io;

use crate::api::TlsError;
use crate::config::ConfigProblem;
use mycelium_outbox::OutboxError;
use mycelium_outbox::state_dir::StateDirError;

#[derive(Debug)]
pub enum DaemonError {
    /// Everything that is wrong with the configuration.
    Config(Vec<ConfigProblem>),
    State(StateDirError),
    Outbox(OutboxError),
    Endpoint(String),
    Tls(TlsError),
    /// An essential thread has ended; the log says why.
    Ended(&'static str),
    Io {
        what: String,
        source: io::Error,
    },
}

impl DaemonError {
    /// `what` is "verb object", for "cannot {what}: {source}".
    pub(super) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

impl fmt::Display for DaemonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(problems) => problems.iter().enumerate().try_for_each(|(k, problem)| {
                if k > 0 {
                    f.write_str("\n")?;
                }
                problem.fmt(f)
            }),
            Self::State(error) => error.fmt(f),
            Self::Outbox(error) => error.fmt(f),
            Self::Endpoint(text) => f.write_str(text),
            Self::Tls(error) => write!(f, "api.tls: {error}"),
            Self::Ended(name) => write!(f, "the {name} thread has ended: see the log line before this one"),
            Self::Io { what, source } => write!(f, "cannot {what}: {source}"),
        }
    }
}

impl std::error::Error for DaemonError {}

impl From<StateDirError> for DaemonError {
    fn from(error: StateDirError) -> Self {
        Self::State(error)
    }
}

impl From<OutboxError> for DaemonError {
    fn from(error: OutboxError) -> Self {
        Self::Outbox(error)
    }
}
