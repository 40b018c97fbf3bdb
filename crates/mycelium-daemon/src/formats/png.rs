//! PURE. A frame as a PNG (W3C, third edition): a square of palette pixels per cell, row 0 at the top.
//!
//! Five fixed chunks; the `png` crate would add 40 kB to the binary and only decodes them in the tests.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::ZlibEncoder;

use mycelium_core::field::Frame;

const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";
/// Eight bits a pixel, indexed colour, the only compression and filter method there are, not interlaced.
const IHDR_TAIL: [u8; 5] = [8, 3, 0, 0, 0];
/// Row filter "none", which compresses palette indices best.
const FILTER_NONE: u8 = 0;

/// Palette entries for values; the entry after them is for cells that are not finite.
const SHADES: usize = 255;

/// Largest side of a picture in pixels: at one byte a pixel it stays below 1 MiB.
pub const MAX_SIDE: usize = 1024;
/// Most pixels along the edge of a cell.
pub const MAX_SCALE: usize = 16;

/// Colour of a cell that is NaN or infinite, sRGB: a hue that the colour map does not contain.
const NON_FINITE_COLOUR: [u8; 3] = [255, 0, 96];

/// The picture of an `n` x `n` frame in volts, each cell a square of `scale` x `scale` pixels. The colour scale spans
/// the extremes of the frame, which a `Description` text chunk states.
///
/// # Panics
/// If the frame does not have `n * n` cells, or `n * scale` is 0 or above [`MAX_SIDE`].
pub fn encode(frame: Frame<'_>, n: usize, scale: usize) -> io::Result<Vec<u8>> {
    let side = n * scale;
    assert!(
        (1..=MAX_SIDE).contains(&side) && frame.len() == n * n,
        "{} cells for a side of {n}",
        frame.len()
    );
    let (low, high) = extremes(frame);
    let mut pixels = ZlibEncoder::new(Vec::with_capacity(n * n / 2), Compression::fast());
    let mut row = Vec::with_capacity(side + 1);
    for i in 0..n {
        row.clear();
        row.push(FILTER_NONE);
        for k in i * n..(i + 1) * n {
            row.extend(std::iter::repeat_n(shade(frame.get(k) * 1000.0, low, high), scale));
        }
        for _ in 0..scale {
            pixels.write_all(&row)?;
        }
    }
    let side = (side as u32).to_be_bytes();
    let mut file = SIGNATURE.to_vec();
    chunk(&mut file, *b"IHDR", &[&side[..], &side, &IHDR_TAIL].concat());
    chunk(&mut file, *b"PLTE", &palette().concat());
    chunk(&mut file, *b"tEXt", format!("Description\0membrane potential from {low} to {high} mV").as_bytes());
    chunk(&mut file, *b"IDAT", &pixels.finish()?);
    chunk(&mut file, *b"IEND", &[]);
    Ok(file)
}

/// Appends a chunk: length, name, data, and the CRC of name and data.
fn chunk(file: &mut Vec<u8>, name: [u8; 4], data: &[u8]) {
    file.extend((data.len() as u32).to_be_bytes());
    let checked = file.len();
    file.extend(name);
    file.extend(data);
    let crc = crc32fast::hash(&file[checked..]);
    file.extend(crc.to_be_bytes());
}

/// Smallest and largest finite cell, mV; infinite if there is none.
fn extremes(frame: Frame<'_>) -> (f64, f64) {
    (0..frame.len())
        .map(|k| frame.get(k) * 1000.0)
        .filter(|v| v.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
}

/// Palette index of a value between `low` and `high`; the middle of the scale if they are equal.
fn shade(mv: f64, low: f64, high: f64) -> u8 {
    if !mv.is_finite() {
        return SHADES as u8;
    }
    let share = if high > low { (mv - low) / (high - low) } else { 0.5 };
    (share * (SHADES - 1) as f64).round() as u8
}

/// The colour map from dark to bright, then the colour of cells that are not finite.
///
/// A curve in `OKLab` (Ottosson 2020): lightness rises linearly while the hue turns from violet over green to yellow. Equal
/// differences of the potential look equally large, also in grey and with impaired colour vision.
fn palette() -> [[u8; 3]; SHADES + 1] {
    std::array::from_fn(|k| {
        if k == SHADES {
            return NON_FINITE_COLOUR;
        }
        linear_shade(k).map(|c| (gamma(c) * 255.0).round() as u8)
    })
}

/// Shade `k` in linear sRGB; all shades lie inside the gamut.
fn linear_shade(k: usize) -> [f64; 3] {
    let t = k as f64 / (SHADES - 1) as f64;
    let hue = (300.0 - 200.0 * t).to_radians();
    let chroma = 0.05 + 0.04 * t + 0.06 * t * t;
    linear(0.2 + 0.72 * t, chroma * libm::cos(hue), chroma * libm::sin(hue))
}

/// `OKLab` to linear sRGB, `0..=1` inside the gamut.
fn linear(lightness: f64, a: f64, b: f64) -> [f64; 3] {
    let cube = |x: f64| x * x * x;
    let l = cube(lightness + 0.396_337_777_4 * a + 0.215_803_757_3 * b);
    let m = cube(lightness - 0.105_561_345_8 * a - 0.063_854_172_8 * b);
    let s = cube(lightness - 0.089_484_177_5 * a - 1.291_485_548 * b);
    [
        4.076_741_662_1 * l - 3.307_711_591_3 * m + 0.230_969_929_2 * s,
        -1.268_438_004_6 * l + 2.609_757_401_1 * m - 0.341_319_396_5 * s,
        -0.004_196_086_3 * l - 0.703_418_614_7 * m + 1.707_614_701 * s,
    ]
}

/// The transfer function of sRGB (IEC 61966-2-1).
fn gamma(c: f64) -> f64 {
    if c <= 0.003_130_8 { 12.92 * c } else { 1.055 * libm::pow(c, 1.0 / 2.4) - 0.055 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(file: &[u8]) -> (u32, u32, Vec<u8>) {
        let mut reader = png::Decoder::new(io::Cursor::new(file)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!(info.color_type, png::ColorType::Indexed);
        let described = reader.info().uncompressed_latin1_text.iter().map(|text| text.keyword.as_str());
        assert!(described.eq(["Description"]));
        (info.width, info.height, pixels)
    }

    #[test]
    fn a_decoded_picture_has_every_cell_in_place_and_its_scale_described() {
        let mut cells = [0.0_f64; 64];
        for (k, cell) in cells.iter_mut().enumerate() {
            *cell = -0.095 + 0.135 * k as f64 / 63.0;
        }
        cells[5] = f64::NAN;
        cells[6] = f64::NEG_INFINITY;
        let (width, height, pixels) = decode(&encode(Frame::F64(&cells), 8, 1).unwrap());
        assert_eq!((width, height), (8, 8));
        assert_eq!((pixels[0], pixels[63]), (0, 254), "ends of the scale");
        assert_eq!((pixels[5], pixels[6]), (255, 255), "cells that are not finite have their own colour");
        assert!(pixels[8..].is_sorted(), "a ramp stays a ramp");
    }

    #[test]
    fn each_cell_is_a_square_of_pixels() {
        let cells: Vec<f64> = (0..64).map(f64::from).collect();
        let plain = decode(&encode(Frame::F64(&cells), 8, 1).unwrap()).2;
        let (width, height, pixels) = decode(&encode(Frame::F64(&cells), 8, 3).unwrap());
        assert_eq!((width, height), (24, 24));
        for (at, pixel) in pixels.iter().enumerate() {
            let (row, column) = (at / 24 / 3, at % 24 / 3);
            assert_eq!(*pixel, plain[row * 8 + column]);
        }
    }

    #[test]
    fn the_scale_spans_the_extremes_of_the_frame() {
        let pixels = |cells: &[f32]| decode(&encode(Frame::F32(cells), 8, 1).unwrap()).2;
        let cells: Vec<f32> = (0..64).map(|k| if k == 9 { -0.060 } else { -0.070 }).collect();
        assert_eq!((pixels(&cells)[0], pixels(&cells)[9]), (0, 254));
        assert!(pixels(&[0.0; 64]).iter().all(|&p| p == 127), "a flat frame is the middle of the scale");
        assert!(pixels(&[f32::NAN; 64]).iter().all(|&p| p == 255), "no finite cell");
    }

    /// Lightness in CIELAB: independent of `OKLab`, in which the palette is defined.
    fn cie_lightness(rgb: [u8; 3]) -> f64 {
        let linear = rgb.map(|c| {
            let c = f64::from(c) / 255.0;
            if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
        });
        let y = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
        if y > 0.008_856 { 116.0 * y.cbrt() - 16.0 } else { 903.3 * y }
    }

    #[test]
    fn every_shade_lies_inside_the_gamut_and_neighbours_differ() {
        for k in 0..SHADES {
            assert!(linear_shade(k).iter().all(|c| (0.0..=1.0).contains(c)), "{k}: {:?}", linear_shade(k));
        }
        let same = palette().windows(2).filter(|pair| pair[0] == pair[1]).count();
        assert!(same < 8, "{same} neighbours round to the same eight bits");
    }

    #[test]
    fn the_lightness_of_the_colour_map_rises_evenly() {
        let lightness: Vec<_> = palette()[..SHADES].iter().map(|&rgb| cie_lightness(rgb)).collect();
        let span = lightness[SHADES - 1] - lightness[0];
        assert!(span > 75.0, "dark to bright: {span}");
        for (k, pair) in lightness.windows(33).enumerate() {
            let step = (pair[32] - pair[0]) / (span * 32.0 / 254.0);
            assert!((0.75..1.25).contains(&step), "shades from {k} on brighten by {step} of the mean");
        }
    }
}
