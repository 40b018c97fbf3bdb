//! PURE. What an attempt to deliver came to, and what a status code means.
//!
//! | answer | outcome |
//! |---|---|
//! | 2xx | delivered |
//! | 408, 5xx, 3xx, transport, TLS | failed: retry, counts against the endpoint |
//! | 425, 429 | busy: retry, does not count |
//! | 410 | gone: nothing is sent until an operator or a new URL says otherwise |
//! | 413 | too large: the batch is halved |
//! | 401, 402, 403, 404, 405, 407, 421, 426 | misconfigured: nothing about a record; retry, counts |
//! | other 4xx | refused: bisect down to the record, move it to the dead letters |
//!
//! A wrong token or path refuses every record alike. Taking 401 or 404 for the records' fault would empty the
//! outbox into the dead letters, so these wait and say so until somebody has put it right.

use std::fmt;
use std::time::Duration;

use super::breaker::Verdict;

/// What one attempt came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Delivered {
        took: Duration,
    },
    Failed {
        retry_after: Option<Duration>,
    },
    Busy {
        retry_after: Option<Duration>,
    },
    /// Never left the house: no route, no name.
    Unreachable,
    Misconfigured(u16),
    Refused(u16),
    TooLarge,
    Gone,
    /// Cut off because the process ends; says nothing.
    Abandoned,
}

impl Outcome {
    /// What an answer means. Statuses below 200 are no final answers and count as failed.
    pub fn of(status: u16, retry_after: Option<Duration>, took: Duration) -> Self {
        match status {
            200..=299 => Self::Delivered { took },
            425 | 429 => Self::Busy { retry_after },
            410 => Self::Gone,
            413 => Self::TooLarge,
            401..=405 | 407 | 421 | 426 => Self::Misconfigured(status),
            400..=499 if status != 408 => Self::Refused(status),
            _ => Self::Failed { retry_after },
        }
    }

    /// What it says about the endpoint's health.
    pub fn verdict(self) -> Verdict {
        match self {
            Self::Delivered { took } => Verdict::Good { took },
            Self::Failed { .. } | Self::Misconfigured(_) => Verdict::Bad,
            Self::Busy { .. } | Self::Refused(_) | Self::TooLarge | Self::Gone => Verdict::Alive,
            Self::Unreachable | Self::Abandoned => Verdict::Unreachable,
        }
    }
}

/// Why an attempt got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Dns,
    NoRoute,
    Refused,
    ConnectTimeout,
    Tls,
    Timeout,
    Reset,
    /// Not HTTP, or not HTTP as it should be.
    Protocol,
    /// Cut off by this side.
    Abandoned,
    Other,
}

impl Fault {
    pub fn outcome(self) -> Outcome {
        match self {
            Self::Dns | Self::NoRoute => Outcome::Unreachable,
            // Whoever cut it off knows that it did; for anybody else it is a failure like any other.
            _ => Outcome::Failed { retry_after: None },
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dns => "name not found: check the url's host and the resolver",
            Self::NoRoute => "no route: the network is down",
            Self::Refused => "connection refused: nothing listens there",
            Self::ConnectTimeout => "connecting took too long",
            Self::Tls => "tls: the certificate or the handshake was not accepted",
            Self::Timeout => "no answer within timeout_ms",
            Self::Reset => "connection closed before the answer",
            Self::Protocol => "the answer is not http/1.1",
            Self::Abandoned => "cut off at the end of this process",
            Self::Other => "transport failed",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_meaning() {
        let wait = Some(Duration::from_secs(9));
        let took = Duration::from_millis(3);
        let delivered = Outcome::Delivered { took };
        let failed = Outcome::Failed { retry_after: wait };
        let rows = [
            (200, delivered),
            (202, delivered),
            (204, delivered),
            (299, delivered),
            (100, failed),
            (301, failed),
            (307, failed),
            (400, Outcome::Refused(400)),
            (401, Outcome::Misconfigured(401)),
            (403, Outcome::Misconfigured(403)),
            (404, Outcome::Misconfigured(404)),
            (405, Outcome::Misconfigured(405)),
            (406, Outcome::Refused(406)),
            (408, failed),
            (409, Outcome::Refused(409)),
            (410, Outcome::Gone),
            (413, Outcome::TooLarge),
            (422, Outcome::Refused(422)),
            (425, Outcome::Busy { retry_after: wait }),
            (429, Outcome::Busy { retry_after: wait }),
            (451, Outcome::Refused(451)),
            (500, failed),
            (503, failed),
            (599, failed),
            (999, failed),
        ];
        for (status, want) in rows {
            assert_eq!(Outcome::of(status, wait, took), want, "{status}");
        }
    }

    #[test]
    fn only_the_endpoints_own_failures_count_against_it() {
        assert_eq!(Fault::NoRoute.outcome().verdict(), Verdict::Unreachable);
        assert_eq!(Fault::Dns.outcome().verdict(), Verdict::Unreachable);
        assert_eq!(Fault::Refused.outcome().verdict(), Verdict::Bad);
        assert_eq!(Outcome::Refused(400).verdict(), Verdict::Alive);
        assert_eq!(Outcome::Busy { retry_after: None }.verdict(), Verdict::Alive);
        assert_eq!(Outcome::Misconfigured(401).verdict(), Verdict::Bad);
    }
}
