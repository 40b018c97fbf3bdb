//! PURE. W3C trace context, as far as a server needs it: whose request this is a part of.

/// A valid `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    pub trace_id: u128,
    /// The caller's span.
    pub parent_id: u64,
    pub sampled: bool,
}

impl TraceParent {
    /// Version 00, or a later one read as 00 (Trace Context level 1, section 3.2).
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let mut parts = text.splitn(5, '-');
        let version = hex(parts.next()?, 2)?;
        let trace_id = hex(parts.next()?, 32)?;
        let parent_id = hex(parts.next()?, 16)? as u64;
        let flags = hex(parts.next()?, 2)?;
        let more = parts.next().is_some();
        let known = version != 0xff && (version != 0 || !more);
        (known && trace_id != 0 && parent_id != 0).then_some(Self {
            trace_id,
            parent_id,
            sampled: flags & 1 == 1,
        })
    }
}

fn hex(text: &str, digits: usize) -> Option<u128> {
    let fits = text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if fits { u128::from_str_radix(text, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_recommendation_allows_is_taken_over() {
        let valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let parent = TraceParent::parse(valid.as_bytes()).unwrap();
        assert_eq!(parent.trace_id, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert_eq!((parent.parent_id, parent.sampled), (0x00f0_67aa_0ba9_02b7, true));
        let rows = [
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x", false, "version 00 ends there"),
            ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x", true, "a later version may go on"),
            ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false, "version ff is none"),
            ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", false, "trace id zero"),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false, "parent id zero"),
            ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false, "capitals"),
            ("00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01", false, "one digit short"),
            ("", false, "empty"),
            ("00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false, "a sign is no digit"),
        ];
        for (text, want, why) in rows {
            assert_eq!(TraceParent::parse(text.as_bytes()).is_some(), want, "{why}");
        }
    }
}
