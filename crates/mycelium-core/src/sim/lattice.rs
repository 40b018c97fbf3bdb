//! One field in one precision: planes, kinetics, and the instruction set they run on.

use super::float::Float;
use super::kernel::{Planes, SweepCounts, sweep};
use super::kinetics::{Barkley, Diffusion, Kinetics, Membrane, Mfn, Schnakenberg};
use super::params::{Boundary, Model, Params};
use super::row_buffers::{AlignedVec, RollingRows};
use super::spikes::Impulse;
use super::{excitable, initial_state, turing};

/// Volts added by `mfn` where the activator exceeds theta.
const INCREMENT: f64 = 0.005;

#[derive(Clone, Copy, Debug)]
enum KineticsKind<T> {
    Mfn(Mfn<T>),
    Diffusion(Diffusion<T>),
    Turing(Schnakenberg<T>),
    Excitable(Barkley<T>),
}

/// How a kick of some volts reaches the field.
#[derive(Clone, Copy, Debug)]
struct SpikeFootprint {
    /// Cells around the centre; the size falls off as a parabola.
    radius: usize,
    /// Activator per volt; 0 where only V feels it.
    activator_per_volt: f64,
    highest_activator: f64,
}

#[derive(Clone, Debug)]
pub(super) struct Lattice<T> {
    planes: Planes<T>,
    law: KineticsKind<T>,
    reach: SpikeFootprint,
    arch: pulp::Arch,
}

/// A sweep as `pulp` wants it. A closure would not do: its call goes through a shim that is not inlined, so the
/// loop would stay behind in the baseline instruction set.
struct Sweep<'a, T, K> {
    law: K,
    planes: &'a mut Planes<T>,
    /// Called once a row: not worth a second copy of every loop.
    jitter: &'a mut dyn FnMut(&mut [T]),
}

impl<T: Float, K: Kinetics<T>> pulp::WithSimd for Sweep<'_, T, K> {
    type Output = SweepCounts;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> SweepCounts {
        sweep(&self.law, self.planes, self.jitter)
    }
}

impl<T: Float> Lattice<T> {
    /// Heap bytes for a grid of edge `n`.
    pub(super) const fn heap(n: usize) -> usize {
        3 * AlignedVec::<T>::heap(n * n) + RollingRows::<T>::heap(n) + AlignedVec::<T>::heap(n)
    }

    /// All planes at rest.
    pub(super) fn new(params: &Params) -> Self {
        let n = params.grid;
        let rest = initial_state::rest(params);
        let ghosts = initial_state::ghosts(params);
        let planes = Planes {
            cells: rest.map(|value| AlignedVec::new(n * n, T::of(value))),
            old: RollingRows::new(n, ghosts.map(T::of)),
            noise: AlignedVec::new(n, T::of(-0.0)),
            n,
            boundary: params.boundary,
        };
        Self { planes, law: law(params), reach: reach(params), arch: pulp::Arch::new() }
    }

    pub(super) fn cells(&self) -> [&[T]; 3] {
        self.planes.cells.each_ref().map(|plane| &**plane)
    }

    pub(super) fn cells_mut(&mut self) -> [&mut [T]; 3] {
        self.planes.cells.each_mut().map(|plane| &mut **plane)
    }

    /// Takes over the planes of a lattice of the same size.
    pub(super) fn copy_from(&mut self, other: &Self) {
        for (cells, from) in self.planes.cells.iter_mut().zip(&other.planes.cells) {
            cells.copy_from_slice(from);
        }
    }

    /// Diffusion, kinetics, noise, clip and check of every cell. `jitter` fills one row with noise.
    pub(super) fn step(&mut self, jitter: &mut dyn FnMut(&mut [T])) -> SweepCounts {
        match self.law {
            KineticsKind::Mfn(law) => self.run(law, jitter),
            KineticsKind::Diffusion(law) => self.run(law, jitter),
            KineticsKind::Turing(law) => self.run(law, jitter),
            KineticsKind::Excitable(law) => self.run(law, jitter),
        }
    }

    fn run<K: Kinetics<T>>(&mut self, law: K, jitter: &mut dyn FnMut(&mut [T])) -> SweepCounts {
        self.arch.dispatch(Sweep { law, planes: &mut self.planes, jitter })
    }

    /// Adds a kick to V and to the activator that drives it.
    pub(super) fn add_spike(&mut self, kick: Impulse) {
        let SpikeFootprint { radius, activator_per_volt, highest_activator } = self.reach;
        let span = radius.cast_signed();
        let edge2 = ((radius + 1) * (radius + 1)) as f64;
        for down in -span..=span {
            for right in -span..=span {
                let weight = 1.0 - (down * down + right * right) as f64 / edge2;
                let Some(at) = self.cell(kick, down, right).filter(|_| weight > 0.0) else { continue };
                let volts = kick.volts * weight;
                let [v, a, _] = &mut self.planes.cells;
                v[at] += T::of(volts);
                if activator_per_volt > 0.0 {
                    let raised = a[at].f64() + volts * activator_per_volt;
                    a[at] = T::of(raised.clamp(0.0, highest_activator));
                }
            }
        }
    }

    /// The cell at an offset from a kick: around the torus, or nowhere when it lies outside.
    fn cell(&self, kick: Impulse, down: isize, right: isize) -> Option<usize> {
        let n = self.planes.n.cast_signed();
        let (row, col) = (kick.row.cast_signed() + down, kick.col.cast_signed() + right);
        if self.planes.boundary == Boundary::Periodic {
            return Some((row.rem_euclid(n) * n + col.rem_euclid(n)) as usize);
        }
        let inside = (0..n).contains(&row) && (0..n).contains(&col);
        inside.then_some((row * n + col) as usize)
    }
}

fn law<T: Float>(params: &Params) -> KineticsKind<T> {
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
            increment: of(INCREMENT),
            zero: of(0.0),
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
                zero: of(0.0),
                highest: of(turing::highest(p)),
                highest_inhibitor: of(turing::HIGHEST_INHIBITOR),
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
                level: of(excitable::LEVEL),
                zero: of(0.0),
            })
        }
    }
}

fn reach(params: &Params) -> SpikeFootprint {
    let felt = |gain: f64| params.turing_enabled && gain > 0.0;
    let per_volt = |gain: f64| if felt(gain) { 1.0 / gain } else { 0.0 };
    match params.model {
        Model::Mfn => SpikeFootprint { radius: 0, activator_per_volt: 0.0, highest_activator: 1.0 },
        Model::Turing => SpikeFootprint {
            radius: 0,
            activator_per_volt: per_volt(params.turing.gain_volts),
            highest_activator: turing::highest(&params.turing),
        },
        Model::Excitable => SpikeFootprint {
            radius: params.excitable.spike_radius,
            activator_per_volt: per_volt(params.excitable.gain_volts),
            highest_activator: 1.0,
        },
    }
}
