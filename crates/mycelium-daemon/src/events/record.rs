//! PURE. The record of one event. Its type can be read without parsing JSON; what the user sent is kept as it was
//! written. `docs/FORMAT.md` has the bytes.

use mycelium_outbox::RecordKind;

/// An event of the user's own: [`StoredEvent`].
pub const EVENT: RecordKind = RecordKind(5);

const VERSION: u8 = 1;
const HAS_ID: u8 = 1;
const HAS_SOURCE: u8 = 2;
const HAS_TIME: u8 = 4;
/// Version, flags, length of the type.
const HEADER_BYTES: usize = 3;

/// Most bytes of the type of an event; its length has one byte.
pub const MAX_TYPE_BYTES: usize = 255;

/// A stored event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredEvent<'a> {
    pub event_type: &'a str,
    /// Whether the attribute is among the members; otherwise delivery adds its default.
    pub has_id: bool,
    pub has_source: bool,
    pub has_time: bool,
    /// The members of the JSON object except `specversion` and `type`, as they were written, separated by commas.
    pub members: &'a str,
}

impl<'a> StoredEvent<'a> {
    /// Appends the payload of the record. `event_type` has 1 to [`MAX_TYPE_BYTES`] bytes.
    pub fn encode(&self, into: &mut Vec<u8>) {
        let Self { event_type, has_id, has_source, has_time, members } = self;
        let flag = |is_set: &bool, bit| if *is_set { bit } else { 0 };
        let flags = flag(has_id, HAS_ID) | flag(has_source, HAS_SOURCE) | flag(has_time, HAS_TIME);
        into.extend_from_slice(&[VERSION, flags, event_type.len() as u8]);
        into.extend_from_slice(event_type.as_bytes());
        into.extend_from_slice(members.as_bytes());
    }

    /// `None` if this is not a payload of this version.
    pub fn decode(payload: &'a [u8]) -> Option<Self> {
        let (&[version, flags, len], rest) = payload.split_first_chunk::<HEADER_BYTES>()?;
        let (event_type, members) = rest.split_at_checked(usize::from(len))?;
        let valid = version == VERSION && flags & !(HAS_ID | HAS_SOURCE | HAS_TIME) == 0 && len > 0;
        valid.then_some(())?;
        Some(Self {
            event_type: str::from_utf8(event_type).ok()?,
            has_id: flags & HAS_ID != 0,
            has_source: flags & HAS_SOURCE != 0,
            has_time: flags & HAS_TIME != 0,
            members: str::from_utf8(members).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_decodes_equal_and_other_payloads_are_refused() {
        for bits in 0..8 {
            let event = StoredEvent {
                event_type: "com.example.door",
                has_id: bits & 1 != 0,
                has_source: bits & 2 != 0,
                has_time: bits & 4 != 0,
                members: "\"data\":{\"open\": true}",
            };
            let mut bytes = Vec::new();
            event.encode(&mut bytes);
            assert_eq!(StoredEvent::decode(&bytes), Some(event));
        }
        let rows: [&[u8]; 8] = [
            b"",
            b"\x01\x00",
            b"\x01\x00\x00\"data\":1",
            b"\x02\x00\x01a",
            b"\x01\x08\x01a",
            b"\x01\x00\x02a",
            b"\x01\x00\x01\xff",
            b"\x01\x00\x01a\xff",
        ];
        for bytes in rows {
            assert_eq!(StoredEvent::decode(bytes), None, "{bytes:?}");
        }
    }
}
