//! What is around a span in a request: work that is missing has left a hole, and lies at the same point of
//! every request.

use super::processes::Request;
use crate::corpus::composition::TOLERANCE_NS;
use crate::corpus::matching::{Centre, Chance, MOVES, chance, median};
use crate::corpus::requests::LocalSpan;
use crate::store::{Names, SiteId};

/// When the spans of a request end and start.
pub(super) struct Gaps {
    start_ns: i64,
    end_ns: i64,
    /// Ends of leaf spans, and the start of the request.
    ends: Vec<i64>,
    /// Starts of leaf spans, and the end of the request.
    starts: Vec<i64>,
}

/// What is around a span in a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around {
    /// How long after the start of the request it starts, ns.
    since_start_ns: i64,
    /// How long before the end of the request it starts, ns.
    to_end_ns: i64,
    /// How long before its start something else ended, ns.
    before_ns: i64,
    /// How long after its end something else starts, ns. Negative where nothing does.
    after_ns: i64,
    /// Leaf spans at the same time.
    beside: i64,
}

impl Gaps {
    /// Between those spans of a request that count.
    pub(super) fn of(request: &Request<'_>, counts: &dyn Fn(&LocalSpan) -> bool) -> Self {
        let (start_ns, end_ns) = (request.entry.start_ns, request.entry.end_ns);
        let spans = || request.spans.iter().filter(|span| span.is_leaf && counts(span));
        let mut ends: Vec<i64> = spans().map(|span| span.end_ns).collect();
        ends.push(start_ns);
        ends.sort_unstable();
        let mut starts: Vec<i64> = spans().map(|span| span.start_ns).collect();
        starts.push(end_ns);
        starts.sort_unstable();
        Self { start_ns, end_ns, ends, starts }
    }

    /// What is around a span.
    pub(super) fn around(&self, span: &LocalSpan) -> Around {
        let ended = self.ends.partition_point(|end| *end <= span.start_ns + TOLERANCE_NS);
        let before = ended.checked_sub(1).map_or(self.ends[0], |last| self.ends[last]);
        let started = self.starts.partition_point(|start| *start < span.end_ns - TOLERANCE_NS);
        let after = self.starts.get(started).or(self.starts.last()).copied().unwrap_or(span.end_ns);
        Around {
            since_start_ns: span.start_ns - self.start_ns,
            to_end_ns: self.end_ns - span.start_ns,
            before_ns: span.start_ns - before,
            after_ns: after - span.end_ns,
            // The start of the request is among the ends.
            beside: started as i64 + 1 - ended as i64,
        }
    }
}

impl Around {
    const fn distances(self) -> [i64; MEASURES] {
        [self.since_start_ns, self.to_end_ns, self.before_ns, self.after_ns]
    }
}

const MEASURES: usize = 4;

/// What is usual around the spans of a site.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Typical {
    distances: [Centre; MEASURES],
    after: Centre,
    beside: i64,
    known: usize,
}

/// Examples that make something typical.
const EXAMPLES_NEEDED: usize = 5;

impl Typical {
    /// From spans of the site that are where they belong.
    pub(super) fn of_twins(names: &Names, site: SiteId, requests: &[Request<'_>]) -> Self {
        let is_twin = |span: &LocalSpan| names.site_of(span.operation) == site;
        let mut around = Vec::new();
        for request in requests.iter().filter(|request| request.count(names, site) == 1) {
            let gaps = Gaps::of(request, &|span| !is_twin(span));
            around.extend(request.spans.iter().filter(|span| is_twin(span)).map(|span| gaps.around(span)));
        }
        Self::of(&around)
    }

    /// From spans and their requests.
    pub(super) fn of(around: &[Around]) -> Self {
        Self::by(around, Centre::of)
    }

    /// From all places that come into question for so many spans: what is around the true ones is alike.
    pub(super) fn of_densest(around: &[Around], spans: usize) -> Self {
        Self::by(around, |values| Centre::of_densest(values, most(spans)))
    }

    fn by(around: &[Around], centre: impl Fn(Vec<i64>) -> Centre) -> Self {
        let distances = std::array::from_fn(|measure| {
            centre(around.iter().map(|around| around.distances()[measure]).collect())
        });
        Self {
            distances,
            after: distances[MEASURES - 1],
            beside: median(&mut around.iter().map(|around| around.beside).collect::<Vec<_>>()),
            known: around.len(),
        }
    }

    /// How far what is around a span is from the usual, in spreads; it grows slowly. What varies much says
    /// little.
    pub(super) fn cost(&self, around: Around) -> f64 {
        let distances = self.distances.iter().zip(around.distances());
        let distances: f64 = distances.map(|(centre, value)| centre.distance(value)).sum();
        distances + self.cost_beside(around)
    }

    /// The same for a span that waited before it started, so that only what follows it is usual.
    pub(super) fn cost_after_waiting(&self, around: Around) -> f64 {
        self.after.distance(around.after_ns) + self.cost_beside(around)
    }

    fn cost_beside(&self, around: Around) -> f64 {
        ((around.beside - self.beside).unsigned_abs() as f64).ln_1p()
    }

    /// Whether something follows a span as soon as it usually does, to within three spreads.
    pub(super) fn is_followed_as_usual(&self, around: Around) -> bool {
        self.after.distance(around.after_ns) <= 4.0_f64.ln()
    }

    /// Whether enough is known.
    pub(super) const fn is_known(&self) -> bool {
        self.known >= EXAMPLES_NEEDED
    }
}

/// More than half.
const fn most(spans: usize) -> usize {
    spans / 2 + 1
}

/// Whether spans are at the same point of their requests: as long after its start, before its end, after
/// what ended last, or before what starts next.
///
/// The stretch in which most of them lie says how exactly. In three times that stretch, wherever most lie,
/// the same spans moved in time have to be much fewer.
#[derive(Default)]
pub(super) struct Points {
    /// By measure: spans at one point, and spans at one point after being moved.
    counts: [(u64, u64); MEASURES],
}

/// By span: the requests that come into question, and what is around the span there.
type Open = [Vec<(usize, Around)>];

impl Points {
    /// Takes in the spans of one process, and the same moved by each of [`MOVES`].
    pub(super) fn add(&mut self, own: &Open, moved: &[Vec<Vec<(usize, Around)>>; MOVES.len()]) {
        for (measure, counts) in self.counts.iter_mut().enumerate() {
            let points = points(own, measure);
            let width = width_of(&points, most(own.len())).saturating_mul(3).max(TOLERANCE_NS);
            counts.0 += most_within(&points, own.len(), width);
            for moved in moved {
                counts.1 += most_within(&self::points(moved, measure), own.len(), width);
            }
        }
    }

    /// The measure that is least likely by chance, given that all were tried.
    pub(super) fn chance(&self, spans: u64) -> Chance {
        let chances = self.counts.iter().map(|(at_one_point, moved)| chance(spans, *at_one_point, *moved));
        let least = chances.min_by(|one, other| one.ln_p.total_cmp(&other.ln_p));
        let least = least.unwrap_or_else(|| chance(spans, 0, 0));
        Chance { ln_p: (least.ln_p + (MEASURES as f64).ln()).min(0.0), ..least }
    }
}

/// Points and the numbers of the spans that may lie there, in order.
fn points(open: &Open, measure: usize) -> Vec<(i64, usize)> {
    let all = open.iter().enumerate();
    let mut points: Vec<(i64, usize)> = all
        .flat_map(|(span, open)| open.iter().map(move |(_, around)| (around.distances()[measure], span)))
        .collect();
    points.sort_unstable();
    points
}

/// The shortest stretch with so many points.
fn width_of(points: &[(i64, usize)], many: usize) -> i64 {
    let windows = points.windows(many.max(1));
    windows.map(|window| window[window.len() - 1].0 - window[0].0).min().unwrap_or(0)
}

/// Most spans with a point in one stretch of this width.
fn most_within(points: &[(i64, usize)], spans: usize, width: i64) -> u64 {
    let mut inside = vec![0_u32; spans];
    let (mut first, mut distinct, mut most) = (0, 0, 0);
    for (point, span) in points {
        inside[*span] += 1;
        distinct += u64::from(inside[*span] == 1);
        while points[first].0 < point - width {
            inside[points[first].1] -= 1;
            distinct -= u64::from(inside[points[first].1] == 0);
            first += 1;
        }
        most = most.max(distinct);
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_counted_once_in_a_stretch() {
        let points = [(0, 0), (1, 0), (2, 1), (50, 2), (51, 0), (52, 1)];
        assert_eq!(most_within(&points, 3, 2), 3);
        assert_eq!(most_within(&points, 3, 1), 2);
        assert_eq!(most_within(&[], 3, 1), 0);
        assert_eq!(width_of(&points, 3), 2);
        assert_eq!(width_of(&points, 7), 0);
    }
}
