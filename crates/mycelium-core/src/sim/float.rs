//! The two precisions of a field.

use std::ops::{Add, AddAssign, Mul, Sub};

/// `f32` or `f64` with the arithmetic that the kernels need. No transcendental functions and no fused multiply-add:
/// results are the same bits on every target.
pub(super) trait Float:
    Copy
    + PartialEq
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + AddAssign
    + 'static
{
    /// An unsigned integer of the same width: a counter per vector lane.
    type Count: Copy + Default + AddAssign;
    const ONE: Self;
    const FOUR: Self;

    /// The nearest value of this precision.
    fn of(value: f64) -> Self;
    fn f64(self) -> f64;
    fn is_finite(self) -> bool;
    fn is_nan(self) -> bool;
    /// 1 if `condition` holds, else 0.
    fn one_if(condition: bool) -> Self::Count;
    fn total(count: Self::Count) -> u64;
}

macro_rules! float {
    ($float:ident, $count:ident) => {
        impl Float for $float {
            type Count = $count;
            const ONE: Self = 1.0;
            const FOUR: Self = 4.0;

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
            fn is_nan(self) -> bool {
                $float::is_nan(self)
            }
            #[inline(always)]
            fn one_if(condition: bool) -> $count {
                <$count>::from(condition)
            }
            #[inline(always)]
            fn total(count: $count) -> u64 {
                u64::from(count)
            }
        }
    };
}

float!(f32, u32);
float!(f64, u64);

/// `x` limited to `low..=high`. NaN stays NaN, so that the finite check after it detects it.
#[inline(always)]
pub(super) fn clip<T: Float>(x: T, low: T, high: T) -> T {
    let raised = if x < low { low } else { x };
    if raised > high { high } else { raised }
}
