//! Rules of the house that a compiler does not know: who may know whom, what pure means, how long a file may be.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Files below `dir` with one of these endings, sorted.
fn files(dir: &str, endings: &[&str]) -> Vec<PathBuf> {
    fn walk(dir: &Path, endings: &[&str], found: &mut Vec<PathBuf>) {
        let Ok(entries) = fs::read_dir(dir) else { return };
        for entry in entries {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                let skipped = ["target", ".git", "node_modules", "__pycache__", "dist", "corpus"];
                if !skipped.contains(&name.as_str()) {
                    walk(&path, endings, found);
                }
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(dir), endings, &mut found);
    found.sort();
    found
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// Code without comments and without the tests at its end.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("\n#[cfg(test)]").next().unwrap_or_default();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// Modules of the daemon whose names may not appear in the code of others, and who may name them all the same.
/// What the three crates may know of each other is checked by cargo.
const WALLS: &[(&str, &[&str], &str)] = &[
    ("crate::supervisor", &["supervisor", "lib.rs"], "nothing depends on the supervisor"),
    ("crate::api", &["api", "config", "cli", "supervisor"], "delivery and engine do not know the front"),
    (
        "crate::delivery",
        &["delivery", "connectors", "config", "supervisor"],
        "the front does not know delivery; connectors use its breaker and its way to connect",
    ),
    (
        "mycelium_outbox",
        &["delivery", "config", "cli", "supervisor", "clock", "connectors/place.rs"],
        "only these use the queue; connectors use its atomic file replacement",
    ),
    (
        "crate::connectors",
        &["connectors", "config", "supervisor"],
        "only the supervisor connects them to the field",
    ),
    ("crate::cli", &["cli"], "the command line is the outermost part"),
    ("crate::config::Config", &["config", "supervisor", "cli"], "no module stores the whole configuration"),
    ("crate::engine", &["engine", "supervisor"], "only the supervisor knows the simulation thread"),
];
const DAEMON: &str = "crates/mycelium-daemon/src/";
/// Every directory with code of the product.
const CODE: [&str; 2] = ["src", "crates"];

fn code_files() -> Vec<PathBuf> {
    CODE.iter().flat_map(|dir| files(dir, &[".rs"])).collect()
}

/// Mutant seen red: `use crate::api` in the daemon's src/engine.
#[test]
fn modules_know_only_those_they_may_know() {
    let mut found = Vec::new();
    for path in files(DAEMON, &[".rs"]) {
        let (name, code) = (shown(&path), code(&path));
        let name = name.strip_prefix(DAEMON).expect("below it");
        for (module, allowed, why) in WALLS {
            let named = code.match_indices(module).any(|(at, _)| {
                let next = code[at + module.len()..].chars().next().unwrap_or(' ');
                !(next.is_alphanumeric() || next == '_')
            });
            if named && !allowed.iter().any(|prefix| name.starts_with(prefix)) {
                found.push(format!("{name} names {module}: {why}"));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// What a module that calls itself pure, or lies in a directory that does, must not touch.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::thread",
    "std::process",
    "std::env",
    "Instant::now",
    "SystemTime",
    "Mono::now",
    "Wall::now",
    "Mutex",
    "RwLock",
    "Condvar",
    "log::error!",
    "log::warn!",
    "log::info!",
    "log::debug!",
    "log::trace!",
    "println!",
    "rustix::",
    "smol::",
    "ureq::",
    "thread_rng",
    "fastrand::Rng::new()",
];

/// These are pure whatever their first line says.
const PURE: &[&str] = &[
    "crates/mycelium-core/",
    "crates/mycelium-daemon/src/formats/",
    "crates/mycelium-daemon/src/nernst.rs",
    "crates/mycelium-daemon/src/engine/core.rs",
    "crates/mycelium-daemon/src/connectors/sample.rs",
    "crates/mycelium-daemon/src/connectors/csv.rs",
    "crates/mycelium-daemon/src/connectors/lines.rs",
    "crates/mycelium-daemon/src/connectors/plan.rs",
    "crates/mycelium-daemon/src/delivery/plan.rs",
    "crates/mycelium-daemon/src/delivery/breaker.rs",
    "crates/mycelium-daemon/src/delivery/retry.rs",
    "crates/mycelium-outbox/src/record.rs",
    "crates/mycelium-daemon/src/telemetry/trace/context.rs",
    "crates/mycelium-daemon/src/telemetry/trace/otlp.rs",
];

/// Mutant seen red: `Mono::now()` in src/delivery/retry.rs.
#[test]
fn pure_modules_read_no_clock_do_no_io_lock_nothing_and_log_nothing() {
    let mut found = Vec::new();
    for path in code_files() {
        let name = shown(&path);
        let says_so = fs::read_to_string(&path).unwrap().starts_with("//! PURE");
        if !says_so && !PURE.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        let code = code(&path);
        found.extend(IMPURE.iter().filter(|word| code.contains(*word)).map(|word| format!("{name}: {word}")));
    }
    assert!(found.is_empty(), "{found:#?}");
    for name in PURE {
        assert!(root().join(name).exists(), "{name} is gone: take it off the list");
    }
}

#[test]
fn clocks_are_read_in_one_place() {
    let readers = ["Instant::now", "SystemTime::now", "clock_gettime"];
    let mut found = Vec::new();
    for path in code_files() {
        let name = shown(&path);
        let code = code(&path);
        if !["crates/mycelium-daemon/src/clock/", "crates/mycelium-outbox/src/time.rs"]
            .iter()
            .any(|reader| name.starts_with(reader))
            && readers.iter().any(|word| code.contains(word))
        {
            found.push(name);
        }
    }
    assert!(found.is_empty(), "only the two clock modules read clocks, not {found:?}");
}

/// Most lines of code in a file: comments, blank lines and its own tests not counted.
const LONGEST: usize = 450;

#[test]
fn files_are_short_enough_to_be_read() {
    let mut found = Vec::new();
    for path in code_files() {
        let lines = code(&path).lines().filter(|line| !line.trim().is_empty()).count();
        if lines > LONGEST {
            found.push(format!("{} has {lines} lines, at most {LONGEST} are wanted", shown(&path)));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn nothing_is_left_for_later_and_no_test_is_switched_off() {
    // Put together here, so that this file does not find itself.
    let words = ["TO".to_owned() + "DO", "FIX".to_owned() + "ME", "XX".to_owned() + "X"];
    let calls = ["todo".to_owned() + "!(", "unimplemented".to_owned() + "!(", "#[ign".to_owned() + "ore"];
    let mut found = Vec::new();
    for dir in ["src", "crates", "tests", "benches", "fuzz", "cross", "deploy", "docs", ".ci"] {
        for path in files(dir, &[".rs", ".md", ".toml", ".sh", ".py", ".service", ".yaml"]) {
            let Ok(text) = fs::read_to_string(&path) else { continue };
            let is_word = |at: usize, word: &str| {
                let edge = |c: Option<char>| !c.is_some_and(|c| c.is_alphanumeric() || c == '_');
                edge(text[..at].chars().next_back()) && edge(text[at + word.len()..].chars().next())
            };
            let has_word = words.iter().any(|w| text.match_indices(w.as_str()).any(|(at, _)| is_word(at, w)));
            if has_word || calls.iter().any(|call| text.contains(call.as_str())) {
                found.push(shown(&path));
            }
        }
    }
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn own_code_forbids_unsafe() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(manifest.contains("unsafe_code = \"forbid\""), "[lints.rust] of Cargo.toml");
    for root_file in [
        "src/main.rs",
        "crates/mycelium-core/src/lib.rs",
        "crates/mycelium-daemon/src/lib.rs",
        "crates/mycelium-outbox/src/lib.rs",
    ] {
        let text = fs::read_to_string(root().join(root_file)).unwrap();
        assert!(text.contains("#![forbid(unsafe_code)]"), "{root_file}");
    }
}

/// Paths that exist on one machine only.
#[test]
fn no_path_of_a_single_machine_is_in_the_repository() {
    let paths = [
        "/wor".to_owned() + "k/",
        "/ho".to_owned() + "me/",
        "/ro".to_owned() + "ot/",
        "/Us".to_owned() + "ers/",
    ];
    let mut found = Vec::new();
    for path in files("", &[".rs", ".md", ".toml", ".sh", ".py", ".service", ".yaml", ".json", ".html"]) {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for (k, line) in text.lines().enumerate() {
            if paths.iter().any(|own| line.contains(own.as_str())) {
                found.push(format!("{}:{}: {line}", shown(&path), k + 1));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// Targets of `[text](target)` that are files of the repository.
#[test]
fn links_of_the_documentation_lead_somewhere() {
    let mut found = Vec::new();
    for path in files("", &[".md"]) {
        let text = fs::read_to_string(&path).unwrap();
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split([')', ' ']).next().unwrap_or_default();
            let file = target.split('#').next().unwrap_or_default();
            let elsewhere = file.contains("://") || file.starts_with("mailto:") || file.is_empty();
            // What looks like a link in code, such as a closure in an example, has no dot and no slash.
            let plausible = file.contains('.') || file.contains('/');
            if !elsewhere && plausible && !path.parent().unwrap().join(file).exists() {
                found.push(format!("{}: {target}", shown(&path)));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn no_file_has_a_name_that_says_nothing() {
    let empty = ["utils", "helpers", "manager", "handler", "service", "common", "misc"];
    let names = code_files();
    let found: Vec<_> =
        names.iter().filter(|path| empty.contains(&path.file_stem().unwrap().to_str().unwrap())).collect();
    assert!(found.is_empty(), "{found:?}");
}
