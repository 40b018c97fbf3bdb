//! `features`: the features of a stored history or frame.

use std::fs::File;
use std::io::{BufReader, Write};

use super::command::{FeaturesArgs, SeriesFormat};
use super::failure::{ExitStatus, Failure};
use super::series::{self, Series};
use crate::formats::json::JsonObject;
use crate::formats::npy;
use mycelium_core::features::{Extractor, first_non_finite};

pub(super) fn features(args: &FeaturesArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let file = File::open(&args.file).map_err(|error| Failure::io("open", &args.file, &error))?;
    let refused = |error: npy::NpyError| match error {
        npy::NpyError::Io(error) => Failure::io("read", &args.file, &error),
        other => Failure::new(ExitStatus::Data, format_args!("{}: {other}", args.file.display())),
    };
    let mut frames = npy::NpyReader::open(BufReader::with_capacity(1 << 16, file)).map_err(refused)?;
    let side = frames.side();
    let mut extractor = Extractor::new(side, args.profile);
    // A stored history has no second trajectory and no phase, so exponent and spiral tips are unknown: null.
    extractor.set_lyapunov(f64::NAN);
    let series = Series { counter: "frame", format: SeriesFormat::Ndjson };
    let mut count = 0;
    while let Some(frame) = frames.next_frame().map_err(refused)? {
        if let Some(cell) = first_non_finite(frame) {
            let (row, col) = (cell / side, cell % side);
            let text = format_args!(
                "frame {count}, row {row}, column {col} is {}: cells must be finite",
                frame.get(cell)
            )
            .to_string();
            return Err(Failure::data(&args.file, text));
        }
        extractor.push(frame);
        if args.each {
            series.row(out, count, &extractor.values())?;
        }
        count += 1;
    }
    if !args.each {
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
