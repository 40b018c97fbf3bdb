//! The estimators of one field, with everything they need taken at the start.

use pulp::{Arch, Simd, WithSimd};

use crate::field::{Frame, GRID_SIDE};

use super::bitmap::{self, Bitmap};
use super::boxes::{BoxPlacement, Boxes};
use super::clusters::{Clusters, Labels};
use super::moments::{self, Cell, Moments};
use super::profile::{Compat, FeatureProfile, Threshold};
use super::temporal::Temporal;
use super::threshold::{Histogram, Levels};
use super::{FEATURE_COUNT, FeatureValues, LYAPUNOV_INDEX};

/// Frames of a temporal window.
pub const WINDOW_FRAMES: std::ops::RangeInclusive<usize> = 2..=4096;

/// Turns frames into [`FeatureValues`]: [`push`](Self::push) every frame, ask for [`values`](Self::values) as often as wanted.
///
/// Neither allocates. A frame with NaN or infinite cells is taken as it is: those cells are inactive and the
/// statistics they enter become NaN (`first_non_finite` finds them beforehand).
#[derive(Debug)]
pub struct Extractor {
    n: usize,
    profile: FeatureProfile,
    arch: Arch,
    /// The last frame, mV.
    plane: Box<[f64]>,
    /// As large as the plane for a quantile threshold, else empty.
    scratch: Box<[f64]>,
    started: bool,
    temporal: Temporal,
    maps: [Bitmap; 3],
    labels: Labels,
    boxes: Boxes,
    lyapunov: f64,
}

/// Bytes that [`Extractor::new`] takes, the value itself included; nothing is added later.
pub fn memory_bytes(n: usize, profile: &FeatureProfile) -> usize {
    let cells = n * n * size_of::<f64>();
    size_of::<Extractor>()
        + cells
        + scratch_cells(n, profile) * size_of::<f64>()
        + Temporal::bytes(window(profile))
        + 3 * Bitmap::bytes(n)
        + Labels::bytes(n)
        + Boxes::bytes(n, placement(profile))
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
    /// When `n` is outside [`GRID_SIDE`] or the window outside [`WINDOW_FRAMES`]; both are checked where they come in.
    pub fn new(n: usize, profile: FeatureProfile) -> Self {
        assert!(GRID_SIDE.contains(&n), "grid of {n}");
        assert!(
            profile.compat == Compat::V41 || WINDOW_FRAMES.contains(&profile.window),
            "window of {}",
            profile.window
        );
        Self {
            n,
            profile,
            arch: Arch::new(),
            plane: vec![0.0; n * n].into_boxed_slice(),
            scratch: vec![0.0; scratch_cells(n, &profile)].into_boxed_slice(),
            started: false,
            temporal: Temporal::new(window(&profile)),
            maps: std::array::from_fn(|_| Bitmap::new(n)),
            labels: Labels::new(n),
            boxes: Boxes::new(n, placement(&profile)),
            lyapunov: 0.0,
        }
    }

    /// Cells along one edge.
    pub fn side(&self) -> usize {
        self.n
    }

    pub fn profile(&self) -> &FeatureProfile {
        &self.profile
    }

    /// Takes the next frame of the history, volts.
    ///
    /// # Panics
    /// When the frame has another size.
    pub fn push(&mut self, frame: Frame<'_>) {
        assert_eq!(frame.len(), self.plane.len(), "a frame of another size");
        match frame {
            Frame::F32(cells) => self.push_cells(cells),
            Frame::F64(cells) => self.push_cells(cells),
        }
    }

    fn push_cells<T: Cell>(&mut self, cells: &[T]) {
        let plane = &mut self.plane;
        if !self.started {
            let energy = self.arch.dispatch(
                #[inline(always)]
                || moments::take(plane, cells),
            );
            self.started = true;
            self.temporal.push(energy, None);
            return;
        }
        let (energy, transition) = self.arch.dispatch(
            #[inline(always)]
            || moments::step(plane, cells),
        );
        let stillness = match self.profile.compat {
            Compat::Edge => transition.rms,
            Compat::V41 => transition.spread,
        };
        self.temporal.push(energy, Some((transition, stillness)));
    }

    /// Reports the exponent that the owner of the twin trajectory has measured with every later answer.
    pub fn set_lyapunov(&mut self, exponent: f64) {
        self.lyapunov = exponent;
    }

    /// All features: spatial ones of the last frame, temporal ones over the window; 0 before the first frame.
    pub fn values(&mut self) -> FeatureValues {
        if !self.started {
            return [0.0; FEATURE_COUNT];
        }
        let arch = self.arch;
        arch.dispatch(Measure(self))
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
        // A loop: the closure of an array's `map` is not inlined and would be compiled for the oldest machine.
        let mut clusters = [Clusters::default(); 3];
        for (found, map) in clusters.iter_mut().zip(&self.maps) {
            *found = self.labels.measure(map, self.profile.connectivity, torus);
        }
        let perimeter = self.maps[0].perimeter(torus);
        let trends = self.temporal.trends();
        let mut values = [
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
            0.0,
        ];
        values[LYAPUNOV_INDEX] = self.lyapunov;
        values
    }
}

/// The work of [`Extractor::values`] in a form that is compiled once for each kind of machine.
struct Measure<'a>(&'a mut Extractor);

impl WithSimd for Measure<'_> {
    type Output = FeatureValues;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> FeatureValues {
        self.0.measure()
    }
}
