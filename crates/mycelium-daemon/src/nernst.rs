//! PURE. Nernst potential of one ion across a membrane.

use std::fmt::Display;

use mycelium_core::range::{Interval, OutOfRange};

/// Molar gas constant as in `MyceliumFractalNet` 4.1, J/(mol K); CODATA 2018 is 8.314462618.
const GAS_CONSTANT: f64 = 8.314;

/// Faraday constant, C/mol (CODATA 2018).
const FARADAY: f64 = 96_485.332_12;

/// Kelvin.
pub const TEMPERATURE: Interval = Interval::closed(273.0, 373.0);

/// Body temperature, used if none is given, kelvin.
pub const DEFAULT_TEMPERATURE: f64 = 310.0;

/// Lower clamp of `MyceliumFractalNet` 4.1 on both concentrations, mol/L. It alters calcium (100 nM inside reads
/// as 1 uM) and pins protons to 0 mV, so it is used under `compat 4.1` only.
const V41_CLAMP: f64 = 1e-6;

/// An ion with its concentrations on both sides; every field is in its range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ion {
    z: i32,
    out_molar: f64,
    in_molar: f64,
    kelvin: f64,
}

impl Ion {
    /// Valence -2, -1, 1 or 2; concentrations in mol/L, finite and above 0; 273..=373 K.
    pub fn new(z: i32, out_molar: f64, in_molar: f64, kelvin: f64) -> Result<Self, OutOfRange> {
        let concentration = |key: &str, molar: f64| {
            if molar > 0.0 && molar.is_finite() {
                Ok(molar)
            } else {
                Err(out_of_range(key, molar, "finite and above 0"))
            }
        };
        Ok(Self {
            z: valence(z)?,
            out_molar: concentration("concentration_out_molar", out_molar)?,
            in_molar: concentration("concentration_in_molar", in_molar)?,
            kelvin: TEMPERATURE.check("temperature_k", kelvin)?,
        })
    }

    /// Like [`Ion::new`] with the clamp of `MyceliumFractalNet` 4.1, which accepts a concentration of 0.
    pub fn clamped_v41(z: i32, out_molar: f64, in_molar: f64, kelvin: f64) -> Result<Self, OutOfRange> {
        let concentration = |key: &str, molar: f64| {
            if molar >= 0.0 && molar.is_finite() {
                Ok(molar.max(V41_CLAMP))
            } else {
                Err(out_of_range(key, molar, "finite and at least 0"))
            }
        };
        Ok(Self {
            z: valence(z)?,
            out_molar: concentration("concentration_out_molar", out_molar)?,
            in_molar: concentration("concentration_in_molar", in_molar)?,
            kelvin: TEMPERATURE.check("temperature_k", kelvin)?,
        })
    }

    /// Equilibrium potential of the inside against the outside, volts: `R T / (z F) * (ln out - ln in)`.
    ///
    /// The quotient of two concentrations may overflow; the difference of their logarithms does not.
    pub fn potential_volts(&self) -> f64 {
        let logs = libm::log(self.out_molar) - libm::log(self.in_molar);
        GAS_CONSTANT * self.kelvin / (f64::from(self.z) * FARADAY) * logs
    }
}

fn valence(z: i32) -> Result<i32, OutOfRange> {
    if matches!(z, -2 | -1 | 1 | 2) { Ok(z) } else { Err(out_of_range("z_valence", z, "-2, -1, 1 or 2")) }
}

fn out_of_range(key: &str, value: impl Display, accepted: &str) -> OutOfRange {
    OutOfRange { key: key.to_owned(), value: value.to_string(), accepted: accepted.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `name, z, out, in, kelvin, with clamp, without clamp` as `MyceliumFractalNet` 4.1 computed them, volts.
    const GOLDEN: &str = include_str!("../../../tests/fixtures/v41/nernst.tsv");

    #[test]
    fn potentials_match_the_golden_values_with_the_clamp_and_without() {
        let mut cases = 0;
        for line in GOLDEN.lines().filter(|line| !line.starts_with('#')) {
            let row: Vec<_> = line.split('\t').collect();
            let number = |k: usize| row[k].parse::<f64>().unwrap();
            let z: i32 = row[1].parse().unwrap();
            let near = |got: f64, want: f64| (got - want).abs() <= 1e-14 + 1e-13 * want.abs();
            if z > 2 {
                let refused = Ion::new(z, number(2), number(3), number(4)).unwrap_err();
                assert_eq!(refused.to_string(), format!("`z_valence` is {z}; it must be -2, -1, 1 or 2"));
                continue;
            }
            let clamped = Ion::clamped_v41(z, number(2), number(3), number(4)).unwrap();
            assert!(near(clamped.potential_volts(), number(5)), "{line}: {}", clamped.potential_volts());
            let plain = Ion::new(z, number(2), number(3), number(4));
            match row[6] {
                "-" => assert!(plain.is_err(), "{line}: a concentration of 0 has no logarithm"),
                want => {
                    let got = plain.unwrap().potential_volts();
                    assert!(near(got, want.parse().unwrap()), "{line}: {got}");
                }
            }
            cases += 1;
        }
        assert_eq!(cases, 16);
    }

    #[test]
    fn a_value_out_of_range_is_refused_by_key() {
        let rows = [
            (0, 1.0, 1.0, 310.0, "z_valence", "no charge, no potential"),
            (i32::MIN, 1.0, 1.0, 310.0, "z_valence", "smallest integer"),
            (1, 0.0, 1.0, 310.0, "concentration_out_molar", "zero outside"),
            (1, -1.0, 1.0, 310.0, "concentration_out_molar", "negative outside"),
            (1, 1.0, f64::INFINITY, 310.0, "concentration_in_molar", "infinite inside"),
            (1, 1.0, f64::NAN, 310.0, "concentration_in_molar", "NaN inside"),
            (1, 1.0, 1.0, 272.9, "temperature_k", "frozen"),
            (1, 1.0, 1.0, 373.1, "temperature_k", "boiling"),
            (1, 1.0, 1.0, f64::NAN, "temperature_k", "NaN kelvin"),
        ];
        for (z, out, inside, kelvin, key, why) in rows {
            assert_eq!(Ion::new(z, out, inside, kelvin).unwrap_err().key, key, "{why}");
        }
        let tiny = Ion::new(2, f64::MIN_POSITIVE, f64::MAX, 373.0).unwrap().potential_volts();
        assert!(
            tiny.is_finite() && tiny < -20.0,
            "the quotient would underflow, the logarithms do not: {tiny}"
        );
    }
}
