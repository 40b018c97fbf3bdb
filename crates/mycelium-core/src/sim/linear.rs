//! Linear stability of a homogeneous state of two diffusing quantities on the lattice.

/// Both growth rates of a perturbation, the larger real part first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Growth {
    /// Real parts, 1/step.
    pub real: [f64; 2],
    /// Imaginary part of the pair, 1/step; 0 when both are real.
    pub imaginary: f64,
}

/// Eigenvalues of `jacobian - diag(diffusion) q`, 1/step, where `q` is minus the eigenvalue of the five-point Laplacian.
pub(super) fn eigenvalues([[fu, fw], [gu, gw]]: [[f64; 2]; 2], diffusion: [f64; 2], q: f64) -> Growth {
    let (top, bottom) = (fu - diffusion[0] * q, gw - diffusion[1] * q);
    let half_trace = 0.5 * (top + bottom);
    let discriminant = half_trace * half_trace - (top * bottom - fw * gu);
    if discriminant < 0.0 {
        return Growth { real: [half_trace; 2], imaginary: (-discriminant).sqrt() };
    }
    let root = discriminant.sqrt();
    Growth { real: [half_trace + root, half_trace - root], imaginary: 0.0 }
}
