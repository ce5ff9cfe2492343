//! How one clock stands to another over time, from bounds on their difference.
//!
//! The simplest course that the bounds allow is taken: none, a constant offset, then a step or a
//! drift. A share of [`OUTLIERS`] of the bounds may be wrong under every course, because servers end
//! spans late and clients time out. A constant offset is given up only when one stretch of time
//! contradicts it more often than such outliers would in one case of a million.

use super::{Bounds, HOPS_FOR_OFFSET, OUTLIERS, UNBOUNDED_HIGH, UNBOUNDED_LOW, level_interval, most_allowed};
use crate::corpus::statistics::{LN_IMPROBABLE, ln_at_least};

/// Slopes tried on either side of the first estimate, each half a tolerance over the whole time away
/// from the next.
const SLOPES: i32 = 20;

/// Bounds on the difference of two clocks at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// When, on the clock that is compared with, ns.
    pub at_ns: i64,
    /// Bounds of the difference.
    pub bounds: Bounds,
}

/// How the offset of a clock goes on over time. Times are those of the clock it is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Course {
    /// One offset; zero may be among what is allowed.
    Constant(Bounds),
    /// One offset before a moment and another after it.
    Step {
        /// The moment, ns.
        at_ns: i64,
        /// Offset before.
        before: Bounds,
        /// Offset after.
        after: Bounds,
    },
    /// An offset that changes steadily.
    Drift {
        /// Beginning, ns.
        origin_ns: i64,
        /// Offset then.
        at_origin: Bounds,
        /// Change of the offset per unit of time: 0.05 gains 50 ms a second.
        rate: f64,
    },
}

impl Course {
    /// What the offset may be at a time of the clock that is compared with.
    pub fn at(&self, at_ns: i64) -> Bounds {
        match *self {
            Self::Constant(offset) => offset,
            Self::Step { at_ns: step_ns, before, after } => {
                if at_ns < step_ns {
                    before
                } else {
                    after
                }
            }
            Self::Drift { origin_ns, at_origin, rate } => {
                at_origin.moved(moved_ns(rate, at_ns.saturating_sub(origin_ns)))
            }
        }
    }

    /// What the offset may be at a time that the clock itself shows. A clock that was set back shows
    /// some times twice; the first half of them is taken to be before the step.
    pub fn at_own(&self, own_ns: i64) -> Bounds {
        match *self {
            Self::Constant(offset) => offset,
            Self::Step { before, after, .. } => {
                let between_ns = before.middle_ns().midpoint(after.middle_ns());
                self.at(own_ns.saturating_sub(between_ns))
            }
            Self::Drift { origin_ns, at_origin, rate } => {
                let elapsed_ns = own_ns.saturating_sub(at_origin.middle_ns()).saturating_sub(origin_ns);
                self.at(origin_ns.saturating_add((elapsed_ns as f64 / (1.0 + rate)) as i64))
            }
        }
    }

    /// Whether the clocks may be the same at every time, give or take the tolerance.
    pub fn is_zero(&self, tolerance_ns: i64) -> bool {
        matches!(self, Self::Constant(offset) if offset.widened(tolerance_ns).allows(0))
    }

    /// How many of the bounds allow this course, give or take the tolerance.
    pub fn agreeing(&self, measured: &[Measured], tolerance_ns: i64) -> usize {
        let agrees = |one: &&Measured| one.bounds.widened(tolerance_ns).overlaps(self.at(one.at_ns));
        measured.iter().filter(agrees).count()
    }
}

/// What a clock of such a rate gains in a second, ns.
pub fn ns_per_second(rate: f64) -> i64 {
    (rate * 1e9) as i64
}

/// The simplest course that the bounds allow, or `None` when they are too few or contradict each other.
pub(super) fn course(measured: &mut [Measured], tolerance_ns: i64) -> Option<Course> {
    if measured.len() < HOPS_FOR_OFFSET {
        return None;
    }
    measured.sort_unstable_by_key(|one| (one.at_ns, one.bounds));
    let measured = &*measured;
    let bounds: Vec<Bounds> = measured.iter().map(|one| one.bounds).collect();
    let constant = level(&bounds, tolerance_ns).map(Course::Constant);
    let Some(split) = best_split(measured, tolerance_ns) else { return constant };
    if !contradicts_a_constant(measured, split, tolerance_ns) {
        return constant;
    }
    let step = step(measured, split, tolerance_ns);
    let drift = drift(measured, split, tolerance_ns);
    let agreeing =
        |course: &Option<Course>| course.as_ref().map_or(0, |course| course.agreeing(measured, tolerance_ns));
    // A drift needs one number less than a step.
    if agreeing(&drift) >= agreeing(&step) { drift } else { step }
}

/// What most bounds allow, give or take the tolerance where there is nothing that they allow exactly.
fn level(bounds: &[Bounds], tolerance_ns: i64) -> Option<Bounds> {
    let widened = || bounds.iter().map(|bounds| bounds.widened(tolerance_ns)).collect::<Vec<_>>();
    level_interval(bounds).or_else(|| level_interval(&widened())).map(|interval| interval.bounds)
}

fn moved_ns(rate: f64, elapsed_ns: i64) -> i64 {
    (rate * elapsed_ns as f64) as i64
}

/// Where to cut the time so that one offset on either side is allowed by most bounds.
fn best_split(measured: &[Measured], tolerance_ns: i64) -> Option<usize> {
    let last = measured.len().checked_sub(HOPS_FOR_OFFSET).filter(|last| *last >= HOPS_FOR_OFFSET)?;
    let widened: Vec<Bounds> = measured.iter().map(|one| one.bounds.widened(tolerance_ns)).collect();
    let most_before = Depths::of(&widened, widened.iter());
    let most_after = Depths::of(&widened, widened.iter().rev());
    let explained = |split: &usize| most_before[*split] + most_after[measured.len() - split];
    // Of equally good ones the first.
    (HOPS_FOR_OFFSET..=last).rev().max_by_key(explained)
}

/// Whether one side of the cut contradicts the best constant offset more often than outliers would.
fn contradicts_a_constant(measured: &[Measured], split: usize, tolerance_ns: i64) -> bool {
    let widened: Vec<Bounds> = measured.iter().map(|one| one.bounds.widened(tolerance_ns)).collect();
    let Some(best) = most_allowed(&widened) else { return false };
    let offset_ns = best.bounds.middle_ns();
    let (before, after) = widened.split_at(split);
    [before, after].into_iter().any(|part| {
        let contradicting = part.iter().filter(|bounds| !bounds.allows(offset_ns)).count();
        // Any of the cuts could have been the best.
        ln_at_least(contradicting as u64, part.len() as u64, OUTLIERS) + (measured.len() as f64).ln()
            < LN_IMPROBABLE
    })
}

fn step(measured: &[Measured], split: usize, tolerance_ns: i64) -> Option<Course> {
    let (before, after) = measured.split_at(split);
    let at_ns = before.last()?.at_ns.midpoint(after.first()?.at_ns);
    let level_of = |part: &[Measured]| {
        let bounds: Vec<Bounds> = part.iter().map(|one| one.bounds).collect();
        level(&bounds, tolerance_ns)
    };
    let (before, after) = (level_of(before)?, level_of(after)?);
    (!before.widened(tolerance_ns).overlaps(after)).then_some(Course::Step { at_ns, before, after })
}

fn drift(measured: &[Measured], split: usize, tolerance_ns: i64) -> Option<Course> {
    let origin_ns = measured.first()?.at_ns;
    let duration_ns = measured.last()?.at_ns.saturating_sub(origin_ns);
    let first_rate = typical_rate(measured)?;
    let step = tolerance_ns as f64 / (2.0 * duration_ns.max(1) as f64);
    let levelled = |rate: f64| without_drift(measured, origin_ns, rate);
    let tried: Vec<(f64, usize)> = (-SLOPES..=SLOPES)
        .map(|number| first_rate + step * f64::from(number))
        .map(|rate| (rate, most_allowed(&levelled(rate)).map_or(0, |best| best.agreeing)))
        .collect();
    let most = tried.iter().map(|(_, agreeing)| *agreeing).max()?;
    let best: Vec<f64> =
        tried.iter().filter(|(_, agreeing)| *agreeing == most).map(|(rate, _)| *rate).collect();
    let rate = best[best.len() / 2];
    let at_origin = level(&levelled(rate), tolerance_ns)?;
    let course = Course::Drift { origin_ns, at_origin, rate };
    let (before, after) = measured.split_at(split);
    // A line through two levels fits neither of them.
    let fits = [before, after]
        .into_iter()
        .all(|part| course.agreeing(part, tolerance_ns) as f64 >= (1.0 - OUTLIERS) * part.len() as f64);
    (fits && moved_ns(rate, duration_ns).abs() > tolerance_ns).then_some(course)
}

/// The median of the slopes between measurements that are half of them apart: Theil and Sen's estimator
/// (P. K. Sen, JASA 63, 1968) on as many pairs as there are measurements; up to 29 % of these may be wrong.
fn typical_rate(measured: &[Measured]) -> Option<f64> {
    let (earlier, later) = measured.split_at(measured.len() / 2);
    let slope = |(one, other): (&Measured, &Measured)| {
        let elapsed_ns = other.at_ns.saturating_sub(one.at_ns);
        let change_ns = other.bounds.middle_ns().saturating_sub(one.bounds.middle_ns());
        (elapsed_ns > 0).then(|| change_ns as f64 / elapsed_ns as f64)
    };
    let mut slopes: Vec<f64> = earlier.iter().zip(later).filter_map(slope).collect();
    let middle = slopes.len() / 2;
    (!slopes.is_empty()).then(|| *slopes.select_nth_unstable_by(middle, f64::total_cmp).1)
}

fn without_drift(measured: &[Measured], origin_ns: i64, rate: f64) -> Vec<Bounds> {
    let without = |one: &Measured| one.bounds.moved(-moved_ns(rate, one.at_ns.saturating_sub(origin_ns)));
    measured.iter().map(without).collect()
}

/// How many intervals have a point in common at most, while more and more of them are added: a tree
/// over their ends that holds the greatest depth below each node.
struct Depths {
    greatest: Vec<usize>,
    added: Vec<usize>,
    leaves: usize,
}

impl Depths {
    /// The greatest depth of the first 0, 1, 2, … of some intervals; `all` has their ends.
    fn of<'b>(all: &[Bounds], added: impl Iterator<Item = &'b Bounds>) -> Vec<usize> {
        let mut ends: Vec<i64> = all.iter().flat_map(|bounds| [bounds.low_ns, bounds.high_ns]).collect();
        ends.sort_unstable();
        ends.dedup();
        let leaves = ends.len().next_power_of_two();
        let mut depths = Self { greatest: vec![0; 2 * leaves], added: vec![0; leaves], leaves };
        let mut most = vec![0];
        for bounds in added {
            let first = ends.partition_point(|end| *end < bounds.low_ns);
            let behind = ends.partition_point(|end| *end <= bounds.high_ns);
            depths.add(first, behind);
            most.push(depths.greatest[1]);
        }
        most
    }

    fn add(&mut self, first: usize, behind: usize) {
        if first >= behind {
            return;
        }
        let (mut left, mut right) = (first + self.leaves, behind + self.leaves);
        while left < right {
            if left % 2 == 1 {
                self.cover(left);
                left += 1;
            }
            if right % 2 == 1 {
                right -= 1;
                self.cover(right);
            }
            left /= 2;
            right /= 2;
        }
        self.raise_above(first + self.leaves);
        self.raise_above(behind - 1 + self.leaves);
    }

    fn cover(&mut self, node: usize) {
        self.greatest[node] += 1;
        if node < self.leaves {
            self.added[node] += 1;
        }
    }

    fn raise_above(&mut self, mut node: usize) {
        while node > 1 {
            node /= 2;
            let below = self.greatest[2 * node].max(self.greatest[2 * node + 1]);
            self.greatest[node] = below + self.added[node];
        }
    }
}

impl Bounds {
    /// Both, `None` where there is none.
    pub fn known(self) -> (Option<i64>, Option<i64>) {
        let low_ns = (self.low_ns > UNBOUNDED_LOW).then_some(self.low_ns);
        (low_ns, (self.high_ns < UNBOUNDED_HIGH).then_some(self.high_ns))
    }

    /// Whether this offset is possible.
    pub const fn allows(self, offset_ns: i64) -> bool {
        self.low_ns <= offset_ns && offset_ns <= self.high_ns
    }

    /// Whether some offset is possible under both.
    pub const fn overlaps(self, other: Self) -> bool {
        self.low_ns <= other.high_ns && other.low_ns <= self.high_ns
    }

    /// The same, wider on both sides.
    #[must_use]
    pub fn widened(self, by_ns: i64) -> Self {
        Self { low_ns: self.low_ns.saturating_sub(by_ns), high_ns: self.high_ns.saturating_add(by_ns) }
    }

    /// The same, for an offset that is so much more. A side without bound stays so.
    #[must_use]
    pub fn moved(self, by_ns: i64) -> Self {
        let moved = |bound: i64, is_known: bool| if is_known { bound.saturating_add(by_ns) } else { bound };
        Self {
            low_ns: moved(self.low_ns, self.low_ns > UNBOUNDED_LOW),
            high_ns: moved(self.high_ns, self.high_ns < UNBOUNDED_HIGH),
        }
    }

    /// The middle, or the only bound.
    pub const fn middle_ns(self) -> i64 {
        match (self.low_ns > UNBOUNDED_LOW, self.high_ns < UNBOUNDED_HIGH) {
            (true, true) => self.low_ns.midpoint(self.high_ns),
            (true, false) => self.low_ns,
            (false, true) => self.high_ns,
            (false, false) => 0,
        }
    }

    /// How far the middle may be off, 0 where a side is not bounded.
    pub const fn half_width_ns(self) -> i64 {
        match (self.low_ns > UNBOUNDED_LOW, self.high_ns < UNBOUNDED_HIGH) {
            (true, true) => (self.high_ns - self.low_ns) / 2,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: i64 = 1_000_000;

    /// Calls every 50 ms whose delays go around between 1 and 4 ms on either side; every tenth is an
    /// outlier.
    fn measured(calls: i64, offset_ms: impl Fn(i64) -> i64) -> Vec<Measured> {
        let one = |number: i64| {
            let offset = offset_ms(number) + if number % 10 == 9 { 40 } else { 0 };
            let low_ns = (offset - 1 - number % 4) * MS;
            let high_ns = (offset + 1 + number % 3) * MS;
            Measured { at_ns: number * 50 * MS, bounds: Bounds { low_ns, high_ns } }
        };
        (0..calls).map(one).collect()
    }

    #[test]
    fn clocks_that_agree_stay_so() {
        let course = course(&mut measured(400, |_| 0), MS).unwrap();
        assert!(course.is_zero(MS), "{course:?}");
    }

    #[test]
    fn one_offset_is_constant() {
        let Some(Course::Constant(offset)) = course(&mut measured(60, |_| 350), MS) else { panic!() };
        assert!(offset.allows(350 * MS) && offset.half_width_ns() < 3 * MS, "{offset:?}");
    }

    #[test]
    fn two_levels_are_a_step() {
        let found = course(&mut measured(60, |number| if number < 45 { 0 } else { -3_000 }), MS);
        let Some(Course::Step { at_ns, before, after }) = found else { panic!("{found:?}") };
        assert!((44 * 50 * MS..=45 * 50 * MS).contains(&at_ns), "{at_ns}");
        assert!(before.allows(0) && after.allows(-3_000 * MS), "{before:?} {after:?}");
    }

    #[test]
    fn a_late_step_does_not_hide_behind_the_majority() {
        let found = course(&mut measured(400, |number| if number < 360 { 0 } else { 90 }), MS);
        assert!(matches!(found, Some(Course::Step { .. })), "{found:?}");
    }

    #[test]
    fn a_steady_change_is_a_drift() {
        // 2.5 ms in 50 ms.
        let found = course(&mut measured(80, |number| number * 5 / 2), MS);
        let Some(Course::Drift { rate, at_origin, .. }) = found else { panic!("{found:?}") };
        assert!((rate - 0.05).abs() < 0.001, "{rate}");
        assert!(at_origin.allows(0), "{at_origin:?}");
    }

    #[test]
    fn a_slow_beginning_is_no_step() {
        let mut measured = measured(100, |_| 0);
        for slow in &mut measured[..20] {
            slow.bounds.high_ns += 500 * MS;
        }
        assert!(course(&mut measured, MS).unwrap().is_zero(MS));
    }

    #[test]
    fn levels_that_alternate_give_no_course() {
        let found = course(&mut measured(120, |number| if number / 20 % 2 == 0 { 0 } else { -2_000 }), MS);
        assert_eq!(found, None);
    }

    #[test]
    fn own_times_give_the_same_offset() {
        let offset = Bounds { low_ns: 10 * MS, high_ns: 10 * MS };
        let drift = Course::Drift { origin_ns: 0, at_origin: offset, rate: 0.05 };
        let at_ns = 2_000 * MS;
        let own_ns = at_ns + drift.at(at_ns).middle_ns();
        assert!((drift.at_own(own_ns).middle_ns() - 110 * MS).abs() < 10);
    }

    proptest! {
        #[test]
        fn the_tree_counts_as_the_sweep_does(ends in prop::collection::vec((-20_i64..20, 0_i64..10), 1..40)) {
            let bounds: Vec<Bounds> = ends
                .iter()
                .map(|(low, width)| Bounds { low_ns: *low, high_ns: low + width })
                .collect();
            let depths = Depths::of(&bounds, bounds.iter());
            for (count, depth) in depths.iter().enumerate().skip(1) {
                prop_assert_eq!(*depth, most_allowed(&bounds[..count]).unwrap().agreeing);
            }
        }
    }
}
