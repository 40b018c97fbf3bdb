//! Reads frames from a stream.

use std::io::{ErrorKind, Read};

use mycelium_core::field::Frame;

use super::header::{Dtype, NpyHeader};
use super::{MAX_HEADER_BYTES, NpyError};

/// Every NPY file starts with these.
pub(super) const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// Bytes per read.
const CHUNK_BYTES: usize = 8192;

/// A plane in the precision of the file.
#[derive(Debug)]
enum Plane {
    F4(Box<[f32]>),
    F8(Box<[f64]>),
}

/// Reads a frame `(N, N)` or a history `(T, N, N)`, one frame at a time into the same memory.
#[derive(Debug)]
pub struct NpyReader<R> {
    source: R,
    header: NpyHeader,
    side: usize,
    frames: u64,
    read: u64,
    plane: Plane,
}

/// Three planes of one shape, `(3, N, N)`: V in volts, activator, inhibitor.
#[derive(Clone, Debug, PartialEq)]
pub struct NpyState {
    pub side: usize,
    pub dtype: Dtype,
    /// Row-major; values of a `<f4` file are exact.
    pub planes: [Vec<f64>; 3],
}

impl<R: Read> NpyReader<R> {
    /// Reads and checks the header, then allocates one frame.
    pub fn open(mut source: R) -> Result<Self, NpyError> {
        let header = read_header(&mut source)?;
        let wanted = "(N, N) or (T, N, N) with at least one frame";
        let shape = || NpyError::Shape { found: header.shape_text(), wanted };
        let side = header.side().ok_or_else(shape)?;
        let frames = match header.shape[..] {
            [_, _] => 1,
            [0, _, _] => return Err(shape()),
            [frames, _, _] => frames,
            _ => return Err(shape()),
        };
        let plane = match header.dtype {
            Dtype::F4 => Plane::F4(vec![0.0; side * side].into_boxed_slice()),
            Dtype::F8 => Plane::F8(vec![0.0; side * side].into_boxed_slice()),
        };
        Ok(Self { source, header, side, frames, read: 0, plane })
    }

    /// Cells along one edge.
    pub fn side(&self) -> usize {
        self.side
    }

    /// Frames according to the header.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    pub fn dtype(&self) -> Dtype {
        self.header.dtype
    }

    /// The next frame; `None` after the last one, provided that the file ends there.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, NpyError> {
        if self.read == self.frames {
            return expect_end(&mut self.source).map(|()| None);
        }
        let frame = self.read;
        self.read += 1;
        match &mut self.plane {
            Plane::F4(cells) => read_cells(&mut self.source, frame, cells, f32::from_le_bytes)?,
            Plane::F8(cells) => read_cells(&mut self.source, frame, cells, f64::from_le_bytes)?,
        }
        Ok(Some(match &self.plane {
            Plane::F4(cells) => Frame::F32(cells),
            Plane::F8(cells) => Frame::F64(cells),
        }))
    }
}

impl NpyState {
    /// Reads a whole state, to the end of the file.
    pub fn read<R: Read>(mut source: R) -> Result<Self, NpyError> {
        let header = read_header(&mut source)?;
        let side = header.side().filter(|_| header.shape.len() == 3 && header.shape[0] == 3);
        let wanted = "(3, N, N): V in volts, activator, inhibitor";
        let side = side.ok_or_else(|| NpyError::Shape { found: header.shape_text(), wanted })?;
        let mut planes = [(); 3].map(|()| vec![0.0; side * side]);
        for (k, plane) in planes.iter_mut().enumerate() {
            match header.dtype {
                Dtype::F4 => read_cells(&mut source, k as u64, plane, |b| f64::from(f32::from_le_bytes(b)))?,
                Dtype::F8 => read_cells(&mut source, k as u64, plane, f64::from_le_bytes)?,
            }
        }
        expect_end(&mut source)?;
        Ok(Self { side, dtype: header.dtype, planes })
    }
}

fn read_header(source: &mut impl Read) -> Result<NpyHeader, NpyError> {
    let inside = |error: std::io::Error| match error.kind() {
        ErrorKind::UnexpectedEof => NpyError::Truncated(None),
        _ => NpyError::Io(error),
    };
    let mut magic = [0; MAGIC.len()];
    source.read_exact(&mut magic).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => NpyError::Magic,
        _ => NpyError::Io(error),
    })?;
    if magic != *MAGIC {
        return Err(NpyError::Magic);
    }
    let mut version = [0; 2];
    source.read_exact(&mut version).map_err(inside)?;
    let mut len = [0; 4];
    match version {
        [1, 0] => source.read_exact(&mut len[..2]).map_err(inside)?,
        [2, 0] => source.read_exact(&mut len).map_err(inside)?,
        [major, minor] => return Err(NpyError::Version(major, minor)),
    }
    let claimed = u32::from_le_bytes(len);
    let len = usize::try_from(claimed).ok().filter(|len| *len <= MAX_HEADER_BYTES);
    let mut text = vec![0; len.ok_or(NpyError::HeaderTooLong(claimed))?];
    source.read_exact(&mut text).map_err(inside)?;
    NpyHeader::parse(&text)
}

fn read_cells<T, const B: usize>(
    source: &mut impl Read,
    frame: u64,
    cells: &mut [T],
    decode: impl Fn([u8; B]) -> T,
) -> Result<(), NpyError> {
    let mut piece = [0; CHUNK_BYTES];
    for cells in cells.chunks_mut(CHUNK_BYTES / B) {
        let bytes = &mut piece[..cells.len() * B];
        source.read_exact(bytes).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => NpyError::Truncated(Some(frame)),
            _ => NpyError::Io(error),
        })?;
        for (cell, bytes) in cells.iter_mut().zip(bytes.as_chunks().0) {
            *cell = decode(*bytes);
        }
    }
    Ok(())
}

fn expect_end(source: &mut impl Read) -> Result<(), NpyError> {
    let mut one = [0];
    loop {
        match source.read(&mut one) {
            Ok(0) => return Ok(()),
            Ok(_) => return Err(NpyError::Trailing),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(NpyError::Io(error)),
        }
    }
}
