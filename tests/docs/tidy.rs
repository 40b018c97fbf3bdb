//! Rules of the repository that a compiler does not check: which module may use which, what "pure" forbids, how long a
//! file or a function may be.

use std::fs;
use std::path::Path;

use crate::source::{code, code_files, files, read, root, shown};

/// Modules of the daemon whose names may not appear in the code of others, and which files may name them all the same.
/// What the packages may know of each other is checked by cargo.
const WALLS: &[(&str, &[&str], &str)] = &[
    ("crate::supervisor", &["supervisor", "lib.rs"], "nothing depends on the supervisor"),
    ("crate::api", &["api", "config", "cli", "supervisor"], "delivery and engine do not know the API"),
    ("crate::delivery", &["delivery", "config", "supervisor"], "only the supervisor starts deliveries"),
    (
        "crate::net",
        &["net", "api/ports.rs", "api/handlers", "config", "cli", "connectors", "delivery", "supervisor"],
        "only those that make requests, or show their state, know the HTTP client",
    ),
    (
        "mycelium_outbox",
        &[
            "delivery",
            "events",
            "signals",
            "config",
            "cli",
            "supervisor",
            "clock",
            "connectors/checkpoint.rs",
            "api/server/tls.rs",
            "net/tls.rs",
        ],
        "only these use the outbox; connectors and TLS use its readers and writers of whole files",
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
    for (module, allowed, _) in WALLS {
        for prefix in *allowed {
            assert!(
                root().join(DAEMON).join(prefix).exists(),
                "{prefix}, which may name {module}, does not exist"
            );
        }
    }
}

/// What a module that calls itself pure, or lies in a directory that does, must not use.
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
    "crates/mycelium-daemon/src/connectors/csv.rs",
    "crates/mycelium-daemon/src/connectors/extract.rs",
    "crates/mycelium-daemon/src/connectors/line_splitter.rs",
    "crates/mycelium-daemon/src/connectors/schedule.rs",
    "crates/mycelium-daemon/src/delivery/scheduler.rs",
    "crates/mycelium-daemon/src/net/backoff.rs",
    "crates/mycelium-daemon/src/net/breaker.rs",
    "crates/mycelium-daemon/src/net/outcome.rs",
    "crates/mycelium-daemon/src/net/retry_after.rs",
    "crates/mycelium-outbox/src/format/",
    "crates/mycelium-daemon/src/telemetry/trace/context.rs",
    "crates/mycelium-daemon/src/telemetry/trace/otlp.rs",
];

/// Mutant seen red: `Mono::now()` in net/backoff.rs.
#[test]
fn pure_modules_read_no_clock_do_no_io_lock_nothing_and_log_nothing() {
    let mut found = Vec::new();
    for path in code_files() {
        let name = shown(&path);
        let says_so = fs::read_to_string(&path).unwrap().starts_with("//! PURE");
        if !says_so && !PURE.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        // An address is a value; sockets are not.
        let code = code(&path).replace("std::net::SocketAddr", "").replace("std::net::IpAddr", "");
        found.extend(IMPURE.iter().filter(|word| code.contains(*word)).map(|word| format!("{name}: {word}")));
    }
    assert!(found.is_empty(), "{found:#?}");
    for name in PURE {
        assert!(root().join(name).exists(), "{name} does not exist: remove it from the list");
    }
}

#[test]
fn clocks_are_read_in_one_place() {
    let readers = ["Instant::now", "SystemTime::now", "clock_gettime"];
    let clocks = ["crates/mycelium-daemon/src/clock/", "crates/mycelium-outbox/src/time.rs"];
    let mut found = Vec::new();
    for path in code_files() {
        let (name, code) = (shown(&path), code(&path));
        if !clocks.iter().any(|clock| name.starts_with(clock))
            && readers.iter().any(|word| code.contains(word))
        {
            found.push(name);
        }
    }
    assert!(found.is_empty(), "only the two clock modules read clocks, not {found:?}");
}

/// Most lines of code in a file and in a function: comments, blank lines and unit tests are not counted.
const FILE_LINES: usize = 350;
const FUNCTION_LINES: usize = 70;

fn lines_of_code(code: &str) -> usize {
    code.lines().filter(|line| !line.trim().is_empty()).count()
}

/// Seen red with `FILE_LINES` at 300.
#[test]
fn files_are_short_enough_to_be_read() {
    let mut found = Vec::new();
    for path in code_files() {
        let lines = lines_of_code(&code(&path));
        if lines > FILE_LINES {
            found.push(format!("{}: {lines} lines, at most {FILE_LINES} are allowed", shown(&path)));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// Name and length of every function with a body, from its `fn` to its closing brace.
fn functions(code: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        if code[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let text = &code[at..];
        let name: String = text[3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let Some(open) = text.find(['{', ';']) else { continue };
        if name.is_empty() || text[open..].starts_with(';') {
            continue;
        }
        let mut depth = 0;
        let end = text[open..].find(|c| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            depth == 0
        });
        found.push((name, lines_of_code(&text[..=open + end.unwrap_or(0)])));
    }
    found
}

/// Seen red with `FUNCTION_LINES` at 60.
#[test]
fn functions_are_short_enough_to_be_read() {
    let mut found = Vec::new();
    for path in code_files() {
        for (name, lines) in functions(&code(&path)) {
            if lines > FUNCTION_LINES {
                found.push(format!("{}: {name} has {lines} lines", shown(&path)));
            }
        }
    }
    assert!(found.is_empty(), "at most {FUNCTION_LINES} lines are allowed: {found:#?}");
    let sample = "trait T { fn a(); }\nfn b() -> [u8; 2] {\n\n    if x { y }\n}\n";
    assert_eq!(functions(&sample.replace("[u8; 2]", "u8")), [("b".to_owned(), 3)]);
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
    assert!(read("Cargo.toml").contains("unsafe_code = \"forbid\""), "[lints.rust] of Cargo.toml");
    for root_file in [
        "src/main.rs",
        "crates/mycelium-core/src/lib.rs",
        "crates/mycelium-daemon/src/lib.rs",
        "crates/mycelium-outbox/src/lib.rs",
    ] {
        assert!(read(root_file).contains("#![forbid(unsafe_code)]"), "{root_file}");
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

#[test]
fn no_file_has_a_name_that_says_nothing() {
    let empty = ["utils", "helpers", "manager", "handler", "service", "common", "misc"];
    let stem = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let found: Vec<_> =
        code_files().into_iter().filter(|path| empty.contains(&stem(path).as_str())).collect();
    assert!(found.is_empty(), "{found:?}");
}
