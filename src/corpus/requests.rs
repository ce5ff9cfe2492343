//! The spans of services in which something is odd, each with the request that it belongs to: what is
//! needed to say which request a lost span belongs to.
//!
//! Spans that hang in the wrong place have to be compared with every request of their process at that
//! time. So what is kept are whole stretches of time, of those services only.

use super::Corpus;
use super::composition::Enclosed;
use super::hops::hash_in_time;
use super::in_process::{
    LocalSpans, NO_BOUNDARY, RequestKind, is_entry, is_usable, resource, same_process_parent,
};
use super::sample::{BottomK, Hashed, hash_span};
use crate::model::{SpanId, SpanKind, TraceId};
use crate::store::{Facts, Names, OperationId, SiteId, SpanRecord};
use crate::trace::{Parent, TraceView};

/// Spans kept in all, some 36 MB. Below, nothing is left out.
pub const SPANS_KEPT: usize = 1 << 18;

/// Leaf spans looked at among siblings, the earliest first: a wrapper is among the first of them.
const LEAVES_COMPARED: usize = 64;

/// Where the parent of a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ParentPlace {
    /// It has none.
    Nowhere,
    /// In the same process.
    Here,
    /// In another process.
    Elsewhere,
    /// Not in the trace, and it ran in the same process.
    MissingHere,
    /// Not in the trace, and it ran in another process.
    MissingElsewhere,
    /// Not in the trace, and the source does not tell where it ran.
    Missing,
}

/// A span of a service in which something is odd.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LocalSpan {
    hash: u64,
    /// Trace.
    pub trace_id: TraceId,
    /// Span.
    pub span_id: SpanId,
    /// The parent that it names.
    pub parent_id: Option<SpanId>,
    /// The entry span of its request; its own id for an entry span.
    pub entry: Option<SpanId>,
    /// Its process: number of the resource.
    pub resource: u32,
    /// Operation.
    pub operation: OperationId,
    /// Number of its boundary, or [`NO_BOUNDARY`].
    pub boundary: u32,
    /// Hash of the message id or exact path, 0 without one.
    pub identity: u32,
    /// Start, ns.
    pub start_ns: i64,
    /// End, ns.
    pub end_ns: i64,
    /// End of the parent, where it is in the trace, ns.
    pub parent_end_ns: Option<i64>,
    /// Where it was read.
    pub source: u64,
    /// Messages of a batch that it has no link to: their number, less one for the parent.
    pub unlinked: u32,
    /// Where its parent is.
    pub parent: ParentPlace,
    /// It has links.
    pub is_linked: bool,
    /// Its status is error.
    pub is_failed: bool,
    /// No span of its process has it as parent.
    pub is_leaf: bool,
}

impl Hashed for LocalSpan {
    fn hash(&self) -> u64 {
        self.hash
    }
}

impl LocalSpan {
    /// Whether a request begins with it.
    pub fn is_entry(&self) -> bool {
        self.entry == Some(self.span_id)
    }

    /// The kind of request that begins with it.
    pub fn kind(&self, names: &Names) -> RequestKind {
        (names.site_of(self.operation), self.boundary)
    }

    /// The same span at another time.
    #[must_use]
    pub const fn moved(self, by_ns: i64) -> Self {
        Self {
            start_ns: self.start_ns.saturating_add(by_ns),
            end_ns: self.end_ns.saturating_add(by_ns),
            ..self
        }
    }

    /// Duration, ns; never negative.
    pub const fn duration_ns(&self) -> i64 {
        self.end_ns.saturating_sub(self.start_ns)
    }
}

/// A span that belongs below a leaf span: the leaf encloses its siblings, and this is one of them, or a
/// span of its process below one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EnclosedSpan {
    hash: u64,
    /// Trace.
    pub trace_id: TraceId,
    /// The enclosing leaf span.
    pub leaf: SpanId,
    /// Site of the leaf span.
    pub leaf_site: SiteId,
    /// The enclosed span.
    pub span_id: SpanId,
    /// Its operation.
    pub operation: OperationId,
    /// Its start, ns.
    pub start_ns: i64,
    /// Where it was read.
    pub source: u64,
    /// Its parent, once the leaf is that of its siblings.
    pub parent: SpanId,
    /// Elsewhere spans like the siblings are children of spans of the leaf's site.
    pub are_children_elsewhere: bool,
}

impl Hashed for EnclosedSpan {
    fn hash(&self) -> u64 {
        self.hash
    }
}

/// The kept spans of all traces.
#[derive(Debug)]
pub struct Requests {
    spans: BottomK<LocalSpan>,
    enclosed: BottomK<EnclosedSpan>,
    seen: u64,
    local: LocalSpans,
    /// The kept spans, once everything is merged.
    by_process: Vec<LocalSpan>,
}

impl Default for Requests {
    fn default() -> Self {
        Self {
            spans: BottomK::new(SPANS_KEPT),
            enclosed: BottomK::new(SPANS_KEPT / 4),
            seen: 0,
            local: LocalSpans::default(),
            by_process: Vec::new(),
        }
    }
}

/// Whether spans of this site are kept, or may enclose others.
pub(super) fn wants(corpus: &Corpus, names: &Names, site: SiteId) -> bool {
    corpus.composition.is_odd(names.site(site).service) || may_enclose(corpus, names, site)
}

fn may_enclose(corpus: &Corpus, names: &Names, site: SiteId) -> bool {
    names.site(site).kind == SpanKind::Internal && corpus.composition.enclosing(site).enclosing > 0
}

impl Requests {
    /// Takes in the judged spans of one trace.
    pub(super) fn observe(&mut self, trace: &TraceView<'_>, corpus: &Corpus) {
        let mut local = std::mem::take(&mut self.local);
        local.find(trace);
        for (index, _) in trace.nodes() {
            if corpus.composition.is_odd(trace.service(index)) && is_usable(trace, index) {
                self.add(trace, index, &local);
            }
        }
        for children in local.children.chunk_by(|one, other| one.0 == other.0) {
            self.observe_siblings(trace, corpus, &local, children);
        }
        self.local = local;
    }

    fn add(&mut self, trace: &TraceView<'_>, index: usize, local: &LocalSpans) {
        self.seen += 1;
        let span = &trace.spans[index];
        let entry = local.entry_of(index).map(|entry| &trace.spans[entry]);
        // The spans of a request are kept or left out together; what starts after it is by itself.
        let time_ns = entry
            .filter(|entry| span.start_ns() <= entry.end_ns())
            .map_or_else(|| span.start_ns(), SpanRecord::start_ns);
        let hash = hash_in_time(time_ns, hash_span(trace.trace_id, span.span_id()));
        if !self.spans.wants(hash) {
            return;
        }
        let row = if span.has(Facts::HAS_BOUNDARY) { trace.partition.boundary(span) } else { None };
        let parent = trace.parent_of(index).filter(|parent| parent.is_timed());
        self.spans.insert(LocalSpan {
            hash,
            trace_id: trace.trace_id,
            span_id: span.span_id(),
            parent_id: span.parent_id(),
            entry: entry.map(SpanRecord::span_id),
            resource: resource(trace, index),
            operation: span.operation,
            boundary: row.map_or(NO_BOUNDARY, |row| row.boundary),
            identity: row.map_or(0, |row| row.identity),
            start_ns: span.start_ns(),
            end_ns: span.end_ns(),
            parent_end_ns: parent.map(SpanRecord::end_ns),
            source: span.source,
            unlinked: row
                .map_or(0, |row| row.batch.saturating_sub((trace.partition.links(span).len() as u32).max(1))),
            parent: place_of_parent(trace, index),
            is_linked: span.has(Facts::HAS_LINKS),
            is_failed: span.has(Facts::STATUS_ERROR),
            is_leaf: local.is_leaf(index),
        });
    }

    /// Notes what the outermost leaf span among siblings encloses. All later siblings are inside it, so
    /// there is no need to look at those that lie inside each other.
    fn observe_siblings(
        &mut self,
        trace: &TraceView<'_>,
        corpus: &Corpus,
        local: &LocalSpans,
        children: &[(u32, u32)],
    ) {
        let site = |index: usize| trace.names.site_of(trace.spans[index].operation);
        let is_suspect = |index: usize| may_enclose(corpus, trace.names, site(index));
        if !children.iter().any(|(_, child)| is_suspect(*child as usize)) {
            return;
        }
        // The latest end of each span and those behind it.
        let mut ends: Vec<i64> =
            children.iter().map(|(_, child)| trace.spans[*child as usize].end_ns()).collect();
        for index in (1..ends.len()).rev() {
            ends[index - 1] = ends[index - 1].max(ends[index]);
        }
        for (number, (_, leaf)) in children.iter().enumerate().take(LEAVES_COMPARED) {
            let (leaf, later) = (*leaf as usize, &children[number + 1..]);
            if later.is_empty() || !is_suspect(leaf) {
                continue;
            }
            let enclosed = Enclosed::by(trace, local, leaf, later, ends[number + 1]);
            let Some(enclosed) = enclosed.filter(|enclosed| enclosed.is_whole) else { continue };
            let is_child = |(_, sibling): &(u32, u32)| corpus.joined(site(leaf), site(*sibling as usize)) > 0;
            let are_children_elsewhere = later.iter().any(is_child);
            if are_children_elsewhere || enclosed.is_wrapped {
                self.add_enclosed(trace, local, leaf, later, are_children_elsewhere);
                return;
            }
        }
    }

    /// The enclosed siblings belong below the leaf, and what is below them goes with them.
    fn add_enclosed(
        &mut self,
        trace: &TraceView<'_>,
        local: &LocalSpans,
        leaf: usize,
        later: &[(u32, u32)],
        are_children_elsewhere: bool,
    ) {
        let id = |index: u32| trace.spans[index as usize].span_id();
        let mut below: Vec<(u32, SpanId)> =
            later.iter().map(|(_, sibling)| (*sibling, id(leaf as u32))).collect();
        while let Some((index, parent)) = below.pop() {
            below.extend(local.children_of(index).iter().map(|(_, child)| (*child, id(index))));
            let span = &trace.spans[index as usize];
            self.enclosed.insert(EnclosedSpan {
                hash: hash_span(trace.trace_id, span.span_id()),
                trace_id: trace.trace_id,
                leaf: id(leaf as u32),
                leaf_site: trace.names.site_of(trace.spans[leaf].operation),
                span_id: span.span_id(),
                operation: span.operation,
                parent,
                start_ns: span.start_ns(),
                source: span.source,
                are_children_elsewhere,
            });
        }
    }

    /// Hands the rows over.
    pub(super) fn drain_samples(&mut self, other: &mut Self) {
        self.spans.drain(&mut other.spans);
        self.enclosed.drain(&mut other.enclosed);
    }

    /// Joins another.
    pub(super) fn merge(&mut self, other: &Self) {
        self.spans.merge(&other.spans);
        self.enclosed.merge(&other.enclosed);
        self.seen += other.seen;
    }

    /// Once everything is merged.
    pub(super) fn finish(&mut self) {
        self.by_process = self.spans.take_finished();
        self.by_process.sort_unstable_by_key(|span| {
            (span.resource, span.start_ns, span.trace_id, span.span_id, span.operation, span.source)
        });
        self.enclosed.finish();
    }

    /// The kept spans by process, then by start; of equal times by ids.
    pub fn by_process(&self) -> &[LocalSpan] {
        &self.by_process
    }

    /// The kept spans inside leaf spans, by hash.
    pub fn enclosed(&self) -> &[EnclosedSpan] {
        self.enclosed.finished()
    }

    /// Kept spans, and spans of the same services in all.
    pub fn kept_of(&self) -> (u64, u64) {
        (self.by_process.len() as u64, self.seen)
    }
}

fn place_of_parent(trace: &TraceView<'_>, index: usize) -> ParentPlace {
    let is_remote = trace.spans[index].parent_is_remote();
    match trace.parents[index] {
        Parent::None => ParentPlace::Nowhere,
        Parent::Span(_) if same_process_parent(trace, index).is_some() => ParentPlace::Here,
        Parent::Span(_) | Parent::Itself => ParentPlace::Elsewhere,
        Parent::Missing if is_remote == Some(true) => ParentPlace::MissingElsewhere,
        Parent::Missing if is_remote == Some(false) => ParentPlace::MissingHere,
        Parent::Missing if is_entry(trace, index) => ParentPlace::Missing,
        Parent::Missing => ParentPlace::MissingHere,
    }
}
