//! PURE. Limits how many lines one place in the code may write; the others are counted.

use std::time::Duration;

use crate::clock::Mono;

/// Sources that are tracked at the same time; the one without a line for the longest time is dropped for a new one.
const SOURCES: usize = 64;
/// Lines of one source within [`PERIOD`]; further ones are counted only.
const BURST: u32 = 10;
const PERIOD: Duration = Duration::from_mins(1);

/// Hash of what identifies the source of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LineSource(pub(super) u64);

#[derive(Clone, Copy, Debug)]
struct Tracked {
    source: LineSource,
    /// Start of the current period.
    since: Mono,
    written: u32,
    suppressed: u64,
    last: Mono,
}

/// A bounded table of sources.
#[derive(Debug)]
pub(super) struct LineRateLimit {
    sources: heapless::Vec<Tracked, SOURCES>,
}

impl LineRateLimit {
    pub(super) const fn new() -> Self {
        Self { sources: heapless::Vec::new() }
    }

    /// If a line of this source may be written now: how many were suppressed since the last one. Else `None`.
    pub(super) fn admit(&mut self, source: LineSource, now: Mono) -> Option<u64> {
        let Some(tracked) = self.sources.iter_mut().find(|tracked| tracked.source == source) else {
            self.track(source, now);
            return Some(0);
        };
        tracked.last = now;
        if now.since(tracked.since) >= PERIOD {
            let suppressed = tracked.suppressed;
            *tracked = Tracked { source, since: now, written: 1, suppressed: 0, last: now };
            return Some(suppressed);
        }
        if tracked.written < BURST {
            tracked.written += 1;
            return Some(0);
        }
        tracked.suppressed += 1;
        None
    }

    fn track(&mut self, source: LineSource, now: Mono) {
        let new = Tracked { source, since: now, written: 1, suppressed: 0, last: now };
        if let Err(new) = self.sources.push(new)
            && let Some(oldest) = self.sources.iter_mut().min_by_key(|tracked| tracked.last)
        {
            *oldest = new;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: LineSource = LineSource(1);

    fn at(seconds: u64) -> Mono {
        Mono(seconds * 1_000_000_000)
    }

    #[test]
    fn a_burst_is_written_the_rest_counted_and_the_count_returned_with_the_next_line() {
        let mut limit = LineRateLimit::new();
        let written = (0..1000).filter(|_| limit.admit(HERE, at(1)).is_some()).count();
        assert_eq!(written, BURST as usize);
        assert_eq!(limit.admit(LineSource(2), at(1)), Some(0), "another source has its own limit");
        assert_eq!(limit.admit(HERE, at(60)), None, "still the same minute");
        assert_eq!(limit.admit(HERE, at(61)), Some(991), "a minute later");
        assert_eq!(limit.admit(HERE, at(62)), Some(0), "the count starts again");
    }

    #[test]
    fn a_full_table_drops_the_source_without_a_line_for_the_longest_time() {
        let mut limit = LineRateLimit::new();
        for k in 0..10_000 {
            assert_eq!(limit.admit(LineSource(k), at(k)), Some(0));
        }
        assert_eq!(limit.sources.len(), SOURCES);
        assert!(limit.sources.iter().all(|tracked| tracked.source.0 >= 10_000 - SOURCES as u64));
    }
}
