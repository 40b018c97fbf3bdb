//! Spiral tips: phase singularities of an excitable field.

use super::float::Float;
use super::lattice::Lattice;
use super::params::{Boundary, ExcitableParams, Model, Params};
use super::simulator::{Field, Simulator};
use crate::field::GRID_SIDE;

const ROW_WORDS: usize = GRID_SIDE.end().div_ceil(64);

/// A bit for each cell of a row: whether it lies above a level.
type Signs = [u64; ROW_WORDS];

/// The state that a tip rotates about: half excited, and on the nullcline `f = 0` of the activator, `w = a/2 - b` (Barkley
/// 1991).
fn centre(p: &ExcitableParams) -> [f64; 2] {
    [0.5, 0.5 * p.a - p.b]
}

impl Simulator {
    /// Number of squares of four neighbouring cells around which the phase, the angle of activator and inhibitor about the
    /// centre of a tip, turns by a full circle in either direction (Iyer and Gray 2001). 0 for models without a phase.
    /// Does not allocate.
    pub fn spiral_tips(&self) -> u32 {
        let params = self.params();
        if params.model != Model::Excitable || !params.turing_enabled {
            return 0;
        }
        match &self.field {
            Field::F32(lattice) => tips(lattice, params),
            Field::F64(lattice) => tips(lattice, params),
        }
    }
}

fn tips<T: Float>(lattice: &Lattice<T>, params: &Params) -> u32 {
    let planes = &lattice.planes;
    let (n, torus) = (params.grid, params.boundary == Boundary::Periodic);
    let centre = centre(&params.excitable);
    let row = |i: usize| [1, 2].map(|k| above(planes.row(k, i), centre[k - 1]));
    let at = |i: usize, j: usize| [1, 2].map(|k| planes.row(k, i)[j].f64() - centre[k - 1]);
    let first = row(0);
    let (mut upper, mut found) = (first, 0);
    for i in 0..if torus { n } else { n - 1 } {
        let below = if i + 1 < n { i + 1 } else { 0 };
        let lower = if below == 0 { first } else { row(below) };
        for k in 0..n.div_ceil(64) {
            let mut squares = mixed(&upper[0], &lower[0], k, n) & mixed(&upper[1], &lower[1], k, n);
            while squares != 0 {
                let j = 64 * k + squares.trailing_zeros() as usize;
                squares &= squares - 1;
                if j + 1 < n || torus {
                    let right = if j + 1 < n { j + 1 } else { 0 };
                    found += u32::from(turns([at(i, j), at(i, right), at(below, right), at(below, j)]));
                }
            }
        }
        upper = lower;
    }
    found
}

fn above<T: Float>(cells: &[T], level: f64) -> Signs {
    let mut words = [0; ROW_WORDS];
    for (word, cells) in words.iter_mut().zip(cells.chunks(64)) {
        for (bit, &v) in cells.iter().enumerate() {
            *word |= u64::from(v.f64() > level) << bit;
        }
    }
    words
}

/// Squares with their left upper corner in word `k` that have cells on both sides of a level.
fn mixed(upper: &Signs, lower: &Signs, k: usize, n: usize) -> u64 {
    let right = |row: &Signs| {
        let last = n - 1;
        let next = if k < last / 64 { row[k + 1] << 63 } else { (row[0] & 1) << (last % 64) };
        row[k] >> 1 | next
    };
    let any = upper[k] | lower[k] | right(upper) | right(lower);
    let all = upper[k] & lower[k] & right(upper) & right(lower);
    any & !all
}

/// Whether four states, in order around a square, go once around the centre: a polygon does if the ray to the right
/// crosses its sides an odd number of times.
fn turns(corners: [[f64; 2]; 4]) -> bool {
    let mut inside = false;
    for k in 0..4 {
        let ([ax, ay], [bx, by]) = (corners[k], corners[(k + 1) % 4]);
        if (ay > 0.0) != (by > 0.0) && (ax * by - bx * ay > 0.0) == (by > ay) {
            inside = !inside;
        }
    }
    inside
}
