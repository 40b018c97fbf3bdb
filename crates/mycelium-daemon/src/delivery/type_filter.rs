//! PURE. Which event types an endpoint gets.

/// Patterns of event types; without any, every type matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TypeFilter(Vec<String>);

impl TypeFilter {
    /// Most patterns of one endpoint.
    pub const MAX: usize = 16;
    pub const ACCEPTED: &'static str =
        "an array of at most 16 event types, each whole or ending with .*, e.g. [\"io.mycelium.window.*\"]";

    /// Whether a text is a pattern: a type, or a prefix and `.*`.
    pub fn is_pattern(text: &str) -> bool {
        let plain = text.strip_suffix(".*").unwrap_or(text);
        (1..=200).contains(&plain.len()) && plain.bytes().all(|b| b.is_ascii_graphic() && b != b'*')
    }

    /// Patterns as [`TypeFilter::is_pattern`] accepts them.
    pub fn new(patterns: &[String]) -> Self {
        Self(patterns.to_vec())
    }

    /// Whether some types are left out.
    pub fn is_active(&self) -> bool {
        !self.0.is_empty()
    }

    pub fn matches(&self, event_type: &str) -> bool {
        let matches = |pattern: &String| match pattern.strip_suffix('*') {
            Some(prefix) => event_type.starts_with(prefix),
            None => event_type == pattern,
        };
        self.0.is_empty() || self.0.iter().any(matches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_a_type_or_all_below_a_prefix() {
        let filter = TypeFilter::new(&["io.mycelium.window.*".into(), "com.example.door".into()]);
        let rows = [
            ("io.mycelium.window.v1", true, "below the prefix"),
            ("io.mycelium.windows.v1", false, "another name that begins alike"),
            ("com.example.door", true, "the type itself"),
            ("com.example.door.v2", false, "no prefix was asked for"),
        ];
        for (event_type, want, why) in rows {
            assert_eq!(filter.matches(event_type), want, "{event_type}: {why}");
        }
        assert!(TypeFilter::default().matches("anything"));
        for bad in ["", ".*", "a*b", "*", "a b", "a.*.*"] {
            assert!(!TypeFilter::is_pattern(bad), "{bad:?}");
        }
    }
}
