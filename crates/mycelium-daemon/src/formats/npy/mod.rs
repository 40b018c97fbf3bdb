//! PURE. `NumPy`'s NPY format for square planes: `<f4` and `<f8`, C order.
//!
//! Files are read frame by frame from any [`Read`](std::io::Read): memory is one plane for any length of file, and is
//! allocated after the header was checked against the limits. They are written at once ([`header()`]) or as a stream
//! whose number of frames is known at its end ([`NpyWriter`]).
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

/// Longest header that is read, `NumPy`'s own limit. Headers that `NumPy` and this module write have 118 bytes.
pub const MAX_HEADER_BYTES: usize = 10_000;
