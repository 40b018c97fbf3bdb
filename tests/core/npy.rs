//! NPY: files of `NumPy` are read, damaged and hostile ones are refused before memory is allocated.

use std::io::{Cursor, Read};

use mycelium_core::field::Frame;
use mycelium_daemon::formats::npy::{self, Dtype, NpyError, NpyHeader, NpyReader, NpyState, NpyWriter};

/// A file with this header text and this many zero bytes after it.
fn file(text: &str, data: usize) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

fn dict(descr: &str, order: &str, shape: &str) -> String {
    format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}   \n")
}

/// Reads all frames; their number.
fn read(bytes: &[u8]) -> Result<u64, NpyError> {
    let mut reader = NpyReader::open(bytes)?;
    let mut frames = 0;
    while let Some(frame) = reader.next_frame()? {
        assert_eq!(frame.len(), reader_cells(frame));
        frames += 1;
    }
    assert_eq!(frames, reader.frames());
    Ok(frames)
}

fn reader_cells(frame: Frame<'_>) -> usize {
    match frame {
        Frame::F32(cells) => cells.len(),
        Frame::F64(cells) => cells.len(),
    }
}

#[test]
fn every_supported_kind_of_array_is_read_to_its_end() {
    let rows = [
        (dict("'<f8'", "False", "(8, 8)"), 512, 1, "one frame"),
        (dict("'<f4'", "False", "(8, 8)"), 256, 1, "single precision"),
        (dict("'<f8'", "False", "(3, 8, 8)"), 3 * 512, 3, "a history"),
        (dict("'<f4'", "False", "(2, 9, 9)"), 2 * 324, 2, "odd sides"),
        (dict("\"<f8\"", "False", "(8,8,)"), 512, 1, "double quotes, no blanks, a trailing comma"),
        ("{'shape':(8,8),'fortran_order':False,'descr':'<f8'}\n".to_owned(), 512, 1, "another order of keys"),
    ];
    for (text, data, frames, why) in rows {
        assert_eq!(read(&file(&text, data)).unwrap(), frames, "{why}");
    }
    let mut second = b"\x93NUMPY\x02\x00".to_vec();
    let text = dict("'<f8'", "False", "(8, 8)");
    second.extend((text.len() as u32).to_le_bytes());
    second.extend(text.as_bytes());
    second.extend([0; 512]);
    assert_eq!(read(&second).unwrap(), 1, "version 2.0");
}

/// Mutants seen red: a number that wraps at 64 bits, a header without a limit.
#[test]
fn unsupported_files_are_refused_with_reason_and_remedy() {
    let f8 = |shape: &str| dict("'<f8'", "False", shape);
    let mut version_3 = file(&f8("(8, 8)"), 512);
    version_3[6] = 3;
    let mut huge_header = b"\x93NUMPY\x02\x00".to_vec();
    huge_header.extend(u32::MAX.to_le_bytes());
    let rows: Vec<(Vec<u8>, &str, &str)> = vec![
        (Vec::new(), "not an npy file", "nothing"),
        (b"PK\x03\x04 an npz archive".to_vec(), "not an npy file", "an archive"),
        (b"\x93NUMPX\x01\x00".to_vec(), "not an npy file", "one byte of the magic"),
        (b"\x93NUMPY".to_vec(), "ends inside its npy header", "magic alone"),
        (file(&f8("(8, 8)"), 0)[..40].to_vec(), "ends inside its npy header", "cut header"),
        (version_3, "npy version 3.0", "version 3.0"),
        (huge_header, "claims 4294967295 bytes; at most 10000", "4 GiB of header"),
        (file(&f8("(8, 8)"), 511), "ends inside frame 0", "one byte short"),
        (file(&f8("(3, 8, 8)"), 1024), "ends inside frame 2", "a whole frame short"),
        (file(&f8("(8, 8)"), 513), "continues after the last cell", "one byte more"),
        (file(&dict("'<f8'", "True", "(8, 8)"), 512), "numpy.ascontiguousarray", "fortran order"),
        (file(&dict("'>f8'", "False", "(8, 8)"), 512), "dtype '>f8'", "big-endian"),
        (file(&dict("'<i4'", "False", "(8, 8)"), 256), "dtype '<i4'", "integers"),
        (file(&dict("'|O'", "False", "(8, 8)"), 0), "dtype '|O'", "pickled objects"),
        (file(&dict("[('v', '<f8')]", "False", "(8, 8)"), 512), "dtype of records", "records"),
        (file(&f8("(7, 7)"), 392), "shape (7, 7)", "too small"),
        (file(&f8("(513, 513)"), 0), "shape (513, 513)", "too large"),
        (file(&f8("(8, 9)"), 576), "shape (8, 9)", "not square"),
        (file(&f8("(64,)"), 512), "shape (64,)", "one axis"),
        (file(&f8("()"), 8), "shape ()", "no axis"),
        (file(&f8("(0, 8, 8)"), 0), "at least one frame", "an empty history"),
        (file(&f8("(1, 1, 8, 8)"), 512), "at most three axes", "four axes"),
        (file(&f8("(9223372036854775808, 8, 8)"), 0), "whole number below 2^63", "2^63 frames"),
        (file(&f8("(99999999999999999999999, 8, 8)"), 0), "whole number below 2^63", "beyond 64 bits"),
        (file(&f8("(18446744073709551624, 8, 8)"), 4096), "whole number below 2^63", "2^64 + 8 frames"),
        (file(&f8("(-1, 8, 8)"), 0), "whole number below 2^63", "negative"),
        (file(&f8("(8.0, 8)"), 512), "`,`", "a fraction"),
        (file(&f8("8"), 512), "`(`", "a number for a shape"),
        (file(&f8("(8, 8)").replace("}   \n", "}   "), 0), "padding and a line feed", "no line feed"),
        (file(&f8("(8, 8)").replace("}   \n", "} x\n"), 512), "padding and a line feed", "text after it"),
        (file("{'descr': '<f8', 'shape': (8, 8)}\n", 512), "the key 'fortran_order'", "missing key"),
        (file("{}\n", 512), "the key 'descr'", "empty"),
        (file("{'descr': '<f8', 'descr': '<f8'}\n", 512), "each key once", "repeated key"),
        (file("{'exec': '<f8'}\n", 512), "'descr', 'fortran_order' or 'shape'", "unknown key"),
        (file("{'descr': '<f8\n", 512), "the end of a quoted string", "open string"),
        (file("{'descr' '<f8'}\n", 512), "`:`", "no colon"),
        (file("", 512), "`{`", "no header at all"),
        (file(&dict("'<f8'", "Maybe", "(8, 8)"), 512), "True or False", "neither"),
    ];
    for (bytes, want, why) in rows {
        let message = read(&bytes).unwrap_err().to_string();
        assert!(message.contains(want), "{why}: {message}");
        assert!(
            message.starts_with(|c: char| c.is_lowercase()) && !message.ends_with('.'),
            "{why}: {message}"
        );
    }
}

/// Returns one byte at a time, as a slow pipe may.
struct OneByteReader<'a>(&'a [u8]);

impl Read for OneByteReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
        if out.is_empty() {
            return Ok(0);
        }
        out[0] = *first;
        self.0 = rest;
        Ok(1)
    }
}

#[test]
fn written_frames_read_back_bit_for_bit_even_from_a_slow_pipe() {
    for seed in 0..20 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let side = rng.usize(8..20);
        let frames: Vec<Vec<f32>> = (0..rng.usize(1..5))
            .map(|_| (0..side * side).map(|_| f32::from_bits(rng.u32(..))).collect())
            .collect();
        let mut writer = NpyWriter::create(Cursor::new(Vec::new()), side, Dtype::F4).unwrap();
        for frame in &frames {
            writer.frame(Frame::F32(frame)).unwrap();
        }
        assert_eq!(writer.frames(), frames.len() as u64);
        let bytes = writer.finish().unwrap().into_inner();
        let mut reader = NpyReader::open(OneByteReader(&bytes)).unwrap();
        assert_eq!((reader.side(), reader.frames(), reader.dtype()), (side, frames.len() as u64, Dtype::F4));
        for want in &frames {
            let Some(Frame::F32(got)) = reader.next_frame().unwrap() else { panic!("a frame is missing") };
            let bits = |cells: &[f32]| cells.iter().map(|c| c.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(got), bits(want));
        }
        assert!(reader.next_frame().unwrap().is_none());
        assert!(reader.next_frame().unwrap().is_none(), "and stays at its end");
    }
}

#[test]
fn a_state_has_three_planes_in_either_precision() {
    let single: Vec<f32> = (0..64).map(|k| k as f32 / 3.0).collect();
    let mut bytes = Vec::new();
    npy::write_state(&mut bytes, 8, [Frame::F32(&single); 3]).unwrap();
    let state = NpyState::read(&bytes[..]).unwrap();
    assert_eq!((state.side, state.dtype), (8, Dtype::F4));
    assert!(state.planes.iter().all(|p| p.iter().zip(&single).all(|(a, b)| *a == f64::from(*b))));
    assert!(NpyState::read(&bytes[..bytes.len() - 1]).unwrap_err().to_string().contains("inside frame 2"));
    bytes.push(0);
    assert!(NpyState::read(&bytes[..]).unwrap_err().to_string().contains("continues after"));
    for shape in ["(2, 8, 8)", "(4, 8, 8)", "(8, 8)", "(3, 8, 9)", "(3, 7, 7)"] {
        let message = NpyState::read(&file(&dict("'<f8'", "False", shape), 0)[..]).unwrap_err().to_string();
        assert!(message.contains(shape) && message.contains("(3, N, N)"), "{message}");
    }
}

#[test]
fn the_header_is_that_of_numpy_even_for_the_longest_shape() {
    let header = npy::header(Dtype::F8, &[100, 64, 64]);
    let text = "{'descr': '<f8', 'fortran_order': False, 'shape': (100, 64, 64), }";
    assert_eq!(&header[..10], b"\x93NUMPY\x01\x00\x76\x00");
    assert_eq!(std::str::from_utf8(&header[10..]).unwrap().trim_end(), text);
    assert_eq!(header.len() % 64, 0);
    let longest = npy::header(Dtype::F8, &[(1 << 63) - 1, 512, 512]);
    assert_eq!(NpyHeader::parse(&longest[10..]).unwrap().shape[..], [(1 << 63) - 1, 512, 512]);
}

/// Mutant seen red: blanks skipped without a check for the end of the text.
#[test]
fn no_corrupt_header_panics_or_allocates_more_than_a_plane() {
    let sound = file(&dict("'<f8'", "False", "(3, 8, 8)"), 3 * 512);
    for seed in 0..3_000 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut bytes = sound.clone();
        for _ in 0..rng.usize(1..4) {
            let at = rng.usize(..90);
            match rng.u8(..4) {
                0 => bytes[at] = rng.u8(..),
                1 => bytes[at] = *rng.choice(b"0123456789(),'{}: <f48TF\n").unwrap(),
                2 => drop(bytes.remove(at)),
                _ => bytes.insert(at, rng.u8(..)),
            }
        }
        if let Ok(frames) = read(&bytes) {
            assert!(frames * 8 * 64 <= sound.len() as u64 * 2, "seed {seed}: {frames} frames from nothing");
        }
    }
}
