//! The kinetics of one cell: the part of a step that differs between models.

use super::float::{Float, clip};

/// One quantity of a cell: its old value and its five-point Laplacian.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point<T> {
    pub(super) old: T,
    pub(super) laplacian: T,
}

/// The new values of a cell; `v` is not clipped yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell<T> {
    pub(super) v: T,
    pub(super) a: T,
    pub(super) i: T,
    /// Counted as an activation.
    pub(super) fired: bool,
}

/// Reaction and diffusion of one cell from old values. Inlined into the vectorised row loop: no branches.
pub(super) trait Kinetics<T: Float>: Copy {
    /// Whether activator and inhibitor change; otherwise the kernel neither reads nor writes their planes.
    const MOVES: bool;
    fn step(&self, v: Point<T>, a: Point<T>, i: Point<T>) -> Cell<T>;
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
    pub(super) zero: T,
}

impl<T: Float> Kinetics<T> for Mfn<T> {
    const MOVES: bool = true;

    #[inline(always)]
    fn step(&self, v: Point<T>, a: Point<T>, i: Point<T>) -> Cell<T> {
        let da = self.d_activator * a.laplacian + self.r_activator * (a.old * (T::ONE - a.old) - i.old);
        let di = self.d_inhibitor * i.laplacian + self.r_inhibitor * (a.old - i.old);
        let (grown, inhibited) = (a.old + da, i.old + di);
        let fired = grown > self.theta;
        let diffused = v.old + self.alpha * v.laplacian;
        let raised = diffused + self.increment;
        Cell {
            v: if fired { raised } else { diffused },
            a: clip(grown, self.zero, T::ONE),
            i: clip(inhibited, self.zero, T::ONE),
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
    fn step(&self, v: Point<T>, a: Point<T>, i: Point<T>) -> Cell<T> {
        Cell { v: v.old + self.alpha * v.laplacian, a: a.old, i: i.old, fired: false }
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
    pub(super) fn follow(&self, v: Point<T>, activator: T) -> T {
        let target = self.rest + self.gain * activator;
        v.old + (self.alpha * v.laplacian + self.rate * (target - v.old))
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
    pub(super) zero: T,
    pub(super) max_activator: T,
    pub(super) max_inhibitor: T,
}

impl<T: Float> Kinetics<T> for Schnakenberg<T> {
    const MOVES: bool = true;

    #[inline(always)]
    fn step(&self, v: Point<T>, a: Point<T>, i: Point<T>) -> Cell<T> {
        let autocatalysis = a.old * a.old * i.old;
        let da = self.d_activator * a.laplacian + self.rate * (self.feed - a.old + autocatalysis);
        let di = self.d_inhibitor * i.laplacian + self.rate * (self.supply - autocatalysis);
        let grown = clip(a.old + da, self.zero, self.max_activator);
        Cell {
            v: self.membrane.follow(v, a.old),
            a: grown,
            i: clip(i.old + di, self.zero, self.max_inhibitor),
            fired: (grown > self.level) & (a.old <= self.level),
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
    pub(super) zero: T,
}

impl<T: Float> Kinetics<T> for Barkley<T> {
    const MOVES: bool = true;

    #[inline(always)]
    fn step(&self, v: Point<T>, a: Point<T>, i: Point<T>) -> Cell<T> {
        let threshold = (i.old + self.b) * self.inverse_a;
        let cubic = a.old * (T::ONE - a.old) * (a.old - threshold);
        let da = self.d_activator * a.laplacian + self.rate * cubic;
        let di = self.d_inhibitor * i.laplacian + self.recovery * (a.old - i.old);
        let grown = clip(a.old + da, self.zero, T::ONE);
        Cell {
            v: self.membrane.follow(v, a.old),
            a: grown,
            i: clip(i.old + di, self.zero, T::ONE),
            fired: (grown > self.level) & (a.old <= self.level),
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
    pub(super) zero: T,
    pub(super) max_activator: T,
}

impl<T: Float> Kinetics<T> for GrayScott<T> {
    const MOVES: bool = true;

    #[inline(always)]
    fn step(&self, v: Point<T>, a: Point<T>, i: Point<T>) -> Cell<T> {
        let autocatalysis = a.old * a.old * i.old;
        let da = self.d_activator * a.laplacian + (autocatalysis - self.removal * a.old);
        let di = self.d_substrate * i.laplacian + (self.feed * (T::ONE - i.old) - autocatalysis);
        let grown = clip(a.old + da, self.zero, self.max_activator);
        Cell {
            v: self.membrane.follow(v, a.old),
            a: grown,
            i: clip(i.old + di, self.zero, T::ONE),
            fired: (grown > self.level) & (a.old <= self.level),
        }
    }
}
