//! No key and no secret is in any output of the daemon; keys can be rotated under load.

use std::fs;
use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use crate::support::process::{Daemon, PATIENCE, Scratch, ask, binary, read_answer, wait_for};

const FAST: &str = "[sim]\ntick_ms = 2\ngrid = 16\nseed = 1\n[features]\nevery = 5\n[outbox]\nwindow_steps = 20\ngroup_ms = 5\n\
    [api.rate]\nper_second = 1000000\nburst = 1000000\nunauthenticated_per_second = 1000000\nunauthenticated_burst = 1000000\n";

const KEY: &str = "myc_the-real-key-of-an-operator-000000000000000";
const WRONG: &str = "myc_a-key-somebody-tries-out-0000000000000000000";
const SIGNING: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const IN_FILE: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd";
const PREVIOUS: &str = "whsec_c2VjcmV0LW9mLXllc3RlcmRheS1pcy1zdGlsbC1oZXJl";
/// Texts that no output may contain: without their prefixes, so that a shortened form is found too.
const SECRETS: [&str; 12] = [
    "the-real-key-of-an-operator",
    "a-key-somebody-tries-out",
    "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd",
    "c2VjcmV0LW9mLXllc3RlcmRheS1pcy1zdGlsbC1oZXJl",
    "token-of-the-receiver",
    "path-that-is-a-token",
    "token-of-the-sensor",
    "query-that-is-a-token",
    "hunter2",
    "half-a-secret",
    "PRIVATE KEY-----",
];

fn configuration(directory: &Path, receiver: &str, sensor: &str) -> String {
    let file = |name: &str, text: &str| {
        let path = directory.join(name);
        fs::write(&path, text).unwrap();
        format!("{path:?}")
    };
    let (key, secret, previous) =
        (file("poller.key", KEY), file("hook.secret", IN_FILE), file("old.secret", PREVIOUS));
    format!(
        "{FAST}[log]\nlevel = \"debug\"\n[breaker]\nopen_ms = 10\nopen_max_ms = 10\n\
        [[api.keys]]\nname = \"operator\"\nscope = \"admin\"\nkey_file = {key}\n\
        [[webhooks]]\nname = \"one\"\nurl = \"http://{receiver}/path-that-is-a-token?x=query-that-is-a-token\"\nsecret = \"{SIGNING}\"\n\
        retry_base_ms = 1\nretry_max_ms = 5\nspread_ms = 0\nlinger_ms = 1\nheaders = {{ Authorization = \"Bearer token-of-the-receiver\" }}\n\
        [[webhooks]]\nname = \"two\"\nurl = \"https://{receiver}/path-that-is-a-token\"\nsecret_file = {secret}\nprevious_secret_file = {previous}\n\
        retry_base_ms = 1\nretry_max_ms = 5\nspread_ms = 0\nlinger_ms = 1\n\
        [[connectors]]\nname = \"sensor\"\nkind = \"http\"\nurl = \"http://{sensor}/now?q=query-that-is-a-token\"\ninterval_ms = 10\n\
        headers = {{ X-Token = \"token-of-the-sensor\" }}\n\
        [[inputs]]\nname = \"x\"\nconnector = \"sensor\"\npointer = \"/x\"\n"
    )
}

/// Fails with the secret and the place where it was found.
fn clean(place: &str, text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "{secret} is in {place}: {text}");
    }
}

/// Responds to each request with 400 and the bytes of the request.
fn echo() -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            use std::io::Read;
            let mut stream = stream.unwrap();
            let mut heard = [0; 4096];
            let n = stream.read(&mut heard).unwrap_or(0);
            let head = format!("HTTP/1.1 400 Bad\r\nContent-Length: {n}\r\nConnection: close\r\n\r\n");
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&heard[..n]));
        }
    });
    address
}

/// Mutant seen red: the whole URL where only its origin may be shown.
#[test]
fn no_key_or_secret_is_in_any_log_metric_answer_page_or_listing() {
    for format in ["text", "json"] {
        let scratch = Scratch::new("secrets");
        let receiver = echo();
        let config = configuration(&scratch.0, &receiver.to_string(), &receiver.to_string())
            .replace("[log]\n", &format!("[log]\nformat = \"{format}\"\n"));
        let daemon = Daemon::start(&scratch.0, &config);
        let routes = [
            ("GET", "/"),
            ("GET", "/healthz"),
            ("GET", "/metrics"),
            ("GET", "/openapi.json"),
            ("GET", "/v1/status"),
            ("GET", "/v1/features"),
            ("GET", "/v1/outbox"),
            ("GET", "/v1/outbox/dead"),
            ("GET", "/v1/health/connectors"),
            ("GET", "/nowhere"),
            ("POST", "/v1/stimuli"),
            ("DELETE", "/v1/status"),
        ];
        let round = || {
            for (method, target) in routes {
                for (name, value) in [
                    ("X-API-Key", KEY.to_owned()),
                    ("Authorization", format!("Bearer {KEY}")),
                    ("Authorization", format!("Basic {KEY}")),
                    ("X-API-Key", WRONG.to_owned()),
                ] {
                    let answer = daemon.ask(method, target, &[(name, &value)], "{\"password\":\"hunter2\"}");
                    let text = String::from_utf8_lossy(&answer.body);
                    clean(target, &format!("{:?} {text}", answer.headers));
                }
            }
        };
        round();
        // The webhooks fail (400 is refused, TLS gets no handshake), the sensor too: all of it is in the log by now.
        wait_for("failures of every kind", || {
            let log = daemon.log();
            let all = ["webhook one", "webhook two: cannot deliver", "connector sensor: cannot read"];
            all.iter().all(|part| log.contains(part)).then_some(())
        });
        round();
        // The error messages of an invalid reload have no values of secrets.
        let file = scratch.0.join("edge.toml");
        let bad = config
            .replace(SIGNING, "whsec_half-a-secret")
            .replace("Bearer token-of-the-receiver", "Bearer token-of-the-receiver\\u0007");
        fs::write(&file, bad).unwrap();
        daemon.signal("HUP");
        wait_for("the refusal", || daemon.log().contains("keeping the old configuration").then_some(()));
        fs::write(&file, config).unwrap();
        daemon.signal("HUP");
        wait_for("the reload", || daemon.log().contains("configuration reloaded").then_some(()));
        let log = daemon.log();
        clean("the log", &log);
        assert!(log.len() > 5_000, "level debug says a lot: {log}");
        for part in ["breakers", "connectors", "outbox"] {
            for entry in fs::read_dir(daemon.data.join(part)).into_iter().flatten() {
                let path = entry.unwrap().path();
                let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
                clean(&path.display().to_string(), &text);
            }
        }
        assert_eq!(daemon.stop().code(), Some(0));
    }
}

/// Mutant seen red: values of secret keys repeated in refusals.
#[test]
fn check_prints_no_secret_in_settings_or_errors() {
    let scratch = Scratch::new("secrets-check");
    let good = configuration(&scratch.0, "127.0.0.1:1", "127.0.0.1:1");
    let pem = scratch.0.join("odd.pem");
    fs::write(&pem, "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n").unwrap();
    let check = |text: &str| {
        let file = scratch.0.join("edge.toml");
        fs::write(&file, text).unwrap();
        let output = binary().args(["check", "--config"]).arg(&file).output().unwrap();
        let output_text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(output_text).unwrap())
    };
    let rows = [
        (SIGNING.to_owned(), "whsec_half-a-secret".to_owned(), 78, "a secret that is too short"),
        (SIGNING.to_owned(), "hunter2".to_owned(), 78, "a secret without its prefix"),
        (
            "Bearer token-of-the-receiver".to_owned(),
            "hunter2\\u0000".to_owned(),
            78,
            "a header no one can send",
        ),
        ("Authorization =".to_owned(), "\"hunter 2\" =".to_owned(), 78, "an invalid name before a token"),
        (
            "http://127.0.0.1:1/path".to_owned(),
            "ftp://u:hunter2@h/path".to_owned(),
            78,
            "a url with a password",
        ),
        (
            "headers = { Authorization = \"Bearer token-of-the-receiver\" }".to_owned(),
            "headers = \"hunter2\"".to_owned(),
            78,
            "headers of the wrong type",
        ),
        ("secret = \"".to_owned(), "secret = 7 #\"".to_owned(), 78, "a secret of the wrong type"),
        ("poller.key".to_owned(), "odd.pem".to_owned(), 78, "a file that is no key"),
        ("hook.secret".to_owned(), "poller.key".to_owned(), 78, "a key where a secret belongs"),
        (
            "[log]".to_owned(),
            format!("[api.tls]\ncert_file = {pem:?}\nkey_file = {pem:?}\n[log]"),
            78,
            "a file that is no certificate",
        ),
        (String::new(), String::new(), 0, "nothing wrong"),
    ];
    for (from, to, code, why) in rows {
        assert!(good.contains(&from), "{why}");
        let (got, output_text) = check(&good.replacen(&from, &to, 1));
        assert_eq!(got, Some(code), "{why}: {output_text}");
        clean(why, &output_text);
    }
}

/// Regression: a pipe that was named as a file of a key, a secret or authorities made `check` and `run` wait for ever.
#[test]
fn a_pipe_that_is_named_as_a_file_is_an_error_instead_of_a_wait() {
    let scratch = Scratch::new("pipes");
    let pipe = scratch.0.join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let hook = "[[webhooks]]\nname = \"w\"\nurl = \"https://127.0.0.1:1/\"\n";
    let sensor = "[[inputs]]\nname = \"x\"\nconnector = \"c\"\npointer = \"/x\"\n\
        [[connectors]]\nname = \"c\"\nkind = \"http\"\nurl = \"https://127.0.0.1:1/\"\n";
    let rows = [
        ("[[api.keys]]\nname = \"k\"\n".to_owned(), "key_file"),
        (hook.to_owned(), "secret_file"),
        (hook.to_owned(), "ca_file"),
        (sensor.to_owned(), "ca_file"),
    ];
    for (table, key) in rows {
        let config = scratch.0.join("edge.toml");
        fs::write(&config, format!("{table}{key} = {pipe:?}\n")).unwrap();
        let output = binary().args(["check", "--config"]).arg(&config).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{key}: {text}");
        assert!(text.contains("pipe") && text.contains("it is not a regular file"), "{key}: {text}");
    }
    let output = binary().args(["health", "-v", "--key-file"]).arg(&pipe).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "no daemon listens there: {output:?}");
}

/// Polls on one connection until it is stopped; counts accepted and rejected requests, and notices an accepted one after
/// a rejected one.
struct Poller {
    good: AtomicU64,
    refused: AtomicU64,
    came_back: AtomicBool,
    stop: AtomicBool,
}

fn poll(daemon: &Daemon, key: &str) -> (Arc<Poller>, std::thread::JoinHandle<()>) {
    let poller = Arc::new(Poller {
        good: AtomicU64::new(0),
        refused: AtomicU64::new(0),
        came_back: AtomicBool::new(false),
        stop: AtomicBool::new(false),
    });
    let (seen, address) = (Arc::clone(&poller), daemon.address);
    let request = format!("GET /v1/status HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\n\r\n");
    let thread = std::thread::spawn(move || {
        let connect = || {
            let stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            (BufReader::new(stream.try_clone().unwrap()), stream)
        };
        let (mut reader, mut stream) = connect();
        while !seen.stop.load(SeqCst) {
            stream.write_all(request.as_bytes()).unwrap();
            let answer = read_answer(&mut reader, "GET");
            if answer.header("Connection") == Some("close") {
                // After a few wrong keys.
                (reader, stream) = connect();
            }
            match answer.status {
                200 => {
                    seen.good.fetch_add(1, SeqCst);
                    seen.came_back.fetch_or(seen.refused.load(SeqCst) > 0, SeqCst);
                }
                401 => drop(seen.refused.fetch_add(1, SeqCst)),
                other => panic!("a poll was answered {other}"),
            }
        }
    });
    (poller, thread)
}

#[test]
fn keys_are_rotated_by_sighup_without_a_failure_of_clients_with_other_keys() {
    let scratch = Scratch::new("rotation");
    let key = |name: &str| format!("myc_{name:-<40}");
    let write = |names: &[&str]| {
        let keys: String = names
            .iter()
            .map(|name| {
                let digest = ring::digest::digest(&ring::digest::SHA256, key(name).as_bytes());
                let hex: String = digest.as_ref().iter().map(|b| format!("{b:02x}")).collect();
                format!("[[api.keys]]\nname = \"{name}\"\nsha256 = \"{hex}\"\n")
            })
            .collect();
        format!("{FAST}{keys}")
    };
    let daemon = Daemon::start(&scratch.0, &write(&["steady", "k0"]));
    let reload = |names: &[&str]| {
        fs::write(scratch.0.join("edge.toml"), write(names)).unwrap();
        daemon.signal("HUP");
    };
    let status =
        |name: &str| ask(daemon.address, "GET", "/v1/status", &[("X-API-Key", &key(name))], "").status;
    let steady: Vec<_> = (0..4).map(|_| poll(&daemon, &key("steady"))).collect();
    for k in 0..3 {
        let (old, new) = (format!("k{k}"), format!("k{}", k + 1));
        let (poller, thread) = poll(&daemon, &key(&old));
        wait_for("polls with the old key", || (poller.good.load(SeqCst) > 20).then_some(()));
        reload(&["steady", &old, &new]);
        wait_for("the new key", || (status(&new) == 200).then_some(()));
        assert_eq!(poller.refused.load(SeqCst), 0, "both keys live side by side");
        reload(&["steady", &new]);
        wait_for("the end of the old key", || (poller.refused.load(SeqCst) > 20).then_some(()));
        assert!(!poller.came_back.load(SeqCst), "once it is out, it stays out");
        assert_eq!((status(&old), status(&new)), (401, 200));
        poller.stop.store(true, SeqCst);
        thread.join().unwrap();
    }
    for (poller, thread) in steady {
        poller.stop.store(true, SeqCst);
        thread.join().unwrap();
        assert_eq!(poller.refused.load(SeqCst), 0, "a key that stays is never refused");
        assert!(poller.good.load(SeqCst) > 100);
    }
    assert_eq!(daemon.stop().code(), Some(0));
}
