//! PURE. How durable, how large and what gives way when there is no room.

use std::time::Duration;

use crate::bounds::{Interval, OutOfRange, texts};

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

texts!(Durability, "outbox.durability", Group = "group", Each = "each", None = "none");
texts!(Full, "outbox.full", DropOldest = "drop-oldest", DropNewest = "drop-newest", Block = "block");

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
        Self {
            durability: Durability::Group,
            group_records: 64,
            group: Duration::from_secs(1),
            segment_bytes: 1 << 20,
            max_bytes: 64 << 20,
            keep_free_bytes: 16 << 20,
            full: Full::DropOldest,
        }
    }
}

impl Policy {
    /// A group must fit into memory beside what waits while the disk refuses writes.
    pub const GROUP_RECORDS: Interval = Interval::closed(1.0, 1024.0);
    pub const GROUP_MS: Interval = Interval::closed(1.0, 60_000.0);
    /// The largest record fits into the smallest segment; a segment is scanned as a whole after a crash.
    pub const SEGMENT_BYTES: Interval = Interval::closed(65_536.0, 16_777_216.0);
    pub const MAX_BYTES: Interval = Interval::closed(524_288.0, 1_099_511_627_776.0);
    pub const KEEP_FREE_BYTES: Interval = Interval::closed(0.0, 1_099_511_627_776.0);

    /// The policy itself when every number lies in its range, else the first that does not.
    pub fn checked(self) -> Result<Self, OutOfRange> {
        Self::GROUP_RECORDS.check("outbox.group_records", f64::from(self.group_records))?;
        Self::GROUP_MS.check("outbox.group_ms", self.group.as_millis() as f64)?;
        Self::SEGMENT_BYTES.check("outbox.segment_bytes", self.segment_bytes as f64)?;
        Self::MAX_BYTES.check("outbox.max_bytes", self.max_bytes as f64)?;
        Self::KEEP_FREE_BYTES.check("outbox.keep_free_bytes", self.keep_free_bytes as f64)?;
        Ok(self)
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
            (Policy { group_records: 0, ..good }, "outbox.group_records", "a group of none never commits"),
            (Policy { group: Duration::ZERO, ..good }, "outbox.group_ms", "no time is class each"),
            (Policy { segment_bytes: 65_535, ..good }, "outbox.segment_bytes", "the largest record must fit"),
            (Policy { max_bytes: 1 << 18, ..good }, "outbox.max_bytes", "below four small segments"),
            (Policy { keep_free_bytes: 1 << 50, ..good }, "outbox.keep_free_bytes", "no disk has that"),
        ];
        for (policy, key, why) in rows {
            assert_eq!(policy.checked().unwrap_err().key, key, "{why}");
        }
    }

    #[test]
    fn classes_read_back_from_their_names_and_others_are_refused_with_the_choice() {
        for class in [Durability::Group, Durability::Each, Durability::None] {
            assert_eq!(class.name().parse(), Ok(class));
        }
        let refused = "drop".parse::<Full>().unwrap_err();
        assert_eq!(
            refused.to_string(),
            "`outbox.full` is \"drop\"; it must be drop-oldest | drop-newest | block"
        );
    }

    #[test]
    fn four_segments_fit_under_the_smallest_cap() {
        let small = Policy { max_bytes: 512 << 10, ..Policy::default() };
        assert_eq!(small.segment_len(), 128 << 10);
    }
}
