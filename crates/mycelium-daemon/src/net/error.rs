//! Why a request got no response.

use std::fmt;
use std::io::ErrorKind;

use super::connector::Phase;

/// Why a request got no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportError {
    Dns,
    NoRoute,
    Refused,
    ConnectTimeout,
    Tls,
    Timeout,
    Reset,
    /// The response is not HTTP, or malformed HTTP.
    Protocol,
    /// This side closed the connection.
    Aborted,
    Other,
}

impl TransportError {
    /// Of a connection without host and TLS.
    pub fn of_io(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::ConnectionRefused | ErrorKind::NotFound => Self::Refused,
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Self::Timeout,
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Self::Reset,
            ErrorKind::InvalidData => Self::Protocol,
            _ => Self::Other,
        }
    }

    pub(super) fn of(error: &ureq::Error, phase: Phase) -> Self {
        use ErrorKind as Kind;
        let kind = match error {
            ureq::Error::Io(e) => Some(e.kind()),
            _ => None,
        };
        match (phase, error, kind) {
            (Phase::Resolve, ..) | (_, ureq::Error::HostNotFound, _) => Self::Dns,
            (
                _,
                _,
                Some(
                    Kind::NetworkUnreachable
                    | Kind::HostUnreachable
                    | Kind::NetworkDown
                    | Kind::AddrNotAvailable,
                ),
            ) => Self::NoRoute,
            (Phase::Connect, _, Some(Kind::ConnectionRefused)) => Self::Refused,
            (Phase::Connect | Phase::Tls, ureq::Error::Timeout(_), _) => Self::ConnectTimeout,
            (_, ureq::Error::Timeout(_), _) => Self::Timeout,
            (_, _, Some(Kind::NotConnected)) => Self::Aborted,
            (Phase::Tls, ..) | (_, ureq::Error::Rustls(_) | ureq::Error::Tls(_), _) => Self::Tls,
            (
                _,
                _,
                Some(
                    Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe | Kind::UnexpectedEof,
                ),
            ) => Self::Reset,
            (_, _, Some(Kind::TimedOut | Kind::WouldBlock)) => Self::Timeout,
            (_, ureq::Error::Protocol(_) | ureq::Error::LargeResponseHeader(..), _) => Self::Protocol,
            _ => Self::Other,
        }
    }

    /// The failure in words; `error` is appended only where it adds something.
    pub(super) fn explain(self, error: &ureq::Error) -> String {
        match self {
            Self::Tls | Self::Protocol | Self::Other => format!("{self} ({error})"),
            _ => self.to_string(),
        }
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dns => "name not found: check the url's host and the resolver",
            Self::NoRoute => "no route: the network is down",
            Self::Refused => "connection refused: is the receiver running?",
            Self::ConnectTimeout => "timeout while connecting",
            Self::Tls => "tls: the certificate or the handshake was not accepted",
            Self::Timeout => "no response within timeout_ms",
            Self::Reset => "connection closed before the response",
            Self::Protocol => "the response is not http/1.1",
            Self::Aborted => "aborted by the shutdown of this process",
            Self::Other => "transport failed",
        })
    }
}

impl std::error::Error for TransportError {}
