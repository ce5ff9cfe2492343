//! Distributions of durations that merge: four buckets for every doubling, so that a quantile is right
//! to within a fifth (2^¼ is 1.19).

/// Buckets for every doubling of the duration.
const PER_DOUBLING: f64 = 4.0;

/// How many durations lie in which bucket.
#[derive(Clone, Debug, Default)]
pub struct DurationHistogram {
    buckets: Vec<u64>,
}

impl DurationHistogram {
    /// Takes a duration in, ns; what is negative counts as 0.
    pub fn add(&mut self, duration_ns: i64) {
        let bucket = (duration_ns.max(1) as f64).log2() * PER_DOUBLING;
        let bucket = bucket as usize;
        if self.buckets.len() <= bucket {
            self.buckets.resize(bucket + 1, 0);
        }
        self.buckets[bucket] += 1;
    }

    /// Joins another.
    pub fn merge(&mut self, other: &Self) {
        if self.buckets.len() < other.buckets.len() {
            self.buckets.resize(other.buckets.len(), 0);
        }
        for (own, count) in self.buckets.iter_mut().zip(&other.buckets) {
            *own += count;
        }
    }

    /// How many durations there are.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// A duration that this share of all does not exceed, ns: the upper end of its bucket. `None` when
    /// there are none.
    pub fn quantile(&self, share: f64) -> Option<i64> {
        let needed = (share * self.count() as f64).ceil().max(1.0) as u64;
        let mut below = 0;
        let bucket = self.buckets.iter().position(|count| {
            below += count;
            below >= needed
        })?;
        Some(((bucket as f64 + 1.0) / PER_DOUBLING).exp2().ceil() as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_to_within_a_fifth() {
        let mut whole = DurationHistogram::default();
        let mut halves = [DurationHistogram::default(), DurationHistogram::default()];
        for number in 1..=10_000_i64 {
            whole.add(number * 1_000);
            halves[number as usize % 2].add(number * 1_000);
        }
        let [mut joined, other] = halves;
        joined.merge(&other);
        for (share, exact) in [(0.01, 100_000.0), (0.5, 5_000_000.0), (0.99, 9_900_000.0), (1.0, 1e7)] {
            let quantile = whole.quantile(share).unwrap();
            assert!((1.0..1.2).contains(&(quantile as f64 / exact)), "{share}: {quantile}");
            assert_eq!(joined.quantile(share), Some(quantile));
        }
        assert_eq!(DurationHistogram::default().quantile(0.5), None);
    }
}
