//! Sums in twice the precision of `f64`: adding a value and subtracting it later leaves no rounding error.

/// An unevaluated sum `hi + lo` with `|lo| <= ulp(hi) / 2` (Dekker 1971; Knuth, TAOCP 2, 4.2.2).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct DoubleDouble {
    hi: f64,
    lo: f64,
}

/// `a + b` rounded, and the rounding error exactly, for any two finite numbers whose sum is finite.
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let b_part = sum - a;
    (sum, (a - (sum - b_part)) + (b - b_part))
}

impl DoubleDouble {
    pub(super) const ZERO: Self = Self { hi: 0.0, lo: 0.0 };

    pub(super) fn value(self) -> f64 {
        self.hi + self.lo
    }

    pub(super) fn plus(self, other: Self) -> Self {
        let (hi, lost) = two_sum(self.hi, other.hi);
        let (lo, lost_again) = two_sum(self.lo, other.lo);
        let (hi, lo) = two_sum(hi, lost + lo);
        let (hi, lo) = two_sum(hi, lo + lost_again);
        Self { hi, lo }
    }

    pub(super) fn minus(self, other: Self) -> Self {
        self.plus(Self { hi: -other.hi, lo: -other.lo })
    }

    pub(super) fn times(self, factor: f64) -> Self {
        let hi = self.hi * factor;
        let lost = libm::fma(self.hi, factor, -hi);
        let (hi, lo) = two_sum(hi, lost + self.lo * factor);
        Self { hi, lo }
    }
}

impl From<f64> for DoubleDouble {
    fn from(hi: f64) -> Self {
        Self { hi, lo: 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adding_and_subtracting_a_huge_value_leaves_no_error() {
        let huge = DoubleDouble::from(1e12);
        let sum = DoubleDouble::from(0.1).plus(huge).plus(DoubleDouble::from(1e-9)).minus(huge);
        assert!((sum.value() - (0.1 + 1e-9)).abs() < 1e-17, "{}", sum.value());
        assert_eq!((0.1 + 1e12 + 1e-9) - 1e12, 0.099_975_585_937_5, "plain sums are wrong");
    }

    #[test]
    fn a_product_keeps_its_rounding_error() {
        let third = DoubleDouble::from(1.0 / 3.0);
        let left = third.times(3.0).minus(DoubleDouble::from(1.0));
        assert_eq!(left.value(), -f64::EPSILON / 4.0);
    }
}
