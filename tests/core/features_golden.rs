//! Numbers that `MyceliumFractalNet` 4.1 produced, in `tests/fixtures/v41`.

use std::io::Read;

use mycelium_core::features::bitmap::Bitmap;
use mycelium_core::features::boxes::{BoxCounter, BoxPlacement, reference_ladder};
use mycelium_core::features::{
    Compat, Connectivity, Extractor, FEATURE_NAMES, FeatureProfile, FeatureValues, Threshold,
};
use mycelium_core::field::Frame;

const FEATURES: &str = include_str!("../fixtures/v41/features.tsv");
const BOXES: &str = include_str!("../fixtures/v41/box_counting.tsv");
const LADDERS: &str = include_str!("../fixtures/v41/ladder.tsv");

fn rows(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    table.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect())
}

fn profile(connectivity: Connectivity) -> FeatureProfile {
    FeatureProfile { compat: Compat::V41, threshold: Threshold::Otsu, connectivity, torus: true, window: 64 }
}

/// Uniform number `k` of a stream, as the note of the fixture defines it.
fn uniform(stream: u64, k: u64) -> f64 {
    let mut z = (stream << 32).wrapping_add(k).wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Frames of a history and their side.
fn history(name: &str) -> (Vec<Vec<f64>>, usize) {
    if name == "gen_64x64x100" {
        let frame = |t: u64| (0..4096).map(|k| -0.070 + 0.020 * (uniform(21, t * 4096 + k) - 0.5)).collect();
        return ((0..100).map(frame).collect(), 64);
    }
    let path = format!("{}/tests/fixtures/v41/{name}.npy.gz", env!("CARGO_MANIFEST_DIR"));
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_end(&mut bytes).unwrap();
    let cells: Vec<f64> =
        bytes[128..].chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect();
    (cells.chunks_exact(256).map(<[f64]>::to_vec).collect(), 16)
}

fn run(frames: &[Vec<f64>], n: usize, profile: FeatureProfile) -> FeatureValues {
    let mut extractor = Extractor::new(n, profile);
    for frame in frames {
        extractor.push(Frame::F64(frame));
    }
    extractor.values()
}

/// Differences below these are rounding: the reference reports -4e-11 mV^2 per frame for a constant history of
/// 256 cells at -70 mV, whose energy is 1.25e6.
fn floor_of(name: &str) -> f64 {
    if name == "E_trend" { 1e-8 } else { 1e-12 }
}

#[test]
fn the_18_features_equal_those_of_version_4_1_on_every_stored_history() {
    let mut cases = 0;
    for row in rows(FEATURES) {
        let connectivity = if row[1] == "8" { Connectivity::Eight } else { Connectivity::Four };
        let (frames, n) = history(row[0]);
        let frames = if row[2] == "1" { &frames[frames.len() - 1..] } else { &frames[..] };
        let values = run(frames, n, profile(connectivity));
        for ((name, want), got) in FEATURE_NAMES.iter().zip(&row[3..]).zip(values) {
            let want: f64 = want.parse().unwrap();
            let near = (got - want).abs() <= 1e-9 * want.abs() + floor_of(name);
            assert!(near || got.is_nan() && want.is_nan(), "{row:?}: {name} is {got}, wants {want}");
            cases += 1;
        }
    }
    assert_eq!(cases, 32 * 18);
}

fn active(pattern: &str, n: usize, i: usize, j: usize) -> bool {
    let k = (i * n + j) as u64;
    let centred = |i: usize| i as f64 - n as f64 / 2.0 + 0.5;
    match pattern {
        "empty" => false,
        "full" => true,
        "row" => i == n / 2,
        "column" => j == n / 2,
        "diagonal" => i == j,
        "pixel" => (i, j) == (n / 3, n / 5),
        "frame" => i == 0 || j == 0 || i == n - 1 || j == n - 1,
        "checkerboard" => (i + j).is_multiple_of(2),
        "random50" => uniform(5, k) < 0.5,
        "random1" => uniform(6, k) < 0.01,
        "disc" => centred(i).powi(2) + centred(j).powi(2) < (n as f64 / 3.0).powi(2),
        "sierpinski_triangle" => i & j == 0,
        other => panic!("no pattern {other}"),
    }
}

#[test]
fn box_counts_equal_those_of_version_4_1_and_slopes_to_1e_12() {
    let mut cases = 0;
    for row in rows(BOXES) {
        let n: usize = row[0].parse().unwrap();
        let mut map = Bitmap::new(n);
        for k in (0..n * n).filter(|k| active(row[1], n, k / n, k % n)) {
            map.set(k / n, k % n);
        }
        assert_eq!(map.count().to_string(), row[5], "{row:?}");
        let ladder = reference_ladder(n, row[2].parse().unwrap());
        let sizes: Vec<_> = ladder.iter().map(ToString::to_string).collect();
        assert_eq!(sizes.join(","), row[3], "{row:?}");
        let mut boxes = BoxCounter::with_ladder(n, BoxPlacement::Reference, ladder);
        let counts: Vec<_> = boxes.sums(&map).iter().map(|t| t.hit.to_string()).collect();
        assert_eq!(counts.join(","), row[4], "{row:?}");
        let fit = boxes.dimensions(&map);
        for (got, want) in [(fit.boxes, row[6]), (fit.r2, row[7])] {
            assert!((got - want.parse::<f64>().unwrap()).abs() < 1e-12, "{row:?}: {got}");
        }
        cases += 1;
    }
    assert_eq!(cases, 72);
}

#[test]
fn the_ladder_equals_that_of_numpy_on_every_grid_including_its_floored_sevens() {
    let mut cases = 0;
    for row in rows(LADDERS) {
        let sizes: Vec<_> =
            reference_ladder(row[0].parse().unwrap(), 5).iter().map(ToString::to_string).collect();
        assert_eq!(sizes.join(","), row[1], "grid {}", row[0]);
        cases += 1;
    }
    assert_eq!(cases, 505);
}
