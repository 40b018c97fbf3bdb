//! PURE. A dead letter as bytes: the whole record, and who refused it and why.

use super::endpoint::Name;
use super::fetch::event_id;
use super::record::{Header, Kind, Position};
use crate::time::{BootId, Mono, Stamp, Wall};

const VERSION: u16 = 1;
/// Bytes of a dead letter before its texts.
pub(super) const FIXED: usize = 64;
/// Longest reason kept.
const REASON: usize = 200;

/// Why a record became a dead letter, and what is to become of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    pub id: u64,
    pub endpoint: Name,
    pub event_id: String,
    pub kind: Kind,
    pub stamp: Stamp,
    /// HTTP status of the refusal, 0 when there was none.
    pub status: u16,
    pub reason: String,
    pub payload_bytes: u32,
    /// It is to be sent again.
    pub replay: bool,
}

/// A record as it was when it was refused.
#[derive(Clone, Debug)]
pub struct Original<'a> {
    pub header: Header,
    pub device: &'a Name,
    pub corrected: Option<Wall>,
    pub payload: &'a [u8],
}

/// Who refused it, and how.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'a> {
    pub endpoint: &'a Name,
    pub status: u16,
    pub reason: &'a str,
}

impl Original<'_> {
    pub(super) fn encode(&self, refusal: &Refusal<'_>, out: &mut Vec<u8>) {
        let reason = cut(refusal.reason, REASON);
        let h = &self.header;
        let mut fixed = [0; FIXED];
        fixed[..2].copy_from_slice(&VERSION.to_le_bytes());
        fixed[2..4].copy_from_slice(&refusal.status.to_le_bytes());
        fixed[4] = u8::from(h.stamp.synced) | u8::from(self.corrected.is_some()) << 1;
        fixed[5] = h.kind.code();
        fixed[6] = h.priority;
        fixed[7] = refusal.endpoint.as_str().len() as u8;
        fixed[8] = self.device.as_str().len() as u8;
        fixed[9] = reason.len() as u8;
        let wall = h.stamp.wall.0.cast_unsigned();
        let corrected = self.corrected.map_or(0, |w| w.0.cast_unsigned());
        let numbers = [h.position.0, h.seq, h.boot.0, h.stamp.mono.0, wall, corrected];
        for (to, number) in fixed[16..].chunks_exact_mut(8).zip(numbers) {
            to.copy_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&fixed);
        for text in [refusal.endpoint.as_str(), self.device.as_str(), reason] {
            out.extend_from_slice(text.as_bytes());
        }
        out.extend_from_slice(self.payload);
    }
}

/// The longest start of `text` within `most` bytes.
fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|&at| text.is_char_boundary(at));
    &text[..end.unwrap_or(0)]
}

/// A dead letter read back.
pub(super) struct Letter<'a> {
    header: Header,
    pub endpoint: Name,
    pub device: Name,
    pub corrected: Option<Wall>,
    status: u16,
    reason: &'a str,
    pub payload: &'a [u8],
}

impl<'a> Letter<'a> {
    pub(super) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (fixed, rest) = bytes.split_first_chunk::<FIXED>()?;
        if fixed[..2] != VERSION.to_le_bytes() {
            return None;
        }
        let number =
            |at: usize| u64::from_le_bytes(*fixed[at..].first_chunk().expect("inside the fixed part"));
        let (endpoint, rest) = rest.split_at_checked(fixed[7] as usize)?;
        let (device, rest) = rest.split_at_checked(fixed[8] as usize)?;
        let (reason, payload) = rest.split_at_checked(fixed[9] as usize)?;
        let text = |bytes| std::str::from_utf8(bytes).ok();
        let stamp =
            Stamp { mono: Mono(number(40)), wall: Wall(number(48).cast_signed()), synced: fixed[4] & 1 == 1 };
        let header = Header {
            position: Position(number(16)),
            seq: number(24),
            boot: BootId(number(32)),
            kind: Kind::of(fixed[5]),
            priority: fixed[6],
            stamp,
            device_tag: 0,
            payload_len: payload.len() as u32,
            payload_crc: 0,
        };
        Some(Self {
            header,
            endpoint: Name::new(text(endpoint)?)?,
            device: Name::new(text(device)?)?,
            corrected: (fixed[4] & 2 != 0).then(|| Wall(number(56).cast_signed())),
            status: u16::from_le_bytes([fixed[2], fixed[3]]),
            reason: text(reason)?,
            payload,
        })
    }

    pub(super) fn header(&self, id: u64) -> Header {
        Header { position: Position(id), ..self.header }
    }

    pub(super) fn describe(&self, id: u64, replay: bool) -> DeadLetter {
        DeadLetter {
            id,
            endpoint: self.endpoint.clone(),
            event_id: event_id(&self.device, self.header.boot, self.header.seq),
            kind: self.header.kind,
            stamp: self.header.stamp,
            status: self.status,
            reason: self.reason.to_owned(),
            payload_bytes: self.payload.len() as u32,
            replay,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_reads_back_equal_with_its_reason_cut_between_characters() {
        let stamp = Stamp { mono: Mono(1), wall: Wall(-2), synced: false };
        let header = Header {
            position: Position(7),
            seq: 3,
            boot: BootId(9),
            kind: Kind::Event,
            priority: 1,
            stamp,
            device_tag: 0,
            payload_len: 3,
            payload_crc: 0,
        };
        let (hub, device) = (Name::new("hub").unwrap(), Name::new("edge-1").unwrap());
        let reason = "\u{fc}".repeat(150);
        let original = Original { header, device: &device, corrected: Some(Wall(5)), payload: b"abc" };
        let mut bytes = Vec::new();
        original.encode(&Refusal { endpoint: &hub, status: 422, reason: &reason }, &mut bytes);
        let letter = Letter::decode(&bytes).unwrap();
        assert_eq!((letter.header, letter.payload, letter.corrected), (header, &b"abc"[..], Some(Wall(5))));
        let told = letter.describe(12, true);
        assert_eq!((told.id, told.status, told.replay), (12, 422, true));
        assert_eq!(told.reason, "\u{fc}".repeat(100));
        assert_eq!(told.event_id, "edge-1-0000000000000009-3");
        for short in [0, FIXED - 1, FIXED + 5] {
            assert!(Letter::decode(&bytes[..short]).is_none(), "{short} bytes");
        }
    }
}
