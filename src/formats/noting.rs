//! A sink between a decoder and its sink that notes which traces the spans are of, for formats that
//! say behind the spans whether they are all of the trace.

use std::collections::BTreeSet;

use super::{Limit, Origin, RejectReason, SpanSink};
use crate::model::{Repair, Span, SpanId, TraceId};

/// Passes everything on, and notes.
pub(super) struct Noting<'s> {
    sink: &'s mut dyn SpanSink,
    traces: BTreeSet<TraceId>,
    spans: u64,
}

impl<'s> Noting<'s> {
    pub(super) fn new(sink: &'s mut dyn SpanSink) -> Self {
        Self { sink, traces: BTreeSet::new(), spans: 0 }
    }

    /// How many spans were passed on.
    pub(super) const fn spans(&self) -> u64 {
        self.spans
    }

    /// Not all spans of the traces that were met are here.
    pub(super) fn truncated(&mut self) {
        for trace in std::mem::take(&mut self.traces) {
            self.sink.truncated_trace(trace);
        }
    }
}

impl SpanSink for Noting<'_> {
    fn span(&mut self, span: &mut Span<'_>, origin: Origin<'_, '_>) {
        self.traces.insert(span.trace_id);
        self.spans += 1;
        self.sink.span(span, origin);
    }

    fn reject(&mut self, position: u64, reason: RejectReason) {
        self.sink.reject(position, reason);
    }

    fn unreadable(&mut self, position: u64, bytes: u64, reason: &str) {
        self.sink.unreadable(position, bytes, reason);
    }

    fn limit(&mut self, position: u64, limit: Limit) {
        self.sink.limit(position, limit);
    }

    fn repaired(&mut self, repair: Repair) {
        self.sink.repaired(repair);
    }

    fn truncated_trace(&mut self, trace_id: TraceId) {
        self.sink.truncated_trace(trace_id);
    }

    fn invented_row(&mut self, trace_id: TraceId, span_id: SpanId) {
        self.sink.invented_row(trace_id, span_id);
    }

    fn partial(&mut self, reason: &str) {
        self.sink.partial(reason);
    }
}
