//! What the others see of a signal: its newest samples, window and spikes.

use super::SignalSpec;
use mycelium_core::signals::{SignalSpike, SignalWindow};

/// Samples that are kept for polling and for the page.
pub const RING_SAMPLES: usize = 1_024;
/// Spikes that are kept.
pub const MAX_RECENT_SPIKES: usize = 32;

/// One sample in the unit of the signal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RingSample {
    /// Milliseconds since 1970.
    pub t_ms: i64,
    pub value: f64,
}

/// Totals since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignalCounts {
    pub samples: u64,
    pub late: u64,
    pub refused: u64,
    pub windows: u64,
    pub spikes: u64,
}

/// The newest of one signal. Memory is allocated once.
#[derive(Debug)]
pub struct SignalBoard {
    pub spec: SignalSpec,
    pub counts: SignalCounts,
    pub window: Option<SignalWindow>,
    /// Oldest first.
    spikes: heapless::Deque<SignalSpike, MAX_RECENT_SPIKES>,
    ring: Vec<RingSample>,
    /// Number of the newest sample; 0 before the first.
    newest: u64,
}

impl SignalBoard {
    pub(super) const MEMORY_BYTES: usize = size_of::<Self>() + RING_SAMPLES * size_of::<RingSample>();

    pub fn new(spec: SignalSpec) -> Self {
        Self {
            spec,
            counts: SignalCounts::default(),
            window: None,
            spikes: heapless::Deque::new(),
            ring: Vec::with_capacity(RING_SAMPLES),
            newest: 0,
        }
    }

    pub fn push(&mut self, sample: RingSample) {
        if self.ring.len() < RING_SAMPLES {
            self.ring.push(sample);
        } else {
            self.ring[self.newest as usize % RING_SAMPLES] = sample;
        }
        self.newest += 1;
    }

    pub fn push_spike(&mut self, spike: SignalSpike) {
        if self.spikes.is_full() {
            self.spikes.pop_front();
        }
        // There is space.
        let _ = self.spikes.push_back(spike);
    }

    /// Oldest first.
    pub fn spikes(&self) -> impl Iterator<Item = &SignalSpike> {
        self.spikes.iter()
    }

    /// Number of the newest sample, counted from 1; 0 before the first.
    pub fn newest(&self) -> u64 {
        self.newest
    }

    /// Number of the oldest sample that is kept.
    pub fn oldest(&self) -> u64 {
        self.newest + 1 - self.ring.len() as u64
    }

    /// The sample of that number, if it is kept.
    pub fn sample(&self, number: u64) -> Option<RingSample> {
        let is_kept = (self.oldest()..=self.newest).contains(&number);
        is_kept.then(|| self.ring[(number - 1) as usize % RING_SAMPLES])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mycelium_core::signals::SignalSettings;

    #[test]
    fn the_ring_keeps_the_newest_samples_under_their_numbers() {
        let spec = SignalSpec {
            name: "a".into(),
            connector: String::new(),
            unit: String::new(),
            settings: SignalSettings::default(),
            has_own_time: true,
        };
        let mut board = SignalBoard::new(spec);
        assert_eq!((board.oldest(), board.newest(), board.sample(1)), (1, 0, None));
        for k in 1..=RING_SAMPLES as i64 + 3 {
            board.push(RingSample { t_ms: k, value: 0.5 });
        }
        let newest = RING_SAMPLES as u64 + 3;
        assert_eq!((board.oldest(), board.newest()), (4, newest));
        assert_eq!(board.sample(3), None);
        for number in [4, 1_000, newest] {
            assert_eq!(board.sample(number).map(|s| s.t_ms), Some(number as i64));
        }
    }
}
