//! PURE. Log targets: stable names of the parts of the daemon, so that a line keeps its target when code moves.

/// Target of lines about requests, from whichever module.
pub const API: &str = "api";
/// Target of lines about deliveries and polls, from whichever module.
pub const DELIVERY: &str = "delivery";

/// Modules that log, and the target of their lines; docs/LOGS.md lists the targets.
const MODULES: [(&str, &str); 8] = [
    ("mycelium_daemon::api", API),
    ("mycelium_daemon::connectors", "connectors"),
    ("mycelium_daemon::delivery", DELIVERY),
    ("mycelium_daemon::engine", "engine"),
    ("mycelium_daemon::net", "net"),
    ("mycelium_daemon::signals", "signals"),
    ("mycelium_daemon::supervisor", "supervisor"),
    ("mycelium_daemon::telemetry", "telemetry"),
];

/// The stable target of a record, or `None` for one of a library.
pub(super) fn stable(target: &str) -> Option<&'static str> {
    let names = |name: &str| {
        let rest = target.strip_prefix(name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    MODULES.iter().find(|(module, stable)| names(module) || target == *stable).map(|(_, stable)| *stable)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn logs(code: &str) -> bool {
        ["error", "warn", "info", "debug", "log"]
            .iter()
            .any(|level| code.contains(&format!("log::{level}!(")))
    }

    #[test]
    fn every_module_that_logs_has_a_documented_target() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let page = include_str!("../../../../../docs/LOGS.md");
        let mut found = 0;
        let mut directories = vec![source.clone()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    directories.push(path);
                } else if logs(&fs::read_to_string(&path).unwrap()) {
                    let module = path.strip_prefix(&source).unwrap().with_extension("");
                    let module = module.to_str().unwrap().replace('/', "::");
                    let target = stable(&format!("mycelium_daemon::{module}"));
                    let target = target.unwrap_or_else(|| panic!("{module} logs without a target"));
                    assert!(page.contains(&format!("`{target}`")), "docs/LOGS.md does not list {target}");
                    found += 1;
                }
            }
        }
        assert!(found > 10, "{found} files");
    }

    #[test]
    fn a_target_does_not_depend_on_the_file_and_libraries_have_none() {
        let rows = [
            ("mycelium_daemon::api::server::listener", Some("api")),
            ("mycelium_daemon::supervisor", Some("supervisor")),
            (API, Some("api")),
            ("mycelium_daemon::apiary", None),
            ("ureq::run", None),
        ];
        for (target, want) in rows {
            assert_eq!(stable(target), want, "{target}");
        }
    }
}
