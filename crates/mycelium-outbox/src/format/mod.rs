//! PURE. The bytes of every file of an outbox directory: encoders, decoders and file names, without any I/O.
//!
//! `docs/FORMAT.md` describes every byte. All numbers are little-endian; every structure carries a CRC-32, and a
//! decoder never panics on any input.

pub mod clock_sync;
pub mod cursor;
pub mod dead_letter;
pub mod file_name;
pub mod gap;
pub mod name;
pub mod record;
pub mod segment;

/// CRC-32 (IEEE 802.3, reflected, as in zlib) of `bytes`.
pub fn crc(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

/// The `u32` at `bytes[at..at + 4]`; the caller has checked the length.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(*bytes[at..].first_chunk().expect("the caller checked the length"))
}

/// The `u64` at `bytes[at..at + 8]`; the caller has checked the length.
fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*bytes[at..].first_chunk().expect("the caller checked the length"))
}
