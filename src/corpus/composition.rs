//! What requests usually consist of: how many spans of which site a request of each kind has, and how
//! long after the end of its parent work begins that outlives it.

use rustc_hash::FxHashMap;

use super::in_process::{LocalSpans, RequestKind, is_entry, is_usable, kind_of, resource};
use crate::model::SpanKind;
use crate::store::{Facts, Names, ServiceId, SiteId};
use crate::trace::{Parent, TraceView};

/// Children of one site that start after the end of one parent before they are looked at more closely.
pub const LATE_CHILDREN: usize = 5;

/// Siblings may be stamped so much early or late, ns: JS SDKs start spans on whole ms.
pub const TOLERANCE_NS: i64 = 1_000_000;

/// How many requests of one kind have one, two, and more spans of a site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Occurrence {
    /// Requests with exactly one.
    pub one: u64,
    /// Requests with exactly two.
    pub two: u64,
    /// Requests with more.
    pub more: u64,
    /// Spans in all.
    pub spans: u64,
}

impl Occurrence {
    fn add(&mut self, count: u64) {
        match count {
            1 => self.one += 1,
            2 => self.two += 1,
            _ => self.more += 1,
        }
        self.spans += count;
    }

    fn merge(&mut self, other: Self) {
        self.one += other.one;
        self.two += other.two;
        self.more += other.more;
        self.spans += other.spans;
    }

    /// How many such spans a request usually has; `None` when there are usually more than two, in loops.
    /// What most requests have, else the mean, which does not change when spans only change places.
    fn usual(self, requests: u64) -> Option<u64> {
        let none = requests.saturating_sub(self.one + self.two + self.more);
        let most = none.max(self.one).max(self.two).max(self.more);
        if most == self.more {
            return None;
        }
        if most == self.one {
            return Some(1);
        }
        if most == self.two {
            return Some(2);
        }
        // Rounded; exactly half is as good as none.
        Some((2 * self.spans + requests).saturating_sub(1) / (2 * requests.max(1)))
    }
}

/// Leaf spans that could have been the parents of their later siblings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Enclosing {
    /// Leaf spans with later siblings.
    pub leaves: u64,
    /// Of these, spans that end no earlier than all of these siblings.
    pub enclosing: u64,
    /// Of these, spans with two and more such siblings, which begin with the first and end with the last.
    pub wrapping: u64,
}

/// What requests usually consist of.
#[derive(Debug, Default)]
pub struct Composition {
    requests: FxHashMap<RequestKind, u64>,
    occurrences: FxHashMap<(RequestKind, SiteId), Occurrence>,
    /// By parent and child site: the longest wait of a parent's first child after the parent's end, ns.
    waits: FxHashMap<(SiteId, SiteId), i64>,
    enclosing: FxHashMap<SiteId, Enclosing>,
    /// By service: something was seen that a request does not explain.
    is_odd: Vec<bool>,
    local: LocalSpans,
    counted: Vec<(u32, SiteId)>,
}

impl Composition {
    /// Takes in the judged spans of one trace.
    pub(super) fn observe(&mut self, trace: &TraceView<'_>) {
        let mut local = std::mem::take(&mut self.local);
        local.find(trace);
        self.observe_requests(trace, &local);
        for children in local.children.chunk_by(|one, other| one.0 == other.0) {
            self.observe_children(trace, &local, children);
        }
        self.local = local;
    }

    fn observe_requests(&mut self, trace: &TraceView<'_>, local: &LocalSpans) {
        self.counted.clear();
        for (index, span) in trace.nodes() {
            if is_entry(trace, index) {
                *self.requests.entry(kind_of(trace, index)).or_default() += 1;
                self.observe_entry(trace, index);
                continue;
            }
            match local.entry_of(index) {
                Some(entry) => self.counted.push((entry as u32, trace.names.site_of(span.operation))),
                None if span.has(Facts::HAS_LINKS) => {}
                None => self.note(trace.service(index)),
            }
        }
        self.counted.sort_unstable();
        for same in self.counted.chunk_by(|one, other| one == other) {
            let kind = kind_of(trace, same[0].0 as usize);
            self.occurrences.entry((kind, same[0].1)).or_default().add(same.len() as u64);
        }
    }

    /// An entry span below a span of its own process, an orphan, or a batch of messages.
    fn observe_entry(&mut self, trace: &TraceView<'_>, index: usize) {
        let is_consumer = trace.kind(index) == SpanKind::Consumer;
        let is_odd = match trace.parents[index] {
            Parent::Missing => true,
            Parent::Span(parent) => is_consumer && resource(trace, parent as usize) == resource(trace, index),
            Parent::None | Parent::Itself => false,
        };
        let row = || trace.partition.boundary(&trace.spans[index]);
        if is_odd || is_consumer && row().is_some_and(|row| row.batch > 1) {
            self.note(trace.service(index));
        }
    }

    fn note(&mut self, service: ServiceId) {
        let service = service as usize;
        if self.is_odd.len() <= service {
            self.is_odd.resize(service + 1, false);
        }
        self.is_odd[service] = true;
    }

    fn observe_children(&mut self, trace: &TraceView<'_>, local: &LocalSpans, children: &[(u32, u32)]) {
        let parent = children[0].0 as usize;
        if !is_usable(trace, parent) {
            return;
        }
        let end_ns = trace.spans[parent].end_ns();
        let site = |index: usize| trace.names.site_of(trace.spans[index].operation);
        let late = children.partition_point(|(_, child)| trace.spans[*child as usize].start_ns() <= end_ns);
        if children.len() - late >= LATE_CHILDREN {
            self.note(trace.service(parent));
        }
        if late < children.len() {
            self.counted.clear();
            self.counted.extend(children.iter().map(|(_, child)| (*child, site(*child as usize))));
            // The sort keeps the order of starts.
            self.counted.sort_by_key(|(_, site)| *site);
            for same in self.counted.chunk_by(|one, other| one.1 == other.1) {
                let first = &trace.spans[same[0].0 as usize];
                let wait = self.waits.entry((site(parent), same[0].1)).or_default();
                *wait = (*wait).max(first.start_ns() - end_ns);
            }
        }
        let mut last_ns = i64::MIN;
        for (number, (_, child)) in children.iter().enumerate().rev() {
            let child = *child as usize;
            if let Some(enclosed) = Enclosed::by(trace, local, child, &children[number + 1..], last_ns) {
                let counts = self.enclosing.entry(site(child)).or_default();
                counts.leaves += 1;
                counts.enclosing += u64::from(enclosed.is_whole);
                counts.wrapping += u64::from(enclosed.is_wrapped);
            }
            last_ns = last_ns.max(trace.spans[child].end_ns());
        }
    }

    /// Joins another.
    pub(super) fn merge(&mut self, other: Self) {
        #[expect(clippy::iter_over_hash_type, reason = "sums do not depend on order")]
        for (kind, count) in other.requests {
            *self.requests.entry(kind).or_default() += count;
        }
        #[expect(clippy::iter_over_hash_type, reason = "sums do not depend on order")]
        for (place, occurrence) in other.occurrences {
            self.occurrences.entry(place).or_default().merge(occurrence);
        }
        #[expect(clippy::iter_over_hash_type, reason = "maxima do not depend on order")]
        for (edge, wait) in other.waits {
            let own = self.waits.entry(edge).or_default();
            *own = (*own).max(wait);
        }
        #[expect(clippy::iter_over_hash_type, reason = "sums do not depend on order")]
        for (site, counts) in other.enclosing {
            let own = self.enclosing.entry(site).or_default();
            own.leaves += counts.leaves;
            own.enclosing += counts.enclosing;
            own.wrapping += counts.wrapping;
        }
        for (service, _) in other.is_odd.into_iter().enumerate().filter(|(_, is_odd)| *is_odd) {
            self.note(service as ServiceId);
        }
    }

    /// Once everything is merged: services in which spans of one site are too many here and too few there.
    pub(super) fn finish(&mut self, names: &Names) {
        let mut unbalanced: FxHashMap<SiteId, (u64, u64)> = FxHashMap::default();
        #[expect(clippy::iter_over_hash_type, reason = "sums do not depend on order")]
        for ((kind, site), occurrence) in &self.occurrences {
            let requests = self.requests.get(kind).copied().unwrap_or_default();
            let Some(usual) = occurrence.usual(requests) else { continue };
            let (surplus, deficit) = unbalanced.entry(*site).or_default();
            let above = occurrence.one * u64::from(usual == 0)
                + occurrence.two * u64::from(usual < 2)
                + occurrence.more;
            *surplus += above;
            *deficit += (usual * requests)
                .saturating_sub(occurrence.one * usual.min(1))
                .saturating_sub((occurrence.two + occurrence.more) * usual);
        }
        #[expect(clippy::iter_over_hash_type, reason = "flags do not depend on order")]
        for (site, (surplus, deficit)) in unbalanced {
            if surplus > 0 && deficit > 0 {
                self.note(names.site(site).service);
            }
        }
        let mut has_requests = vec![false; self.is_odd.len()];
        #[expect(clippy::iter_over_hash_type, reason = "flags do not depend on order")]
        for (site, _) in self.requests.keys() {
            if let Some(has) = has_requests.get_mut(names.site(*site).service as usize) {
                *has = true;
            }
        }
        self.is_odd.iter_mut().zip(has_requests).for_each(|(is_odd, has)| *is_odd &= has);
    }

    /// Whether something in a service was seen that its requests do not explain.
    pub fn is_odd(&self, service: ServiceId) -> bool {
        self.is_odd.get(service as usize).copied().unwrap_or_default()
    }

    /// How many spans of a site a request of this kind usually has. `None` when none ever had one, or
    /// when it makes them in a loop.
    pub fn usual(&self, kind: RequestKind, site: SiteId) -> Option<u64> {
        let occurrence = self.occurrences.get(&(kind, site))?;
        occurrence.usual(self.requests.get(&kind).copied().unwrap_or_default())
    }

    /// The longest time that the first child of this site waited after the end of its parent, ns.
    pub fn longest_wait_ns(&self, parent: SiteId, child: SiteId) -> i64 {
        self.waits.get(&(parent, child)).copied().unwrap_or_default()
    }

    /// How often leaf spans of a site enclose their later siblings.
    pub fn enclosing(&self, site: SiteId) -> Enclosing {
        self.enclosing.get(&site).copied().unwrap_or_default()
    }
}

/// A leaf span and its later siblings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Enclosed {
    /// All of them end inside.
    pub(super) is_whole: bool,
    /// They are two and more, and the span begins with the first and ends with the last of them.
    pub(super) is_wrapped: bool,
}

/// Two spans begin or end together when no more than this share of the longer one lies between.
const TOGETHER: f64 = 0.1;

impl Enclosed {
    /// The later siblings of an internal leaf span, of which the last ends at `last_ns`; `None` for other
    /// spans, and without such siblings.
    pub(super) fn by(
        trace: &TraceView<'_>,
        local: &LocalSpans,
        index: usize,
        later: &[(u32, u32)],
        last_ns: i64,
    ) -> Option<Self> {
        let span = &trace.spans[index];
        let is_internal = trace.kind(index) == SpanKind::Internal && is_usable(trace, index);
        if !is_internal || later.is_empty() || !local.is_leaf(index) {
            return None;
        }
        let first_ns = trace.spans[later[0].1 as usize].start_ns();
        let is_whole = last_ns <= span.end_ns() + TOLERANCE_NS;
        let around = (first_ns - span.start_ns()) + (span.end_ns() - last_ns).max(0);
        let is_tight = around as f64 <= TOGETHER * span.duration_ns() as f64;
        Some(Self { is_whole, is_wrapped: is_whole && is_tight && later.len() > 1 })
    }
}
