//! The thread that takes spans to their receiver, with the breaker and the back-off that deliveries have.

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
/// Ceiling of the wait after a failure; doubles up to the last.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_mins(1);
/// Attempts for one batch.
const ATTEMPTS: u32 = 5;
/// Failures in a row that stop attempts, and for how long: traces are worth less than what they are about.
const FAILURES: u32 = 3;
const OPEN: Duration = Duration::from_secs(5);
const OPEN_MAX: Duration = Duration::from_mins(5);
/// Bytes of a response that are read: it may reject some spans, and then the connection can be used again.
const MAX_RESPONSE_BYTES: u64 = 64 << 10;
/// Bytes of a receiver's words that are repeated.
const SHOWN: usize = 200;

/// The running export.
pub struct Exporter {
    tracer: Tracer,
    thread: JoinHandle<()>,
}

impl Exporter {
    /// Ends the thread without waiting for its request under way, as a stop must not wait for a receiver of traces.
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

/// What the receiver made of a batch.
enum Sent {
    /// All but this many.
    Taken {
        rejected: usize,
    },
    /// Worth another try, not before this has passed.
    Later {
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
    /// Said once, until it works again.
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
            let taken = self.deliver(&batch);
            self.tracer.exported(taken);
            self.tracer.dropped(batch.len() - taken);
        }
    }

    /// How many spans the receiver has taken.
    fn deliver(&mut self, batch: &[Span]) -> usize {
        let body = otlp::encode(&self.resource, batch);
        for _ in 0..ATTEMPTS {
            let Some(permit) = self.permit() else { return 0 };
            let began = Mono::now();
            let sent = self.send(&body);
            let now = Mono::now();
            match sent {
                Sent::Taken { rejected } => {
                    self.breaker.record_result(permit, CallResult::Success { took: now.since(began) }, now);
                    self.backoff.succeed();
                    self.failing = false;
                    return batch.len().saturating_sub(rejected);
                }
                Sent::Refused(status) => {
                    self.breaker.record_result(permit, CallResult::Neutral, now);
                    log::warn!("cannot export spans: the receiver refused them with {status}");
                    return 0;
                }
                Sent::Later { why, wait } => {
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

    /// Waits until the breaker lets a request through; `None` at the end.
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

    fn send(&mut self, body: &str) -> Sent {
        let mut response = Vec::new();
        let Self { client, url, .. } = self;
        let reply = client.request(&mut |agent| {
            response.clear();
            let request = agent.post(&**url).content_type("application/json");
            read_body(request.send(body)?, MAX_RESPONSE_BYTES, &mut response)
        });
        match reply.status {
            Some(200..=299) => Sent::Taken { rejected: rejected(&response) },
            Some(status @ (408 | 429 | 502..=504)) => {
                Sent::Later { why: format!("status {status}"), wait: reply.outcome.retry_after() }
            }
            Some(status) => Sent::Refused(status),
            None => Sent::Later { why: reply.detail, wait: None },
        }
    }
}

/// Our own wait, or the one the receiver asks for; a longer one than our longest is cut to it, as deliveries do.
fn longer(own: Duration, asked: Option<Duration>) -> Duration {
    asked.map_or(own, |asked| own.max(asked.min(RETRY_MAX)))
}

/// `partialSuccess.rejectedSpans` of an answer, a string or a number in OTLP's JSON; 0 when it says nothing of the kind.
fn rejected(answer: &[u8]) -> usize {
    let Ok(text) = std::str::from_utf8(answer) else { return 0 };
    if json::check(text).is_err() {
        return 0;
    }
    let value =
        |name: &str| JsonPointer::parse(name).and_then(|at| at.find(text)).unwrap_or("").trim_matches('"');
    let Ok(count @ 1..) = value("/partialSuccess/rejectedSpans").parse() else { return 0 };
    let why: String = value("/partialSuccess/errorMessage").chars().take(SHOWN).collect();
    log::warn!("the receiver left out {count} spans: {why}");
    count
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpListener;
    use std::sync::Arc;

    use super::*;
    use crate::net::breaker::BreakerState;

    /// Its tracer has ended, so that no pause takes time.
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

    /// Seen red with a transport error settled as alive.
    #[test]
    fn a_receiver_that_is_away_opens_the_breaker_and_is_left_alone_then() {
        // Port 1 of loopback: refused at once, nobody listens there.
        let mut export = unpaused("http://127.0.0.1:1/v1/traces".to_owned());
        for failures in 1..=FAILURES {
            assert_eq!(export.breaker.state(), BreakerState::Closed, "before failure {failures}");
            assert_eq!(export.deliver(&[]), 0);
        }
        assert_eq!(export.breaker.state(), BreakerState::Open);
        assert!(export.permit().is_none(), "nothing is sent before its time");
    }

    /// Seen red with the field looked for under another name.
    #[test]
    fn what_a_busy_receiver_says_about_time_is_heard() {
        let busy = "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n";
        let Sent::Later { why, wait } = unpaused(receiver(busy)).send("{}") else { panic!("not busy") };
        assert_eq!((why.as_str(), wait), ("status 503", Some(Duration::from_secs(7))));
        let silent = "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n";
        let Sent::Later { wait, .. } = unpaused(receiver(silent)).send("{}") else { panic!("not busy") };
        assert_eq!(wait, None);
    }

    #[test]
    fn a_receiver_that_names_a_time_is_left_alone_until_then_but_not_for_ever() {
        let seconds = Duration::from_secs;
        assert_eq!(longer(seconds(2), None), seconds(2));
        assert_eq!(longer(seconds(2), Some(seconds(9))), seconds(9));
        assert_eq!(longer(seconds(2), Some(seconds(1))), seconds(2), "the back-off counts too");
        assert_eq!(longer(seconds(2), Some(seconds(86_400))), RETRY_MAX);
    }

    #[test]
    fn an_answer_says_how_many_spans_it_has_left_out() {
        let rows = [
            ("{}", 0, "all taken"),
            ("", 0, "an empty answer is usual"),
            ("{\"partialSuccess\":{}}", 0, "present and empty"),
            (
                "{\"partialSuccess\":{\"rejectedSpans\":\"3\",\"errorMessage\":\"too old\"}}",
                3,
                "int64 is a string",
            ),
            ("{\"partialSuccess\":{\"rejectedSpans\":4}}", 4, "some send a number"),
            ("{\"partialSuccess\":{\"rejectedSpans\":\"-1\"}}", 0, "nonsense"),
            ("{\"partialSuccess\":{\"errorMessage\":\"a hint\"}}", 0, "a warning only"),
            ("<html>", 0, "no JSON"),
        ];
        for (answer, want, why) in rows {
            assert_eq!(rejected(answer.as_bytes()), want, "{why}");
        }
    }
}
