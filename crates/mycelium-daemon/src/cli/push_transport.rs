//! Requests of `push`: over a Unix socket or to a URL.

use std::path::Path;
use std::time::Duration;

use super::health::MAX_RESPONSE_BYTES;
use super::health::Target;
use super::socket_client::SocketClient;
use crate::formats::json;
use crate::net::client::{HttpClient, read_body};

/// Longer than the daemon waits for a disk that refuses writes.
const TIMEOUT: Duration = Duration::from_secs(90);

/// What the daemon has answered.
pub(super) struct EventsReply {
    pub status: u16,
    pub body: String,
    /// Why it refused, in its own words.
    pub detail: String,
    /// Seconds.
    pub retry_after: Option<u64>,
}

impl EventsReply {
    fn new(status: u16, body: String) -> Self {
        let member = |name: &str| json::members(&body).find(|member| member.key == name);
        let is_json = json::check(&body).is_ok();
        let detail = member("detail")
            .filter(|_| is_json)
            .and_then(|m| json::text_of(m.value).map(std::borrow::Cow::into_owned));
        let retry_after =
            member("retry_after").filter(|_| is_json).and_then(|member| member.value.parse().ok());
        let detail = detail.unwrap_or_else(|| format!("the daemon answers {status}"));
        Self { status, detail: detail.chars().filter(|c| !c.is_control()).collect(), retry_after, body }
    }
}

/// Where the events go.
pub(super) struct Transport {
    to: Peer,
    key: Option<String>,
}

enum Peer {
    Socket(SocketClient),
    Url { client: Box<HttpClient>, url: String },
}

impl Transport {
    /// A socket, else the target, else the daemon on this machine.
    pub fn new(socket: Option<&Path>, target: Option<Target>, key: Option<String>) -> Self {
        let target = target.unwrap_or_else(Target::from_environment);
        let socket = socket.or_else(|| target.is_socket.then(|| Path::new(target.authority())));
        let to = if let Some(path) = socket {
            Peer::Socket(SocketClient::new(path, TIMEOUT))
        } else {
            let client =
                if target.tls { HttpClient::for_loopback(TIMEOUT) } else { HttpClient::without_tls(TIMEOUT) };
            Peer::Url { client: Box::new(client), url: target.url_of("/v1/events") }
        };
        Self { to, key }
    }

    /// The response, or why there is none.
    pub fn post(&mut self, body: &str, media: &str) -> Result<EventsReply, String> {
        let key = self.key.as_deref();
        match &mut self.to {
            Peer::Socket(socket) => {
                let content = format!("Content-Type: {media}\r\nContent-Length: {}\r\n", body.len());
                let reply = socket.request("POST /v1/events", key, &content, body);
                let (status, text) =
                    reply.map_err(|error| format!("cannot ask {}: {error}", socket.path()))?;
                Ok(EventsReply::new(status, text))
            }
            Peer::Url { client, url } => {
                let mut text = Vec::new();
                let reply = client.request(&mut |agent| {
                    text.clear();
                    let mut request = agent.post(&*url).header("content-type", media);
                    if let Some(key) = key {
                        request = request.header("x-api-key", key);
                    }
                    read_body(request.send(body.as_bytes())?, MAX_RESPONSE_BYTES, &mut text)
                });
                let status = reply.status.ok_or_else(|| format!("cannot ask {url}: {}", reply.detail))?;
                Ok(EventsReply::new(status, String::from_utf8_lossy(&text).into_owned()))
            }
        }
    }
}
