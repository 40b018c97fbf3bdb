//! One thread per connector: asks the plan when, reads its source, and hands what it picked to the field.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::Duration;

use super::csv::{Columns, Row};
use super::follow::{Flow, Follow, Look, Piece};
use super::lines::Line;
use super::metrics::ConnectorMetrics;
use super::place::{Keep, Place};
use super::plan::{Action, Plan};
use super::report::Report;
use super::sample::{self, Picked, Reading, Reject};
use super::settings::{Connector, Format, Source};
use super::spool::{Found, Spool};
use super::{MAX_BODY, MAX_LINE};
use crate::clock::Mono;
use crate::delivery::breaker::{Breaker, Permit, Verdict};
use crate::delivery::outcome::Outcome;
use crate::delivery::sender::fetch::Fetcher;
use crate::delivery::trace::Trace;
use crate::delivery::worker::SpawnError;
use crate::delivery::{BreakerPolicy, Control, Shared};
use crate::snapshots::Snapshots;

/// Longest sleep.
const SLICE: Duration = Duration::from_secs(30);
/// The place in a file is written down this often at most, for the sake of flash: what was read since is read again
/// after a power cut.
const KEEP_EVERY: Duration = Duration::from_mins(1);

/// The field takes no more readings before its next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// Takes all readings of one piece of data, or none.
pub type Sink = Box<dyn FnMut(&[Reading]) -> Result<(), Busy> + Send>;

/// Everything a connector's thread is given.
pub struct Spec {
    pub connector: Connector,
    pub breaker: BreakerPolicy,
    /// `DATA/connectors`.
    pub directory: PathBuf,
    pub snapshots: Arc<Snapshots>,
    pub metrics: Arc<ConnectorMetrics>,
    pub sink: Sink,
    /// Around each look at an HTTP source; files have no spans.
    pub trace: Box<dyn Trace>,
    /// Seeds jitter; from entropy.
    pub seed: u64,
}

/// Where the data comes from, opened.
enum Tap {
    Http(Fetcher),
    Lines { follow: Follow, columns: Option<Columns> },
    Files(Spool),
}

struct Worker {
    connector: Connector,
    plan: Plan,
    tap: Tap,
    intake: Intake,
    trace: Box<dyn Trace>,
    shared: Arc<Shared>,
    keep: Keep,
    kept: Option<Place>,
    kept_at: Mono,
    cannot_keep: bool,
    body: Vec<u8>,
    lag: u64,
}

/// What a piece of data passes through.
struct Intake {
    report: Report,
    sink: Sink,
    snapshots: Arc<Snapshots>,
}

/// Starts the thread of one connector.
pub fn spawn(spec: Spec) -> Result<Control, SpawnError> {
    let cell: Arc<OnceLock<Thread>> = Arc::default();
    let woken = Arc::clone(&cell);
    // Before the thread is known there is nothing to wake: it looks at its wishes first.
    let interrupt = move || {
        if let Some(thread) = woken.get() {
            thread.unpark();
        }
    };
    let (control, shared) = Control::new(&spec.connector.name, Arc::new(interrupt));
    let name = format!("from-{}", spec.connector.name);
    let worker = Worker::new(spec, shared)?;
    let run = move || {
        cell.get_or_init(thread::current);
        worker.run();
    };
    thread::Builder::new().name(name).stack_size(256 << 10).spawn(run).map_err(SpawnError::Thread)?;
    Ok(control)
}

impl Worker {
    fn new(spec: Spec, shared: Arc<Shared>) -> Result<Self, SpawnError> {
        let Spec { connector, breaker, directory, snapshots, metrics, sink, trace, seed } = spec;
        let keep = Keep::new(&directory, &connector.name);
        let kept = match connector.source {
            Source::Http(_) => Ok(None),
            Source::File { .. } => keep.load(),
        };
        let kept = kept.unwrap_or_else(|e| {
            let file = keep.path().display();
            log::warn!(
                connector = connector.name;
                "connector {}: start as if for the first time: cannot use {file}: {e}",
                connector.name
            );
            None
        });
        let tap = match &connector.source {
            Source::Http(endpoint) => {
                let fetcher = Fetcher::new(endpoint).map_err(SpawnError::Sender)?;
                shared.set_abort(fetcher.abort_handle());
                Tap::Http(fetcher)
            }
            Source::File { path, format: Format::Json, start, done } => {
                let seen = match &kept {
                    Some(Place::Directory(seen)) => Some(seen.clone()),
                    _ => None,
                };
                Tap::Files(Spool::new(path.clone(), (*start, *done), seen))
            }
            Source::File { path, format, start, .. } => {
                let mark = match &kept {
                    Some(Place::File(mark)) => Some(*mark),
                    _ => None,
                };
                let columns = (*format == Format::Csv).then(|| Columns::by_number(&connector.inputs));
                Tap::Lines { follow: Follow::new(path.clone(), *start, mark), columns }
            }
        };
        let now = Mono::now();
        let plan = Plan::new(Breaker::new(breaker, seed), connector.interval, now);
        let report = Report::new(&connector, Arc::clone(&snapshots), metrics, &plan);
        Ok(Self {
            connector,
            plan,
            tap,
            intake: Intake { report, sink, snapshots },
            trace,
            shared,
            keep,
            kept,
            kept_at: now,
            cannot_keep: false,
            body: Vec::new(),
            lag: 0,
        })
    }

    fn run(mut self) {
        while !self.take_wishes() {
            let now = Mono::now();
            match self.plan.next(now) {
                Action::Wait(until) => {
                    self.keep_place(now, false);
                    self.intake.report.publish(&self.plan, self.lag);
                    thread::park_timeout((until - now).min(SLICE));
                }
                Action::Poll(permit) => self.poll(permit, now),
            }
        }
        self.keep_place(Mono::now(), true);
        self.intake.report.publish(&self.plan, self.lag);
        self.shared.finish();
    }

    /// True when the thread is to end.
    fn take_wishes(&mut self) -> bool {
        let wishes = self.shared.take();
        if let Some((endpoint, policy)) = wishes.settings {
            self.plan.set_policy(policy);
            if let Source::Http(own) = &mut self.connector.source
                && **own != endpoint
            {
                match Fetcher::new(&endpoint) {
                    Ok(fetcher) => {
                        self.shared.set_abort(fetcher.abort_handle());
                        self.tap = Tap::Http(fetcher);
                        **own = endpoint;
                    }
                    Err(e) => {
                        log::error!(connector = self.connector.name; "connector {}: keep the old settings: {e}", self.connector.name)
                    }
                }
            }
        }
        if let Some((mode, asked)) = wishes.mode {
            let (request_id, trace_id, span_id) = (&*asked.request_id, &*asked.trace_id, &*asked.span_id);
            log::info!(
                endpoint = self.connector.name.as_str(),
                request_id, trace_id, span_id;
                "connector {}: breaker set to {}",
                self.connector.name,
                mode.name()
            );
            self.plan.set_mode(mode);
        }
        wishes.stop
    }

    fn poll(&mut self, permit: Permit, begun: Mono) {
        let (inputs, intake) = (&self.connector, &mut self.intake);
        let looked = match &mut self.tap {
            Tap::Http(fetcher) => {
                let carried = self.trace.begin(intake.snapshots.stamp(Mono::now()), &[]);
                intake.report.within(&carried);
                let before = fetcher.connections();
                let reply = fetcher.get(MAX_BODY, &mut self.body, &carried);
                let after = fetcher.connections();
                intake.report.connected(after.0 - before.0, after.1 - before.1);
                self.trace.end(intake.snapshots.stamp(Mono::now()), &reply);
                if reply.status.is_none() && self.shared.stopping() {
                    return;
                }
                match reply.outcome {
                    Outcome::Delivered { .. } => intake.answer(inputs, &self.body),
                    outcome => Err((outcome.verdict(), reply.detail)),
                }
            }
            Tap::Lines { follow, columns } => follow
                .look(&mut |piece| intake.piece(inputs, columns, piece))
                .map_err(|e| (Verdict::Unreachable, e.to_string())),
            Tap::Files(spool) => spool
                .look(&mut |name, found| intake.file(inputs, name, found))
                .map_err(|e| (Verdict::Unreachable, e.to_string())),
        };
        let now = Mono::now();
        let took = now - begun;
        match looked {
            Ok(Look { lag, more }) => {
                self.lag = lag;
                intake.report.reached(took, intake.snapshots.stamp(Mono::now()));
                self.plan.settle(permit, Verdict::Good { took }, more, now);
            }
            Err((verdict, detail)) => {
                intake.report.failed(&inputs.origin(), &detail, took);
                self.plan.settle(permit, verdict, false, now);
            }
        }
    }

    /// Writes down how far the file has been read, when that has changed.
    fn keep_place(&mut self, now: Mono, last: bool) {
        if !last && now.since(self.kept_at) < KEEP_EVERY && self.kept.is_some() {
            return;
        }
        let place = match &self.tap {
            Tap::Http(_) => None,
            Tap::Lines { follow, .. } => follow.mark().map(Place::File),
            Tap::Files(spool) => Some(Place::Directory(spool.seen().clone())),
        };
        if place.is_none() || place == self.kept {
            return;
        }
        self.kept_at = now;
        let saved = place.as_ref().map_or(Ok(()), |place| self.keep.save(place));
        if let Err(e) = &saved
            && !self.cannot_keep
        {
            let file = self.keep.path().display();
            log::warn!(connector = self.connector.name; "connector {}: cannot keep its place in {file}: {e}", self.connector.name);
        }
        self.cannot_keep = saved.is_err();
        self.kept = place;
    }
}

impl Intake {
    /// Hands readings to the field, all or none.
    fn offer(&mut self, connector: &Connector, place: &str, picked: &Picked) -> Flow {
        let nothing = picked.readings.is_empty();
        if !nothing && (self.sink)(&picked.readings).is_err() {
            return Flow::Stop;
        }
        let now = self.snapshots.stamp(Mono::now());
        self.report.picked(connector, place, picked, now);
        if nothing { Flow::Refused } else { Flow::Taken }
    }

    /// An answer of a sensor. One that makes no sense counts against it: it may be somebody else's login page.
    fn answer(&mut self, connector: &Connector, body: &[u8]) -> Result<Look, (Verdict, String)> {
        let picked = sample::json(body, &connector.inputs).map_err(|why| {
            self.report.left_out("the answer", Reject::Malformed, &why);
            (Verdict::Bad, format!("the answer is no JSON: {why}"))
        })?;
        if self.offer(connector, "the answer", &picked) == Flow::Stop {
            self.report.busy(picked.readings.len());
        }
        Ok(Look::default())
    }

    fn piece(&mut self, connector: &Connector, columns: &mut Option<Columns>, piece: Piece<'_>) -> Flow {
        let (line, place, first) = match piece {
            Piece::Head(head) => {
                if let Some(columns) = columns
                    && let Ok(Row::Header(named)) = columns.read(head, true, &connector.inputs)
                {
                    *columns = named;
                }
                return Flow::Taken;
            }
            Piece::Line { line: Line::Skipped, .. } => return Flow::Taken,
            Piece::Line { line: Line::TooLong, offset, .. } => {
                let detail = format!("longer than {MAX_LINE} bytes");
                self.report.left_out(&format!("the line at byte {offset}"), Reject::TooLong, &detail);
                return Flow::Taken;
            }
            Piece::Line { line: Line::Whole(line), offset, first } => {
                (line, format!("the line at byte {offset}"), first)
            }
        };
        if line.trim_ascii().is_empty() {
            return Flow::Taken;
        }
        let picked = match columns {
            None => sample::json(line, &connector.inputs),
            Some(columns) => {
                if first {
                    *columns = Columns::by_number(&connector.inputs);
                }
                match columns.read(line, first, &connector.inputs) {
                    Ok(Row::Header(named)) => {
                        *columns = named;
                        return Flow::Taken;
                    }
                    Ok(Row::Data(picked)) => Ok(*picked),
                    Err(why) => Err(why),
                }
            }
        };
        self.take(connector, &place, picked)
    }

    fn file(&mut self, connector: &Connector, name: &str, found: Found<'_>) -> Flow {
        match found {
            Found::Bytes(bytes) => self.take(connector, name, sample::json(bytes, &connector.inputs)),
            Found::TooLong => {
                self.report.left_out(name, Reject::TooLong, &format!("longer than {MAX_BODY} bytes"));
                Flow::Refused
            }
            Found::Unreadable(error) => {
                self.report.left_out(name, Reject::Malformed, &error.to_string());
                Flow::Refused
            }
        }
    }

    fn take(&mut self, connector: &Connector, place: &str, picked: Result<Picked, String>) -> Flow {
        match picked {
            Ok(picked) => self.offer(connector, place, &picked),
            Err(why) => {
                self.report.left_out(place, Reject::Malformed, &why);
                Flow::Refused
            }
        }
    }
}
