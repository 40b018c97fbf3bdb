//! One step of each model against a C loop with the same kinetics, `benches/baseline.c`, built here and now by
//! `cc -O3 -march=native` for vectors of 256 and of 512 bits, if there is a compiler. Prints microseconds of processor time
//! and the faster C loop's time divided by ours: above 1 the simulator is faster. `cargo bench --bench step`, short with
//! `BENCH_SMALL=1`.

mod support;

use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use rustix::time::{ClockId, clock_gettime};

use mycelium_core::sim::{FrameRing, Model, Params, Precision, RawParams, Simulator};
use support::{median_ratio, rounds, small};

/// What to time: the place of the model in `Model::ALL`, which is that in `baseline.c`.
#[derive(Clone, Copy)]
struct Request {
    model: usize,
    precision: Precision,
    grid: usize,
}

/// The C loop in a child process.
struct Baseline {
    child: Child,
    requests: ChildStdin,
    responses: BufReader<ChildStdout>,
}

impl Baseline {
    /// For vectors of `bits`; `None` if there is no C compiler, or it fails.
    fn build(bits: u32) -> Option<Self> {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/baseline.c");
        let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("baseline-c-{bits}"));
        let width = format!("-mprefer-vector-width={bits}");
        let flags = ["-O3", "-march=native", &width, "-o"];
        let built = Command::new("cc").args(flags).arg(&out).arg(source).status().ok()?;
        if !built.success() {
            return None;
        }
        let mut child = Command::new(&out).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
        let (requests, responses) = (child.stdin.take()?, BufReader::new(child.stdout.take()?));
        Some(Self { child, requests, responses })
    }

    /// Nanoseconds per step.
    fn time(&mut self, Request { model, precision, grid }: Request, steps: u32) -> f64 {
        let bits = if precision == Precision::F32 { 32 } else { 64 };
        writeln!(self.requests, "{model} {bits} {grid} {steps}").expect("the baseline reads requests");
        let mut line = String::new();
        self.responses.read_line(&mut line).expect("the baseline responds");
        line.split_whitespace().next().and_then(|word| word.parse().ok()).expect("nanoseconds per step")
    }
}

impl Drop for Baseline {
    fn drop(&mut self) {
        // The child ends when its input ends; a failure to reap it has no consequence.
        let _ = writeln!(self.requests, "0 0 0 0");
        let _ = self.child.wait();
    }
}

fn params(model: Model, precision: Precision, grid: usize) -> Params {
    let mut raw = RawParams::default();
    (raw.model, raw.precision) = (model, precision);
    raw.set("grid", grid as f64).expect("in range");
    raw.try_into().expect("stable")
}

/// CPU time of this process, nanoseconds: unaffected by other processes.
fn cpu_time() -> f64 {
    let t = clock_gettime(ClockId::ProcessCPUTime);
    t.tv_sec as f64 * 1e9 + t.tv_nsec as f64
}

fn median(mut xs: Vec<f64>) -> f64 {
    xs.sort_by(f64::total_cmp);
    xs[xs.len() / 2]
}

/// A step of each baseline and of the simulator in turn, then the fastest of all rounds: on a machine that is shared,
/// what is slower was disturbed.
fn compare(baselines: &mut [Baseline], simulator: &mut Simulator, request: Request) -> String {
    let steps = 2_000_000 / (request.grid * request.grid) as u32 / if small() { 10 } else { 1 };
    let mut ours = f64::INFINITY;
    let (mut theirs, mut ratios) = (vec![f64::INFINITY; baselines.len()], Vec::new());
    // The first round warms caches and clocks.
    for round in 0..=rounds() {
        let round_theirs: Vec<f64> = baselines.iter_mut().map(|c| c.time(request, steps)).collect();
        // As many steps as the C loop takes before it starts its clock.
        (0..10).for_each(|_| _ = black_box(simulator.step()));
        let start = cpu_time();
        for _ in 0..steps {
            black_box(simulator.step());
        }
        let round_ours = (cpu_time() - start) / f64::from(steps);
        if round > 0 {
            ratios.push(fastest(&round_theirs) / round_ours);
            ours = ours.min(round_ours);
            theirs.iter_mut().zip(round_theirs).for_each(|(best, time)| *best = best.min(time));
        }
    }
    let listed: Vec<String> = theirs.iter().map(|time| format!("{:.2}", time / 1e3)).collect();
    let (own, listed) = (ours / 1e3, listed.join("/"));
    format!("{own:<9.2} {listed:<18} {:.2}, {:.2}", fastest(&theirs) / ours, median(ratios))
}

fn fastest(times: &[f64]) -> f64 {
    times.iter().copied().fold(f64::INFINITY, f64::min)
}

fn main() {
    let mut baselines: Vec<Baseline> = [256, 512].into_iter().filter_map(Baseline::build).collect();
    if baselines.is_empty() {
        println!("no C compiler: nothing to compare with");
    }
    println!("model      precision grid   step us   C 256/512 bits us  C by ours: of minima, median");
    for grid in [64, 256] {
        for (number, model) in Model::ALL.iter().enumerate() {
            for precision in Precision::ALL {
                let mut simulator = Simulator::new(params(*model, *precision, grid), 1);
                let request = Request { model: number, precision: *precision, grid };
                let times = compare(&mut baselines, &mut simulator, request);
                println!("{:<10} {:<9} {grid:<6} {times}", model.name(), precision.name());
            }
        }
    }
    bench_ring_push();
}

/// A push into the ring against a copy of the plane.
fn bench_ring_push() {
    let params = params(Model::Mfn, Precision::F32, 64);
    let mut ring = FrameRing::new(&params, 64);
    let simulator = Simulator::new(params, 1);
    let from = vec![0.0_f32; 64 * 64];
    let mut to = from.clone();
    let compared = median_ratio(
        2_000,
        || to.copy_from_slice(black_box(&from)),
        || ring.push(1, black_box(simulator.frame())),
    );
    black_box(&to);
    println!(
        "ring push  f32       64     {:<9.2} vs a copy of the plane {:.2}",
        compared.subject.as_secs_f64() * 1e6,
        compared.ratio
    );
}
