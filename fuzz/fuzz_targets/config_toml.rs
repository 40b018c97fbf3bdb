//! The configuration file. An invalid one has at least one problem, each on one line; a valid one can be described.
#![no_main]

use std::io;

use libfuzzer_sys::fuzz_target;
use mycelium_daemon::config::{self, Sources};

fuzz_target!(|bytes: &[u8]| {
    // One secret file is valid, all others are missing; nothing is read from the disk.
    let read = |path: &std::path::Path| match path.to_str() {
        Some("key") => Ok(b"myc_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n".to_vec()),
        _ => Err(io::ErrorKind::NotFound.into()),
    };
    let sources = Sources {
        file: Some(("edge.toml", bytes)),
        variables: Vec::new(),
        overrides: Vec::new(),
        read: &read,
    };
    match config::parse(sources) {
        Ok(loaded) => {
            assert!(!loaded.describe().is_empty());
            assert!(loaded.needs_restart(&loaded).is_empty());
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            for problem in problems {
                let text = problem.to_string();
                assert!(text.starts_with("edge.toml"), "{text}");
                assert_eq!(text.lines().count(), 1, "{text}");
            }
        }
    }
});
