//! The thread that takes spans to their receiver, with the breaker and the back-off that deliveries have.

use std::io::Read;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock::Mono;
use crate::delivery::BreakerPolicy;
use crate::delivery::breaker::{Breaker, NEVER, Permit, Verdict};
use crate::delivery::retry::Backoff;
use crate::telemetry::trace::otlp::{self, Resource};
use crate::telemetry::trace::{Settings, Span, Tracer};

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
/// Bytes of an answer that are read so that the connection can be used again.
const MAX_ANSWER: u64 = 64 << 10;

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
    settings: &Settings,
    resource: Resource,
    seed: u64,
) -> std::io::Result<Option<Exporter>> {
    let Some(url) = settings.otlp_url.clone() else { return Ok(None) };
    let policy = BreakerPolicy {
        failures: FAILURES,
        open: OPEN,
        open_max: OPEN_MAX,
        slow: TIMEOUT,
        probe_timeout: TIMEOUT * 2,
    };
    let export = Export {
        agent: agent(),
        url,
        resource,
        tracer: tracer.clone(),
        breaker: Breaker::new(policy, seed),
        backoff: Backoff::new(RETRY, RETRY_MAX),
        rng: fastrand::Rng::with_seed(seed),
        failing: false,
    };
    let thread = std::thread::Builder::new().name("traces".into()).spawn(move || export.run())?;
    Ok(Some(Exporter { tracer: tracer.clone(), thread }))
}

fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .http_status_as_error(false)
        .max_redirects(0)
        .user_agent(concat!("myceliumd/", env!("CARGO_PKG_VERSION")))
        .build();
    ureq::Agent::new_with_config(config)
}

/// What the receiver made of a batch.
enum Sent {
    Taken,
    /// Worth another try.
    Later(String),
    Refused(u16),
}

struct Export {
    agent: ureq::Agent,
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
    fn run(mut self) {
        while let Some(batch) = self.tracer.next_batch() {
            if self.deliver(&batch) {
                self.tracer.exported(batch.len());
            } else {
                self.tracer.dropped(batch.len());
            }
        }
    }

    /// False when the batch is given up.
    fn deliver(&mut self, batch: &[Span]) -> bool {
        let body = otlp::encode(&self.resource, batch);
        for _ in 0..ATTEMPTS {
            let Some(permit) = self.permit() else { return false };
            let began = Mono::now();
            let sent = self.send(&body);
            let now = Mono::now();
            match sent {
                Sent::Taken => {
                    self.breaker.settle(permit, Verdict::Good { took: now.since(began) }, now);
                    self.backoff.succeed();
                    self.failing = false;
                    return true;
                }
                Sent::Refused(status) => {
                    self.breaker.settle(permit, Verdict::Alive, now);
                    log::warn!("cannot export spans: the receiver refused them with {status}");
                    return false;
                }
                Sent::Later(why) => {
                    self.breaker.settle(permit, Verdict::Bad, now);
                    if !std::mem::replace(&mut self.failing, true) {
                        log::warn!("cannot export spans now: {why}");
                    }
                    if !self.tracer.pause(self.backoff.fail(&mut self.rng)) {
                        return false;
                    }
                }
            }
        }
        false
    }

    /// Waits until the breaker lets a request through; `None` at the end.
    fn permit(&mut self) -> Option<Permit> {
        loop {
            let now = Mono::now();
            match self.breaker.ask(now) {
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

    fn send(&self, body: &str) -> Sent {
        match self.agent.post(&self.url).header("Content-Type", "application/json").send(body) {
            Ok(mut answer) => {
                let mut rest = answer.body_mut().as_reader().take(MAX_ANSWER);
                drop(std::io::copy(&mut rest, &mut std::io::sink()));
                match answer.status().as_u16() {
                    200..=299 => Sent::Taken,
                    status @ (408 | 429 | 502..=504) => Sent::Later(format!("status {status}")),
                    status => Sent::Refused(status),
                }
            }
            Err(error) => Sent::Later(error.to_string()),
        }
    }
}
