//! Writes frames to a stream.

use std::io::{Result, Seek, SeekFrom, Write};

use mycelium_core::field::Frame;

use super::header::{Dtype, shape_text};
use super::read::MAGIC;

/// Bytes before the first cell: fits three axes of any length, and is a multiple of 64 as `NumPy` aligns it.
const HEADER_BYTES: usize = 128;

/// The header of an array of this shape (at most three axes), ready to be followed by its cells.
pub fn header(dtype: Dtype, shape: &[u64]) -> [u8; HEADER_BYTES] {
    let text =
        format!("{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}", dtype.text(), shape_text(shape));
    let mut out = [b' '; HEADER_BYTES];
    out[..6].copy_from_slice(MAGIC);
    out[6..8].copy_from_slice(&[1, 0]);
    out[8..10].copy_from_slice(&(HEADER_BYTES as u16 - 10).to_le_bytes());
    out[10..10 + text.len()].copy_from_slice(text.as_bytes());
    out[HEADER_BYTES - 1] = b'\n';
    out
}

/// The cells of a frame, little-endian, in the frame's own precision.
pub fn write_cells(out: &mut impl Write, frame: Frame<'_>) -> Result<()> {
    match frame {
        Frame::F32(cells) => pieces(out, cells, f32::to_le_bytes),
        Frame::F64(cells) => pieces(out, cells, f64::to_le_bytes),
    }
}

fn pieces<T: Copy, const B: usize>(
    out: &mut impl Write,
    cells: &[T],
    encode: impl Fn(T) -> [u8; B],
) -> Result<()> {
    let mut piece = [0; 4096];
    for cells in cells.chunks(4096 / B) {
        for (bytes, &cell) in piece.as_chunks_mut().0.iter_mut().zip(cells) {
            *bytes = encode(cell);
        }
        out.write_all(&piece[..cells.len() * B])?;
    }
    Ok(())
}

fn dtype_of(frame: Frame<'_>) -> Dtype {
    match frame {
        Frame::F32(_) => Dtype::F4,
        Frame::F64(_) => Dtype::F8,
    }
}

/// A state `(3, N, N)`: V in volts, activator, inhibitor, all of one precision.
///
/// # Panics
/// If a plane does not have `side * side` cells or the precisions differ.
pub fn write_state(out: &mut impl Write, side: usize, planes: [Frame<'_>; 3]) -> Result<()> {
    let dtype = dtype_of(planes[0]);
    out.write_all(&header(dtype, &[3, side as u64, side as u64]))?;
    for plane in planes {
        assert!(plane.len() == side * side && dtype_of(plane) == dtype, "three planes of one shape and type");
        write_cells(out, plane)?;
    }
    Ok(())
}

/// Writes a history `(T, N, N)`; T is written by [`finish`](Self::finish).
#[derive(Debug)]
pub struct NpyWriter<W: Write + Seek> {
    out: W,
    start: u64,
    side: usize,
    dtype: Dtype,
    frames: u64,
}

impl<W: Write + Seek> NpyWriter<W> {
    /// Writes a header with 0 frames, which [`finish`](Self::finish) corrects.
    pub fn create(mut out: W, side: usize, dtype: Dtype) -> Result<Self> {
        let start = out.stream_position()?;
        out.write_all(&header(dtype, &[0, side as u64, side as u64]))?;
        Ok(Self { out, start, side, dtype, frames: 0 })
    }

    /// Appends a frame.
    ///
    /// # Panics
    /// If it has another size or precision than given to [`create`](Self::create).
    pub fn frame(&mut self, frame: Frame<'_>) -> Result<()> {
        assert!(frame.len() == self.side * self.side, "{} cells for a side of {}", frame.len(), self.side);
        assert!(dtype_of(frame) == self.dtype, "a frame of another precision");
        write_cells(&mut self.out, frame)?;
        self.frames += 1;
        Ok(())
    }

    /// Frames written so far.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Writes the number of frames into the header and returns the stream, flushed and at its end.
    pub fn finish(mut self) -> Result<W> {
        self.out.seek(SeekFrom::Start(self.start))?;
        let side = self.side as u64;
        self.out.write_all(&header(self.dtype, &[self.frames, side, side]))?;
        self.out.seek(SeekFrom::End(0))?;
        self.out.flush()?;
        Ok(self.out)
    }
}
