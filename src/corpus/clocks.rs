//! How the clocks of two processes stand to each other, from call-like hops within traces.
//!
//! For a client span [c1, c4] on clock A and its server span [s2, s3] on clock B, with θ = B − A and
//! non-negative delays: s3 − c4 ≤ θ ≤ s2 − c1 (A. Duda et al., "Estimating global time in
//! distributed systems", ICDCS 1987). The start side is solid; the end side is not, because servers
//! often end their span when the response is closed, after the client is done. Therefore the
//! *level* interval is used: every θ that at least 75 % of the pairs allow.

mod course;
mod network;

use std::collections::{BTreeMap, BTreeSet};

pub use course::{Course, Measured, ns_per_second};
pub use network::{Agreeing, Clock, ClockNetwork, Standing};

use rustc_hash::FxHashMap;

use super::sample::{BottomK, Hashed, hash_span};
use crate::model::{SpanId, SpanKind, StatusCode, TraceId};
use crate::store::intern::ResourceInfo;
use crate::store::{Facts, Names, OperationId, SiteId, SpanRecord};
use crate::trace::{Parent, TraceView};

/// Hops kept in all, by hash. A hundred pairs of processes still have more than six hundred each,
/// which puts the standard error of a quartile below 1.8 %; memory stays bounded.
const HOPS_KEPT: usize = 1 << 16;

/// Share of pairs that may contradict the interval. With 20 % to 30 % there was no false proof in
/// simulations with up to 10 % client timeouts and 20 % late server ends, at 100 pairs and more.
pub const OUTLIERS: f64 = 0.25;

/// Hops that an offset needs: with 25 % outliers allowed, 6 of 8 have to agree.
pub const HOPS_FOR_OFFSET: usize = 8;

/// A bound that is not known.
pub const UNBOUNDED_LOW: i64 = i64::MIN / 4;
/// A bound that is not known.
pub const UNBOUNDED_HIGH: i64 = i64::MAX / 4;

/// Between which values the offset of two clocks lies, ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bounds {
    /// At least, or [`UNBOUNDED_LOW`].
    pub low_ns: i64,
    /// At most, or [`UNBOUNDED_HIGH`].
    pub high_ns: i64,
}

/// Bounds of the offset between two clocks from one hop, in ns: callee minus caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hop {
    /// Hash of the server span.
    pub hash: u64,
    /// Trace of the hop.
    pub trace_id: TraceId,
    /// The server span.
    pub span_id: SpanId,
    /// Operation of the client span.
    pub client: OperationId,
    /// Operation of the server span.
    pub server: OperationId,
    /// At least this: server end minus client end.
    pub low_ns: i64,
    /// At most this: server start minus client start.
    pub high_ns: i64,
    /// Start of the client span, ns.
    pub start_ns: i64,
}

impl Hashed for Hop {
    fn hash(&self) -> u64 {
        self.hash
    }
}

impl Hop {
    /// What the hop says of the callee's clock against the caller's.
    pub const fn bounds(&self) -> Bounds {
        Bounds { low_ns: self.low_ns, high_ns: self.high_ns }
    }

    /// Start of the server span, ns.
    pub const fn server_start_ns(&self) -> i64 {
        self.start_ns.saturating_add(self.high_ns)
    }
}

/// Who reads a clock: a process on a host. Two processes of one host share a clock in principle;
/// they are kept apart so that one process with a shifted clock does not hide among its neighbours.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClockReader {
    /// Host, possibly empty.
    pub host: Box<str>,
    /// Process, possibly empty.
    pub instance: Box<str>,
    /// Namespace of the service.
    pub namespace: Box<str>,
    /// Service.
    pub service: Box<str>,
}

impl ClockReader {
    /// Who reads the clock of this resource.
    pub fn of(resource: &ResourceInfo) -> Self {
        Self {
            host: resource.host.clone(),
            instance: resource.instance.clone(),
            namespace: resource.namespace.clone(),
            service: resource.service.clone(),
        }
    }

    /// Whether the data says on which host or in which process the clock was read.
    pub fn is_identified(&self) -> bool {
        !self.host.is_empty() || !self.instance.is_empty()
    }
}

/// Delays of hops by client and server site: from start to start, and from end to end where the
/// server ends first; ns.
pub(super) type DelaysByEdge = BTreeMap<(SiteId, SiteId), Vec<(i64, Option<i64>)>>;

/// Call-like hops between processes.
#[derive(Debug)]
pub struct ClockPairs {
    hops: BottomK<Hop>,
    /// Step of the start times of an operation in ns: 1, 1 000 or 1 000 000.
    steps: FxHashMap<OperationId, i64>,
}

impl Default for ClockPairs {
    fn default() -> Self {
        Self { hops: BottomK::new(HOPS_KEPT), steps: FxHashMap::default() }
    }
}

/// The hops between two processes, once everything is merged.
#[derive(Clone, Debug)]
pub struct PairedHops {
    /// The hops.
    pub hops: Vec<Hop>,
    /// Coarsest step of the times on either side, ns.
    pub resolution_ns: i64,
}

impl ClockPairs {
    /// Takes in the hops of one trace.
    pub fn observe(&mut self, trace: &TraceView<'_>) {
        for (index, server) in trace.nodes() {
            if trace.kind(index) != SpanKind::Server {
                continue;
            }
            let Parent::Span(parent) = trace.parents[index] else { continue };
            if is_call(trace, index, parent as usize) {
                self.add(trace.trace_id, &trace.spans[parent as usize], server);
            }
        }
    }

    fn add(&mut self, trace_id: TraceId, client: &SpanRecord, server: &SpanRecord) {
        for span in [client, server] {
            let step = step_ns(span.start_ns());
            self.steps.entry(span.operation).and_modify(|known| *known = (*known).min(step)).or_insert(step);
        }
        let high_ns = server.start_ns() - client.start_ns();
        let low_ns = server.end_ns() - client.end_ns();
        self.hops.insert(Hop {
            hash: hash_span(trace_id, server.span_id()),
            trace_id,
            span_id: server.span_id(),
            client: client.operation,
            server: server.operation,
            // A server that outlives its client ended late: its end bounds nothing.
            low_ns: if low_ns > high_ns { UNBOUNDED_LOW } else { low_ns },
            high_ns,
            start_ns: client.start_ns(),
        });
    }

    /// Joins other pairs.
    pub fn merge(&mut self, other: Self) {
        self.hops.merge(&other.hops);
        #[expect(clippy::iter_over_hash_type, reason = "the smaller step wins in any order")]
        for (operation, step) in other.steps {
            self.steps.entry(operation).and_modify(|known| *known = (*known).min(step)).or_insert(step);
        }
    }

    /// Hands the hops over.
    pub(super) fn drain_samples(&mut self, other: &mut Self) {
        self.hops.drain(&mut other.hops);
    }

    /// Gives the memory of the hops back.
    pub(super) fn forget_samples(&mut self) {
        self.hops = BottomK::new(0);
    }

    /// Once everything is merged.
    pub(super) fn finish(&mut self) {
        self.hops.finish();
    }

    /// The hops by caller and callee; those within one process are left out.
    pub fn by_readers(&self, names: &Names) -> BTreeMap<(ClockReader, ClockReader), PairedHops> {
        let readers = Readers::of(names);
        let hops = self.hops.finished();
        let mut paired: Vec<(u32, u32, u32)> = Vec::new();
        for (hop, index) in hops.iter().zip(0..) {
            let (client, server) = (readers.number(names, hop.client), readers.number(names, hop.server));
            if client != server && [client, server].iter().all(|number| readers.is_identified(*number)) {
                paired.push((client, server, index));
            }
        }
        paired.sort_unstable();
        let step = |operation| self.steps.get(&operation).copied().unwrap_or(1);
        let pairs = paired.chunk_by(|one, other| (one.0, one.1) == (other.0, other.1)).map(|pair| {
            let hops: Vec<Hop> = pair.iter().map(|(_, _, index)| hops[*index as usize]).collect();
            let steps = hops.iter().map(|hop| step(hop.client).max(step(hop.server)));
            let resolution_ns = steps.max().unwrap_or(1);
            let reader = |number: u32| readers.sorted[number as usize].clone();
            ((reader(pair[0].0), reader(pair[0].1)), PairedHops { hops, resolution_ns })
        });
        pairs.collect()
    }

    /// By client and server site, how long after its client each server span starts, and how long
    /// before it ends, ns, once the clocks are corrected; the latter is `None` for late ends.
    pub(super) fn delays(&self, names: &Names, network: &ClockNetwork) -> DelaysByEdge {
        let mut delays = DelaysByEdge::new();
        for hop in self.hops.finished() {
            let edge = (names.site_of(hop.client), names.site_of(hop.server));
            let resource = |operation| names.operation(operation).resource;
            let bounds = hop.bounds().moved(
                network.correction_ns(resource(hop.server), hop.server_start_ns())
                    - network.correction_ns(resource(hop.client), hop.start_ns),
            );
            let rest_ns = (bounds.low_ns > UNBOUNDED_LOW).then_some(-bounds.low_ns);
            delays.entry(edge).or_default().push((bounds.high_ns, rest_ns));
        }
        delays
    }

    /// The offset that the hops of an edge allow, by client and server site.
    pub fn by_sites(&self, names: &Names) -> BTreeMap<(SiteId, SiteId), OffsetInterval> {
        let mut hops: BTreeMap<_, Vec<Bounds>> = BTreeMap::new();
        for hop in self.hops.finished() {
            let edge = (names.site_of(hop.client), names.site_of(hop.server));
            hops.entry(edge).or_default().push(hop.bounds());
        }
        let intervals = hops.into_iter().filter(|(_, hops)| hops.len() >= HOPS_FOR_OFFSET);
        intervals.filter_map(|(edge, hops)| Some((edge, level_interval(&hops)?))).collect()
    }

    /// Services that make or take calls without saying on which host or in which process they run.
    pub fn unidentified_services(&self, names: &Names) -> BTreeSet<Box<str>> {
        let readers = Readers::of(names);
        let operations = self.hops.finished().iter().flat_map(|hop| [hop.client, hop.server]);
        let numbers: BTreeSet<u32> = operations.map(|operation| readers.number(names, operation)).collect();
        let unidentified = numbers.into_iter().filter(|number| !readers.is_identified(*number));
        unidentified.map(|number| readers.sorted[number as usize].service.clone()).collect()
    }
}

/// All clock readers, numbered in their order, so that hops can be told apart by numbers.
struct Readers {
    sorted: Vec<ClockReader>,
    /// By number of the resource.
    of_resource: Vec<u32>,
}

impl Readers {
    fn of(names: &Names) -> Self {
        let readers: Vec<ClockReader> = names.resources.iter().map(ClockReader::of).collect();
        let mut sorted = readers.clone();
        sorted.sort_unstable();
        sorted.dedup();
        let number = |reader| sorted.binary_search(reader).unwrap_or_default() as u32;
        let of_resource = readers.iter().map(number).collect();
        Self { sorted, of_resource }
    }

    fn number(&self, names: &Names, operation: OperationId) -> u32 {
        self.of_resource[names.operation(operation).resource as usize]
    }

    fn is_identified(&self, number: u32) -> bool {
        self.sorted[number as usize].is_identified()
    }
}

/// A client and the server span under it, both timed, the client not failed (a timeout ends it
/// before the server) and the ids not in doubt.
fn is_call(trace: &TraceView<'_>, server: usize, client: usize) -> bool {
    let is_usable = |index: usize| {
        let span = &trace.spans[index];
        span.is_timed() && !span.has(Facts::NEGATIVE) && !trace.is_ambiguous(index)
    };
    trace.kind(client) == SpanKind::Client
        && trace.spans[client].status() != StatusCode::Error
        && is_usable(client)
        && is_usable(server)
}

/// The greatest of 1 ns, 1 µs and 1 ms that divides a time: JS SDKs start spans on whole ms.
const fn step_ns(time_ns: i64) -> i64 {
    if time_ns % 1_000_000 == 0 {
        1_000_000
    } else if time_ns % 1_000 == 0 {
        1_000
    } else {
        1
    }
}

/// What pairs say about the offset of the callee's clock against the caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetInterval {
    /// What the offset may be.
    pub bounds: Bounds,
    /// Pairs looked at.
    pub pairs: usize,
    /// Most pairs that agree with one offset inside.
    pub agreeing: usize,
}

/// All offsets that at least `1 - OUTLIERS` of the pairs allow, or `None` when there is none: the
/// pairs contradict each other (drift, a step, wrong hosts, calls that return early).
pub fn level_interval(pairs: &[Bounds]) -> Option<OffsetInterval> {
    allowed_by(pairs, ((1.0 - OUTLIERS) * pairs.len() as f64).ceil() as usize)
}

/// The offsets that most pairs allow, or `None` without pairs.
fn most_allowed(pairs: &[Bounds]) -> Option<OffsetInterval> {
    let most = allowed_by(pairs, 1)?.agreeing;
    allowed_by(pairs, most)
}

/// From the least to the greatest offset that so many pairs allow.
fn allowed_by(pairs: &[Bounds], needed: usize) -> Option<OffsetInterval> {
    let mut openings: Vec<i64> = pairs.iter().map(|bounds| bounds.low_ns).collect();
    let mut closings: Vec<i64> = pairs.iter().map(|bounds| bounds.high_ns).collect();
    openings.sort_unstable();
    closings.sort_unstable();
    let mut openings = openings.into_iter().peekable();
    let (mut open, mut agreeing) = (0_usize, 0_usize);
    let (mut low, mut high) = (None, None);
    for closing in closings {
        // Openings come before closings at the same point: the intervals are closed.
        while let Some(opening) = openings.next_if(|opening| *opening <= closing) {
            open += 1;
            agreeing = agreeing.max(open);
            if open >= needed && low.is_none() {
                low = Some(opening);
            }
        }
        if open >= needed {
            high = Some(closing);
        }
        open -= 1;
    }
    let bounds = Bounds { low_ns: low?, high_ns: high? };
    Some(OffsetInterval { bounds, pairs: pairs.len(), agreeing })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(bounds: &[(i64, i64)]) -> Vec<Bounds> {
        bounds.iter().map(|(low_ns, high_ns)| Bounds { low_ns: *low_ns, high_ns: *high_ns }).collect()
    }

    #[test]
    fn the_interval_is_what_three_quarters_allow() {
        let found = level_interval(&pairs(&[(-5, 5), (-4, 6), (-3, 7), (90, 99)])).unwrap();
        assert_eq!((found.bounds, found.agreeing), (Bounds { low_ns: -3, high_ns: 5 }, 3));
    }

    #[test]
    fn contradicting_hops_give_no_number() {
        assert_eq!(level_interval(&pairs(&[(0, 1), (10, 11), (20, 21), (30, 31)])), None);
        assert_eq!(level_interval(&[]), None);
    }

    #[test]
    fn late_server_ends_bound_only_from_above() {
        let found = level_interval(&pairs(&[(UNBOUNDED_LOW, -9), (UNBOUNDED_LOW, -8), (UNBOUNDED_LOW, -7)]));
        assert_eq!(found.unwrap().bounds, Bounds { low_ns: UNBOUNDED_LOW, high_ns: -9 });
    }

    #[test]
    fn most_pairs_allow_what_lies_in_their_middle() {
        let found = most_allowed(&pairs(&[(0, 10), (5, 12), (6, 20), (30, 40)])).unwrap();
        assert_eq!((found.bounds, found.agreeing), (Bounds { low_ns: 6, high_ns: 10 }, 3));
    }
}
