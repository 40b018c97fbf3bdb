//! `myceliumd outbox` on the files of the real daemon, while it runs and after its end.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::support::process::{Daemon, Scratch, binary, wait_for};
use crate::support::receiver::{Receiver, by_body, ok, status};

/// Windows of five steps of a millisecond in segments as small as they get.
const FAST: &str = "[sim]\ntick_ms = 1\ngrid = 8\nseed = 1\n[outbox]\nwindow_steps = 5\ngroup_ms = 5\n\
    segment_bytes = 65536\n[api.rate]\nper_second = 100000\nburst = 100000\n";

fn webhook(url: &str) -> String {
    format!(
        "[[webhooks]]\nname = \"hub\"\nurl = \"{url}\"\nbatch_records = 16\nlinger_ms = 1\nretry_base_ms = 1\n\
         retry_max_ms = 20\nspread_ms = 0\n"
    )
}

/// Exit code, standard output, standard error.
fn outbox(data: &Path, action: &str) -> (Option<i32>, String, String) {
    let output = binary().arg("outbox").args(action.split(' ')).arg("--data-dir").arg(data).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn durable(daemon: &Daemon) -> u64 {
    let text = daemon.get("/v1/outbox").text().to_owned();
    let at = text.find("\"durable_seq\":").unwrap() + 14;
    text[at..at + text[at..].find(',').unwrap()].parse().unwrap()
}

fn segments(data: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(data.join("outbox")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == "seg")).collect();
    files.sort();
    files
}

fn flip(file: &Path, offset: u64) {
    let file = fs::OpenOptions::new().read(true).write(true).open(file).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], offset).unwrap();
}

#[test]
fn list_verify_and_dead_work_while_the_daemon_writes_and_delivers() {
    let scratch = Scratch::new("outbox-live");
    let hub = Receiver::start(|_, _| ok());
    let daemon = Daemon::start(&scratch.0, &format!("{FAST}{}", webhook(&hub.url())));
    wait_for("some segments", || (durable(&daemon) >= 200).then_some(()));
    for _ in 0..20 {
        let (code, stdout, error) = outbox(&daemon.data, "verify");
        assert_eq!((code, error.as_str()), (Some(0), ""), "{stdout}");
        assert!(stdout.ends_with("sound\n"), "{stdout}");
    }
    let (code, stdout, error) = outbox(&daemon.data, "list");
    assert_eq!((code, error.as_str()), (Some(0), ""), "{stdout}");
    assert!(stdout.contains("endpoint  hub: ") && stdout.contains(".seg: "), "{stdout}");
    assert_eq!(outbox(&daemon.data, "dead"), (Some(0), String::new(), String::new()));
    let before = durable(&daemon);
    wait_for("more records", || (durable(&daemon) > before).then_some(()));
    for action in ["replay --all", "drop --all", "drop 1"] {
        let (code, stdout, error) = outbox(&daemon.data, action);
        assert_eq!((code, stdout.as_str(), error.lines().count()), (Some(74), "", 1), "{error}");
        let lock = daemon.data.join("lock");
        assert!(error.contains(lock.to_str().unwrap()) && error.contains("stop it first"), "{error}");
    }
    assert_eq!(daemon.ask("GET", "/healthz", &[], "").status, 200);
}

#[test]
fn a_flipped_byte_is_found_with_file_and_place_while_the_daemon_runs_and_after_it_was_killed() {
    let scratch = Scratch::new("flip");
    let daemon = Daemon::start(&scratch.0, FAST);
    wait_for("three segments", || (segments(&daemon.data).len() >= 3).then_some(()));
    let first = segments(&daemon.data)[0].clone();
    let name = first.file_name().unwrap().to_str().unwrap().to_owned();
    // Bytes 136.. are the first record: 64 bytes of header, 960 of payload; the second follows it.
    flip(&first, 136 + 1024 + 64 + 100);
    let check = |data: &Path| {
        let (code, stdout, error) = outbox(data, "verify");
        assert_eq!(code, Some(65), "{stdout}{error}");
        let place = format!("damaged:  {name} at byte {}: 1 record is lost from position 2", 136 + 1024);
        assert!(stdout.contains(&place), "{stdout}");
        assert!(error.contains("1 damaged place in") && error.lines().count() == 1, "{error}");
        assert!(outbox(data, "list").1.contains(&place), "list tells it too");
    };
    check(&daemon.data);
    let data = daemon.data.clone();
    daemon.kill();
    check(&data);
    // A killed process leaves whole writes, so nothing else is wrong; undone, nothing is.
    flip(&first, 136 + 1024 + 64 + 100);
    let (code, stdout, _) = outbox(&data, "verify");
    assert_eq!(code, Some(0), "{stdout}");
}

#[test]
fn files_of_others_and_of_a_newer_version_are_named_and_left_alone() {
    let scratch = Scratch::new("others");
    let daemon = Daemon::start(&scratch.0, FAST);
    wait_for("a segment", || (!segments(&daemon.data).is_empty()).then_some(()));
    let data = daemon.data.clone();
    assert!(daemon.stop().success());
    fs::write(data.join("outbox/notes.txt"), "mine").unwrap();
    let (code, stdout, _) = outbox(&data, "verify");
    assert_eq!(code, Some(0), "{stdout}");
    assert!(stdout.contains("remark:   notes.txt: not a file of this outbox; left alone"), "{stdout}");
    // Version 2 with a right checksum of the first twelve bytes.
    let file = &segments(&data)[0];
    let mut bytes = fs::read(file).unwrap();
    bytes[8] = 2;
    let crc = crc32fast::hash(&bytes[..12]).to_le_bytes();
    bytes[12..16].copy_from_slice(&crc);
    fs::write(file, &bytes).unwrap();
    for action in ["verify", "list"] {
        let (code, stdout, error) = outbox(&data, action);
        assert_eq!((code, stdout.as_str()), (Some(65), ""), "{error}");
        assert!(error.contains("version 2") && error.contains("newer program"), "{error}");
    }
    assert_eq!(fs::read(file).unwrap(), bytes);
}

#[test]
fn a_rejected_event_is_listed_then_replayed_once_or_discarded() {
    let scratch = Scratch::new("letters");
    // Every event with a sequence number that ends in 7 is refused for good, in whatever batch it comes.
    let refuses = |body: &str| crate::support::receiver::tally::seqs(body).iter().any(|seq| seq % 10 == 7);
    let hub = Receiver::start(by_body(move |r, _| if refuses(&r.body) { status(422) } else { ok() }));
    let config = format!("{FAST}{}", webhook(&hub.url()));
    let daemon = Daemon::start(&scratch.0, &config);
    let data = daemon.data.clone();
    wait_for("three dead letters", || (outbox(&data, "dead").1.lines().count() >= 3).then_some(()));
    let shown = daemon.get("/v1/outbox/dead").text().to_owned();
    assert!(daemon.stop().success());
    drop(hub);

    let dead_letters = outbox(&data, "dead").1;
    let ids: Vec<&str> = dead_letters.lines().map(|l| l.split(['"', ',', ':']).nth(3).unwrap()).collect();
    assert_eq!(ids[..3], ["1", "2", "3"], "{dead_letters}");
    let event =
        |line: &str| line.split("\"event_id\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let events: Vec<String> = dead_letters.lines().map(event).collect();
    assert!(events[0].ends_with("-7") && shown.contains(&events[0]), "{shown}");
    assert!(dead_letters.lines().next().unwrap().contains("\"status\":422"), "{dead_letters}");

    let unknown = outbox(&data, "replay 1 4711");
    assert_eq!(unknown.0, Some(65));
    assert!(unknown.2.contains("no dead letter 4711"), "{}", unknown.2);
    assert_eq!(outbox(&data, "dead").1, dead_letters, "an unknown id changes nothing");
    assert_eq!(outbox(&data, "drop 2").1, "1 dead letter discarded\n");
    assert_eq!(outbox(&data, "replay 1").1, "1 dead letter will be sent again once the daemon runs\n");
    let left = outbox(&data, "dead").1;
    assert_eq!(left.lines().count(), ids.len() - 1, "{left}");
    assert!(left.lines().next().unwrap().contains("\"replay\":true"), "{left}");

    let hub = Receiver::start(by_body(|_, _| ok()));
    let daemon = Daemon::start(&scratch.0, &format!("{FAST}{}", webhook(&hub.url())));
    hub.wait_until("the replayed event", |log| log.iter().any(|r| r.body.contains(&events[0])));
    let is_delivered = || !outbox(&data, "dead").1.contains(&events[0]);
    wait_for("the replayed dead letter to be removed", || is_delivered().then_some(()));
    drop(daemon);
    let requests = hub.stop();
    let times = |event: &str| {
        let id = format!("\"id\":\"{event}\"");
        requests.iter().filter(|r| r.body.contains(&id)).count()
    };
    assert_eq!(times(&events[0]), 1, "once, with the id it had");
    assert_eq!((times(&events[1]), times(&events[2])), (0, 0), "dropped, and not asked for");
}
