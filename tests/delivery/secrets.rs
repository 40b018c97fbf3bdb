//! Secrets of an endpoint do not get into logs, views or errors, whatever goes wrong.

use std::sync::Mutex;

use log::{Level, LevelFilter, Log, Metadata, Record};
use mycelium_daemon::delivery::RawWebhook;

use crate::support::receiver::queue::Queue;
use crate::support::receiver::rig::{SECRET, raw, rig};
use crate::support::receiver::{Answer, Receiver, ok, status};

static LINES: Mutex<Vec<(Level, String, String)>> = Mutex::new(Vec::new());

struct Capture;

impl Log for Capture {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let line = (record.level(), record.target().to_owned(), record.args().to_string());
        LINES.lock().unwrap().push(line);
    }

    fn flush(&self) {}
}

/// Seen red with the URL in place of its origin in the warning about a failed attempt.
#[test]
fn no_log_line_view_or_error_repeats_a_secret() {
    log::set_logger(&Capture).unwrap();
    log::set_max_level(LevelFilter::Trace);
    let token = "tok-93ab17";
    let script = |_: &crate::support::receiver::Request, index: usize| match index {
        0 => status(401),
        1 => status(500),
        2 => Answer::Garbage,
        3 => Answer::Drop,
        4 => Answer::Status(302, vec![("Location", "/elsewhere".into())]),
        _ => ok(),
    };
    let server = Receiver::start(script);
    let queue = Queue::with(1..=3);
    let settings = RawWebhook {
        url: format!("{}/{token}?key={token}", server.url()),
        secret: Some(SECRET.into()),
        headers: vec![("Authorization".into(), format!("Bearer {token}")), ("X-Token".into(), token.into())],
        ..raw(String::new())
    };
    let rig = rig(&settings, &queue);
    server.wait_until("a failure", |log| log.len() > 2);
    let view = format!("{:?} {:?}", rig.view(), rig.control);
    queue.wait_drained();
    rig.stop();
    assert!(server.stop().iter().all(|r| r.target.contains(token) && r.header("x-token") == token));
    let lines = LINES.lock().unwrap();
    assert!(
        lines.iter().any(|(_, _, text)| text.contains("cannot deliver to http://localhost")),
        "{lines:?}"
    );
    // The logger of the daemon keeps lines of libraries at warn: HTTP clients log whole URLs at debug.
    let shown = |level: Level, target: &str| target.starts_with("mycelium") || level <= Level::Warn;
    for (level, target, text) in lines.iter().filter(|(level, target, _)| shown(*level, target)) {
        for secret in [token, &SECRET[6..]] {
            assert!(!text.contains(secret), "{level} {target}: {text}");
        }
    }
    assert!(!view.contains(token) && !view.contains(&SECRET[6..]), "{view}");
}
