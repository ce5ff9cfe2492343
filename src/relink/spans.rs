//! Spans as they stand in exemplars and in `show`, and what is inferred about those that are not there.

use std::collections::BTreeMap;

use crate::corpus::Corpus;
use crate::finding::side;
use crate::graph::Node;
use crate::model::time::{human_duration, rfc3339};
use crate::model::{SpanId, SpanKind, TraceId};
use crate::report::{self, ExemplarSpan, InferredTimes};
use crate::store::partition::index_of_span;
use crate::store::{Names, SiteId, SpanRecord, Store};
use crate::trace::{Parent, TraceView};

/// A record as it stands in the report.
pub(crate) fn span(names: &Names, record: &SpanRecord, affected: bool) -> ExemplarSpan {
    let service = &names.resource_of(record.operation).service;
    let kind = names.operation(record.operation).kind;
    ExemplarSpan {
        trace_id: Some(record.trace_id().to_string()),
        span_id: record.span_id().to_string(),
        parent_id: record.parent_id().map(|parent| parent.to_string()),
        service: (!service.is_empty()).then(|| service.to_string()),
        operation: Some(names.name_of(record.operation).to_owned()),
        kind: (kind != SpanKind::Unspecified).then(|| kind.as_str().to_owned()),
        start: (record.start_ns() != 0).then(|| rfc3339(record.start_ns())),
        duration_ns: record.is_timed().then(|| record.duration_ns()),
        status: Some(record.status().as_str().to_owned()),
        missing: false,
        proposed: false,
        proposed_parent: None,
        inferred: None,
        affected,
    }
}

/// A node of a trace as it stands in the report.
pub(crate) fn node(
    trace: &TraceView<'_>,
    missing: &MissingSpans,
    node: Node,
    affected: bool,
) -> ExemplarSpan {
    match node {
        Node::Span(index) => span(trace.names, &trace.spans[index as usize], affected),
        Node::Missing(span_id) => missing.placeholder(trace, span_id),
    }
}

/// Writes the proposed parent to a span. What is known of the time of a missing span is more then: it lies
/// within its parent's.
pub(crate) fn propose(span: &mut ExemplarSpan, parent: report::ProposedParent, record: Option<&SpanRecord>) {
    span.proposed = true;
    span.proposed_parent = Some(parent);
    if let (Some(inferred), Some(record)) = (&mut span.inferred, record.filter(|record| record.is_timed())) {
        inferred.enclosing_start = Some(rfc3339(record.start_ns()));
        inferred.enclosing_end = Some(rfc3339(record.end_ns()));
    }
}

/// The record of a span, if it was read.
pub(crate) fn record(store: &Store, trace_id: TraceId, span_id: SpanId) -> Option<&SpanRecord> {
    let (_, records) = store.trace(trace_id)?;
    Some(&records[index_of_span(records, span_id)?])
}

/// What the children and the other traces tell about the spans that a trace lacks.
#[derive(Default)]
pub(crate) struct MissingSpans {
    by_id: BTreeMap<SpanId, MissingSpan>,
}

#[derive(Clone, Copy, Default)]
struct MissingSpan {
    /// Earliest start and latest end of its children, ns.
    times: Option<(i64, i64)>,
    /// Whether it ran in another process than its children.
    is_remote: Option<bool>,
    usual: Usual,
}

/// The parent that spans like the children have in other traces.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Usual {
    #[default]
    Unknown,
    Known(SiteId),
    /// The children tell different things.
    Disputed,
}

impl Usual {
    fn and(self, other: Option<SiteId>) -> Self {
        match (self, other) {
            (known, None) => known,
            (Self::Unknown, Some(site)) => Self::Known(site),
            (Self::Known(site), Some(other)) if site == other => self,
            (Self::Known(_) | Self::Disputed, Some(_)) => Self::Disputed,
        }
    }
}

impl MissingSpans {
    /// Looks at all orphan spans of a trace.
    pub(crate) fn of(trace: &TraceView<'_>, corpus: &Corpus) -> Self {
        let mut by_id: BTreeMap<SpanId, MissingSpan> = BTreeMap::new();
        for (index, child) in trace.spans.iter().enumerate() {
            let (Parent::Missing, Some(parent_id)) = (trace.parents[index], child.parent_id()) else {
                continue;
            };
            if !trace.is_node(index) {
                continue;
            }
            let missing = by_id.entry(parent_id).or_default();
            if child.is_timed() {
                let (start, end) = missing.times.unwrap_or((i64::MAX, i64::MIN));
                missing.times = Some((start.min(child.start_ns()), end.max(child.end_ns())));
            }
            missing.is_remote = missing.is_remote.or(child.parent_is_remote());
            let usual = corpus.usual_parent(trace.names.site_of(child.operation));
            missing.usual = missing.usual.and(usual.map(|(site, _)| site));
        }
        Self { by_id }
    }

    fn placeholder(&self, trace: &TraceView<'_>, span_id: SpanId) -> ExemplarSpan {
        let missing = self.by_id.get(&span_id).copied().unwrap_or_default();
        let usual = match missing.usual {
            Usual::Known(site) => Some(side(trace.names, site)),
            Usual::Unknown | Usual::Disputed => None,
        };
        let (service, operation, kind) =
            usual.map_or((None, None, None), |side| (side.service, side.operation, side.kind));
        ExemplarSpan {
            trace_id: Some(trace.trace_id.to_string()),
            span_id: span_id.to_string(),
            parent_id: None,
            service,
            operation,
            kind,
            start: None,
            duration_ns: None,
            status: None,
            missing: true,
            proposed: false,
            proposed_parent: None,
            inferred: Some(InferredTimes {
                first_child_start: missing.times.map(|(start, _)| rfc3339(start)),
                last_child_end: missing.times.map(|(_, end)| rfc3339(end)),
                enclosing_start: None,
                enclosing_end: None,
            }),
            affected: false,
        }
    }

    /// One line about a span that is not there.
    pub(crate) fn note(&self, span_id: SpanId, is_made_up: bool) -> Option<String> {
        let missing = self.by_id.get(&span_id)?;
        let process = match missing.is_remote {
            Some(true) => "in another process",
            Some(false) => "in the same process as its children",
            None => "in a process that the data does not name",
        };
        let named = match missing.usual {
            Usual::Known(_) => "named after other traces, ",
            Usual::Disputed => "its children have different parents in other traces, ",
            Usual::Unknown => "",
        };
        let cover = missing.times.map_or_else(String::new, |(start, end)| {
            format!("; its children cover {}", human_duration(end.saturating_sub(start)))
        });
        let made_up = if is_made_up { "; the backend made a row up in its place" } else { "" };
        Some(format!("not in the data: {named}{process}{cover} (inferred){made_up}"))
    }
}
