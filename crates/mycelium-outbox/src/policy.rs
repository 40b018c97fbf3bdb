//! PURE. How durable, how large and what gives way when there is no room.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

/// Records that are in memory at the same time at most: queued, being written, and held while the disk refuses writes.
pub const MAX_RECORDS_IN_MEMORY: usize = 4_032;

/// When a record counts as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// One `fdatasync` for several records: after `group_records` or `group`, whichever comes first.
    Group,
    /// One `fdatasync` for every append.
    Each,
    /// Written, never synced except by a flush and at the end.
    None,
}

/// What gives way when the outbox has reached its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    DropOldest,
    DropNewest,
    /// Nothing: appends are refused until a receiver has taken something.
    Block,
}

/// A text that names no variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownName;

/// `ALL`, `name`, `Display` and `FromStr` of an enum with one text per variant.
macro_rules! named {
    ($name:ident, $($variant:ident = $text:literal),+ $(,)?) => {
        impl $name {
            /// Every variant, in the order of its documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// The text of every variant, in the same order.
            pub const NAMES: &'static [&'static str] = &[$($text),+];

            /// The text of the variant in configuration files.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        impl FromStr for $name {
            type Err = UnknownName;

            fn from_str(text: &str) -> Result<Self, UnknownName> {
                Self::ALL.iter().copied().find(|variant| variant.name() == text).ok_or(UnknownName)
            }
        }
    };
}

named!(Durability, Group = "group", Each = "each", None = "none");
named!(Full, DropOldest = "drop-oldest", DropNewest = "drop-newest", Block = "block");

/// A field of [`Policy`] outside its range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    /// Name of the field, as in [`Policy`]; `group_ms` for `group`.
    pub field: &'static str,
    pub value: u64,
    pub accepted: RangeInclusive<u64>,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, value, accepted } = self;
        write!(f, "`{field}` is {value}; it must be from {} to {}", accepted.start(), accepted.end())
    }
}

impl std::error::Error for PolicyError {}

/// Size, durability and what happens when full; every field lies in its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    pub durability: Durability,
    /// Records after which a group is committed.
    pub group_records: u32,
    /// Longest time a record of a group waits for its commit.
    pub group: Duration,
    /// Length of one segment file.
    pub segment_bytes: u64,
    /// All segments together, spare ones included.
    pub max_bytes: u64,
    /// Left free on the file system for others.
    pub keep_free_bytes: u64,
    pub full: Full,
}

impl Default for Policy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Policy {
    pub const DEFAULT: Self = Self {
        durability: Durability::Group,
        group_records: 64,
        group: Duration::from_secs(1),
        segment_bytes: 1 << 20,
        max_bytes: 64 << 20,
        keep_free_bytes: 16 << 20,
        full: Full::DropOldest,
    };

    /// A group must fit into memory beside what waits while the disk refuses writes.
    pub const GROUP_RECORDS: RangeInclusive<u64> = 1..=1024;
    pub const GROUP_MS: RangeInclusive<u64> = 1..=60_000;
    /// The largest record fits into the smallest segment; a segment is scanned as a whole after a crash.
    pub const SEGMENT_BYTES: RangeInclusive<u64> = 65_536..=16_777_216;
    pub const MAX_BYTES: RangeInclusive<u64> = 524_288..=1_099_511_627_776;
    pub const KEEP_FREE_BYTES: RangeInclusive<u64> = 0..=1_099_511_627_776;

    /// The policy itself when every number lies in its range, else the first that does not.
    pub fn checked(self) -> Result<Self, PolicyError> {
        let group_ms = u64::try_from(self.group.as_millis()).unwrap_or(u64::MAX);
        let rows = [
            ("group_records", u64::from(self.group_records), Self::GROUP_RECORDS),
            ("group_ms", group_ms, Self::GROUP_MS),
            ("segment_bytes", self.segment_bytes, Self::SEGMENT_BYTES),
            ("max_bytes", self.max_bytes, Self::MAX_BYTES),
            ("keep_free_bytes", self.keep_free_bytes, Self::KEEP_FREE_BYTES),
        ];
        match rows.into_iter().find(|(_, value, range)| !range.contains(value)) {
            Some((field, value, accepted)) => Err(PolicyError { field, value, accepted }),
            None => Ok(self),
        }
    }

    /// Length of a new segment: at least four fit under `max_bytes`, so dropping one is not dropping all.
    pub(crate) fn segment_len(&self) -> u64 {
        self.segment_bytes.min(self.max_bytes / 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_in_range_and_each_number_outside_is_named() {
        assert_eq!(Policy::default().checked(), Ok(Policy::default()));
        let good = Policy::default();
        let rows = [
            (Policy { group_records: 0, ..good }, "group_records", "a group of none never commits"),
            (Policy { group: Duration::ZERO, ..good }, "group_ms", "no time is class each"),
            (Policy { segment_bytes: 65_535, ..good }, "segment_bytes", "the largest record must fit"),
            (Policy { max_bytes: 1 << 18, ..good }, "max_bytes", "below four small segments"),
            (Policy { keep_free_bytes: 1 << 50, ..good }, "keep_free_bytes", "no disk has that"),
        ];
        for (policy, key, why) in rows {
            assert_eq!(policy.checked().unwrap_err().field, key, "{why}");
        }
    }

    #[test]
    fn classes_read_back_from_their_names_and_others_are_refused_with_the_choice() {
        for class in [Durability::Group, Durability::Each, Durability::None] {
            assert_eq!(class.name().parse(), Ok(class));
        }
        assert_eq!("drop".parse::<Full>(), Err(UnknownName));
    }

    #[test]
    fn four_segments_fit_under_the_smallest_cap() {
        let small = Policy { max_bytes: 512 << 10, ..Policy::default() };
        assert_eq!(small.segment_len(), 128 << 10);
    }
}
