//! Why an NPY file was refused.

use std::fmt;

use mycelium_core::field::GRID_SIDE;

use super::MAX_HEADER_BYTES;

/// Why an NPY file was refused; each message names a remedy.
#[derive(Debug)]
pub enum NpyError {
    Io(std::io::Error),
    /// The file does not start with the NPY magic.
    Magic,
    Version(u8, u8),
    HeaderTooLong(u32),
    /// Position in the header text, and what was expected there.
    NpyHeader {
        at: usize,
        wanted: &'static str,
    },
    Dtype(String),
    FortranOrder,
    /// Not a shape that the caller accepts.
    Shape {
        found: String,
        wanted: &'static str,
    },
    /// The file ends inside the header (`None`) or inside a frame, counted from 0.
    Truncated(Option<u64>),
    /// More bytes than the shape has cells.
    Trailing,
}

impl fmt::Display for NpyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "cannot read the array: {error}"),
            Self::Magic => {
                f.write_str("not an npy file: it does not start with \\x93NUMPY: write it with numpy.save")
            }
            Self::Version(major, minor) => {
                write!(
                    f,
                    "npy version {major}.{minor} is not read; it must be 1.0 or 2.0: write it with numpy.save"
                )
            }
            Self::HeaderTooLong(len) => {
                write!(
                    f,
                    "the npy header claims {len} bytes; at most {MAX_HEADER_BYTES} are read: the file is damaged"
                )
            }
            Self::NpyHeader { at, wanted } => {
                write!(f, "cannot read the npy header at byte {at}: expected {wanted}: the file is damaged")
            }
            Self::Dtype(found) => {
                write!(
                    f,
                    "the array has dtype {found}; it must be '<f4' or '<f8': convert it with .astype('<f8')"
                )
            }
            Self::FortranOrder => {
                f.write_str("the array is in fortran order: convert it with numpy.ascontiguousarray")
            }
            Self::Shape { found, wanted } => {
                let (low, high) = (GRID_SIDE.start(), GRID_SIDE.end());
                write!(f, "the array has shape {found}; it must be {wanted} with N from {low} to {high}")
            }
            Self::Truncated(None) => f.write_str("the file ends inside its npy header: copy it again"),
            Self::Truncated(Some(frame)) => {
                write!(f, "the file ends inside frame {frame}, counted from 0: copy it again")
            }
            Self::Trailing => f.write_str(
                "the file continues after the last cell of its shape: header and data do not match",
            ),
        }
    }
}

impl std::error::Error for NpyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<std::io::Error> for NpyError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}
