//! The API on a Unix socket and on sockets of a service manager, and `push`, which uses them.

use std::io::{BufReader, Read, Write};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::support::process::{Daemon, Scratch, ask, binary, read_answer, wait_for};
use crate::support::receiver::{Receiver, ok, status};

const FAST: &str = "[sim]\ntick_ms = 100\ngrid = 8\nseed = 1\n[outbox]\nwindow_steps = 1000\ngroup_ms = 20\n\
    [api.rate]\nper_second = 100000\nburst = 100000\n";

fn config(socket: &std::path::Path, trusted: bool) -> String {
    format!("{FAST}[api]\nunix_socket = {socket:?}\nunix_trusted = {trusted}\n")
}

fn get(socket: &std::path::Path, target: &str, key: &str) -> u16 {
    let mut stream = UnixStream::connect(socket).unwrap();
    write!(stream, "GET {target} HTTP/1.1\r\nHost: t\r\n{key}Connection: close\r\n\r\n").unwrap();
    read_answer(&mut BufReader::new(stream), "GET").status
}

fn push(args: &[&str], input: &str) -> Output {
    let mut command = binary();
    command.arg("push").args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // The command may end before it has read everything.
    stdin.write_all(input.as_bytes()).ok();
    drop(stdin);
    child.wait_with_output().unwrap()
}

fn metric(daemon: &Daemon, name: &str) -> u64 {
    let text = daemon.get("/metrics").text().to_owned();
    let line = text.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned));
    line.unwrap_or_else(|| panic!("no {name}")).trim().parse().unwrap()
}

#[test]
fn the_unix_socket_asks_for_keys_unless_it_is_trusted() {
    let scratch = Scratch::new("unix");
    let socket = scratch.0.join("api.sock");
    let daemon = Daemon::start(&scratch.0, &config(&socket, false));
    let key = format!("X-API-Key: {}\r\n", daemon.key);
    assert_eq!((get(&socket, "/v1/status", ""), get(&socket, "/v1/status", &key)), (401, 200));
    daemon.kill();
    assert!(socket.exists(), "a process that is killed leaves it behind");
    let daemon = Daemon::start(&scratch.0, &config(&socket, true));
    assert_eq!(get(&socket, "/v1/status", ""), 200);
    assert_eq!(ask(daemon.address, "GET", "/v1/status", &[], "").status, 401, "TCP still asks");
    assert!(daemon.stop().success());
    assert!(!socket.exists());
}

#[test]
fn push_returns_once_its_lines_are_durable_or_names_the_last_that_is() {
    let scratch = Scratch::new("push");
    let socket = scratch.0.join("api.sock");
    let daemon = Daemon::start(&scratch.0, &config(&socket, true));
    let path = socket.to_str().unwrap();
    let lines = (0..1_000).fold(String::new(), |lines, n| lines + &format!("{{\"n\":{n}}}\n"));
    let output = push(&["--type", "com.example.n", "--socket", path], &lines);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(text, "1000 events are durable, up to line 1000\n");
    assert_eq!(metric(&daemon, "mfn_events_accepted_total"), 1_000);
    let cloud = "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\",\"type\":\"t\"}\n\n7\n";
    let mixed = push(&["--type", "com.example.n", "--socket", path], cloud);
    assert_eq!(String::from_utf8_lossy(&mixed.stdout), "2 events are durable, up to line 3\n");
    let rows: [(&[&str], &str, i32, &str); 4] = [
        (
            &["--type", "a"],
            "1\n2\n{\"n\":\n4\n",
            65,
            "line 3: `n` ends too early (at byte 5); line 2 is the last durable one",
        ),
        (&[], "1\n", 65, "line 1 has no `specversion`: name its type with --type; no line is durable"),
        (&["--type", "io.mycelium.x"], "1\n", 65, "no line is durable"),
        (&["--type", "a", "/does/not/exist"], "", 74, "cannot open /does/not/exist"),
    ];
    for (args, input, code, text) in rows {
        let output = push(&[args, &["--socket", path]].concat(), input);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{error}");
        assert!(error.contains(text), "{text}: {error}");
    }
    let key_file = daemon.data.join("api.key");
    let url = format!("http://{}", daemon.address);
    let args = ["--type", "a", "--url", &url, "--key-file", key_file.to_str().unwrap()];
    assert!(push(&args, "1\n").status.success());
    assert_eq!(push(&args[..4], "1\n").status.code(), Some(78), "without a key");
}

#[test]
fn health_asks_over_the_unix_socket_too() {
    let scratch = Scratch::new("health-socket");
    let socket = scratch.0.join("api.sock");
    let health = |args: &[&str]| binary().arg("health").args(args).output().unwrap();
    let url = format!("unix:{}", socket.display());
    let absent = health(&[&url]);
    assert_eq!(absent.status.code(), Some(1), "{absent:?}");
    assert!(String::from_utf8_lossy(&absent.stderr).contains("cannot ask "), "{absent:?}");
    let daemon = Daemon::start(&scratch.0, &config(&socket, false));
    let answer =
        health(&[&url, "-v", "--deliveries", "--key-file", daemon.data.join("api.key").to_str().unwrap()]);
    assert!(answer.status.success(), "{answer:?}");
    let text = String::from_utf8_lossy(&answer.stdout);
    assert!(text.contains("\"status\": \"ok\"") && text.contains("\"uptime_seconds\""), "{text}");
    let key_file = daemon.data.join("api.key");
    let args = ["--type", "a", "--url", &url, "--key-file", key_file.to_str().unwrap()];
    assert!(push(&args, "1\n").status.success());
}

/// A batch that was answered with 503, or not at all, is sent again with the same ids.
#[test]
fn push_repeats_what_got_no_response() {
    let answer = |_: &_, index: usize| match index {
        0 => status(503),
        1 => crate::support::receiver::Answer::Status(202, vec![]),
        _ => ok(),
    };
    let receiver = Receiver::start(answer);
    let url = format!("http://{}", receiver.address);
    let mut command = binary();
    command.args(["push", "--type", "a", "--url", &url]).stdin(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"1\n").unwrap();
    receiver.wait_until("three attempts", |requests| requests.len() >= 3);
    child.kill().ok();
    child.wait().unwrap();
    let requests = receiver.stop();
    assert!(requests[0].body.contains("\"id\":\"push-"), "{}", requests[0].body);
    assert!(requests.iter().all(|request| request.body == requests[0].body));
}

#[test]
fn a_socket_of_the_service_manager_replaces_the_configured_address() {
    let scratch = Scratch::new("listen-fds");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let script = "exec 3<&0 0</dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\"";
    let data = scratch.0.join("data");
    let mut child = Command::new("sh")
        .args([
            "-c",
            script,
            "sh",
            env!("CARGO_BIN_EXE_myceliumd"),
            "run",
            "--listen",
            "127.0.0.1:1",
            "--data-dir",
        ])
        .arg(&data)
        .stdin(Stdio::from(OwnedFd::from(listener)))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let written = wait_for("the address", || {
        if child.try_wait().unwrap().is_some() {
            let mut text = String::new();
            child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
            panic!("{text}");
        }
        std::fs::read_to_string(data.join("address")).ok().filter(|text| text.ends_with('\n'))
    });
    assert_eq!(written.trim(), address.to_string());
    assert_eq!(ask(address, "GET", "/healthz", &[], "").status, 200);
    std::thread::sleep(Duration::from_millis(10));
    child.kill().unwrap();
    child.wait().unwrap();
}
