//! What belongs to one request inside one process: the entry span, and what hangs below it without
//! leaving the process.

use std::cmp::Reverse;

use crate::model::SpanKind;
use crate::store::{Facts, SiteId, SpanRecord};
use crate::trace::{Parent, TraceView};

/// Kind of a request: the site of its entry span, and the number of its boundary, because many servers
/// call every span by its method alone.
pub type RequestKind = (SiteId, u32);

/// Number of the boundary of a span that has none.
pub const NO_BOUNDARY: u32 = u32::MAX;

const NOT_SEEN: u32 = u32::MAX - 1;
const OUTSIDE: u32 = u32::MAX;

/// The requests of one trace; its buffers are kept between traces.
#[derive(Debug, Default)]
pub(super) struct LocalSpans {
    /// By record: index of the entry span of its request.
    entries: Vec<u32>,
    path: Vec<u32>,
    /// Parent and child of one process, the child no entry; by parent, then start, the longest first.
    pub(super) children: Vec<(u32, u32)>,
}

impl LocalSpans {
    /// Finds the requests of a trace.
    pub(super) fn find(&mut self, trace: &TraceView<'_>) {
        self.entries.clear();
        self.entries.resize(trace.spans.len(), NOT_SEEN);
        for index in 0..trace.spans.len() {
            self.walk(trace, index);
        }
        self.children.clear();
        for (index, _) in trace.nodes() {
            if let Some(parent) = local_parent(trace, index) {
                self.children.push((parent as u32, index as u32));
            }
        }
        let start = |index: u32| trace.spans[index as usize].start_ns();
        // Of equal starts the longer span comes first: JS SDKs start spans on whole ms, and what encloses
        // another then starts with it.
        let end = |index: u32| Reverse(trace.spans[index as usize].end_ns());
        self.children.sort_unstable_by_key(|(parent, child)| (*parent, start(*child), end(*child), *child));
    }

    /// Up to the entry span, or to a span that was met before: a circle of parents ends there.
    fn walk(&mut self, trace: &TraceView<'_>, from: usize) {
        self.path.clear();
        let mut at = from;
        let entry = loop {
            if self.entries[at] != NOT_SEEN {
                break self.entries[at];
            }
            if is_entry(trace, at) {
                self.entries[at] = at as u32;
                break at as u32;
            }
            self.entries[at] = OUTSIDE;
            self.path.push(at as u32);
            let Some(parent) = local_parent(trace, at) else { break OUTSIDE };
            at = parent;
        };
        for index in self.path.drain(..) {
            self.entries[index as usize] = entry;
        }
    }

    /// Whether a record has no child in its process.
    pub(super) fn is_leaf(&self, index: usize) -> bool {
        self.children_of(index as u32).is_empty()
    }

    /// Parent and child for each child of a record in its process.
    pub(super) fn children_of(&self, index: u32) -> &[(u32, u32)] {
        let start = self.children.partition_point(|(parent, _)| *parent < index);
        let len = self.children[start..].partition_point(|(parent, _)| *parent == index);
        &self.children[start..start + len]
    }

    /// The entry span of a record's request.
    pub(super) fn entry_of(&self, index: usize) -> Option<usize> {
        let entry = self.entries[index];
        (entry != OUTSIDE).then_some(entry as usize)
    }
}

/// Whether a request begins here. A server span in a server span of the same process is a second
/// instrumentation of one request.
pub(super) fn is_entry(trace: &TraceView<'_>, index: usize) -> bool {
    match trace.kind(index) {
        SpanKind::Consumer => true,
        SpanKind::Server => same_process_parent(trace, index)
            .is_none_or(|parent| !matches!(trace.kind(parent), SpanKind::Server | SpanKind::Consumer)),
        _ => false,
    }
}

/// The parent of a span inside a request.
pub(super) fn local_parent(trace: &TraceView<'_>, index: usize) -> Option<usize> {
    if is_entry(trace, index) { None } else { same_process_parent(trace, index) }
}

/// The parent, when it is of the same process.
pub(super) fn same_process_parent(trace: &TraceView<'_>, index: usize) -> Option<usize> {
    let Parent::Span(parent) = trace.parents[index] else { return None };
    let parent = parent as usize;
    (resource(trace, parent) == resource(trace, index)).then_some(parent)
}

/// Number of the resource of a record: its process.
pub(super) fn resource(trace: &TraceView<'_>, index: usize) -> u32 {
    trace.names.operation(trace.spans[index].operation).resource
}

/// Kind of the request that begins at an entry span.
pub(super) fn kind_of(trace: &TraceView<'_>, entry: usize) -> RequestKind {
    let span = &trace.spans[entry];
    let row = if span.has(Facts::HAS_BOUNDARY) { trace.partition.boundary(span) } else { None };
    (trace.names.site_of(span.operation), row.map_or(NO_BOUNDARY, |row| row.boundary))
}

/// Whether times and ids of a record can be relied on.
pub(super) fn is_usable(trace: &TraceView<'_>, index: usize) -> bool {
    let span: &SpanRecord = &trace.spans[index];
    span.is_timed()
        && !span.has(Facts::NEGATIVE)
        && !span.has(Facts::INVALID_SPAN_ID)
        && !span.has(Facts::INVALID_TRACE_ID)
        && !trace.is_ambiguous(index)
}
