//! NPY files, whole and their header alone. Memory stays within the limits whatever size a file claims, and a reader
//! never returns more frames than the header states.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mycelium_daemon::formats::npy::{NpyHeader, NpyReader, NpyState};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(header) = NpyHeader::parse(bytes) {
        assert!(header.shape.len() <= 3);
    }
    if let Ok(mut reader) = NpyReader::open(bytes) {
        assert!((1..=512).contains(&reader.side()));
        let stated = reader.frames();
        let mut returned = 0;
        while let Ok(Some(_)) = reader.next_frame() {
            returned += 1;
            assert!(returned <= stated);
        }
    }
    // Returns an error or a state, and does not panic.
    let _ = NpyState::read(bytes);
});
