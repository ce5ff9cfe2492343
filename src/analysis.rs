//! From records to findings: the flat pass over every trace on all cores, then one merge, then the
//! judgement. What threads collect merges commutatively, so that scheduling leaves no trace.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::analyzers::observations::Observations;
use crate::analyzers::{self, Case, InputAbility};
use crate::causes;
use crate::corpus::clocks::OffsetInterval;
use crate::corpus::deviations::Deviations;
use crate::corpus::foreign_parents::{self, ForeignParents};
use crate::corpus::losses::Losses;
use crate::corpus::{Corpus, Edge};
use crate::diagnosis::{Diagnosis, Facts};
use crate::finding::{Finding, blame};
use crate::model::{Resource, Span, TraceId};
use crate::report::CheckNotPossible;
use crate::store::ingest::Added;
#[cfg(test)]
use crate::store::ingest::WorkerStore;
use crate::store::{Partition, SpanRecord, Store};
use crate::trace::{FlatPass, Scope, TraceCounts, TraceView};

/// What the analysis of a store gave.
pub struct Analysis {
    /// Records and names.
    pub store: Store,
    /// Facts across traces.
    pub corpus: Corpus,
    /// Counts over all judged traces.
    pub counts: TraceCounts,
    /// Pairs of traces of which one id is the other's low 64 bits.
    pub truncated_trace_pairs: u64,
    /// Traces with a span in each input.
    pub traces_by_input: Vec<u64>,
    /// Distinct traces that a finding is about, at least.
    pub traces_affected: u64,
    /// Records that are not judged because of the filter.
    pub outside_filter: u64,
    /// Traces that are not judged because spans before the window may be missing.
    pub window_edge_traces: u64,
    /// Traces that are not judged because they may still grow.
    pub settle_traces: u64,
    /// Findings in report order.
    pub findings: Vec<Finding>,
    /// All edges, each with the offset of its clocks where that is known.
    pub edges: Vec<(Edge, Option<OffsetInterval>)>,
    /// Checks that could not be made.
    pub not_possible: Vec<CheckNotPossible>,
}

/// Shows a span that was taken in to the analyzers that look at spans.
pub fn observe_span(span: &Span<'_>, resource: &Resource<'_>, added: Added, seen: &mut Observations) {
    for analyzer in analyzers::ALL {
        analyzer.observe_span(span, added.operation, seen);
        if added.is_sensitive {
            analyzer.observe_sensitive_span(span, resource, added.operation, seen);
        }
    }
}

/// What one thread collects from its partitions.
struct Collected {
    seen: Observations,
    corpus: Corpus,
    counts: TraceCounts,
    truncated_trace_pairs: u64,
    traces_by_input: Vec<u64>,
    judged: u64,
    window_edge_traces: u64,
    settle_traces: u64,
}

impl Collected {
    fn new(capacity: usize, inputs: usize) -> Self {
        Self {
            seen: Observations::new(capacity),
            corpus: Corpus::default(),
            counts: TraceCounts::default(),
            truncated_trace_pairs: 0,
            traces_by_input: vec![0; inputs],
            judged: 0,
            window_edge_traces: 0,
            settle_traces: 0,
        }
    }

    fn merge(mut self, other: Self) -> Self {
        self.seen.merge(other.seen);
        self.corpus.merge(other.corpus);
        self.counts += other.counts;
        self.truncated_trace_pairs += other.truncated_trace_pairs;
        self.judged += other.judged;
        self.window_edge_traces += other.window_edge_traces;
        self.settle_traces += other.settle_traces;
        for (own, count) in self.traces_by_input.iter_mut().zip(other.traces_by_input) {
            *own += count;
        }
        self
    }

    fn partition(&mut self, store: &Store, partition: &Partition, scope: &Scope, abilities: &[InputAbility]) {
        let mut pass = FlatPass::default();
        let mut inputs: Vec<usize> = Vec::new();
        let (mut low64, mut short, mut long) = (None, 0_u64, 0_u64);
        for records in partition.traces() {
            let Some(trace) = pass.run(&store.names, partition, records, scope) else { continue };
            self.counts += trace.counts;
            self.judged += records.len() as u64 - trace.counts.outside_filter;
            inputs_of(records, &mut inputs);
            for input in &inputs {
                self.traces_by_input[*input] += 1;
            }
            if low64 != Some(trace.trace_id.low64()) {
                self.truncated_trace_pairs += short * long;
                (low64, short, long) = (Some(trace.trace_id.low64()), 0, 0);
            }
            if trace.trace_id.high64() == 0 {
                short += 1;
            } else {
                long += 1;
            }
            match doubt(store, &trace, &inputs, abilities) {
                None => {}
                Some(Doubt::Truncated) => continue,
                Some(Doubt::WindowEdge) => {
                    self.window_edge_traces += 1;
                    continue;
                }
                Some(Doubt::Settling) => {
                    self.settle_traces += 1;
                    continue;
                }
            }
            self.corpus.observe(&trace);
            for analyzer in analyzers::ALL {
                analyzer.observe_trace(&trace, &mut self.seen);
            }
            self.seen.end_trace(trace.trace_id);
        }
        self.truncated_trace_pairs += short * long;
    }
}

fn inputs_of(records: &[SpanRecord], inputs: &mut Vec<usize>) {
    inputs.clear();
    inputs.extend(records.iter().map(SpanRecord::input));
    inputs.sort_unstable();
    inputs.dedup();
}

/// Shows every partition to what each core makes for itself, and returns what they hold then.
fn on_all_cores<T: Send>(
    store: &Store,
    new: impl Fn() -> T + Sync,
    look: impl Fn(&mut T, &Partition) + Sync,
) -> Vec<T> {
    let next = AtomicUsize::new(0);
    rayon::broadcast(|_| {
        let mut own = new();
        while let Some(partition) = store.partitions.get(next.fetch_add(1, Ordering::Relaxed)) {
            look(&mut own, partition);
        }
        own
    })
}

/// The second look at every judged trace, once it is known what is usual.
fn deviations(store: &Store, scope: &Scope, abilities: &[InputAbility], corpus: &Corpus) -> Deviations {
    let samples = Mutex::new(Deviations::default());
    let new = || Deviations::new(corpus, &store.names);
    let collected = on_all_cores(store, new, |own, partition| {
        let (mut pass, mut inputs) = (FlatPass::default(), Vec::new());
        for records in partition.traces() {
            if !own.wants(records) {
                continue;
            }
            let Some(trace) = pass.run(&store.names, partition, records, scope) else { continue };
            inputs_of(records, &mut inputs);
            if doubt(store, &trace, &inputs, abilities).is_none() {
                own.observe(&trace, corpus);
            }
        }
        samples.lock().unwrap_or_else(PoisonError::into_inner).drain_samples(own);
    });
    let mut deviations = samples.into_inner().unwrap_or_else(PoisonError::into_inner);
    for own in &collected {
        deviations.merge(own);
    }
    deviations.finish();
    deviations
}

/// The third look, at spans which orphans of other traces name as parent.
fn foreign_parents(store: &Store, scope: &Scope, losses: &Losses) -> ForeignParents {
    let wanted = foreign_parents::wanted(losses);
    if wanted.is_empty() {
        return ForeignParents::default();
    }
    let collected = on_all_cores(store, ForeignParents::default, |own, partition| {
        let mut pass = FlatPass::default();
        for records in partition.traces() {
            if !records.iter().any(|record| wanted.contains(&record.span_id())) {
                continue;
            }
            let Some(trace) = pass.run(&store.names, partition, records, scope) else { continue };
            own.observe(&trace, &wanted);
        }
    });
    let mut found = ForeignParents::default();
    for own in collected {
        found.merge(own);
    }
    found
}

/// Analyses a store. `span_level` is what the analyzers saw while decoding, by final site.
pub fn analyse(store: Store, scope: &Scope, span_level: Observations, inputs: &[InputAbility]) -> Analysis {
    let capacity = span_level.capacity();
    let input_count = store.accounting.inputs.len();
    let samples = Mutex::new(Corpus::default());
    let new = || Collected::new(capacity, input_count);
    let collected = on_all_cores(&store, new, |collected, partition| {
        collected.partition(&store, partition, scope, inputs);
        samples.lock().unwrap_or_else(PoisonError::into_inner).drain_samples(&mut collected.corpus);
    });
    let collected = collected.into_iter().reduce(Collected::merge);
    let Collected {
        mut seen,
        corpus: without_samples,
        counts,
        truncated_trace_pairs,
        traces_by_input,
        judged,
        window_edge_traces,
        settle_traces,
    } = collected.unwrap_or_else(|| Collected::new(capacity, input_count));
    let outside_filter = store.len() as u64 - judged;
    seen.merge(span_level);
    seen.finish();
    let mut corpus = samples.into_inner().unwrap_or_else(PoisonError::into_inner);
    corpus.merge(without_samples);
    corpus.finish(&store.names);
    let mut deviations = deviations(&store, scope, inputs, &corpus);
    deviations.id_joins =
        foreign_parents(&store, scope, &deviations.losses).joins(&deviations.losses, corpus.has_random_ids());
    corpus.pair_hops(&store.names, &deviations);
    let diagnosis =
        Diagnosis::of(&Facts { corpus: &corpus, deviations: &deviations, names: &store.names, inputs });
    let case = Case { seen: &seen, corpus: &corpus, diagnosis: &diagnosis, names: &store.names, inputs };
    let mut findings: Vec<Finding> =
        analyzers::ALL.iter().flat_map(|analyzer| analyzer.judge(&case)).collect();
    causes::explain(&case, &mut findings);
    blame::assign(&case, &mut findings);
    sort_findings(&mut findings);
    let edges = edges(&case);
    let mut not_possible: Vec<_> =
        analyzers::ALL.iter().flat_map(|analyzer| analyzer.not_possible(&case)).collect();
    not_possible.sort_unstable();
    corpus.forget_samples();
    let of_corpus = findings.iter().flat_map(|finding| &finding.corpus_traces);
    let mut affected: Vec<TraceId> = seen.traces().iter().chain(of_corpus).copied().collect();
    affected.sort_unstable();
    affected.dedup();
    // The traces of candidates are counted by place and not kept, so that this is a lower bound.
    let of_candidates = findings.iter().map(|finding| finding.traces).max().unwrap_or_default();
    let traces_affected = of_candidates.max(affected.len() as u64);
    Analysis {
        store,
        corpus,
        counts,
        truncated_trace_pairs,
        traces_by_input,
        traces_affected,
        outside_filter,
        window_edge_traces,
        settle_traces,
        findings,
        edges,
        not_possible,
    }
}

fn edges(case: &Case<'_>) -> Vec<(Edge, Option<OffsetInterval>)> {
    let offsets = case.corpus.clocks.by_sites(case.names);
    let mut edges = case.corpus.edges(case.names);
    add_broken_hops(case, &mut edges);
    edges.into_iter().map(|edge| (edge, offsets.get(&(edge.exit, edge.entry)).copied())).collect()
}

/// Hops within one trace, or joined by ids, that the diagnosis found broken. Those that times pair are
/// known to the corpus.
fn add_broken_hops(case: &Case<'_>, edges: &mut Vec<Edge>) {
    for (exit, entry, spans) in case.diagnosis.broken_hops(case.names) {
        let restarted = case.corpus.restarted_edges().iter();
        let paired: usize = restarted
            .filter(|edge| (edge.exit, edge.entry) == (exit, entry))
            .map(|edge| edge.pairs.len())
            .sum();
        let broken = spans.saturating_sub(paired as u64);
        match edges.binary_search_by_key(&(exit, entry), |edge| (edge.exit, edge.entry)) {
            Ok(known) => edges[known].broken += broken,
            Err(place) => {
                let protocol = case.corpus.hops.protocol(entry);
                edges.insert(place, Edge { exit, entry, protocol, joined: 0, broken });
            }
        }
    }
}

/// Why a trace is not judged although it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doubt {
    /// A source cut it: it is full of gaps that are nobody's fault.
    Truncated,
    /// What it lacks may lie before the window.
    WindowEdge,
    /// What it lacks may still come.
    Settling,
}

/// A parent that starts so long before its orphan, in ns, may lie outside a window that the orphan
/// is inside of: most requests are over within a minute, which is also what clients and servers
/// wait for by default.
const NEAR_THE_EDGE: i64 = 60_000_000_000;

fn doubt(
    store: &Store,
    trace: &TraceView<'_>,
    inputs: &[usize],
    abilities: &[InputAbility],
) -> Option<Doubt> {
    if store.accounting.truncated.contains(&trace.trace_id) {
        return Some(Doubt::Truncated);
    }
    let horizons = inputs.iter().filter_map(|input| abilities.get(*input)).map(|ability| ability.horizon);
    let (mut whole_from_ns, mut settled_ns) = (None, None);
    for horizon in horizons {
        whole_from_ns = whole_from_ns.max(horizon.whole_from_ns);
        settled_ns = settled_ns.or(horizon.settled_ns).min(horizon.settled_ns.or(settled_ns));
    }
    let end = || trace.spans.iter().map(SpanRecord::end_ns).max();
    if settled_ns.is_some_and(|settled_ns| end() > Some(settled_ns)) {
        return Some(Doubt::Settling);
    }
    let is_complete = trace.counts.orphan_spans == 0 && trace.counts.traces_without_root == 0;
    let start = || trace.spans.iter().map(SpanRecord::start_ns).min();
    let edge_ns = whole_from_ns?.saturating_add(NEAR_THE_EDGE);
    (!is_complete && start() < Some(edge_ns)).then_some(Doubt::WindowEdge)
}

/// The order of every report: severity, confidence, traces, lower bound of the rate, rule, fingerprint.
fn sort_findings(findings: &mut [Finding]) {
    let low = |finding: &Finding| finding.rate.as_ref().map_or(0.0, |rate| rate.low);
    findings.sort_by(|one, other| {
        (other.severity, other.confidence, other.traces)
            .cmp(&(one.severity, one.confidence, one.traces))
            .then_with(|| low(other).total_cmp(&low(one)))
            .then_with(|| one.rule.name.cmp(other.rule.name))
            .then_with(|| one.fingerprint().cmp(&other.fingerprint()))
            .then_with(|| one.edge_fingerprint().cmp(&other.edge_fingerprint()))
    });
}

/// Analyses what a single worker has decoded.
#[cfg(test)]
pub(crate) fn analyse_spans(worker: WorkerStore, mut seen: Observations) -> Analysis {
    let (store, translations) = Store::merge(vec![worker], 1, &[]);
    seen.translate(&translations[0].operations, &store.names);
    analyse(store, &Scope::default(), seen, &[])
}
