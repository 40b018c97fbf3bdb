//! TLS with the real binary: handshakes, responses of any size, streams, a new certificate, malformed clients.
use std::fs;
use std::io::{BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use crate::support::process::{Answer, Daemon, PATIENCE, Scratch, binary, read_answer, wait_for};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion, version};

const FAST: &str = "[sim]\ntick_ms = 1\ngrid = 192\nseed = 1\n[features]\nevery = 5\n[memory]\nmax_bytes = 67108864\n\
    [api.rate]\nper_second = 100000\nburst = 100000\n";

/// A self-signed certificate for `localhost`, in files.
struct Identity {
    cert_file: PathBuf,
    key_file: PathBuf,
    der: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Identity {
    fn new(directory: &Path, name: &str) -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let file = |ending: &str| directory.join(format!("{name}.{ending}"));
        let (cert_file, key_file) = (file("crt"), file("key"));
        fs::write(&cert_file, made.cert.pem()).unwrap();
        fs::write(&key_file, made.signing_key.serialize_pem()).unwrap();
        Self { cert_file, key_file, der: made.cert.der().clone(), key: made.signing_key.serialize_der() }
    }

    fn config(&self) -> String {
        format!("{FAST}[api.tls]\ncert_file = {:?}\nkey_file = {:?}\n", self.cert_file, self.key_file)
    }
}

fn session(
    trusted: &Identity,
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&str],
) -> ClientConnection {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.der.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap()
}

/// A client that shows this certificate; the status of /healthz, or `None` if the handshake fails.
fn status_with(daemon: &Daemon, trusted: &Identity, own: Option<&Identity>) -> Option<u16> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.der.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match own {
        Some(own) => {
            let key = PrivateKeyDer::try_from(own.key.clone()).unwrap();
            config.with_client_auth_cert(vec![own.der.clone()], key).unwrap()
        }
        None => config.with_no_client_auth(),
    };
    let conn = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
    let socket = TcpStream::connect(daemon.address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut stream = StreamOwned::new(conn, socket);
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
    let mut text = Vec::new();
    // A failed handshake ends in an alert.
    stream.read_to_end(&mut text).ok()?;
    std::str::from_utf8(text.get(9..12)?).ok()?.parse().ok()
}

/// Mutant seen red: the file of authorities is not used.
#[test]
fn clients_need_a_certificate_of_the_configured_authority_if_there_is_one() {
    let scratch = Scratch::new("tls-clients");
    let [server, known, unknown] = ["server", "known", "unknown"].map(|name| Identity::new(&scratch.0, name));
    let socket = scratch.0.join("api.sock");
    let config = format!(
        "{}client_ca_file = {:?}\n[api]\nunix_socket = {socket:?}\n",
        server.config(),
        known.cert_file
    );
    let daemon = Daemon::start(&scratch.0, &config);
    assert_eq!(status_with(&daemon, &server, Some(&known)), Some(200));
    assert_eq!(status_with(&daemon, &server, Some(&unknown)), None);
    assert_eq!(status_with(&daemon, &server, None), None);
    // `health` has no certificate; the Unix socket asks for none.
    let health = |args: &[&str]| binary().arg("health").args(args).output().unwrap().status.code();
    assert_eq!(health(&[&format!("https://{}", daemon.address)]), Some(1));
    assert_eq!(health(&[&format!("unix:{}", socket.display())]), Some(0));
}

fn client(
    daemon: &Daemon,
    trusted: &Identity,
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&str],
) -> std::io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let mut conn = session(trusted, versions, alpn);
    let mut socket = TcpStream::connect(daemon.address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    while conn.is_handshaking() {
        conn.complete_io(&mut socket)?;
    }
    Ok(StreamOwned::new(conn, socket))
}

fn plain_client(daemon: &Daemon, trusted: &Identity) -> StreamOwned<ClientConnection, TcpStream> {
    client(daemon, trusted, rustls::ALL_VERSIONS, &["http/1.1"]).unwrap()
}

fn ask(stream: &mut (impl Read + Write), key: &str, method: &str, target: &str, body: &str) -> Answer {
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {key}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    let head = if method == "GET" { head.replace("Content-Length: 0\r\n", "") } else { head };
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    read_answer(&mut BufReader::with_capacity(1, stream), method)
}

#[test]
fn polls_bodies_and_large_responses_share_one_connection_in_both_tls_versions() {
    let scratch = Scratch::new("tls");
    let identity = Identity::new(&scratch.0, "one");
    let daemon = Daemon::start(&scratch.0, &identity.config());
    wait_for("the address in the log", || {
        daemon.log().contains("listening on https://127.0.0.1:").then_some(())
    });
    let health = |scheme: &str| {
        let url = format!("{scheme}://{}/healthz", daemon.address);
        binary().args(["health", "--verbose", &url]).output().unwrap()
    };
    let healthy = health("https");
    let stdout = String::from_utf8_lossy(&healthy.stdout);
    assert_eq!(healthy.status.code(), Some(0), "{healthy:?}");
    assert!(stdout.starts_with("{\n  \"status\": \"ok\"\n}\n"), "{stdout}");
    assert_eq!(health("http").status.code(), Some(1), "no response without TLS");
    wait_for("a frame", || {
        let mut stream = plain_client(&daemon, &identity);
        (ask(&mut stream, &daemon.key, "GET", "/v1/field", "").status == 200).then_some(())
    });
    for versions in [&[&version::TLS12][..], &[&version::TLS13], rustls::ALL_VERSIONS] {
        for alpn in [&[][..], &["http/1.1"], &["h2", "http/1.1"]] {
            let mut stream = client(&daemon, &identity, versions, alpn).unwrap();
            let chosen = stream.conn.alpn_protocol().map(<[u8]>::to_vec);
            assert_eq!(chosen, (!alpn.is_empty()).then(|| b"http/1.1".to_vec()));
            assert_eq!(ask(&mut stream, "", "GET", "/healthz", "").status, 200);
            let nernst = r#"{"z_valence":1,"concentration_out_molar":0.005,"concentration_in_molar":0.14}"#;
            let answer = ask(&mut stream, &daemon.key, "POST", "/v1/nernst", nernst);
            assert!(answer.text().contains("potential_mV"), "{}", answer.text());
            let field = ask(&mut stream, &daemon.key, "GET", "/v1/field?format=json", "");
            assert!(
                field.body.len() > 192 * 192 * 5 && field.text().ends_with("]]}"),
                "{}",
                field.body.len()
            );
            assert_eq!(ask(&mut stream, "myc_wrong", "GET", "/v1/status", "").status, 401);
        }
    }
    let refused = client(&daemon, &identity, rustls::ALL_VERSIONS, &["h2"]).unwrap_err();
    assert!(refused.to_string().contains("NoApplicationProtocol"), "{refused}");
    assert_eq!(daemon.stop().code(), Some(0));
}

/// Mutant seen red: a write that counts as done when it is encrypted but not yet sent.
#[test]
fn a_slow_reader_gets_every_byte_of_many_responses() {
    let scratch = Scratch::new("tls-slow");
    let identity = Identity::new(&scratch.0, "one");
    let daemon = Daemon::start(&scratch.0, &identity.config());
    let mut stream = plain_client(&daemon, &identity);
    let step = wait_for("a frame", || {
        let answer = ask(&mut stream, &daemon.key, "GET", "/v1/field?format=json", "");
        answer.header("X-Step").map(str::to_owned)
    });
    let target = format!("/v1/field?format=json&step={step}");
    let whole = ask(&mut stream, &daemon.key, "GET", &target, "");
    assert_eq!(whole.status, 200, "the frame is still in the ring");
    // Far more than any socket buffer holds, requested at once and not read for a while.
    let request =
        format!("GET /v1/field?format=json HTTP/1.1\r\nHost: x\r\nX-API-Key: {}\r\n\r\n", daemon.key);
    for _ in 0..40 {
        stream.write_all(request.as_bytes()).unwrap();
    }
    let bytes = || -> u64 {
        let io = fs::read_to_string(format!("/proc/{}/io", daemon.child.id())).unwrap();
        io.lines().find_map(|l| l.strip_prefix("wchar: ")).unwrap().parse().unwrap()
    };
    let mut last = bytes();
    wait_for("the daemon to block on its writes", || {
        std::thread::sleep(Duration::from_millis(100));
        let now = bytes();
        (now - std::mem::replace(&mut last, now) < 100_000).then_some(())
    });
    let mut reader = BufReader::with_capacity(1000, &mut stream);
    for k in 0..40 {
        let answer = read_answer(&mut reader, "GET");
        assert_eq!(answer.status, 200);
        assert!(answer.text().ends_with("]]}"), "answer {k} of {} bytes", answer.body.len());
    }
}

#[test]
fn streams_and_websockets_work_over_tls() {
    let scratch = Scratch::new("tls-streams");
    let identity = Identity::new(&scratch.0, "one");
    let daemon = Daemon::start(&scratch.0, &identity.config());
    let mut stream = plain_client(&daemon, &identity);
    let head = format!("GET /v1/stream HTTP/1.1\r\nHost: x\r\nX-API-Key: {}\r\n\r\n", daemon.key);
    stream.write_all(head.as_bytes()).unwrap();
    let mut text = String::new();
    let mut piece = [0; 4096];
    while text.matches("event: features\n").count() < 20 {
        let n = stream.read(&mut piece).unwrap();
        assert!(n > 0, "the stream ended: {text}");
        text.push_str(std::str::from_utf8(&piece[..n]).unwrap());
    }
    drop(stream);
    let mut stream = plain_client(&daemon, &identity);
    let head = format!(
        "GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-API-Key: {}\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        daemon.key
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0; 1];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    let mut web = tungstenite::WebSocket::from_raw_socket(stream, tungstenite::protocol::Role::Client, None);
    web.send(tungstenite::Message::Ping(vec![7].into())).unwrap();
    let (mut records, mut pong) = (0, false);
    while records < 20 || !pong {
        match web.read().unwrap() {
            tungstenite::Message::Text(text) => records += usize::from(text.contains("\"features\"")),
            tungstenite::Message::Pong(_) => pong = true,
            _ => {}
        }
    }
    assert_eq!(daemon.stop().code(), Some(0), "open streams do not delay a stop");
}

#[test]
fn a_reload_uses_the_new_certificate_and_keeps_the_old_one_if_that_is_invalid() {
    let scratch = Scratch::new("tls-reload");
    let (first, second) = (Identity::new(&scratch.0, "first"), Identity::new(&scratch.0, "second"));
    let live = Identity::new(&scratch.0, "live");
    let install = |from: &Identity| {
        fs::copy(&from.cert_file, &live.cert_file).unwrap();
        fs::copy(&from.key_file, &live.key_file).unwrap();
    };
    install(&first);
    let daemon = Daemon::start(&scratch.0, &live.config());
    let mut old = plain_client(&daemon, &first);
    assert_eq!(ask(&mut old, "", "GET", "/healthz", "").status, 200);
    let trusts = |identity: &Identity| client(&daemon, identity, rustls::ALL_VERSIONS, &[]).is_ok();
    assert!(trusts(&first) && !trusts(&second));

    install(&second);
    daemon.signal("HUP");
    wait_for("the new certificate", || trusts(&second).then_some(()));
    assert!(!trusts(&first), "the old one is no longer used");
    assert_eq!(ask(&mut old, "", "GET", "/healthz", "").status, 200, "connections stay open");

    let message = "keeping the old certificate: api.tls: cannot use";
    for (file, text, times) in [(&live.key_file, "no key", 1), (&live.cert_file, "no certificate", 2)] {
        fs::write(file, text).unwrap();
        daemon.signal("HUP");
        wait_for("the error in the log", || (daemon.log().matches(message).count() == times).then_some(()));
        assert!(trusts(&second));
    }
    install(&first);
    fs::copy(&second.key_file, &live.key_file).unwrap();
    daemon.signal("HUP");
    wait_for("a pair that does not match", || (daemon.log().matches(message).count() == 3).then_some(()));
    assert!(trusts(&second) && !daemon.log().contains("PRIVATE"), "{}", daemon.log());
    assert_eq!(daemon.stop().code(), Some(0));
}

#[test]
fn clients_without_a_handshake_get_no_response_and_do_not_keep_others_out() {
    let scratch = Scratch::new("tls-bad");
    let identity = Identity::new(&scratch.0, "one");
    let config = format!("{}[api]\nmax_connections = 8\nmax_per_ip = 8\n", identity.config());
    let daemon = Daemon::start(&scratch.0, &config);
    let mut plain = TcpStream::connect(daemon.address).unwrap();
    plain.set_read_timeout(Some(PATIENCE)).unwrap();
    plain.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut heard = Vec::new();
    let ended = plain.read_to_end(&mut heard);
    assert!(ended.is_ok() || ended.unwrap_err().kind() == ErrorKind::ConnectionReset);
    assert!(!heard.starts_with(b"HTTP"), "no response without TLS: {heard:?}");
    // Half a ClientHello on every slot: these are evicted for new clients.
    let idle: Vec<TcpStream> = (0..8)
        .map(|_| {
            let mut socket = TcpStream::connect(daemon.address).unwrap();
            socket.write_all(&[22, 3, 1, 2, 0, 1]).unwrap();
            socket
        })
        .collect();
    for _ in 0..20 {
        let mut stream = plain_client(&daemon, &identity);
        assert_eq!(ask(&mut stream, "", "GET", "/healthz", "").status, 200);
    }
    drop(idle);
    // If no slot is needed, the deadline of the head ends them.
    let mut lazy = TcpStream::connect(daemon.address).unwrap();
    lazy.set_read_timeout(Some(PATIENCE)).unwrap();
    lazy.write_all(&[22, 3, 1]).unwrap();
    lazy.read_to_end(&mut heard).unwrap();
    let mut stream = plain_client(&daemon, &identity);
    let metrics = ask(&mut stream, "", "GET", "/metrics", "");
    for reason in ["head_deadline", "handshake"] {
        let line = metrics.text().lines().find(|l| l.contains(&format!("reason=\"{reason}\""))).unwrap();
        assert!(line.ends_with(" 1"), "{line}");
    }
    for seed in 0..200 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut socket = TcpStream::connect(daemon.address).unwrap();
        let mut bytes: Vec<u8> = (0..rng.usize(..600)).map(|_| rng.u8(..)).collect();
        if seed % 2 == 0 {
            bytes.splice(0..0, [22, 3, 3, 0, 200, 1, 0, 0]);
        }
        // Fails if the daemon has closed the connection first.
        drop(socket.write_all(&bytes));
    }
    let mut stream = plain_client(&daemon, &identity);
    assert_eq!(ask(&mut stream, "", "GET", "/healthz", "").status, 200);
    assert_eq!(daemon.stop().code(), Some(0));
}

/// Mutant seen red: such a client not spared.
#[test]
fn a_client_that_takes_part_in_its_handshake_is_not_evicted_for_silent_ones() {
    let scratch = Scratch::new("tls-half");
    let identity = Identity::new(&scratch.0, "one");
    let config = format!("{}[api]\nmax_connections = 4\nmax_per_ip = 4\n", identity.config());
    let daemon = Daemon::start(&scratch.0, &config);
    let mut socket = TcpStream::connect(daemon.address).unwrap();
    let silent: Vec<_> = (0..3).map(|_| TcpStream::connect(daemon.address).unwrap()).collect();
    let mut half = session(&identity, rustls::ALL_VERSIONS, &["http/1.1"]);
    half.write_tls(&mut socket).unwrap();
    half.read_tls(&mut socket).unwrap();
    half.process_new_packets().unwrap();
    // All slots are occupied, and many more clients connect.
    let crowd: Vec<_> = (0..20).map(|_| TcpStream::connect(daemon.address).unwrap()).collect();
    let mut late = plain_client(&daemon, &identity);
    assert_eq!(ask(&mut late, "", "GET", "/healthz", "").status, 200);
    let mut stream = StreamOwned::new(half, socket);
    assert_eq!(ask(&mut stream, "", "GET", "/healthz", "").status, 200);
    drop((silent, crowd));
}

#[test]
fn curl_accepts_the_certificate() {
    if Command::new("curl").arg("--version").output().is_err() {
        return;
    }
    let scratch = Scratch::new("tls-curl");
    let identity = Identity::new(&scratch.0, "one");
    let daemon = Daemon::start(&scratch.0, &identity.config());
    let port = daemon.address.port();
    let curl = |with_ca: bool| {
        let mut command = Command::new("curl");
        command.args(["-sS", "--max-time", "20", "--resolve", &format!("localhost:{port}:127.0.0.1")]);
        if with_ca {
            command.arg("--cacert").arg(&identity.cert_file);
        }
        command.arg(format!("https://localhost:{port}/healthz")).output().unwrap()
    };
    let answer = curl(true);
    assert_eq!(String::from_utf8_lossy(&answer.stdout), "{\"status\":\"ok\"}", "{answer:?}");
    assert_eq!(curl(false).status.code(), Some(60), "not without it");
}

/// Regression: the TLS library warned with the whole name, 300 kB a line, and the log grew by gigabytes a day.
#[test]
fn a_client_hello_with_a_server_name_of_60000_bytes_makes_no_long_line() {
    let scratch = Scratch::new("tls-long-name");
    let server = Identity::new(&scratch.0, "server");
    let log_level = "[log]\nlevel = \"debug\"\n";
    let daemon = Daemon::start(&scratch.0, &format!("{}{log_level}", server.config()));
    for record in [16_384, 1_000] {
        let mut socket = TcpStream::connect(daemon.address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        // The daemon may end the connection before it has read everything.
        socket.write_all(&client_hello(&vec![b'\xff'; 60_000], record)).ok();
        socket.read_to_end(&mut Vec::new()).ok();
    }
    assert_eq!(status_with(&daemon, &server, None), Some(200));
    let log = daemon.log();
    assert!(log.lines().all(|line| line.len() <= 1_024), "{} bytes of log", log.len());
}

/// A `ClientHello` of TLS 1.2 with this server name, in records of at most `record` bytes (RFC 8446, section 4.1.2; RFC
/// 6066, section 3).
fn client_hello(name: &[u8], record: usize) -> Vec<u8> {
    fn sized(bytes: usize, content: &[u8]) -> Vec<u8> {
        let length = content.len().to_be_bytes();
        [&length[length.len() - bytes..], content].concat()
    }
    let server_name = sized(2, &[&[0], &*sized(2, name)].concat());
    let extensions = [&[0, 0], &*sized(2, &server_name)].concat();
    let ciphers = sized(2, &[0xc0, 0x2b, 0xc0, 0x2f, 0x13, 0x01]);
    let hello = [&[3, 3], &*vec![7; 32], &[0], &ciphers, &[1, 0], &sized(2, &extensions)].concat();
    let handshake = [&[1], &*sized(3, &hello)].concat();
    handshake.chunks(record).flat_map(|part| [&[22, 3, 1], &*sized(2, part)].concat()).collect()
}

/// Each row: content of the certificate and key files, and the expected message.
#[test]
fn invalid_certificate_and_key_files_exit_with_78_and_are_named() {
    let scratch = Scratch::new("tls-files");
    let (one, two) = (Identity::new(&scratch.0, "one"), Identity::new(&scratch.0, "two"));
    let text = |path: &Path| fs::read_to_string(path).unwrap();
    let (cert, key) = (text(&one.cert_file), text(&one.key_file));
    let rows = [
        (String::new(), key.clone(), "holds no certificate"),
        (cert.clone(), cert.clone(), "holds no private key"),
        (key.clone(), key.clone(), "holds no certificate"),
        (cert.clone(), text(&two.key_file), "with the key in"),
        ("x".repeat(70_000), key.clone(), "longer than 65536 bytes"),
    ];
    let files = Identity::new(&scratch.0, "live");
    let config = scratch.0.join("tls.toml");
    fs::write(&config, files.config()).unwrap();
    let run = |command: &str| {
        let mut command_line = binary();
        command_line.args([command, "--config"]).arg(&config);
        if command == "run" {
            command_line.args(["--listen", "127.0.0.1:0", "--data-dir"]).arg(scratch.0.join("data"));
        }
        let output = command_line.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for (cert, key, what) in rows {
        fs::write(&files.cert_file, &cert).unwrap();
        fs::write(&files.key_file, &key).unwrap();
        for command in ["check", "run"] {
            let (code, message) = run(command);
            assert_eq!(code, Some(78), "{command}: {what}: {message}");
            assert!(
                message.contains("api.tls: cannot use ") && message.contains(what),
                "{command}: {message}"
            );
            assert!(!message.contains("PRIVATE") && message.len() < 1000, "{message}");
        }
    }
    fs::write(&files.cert_file, &cert).unwrap();
    fs::remove_file(&files.key_file).unwrap();
    // Opening a pipe without a writer would block for ever.
    assert!(Command::new("mkfifo").arg(&files.key_file).status().unwrap().success());
    for command in ["check", "run"] {
        let (code, message) = run(command);
        assert_eq!(code, Some(78), "{message}");
        assert!(message.contains("live.key: it is not a regular file"), "{message}");
    }
    fs::remove_file(&files.key_file).unwrap();
    assert!(run("run").1.contains("live.key: No such file"));
    fs::write(&config, format!("{FAST}[api.tls]\ncert_file = \"x\"\n")).unwrap();
    let (code, message) = run("check");
    assert_eq!(code, Some(78));
    assert!(message.contains("`api.tls.cert_file` is set and `api.tls.key_file` is not"), "{message}");
}
