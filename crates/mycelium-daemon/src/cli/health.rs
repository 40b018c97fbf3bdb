//! `health`: one GET with deadlines, for health checks without a shell.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::command::HealthArgs;
use super::failure::{ExitStatus, Failure};
use super::secure::{self, Link};
use crate::clock::Mono;
use crate::{api, config};

/// Container runtimes kill health checks after 30 s by default; a well daemon answers in milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of an answer that are looked at.
const LONGEST: usize = 64 * 1024;
/// Bytes of a key file that are read; a key has 47.
const LONGEST_KEY: u64 = 4096;

/// Where to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// Host and port, as in the URL.
    authority: String,
    tls: bool,
    path: String,
}

impl Target {
    /// `http://HOST[:PORT][/PATH]`; the path is /healthz when there is none. `https://` for this machine only.
    pub(super) fn parse(url: &str) -> Result<Self, Failure> {
        let refused = || {
            Failure::usage(format_args!(
                "health URL is {url:?}; it must be http://HOST:PORT or http://HOST:PORT/PATH, or https:// and an \
                 address of this machine such as 127.0.0.1:8600"
            ))
        };
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
        if tls && !secure::is_own(&authority) {
            return Err(refused());
        }
        let path = if path.is_empty() { "/healthz" } else { path };
        Ok(Self { authority, tls, path: path.to_owned() })
    }

    /// Where the daemon of this machine listens: the address of the configuration's variable, else its default.
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
        Self { authority: address.to_string(), tls, path: "/healthz".to_owned() }
    }
}

pub(super) fn health(args: &HealthArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let listen = std::env::var("MYCELIUMD_API__LISTEN").ok();
    let target = match &args.url {
        Some(url) => Target::parse(url)?,
        None => Target::local(listen.as_deref(), std::env::var_os("MYCELIUMD_API__TLS__CERT_FILE").is_some()),
    };
    let unwell = |text: String| Failure::new(ExitStatus::Unhealthy, text);
    let answer = ask(&target, None, Mono::now() + PATIENCE)
        .map_err(|error| unwell(format!("cannot ask {}: {error}", target.authority)))?;
    let (status, body) =
        split(&answer).ok_or_else(|| unwell(format!("{} does not speak HTTP", target.authority)))?;
    if args.verbose {
        writeln!(out, "{}", indented(body.trim()))?;
        if target.path == "/healthz" {
            state(args, &target, out)?;
        }
    }
    if status == 200 {
        return Ok(());
    }
    let summary: String = body.trim().chars().filter(|c| !c.is_control()).take(300).collect();
    Err(unwell(format!("{} answers {status}: {summary}", target.authority)))
}

/// Prints /v1/status, or why it cannot; that decides nothing about health.
fn state(args: &HealthArgs, target: &Target, out: &mut dyn Write) -> Result<(), Failure> {
    let key = match (&args.key_file, own_key_file(target)) {
        (Some(file), _) => read_key(file).map_err(|error| Failure::io("read", file, &error))?,
        (None, Some(file)) => match read_key(&file) {
            Ok(key) => key,
            Err(error) => {
                return Ok(writeln!(out, "no more without a key: cannot read {}: {error}", file.display())?);
            }
        },
        (None, None) => return Ok(writeln!(out, "no more without a key: name one by --key-file")?),
    };
    let target = Target { path: "/v1/status".to_owned(), ..target.clone() };
    match ask(&target, Some(&key), Mono::now() + PATIENCE).map(|answer| split(&answer)) {
        Ok(Some((_, body))) => writeln!(out, "{}", indented(body.trim()))?,
        Ok(None) => writeln!(out, "/v1/status: the answer is not HTTP")?,
        Err(error) => writeln!(out, "/v1/status: {error}")?,
    }
    Ok(())
}

/// The key a daemon started like this command would have; no other machine is sent it.
fn own_key_file(target: &Target) -> Option<PathBuf> {
    let host = target.authority.rsplit_once(':').map_or(&*target.authority, |(host, _)| host);
    let here = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if !here && host != "localhost" {
        return None;
    }
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let directories = credentials.into_iter().chain([config::state_dir(None)]);
    directories.map(|directory| directory.join(config::API_KEY_FILE)).find(|file| file.exists())
}

/// Only what can stand in a header field.
fn read_key(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(file)?.take(LONGEST_KEY).read_to_string(&mut text)?;
    let key = text.trim();
    if key.is_empty() || !key.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it holds no key"));
    }
    Ok(key.to_owned())
}

/// JSON with a line for each value; what is no JSON comes out readable all the same.
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
            // A daemon's own answers have none; a newline of another server's must not forge a line.
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

fn ask(target: &Target, key: Option<&str>, deadline: Mono) -> io::Result<Vec<u8>> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "no address");
    for address in target.authority.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, left(deadline)?) {
            Ok(stream) => return exchange(stream, target, key, deadline),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn exchange(socket: TcpStream, target: &Target, key: Option<&str>, deadline: Mono) -> io::Result<Vec<u8>> {
    let key = key.map_or_else(String::new, |key| format!("X-API-Key: {key}\r\n"));
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: myceliumd-health\r\n{key}Connection: close\r\n\r\n",
        target.path, target.authority
    );
    socket.set_write_timeout(Some(left(deadline)?))?;
    socket.set_read_timeout(Some(left(deadline)?))?;
    let mut stream = if target.tls { Link::secure(socket, &target.authority)? } else { Link::Clear(socket) };
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while answer.len() < LONGEST && !is_complete(&answer) {
        stream.socket().set_read_timeout(Some(left(deadline)?))?;
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(n) => answer.extend_from_slice(&piece[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A reset behind a whole answer does not spoil it.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset && !answer.is_empty() => break,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(late()),
            Err(error) => return Err(error),
        }
    }
    Ok(answer)
}

/// Time until the deadline; an error when there is none.
fn left(deadline: Mono) -> io::Result<Duration> {
    let left = deadline.since(Mono::now());
    if left.is_zero() { Err(late()) } else { Ok(left) }
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", PATIENCE.as_secs()))
}

/// Head and announced body are there; servers that keep the connection open need not be waited for.
fn is_complete(answer: &[u8]) -> bool {
    let Some(head_end) = answer.windows(4).position(|w| w == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&answer[..head_end]);
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    length.is_some_and(|length| answer.len() - head_end - 4 >= length)
}

/// Status and body; `None` when this is no HTTP answer.
fn split(answer: &[u8]) -> Option<(u16, String)> {
    let text = String::from_utf8_lossy(answer);
    let rest = text.strip_prefix("HTTP/1.")?;
    let status = rest.get(2..5)?.parse().ok()?;
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Some((status, body.to_owned()))
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
            ("https://pi.local:8600", None, "somebody else's certificate would have to be checked"),
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

    #[test]
    fn answers_are_split_and_known_to_be_complete() {
        let answer = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 5\r\n\r\nstall";
        assert!(is_complete(answer) && !is_complete(&answer[..answer.len() - 1]));
        assert_eq!(split(answer), Some((503, "stall".to_owned())));
        assert_eq!(split(b"SSH-2.0"), None);
        assert_eq!(split(b"HTTP/1.1 "), None);
    }
}
