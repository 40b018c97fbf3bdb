//! `features`: what a stored history shows.

use std::fs::File;
use std::io::{BufReader, Write};

use super::command::{Features, Format};
use super::failure::{Code, Failure};
use super::series::{self, Series};
use crate::formats::json::JsonObject;
use crate::formats::npy;
use mycelium_core::features::{Extractor, FeatureProfile, first_non_finite};
use mycelium_core::sim::Boundary;

pub(super) fn features(wish: &Features, out: &mut dyn Write) -> Result<(), Failure> {
    let file = File::open(&wish.file).map_err(|error| Failure::io("open", &wish.file, &error))?;
    let refused = |error: npy::NpyError| match error {
        npy::NpyError::Io(error) => Failure::io("read", &wish.file, &error),
        other => Failure::new(Code::Data, format_args!("{}: {other}", wish.file.display())),
    };
    let mut frames = npy::NpyReader::open(BufReader::with_capacity(1 << 16, file)).map_err(refused)?;
    let side = frames.side();
    let mut extractor = Extractor::new(side, profile(wish));
    // A stored history has no second trajectory: there is no exponent, and null says so.
    extractor.set_lyapunov(f64::NAN);
    let series = Series { counter: "frame", format: Format::Ndjson };
    let mut count = 0;
    while let Some(frame) = frames.next_frame().map_err(refused)? {
        if let Some(cell) = first_non_finite(frame) {
            let (row, col) = (cell / side, cell % side);
            let text = format_args!(
                "frame {count}, row {row}, column {col} is {}: cells must be finite",
                frame.get(cell)
            )
            .to_string();
            return Err(Failure::data(&wish.file, text));
        }
        extractor.push(frame);
        if wish.each {
            series.row(out, count, &extractor.values())?;
        }
        count += 1;
    }
    if !wish.each {
        let mut line = String::new();
        {
            let mut object = JsonObject::new(&mut line);
            object.integer("frames", count);
            series::features(&mut object, &extractor.values());
        }
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn profile(wish: &Features) -> FeatureProfile {
    FeatureProfile {
        compat: wish.compat,
        threshold: wish.threshold,
        connectivity: wish.connectivity,
        torus: wish.boundary == Boundary::Periodic,
        window: wish.window,
    }
}
