//! PURE. Texts that are part of the program; `build.rs` compresses them.

use std::io::Read;

use flate2::read::GzDecoder;

/// A text as a gzip stream.
#[derive(Clone, Copy, Debug)]
pub struct PackedText(pub &'static [u8]);

impl PackedText {
    /// The text itself.
    pub fn unpack(self) -> String {
        let mut text = String::new();
        GzDecoder::new(self.0).read_to_string(&mut text).expect("the build has compressed a text");
        text
    }
}

/// The text that `build.rs` has compressed under this name.
macro_rules! packed {
    ($name:literal) => {
        $crate::formats::packed::PackedText(include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".gz")))
    };
}
pub(crate) use packed;
