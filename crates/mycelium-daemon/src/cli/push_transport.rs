//! Requests of `push`: over a Unix socket or to a URL.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::health::Target;
use crate::formats::json;
use crate::net::client::{HttpClient, read_body};

/// Longer than the daemon waits for a disk that refuses writes.
const TIMEOUT: Duration = Duration::from_secs(90);
/// Bytes of a response that are read.
const MAX_RESPONSE_BYTES: u64 = 64 << 10;

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
    Socket { path: PathBuf, stream: Option<BufReader<UnixStream>> },
    Url { client: Box<HttpClient>, url: String },
}

impl Transport {
    /// A socket, else the target, else the daemon on this machine.
    pub fn new(socket: Option<&Path>, target: Option<Target>, key: Option<String>) -> Self {
        let to = if let Some(path) = socket {
            Peer::Socket { path: path.to_owned(), stream: None }
        } else {
            let target = target.unwrap_or_else(Target::from_environment);
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
            Peer::Socket { path, stream } => {
                let reply = post_on_socket(path, stream, key, body, media);
                reply.map_err(|error| {
                    *stream = None;
                    format!("cannot ask {}: {error}", path.display())
                })
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

/// One request on a connection that is kept for the next one.
fn post_on_socket(
    path: &Path,
    stream: &mut Option<BufReader<UnixStream>>,
    key: Option<&str>,
    body: &str,
    media: &str,
) -> io::Result<EventsReply> {
    if stream.is_none() {
        let socket = UnixStream::connect(path)?;
        socket.set_read_timeout(Some(TIMEOUT))?;
        socket.set_write_timeout(Some(TIMEOUT))?;
        *stream = Some(BufReader::new(socket));
    }
    let Some(reader) = stream else { return Err(ErrorKind::NotConnected.into()) };
    let key = key.map(|key| format!("X-API-Key: {key}\r\n")).unwrap_or_default();
    let length = body.len();
    let request = format!(
        "POST /v1/events HTTP/1.1\r\nHost: localhost\r\n{key}Content-Type: {media}\r\nContent-Length: {length}\r\n\r\n\
         {body}"
    );
    reader.get_mut().write_all(request.as_bytes())?;
    let (status, length, closes) = read_head(reader)?;
    let mut text = vec![0; length];
    reader.read_exact(&mut text)?;
    if closes {
        *stream = None;
    }
    Ok(EventsReply::new(status, String::from_utf8_lossy(&text).into_owned()))
}

/// Status, length of the body, and whether the connection ends after it.
fn read_head(reader: &mut impl BufRead) -> io::Result<(u16, usize, bool)> {
    let invalid = || io::Error::new(ErrorKind::InvalidData, "the response is not HTTP");
    let mut head = reader.take(MAX_RESPONSE_BYTES);
    let mut line = String::new();
    head.read_line(&mut line)?;
    if line.is_empty() {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let status =
        line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok()).ok_or_else(invalid)?;
    let (mut length, mut closes) = (None, false);
    loop {
        line.clear();
        if head.read_line(&mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if line.trim().is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(invalid)?;
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok().filter(|n| *n as u64 <= MAX_RESPONSE_BYTES);
        }
        closes |= name.eq_ignore_ascii_case("connection") && value.trim().eq_ignore_ascii_case("close");
    }
    Ok((status, length.ok_or_else(invalid)?, closes))
}
