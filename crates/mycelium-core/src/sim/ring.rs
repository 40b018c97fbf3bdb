//! The last frames of a run, in memory allocated once.

use super::params::{Params, Precision};
use crate::field::Frame;

#[derive(Clone, Debug)]
enum Cells {
    F32(Vec<f32>),
    F64(Vec<f64>),
}

/// The last `frames` frames of V with the steps they belong to; the oldest is overwritten.
#[derive(Clone, Debug)]
pub struct FrameRing {
    cells: Cells,
    /// Step of each slot; meaningful for the slots in use.
    steps: Vec<u64>,
    /// Cells of one frame.
    len: usize,
    used: usize,
    /// Slot of the next frame.
    next: usize,
}

impl FrameRing {
    /// A ring for `frames` frames (at least one) of the grid and precision of `params`.
    pub fn new(params: &Params, frames: usize) -> Self {
        let (frames, len) = (frames.max(1), params.grid * params.grid);
        let cells = match params.precision {
            Precision::F32 => Cells::F32(vec![0.0; frames * len]),
            Precision::F64 => Cells::F64(vec![0.0; frames * len]),
        };
        Self { cells, steps: vec![0; frames], len, used: 0, next: 0 }
    }

    /// Heap bytes of a ring of `frames` frames.
    pub fn memory_bytes(params: &Params, frames: usize) -> usize {
        let cell = match params.precision {
            Precision::F32 => size_of::<f32>(),
            Precision::F64 => size_of::<f64>(),
        };
        frames.max(1) * (params.grid * params.grid * cell + size_of::<u64>())
    }

    /// Copies the frame after step `step`. Steps must increase.
    ///
    /// # Panics
    /// If the frame has another size than those of the ring.
    pub fn push(&mut self, step: u64, frame: Frame<'_>) {
        assert_eq!(frame.len(), self.len, "frames of a ring have one size");
        let slot = self.next * self.len..(self.next + 1) * self.len;
        match (&mut self.cells, frame) {
            (Cells::F32(cells), Frame::F32(from)) => cells[slot].copy_from_slice(from),
            (Cells::F64(cells), Frame::F64(from)) => cells[slot].copy_from_slice(from),
            (Cells::F32(cells), Frame::F64(from)) => {
                cells[slot].iter_mut().zip(from).for_each(|(cell, &x)| *cell = x as f32);
            }
            (Cells::F64(cells), Frame::F32(from)) => {
                cells[slot].iter_mut().zip(from).for_each(|(cell, &x)| *cell = f64::from(x));
            }
        }
        self.steps[self.next] = step;
        self.next = (self.next + 1) % self.steps.len();
        self.used = (self.used + 1).min(self.steps.len());
    }

    /// The newest frame and its step.
    pub fn latest(&self) -> Option<(u64, Frame<'_>)> {
        self.iter().next_back()
    }

    /// The frame after step `step`; `None` once it was overwritten.
    pub fn get(&self, step: u64) -> Option<Frame<'_>> {
        self.iter().find(|&(of, _)| of == step).map(|(_, frame)| frame)
    }

    /// Steps of the oldest and the newest frame.
    pub fn steps(&self) -> Option<(u64, u64)> {
        let mut frames = self.iter().map(|(step, _)| step);
        let oldest = frames.next()?;
        Some((oldest, frames.next_back().unwrap_or(oldest)))
    }

    /// Frames with their steps, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (u64, Frame<'_>)> {
        let slots = self.steps.len();
        let oldest = (self.next + slots - self.used) % slots;
        (0..self.used).map(move |k| {
            let slot = (oldest + k) % slots;
            (self.steps[slot], self.frame(slot))
        })
    }

    /// Number of frames in the ring.
    #[allow(clippy::misnamed_getters, reason = "`len` is the size of one frame")]
    pub fn len(&self) -> usize {
        self.used
    }

    /// Whether no frame was pushed yet.
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Largest number of frames.
    pub fn capacity(&self) -> usize {
        self.steps.len()
    }

    fn frame(&self, slot: usize) -> Frame<'_> {
        let cells = slot * self.len..(slot + 1) * self.len;
        match &self.cells {
            Cells::F32(all) => Frame::F32(&all[cells]),
            Cells::F64(all) => Frame::F64(&all[cells]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::raw_params::RawParams;
    use super::*;

    fn ring(frames: usize) -> FrameRing {
        let mut raw = RawParams::default();
        raw.set("grid", 8.0).unwrap();
        FrameRing::new(&raw.try_into().unwrap(), frames)
    }

    #[test]
    fn an_empty_ring_has_no_frame() {
        let ring = ring(3);
        assert!(ring.latest().is_none() && ring.get(0).is_none() && ring.steps().is_none());
    }

    #[test]
    fn a_ring_holds_the_last_frames_and_overwrites_the_oldest() {
        let mut ring = ring(3);
        for step in 1..=10_u64 {
            ring.push(step * 5, Frame::F32(&[step as f32; 64]));
            let (newest, frame) = ring.latest().unwrap();
            assert_eq!((newest, frame.get(63)), (step * 5, step as f64));
            let oldest = step.saturating_sub(2).max(1) * 5;
            assert_eq!(ring.steps(), Some((oldest, step * 5)));
        }
        assert_eq!(ring.get(40).unwrap().get(0), 8.0);
        assert!(ring.get(35).is_none(), "overwritten");
        assert!(ring.get(42).is_none(), "never pushed");
        assert_eq!(ring.iter().map(|(step, _)| step).collect::<Vec<_>>(), [40, 45, 50]);
    }

    #[test]
    fn a_ring_of_one_frame_keeps_the_newest() {
        let mut ring = ring(1);
        ring.push(1, Frame::F32(&[1.0; 64]));
        ring.push(2, Frame::F32(&[2.0; 64]));
        assert_eq!((ring.steps(), ring.len()), (Some((2, 2)), 1));
    }
}
