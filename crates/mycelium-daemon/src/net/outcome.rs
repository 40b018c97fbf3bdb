//! PURE. What a response or its absence means.
//!
//! | response | outcome |
//! |---|---|
//! | 2xx | success |
//! | 408, 5xx, 3xx, transport, TLS | failed: retry, counts against the endpoint |
//! | 425, 429 | busy: retry, does not count |
//! | 410 | gone: no request until an operator sets the breaker or the URL changes |
//! | 413 | too large: the batch is halved |
//! | 401, 402, 403, 404, 405, 407, 421, 426 | misconfigured: not caused by a record; retry, counts |
//! | other 4xx | rejected: bisect down to the record, move it to the dead letters |
//!
//! With a wrong token or path, every record is answered alike. If 401 or 404 were blamed on the records, the whole
//! outbox would become dead letters; so these are retried until the configuration is corrected.

use std::time::Duration;

use super::breaker::CallResult;
use super::error::TransportError;

/// What one request came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestOutcome {
    Success {
        took: Duration,
    },
    Failed {
        retry_after: Option<Duration>,
    },
    Busy {
        retry_after: Option<Duration>,
    },
    /// The request was not sent: DNS or routing failed.
    Unreachable,
    Misconfigured(u16),
    Rejected(u16),
    TooLarge,
    Gone,
    /// Aborted by the shutdown of this process; says nothing about the endpoint.
    Aborted,
}

impl RequestOutcome {
    /// What a status means. Statuses below 200 are not final and count as failed.
    pub fn of(status: u16, retry_after: Option<Duration>, took: Duration) -> Self {
        match status {
            200..=299 => Self::Success { took },
            425 | 429 => Self::Busy { retry_after },
            410 => Self::Gone,
            413 => Self::TooLarge,
            401..=405 | 407 | 421 | 426 => Self::Misconfigured(status),
            400..=499 if status != 408 => Self::Rejected(status),
            _ => Self::Failed { retry_after },
        }
    }

    /// The wait that the endpoint asked for.
    pub fn retry_after(self) -> Option<Duration> {
        match self {
            Self::Failed { retry_after } | Self::Busy { retry_after } => retry_after,
            _ => None,
        }
    }

    /// What it says about the endpoint's health.
    pub fn call_result(self) -> CallResult {
        match self {
            Self::Success { took } => CallResult::Success { took },
            Self::Failed { .. } | Self::Misconfigured(_) => CallResult::Failure,
            Self::Busy { .. } | Self::Rejected(_) | Self::TooLarge | Self::Gone => CallResult::Neutral,
            Self::Unreachable | Self::Aborted => CallResult::Unreachable,
        }
    }
}

impl From<TransportError> for RequestOutcome {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::Dns | TransportError::NoRoute => Self::Unreachable,
            // Whoever aborted it overrules this; otherwise it is a failure like any other.
            _ => Self::Failed { retry_after: None },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_meaning() {
        let wait = Some(Duration::from_secs(9));
        let took = Duration::from_millis(3);
        let success = RequestOutcome::Success { took };
        let failed = RequestOutcome::Failed { retry_after: wait };
        let rows = [
            (200, success),
            (202, success),
            (204, success),
            (299, success),
            (100, failed),
            (301, failed),
            (307, failed),
            (400, RequestOutcome::Rejected(400)),
            (401, RequestOutcome::Misconfigured(401)),
            (403, RequestOutcome::Misconfigured(403)),
            (404, RequestOutcome::Misconfigured(404)),
            (405, RequestOutcome::Misconfigured(405)),
            (406, RequestOutcome::Rejected(406)),
            (408, failed),
            (409, RequestOutcome::Rejected(409)),
            (410, RequestOutcome::Gone),
            (413, RequestOutcome::TooLarge),
            (422, RequestOutcome::Rejected(422)),
            (425, RequestOutcome::Busy { retry_after: wait }),
            (429, RequestOutcome::Busy { retry_after: wait }),
            (451, RequestOutcome::Rejected(451)),
            (500, failed),
            (503, failed),
            (599, failed),
            (999, failed),
        ];
        for (status, want) in rows {
            assert_eq!(RequestOutcome::of(status, wait, took), want, "{status}");
        }
    }

    #[test]
    fn only_the_endpoints_own_failures_count_against_it() {
        assert_eq!(RequestOutcome::from(TransportError::NoRoute).call_result(), CallResult::Unreachable);
        assert_eq!(RequestOutcome::from(TransportError::Dns).call_result(), CallResult::Unreachable);
        assert_eq!(RequestOutcome::from(TransportError::Refused).call_result(), CallResult::Failure);
        assert_eq!(RequestOutcome::Rejected(400).call_result(), CallResult::Neutral);
        assert_eq!(RequestOutcome::Busy { retry_after: None }.call_result(), CallResult::Neutral);
        assert_eq!(RequestOutcome::Misconfigured(401).call_result(), CallResult::Failure);
    }
}
