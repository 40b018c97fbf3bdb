//! The real binary in a new directory, and a small HTTP client to talk to it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up; generous, as CI machines are slow.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A directory that goes away with the test.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Self {
        let unique = format!("myceliumd-{name}-{}-{:08x}", std::process::id(), fastrand::u32(..));
        let path = std::env::temp_dir().join(unique);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_myceliumd"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// A running daemon.
pub struct Daemon {
    pub child: Child,
    pub data: PathBuf,
    pub address: SocketAddr,
    pub key: String,
    stderr: PathBuf,
}

impl Daemon {
    /// Starts with this configuration text on a free port; `scratch` keeps state between starts.
    pub fn start(scratch: &Path, config: &str) -> Self {
        Self::start_with(scratch, config, &[])
    }

    pub fn start_with(scratch: &Path, config: &str, env: &[(&str, &str)]) -> Self {
        let file = scratch.join("edge.toml");
        fs::write(&file, config).unwrap();
        let data = scratch.join("data");
        let _ = fs::remove_file(data.join("address"));
        let stderr = scratch.join(format!("stderr-{:08x}.log", fastrand::u32(..)));
        let mut command = binary();
        command.args(["run", "--listen", "127.0.0.1:0", "--config"]).arg(&file);
        command.arg("--data-dir").arg(&data);
        command.envs(env.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(&stderr).unwrap());
        let mut child = command.spawn().unwrap();
        let address = wait_for("the address file", || {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the daemon ended with {status}: {}", fs::read_to_string(&stderr).unwrap());
            }
            fs::read_to_string(data.join("address")).ok()?.trim().parse().ok()
        });
        let key = fs::read_to_string(data.join("api.key")).unwrap_or_default().trim().to_owned();
        Self { child, data, address, key, stderr }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap()
    }

    pub fn get(&self, target: &str) -> Answer {
        self.ask("GET", target, &[("X-API-Key", &self.key)], "")
    }

    pub fn post(&self, target: &str, body: &str) -> Answer {
        let headers = [("X-API-Key", self.key.as_str()), ("Content-Type", "application/json")];
        self.ask("POST", target, &headers, body)
    }

    pub fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        ask(self.address, method, target, headers, body)
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let done = Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap();
        assert!(done.success());
    }

    /// SIGTERM, then the exit status.
    pub fn stop(mut self) -> ExitStatus {
        self.signal("TERM");
        self.child.wait().unwrap()
    }

    /// SIGKILL: what a power cut looks like to the process.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Calls `probe` until it answers; the only place where tests wait for another process.
pub fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "gave up waiting for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A whole HTTP answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

pub fn ask(to: SocketAddr, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    read_answer(&mut BufReader::new(stream), method)
}

pub fn read_answer(from: &mut impl BufRead, method: &str) -> Answer {
    let mut line = String::new();
    from.read_line(&mut line).unwrap();
    let status =
        line.split(' ').nth(1).unwrap_or_else(|| panic!("no status line: {line:?}")).parse().unwrap();
    let mut headers = Vec::new();
    loop {
        line.clear();
        from.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((name.to_owned(), value.to_owned()));
    }
    let mut answer = Answer { status, headers, body: Vec::new() };
    let length = answer.header("Content-Length").map(|v| v.parse::<u64>().unwrap());
    let bodyless = method == "HEAD" || matches!(status, 204 | 304);
    match length {
        _ if bodyless => {}
        Some(length) => drop(from.take(length).read_to_end(&mut answer.body).unwrap()),
        None => drop(from.read_to_end(&mut answer.body).unwrap()),
    }
    answer
}
