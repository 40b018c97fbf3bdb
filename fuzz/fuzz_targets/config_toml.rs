//! The configuration file. A refusal has at least one problem, each on one line; what is taken can be described.
#![no_main]

use std::io;

use libfuzzer_sys::fuzz_target;
use mycelium_daemon::config::{Loaded, Sources};

fuzz_target!(|bytes: &[u8]| {
    // Secret files: one that is good, the rest are missing; nothing is read from the disk.
    let read = |path: &std::path::Path| match path.to_str() {
        Some("key") => Ok(b"myc_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n".to_vec()),
        _ => Err(io::ErrorKind::NotFound.into()),
    };
    let sources =
        Sources { file: Some(("edge.toml", bytes)), variables: Vec::new(), options: Vec::new(), read: &read };
    match Loaded::from_sources(sources) {
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
