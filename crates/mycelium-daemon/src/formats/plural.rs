//! Numbers with nouns.

/// `1 failed read`, `3 failed reads`: for nouns whose plural ends in `s`.
pub fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
