//! PURE. Up to where a part of a batch acknowledges the outbox, when some of its records are not wanted.

/// The positions of one fetched batch.
#[derive(Debug, Default)]
pub(super) struct BatchProgress {
    /// Entry `n`: the last position before wanted record `n`, and how many unwanted records were passed until then.
    steps: Vec<(Option<u64>, usize)>,
}

impl BatchProgress {
    /// A new batch begins.
    pub(super) fn begin(&mut self) {
        self.steps.clear();
        self.steps.push((None, 0));
    }

    /// Adds the next record; returns whether it is wanted.
    pub(super) fn add(&mut self, position: u64, wanted: bool) -> bool {
        let (_, unwanted) = self.steps.last().copied().unwrap_or_default();
        if wanted {
            self.steps.push((Some(position), unwanted));
        } else if let Some(last) = self.steps.last_mut() {
            *last = (Some(position), unwanted + 1);
        }
        wanted
    }

    /// Last position that `count` delivered records acknowledge; `None` if there is nothing to acknowledge.
    pub(super) fn through(&self, count: usize) -> Option<u64> {
        self.steps.get(count).and_then(|step| step.0)
    }

    /// Unwanted records up to there.
    pub(super) fn unwanted(&self, count: usize) -> usize {
        self.steps.get(count).map_or(0, |step| step.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unwanted_records_are_acknowledged_with_the_wanted_one_before_them() {
        let mut progress = BatchProgress::default();
        progress.begin();
        assert_eq!(progress.through(0), None);
        for (position, wanted) in [(4, false), (5, true), (7, false), (8, false), (9, true)] {
            assert_eq!(progress.add(position, wanted), wanted);
        }
        let steps = [0, 1, 2].map(|count| (progress.through(count), progress.unwanted(count)));
        assert_eq!(steps, [(Some(4), 1), (Some(8), 3), (Some(9), 3)]);
    }
}
