//! Why the daemon could not start, or had to end.

use std::fmt;
use std::io;

use crate::api::TlsError;
use crate::config::Problem;
use mycelium_outbox::OutboxError;
use mycelium_outbox::state_dir::StateDirError;

#[derive(Debug)]
pub enum Error {
    /// Everything that is wrong with the configuration.
    Config(Vec<Problem>),
    State(StateDirError),
    Outbox(OutboxError),
    Webhook(String),
    Tls(TlsError),
    /// A thread that everything needs is no more; the log says why.
    Ended(&'static str),
    Io {
        what: String,
        source: io::Error,
    },
}

impl Error {
    /// `what` as "verb object", for "cannot {what}: {source}".
    pub(super) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

impl fmt::Display for Error {
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
            Self::Webhook(text) => f.write_str(text),
            Self::Tls(error) => write!(f, "api.tls: {error}"),
            Self::Ended(name) => write!(f, "the {name} thread has ended: see the line before"),
            Self::Io { what, source } => write!(f, "cannot {what}: {source}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<StateDirError> for Error {
    fn from(error: StateDirError) -> Self {
        Self::State(error)
    }
}

impl From<OutboxError> for Error {
    fn from(error: OutboxError) -> Self {
        Self::Outbox(error)
    }
}
