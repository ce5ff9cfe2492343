//! What is needed across traces: how often each site occurs, which parent it usually has, and how
//! the clocks of two processes stand to each other.
//!
//! Everything here merges commutatively and associatively, so that threads, spilled partitions and
//! earlier windows can be joined in any order.

pub(crate) mod assignment;
pub mod clocks;
pub mod composition;
pub mod deviations;
pub mod enclosing;
pub mod foreign_parents;
pub mod histogram;
pub mod hops;
pub mod in_process;
pub mod losses;
pub mod matching;
pub mod possible_callers;
pub mod requests;
pub mod sample;
pub mod statistics;
pub mod traffic;
pub mod usual;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::model::boundary::Protocol;
use crate::model::{SpanId, TraceId};
use crate::store::{Facts, Names, SiteId, SpanRecord};
use crate::trace::{Parent, TraceView};
use clocks::{ClockNetwork, ClockPairs};
use composition::Composition;
use deviations::Deviations;
use hops::Hops;
use matching::BrokenEdge;
use sample::{BottomK, Sampled};
use traffic::Traffic;
use usual::Usual;

/// Facts across traces, while they are collected.
#[derive(Debug, Default)]
pub struct Corpus {
    sites: Vec<SiteProfile>,
    joined: FxHashMap<(SiteId, SiteId), u64>,
    parents: BTreeMap<SiteId, Vec<(SiteId, u64)>>,
    children: BTreeMap<SiteId, u64>,
    /// Call-like hops that bound the difference of two clocks.
    pub clocks: ClockPairs,
    /// How often each operation occurs, and when.
    pub traffic: Traffic,
    /// Which clocks are off, and by how much, once everything is merged.
    pub clock_network: ClockNetwork,
    /// Sample of span ids that shows ids which occur in many traces.
    pub span_ids: SpanIdSketch,
    /// Who answers, how long things take, when processes were seen.
    pub usual: Usual,
    /// What requests usually consist of.
    pub composition: Composition,
    /// Hops of which the sides lie in different traces.
    pub hops: Hops,
    broken: Vec<BrokenEdge>,
    restarted: Vec<BrokenEdge>,
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
        self.traffic.begin_trace();
        for (index, span) in trace.nodes() {
            self.traffic.observe(trace, span.operation, span.start_ns());
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
        self.clock_network.forget_samples();
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
        self.traffic.merge(&other.traffic);
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
        self.clock_network = ClockNetwork::of(&self.clocks, names);
        let edges: BTreeMap<_, _> = self.joined.iter().collect();
        for ((parent, site), count) in edges {
            self.parents.entry(*site).or_default().push((*parent, *count));
            *self.children.entry(*parent).or_default() += *count;
        }
        for parents in self.parents.values_mut() {
            parents.sort_by_key(|(_, count)| Reverse(*count));
            parents.truncate(PARENTS_KEPT);
        }
    }

    /// What has to be added to a time that the clock of this resource (a number of [`Names::resources`])
    /// showed, so that it can be compared with times of other resources, ns. 0 where the clock is right
    /// or not known to be wrong.
    pub fn clock_correction_ns(&self, resource: u32, at_ns: i64) -> i64 {
        self.clock_network.correction_ns(resource, at_ns)
    }

    /// Pairs what is left of hops that fell apart, when everything else is known: what is joined by ids
    /// takes no part in it, and neither do calls that an orphan of their own trace answers.
    pub fn pair_hops(&mut self, names: &Names, deviations: &Deviations) {
        let mut taken: FxHashSet<(TraceId, SpanId)> = FxHashSet::default();
        for join in &deviations.id_joins {
            taken.insert((join.orphan.trace_id, join.orphan.span_id));
            taken.insert((join.parent.trace_id, join.parent.span_id));
        }
        for loss in deviations.losses.rows() {
            taken.extend(loss.exit.map(|(exit, _)| (loss.trace_id, exit)));
        }
        let edges = matching::broken_edges(&self.hops, &taken, &self.clocks, &self.clock_network, names);
        (self.restarted, self.broken) = edges.into_iter().partition(|edge| edge.is_restarted);
    }

    /// How often a site occurs.
    pub fn profile(&self, site: SiteId) -> SiteProfile {
        self.sites.get(site as usize).copied().unwrap_or_default()
    }

    /// Edges of which hops were found in two traces, by exit and entry site.
    pub fn broken_edges(&self) -> &[BrokenEdge] {
        &self.broken
    }

    /// Edges of which the entries are orphans on top of another trace, by exit and entry site.
    pub fn restarted_edges(&self) -> &[BrokenEdge] {
        &self.restarted
    }

    /// Whether span ids do not repeat, as far as the sample shows: one id in two traces of which neither
    /// is the other's, cut to 64 bits.
    pub fn has_random_ids(&self) -> bool {
        let differ = |two: &[Sampled]| two[0].trace_id.low64() != two[1].trace_id.low64();
        self.span_ids.by_id().iter().all(|occurrences| !occurrences.windows(2).any(differ))
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
        for edge in self.broken.iter().chain(&self.restarted) {
            hops.entry((edge.exit, edge.entry)).or_default().1 += edge.pairs.len() as u64;
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

    /// Spans that have one of this site as parent.
    pub fn children(&self, site: SiteId) -> u64 {
        self.children.get(&site).copied().unwrap_or_default()
    }

    /// The parents that a site has most often, and how often; those with most first.
    pub fn parents(&self, site: SiteId) -> &[(SiteId, u64)] {
        self.parents.get(&site).map_or(&[], Vec::as_slice)
    }

    /// The parent that a site has in more than half of the joined cases, and how often.
    pub fn usual_parent(&self, site: SiteId) -> Option<(SiteId, u64)> {
        let most = self.parents(site).first().copied();
        most.filter(|(_, count)| *count * 2 > self.profile(site).joined)
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
