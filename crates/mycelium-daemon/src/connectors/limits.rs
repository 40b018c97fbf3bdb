//! Limits of connectors.

/// Connectors of one daemon; each takes a thread.
pub const MAX_CONNECTORS: usize = 8;
/// Largest response or JSON file.
pub const MAX_BODY_BYTES: usize = 64 << 10;
/// Longest line of a followed file.
pub const MAX_LINE_BYTES: usize = 4096;
