//! NPY files, whole and by their header alone. A file says how large it is; what is taken is no larger than the limits,
//! and a reader never gives more frames than the header promised.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mycelium_daemon::formats::npy::{NpyHeader, NpyReader, NpyState};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(header) = NpyHeader::parse(bytes) {
        assert!(header.shape.len() <= 3);
    }
    if let Ok(mut reader) = NpyReader::open(bytes) {
        assert!((1..=512).contains(&reader.side()));
        let promised = reader.frames();
        let mut given = 0;
        while let Ok(Some(_)) = reader.next_frame() {
            given += 1;
            assert!(given <= promised);
        }
    }
    // An error or a state; it must come back with one of the two.
    let _ = NpyState::read(bytes);
});
