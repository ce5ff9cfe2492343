//! Spans that are missing: the absent parents of orphan spans, and the entry spans that calls without an
//! answer should have.
//!
//! A loss is known by what is left of it: the orphan below, or the exit above. Which service lost the
//! span is inferred from what is usual, and from what else the trace lacks.

use std::collections::BTreeMap;

use xxhash_rust::xxh64::xxh64;

use super::Corpus;
use super::hops::mark_answered;
use super::sample::{BottomK, Hashed};
use crate::model::boundary::Protocol;
use crate::model::{SpanId, TraceId};
use crate::store::{Facts, Names, OperationId, ServiceId, SiteId, SpanRecord};
use crate::trace::{Parent, TraceView};

/// Losses kept in all, some 35 MB, of the traces with the smallest hash. Below, nothing is left out.
pub const LOSSES_KEPT: usize = 1 << 18;

/// Traces kept a service, to tell those in which it is from those in which it is not.
pub const TRACES_KEPT: usize = 1 << 12;

/// Exits of a trace that are compared with one orphan, those nearest before its start.
const EXITS_COMPARED: usize = 64;

/// Entry and exit spans are stamped up to this much early or late by instrumentation that cuts times to
/// whole ms.
pub const TOLERANCE_NS: i64 = 2_000_000;

/// Where the missing span was made, seen from the span that is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Seen {
    /// Its child in the same process is an orphan.
    FromChild,
    /// Its child in another process is an orphan.
    FromRemoteChild,
    /// The call that it should answer has no answer.
    FromCall,
}

/// What is left of a missing span: an orphan, or a call without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::struct_excessive_bools, reason = "facts that do not depend on each other")]
pub struct Loss {
    hash: u64,
    /// Trace.
    pub trace_id: TraceId,
    /// The span that is left.
    pub span_id: SpanId,
    /// The parent that an orphan names.
    pub parent_id: Option<SpanId>,
    /// Where the missing span was made.
    pub seen: Seen,
    /// Operation of the span that is left.
    pub operation: OperationId,
    /// Where the span that is left was read.
    pub source: u64,
    /// Its start, ns.
    pub start_ns: i64,
    /// Its end, ns.
    pub end_ns: i64,
    /// The source told whether an orphan's parent is remote.
    pub is_told: bool,
    /// Its status is error.
    pub is_failed: bool,
    /// The service that lost the span, where it is known.
    pub service: Option<ServiceId>,
    /// The trace has spans of that service.
    pub is_service_present: bool,
    /// The site that the missing span is taken to have.
    pub site: Option<SiteId>,
    /// An exit without an answer in the same trace, around the orphan and about the same call.
    pub exit: Option<(SpanId, OperationId)>,
    /// Everything in the trace hangs on the missing span.
    pub is_top: bool,
    /// Spans of the trace.
    pub trace_spans: u32,
    /// The last entry span of the orphan's service that began before it.
    pub request: Option<SiteId>,
    /// The trace has no root.
    pub is_rootless: bool,
}

impl Hashed for Loss {
    fn hash(&self) -> u64 {
        self.hash
    }
}

/// A trace in a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SampledTrace {
    hash: u64,
    /// Its id.
    pub trace_id: TraceId,
    /// Its earliest start, ns.
    pub start_ns: i64,
}

impl Hashed for SampledTrace {
    fn hash(&self) -> u64 {
        self.hash
    }
}

/// What a service that may have lost spans did not lose.
#[derive(Debug)]
pub struct Kept {
    /// Traces with spans of the service.
    pub traces: u64,
    /// Latest end of a span that hangs on no missing span, ns.
    pub last_ns: i64,
    sample: BottomK<SampledTrace>,
}

impl Default for Kept {
    fn default() -> Self {
        Self { traces: 0, last_ns: i64::MIN, sample: BottomK::new(TRACES_KEPT) }
    }
}

/// xxHash64 of the 16 bytes of the trace id, big-endian.
fn hash_trace(trace_id: TraceId) -> u64 {
    xxh64(&trace_id.0.to_be_bytes(), 0)
}

/// The missing spans of all traces.
#[derive(Debug)]
pub struct Losses {
    rows: BottomK<Loss>,
    seen: u64,
    /// By service: whether it may have lost spans.
    is_suspect: Vec<bool>,
    has_suspects: bool,
    /// By site: whether some of its calls have no answer.
    is_unanswered: Vec<bool>,
    kept: BTreeMap<ServiceId, Kept>,
    answered: Vec<bool>,
    /// Services of the trace in hand.
    services: Vec<ServiceId>,
    /// Its sites, when it has orphans.
    sites: Vec<SiteId>,
    /// Services of which it lacks spans for certain.
    hurt: Vec<ServiceId>,
}

impl Default for Losses {
    fn default() -> Self {
        Self {
            rows: BottomK::new(LOSSES_KEPT),
            seen: 0,
            is_suspect: Vec::new(),
            has_suspects: false,
            is_unanswered: Vec::new(),
            kept: BTreeMap::new(),
            answered: Vec::new(),
            services: Vec::new(),
            sites: Vec::new(),
            hurt: Vec::new(),
        }
    }
}

impl Losses {
    /// Nothing seen yet.
    pub(super) fn new(corpus: &Corpus, names: &Names) -> Self {
        let mut is_suspect = vec![false; names.services.len()];
        let mut is_unanswered = vec![false; names.sites.len()];
        for site in 0..names.sites.len() as SiteId {
            let profile = corpus.profile(site);
            if profile.spans == profile.roots + profile.joined {
                continue;
            }
            is_suspect[names.site(site).service as usize] = true;
            for (parent, _) in corpus.parents(site) {
                is_suspect[names.site(*parent).service as usize] = true;
            }
        }
        for exit in corpus.hops.exits(names) {
            let site = names.site_of(exit.operation);
            if let Some((callee, _)) = corpus.usual.callee(site, exit.boundary) {
                is_suspect[callee as usize] = true;
                is_unanswered[site as usize] = true;
            }
        }
        Self { has_suspects: is_suspect.contains(&true), is_suspect, is_unanswered, ..Self::default() }
    }

    /// Whether traces with spans of this site may lack spans.
    pub(super) fn wants(&self, names: &Names, site: SiteId) -> bool {
        self.is_suspect[names.site(site).service as usize] || self.is_unanswered[site as usize]
    }

    /// Takes in the judged spans of one trace.
    pub(super) fn observe(&mut self, trace: &TraceView<'_>, corpus: &Corpus) {
        if !self.has_suspects {
            return;
        }
        self.observe_presence(trace);
        let mut answered = std::mem::take(&mut self.answered);
        mark_answered(trace, &mut answered);
        let calls = self.observe_calls(trace, corpus, &answered);
        if trace.counts.orphan_spans > 0 {
            self.observe_orphans(trace, corpus, &calls);
        }
        self.answered = answered;
    }

    fn observe_presence(&mut self, trace: &TraceView<'_>) {
        self.services.clear();
        let nodes = (0..trace.spans.len()).filter(|index| trace.is_node(*index));
        self.services.extend(nodes.map(|index| trace.service(index)));
        self.services.sort_unstable();
        self.services.dedup();
        let Some(start_ns) = trace.spans.iter().map(SpanRecord::start_ns).min() else { return };
        let sampled = SampledTrace { hash: hash_trace(trace.trace_id), trace_id: trace.trace_id, start_ns };
        for service in self.services.iter().filter(|service| self.is_suspect[**service as usize]) {
            let kept = self.kept.entry(*service).or_default();
            kept.traces += 1;
            kept.sample.insert(sampled);
        }
        for (index, span) in trace.nodes().filter(|(index, _)| !hangs_on_missing(trace, *index)) {
            if let Some(kept) = self.kept.get_mut(&trace.service(index)) {
                kept.last_ns = kept.last_ns.max(span.end_ns());
            }
        }
    }

    /// Notes calls without an answer whose callee is known; returns the indices of all calls without an
    /// answer, by start.
    fn observe_calls(&mut self, trace: &TraceView<'_>, corpus: &Corpus, answered: &[bool]) -> Vec<usize> {
        let mut calls = Vec::new();
        self.hurt.clear();
        for (index, span) in trace.nodes() {
            let is_call = span.has(Facts::HAS_BOUNDARY)
                && trace.kind(index).is_exit()
                && !answered[index]
                && is_usable(trace, index);
            if !is_call || corpus.hops.is_linked(trace.trace_id, span.span_id()) {
                continue;
            }
            calls.push(index);
            let Some(row) = trace.partition.boundary(span) else { continue };
            let site = trace.names.site_of(span.operation);
            let Some((callee, _)) = corpus.usual.callee(site, row.boundary) else { continue };
            self.hurt.push(callee);
            self.add(Loss {
                service: Some(callee),
                is_service_present: self.services.binary_search(&callee).is_ok(),
                ..loss(trace, index, Seen::FromCall)
            });
        }
        calls.sort_unstable_by_key(|index| (trace.spans[*index].start_ns(), *index));
        calls
    }

    fn observe_orphans(&mut self, trace: &TraceView<'_>, corpus: &Corpus, calls: &[usize]) {
        let is_orphan = |index: &usize| trace.parents[*index] == Parent::Missing;
        let orphans: Vec<usize> = trace.nodes().map(|(index, _)| index).filter(is_orphan).collect();
        let is_local = |index: usize| seen_from(trace, index) == Seen::FromChild;
        self.hurt.extend(orphans.iter().filter(|index| is_local(**index)).map(|index| trace.service(*index)));
        self.hurt.sort_unstable();
        self.sites.clear();
        self.sites.extend(trace.spans.iter().map(|span| trace.names.site_of(span.operation)));
        self.sites.sort_unstable();
        self.sites.dedup();
        let missing = trace.counts.missing_parents;
        let is_rootless = !trace.parents.contains(&Parent::None);
        let is_top = missing == 1 && is_rootless;
        let requests = requests(trace);
        let mut last = None;
        for index in orphans {
            let span = &trace.spans[index];
            // Copies with different content are one span here.
            if last.replace(span.span_id()) == Some(span.span_id()) {
                continue;
            }
            let seen = seen_from(trace, index);
            let site = self.site_of_parent(trace, corpus, index, seen);
            let service = match (seen, site) {
                (Seen::FromChild, _) => Some(trace.service(index)),
                (_, Some(site)) => Some(trace.names.site(site).service),
                (_, None) => None,
            };
            let is_present = |service: ServiceId| self.services.binary_search(&service).is_ok();
            self.add(Loss {
                service,
                is_service_present: service.is_some_and(is_present),
                site,
                exit: exit_around(trace, index, calls),
                request: request_of(trace, &requests, index),
                is_top,
                is_rootless,
                ..loss(trace, index, seen)
            });
        }
    }

    /// The site of the parent. Of several that call this operation it is the one of which the trace lacks
    /// something else, else one that is not there: the exit spans of the others would be.
    fn site_of_parent(
        &self,
        trace: &TraceView<'_>,
        corpus: &Corpus,
        index: usize,
        seen: Seen,
    ) -> Option<SiteId> {
        let names = trace.names;
        let (own, site) = (trace.service(index), names.site_of(trace.spans[index].operation));
        let parents = corpus.parents(site).iter().map(|(parent, _)| *parent);
        if seen == Seen::FromChild {
            return parents.into_iter().find(|parent| names.site(*parent).service == own);
        }
        let parents: Vec<SiteId> = parents.collect();
        let has_site = |site: SiteId| self.sites.binary_search(&site).is_ok();
        let rank = |parent: &SiteId| {
            let service = names.site(*parent).service;
            let is_hurt = self.hurt.binary_search(&service).is_ok();
            let is_present = self.services.binary_search(&service).is_ok();
            (!is_hurt, parents.len() > 1 && has_site(*parent), is_present)
        };
        parents.iter().copied().min_by_key(rank)
    }

    fn add(&mut self, loss: Loss) {
        self.seen += 1;
        self.rows.insert(loss);
    }

    /// Hands the rows over.
    pub(super) fn drain_samples(&mut self, other: &mut Self) {
        self.rows.drain(&mut other.rows);
    }

    /// Joins another.
    pub(super) fn merge(&mut self, other: &Self) {
        self.rows.merge(&other.rows);
        self.seen += other.seen;
        for (service, kept) in &other.kept {
            let own = self.kept.entry(*service).or_default();
            own.traces += kept.traces;
            own.last_ns = own.last_ns.max(kept.last_ns);
            own.sample.merge(&kept.sample);
        }
    }

    /// Once everything is merged.
    pub(super) fn finish(&mut self) {
        self.rows.finish();
        for kept in self.kept.values_mut() {
            kept.sample.finish();
        }
    }

    /// The kept losses, traces by hash.
    pub fn rows(&self) -> &[Loss] {
        self.rows.finished()
    }

    /// Kept losses, and losses in all.
    pub fn kept_of(&self) -> (u64, u64) {
        (self.rows().len() as u64, self.seen)
    }

    /// What a service that may have lost spans did not lose.
    pub fn kept(&self, service: ServiceId) -> Option<&Kept> {
        self.kept.get(&service)
    }
}

impl Kept {
    /// The traces with the smallest hash that have spans of the service.
    pub fn sample(&self) -> &[SampledTrace] {
        self.sample.finished()
    }
}

/// An orphan, or the child of one: a second exporter of the same service may have sent it.
fn hangs_on_missing(trace: &TraceView<'_>, index: usize) -> bool {
    match trace.parents[index] {
        Parent::Missing => true,
        Parent::Span(parent) => trace.parents[parent as usize] == Parent::Missing,
        Parent::None | Parent::Itself => false,
    }
}

fn is_usable(trace: &TraceView<'_>, index: usize) -> bool {
    let span = &trace.spans[index];
    span.is_timed() && !span.has(Facts::NEGATIVE) && !trace.is_ambiguous(index)
}

/// Where the source does not tell, entry spans have a remote parent and all others a local one.
fn seen_from(trace: &TraceView<'_>, index: usize) -> Seen {
    let is_remote = trace.spans[index].parent_is_remote().unwrap_or_else(|| trace.kind(index).is_entry());
    if is_remote { Seen::FromRemoteChild } else { Seen::FromChild }
}

fn loss(trace: &TraceView<'_>, index: usize, seen: Seen) -> Loss {
    let span = &trace.spans[index];
    Loss {
        hash: hash_trace(trace.trace_id),
        trace_id: trace.trace_id,
        span_id: span.span_id(),
        parent_id: span.parent_id().filter(|_| seen != Seen::FromCall),
        seen,
        operation: span.operation,
        source: span.source,
        start_ns: span.start_ns(),
        end_ns: if span.is_timed() { span.end_ns() } else { span.start_ns() },
        is_told: span.parent_is_remote().is_some(),
        is_failed: span.has(Facts::STATUS_ERROR),
        service: None,
        is_service_present: false,
        site: None,
        exit: None,
        is_top: false,
        trace_spans: trace.spans.len() as u32,
        request: None,
        is_rootless: false,
    }
}

/// Entry spans by service and start.
fn requests(trace: &TraceView<'_>) -> Vec<(ServiceId, i64, SiteId)> {
    let entries = trace.nodes().filter(|(index, _)| trace.kind(*index).is_entry());
    let mut requests: Vec<_> = entries
        .map(|(index, span)| (trace.service(index), span.start_ns(), trace.names.site_of(span.operation)))
        .collect();
    requests.sort_unstable();
    requests
}

fn request_of(trace: &TraceView<'_>, requests: &[(ServiceId, i64, SiteId)], index: usize) -> Option<SiteId> {
    let (service, start_ns) = (trace.service(index), trace.spans[index].start_ns());
    let behind = requests.partition_point(|request| (request.0, request.1) <= (service, start_ns));
    let (last, _, site) = requests[..behind].last()?;
    (*last == service).then_some(*site)
}

/// The last call without an answer before the orphan that is about the same call and still open.
fn exit_around(trace: &TraceView<'_>, orphan: usize, calls: &[usize]) -> Option<(SpanId, OperationId)> {
    let entry = &trace.spans[orphan];
    if !trace.kind(orphan).is_entry() || !entry.has(Facts::HAS_BOUNDARY) {
        return None;
    }
    let start_ns = entry.start_ns();
    let before = calls.partition_point(|call| trace.spans[*call].start_ns() <= start_ns + TOLERANCE_NS);
    let nearest_first = calls[..before].iter().rev().take(EXITS_COMPARED);
    let exit = nearest_first
        .map(|call| &trace.spans[*call])
        .find(|exit| start_ns <= exit.end_ns() + TOLERANCE_NS && is_same_call(trace, exit, entry))?;
    Some((exit.span_id(), exit.operation))
}

fn is_same_call(trace: &TraceView<'_>, exit: &SpanRecord, entry: &SpanRecord) -> bool {
    let (Some(exit), Some(entry)) = (trace.partition.boundary(exit), trace.partition.boundary(entry)) else {
        return false;
    };
    let boundary = |number: u32| &trace.names.boundaries[number as usize];
    let (call, answer) = (boundary(exit.boundary), boundary(entry.boundary));
    if exit.identity == 0 || entry.identity == 0 {
        return call.may_be_call_of(answer);
    }
    // The exact path or the id of the message says more than a route.
    let is_one = call.protocol == answer.protocol && exit.identity == entry.identity;
    is_one
        && match call.protocol {
            Protocol::Messaging => call.target == answer.target,
            Protocol::Http | Protocol::Rpc => call.method == answer.method,
        }
}
