//! The thread that sends spans to the collector, with the breaker and the back-off of deliveries.

use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock::Mono;
use crate::formats::json::{self, JsonPointer};
use crate::net::BreakerPolicy;
use crate::net::backoff::Backoff;
use crate::net::breaker::{Breaker, CallResult, NEVER, Permit};
use crate::net::client::{HttpClient, read_body};
use crate::telemetry::trace::otlp::{self, Resource};
use crate::telemetry::trace::{Span, TraceSettings, Tracer};

/// Longest time for one request.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Upper bound of the wait after the first failure; it doubles up to `RETRY_MAX`.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_mins(1);
/// Attempts for one batch.
const ATTEMPTS: u32 = 5;
/// Consecutive failures that open the breaker, and for how long.
const FAILURES: u32 = 3;
const OPEN: Duration = Duration::from_secs(5);
const OPEN_MAX: Duration = Duration::from_mins(5);
/// Bytes of a response that are read: it may report rejected spans, and a connection is reused only if it was read.
const MAX_RESPONSE_BYTES: u64 = 64 << 10;
/// Characters of a collector's message that are logged.
const MAX_LOGGED_CHARS: usize = 200;

/// The running export.
pub struct Exporter {
    tracer: Tracer,
    thread: JoinHandle<()>,
}

impl Exporter {
    /// Ends the thread without waiting for a request in progress: a stop must not wait for a collector.
    pub fn stop(self) {
        self.tracer.stop();
        if self.thread.is_finished() {
            drop(self.thread.join());
        }
    }
}

/// Starts the thread; `None` with tracing off. `seed` is for jitter.
pub fn export(
    tracer: &Tracer,
    settings: &TraceSettings,
    resource: Resource,
    seed: u64,
) -> std::io::Result<Option<Exporter>> {
    let Some(url) = settings.otlp_url.clone() else { return Ok(None) };
    let export = Export::new(tracer.clone(), url, resource, seed);
    let thread = std::thread::Builder::new().name("traces".into()).spawn(move || export.run())?;
    Ok(Some(Exporter { tracer: tracer.clone(), thread }))
}

/// Result of sending a batch.
enum ExportResult {
    /// Accepted except for this many spans.
    Accepted {
        rejected: usize,
    },
    /// To be repeated, not before `wait` has passed.
    Retry {
        why: String,
        wait: Option<Duration>,
    },
    Refused(u16),
}

struct Export {
    client: HttpClient,
    url: String,
    resource: Resource,
    tracer: Tracer,
    breaker: Breaker,
    backoff: Backoff,
    rng: fastrand::Rng,
    /// Whether the failure was logged; reset by a success.
    failing: bool,
}

impl Export {
    fn new(tracer: Tracer, url: String, resource: Resource, seed: u64) -> Self {
        let policy = BreakerPolicy {
            failures: FAILURES,
            open: OPEN,
            open_max: OPEN_MAX,
            slow: TIMEOUT,
            probe_timeout: TIMEOUT * 2,
        };
        Self {
            client: HttpClient::without_tls(TIMEOUT),
            url,
            resource,
            tracer,
            breaker: Breaker::new(policy, seed),
            backoff: Backoff::new(RETRY, RETRY_MAX),
            rng: fastrand::Rng::with_seed(seed),
            failing: false,
        }
    }

    fn run(mut self) {
        while let Some(batch) = self.tracer.next_batch() {
            let accepted = self.deliver(&batch);
            self.tracer.exported(accepted);
            self.tracer.dropped(batch.len() - accepted);
        }
    }

    /// Number of spans the collector has accepted.
    fn deliver(&mut self, batch: &[Span]) -> usize {
        let body = otlp::encode(&self.resource, batch);
        for _ in 0..ATTEMPTS {
            let Some(permit) = self.permit() else { return 0 };
            let began = Mono::now();
            let result = self.send(&body);
            let now = Mono::now();
            match result {
                ExportResult::Accepted { rejected } => {
                    self.breaker.record_result(permit, CallResult::Success { took: now.since(began) }, now);
                    self.backoff.succeed();
                    self.failing = false;
                    return batch.len().saturating_sub(rejected);
                }
                ExportResult::Refused(status) => {
                    self.breaker.record_result(permit, CallResult::Neutral, now);
                    log::warn!("cannot export spans: the trace collector refused them with {status}");
                    return 0;
                }
                ExportResult::Retry { why, wait } => {
                    self.breaker.record_result(permit, CallResult::Failure, now);
                    if !std::mem::replace(&mut self.failing, true) {
                        log::warn!("cannot export spans now: {why}");
                    }
                    let own = self.backoff.fail(&mut self.rng);
                    if !self.tracer.pause(longer(own, wait)) {
                        return 0;
                    }
                }
            }
        }
        0
    }

    /// Waits until the breaker permits a request; `None` once the tracer is stopped.
    fn permit(&mut self) -> Option<Permit> {
        loop {
            let now = Mono::now();
            match self.breaker.acquire(now) {
                Ok(permit) => return Some(permit),
                Err(NEVER) => return None,
                Err(until) => {
                    if !self.tracer.pause(until - now) {
                        return None;
                    }
                }
            }
        }
    }

    fn send(&mut self, body: &str) -> ExportResult {
        let mut response = Vec::new();
        let Self { client, url, .. } = self;
        let reply = client.request(&mut |agent| {
            response.clear();
            let request = agent.post(&**url).content_type("application/json");
            read_body(request.send(body)?, MAX_RESPONSE_BYTES, &mut response)
        });
        match reply.status {
            Some(200..=299) => ExportResult::Accepted { rejected: rejected(&response) },
            Some(status @ (408 | 429 | 502..=504)) => {
                ExportResult::Retry { why: format!("status {status}"), wait: reply.outcome.retry_after() }
            }
            Some(status) => ExportResult::Refused(status),
            None => ExportResult::Retry { why: reply.detail, wait: None },
        }
    }
}

/// The longer of the back-off and the time the collector asks for, the latter limited to `RETRY_MAX` as in deliveries.
fn longer(own: Duration, asked: Option<Duration>) -> Duration {
    asked.map_or(own, |asked| own.max(asked.min(RETRY_MAX)))
}

/// `partialSuccess.rejectedSpans` of a response, a string or a number in OTLP's JSON; 0 without it.
fn rejected(response: &[u8]) -> usize {
    let Ok(text) = std::str::from_utf8(response) else { return 0 };
    if json::check(text).is_err() {
        return 0;
    }
    let value =
        |name: &str| JsonPointer::parse(name).and_then(|at| at.find(text)).unwrap_or("").trim_matches('"');
    let Ok(count @ 1..) = value("/partialSuccess/rejectedSpans").parse() else { return 0 };
    let why: String = value("/partialSuccess/errorMessage").chars().take(MAX_LOGGED_CHARS).collect();
    log::warn!("the trace collector rejected {count} spans: {why}");
    count
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpListener;
    use std::sync::Arc;

    use super::*;
    use crate::net::breaker::BreakerState;

    /// The tracer is stopped, so that no pause takes time.
    fn unpaused(url: String) -> Export {
        let settings = TraceSettings { otlp_url: Some(url.clone()), sample_ratio: 1.0 };
        let tracer = Tracer::new(&settings, 1, Arc::default());
        tracer.stop();
        Export::new(tracer, url, Resource { device: "pi-3".to_owned(), version: "0" }, 1)
    }

    /// Answers one request with these bytes.
    fn receiver(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = BufReader::new(stream.try_clone().unwrap());
            let mut line = String::new();
            while line != "\r\n" {
                line.clear();
                request.read_line(&mut line).unwrap();
            }
            request.read_exact(&mut [0; "{}".len()]).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        });
        format!("http://{address}/v1/traces")
    }

    /// Seen red with a transport error recorded as neutral.
    #[test]
    fn an_unreachable_collector_opens_the_breaker_and_gets_no_further_requests() {
        // Port 1 of loopback: connections are refused at once.
        let mut export = unpaused("http://127.0.0.1:1/v1/traces".to_owned());
        for failures in 1..=FAILURES {
            assert_eq!(export.breaker.state(), BreakerState::Closed, "before failure {failures}");
            assert_eq!(export.deliver(&[]), 0);
        }
        assert_eq!(export.breaker.state(), BreakerState::Open);
        assert!(export.permit().is_none(), "an open breaker permits no request");
    }

    /// Seen red with the field looked for under another name.
    #[test]
    fn retry_after_of_a_busy_collector_is_returned() {
        let busy = "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n";
        let ExportResult::Retry { why, wait } = unpaused(receiver(busy)).send("{}") else {
            panic!("not busy")
        };
        assert_eq!((why.as_str(), wait), ("status 503", Some(Duration::from_secs(7))));
        let silent = "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n";
        let ExportResult::Retry { wait, .. } = unpaused(receiver(silent)).send("{}") else {
            panic!("not busy")
        };
        assert_eq!(wait, None);
    }

    #[test]
    fn the_wait_is_at_least_retry_after_but_limited() {
        let seconds = Duration::from_secs;
        assert_eq!(longer(seconds(2), None), seconds(2));
        assert_eq!(longer(seconds(2), Some(seconds(9))), seconds(9));
        assert_eq!(longer(seconds(2), Some(seconds(1))), seconds(2), "the back-off counts too");
        assert_eq!(longer(seconds(2), Some(seconds(86_400))), RETRY_MAX);
    }

    #[test]
    fn the_number_of_rejected_spans_is_read_from_the_response() {
        let rows = [
            ("{}", 0, "all taken"),
            ("", 0, "an empty body is usual"),
            ("{\"partialSuccess\":{}}", 0, "present and empty"),
            (
                "{\"partialSuccess\":{\"rejectedSpans\":\"3\",\"errorMessage\":\"too old\"}}",
                3,
                "int64 is a string",
            ),
            ("{\"partialSuccess\":{\"rejectedSpans\":4}}", 4, "some send a number"),
            ("{\"partialSuccess\":{\"rejectedSpans\":\"-1\"}}", 0, "not a count"),
            ("{\"partialSuccess\":{\"errorMessage\":\"a hint\"}}", 0, "a warning only"),
            ("<html>", 0, "no JSON"),
        ];
        for (answer, want, why) in rows {
            assert_eq!(rejected(answer.as_bytes()), want, "{why}");
        }
    }
}
