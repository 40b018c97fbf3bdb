//! PURE. The payloads of the dead-letter file: a rejected record with the reason, and the state of an earlier one.

use super::name::SafeName;
use super::record::{Position, RecordKind, RecordMeta};
use super::u64_at;
use crate::time::{BootId, Mono, Stamp, Wall};

const VERSION: u16 = 1;
/// Bytes of a dead letter before its texts.
const FIXED_BYTES: usize = 64;
/// Longest reason stored, in bytes.
const MAX_REASON_BYTES: usize = 200;

/// A stored dead letter, as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Number within the dead-letter file, from 1, never reused.
    pub id: u64,
    /// The endpoint that rejected it.
    pub endpoint: SafeName,
    /// Event id of the record, `<device>-<boot>-<seq>`.
    pub event_id: String,
    /// What its payload is.
    pub kind: RecordKind,
    /// Both clocks when the record was appended.
    pub stamp: Stamp,
    /// Status code of the rejection, 0 when there was none.
    pub status: u16,
    /// Why it was rejected, cut to 200 bytes.
    pub reason: String,
    /// Length of the payload.
    pub payload_bytes: u32,
    /// It is to be delivered again.
    pub replay: bool,
}

/// What happens to a dead letter; the discriminant is the payload of a [`RecordKind::DEAD_LETTER_STATE`] record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeadLetterState {
    /// It is kept and not delivered.
    Dead = 0,
    /// It is to be delivered again.
    Replay = 1,
    /// It was delivered or discarded.
    Removed = 2,
}

impl DeadLetterState {
    /// An unknown code leaves the letter dead.
    pub fn decode(payload: &[u8]) -> Self {
        match payload.first() {
            Some(1) => Self::Replay,
            Some(2) => Self::Removed,
            _ => Self::Dead,
        }
    }
}

/// A rejected record: everything that is needed to deliver it again, and why it was rejected.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetterRecord<'a> {
    /// The record as it was, with its position in the log.
    pub meta: RecordMeta,
    /// The device it comes from.
    pub device: SafeName,
    /// Its wall time, where that was corrected.
    pub corrected: Option<Wall>,
    /// The endpoint that rejected it.
    pub endpoint: SafeName,
    /// Status code of the rejection, 0 when there was none.
    pub status: u16,
    /// Why; bytes above 200 are cut off.
    pub reason: &'a str,
    /// Its payload.
    pub payload: &'a [u8],
}

impl<'a> DeadLetterRecord<'a> {
    fn stored_reason(&self) -> &str {
        truncated(self.reason, MAX_REASON_BYTES)
    }

    /// Bytes that [`DeadLetterRecord::encode`] appends.
    pub(crate) fn encoded_len(&self) -> usize {
        let texts = [self.endpoint.as_str(), self.device.as_str(), self.stored_reason()];
        FIXED_BYTES + texts.map(str::len).iter().sum::<usize>() + self.payload.len()
    }

    /// Appends the encoded record to `out`.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let reason = self.stored_reason();
        let meta = &self.meta;
        let mut fixed = [0; FIXED_BYTES];
        fixed[..2].copy_from_slice(&VERSION.to_le_bytes());
        fixed[2..4].copy_from_slice(&self.status.to_le_bytes());
        fixed[4] = u8::from(meta.stamp.synced) | u8::from(self.corrected.is_some()) << 1;
        fixed[5] = meta.kind.0;
        fixed[6] = meta.priority;
        fixed[7] = self.endpoint.as_str().len() as u8;
        fixed[8] = self.device.as_str().len() as u8;
        fixed[9] = reason.len() as u8;
        let wall = meta.stamp.wall.0.cast_unsigned();
        let corrected = self.corrected.map_or(0, |w| w.0.cast_unsigned());
        let numbers = [meta.position.0, meta.seq, meta.boot.0, meta.stamp.mono.0, wall, corrected];
        for (to, number) in fixed[16..].chunks_exact_mut(8).zip(numbers) {
            to.copy_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&fixed);
        for text in [self.endpoint.as_str(), self.device.as_str(), reason] {
            out.extend_from_slice(text.as_bytes());
        }
        out.extend_from_slice(self.payload);
    }

    /// `None` for anything but a dead letter of this version.
    pub(crate) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (fixed, rest) = bytes.split_first_chunk::<FIXED_BYTES>()?;
        if fixed[..2] != VERSION.to_le_bytes() {
            return None;
        }
        let (endpoint, rest) = rest.split_at_checked(fixed[7] as usize)?;
        let (device, rest) = rest.split_at_checked(fixed[8] as usize)?;
        let (reason, payload) = rest.split_at_checked(fixed[9] as usize)?;
        let text = |bytes| std::str::from_utf8(bytes).ok();
        let stamp = Stamp {
            mono: Mono(u64_at(fixed, 40)),
            wall: Wall(u64_at(fixed, 48).cast_signed()),
            synced: fixed[4] & 1 == 1,
        };
        let meta = RecordMeta {
            position: Position(u64_at(fixed, 16)),
            seq: u64_at(fixed, 24),
            boot: BootId(u64_at(fixed, 32)),
            kind: RecordKind(fixed[5]),
            priority: fixed[6],
            stamp,
        };
        Some(Self {
            meta,
            device: SafeName::new(text(device)?)?,
            corrected: (fixed[4] & 2 != 0).then(|| Wall(u64_at(fixed, 56).cast_signed())),
            endpoint: SafeName::new(text(endpoint)?)?,
            status: u16::from_le_bytes([fixed[2], fixed[3]]),
            reason: text(reason)?,
            payload,
        })
    }

    /// The record as it is listed.
    pub(crate) fn summary(&self, id: u64, replay: bool) -> DeadLetter {
        DeadLetter {
            id,
            endpoint: self.endpoint.clone(),
            event_id: self.meta.event_id(&self.device),
            kind: self.meta.kind,
            stamp: self.meta.stamp,
            status: self.status,
            reason: self.reason.to_owned(),
            payload_bytes: self.payload.len() as u32,
            replay,
        }
    }
}

/// The longest prefix of `text` within `max_bytes` that ends between characters.
fn truncated(text: &str, max_bytes: usize) -> &str {
    let end = (0..=max_bytes.min(text.len())).rev().find(|&at| text.is_char_boundary(at));
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_letter_decodes_equal_with_its_reason_cut_between_characters() {
        let meta = RecordMeta {
            position: Position(7),
            seq: 3,
            boot: BootId(9),
            kind: RecordKind(4),
            priority: 1,
            stamp: Stamp { mono: Mono(1), wall: Wall(-2), synced: false },
        };
        let reason = "\u{fc}".repeat(150);
        let record = DeadLetterRecord {
            meta,
            device: SafeName::new("edge-1").unwrap(),
            corrected: Some(Wall(5)),
            endpoint: SafeName::new("hub").unwrap(),
            status: 422,
            reason: &reason,
            payload: b"abc",
        };
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        assert_eq!(bytes.len(), record.encoded_len());
        let decoded = DeadLetterRecord::decode(&bytes).unwrap();
        assert_eq!(decoded, DeadLetterRecord { reason: &reason[..200], ..record });
        let listed = decoded.summary(12, true);
        assert_eq!((listed.id, listed.status, listed.replay), (12, 422, true));
        assert_eq!(listed.reason, "\u{fc}".repeat(100));
        assert_eq!(listed.event_id, "edge-1-0000000000000009-3");
        for short in [0, FIXED_BYTES - 1, FIXED_BYTES + 5] {
            assert!(DeadLetterRecord::decode(&bytes[..short]).is_none(), "{short} bytes");
        }
    }
}
