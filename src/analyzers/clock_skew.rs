//! `clock-skew`: a process or host whose clock differs from the others', proven as an interval.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::unionfind::UnionFind;

use super::{Analyzer, Case, Rule};
use crate::corpus::clocks::{
    ClockReader, Hop, OffsetInterval, UNBOUNDED_HIGH, UNBOUNDED_LOW, level_interval,
};
use crate::corpus::sample::Sampled;
use crate::finding::{Evidence, Finding, rate};
use crate::model::time::human_duration;
use crate::report::{CheckNotPossible, Confidence, RateUnit, Severity, Side};

static RULE: Rule = Rule {
    name: "clock-skew",
    severity: Severity::Warning,
    summary: "The clock of a process or host differs from the others'.",
    what: "A clock offset that no network delay explains: over all calls between two processes, the times \
           of caller and callee leave an interval of possible offsets that does not contain zero. Never \
           judged from a single span: at least 8 calls, of which 75 % have to agree.",
    why: "Children seem to start before their parents, waterfalls and latencies between services are wrong, \
          and spans near the edge of a window or a retention period get lost.",
    fix: "Synchronise the clock of the named host or process.
Check the time service on the host: `chronyc tracking` or `timedatectl timesync-status`.
Virtual machines: use the hypervisor's clock source (kvm-clock, ptp) and resync after suspend.
Containers share the clock of their node; a single process that differs runs under a changed clock (libfaketime).",
    example: "
web  GET stock  client  0..30  host=a  repeat=25
  stock  GET /stock  server  1010..1020  host=b
web  GET price  client  0..30  host=a  repeat=25
  price  GET /price  server  10..20  host=c   // clock-skew: stock
",
};

/// Hops between two clocks that are needed to say anything, and to be sure of it. With 8 hops and
/// 25 % outliers allowed, 6 have to agree; at 20 the simulated rate of false proofs is below 2 %.
const HOPS_NEEDED: usize = 8;
const HOPS_FOR_HIGH: usize = 20;

/// Offsets below this are never judged: instrumentation ends and starts spans that much early or late.
const TOLERANCE_NS: i64 = 1_000_000;

/// Services named in coverage because their clocks cannot be told apart.
const SERVICES_NAMED: usize = 20;

/// The analyzer.
pub(super) struct ClockSkew;

impl Analyzer for ClockSkew {
    fn rule(&self) -> &'static Rule {
        &RULE
    }

    fn judge(&self, case: &Case<'_>) -> Vec<Finding> {
        let edges = measured_edges(case);
        let reference = largest_agreeing_group(&edges);
        // The edge with most hops speaks for a clock that is off.
        let mut shifts: BTreeMap<Clock, Edge> = BTreeMap::new();
        for edge in edges {
            let Some(shift) = edge.seen_from(&reference) else { continue };
            match shifts.get(&shift.other) {
                Some(known) if known.hops.len() >= shift.hops.len() => {}
                _ => {
                    shifts.insert(shift.other.clone(), shift);
                }
            }
        }
        shifts.values().map(|shift| finding(case, shift, reference.len())).collect()
    }

    fn not_possible(&self, case: &Case<'_>) -> Vec<CheckNotPossible> {
        let services = case.corpus.clocks.unidentified_services(case.names);
        let others = services.len().saturating_sub(SERVICES_NAMED);
        let named = services.iter().take(SERVICES_NAMED).map(ToString::to_string);
        let more = (others > 0).then(|| format!("{others} more services"));
        let services = named.chain(more).map(|service| CheckNotPossible {
            rule: RULE.name.to_owned(),
            reason: format!("{service}: neither host.* nor service.instance.id in the resource"),
        });
        let edited = case.lacking(
            RULE.name,
            |capabilities| capabilities.edited_by_source,
            "the backend may have shifted times before the export",
        );
        services.chain(edited).collect()
    }
}

/// A clock: that of one process, or that of a host when its processes have too few hops each.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Clock {
    host: Box<str>,
    /// The process, or `None` for the host as a whole.
    process: Option<ClockReader>,
}

impl Clock {
    fn of_process(reader: &ClockReader) -> Self {
        Self { host: reader.host.clone(), process: Some(reader.clone()) }
    }

    fn of_host(reader: &ClockReader) -> Self {
        Self { host: reader.host.clone(), process: None }
    }

    fn label(&self) -> String {
        match &self.process {
            Some(process) if self.host.is_empty() => process.service.to_string(),
            Some(process) => format!("{} on {}", process.service, self.host),
            None => format!("host {}", self.host),
        }
    }

    fn side(&self) -> Side {
        let process = self.process.as_ref();
        Side {
            namespace: process
                .and_then(|process| (!process.namespace.is_empty()).then(|| process.namespace.to_string())),
            service: process.map(|process| process.service.to_string()),
            operation: None,
            kind: None,
            inferred: false,
        }
    }
}

/// Two clocks and what the hops between them say about `other − one`.
#[derive(Clone, Debug)]
struct Edge {
    one: Clock,
    other: Clock,
    hops: Vec<Hop>,
    interval: OffsetInterval,
    tolerance_ns: i64,
}

impl Edge {
    /// The hops that do not allow an offset of zero.
    fn shifted(&self) -> impl Iterator<Item = &Hop> {
        self.hops.iter().filter(|hop| hop.low_ns > 0 || hop.high_ns < 0)
    }

    fn agrees(&self) -> bool {
        self.interval.low_ns <= self.tolerance_ns && self.interval.high_ns >= -self.tolerance_ns
    }

    /// This edge seen from its clock in the reference, if the other clock is off and not in it.
    fn seen_from(self, reference: &BTreeSet<Clock>) -> Option<Self> {
        if self.agrees() {
            return None;
        }
        match (reference.contains(&self.one), reference.contains(&self.other)) {
            (true, false) => Some(self),
            (false, true) => self.reversed(),
            _ => None,
        }
    }

    fn reversed(self) -> Option<Self> {
        let hops: Vec<Hop> = self.hops.iter().copied().map(Hop::reversed).collect();
        let interval = level_interval(&hops)?;
        Some(Self { one: self.other, other: self.one, hops, interval, tolerance_ns: self.tolerance_ns })
    }
}

/// Hops of both directions between two clocks, oriented from the smaller to the greater.
#[derive(Default)]
struct Bundle {
    hops: Vec<Hop>,
    resolution_ns: i64,
}

impl Bundle {
    fn add(&mut self, hops: &[Hop], is_reversed: bool, resolution_ns: i64) {
        self.hops.extend(hops.iter().map(|hop| if is_reversed { hop.reversed() } else { *hop }));
        self.resolution_ns = self.resolution_ns.max(resolution_ns);
    }

    fn into_edge(self, one: Clock, other: Clock) -> Option<Edge> {
        if self.hops.len() < HOPS_NEEDED {
            return None;
        }
        let interval = level_interval(&self.hops)?;
        // Each of start and end may be off by a step of the times on either side.
        let tolerance_ns = TOLERANCE_NS.max(3 * self.resolution_ns);
        Some(Edge { one, other, hops: self.hops, interval, tolerance_ns })
    }
}

/// Edges between processes that have enough hops, and between the hosts of those that have not.
fn measured_edges(case: &Case<'_>) -> Vec<Edge> {
    let mut processes: BTreeMap<(ClockReader, ClockReader), Bundle> = BTreeMap::new();
    for ((caller, callee), pairs) in case.corpus.clocks.by_readers(case.names) {
        let is_reversed = callee < caller;
        let readers = if is_reversed { (callee, caller) } else { (caller, callee) };
        processes.entry(readers).or_default().add(&pairs.hops, is_reversed, pairs.resolution_ns);
    }
    let mut hosts: BTreeMap<(Clock, Clock), Bundle> = BTreeMap::new();
    let mut edges = Vec::new();
    for ((one, other), bundle) in processes {
        if bundle.hops.len() >= HOPS_FOR_HIGH {
            edges.extend(bundle.into_edge(Clock::of_process(&one), Clock::of_process(&other)));
        } else if !one.host.is_empty() && !other.host.is_empty() && one.host != other.host {
            let (one, other) = (Clock::of_host(&one), Clock::of_host(&other));
            let is_reversed = other < one;
            let clocks = if is_reversed { (other, one) } else { (one, other) };
            hosts.entry(clocks).or_default().add(&bundle.hops, is_reversed, bundle.resolution_ns);
        } else {
            edges.extend(bundle.into_edge(Clock::of_process(&one), Clock::of_process(&other)));
        }
    }
    edges.extend(hosts.into_iter().filter_map(|((one, other), bundle)| bundle.into_edge(one, other)));
    edges
}

/// The clocks that agree with each other, directly or over others: the largest such group, by
/// clocks, then by hops, then by name, is taken as right.
fn largest_agreeing_group(edges: &[Edge]) -> BTreeSet<Clock> {
    let clocks: BTreeSet<&Clock> = edges.iter().flat_map(|edge| [&edge.one, &edge.other]).collect();
    let clocks: Vec<&Clock> = clocks.into_iter().collect();
    let number = |clock: &Clock| clocks.partition_point(|other| *other < clock);
    let mut union = UnionFind::new(clocks.len());
    for edge in edges.iter().filter(|edge| edge.agrees()) {
        union.union(number(&edge.one), number(&edge.other));
    }
    let mut groups: BTreeMap<usize, (BTreeSet<&Clock>, usize)> = BTreeMap::new();
    for (number, clock) in clocks.iter().enumerate() {
        groups.entry(union.find(number)).or_default().0.insert(clock);
    }
    for edge in edges {
        let ends = BTreeSet::from([union.find(number(&edge.one)), union.find(number(&edge.other))]);
        for end in ends {
            groups.entry(end).or_default().1 += edge.hops.len();
        }
    }
    let largest = groups.into_values().max_by(|one, other| {
        (one.0.len(), one.1).cmp(&(other.0.len(), other.1)).then_with(|| other.0.cmp(&one.0))
    });
    largest.map(|(group, _)| group.into_iter().cloned().collect()).unwrap_or_default()
}

fn finding(case: &Case<'_>, edge: &Edge, reference_clocks: usize) -> Finding {
    let OffsetInterval { low_ns, high_ns, pairs, agreeing, allow_zero } = edge.interval;
    let proof = Evidence::ClockOffset {
        clock: edge.other.label(),
        reference: edge.one.label(),
        low_ns: (low_ns > UNBOUNDED_LOW).then_some(low_ns),
        high_ns: (high_ns < UNBOUNDED_HIGH).then_some(high_ns),
        pairs: pairs as u64,
        agreeing: agreeing as u64,
    };
    let at_least = if high_ns < 0 { -high_ns } else { low_ns };
    let direction = if high_ns < 0 { "behind" } else { "ahead of" };
    let title = format!(
        "the clock of {} is {} or more {direction} that of {}",
        edge.other.label(),
        human_duration(at_least),
        edge.one.label(),
    );
    let affected = (pairs - allow_zero) as u64;
    let traces: BTreeSet<_> = edge.shifted().map(|hop| hop.trace_id).collect();
    let mut finding = Finding::between(
        &RULE,
        Some(edge.one.side()),
        Some(edge.other.side()),
        affected,
        traces.len() as u64,
        title,
        proof,
    );
    finding.confidence = if pairs >= HOPS_FOR_HIGH { Confidence::High } else { Confidence::Medium };
    finding.rate = Some(rate(affected, pairs as u64, RateUnit::Calls));
    finding.first_ns = edge.hops.iter().map(|hop| hop.start_ns).min();
    finding.last_ns = edge.hops.iter().map(|hop| hop.start_ns).max();
    finding.support.push(Evidence::ClocksCouldAgree { pairs: allow_zero as u64, total: pairs as u64 });
    if reference_clocks > 1 {
        finding.support.push(Evidence::AgreeingClocks { clocks: reference_clocks as u64 - 1 });
        finding.message = String::from("The other clocks agree with each other, so this one is wrong.");
    } else {
        finding.message =
            String::from("No third clock was compared, so the data cannot tell which of the two is wrong.");
        finding.decides =
            Some("The time service of both hosts: `chronyc tracking` shows its offset.".to_owned());
    }
    finding.occurrences = occurrences(case, edge);
    finding.corpus_traces = traces.into_iter().collect();
    finding
}

fn occurrences(case: &Case<'_>, edge: &Edge) -> Vec<Sampled> {
    let mut spans: Vec<Sampled> = edge
        .shifted()
        .map(|hop| Sampled {
            hash: hop.hash,
            trace_id: hop.trace_id,
            span_id: hop.span_id,
            source: 0,
            site: case.names.site_of(hop.server),
            start_ns: hop.start_ns,
        })
        .collect();
    spans.sort_unstable();
    spans.truncate(case.seen.capacity());
    spans
}

#[cfg(test)]
mod tests {
    use crate::analyzers::notation::check;

    #[test]
    fn late_server_ends_are_no_skew() {
        check(
            "
web  GET stock  client  0..30  host=a  repeat=30
  stock  GET /stock  server  5..31  host=b
",
        );
    }

    #[test]
    fn few_calls_prove_nothing() {
        check(
            "
web  GET stock  client  0..30  host=a  repeat=7
  stock  GET /stock  server  1010..1020  host=b
",
        );
    }

    #[test]
    fn a_clock_behind_is_seen_at_the_start_side() {
        check(
            "
web  GET stock  client  1000..1030  host=a  repeat=20
  stock  GET /stock  server  10..20  host=b   // clock-skew
",
        );
    }

    #[test]
    fn processes_without_host_and_instance_are_not_compared() {
        check(
            "
web  GET stock  client  0..30  repeat=30
  stock  GET /stock  server  1010..1020
",
        );
    }
}
