//! PURE. NumPy's NPY files, as far as fields need them: `<f4` and `<f8`, C order, square planes.
//!
//! Read frame by frame from any [`Read`](std::io::Read), so memory is one plane whatever the file's length, and
//! nothing is taken before the header has been checked against the limits. Written one-shot
//! ([`header()`]) or as a stream whose number of frames is known only at its end ([`NpyWriter`]).
//!
//! Format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>, versions 1.0 and 2.0.

mod error;
mod header;
mod read;
mod write;

pub use error::NpyError;
pub use header::{Dtype, NpyHeader};
pub use read::{NpyReader, NpyState};
pub use write::{NpyWriter, header, write_cells, write_state};

/// Longest header that is read; NumPy's own limit. Ours and NumPy's have 118 bytes.
pub const MAX_HEADER_BYTES: usize = 10_000;
