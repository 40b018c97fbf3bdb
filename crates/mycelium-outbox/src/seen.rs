//! PURE. Which records were appended lately, so that a repeated one is not stored again.

/// Keys that are remembered; a later one replaces the oldest.
pub const MAX_SEEN_KEYS: usize = 4_096;

/// What two records have in common if they say the same: for example the first 16 bytes of a digest.
pub type RecordKey = [u8; 16];

/// No entry.
const NONE: u16 = u16::MAX;
const _: () = assert!(MAX_SEEN_KEYS < NONE as usize);

#[derive(Clone, Copy, Debug)]
struct SeenEntry {
    key: RecordKey,
    seq: u64,
    /// Next older entry of the same bucket.
    next: u16,
}

/// The newest keys with the sequence numbers of their records. Without keys it takes no memory.
///
/// Invariant: each bucket lists its entries from the newest to the oldest, so the entry to be replaced is the last of
/// its bucket.
#[derive(Debug, Default)]
pub(crate) struct SeenKeys {
    entries: Vec<SeenEntry>,
    /// Newest entry of each bucket; empty before the first key.
    buckets: Vec<u16>,
    /// Entry that the next key replaces, once all are in use.
    oldest: usize,
}

/// Most bytes of memory the remembered keys take.
pub const SEEN_KEYS_BYTES: usize = MAX_SEEN_KEYS * 34;
const _: () = assert!(SEEN_KEYS_BYTES == MAX_SEEN_KEYS * (size_of::<SeenEntry>() + size_of::<u16>()));

impl SeenKeys {
    /// Keys are digests: any of their bits spread well.
    fn bucket(key: &RecordKey) -> usize {
        usize::from(u16::from_le_bytes([key[0], key[1]])) % MAX_SEEN_KEYS
    }

    /// The sequence number of the record with this key.
    pub fn find(&self, key: &RecordKey) -> Option<u64> {
        let mut at = *self.buckets.get(Self::bucket(key))?;
        while let Some(entry) = self.entries.get(usize::from(at)) {
            if entry.key == *key {
                return Some(entry.seq);
            }
            at = entry.next;
        }
        None
    }

    /// Remembers a key that [`SeenKeys::find`] does not know.
    pub fn insert(&mut self, key: RecordKey, seq: u64) {
        if self.buckets.is_empty() {
            self.buckets = vec![NONE; MAX_SEEN_KEYS];
        }
        let at = if self.entries.len() < MAX_SEEN_KEYS {
            self.entries.push(SeenEntry { key, seq, next: NONE });
            self.entries.len() - 1
        } else {
            let at = self.oldest;
            self.oldest = (at + 1) % MAX_SEEN_KEYS;
            self.unlink(at);
            at
        };
        let bucket = &mut self.buckets[Self::bucket(&key)];
        self.entries[at] = SeenEntry { key, seq, next: *bucket };
        *bucket = at as u16;
    }

    /// Takes the oldest entry of all, which is the last of its bucket, out of it.
    fn unlink(&mut self, last: usize) {
        let bucket = Self::bucket(&self.entries[last].key);
        let mut at = self.buckets[bucket];
        if usize::from(at) == last {
            self.buckets[bucket] = NONE;
            return;
        }
        while let Some(entry) = self.entries.get_mut(usize::from(at)) {
            if usize::from(entry.next) == last {
                entry.next = NONE;
                return;
            }
            at = entry.next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u64) -> RecordKey {
        let mixed = (u128::from(n) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        (mixed ^ mixed >> 61).to_le_bytes()
    }

    #[test]
    fn the_newest_keys_are_known_and_older_ones_are_forgotten() {
        let mut seen = SeenKeys::default();
        assert_eq!(seen.find(&key(1)), None);
        for n in 1..=3 * MAX_SEEN_KEYS as u64 {
            seen.insert(key(n), n);
            assert_eq!(seen.find(&key(n)), Some(n));
            let oldest = (n + 1).saturating_sub(MAX_SEEN_KEYS as u64).max(1);
            assert_eq!(seen.find(&key(oldest)), Some(oldest), "{n}");
            assert_eq!(seen.find(&key(oldest - 1)), None, "{n}");
        }
        assert!(seen.entries.capacity() * size_of::<SeenEntry>() <= SEEN_KEYS_BYTES);
    }

    #[test]
    fn keys_of_one_bucket_do_not_hide_each_other() {
        let mut seen = SeenKeys::default();
        let same = |n: u8| -> RecordKey { [1, 0, n, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] };
        (0..200).for_each(|n| seen.insert(same(n), u64::from(n)));
        assert!((0..200).all(|n| seen.find(&same(n)) == Some(u64::from(n))));
    }
}
