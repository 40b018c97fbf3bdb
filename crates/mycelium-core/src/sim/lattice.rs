//! One field in one precision: its planes, its kinetics, and the dispatch to an instruction set.

use super::float::Float;
use super::kernel::{Planes, SweepCounts, sweep};
use super::kinetics::{Barkley, Diffusion, GrayScott, Kinetics, Membrane, Mfn, Schnakenberg};
use super::params::{Boundary, Model, Params};
use super::row_buffers::{AlignedVec, RollingRows};
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
pub(super) struct Lattice<T> {
    planes: Planes<T>,
    kinetics: KineticsKind<T>,
    footprint: SpikeFootprint,
    arch: pulp::Arch,
}

/// A sweep in the form that `pulp` dispatches. Not a closure: its call goes through a shim that is not inlined, and the
/// loop would be compiled for the baseline instruction set only.
struct Sweep<'a, T, K> {
    kinetics: K,
    planes: &'a mut Planes<T>,
    /// Called once a row, so dynamic: a type parameter would double the copies of every loop.
    jitter: &'a mut dyn FnMut(&mut [T]),
}

impl<T: Float, K: Kinetics<T>> pulp::WithSimd for Sweep<'_, T, K> {
    type Output = SweepCounts;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> SweepCounts {
        sweep(&self.kinetics, self.planes, self.jitter)
    }
}

impl<T: Float> Lattice<T> {
    /// Heap bytes for a grid of edge `n`.
    pub(super) const fn heap(n: usize) -> usize {
        3 * AlignedVec::<T>::heap(n * n) + RollingRows::<T>::heap(n) + AlignedVec::<T>::heap(n)
    }

    /// A lattice with all planes at rest.
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
        Self { planes, kinetics: kinetics(params), footprint: footprint(params), arch: pulp::Arch::new() }
    }

    pub(super) fn cells(&self) -> [&[T]; 3] {
        self.planes.cells.each_ref().map(|plane| &**plane)
    }

    pub(super) fn cells_mut(&mut self) -> [&mut [T]; 3] {
        self.planes.cells.each_mut().map(|plane| &mut **plane)
    }

    /// Copies the planes of a lattice of the same size.
    pub(super) fn copy_from(&mut self, other: &Self) {
        for (cells, from) in self.planes.cells.iter_mut().zip(&other.planes.cells) {
            cells.copy_from_slice(from);
        }
    }

    /// Diffusion, kinetics, noise, clip and finite check of every cell. `jitter` is called once a row to fill its noise.
    pub(super) fn step(&mut self, jitter: &mut dyn FnMut(&mut [T])) -> SweepCounts {
        match self.kinetics {
            KineticsKind::Mfn(kinetics) => self.run(kinetics, jitter),
            KineticsKind::Diffusion(kinetics) => self.run(kinetics, jitter),
            KineticsKind::Turing(kinetics) => self.run(kinetics, jitter),
            KineticsKind::Excitable(kinetics) => self.run(kinetics, jitter),
            KineticsKind::GrayScott(kinetics) => self.run(kinetics, jitter),
        }
    }

    fn run<K: Kinetics<T>>(&mut self, kinetics: K, jitter: &mut dyn FnMut(&mut [T])) -> SweepCounts {
        self.arch.dispatch(Sweep { kinetics, planes: &mut self.planes, jitter })
    }

    /// Adds an impulse to V and, where the activator drives V, to the activator.
    pub(super) fn add_spike(&mut self, impulse: Impulse) {
        let SpikeFootprint { radius, activator_per_volt, max_activator } = self.footprint;
        let span = radius.cast_signed();
        let edge2 = ((radius + 1) * (radius + 1)) as f64;
        for down in -span..=span {
            for right in -span..=span {
                let weight = 1.0 - (down * down + right * right) as f64 / edge2;
                let Some(at) = self.cell(impulse, down, right).filter(|_| weight > 0.0) else { continue };
                let volts = impulse.volts * weight;
                let [v, a, _] = &mut self.planes.cells;
                v[at] += T::of(volts);
                if activator_per_volt > 0.0 {
                    let raised = a[at].f64() + volts * activator_per_volt;
                    a[at] = T::of(raised.clamp(0.0, max_activator));
                }
            }
        }
    }

    /// Index of the cell at an offset from an impulse; `None` outside the grid, except on a torus.
    fn cell(&self, impulse: Impulse, down: isize, right: isize) -> Option<usize> {
        let n = self.planes.n.cast_signed();
        let (row, col) = (impulse.row.cast_signed() + down, impulse.col.cast_signed() + right);
        if self.planes.boundary == Boundary::Periodic {
            return Some((row.rem_euclid(n) * n + col.rem_euclid(n)) as usize);
        }
        let inside = (0..n).contains(&row) && (0..n).contains(&col);
        inside.then_some((row * n + col) as usize)
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
                zero: of(0.0),
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
        zero: of(0.0),
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
