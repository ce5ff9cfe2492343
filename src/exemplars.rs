//! Traces in which a break can be seen, cut around it.

use std::collections::{BTreeMap, BTreeSet};

use crate::analysis::Analysis;
use crate::corpus::sample::Sampled;
use crate::finding::Finding;
use crate::graph::{Node, NodeIndex, SpanGraph};
use crate::model::time::rfc3339;
use crate::model::{SpanId, SpanKind, TraceId};
use crate::report::{Exemplar, ExemplarSpan};
use crate::store::partition::index_of_span;
use crate::trace::{FlatPass, Parent, Scope, TraceView};

/// How many traces are shown with a finding, by its place in the report: with many findings, those
/// at the end have one trace or none, or the exemplars would be larger than all other memory.
const EXEMPLARS: [(std::ops::Range<usize>, usize); 2] = [(0..50, 3), (50..500, 1)];
/// A trace up to this size is shown whole; a larger one is cut around the break to this size.
const EXEMPLAR_SPANS: usize = 40;
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
        let graph = SpanGraph::new(&trace);
        for (number, leading) in leading {
            let finding = &analysis.findings[number];
            let break_in_trace = Break::new(&trace, finding, &leading);
            let exemplar = exemplar(&trace, &graph, finding, &break_in_trace, trace_url);
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
struct Break {
    /// Record that leads.
    leading: Option<usize>,
    affected: BTreeSet<SpanId>,
    /// The parent that the leading span lost; its siblings that lost it too are part of the break.
    lost_parent: Option<SpanId>,
}

impl Break {
    fn new(trace: &TraceView<'_>, finding: &Finding, leading: &Sampled) -> Self {
        let index = index_of_span(trace.spans, leading.span_id);
        let lost_parent = index
            .filter(|index| trace.parents[*index] == Parent::Missing)
            .and_then(|index| trace.spans[index].parent_id());
        let of_trace = finding.occurrences.iter().filter(|span| span.trace_id == trace.trace_id);
        Self { leading: index, affected: of_trace.map(|span| span.span_id).collect(), lost_parent }
    }

    fn affects(&self, trace: &TraceView<'_>, node: Node) -> bool {
        let Node::Span(index) = node else { return false };
        let span = &trace.spans[index as usize];
        self.affected.contains(&span.span_id())
            || (self.lost_parent.is_some() && span.parent_id() == self.lost_parent)
    }
}

fn exemplar(
    trace: &TraceView<'_>,
    graph: &SpanGraph,
    finding: &Finding,
    break_in_trace: &Break,
    trace_url: Option<&str>,
) -> Exemplar {
    let start = break_in_trace.leading.and_then(|index| graph.node_of(index));
    let kept = around(graph, start);
    let spans = graph.in_tree_order_of(&kept).into_iter().map(|node| {
        let node = graph.node(node);
        let mut span = exemplar_span(trace, node, break_in_trace.affects(trace, node));
        if matches!(node, Node::Missing(id) if Some(id) == break_in_trace.lost_parent) {
            fill_missing(&mut span, finding);
        }
        span
    });
    Exemplar {
        trace_id: trace.trace_id.to_string(),
        url: page(trace_url, trace.trace_id),
        cut: kept.len() < graph.len(),
        spans: spans.collect(),
    }
}

/// Gives a placeholder what the finding concludes about the missing span.
fn fill_missing(span: &mut ExemplarSpan, finding: &Finding) {
    let Some(from) = finding.from.as_ref().filter(|from| from.inferred) else { return };
    span.service.clone_from(&from.service);
    span.operation.clone_from(&from.operation);
    span.kind.clone_from(&from.kind);
}

/// The nodes nearest to a span: the way up first, because it leads to the break, then rings of
/// children.
fn around(graph: &SpanGraph, start: Option<NodeIndex>) -> BTreeSet<NodeIndex> {
    if graph.len() <= EXEMPLAR_SPANS {
        return graph.nodes().collect();
    }
    let mut kept = BTreeSet::new();
    let mut above = start;
    while let Some(node) = above.filter(|_| kept.len() < EXEMPLAR_SPANS / 2) {
        kept.insert(node);
        above = graph.parent(node);
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

/// A node of a trace as it stands in the report.
pub(crate) fn exemplar_span(trace: &TraceView<'_>, node: Node, affected: bool) -> ExemplarSpan {
    let index = match node {
        Node::Span(index) => index as usize,
        Node::Missing(span_id) => return placeholder(span_id),
    };
    let span = &trace.spans[index];
    let service = &trace.names.resource_of(span.operation).service;
    let kind = trace.kind(index);
    ExemplarSpan {
        span_id: span.span_id().to_string(),
        parent_id: span.parent_id().map(|parent| parent.to_string()),
        service: (!service.is_empty()).then(|| service.to_string()),
        operation: Some(trace.names.name_of(span.operation).to_owned()),
        kind: (kind != SpanKind::Unspecified).then(|| kind.as_str().to_owned()),
        start: (span.start_ns() != 0).then(|| rfc3339(span.start_ns())),
        duration_ns: span.is_timed().then(|| span.duration_ns()),
        status: Some(span.status().as_str().to_owned()),
        missing: false,
        proposed: false,
        affected,
    }
}

fn placeholder(span_id: SpanId) -> ExemplarSpan {
    ExemplarSpan {
        span_id: span_id.to_string(),
        parent_id: None,
        service: None,
        operation: None,
        kind: None,
        start: None,
        duration_ns: None,
        status: None,
        missing: true,
        proposed: false,
        affected: false,
    }
}
