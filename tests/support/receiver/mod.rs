//! A webhook receiver on a real socket, as bad as a script tells it to be, and an outbox in memory.

pub mod authority;
pub mod queue;
pub mod rig;
pub mod tally;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Longest any test waits for something that must come.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Request {
    /// Which connection it came over, counted from 0.
    pub connection: usize,
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// As sent, maybe compressed.
    pub wire: Vec<u8>,
    /// Unpacked.
    pub body: String,
    /// Status it was answered with; 0 for none.
    pub answered: u16,
}

impl Request {
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
    }
}

/// What to do with a request.
#[allow(clippy::enum_variant_names, reason = "one of them is half an answer")]
#[derive(Clone, Debug)]
pub enum Answer {
    Status(u16, Vec<(&'static str, String)>),
    /// Answers only when the receiver is stopped.
    Hang,
    /// Closes the connection without a word.
    Drop,
    /// Half an answer, then a reset.
    HalfAnswer,
    /// A reset while the body is still coming in.
    ResetMidBody,
    /// Not HTTP at all.
    Garbage,
    /// Good answer that closes the connection afterwards without having said so.
    OkThenClose,
}

pub fn ok() -> Answer {
    Answer::Status(200, vec![])
}

pub fn status(code: u16) -> Answer {
    Answer::Status(code, vec![])
}

type Script = dyn FnMut(&Request, usize) -> Answer + Send;

struct State {
    script: Mutex<Box<Script>>,
    log: Mutex<Vec<Request>>,
    changed: Condvar,
    stop: AtomicBool,
    connections: Mutex<Vec<TcpStream>>,
    tls: Option<Arc<ServerConfig>>,
}

pub struct Receiver {
    pub address: SocketAddr,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    /// `script` is asked for every request, with its index.
    pub fn start(script: impl FnMut(&Request, usize) -> Answer + Send + 'static) -> Self {
        Self::start_on("127.0.0.1:0".parse().unwrap(), None, script)
    }

    pub fn start_on(
        address: SocketAddr,
        tls: Option<Arc<ServerConfig>>,
        script: impl FnMut(&Request, usize) -> Answer + Send + 'static,
    ) -> Self {
        let listener = bind(address);
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            script: Mutex::new(Box::new(script)),
            log: Mutex::default(),
            changed: Condvar::new(),
            stop: AtomicBool::new(false),
            connections: Mutex::default(),
            tls,
        });
        let shared = Arc::clone(&state);
        let thread = Some(thread::spawn(move || accept(&listener, &shared)));
        Self { address, state, thread }
    }

    pub fn url(&self) -> String {
        let scheme = if self.state.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://localhost:{}/hook", self.address.port())
    }

    pub fn requests(&self) -> Vec<Request> {
        self.state.log.lock().unwrap().clone()
    }

    /// Waits until `enough` holds for the requests so far.
    pub fn wait_until(&self, what: &str, mut enough: impl FnMut(&[Request]) -> bool) {
        let until = Instant::now() + PATIENCE;
        let mut log = self.state.log.lock().unwrap();
        while !enough(&log) {
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "never saw {what}; {} requests: {:?}", log.len(), statuses(&log));
            log = self.state.changed.wait_timeout(log, left).unwrap().0;
        }
    }

    /// Closes everything at once; tells what had arrived.
    pub fn stop(mut self) -> Vec<Request> {
        self.shut();
        self.requests()
    }

    fn shut(&mut self) {
        self.state.stop.store(true, SeqCst);
        drop(TcpStream::connect(self.address));
        for stream in self.state.connections.lock().unwrap().drain(..) {
            drop(stream.shutdown(Shutdown::Both));
        }
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shut();
    }
}

fn statuses(log: &[Request]) -> Vec<u16> {
    log.iter().map(|r| r.answered).collect()
}

/// A port that was in use a moment ago may take one to come free.
fn bind(address: SocketAddr) -> TcpListener {
    let until = Instant::now() + PATIENCE;
    loop {
        match TcpListener::bind(address) {
            Ok(listener) => return listener,
            Err(e) => assert!(Instant::now() < until, "{address}: {e}"),
        }
        thread::yield_now();
    }
}

fn accept(listener: &TcpListener, state: &Arc<State>) {
    for (connection, stream) in listener.incoming().enumerate() {
        if state.stop.load(SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        state.connections.lock().unwrap().push(stream.try_clone().unwrap());
        let state = Arc::clone(state);
        thread::spawn(move || match state.tls.clone() {
            None => serve(&stream.try_clone().unwrap(), stream, &state, connection),
            Some(config) => {
                let raw = stream.try_clone().unwrap();
                let tls = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
                serve(&raw, tls, &state, connection);
            }
        });
    }
}

fn serve(raw: &TcpStream, stream: impl Read + Write, state: &State, connection: usize) {
    let mut stream = BufReader::new(stream);
    while let Some((mut request, length)) = read_head(&mut stream, connection) {
        let index = state.log.lock().unwrap().len();
        let answer = (state.script.lock().unwrap())(&request, index);
        if let Answer::ResetMidBody = answer {
            let mut some = vec![0; length.min(64)];
            drop(stream.read_exact(&mut some));
            note(state, request);
            return reset(raw);
        }
        request.wire.resize(length, 0);
        if stream.read_exact(&mut request.wire).is_err() {
            return;
        }
        request.body = unpack(&request);
        // The script sees the body too: it is asked again now that it is there.
        let answer = match answer {
            Answer::Status(0, _) => (state.script.lock().unwrap())(&request, index),
            other => other,
        };
        let out = stream.get_mut();
        match &answer {
            Answer::Status(code, headers) => {
                request.answered = *code;
                note(state, request);
                if out.write_all(&text(*code, headers)).and_then(|()| out.flush()).is_err() {
                    return;
                }
            }
            Answer::OkThenClose => {
                request.answered = 200;
                note(state, request);
                drop(out.write_all(&text(200, &[])).and_then(|()| out.flush()));
                drop(raw.shutdown(Shutdown::Both));
                return;
            }
            Answer::Hang => {
                note(state, request);
                drop(out.read(&mut [0]));
                return;
            }
            Answer::HalfAnswer => {
                note(state, request);
                drop(
                    out.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
                        .and_then(|()| out.flush()),
                );
                return reset(raw);
            }
            Answer::Garbage => {
                note(state, request);
                drop(out.write_all(b"SSH-2.0-OpenSSH_9.9\r\n\r\n").and_then(|()| out.flush()));
                return;
            }
            Answer::Drop | Answer::ResetMidBody => {
                note(state, request);
                return drop(raw.shutdown(Shutdown::Both));
            }
        }
    }
}

fn note(state: &State, request: Request) {
    state.log.lock().unwrap().push(request);
    state.changed.notify_all();
}

/// Closing with unread bytes in the way sends a reset.
fn reset(raw: &TcpStream) {
    drop(raw.shutdown(Shutdown::Both));
}

fn text(code: u16, headers: &[(&'static str, String)]) -> Vec<u8> {
    let mut out = format!("HTTP/1.1 {code} Status\r\nContent-Length: 2\r\n");
    for (name, value) in headers {
        out += &format!("{name}: {value}\r\n");
    }
    out += "\r\nok";
    out.into_bytes()
}

fn read_head(stream: &mut impl BufRead, connection: usize) -> Option<(Request, usize)> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let target = lines.first()?.split(' ').nth(1)?.to_owned();
    let pair = |line: &String| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    let headers: Vec<_> = lines[1..].iter().filter_map(pair).collect();
    let request = Request { connection, target, headers, wire: Vec::new(), body: String::new(), answered: 0 };
    let length = request.header("content-length").parse().ok()?;
    Some((request, length))
}

fn unpack(request: &Request) -> String {
    let mut body = String::new();
    if request.header("content-encoding") == "gzip" {
        flate2::read::GzDecoder::new(&request.wire[..]).read_to_string(&mut body).unwrap();
    } else {
        body = String::from_utf8(request.wire.clone()).unwrap();
    }
    body
}

/// A script that decides by the body: `decide` is asked once the body is there.
pub fn by_body(
    mut decide: impl FnMut(&Request, usize) -> Answer + Send + 'static,
) -> impl FnMut(&Request, usize) -> Answer + Send {
    move |request, index| {
        if request.body.is_empty() { Answer::Status(0, vec![]) } else { decide(request, index) }
    }
}
