//! One field in one precision: its planes, its kinetics, and the dispatch to an instruction set.

use super::float::{Float, clip};
use super::kernel::{SweepCounts, V_HIGH, V_LOW, sweep};
use super::kinetics::{Barkley, Diffusion, GrayScott, Kinetics, Membrane, Mfn, Schnakenberg};
use super::params::{Boundary, Model, Params};
use super::planes::Planes;
use super::spikes::Impulse;
use super::{excitable, gray_scott, initial_state, turing};

/// Volts that `mfn` adds where the activator exceeds theta.
const MFN_INCREMENT: f64 = 0.005;

#[derive(Clone, Copy, Debug)]
enum KineticsKind<T> {
    Mfn(Mfn<T>),
    Diffusion(Diffusion<T>),
    Turing(Schnakenberg<T>),
    Excitable(Barkley<T>),
    GrayScott(GrayScott<T>),
}

/// Which cells a spike or stimulus reaches, and how strongly.
#[derive(Clone, Copy, Debug)]
struct SpikeFootprint {
    /// Cells around the centre; the volts fall off as a parabola.
    radius: usize,
    /// Activator added per volt; 0 if only V is changed.
    activator_per_volt: f64,
    max_activator: f64,
}

#[derive(Clone, Debug)]
pub(super) struct Lattice<T: Float> {
    pub(super) planes: Planes<T>,
    kinetics: KineticsKind<T>,
    footprint: SpikeFootprint,
    arch: pulp::Arch,
}

/// A sweep in the form that `pulp` dispatches. Not a closure: its call goes through a shim that is not inlined, and the
/// loop would be compiled for the baseline instruction set only.
struct Sweep<'a, T: Float, K, const RIGHT_FIRST: bool> {
    kinetics: K,
    planes: &'a mut Planes<T>,
    rails: [T; 2],
}

impl<T: Float, K: Kinetics<T>, const RIGHT_FIRST: bool> pulp::WithSimd for Sweep<'_, T, K, RIGHT_FIRST> {
    type Output = SweepCounts;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, simd: S) -> SweepCounts {
        sweep::<T, K, S, RIGHT_FIRST>(simd, self.kinetics, self.planes, self.rails)
    }
}

impl<T: Float> Lattice<T> {
    /// Heap bytes for a grid of edge `n`.
    pub(super) const fn heap(n: usize) -> usize {
        Planes::<T>::heap(n)
    }

    /// A lattice with all planes at rest.
    pub(super) fn new(params: &Params) -> Self {
        let [fill, outside] =
            [initial_state::rest(params), initial_state::ghosts(params)].map(|x| x.map(T::of));
        Self {
            planes: Planes::new(params.grid, params.boundary, fill, outside),
            kinetics: kinetics(params),
            footprint: footprint(params),
            arch: pulp::Arch::new(),
        }
    }

    /// Diffusion, kinetics, clip and finite check of every cell.
    pub(super) fn step(&mut self) -> SweepCounts {
        self.step_between([V_LOW, V_HIGH].map(T::of))
    }

    /// The same with noise: `draw` gives that of one cell, volts, in the order of the cells.
    pub(super) fn step_with_noise(&mut self, mut draw: impl FnMut() -> f64) -> SweepCounts {
        let [low, high] = [V_LOW, V_HIGH].map(T::of);
        // Noise is added before V is clipped, and slow enough for a separate pass.
        let mut counts = self.step_between([f64::NEG_INFINITY, f64::INFINITY].map(T::of));
        for row in 0..self.planes.n() {
            self.planes.edit_row(row, |[v, ..]| {
                for v in v {
                    let moved = *v + T::of(draw());
                    *v = clip(moved, low, high);
                    counts.clamped += u64::from(*v != moved);
                    counts.non_finite |= !moved.is_finite();
                }
            });
        }
        counts
    }

    fn step_between(&mut self, rails: [T; 2]) -> SweepCounts {
        // `MyceliumFractalNet` 4.1 adds right before left with Dirichlet borders.
        let right_first = self.planes.boundary() == Boundary::Dirichlet;
        match self.kinetics {
            KineticsKind::Mfn(kinetics) if right_first => self.run::<_, true>(kinetics, rails),
            KineticsKind::Mfn(kinetics) => self.run::<_, false>(kinetics, rails),
            KineticsKind::Diffusion(kinetics) if right_first => self.run::<_, true>(kinetics, rails),
            KineticsKind::Diffusion(kinetics) => self.run::<_, false>(kinetics, rails),
            KineticsKind::Turing(kinetics) => self.run::<_, false>(kinetics, rails),
            KineticsKind::Excitable(kinetics) => self.run::<_, false>(kinetics, rails),
            KineticsKind::GrayScott(kinetics) => self.run::<_, false>(kinetics, rails),
        }
    }

    fn run<K: Kinetics<T>, const RIGHT_FIRST: bool>(&mut self, kinetics: K, rails: [T; 2]) -> SweepCounts {
        self.arch.dispatch(Sweep::<T, K, RIGHT_FIRST> { kinetics, planes: &mut self.planes, rails })
    }

    /// Adds an impulse to V and, where the activator drives V, to the activator.
    pub(super) fn add_spike(&mut self, impulse: Impulse) {
        let SpikeFootprint { radius, activator_per_volt, max_activator } = self.footprint;
        let (n, torus) = (self.planes.n().cast_signed(), self.planes.boundary() == Boundary::Periodic);
        // Index of a row or column at an offset; `None` outside the grid, except on a torus.
        let index = |from: usize, offset: isize| {
            let at = from.cast_signed() + offset;
            (torus || (0..n).contains(&at)).then(|| at.rem_euclid(n) as usize)
        };
        let span = radius.cast_signed();
        let edge2 = ((radius + 1) * (radius + 1)) as f64;
        for down in -span..=span {
            let Some(row) = index(impulse.row, down) else { continue };
            self.planes.edit_row(row, |[v, a, _]| {
                for right in -span..=span {
                    let weight = 1.0 - (down * down + right * right) as f64 / edge2;
                    let Some(col) = index(impulse.col, right).filter(|_| weight > 0.0) else { continue };
                    let volts = impulse.volts * weight;
                    v[col] += T::of(volts);
                    if activator_per_volt > 0.0 {
                        let raised = a[col].f64() + volts * activator_per_volt;
                        a[col] = T::of(raised.clamp(0.0, max_activator));
                    }
                }
            });
        }
    }
}

fn kinetics<T: Float>(params: &Params) -> KineticsKind<T> {
    let of = T::of;
    if !params.turing_enabled {
        return KineticsKind::Diffusion(Diffusion { alpha: of(params.alpha) });
    }
    match params.model {
        Model::Mfn => KineticsKind::Mfn(Mfn {
            alpha: of(params.alpha),
            d_activator: of(params.d_activator),
            d_inhibitor: of(params.d_inhibitor),
            r_activator: of(params.r_activator),
            r_inhibitor: of(params.r_inhibitor),
            theta: of(params.theta),
            increment: of(MFN_INCREMENT),
        }),
        Model::Turing => {
            let p = &params.turing;
            let [rest, ..] = initial_state::rest(params);
            let [level, _] = turing::rest(p);
            KineticsKind::Turing(Schnakenberg {
                membrane: Membrane {
                    alpha: of(params.alpha),
                    rate: of(p.membrane_rate),
                    rest: of(rest - p.gain_volts * level),
                    gain: of(p.gain_volts),
                },
                d_activator: of(p.d_activator),
                d_inhibitor: of(p.d_inhibitor),
                rate: of(p.rate),
                feed: of(p.feed),
                supply: of(p.supply),
                level: of(2.0 * level),
                max_activator: of(turing::max_activator(p)),
                max_inhibitor: of(turing::MAX_INHIBITOR),
            })
        }
        Model::Excitable => {
            let p = &params.excitable;
            let [rest, ..] = initial_state::rest(params);
            KineticsKind::Excitable(Barkley {
                membrane: Membrane {
                    alpha: of(params.alpha),
                    rate: of(p.membrane_rate),
                    rest: of(rest),
                    gain: of(p.gain_volts),
                },
                d_activator: of(p.d_activator),
                d_inhibitor: of(p.d_inhibitor),
                rate: of(p.rate),
                recovery: of(p.rate * p.epsilon),
                inverse_a: of(1.0 / p.a),
                b: of(p.b),
                level: of(excitable::EXCITED_LEVEL),
            })
        }
        Model::GrayScott => gray_scott_kinetics(params),
    }
}

fn gray_scott_kinetics<T: Float>(params: &Params) -> KineticsKind<T> {
    let of = T::of;
    let p = &params.gray_scott;
    let [rest, ..] = initial_state::rest(params);
    KineticsKind::GrayScott(GrayScott {
        membrane: Membrane {
            alpha: of(params.alpha),
            rate: of(p.membrane_rate),
            rest: of(rest),
            gain: of(p.gain_volts),
        },
        d_activator: of(p.d_activator),
        d_substrate: of(p.d_inhibitor),
        feed: of(p.feed),
        removal: of(p.feed + p.kill),
        level: of(gray_scott::ACTIVE_LEVEL),
        max_activator: of(gray_scott::max_activator(p)),
    })
}

fn footprint(params: &Params) -> SpikeFootprint {
    let per_volt = |gain: f64| if params.turing_enabled && gain > 0.0 { 1.0 / gain } else { 0.0 };
    match params.model {
        Model::Mfn => SpikeFootprint { radius: 0, activator_per_volt: 0.0, max_activator: 1.0 },
        Model::Turing => SpikeFootprint {
            radius: 0,
            activator_per_volt: per_volt(params.turing.gain_volts),
            max_activator: turing::max_activator(&params.turing),
        },
        Model::Excitable => SpikeFootprint {
            radius: params.excitable.spike_radius,
            activator_per_volt: per_volt(params.excitable.gain_volts),
            max_activator: 1.0,
        },
        Model::GrayScott => SpikeFootprint {
            radius: params.gray_scott.spike_radius,
            activator_per_volt: per_volt(params.gray_scott.gain_volts),
            max_activator: gray_scott::max_activator(&params.gray_scott),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::raw_params::RawParams;
    use super::*;

    /// One cell at a time, and every instruction set that this processor has.
    fn instruction_sets() -> Vec<pulp::Arch> {
        let mut all = vec![pulp::Arch::new()];
        #[cfg(target_arch = "x86_64")]
        {
            all.push(pulp::Arch::Scalar);
            all.extend(pulp::x86::V3::try_new().map(pulp::Arch::V3));
            all.extend(pulp::x86::V4::try_new().map(pulp::Arch::V4));
        }
        all
    }

    fn start<T: Float>(params: &Params, arch: pulp::Arch) -> Lattice<T> {
        let mut lattice = Lattice::new(params);
        lattice.arch = arch;
        let (mut rng, normal) = (super::super::noise::stream(7, 0), super::super::noise::Normal::new());
        initial_state::fill(&mut lattice.planes, params, &mut rng, &normal);
        lattice
    }

    fn same_bits<T: Float>(params: &Params, context: &str) {
        let run = |arch| {
            let mut lattice = start::<T>(params, arch);
            let counts: Vec<SweepCounts> = (0..25)
                .map(|step| {
                    lattice.add_spike(Impulse { row: step % 8, col: 0, volts: 0.05 });
                    lattice.step()
                })
                .collect();
            let cells = [0, 1, 2]
                .map(|k| lattice.planes.cells(k).iter().map(|x| x.f64().to_bits()).collect::<Vec<_>>());
            (counts, cells)
        };
        let mut runs = instruction_sets().into_iter().map(run);
        let first = runs.next();
        assert!(runs.all(|other| Some(other) == first), "{context}");
    }

    /// Mutants seen red: a product that is not exact fused, the cells after a row counted, the order of the neighbours the
    /// same under Dirichlet without vectors.
    #[test]
    fn every_instruction_set_gives_the_same_bits_and_counts_at_any_size_and_border() {
        for grid in [8.0, 9.0, 15.0, 16.0, 17.0, 33.0, 64.0] {
            for model in Model::ALL {
                for boundary in Boundary::ALL {
                    for turing_enabled in [true, false] {
                        let mut raw = RawParams::default();
                        (raw.model, raw.boundary, raw.turing_enabled) = (*model, *boundary, turing_enabled);
                        raw.set("grid", grid).unwrap();
                        let params = Params::try_from(raw).unwrap();
                        let context = format!("{model} {boundary} {grid} {turing_enabled}");
                        same_bits::<f32>(&params, &context);
                        same_bits::<f64>(&params, &context);
                    }
                }
            }
        }
    }

    /// Mutants seen red: no probe of V, no probe of activator and inhibitor.
    #[test]
    fn every_instruction_set_reports_a_value_that_is_not_finite_in_any_plane() {
        let mut raw = RawParams::default();
        raw.model = Model::Mfn;
        raw.set("grid", 19.0).unwrap();
        let params = Params::try_from(raw).unwrap();
        for arch in instruction_sets() {
            assert!(!start::<f32>(&params, arch).step().non_finite);
            for (plane, value) in
                [(0, f32::NAN), (1, f32::NAN), (2, f32::NAN), (0, f32::INFINITY), (0, f32::MAX)]
            {
                let mut lattice = start::<f32>(&params, arch);
                lattice.planes.edit_row(18, |cells| cells[plane][18] = value);
                assert!(lattice.step().non_finite, "{value} in plane {plane} with {arch:?}");
            }
        }
    }
}
