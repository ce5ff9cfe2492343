//! One trace for `show`: its tree, and at each span what is known about it.

use std::collections::BTreeMap;

use crate::analysis::Analysis;
use crate::compose::exemplar_span;
use crate::finding::{label, side};
use crate::formats::whole::WholeSpan;
use crate::graph::{Node, SpanGraph};
use crate::model::{SpanId, StatusCode, TraceId};
use crate::report::ExemplarSpan;
use crate::store::Store;
use crate::trace::{FlatPass, Parent, Scope, TraceView};

/// Ids that are named when an id is not found or not unique.
const IDS_NAMED: usize = 5;

/// What `show` found.
#[derive(Clone, Debug)]
pub enum ShowOutcome {
    /// The trace.
    Found(Box<ShownTrace>),
    /// Several traces match; some of their ids.
    Ambiguous(Vec<String>),
    /// None matches; the nearest ids.
    Unknown(Vec<String>),
}

/// One trace, whole.
#[derive(Clone, Debug, Default)]
pub struct ShownTrace {
    /// Trace id.
    pub trace_id: String,
    /// Its spans in tree order, missing parents among them.
    pub spans: Vec<ExemplarSpan>,
    /// What is known about a span: its place in the list, and one line.
    pub notes: Vec<(usize, String)>,
    /// Attributes of each span as `key = value`, in the order of the list; empty where not read.
    pub attributes: Vec<Vec<String>>,
}

/// Whether an id begins with these lower-case hex digits, or has them as its low 64 bits.
pub(crate) fn matches(prefix: &str, id: TraceId) -> bool {
    let text = id.to_string();
    text.starts_with(prefix)
        || (prefix.len() == 16 && text.ends_with(prefix))
        || text.trim_start_matches('0') == prefix
}

/// The one trace that matches; otherwise what to tell.
pub(crate) fn find(prefix: &str, store: &Store) -> Result<TraceId, ShowOutcome> {
    let mut found: Vec<TraceId> = store.trace_ids().filter(|id| matches(prefix, *id)).collect();
    found.sort_unstable();
    match found.as_slice() {
        [only] => Ok(*only),
        [] => Err(ShowOutcome::Unknown(nearest(prefix, store))),
        [first, ..] if first.to_string() == prefix => Ok(*first),
        several => Err(ShowOutcome::Ambiguous(texts(several))),
    }
}

fn texts(ids: &[TraceId]) -> Vec<String> {
    ids.iter().take(IDS_NAMED).map(ToString::to_string).collect()
}

/// The ids that share the longest beginning with what was asked for.
fn nearest(prefix: &str, store: &Store) -> Vec<String> {
    let shared = |id: &TraceId| {
        let text = id.to_string();
        text.bytes().zip(prefix.bytes()).take_while(|(one, other)| one == other).count()
    };
    let mut ids: Vec<(usize, TraceId)> = store.trace_ids().map(|id| (shared(&id), id)).collect();
    ids.sort_unstable_by_key(|(shared, id)| (std::cmp::Reverse(*shared), *id));
    texts(&ids.into_iter().map(|(_, id)| id).collect::<Vec<_>>())
}

/// Draws up a trace.
pub(crate) fn show(
    trace_id: TraceId,
    analysis: &Analysis,
    whole: &BTreeMap<(TraceId, SpanId), WholeSpan>,
) -> ShowOutcome {
    let Some((partition, records)) = analysis.store.trace(trace_id) else {
        return ShowOutcome::Unknown(Vec::new());
    };
    let mut pass = FlatPass::default();
    let everything = Scope::default();
    let Some(trace) = pass.run(&analysis.store.names, partition, records, &everything) else {
        return ShowOutcome::Unknown(Vec::new());
    };
    let findings = findings_by_span(&trace, analysis);
    let graph = SpanGraph::new(&trace);
    let mut shown = ShownTrace { trace_id: trace_id.to_string(), ..ShownTrace::default() };
    for (node, _) in graph.in_tree_order() {
        let place = shown.spans.len();
        match graph.node(node) {
            Node::Missing(span_id) => {
                shown.spans.push(exemplar_span(&trace, Node::Missing(span_id), false));
                shown.attributes.push(Vec::new());
                shown.notes.extend(about_missing(&trace, analysis, span_id).map(|note| (place, note)));
            }
            Node::Span(index) => {
                let id = trace.spans[index as usize].span_id();
                let about = findings.get(&id).map(Vec::as_slice).unwrap_or_default();
                shown.spans.push(exemplar_span(&trace, Node::Span(index), !about.is_empty()));
                shown.notes.extend(about.iter().map(|note| (place, note.clone())));
                let whole = whole.get(&(trace_id, id));
                shown.notes.extend(whole.and_then(error_message).map(|note| (place, note)));
                shown.attributes.push(whole.map(attribute_lines).unwrap_or_default());
            }
        }
    }
    ShowOutcome::Found(Box::new(shown))
}

/// Findings at the spans they concern, one line each.
fn findings_by_span(trace: &TraceView<'_>, analysis: &Analysis) -> BTreeMap<SpanId, Vec<String>> {
    let mut by_span: BTreeMap<SpanId, Vec<String>> = BTreeMap::new();
    for finding in &analysis.findings {
        for span in finding.occurrences.iter().filter(|span| span.trace_id == trace.trace_id) {
            let note = format!("{}: {}", finding.rule.name, finding.title);
            by_span.entry(span.span_id).or_default().push(note);
        }
    }
    by_span
}

/// What the other traces and the children tell about a span that is not there.
fn about_missing(trace: &TraceView<'_>, analysis: &Analysis, span_id: SpanId) -> Option<String> {
    let children = trace.nodes().filter(|(index, span)| {
        trace.parents[*index] == Parent::Missing && span.parent_id() == Some(span_id)
    });
    let children: Vec<_> = children.map(|(_, span)| span).collect();
    let start = children.iter().map(|span| span.start_ns()).min()?;
    let end = children.iter().map(|span| span.end_ns()).max()?;
    let usual = children.iter().find_map(|span| {
        let (parent, _) = analysis.corpus.usual_parent(trace.names.site_of(span.operation))?;
        Some(label(&side(trace.names, parent)))
    });
    let process = match children.iter().find_map(|span| span.parent_is_remote()) {
        Some(true) => "in another process",
        Some(false) => "in the same process as its children",
        None => "in a process that the data does not name",
    };
    let who = usual.map_or_else(
        || format!("not in the data: a span {process}"),
        |usual| format!("not in the data: going by other traces {usual}, {process}"),
    );
    let cover = crate::model::time::human_duration(end.saturating_sub(start));
    Some(format!("{who}; its children cover {cover} (inferred)"))
}

fn error_message(whole: &WholeSpan) -> Option<String> {
    let message = &whole.span.status_message;
    (whole.span.status == StatusCode::Error && !message.is_empty()).then(|| format!("error: {message}"))
}

fn attribute_lines(whole: &WholeSpan) -> Vec<String> {
    let lines = whole.span.attributes.iter().filter_map(|attribute| {
        let value = attribute.value.to_text()?;
        Some(format!("{} = {value}", attribute.key))
    });
    lines.collect()
}
