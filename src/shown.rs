//! One trace for `show`: its tree, with what the diagnosis would attach to it, and at each span what is known
//! about it.

use std::collections::{BTreeMap, BTreeSet};

use crate::analysis::Analysis;
use crate::finding::{Finding, label, side};
use crate::formats::whole::WholeSpan;
use crate::model::{SpanId, StatusCode, TraceId};
use crate::relink::joined::{self, Connected, Joined};
use crate::relink::{Proposals, spans};
use crate::report::ExemplarSpan;
use crate::store::Store;

/// Ids that are named when an id is not found or not unique.
const IDS_NAMED: usize = 5;

/// How a trace is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drawn {
    /// As it would be with the proposed parents.
    Relinked,
    /// As it is in the data.
    AsExported,
}

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
    /// Other traces of which spans are among these, because a parent is proposed.
    pub attached: Vec<String>,
    /// Traces that belong to it as well and are too many.
    pub traces_left_out: usize,
    /// Its spans in tree order with the proposed parents, missing parents among them.
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

/// Draws up a trace with those that are connected with it.
pub(crate) fn show(
    connected: &Connected,
    proposals: &Proposals<'_>,
    findings: &[Finding],
    analysis: &Analysis,
    whole: &BTreeMap<(TraceId, SpanId), WholeSpan>,
) -> ShowOutcome {
    let joined = joined::join(&connected.traces, proposals, analysis);
    let findings = findings_by_span(&connected.traces, findings);
    let trace_id = connected.traces.first().map(ToString::to_string).unwrap_or_default();
    let mut shown = ShownTrace { trace_id, traces_left_out: connected.left_out, ..ShownTrace::default() };
    for (place, Joined { mut span, key, note, proposed }) in joined.into_iter().enumerate() {
        let about = key.and_then(|key| findings.get(&key)).map(Vec::as_slice).unwrap_or_default();
        span.affected = !about.is_empty();
        let whole = key.and_then(|key| whole.get(&key));
        let warnings = whole.map(|whole| whole.span.warnings.as_slice()).unwrap_or_default();
        let notes = note
            .into_iter()
            .chain(about.iter().cloned())
            .chain(proposed.and_then(|parent| proposal_note(&span, parent, analysis)));
        let notes = notes.chain(whole.and_then(error_message));
        let notes = notes.chain(warnings.iter().map(|text| format!("the backend: {text}")));
        shown.notes.extend(notes.map(|note| (place, note)));
        shown.attributes.push(whole.map(attribute_lines).unwrap_or_default());
        shown.spans.push(span);
    }
    let others = shown.spans.iter().filter_map(|span| span.trace_id.as_ref());
    let others: BTreeSet<&String> = others.filter(|other| **other != shown.trace_id).collect();
    shown.attached = others.into_iter().cloned().collect();
    ShowOutcome::Found(Box::new(shown))
}

/// Findings at the spans they concern, one line each.
fn findings_by_span(traces: &[TraceId], findings: &[Finding]) -> BTreeMap<(TraceId, SpanId), Vec<String>> {
    let traces: BTreeSet<&TraceId> = traces.iter().collect();
    let mut by_span: BTreeMap<(TraceId, SpanId), Vec<String>> = BTreeMap::new();
    for finding in findings {
        let cause = finding.cause.as_ref().map_or_else(String::new, |opinion| {
            format!(" {} ({}): {}", opinion.cause.id, opinion.confidence.as_str(), opinion.cause.summary)
        });
        for span in finding.occurrences.iter().filter(|span| traces.contains(&span.trace_id)) {
            let note = format!("{}: {}{cause}", finding.rule.name, finding.rule.summary);
            by_span.entry((span.trace_id, span.span_id)).or_default().push(note);
        }
    }
    by_span
}

/// Which parent is proposed, in words.
fn proposal_note(span: &ExemplarSpan, parent: (TraceId, SpanId), analysis: &Analysis) -> Option<String> {
    let proposed = span.proposed_parent.as_ref()?;
    let names = &analysis.store.names;
    let record = spans::record(&analysis.store, parent.0, parent.1)?;
    let name = label(&side(names, names.site_of(record.operation)));
    let is_elsewhere = span.trace_id.as_ref() != Some(&proposed.trace_id);
    let of_trace =
        if is_elsewhere { format!(", span of trace {}", proposed.trace_id) } else { String::new() };
    Some(format!("belongs under {name}{of_trace} (proposed, {})", proposed.confidence.as_str()))
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
