//! PURE. Records that are accepted together or not at all, and whose caller learns when they are durable.

use std::collections::VecDeque;

use crate::error::AppendError;
use crate::format::record::RecordKind;
use crate::seen::RecordKey;
use crate::time::{Mono, Stamp};

/// Most records of groups that wait for the outbox thread.
pub const MAX_QUEUED_GROUP_RECORDS: usize = 2_048;
/// Most bytes of their payloads.
pub const MAX_QUEUED_GROUP_BYTES: usize = 512 << 10;

/// One record of a group.
#[derive(Clone, Copy, Debug)]
struct GroupRecord {
    len: usize,
    key: Option<RecordKey>,
}

/// Records of one kind and time, in order.
#[derive(Clone, Debug)]
pub struct RecordGroup {
    /// What the payloads are.
    pub kind: RecordKind,
    /// Both clocks when they were handed over.
    pub stamp: Stamp,
    payloads: Vec<u8>,
    records: Vec<GroupRecord>,
}

impl RecordGroup {
    /// A group without records.
    pub fn new(kind: RecordKind, stamp: Stamp) -> Self {
        Self { kind, stamp, payloads: Vec::new(), records: Vec::new() }
    }

    /// Adds a record. One with a key that was seen among the last [`crate::MAX_SEEN_KEYS`] is not stored again.
    pub fn push(&mut self, payload: &[u8], key: Option<RecordKey>) {
        self.payloads.extend_from_slice(payload);
        self.records.push(GroupRecord { len: payload.len(), key });
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Length of all payloads together.
    pub fn payload_bytes(&self) -> usize {
        self.payloads.len()
    }

    /// Payload and key of each record.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<RecordKey>)> {
        self.records.iter().scan(0, |start, record| {
            let from = *start;
            *start += record.len;
            Some((&self.payloads[from..*start], record.key))
        })
    }
}

/// What became of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupReceipt {
    /// Lowest sequence number of its records, those stored before included.
    pub first_seq: u64,
    /// Highest one.
    pub last_seq: u64,
    /// Records that were stored before and not again.
    pub repeated: usize,
    /// Whether all of them are synced.
    pub durable: bool,
}

/// Called once by the outbox thread; must not wait. Dropped without a call when the outbox ends first.
pub type OnGroup = Box<dyn FnOnce(Result<GroupReceipt, AppendError>) + Send>;

/// A group on its way to the outbox thread.
pub(crate) struct QueuedGroup {
    pub group: RecordGroup,
    /// Call `done` when the records are durable, or at this time; without it, when they are accepted.
    pub wait_until: Option<Mono>,
    pub done: OnGroup,
}

/// Groups in the order of their appends, bounded in records and bytes.
#[derive(Default)]
pub(crate) struct GroupQueue {
    groups: VecDeque<QueuedGroup>,
    records: usize,
    bytes: usize,
}

impl GroupQueue {
    /// Number of groups.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Number of records of all groups.
    pub fn records(&self) -> usize {
        self.records
    }

    /// False when the queue cannot take all of it.
    pub fn push(&mut self, queued: QueuedGroup) -> bool {
        let (records, bytes) = (self.records + queued.group.len(), self.bytes + queued.group.payload_bytes());
        if records > MAX_QUEUED_GROUP_RECORDS || bytes > MAX_QUEUED_GROUP_BYTES {
            return false;
        }
        (self.records, self.bytes) = (records, bytes);
        self.groups.push_back(queued);
        true
    }

    pub fn pop(&mut self) -> Option<QueuedGroup> {
        let queued = self.groups.pop_front()?;
        self.records -= queued.group.len();
        self.bytes -= queued.group.payload_bytes();
        Some(queued)
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Wall;

    fn queued(records: usize, len: usize) -> QueuedGroup {
        let stamp = Stamp { mono: Mono(1), wall: Wall(1), synced: true };
        let mut group = RecordGroup::new(RecordKind(9), stamp);
        (0..records).for_each(|_| group.push(&vec![7; len], None));
        QueuedGroup { group, wait_until: None, done: Box::new(|_| ()) }
    }

    #[test]
    fn a_group_hands_out_its_payloads_as_they_came() {
        let stamp = Stamp { mono: Mono(1), wall: Wall(1), synced: true };
        let mut group = RecordGroup::new(RecordKind(9), stamp);
        for (payload, key) in [(&b"one"[..], None), (b"", Some([1; 16])), (b"three", None)] {
            group.push(payload, key);
        }
        let all: Vec<_> = group.iter().collect();
        assert_eq!(all, [(&b"one"[..], None), (b"", Some([1; 16])), (b"three", None)]);
    }

    #[test]
    fn the_queue_takes_a_group_whole_or_not_at_all() {
        let mut queue = GroupQueue::default();
        for _ in 0..8 {
            assert!(queue.push(queued(256, 10)));
        }
        assert!(!queue.push(queued(1, 1)), "too many records");
        assert!(queue.pop().is_some() && queue.push(queued(256, 1)));
        queue.clear();
        assert!((0..8).all(|_| queue.push(queued(1, 64 << 10))));
        assert!(!queue.push(queued(1, 1)), "too many bytes");
        while queue.pop().is_some() {}
        assert_eq!((queue.records, queue.bytes), (0, 0));
    }
}
