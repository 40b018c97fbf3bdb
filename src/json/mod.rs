//! JSON out, by hand into one buffer: no intermediate tree, no surprises with non-finite numbers.

mod write;

pub use write::{Array, Object, number, string};
