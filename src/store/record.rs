//! The structural depth of a span: one cache line, no heap.

use crate::model::{Span, SpanField, SpanId, StatusCode, TraceId};

/// One span, 64 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct SpanRecord {
    trace_high: u64,
    trace_low: u64,
    span_id: u64,
    parent_id: u64,
    start_ns: i64,
    /// Magnitude of the duration in ns (48 bits, saturating at 78 hours) and 16 bits of [`Facts`].
    duration_and_facts: u64,
    /// Index into [`super::Names::operations`].
    pub operation: u32,
    /// Order-free hash of everything else the span says. Equal copies have equal hashes.
    pub content: u32,
    /// 16 bits input number, 48 bits position in its decoded bytes.
    pub source: u64,
}

const DURATION_BITS: u32 = 48;
const MAX_DURATION: u64 = (1 << DURATION_BITS) - 1;
const POSITION_BITS: u32 = 48;
const MAX_POSITION: u64 = (1 << POSITION_BITS) - 1;

/// Most inputs of one run.
pub const MAX_INPUTS: usize = 1 << 16;

/// Small facts about a span, 16 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts(pub u16);

impl Facts {
    /// The source tells whether the parent is remote.
    pub const REMOTE_KNOWN: Self = Self(1 << 0);
    /// The parent is remote.
    pub const REMOTE: Self = Self(1 << 1);
    /// Status is ok.
    pub const STATUS_OK: Self = Self(1 << 2);
    /// Status is error.
    pub const STATUS_ERROR: Self = Self(1 << 3);
    /// The end lies before the start.
    pub const NEGATIVE: Self = Self(1 << 4);
    /// Has span links.
    pub const HAS_LINKS: Self = Self(1 << 5);
    /// Has a boundary row.
    pub const HAS_BOUNDARY: Self = Self(1 << 6);
    /// Attributes, events or links were dropped.
    pub const DROPPED: Self = Self(1 << 7);
    /// The trace id is no id; the record holds a hash of its text.
    pub const INVALID_TRACE_ID: Self = Self(1 << 8);
    /// The span id is no id; the record holds a hash of its text.
    pub const INVALID_SPAN_ID: Self = Self(1 << 9);
    /// The parent span id is no id; the record holds a hash of its text.
    pub const INVALID_PARENT_ID: Self = Self(1 << 10);
    /// No start time.
    pub const NO_START: Self = Self(1 << 11);
    /// No end time.
    pub const NO_END: Self = Self(1 << 12);
    /// Zipkin's `shared`: reuses the id of its client span.
    pub const SHARED: Self = Self(1 << 13);
    /// Has a parent span id.
    pub const HAS_PARENT: Self = Self(1 << 14);
    /// Something in the span or its resource is sensitive ([`crate::model::sensitive`]).
    pub const SENSITIVE: Self = Self(1 << 15);

    /// Whether all of these are set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    const fn set(&mut self, other: Self, on: bool) {
        if on {
            self.0 |= other.0;
        }
    }

    fn of(span: &Span<'_>, has_boundary: bool) -> Self {
        let mut facts = Self::default();
        facts.set(Self::REMOTE_KNOWN, span.parent_is_remote.is_some());
        facts.set(Self::REMOTE, span.parent_is_remote == Some(true));
        facts.set(Self::STATUS_OK, span.status == StatusCode::Ok);
        facts.set(Self::STATUS_ERROR, span.status == StatusCode::Error);
        facts.set(Self::NEGATIVE, span.duration_ns().is_some_and(|duration| duration < 0));
        facts.set(Self::HAS_LINKS, !span.links.is_empty());
        facts.set(Self::HAS_BOUNDARY, has_boundary);
        facts.set(Self::DROPPED, span.dropped_attributes + span.dropped_events + span.dropped_links > 0);
        facts.set(Self::NO_START, span.start_ns.is_none());
        facts.set(Self::NO_END, span.end_ns.is_none());
        facts.set(Self::SHARED, span.shared);
        facts.set(Self::HAS_PARENT, span.parent_span_id.is_some());
        for malformed in &span.malformed {
            let fact = match malformed.field {
                SpanField::TraceId => Self::INVALID_TRACE_ID,
                SpanField::SpanId => Self::INVALID_SPAN_ID,
                SpanField::ParentSpanId => Self::INVALID_PARENT_ID,
                SpanField::StartTime => Self::NO_START,
                SpanField::EndTime => Self::NO_END,
                SpanField::Name => continue,
            };
            facts.set(fact, true);
        }
        facts
    }
}

impl SpanRecord {
    /// The record of a span. `input` is below [`MAX_INPUTS`].
    pub fn new(span: &Span<'_>, operation: u32, content: u32, input: usize, has_boundary: bool) -> Self {
        let facts = Facts::of(span, has_boundary);
        let duration = span.duration_ns().unwrap_or(0).unsigned_abs().min(MAX_DURATION);
        Self {
            trace_high: span.trace_id.high64(),
            trace_low: span.trace_id.low64(),
            span_id: span.span_id.0,
            parent_id: span.parent_span_id.unwrap_or_default().0,
            start_ns: span.start_ns.or(span.end_ns).unwrap_or(0),
            duration_and_facts: duration << 16 | u64::from(facts.0),
            operation,
            content,
            source: source(input, span.position),
        }
    }

    /// Adds a fact.
    pub const fn mark(&mut self, fact: Facts) {
        self.duration_and_facts |= fact.0 as u64;
    }

    /// Trace id.
    pub const fn trace_id(&self) -> TraceId {
        TraceId((self.trace_high as u128) << 64 | self.trace_low as u128)
    }

    /// Span id.
    pub const fn span_id(&self) -> SpanId {
        SpanId(self.span_id)
    }

    /// Parent span id, if any.
    pub const fn parent_id(&self) -> Option<SpanId> {
        if self.has(Facts::HAS_PARENT) { Some(SpanId(self.parent_id)) } else { None }
    }

    /// Start in ns since the epoch; the end where only that is known; 0 where neither is.
    pub const fn start_ns(&self) -> i64 {
        self.start_ns
    }

    /// Duration in ns, negative when the end lies before the start, 0 when unknown.
    pub const fn duration_ns(&self) -> i64 {
        let magnitude = (self.duration_and_facts >> 16) as i64;
        if self.has(Facts::NEGATIVE) { -magnitude } else { magnitude }
    }

    /// End in ns since the epoch.
    pub const fn end_ns(&self) -> i64 {
        self.start_ns.saturating_add(self.duration_ns())
    }

    /// Facts.
    pub const fn facts(&self) -> Facts {
        Facts(self.duration_and_facts as u16)
    }

    /// Whether this fact holds.
    pub const fn has(&self, fact: Facts) -> bool {
        self.facts().has(fact)
    }

    /// Whether start and end are known.
    pub const fn is_timed(&self) -> bool {
        !self.has(Facts::NO_START) && !self.has(Facts::NO_END)
    }

    /// Whether the parent is remote, where the source tells.
    pub const fn parent_is_remote(&self) -> Option<bool> {
        if self.has(Facts::REMOTE_KNOWN) { Some(self.has(Facts::REMOTE)) } else { None }
    }

    /// Status.
    pub const fn status(&self) -> StatusCode {
        if self.has(Facts::STATUS_ERROR) {
            StatusCode::Error
        } else if self.has(Facts::STATUS_OK) {
            StatusCode::Ok
        } else {
            StatusCode::Unset
        }
    }

    /// Number of the input that the span came from.
    pub const fn input(&self) -> usize {
        (self.source >> POSITION_BITS) as usize
    }

    /// Position in the decoded bytes of that input.
    pub const fn position(&self) -> u64 {
        self.source & MAX_POSITION
    }

    /// Sort key within a partition: traces together, traces that share their low 64 bits side by
    /// side, spans of a trace by id, copies of a span in an order that depends on content first.
    pub(super) fn order(&self, other: &Self) -> std::cmp::Ordering {
        let key = |record: &Self| (record.trace_low, record.trace_high, record.span_id);
        key(self).cmp(&key(other)).then_with(|| {
            let rest = |record: &Self| {
                (
                    record.start_ns,
                    record.duration_and_facts,
                    record.parent_id,
                    record.operation,
                    record.content,
                    record.source,
                )
            };
            rest(self).cmp(&rest(other))
        })
    }

    /// Whether two records with the same ids are equal copies.
    pub const fn is_equal_copy(&self, other: &Self) -> bool {
        self.content == other.content
            && self.start_ns == other.start_ns
            && self.duration_and_facts == other.duration_and_facts
            && self.parent_id == other.parent_id
            && self.operation == other.operation
    }
}

/// Packs input number and position.
pub const fn source(input: usize, position: u64) -> u64 {
    (input as u64) << POSITION_BITS | if position > MAX_POSITION { MAX_POSITION } else { position }
}

/// What an exit or entry span says about its other side; only spans that say something have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoundaryRow {
    /// [`SpanRecord::source`] of its span.
    pub source: u64,
    /// Low half of the id of its span: all spans of a compressed frame have one source.
    pub span: u32,
    /// Index into [`super::Names::boundaries`].
    pub boundary: u32,
    /// Hash of what tells this call from others over the same boundary (the message id, or the exact
    /// path), 0 without one.
    pub identity: u32,
    /// Messages that a consumer span handles as one batch, 0 where it does not say.
    pub batch: u32,
}

/// A span link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkRow {
    /// [`SpanRecord::source`] of the span that has the link.
    pub source: u64,
    /// Trace of the linked span.
    pub trace_id: [u64; 2],
    /// The linked span.
    pub span_id: u64,
}

impl LinkRow {
    /// Trace of the linked span.
    pub const fn trace_id(&self) -> TraceId {
        TraceId((self.trace_id[0] as u128) << 64 | self.trace_id[1] as u128)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_cache_line() {
        assert_eq!(size_of::<SpanRecord>(), 64);
    }

    #[test]
    fn keeps_negative_durations_and_saturates_long_ones() {
        let mut span = Span { start_ns: Some(1_000), end_ns: Some(400), ..Span::default() };
        assert_eq!(SpanRecord::new(&span, 0, 0, 0, false).duration_ns(), -600);
        span.end_ns = Some(i64::MAX);
        assert_eq!(SpanRecord::new(&span, 0, 0, 0, false).duration_ns(), MAX_DURATION as i64);
    }
}
