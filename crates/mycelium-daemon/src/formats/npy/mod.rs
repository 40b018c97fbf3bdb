//! PURE. NumPy's NPY files, as far as fields need them: `<f4` and `<f8`, C order, square planes.
//!
//! Read frame by frame from any [`Read`](std::io::Read), so memory is one plane whatever the file's length, and
//! nothing is taken before the header has been checked against the limits. Written one-shot
//! ([`header()`]) or as a stream whose number of frames is known only at its end ([`Writer`]).
//!
//! Format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>, versions 1.0 and 2.0.

mod error;
mod header;
mod read;
mod write;

pub use error::Error;
pub use header::{Dtype, Header};
pub use read::{Reader, State};
pub use write::{Writer, header, write_cells, write_state};

/// Cells along one edge.
pub const SIDE: std::ops::RangeInclusive<u64> = 8..=512;

/// Longest header that is read; NumPy's own limit. Ours and NumPy's have 118 bytes.
pub const LONGEST_HEADER: usize = 10_000;
