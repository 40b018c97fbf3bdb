//! A straightforward implementation of the features: one loop per number, flood fill, one box at a time.

use mycelium_core::features::{Compat, FeatureProfile};

/// The spatial features and the two of one transition, in no particular order.
pub(crate) fn features(cells: &[f32], before: &[f32], n: usize, profile: FeatureProfile) -> Vec<f64> {
    let v: Vec<f64> = cells.iter().map(|&v| f64::from(v) * 1000.0).collect();
    let old: Vec<f64> = before.iter().map(|&v| f64::from(v) * 1000.0).collect();
    let count = v.len() as f64;
    let torus = profile.torus && profile.compat == Compat::Edge;
    let mean = v.iter().sum::<f64>() / count;
    let moment = |p: i32| v.iter().map(|x| (x - mean).powi(p)).sum::<f64>() / count;
    let std = moment(2).sqrt();
    let min = v.iter().copied().fold(f64::INFINITY, f64::min);
    let max = v.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let change = v.iter().zip(&old).map(|(a, b)| (a - b).abs());
    let mut out = vec![min, max, mean, std, moment(3) / std.powi(3), moment(4) / std.powi(4) - 3.0];
    out.extend([change.clone().sum::<f64>() / count, change.fold(0.0, f64::max)]);
    out.push(v.iter().map(|x| x * x).sum());

    let mut histogram = [0.0; 256];
    for x in &v {
        histogram[(((x - min) / (max - min) * 256.0) as usize).min(255)] += 1.0;
    }
    out.push(histogram.iter().filter(|c| **c > 0.0).map(|c| -c / count * (c / count).log2()).sum());
    let low = if profile.compat == Compat::V41 { -60.0 } else { otsu(&histogram, min, max) };
    for level in [low, low + (max - low) / 3.0, low + (max - low) / 1.5] {
        let active: Vec<bool> = v.iter().map(|x| *x > level).collect();
        out.extend(clusters(&active, n, torus));
        if level == low {
            out.extend(dimensions(&active, n, torus));
            out.push(boundary(&active, n, torus));
        }
    }
    out
}

fn otsu(histogram: &[f64; 256], min: f64, max: f64) -> f64 {
    let class = |bins: std::ops::Range<usize>| {
        let weight: f64 = histogram[bins.clone()].iter().sum();
        let moment: f64 = bins.map(|k| k as f64 * histogram[k]).sum();
        (weight, moment / weight)
    };
    let mut best = (0, -1.0);
    for k in 0..255 {
        let ((w0, m0), (w1, m1)) = (class(0..k + 1), class(k + 1..256));
        let variance = w0 * w1 * (m0 - m1).powi(2);
        if variance > best.1 {
            best = (k, variance);
        }
    }
    min + (best.0 as f64 + 0.5) * (max - min) / 256.0
}

/// The neighbour of a cell, if there is one.
fn step(k: usize, n: usize, di: isize, dj: isize, torus: bool) -> Option<usize> {
    let (i, j) = ((k / n).cast_signed() + di, (k % n).cast_signed() + dj);
    let side = n.cast_signed();
    if torus {
        return Some((i.rem_euclid(side) * side + j.rem_euclid(side)) as usize);
    }
    ((0..side).contains(&i) && (0..side).contains(&j)).then(|| (i * side + j) as usize)
}

fn clusters(active: &[bool], n: usize, torus: bool) -> [f64; 3] {
    let mut seen = vec![false; active.len()];
    let mut sizes = Vec::new();
    for start in 0..active.len() {
        if !active[start] || seen[start] {
            continue;
        }
        let (mut stack, mut size) = (vec![start], 0.0);
        seen[start] = true;
        while let Some(k) = stack.pop() {
            size += 1.0;
            for (di, dj) in [(0, 1), (1, 0), (0, -1), (-1, 0)] {
                if let Some(next) = step(k, n, di, dj, torus).filter(|m| active[*m] && !seen[*m]) {
                    seen[next] = true;
                    stack.push(next);
                }
            }
        }
        sizes.push(size);
    }
    let count = sizes.len() as f64;
    let mean = sizes.iter().sum::<f64>() / count;
    let variance = sizes.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / count;
    [count, sizes.iter().copied().fold(0.0, f64::max), variance.sqrt()]
}

/// Masses by a summed-area table; on a torus of two copies of the field in each direction.
fn dimensions(active: &[bool], n: usize, torus: bool) -> [f64; 3] {
    let side = 2 * n + 1;
    let mut table = vec![0_u32; side * side];
    for i in 0..2 * n {
        for j in 0..2 * n {
            let cell = active[i % n * n + j % n] && (torus || i < n && j < n);
            table[(i + 1) * side + j + 1] =
                u32::from(cell) + table[i * side + j + 1] + table[(i + 1) * side + j] - table[i * side + j];
        }
    }
    let (mut x, mut y) = (Vec::new(), [const { Vec::new() }; 3]);
    let total = active.iter().filter(|a| **a).count() as f64;
    let mut size = 2;
    while size <= n / 2 {
        let step = if torus { 1 } else { size };
        let (mut hit, mut information, mut pairs) = (0.0, 0.0, 0.0);
        for i in (0..n).step_by(step) {
            for j in (0..n).step_by(step) {
                let (top, bottom) = (i * side, (i + size) * side);
                let mass =
                    table[bottom + j + size] + table[top + j] - table[bottom + j] - table[top + j + size];
                if mass > 0 {
                    let share = f64::from(mass) / total;
                    hit += 1.0;
                    information -= share * share.ln();
                    pairs += share * share;
                }
            }
        }
        let positions = if torus { (size * size) as f64 } else { 1.0 };
        x.push(-(size as f64).ln());
        y[0].push((hit / positions).ln());
        y[1].push(information / positions);
        y[2].push(-(pairs / positions).ln());
        size *= 2;
    }
    y.map(|y| {
        let (mx, my) = (x.iter().sum::<f64>() / x.len() as f64, y.iter().sum::<f64>() / x.len() as f64);
        let top: f64 = x.iter().zip(&y).map(|(a, b)| (a - mx) * (b - my)).sum();
        top / x.iter().map(|a| (a - mx).powi(2)).sum::<f64>()
    })
}

fn boundary(active: &[bool], n: usize, torus: bool) -> f64 {
    let mut length = 0.0;
    for k in 0..active.len() {
        for (di, dj, weight) in [(0, 1, 1.0), (1, 0, 1.0), (1, 1, 0.5_f64.sqrt()), (1, -1, 0.5_f64.sqrt())] {
            let other = step(k, n, di, dj, torus).is_some_and(|m| active[m]);
            length += if active[k] == other { 0.0 } else { weight };
        }
    }
    length * std::f64::consts::PI / 8.0
}
