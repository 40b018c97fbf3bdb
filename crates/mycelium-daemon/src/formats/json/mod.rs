//! JSON out, by hand into one buffer: no intermediate tree, no surprises with non-finite numbers. JSON in, through
//! one strict door.

mod escape;
pub mod pointer;
pub mod read;
mod shape;
mod write;

pub use pointer::Pointer;
pub use read::MAX_DEPTH;
pub use shape::{Field, Reason, Refused, Shape};
pub use write::{Array, Object, number, string};
