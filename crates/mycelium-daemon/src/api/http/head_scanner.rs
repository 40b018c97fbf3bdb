//! PURE. Finds the end of a request head while it arrives.

use super::error::{HttpError, reject};

/// Bytes of a request head; also the size of a connection's read buffer.
pub const MAX_HEAD_BYTES: usize = 8 * 1024;
/// Bytes of a request target.
pub const MAX_TARGET_BYTES: usize = 2 * 1024;
/// Bytes of a method; the longest registered one has 17.
pub(super) const MAX_METHOD_BYTES: usize = 32;
/// Empty lines before a request that are skipped (RFC 9112 section 2.2 asks for at least one).
const MAX_LEADING_BLANK_LINES: usize = 2;

/// Where a complete head stands in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadExtent {
    /// Offset of the request line: bytes of empty lines before it.
    pub(super) start: usize,
    /// Offset behind the empty line that ends the head.
    pub(super) end: usize,
}

/// Scans each byte of a head once, however many reads it takes to arrive.
///
/// One scanner belongs to one request; each call gets the same buffer with more bytes at its end.
#[derive(Debug, Default)]
pub struct HeadScanner {
    start: usize,
    line_start: usize,
    /// Offset of the first byte that has not been scanned.
    next: usize,
}

impl HeadScanner {
    /// The extent of the head, or `None` while it is incomplete; an error once it can no longer become a head.
    pub fn scan(&mut self, buffer: &[u8]) -> Result<Option<HeadExtent>, HttpError> {
        if self.next == self.start {
            self.skip_blank_lines(buffer)?;
        }
        let text = &buffer[self.start..];
        // The first half of a further empty line.
        if text == b"\r" {
            return Ok(None);
        }
        let mut last = if self.next > self.start { buffer[self.next - 1] } else { 0 };
        for (k, &byte) in buffer.iter().enumerate().skip(self.next) {
            // LF without CR before it, or CR without LF after it.
            if (byte == b'\n') != (last == b'\r') {
                return reject(400, "a line of the request head does not end in CR LF");
            }
            if byte == b'\n' {
                if k == self.line_start + 1 {
                    return Ok(Some(HeadExtent { start: self.start, end: k + 1 }));
                }
                self.line_start = k + 1;
            }
            last = byte;
        }
        self.next = buffer.len();
        check_start(text)?;
        if buffer.len() < MAX_HEAD_BYTES { Ok(None) } else { Err(too_long(text)) }
    }

    fn skip_blank_lines(&mut self, buffer: &[u8]) -> Result<(), HttpError> {
        while buffer[self.start..].starts_with(b"\r\n") {
            self.start += 2;
            if self.start > 2 * MAX_LEADING_BLANK_LINES {
                return reject(400, "there are empty lines instead of a request");
            }
        }
        (self.line_start, self.next) = (self.start, self.start);
        Ok(())
    }
}

/// Rejects early what can no longer become a head, such as a TLS `ClientHello` on the plain port.
fn check_start(text: &[u8]) -> Result<(), HttpError> {
    if text.first().is_some_and(|b| !b.is_ascii_graphic()) {
        return reject(400, "this is not HTTP: is the client speaking TLS to the plain port?");
    }
    let line = text.iter().position(|&b| b == b'\r').unwrap_or(text.len());
    if line > MAX_TARGET_BYTES + MAX_METHOD_BYTES + " HTTP/1.1 ".len() {
        return reject(414, "the request target is longer than 2048 bytes");
    }
    Ok(())
}

/// The error for a head that does not end within the limit.
pub(super) fn too_long(text: &[u8]) -> HttpError {
    if text.contains(&b'\r') {
        HttpError { status: 431, detail: "the request head is longer than 8192 bytes" }
    } else {
        HttpError { status: 414, detail: "the request target is longer than 2048 bytes" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against `last` starting at 0 in each call, and against counting a lone CR as scanned.
    #[test]
    #[expect(clippy::type_complexity, reason = "rows of a table")]
    fn a_scan_in_pieces_has_the_result_of_one_scan() {
        let rows: [(&[u8], Result<Option<(usize, usize)>, u16>, &str); 11] = [
            (b"GET / HTTP/1.1\r\n\r\nrest", Ok(Some((0, 18))), "a request line and the empty line"),
            (b"\r\n\r\nGET /\r\nA: b\r\n\r\n", Ok(Some((4, 19))), "two empty lines before it"),
            (b"\r\n\r\n\r\n", Err(400), "three"),
            (b"GET /\r\nA: b\r\n\r", Ok(None), "one byte short"),
            (b"\r", Ok(None), "half an empty line"),
            (b"GET /\nA: b\r\n\r\n", Err(400), "LF without CR"),
            (b"GET /\rA: b\r\n\r\n", Err(400), "CR without LF"),
            (b"\rGET /\r\n\r\n", Err(400), "CR without LF before the request line"),
            (b"\n", Err(400), "LF without CR before the request line"),
            (b"\x16\x03\x01", Err(400), "TLS"),
            (b"", Ok(None), "nothing"),
        ];
        for (bytes, want, why) in rows {
            let plain = |result: Result<Option<HeadExtent>, HttpError>| {
                result.map(|extent| extent.map(|e| (e.start, e.end))).map_err(|e| e.status)
            };
            assert_eq!(plain(HeadScanner::default().scan(bytes)), want, "{why}");
            let mut scanner = HeadScanner::default();
            let mut last = Ok(None);
            for end in 0..=bytes.len() {
                last = plain(scanner.scan(&bytes[..end]));
                if last != Ok(None) {
                    break;
                }
            }
            assert_eq!(last, want, "{why}, byte by byte");
        }
    }
}
