//! The second look at every trace: what deviates from what the first look found usual.
//!
//! Everything here merges commutatively, like the corpus itself.

use super::Corpus;
use super::foreign_parents::IdJoin;
use super::losses::Losses;
use super::possible_callers::PossibleCallers;
use super::requests::{self, Requests};
use crate::store::{Names, SiteId, SpanRecord};
use crate::trace::TraceView;

/// What deviates from the usual.
#[derive(Debug, Default)]
pub struct Deviations {
    /// Spans that are missing.
    pub losses: Losses,
    /// Orphans whose parent is in another trace.
    pub id_joins: Vec<IdJoin>,
    /// Roots, and what may have called them.
    pub possible_callers: PossibleCallers,
    /// Spans of services in which something is odd.
    pub requests: Requests,
    /// By operation: whether anything is looked for in the traces in which it occurs.
    is_wanted: Vec<bool>,
}

impl Deviations {
    /// Nothing seen yet.
    pub fn new(corpus: &Corpus, names: &Names) -> Self {
        let (losses, possible_callers) = (Losses::new(corpus, names), PossibleCallers::new(corpus, names));
        let is_wanted = (0..names.sites.len() as SiteId).map(|site| {
            losses.wants(names, site) || possible_callers.wants(site) || requests::wants(corpus, names, site)
        });
        let is_wanted: Vec<bool> = is_wanted.collect();
        let is_wanted = names.operations.iter().map(|operation| is_wanted[operation.site as usize]);
        Self {
            losses,
            id_joins: Vec::new(),
            possible_callers,
            requests: Requests::default(),
            is_wanted: is_wanted.collect(),
        }
    }

    /// Whether anything is looked for in a trace with these records. Most traces of most systems are
    /// healthy, and are left out by this.
    pub fn wants(&self, records: &[SpanRecord]) -> bool {
        records.iter().any(|record| self.is_wanted[record.operation as usize])
    }

    /// Takes in the judged spans of one trace. `corpus` is finished.
    pub fn observe(&mut self, trace: &TraceView<'_>, corpus: &Corpus) {
        self.losses.observe(trace, corpus);
        self.possible_callers.observe(trace);
        self.requests.observe(trace, corpus);
    }

    /// Takes over the samples of another, which are most of its memory: every thread would hold as much
    /// otherwise.
    pub fn drain_samples(&mut self, other: &mut Self) {
        self.losses.drain_samples(&mut other.losses);
        self.possible_callers.drain_samples(&mut other.possible_callers);
        self.requests.drain_samples(&mut other.requests);
    }

    /// Joins another.
    pub fn merge(&mut self, other: &Self) {
        self.losses.merge(&other.losses);
        self.possible_callers.merge(&other.possible_callers);
        self.requests.merge(&other.requests);
    }

    /// Draws the conclusions, once everything is merged.
    pub fn finish(&mut self) {
        self.losses.finish();
        self.possible_callers.finish();
        self.requests.finish();
    }
}
