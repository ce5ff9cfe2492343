//! Traces in which a break can be seen, cut around it.

use std::collections::{BTreeMap, BTreeSet};

use crate::analysis::Analysis;
use crate::corpus::sample::Sampled;
use crate::finding::{Finding, ProposedParent};
use crate::graph::{Node, NodeIndex, SpanGraph};
use crate::model::{SpanId, TraceId};
use crate::relink;
use crate::relink::spans::{self, MissingSpans};
use crate::report::{Exemplar, ExemplarSpan};
use crate::store::Store;
use crate::store::partition::index_of_span;
use crate::trace::{FlatPass, Parent, Scope, TraceView};

/// How many traces are shown with a finding, by its place in the report: with many findings, those
/// at the end have one trace or none, or the exemplars would be larger than all other memory.
const EXEMPLARS: [(std::ops::Range<usize>, usize); 2] = [(0..50, 3), (50..500, 1)];
/// A trace up to this size is shown whole; a larger one is cut around the break to this size.
const EXEMPLAR_SPANS: usize = 40;
/// Of the trace of a proposed parent, the parent and this many spans above it are shown: the way the request
/// came.
const SPANS_ABOVE: usize = 10;

fn most_exemplars(place: usize) -> usize {
    EXEMPLARS.iter().find(|(places, _)| places.contains(&place)).map_or(0, |(_, most)| *most)
}

/// The affected spans that lead the exemplars of the finding at this place in the report, one a trace.
pub(crate) fn leading_spans(place: usize, finding: &Finding) -> Vec<Sampled> {
    let mut traces = BTreeSet::new();
    let leading = finding.occurrences.iter().filter(|span| traces.insert(span.trace_id));
    leading.take(most_exemplars(place)).copied().collect()
}

/// The spans that should be read whole for the report: those at which findings can be seen.
pub(crate) fn wanted_whole(analysis: &Analysis) -> BTreeSet<(TraceId, SpanId)> {
    let findings = analysis.findings.iter().enumerate();
    let shown = findings.flat_map(|(place, finding)| leading_spans(place, finding));
    shown.map(|span| (span.trace_id, span.span_id)).collect()
}

/// The exemplars of each finding. Every trace is looked at once, however many findings it shows.
pub(crate) fn exemplars(analysis: &Analysis, trace_url: Option<&str>) -> Vec<Vec<Exemplar>> {
    let mut by_trace: BTreeMap<TraceId, Vec<(usize, Sampled)>> = BTreeMap::new();
    for (number, finding) in analysis.findings.iter().enumerate() {
        for span in leading_spans(number, finding) {
            by_trace.entry(span.trace_id).or_default().push((number, span));
        }
    }
    let mut found: Vec<Vec<(u64, Exemplar)>> = analysis.findings.iter().map(|_| Vec::new()).collect();
    let everything = Scope::default();
    for (trace_id, leading) in by_trace {
        let Some((partition, records)) = analysis.store.trace(trace_id) else { continue };
        let mut pass = FlatPass::default();
        let Some(trace) = pass.run(&analysis.store.names, partition, records, &everything) else { continue };
        let shown = ShownTrace {
            graph: SpanGraph::new(&trace),
            missing: MissingSpans::of(&trace, &analysis.corpus),
            trace: &trace,
            store: &analysis.store,
        };
        for (number, leading) in leading {
            let exemplar =
                shown.exemplar(&Break::new(&trace, &analysis.findings[number], &leading), trace_url);
            found[number].push((leading.hash, exemplar));
        }
    }
    let in_order = found.into_iter().map(|mut exemplars| {
        exemplars.sort_by_key(|(hash, _)| *hash);
        exemplars.into_iter().map(|(_, exemplar)| exemplar).collect()
    });
    in_order.collect()
}

/// The page of a trace in the user's backend.
fn page(template: Option<&str>, trace_id: TraceId) -> Option<String> {
    template.map(|template| template.replace("{trace_id}", &trace_id.to_string()))
}

/// The spans of one trace that a finding is about.
struct Break<'f> {
    finding: &'f Finding,
    /// Record that leads.
    leading: Option<usize>,
    affected: BTreeSet<SpanId>,
    /// The parent that the leading span lost; its siblings that lost it too are part of the break.
    lost_parent: Option<SpanId>,
    /// Where the leading span belongs.
    proposed: Option<ProposedParent>,
}

impl<'f> Break<'f> {
    fn new(trace: &TraceView<'_>, finding: &'f Finding, leading: &Sampled) -> Self {
        let index = index_of_span(trace.spans, leading.span_id);
        let lost_parent = index
            .filter(|index| trace.parents[*index] == Parent::Missing)
            .and_then(|index| trace.spans[index].parent_id());
        let of_trace = finding.occurrences.iter().filter(|span| span.trace_id == trace.trace_id);
        let proposed = finding.proposed_parents.get(&(leading.trace_id, leading.span_id)).copied();
        let affected = of_trace.map(|span| span.span_id).collect();
        Self { finding, leading: index, affected, lost_parent, proposed }
    }

    fn affects(&self, trace: &TraceView<'_>, node: Node) -> bool {
        let Node::Span(index) = node else { return false };
        let span = &trace.spans[index as usize];
        self.affected.contains(&span.span_id())
            || (self.lost_parent.is_some() && span.parent_id() == self.lost_parent)
    }

    /// The proposed parent of a node. A missing parent that is not the proposed one stays between the two.
    fn proposal(&self, trace: &TraceView<'_>, node: Node) -> Option<ProposedParent> {
        let keeps_missing = self.proposed.is_some_and(|parent| Some(parent.span_id) != self.lost_parent);
        match node {
            Node::Missing(span_id) => {
                self.proposed.filter(|_| keeps_missing && Some(span_id) == self.lost_parent)
            }
            Node::Span(index) => {
                let span = &trace.spans[index as usize];
                let is_below_missing = self.lost_parent.is_some() && span.parent_id() == self.lost_parent;
                let own = self.finding.proposed_parents.get(&(trace.trace_id, span.span_id())).copied();
                own.filter(|_| !(is_below_missing && keeps_missing))
            }
        }
    }
}

/// A trace from which exemplars are cut.
struct ShownTrace<'t> {
    graph: SpanGraph,
    missing: MissingSpans,
    trace: &'t TraceView<'t>,
    store: &'t Store,
}

impl ShownTrace<'_> {
    fn exemplar(&self, break_in_trace: &Break<'_>, trace_url: Option<&str>) -> Exemplar {
        let trace = self.trace;
        let leading = break_in_trace.leading.and_then(|index| self.graph.node_of(index));
        let parent = break_in_trace.proposed.filter(|parent| parent.trace_id == trace.trace_id);
        let parent = parent
            .and_then(|parent| index_of_span(trace.spans, parent.span_id))
            .and_then(|index| self.graph.node_of(index));
        let kept = around(&self.graph, leading, parent);
        let (mut spans, is_cut_above) = self.above(break_in_trace);
        for node in self.graph.in_tree_order_of(&kept) {
            let node = self.graph.node(node);
            let mut span = spans::node(trace, &self.missing, node, break_in_trace.affects(trace, node));
            if let Some(parent) = break_in_trace.proposal(trace, node) {
                let record = spans::record(self.store, parent.trace_id, parent.span_id);
                spans::propose(&mut span, relink::in_report(&parent), record);
            }
            spans.push(span);
        }
        Exemplar {
            trace_id: trace.trace_id.to_string(),
            url: page(trace_url, trace.trace_id),
            cut: is_cut_above || kept.len() < self.graph.len(),
            spans,
        }
    }

    /// The proposed parent in another trace and what is above it, the highest first, and whether that trace
    /// has more.
    fn above(&self, break_in_trace: &Break<'_>) -> (Vec<ExemplarSpan>, bool) {
        let parent = break_in_trace.proposed.filter(|parent| parent.trace_id != self.trace.trace_id);
        let Some((_, records)) = parent.and_then(|parent| self.store.trace(parent.trace_id)) else {
            return (Vec::new(), false);
        };
        let mut next = parent.map(|parent| parent.span_id);
        let mut seen = BTreeSet::new();
        let mut spans = Vec::new();
        while let Some(span_id) = next.filter(|span_id| spans.len() <= SPANS_ABOVE && seen.insert(*span_id)) {
            let Some(index) = index_of_span(records, span_id) else { break };
            spans.push(spans::span(&self.store.names, &records[index], false));
            next = records[index].parent_id();
        }
        spans.reverse();
        let is_cut = spans.len() < records.len();
        (spans, is_cut)
    }
}

/// The nodes nearest to a span: the way up first, because it leads to the break, then that from its proposed
/// parent, then rings of children.
fn around(graph: &SpanGraph, start: Option<NodeIndex>, parent: Option<NodeIndex>) -> BTreeSet<NodeIndex> {
    if graph.len() <= EXEMPLAR_SPANS {
        return graph.nodes().collect();
    }
    let mut kept = BTreeSet::new();
    for (start, most) in [(start, EXEMPLAR_SPANS / 2), (parent, EXEMPLAR_SPANS * 3 / 4)] {
        let mut above = start;
        while let Some(node) = above.filter(|_| kept.len() < most) {
            kept.insert(node);
            above = graph.parent(node);
        }
    }
    let mut ring: Vec<NodeIndex> = start.into_iter().chain(kept.iter().copied()).collect();
    while !ring.is_empty() && kept.len() < EXEMPLAR_SPANS {
        let mut next = Vec::new();
        for node in ring {
            for child in graph.some_children(node, EXEMPLAR_SPANS) {
                if kept.len() < EXEMPLAR_SPANS && kept.insert(child) {
                    next.push(child);
                }
            }
        }
        ring = next;
    }
    kept
}
