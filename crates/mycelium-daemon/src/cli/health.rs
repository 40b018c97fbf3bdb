//! `health`: one GET with a deadline, for health checks without a shell.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::command::HealthArgs;
use super::failure::{ExitStatus, Failure};
use super::socket_client::SocketClient;
use super::status::failing_endpoints;
use crate::formats::json;
use crate::net::client::{HttpClient, read_body};
use crate::net::error::TransportError;
use crate::{api, config};
use mycelium_outbox::state_dir::read_named_file;

/// Container runtimes kill health checks after 30 s by default; a healthy daemon responds in milliseconds.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of a response that are read.
pub(super) const MAX_RESPONSE_BYTES: u64 = 64 << 10;
/// Bytes of a key file that are read; a key has 47.
const MAX_KEY_FILE_BYTES: usize = 4096;

/// What to request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// Host and port, as in the URL; or the path of a Unix socket.
    authority: String,
    pub tls: bool,
    pub is_socket: bool,
    path: String,
}

impl Target {
    /// `http://HOST[:PORT][/PATH]`; the path is /healthz when there is none. `https://` for this machine only;
    /// `unix:SOCKET` for the Unix socket of a daemon.
    pub(super) fn parse(url: &str) -> Result<Self, Failure> {
        let refused = || {
            Failure::usage(format_args!(
                "health URL is {url:?}; it must be http://HOST:PORT or http://HOST:PORT/PATH, https:// and an \
                 address of this machine such as 127.0.0.1:8600, or unix: and the path of a Unix socket"
            ))
        };
        if let Some(socket) = url.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            let path = "/healthz".to_owned();
            return Ok(Self { authority: socket.to_owned(), tls: false, is_socket: true, path });
        }
        let tls = url.starts_with("https://");
        let scheme = if tls { "https://" } else { "http://" };
        let rest = url.strip_prefix(scheme).ok_or_else(refused)?;
        let at = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(at);
        let plain = url.len() <= 2048 && url.bytes().all(|b| b.is_ascii_graphic());
        if authority.is_empty() || authority.starts_with(':') || authority.contains('@') || !plain {
            return Err(refused());
        }
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let bare = !authority.contains(':') || authority.ends_with(']');
        let authority = match (has_port, bare) {
            (true, false) => authority.to_owned(),
            (false, true) => format!("{authority}:{}", if tls { 443 } else { 80 }),
            _ => return Err(refused()),
        };
        if tls && !is_own(host_of(&authority)) {
            return Err(refused());
        }
        let path = if path.is_empty() { "/healthz" } else { path };
        Ok(Self { authority, tls, is_socket: false, path: path.to_owned() })
    }

    /// The daemon on this machine, by the variables that the daemon reads too.
    pub fn from_environment() -> Self {
        let listen = std::env::var("MYCELIUMD_API__LISTEN").ok();
        Self::local(listen.as_deref(), std::env::var_os("MYCELIUMD_API__TLS__CERT_FILE").is_some())
    }

    /// Host and port.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Another path of the same daemon.
    pub fn at(&self, path: &str) -> Self {
        Self { path: path.to_owned(), ..self.clone() }
    }

    /// The URL of another path of the same daemon.
    pub fn url_of(&self, path: &str) -> String {
        format!("{}://{}{path}", if self.tls { "https" } else { "http" }, self.authority)
    }

    /// The daemon on this machine: at the address in the environment, else at the default one.
    fn local(listen: Option<&str>, tls: bool) -> Self {
        let listen = listen.and_then(|text| text.parse().ok());
        let default = || api::Settings::DEFAULT_LISTEN.parse().expect("a default is valid");
        let mut address: SocketAddr = listen.unwrap_or_else(default);
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        let tls = tls && address.ip().is_loopback();
        Self { authority: address.to_string(), tls, is_socket: false, path: "/healthz".to_owned() }
    }
}

pub(super) fn health(args: &HealthArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let target = match &args.url {
        Some(url) => Target::parse(url)?,
        None => Target::from_environment(),
    };
    let unhealthy = |text: String| Failure::new(ExitStatus::Unhealthy, text);
    let authority = &target.authority;
    let (status, body) = get(&target, None).map_err(|error| unhealthy(explained(&target, error)))?;
    if args.verbose {
        writeln!(out, "{}", indented(body.trim()))?;
        if target.path == "/healthz" {
            state(args, &target, out)?;
        }
    }
    if status == 200 {
        return if args.deliveries { deliveries(args, &target) } else { Ok(()) };
    }
    let summary: String = body.trim().chars().filter(|c| !c.is_control()).take(300).collect();
    Err(unhealthy(format!("{authority} answers {status}: {summary}")))
}

/// Fails if an endpoint is disabled or failing.
fn deliveries(args: &HealthArgs, target: &Target) -> Result<(), Failure> {
    let failing = failing_endpoints(&status_of(target, args.key_file.as_deref())?);
    if failing.is_empty() { Ok(()) } else { Err(Failure::new(ExitStatus::Unhealthy, failing.join("; "))) }
}

/// The response of /v1/status, checked to be JSON.
pub(super) fn status_of(target: &Target, key_file: Option<&Path>) -> Result<String, Failure> {
    let unhealthy = |text: String| Failure::new(ExitStatus::Unhealthy, text);
    let key = authorized(key_file, target)?;
    let (code, body) =
        get(&target.at("/v1/status"), Some(&key)).map_err(|error| unhealthy(explained(target, error)))?;
    if code != 200 || json::check(&body).is_err() {
        return Err(unhealthy(format!("{} answers {code} to GET /v1/status", target.authority())));
    }
    Ok(body)
}

/// The key in the named file, else that of the daemon with the same environment.
fn authorized(key_file: Option<&Path>, target: &Target) -> Result<String, Failure> {
    let Some(file) = key_file.map(Path::to_owned).or_else(|| own_key_file(Some(target))) else {
        return Err(Failure::new(ExitStatus::Config, "this needs a key: name one with --key-file"));
    };
    read_key(&file).map_err(|error| Failure::io("read", &file, &error))
}

/// Why a request had no response.
fn explained(target: &Target, error: TransportError) -> String {
    let authority = &target.authority;
    match error {
        TransportError::Protocol => format!("{authority} does not speak HTTP"),
        error => format!("cannot ask {authority}: {}", explain(error)),
    }
}

/// Prints /v1/status, or why that failed; this does not change the result.
fn state(args: &HealthArgs, target: &Target, out: &mut dyn Write) -> Result<(), Failure> {
    let key = match (&args.key_file, own_key_file(Some(target))) {
        (Some(file), _) => read_key(file).map_err(|error| Failure::io("read", file, &error))?,
        (None, Some(file)) => match read_key(&file) {
            Ok(key) => key,
            Err(error) => {
                return Ok(writeln!(
                    out,
                    "no details without a key: cannot read {}: {error}",
                    file.display()
                )?);
            }
        },
        (None, None) => return Ok(writeln!(out, "no details without a key: name one with --key-file")?),
    };
    match get(&target.at("/v1/status"), Some(&key)) {
        Ok((_, body)) => writeln!(out, "{}", indented(body.trim()))?,
        Err(TransportError::Protocol) => writeln!(out, "/v1/status: the response is not HTTP")?,
        Err(error) => writeln!(out, "/v1/status: {}", explain(error))?,
    }
    Ok(())
}

/// The key of a daemon with the same environment as this command. It is sent to this machine only: without a target, to
/// its Unix socket or loopback address.
pub(super) fn own_key_file(target: Option<&Target>) -> Option<PathBuf> {
    if target.is_some_and(|target| !target.is_socket && !is_own(host_of(&target.authority))) {
        return None;
    }
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let directories = credentials.into_iter().chain([config::state_dir(None)]);
    directories.map(|directory| directory.join(config::API_KEY_FILE)).find(|file| file.exists())
}

/// Reads a key; it must be valid in a header field.
pub(super) fn read_key(file: &Path) -> io::Result<String> {
    let bytes = read_named_file(file, MAX_KEY_FILE_BYTES)?;
    let text = String::from_utf8_lossy(&bytes);
    let key = text.trim();
    if key.is_empty() || !key.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it holds no key"));
    }
    Ok(key.to_owned())
}

/// JSON with one line per value; other text stays readable.
fn indented(json: &str) -> String {
    let (mut out, mut depth, mut quoted, mut escaped) = (String::new(), 0_usize, false, false);
    let mut chars = json.chars().peekable();
    while let Some(c) = chars.next() {
        if quoted {
            quoted = c != '"' || escaped;
            escaped = c == '\\' && !escaped;
            out.push(c);
            continue;
        }
        let empty = matches!((c, chars.peek()), ('{', Some('}')) | ('[', Some(']')));
        match c {
            '{' | '[' if !empty => {
                depth += 1;
                out.push(c);
                line(&mut out, depth);
            }
            '}' | ']' if !out.ends_with(['{', '[']) => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            // The daemon's responses have none; a newline from another server must not forge a line.
            c if c.is_whitespace() => out.push(' '),
            c => {
                quoted = c == '"';
                out.push(c);
            }
        }
    }
    out.retain(|c| c == '\n' || !c.is_control());
    out
}

fn line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

/// Host of an authority, without brackets.
fn host_of(authority: &str) -> &str {
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    host.trim_matches(['[', ']'])
}

/// Whether `host` can only be this machine.
fn is_own(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

/// Status and body of a GET. With `https` the target is this machine, so the certificate is not verified: it is issued
/// for the name that other machines use.
fn get(target: &Target, key: Option<&str>) -> Result<(u16, String), TransportError> {
    if target.is_socket {
        let what = format!("GET {}", target.path);
        return SocketClient::new(Path::new(&target.authority), TIMEOUT)
            .request(&what, key, "", "")
            .map_err(|error| TransportError::of_io(error.kind()));
    }
    let url = target.url_of(&target.path);
    let mut client =
        if target.tls { HttpClient::for_loopback(TIMEOUT) } else { HttpClient::without_tls(TIMEOUT) };
    let mut body = Vec::new();
    let reply = client.request(&mut |agent| {
        body.clear();
        let mut request =
            agent.get(&url).header("user-agent", "myceliumd-health").header("connection", "close");
        if let Some(key) = key {
            request = request.header("x-api-key", key);
        }
        read_body(request.call()?, MAX_RESPONSE_BYTES, &mut body)
    });
    let status = reply.status.ok_or(reply.error.unwrap_or(TransportError::Other))?;
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

fn explain(error: TransportError) -> String {
    match error {
        TransportError::Timeout | TransportError::ConnectTimeout => {
            format!("no response within {} s", TIMEOUT.as_secs())
        }
        TransportError::Refused => "connection refused: is the daemon running?".to_owned(),
        TransportError::Dns => "name not found".to_owned(),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_become_host_and_path_or_are_refused() {
        let rows = [
            ("http://127.0.0.1:8600", Some(("127.0.0.1:8600", "/healthz")), "no path"),
            ("http://127.0.0.1:8600/readyz", Some(("127.0.0.1:8600", "/readyz")), "a path"),
            ("http://pi.local/", Some(("pi.local:80", "/")), "no port"),
            ("http://[::1]:9", Some(("[::1]:9", "/healthz")), "IPv6"),
            ("http://[::1]", Some(("[::1]:80", "/healthz")), "IPv6 without a port"),
            ("https://127.0.0.1:8600", Some(("127.0.0.1:8600", "/healthz")), "TLS to this machine"),
            ("https://[::1]/x", Some(("[::1]:443", "/x")), "its own port"),
            ("https://pi.local:8600", None, "the certificate of another machine would have to be verified"),
            ("unix:/run/api.sock", Some(("/run/api.sock", "/healthz")), "a Unix socket"),
            ("unix:", None, "no path of a socket"),
            ("https://127.0.0.1.example.org:1/", None, "a name that looks like this machine"),
            ("127.0.0.1:8600", None, "no scheme"),
            ("http://", None, "no host"),
            ("http://:8600", None, "no host before the port"),
            ("http://a:99999", None, "no such port"),
            ("http://u:p@a/", None, "a password"),
            ("http://a/\r\nX: y", None, "another header line"),
        ];
        for (url, want, why) in rows {
            let got = Target::parse(url).ok();
            let got = got.as_ref().map(|t| (t.authority.as_str(), t.path.as_str()));
            assert_eq!(got, want, "{why}: {url:?}");
        }
    }

    #[test]
    fn without_a_url_the_listening_address_is_asked_on_loopback() {
        let rows = [
            (None, "127.0.0.1:8600", "the default"),
            (Some("0.0.0.0:9000"), "127.0.0.1:9000", "all addresses"),
            (Some("[::]:9000"), "[::1]:9000", "all IPv6 addresses"),
            (Some("192.0.2.1:9000"), "192.0.2.1:9000", "one address"),
            (Some("nonsense"), "127.0.0.1:8600", "the daemon would not have started with it"),
        ];
        for (listen, want, why) in rows {
            assert_eq!(Target::local(listen, false).authority, want, "{why}");
        }
    }

    #[test]
    fn json_gets_a_line_for_each_value_and_texts_stay_whole() {
        let rows = [
            ("{\"a\":1,\"b\":[]}", "{\n  \"a\": 1,\n  \"b\": []\n}", "an object"),
            ("[{},{\"c\":null}]", "[\n  {},\n  {\n    \"c\": null\n  }\n]", "within each other"),
            ("{\"a\":\"x,{\\\"}:\\\\\"}", "{\n  \"a\": \"x,{\\\"}:\\\\\"\n}", "signs within texts"),
            ("}}\u{7}]", "\n}\n}\n]", "nonsense"),
            ("", "", "nothing"),
        ];
        for (text, want, why) in rows {
            assert_eq!(indented(text), want, "{why}");
        }
    }
}
