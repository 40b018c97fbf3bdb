//! PURE. Every configuration key in one table: it drives parsing, the environment, `check` and `docs/CONFIG.md`.
//!
//! Ranges and defaults are those of the module that owns the setting. A key is read by its constant, as in
//! `lookup.get(keys::OUTBOX_GROUP_MS)`.

mod daemon;
mod endpoints;
mod field;
mod inputs;
mod spec;

pub use daemon::*;
pub use endpoints::*;
pub use field::*;
pub use inputs::*;
pub use spec::{DefaultValue, Key, KeySpec, Kind, PREFIX};

/// All keys in the order of the manual.
pub fn all() -> impl Iterator<Item = &'static KeySpec> + Clone {
    FIELD_KEYS
        .iter()
        .chain(DAEMON_KEYS)
        .chain(INPUT_KEYS)
        .chain(WEBHOOK_DELIVERY_KEYS)
        .chain(WEBHOOK_KEYS)
        .chain(FILE_DELIVERY_KEYS)
        .chain(FILE_KEYS)
}

/// The key of that path; `None` if there is none.
pub fn find(path: &str) -> Option<&'static KeySpec> {
    all().find(|key| key.path == path)
}

/// Whether some key lies in this table.
pub fn is_table(path: &str) -> bool {
    all().any(|key| key.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
}

/// Whether the value must not be shown.
pub fn is_secret(key: &KeySpec) -> bool {
    [WEBHOOKS_SECRET.path(), WEBHOOKS_HEADERS.path(), CONNECTORS_HEADERS.path()].contains(&key.path)
}

/// Whether a reload (SIGHUP) applies a change of the key.
pub fn is_reloadable(key: &KeySpec) -> bool {
    let keys = [
        LOG_LEVEL.path(),
        API_ALLOWED_HOSTS.path(),
        API_ALLOWED_ORIGINS.path(),
        CONNECTORS_URL.path(),
        CONNECTORS_HEADERS.path(),
        CONNECTORS_TIMEOUT_MS.path(),
        CONNECTORS_CA_FILE.path(),
    ];
    matches!(key.table(), "api.rate" | "api.tls" | "api.keys[]" | "webhooks[]" | "files[]" | "breaker")
        || keys.contains(&key.path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::value_parser::parse_text;

    #[test]
    fn every_key_has_a_unique_path_documentation_and_a_default_that_it_accepts() {
        let mut seen = std::collections::BTreeSet::new();
        for key in all() {
            assert!(seen.insert(key.path), "{} is declared twice", key.path);
            assert!(!key.doc.is_empty() && !key.tune.is_empty(), "{} is not explained", key.path);
            if let Some(default) = key.default.value() {
                let parsed = parse_text(key, &key.default.text());
                assert_eq!(parsed, Ok(default), "the default of {}", key.path);
            }
        }
    }

    #[test]
    fn a_variable_is_the_path_in_capitals_and_keys_in_arrays_have_none() {
        assert_eq!(find("api.rate.burst").unwrap().variable().unwrap(), "MYCELIUMD_API__RATE__BURST");
        assert_eq!(WEBHOOKS_URL.spec().variable(), None);
    }
}
