//! Hops of which the two sides lie in different traces: exit spans that no entry span answers, and
//! entry spans that are roots, or the one orphan on which all of their trace hangs.
//!
//! A missing inject or extract leaves no orphan: it leaves a second trace with a root of its own, and
//! only all traces together show both sides. Joined hops are counters of the corpus; of the others
//! every span is kept, up to [`UNJOINED_KEPT`].

use rustc_hash::FxHashSet;
use xxhash_rust::xxh64::xxh64;

use super::requests::LocalSpan;
use super::sample::{BottomK, Hashed, hash_span};
use crate::model::boundary::Protocol;
use crate::model::{SpanId, SpanKind, TraceId};
use crate::store::{Facts, Names, OperationId, SiteId, SpanRecord};
use crate::trace::{Parent, TraceView};

/// Spans kept in all, some 25 MB. Below, nothing is left out.
pub const UNJOINED_KEPT: usize = 1 << 18;

/// A span whose other side is not in its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnjoinedSpan {
    /// The sample's hash.
    hash: u64,
    /// Trace.
    pub trace_id: TraceId,
    /// Span.
    pub span_id: SpanId,
    /// Start, ns.
    pub start_ns: i64,
    /// End, ns.
    pub end_ns: i64,
    /// Operation.
    pub operation: OperationId,
    /// Index into [`Names::boundaries`].
    pub boundary: u32,
    /// Hash of the message id or exact path, 0 without one.
    pub identity: u32,
    /// Parent, if any.
    pub parent_id: Option<SpanId>,
    /// Where it was read.
    pub source: u64,
}

impl Hashed for UnjoinedSpan {
    fn hash(&self) -> u64 {
        self.hash
    }
}

impl UnjoinedSpan {
    /// Whether it names a parent, of an entry: one that is not there.
    pub const fn has_parent(&self) -> bool {
        self.parent_id.is_some()
    }

    /// An entry span that is no root, to be paired like one.
    pub(crate) fn of_local(span: &LocalSpan) -> Self {
        Self {
            hash: hash_span(span.trace_id, span.span_id),
            trace_id: span.trace_id,
            span_id: span.span_id,
            start_ns: span.start_ns,
            end_ns: span.end_ns,
            operation: span.operation,
            boundary: span.boundary,
            identity: span.identity,
            parent_id: span.parent_id,
            source: span.source,
        }
    }

    /// Duration, ns; never negative.
    pub const fn duration_ns(&self) -> i64 {
        self.end_ns.saturating_sub(self.start_ns)
    }
}

/// Unjoined spans of all traces.
#[derive(Debug)]
pub struct Hops {
    unjoined: BottomK<UnjoinedSpan>,
    /// How many there are in all: exits and entries.
    seen: [u64; 2],
    /// Hashes of the spans that links lead to, 8 bytes a link: who is linked was not lost.
    linked: Vec<u64>,
    /// Bits of the protocols that the entry spans of a site have, by site.
    protocols: Vec<u8>,
    /// Whether an entry span or an inner exit stands under the span, for the trace in hand.
    answered: Vec<bool>,
}

impl Default for Hops {
    fn default() -> Self {
        Self {
            unjoined: BottomK::new(UNJOINED_KEPT),
            seen: [0; 2],
            linked: Vec::new(),
            protocols: Vec::new(),
            answered: Vec::new(),
        }
    }
}

impl Hops {
    /// Takes in the judged spans of one trace.
    pub fn observe(&mut self, trace: &TraceView<'_>) {
        let mut answered = std::mem::take(&mut self.answered);
        mark_answered(trace, &mut answered);
        for (index, span) in trace.nodes() {
            if span.has(Facts::HAS_LINKS) {
                let links = trace.partition.links(span).iter();
                self.linked.extend(links.map(|link| hash_span(link.trace_id(), SpanId(link.span_id))));
            }
            if !span.has(Facts::HAS_BOUNDARY) {
                continue;
            }
            let kind = trace.kind(index);
            if kind.is_entry() {
                self.entry(trace, index, span);
            } else if kind.is_exit() && !answered[index] {
                self.add(trace, index, span);
            }
        }
        self.answered = answered;
    }

    fn entry(&mut self, trace: &TraceView<'_>, index: usize, span: &SpanRecord) {
        let Some(row) = trace.partition.boundary(span) else { return };
        let site = trace.names.site_of(span.operation) as usize;
        if self.protocols.len() <= site {
            self.protocols.resize(site + 1, 0);
        }
        self.protocols[site] |= 1 << trace.names.boundaries[row.boundary as usize].protocol as u8;
        let is_loose = match trace.parents[index] {
            Parent::None => true,
            Parent::Missing => span.parent_is_remote() != Some(false) && hangs_on_one_orphan(trace),
            Parent::Itself | Parent::Span(_) => false,
        };
        if is_loose && !span.has(Facts::HAS_LINKS) {
            self.add(trace, index, span);
        }
    }

    fn add(&mut self, trace: &TraceView<'_>, index: usize, span: &SpanRecord) {
        let is_usable = span.is_timed()
            && !span.has(Facts::NEGATIVE)
            && !span.has(Facts::INVALID_SPAN_ID)
            && !span.has(Facts::INVALID_TRACE_ID)
            && !trace.is_ambiguous(index);
        if !is_usable {
            return;
        }
        self.seen[usize::from(trace.kind(index).is_entry())] += 1;
        let hash = hash_in_time(span.start_ns(), hash_span(trace.trace_id, span.span_id()));
        if !self.unjoined.wants(hash) {
            return;
        }
        let Some(row) = trace.partition.boundary(span) else { return };
        self.unjoined.insert(UnjoinedSpan {
            hash,
            trace_id: trace.trace_id,
            span_id: span.span_id(),
            start_ns: span.start_ns(),
            end_ns: span.end_ns(),
            operation: span.operation,
            boundary: row.boundary,
            identity: row.identity,
            parent_id: span.parent_id(),
            source: span.source,
        });
    }

    /// Hands the spans over.
    pub(super) fn drain_samples(&mut self, other: &mut Self) {
        self.unjoined.drain(&mut other.unjoined);
    }

    /// Gives the memory of the spans back.
    pub(super) fn forget_samples(&mut self) {
        self.unjoined = BottomK::new(0);
        self.linked = Vec::new();
    }

    /// Joins another.
    pub(super) fn merge(&mut self, other: Self) {
        self.unjoined.merge(&other.unjoined);
        for (own, count) in self.seen.iter_mut().zip(other.seen) {
            *own += count;
        }
        self.linked.extend(other.linked);
        if self.protocols.len() < other.protocols.len() {
            self.protocols.resize(other.protocols.len(), 0);
        }
        for (own, bits) in self.protocols.iter_mut().zip(other.protocols) {
            *own |= bits;
        }
    }

    /// Once everything is merged.
    pub(super) fn finish(&mut self) {
        self.unjoined.finish();
        self.linked.sort_unstable();
        self.linked.dedup();
    }

    /// The kept exits that nothing answers and nothing links to, and the kept entries without a parent,
    /// each by start. What has equal times is ordered by ids.
    /// Those that are `taken` are left out.
    pub(crate) fn sides(
        &self,
        names: &Names,
        taken: &FxHashSet<(TraceId, SpanId)>,
    ) -> [Vec<UnjoinedSpan>; 2] {
        let is_free = |span: &UnjoinedSpan| !taken.contains(&(span.trace_id, span.span_id));
        let all = self.unjoined.finished().iter().copied().filter(is_free);
        let (mut entries, mut exits): (Vec<_>, Vec<_>) =
            all.partition(|span| names.operation(span.operation).kind.is_entry());
        exits.retain(|span| !self.is_linked(span.trace_id, span.span_id));
        for side in [&mut exits, &mut entries] {
            side.sort_unstable_by_key(|span| (span.start_ns, span.trace_id, span.span_id, span.hash));
        }
        [exits, entries]
    }

    /// The kept exits that nothing answers, linked or not, in the order of the sample.
    pub fn exits<'h>(&'h self, names: &'h Names) -> impl Iterator<Item = &'h UnjoinedSpan> {
        self.unjoined.finished().iter().filter(|span| names.operation(span.operation).kind.is_exit())
    }

    /// The kept entries without a parent, in the order of the sample.
    pub(super) fn entries<'h>(&'h self, names: &'h Names) -> impl Iterator<Item = &'h UnjoinedSpan> {
        self.unjoined.finished().iter().filter(|span| names.operation(span.operation).kind.is_entry())
    }

    /// Whether a span link leads to this span.
    pub fn is_linked(&self, trace_id: TraceId, span_id: SpanId) -> bool {
        self.linked.binary_search(&hash_span(trace_id, span_id)).is_ok()
    }

    /// Kept spans, and spans in all.
    pub fn kept_of(&self) -> (u64, u64) {
        (self.unjoined.finished().len() as u64, self.seen.iter().sum())
    }

    /// The protocol of the entry spans of a site; of several the first.
    pub fn protocol(&self, site: SiteId) -> Option<Protocol> {
        let bits = self.protocols.get(site as usize).copied().unwrap_or_default();
        let all = [Protocol::Http, Protocol::Rpc, Protocol::Messaging];
        all.into_iter().find(|protocol| bits & 1 << *protocol as u8 != 0)
    }
}

/// Whether everything in the trace hangs on one orphan. Several under one absent parent are what a span
/// left that handled many messages.
fn hangs_on_one_orphan(trace: &TraceView<'_>) -> bool {
    trace.counts.orphan_spans == 1 && trace.counts.traces_without_root == 1
}

/// An exit is answered when an entry stands under it. Of two nested clients (an SDK over an HTTP
/// library) the inner one is the boundary.
pub(super) fn mark_answered(trace: &TraceView<'_>, answered: &mut Vec<bool>) {
    answered.clear();
    answered.resize(trace.spans.len(), false);
    for index in (0..trace.spans.len()).filter(|index| trace.is_node(*index)) {
        let Parent::Span(parent) = trace.parents[index] else { continue };
        let parent = parent as usize;
        let kind = trace.kind(index);
        let is_inner_client = kind == SpanKind::Client
            && trace.spans[index].has(Facts::HAS_BOUNDARY)
            && trace.kind(parent) == SpanKind::Client;
        answered[parent] |= kind.is_entry() || is_inner_client;
    }
}

/// A hash by which whole stretches of time are kept or left out, so that both sides of a hop are in
/// the sample together: the stretch of 8.6 s decides first, within it that of 0.27 s, within it that
/// of 8.4 ms, and only then the span.
pub fn hash_in_time(start_ns: i64, span_hash: u64) -> u64 {
    let stretch = |bits: u32| xxh64(&(start_ns >> bits).to_be_bytes(), u64::from(bits));
    stretch(33) & 0xffff_ff00_0000_0000
        | stretch(28) >> 24 & 0xff_ff00_0000
        | stretch(23) >> 40 & 0xff_ff00
        | span_hash >> 56
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_sample_holds_whole_stretches_of_time() {
        let span = |number: u64| {
            let start_ns = number as i64 * 100_000_000;
            let ids = (TraceId(u128::from(number)), SpanId(number));
            UnjoinedSpan {
                hash: hash_in_time(start_ns, hash_span(ids.0, ids.1)),
                trace_id: ids.0,
                span_id: ids.1,
                start_ns,
                end_ns: start_ns,
                operation: 0,
                boundary: 0,
                identity: 0,
                parent_id: None,
                source: 0,
            }
        };
        let mut sample = BottomK::new(500);
        (0..100_000).for_each(|number| sample.insert(span(number)));
        let mut kept: Vec<i64> = sample.sorted().iter().map(|span| span.start_ns >> 33).collect();
        kept.sort_unstable();
        kept.dedup();
        // A stretch has 86 spans; of the last one a part is kept.
        assert!((5..=8).contains(&kept.len()), "{kept:?}");
    }
}
