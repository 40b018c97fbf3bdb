//! The kinetics of one cell: the part of a step that differs between models.

use super::float::Float;
use super::lanes::Lanes;

/// One quantity of the cells in a register: its old values and their five-point Laplacians.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point<L> {
    pub(super) old: L,
    pub(super) laplacian: L,
}

/// The new values of the cells in a register; `v` is not clipped yet.
pub(super) struct Cell<L, M> {
    pub(super) v: L,
    pub(super) a: L,
    pub(super) i: L,
    /// Counted as activations.
    pub(super) fired: M,
}

/// Reaction and diffusion of each cell of a register from old values.
pub(super) trait Kinetics<T: Float>: Copy {
    /// Whether activator and inhibitor change; otherwise their Laplacians are not computed.
    const MOVES: bool;
    fn step<L: Lanes<T>>(&self, v: Point<L>, a: Point<L>, i: Point<L>) -> Cell<L, L::Mask>;
}

/// The reaction-diffusion step of `MyceliumFractalNet` 4.1, in its order of operations.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mfn<T> {
    pub(super) alpha: T,
    pub(super) d_activator: T,
    pub(super) d_inhibitor: T,
    pub(super) r_activator: T,
    pub(super) r_inhibitor: T,
    pub(super) theta: T,
    /// Volts added where the activator exceeds `theta`.
    pub(super) increment: T,
}

impl<T: Float> Kinetics<T> for Mfn<T> {
    const MOVES: bool = true;

    #[inline(always)]
    fn step<L: Lanes<T>>(&self, v: Point<L>, a: Point<L>, i: Point<L>) -> Cell<L, L::Mask> {
        let logistic = a.old * (a.old.all(T::ONE) - a.old);
        let da = a.laplacian * self.d_activator + (logistic - i.old) * self.r_activator;
        let di = i.laplacian * self.d_inhibitor + (a.old - i.old) * self.r_inhibitor;
        let grown = a.old + da;
        let fired = grown.above(self.theta);
        let diffused = v.old + v.laplacian * self.alpha;
        Cell {
            v: diffused.replace(fired, diffused + self.increment),
            a: grown.clip(T::ZERO, T::ONE),
            i: (i.old + di).clip(T::ZERO, T::ONE),
            fired,
        }
    }
}

/// Any model with `turing_enabled = false`: V diffuses, activator and inhibitor stay constant and do not drive V.
#[derive(Clone, Copy, Debug)]
pub(super) struct Diffusion<T> {
    pub(super) alpha: T,
}

impl<T: Float> Kinetics<T> for Diffusion<T> {
    const MOVES: bool = false;

    #[inline(always)]
    fn step<L: Lanes<T>>(&self, v: Point<L>, a: Point<L>, i: Point<L>) -> Cell<L, L::Mask> {
        Cell { v: v.old + v.laplacian * self.alpha, a: a.old, i: i.old, fired: v.old.none() }
    }
}

/// The membrane as a passive cable: V relaxes towards `rest + gain * activator` at `rate` while it diffuses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Membrane<T> {
    pub(super) alpha: T,
    pub(super) rate: T,
    /// V where the activator is 0.
    pub(super) rest: T,
    pub(super) gain: T,
}

impl<T: Float> Membrane<T> {
    #[inline(always)]
    pub(super) fn follow<L: Lanes<T>>(&self, v: Point<L>, activator: L) -> L {
        let target = activator * self.gain + self.rest;
        v.old + (v.laplacian * self.alpha + (target - v.old) * self.rate)
    }
}

/// Schnakenberg (1979): `u' = rate (feed - u + u^2 w)`, `w' = rate (supply - u^2 w)`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schnakenberg<T> {
    pub(super) membrane: Membrane<T>,
    pub(super) d_activator: T,
    pub(super) d_inhibitor: T,
    pub(super) rate: T,
    pub(super) feed: T,
    pub(super) supply: T,
    /// An upward crossing of this activator level is an activation.
    pub(super) level: T,
    pub(super) max_activator: T,
    pub(super) max_inhibitor: T,
}

impl<T: Float> Kinetics<T> for Schnakenberg<T> {
    const MOVES: bool = true;

    #[inline(always)]
    fn step<L: Lanes<T>>(&self, v: Point<L>, a: Point<L>, i: Point<L>) -> Cell<L, L::Mask> {
        let autocatalysis = a.old * a.old * i.old;
        let da = a.laplacian * self.d_activator + (a.old.all(self.feed) - a.old + autocatalysis) * self.rate;
        let di = i.laplacian * self.d_inhibitor + (i.old.all(self.supply) - autocatalysis) * self.rate;
        let grown = (a.old + da).clip(T::ZERO, self.max_activator);
        Cell {
            v: self.membrane.follow(v, a.old),
            a: grown,
            i: (i.old + di).clip(T::ZERO, self.max_inhibitor),
            fired: grown.rose_above(a.old, self.level),
        }
    }
}

/// Barkley (1991): `u' = rate u (1 - u) (u - (w + b)/a)`, `w' = rate epsilon (u - w)`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Barkley<T> {
    pub(super) membrane: Membrane<T>,
    pub(super) d_activator: T,
    pub(super) d_inhibitor: T,
    pub(super) rate: T,
    pub(super) recovery: T,
    pub(super) inverse_a: T,
    pub(super) b: T,
    /// An upward crossing of this activator level is an activation.
    pub(super) level: T,
}

impl<T: Float> Kinetics<T> for Barkley<T> {
    const MOVES: bool = true;

    #[inline(always)]
    fn step<L: Lanes<T>>(&self, v: Point<L>, a: Point<L>, i: Point<L>) -> Cell<L, L::Mask> {
        let threshold = (i.old + self.b) * self.inverse_a;
        let cubic = a.old * (a.old.all(T::ONE) - a.old) * (a.old - threshold);
        let da = a.laplacian * self.d_activator + cubic * self.rate;
        let di = i.laplacian * self.d_inhibitor + (a.old - i.old) * self.recovery;
        let grown = (a.old + da).clip(T::ZERO, T::ONE);
        Cell {
            v: self.membrane.follow(v, a.old),
            a: grown,
            i: (i.old + di).clip(T::ZERO, T::ONE),
            fired: grown.rose_above(a.old, self.level),
        }
    }
}

/// Gray and Scott (1984): `v' = u v^2 - (feed + kill) v`, `u' = feed (1 - u) - u v^2`; activator v, substrate u.
#[derive(Clone, Copy, Debug)]
pub(super) struct GrayScott<T> {
    pub(super) membrane: Membrane<T>,
    pub(super) d_activator: T,
    pub(super) d_substrate: T,
    pub(super) feed: T,
    /// Feed and kill.
    pub(super) removal: T,
    /// An upward crossing of this activator level is an activation.
    pub(super) level: T,
    pub(super) max_activator: T,
}

impl<T: Float> Kinetics<T> for GrayScott<T> {
    const MOVES: bool = true;

    #[inline(always)]
    fn step<L: Lanes<T>>(&self, v: Point<L>, a: Point<L>, i: Point<L>) -> Cell<L, L::Mask> {
        let autocatalysis = a.old * a.old * i.old;
        let da = a.laplacian * self.d_activator + (autocatalysis - a.old * self.removal);
        let supply = (i.old.all(T::ONE) - i.old) * self.feed;
        let di = i.laplacian * self.d_substrate + (supply - autocatalysis);
        let grown = (a.old + da).clip(T::ZERO, self.max_activator);
        Cell {
            v: self.membrane.follow(v, a.old),
            a: grown,
            i: (i.old + di).clip(T::ZERO, T::ONE),
            fired: grown.rose_above(a.old, self.level),
        }
    }
}
