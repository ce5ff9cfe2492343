//! Distributions of durations or sizes that merge: four buckets for every doubling, so that a quantile is right
//! to within a fifth (2^¼ is 1.19).

/// Buckets for every doubling.
const PER_DOUBLING: f64 = 4.0;

/// How many values lie in which bucket.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    buckets: Vec<u64>,
}

impl Histogram {
    /// Takes a value in; what is below 1 counts as 1.
    pub fn add(&mut self, value: i64) {
        let bucket = (value.max(1) as f64).log2() * PER_DOUBLING;
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

    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// A value that this share of all does not exceed: the upper end of its bucket. `None` when
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
        let mut whole = Histogram::default();
        let mut halves = [Histogram::default(), Histogram::default()];
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
        assert_eq!(Histogram::default().quantile(0.5), None);
    }
}
