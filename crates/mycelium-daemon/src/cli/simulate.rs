//! `simulate`: a field, now, as fast as it goes.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::Path;

use super::command::{Format, Simulate};
use super::failure::{Code, Failure};
use super::files::Replacement;
use super::progress::{self, Progress};
use super::series::{self, Series};
use super::spikes;
use crate::formats::json::JsonObject;
use crate::formats::npy;
use mycelium_core::features::{Extractor, FeatureProfile};
use mycelium_core::field::Frame;
use mycelium_core::range::OutOfRange;
use mycelium_core::sim::{Boundary, InitialState, Params, Precision, RawParams, Simulator, StepReport, Twin};

pub(super) fn simulate(wish: &Simulate, out: &mut dyn Write) -> Result<(), Failure> {
    if let Some(file) = &wish.sweep {
        return super::sweep::sweep(file, wish, out);
    }
    let mut run = Run::new(wish)?;
    for warning in run.simulator.params().warnings() {
        remark(format_args!("warning: {warning}"));
    }
    let series = (wish.format != Format::Json).then_some(Series { counter: "step", format: wish.format });
    if let Some(series) = series {
        series.start(out)?;
    }
    let mut history = match &wish.history {
        Some(path) => Some(history(path, &run.simulator)?),
        None => None,
    };
    let mut progress = Progress::new(wish.steps, 0, "steps", progress::STEPS);
    for step in 1..=wish.steps {
        run.step(step);
        if step.is_multiple_of(wish.every) {
            run.sample();
            if let (Some(writer), Some(path)) = (&mut history, &wish.history) {
                writer.frame(run.simulator.frame()).map_err(Replacement::failed(path))?;
            }
            if let Some(series) = series {
                series.row(out, step, &run.values())?;
            }
        }
        progress.at(step);
    }
    drop(progress);
    if let (Some(writer), Some(path)) = (history, &wish.history) {
        writer.finish().map_err(Replacement::failed(path))?.commit()?;
    }
    if let Some(path) = &wish.state {
        save_state(path, &run.simulator)?;
    }
    if series.is_none() {
        writeln!(out, "{}", run.summary())?;
    }
    if run.simulator.counters().reseeds > 0 {
        let reseeds = run.simulator.counters().reseeds;
        remark(format_args!(
            "a value stopped being finite {reseeds} times; the field started anew each time"
        ));
    }
    Ok(())
}

/// A remark on standard error; a closed one is nobody's loss.
pub(super) fn remark(text: std::fmt::Arguments<'_>) {
    drop(writeln!(std::io::stderr(), "myceliumd: {text}"));
}

/// The field with its estimators, and the twin for the stretch where it is wanted.
pub(super) struct Run {
    pub(super) simulator: Simulator,
    extractor: Extractor,
    twin: Option<Twin>,
    /// Step before which the twin starts, and the steps it discards.
    fork_before: u64,
    discard: u64,
    sampled: bool,
}

/// Steps the exponent is measured over at the end of a run, its discarded first half included: long enough for
/// a stable mean, and long runs stay as fast as they are.
const TWIN_STEPS: u64 = 1024;

impl Run {
    pub(super) fn new(wish: &Simulate) -> Result<Self, Failure> {
        let mut simulator = start(wish)?;
        if let Some(path) = &wish.spikes {
            let file = File::open(path).map_err(|error| Failure::io("open", path, &error))?;
            let list =
                spikes::read(BufReader::new(file), simulator.params().grid).map_err(|why| match why {
                    spikes::Error::Io(error) => Failure::io("read", path, &error),
                    line => Failure::data(path, line),
                })?;
            simulator.set_spikes(list).map_err(|why| Failure::data(path, why))?;
        }
        let profile = FeatureProfile {
            compat: wish.compat,
            threshold: wish.threshold,
            connectivity: wish.connectivity,
            torus: simulator.params().boundary == Boundary::Periodic,
            window: wish.window,
        };
        // A series shows the exponent in every line, so its twin runs from the start.
        let stretch = if wish.format == Format::Json { wish.steps.min(TWIN_STEPS) } else { wish.steps };
        let discard = stretch.min(TWIN_STEPS) / 2;
        let extractor = Extractor::new(simulator.params().grid, profile);
        let fork_before = wish.steps - stretch + 1;
        Ok(Self { simulator, extractor, twin: None, fork_before, discard, sampled: false })
    }

    /// Does step number `step`, counted from 1.
    pub(super) fn step(&mut self, step: u64) -> StepReport {
        if step == self.fork_before {
            self.twin = Some(Twin::fork(&self.simulator, self.discard));
        }
        match &mut self.twin {
            Some(twin) => twin.step_both(&mut self.simulator),
            None => self.simulator.step(),
        }
    }

    /// Shows the present frame to the estimators.
    pub(super) fn sample(&mut self) {
        self.extractor.push(self.simulator.frame());
        self.sampled = true;
    }

    /// Features of the frames sampled so far; of the present one when there was none.
    pub(super) fn values(&mut self) -> mycelium_core::features::FeatureValues {
        if !self.sampled {
            self.sample();
        }
        let exponent = self.twin.as_ref().and_then(Twin::exponent);
        self.extractor.set_lyapunov(exponent.unwrap_or(f64::NAN));
        self.extractor.values()
    }

    fn summary(&mut self) -> String {
        let values = self.values();
        let counts = self.simulator.counters();
        let mut line = String::new();
        let mut object = JsonObject::new(&mut line);
        object.integer("steps", self.simulator.steps_done());
        object.integer("growth_events", counts.growth_events);
        object.integer("turing_activations", counts.turing_activations);
        object.integer("clamping_events", counts.clamping_events);
        series::features(&mut object, &values);
        drop(object);
        line
    }
}

/// The field at its random start, or as `--init` has it.
pub(super) fn start(wish: &Simulate) -> Result<Simulator, Failure> {
    let Some(path) = &wish.init else {
        let params = checked(wish.params.clone())?;
        return Ok(Simulator::new(params, wish.seed));
    };
    let file = File::open(path).map_err(|error| Failure::io("open", path, &error))?;
    let state = npy::NpyState::read(BufReader::new(file)).map_err(|why| match why {
        npy::NpyError::Io(error) => Failure::io("read", path, &error),
        other => Failure::data(path, other),
    })?;
    let mut raw = wish.params.clone();
    let asked = raw.get("grid").unwrap_or_default();
    if wish.grid_given && asked != state.side as f64 {
        let side = state.side;
        return Err(Failure::data(
            path,
            format_args!("the state has {side} x {side} cells, --grid says {asked}"),
        ));
    }
    raw.set("grid", state.side as f64).map_err(|why| Failure::data(path, why))?;
    let [v, a, i] = state.planes.each_ref().map(|plane| Frame::F64(plane));
    let planes = InitialState { v, a, i };
    Simulator::with_state(checked(raw)?, wish.seed, planes).map_err(|why| Failure::data(path, why))
}

fn checked(raw: RawParams) -> Result<Params, Failure> {
    Params::try_from(raw).map_err(|why: OutOfRange| Failure::new(Code::Usage, why))
}

fn dtype(precision: Precision) -> npy::Dtype {
    match precision {
        Precision::F32 => npy::Dtype::F4,
        Precision::F64 => npy::Dtype::F8,
    }
}

fn history(path: &Path, simulator: &Simulator) -> Result<npy::NpyWriter<Replacement>, Failure> {
    let params = simulator.params();
    npy::NpyWriter::create(Replacement::create(path)?, params.grid, dtype(params.precision))
        .map_err(Replacement::failed(path))
}

fn save_state(path: &Path, simulator: &Simulator) -> Result<(), Failure> {
    let planes = simulator.planes();
    let mut file = Replacement::create(path)?;
    npy::write_state(&mut file, simulator.params().grid, [planes.v, planes.a, planes.i])
        .map_err(Replacement::failed(path))?;
    file.commit()
}
