//! All estimators of one field, in memory allocated once.

use pulp::{Simd, WithSimd};

use crate::field::{Frame, GRID_SIDE};

use super::bitmap::{self, Bitmap};
use super::boxes::{BoxCounter, BoxPlacement};
use super::clusters::{Clusters, ComponentLabeller};
use super::moments::{self, Cell, Moments};
use super::profile::{Compat, FeatureProfile, Threshold};
use super::temporal::Temporal;
use super::threshold::{Histogram, Levels};
use super::wavelength::wavelength;
use super::{FEATURE_COUNT, FIRST_WITHOUT_V41, FeatureValues};

/// Accepted lengths of the temporal window, frames.
pub const WINDOW_FRAMES: std::ops::RangeInclusive<usize> = 2..=4096;

/// Turns frames into [`FeatureValues`]: [`push`](Self::push) every frame, call [`values`](Self::values) when they are
/// needed. Neither allocates.
///
/// NaN and infinite cells are accepted: they are inactive, and the statistics over them become NaN
/// ([`first_non_finite`](super::first_non_finite) finds them beforehand).
#[derive(Debug)]
pub struct Extractor {
    n: usize,
    profile: FeatureProfile,
    instructions: InstructionSet,
    /// The last frame, mV.
    plane: Box<[f64]>,
    /// A copy of the plane to be sorted for a quantile threshold; else empty.
    scratch: Box<[f64]>,
    /// Whether a frame was pushed.
    started: bool,
    temporal: Temporal,
    /// Cells above the low, medium and high level.
    maps: [Bitmap; 3],
    labels: ComponentLabeller,
    boxes: BoxCounter,
    lyapunov: f64,
    spiral_tips: f64,
}

/// Bytes of an [`Extractor`], inline and on the heap. It never grows.
pub fn memory_bytes(n: usize, profile: &FeatureProfile) -> usize {
    let cells = n * n * size_of::<f64>();
    size_of::<Extractor>()
        + cells
        + scratch_cells(n, profile) * size_of::<f64>()
        + Temporal::bytes(window(profile))
        + 3 * Bitmap::bytes(n)
        + ComponentLabeller::bytes(n)
        + BoxCounter::bytes(n, placement(profile))
}

fn scratch_cells(n: usize, profile: &FeatureProfile) -> usize {
    match (profile.compat, profile.threshold) {
        (Compat::Edge, Threshold::Quantile(_)) => n * n,
        _ => 0,
    }
}

fn window(profile: &FeatureProfile) -> Option<usize> {
    match profile.compat {
        Compat::Edge => Some(profile.window),
        Compat::V41 => None,
    }
}

fn is_torus(profile: &FeatureProfile) -> bool {
    profile.compat == Compat::Edge && profile.torus
}

fn placement(profile: &FeatureProfile) -> BoxPlacement {
    match profile.compat {
        Compat::V41 => BoxPlacement::Reference,
        Compat::Edge if profile.torus => BoxPlacement::Gliding,
        Compat::Edge => BoxPlacement::Tiled,
    }
}

impl Extractor {
    /// Estimators for frames of `n` x `n` cells.
    ///
    /// # Panics
    /// If `n` is outside [`GRID_SIDE`] or the window outside [`WINDOW_FRAMES`]; callers check both.
    pub fn new(n: usize, profile: FeatureProfile) -> Self {
        assert!(GRID_SIDE.contains(&n), "grid side {n} out of range");
        assert!(
            profile.compat == Compat::V41 || WINDOW_FRAMES.contains(&profile.window),
            "window of {} frames out of range",
            profile.window
        );
        Self {
            n,
            profile,
            instructions: InstructionSet::best(),
            plane: vec![0.0; n * n].into_boxed_slice(),
            scratch: vec![0.0; scratch_cells(n, &profile)].into_boxed_slice(),
            started: false,
            temporal: Temporal::new(window(&profile)),
            maps: std::array::from_fn(|_| Bitmap::new(n)),
            labels: ComponentLabeller::new(n),
            boxes: BoxCounter::new(n, placement(&profile)),
            lyapunov: 0.0,
            spiral_tips: f64::NAN,
        }
    }

    /// Cells along one edge.
    pub fn side(&self) -> usize {
        self.n
    }

    /// The definitions that apply.
    pub fn profile(&self) -> &FeatureProfile {
        &self.profile
    }

    /// Adds the next frame of the history, volts.
    ///
    /// # Panics
    /// If the frame has another size.
    pub fn push(&mut self, frame: Frame<'_>) {
        assert_eq!(frame.len(), self.plane.len(), "the frame has another size");
        match frame {
            Frame::F32(cells) => self.push_cells(cells),
            Frame::F64(cells) => self.push_cells(cells),
        }
    }

    fn push_cells<T: Cell>(&mut self, cells: &[T]) {
        let plane = &mut self.plane;
        if !self.started {
            let energy = self.instructions.dispatch(
                #[inline(always)]
                || moments::load(plane, cells),
            );
            self.started = true;
            self.temporal.push(energy, None);
            return;
        }
        let (energy, transition) = self.instructions.dispatch(
            #[inline(always)]
            || moments::load_next(plane, cells),
        );
        let stillness = match self.profile.compat {
            Compat::Edge => transition.rms,
            Compat::V41 => transition.spread,
        };
        self.temporal.push(energy, Some((transition, stillness)));
    }

    /// Sets the `lyapunov` feature of all later values, 1/step; the caller runs the twin that measures it.
    pub fn set_lyapunov(&mut self, exponent: f64) {
        self.lyapunov = exponent;
    }

    /// Sets the `spiral_tips` feature of all later values, NaN where only V is known;
    /// [`Simulator::spiral_tips`](crate::sim::Simulator::spiral_tips) counts them.
    pub fn set_spiral_tips(&mut self, tips: f64) {
        self.spiral_tips = tips;
    }

    /// All features: spatial ones of the last frame, temporal ones over the window; all 0 before the first frame.
    pub fn values(&mut self) -> FeatureValues {
        if !self.started {
            return self.defined([0.0; FEATURE_COUNT]);
        }
        let instructions = self.instructions;
        let values = instructions.dispatch(Measure(self));
        self.defined(values)
    }

    /// Under 4.1 the features it has no definition for are unknown.
    fn defined(&self, mut values: FeatureValues) -> FeatureValues {
        if self.profile.compat == Compat::V41 {
            values[FIRST_WITHOUT_V41..].fill(f64::NAN);
        }
        values
    }

    #[inline(always)]
    fn measure(&mut self) -> FeatureValues {
        let torus = is_torus(&self.profile);
        let moments = Moments::of(&self.plane);
        let histogram = Histogram::of(&self.plane, &moments);
        let levels = Levels::of(&self.profile, &self.plane, &moments, histogram.as_ref(), &mut self.scratch);
        for (map, level) in self.maps.iter_mut().zip([levels.low, levels.med, levels.high]) {
            map.mark_above(&self.plane, level);
        }
        let active = self.maps[0].count();
        let dimensions = self.boxes.dimensions(&self.maps[0]);
        // A loop, because the closure of `array::map` is not inlined and would be compiled for the baseline instruction set.
        let mut clusters = [Clusters::default(); 3];
        for (found, map) in clusters.iter_mut().zip(&self.maps) {
            *found = self.labels.measure(map, self.profile.connectivity, torus);
        }
        let perimeter = self.maps[0].perimeter(torus);
        let trends = self.temporal.trends();
        [
            dimensions.boxes,
            dimensions.r2,
            moments.min,
            moments.max,
            moments.mean,
            moments.std,
            moments.skew,
            moments.kurt,
            trends.dv_mean,
            trends.dv_max,
            trends.t_stable,
            trends.e_trend,
            active as f64 / self.plane.len() as f64,
            f64::from(clusters[0].count),
            f64::from(clusters[1].count),
            f64::from(clusters[2].count),
            f64::from(clusters[0].largest),
            clusters[0].size_std,
            dimensions.information,
            dimensions.correlation,
            histogram.map_or(0.0, |h| h.entropy(self.boxes.weights())),
            perimeter,
            bitmap::compactness(active, perimeter),
            self.lyapunov,
            dimensions.lacunarity,
            wavelength(&self.plane, self.n, torus, &moments),
            self.maps[0].euler_number(self.profile.connectivity, torus) as f64,
            self.spiral_tips,
        ]
    }
}

/// The instruction sets that the estimators are compiled for: 512-bit vectors were no faster here and would take 54 KB.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug)]
struct InstructionSet(Option<pulp::x86::V3>);

#[cfg(target_arch = "x86_64")]
impl InstructionSet {
    fn best() -> Self {
        Self(pulp::x86::V3::try_new())
    }

    fn dispatch<W: WithSimd>(self, work: W) -> W::Output {
        match self.0 {
            Some(v3) => Simd::vectorize(v3, work),
            None => Simd::vectorize(pulp::Scalar::new(), work),
        }
    }
}

/// All that there are for this processor.
#[cfg(not(target_arch = "x86_64"))]
#[derive(Clone, Copy, Debug)]
struct InstructionSet(pulp::Arch);

#[cfg(not(target_arch = "x86_64"))]
impl InstructionSet {
    fn best() -> Self {
        Self(pulp::Arch::new())
    }

    fn dispatch<W: WithSimd>(self, work: W) -> W::Output {
        self.0.dispatch(work)
    }
}

/// The work of [`Extractor::values`], compiled once for each instruction set.
struct Measure<'a>(&'a mut Extractor);

impl WithSimd for Measure<'_> {
    type Output = FeatureValues;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> FeatureValues {
        self.0.measure()
    }
}
