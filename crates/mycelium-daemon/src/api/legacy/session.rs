//! One connection of the protocol: init, auth, subscribe, with at most one subscription at a time.
//!
//! Version 4.1 never required init, and neither does this. A client that has not authenticated within the body deadline
//! is disconnected; until then its connection slot may be taken by others. `stream_features` reports the field of the
//! daemon. `simulation_live` steps a separate field, slice by slice on the job thread of simulations, so the HTTP
//! loop does not wait for it.

use std::borrow::Cow;
use std::mem;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use smol::Timer;
use smol::future::yield_now;
use tungstenite::protocol::frame::coding::CloseCode;

use super::live_simulation::LiveSimulation;
use super::messages::{ClientMessage, SubscribePayload, error_message, feature_update, server_message};
use crate::api::auth::authenticator::{Access, AuthDecision, Credential};
use crate::api::auth::wrong_keys::MAX_WRONG_KEYS;
use crate::api::http::request_id::RequestId;
use crate::api::memory_budget::Reservation;
use crate::api::metrics::EvictionReason;
use crate::api::settings::Scope;
use crate::api::state::AppState;
use crate::api::streaming::subscription::wait;
use crate::api::streaming::websocket_io::{
    CloseReason, Disconnected, MAX_MESSAGES_PER_TURN, Received, WebSocketIo,
};
use crate::clock::{Mono, Wall};
use crate::sync::lock;

/// Between two heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// Pause of a live simulation that found the queue of the job thread full.
const SLICE_RETRY: Duration = Duration::from_millis(50);
/// Between two feature updates, if the client does not say.
const DEFAULT_UPDATE_INTERVAL_MS: u64 = 100;

enum LegacySubscription {
    None,
    Features(FeatureUpdates),
    Live { id: String, simulation: Box<LiveSimulation>, slot: Reservation },
}

struct FeatureUpdates {
    id: String,
    /// Names of the features to send; empty for all.
    wanted: Vec<String>,
    interval: Duration,
    /// Number of the next update.
    sequence: u64,
    /// Sequence number of the last record sent.
    last_seq: u64,
    /// No update before this.
    due: Mono,
}

/// When a subscription has a message to send.
enum NextMessage {
    Now,
    At(Mono),
    WithNewRecord,
}

struct Session {
    state: Rc<AppState>,
    socket: WebSocketIo,
    /// Whether this route offers live simulations instead of features.
    live: bool,
    authenticated: bool,
    wrong_keys: u32,
    /// Of the handshake, for the log.
    peer: IpAddr,
    request_id: RequestId,
    subscription: LegacySubscription,
}

/// Why a session ends.
enum SessionEnd {
    Disconnected,
    Close(CloseReason),
}

impl From<Disconnected> for SessionEnd {
    fn from(_: Disconnected) -> Self {
        Self::Disconnected
    }
}

impl From<CloseReason> for SessionEnd {
    fn from(reason: CloseReason) -> Self {
        Self::Close(reason)
    }
}

fn now_ms() -> i64 {
    Wall::now().0
}

/// Serves a connection until either side closes it; `from` is the address and the id of its handshake.
pub async fn run(state: Rc<AppState>, socket: WebSocketIo, live: bool, from: (IpAddr, RequestId)) {
    let (peer, request_id) = from;
    let subscription = LegacySubscription::None;
    let mut session =
        Session { state, socket, live, authenticated: false, wrong_keys: 0, peer, request_id, subscription };
    match session.serve().await {
        SessionEnd::Disconnected => {}
        SessionEnd::Close(reason) => session.socket.close(reason).await,
    }
}

impl Session {
    async fn serve(&mut self) -> SessionEnd {
        let now = Mono::now();
        let deadline = now + self.state.deadlines().body;
        self.socket.await_auth(now, deadline);
        let mut heartbeat = now + HEARTBEAT;
        loop {
            let changed = self.state.snapshots().features_changed.listen();
            if self.state.is_stopping() {
                return SessionEnd::Close(CloseReason::STOPPING);
            }
            match self.turn(&mut heartbeat, deadline).await {
                Err(end) => return end,
                Ok(None) => yield_now().await,
                Ok(Some(wake)) => {
                    let mut timer = Timer::after(wake.since(Mono::now()));
                    wait(changed, &mut timer, self.socket.readable()).await;
                }
            }
        }
    }

    /// Handles messages and sends what is due. Returns when the next turn is due, `None` for at once.
    async fn turn(&mut self, heartbeat: &mut Mono, deadline: Mono) -> Result<Option<Mono>, SessionEnd> {
        let more = self.handle_messages().await?;
        let now = Mono::now();
        if !self.authenticated && now >= deadline {
            return Err(CloseReason::new(CloseCode::Policy, "not authenticated in time").into());
        }
        if now >= *heartbeat {
            *heartbeat = now + HEARTBEAT;
            self.socket.send(&server_message("heartbeat", None, now_ms(), "{}")).await?;
            if !self.socket.ping()? {
                self.state.count_eviction(EvictionReason::Silent);
                return Err(CloseReason::UNRESPONSIVE.into());
            }
        }
        let next = self.send_update(now).await?;
        self.socket.flush().await?;
        let wake = if self.authenticated { *heartbeat } else { deadline };
        Ok(match next {
            _ if more => None,
            NextMessage::Now => None,
            NextMessage::At(at) => Some(wake.min(at)),
            NextMessage::WithNewRecord => Some(wake),
        })
    }

    /// Handles the messages that have arrived; whether there may be more.
    async fn handle_messages(&mut self) -> Result<bool, SessionEnd> {
        for _ in 0..MAX_MESSAGES_PER_TURN {
            match self.socket.recv()? {
                Received::WouldBlock => return Ok(false),
                Received::Close => {
                    self.socket.flush().await?;
                    return Err(SessionEnd::Disconnected);
                }
                Received::Text(text) => self.handle(text.as_bytes()).await?,
                Received::Control => {}
            }
        }
        Ok(true)
    }

    async fn handle(&mut self, text: &[u8]) -> Result<(), SessionEnd> {
        let stream_error = |detail: &str| error_message("error", None, now_ms(), "STREAM_ERROR", detail);
        let reply = match ClientMessage::parse(text) {
            Err(error) => stream_error(&error.to_string()),
            Ok(ClientMessage::Init) => {
                server_message("init", None, now_ms(), "{\"protocol_version\":\"1.0\"}")
            }
            Ok(ClientMessage::Auth(key)) => self.authenticate(&key),
            Ok(ClientMessage::Subscribe(payload)) => self.subscribe(*payload),
            Ok(ClientMessage::Unsubscribe(id)) => self.unsubscribe(&id),
            Ok(ClientMessage::Pong) => return Ok(()),
            Ok(ClientMessage::Close) => return Err(CloseReason::new(CloseCode::Normal, "").into()),
            Ok(ClientMessage::Unknown) => stream_error("unknown message type"),
        };
        self.socket.send(&reply).await?;
        if self.wrong_keys >= MAX_WRONG_KEYS {
            return Err(CloseReason::new(CloseCode::Policy, "too many wrong keys").into());
        }
        Ok(())
    }

    fn authenticate(&mut self, key: &str) -> String {
        let scope = if self.live { Scope::Write } else { Scope::Read };
        let credential = Credential::Key(key.as_bytes());
        let now = Mono::now();
        let decision = self.state.authorize(Access::Needs(scope), credential, self.peer, now);
        if matches!(decision, AuthDecision::Unauthenticated(_) | AuthDecision::RateLimited(None, ..)) {
            self.wrong_keys += 1;
            self.state.count_wrong_key(self.peer, now);
        }
        let (code, detail) = match decision {
            AuthDecision::Granted(key, _)
                if self.authenticated || self.socket.reserve_slot(self.state.holder(Some(key))) =>
            {
                self.authenticated = true;
                if self.live {
                    let action = format_args!("GET /ws/simulation_live");
                    self.state.audit(Scope::Write, action, key, self.peer, &self.request_id);
                }
                return server_message("auth_success", None, now_ms(), "{}");
            }
            AuthDecision::Granted(..) => ("AUTH_ERROR", "too many streams are open: try again"),
            AuthDecision::RateLimited(..) => ("AUTH_ERROR", "too many attempts: slow down"),
            AuthDecision::Forbidden(..) => ("AUTH_FAILED", "the scope of this key is not enough"),
            AuthDecision::Public | AuthDecision::Anonymous(_) | AuthDecision::Unauthenticated(_) => {
                ("AUTH_FAILED", "unknown key")
            }
        };
        error_message("auth_failed", None, now_ms(), code, detail)
    }

    /// Ends the subscription if it has that id.
    fn unsubscribe(&mut self, id: &str) -> String {
        let subscribed = match &self.subscription {
            LegacySubscription::None => None,
            LegacySubscription::Features(FeatureUpdates { id, .. }) | LegacySubscription::Live { id, .. } => {
                Some(id.as_str())
            }
        };
        if subscribed != Some(id) {
            let detail = "this connection has no subscription with that stream_id";
            return error_message("error", Some(id), now_ms(), "STREAM_ERROR", detail);
        }
        self.subscription = LegacySubscription::None;
        server_message("unsubscribe", Some(id), now_ms(), "{}")
    }

    fn subscribe(&mut self, payload: SubscribePayload) -> String {
        let id = payload.stream_id.clone();
        match self.new_subscription(payload) {
            Ok(subscription) => {
                self.subscription = subscription;
                server_message("subscribe_success", Some(&id), now_ms(), "{}")
            }
            Err((code, detail)) => error_message("subscribe_failed", Some(&id), now_ms(), code, &detail),
        }
    }

    /// The subscription, or the code and the text of an error.
    fn new_subscription(
        &self,
        payload: SubscribePayload,
    ) -> Result<LegacySubscription, (&'static str, Cow<'static, str>)> {
        const FAILED: &str = "SUBSCRIBE_FAILED";
        if !self.authenticated {
            return Err(("NOT_AUTHENTICATED", "authenticate first".into()));
        }
        if !matches!(self.subscription, LegacySubscription::None) {
            return Err((FAILED, "this connection has a subscription already".into()));
        }
        let offered = if self.live { "simulation_live" } else { "stream_features" };
        if payload.stream_type != offered {
            return Err((FAILED, "this route has no stream of that type".into()));
        }
        let (id, params) = (payload.stream_id, payload.params.unwrap_or_default());
        if !self.live {
            let interval_ms = params.update_interval_ms.unwrap_or(DEFAULT_UPDATE_INTERVAL_MS);
            return Ok(LegacySubscription::Features(FeatureUpdates {
                id,
                wanted: params.features.unwrap_or_default(),
                interval: Duration::from_millis(interval_ms),
                sequence: 0,
                last_seq: 0,
                due: Mono(0),
            }));
        }
        let state = &self.state;
        let Some(slot) = state.reserve_live_simulation() else {
            return Err((FAILED, "too many live simulations are in progress".into()));
        };
        let info = state.info();
        let simulation =
            LiveSimulation::new(&params, info.profile, state.simulation_memory(), info.simulation_bytes)
                .map_err(|problem| {
                    (if problem.status == 503 { FAILED } else { "SUBSCRIBE_ERROR" }, problem.detail)
                })?;
        Ok(LegacySubscription::Live { id, simulation: Box::new(simulation), slot })
    }

    /// Sends what the subscription has to send by now.
    async fn send_update(&mut self, now: Mono) -> Result<NextMessage, SessionEnd> {
        match &mut self.subscription {
            LegacySubscription::None => Ok(NextMessage::WithNewRecord),
            LegacySubscription::Live { .. } => self.step_live().await,
            LegacySubscription::Features(updates) => {
                let newest = {
                    let ring = lock(&self.state.snapshots().features);
                    ring.get(ring.newest()).copied().filter(|record| record.seq != updates.last_seq)
                };
                let Some(record) = newest else { return Ok(NextMessage::WithNewRecord) };
                if now < updates.due {
                    return Ok(NextMessage::At(updates.due));
                }
                let cells = self.state.info().grid.pow(2) as f64;
                let (wanted, id) = (&updates.wanted, &updates.id);
                let text = feature_update(&record, cells, wanted, id, updates.sequence, now_ms());
                updates.sequence += 1;
                updates.last_seq = record.seq;
                updates.due = now + updates.interval;
                self.socket.send(&text).await?;
                Ok(NextMessage::WithNewRecord)
            }
        }
    }

    /// Runs one slice of a live simulation on its job thread.
    async fn step_live(&mut self) -> Result<NextMessage, SessionEnd> {
        if self.state.simulations().is_full() {
            return Ok(NextMessage::At(Mono::now() + SLICE_RETRY));
        }
        // The slice may wait in the queue; buffered messages do not wait with it.
        self.socket.flush().await?;
        let subscription = mem::replace(&mut self.subscription, LegacySubscription::None);
        let LegacySubscription::Live { id, mut simulation, slot } = subscription else {
            return Ok(NextMessage::WithNewRecord);
        };
        let stream_id = id.clone();
        let slice = self.state.simulations().start(move |_| {
            simulation.advance();
            let update = simulation.message(&stream_id, now_ms(), false);
            let completion = simulation.is_done().then(|| simulation.message(&stream_id, now_ms(), true));
            (simulation, update, completion)
        });
        let result = match slice {
            Ok(slice) => slice.result().await,
            Err(_) => None,
        };
        let Some((simulation, update, completion)) = result else {
            let text =
                error_message("error", Some(&id), now_ms(), "STREAM_ERROR", "the simulation has ended");
            self.socket.send(&text).await?;
            return Ok(NextMessage::WithNewRecord);
        };
        self.socket.send(&update).await?;
        if let Some(text) = completion {
            self.socket.send(&text).await?;
            return Ok(NextMessage::WithNewRecord);
        }
        self.subscription = LegacySubscription::Live { id, simulation, slot };
        Ok(NextMessage::Now)
    }
}
