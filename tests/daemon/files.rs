//! The real binary writing files, killed at random moments.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::delivery::life;
use crate::support::process::{Daemon, Scratch, wait_for};
use crate::support::receiver::tally::id_parts;

fn config(out: &Path) -> String {
    format!(
        "[sim]\ntick_ms = 1\ngrid = 8\nseed = 1\n[outbox]\nwindow_steps = 5\ngroup_ms = 5\nsegment_bytes = 65536\n\
         [breaker]\nfailures = 3\nopen_ms = 10\nopen_max_ms = 50\n[api.rate]\nper_second = 100000\nburst = 100000\n\
         [[files]]\nname = \"usb\"\npath = \"{}/{{date}}/{{boot}}-{{seq}}.ndjson\"\nrotate_bytes = 65536\n\
         batch_records = 16\nlinger_ms = 5\nretry_base_ms = 1\nretry_max_ms = 20\nspread_ms = 5\n",
        out.display()
    )
}

/// Every whole line of every file and part below, by id.
fn events(directory: &Path, into: &mut BTreeMap<String, Vec<String>>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            events(&path, into);
            continue;
        }
        let part = path.extension().is_some_and(|extension| extension == "part");
        // A part may vanish by its rename.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        assert!(part || text.ends_with('\n'), "{} is not whole", path.display());
        for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            let at = line.find("\"id\":\"").unwrap() + 6;
            let id = line[at..].split('"').next().unwrap().to_owned();
            into.entry(id).or_default().push(line.to_owned());
        }
    }
}

fn found(out: &Path) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    events(out, &mut found);
    found
}

#[test]
fn kill_minus_nine_at_random_moments_leaves_every_durable_event_in_the_files() {
    let scratch = Scratch::new("files");
    let out = scratch.0.join("out");
    fs::create_dir(&out).unwrap();
    let config = config(&out);
    let mut lives = Vec::new();
    for seed in 0..15 {
        let daemon = Daemon::start(&scratch.0, &config);
        let end = Instant::now() + Duration::from_millis(fastrand::Rng::with_seed(seed).u64(0..200));
        let mut last = life(&daemon);
        while Instant::now() < end {
            last = life(&daemon);
        }
        daemon.kill();
        lives.push(last);
    }
    let daemon = Daemon::start(&scratch.0, &config);
    let last = life(&daemon);
    wait_for("the last life in the files", || {
        let through = found(&out)
            .keys()
            .map(|id| id_parts(id))
            .any(|(boot, seq)| boot == last.boot && seq > last.durable);
        through.then_some(())
    });
    daemon.kill();
    let found = found(&out);
    for life in &lives {
        let missing = (1..=life.durable).find(|seq| {
            !found.keys().map(|id| id_parts(id)).any(|(boot, got)| boot == life.boot && got == *seq)
        });
        assert_eq!(missing, None, "of boot {} with {} durable records", life.boot, life.durable);
    }
    for (id, lines) in &found {
        assert!(lines.iter().all(|line| line == &lines[0]), "{id} has two contents");
    }
    let files = fs::read_dir(&out).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_dir()).count();
    assert!(files > 0, "no file was finished");
}

/// The outage is named, the breaker opens, and everything is there once the directory is back.
#[test]
fn a_directory_that_appears_late_gets_everything() {
    let scratch = Scratch::new("late");
    let out = scratch.0.join("stick");
    let daemon = Daemon::start(&scratch.0, &config(&out));
    let health = || daemon.get("/v1/health/connectors").text().to_owned();
    wait_for("the outage", || health().contains("mount the disk or create the directory").then_some(()));
    wait_for("the breaker", || health().contains("\"breaker\":\"open\"").then_some(()));
    assert!(health().contains("\"kind\":\"files\"") && !out.exists());
    let before = life(&daemon);
    fs::create_dir(&out).unwrap();
    wait_for("the backlog", || (found(&out).len() as u64 > before.durable).then_some(()));
    daemon.kill();
}
