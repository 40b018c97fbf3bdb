//! The two precisions of a field.

use std::fmt::Debug;
use std::ops::{Add, AddAssign, Mul, Sub};

use pulp::Simd;

use super::lanes::{Lanes, Lanes32, Lanes64};

/// `f32` or `f64` with the arithmetic that the kernels need. No transcendental functions and no fused multiply-add:
/// results are the same bits on every target.
pub(super) trait Float:
    Copy
    + Debug
    + PartialEq
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + AddAssign
    + 'static
{
    /// An unsigned integer of the same width: a counter per vector lane.
    type Count: Copy + Debug;
    /// The cells in a register of an instruction set.
    type Lanes<S: Simd>: Lanes<Self, Simd = S>;
    const ZERO: Self;
    const ONE: Self;
    const MINUS_FOUR: Self;

    /// The nearest value of this precision.
    fn of(value: f64) -> Self;
    fn f64(self) -> f64;
    fn is_finite(self) -> bool;
    /// 1 if `condition` holds, else 0.
    fn one_if(condition: bool) -> Self::Count;
}

macro_rules! float {
    ($float:ident, $count:ident, $lanes:ident) => {
        impl Float for $float {
            type Count = $count;
            type Lanes<S: Simd> = $lanes<S>;
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const MINUS_FOUR: Self = -4.0;

            #[inline(always)]
            fn of(value: f64) -> Self {
                value as Self
            }
            #[inline(always)]
            fn f64(self) -> f64 {
                f64::from(self)
            }
            #[inline(always)]
            fn is_finite(self) -> bool {
                $float::is_finite(self)
            }
            #[inline(always)]
            fn one_if(condition: bool) -> $count {
                <$count>::from(condition)
            }
        }
    };
}

float!(f32, u32, Lanes32);
float!(f64, u64, Lanes64);

/// `x` limited to `low..=high`. NaN stays NaN, so that the finite check after it detects it.
#[inline(always)]
pub(super) fn clip<T: Float>(x: T, low: T, high: T) -> T {
    let raised = if x < low { low } else { x };
    if raised > high { high } else { raised }
}
