//! `simulate`: one run of the field, as fast as possible.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::Path;

use super::command::{SeriesFormat, SimulateArgs};
use super::failure::{ExitStatus, Failure};
use super::files::{AtomicFile, warn};
use super::progress::{self, Progress};
use super::series::{self, Series};
use super::spikes;
use crate::field_run::FieldRun;
use crate::formats::json::JsonObject;
use crate::formats::npy;
use mycelium_core::field::Frame;
use mycelium_core::range::OutOfRange;
use mycelium_core::sim::{FieldPlanes, Params, Precision, RawParams, Simulator};

pub(super) fn simulate(args: &SimulateArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let mut run = field_run(args)?;
    for warning in run.simulator.params().warnings() {
        warn(format_args!("warning: {warning}"));
    }
    let series =
        (args.format != SeriesFormat::Json).then_some(Series { counter: "step", format: args.format });
    if let Some(series) = series {
        series.start(out)?;
    }
    let mut history = match &args.history {
        Some(path) => Some(history(path, &run.simulator)?),
        None => None,
    };
    let mut progress = Progress::new(args.steps, 0, ["steps"; 2], progress::STEPS);
    for step in 1..=args.steps {
        run.step(step);
        if step.is_multiple_of(args.every) {
            run.sample();
            if let (Some(writer), Some(path)) = (&mut history, &args.history) {
                writer.frame(run.simulator.frame()).map_err(AtomicFile::failed(path))?;
            }
            if let Some(series) = series {
                series.row(out, step, &run.values())?;
            }
        }
        progress.at(step);
    }
    drop(progress);
    if let (Some(writer), Some(path)) = (history, &args.history) {
        writer.finish().map_err(AtomicFile::failed(path))?.commit()?;
    }
    if let Some(path) = &args.state {
        save_state(path, &run.simulator)?;
    }
    if series.is_none() {
        writeln!(out, "{}", summary(&mut run))?;
    }
    if run.simulator.counters().reseeds > 0 {
        let reseeds = run.simulator.counters().reseeds;
        warn(format_args!("a value stopped being finite {reseeds} times; the field was re-seeded each time"));
    }
    Ok(())
}

/// The run that the arguments describe.
pub(super) fn field_run(args: &SimulateArgs) -> Result<FieldRun, Failure> {
    let mut simulator = start(args)?;
    if let Some(path) = &args.spikes {
        let file = File::open(path).map_err(|error| Failure::io("open", path, &error))?;
        let list = spikes::read(BufReader::new(file), simulator.params().grid).map_err(|why| match why {
            spikes::Error::Io(error) => Failure::io("read", path, &error),
            error @ spikes::Error::Line { .. } => Failure::data(path, error),
        })?;
        simulator.set_spikes(list).map_err(|why| Failure::data(path, why))?;
    }
    let is_series = args.format != SeriesFormat::Json;
    Ok(FieldRun::new(simulator, args.profile, args.steps, args.every, is_series))
}

fn summary(run: &mut FieldRun) -> String {
    let values = run.values();
    let counts = run.simulator.counters();
    let mut line = String::new();
    let mut object = JsonObject::new(&mut line);
    object.integer("steps", run.simulator.steps_done());
    object.integer("growth_events", counts.growth_events);
    object.integer("turing_activations", counts.turing_activations);
    object.integer("clamping_events", counts.clamping_events);
    series::features(&mut object, &values);
    drop(object);
    line
}

/// The field in its random initial state, or in that of `--init`.
pub(super) fn start(args: &SimulateArgs) -> Result<Simulator, Failure> {
    let Some(path) = &args.init else {
        let params = checked(args.params.clone())?;
        return Ok(Simulator::new(params, args.seed));
    };
    let file = File::open(path).map_err(|error| Failure::io("open", path, &error))?;
    let state = npy::NpyState::read(BufReader::new(file)).map_err(|why| match why {
        npy::NpyError::Io(error) => Failure::io("read", path, &error),
        other => Failure::data(path, other),
    })?;
    let mut raw = args.params.clone();
    let asked = raw.get("grid").unwrap_or_default();
    if args.grid_given && asked != state.side as f64 {
        let side = state.side;
        return Err(Failure::data(
            path,
            format_args!("the state has {side} x {side} cells, --grid says {asked}"),
        ));
    }
    raw.set("grid", state.side as f64).map_err(|why| Failure::data(path, why))?;
    let [v, a, i] = state.planes.each_ref().map(|plane| Frame::F64(plane));
    let planes = FieldPlanes { v, a, i };
    Simulator::with_planes(checked(raw)?, args.seed, planes).map_err(|why| Failure::data(path, why))
}

fn checked(raw: RawParams) -> Result<Params, Failure> {
    Params::try_from(raw).map_err(|why: OutOfRange| Failure::new(ExitStatus::Usage, why))
}

fn dtype(precision: Precision) -> npy::Dtype {
    match precision {
        Precision::F32 => npy::Dtype::F4,
        Precision::F64 => npy::Dtype::F8,
    }
}

fn history(path: &Path, simulator: &Simulator) -> Result<npy::NpyWriter<AtomicFile>, Failure> {
    let params = simulator.params();
    npy::NpyWriter::create(AtomicFile::create(path)?, params.grid, dtype(params.precision))
        .map_err(AtomicFile::failed(path))
}

fn save_state(path: &Path, simulator: &Simulator) -> Result<(), Failure> {
    let planes = simulator.planes();
    let mut file = AtomicFile::create(path)?;
    npy::write_state(&mut file, simulator.params().grid, [planes.v, planes.a, planes.i])
        .map_err(AtomicFile::failed(path))?;
    file.commit()
}
