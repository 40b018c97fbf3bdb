//! PURE. Splits a stream of bytes into lines of limited length.

use super::limits::MAX_LINE_BYTES;

/// The result of a split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileLine<'a> {
    /// Without its line break.
    Whole(&'a [u8]),
    /// Longer than [`MAX_LINE_BYTES`]; the rest of it is skipped.
    TooLong,
    /// The rest of a line that was too long.
    Skipped,
}

/// Splits lines; remembers whether the current line is too long and is being skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineSplitter {
    skipping: bool,
}

impl LineSplitter {
    /// Starts in the middle of a line, whose rest is skipped.
    pub fn within_a_line() -> Self {
        Self { skipping: true }
    }

    /// The first line of `bytes` and its length including the line break; `None` if it is incomplete. With `last`, no
    /// more bytes will follow and the remaining ones are a line.
    pub fn next<'a>(&mut self, bytes: &'a [u8], last: bool) -> Option<(FileLine<'a>, usize)> {
        let end = bytes.iter().position(|&b| b == b'\n');
        let taken = end.map_or(bytes.len(), |end| end + 1);
        let text = &bytes[..end.unwrap_or(bytes.len())];
        let ends = end.is_some() || (last && !bytes.is_empty());
        if self.skipping && !bytes.is_empty() {
            self.skipping = !ends;
            return Some((FileLine::Skipped, taken));
        }
        if text.len() > MAX_LINE_BYTES {
            self.skipping = !ends;
            return Some((FileLine::TooLong, taken));
        }
        ends.then_some((FileLine::Whole(text), taken))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All lines of a text that comes in pieces of `size` bytes, as a file is read.
    fn lines(text: &[u8], size: usize) -> (Vec<Vec<u8>>, usize) {
        let (mut state, mut found, mut too_long) = (LineSplitter::default(), Vec::new(), 0);
        let (mut from, mut to) = (0, 0);
        while from < text.len() {
            let last = to == text.len();
            match state.next(&text[from..to], last) {
                Some((line, taken)) => {
                    from += taken;
                    match line {
                        FileLine::Whole(line) => found.push(line.to_vec()),
                        FileLine::TooLong => too_long += 1,
                        FileLine::Skipped => {}
                    }
                }
                None => to = (to + size).min(text.len()),
            }
        }
        (found, too_long)
    }

    #[test]
    fn lines_are_the_same_however_they_arrive_and_long_ones_cost_only_themselves() {
        let mut text = b"one\n\ntwo\r\n".to_vec();
        text.extend(vec![b'x'; MAX_LINE_BYTES]);
        text.push(b'\n');
        text.extend(vec![b'y'; MAX_LINE_BYTES + 1]);
        text.push(b'\n');
        text.extend(vec![b'z'; 5 * MAX_LINE_BYTES]);
        text.extend(b"\nthree\nfour");
        let want: Vec<Vec<u8>> = [&b"one"[..], b"", b"two\r", &vec![b'x'; MAX_LINE_BYTES], b"three", b"four"]
            .map(<[u8]>::to_vec)
            .to_vec();
        for size in [1, 7, 4096, 4097, 1 << 20] {
            let (found, too_long) = lines(&text, size);
            assert_eq!(
                found.iter().map(Vec::len).collect::<Vec<_>>(),
                [3, 0, 4, MAX_LINE_BYTES, 5, 4],
                "{size}"
            );
            assert_eq!((found == want, too_long), (true, 2), "{size}");
        }
    }

    #[test]
    fn a_line_that_has_not_ended_is_waited_for() {
        let mut state = LineSplitter::default();
        assert_eq!(state.next(b"hal", false), None);
        assert_eq!(state.next(b"half\n", false), Some((FileLine::Whole(b"half"), 5)));
        assert_eq!(state.next(b"", true), None, "nothing is no line");
        let mut within = LineSplitter::within_a_line();
        assert_eq!(within.next(b"rest\nnew\n", false), Some((FileLine::Skipped, 5)));
        assert_eq!(within.next(b"new\n", false), Some((FileLine::Whole(b"new"), 4)));
    }
}
