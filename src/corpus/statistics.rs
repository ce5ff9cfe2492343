//! Probabilities, as natural logarithms and rounded up: what a bound calls improbable is so.

/// Natural logarithm of 10⁻⁶: a probability that no run over any system should reach by chance. A run
/// asks some hundred such questions.
pub const LN_IMPROBABLE: f64 = -13.815_510_557_964_274;

/// Natural logarithm of 10⁻⁴: one run in a hundred reaches such a probability by chance. It is no proof, and
/// enough where something else speaks for a thing.
pub const LN_UNLIKELY: f64 = -9.210_340_371_976_182;

/// Of `n` choose `k`.
pub fn ln_choose(n: u64, k: u64) -> f64 {
    let ln_factorial = |n: u64| libm::lgamma(n as f64 + 1.0);
    if k > n { f64::NEG_INFINITY } else { ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k) }
}

/// That of `n` independent trials at least `k` succeed, each with probability `p`: Chernoff's bound.
pub fn ln_at_least(k: u64, n: u64, p: f64) -> f64 {
    let (share, p) = (k as f64 / n.max(1) as f64, p.clamp(0.0, 1.0));
    if share <= p {
        return 0.0;
    }
    let part = |share: f64, p: f64| if share <= 0.0 { 0.0 } else { share * (share / p).ln() };
    -(n as f64) * (part(share, p) + part(1.0 - share, 1.0 - p))
}

/// That no more than `k` happen of what happens independently, `expected` times on average: Chernoff's
/// bound for the Poisson distribution.
pub fn ln_at_most(k: u64, expected: f64) -> f64 {
    let k = k as f64;
    if k >= expected {
        return 0.0;
    }
    let part = if k > 0.0 { k * (k / expected).ln() } else { 0.0 };
    k - expected - part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_hold_and_are_near() {
        assert!((ln_choose(24, 12) - 2_704_156_f64.ln()).abs() < 1e-9);
        assert!(ln_choose(3, 4) < -f64::MAX);
        // Exact: 0.5^20 and (1 - 0.9^10).
        assert!((ln_at_least(20, 20, 0.5) - 20.0 * 0.5_f64.ln()).abs() < 1e-9);
        assert!(ln_at_least(1, 10, 0.1) >= (1.0 - 0.9_f64.powi(10)).ln());
        assert!(ln_at_least(0, 0, 0.5).abs() < 1e-9);
        // Exact: e^-20.
        assert!((ln_at_most(0, 20.0) + 20.0).abs() < 1e-9);
        assert!(ln_at_most(30, 20.0).abs() < 1e-9);
    }
}
