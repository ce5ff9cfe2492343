//! Which span starts inside which other one, of two that no id connects, and whether this is more than
//! chance and in the order of cause and effect.

use super::assignment::{Candidate, assign};
use super::matching::{Chance, MOVES, TOLERANCE_NS, Typical, chance_in, median, step_ns};

/// When a span ran, ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// Start.
    pub start_ns: i64,
    /// End.
    pub end_ns: i64,
}

impl Interval {
    /// Whether both begin and end together, as far as instrumentation tells.
    pub const fn is_like(self, other: Self) -> bool {
        let tolerance_ns = TOLERANCE_NS + step_ns(self.start_ns);
        (self.start_ns - other.start_ns).abs() <= tolerance_ns
            && (self.end_ns - other.end_ns).abs() <= tolerance_ns
    }
}

/// Outer intervals looked at for one inner one, newest first, and kept of those: with more of them open at
/// once none can be told to be the one.
const LOOKED_AT: usize = 64;
const CANDIDATES: usize = 16;

/// Inner spans that cause and effect do not explain: wrong pairs, clients that gave up, and the late ends
/// of responses leave some.
const EXCEPTIONS: f64 = 0.05;

/// Inner and outer intervals that belong together.
#[derive(Debug)]
pub struct Enclosed {
    /// Numbers of the inner and the outer one, and how many outer ones come into question.
    pub pairs: Vec<(usize, usize, u32)>,
    /// How much more than chance this is.
    pub chance: Chance,
    /// Inner ones that start inside an outer one and outlive all that they start in.
    pub outliving: u64,
    /// Inner ones that start just before an outer one, within the typical delay of the pairs: effects do
    /// not come before their causes.
    pub early: u64,
    /// Pairs that begin and end together: these tell nothing of the order.
    pub equal: u64,
}

impl Enclosed {
    /// Whether the inner spans are caused by the outer ones. Two calls of somebody who makes them at the
    /// same time are together far more often than by chance as well: but of these each may come first,
    /// and each may end last.
    pub fn is_causal(&self) -> bool {
        self.chance.is_improbable() && self.is_in_order()
    }

    /// Whether the inner spans are likely to be caused by the outer ones: every outer and every inner span
    /// has its other side, with few exceptions.
    pub fn is_likely(&self, inner: usize, outer: usize) -> bool {
        let needed = (1.0 - EXCEPTIONS) * inner.max(outer) as f64;
        self.pairs.len() as f64 >= needed && self.chance.is_unlikely() && self.is_in_order()
    }

    fn is_in_order(&self) -> bool {
        let exceptions = EXCEPTIONS * self.pairs.len() as f64;
        let by_chance = self.chance.expected * self.chance.entries as f64;
        let is_told = self.equal * 2 <= self.pairs.len() as u64;
        is_told
            && self.outliving as f64 <= exceptions + by_chance
            && self.early as f64 <= exceptions + by_chance
    }
}

/// How much of the inner span has to lie inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Its start: nobody waits for its end.
    Start,
    /// Its start and its middle: somebody waits for it, but servers often end their spans late.
    Middle,
}

struct Search<'i> {
    outer: &'i [Interval],
    longest_ns: i64,
    extent: Extent,
}

impl Search<'_> {
    /// Those around each inner interval, when all are moved by so much.
    fn candidates(&self, inner: &[Interval], moved_ns: i64) -> Vec<Vec<usize>> {
        inner.iter().map(|inner| self.around(*inner, moved_ns).take(CANDIDATES).collect()).collect()
    }

    /// The outer intervals around an inner one that is moved by so much, newest first.
    fn around(&self, inner: Interval, moved_ns: i64) -> impl Iterator<Item = usize> + '_ {
        let (start_ns, end_ns) = (inner.start_ns + moved_ns, inner.end_ns + moved_ns);
        let middle_ns = start_ns + (end_ns - start_ns) / 2;
        let needed_ns = if self.extent == Extent::Start { start_ns } else { middle_ns };
        let tolerance_ns = TOLERANCE_NS + step_ns(inner.start_ns);
        let end = self.outer.partition_point(|outer| outer.start_ns <= start_ns + tolerance_ns);
        (0..end)
            .rev()
            .take(LOOKED_AT)
            .take_while(move |at| {
                self.outer[*at].start_ns.saturating_add(self.longest_ns) >= start_ns - tolerance_ns
            })
            .filter(move |at| {
                let outer = self.outer[*at];
                start_ns <= outer.end_ns + tolerance_ns && needed_ns <= outer.end_ns + tolerance_ns
            })
    }
}

/// Pairs inner with outer intervals one to one. Both are sorted by start. Chance is what pairs so when the
/// inner ones are moved, in relation to the side that it explains less.
pub fn enclose(inner: &[Interval], outer: &[Interval], extent: Extent) -> Enclosed {
    let waiting = (extent == Extent::Start).then(|| with_wait(inner, outer));
    let outer = waiting.as_deref().unwrap_or(outer);
    let longest_ns = outer.iter().map(|outer| outer.end_ns - outer.start_ns).max().unwrap_or(0);
    let search = Search { outer, longest_ns, extent };
    let candidates = search.candidates(inner, 0);
    let pairs = assigned(inner, outer, &candidates);
    let (mut met, mut trials) = (0, 0);
    for moved_ns in moves(outer) {
        let candidates = search.candidates(&within(inner, outer, moved_ns), moved_ns);
        trials += candidates.len();
        met += paired(&candidates);
    }
    // Of the outer ones as many had a chance.
    let share = trials as f64 / (inner.len() * MOVES.len()).max(1) as f64;
    let of = |side: usize| {
        let trials = (share * (side * MOVES.len()) as f64) as u64;
        chance_in(side as u64, pairs.len() as u64, met, trials.max(met))
    };
    let (by_inner, by_outer) = (of(inner.len()), of(outer.len()));
    let starts = Search { outer, longest_ns, extent: Extent::Start };
    let outlives = |(inner, around): (&Interval, &Vec<usize>)| {
        around.is_empty() && starts.around(*inner, 0).next().is_some()
    };
    let outliving = inner.iter().zip(&candidates).filter(|pair| outlives(*pair)).count() as u64;
    let early = early(inner, outer, &candidates, &pairs);
    let chance = if by_outer.ln_p < by_inner.ln_p { by_outer } else { by_inner };
    let equal = pairs.iter().filter(|(one, other, _)| inner[*one].is_like(outer[*other])).count() as u64;
    Enclosed { pairs, chance, outliving, early, equal }
}

/// The outer intervals, open for at least twice as long as half of the inner ones start after one: what a
/// message causes may begin when its sender has gone on. When the two have nothing to do with each other
/// this covers most of the time, and chance explains every pair.
fn with_wait(inner: &[Interval], outer: &[Interval]) -> Vec<Interval> {
    let delays = inner.iter().filter_map(|inner| {
        let before = outer.partition_point(|outer| outer.start_ns <= inner.start_ns + TOLERANCE_NS);
        Some((inner.start_ns - outer[before.checked_sub(1)?].start_ns).max(0))
    });
    let wait_ns = 2 * median(&mut delays.collect::<Vec<_>>()).max(TOLERANCE_NS);
    let open = |outer: &Interval| Interval {
        start_ns: outer.start_ns,
        end_ns: outer.end_ns.max(outer.start_ns.saturating_add(wait_ns)),
    };
    outer.iter().map(open).collect()
}

/// The median of how long these are open, ns.
fn typical_opening(outer: &[Interval]) -> i64 {
    let mut openings: Vec<i64> = outer.iter().map(|outer| outer.end_ns - outer.start_ns).collect();
    median(&mut openings).max(TOLERANCE_NS)
}

/// By how much inner intervals are moved, ns.
fn moves(outer: &[Interval]) -> impl Iterator<Item = i64> {
    let step = typical_opening(outer);
    MOVES.iter().map(move |times| step.saturating_mul(*times))
}

/// The inner intervals that stay among the outer ones when they are moved by so much: beyond the ends of
/// the data they would meet nothing whatever the reason.
fn within(inner: &[Interval], outer: &[Interval], moved_ns: i64) -> Vec<Interval> {
    let first_ns = outer.first().map_or(i64::MAX, |outer| outer.start_ns);
    let last_ns = outer.iter().map(|outer| outer.end_ns).max().unwrap_or(i64::MIN);
    let stays = |inner: &&Interval| (first_ns..=last_ns).contains(&(inner.start_ns + moved_ns));
    inner.iter().filter(stays).copied().collect()
}

/// How many can be paired one to one.
fn paired(candidates: &[Vec<usize>]) -> u64 {
    let possible = candidates.iter().enumerate().flat_map(|(left, around)| {
        let pair = move |right: &usize| Candidate { left: left as u32, right: *right as u32, cost: 0.0 };
        around.iter().map(pair)
    });
    assign(&possible.collect::<Vec<_>>(), candidates.len()).len() as u64
}

/// The cheapest pairs, by how near the delays are to those of inner spans with one candidate.
fn assigned(inner: &[Interval], outer: &[Interval], candidates: &[Vec<usize>]) -> Vec<(usize, usize, u32)> {
    let delay =
        |inner: &Interval, outer: &Interval| (inner.start_ns - outer.start_ns, outer.end_ns - inner.end_ns);
    let unique = inner.iter().zip(candidates).filter(|(_, around)| around.len() == 1);
    let delays: Vec<(i64, Option<i64>)> = unique
        .map(|(inner, around)| delay(inner, &outer[around[0]]))
        .map(|(start, rest)| (start, Some(rest)))
        .collect();
    let typical = Typical::of(&delays);
    let possible = inner.iter().zip(candidates).enumerate().flat_map(|(left, (inner, around))| {
        around.iter().map(move |right| {
            let (start, rest) = delay(inner, &outer[*right]);
            Candidate { left: left as u32, right: *right as u32, cost: typical.cost(start, rest) }
        })
    });
    let possible: Vec<Candidate> = possible.collect();
    let pairs = assign(&possible, inner.len()).into_iter();
    pairs
        .map(|(left, right)| (left as usize, right as usize, candidates[left as usize].len() as u32))
        .collect()
}

/// Inner spans outside of all outer ones that start before one, by no more than the pairs typically start
/// after it.
fn early(
    inner: &[Interval],
    outer: &[Interval],
    candidates: &[Vec<usize>],
    pairs: &[(usize, usize, u32)],
) -> u64 {
    let mut delays: Vec<i64> =
        pairs.iter().map(|(left, right, _)| inner[*left].start_ns - outer[*right].start_ns).collect();
    let typical_ns = median(&mut delays).max(TOLERANCE_NS);
    let is_early = |inner: &Interval| {
        let next = outer.partition_point(|outer| outer.start_ns < inner.start_ns);
        outer.get(next).is_some_and(|outer| outer.start_ns - inner.start_ns <= typical_ns)
    };
    inner.iter().zip(candidates).filter(|(inner, around)| around.is_empty() && is_early(inner)).count() as u64
}

/// For every inner interval the shortest outer one around it, and how many there are.
pub fn shortest_around(inner: &[Interval], outer: &[Interval]) -> Vec<Option<(usize, u32)>> {
    let longest_ns = outer.iter().map(|outer| outer.end_ns - outer.start_ns).max().unwrap_or(0);
    let search = Search { outer, longest_ns, extent: Extent::Middle };
    let shortest = |inner: &Interval| {
        let around: Vec<usize> = search.around(*inner, 0).take(CANDIDATES).collect();
        let shortest = around.iter().min_by_key(|at| (outer[**at].end_ns - outer[**at].start_ns, **at))?;
        Some((*shortest, around.len() as u32))
    };
    inner.iter().map(shortest).collect()
}

/// How much more than chance it is that so many inner intervals are enclosed, whichever outer ones do it.
pub fn enclosed_beyond_chance(inner: &[Interval], outer: &[Interval], enclosed: u64) -> Chance {
    let longest_ns = outer.iter().map(|outer| outer.end_ns - outer.start_ns).max().unwrap_or(0);
    let search = Search { outer, longest_ns, extent: Extent::Middle };
    let (mut met, mut trials) = (0, 0);
    for moved_ns in moves(outer) {
        let inner = within(inner, outer, moved_ns);
        trials += inner.len() as u64;
        met += inner.iter().filter(|inner| search.around(**inner, moved_ns).next().is_some()).count() as u64;
    }
    chance_in(inner.len() as u64, enclosed, met, trials)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    /// Spans of one length every 1,000 ms, shifted by what `at` gives for their number.
    fn every_second(number: i64, length_ms: i64, at: impl Fn(i64) -> i64) -> Vec<Interval> {
        let span = |number: i64| {
            let start_ns = (number * 1_000 + at(number)) * MS + 7;
            Interval { start_ns, end_ns: start_ns + length_ms * MS }
        };
        (0..number).map(span).collect()
    }

    #[test]
    fn calls_inside_are_caused() {
        let (outer, inner) = (every_second(20, 50, |_| 0), every_second(20, 20, |number| 5 + number % 7));
        let enclosed = enclose(&inner, &outer, Extent::Middle);
        assert_eq!(enclosed.pairs.len(), 20);
        assert!(enclosed.is_causal(), "{enclosed:?}");
    }

    #[test]
    fn calls_side_by_side_are_not() {
        // Some are first, some last.
        let (outer, inner) =
            (every_second(60, 50, |_| 0), every_second(60, 30, |number| number * 7 % 19 - 6));
        let enclosed = enclose(&inner, &outer, Extent::Middle);
        assert!(enclosed.chance.is_improbable() && !enclosed.is_causal(), "{enclosed:?}");
        // All begin inside, and a third of them lasts longer.
        let inner = [every_second(40, 20, |_| 3), every_second(60, 400, |_| 3).split_off(40)].concat();
        let enclosed = enclose(&inner, &outer, Extent::Middle);
        assert!(enclosed.chance.is_improbable() && !enclosed.is_causal(), "{enclosed:?}");
    }

    #[test]
    fn what_is_always_open_encloses_by_chance() {
        let (outer, inner) =
            (every_second(60, 5_000, |_| 0), every_second(60, 20, |number| number * 37 % 900));
        assert!(!enclose(&inner, &outer, Extent::Start).is_causal());
    }

    #[test]
    fn few_callers_among_many_roots_are_seen_from_the_side_of_the_callers() {
        let outer: Vec<Interval> = every_second(400, 30, |_| 0).into_iter().step_by(20).collect();
        let direct = every_second(400, 10, |number| 200 + number % 300);
        let caused = outer
            .iter()
            .map(|outer| Interval { start_ns: outer.start_ns + 9 * MS, end_ns: outer.end_ns - MS });
        let mut inner: Vec<Interval> = caused.chain(direct).collect();
        inner.sort_unstable_by_key(|inner| inner.start_ns);
        let enclosed = enclose(&inner, &outer, Extent::Middle);
        assert!(enclosed.pairs.len() == 20 && enclosed.is_causal(), "{enclosed:?}");
    }
}
