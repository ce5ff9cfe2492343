//! Roots, and what may have called them although no exit span says so: spans that make such a call
//! elsewhere and did not here, and requests of services that could be the caller.
//!
//! The second look at the traces finds them. In a system in which every root is a request from outside to
//! a service that nobody else calls, nothing is kept.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rustc_hash::FxHashMap;

use super::Corpus;
use super::enclosing::Interval;
use super::hops::hash_in_time;
use super::sample::{BottomK, Hashed, hash_span};
use crate::model::{SpanId, TraceId};
use crate::store::{Facts, Names, OperationId, ServiceId, SiteId};
use crate::trace::{Parent, TraceView};

/// Spans kept in all, some 6 MB. Below, nothing is left out; beyond, whole stretches of time are. Each is
/// compared with many others, so that there are fewer than of unjoined hops.
pub const SPANS_KEPT: usize = 1 << 16;

/// Calls that are looked for in all, and of one site: what differs in more ways has no pattern.
const CALLS_WANTED: usize = 1 << 12;
const CALLS_OF_A_SITE: usize = 32;

/// Services of which everything that they call is followed. Whoever else nobody calls may be called by all
/// others.
const SERVICES_FOLLOWED: usize = 64;

/// Comparisons that are remembered, some 40 MB; then all of them are forgotten.
const COMPARISONS_KEPT: usize = 1 << 20;

/// Exits of one span that are compared with the calls it may make. A span with more of them is left out.
const EXITS_COMPARED: usize = 512;

/// Roots of a place without known callers that are needed before any is looked for: requests that enclose
/// 20 of 20 although half of the moved ones are enclosed too occur once in 10⁶ by chance.
pub const ROOTS_NEEDED: u64 = 20;

/// What a kept span may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// A root whose caller is looked for.
    Root,
    /// A span that could have made this call (index into [`PossibleCallers::calls`]) and did not.
    WithoutCall(u32),
    /// An entry span of a service that could call others.
    Request,
}

/// A root, or a span that may have called one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OpenSpan {
    hash: u64,
    /// What it may be.
    pub role: Role,
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
    /// Index into [`Names::boundaries`], if it has a boundary.
    pub boundary: Option<u32>,
    /// Where it was read.
    pub source: u64,
}

impl Hashed for OpenSpan {
    fn hash(&self) -> u64 {
        self.hash
    }
}

impl OpenSpan {
    /// When it ran.
    pub const fn interval(&self) -> Interval {
        Interval { start_ns: self.start_ns, end_ns: self.end_ns }
    }
}

/// A call that roots show at their end, and a site that makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WantedCall {
    /// Site of the roots.
    pub entry: SiteId,
    /// What the roots say about the call: index into [`Names::boundaries`].
    pub boundary: u32,
    /// Site of the spans that make it, parents of the exit spans.
    pub caller: SiteId,
}

/// Roots and possible callers of all traces.
#[derive(Debug)]
pub struct PossibleCallers {
    spans: BottomK<OpenSpan>,
    /// The kept spans, once everything is merged.
    by_start: Vec<OpenSpan>,
    seen: u64,
    calls: Vec<WantedCall>,
    /// Spans that make a call, by number of the call.
    made: Vec<u64>,
    calls_of: FxHashMap<SiteId, Vec<u32>>,
    is_root_wanted: Vec<bool>,
    is_request_wanted: Vec<bool>,
    /// Whether an exit's boundary is that of a call.
    same: FxHashMap<(u32, u32), bool>,
}

impl Default for PossibleCallers {
    fn default() -> Self {
        Self {
            spans: BottomK::new(SPANS_KEPT),
            by_start: Vec::new(),
            seen: 0,
            calls: Vec::new(),
            made: Vec::new(),
            calls_of: FxHashMap::default(),
            is_root_wanted: Vec::new(),
            is_request_wanted: Vec::new(),
            same: FxHashMap::default(),
        }
    }
}

impl PossibleCallers {
    /// Nothing seen yet.
    pub(super) fn new(corpus: &Corpus, names: &Names) -> Self {
        let mut wanted = Self { is_root_wanted: vec![false; names.sites.len()], ..Self::default() };
        wanted.is_request_wanted.clone_from(&wanted.is_root_wanted);
        wanted.want_calls(corpus, names);
        wanted.want_requests(corpus, names);
        wanted.want_roots_behind_silent_calls(corpus, names);
        wanted
    }

    fn want_calls(&mut self, corpus: &Corpus, names: &Names) {
        let mut boundaries: BTreeMap<SiteId, BTreeSet<u32>> = BTreeMap::new();
        for root in corpus.hops.entries(names).filter(|entry| !entry.has_parent()) {
            boundaries.entry(names.site_of(root.operation)).or_default().insert(root.boundary);
        }
        let mut calls: BTreeSet<WantedCall> = BTreeSet::new();
        for (entry, boundaries) in boundaries {
            if boundaries.len() > CALLS_OF_A_SITE {
                continue;
            }
            for caller in callers(corpus, names, entry) {
                calls.extend(boundaries.iter().map(|boundary| WantedCall {
                    entry,
                    boundary: *boundary,
                    caller,
                }));
            }
        }
        self.calls = calls.into_iter().take(CALLS_WANTED).collect();
        self.made = vec![0; self.calls.len()];
        for (number, call) in self.calls.iter().enumerate() {
            self.calls_of.entry(call.caller).or_default().push(number as u32);
            self.is_root_wanted[call.entry as usize] = true;
        }
    }

    fn want_requests(&mut self, corpus: &Corpus, names: &Names) {
        let entries = || (0..).zip(&names.sites).filter(|(_, site)| site.kind.is_entry());
        let is_never_called =
            |entry: SiteId| corpus.profile(entry).roots >= ROOTS_NEEDED && corpus.parents(entry).is_empty();
        let mut never_called: BTreeMap<ServiceId, Vec<SiteId>> = BTreeMap::new();
        for (entry, site) in entries().filter(|(entry, _)| is_never_called(*entry)) {
            never_called.entry(site.service).or_default().push(entry);
        }
        if never_called.is_empty() {
            return;
        }
        let graph = Services::of(corpus, names);
        let services: BTreeSet<ServiceId> = entries().map(|(_, site)| site.service).collect();
        // Services that are below every one of those that nobody calls: the callers of none of them.
        let mut below_all = services.clone();
        for (number, (service, roots)) in never_called.into_iter().enumerate() {
            let below = if number < SERVICES_FOLLOWED {
                graph.reachable_from([service], Direction::Down)
            } else {
                BTreeSet::from([service])
            };
            let has_others = services.iter().any(|other| !below.contains(other));
            for root in roots {
                self.is_root_wanted[root as usize] |= has_others;
            }
            below_all.retain(|other| below.contains(other));
        }
        for (entry, site) in entries() {
            self.is_request_wanted[entry as usize] = !below_all.contains(&site.service);
        }
    }

    /// Roots of any kind may lie behind a service that exports nothing.
    fn want_roots_behind_silent_calls(&mut self, corpus: &Corpus, names: &Names) {
        let mut callers: BTreeSet<ServiceId> = BTreeSet::new();
        for exit in corpus.hops.exits(names) {
            let site = names.site_of(exit.operation);
            if !corpus.usual.is_ever_answered(names, site, exit.boundary) {
                callers.insert(names.site(site).service);
            }
        }
        if callers.is_empty() {
            return;
        }
        for (number, wanted) in self.is_root_wanted.iter_mut().enumerate() {
            *wanted |= corpus.profile(number as SiteId).roots > 0;
        }
    }

    /// Whether spans of this site may be roots or callers.
    pub(super) fn wants(&self, site: SiteId) -> bool {
        let at = site as usize;
        self.is_root_wanted[at] || self.is_request_wanted[at] || self.calls_of.contains_key(&site)
    }

    /// Takes in the judged spans of one trace.
    pub(super) fn observe(&mut self, trace: &TraceView<'_>) {
        let mut exits = None;
        for (index, span) in trace.nodes() {
            let site = trace.names.site_of(span.operation);
            let at = site as usize;
            if trace.parents[index] == Parent::None && self.is_root_wanted[at] && !span.has(Facts::HAS_LINKS)
            {
                self.add(trace, index, Role::Root);
            }
            if self.is_request_wanted[at] {
                self.add(trace, index, Role::Request);
            }
            if self.calls_of.contains_key(&site) {
                let exits = exits.get_or_insert_with(|| exits_of(trace));
                self.observe_caller(trace, index, exits);
            }
        }
    }

    /// Looks for the calls that this span may make, among the exits of its service while it is open.
    fn observe_caller(&mut self, trace: &TraceView<'_>, index: usize, exits: &[(ServiceId, i64, u32)]) {
        let caller = &trace.spans[index];
        let service = trace.service(index);
        let first = exits.partition_point(|exit| (exit.0, exit.1) < (service, caller.start_ns()));
        let last = exits.partition_point(|exit| (exit.0, exit.1) <= (service, caller.end_ns()));
        let own = exits.get(first..last).unwrap_or_default();
        if own.len() > EXITS_COMPARED {
            return;
        }
        let site = trace.names.site_of(caller.operation);
        let calls = self.calls_of.remove(&site).unwrap_or_default();
        for call in &calls {
            if own.iter().any(|(_, _, boundary)| self.is_same(trace.names, *boundary, *call)) {
                self.made[*call as usize] += 1;
            } else {
                self.add(trace, index, Role::WithoutCall(*call));
            }
        }
        self.calls_of.insert(site, calls);
    }

    fn is_same(&mut self, names: &Names, exit: u32, call: u32) -> bool {
        let entry = self.calls[call as usize].boundary;
        let boundary = |number: u32| &names.boundaries[number as usize];
        if self.same.len() >= COMPARISONS_KEPT {
            self.same.clear();
        }
        *self.same.entry((exit, entry)).or_insert_with(|| boundary(exit).may_be_call_of(boundary(entry)))
    }

    fn add(&mut self, trace: &TraceView<'_>, index: usize, role: Role) {
        let span = &trace.spans[index];
        let is_usable = span.is_timed()
            && !span.has(Facts::NEGATIVE)
            && !span.has(Facts::INVALID_SPAN_ID)
            && !span.has(Facts::INVALID_TRACE_ID)
            && !trace.is_ambiguous(index);
        let hash = hash_in_time(span.start_ns(), hash_span(trace.trace_id, span.span_id()));
        if !is_usable {
            return;
        }
        self.seen += 1;
        if !self.spans.wants(hash) {
            return;
        }
        self.spans.insert(OpenSpan {
            hash,
            role,
            trace_id: trace.trace_id,
            span_id: span.span_id(),
            start_ns: span.start_ns(),
            end_ns: span.end_ns(),
            operation: span.operation,
            boundary: trace.partition.boundary(span).map(|row| row.boundary),
            source: span.source,
        });
    }

    /// Hands the spans over.
    pub(super) fn drain_samples(&mut self, other: &mut Self) {
        self.spans.drain(&mut other.spans);
    }

    /// Joins another that wants the same.
    pub(super) fn merge(&mut self, other: &Self) {
        self.spans.merge(&other.spans);
        self.seen += other.seen;
        if self.calls.is_empty() {
            self.calls.clone_from(&other.calls);
            self.made = vec![0; self.calls.len()];
        }
        for (own, count) in self.made.iter_mut().zip(&other.made) {
            *own += count;
        }
    }

    /// Once everything is merged.
    pub(super) fn finish(&mut self) {
        self.by_start = self.spans.take_finished();
        self.by_start.sort_unstable_by_key(|span| (span.start_ns, span.trace_id, span.span_id, span.role));
    }

    /// The calls that were looked for, and how many spans of the caller's site make each.
    pub fn calls(&self) -> impl Iterator<Item = (u32, WantedCall, u64)> + '_ {
        (0..).zip(&self.calls).zip(&self.made).map(|((number, call), made)| (number, *call, *made))
    }

    /// Kept spans, and spans in all.
    pub fn kept_of(&self) -> (u64, u64) {
        (self.by_start.len() as u64, self.seen)
    }

    /// The kept spans, by start.
    pub fn by_start(&self) -> &[OpenSpan] {
        &self.by_start
    }
}

/// The exits of a trace: service, start, boundary; sorted.
fn exits_of(trace: &TraceView<'_>) -> Vec<(ServiceId, i64, u32)> {
    let exits =
        trace.nodes().filter(|(index, span)| span.has(Facts::HAS_BOUNDARY) && trace.kind(*index).is_exit());
    let rows = exits.filter_map(|(index, span)| {
        let row = trace.partition.boundary(span)?;
        Some((trace.service(index), span.start_ns(), row.boundary))
    });
    let mut rows: Vec<_> = rows.collect();
    rows.sort_unstable();
    rows
}

/// Sites whose spans make the calls that this entry answers: parents of its exit spans, in their service.
fn callers(corpus: &Corpus, names: &Names, entry: SiteId) -> BTreeSet<SiteId> {
    let own = names.site(entry).service;
    let exits = corpus.parents(entry).iter().map(|(exit, _)| *exit);
    let exits = exits.filter(|exit| names.site(*exit).kind.is_exit() && names.site(*exit).service != own);
    let parents = exits.flat_map(|exit| {
        let service = names.site(exit).service;
        let parents = corpus.parents(exit).iter().map(|(parent, _)| *parent);
        parents.filter(move |parent| names.site(*parent).service == service)
    });
    parents.collect()
}

/// Which way calls are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the services that are called.
    Down,
    /// To the services that call.
    Up,
}

/// Which service has spans under spans of which other one, in one trace or paired across two.
#[derive(Debug, Default)]
pub struct Services {
    down: BTreeMap<ServiceId, BTreeSet<ServiceId>>,
    up: BTreeMap<ServiceId, BTreeSet<ServiceId>>,
}

impl Services {
    /// The calls that the corpus knows.
    pub fn of(corpus: &Corpus, names: &Names) -> Self {
        let mut services = Self::default();
        let joined = corpus.joined_pairs().into_iter().map(|(parent, site, _)| (parent, site));
        let paired = corpus.broken_edges().iter().chain(corpus.restarted_edges());
        for (parent, site) in joined.chain(paired.map(|edge| (edge.exit, edge.entry))) {
            let (caller, callee) = (names.site(parent).service, names.site(site).service);
            services.down.entry(caller).or_default().insert(callee);
            services.up.entry(callee).or_default().insert(caller);
        }
        services
    }

    /// These services and all that are reached from one of them.
    pub fn reachable_from(
        &self,
        services: impl IntoIterator<Item = ServiceId>,
        direction: Direction,
    ) -> BTreeSet<ServiceId> {
        let steps = if direction == Direction::Down { &self.down } else { &self.up };
        let mut reached: BTreeSet<ServiceId> = services.into_iter().collect();
        let mut next: VecDeque<ServiceId> = reached.iter().copied().collect();
        while let Some(service) = next.pop_front() {
            for other in steps.get(&service).into_iter().flatten() {
                if reached.insert(*other) {
                    next.push_back(*other);
                }
            }
        }
        reached
    }
}
