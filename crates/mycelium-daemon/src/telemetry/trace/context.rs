//! PURE. W3C Trace Context level 1: reads and writes `traceparent`, checks `tracestate`, samples.

use std::fmt;

/// Ids of a span and its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanContext {
    /// Never 0.
    pub trace_id: u128,
    /// Never 0.
    pub span_id: u64,
    /// The trace is to be recorded.
    pub sampled: bool,
}

impl SpanContext {
    /// A `traceparent` field: version 00 exactly, later versions as far as they look like 00 (section 3.2.4).
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(5, '-');
        let version = hex(parts.next()?, 2)?;
        let trace_id = hex(parts.next()?, 32)?;
        let span_id = hex(parts.next()?, 16)? as u64;
        let flags = hex(parts.next()?, 2)?;
        let has_more = parts.next().is_some();
        let known = version != 0xff && (version != 0 || !has_more);
        let valid = known && trace_id != 0 && span_id != 0;
        valid.then_some(Self { trace_id, span_id, sampled: flags & 1 == 1 })
    }
}

impl SpanContext {
    /// Trace and span id as log lines and receivers write them.
    pub fn ids(self) -> (String, String) {
        (format!("{:032x}", self.trace_id), format!("{:016x}", self.span_id))
    }
}

/// Ids of the request that caused later work, for log lines about that work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestOrigin {
    pub request_id: String,
    /// Ids of the request's span; empty without one.
    pub trace_id: String,
    pub span_id: String,
}

impl RequestOrigin {
    pub fn new(request_id: &str, span: Option<SpanContext>) -> Self {
        let (trace_id, span_id) = span.map(SpanContext::ids).unwrap_or_default();
        Self { request_id: request_id.to_owned(), trace_id, span_id }
    }
}

/// The `traceparent` to send along, version 00.
impl fmt::Display for SpanContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, u8::from(self.sampled))
    }
}

/// Lower-case hexadecimal digits, exactly that many.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let fits = text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if fits { u128::from_str_radix(text, 16).ok() } else { None }
}

/// Whether a `tracestate` is valid and can be passed on: at most 512 bytes and 32 members `key=value`, no key twice
/// (section 3.3). An invalid one is dropped as a whole.
pub fn is_tracestate(text: &str) -> bool {
    const BYTES: usize = 512;
    const MEMBERS: usize = 32;
    if text.len() > BYTES {
        return false;
    }
    let mut keys: heapless::Vec<&str, MEMBERS> = heapless::Vec::new();
    let members = text.split(',').map(|member| member.trim_matches([' ', '\t'])).filter(|m| !m.is_empty());
    for member in members {
        let Some((key, value)) = member.split_once('=') else { return false };
        let valid = is_key(key) && is_value(value) && !keys.contains(&key) && keys.push(key).is_ok();
        if !valid {
            return false;
        }
    }
    !keys.is_empty()
}

fn is_key(key: &str) -> bool {
    let part = |part: &str, most: usize, digit_first: bool| {
        let first = part.as_bytes().first().copied().unwrap_or(b' ');
        let valid_first = first.is_ascii_lowercase() || digit_first && first.is_ascii_digit();
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-*/".contains(&b);
        valid_first && part.len() <= most && part.bytes().all(plain)
    };
    match key.split_once('@') {
        Some((tenant, system)) => part(tenant, 241, true) && part(system, 14, false),
        None => part(key, 256, false),
    }
}

fn is_value(value: &str) -> bool {
    let plain = |b: u8| (0x20..=0x7e).contains(&b) && b != b',' && b != b'=';
    (1..=256).contains(&value.len()) && value.bytes().all(plain) && !value.ends_with(' ')
}

/// Samples a share of the traces that start here; others follow the flag of their caller.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampler {
    /// Traces are recorded if the lower 63 bits of their id are below this: all parts of a trace agree.
    below: u64,
}

impl Sampler {
    /// `ratio` in `0..=1`.
    pub fn new(ratio: f64) -> Self {
        const ALL: f64 = 9_223_372_036_854_775_808.0;
        Self { below: (ratio.clamp(0.0, 1.0) * ALL) as u64 }
    }

    pub fn records(self, parent: Option<SpanContext>, trace_id: u128) -> bool {
        parent.map_or((trace_id as u64 & (u64::MAX >> 1)) < self.below, |parent| parent.sampled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traceparents_are_parsed_as_specified() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let parent = SpanContext::parse(good).unwrap();
        assert_eq!(parent.trace_id, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert_eq!((parent.span_id, parent.sampled), (0x00f0_67aa_0ba9_02b7, true));
        assert_eq!(parent.to_string(), good, "and printed back");
        let rows = [
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", true, "not sampled"),
            ("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what", true, "a later version goes on"),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what", false, "version 00 does not"),
            ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false, "version ff is none"),
            ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", false, "trace id 0"),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false, "span id 0"),
            ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false, "capitals"),
            ("00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01", false, "a digit short"),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7", false, "no flags"),
            ("", false, "empty"),
            ("00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false, "a sign is no digit"),
            (
                "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
                true,
                "any later version may go on",
            ),
        ];
        for (text, valid, why) in rows {
            assert_eq!(SpanContext::parse(text).is_some(), valid, "{why}");
        }
    }

    #[test]
    fn only_valid_tracestates_are_passed_on() {
        let many = (0..33).map(|k| format!("k{k}=v")).collect::<Vec<_>>().join(",");
        let rows = [
            ("congo=t61rcWkgMzE", true, "one member"),
            ("rojo=00f067aa0ba902b7 , congo=t61rcWkgMzE", true, "blanks around the comma"),
            ("fw529a3039@dt=FfIJ", true, "a tenant"),
            ("a=1,,b=2", true, "empty members are allowed"),
            ("a=1,a=2", false, "a key twice"),
            ("A=1", false, "capitals"),
            ("a", false, "no value"),
            ("a=b=c", false, "two equal signs"),
            ("a=\u{e9}", false, "not ASCII"),
            ("", false, "nothing to pass on"),
            (many.as_str(), false, "33 members"),
        ];
        for (text, valid, why) in rows {
            assert_eq!(is_tracestate(text), valid, "{why}");
        }
        assert!(!is_tracestate(&format!("a={}", "x".repeat(511))), "too long");
    }

    #[test]
    fn the_flag_decides_for_traces_of_callers_and_the_ratio_for_new_ones() {
        let parent = |sampled| Some(SpanContext { trace_id: 1, span_id: 1, sampled });
        let (none, all) = (Sampler::new(0.0), Sampler::new(1.0));
        assert!(none.records(parent(true), 1) && !all.records(parent(false), 1));
        let ids = || {
            let mut rng = fastrand::Rng::with_seed(7);
            (0..10_000).map(move |_| rng.u128(1..))
        };
        assert!(ids().all(|id| all.records(None, id) && !none.records(None, id)));
        let tenth = ids().filter(|id| Sampler::new(0.1).records(None, *id)).count();
        assert!((900..1100).contains(&tenth), "{tenth} of 10000 at 0.1");
    }
}
