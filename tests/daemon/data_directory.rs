//! A data directory in which somebody else has put things.
//!
//! Where these tests run as root, the somebody is another user; otherwise only what does not need one is tried.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::process::{Daemon, Scratch, binary};

const CONFIG: &str = "[sim]\ngrid = 8\nseed = 1\ntick_ms = 10\n";
/// A user and group that this process is not.
const OTHER_USER: u32 = 54_321;
const PLANTED: &str = "myc_planted-planted-planted-planted-planted-planted";

fn mkfifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// The message of a start that must fail, within seconds, with a small peak of memory.
fn refused(scratch: &Path, what: &str) -> String {
    fs::write(scratch.join("edge.toml"), CONFIG).unwrap();
    let began = Instant::now();
    let mut child = binary()
        .args(["run", "--listen", "127.0.0.1:0", "--config"])
        .arg(scratch.join("edge.toml"))
        .arg("--data-dir")
        .arg(scratch.join("data"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > Duration::from_secs(10) {
            child.kill().unwrap();
            let text = child.wait_with_output().unwrap().stderr;
            panic!("{what}: the daemon runs or hangs: {}", String::from_utf8_lossy(&text));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let ended = child.wait_with_output().unwrap();
    let text = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(74), "{what}: {text}");
    text
}

type Plant = fn(&Path, &Path);

/// Regression: a symbolic link was followed, a planted key accepted, a pipe waited for, a large file read whole.
/// Seen red with each check removed on its own.
#[test]
fn a_data_directory_with_something_planted_is_refused_with_the_remedy() {
    let rows: [(&str, Plant, &[&str]); 12] = [
        ("a directory that everybody may write to", |data, _| set_mode(data, 0o777), &["chmod o-w"]),
        (
            "a lock that is a link",
            |data, other| symlink(other, data.join("lock")).unwrap(),
            &["lock", "symbolic link"],
        ),
        (
            "an outbox that is a link",
            |data, other| {
                fs::create_dir(other.with_file_name("elsewhere")).unwrap();
                symlink(other.with_file_name("elsewhere"), data.join("outbox")).unwrap();
            },
            &["outbox", "symbolic link", "mount"],
        ),
        (
            "an outbox that everybody may write to",
            |data, _| {
                fs::create_dir(data.join("outbox")).unwrap();
                set_mode(&data.join("outbox"), 0o777);
            },
            &["outbox", "chmod o-w"],
        ),
        (
            "a key that everybody may write",
            |data, _| {
                fs::write(data.join("api.key"), PLANTED).unwrap();
                set_mode(&data.join("api.key"), 0o666);
            },
            &["api.key", "chmod go-w"],
        ),
        (
            "a key that is a link",
            |data, other| {
                fs::write(other, PLANTED).unwrap();
                symlink(other, data.join("api.key")).unwrap();
            },
            &["api.key", "symbolic link"],
        ),
        ("a key that is a pipe", |data, _| mkfifo(&data.join("api.key")), &["api.key", "not a regular file"]),
        ("a key that is a directory", |data, _| fs::create_dir(data.join("api.key")).unwrap(), &["api.key"]),
        (
            "a key of 300 MiB",
            |data, _| fs::File::create(data.join("api.key")).unwrap().set_len(300 << 20).unwrap(),
            &["api.key", "longer than"],
        ),
        ("a lock that is a pipe", |data, _| mkfifo(&data.join("lock")), &["lock"]),
        (
            "a device name that is a pipe",
            |data, _| mkfifo(&data.join("device.id")),
            &["device.id", "regular file"],
        ),
        (
            "a device name of 300 MiB",
            |data, _| fs::File::create(data.join("device.id")).unwrap().set_len(300 << 20).unwrap(),
            &["device.id", "longer than"],
        ),
    ];
    for (what, plant, words) in rows {
        let scratch = Scratch::new("planted");
        let (data, other) = (scratch.0.join("data"), scratch.0.join("other"));
        fs::create_dir(&data).unwrap();
        fs::write(&other, "precious").unwrap();
        plant(&data, &other);
        let text = refused(&scratch.0, what);
        assert!(words.iter().all(|word| text.contains(word)), "{what}: {text}");
        assert!(!text.contains(PLANTED), "{what}: no key in any message");
        if what != "a key that is a link" {
            assert_eq!(fs::read(&other).unwrap(), b"precious", "{what}");
        }
    }
}

/// As root only. Mutants seen red: no look at the owner; none at the group.
#[test]
fn what_belongs_to_another_user_is_refused_and_an_operator_may_look_at_it() {
    let rows: [(&str, Plant); 3] = [
        ("a directory of another user", |data, _| chown(data, Some(OTHER_USER), Some(OTHER_USER)).unwrap()),
        ("a directory that another group may write to", |data, _| {
            chown(data, None, Some(OTHER_USER)).unwrap();
            set_mode(data, 0o770);
        }),
        ("a key of another user", |data, _| {
            fs::write(data.join("api.key"), PLANTED).unwrap();
            set_mode(&data.join("api.key"), 0o600);
            chown(data.join("api.key"), Some(OTHER_USER), Some(OTHER_USER)).unwrap();
        }),
    ];
    for (what, plant) in rows {
        let scratch = Scratch::new("other-user");
        if fs::metadata(&scratch.0).unwrap().uid() != 0 {
            return;
        }
        let data = scratch.0.join("data");
        fs::create_dir(&data).unwrap();
        plant(&data, &data);
        let text = refused(&scratch.0, what);
        assert!(text.contains(&OTHER_USER.to_string()), "{what}: {text}");
    }
    let scratch = Scratch::new("operator");
    let daemon = Daemon::start(&scratch.0, CONFIG);
    let data = daemon.data.clone();
    assert!(daemon.stop().success());
    for entry in fs::read_dir(data.join("outbox")).unwrap() {
        chown(entry.unwrap().path(), Some(OTHER_USER), Some(OTHER_USER)).unwrap();
    }
    for name in ["outbox", "lock", "."] {
        chown(data.join(name), Some(OTHER_USER), Some(OTHER_USER)).unwrap();
    }
    for action in [&["verify"][..], &["dead"], &["replay", "--all"]] {
        let ended = binary().arg("outbox").args(action).arg("--data-dir").arg(&data).output().unwrap();
        assert!(ended.status.success(), "{action:?}: {}", String::from_utf8_lossy(&ended.stderr));
    }
}

/// Regression: `api.new` with mode 0666 became the key file, and the target of a link `address.new` was overwritten.
/// Mutant seen red: temporary names that can be guessed, opened without `O_EXCL`.
#[test]
fn what_is_planted_under_the_old_temporary_names_is_neither_used_nor_followed() {
    let scratch = Scratch::new("temporary");
    let (data, other) = (scratch.0.join("data"), scratch.0.join("other"));
    fs::create_dir(&data).unwrap();
    fs::write(&other, "precious").unwrap();
    fs::write(data.join("api.new"), PLANTED).unwrap();
    set_mode(&data.join("api.new"), 0o666);
    fs::create_dir(data.join("outbox")).unwrap();
    for name in ["address.new", "device.new", "outbox/probe.tmp"] {
        symlink(&other, data.join(name)).unwrap();
    }
    fs::write(data.join(".api.key.0123456789abcdef.partial"), "of a start that lost power").unwrap();
    let daemon = Daemon::start(&scratch.0, CONFIG);
    assert_eq!(daemon.get("/v1/status").status, 200);
    assert_ne!(daemon.key, PLANTED);
    let mode = |name: &str| fs::symlink_metadata(data.join(name)).unwrap().mode() & 0o170_777;
    assert_eq!((mode("api.key"), mode("address")), (0o100_600, 0o100_644));
    assert_eq!(fs::read(&other).unwrap(), b"precious");
    let left: Vec<_> = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().ends_with(".partial")), "{left:?}");
    assert!(daemon.stop().success());
}

/// Volumes of containers: root:GROUP with mode 2770 for a user who is in that group, and a directory that is itself a
/// link, as that of a unit with `DynamicUser=` is.
#[test]
fn a_volume_of_the_own_group_and_a_linked_state_directory_are_used() {
    let scratch = Scratch::new("volume");
    let real = scratch.0.join("private");
    fs::create_dir(&real).unwrap();
    set_mode(&real, 0o2770);
    symlink(&real, scratch.0.join("data")).unwrap();
    let daemon = Daemon::start(&scratch.0, CONFIG);
    assert_eq!(daemon.get("/v1/status").status, 200);
    assert!(daemon.stop().success());
}
