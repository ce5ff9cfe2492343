//! What is needed across traces: how often each site occurs, which parent it usually has, and how
//! the clocks of two processes stand to each other.
//!
//! Everything here merges commutatively and associatively, so that threads, spilled partitions and
//! earlier windows can be joined in any order.

pub(crate) mod assignment;
pub mod clocks;
pub mod composition;
pub mod deviations;
pub mod histogram;
pub mod hops;
pub mod in_process;
pub mod losses;
pub mod matching;
pub mod requests;
pub mod sample;
pub mod usual;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use crate::model::boundary::Protocol;
use crate::store::{Facts, Names, SiteId, SpanRecord};
use crate::trace::{Parent, TraceView};
use clocks::ClockPairs;
use composition::Composition;
use hops::Hops;
use matching::BrokenEdge;
use sample::{BottomK, Sampled};
use usual::Usual;

/// Facts across traces, while they are collected.
#[derive(Debug, Default)]
pub struct Corpus {
    sites: Vec<SiteProfile>,
    joined: FxHashMap<(SiteId, SiteId), u64>,
    usual_parents: BTreeMap<SiteId, (SiteId, u64)>,
    parents: BTreeMap<SiteId, Vec<(SiteId, u64)>>,
    /// Call-like hops that bound the difference of two clocks.
    pub clocks: ClockPairs,
    /// Sample of span ids that shows ids which occur in many traces.
    pub span_ids: SpanIdSketch,
    /// Who answers, how long things take, when processes were seen.
    pub usual: Usual,
    /// What requests usually consist of.
    pub composition: Composition,
    /// Hops of which the sides lie in different traces.
    pub hops: Hops,
    broken: Vec<BrokenEdge>,
}

/// Parents of a site that are told apart: an operation that more callers use often is rare, and the
/// frequent ones decide.
const PARENTS_KEPT: usize = 8;

/// All hops between one exit site and one entry site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Exit site.
    pub exit: SiteId,
    /// Entry site.
    pub entry: SiteId,
    /// Protocol, where the entry spans tell.
    pub protocol: Option<Protocol>,
    /// Hops whose entry has the exit as parent.
    pub joined: u64,
    /// Hops that were found in two traces.
    pub broken: u64,
}

impl Edge {
    /// Hops in all.
    pub const fn calls(&self) -> u64 {
        self.joined + self.broken
    }
}

/// How often a site occurs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SiteProfile {
    /// Spans.
    pub spans: u64,
    /// Of these, spans without a parent span id.
    pub roots: u64,
    /// Spans whose parent is in the trace.
    pub joined: u64,
}

impl Corpus {
    /// Takes in the judged spans of one trace.
    pub fn observe(&mut self, trace: &TraceView<'_>) {
        for (index, span) in trace.nodes() {
            let site = trace.names.site_of(span.operation);
            let profile = self.profile_mut(site);
            profile.spans += 1;
            match trace.parents[index] {
                Parent::None => profile.roots += 1,
                Parent::Span(parent) => {
                    profile.joined += 1;
                    let parent = trace.names.site_of(trace.spans[parent as usize].operation);
                    *self.joined.entry((parent, site)).or_default() += 1;
                }
                Parent::Missing | Parent::Itself => {}
            }
            self.span_ids.observe(trace, span);
        }
        self.clocks.observe(trace);
        self.usual.observe(trace);
        self.composition.observe(trace);
        self.hops.observe(trace);
    }

    fn profile_mut(&mut self, site: SiteId) -> &mut SiteProfile {
        let index = site as usize;
        if self.sites.len() <= index {
            self.sites.resize(index + 1, SiteProfile::default());
        }
        &mut self.sites[index]
    }

    /// Takes over the samples of another corpus, which are most of its memory: every thread would
    /// hold as much otherwise.
    pub fn drain_samples(&mut self, other: &mut Self) {
        self.clocks.drain_samples(&mut other.clocks);
        self.hops.drain_samples(&mut other.hops);
        self.span_ids.sample.drain(&mut other.span_ids.sample);
    }

    /// Gives the memory of the samples back, once everything is judged.
    pub fn forget_samples(&mut self) {
        self.clocks.forget_samples();
        self.hops.forget_samples();
        self.span_ids.sample = BottomK::new(0);
    }

    /// Joins another corpus.
    pub fn merge(&mut self, other: Self) {
        for (site, profile) in other.sites.into_iter().enumerate() {
            let own = self.profile_mut(site as SiteId);
            own.spans += profile.spans;
            own.roots += profile.roots;
            own.joined += profile.joined;
        }
        #[expect(clippy::iter_over_hash_type, reason = "sums do not depend on order")]
        for (edge, count) in other.joined {
            *self.joined.entry(edge).or_default() += count;
        }
        self.clocks.merge(other.clocks);
        self.usual.merge(other.usual);
        self.composition.merge(other.composition);
        self.hops.merge(other.hops);
        self.span_ids.merge(&other.span_ids);
    }

    /// Draws the conclusions, once everything is merged.
    pub fn finish(&mut self, names: &Names) {
        self.span_ids.sample.finish();
        self.clocks.finish();
        self.usual.finish(names);
        self.composition.finish(names);
        self.hops.finish();
        self.broken = matching::broken_edges(&self.hops, &self.clocks, names);
        let edges: BTreeMap<_, _> = self.joined.iter().collect();
        for ((parent, site), count) in edges {
            let usual = self.usual_parents.entry(*site).or_insert((*parent, *count));
            if *count > usual.1 {
                *usual = (*parent, *count);
            }
            self.parents.entry(*site).or_default().push((*parent, *count));
        }
        for parents in self.parents.values_mut() {
            parents.sort_by_key(|(_, count)| Reverse(*count));
            parents.truncate(PARENTS_KEPT);
        }
        // What has no parent in most of the cases has no usual parent.
        let sites = &self.sites;
        self.usual_parents.retain(|site, (_, count)| {
            sites.get(*site as usize).is_some_and(|profile| *count * 2 > profile.joined)
        });
    }

    /// How often a site occurs.
    pub fn profile(&self, site: SiteId) -> SiteProfile {
        self.sites.get(site as usize).copied().unwrap_or_default()
    }

    /// Edges of which hops were found in two traces, by exit and entry site.
    pub fn broken_edges(&self) -> &[BrokenEdge] {
        &self.broken
    }

    /// How often a site has a span of another site as parent.
    pub fn joined(&self, parent: SiteId, site: SiteId) -> u64 {
        self.joined.get(&(parent, site)).copied().unwrap_or_default()
    }

    /// How often each site has which as parent: parent, site, spans; by their numbers.
    pub fn joined_pairs(&self) -> Vec<(SiteId, SiteId, u64)> {
        let mut pairs: Vec<_> = self.joined.iter().map(|(edge, count)| (edge.0, edge.1, *count)).collect();
        pairs.sort_unstable();
        pairs
    }

    /// All edges between exit and entry sites, by their sites.
    pub fn edges(&self, names: &Names) -> Vec<Edge> {
        let is_hop = |exit: SiteId, entry: SiteId| {
            names.site(exit).kind.is_exit() && names.site(entry).kind.is_entry()
        };
        let mut hops: BTreeMap<(SiteId, SiteId), (u64, u64)> = BTreeMap::new();
        let joined: BTreeMap<_, _> = self.joined.iter().collect();
        for (edge, count) in joined.into_iter().filter(|(edge, _)| is_hop(edge.0, edge.1)) {
            hops.entry(*edge).or_default().0 = *count;
        }
        for edge in &self.broken {
            hops.entry((edge.exit, edge.entry)).or_default().1 = edge.pairs.len() as u64;
        }
        let edges = hops.into_iter().map(|((exit, entry), (joined, broken))| Edge {
            exit,
            entry,
            protocol: self.hops.protocol(entry),
            joined,
            broken,
        });
        edges.collect()
    }

    /// The parents that a site has most often, and how often; those with most first.
    pub fn parents(&self, site: SiteId) -> &[(SiteId, u64)] {
        self.parents.get(&site).map_or(&[], Vec::as_slice)
    }

    /// The parent that a site has in more than half of the joined cases, and how often.
    pub fn usual_parent(&self, site: SiteId) -> Option<(SiteId, u64)> {
        self.usual_parents.get(&site).copied()
    }
}

/// The span ids with the smallest hashes and the traces they occur in.
#[derive(Debug)]
pub struct SpanIdSketch {
    sample: BottomK<Sampled>,
}

/// Ids kept. Up to this many distinct ids the test for repeated ids is exact; beyond, it sees a
/// uniform sample of ids, and every occurrence of those.
const SPAN_IDS: usize = 1 << 15;

impl Default for SpanIdSketch {
    fn default() -> Self {
        Self { sample: BottomK::new(SPAN_IDS) }
    }
}

impl SpanIdSketch {
    fn observe(&mut self, trace: &TraceView<'_>, span: &SpanRecord) {
        let id = span.span_id();
        let hash = sample::hash_span_id(id);
        if !self.sample.wants(hash) || span.has(Facts::INVALID_SPAN_ID) {
            return;
        }
        self.sample.insert(Sampled {
            hash,
            trace_id: trace.trace_id,
            span_id: id,
            source: span.source,
            site: trace.names.site_of(span.operation),
            start_ns: span.start_ns(),
        });
    }

    fn merge(&mut self, other: &Self) {
        self.sample.merge(&other.sample);
    }

    /// The kept occurrences of each kept id that occurs more than once, ids by hash, occurrences by
    /// trace.
    pub fn by_id(&self) -> Vec<Vec<Sampled>> {
        let sorted = self.sample.finished();
        // With a full sample the occurrences of the last id may be incomplete; that loses nothing.
        let ids = sorted.chunk_by(|one, other| one.span_id == other.span_id);
        ids.filter(|occurrences| occurrences.len() > 1).map(<[Sampled]>::to_vec).collect()
    }
}
