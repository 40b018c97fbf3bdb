//! One step of each model against a fused loop of the same work: C built here and now by `cc -O3 -march=native`
//! when there is a compiler, and a straightforward Rust loop always. Prints medians of interleaved ratios of CPU time;
//! above 1 the simulator is faster. `cargo bench --bench step`, short with `BENCH_SMALL=1`.

mod support;

use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use rustix::time::{ClockId, clock_gettime};

use mycelium_core::sim::{FrameRing, Model, Params, Precision, RawParams, Simulator};
use support::{median_ratio, small};

/// The C loop in a child process.
struct Baseline {
    child: Child,
    requests: ChildStdin,
    responses: BufReader<ChildStdout>,
}

impl Baseline {
    /// `None` if there is no C compiler, or it fails.
    fn build() -> Option<Self> {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/baseline.c");
        let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("baseline-c");
        let flags = ["-O3", "-march=native", "-fno-trapping-math", "-o"];
        let built = Command::new("cc").args(flags).arg(&out).arg(source).status().ok()?;
        if !built.success() {
            return None;
        }
        let mut child = Command::new(&out).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
        let (requests, responses) = (child.stdin.take()?, BufReader::new(child.stdout.take()?));
        Some(Self { child, requests, responses })
    }

    /// Nanoseconds per step.
    fn time(&mut self, grid: usize, steps: u32) -> f64 {
        writeln!(self.requests, "{grid} {steps}").expect("the baseline reads requests");
        let mut line = String::new();
        self.responses.read_line(&mut line).expect("the baseline responds");
        line.split_whitespace().next().and_then(|word| word.parse().ok()).expect("nanoseconds per step")
    }
}

impl Drop for Baseline {
    fn drop(&mut self) {
        // The child ends when its input ends; a failure to reap it has no consequence.
        let _ = writeln!(self.requests, "0 0");
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

/// Median ratio and both medians per step, nanoseconds.
fn against_c(c: &mut Baseline, simulator: &mut Simulator, grid: usize, steps: u32) -> (f64, f64, f64) {
    let rounds = if small() { 11 } else { 101 };
    let (mut ratios, mut theirs, mut ours) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=rounds {
        let baseline = c.time(grid, steps);
        let start = cpu_time();
        for _ in 0..steps {
            black_box(simulator.step());
        }
        let subject = (cpu_time() - start) / f64::from(steps);
        // The first round warms caches and clocks.
        if round > 0 {
            ratios.push(baseline / subject);
            theirs.push(baseline);
            ours.push(subject);
        }
    }
    (median(ratios), median(theirs), median(ours))
}

/// The straightforward implementation: indices modulo the grid, a second set of planes.
struct Plain {
    n: usize,
    old: [Vec<f32>; 3],
    new: [Vec<f32>; 3],
}

impl Plain {
    fn new(n: usize) -> Self {
        let planes = || [-0.07, 0.05, 0.05].map(|x| vec![x; n * n]);
        Self { n, old: planes(), new: planes() }
    }

    fn step(&mut self) {
        let n = self.n;
        for row in 0..n {
            let (up, down) = ((row + n - 1) % n * n, (row + 1) % n * n);
            for col in 0..n {
                let (left, right, at) = ((col + n - 1) % n, (col + 1) % n, row * n + col);
                let laplacian = |p: &[f32]| {
                    p[up + col] + p[down + col] + p[row * n + left] + p[row * n + right] - 4.0 * p[at]
                };
                let [v, a, i] = &self.old;
                let grown = a[at] + (0.1 * laplacian(a) + 0.01 * (a[at] * (1.0 - a[at]) - i[at]));
                let other = i[at] + (0.05 * laplacian(i) + 0.02 * (a[at] - i[at]));
                let raised = v[at] + 0.18 * laplacian(v) + if grown > 0.75 { 0.005 } else { 0.0 };
                self.new[0][at] = raised.clamp(-0.095, 0.040);
                self.new[1][at] = grown.clamp(0.0, 1.0);
                self.new[2][at] = other.clamp(0.0, 1.0);
            }
        }
        std::mem::swap(&mut self.old, &mut self.new);
    }
}

fn main() {
    let mut c = Baseline::build();
    if c.is_none() {
        println!("no C compiler: only the plain Rust loop to compare with");
    }
    println!("model      precision grid   step us   vs fused C (us)     vs plain Rust loop");
    for grid in [64, 256] {
        let steps = 2_000_000 / (grid * grid) as u32 / if small() { 10 } else { 1 };
        for model in Model::ALL {
            for precision in Precision::ALL {
                let mut simulator = Simulator::new(params(*model, *precision, grid), 1);
                let fused = c.as_mut().map(|c| against_c(c, &mut simulator, grid, steps));
                let mut plain = Plain::new(grid);
                let compared = median_ratio(
                    steps.max(4) / 4,
                    || plain.step(),
                    || {
                        black_box(simulator.step());
                    },
                );
                let own = fused.map_or(compared.subject.as_secs_f64() * 1e6, |(_, _, ours)| ours / 1e3);
                let fused = fused
                    .map_or_else(|| "-".to_owned(), |(r, theirs, _)| format!("{r:.2} ({:.2})", theirs / 1e3));
                println!(
                    "{:<10} {:<9} {grid:<6} {own:<9.2} {fused:<19} {:.1}",
                    model.name(),
                    precision.name(),
                    compared.ratio
                );
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
