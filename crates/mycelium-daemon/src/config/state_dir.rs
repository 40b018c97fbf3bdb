//! The state directory: outbox, cursors, breakers and the first API key are in it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The state directory if neither an option nor the service manager names one.
const DEFAULT_DIR: &str = "data";

/// The value of `--data-dir`, else `$STATE_DIRECTORY`, else `./data`.
pub fn state_dir(option: Option<&Path>) -> PathBuf {
    resolve(option, std::env::var_os("STATE_DIRECTORY"))
}

/// systemd separates several directories of a unit by colons: the first is used. An empty variable is not set.
fn resolve(option: Option<&Path>, variable: Option<OsString>) -> PathBuf {
    if let Some(path) = option {
        return path.to_owned();
    }
    let variable = variable.unwrap_or_default();
    match variable.as_bytes().split(|&b| b == b':').next() {
        None | Some([]) => PathBuf::from(DEFAULT_DIR),
        Some(first) => PathBuf::from(OsStr::from_bytes(first)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Regression: with an empty `$STATE_DIRECTORY`, `run` used the current directory and `outbox` used ./data.
    /// Mutant seen red: an empty variable treated like any other.
    #[test]
    fn an_empty_state_directory_variable_is_unset_and_the_first_of_a_list_is_used() {
        let rows = [
            (Some("/given"), Some("/var/lib/a"), "/given", "the option wins"),
            (None, Some("/var/lib/a"), "/var/lib/a", "set by the service manager"),
            (None, Some("/var/lib/a:/var/lib/b"), "/var/lib/a", "StateDirectory= with two names"),
            (None, Some(""), "data", "empty"),
            (None, None, "data", "unset"),
        ];
        for (option, variable, want, why) in rows {
            let got = resolve(option.map(Path::new), variable.map(OsString::from));
            assert_eq!(got, Path::new(want), "{why}");
        }
    }
}
