//! A server on a free port with snapshots that the test writes, and a client that sends bytes.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use mycelium_core::features::FEATURE_COUNT;
use mycelium_daemon::api::AllowedNames;
use mycelium_daemon::api::HttpMetrics;
use mycelium_daemon::api::{
    ApiKey, Deadlines, Ports, Rate, Scope, Server, ServerHandle, Settings, StaticInfo,
};
use mycelium_daemon::clock::{BootId, Mono, Stamp, Wall};
use mycelium_daemon::formats::hex::sha256;
use mycelium_daemon::snapshots::{MonitoredTask, ProcessIdentity, Snapshots};
use tungstenite::WebSocket;
use tungstenite::protocol::Role;

pub const READ: &str = "myc_read";
pub const WRITE: &str = "myc_write";
pub const ADMIN: &str = "myc_admin";
pub const GRID: usize = 8;

pub fn keys() -> Vec<ApiKey> {
    [(READ, Scope::Read), (WRITE, Scope::Write), (ADMIN, Scope::Admin)]
        .map(|(text, scope)| ApiKey { name: scope.name().to_owned(), scope, sha256: sha256(text.as_bytes()) })
        .into()
}

pub const UNLIMITED: Rate = Rate {
    per_second: 1_000_000_000,
    burst: 1_000_000_000,
    unauthenticated_per_second: 1_000_000_000,
    unauthenticated_burst: 1_000_000_000,
};

pub fn snapshots(ring: usize, patience: Duration) -> Arc<Snapshots> {
    let now = Mono::now();
    let started = Stamp { mono: now, wall: Wall(1_700_000_000_000), synced: true };
    let identity = ProcessIdentity { device: "test".to_owned(), boot: BootId(0xb007), started, seed: 1 };
    Arc::new(Snapshots::new(identity, ring, vec![MonitoredTask::new("sim", patience, now)]))
}

/// Publishes one feature record as the simulation thread does.
pub fn push(snapshots: &Snapshots, step: u64) -> u64 {
    let stamp = Stamp { mono: Mono::now(), wall: Wall(1_700_000_000_000 + step as i64), synced: true };
    snapshots.publish_features(step, stamp, [step as f64; FEATURE_COUNT])
}

/// Settings of the server; the defaults suit most tests.
pub struct Setup {
    pub max_connections: usize,
    pub max_per_ip: usize,
    pub rate: Rate,
    pub deadlines: Deadlines,
    pub ring: usize,
    pub patience: Duration,
    pub metrics_public: bool,
    pub names: AllowedNames,
    pub ports: Ports,
}

impl Default for Setup {
    fn default() -> Self {
        let mut ports = Ports::closed();
        ports.info = StaticInfo {
            version: "test",
            model: "excitable",
            grid: GRID,
            simulation_bytes: 8 << 20,
            ..StaticInfo::default()
        };
        ports.metrics = Box::new(|form| format!("# {form:?}\n"));
        Self {
            max_connections: 64,
            max_per_ip: 64,
            rate: UNLIMITED,
            deadlines: Deadlines::default(),
            ring: 64,
            patience: Duration::from_hours(1),
            metrics_public: true,
            names: AllowedNames::default(),
            ports,
        }
    }
}

pub struct Running {
    pub address: SocketAddr,
    pub handle: ServerHandle,
    pub snapshots: Arc<Snapshots>,
    pub metrics: Arc<HttpMetrics>,
    thread: Option<JoinHandle<std::io::Result<()>>>,
}

pub fn start(setup: Setup) -> Running {
    let snapshots = snapshots(setup.ring, setup.patience);
    let metrics = Arc::new(HttpMetrics::default());
    let settings = Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        max_connections: setup.max_connections,
        max_per_ip: setup.max_per_ip,
        metrics_public: setup.metrics_public,
        tls: None,
        names: setup.names,
        mask_addresses: false,
        unix_socket: None,
        unix_trusted: false,
    };
    let server =
        Server::bind(settings, setup.rate, keys(), Arc::clone(&snapshots), Arc::clone(&metrics), setup.ports)
            .unwrap()
            .with_deadlines(setup.deadlines);
    let (address, handle) = (server.local_addr(), server.handle());
    let thread = Some(std::thread::spawn(move || server.run()));
    Running { address, handle, snapshots, metrics, thread }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.stop();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !std::thread::panicking() {
                ended.expect("the server must not panic").unwrap();
            }
        }
    }
}

impl Running {
    pub fn stop(mut self) -> std::io::Result<()> {
        self.handle.stop();
        self.thread.take().unwrap().join().expect("the server must not panic")
    }

    pub fn connect(&self) -> Client {
        self.connect_from("127.0.0.1".parse().unwrap())
    }

    /// From another address of the loopback network.
    pub fn connect_from(&self, from: IpAddr) -> Client {
        self.try_connect_from(from).unwrap()
    }

    pub fn try_connect_from(&self, from: IpAddr) -> std::io::Result<Client> {
        use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
        let fd = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        bind(&fd, &SocketAddr::new(from, 0))?;
        connect(&fd, &self.address)?;
        let socket = TcpStream::from(fd);
        socket.set_read_timeout(Some(Duration::from_secs(20)))?;
        socket.set_write_timeout(Some(Duration::from_secs(20)))?;
        socket.set_nodelay(true)?;
        Ok(Client { socket, rest: Vec::new() })
    }

    /// One request on a separate connection.
    pub fn send(&self, bytes: &[u8]) -> Answer {
        let mut client = self.connect();
        client.send(bytes);
        client.answer()
    }

    pub fn get(&self, path: &str, key: &str) -> Answer {
        let head = bytes_of(&format!("GET {path} HTTP/1.1\r\nHost: t\r\nX-API-Key: {key}\r\n\r\n"));
        self.send(&head)
    }

    pub fn post(&self, path: &str, key: &str, body: &str) -> Answer {
        self.send(&post("POST", path, key, body))
    }
}

fn bytes_of(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

pub fn post(method: &str, path: &str, key: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    bytes_of(&format!(
        "{method} {path} HTTP/1.1\r\nHost: t\r\nX-API-Key: {key}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    ))
}

pub struct Client {
    pub socket: TcpStream,
    pub rest: Vec<u8>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (field, value) = line.split_once(": ")?;
            field.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn closes(&self) -> bool {
        self.field("Connection") == Some("close")
    }
}

impl Client {
    pub fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }

    pub fn get(&mut self, path: &str, key: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: t\r\nX-API-Key: {key}\r\n\r\n").as_bytes());
        self.answer()
    }

    fn fill(&mut self) -> std::io::Result<usize> {
        let mut bytes = [0; 16384];
        let n = self.socket.read(&mut bytes)?;
        self.rest.extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    /// The next response, with its body.
    pub fn answer(&mut self) -> Answer {
        self.try_answer(true).unwrap()
    }

    /// The next response to a HEAD request.
    pub fn head_answer(&mut self) -> Answer {
        self.try_answer(false).unwrap()
    }

    /// The head of a response whose body does not end.
    pub fn stream_head(&mut self) -> Answer {
        self.try_answer(false).unwrap()
    }

    pub fn try_answer(&mut self, body: bool) -> std::io::Result<Answer> {
        let end = loop {
            if let Some(at) = self.rest.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            if self.fill()? == 0 {
                let held = String::from_utf8_lossy(&self.rest).into_owned();
                return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, held));
            }
        };
        let head = String::from_utf8(self.rest.drain(..end).collect()).unwrap();
        let status = head[9..12].parse().unwrap();
        let mut answer = Answer { status, head, body: Vec::new() };
        let length = answer.field("Content-Length").map_or(0, |n| n.parse().unwrap());
        if body {
            while self.rest.len() < length {
                if self.fill()? == 0 {
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                }
            }
            answer.body = self.rest.drain(..length).collect();
        }
        Ok(answer)
    }

    /// Text up to and including `end`.
    pub fn until(&mut self, end: &str) -> String {
        loop {
            if let Some(at) = self.rest.windows(end.len()).position(|w| w == end.as_bytes()) {
                return String::from_utf8(self.rest.drain(..at + end.len()).collect()).unwrap();
            }
            assert_ne!(
                self.fill().unwrap(),
                0,
                "ended before {end:?}: {:?}",
                String::from_utf8_lossy(&self.rest)
            );
        }
    }

    /// Whether the server closes the connection; what it still sends is discarded.
    pub fn is_closed(&mut self) -> bool {
        loop {
            match self.fill() {
                Ok(0) => return true,
                Ok(_) => {}
                Err(e) => return e.kind() == std::io::ErrorKind::ConnectionReset,
            }
        }
    }
}

/// Requests an upgrade with the read key; the status and the connection.
pub fn handshake(server: &Running, path: &str, fields: &str) -> (u16, Client) {
    let mut client = server.connect();
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: t\r\nX-API-Key: {READ}\r\nConnection: keep-alive, Upgrade\r\n\
         Upgrade: websocket\r\n{fields}\r\n"
    );
    client.send(head.as_bytes());
    let answer = client.stream_head();
    if answer.status == 101 {
        // The example of RFC 6455 section 1.3.
        assert_eq!(answer.field("Sec-WebSocket-Accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert!(answer.field("RateLimit").is_some() && answer.field("RateLimit-Policy").is_some());
    }
    (answer.status, client)
}

const NONCE: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

pub fn web_socket(server: &Running, path: &str) -> WebSocket<TcpStream> {
    let (status, client) = handshake(server, path, NONCE);
    assert_eq!(status, 101);
    WebSocket::from_partially_read(client.socket, client.rest, Role::Client, None)
}
