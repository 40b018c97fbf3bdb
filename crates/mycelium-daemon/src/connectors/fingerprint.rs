//! Identifies files by name and metadata, without opening them.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use crate::formats::hex::sha256;

/// The first eight bytes of the SHA-256.
pub(super) fn short_hash(bytes: &[u8]) -> u64 {
    sha256(bytes)[..8].iter().fold(0, |hash, &byte| hash << 8 | u64::from(byte))
}

/// Changes when the file is written or replaced.
pub(super) fn fingerprint(found: &Metadata) -> u64 {
    let facts = [
        found.mtime().cast_unsigned(),
        found.mtime_nsec().cast_unsigned(),
        found.ctime().cast_unsigned(),
        found.ctime_nsec().cast_unsigned(),
        found.len(),
        found.ino(),
    ];
    short_hash(&facts.map(u64::to_le_bytes).concat())
}
