//! PURE. Names of devices and endpoints.

use std::fmt;

/// 1 to 64 bytes of `[A-Za-z0-9._-]`: a name that is safe in file names and event ids. The default is the empty name,
/// which stands for "none".
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SafeName(heapless::String<{ Self::MAX_BYTES }>);

impl SafeName {
    /// Longest name, in bytes; names are stored in fields of this size.
    pub const MAX_BYTES: usize = 64;

    /// What [`SafeName::is_valid`] accepts, in words.
    pub const ACCEPTED: &'static str = "1 to 64 characters of [A-Za-z0-9._-]";

    /// `None` unless `text` is valid.
    pub fn new(text: &str) -> Option<Self> {
        if Self::is_valid(text) { text.try_into().ok().map(Self) } else { None }
    }

    /// As [`SafeName::new`], but also accepts the empty name.
    pub fn or_empty(text: &str) -> Option<Self> {
        if text.is_empty() { Some(Self::default()) } else { Self::new(text) }
    }

    /// Whether `text` is 1 to 64 bytes of `[A-Za-z0-9._-]`.
    pub fn is_valid(text: &str) -> bool {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        (1..=Self::MAX_BYTES).contains(&text.len()) && text.bytes().all(allowed)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// CRC-32 of the name: records carry it in place of the name itself.
    pub fn tag(&self) -> u32 {
        super::crc(self.0.as_bytes())
    }

    /// Stands in for a device whose name was lost with the segment header: `unknown-` and the tag in hexadecimal.
    pub(crate) fn unknown(tag: u32) -> Self {
        Self::new(&format!("unknown-{tag:08x}")).expect("16 valid characters")
    }
}

impl fmt::Display for SafeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_in_files_and_ids() {
        assert!(SafeName::new("edge-1.lab_3").is_some());
        assert!(SafeName::is_valid(&"x".repeat(64)));
        for bad in ["", "a/b", "a b", "\u{fc}", &"x".repeat(65)] {
            assert_eq!(SafeName::new(bad), None, "{bad:?}");
        }
    }
}
