//! `simulate --sweep`: one row per combination of models, grids, alphas and seeds; finished rows are not run again.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::command::SimulateArgs;
use super::failure::{ExitStatus, Failure};
use super::files::warn;
use super::in_order::{in_order, threads};
use super::progress::Progress;
use super::series::push_columns;
use super::simulate::{field_run, start};
use mycelium_core::features::{Compat, FEATURE_NAMES, FeatureProfile};
use mycelium_core::range::one_of;
use mycelium_core::sim::{Model, Params};

/// Largest sweep file.
const MAX_FILE_BYTES: u64 = 64 * 1024;
const MAX_RUNS: usize = 1_000_000;
/// Largest table that is resumed.
const MAX_TABLE_BYTES: u64 = 1 << 30;

/// The lists of a sweep; for an empty list the value of the option is used.
#[derive(Debug, Default, PartialEq)]
struct SweepPlan {
    models: Vec<Model>,
    grids: Vec<f64>,
    alphas: Vec<f64>,
    seeds: Vec<u64>,
}

pub(super) fn sweep(file: &Path, args: &SimulateArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let plan = read(file)?;
    let (args, files) = with_files(args)?;
    let mut runs = plan.runs(&args).map_err(|text| Failure::data(file, text))?;
    for warning in warnings(&runs) {
        warn(format_args!("warning: {warning}"));
    }
    let mut table = match &args.out {
        Some(path) => Some(SweepTable::open(path)?),
        None => None,
    };
    let header =
        format!("{KEYS},growth_events,turing_activations,clamping_events,{}", FEATURE_NAMES.join(","));
    match &mut table {
        Some(table) => table.header(&header)?,
        None => writeln!(out, "{header}")?,
    }
    let total = runs.len() as u64;
    if let Some(table) = &table {
        runs.retain(|run| !table.done.contains(&key(run, &files)));
    }
    let mut done = total - runs.len() as u64;
    let mut progress = Progress::new(total, done, ["runs", "rows"], 1);
    let row = |k: usize| results(&runs[k]).map(|results| format!("{}{results}", key(&runs[k], &files)));
    in_order(runs.len(), threads(runs.len()), row, |row| {
        match &mut table {
            Some(table) => table.push(&row?)?,
            None => writeln!(out, "{}", row?)?,
        }
        done += 1;
        progress.at(done);
        Ok(())
    })
}

/// The columns that identify a row. `settings` holds every setting that has no column, so that a row is never mistaken
/// for one of other settings.
const KEYS: &str = "model,precision,boundary,grid,alpha,seed,steps,every,settings";

/// The arguments with the grid of `--init`, and the checksums of the input files.
fn with_files(args: &SimulateArgs) -> Result<(SimulateArgs, String), Failure> {
    let mut args = args.clone();
    let mut files = String::new();
    for (name, path) in [("init", &args.init), ("spikes", &args.spikes)] {
        if let Some(path) = path {
            let bytes = fs::read(path).map_err(|error| Failure::io("read", path, &error))?;
            files.push_str(&format!(";{name}=crc32:{:08x}", crc32fast::hash(&bytes)));
        }
    }
    if args.init.is_some() && !args.grid_given {
        let grid = start(&args)?.params().grid;
        args.params.set("grid", grid as f64)?;
    }
    Ok((args, files))
}

/// Settings that differ from the defaults and have no column, separated by semicolons.
fn settings(run: &SimulateArgs, files: &str) -> String {
    let mut text = String::new();
    for (name, value) in run.params.changed().filter(|(name, _)| !matches!(*name, "grid" | "alpha")) {
        text.push_str(&format!(";{name}={value}"));
    }
    if !run.params.turing_enabled {
        text.push_str(";no-turing");
    }
    if run.profile.threshold != FeatureProfile::DEFAULT.threshold {
        text.push_str(&format!(";threshold={}", run.profile.threshold));
    }
    if run.profile.connectivity != FeatureProfile::DEFAULT.connectivity {
        text.push_str(&format!(";connectivity={}", run.profile.connectivity));
    }
    if run.profile.window != FeatureProfile::DEFAULT.window {
        text.push_str(&format!(";window={}", run.profile.window));
    }
    if run.profile.compat == Compat::V41 {
        text.push_str(&format!(";compat={}", Compat::V41_NAME));
    }
    text.push_str(files);
    text.split_off(usize::from(!text.is_empty()))
}

/// Warnings about the runs, each once.
fn warnings(runs: &[SimulateArgs]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut last = None;
    for run in runs {
        // Runs that differ only in the seed have the same warnings.
        if last == Some(&run.params) {
            continue;
        }
        last = Some(&run.params);
        if let Ok(params) = Params::try_from(run.params.clone()) {
            found.extend(params.warnings().iter().map(|warning| format!("{}: {warning}", params.model)));
        }
    }
    found
}

/// The columns of [`KEYS`] as text.
fn key(run: &SimulateArgs, files: &str) -> String {
    let raw = &run.params;
    let number = |name| raw.get(name).unwrap_or_default();
    format!(
        "{},{},{},{},{},{},{},{},{}",
        raw.model,
        raw.precision,
        raw.boundary,
        number("grid"),
        number("alpha"),
        run.seed,
        run.steps,
        run.every,
        settings(run, files)
    )
}

fn results(args: &SimulateArgs) -> Result<String, Failure> {
    let mut run = field_run(args)?;
    for step in 1..=args.steps {
        run.step(step);
        if step.is_multiple_of(args.every) {
            run.sample();
        }
    }
    let counts = run.simulator.counters();
    let mut row =
        format!(",{},{},{}", counts.growth_events, counts.turing_activations, counts.clamping_events);
    push_columns(&mut row, &run.values());
    Ok(row)
}

fn read(file: &Path) -> Result<SweepPlan, Failure> {
    let mut text = String::new();
    let opened = File::open(file).map_err(|error| Failure::io("open", file, &error))?;
    opened
        .take(MAX_FILE_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|error| Failure::io("read", file, &error))?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(Failure::data(file, format_args!("more than {MAX_FILE_BYTES} bytes")));
    }
    parse(&text).map_err(|why| Failure::data(file, why))
}

/// `models = ["turing"]`, `grids = [32, 64]`, `alphas = [0.1]`, `seeds = [1, 2]` or `seeds = "1..=100"`.
fn parse(text: &str) -> Result<SweepPlan, String> {
    let root = toml_span::parse(text).map_err(|error| format!("{error}: this is not TOML"))?;
    let mut plan = SweepPlan::default();
    for (name, value) in root.as_table().into_iter().flatten() {
        let refused = |accepted: &str| format!("`{}` must be {accepted}", name.name);
        let list = || value.as_array().ok_or_else(|| refused("an array"));
        let number = |value: &toml_span::Value<'_>| {
            value
                .as_float()
                .or_else(|| value.as_integer().map(|n| n as f64))
                .ok_or_else(|| refused("numbers"))
        };
        match name.name.as_ref() {
            "models" => {
                let model = |value: &toml_span::Value<'_>| {
                    value.as_str().unwrap_or_default().parse().map_err(|_| refused(&one_of(Model::NAMES)))
                };
                plan.models = list()?.iter().map(model).collect::<Result<_, _>>()?;
            }
            "grids" => plan.grids = list()?.iter().map(number).collect::<Result<_, _>>()?,
            "alphas" => plan.alphas = list()?.iter().map(number).collect::<Result<_, _>>()?,
            "seeds" => {
                let accepted = "integers of at least 0, or a text such as \"1..=100\"";
                plan.seeds = match value.as_str() {
                    Some(range) => seeds(range).ok_or_else(|| refused(accepted))?,
                    None => list()?
                        .iter()
                        .map(|v| v.as_integer().and_then(|n| u64::try_from(n).ok()))
                        .collect::<Option<_>>()
                        .ok_or_else(|| refused(accepted))?,
                };
            }
            other => {
                return Err(format!("unknown key `{other}`; there are models, grids, alphas and seeds"));
            }
        }
    }
    Ok(plan)
}

fn seeds(range: &str) -> Option<Vec<u64>> {
    let (first, last) = range.split_once("..=")?;
    let (first, last): (u64, u64) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first <= last && last - first < MAX_RUNS as u64).then(|| (first..=last).collect())
}

impl SweepPlan {
    /// Every combination, seeds fastest; each is checked before the first one runs.
    fn runs(&self, args: &SimulateArgs) -> Result<Vec<SimulateArgs>, String> {
        let or_own = |list: &[f64], own: Option<f64>| {
            if list.is_empty() { vec![own] } else { list.iter().map(|x| Some(*x)).collect() }
        };
        let models = if self.models.is_empty() { vec![args.params.model] } else { self.models.clone() };
        let seeds = if self.seeds.is_empty() { vec![args.seed] } else { self.seeds.clone() };
        let grids = or_own(&self.grids, None);
        let alphas = or_own(&self.alphas, None);
        let count = models.len() * grids.len() * alphas.len() * seeds.len();
        if count > MAX_RUNS {
            return Err(format!("{count} runs; at most {MAX_RUNS} fit into one sweep"));
        }
        let mut runs = Vec::with_capacity(count);
        for model in &models {
            for grid in &grids {
                for alpha in &alphas {
                    let mut run = args.clone();
                    run.params.model = *model;
                    run.grid_given |= grid.is_some();
                    for (name, value) in [("grid", grid), ("alpha", alpha)] {
                        if let Some(value) = value {
                            run.params.set(name, *value).map_err(|why| why.to_string())?;
                        }
                    }
                    Params::try_from(run.params.clone()).map_err(|why| why.to_string())?;
                    run.sweep = None;
                    runs.extend(seeds.iter().map(|&seed| SimulateArgs { seed, ..run.clone() }));
                }
            }
        }
        Ok(runs)
    }
}

/// A CSV file. Each row is written as soon as it and those before it are known, so an interruption loses the runs in
/// progress and a few behind them.
struct SweepTable<'a> {
    path: &'a Path,
    file: File,
    done: BTreeSet<String>,
    first_line: String,
    /// Length of all complete lines.
    whole_bytes: u64,
    /// The incomplete last line.
    torn: Vec<u8>,
}

impl<'a> SweepTable<'a> {
    fn open(path: &'a Path) -> Result<Self, Failure> {
        let failed = |error| Failure::io("open", path, &error);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        if fs::metadata(path).map_err(failed)?.len() > MAX_TABLE_BYTES {
            return Err(Failure::data(path, "too long to be resumed: name a new file"));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed)?;
        // An incomplete row is run again.
        let whole = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        let text = std::str::from_utf8(&bytes[..whole]).map_err(|_| Failure::data(path, "not a table"))?;
        let columns = KEYS.split(',').count();
        let key = |line: &str| line.splitn(columns + 1, ',').take(columns).collect::<Vec<_>>().join(",");
        let first_line = text.lines().next().unwrap_or_default().to_owned();
        let done = text.lines().skip(1).map(key).collect();
        let torn = bytes.split_off(whole);
        Ok(Self { path, file, done, first_line, whole_bytes: whole as u64, torn })
    }

    /// Prepares the table for further rows. A file is truncated only once its header shows that it is such a table.
    fn header(&mut self, header: &str) -> Result<(), Failure> {
        if self.first_line.is_empty() && header.as_bytes().starts_with(&self.torn) {
            self.cut()?;
            return self.push(header);
        }
        if self.first_line == header {
            return self.cut();
        }
        let text = "holds another table: name a new file with --out";
        Err(Failure::new(ExitStatus::Data, format_args!("{} {text}", self.path.display())))
    }

    fn cut(&mut self) -> Result<(), Failure> {
        let failed = |error| Failure::io("cut", self.path, &error);
        self.file.set_len(self.whole_bytes).map_err(failed)?;
        self.file.seek(SeekFrom::Start(self.whole_bytes)).map_err(failed).map(|_| ())
    }

    fn push(&mut self, line: &str) -> Result<(), Failure> {
        let written = self.file.write_all(format!("{line}\n").as_bytes());
        written.map_err(|error| Failure::io("write", self.path, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweep_files_are_parsed_or_rejected_with_the_key() {
        let plan =
            parse("models = [\"mfn\", \"turing\"]\ngrids = [16, 32]\nalphas = [0.1]\nseeds = \"3..=5\"")
                .unwrap();
        assert_eq!((plan.models.len(), plan.seeds), (2, vec![3, 4, 5]));
        let rows = [
            ("grids = 16", "`grids` must be an array"),
            ("grids = [\"a\"]", "`grids` must be numbers"),
            ("models = [\"life\"]", "`models` must be one of mfn, turing, excitable, gray_scott"),
            ("seeds = [-1]", "`seeds` must be integers of at least 0, or a text such as \"1..=100\""),
            ("seeds = \"9..=1\"", "`seeds` must be integers of at least 0, or a text such as \"1..=100\""),
            ("colour = 1", "unknown key `colour`; there are models, grids, alphas and seeds"),
        ];
        for (text, want) in rows {
            assert_eq!(parse(text).unwrap_err(), want);
        }
    }
}
