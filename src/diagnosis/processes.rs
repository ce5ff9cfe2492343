//! The requests of each process, and to which of them spans belong that hang elsewhere.
//!
//! A span that lost its request starts while the request is open, and where the request has a hole. Spans
//! of background work do so at times as well, so what was found has to beat chance: the same spans, moved
//! by two and four typical durations of the requests, have to meet them so rarely that p < 1e-6.

use std::cell::OnceCell;
use std::cmp::Reverse;
use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::surroundings::{Around, Gaps, Points, Typical};
use super::{Damaged, Explained, Facts};
use crate::corpus::assignment::{Candidate, assign};
use crate::corpus::composition::TOLERANCE_NS;
use crate::corpus::in_process::RequestKind;
use crate::corpus::matching::{CANDIDATES, Chance, LOOKED_AT, MOVES, chance, median};
use crate::corpus::requests::{LocalSpan, ParentPlace};
use crate::corpus::statistics::{LN_IMPROBABLE, ln_at_least};
use crate::finding::ProposedParent;
use crate::model::{SpanId, TraceId};
use crate::report::Confidence;
use crate::store::{Names, ServiceId, SiteId};

/// A request: its entry span, and the other spans of its process in it, by start.
#[derive(Debug)]
pub(super) struct Request<'r> {
    pub(super) entry: &'r LocalSpan,
    pub(super) spans: Vec<&'r LocalSpan>,
}

impl Request<'_> {
    /// Whether any of its spans failed.
    fn has_failed(&self) -> bool {
        self.entry.is_failed || self.spans.iter().any(|span| span.is_failed)
    }

    /// How many spans of a site it has.
    pub(super) fn count(&self, names: &Names, site: SiteId) -> u64 {
        self.spans.iter().filter(|span| names.site_of(span.operation) == site).count() as u64
    }
}

/// One process.
#[derive(Debug)]
pub(super) struct Process<'r> {
    /// All kept spans, by start.
    pub(super) spans: &'r [LocalSpan],
    /// By start of their entry spans.
    pub(super) requests: Vec<Request<'r>>,
    numbers: OnceCell<FxHashMap<(TraceId, SpanId), usize>>,
}

/// Sites of one service that are compared with its requests, those with most spans first: each costs a
/// look at all of them.
pub(super) const SITES_COMPARED: usize = 256;

/// Spans that can be more than chance: of fewer, not even all inside requests are.
pub(super) const SPANS_NEEDED: usize = 5;

impl<'r> Process<'r> {
    /// The processes of the kept spans; spans that are explained belong to no request.
    pub(super) fn all(rows: &'r [LocalSpan], explained: &Explained) -> Vec<Self> {
        let processes = rows.chunk_by(|one, other| one.resource == other.resource);
        processes.map(|spans| Self::of(spans, explained)).collect()
    }

    fn of(spans: &'r [LocalSpan], explained: &Explained) -> Self {
        let entries = spans.iter().filter(|span| span.is_entry());
        let mut requests: Vec<Request<'r>> =
            entries.map(|entry| Request { entry, spans: Vec::new() }).collect();
        let numbers: FxHashMap<(TraceId, SpanId), usize> = requests
            .iter()
            .enumerate()
            .map(|(number, request)| ((request.entry.trace_id, request.entry.span_id), number))
            .collect();
        for span in spans.iter().filter(|span| !span.is_entry()) {
            let number = span.entry.and_then(|entry| numbers.get(&(span.trace_id, entry)));
            if let Some(number) = number
                && !explained.has(span.trace_id, span.span_id)
            {
                requests[*number].spans.push(span);
            }
        }
        Self { spans, requests, numbers: OnceCell::new() }
    }

    /// The span with these ids.
    pub(super) fn span(&self, trace_id: TraceId, span_id: SpanId) -> Option<&'r LocalSpan> {
        let ids = |(number, span): (usize, &LocalSpan)| ((span.trace_id, span.span_id), number);
        let numbers = self.numbers.get_or_init(|| self.spans.iter().enumerate().map(ids).collect());
        numbers.get(&(trace_id, span_id)).map(|number| &self.spans[*number])
    }

    /// Number of its resource.
    pub(super) fn number(&self) -> u32 {
        self.spans.first().map_or(u32::MAX, |span| span.resource)
    }

    /// The service.
    pub(super) fn service(&self, names: &Names) -> Option<ServiceId> {
        self.spans.first().map(|span| names.site(names.site_of(span.operation)).service)
    }
}

/// The processes of each service.
pub(super) fn by_service<'p, 'r>(
    names: &Names,
    processes: &'p [Process<'r>],
) -> BTreeMap<ServiceId, Vec<&'p Process<'r>>> {
    let mut services: BTreeMap<ServiceId, Vec<&Process<'r>>> = BTreeMap::new();
    for process in processes {
        if let Some(service) = process.service(names) {
            services.entry(service).or_default().push(process);
        }
    }
    services
}

/// Spans of one site and one process that may belong to other requests, by start.
pub(super) struct Strays<'p, 'r> {
    pub(super) process: &'p Process<'r>,
    pub(super) spans: Vec<&'r LocalSpan>,
}

/// A span and the request that it belongs to.
#[derive(Clone, Copy)]
pub(super) struct Placed<'p, 'r> {
    pub(super) span: &'r LocalSpan,
    pub(super) home: Option<&'p Request<'r>>,
    /// Requests that come into question.
    pub(super) candidates: u32,
    /// The second best request fits at most half as well.
    pub(super) is_clear: bool,
}

/// Where spans of one site belong.
pub(super) struct Settlement<'p, 'r> {
    pub(super) placed: Vec<Placed<'p, 'r>>,
    /// Spans that start inside such a request.
    pub(super) inside: u64,
    /// Against which these spans beat chance: either that so many are inside, or that so many are at the
    /// same point of their request.
    pub(super) chance: Chance,
    /// The spans are at the same point of their requests more often than by chance.
    pub(super) is_at_one_point: bool,
    /// The requests come from those that lack such a span although their kind usually has it.
    pub(super) is_lacking: bool,
    /// The kind of the requests, where they are of one kind.
    pub(super) kind: Option<SiteId>,
    /// Requests that come into question for any.
    homes: u64,
}

/// Such work begins inside its request, unless a timer or a pool holds it back for longer than the request
/// lasts: that is allowed for one in ten.
const INSIDE: f64 = 0.9;

impl Settlement<'_, '_> {
    fn share_inside(&self) -> f64 {
        self.inside as f64 / self.chance.entries.max(1) as f64
    }

    /// Whether nearly all of the spans got a request, and nearly all requests a span: an unrelated job is
    /// hardly ever started as often as an operation is lacking.
    fn is_balanced(&self) -> bool {
        let placed = self.placed.iter().filter(|placed| placed.home.is_some()).count() as f64;
        placed >= INSIDE * self.chance.entries as f64 && placed >= INSIDE * self.homes as f64
    }

    /// Whether nearly all of the spans are inside such requests.
    pub(super) fn is_whole(&self) -> bool {
        self.share_inside() >= INSIDE
    }

    /// The damaged spans: all, when nearly all were placed, else those that were.
    pub(super) fn damaged(&self, facts: &Facts<'_>) -> Vec<Damaged> {
        let is_whole = self.is_whole();
        let placed = self.placed.iter().filter(|placed| is_whole || placed.home.is_some());
        placed.map(|placed| damaged(facts, placed)).collect()
    }

    /// Spans for which only one request comes into question.
    pub(super) fn unique(&self) -> u64 {
        self.placed.iter().filter(|placed| placed.home.is_some() && placed.candidates == 1).count() as u64
    }
}

/// Requests among which times decide well: with more open at once, several fit about as well.
const FEW_CANDIDATES: u32 = 3;

/// Requests among which the best one is proposed at all, with low confidence. On runs with a known truth it
/// was right in half of the cases among four to six, and in one of nine among seven and eight.
const PROPOSED_AMONG: u32 = 6;

/// A span with the parent that it should have: one of its usual parent's site in the request, else the
/// entry span.
pub(super) fn damaged(facts: &Facts<'_>, placed: &Placed<'_, '_>) -> Damaged {
    let names = facts.names;
    let site = names.site_of(placed.span.operation);
    let home = placed.home.filter(|_| placed.candidates <= PROPOSED_AMONG || placed.is_clear);
    let parent = home.map(|home| {
        let usual = facts.corpus.usual_parent(site).map(|(parent, _)| parent);
        let mut spans = home.spans.iter().copied();
        let parent = spans.find(|span| Some(names.site_of(span.operation)) == usual).unwrap_or(home.entry);
        let confidence = match placed.candidates {
            1 => Confidence::High,
            2..=FEW_CANDIDATES => Confidence::Medium,
            _ => Confidence::Low,
        };
        ProposedParent { trace_id: parent.trace_id, span_id: parent.span_id, confidence }
    });
    damaged_span(placed.span, parent)
}

/// A damaged span.
pub(super) fn damaged_span(span: &LocalSpan, parent: Option<ProposedParent>) -> Damaged {
    Damaged {
        trace_id: span.trace_id,
        span_id: span.span_id,
        operation: span.operation,
        start_ns: span.start_ns,
        source: span.source,
        parent,
    }
}

/// The requests that spans of one site belong to, if they belong to requests beyond chance: those that
/// lack such a span although their kind usually has it, else those of the kind that fits best.
pub(super) fn settle<'p, 'r>(
    facts: &Facts<'_>,
    site: SiteId,
    strays: &[Strays<'p, 'r>],
) -> Option<Settlement<'p, 'r>> {
    let usual = |kind: RequestKind| facts.corpus.composition.usual(kind, site);
    let is_lacking = |request: &Request<'_>| {
        usual(request.entry.kind(facts.names))
            .is_some_and(|usual| request.count(facts.names, site) < usual.max(1))
    };
    let lacking = place(facts.names, site, strays, &is_lacking);
    let ln_p = if lacking.is_balanced() { LN_P_BALANCED } else { LN_IMPROBABLE };
    if lacking.chance.ln_p < ln_p && lacking.share_inside() >= 0.5 {
        return Some(Settlement { is_lacking: true, ..lacking });
    }
    best_kind(facts, site, strays)
}

/// One in a thousand, which with the same for equal numbers by chance makes one in a million.
pub(super) const LN_P_BALANCED: f64 = LN_IMPROBABLE / 2.0;

/// Without twins that tell, nearly all of the spans have to be inside requests of one kind, or of any.
fn best_kind<'p, 'r>(
    facts: &Facts<'_>,
    site: SiteId,
    strays: &[Strays<'p, 'r>],
) -> Option<Settlement<'p, 'r>> {
    let has_none = |request: &Request<'_>| request.count(facts.names, site) == 0;
    let mut found = place(facts.names, site, strays, &has_none);
    if !found.is_whole() {
        return None;
    }
    let kinds = kinds_around(facts.names, strays);
    let tried = (2.0 * kinds.len() as f64 + 1.0).ln();
    let both = kinds.into_iter().flat_map(|kind| [(kind, false), (kind, true)]);
    for (kind, must_fail) in both {
        let is_home = |request: &Request<'_>| {
            request.entry.kind(facts.names) == kind
                && has_none(request)
                && (!must_fail || request.has_failed())
        };
        let settlement = place(facts.names, site, strays, &is_home);
        if settlement.is_whole() && settlement.chance.ln_p < found.chance.ln_p {
            found = Settlement { kind: Some(kind.0), ..settlement };
        }
    }
    (found.is_whole() && found.chance.ln_p + tried < LN_IMPROBABLE).then_some(found)
}

/// Kinds of requests that are tried one by one: each costs a look at all requests of the processes.
const KINDS_COMPARED: usize = 32;

/// The kinds of requests that can hold nearly all of the spans: they hold one of any few more than may be
/// outside. Of too many, those that hold most of these few.
fn kinds_around(names: &Names, strays: &[Strays<'_, '_>]) -> Vec<RequestKind> {
    let all: usize = strays.iter().map(|strays| strays.spans.len()).sum();
    let few = ((1.0 - INSIDE) * all as f64) as usize + 1;
    let mut kinds: BTreeMap<RequestKind, u64> = BTreeMap::new();
    let mut left = few;
    for of_process in by_process(strays) {
        if left == 0 {
            break;
        }
        let homes = Homes::new(of_process[0].process, 0, &|_| true);
        for span in of_process.iter().flat_map(|strays| &strays.spans).take(left) {
            for number in homes.open_at(span.start_ns) {
                *kinds.entry(homes.requests[number].entry.kind(names)).or_default() += 1;
            }
        }
        left = left.saturating_sub(of_process.iter().map(|strays| strays.spans.len()).sum());
    }
    let mut most: Vec<(Reverse<u64>, RequestKind)> =
        kinds.into_iter().map(|(kind, held)| (Reverse(held), kind)).collect();
    most.sort_unstable();
    most.truncate(KINDS_COMPARED);
    most.sort_unstable_by_key(|(_, kind)| *kind);
    most.into_iter().map(|(_, kind)| kind).collect()
}

/// Places spans in these requests, one span to a request.
pub(super) fn place<'p, 'r>(
    names: &Names,
    site: SiteId,
    strays: &[Strays<'p, 'r>],
    is_home: &dyn Fn(&Request<'r>) -> bool,
) -> Settlement<'p, 'r> {
    let overhang_ns = overhang_ns(names, site, strays);
    let (mut all, mut inside, mut met, mut homes_in_all) = (0, 0, 0, 0);
    let mut points = Points::default();
    let mut placed = Vec::new();
    let is_other = |span: &LocalSpan| names.site_of(span.operation) != site;
    let meets =
        |around: &[Vec<(usize, Around)>]| around.iter().filter(|open| !open.is_empty()).count() as u64;
    for of_process in by_process(strays) {
        let homes = Homes::new(of_process[0].process, overhang_ns, is_home);
        let step_ns = homes.typical_ns();
        let twins = OnceCell::new();
        let twins = || *twins.get_or_init(|| Typical::of_twins(names, site, &of_process[0].process.requests));
        let mut gaps = FxHashMap::default();
        for strays in of_process {
            homes_in_all += homes.requests.len() as u64;
            all += strays.spans.len() as u64;
            let own = homes.around(&strays.spans, 0, &is_other, &mut gaps);
            let moved = MOVES.map(|times| {
                homes.around(&strays.spans, step_ns.saturating_mul(times), &is_other, &mut gaps)
            });
            inside += meets(&own);
            met += moved.iter().map(|moved| meets(moved)).sum::<u64>();
            points.add(&own, &moved);
            placed.extend(homes.assign(&twins, strays, &own));
        }
    }
    let (inside, at_one_point) = (chance(all, inside, met), points.chance(all));
    let is_at_one_point = at_one_point.ln_p < inside.ln_p;
    Settlement {
        placed,
        inside: inside.paired,
        chance: if is_at_one_point { at_one_point } else { inside },
        is_at_one_point,
        is_lacking: false,
        kind: None,
        homes: homes_in_all,
    }
}

/// Strays of one process stand together: what is known of its requests is found once for all of them.
fn by_process<'s, 'p, 'r>(strays: &'s [Strays<'p, 'r>]) -> impl Iterator<Item = &'s [Strays<'p, 'r>]> {
    strays.chunk_by(|one, other| one.process.number() == other.process.number())
}

/// How long after the end of their request spans of a site start where they have a parent, at most, ns.
fn overhang_ns(names: &Names, site: SiteId, strays: &[Strays<'_, '_>]) -> i64 {
    let requests = by_process(strays).flat_map(|strays| &strays[0].process.requests);
    let late = requests.flat_map(|request| {
        let twins = request.spans.iter().filter(|span| names.site_of(span.operation) == site);
        twins.map(|span| span.start_ns - request.entry.end_ns)
    });
    late.max().unwrap_or(0).max(0)
}

/// Requests that spans of a site may belong to, by start.
struct Homes<'p, 'r> {
    requests: Vec<&'p Request<'r>>,
    overhang_ns: i64,
    longest_ns: i64,
}

impl<'p, 'r> Homes<'p, 'r> {
    fn new(process: &'p Process<'r>, overhang_ns: i64, is_home: &dyn Fn(&Request<'r>) -> bool) -> Self {
        let requests: Vec<&'p Request<'r>> =
            process.requests.iter().filter(|request| is_home(request)).collect();
        let longest_ns = requests.iter().map(|request| request.entry.duration_ns()).max().unwrap_or(0);
        Self { requests, overhang_ns, longest_ns }
    }

    /// The median of how long these requests are open, ns.
    fn typical_ns(&self) -> i64 {
        let open = self.requests.iter().map(|request| request.entry.duration_ns() + self.overhang_ns);
        median(&mut open.collect::<Vec<_>>()).max(TOLERANCE_NS)
    }

    /// Numbers of the requests that are open at a time, newest first.
    fn open_at(&self, at_ns: i64) -> impl Iterator<Item = usize> + '_ {
        let end = self.requests.partition_point(|request| request.entry.start_ns <= at_ns + TOLERANCE_NS);
        let oldest_ns = at_ns - self.longest_ns - self.overhang_ns - TOLERANCE_NS;
        let newest_first = (0..end).rev().take(LOOKED_AT);
        newest_first.take_while(move |number| self.requests[*number].entry.start_ns >= oldest_ns).filter(
            move |number| at_ns <= self.requests[*number].entry.end_ns + self.overhang_ns + TOLERANCE_NS,
        )
    }

    /// For each span, moved in time, the requests that are open when it starts, and what is around it there.
    fn around(
        &self,
        spans: &[&LocalSpan],
        by_ns: i64,
        counts: &dyn Fn(&LocalSpan) -> bool,
        gaps: &mut FxHashMap<usize, Gaps>,
    ) -> Vec<Vec<(usize, Around)>> {
        let around = spans.iter().map(|span| {
            let span = span.moved(by_ns);
            let open = self.open_at(span.start_ns).take(CANDIDATES);
            open.map(|number| {
                let gaps = gaps.entry(number).or_insert_with(|| Gaps::of(self.requests[number], counts));
                (number, gaps.around(&span))
            })
            .collect()
        });
        around.collect()
    }

    /// The assignment of least cost: first by what is typical for all places that come into question, then
    /// by what is for those that were chosen.
    fn assign(
        &self,
        twins: &dyn Fn() -> Typical,
        strays: &Strays<'_, 'r>,
        open: &[Vec<(usize, Around)>],
    ) -> Vec<Placed<'p, 'r>> {
        let mut typical = if strays.spans.len() >= SPANS_NEEDED {
            let all: Vec<Around> = open.iter().flatten().map(|(_, around)| *around).collect();
            Typical::of_densest(&all, strays.spans.len())
        } else {
            twins()
        };
        let mut homes: FxHashMap<u32, u32> = FxHashMap::default();
        for _ in 0..ROUNDS {
            let mut possible = Vec::new();
            for (left, open) in (0..).zip(open) {
                let candidates = open.iter().map(|(home, around)| Candidate {
                    left,
                    right: *home as u32,
                    cost: typical.cost(*around),
                });
                possible.extend(candidates);
            }
            homes = assign(&possible, strays.spans.len()).into_iter().collect();
            let chosen: Vec<Around> = (0..)
                .zip(open)
                .flat_map(|(left, open)| {
                    let home = homes.get(&left).copied();
                    open.iter().filter(move |(number, _)| Some(*number as u32) == home)
                })
                .map(|(_, around)| *around)
                .collect();
            if chosen.len() < SPANS_NEEDED {
                break;
            }
            typical = Typical::of(&chosen);
        }
        let placed = (0..).zip(&strays.spans).zip(open).map(|((number, span), open)| Placed {
            span,
            home: homes.get(&number).map(|home| self.requests[*home as usize]),
            candidates: open.len() as u32,
            is_clear: is_clear(&typical, open, homes.get(&number).copied()),
        });
        placed.collect()
    }
}

/// Whether the chosen request fits twice as well as any other: costs are logarithms.
fn is_clear(typical: &Typical, open: &[(usize, Around)], home: Option<u32>) -> bool {
    let is_home = |number: usize| Some(number as u32) == home;
    let costs = |wanted: bool| {
        let places = open.iter().filter(move |(number, _)| is_home(*number) == wanted);
        places.map(|(_, around)| typical.cost(*around)).fold(f64::INFINITY, f64::min)
    };
    costs(true) + std::f64::consts::LN_2 <= costs(false)
}

/// Assignments after each of which it is known better what is typical. The first one is right in most
/// cases, and a third one hardly changes the second.
const ROUNDS: usize = 2;

/// The share of gaps between independent arrivals that lies within a fifth of their median: the gaps are
/// exponentially distributed, and 2^-0.8 - 2^-1.2 is 0.139.
const NEAR_THE_MEDIAN: f64 = 0.139;

/// Whether something comes at so regular times that a timer must start it. Of independent arrivals fewer
/// than one in a million would look like this.
pub(super) fn is_periodic(mut starts_ns: Vec<i64>) -> bool {
    starts_ns.sort_unstable();
    let mut gaps: Vec<i64> = starts_ns.windows(2).map(|two| two[1] - two[0]).collect();
    let middle = median(&mut gaps);
    let near = gaps.iter().filter(|gap| (**gap - middle).abs() * 5 <= middle).count();
    ln_at_least(near as u64, gaps.len() as u64, NEAR_THE_MEDIAN) < LN_IMPROBABLE
}

/// Whether spans end when a request begins: then they waited for it, and are the cause of its start, not
/// a part of another one.
pub(super) fn are_receivers(strays: &[Strays<'_, '_>]) -> bool {
    let is_receiver = |process: &Process<'_>, span: &LocalSpan| {
        let requests = &process.requests;
        let next = requests.partition_point(|request| request.entry.start_ns < span.end_ns - TOLERANCE_NS);
        requests.get(next).is_some_and(|request| request.entry.start_ns <= span.end_ns + TOLERANCE_NS)
    };
    let all: usize = strays.iter().map(|strays| strays.spans.len()).sum();
    let receivers: usize = strays
        .iter()
        .map(|strays| strays.spans.iter().filter(|span| is_receiver(strays.process, span)).count())
        .sum();
    receivers * 2 >= all
}

/// A root that is no entry span, has no links, and that nothing explains.
pub(super) fn is_stray_root(span: &LocalSpan, explained: &Explained) -> bool {
    span.parent == ParentPlace::Nowhere
        && !span.is_entry()
        && !span.is_linked
        && !explained.has(span.trace_id, span.span_id)
}
