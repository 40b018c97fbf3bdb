//! Cells in the registers of an instruction set: what a sweep needs of it, for both precisions.
//!
//! Every operation gives the bits that the same operation on single cells gives. Of fused operations only those are used whose
//! product is exact, a multiple by a power of two, and the probe of finite values, whose sum is not part of the field.

use std::ops::{Add, Mul, Sub};

use pulp::Simd;

use super::float::Float;

/// As many cells as one register holds.
pub(super) trait Lanes<T: Float>:
    Copy
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Add<T, Output = Self>
    + Mul<T, Output = Self>
{
    /// The instruction set.
    type Simd: Simd;
    /// The cells as they lie in memory.
    type Stored: Copy;
    /// A condition for each cell.
    type Mask: Copy;
    /// A counter for each cell.
    type Counters: Copy;

    fn stored(cells: &[T]) -> &[Self::Stored];
    fn stored_mut(cells: &mut [T]) -> &mut [Self::Stored];
    fn counters(counts: &[T::Count]) -> &[Self::Counters];
    fn load(simd: Self::Simd, cells: Self::Stored) -> Self;
    fn store(self) -> Self::Stored;

    /// `value` in every cell.
    fn splat(simd: Self::Simd, value: T) -> Self;
    /// `value` in every cell of such lanes.
    fn all(self, value: T) -> Self;
    /// The cells above `level`; a NaN is not.
    fn above(self, level: T) -> Self::Mask;
    /// The cells above `level` that are not in `before`.
    fn rose_above(self, before: Self, level: T) -> Self::Mask;
    /// No cell.
    fn none(self) -> Self::Mask;
    /// The cells that equal those of `other`; a NaN equals nothing.
    fn equal(self, other: Self) -> Self::Mask;
    /// The cells of `mask` from `other`, the rest unchanged.
    fn replace(self, mask: Self::Mask, other: Self) -> Self;
    /// Limited to `low..=high`. NaN stays NaN, so that the finite check detects it.
    fn clip(self, low: T, high: T) -> Self;
    /// `self + exact * other`, where the product has no rounding error.
    fn add_exact_product(self, exact: T, other: Self) -> Self;
    /// `self` with something added that is not finite if `v`, `a` or `i` is not.
    fn add_probe(self, v: Self, a: Self, i: Self) -> Self;
    /// `sum` with `weight` added in the cells of `mask`.
    fn count(self, mask: Self::Mask, weight: Self::Counters, sum: Self::Counters) -> Self::Counters;
    /// `count` in every counter.
    fn splat_count(simd: Self::Simd, count: T::Count) -> Self::Counters;
    fn total(counters: Self::Counters) -> u64;
    fn are_finite(self) -> bool;
}

/// Not inlined: it needs no copy for each kinetics and instruction set.
#[inline(never)]
fn total<C: Copy + Into<u64>>(counts: &[C]) -> u64 {
    counts.iter().map(|&count| count.into()).sum()
}

/// Not inlined, like `total`.
#[inline(never)]
fn are_finite<T: Float>(cells: &[T]) -> bool {
    cells.iter().all(|x| x.is_finite())
}

/// The lanes of one precision on any instruction set, by the operations of `pulp` for it.
macro_rules! lanes {
    (
        $lanes:ident, $float:ident, $count:ident, $floats:ident, $masks:ident, $counts:ident,
        $stored:ident, $stored_mut:ident, $counters:ident, $splat:ident, $splat_count:ident,
        $add:ident, $sub:ident, $mul:ident, $mul_add:ident, $max:ident, $min:ident,
        $greater:ident, $not_greater:ident, $less:ident, $equal:ident, $and:ident, $select:ident,
        $add_count:ident, $select_count:ident
    ) => {
        #[derive(Clone, Copy)]
        pub(super) struct $lanes<S: Simd>(S, S::$floats);

        impl<S: Simd> Add for $lanes<S> {
            type Output = Self;
            #[inline(always)]
            fn add(self, other: Self) -> Self {
                Self(self.0, self.0.$add(self.1, other.1))
            }
        }

        impl<S: Simd> Sub for $lanes<S> {
            type Output = Self;
            #[inline(always)]
            fn sub(self, other: Self) -> Self {
                Self(self.0, self.0.$sub(self.1, other.1))
            }
        }

        impl<S: Simd> Mul for $lanes<S> {
            type Output = Self;
            #[inline(always)]
            fn mul(self, other: Self) -> Self {
                Self(self.0, self.0.$mul(self.1, other.1))
            }
        }

        impl<S: Simd> Add<$float> for $lanes<S> {
            type Output = Self;
            #[inline(always)]
            fn add(self, other: $float) -> Self {
                self + self.all(other)
            }
        }

        impl<S: Simd> Mul<$float> for $lanes<S> {
            type Output = Self;
            #[inline(always)]
            fn mul(self, other: $float) -> Self {
                self * self.all(other)
            }
        }

        impl<S: Simd> Lanes<$float> for $lanes<S> {
            type Simd = S;
            type Stored = S::$floats;
            type Mask = S::$masks;
            type Counters = S::$counts;

            #[inline(always)]
            fn stored(cells: &[$float]) -> &[Self::Stored] {
                S::$stored(cells).0
            }
            #[inline(always)]
            fn stored_mut(cells: &mut [$float]) -> &mut [Self::Stored] {
                S::$stored_mut(cells).0
            }
            #[inline(always)]
            fn counters(counts: &[$count]) -> &[Self::Counters] {
                S::$counters(counts).0
            }
            #[inline(always)]
            fn load(simd: S, cells: Self::Stored) -> Self {
                Self(simd, cells)
            }
            #[inline(always)]
            fn store(self) -> Self::Stored {
                self.1
            }
            #[inline(always)]
            fn splat(simd: S, value: $float) -> Self {
                Self(simd, simd.$splat(value))
            }
            #[inline(always)]
            fn all(self, value: $float) -> Self {
                Self::splat(self.0, value)
            }
            #[inline(always)]
            fn above(self, level: $float) -> Self::Mask {
                self.0.$greater(self.1, self.0.$splat(level))
            }
            #[inline(always)]
            fn rose_above(self, before: Self, level: $float) -> Self::Mask {
                let level = self.0.$splat(level);
                self.0.$and(self.0.$greater(self.1, level), self.0.$not_greater(before.1, level))
            }
            #[inline(always)]
            fn none(self) -> Self::Mask {
                self.0.$greater(self.1, self.1)
            }
            #[inline(always)]
            fn equal(self, other: Self) -> Self::Mask {
                self.0.$equal(self.1, other.1)
            }
            #[inline(always)]
            fn replace(self, mask: Self::Mask, other: Self) -> Self {
                Self(self.0, self.0.$select(mask, other.1, self.1))
            }
            #[inline(always)]
            fn clip(self, low: $float, high: $float) -> Self {
                let Self(simd, x) = self;
                let (low, high) = (simd.$splat(low), simd.$splat(high));
                // On x86 these return their second argument if one is NaN or both are zeros; elsewhere they need not.
                if cfg!(any(target_arch = "x86", target_arch = "x86_64")) && !S::IS_SCALAR {
                    return Self(simd, simd.$min(high, simd.$max(low, x)));
                }
                let raised = simd.$select(simd.$less(x, low), low, x);
                Self(simd, simd.$select(simd.$greater(raised, high), high, raised))
            }
            #[inline(always)]
            fn add_exact_product(self, exact: $float, other: Self) -> Self {
                // Without such an instruction a fused operation would be a call of a function.
                if S::IS_SCALAR {
                    self + other * exact
                } else {
                    Self(self.0, self.0.$mul_add(other.1, self.0.$splat(exact), self.1))
                }
            }
            #[inline(always)]
            fn add_probe(self, v: Self, a: Self, i: Self) -> Self {
                let sum = self.0.$mul_add(v.1, self.0.$splat(0.0), self.1);
                Self(self.0, self.0.$mul_add(a.1, i.1, sum))
            }
            #[inline(always)]
            fn count(self, mask: Self::Mask, weight: Self::Counters, sum: Self::Counters) -> Self::Counters {
                self.0.$add_count(sum, self.0.$select_count(mask, weight, self.0.$splat_count(0)))
            }
            #[inline(always)]
            fn splat_count(simd: S, count: $count) -> Self::Counters {
                simd.$splat_count(count)
            }
            #[inline(always)]
            fn total(counters: Self::Counters) -> u64 {
                let counts: &[$count] = pulp::bytemuck::cast_slice(std::slice::from_ref(&counters));
                total(counts)
            }
            #[inline(always)]
            fn are_finite(self) -> bool {
                let cells: &[$float] = pulp::bytemuck::cast_slice(std::slice::from_ref(&self.1));
                are_finite(cells)
            }
        }
    };
}

lanes!(
    Lanes32,
    f32,
    u32,
    f32s,
    m32s,
    u32s,
    as_simd_f32s,
    as_mut_simd_f32s,
    as_simd_u32s,
    splat_f32s,
    splat_u32s,
    add_f32s,
    sub_f32s,
    mul_f32s,
    mul_add_f32s,
    max_f32s,
    min_f32s,
    greater_than_f32s,
    less_than_or_equal_f32s,
    less_than_f32s,
    equal_f32s,
    and_m32s,
    select_f32s,
    add_u32s,
    select_u32s
);
lanes!(
    Lanes64,
    f64,
    u64,
    f64s,
    m64s,
    u64s,
    as_simd_f64s,
    as_mut_simd_f64s,
    as_simd_u64s,
    splat_f64s,
    splat_u64s,
    add_f64s,
    sub_f64s,
    mul_f64s,
    mul_add_f64s,
    max_f64s,
    min_f64s,
    greater_than_f64s,
    less_than_or_equal_f64s,
    less_than_f64s,
    equal_f64s,
    and_m64s,
    select_f64s,
    add_u64s,
    select_u64s
);
