//! The two precisions a field is kept in.

use std::ops::{Add, AddAssign, Mul, Sub};

/// `f32` or `f64`, with just the arithmetic the kernels need. No transcendental functions and no fused
/// multiply-add: results are the same bits on every target.
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
    /// An integer as wide as the number, so that counting stays in the same vector lanes.
    type Count: Copy + Default + AddAssign;
    const ONE: Self;
    const FOUR: Self;

    fn of(value: f64) -> Self;
    fn f64(self) -> f64;
    fn is_finite(self) -> bool;
    fn is_nan(self) -> bool;
    fn one_if(condition: bool) -> Self::Count;
    fn total(count: Self::Count) -> u64;
}

macro_rules! real {
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
                self as f64
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
                condition as $count
            }
            #[inline(always)]
            fn total(count: $count) -> u64 {
                count as u64
            }
        }
    };
}

real!(f32, u32);
real!(f64, u64);

/// `x` inside `low..=high`; NaN stays NaN, so the finite check behind it still sees it.
#[inline(always)]
pub(super) fn clip<T: Float>(x: T, low: T, high: T) -> T {
    let raised = if x < low { low } else { x };
    if raised > high { high } else { raised }
}
