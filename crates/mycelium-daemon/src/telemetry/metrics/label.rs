//! Labels with a bounded set of values. The type that owns the values names them; counters are kept per value.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::primitives::Counter;

/// A type whose values are the values of a label.
pub trait Label: Copy + PartialEq + 'static {
    /// Every value, in the order in which they are exposed.
    const ALL: &'static [Self];

    /// The value of the label.
    fn text(self) -> &'static str;

    /// Place in [`Label::ALL`].
    fn index(self) -> usize {
        Self::ALL.iter().position(|value| *value == self).expect("ALL has every value")
    }
}

/// Implements [`Label`] for an enum: each variant with its text, in the order of exposition.
macro_rules! labels {
    ($name:ident { $($variant:ident = $text:literal),+ $(,)? }) => {
        impl $crate::telemetry::metrics::Label for $name {
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            fn text(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
    };
}
pub(crate) use labels;

/// One counter for each value of a label.
#[derive(Debug)]
pub struct LabelledCounters<L>(Box<[Counter]>, PhantomData<L>);

impl<L: Label> LabelledCounters<L> {
    pub fn add(&self, value: L, n: u64) {
        self.0[value.index()].add(n);
    }

    pub fn get(&self, value: L) -> u64 {
        self.0[value.index()].get()
    }

    /// Sets a total that is counted elsewhere.
    pub fn store(&self, value: L, total: u64) {
        self.0[value.index()].store(total);
    }
}

impl<L: Label> Default for LabelledCounters<L> {
    fn default() -> Self {
        Self(L::ALL.iter().map(|_| Counter::new()).collect(), PhantomData)
    }
}

/// Which of a label's values holds now; the first one to begin with.
#[derive(Debug)]
pub struct StateGauge<L>(AtomicUsize, PhantomData<L>);

impl<L: Label> StateGauge<L> {
    pub fn set(&self, value: L) {
        self.0.store(value.index(), Relaxed);
    }

    pub fn get(&self) -> L {
        L::ALL[self.0.load(Relaxed)]
    }
}

impl<L: Label> Default for StateGauge<L> {
    fn default() -> Self {
        Self(AtomicUsize::new(0), PhantomData)
    }
}
