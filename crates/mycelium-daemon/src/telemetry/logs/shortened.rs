//! PURE. Values cut to their share of a log line.

use std::fmt::{Display, Result, Write};

/// A value as text, cut where it would take more than its share of the line. It never holds more than that, however
/// long the value is.
pub struct Shortened {
    pub text: String,
    /// Most bytes that the text takes in the line, with escapes.
    pub cost: usize,
}

impl Shortened {
    /// Bytes kept for `… (18446744073709551615 bytes)`.
    pub const SUFFIX_BYTES: usize = 32;

    /// At most `limit` bytes, of which `len` says how many a character takes. A cut text ends with the length of the
    /// whole value, in bytes.
    pub fn new(value: impl Display, limit: usize, len: fn(char) -> usize) -> Self {
        let limit = limit.saturating_sub(Self::SUFFIX_BYTES);
        let mut cutter = Cutter { text: String::new(), cost: 0, limit, len, bytes: 0, cut: false };
        // An error of the value itself ends its text.
        let _failed = write!(cutter, "{value}");
        let Cutter { mut text, mut cost, bytes, cut, .. } = cutter;
        if cut {
            write!(text, "… ({bytes} bytes)").expect("writing to a String cannot fail");
            cost += Self::SUFFIX_BYTES;
        }
        Self { text, cost }
    }
}

struct Cutter {
    text: String,
    cost: usize,
    limit: usize,
    len: fn(char) -> usize,
    /// Length of the whole value.
    bytes: usize,
    cut: bool,
}

impl Write for Cutter {
    fn write_str(&mut self, piece: &str) -> Result {
        self.bytes += piece.len();
        for c in piece.chars() {
            let cost = self.cost + (self.len)(c);
            if self.cut || cost > self.limit {
                self.cut = true;
                break;
            }
            self.cost = cost;
            self.text.push(c);
        }
        Ok(())
    }
}
