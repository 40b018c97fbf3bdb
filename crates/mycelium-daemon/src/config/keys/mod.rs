//! Every configuration key in one table: it drives parsing, the environment, `check` and `docs/CONFIG.md`.

mod daemon;
mod field;

use mycelium_core::range::Interval;
use mycelium_outbox::endpoint::Name;

/// What a value may be.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Integer {
        low: i64,
        high: i64,
    },
    Number(Interval),
    Choice(&'static [&'static str]),
    Flag,
    Text {
        accepted: &'static str,
        fits: fn(&str) -> bool,
    },
    /// A table of texts; only in files.
    Texts {
        accepted: &'static str,
    },
}

impl Kind {
    /// The type as the manual names it.
    pub const fn type_name(self) -> &'static str {
        match self {
            Self::Integer { .. } => "integer",
            Self::Number(_) => "number",
            Self::Choice(_) | Self::Text { .. } => "string",
            Self::Flag => "boolean",
            Self::Texts { .. } => "table of strings",
        }
    }

    /// What would be accepted, in words.
    pub fn accepted(self) -> String {
        match self {
            Self::Integer { low, high: i64::MAX } => format!("at least {low}"),
            Self::Integer { low, high } => format!("from {low} to {high}"),
            Self::Number(interval) => interval.to_string(),
            Self::Choice(names) => names.join(" | "),
            Self::Flag => "true | false".to_owned(),
            Self::Text { accepted, .. } | Self::Texts { accepted } => accepted.to_owned(),
        }
    }
}

/// What holds when nobody says anything.
#[derive(Clone, Copy, Debug)]
pub enum Default {
    /// This value, written as in the environment.
    Is(&'static str),
    /// No value; the words say what happens instead.
    Absent(&'static str),
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Tables and name joined by dots; `[]` marks an array of tables.
    pub path: &'static str,
    pub kind: Kind,
    pub default: Default,
    /// Empty for plain numbers and names.
    pub unit: &'static str,
    pub doc: &'static str,
    /// When to change it.
    pub tune: &'static str,
}

impl Key {
    /// The last part of the path.
    pub fn name(&self) -> &'static str {
        self.path.rsplit_once('.').map_or(self.path, |(_, name)| name)
    }

    /// Everything before the last part of the path.
    pub fn table(&self) -> &'static str {
        self.path.rsplit_once('.').map_or("", |(table, _)| table)
    }

    /// Name in the environment; keys inside arrays of tables have none.
    pub fn variable(&self) -> Option<String> {
        let inside_an_array = self.path.contains("[]");
        (!inside_an_array).then(|| format!("{PREFIX}{}", self.path.to_uppercase().replace('.', "__")))
    }

    /// Its value must not be shown to anybody.
    pub fn is_secret(&self) -> bool {
        matches!(self.path, "webhooks[].secret" | "webhooks[].headers" | "connectors[].headers")
    }

    /// A SIGHUP is enough to change it.
    pub fn is_reloadable(&self) -> bool {
        matches!(self.table(), "api.rate" | "api.tls" | "api.keys[]" | "webhooks[]" | "breaker")
            || matches!(
                self.path,
                "log.level"
                    | "connectors[].url"
                    | "connectors[].headers"
                    | "connectors[].timeout_ms"
                    | "connectors[].ca_file"
            )
    }
}

/// What all variables of this program start with.
pub const PREFIX: &str = "MYCELIUMD_";

/// One row per key: path: kind, default, unit; meaning; when to change it.
macro_rules! keys {
    ($($path:literal: $kind:expr, $default:expr, $unit:literal; $doc:literal; $tune:literal)+) => {
        &[$($crate::config::keys::Key {
            path: $path, kind: $kind, default: $default, unit: $unit, doc: $doc, tune: $tune,
        }),+]
    };
}
use keys;

/// All keys in the order of the manual.
pub fn all() -> impl Iterator<Item = &'static Key> + Clone {
    field::KEYS.iter().chain(daemon::KEYS)
}

/// The key of that path; `None` when there is none.
pub fn find(path: &str) -> Option<&'static Key> {
    all().find(|key| key.path == path)
}

/// Whether some key lies in this table.
pub fn is_table(path: &str) -> bool {
    all().any(|key| key.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
}

/// Whether this path names an array of tables.
pub fn is_list(path: &str) -> bool {
    all().any(|key| key.path.strip_prefix(path).is_some_and(|rest| rest.starts_with("[].")))
}

const fn int(low: i64, high: i64) -> Kind {
    Kind::Integer { low, high }
}

const fn number(low: f64, high: f64) -> Kind {
    Kind::Number(Interval::closed(low, high))
}

const NAME: Kind = Kind::Text { accepted: Name::ACCEPTED, fits: Name::is_valid };

/// A file name that can be opened: neither empty nor holding a NUL.
pub fn is_file_name(text: &str) -> bool {
    (1..=4096).contains(&text.len()) && !text.contains('\0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_its_own_path_a_meaning_and_a_default_of_its_own_kind() {
        let mut seen = std::collections::BTreeSet::new();
        for key in all() {
            assert!(seen.insert(key.path), "{} is there twice", key.path);
            assert!(!key.doc.is_empty() && !key.tune.is_empty(), "{} is not explained", key.path);
            if let Default::Is(text) = key.default {
                let value = super::super::value::Value::from_text(key, text);
                assert!(value.is_ok(), "the default of {}: {value:?}", key.path);
            }
        }
    }

    #[test]
    fn a_variable_is_the_path_in_capitals_and_arrays_have_none() {
        assert_eq!(find("api.rate.burst").unwrap().variable().unwrap(), "MYCELIUMD_API__RATE__BURST");
        assert_eq!(find("webhooks[].url").unwrap().variable(), None);
    }
}
