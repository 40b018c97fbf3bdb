//! PURE. Encoders and decoders: JSON, CSV, NPY, PNG, times as text.

pub mod csv;
pub mod hex;
pub mod json;
pub mod npy;
pub mod packed;
pub mod plural;
pub mod png;
pub mod rfc3339;
pub mod signals;
pub mod time_format;
