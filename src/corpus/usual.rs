//! What is usual: who answers a call, how long requests and traces take, and when each process was
//! seen. What deviates from it is looked for in a second look at every trace.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;

use super::histogram::Histogram;
use crate::model::boundary::Protocol;
use crate::store::{Facts, Names, ServiceId, SiteId};
use crate::trace::TraceView;

/// When a process was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// Earliest start of a span, ns.
    pub first_ns: i64,
    /// Latest end of a span, ns.
    pub last_ns: i64,
    /// Spans.
    pub spans: u64,
}

impl Default for Lifetime {
    fn default() -> Self {
        Self { first_ns: i64::MAX, last_ns: i64::MIN, spans: 0 }
    }
}

impl Lifetime {
    /// Takes a span in.
    fn add(&mut self, start_ns: i64, end_ns: i64) {
        self.first_ns = self.first_ns.min(start_ns);
        self.last_ns = self.last_ns.max(end_ns);
        self.spans += 1;
    }

    /// Joins another.
    pub fn merge(&mut self, other: Self) {
        self.first_ns = self.first_ns.min(other.first_ns);
        self.last_ns = self.last_ns.max(other.last_ns);
        self.spans += other.spans;
    }
}

/// An exit site and what its spans call: index into [`Names::boundaries`].
type Exit = (SiteId, u32);

/// Facts about what is usual.
#[derive(Debug, Default)]
pub struct Usual {
    lifetimes: Vec<Lifetime>,
    whole: Lifetime,
    requests: Vec<Histogram>,
    /// Durations of whole traces.
    pub traces: Histogram,
    /// Spans of whole traces.
    pub sizes: Histogram,
    answers: FxHashMap<(Exit, ServiceId), u64>,
    callees: BTreeMap<Exit, (ServiceId, u64)>,
    answering_peers: BTreeSet<(Protocol, Box<str>)>,
}

impl Usual {
    /// Takes in the judged spans of one trace.
    pub(super) fn observe(&mut self, trace: &TraceView<'_>) {
        let mut whole = Lifetime::default();
        for (index, span) in trace.nodes() {
            if !span.is_timed() || span.has(Facts::NEGATIVE) {
                continue;
            }
            let (start_ns, end_ns) = (span.start_ns(), span.end_ns());
            whole.add(start_ns, end_ns);
            let operation = trace.names.operation(span.operation);
            at(&mut self.lifetimes, operation.resource).add(start_ns, end_ns);
            if !operation.kind.is_entry() {
                continue;
            }
            at(&mut self.requests, trace.service(index)).add(span.duration_ns());
            self.observe_answer(trace, index);
        }
        if whole.spans > 0 {
            self.traces.add(whole.last_ns.saturating_sub(whole.first_ns));
            self.sizes.add(trace.spans.len() as i64);
        }
    }

    fn observe_answer(&mut self, trace: &TraceView<'_>, index: usize) {
        let Some(exit) = trace.parent_of(index).filter(|exit| exit.has(Facts::HAS_BOUNDARY)) else { return };
        let operation = trace.names.operation(exit.operation);
        if !operation.kind.is_exit() {
            return;
        }
        let Some(row) = trace.partition.boundary(exit) else { return };
        *self.answers.entry(((operation.site, row.boundary), trace.service(index))).or_default() += 1;
    }

    /// Joins another.
    pub(super) fn merge(&mut self, other: Self) {
        for (resource, lifetime) in other.lifetimes.into_iter().enumerate() {
            at(&mut self.lifetimes, resource as u32).merge(lifetime);
        }
        for (service, durations) in other.requests.iter().enumerate() {
            at(&mut self.requests, service as u32).merge(durations);
        }
        self.traces.merge(&other.traces);
        self.sizes.merge(&other.sizes);
        #[expect(clippy::iter_over_hash_type, reason = "sums do not depend on order")]
        for (answer, count) in other.answers {
            *self.answers.entry(answer).or_default() += count;
        }
    }

    /// Draws the conclusions, once everything is merged.
    pub(super) fn finish(&mut self, names: &Names) {
        self.lifetimes.iter().for_each(|lifetime| self.whole.merge(*lifetime));
        let answers: BTreeMap<_, _> = self.answers.drain().collect();
        for ((exit, service), count) in answers {
            let usual = self.callees.entry(exit).or_insert((service, count));
            if count > usual.1 {
                *usual = (service, count);
            }
            let boundary = &names.boundaries[exit.1 as usize];
            if !boundary.peer.is_empty() {
                self.answering_peers.insert((boundary.protocol, Box::from(&*boundary.peer)));
            }
        }
    }

    /// When the processes of a resource were seen.
    pub fn lifetime(&self, resource: u32) -> Lifetime {
        self.lifetimes.get(resource as usize).copied().unwrap_or_default()
    }

    /// When any process was seen.
    pub const fn whole(&self) -> Lifetime {
        self.whole
    }

    /// How long the requests of a service take: the durations of its entry spans.
    pub fn requests(&self, service: ServiceId) -> Option<&Histogram> {
        self.requests.get(service as usize).filter(|durations| durations.count() > 0)
    }

    /// The service that usually answers the calls of an exit site over a boundary, and how often it did.
    /// Calls to a path that nobody ever answered (a health check that is not traced) have none.
    pub fn callee(&self, site: SiteId, boundary: u32) -> Option<(ServiceId, u64)> {
        self.callees.get(&(site, boundary)).copied()
    }

    /// Whether such calls, or any others to the same peer, were ever answered.
    pub fn is_ever_answered(&self, names: &Names, site: SiteId, boundary: u32) -> bool {
        let peer = || {
            let boundary = &names.boundaries[boundary as usize];
            (boundary.protocol, Box::from(&*boundary.peer))
        };
        self.callees.contains_key(&(site, boundary)) || self.answering_peers.contains(&peer())
    }
}

fn at<T: Default>(items: &mut Vec<T>, number: u32) -> &mut T {
    let index = number as usize;
    if items.len() <= index {
        items.resize_with(index + 1, T::default);
    }
    &mut items[index]
}
