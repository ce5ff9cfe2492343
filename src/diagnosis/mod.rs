//! Breaks that only all traces together explain. One stage after the other looks at what the stages
//! before it left unexplained, the surest first, so that one fault is one break: what a stage explains,
//! no later one judges again.

mod attribution;
mod batches;
mod contextless;
mod crowds;
mod exchanged_work;
mod inactive_spans;
mod losses;
mod lost_context;
mod missing_calls;
mod outside_callers;
mod processes;
mod requests_around;
mod restarted_traces;
mod silent_services;
mod surroundings;
mod truncated_trace_ids;
mod unexported_hops;

use std::collections::BTreeMap;

use rustc_hash::FxHashSet;

use self::processes::Settlement;
use crate::analyzers::{InputAbility, Rule};
use crate::causes::Opinion;
use crate::corpus::Corpus;
use crate::corpus::deviations::Deviations;
use crate::corpus::losses::Loss;
use crate::corpus::sample::{Sampled, hash_span};
use crate::corpus::traffic::Affected;
use crate::finding::{Evidence, Finding, ProposedParent, label, side, side_of_service};
use crate::model::{SpanId, TraceId};
use crate::report::{Confidence, Rate, ScopeName, Severity, Side};
use crate::store::{Names, OperationId, ServiceId, SiteId};

/// What the stages judge by.
#[derive(Clone, Copy)]
pub struct Facts<'f> {
    /// What is usual.
    pub corpus: &'f Corpus,
    /// What deviates from it.
    pub deviations: &'f Deviations,
    /// What the numbers stand for.
    pub names: &'f Names,
    /// What the inputs can tell.
    pub inputs: &'f [InputAbility],
}

/// One side of a break: an operation, or a whole service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// An operation.
    Site(SiteId),
    /// A service.
    Service(ServiceId),
}

impl Place {
    /// The service.
    pub fn service(self, names: &Names) -> ServiceId {
        match self {
            Self::Site(site) => names.site(site).service,
            Self::Service(service) => service,
        }
    }

    /// The side of a finding.
    fn side(self, names: &Names) -> Side {
        match self {
            Self::Site(site) => side(names, site),
            Self::Service(service) => side_of_service(names, service),
        }
    }
}

/// A span that a break damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// Trace.
    pub trace_id: TraceId,
    /// Span.
    pub span_id: SpanId,
    /// Its operation.
    pub operation: OperationId,
    /// Its start, ns.
    pub start_ns: i64,
    /// Where it was read.
    pub source: u64,
    /// Where it belongs.
    pub parent: Option<ProposedParent>,
}

impl Damaged {
    /// What is left of a missing span.
    fn of_loss(loss: &Loss, parent: Option<ProposedParent>) -> Self {
        Self {
            trace_id: loss.trace_id,
            span_id: loss.span_id,
            operation: loss.operation,
            start_ns: loss.start_ns,
            source: loss.source,
            parent,
        }
    }
}

/// A break and why it happened.
#[derive(Clone, Debug)]
pub struct Break {
    /// Name of the rule that reports it.
    pub rule: &'static str,
    /// The caller's side, as far as it is known; inferred unless it is the damaged one.
    pub from: Option<Place>,
    /// The callee's side.
    pub to: Place,
    /// How sure it is that the break exists.
    pub confidence: Confidence,
    /// The severity where it is below the rule's.
    pub severity: Severity,
    /// Why, where that is known.
    pub cause: Option<Opinion>,
    /// Runners-up.
    pub other_causes: Vec<Opinion>,
    /// One line without ids, to stand behind the name of the damaged side.
    pub title: String,
    /// A few sentences.
    pub message: String,
    /// Damaged spans.
    pub spans: Vec<Damaged>,
    /// How often.
    pub rate: Option<Rate>,
    /// The fact that carries it.
    pub proof: Evidence,
    /// Further facts.
    pub support: Vec<Evidence>,
}

/// What some stage has explained.
#[derive(Debug, Default)]
pub struct Explained {
    spans: FxHashSet<(TraceId, SpanId)>,
    exits: FxHashSet<(TraceId, SpanId)>,
}

impl Explained {
    /// Notes a damaged span, and that its proposed parent has what it lacked.
    pub fn add(&mut self, span: &Damaged) {
        self.spans.insert((span.trace_id, span.span_id));
        if let Some(parent) = span.parent {
            self.exits.insert((parent.trace_id, parent.span_id));
        }
    }

    /// Notes an exit whose missing answer is explained.
    pub fn add_exit(&mut self, trace_id: TraceId, span_id: SpanId) {
        self.exits.insert((trace_id, span_id));
    }

    /// Whether a damaged span is explained.
    pub fn has(&self, trace_id: TraceId, span_id: SpanId) -> bool {
        self.spans.contains(&(trace_id, span_id))
    }

    /// Whether the missing answer of an exit is explained.
    pub fn has_exit(&self, trace_id: TraceId, span_id: SpanId) -> bool {
        self.exits.contains(&(trace_id, span_id))
    }
}

/// All breaks that the stages found.
#[derive(Debug, Default)]
pub struct Diagnosis {
    breaks: Vec<Break>,
    unexplained: Vec<Loss>,
    losses_kept_of: (u64, u64),
}

/// One stage: adds the breaks it finds and notes what they explain.
type Stage = fn(&Facts<'_>, &mut Explained) -> Vec<Break>;

/// The stages, the surest first.
const STAGES: &[Stage] = &[
    crowds::breaks,
    truncated_trace_ids::breaks,
    contextless::breaks,
    restarted_traces::breaks,
    unexported_hops::breaks,
    batches::breaks,
    silent_services::breaks,
    missing_calls::breaks,
    requests_around::breaks,
    lost_context::breaks,
    exchanged_work::breaks,
    inactive_spans::breaks,
    outside_callers::breaks,
    losses::breaks,
];

impl Diagnosis {
    /// Runs all stages.
    pub fn of(facts: &Facts<'_>) -> Self {
        let mut explained = hops_of_two_traces(facts);
        let mut breaks = Vec::new();
        for stage in STAGES {
            let found = stage(facts, &mut explained);
            found.iter().flat_map(|found| &found.spans).for_each(|span| explained.add(span));
            breaks.extend(found);
        }
        let is_unexplained =
            |loss: &&Loss| loss.parent_id.is_some() && !explained.has(loss.trace_id, loss.span_id);
        let losses = &facts.deviations.losses;
        Self {
            breaks,
            unexplained: losses.rows().iter().filter(is_unexplained).copied().collect(),
            losses_kept_of: losses.kept_of(),
        }
    }

    /// Orphans that no stage explained.
    pub fn unexplained_orphans(&self) -> &[Loss] {
        &self.unexplained
    }

    /// Losses that were kept, and losses in all.
    pub const fn losses_kept_of(&self) -> (u64, u64) {
        self.losses_kept_of
    }

    /// Hops whose callee is an orphan: exit site, entry site, and how many are broken.
    pub fn broken_hops(&self, names: &Names) -> impl Iterator<Item = (SiteId, SiteId, u64)> {
        let orphans = self.breaks.iter().filter(|found| found.rule == "orphan-span");
        orphans.filter_map(|found| {
            let (Some(Place::Site(exit)), Place::Site(entry)) = (found.from, found.to) else { return None };
            let is_hop = names.site(exit).kind.is_exit() && names.site(entry).kind.is_entry();
            is_hop.then_some((exit, entry, found.spans.len() as u64))
        })
    }

    /// The breaks that a rule reports.
    pub fn of_rule(&self, rule: &Rule) -> impl Iterator<Item = &Break> {
        let name = rule.name;
        self.breaks.iter().filter(move |found| found.rule == name)
    }
}

/// How many spans start inside requests, and how many would by chance. A site is named when the requests
/// are those that lack its spans.
fn inside_requests(lacking: Option<(&Names, SiteId)>, settled: &Settlement<'_, '_>) -> Evidence {
    let lacking = lacking.filter(|_| settled.is_lacking);
    Evidence::InsideRequests {
        spans: settled.chance.entries,
        inside: settled.inside,
        unique: settled.unique(),
        at_one_point: settled.is_at_one_point.then_some(settled.chance.paired),
        lacking: lacking.map(|(names, site)| names.site(site).name.to_string()),
        expected: settled.chance.expected,
        p_exponent: (settled.chance.ln_p / std::f64::consts::LN_10).ceil() as i64,
    }
}

/// Whether all inputs keep span links: without them, what is linked on purpose looks lost.
fn tells_links(facts: &Facts<'_>) -> bool {
    facts.inputs.iter().all(|input| input.capabilities.links)
}

/// That not all spans were compared, where it is so.
fn sampled_requests(facts: &Facts<'_>) -> Vec<Evidence> {
    let (kept, seen) = facts.deviations.requests.kept_of();
    if kept < seen { vec![Evidence::SampledRequests { kept, seen }] } else { Vec::new() }
}

/// Broken hops are proven by pairing; `detached-entry` reports them.
fn hops_of_two_traces(facts: &Facts<'_>) -> Explained {
    let mut explained = Explained::default();
    for pair in facts.corpus.broken_edges().iter().flat_map(|edge| &edge.pairs) {
        explained.spans.insert((pair.entry.trace_id, pair.entry.span_id));
        explained.add_exit(pair.exit.trace_id, pair.exit.span_id);
    }
    explained
}

impl Break {
    /// Of a call without an answer only the caller's side is there to be damaged.
    fn is_from_damaged(&self) -> bool {
        self.rule == "unanswered-call" && self.from.is_some()
    }

    /// The finding, with up to `capacity` occurrences: those with the smallest hash.
    pub fn finding(&self, rule: &'static Rule, names: &Names, capacity: usize) -> Finding {
        let mut traces: Vec<TraceId> = self.spans.iter().map(|span| span.trace_id).collect();
        traces.sort_unstable();
        traces.dedup();
        let is_from_damaged = self.is_from_damaged();
        let to = Side { inferred: is_from_damaged, ..self.to.side(names) };
        let from = self.from.map(|place| Side { inferred: !is_from_damaged, ..place.side(names) });
        let damaged = if is_from_damaged { self.from.unwrap_or(self.to) } else { self.to };
        let title = format!("{} {}", label(&damaged.side(names)), self.title);
        let (spans, count) = (self.spans.len() as u64, traces.len() as u64);
        let mut finding = Finding::between(rule, from, Some(to), spans, count, title, self.proof.clone());
        finding.is_from_damaged = is_from_damaged;
        if let Place::Site(site) = damaged {
            let scope = &names.site(site).scope;
            finding.scope = (!scope.is_empty()).then(|| ScopeName { name: scope.to_string(), version: None });
        }
        finding.message.clone_from(&self.message);
        finding.confidence = self.confidence;
        finding.sides = (self.from, Some(self.to));
        finding.rate.clone_from(&self.rate);
        finding.first_ns = self.spans.iter().map(|span| span.start_ns).min();
        finding.last_ns = self.spans.iter().map(|span| span.start_ns).max();
        finding.support.clone_from(&self.support);
        finding.cause = self.cause;
        finding.other_causes.clone_from(&self.other_causes);
        finding.corpus_traces = traces;
        finding.lower_to(self.severity);
        finding.lower_when_rare();
        (finding.occurrences, finding.proposed_parents) = self.occurrences(names, capacity);
        finding.affected = vec![self.affected()];
        finding
    }

    /// Damaged spans by operation and time, trace by trace.
    fn affected(&self) -> Affected {
        let mut spans: Vec<&Damaged> = self.spans.iter().collect();
        spans.sort_unstable_by_key(|span| (span.trace_id, span.start_ns, span.span_id));
        let mut affected = Affected::default();
        for span in spans {
            affected.add(span.operation, span.trace_id, span.start_ns);
        }
        affected
    }

    fn occurrences(
        &self,
        names: &Names,
        capacity: usize,
    ) -> (Vec<Sampled>, BTreeMap<(TraceId, SpanId), ProposedParent>) {
        let sampled = |span: &Damaged| Sampled {
            hash: hash_span(span.trace_id, span.span_id),
            trace_id: span.trace_id,
            span_id: span.span_id,
            site: names.site_of(span.operation),
            start_ns: span.start_ns,
            source: span.source,
        };
        let mut spans: Vec<(Sampled, Option<ProposedParent>)> =
            self.spans.iter().map(|span| (sampled(span), span.parent)).collect();
        spans.sort_unstable_by_key(|(span, _)| *span);
        spans.dedup_by_key(|(span, _)| *span);
        spans.truncate(capacity);
        let proposed =
            spans.iter().filter_map(|(span, parent)| Some(((span.trace_id, span.span_id), (*parent)?)));
        let proposed = proposed.collect();
        (spans.into_iter().map(|(span, _)| span).collect(), proposed)
    }
}
