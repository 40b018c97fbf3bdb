//! PURE. How durable and how large an outbox is, and what happens when it is full.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

/// Most records in memory at the same time: queued, being written, and waiting while the disk refuses writes.
pub const MAX_RECORDS_IN_MEMORY: usize = 4_032;

/// When a record counts as durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// One `fdatasync` for several records: after `group_records` or `group`, whichever comes first.
    Group,
    /// One `fdatasync` for every append.
    Each,
    /// Never, except after a flush and a shutdown: records are written and not synced.
    None,
}

/// What happens when the outbox has reached `max_bytes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverflowPolicy {
    /// The oldest segment is dropped, and a gap record says so.
    DropOldest,
    /// New records are dropped, and a gap record says so.
    DropNewest,
    /// Appends return an error until an endpoint has acknowledged records.
    Block,
}

/// A text that names no variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownPolicyName;

/// `ALL`, `name`, `Display` and `FromStr` of an enum with one text per variant.
macro_rules! string_enum {
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
            type Err = UnknownPolicyName;

            fn from_str(text: &str) -> Result<Self, UnknownPolicyName> {
                Self::ALL.iter().copied().find(|variant| variant.name() == text).ok_or(UnknownPolicyName)
            }
        }
    };
}

string_enum!(Durability, Group = "group", Each = "each", None = "none");
string_enum!(OverflowPolicy, DropOldest = "drop-oldest", DropNewest = "drop-newest", Block = "block");

/// A field of [`OutboxPolicy`] outside its range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    /// Name of the field, as in [`OutboxPolicy`]; `group_ms` for `group`.
    pub field: &'static str,
    /// The value it has.
    pub value: u64,
    /// The values it may have.
    pub accepted: RangeInclusive<u64>,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, value, accepted } = self;
        write!(f, "`{field}` is {value}; it must be from {} to {}", accepted.start(), accepted.end())
    }
}

impl std::error::Error for PolicyError {}

/// Size, durability and overflow. [`OutboxPolicy::checked`] tells whether every field is in its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboxPolicy {
    /// When a record counts as durable.
    pub durability: Durability,
    /// Records after which a group is committed.
    pub group_records: u32,
    /// Longest time a record of a group waits for its commit.
    pub group: Duration,
    /// Length of one segment file; at most a quarter of `max_bytes` is used.
    pub segment_bytes: u64,
    /// Most bytes of all segment files together, spare ones included.
    pub max_bytes: u64,
    /// Bytes of the file system that are left free for others.
    pub keep_free_bytes: u64,
    /// What happens when `max_bytes` is reached.
    pub full: OverflowPolicy,
}

impl Default for OutboxPolicy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl OutboxPolicy {
    /// The default policy.
    pub const DEFAULT: Self = Self {
        durability: Durability::Group,
        group_records: 64,
        group: Duration::from_secs(1),
        segment_bytes: 1 << 20,
        max_bytes: 64 << 20,
        keep_free_bytes: 16 << 20,
        full: OverflowPolicy::DropOldest,
    };

    /// Accepted values of `group_records`: a group must fit into memory.
    pub const GROUP_RECORDS: RangeInclusive<u64> = 1..=1024;
    /// Accepted values of `group`, in milliseconds.
    pub const GROUP_MS: RangeInclusive<u64> = 1..=60_000;
    /// Accepted values of `segment_bytes`: the largest record fits into the smallest segment, and a start scans a whole
    /// segment.
    pub const SEGMENT_BYTES: RangeInclusive<u64> = 65_536..=16_777_216;
    /// Accepted values of `max_bytes`.
    pub const MAX_BYTES: RangeInclusive<u64> = 524_288..=1_099_511_627_776;
    /// Accepted values of `keep_free_bytes`.
    pub const KEEP_FREE_BYTES: RangeInclusive<u64> = 0..=1_099_511_627_776;

    /// The policy itself if every number is in its range.
    ///
    /// # Errors
    /// The first number that is not.
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

    /// Length of a new segment: at least four fit into `max_bytes`, so that dropping one does not drop everything.
    pub(crate) fn segment_len(&self) -> u64 {
        self.segment_bytes.min(self.max_bytes / 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_in_range_and_each_number_outside_is_named() {
        assert_eq!(OutboxPolicy::default().checked(), Ok(OutboxPolicy::default()));
        let good = OutboxPolicy::default();
        let rows = [
            (OutboxPolicy { group_records: 0, ..good }, "group_records", "an empty group never commits"),
            (OutboxPolicy { group: Duration::ZERO, ..good }, "group_ms", "no time at all is `each`"),
            (OutboxPolicy { segment_bytes: 65_535, ..good }, "segment_bytes", "the largest record must fit"),
            (OutboxPolicy { max_bytes: 1 << 18, ..good }, "max_bytes", "below four small segments"),
            (OutboxPolicy { keep_free_bytes: 1 << 50, ..good }, "keep_free_bytes", "no disk has that"),
        ];
        for (policy, key, why) in rows {
            assert_eq!(policy.checked().unwrap_err().field, key, "{why}");
        }
    }

    #[test]
    fn names_parse_to_their_variants_and_others_are_refused() {
        for class in [Durability::Group, Durability::Each, Durability::None] {
            assert_eq!(class.name().parse(), Ok(class));
        }
        assert_eq!("drop".parse::<OverflowPolicy>(), Err(UnknownPolicyName));
    }

    #[test]
    fn four_segments_fit_into_the_smallest_limit() {
        let small = OutboxPolicy { max_bytes: 512 << 10, ..OutboxPolicy::default() };
        assert_eq!(small.segment_len(), 128 << 10);
    }
}
