//! The replaced system's WebSocket routes: the same messages, on one subscription at a time.
//!
//! init -> auth -> subscribe; the replaced system never insisted on init, so neither does this. A client that has not
//! shown a key within the body deadline is let go, and until then anybody may be given its seat.
//! `stream_features` reports the daemon's own field; `simulation_live` steps a field of its own, slice by slice on
//! the simulation thread, so it really advances and nobody waits for it.

use std::rc::Rc;
use std::time::Duration;

use smol::Timer;
use smol::future::{or, yield_now};
use tungstenite::Message;
use tungstenite::protocol::frame::coding::CloseCode;

use super::messages::{ClientMessage, Live, Subscribe, refusal, say, update};
use crate::api::auth::authenticator::Access;
use crate::api::auth::authenticator::AuthDecision;
use crate::api::auth::authenticator::Credential;
use crate::api::metrics::EvictionReason;
use crate::api::settings::Scope;
use crate::api::state::AppState;
use crate::api::streaming::websocket::{Closed, SILENT, Socket};
use crate::clock::{Mono, Wall};
use crate::sync::lock;

/// Live simulations under way at once: each has a field of its own.
const MAX_LIVE: usize = 2;
/// Between two heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// Messages taken in one turn.
const TURN: usize = 16;
/// Until the next try when the simulation thread has no place for a slice.
const SLICE_RETRY: Duration = Duration::from_millis(50);

enum Subscription {
    Nothing,
    Features { id: String, wanted: Vec<String>, pause: Duration, sequence: u64, seen: u64, due: Mono },
    Live { id: String, run: Box<Live>, place: LiveSlot },
}

/// A place among the live simulations; given back when dropped.
struct LiveSlot(Rc<AppState>);

impl Drop for LiveSlot {
    fn drop(&mut self) {
        self.0.live.set(self.0.live.get() - 1);
    }
}

struct Session {
    state: Rc<AppState>,
    socket: Socket,
    live: bool,
    known: bool,
    subscription: Subscription,
}

/// Why a session ends.
enum End {
    Gone,
    Close(CloseCode, &'static str),
}

impl From<Closed> for End {
    fn from(_: Closed) -> Self {
        Self::Gone
    }
}

fn now_ms() -> i64 {
    Wall::now().0
}

pub async fn run(state: Rc<AppState>, socket: Socket, live: bool) {
    let mut session = Session { state, socket, live, known: false, subscription: Subscription::Nothing };
    match session.serve().await {
        End::Gone => {}
        End::Close(code, reason) => session.socket.close(code, reason).await,
    }
}

impl Session {
    async fn serve(&mut self) -> End {
        let now = Mono::now();
        let deadline = now + self.state.deadlines.body;
        self.socket.await_key(now, deadline);
        let mut beat = now + HEARTBEAT;
        loop {
            let changed = self.state.snapshots.features_changed.listen();
            if self.state.stopping.get() {
                return End::Close(CloseCode::Away, "the daemon is stopping");
            }
            let turn = self.turn(&mut beat, deadline).await;
            let wake = match turn {
                Err(end) => return end,
                Ok(None) => {
                    yield_now().await;
                    continue;
                }
                Ok(Some(wake)) => wake,
            };
            let timer = async {
                Timer::after(wake.since(Mono::now())).await;
            };
            or(or(changed, self.socket.readable()), timer).await;
        }
    }

    /// Hears, says what is due, and tells until when there is nothing to do; `None` when there is more at once.
    async fn turn(&mut self, beat: &mut Mono, deadline: Mono) -> Result<Option<Mono>, End> {
        let more = self.hear().await?;
        let now = Mono::now();
        if !self.known && now >= deadline {
            return Err(End::Close(CloseCode::Policy, "no key was shown in time"));
        }
        if now >= *beat {
            *beat = now + HEARTBEAT;
            self.say(&say("heartbeat", None, now_ms(), "{}")).await?;
            if !self.socket.beat()? {
                self.state.metrics.evictions.add(EvictionReason::Silent, 1);
                return Err(End::Close(CloseCode::Away, SILENT));
            }
        }
        let due = self.follow(now).await?;
        self.socket.flush().await?;
        let wake = if self.known { *beat } else { deadline };
        Ok(match due {
            _ if more => None,
            Due::Now => None,
            Due::At(at) => Some(wake.min(at)),
            Due::News => Some(wake),
        })
    }

    async fn say(&mut self, text: &str) -> Result<(), End> {
        self.socket.say(text).await.map_err(End::from)
    }

    /// Takes what the client says; whether there may be more.
    async fn hear(&mut self) -> Result<bool, End> {
        for _ in 0..TURN {
            match self.socket.hear().map_err(|code| End::Close(code, ""))? {
                None => return Ok(false),
                Some(Message::Close(_)) => {
                    self.socket.flush().await?;
                    return Err(End::Gone);
                }
                Some(Message::Binary(_)) => {
                    return Err(End::Close(CloseCode::Unsupported, "text is expected"));
                }
                Some(Message::Text(text)) => self.obey(text.as_bytes()).await?,
                Some(_) => {}
            }
        }
        Ok(true)
    }

    async fn obey(&mut self, text: &[u8]) -> Result<(), End> {
        let answer = match ClientMessage::read(text) {
            Err(refused) => refusal("error", None, now_ms(), "STREAM_ERROR", &refused.to_string()),
            Ok(ClientMessage::Init) => say("init", None, now_ms(), "{\"protocol_version\":\"1.0\"}"),
            Ok(ClientMessage::Auth(key)) => self.authenticate(&key),
            Ok(ClientMessage::Subscribe(wish)) => self.subscribe(*wish),
            Ok(ClientMessage::Unsubscribe(id)) => self.unsubscribe(&id),
            Ok(ClientMessage::Pong) => return Ok(()),
            Ok(ClientMessage::Close) => return Err(End::Close(CloseCode::Normal, "")),
            Ok(ClientMessage::Unknown) => {
                refusal("error", None, now_ms(), "STREAM_ERROR", "messages of this type are not understood")
            }
        };
        self.say(&answer).await
    }

    fn authenticate(&mut self, key: &str) -> String {
        let scope = if self.live { Scope::Write } else { Scope::Read };
        let credential = Credential::Key(key.as_bytes());
        match self.state.authenticator.borrow_mut().authorize(Access::Needs(scope), credential, Mono::now()) {
            AuthDecision::Granted(..) if self.known || self.socket.keep_seat() => {
                self.known = true;
                say("auth_success", None, now_ms(), "{}")
            }
            AuthDecision::Granted(..) => {
                let detail = "as many streams as there may be are open: try again";
                refusal("auth_failed", None, now_ms(), "AUTH_ERROR", detail)
            }
            AuthDecision::RateLimited(..) => {
                self.state.metrics.rate_limited.add(1);
                refusal("auth_failed", None, now_ms(), "AUTH_ERROR", "too many attempts: slow down")
            }
            AuthDecision::Forbidden(..) => {
                refusal("auth_failed", None, now_ms(), "AUTH_FAILED", "this key's scope does not reach")
            }
            AuthDecision::Public | AuthDecision::Anonymous(_) | AuthDecision::Unauthenticated(_) => {
                refusal("auth_failed", None, now_ms(), "AUTH_FAILED", "no such key")
            }
        }
    }

    /// Ends the subscription, if that is the one meant.
    fn unsubscribe(&mut self, id: &str) -> String {
        let own = match &self.subscription {
            Subscription::Nothing => None,
            Subscription::Features { id, .. } | Subscription::Live { id, .. } => Some(id.as_str()),
        };
        if own != Some(id) {
            let detail = "this connection follows no stream of that stream_id";
            return refusal("error", Some(id), now_ms(), "STREAM_ERROR", detail);
        }
        self.subscription = Subscription::Nothing;
        say("unsubscribe", Some(id), now_ms(), "{}")
    }

    fn subscribe(&mut self, wish: Subscribe) -> String {
        let id = wish.stream_id.clone();
        let failed =
            |code: &str, detail: &str| refusal("subscribe_failed", Some(&id), now_ms(), code, detail);
        if !self.known {
            return failed("NOT_AUTHENTICATED", "show a key first");
        }
        if !matches!(self.subscription, Subscription::Nothing) {
            return failed("SUBSCRIBE_FAILED", "this connection follows a stream already");
        }
        let offered = if self.live { "simulation_live" } else { "stream_features" };
        if wish.stream_type != offered {
            return failed("SUBSCRIBE_FAILED", "this route has no stream of that type");
        }
        let wishes = wish.params.unwrap_or_default();
        if self.live {
            if self.state.live.get() >= MAX_LIVE {
                return failed("SUBSCRIBE_FAILED", "as many live simulations as there may be are under way");
            }
            let info = &self.state.ports.info;
            match Live::new(&wishes, info.profile, (&self.state.memory, info.work_bytes)) {
                Err(busy) if busy.status == 503 => return failed("SUBSCRIBE_FAILED", &busy.detail),
                Err(refused) => return failed("SUBSCRIBE_ERROR", &refused.detail),
                Ok(run) => {
                    self.state.live.set(self.state.live.get() + 1);
                    let place = LiveSlot(Rc::clone(&self.state));
                    self.subscription = Subscription::Live { id: id.clone(), run: Box::new(run), place };
                }
            }
        } else {
            self.subscription = Subscription::Features {
                id: id.clone(),
                wanted: wishes.features.unwrap_or_default(),
                pause: Duration::from_millis(wishes.update_interval_ms.unwrap_or(100)),
                sequence: 0,
                seen: 0,
                due: Mono(0),
            };
        }
        say("subscribe_success", Some(&id), now_ms(), "{}")
    }

    /// Says what the subscription has to say by now.
    async fn follow(&mut self, now: Mono) -> Result<Due, End> {
        match std::mem::replace(&mut self.subscription, Subscription::Nothing) {
            Subscription::Nothing => Ok(Due::News),
            Subscription::Live { id, run, place } => self.step(id, run, place).await,
            Subscription::Features { id, wanted, pause, sequence, seen, due } => {
                let newest = {
                    let ring = lock(&self.state.snapshots.features);
                    ring.get(ring.newest()).copied().filter(|record| record.seq != seen)
                };
                let (record, result) = match newest {
                    None => (None, Due::News),
                    Some(_) if now < due => (None, Due::At(due)),
                    Some(record) => (Some(record), Due::News),
                };
                let (mut next, mut seen_now, mut due_now) = (sequence, seen, due);
                if let Some(record) = record {
                    let cells = self.state.ports.info.grid.pow(2) as f64;
                    self.say(&update(&record, cells, &wanted, &id, sequence, now_ms())).await?;
                    (next, seen_now, due_now) = (sequence + 1, record.seq, now + pause);
                }
                self.subscription = Subscription::Features {
                    id,
                    wanted,
                    pause,
                    sequence: next,
                    seen: seen_now,
                    due: due_now,
                };
                Ok(result)
            }
        }
    }

    /// One slice of a live simulation, on the simulation thread.
    async fn step(&mut self, id: String, run: Box<Live>, place: LiveSlot) -> Result<Due, End> {
        if self.state.worker.is_full() {
            self.subscription = Subscription::Live { id, run, place };
            return Ok(Due::At(Mono::now() + SLICE_RETRY));
        }
        // The slice may have to wait for its turn; what has been said already does not.
        self.socket.flush().await?;
        let name = id.clone();
        let mut run = run;
        let slice = self.state.worker.start(move |_| {
            run.advance();
            let state = run.describe(&name, now_ms(), false);
            let done = run.is_done().then(|| run.describe(&name, now_ms(), true));
            (run, state, done)
        });
        let result = match slice {
            Ok(slice) => slice.result().await,
            Err(_) => None,
        };
        let Some((run, state, done)) = result else {
            self.say(&refusal("error", Some(&id), now_ms(), "STREAM_ERROR", "the simulation has ended"))
                .await?;
            return Ok(Due::News);
        };
        self.say(&state).await?;
        if let Some(text) = done {
            self.say(&text).await?;
            return Ok(Due::News);
        }
        self.subscription = Subscription::Live { id, run, place };
        Ok(Due::Now)
    }
}

/// When a subscription has something to say again.
enum Due {
    Now,
    At(Mono),
    News,
}
