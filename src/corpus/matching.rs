//! Which unjoined exit span belongs to which entry span that is a root, or an orphan on top of its trace.
//!
//! An exit is a candidate when both sides name the same call (path, procedure, destination, message
//! id), when the entry starts while the exit is open (for messages: soon after it), and when they are of
//! different services and traces. Conflicts are solved for least total cost. What is left has to
//! beat chance: the same entries moved in time by two and four typical durations must meet open
//! exits so much more rarely that fewer than one case in a million would look like this.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashSet;

use super::assignment::{Candidate, assign};
use super::clocks::{ClockNetwork, ClockPairs, DelaysByEdge};
use super::hops::{Hops, UnjoinedSpan};
use super::statistics::{LN_IMPROBABLE, LN_UNLIKELY, ln_at_least};
use crate::model::boundary::{ANY_SEGMENT, Boundary, Protocol};
use crate::model::{SpanId, SpanKind, TraceId};
use crate::report::Confidence;
use crate::store::{Names, SiteId};

/// An edge of which hops were found in two traces, beyond chance.
#[derive(Clone, Debug)]
pub struct BrokenEdge {
    /// Site of the exit spans.
    pub exit: SiteId,
    /// Site of the entry spans.
    pub entry: SiteId,
    /// The callee sees another path than the caller.
    pub is_rewritten: bool,
    /// The entries are orphans on top of their traces: what lies between began a trace of its own.
    pub is_restarted: bool,
    /// Protocol of the hops.
    pub protocol: Protocol,
    /// Nearly every such entry, and nearly every exit of the site that nothing answers, has its other side.
    pub is_complete: bool,
    /// The hops, by start of the entry.
    pub pairs: Vec<Pair>,
    /// How much more than chance this is.
    pub chance: Chance,
}

/// A hop of which exit and entry lie in different traces.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// The exit span.
    pub exit: UnjoinedSpan,
    /// The entry span.
    pub entry: UnjoinedSpan,
    /// Calls that could have been the entry's: 1 when the pair is unique.
    pub candidates: u32,
    /// Both sides name the same message.
    pub has_message_id: bool,
    /// A sibling of the exit has the same times and no entry of its own.
    pub is_doubled: bool,
}

impl Pair {
    /// How sure it is that the two belong together. The number of calls that come into question is the
    /// measure: one is as good as certain, with two or three the times decide, and with more they hardly
    /// do.
    pub const fn confidence(&self) -> Confidence {
        match (self.has_message_id, self.candidates) {
            (true, _) | (_, 1) => Confidence::High,
            (_, 2 | 3) => Confidence::Medium,
            _ => Confidence::Low,
        }
    }
}

/// A comparison with the same entries at other times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chance {
    /// Entries whose call such an exit makes at any time.
    pub entries: u64,
    /// Of these, entries paired without a message id.
    pub paired: u64,
    /// Share that met an open exit after being moved in time.
    pub expected: f64,
    /// Only entries that fill their call closely are counted.
    pub is_close: bool,
    /// Upper bound of the natural logarithm of the probability that so many are paired by chance
    /// (Chernoff's bound for the binomial distribution).
    pub ln_p: f64,
}

impl Chance {
    /// Whether chance does not explain it.
    pub fn is_improbable(&self) -> bool {
        self.ln_p < LN_IMPROBABLE
    }

    /// Whether chance hardly explains it: too little for a proof, and enough for what has something else
    /// that speaks for it.
    pub fn is_unlikely(&self) -> bool {
        self.ln_p < LN_UNLIKELY
    }
}

/// Exit site, entry site, and whether the entries are orphans: these are another kind of break, and have
/// to beat chance by themselves.
type EdgeKey = (SiteId, SiteId, bool);

impl BrokenEdge {
    const fn key(&self) -> EdgeKey {
        (self.exit, self.entry, self.is_restarted)
    }

    fn is_proven(&self) -> bool {
        self.chance.is_improbable() || self.pairs.iter().any(|pair| pair.has_message_id)
    }

    fn is_likely(&self) -> bool {
        self.is_proven() || self.is_complete && self.chance.is_unlikely()
    }

    /// High when chance is excluded; medium when it is not quite, and nothing is left over on either side.
    pub fn confidence(&self) -> Confidence {
        if self.is_proven() { Confidence::High } else { Confidence::Medium }
    }

    /// Pairs in which both sides name the same message.
    pub fn with_message_id(&self) -> u64 {
        self.pairs.iter().filter(|pair| pair.has_message_id).count() as u64
    }
}

/// Entry and exit spans are stamped up to this much early or late by instrumentation; to it comes the
/// step of the times.
pub(super) const TOLERANCE_NS: i64 = 1_000_000;

/// Exits looked at for one entry and exit site, newest first; the rest has too many open at once for
/// any of them to be the one.
pub(crate) const LOOKED_AT: usize = 512;
/// Candidates of one entry.
pub(crate) const CANDIDATES: usize = 32;
/// Exit sites looked at for one call, those with most exits first.
const SITES_OF_A_CALL: usize = 64;
/// Ways in which routes with as many segments may have parameters.
const ROUTE_SHAPES: usize = 16;
/// Share of a side that may be left over when a pairing is complete.
const EXCEPTIONS: f64 = 0.05;
/// Delays that make a typical one.
const DELAYS_NEEDED: usize = 5;

/// What both sides of a hop know of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Call<'n> {
    /// Protocol, method or destination, and hash of the path or message id.
    Exact(Protocol, &'n str, u32),
    /// HTTP method and route.
    Route(&'n str, Vec<&'n str>),
    /// RPC service and method.
    Procedure(&'n str, &'n str),
    /// Destination of messages.
    Destination(&'n str),
    /// Destination of messages without an id.
    Anonymous(&'n str),
    /// HTTP method and the end of the path, of which the caller names more.
    PrefixTaken(&'n str, Vec<&'n str>),
    /// HTTP method and the end of the path, of which the callee names more.
    PrefixAdded(&'n str, Vec<&'n str>),
}

/// Exits of one site that make one call.
#[derive(Debug, Default)]
struct Exits {
    /// Numbers of the exits, by start.
    spans: Vec<u32>,
    longest_ns: i64,
}

/// Pairs exits and entries.
pub(super) fn broken_edges(
    hops: &Hops,
    taken: &FxHashSet<(TraceId, SpanId)>,
    clocks: &ClockPairs,
    network: &ClockNetwork,
    names: &Names,
) -> Vec<BrokenEdge> {
    let [exits, entries] = hops.sides(names, taken);
    let mut edges = pair_up(&exits, &entries, clocks, network, names);
    if exits.is_empty() || entries.is_empty() {
        return edges;
    }
    let paired = edges.iter().flat_map(|edge| &edge.pairs).flat_map(|pair| [pair.exit, pair.entry]);
    let paired: FxHashSet<_> = paired.map(|span| (span.trace_id, span.span_id)).collect();
    let [exits, entries] = [exits, entries].map(|mut side| {
        side.retain(|span| !paired.contains(&(span.trace_id, span.span_id)));
        side
    });
    let rewritten = Matching::new(&exits, &entries, Paths::Rewritten, clocks, network, names);
    edges.extend(proven_edges(&rewritten));
    // The sort keeps the order: of two for one edge the pairs of the second join the first.
    edges.sort_by_key(BrokenEdge::key);
    edges.dedup_by(|rewritten, edge| {
        let is_same = rewritten.key() == edge.key();
        if is_same {
            edge.pairs.append(&mut rewritten.pairs);
        }
        is_same
    });
    edges
}

/// Pairs these exits and entries, each by start, where both sides name the same path.
pub(crate) fn pair_up(
    exits: &[UnjoinedSpan],
    entries: &[UnjoinedSpan],
    clocks: &ClockPairs,
    network: &ClockNetwork,
    names: &Names,
) -> Vec<BrokenEdge> {
    if exits.is_empty() || entries.is_empty() {
        return Vec::new();
    }
    proven_edges(&Matching::new(exits, entries, Paths::Same, clocks, network, names))
}

/// The edges that are more than chance.
fn proven_edges(matching: &Matching<'_>) -> Vec<BrokenEdge> {
    let first = matching.edges(&|_| true);
    if first.iter().all(BrokenEdge::is_likely) {
        return first;
    }
    // What only chance paired is free for the edges that are real.
    let proven: BTreeSet<_> = first.iter().filter(|edge| edge.is_likely()).map(BrokenEdge::key).collect();
    let mut edges = matching.edges(&|edge| proven.contains(&edge));
    edges.retain(BrokenEdge::is_likely);
    edges
}

/// Whether both sides see one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Paths {
    /// They do.
    Same,
    /// What lies between puts a prefix before the path, or takes one away, as routes of gateways and
    /// ingresses do.
    Rewritten,
}

struct Matching<'m> {
    paths: Paths,
    exits: &'m [UnjoinedSpan],
    entries: &'m [UnjoinedSpan],
    names: &'m Names,
    calls: BTreeMap<Call<'m>, BTreeMap<SiteId, Exits>>,
    /// How long a message waits at most, by destination, where no id tells; ns.
    waits: BTreeMap<Call<'m>, i64>,
    network: &'m ClockNetwork,
    largest_correction_ns: i64,
    delays: DelaysByEdge,
}

impl<'m> Matching<'m> {
    fn new(
        exits: &'m [UnjoinedSpan],
        entries: &'m [UnjoinedSpan],
        paths: Paths,
        clocks: &ClockPairs,
        network: &'m ClockNetwork,
        names: &'m Names,
    ) -> Self {
        let mut matching = Self {
            paths,
            exits,
            entries,
            names,
            calls: BTreeMap::new(),
            waits: BTreeMap::new(),
            network,
            largest_correction_ns: network.largest_correction_ns(),
            delays: clocks.delays(names, network),
        };
        matching.index();
        matching.learn_waits();
        matching
    }

    fn index(&mut self) {
        let shapes = route_shapes(self.names, self.entries);
        for (number, exit) in self.exits.iter().enumerate() {
            let site = self.names.site_of(exit.operation);
            let calls = match self.paths {
                Paths::Same => calls_of_exit(self.names, exit, &shapes),
                Paths::Rewritten => rewritten_calls_of_exit(self.names, exit),
            };
            for call in calls {
                let exits = self.calls.entry(call).or_default().entry(site).or_default();
                exits.spans.push(number as u32);
                exits.longest_ns = exits.longest_ns.max(exit.duration_ns());
            }
        }
        for sites in self.calls.values_mut().filter(|sites| sites.len() > SITES_OF_A_CALL) {
            let mut by_size: Vec<_> =
                sites.iter().map(|(site, exits)| (Reverse(exits.spans.len()), *site)).collect();
            by_size.sort_unstable();
            for (_, site) in by_size.split_off(SITES_OF_A_CALL) {
                sites.remove(&site);
            }
        }
    }

    /// The calls that the entry may belong to.
    fn calls_of_entry(&self, entry: &UnjoinedSpan) -> Vec<Call<'m>> {
        match self.paths {
            Paths::Same => calls_of_entry(self.names, entry),
            Paths::Rewritten => rewritten_calls_of_entry(self.names, entry),
        }
    }

    /// A message without an id is taken to wait at most twice as long as half of them do. When
    /// consumers have nothing to do with the producers this covers most of the time, and chance
    /// explains every pair.
    fn learn_waits(&mut self) {
        let mut delays: BTreeMap<Call<'m>, Vec<i64>> = BTreeMap::new();
        for entry in self.entries {
            for call in self.calls_of_entry(entry) {
                if !matches!(call, Call::Destination(_) | Call::Anonymous(_)) {
                    continue;
                }
                let Some(sites) = self.calls.get(&call) else { continue };
                let last_start = sites.values().filter_map(|exits| {
                    let before = exits.spans.partition_point(|exit| {
                        self.exits[*exit as usize].start_ns <= entry.start_ns + TOLERANCE_NS
                    });
                    before.checked_sub(1).map(|last| self.exits[exits.spans[last] as usize].start_ns)
                });
                if let Some(start) = last_start.max() {
                    delays.entry(call).or_default().push((entry.start_ns - start).max(0));
                }
            }
        }
        for (call, mut delays) in delays {
            let wait = 2 * median(&mut delays).max(TOLERANCE_NS);
            self.waits.insert(call, wait);
        }
    }

    /// How long after its start an exit can still be the entry's.
    fn open_ns(&self, call: &Call<'_>, exit: &UnjoinedSpan) -> i64 {
        match call {
            Call::Exact(Protocol::Messaging, ..) => i64::MAX / 4,
            Call::Destination(_) | Call::Anonymous(_) => self.waits.get(call).copied().unwrap_or(0),
            _ => exit.duration_ns(),
        }
    }

    /// The exits of a site that were open at the entry's start, moved by so much; newest first.
    fn open_exits<'a>(
        &'a self,
        call: &'a Call<'m>,
        exits: &'a Exits,
        entry: &'a UnjoinedSpan,
        moved_ns: i64,
    ) -> impl Iterator<Item = u32> + 'a {
        let at = entry.start_ns + moved_ns;
        // Exits are in the order of their own clocks.
        let corrected = at + self.correction_ns(entry);
        let slack =
            self.largest_correction_ns + self.uncertainty_ns(entry) + TOLERANCE_NS + step_ns(entry.start_ns);
        let end =
            exits.spans.partition_point(|exit| self.exits[*exit as usize].start_ns <= corrected + slack);
        let longest_ns = match call {
            Call::Exact(Protocol::Messaging, ..) => i64::MAX / 4,
            Call::Destination(_) | Call::Anonymous(_) => self.waits.get(call).copied().unwrap_or(0),
            _ => exits.longest_ns,
        };
        let newest_first = exits.spans[..end].iter().rev().take(LOOKED_AT).copied();
        newest_first
            .take_while(move |exit| {
                let start_ns = self.exits[*exit as usize].start_ns;
                start_ns.saturating_add(longest_ns) >= corrected - slack
            })
            .filter(move |exit| {
                let exit = &self.exits[*exit as usize];
                let tolerance = TOLERANCE_NS
                    + step_ns(exit.start_ns).max(step_ns(entry.start_ns))
                    + self.uncertainty_ns(exit)
                    + self.uncertainty_ns(entry);
                let delay = at - self.offset_ns(exit, entry) - exit.start_ns;
                delay >= -tolerance && delay - tolerance <= self.open_ns(call, exit)
            })
    }

    /// How much the entry's clock is ahead of the exit's, ns.
    fn offset_ns(&self, exit: &UnjoinedSpan, entry: &UnjoinedSpan) -> i64 {
        self.correction_ns(exit) - self.correction_ns(entry)
    }

    fn correction_ns(&self, span: &UnjoinedSpan) -> i64 {
        self.network.correction_ns(self.names.operation(span.operation).resource, span.start_ns)
    }

    /// How far the correction of the span's clock may be off, ns.
    fn uncertainty_ns(&self, span: &UnjoinedSpan) -> i64 {
        self.network.uncertainty_ns(self.names.operation(span.operation).resource, span.start_ns)
    }

    /// Whether these two can be a hop at all. A service that passes a request on under the path that
    /// it came in with is not its own caller.
    fn is_possible(&self, exit: &UnjoinedSpan, entry: &UnjoinedSpan) -> bool {
        let service = |span: &UnjoinedSpan| self.names.site(self.names.site_of(span.operation)).service;
        let environment = |span: &UnjoinedSpan| &*self.names.resource_of(span.operation).environment;
        let (one, other) = (environment(exit), environment(entry));
        exit.trace_id != entry.trace_id
            && service(exit) != service(entry)
            && (one == other || one.is_empty() || other.is_empty())
    }

    fn edge_of(&self, exit: &UnjoinedSpan, entry: &UnjoinedSpan) -> (SiteId, SiteId) {
        (self.names.site_of(exit.operation), self.names.site_of(entry.operation))
    }

    fn candidates(&self, entry: &UnjoinedSpan, is_wanted: &dyn Fn(EdgeKey) -> bool) -> Vec<u32> {
        let mut found = Vec::new();
        for call in self.calls_of_entry(entry) {
            let Some(sites) = self.calls.get(&call) else { continue };
            for (site, exits) in sites {
                if !is_wanted((*site, self.names.site_of(entry.operation), entry.has_parent())) {
                    continue;
                }
                let open = self.open_exits(&call, exits, entry, 0);
                let possible = open.filter(|exit| self.is_possible(&self.exits[*exit as usize], entry));
                found.extend(possible.take(CANDIDATES));
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    fn edges(&self, is_wanted: &dyn Fn(EdgeKey) -> bool) -> Vec<BrokenEdge> {
        let candidates: Vec<Vec<u32>> =
            self.entries.iter().map(|entry| self.candidates(entry, is_wanted)).collect();
        let typical = self.typical_delays(&candidates);
        let mut possible = Vec::new();
        for (left, (entry, exits)) in self.entries.iter().zip(&candidates).enumerate() {
            let mut own: Vec<Candidate> = exits
                .iter()
                .map(|right| {
                    let exit = &self.exits[*right as usize];
                    let cost = self.cost(typical.get(&self.edge_of(exit, entry)), exit, entry);
                    Candidate { left: left as u32, right: *right, cost }
                })
                .collect();
            own.sort_by(|one, other| one.cost.total_cmp(&other.cost).then(one.right.cmp(&other.right)));
            own.truncate(CANDIDATES);
            possible.extend(own);
        }
        let assigned = assign(&possible, self.entries.len());
        let alone: BTreeSet<u32> = assigned.iter().map(|(_, exit)| *exit).collect();
        let doubled = self.doubled(&alone);
        let mut pairs: BTreeMap<EdgeKey, Vec<Pair>> = BTreeMap::new();
        for (entry_number, exit_number) in assigned {
            let (entry, exit) = (self.entries[entry_number as usize], self.exits[exit_number as usize]);
            let (exit_site, entry_site) = self.edge_of(&exit, &entry);
            pairs.entry((exit_site, entry_site, entry.has_parent())).or_default().push(Pair {
                exit,
                entry,
                candidates: self.distinct_calls(&candidates[entry_number as usize]),
                has_message_id: self.have_message_id(&exit, &entry),
                is_doubled: doubled.contains(&exit_number),
            });
        }
        let mut chances = self.chances(&pairs);
        let sides = self.sides();
        let edges = pairs.into_iter().map(|(edge, pairs)| BrokenEdge {
            exit: edge.0,
            entry: edge.1,
            is_restarted: edge.2,
            is_complete: sides.are_complete(edge, pairs.len()),
            is_rewritten: self.paths == Paths::Rewritten,
            protocol: self.names.boundaries[pairs[0].entry.boundary as usize].protocol,
            chance: chances.remove(&edge).unwrap_or(Chance {
                entries: 0,
                paired: 0,
                expected: 1.0,
                is_close: false,
                ln_p: 0.0,
            }),
            pairs,
        });
        edges.collect()
    }

    /// How many entries and exits there are at each site.
    fn sides(&self) -> Sides {
        let mut sides = Sides::default();
        for entry in self.entries {
            let key = (self.names.site_of(entry.operation), entry.has_parent());
            *sides.entries.entry(key).or_default() += 1;
        }
        for exit in self.exits {
            *sides.exits.entry(self.names.site_of(exit.operation)).or_default() += 1;
        }
        sides
    }

    fn have_message_id(&self, exit: &UnjoinedSpan, entry: &UnjoinedSpan) -> bool {
        let protocol = self.names.boundaries[entry.boundary as usize].protocol;
        protocol == Protocol::Messaging && entry.identity != 0 && entry.identity == exit.identity
    }

    /// Sibling client spans of one call, of which one has no entry although the other has.
    fn doubled(&self, paired: &BTreeSet<u32>) -> BTreeSet<u32> {
        const SAME_TIME_NS: i64 = 1_000_000;
        let client = |number: &u32| {
            let exit = &self.exits[*number as usize];
            self.names.operation(exit.operation).kind == SpanKind::Client && exit.parent_id.is_some()
        };
        let call = |number: u32| {
            let exit = &self.exits[number as usize];
            (exit.trace_id, exit.parent_id, exit.operation, exit.boundary, exit.identity, exit.start_ns)
        };
        let mut clients: Vec<u32> = (0..self.exits.len() as u32).filter(client).collect();
        clients.sort_unstable_by_key(|number| call(*number));
        let mut doubled = BTreeSet::new();
        for two in clients.windows(2) {
            let (one, other) = (call(two[0]), call(two[1]));
            let is_one_call = (one.0, one.1, one.2, one.3, one.4)
                == (other.0, other.1, other.2, other.3, other.4)
                && other.5 - one.5 <= SAME_TIME_NS;
            if is_one_call && paired.contains(&two[0]) != paired.contains(&two[1]) {
                doubled.extend(two);
            }
        }
        doubled
    }

    /// Sibling exits count as one: whichever it was, the request is the same.
    fn distinct_calls(&self, candidates: &[u32]) -> u32 {
        let calls: BTreeSet<_> = candidates
            .iter()
            .map(|exit| {
                let exit = &self.exits[*exit as usize];
                (exit.trace_id, exit.parent_id.unwrap_or(exit.span_id))
            })
            .collect();
        calls.len() as u32
    }

    /// Typical delays by edge: those of its joined hops, else those of the entries that only one call
    /// comes into question for.
    fn typical_delays(&self, candidates: &[Vec<u32>]) -> BTreeMap<(SiteId, SiteId), Typical> {
        let mut unique = DelaysByEdge::new();
        for (entry, exits) in self.entries.iter().zip(candidates) {
            let Some(exit) = exits.first().filter(|_| self.distinct_calls(exits) == 1) else { continue };
            let exit = &self.exits[*exit as usize];
            let (delay, rest) = self.delay(exit, entry);
            unique.entry(self.edge_of(exit, entry)).or_default().push((delay, (rest >= 0).then_some(rest)));
        }
        let learned = unique.into_iter().map(|(edge, unique)| {
            let joined = self.delays.get(&edge).filter(|joined| joined.len() >= DELAYS_NEEDED);
            (edge, Typical::of(joined.unwrap_or(&unique)))
        });
        let mut typical: BTreeMap<_, _> = learned.collect();
        for (edge, joined) in &self.delays {
            typical.entry(*edge).or_insert_with(|| Typical::of(joined));
        }
        typical
    }

    /// How long after the exit the entry starts, and how long before it the entry ends, ns.
    fn delay(&self, exit: &UnjoinedSpan, entry: &UnjoinedSpan) -> (i64, i64) {
        let offset = self.offset_ns(exit, entry);
        (entry.start_ns - offset - exit.start_ns, exit.end_ns - (entry.end_ns - offset))
    }

    /// How unlikely it is that the exit is the entry's: the logarithm of how far the delays are from
    /// the typical ones, in their spread. It grows so slowly that one odd pair in a conflict does
    /// not drive all others apart.
    fn cost(&self, typical: Option<&Typical>, exit: &UnjoinedSpan, entry: &UnjoinedSpan) -> f64 {
        let typical = typical.copied().unwrap_or_default();
        let (delay, rest) = self.delay(exit, entry);
        let start = typical.start.distance(delay);
        let is_message = self.names.operation(exit.operation).kind == SpanKind::Producer;
        if is_message { start } else { start + typical.end.distance(rest) }
    }

    /// Two measures of each edge, of which the one counts that chance explains less: entries that lie in a
    /// call, and entries that fill one as closely as most pairs do. Under load the second tells more.
    fn chances(&self, pairs: &BTreeMap<EdgeKey, Vec<Pair>>) -> BTreeMap<EdgeKey, Chance> {
        let moves = pairs.iter().map(|(edge, pairs)| (*edge, (self.typical_opening(pairs), self.fit(pairs))));
        let moves: BTreeMap<EdgeKey, (i64, Fit)> = moves.collect();
        let mut counts: BTreeMap<EdgeKey, Met> = BTreeMap::new();
        for entry in self.entries {
            let entry_site = self.names.site_of(entry.operation);
            for call in self.calls_of_entry(entry) {
                if matches!(call, Call::Exact(Protocol::Messaging, ..)) {
                    continue;
                }
                let Some(sites) = self.calls.get(&call) else { continue };
                for (exit_site, exits) in sites {
                    let edge = (*exit_site, entry_site, entry.has_parent());
                    let Some((step, fit)) = moves.get(&edge) else { continue };
                    let count = counts.entry(edge).or_default();
                    count.entries += 1;
                    for times in MOVES {
                        self.meet(&call, exits, entry, step.saturating_mul(times), *fit, count);
                    }
                }
            }
        }
        let chances = counts.into_iter().map(|(edge, met)| {
            let (_, fit) = moves[&edge];
            let pairs = || pairs[&edge].iter().filter(|pair| !pair.has_message_id);
            let close = pairs().filter(|pair| fit.has(self.delay(&pair.exit, &pair.entry), 0)).count() as u64;
            let inside = chance(met.entries, pairs().count() as u64, met.inside);
            let close = Chance { is_close: true, ..chance_in(met.entries, close, met.close, met.near) };
            (edge, if fit.is_call && close.ln_p < inside.ln_p { close } else { inside })
        });
        chances.collect()
    }

    /// Counts what the entry meets when it is moved.
    fn meet(
        &self,
        call: &Call<'m>,
        exits: &Exits,
        entry: &UnjoinedSpan,
        moved_ns: i64,
        fit: Fit,
        count: &mut Met,
    ) {
        let mut open = self.open_exits(call, exits, entry, moved_ns).peekable();
        count.inside += u64::from(open.peek().is_some());
        // Beyond the ends of the data it would meet nothing whatever the reason.
        let start_of = |exit: Option<&u32>| exit.map(|exit| self.exits[*exit as usize].start_ns);
        let (first, last) = (start_of(exits.spans.first()), start_of(exits.spans.last()));
        let last = last.map(|last| last.saturating_add(exits.longest_ns));
        let at = Some(entry.start_ns + moved_ns);
        if first <= at && at <= last {
            count.near += 1;
            let is_close = |exit: u32| fit.has(self.delay(&self.exits[exit as usize], entry), moved_ns);
            count.close += u64::from(open.any(is_close));
        }
    }

    /// How closely most of these entries fill their calls.
    fn fit(&self, pairs: &[Pair]) -> Fit {
        let delays = || pairs.iter().map(|pair| self.delay(&pair.exit, &pair.entry));
        let twice = |mut delays: Vec<i64>| 2 * median(&mut delays).max(TOLERANCE_NS);
        Fit {
            start_ns: twice(delays().map(|(start, _)| start.abs()).collect()),
            rest_ns: twice(delays().map(|(_, rest)| rest.abs()).collect()),
            is_call: pairs.iter().all(|pair| {
                self.names.boundaries[pair.entry.boundary as usize].protocol != Protocol::Messaging
            }),
        }
    }

    /// The median of how long the exits of these pairs are open, ns.
    fn typical_opening(&self, pairs: &[Pair]) -> i64 {
        let opening = |pair: &Pair| {
            let calls = self.calls_of_entry(&pair.entry);
            let wait = calls.iter().find_map(|call| self.waits.get(call)).copied();
            wait.unwrap_or_else(|| pair.exit.duration_ns())
        };
        median(&mut pairs.iter().map(opening).collect::<Vec<_>>()).max(TOLERANCE_NS)
    }
}

/// Unjoined spans by site.
#[derive(Debug, Default)]
struct Sides {
    entries: BTreeMap<(SiteId, bool), usize>,
    exits: BTreeMap<SiteId, usize>,
}

impl Sides {
    /// Whether so many pairs leave hardly anything over: wrong pairs and single requests of others are
    /// exceptions.
    fn are_complete(&self, (exit, entry, is_restarted): EdgeKey, pairs: usize) -> bool {
        let entries = self.entries.get(&(entry, is_restarted)).copied().unwrap_or_default();
        let exits = self.exits.get(&exit).copied().unwrap_or_default();
        pairs as f64 >= (1.0 - EXCEPTIONS) * entries.max(exits) as f64
    }
}

/// Twice the typical time between the starts, and between the ends, of a call and its entry, ns.
#[derive(Clone, Copy, Debug)]
struct Fit {
    start_ns: i64,
    rest_ns: i64,
    /// Somebody waits for the end.
    is_call: bool,
}

impl Fit {
    /// Whether an entry with these delays is as close when it is moved by so much.
    const fn has(self, (start, rest): (i64, i64), moved_ns: i64) -> bool {
        (start + moved_ns).abs() <= self.start_ns && (rest - moved_ns).abs() <= self.rest_ns
    }
}

/// What moved entries meet.
#[derive(Clone, Copy, Debug, Default)]
struct Met {
    entries: u64,
    /// Of all moves, those into an open exit.
    inside: u64,
    /// Moves that stay among the exits.
    near: u64,
    /// Of these, those into an exit that fits closely.
    close: u64,
}

/// How far entries are moved to see what chance gives, in typical openings: far enough to leave their
/// own exit, near enough that the load is the same.
pub(crate) const MOVES: [i64; 4] = [-4, -2, 2, 4];

/// `paired` of the entries were met; moved by each of [`MOVES`], `met` in all.
pub(crate) fn chance(entries: u64, paired: u64, met: u64) -> Chance {
    chance_in(entries, paired, met, entries * MOVES.len() as u64)
}

/// The chance of so many pairs when `met` of so many trials found one.
pub(super) fn chance_in(entries: u64, paired: u64, met: u64, trials: u64) -> Chance {
    // Laplace's rule of succession: what was never met could still have been.
    let expected = (met + 1) as f64 / (trials + 2) as f64;
    let ln_p = ln_at_least(paired.min(entries), entries, expected);
    Chance { entries, paired, expected, is_close: false, ln_p }
}

/// Delays of the hops of an edge, from start to start and from end to end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Typical {
    start: Centre,
    end: Centre,
}

/// Median of a delay and its median distance from that, ns.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Centre {
    median: i64,
    spread: i64,
}

impl Typical {
    pub(super) fn of(delays: &[(i64, Option<i64>)]) -> Self {
        Self {
            start: Centre::of(delays.iter().map(|(delay, _)| *delay).collect()),
            end: Centre::of(delays.iter().filter_map(|(_, rest)| *rest).collect()),
        }
    }

    /// How far both delays are from the typical ones, in their spread, as logarithms.
    pub(super) fn cost(&self, start: i64, end: i64) -> f64 {
        self.start.distance(start) + self.end.distance(end)
    }
}

impl Centre {
    pub(crate) fn of(mut values: Vec<i64>) -> Self {
        let middle = median(&mut values);
        for value in &mut values {
            *value = (*value - middle).abs();
        }
        Self { median: middle, spread: median(&mut values) }
    }

    /// Where so many of the values lie closest together: the true ones, among as many false ones that lie
    /// anywhere.
    pub(crate) fn of_densest(mut values: Vec<i64>, many: usize) -> Self {
        values.sort_unstable();
        let windows = values.windows(many.clamp(1, values.len().max(1)));
        let densest = windows.min_by_key(|window| window[window.len() - 1] - window[0]);
        densest.map(|window| Self::of(window.to_vec())).unwrap_or_default()
    }

    /// The logarithm of a distance in spreads; a spread is at least what instrumentation is off.
    pub(crate) fn distance(self, value: i64) -> f64 {
        let spread = self.spread.max(TOLERANCE_NS) as f64;
        ((value - self.median).unsigned_abs() as f64 / spread).ln_1p()
    }
}

pub(crate) fn median(values: &mut [i64]) -> i64 {
    if values.is_empty() {
        return 0;
    }
    let middle = values.len() / 2;
    *values.select_nth_unstable(middle).1
}

/// JS SDKs start spans on whole ms, and cut off what is behind.
pub(super) const fn step_ns(time_ns: i64) -> i64 {
    const MS: i64 = 1_000_000;
    if time_ns % MS == 0 { MS } else { 0 }
}

/// Which segments are parameters, by HTTP method and number of segments, in the routes of entries
/// whose exact path is not known.
type RouteShapes<'n> = BTreeMap<(&'n str, usize), BTreeSet<u64>>;

fn route_shapes<'n>(names: &'n Names, entries: &[UnjoinedSpan]) -> RouteShapes<'n> {
    let without_path = entries.iter().filter(|entry| entry.identity == 0).map(|entry| entry.boundary);
    let routes: BTreeSet<u32> = without_path.collect();
    let mut shapes = RouteShapes::new();
    for boundary in routes.into_iter().map(|number| &names.boundaries[number as usize]) {
        if boundary.protocol != Protocol::Http {
            continue;
        }
        let segments = boundary.segments();
        let shapes = shapes.entry((&boundary.method, segments.len())).or_default();
        shapes.insert(shape(&segments));
        if shapes.len() > ROUTE_SHAPES {
            shapes.pop_last();
        }
    }
    shapes
}

/// A bit for each of the first 64 segments that is a parameter.
fn shape(segments: &[&str]) -> u64 {
    let parameters = segments.iter().zip(0..64).filter(|(segment, _)| **segment == ANY_SEGMENT);
    parameters.fold(0, |bits, (_, at)| bits | 1 << at)
}

/// Whether a span does not say which call it is about.
fn is_unknown(boundary: &Boundary<'_>, span: &UnjoinedSpan) -> bool {
    let says_nothing = boundary.target.is_empty();
    match boundary.protocol {
        Protocol::Http => says_nothing && span.identity == 0,
        Protocol::Rpc => says_nothing && boundary.method.is_empty(),
        Protocol::Messaging => says_nothing,
    }
}

fn calls_of_exit<'n>(names: &'n Names, exit: &UnjoinedSpan, shapes: &RouteShapes<'n>) -> Vec<Call<'n>> {
    let boundary = &names.boundaries[exit.boundary as usize];
    if is_unknown(boundary, exit) {
        return Vec::new();
    }
    match boundary.protocol {
        Protocol::Http => {
            let segments = boundary.segments();
            let shapes = shapes.get(&(&*boundary.method, segments.len())).into_iter().flatten();
            let routes: BTreeSet<Vec<&str>> = shapes.map(|shape| with_shape(&segments, *shape)).collect();
            let routes = routes.into_iter().map(|route| Call::Route(&boundary.method, route));
            let exact = Call::Exact(Protocol::Http, &boundary.method, exit.identity);
            routes.chain((exit.identity != 0).then_some(exact)).collect()
        }
        Protocol::Rpc => vec![Call::Procedure(&boundary.target, &boundary.method)],
        Protocol::Messaging if exit.identity == 0 => {
            vec![Call::Anonymous(&boundary.target), Call::Destination(&boundary.target)]
        }
        Protocol::Messaging => vec![
            Call::Exact(Protocol::Messaging, &boundary.target, exit.identity),
            Call::Destination(&boundary.target),
        ],
    }
}

/// Segments of a path of which the ends are looked at.
const SEGMENTS_OF_A_PATH: usize = 16;

/// Method and segments of an HTTP boundary whose path is known.
fn http_path<'n>(names: &'n Names, span: &UnjoinedSpan) -> Option<(&'n str, Vec<&'n str>)> {
    let boundary = &names.boundaries[span.boundary as usize];
    let is_http = boundary.protocol == Protocol::Http && !boundary.target.is_empty();
    let segments = boundary.segments();
    (is_http && segments.len() <= SEGMENTS_OF_A_PATH).then_some((&*boundary.method, segments))
}

/// The ends of a path that say something: not parameters alone. The whole path is none.
fn ends<'n>(segments: &[&'n str]) -> impl Iterator<Item = Vec<&'n str>> {
    let ends = (1..segments.len()).map(|start| segments[start..].to_vec());
    ends.filter(|end| is_telling(end)).collect::<Vec<_>>().into_iter()
}

fn is_telling(segments: &[&str]) -> bool {
    segments.iter().any(|segment| !segment.is_empty() && *segment != ANY_SEGMENT)
}

fn rewritten_calls_of_exit<'n>(names: &'n Names, exit: &UnjoinedSpan) -> Vec<Call<'n>> {
    let Some((method, segments)) = http_path(names, exit) else { return Vec::new() };
    let taken = ends(&segments).map(|end| Call::PrefixTaken(method, end));
    let whole = is_telling(&segments).then(|| Call::PrefixAdded(method, segments.clone()));
    taken.chain(whole).collect()
}

fn rewritten_calls_of_entry<'n>(names: &'n Names, entry: &UnjoinedSpan) -> Vec<Call<'n>> {
    let Some((method, segments)) = http_path(names, entry) else { return Vec::new() };
    let added = ends(&segments).map(|end| Call::PrefixAdded(method, end));
    let whole = is_telling(&segments).then(|| Call::PrefixTaken(method, segments.clone()));
    added.chain(whole).collect()
}

fn with_shape<'n>(segments: &[&'n str], shape: u64) -> Vec<&'n str> {
    let is_parameter = |at: usize| at < 64 && shape & 1 << at != 0;
    let segments = segments.iter().enumerate();
    segments.map(|(at, segment)| if is_parameter(at) { ANY_SEGMENT } else { segment }).collect()
}

fn calls_of_entry<'n>(names: &'n Names, entry: &UnjoinedSpan) -> Vec<Call<'n>> {
    let boundary = &names.boundaries[entry.boundary as usize];
    if is_unknown(boundary, entry) {
        return Vec::new();
    }
    match boundary.protocol {
        Protocol::Http if entry.identity != 0 => {
            vec![Call::Exact(Protocol::Http, &boundary.method, entry.identity)]
        }
        Protocol::Http => vec![Call::Route(&boundary.method, boundary.segments())],
        Protocol::Rpc => vec![Call::Procedure(&boundary.target, &boundary.method)],
        Protocol::Messaging if entry.identity == 0 => vec![Call::Destination(&boundary.target)],
        Protocol::Messaging => vec![
            Call::Exact(Protocol::Messaging, &boundary.target, entry.identity),
            Call::Anonymous(&boundary.target),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_pairs_prove_nothing_and_five_of_five_do() {
        assert!(chance(4, 4, 0).ln_p > LN_IMPROBABLE);
        assert!(chance(5, 5, 0).ln_p < LN_IMPROBABLE);
        // As many are met by chance.
        assert!(chance(200, 90, 360).ln_p > LN_IMPROBABLE);
        assert!(chance(200, 200, 360).ln_p < LN_IMPROBABLE);
        assert!(chance(0, 0, 0).ln_p > LN_IMPROBABLE);
    }

    #[test]
    fn a_route_takes_what_its_parameters_allow() {
        let path = ["users", "alice", "orders", ANY_SEGMENT];
        assert_eq!(with_shape(&path, 0b0010), ["users", ANY_SEGMENT, "orders", ANY_SEGMENT]);
        assert_eq!(shape(&["users", ANY_SEGMENT, "orders", ANY_SEGMENT]), 0b1010);
    }
}
