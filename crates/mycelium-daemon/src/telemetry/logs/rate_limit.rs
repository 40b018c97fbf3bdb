//! PURE. The same trouble over and over is counted, not written.

use std::time::Duration;

use crate::clock::Mono;

/// Places in the code that are watched at the same time; the one silent longest gives way.
const PLACES: usize = 64;
/// Lines one place may write within [`PERIOD`] before it is counted only.
const BURST: u32 = 10;
const PERIOD: Duration = Duration::from_mins(1);

/// Where a line comes from: file, line and target of the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(pub(super) u64);

#[derive(Clone, Copy, Debug)]
struct Watched {
    place: Place,
    since: Mono,
    written: u32,
    suppressed: u64,
    last: Mono,
}

/// A bounded table of places.
#[derive(Debug)]
pub(super) struct Repeats {
    places: heapless::Vec<Watched, PLACES>,
}

impl Repeats {
    pub(super) const fn new() -> Self {
        Self { places: heapless::Vec::new() }
    }

    /// How many lines of this place were suppressed before, if it may be written now; else `None`.
    pub(super) fn admit(&mut self, place: Place, now: Mono) -> Option<u64> {
        let Some(watched) = self.places.iter_mut().find(|watched| watched.place == place) else {
            self.watch(place, now);
            return Some(0);
        };
        watched.last = now;
        if now.since(watched.since) >= PERIOD {
            let suppressed = watched.suppressed;
            *watched = Watched { place, since: now, written: 1, suppressed: 0, last: now };
            return Some(suppressed);
        }
        if watched.written < BURST {
            watched.written += 1;
            return Some(0);
        }
        watched.suppressed += 1;
        None
    }

    fn watch(&mut self, place: Place, now: Mono) {
        let new = Watched { place, since: now, written: 1, suppressed: 0, last: now };
        if let Err(new) = self.places.push(new)
            && let Some(oldest) = self.places.iter_mut().min_by_key(|watched| watched.last)
        {
            *oldest = new;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Place = Place(1);

    fn at(seconds: u64) -> Mono {
        Mono(seconds * 1_000_000_000)
    }

    #[test]
    fn a_burst_is_written_the_rest_counted_and_the_count_told_with_the_next_line() {
        let mut repeats = Repeats::new();
        let written = (0..1000).filter(|_| repeats.admit(HERE, at(1)).is_some()).count();
        assert_eq!(written, BURST as usize);
        assert_eq!(repeats.admit(Place(2), at(1)), Some(0), "another place is not held back");
        assert_eq!(repeats.admit(HERE, at(60)), None, "still the same minute");
        assert_eq!(repeats.admit(HERE, at(61)), Some(991), "a minute later");
        assert_eq!(repeats.admit(HERE, at(62)), Some(0), "and from the start again");
    }

    #[test]
    fn more_places_than_are_watched_forget_the_one_silent_longest() {
        let mut repeats = Repeats::new();
        for k in 0..10_000 {
            assert_eq!(repeats.admit(Place(k), at(k)), Some(0));
        }
        assert_eq!(repeats.places.len(), PLACES);
        assert!(repeats.places.iter().all(|watched| watched.place.0 >= 10_000 - PLACES as u64));
    }
}
