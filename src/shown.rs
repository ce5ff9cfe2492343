//! One trace for `show`: its tree, and at each span what is known about it.

use std::collections::BTreeMap;

use crate::analysis::Analysis;
use crate::exemplars::exemplar_span;
use crate::finding::side;
use crate::formats::whole::WholeSpan;
use crate::graph::{Node, SpanGraph};
use crate::model::time::human_duration;
use crate::model::{SpanId, StatusCode, TraceId};
use crate::report::{ExemplarSpan, Side};
use crate::store::{SpanRecord, Store};
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
                let mut placeholder = exemplar_span(&trace, Node::Missing(span_id), false);
                if let Some(usual) = usual_span(&trace, analysis, span_id) {
                    placeholder.service = usual.service;
                    placeholder.operation = usual.operation;
                    placeholder.kind = usual.kind;
                }
                shown.notes.extend(about_missing(&trace, &placeholder, span_id).map(|note| (place, note)));
                if analysis.store.accounting.invented.contains(&(trace_id, span_id)) {
                    shown.notes.push((place, "the backend made a row up in its place".to_owned()));
                }
                shown.spans.push(placeholder);
                shown.attributes.push(Vec::new());
            }
            Node::Span(index) => {
                let id = trace.spans[index as usize].span_id();
                let about = findings.get(&id).map(Vec::as_slice).unwrap_or_default();
                shown.spans.push(exemplar_span(&trace, Node::Span(index), !about.is_empty()));
                shown.notes.extend(about.iter().map(|note| (place, note.clone())));
                let whole = whole.get(&(trace_id, id));
                shown.notes.extend(whole.and_then(error_message).map(|note| (place, note)));
                let warnings = whole.map(|whole| whole.span.warnings.as_slice()).unwrap_or_default();
                shown.notes.extend(warnings.iter().map(|text| (place, format!("the backend: {text}"))));
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
            let note = format!("{}: {}", finding.rule.name, finding.rule.summary);
            by_span.entry(span.span_id).or_default().push(note);
        }
    }
    by_span
}

/// The children of a span that is not there.
fn orphans_of<'t>(trace: &'t TraceView<'_>, span_id: SpanId) -> impl Iterator<Item = &'t SpanRecord> {
    let orphans = trace.nodes().filter(move |(index, span)| {
        trace.parents[*index] == Parent::Missing && span.parent_id() == Some(span_id)
    });
    orphans.map(|(_, span)| span)
}

/// What stands in other traces where this one lacks a span.
fn usual_span(trace: &TraceView<'_>, analysis: &Analysis, span_id: SpanId) -> Option<Side> {
    orphans_of(trace, span_id).find_map(|span| {
        let (parent, _) = analysis.corpus.usual_parent(trace.names.site_of(span.operation))?;
        Some(side(trace.names, parent))
    })
}

/// What the other traces and the children tell about a span that is not there.
fn about_missing(trace: &TraceView<'_>, placeholder: &ExemplarSpan, span_id: SpanId) -> Option<String> {
    let start = orphans_of(trace, span_id).map(SpanRecord::start_ns).min()?;
    let end = orphans_of(trace, span_id).map(SpanRecord::end_ns).max()?;
    let process = match orphans_of(trace, span_id).find_map(SpanRecord::parent_is_remote) {
        Some(true) => "in another process",
        Some(false) => "in the same process as its children",
        None => "in a process that the data does not name",
    };
    let named = if placeholder.service.is_some() { "named after other traces, " } else { "" };
    let cover = human_duration(end.saturating_sub(start));
    Some(format!("not in the data: {named}{process}; its children cover {cover} (inferred)"))
}

fn error_message(whole: &WholeSpan) -> Option<String> {
    let message = &whole.span.status_message;
    (whole.span.status == StatusCode::Error && !message.is_empty()).then(|| format!("error: {message}"))
}

fn attribute_lines(whole: &WholeSpan) -> Vec<String> {
    let lines = whole.span.attributes.iter().filter_map(|attribute| {
        if is_secret(&attribute.key) {
            return Some(format!("{} = (hidden)", attribute.key));
        }
        let value = attribute.value.to_text()?;
        Some(format!("{} = {value}", attribute.key))
    });
    lines.collect()
}

/// Whether a key is one under which credentials are recorded (request headers, configuration).
fn is_secret(key: &str) -> bool {
    const MARKS: [&str; 7] = ["authorization", "cookie", "password", "secret", "token", "api_key", "api-key"];
    let key = key.to_ascii_lowercase();
    MARKS.iter().any(|mark| key.contains(mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_hidden_by_their_key() {
        for key in ["http.request.header.authorization", "http.response.header.set-cookie", "db.PASSWORD"] {
            assert!(is_secret(key), "{key}");
        }
        assert!(!is_secret("http.route"));
    }

    #[test]
    fn an_id_is_found_by_its_beginning_its_low_half_and_without_leading_zeros() {
        let id = TraceId(0x0000_00ab_0000_0000_5a4d_4df4_a65a_efaf);
        assert!(matches("000000ab", id) && matches("5a4d4df4a65aefaf", id));
        assert!(matches("ab000000005a4d4df4a65aefaf", id));
        assert!(!matches("5a4d", id));
    }
}
