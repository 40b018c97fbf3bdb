//! PURE. Codecs of the formats that the daemon reads and writes: JSON, NPY, PNG.

pub mod hex;
pub mod json;
pub mod npy;
pub mod plural;
pub mod png;
