//! Spans that were made, or should have been, and are not there: sampled away, filtered, never ended,
//! lost with a process or on the way.
//!
//! All of these are decisions on one table of missing spans. Each step takes out of the table what it
//! explains; the order is from what leaves a mark of its own (a function of the trace id, an operation
//! that is always missing) to what is told by time and place only.

mod export;
mod processes;
mod sampler;
mod systematic;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::{Break, Damaged, Explained, Facts, Place};
use crate::causes::{Cause, Opinion};
use crate::corpus::losses::{Loss, Seen};
use crate::finding::{Evidence, label, rate, service_label, side};
use crate::model::{SpanId, TraceId};
use crate::report::{Confidence, RateUnit, Severity};
use crate::store::{ServiceId, SiteId};

/// One step: takes what it explains out of the table.
type Step = fn(&Facts<'_>, &mut Vec<Missing>) -> Vec<Break>;

const STEPS: &[Step] = &[
    sampler::explain,
    systematic::always,
    processes::replaced,
    export::in_large_traces,
    processes::at_the_end,
    systematic::at_times,
    export::callers_outside,
    export::on_the_way,
];

/// Finds them.
pub(super) fn breaks(facts: &Facts<'_>, explained: &mut Explained) -> Vec<Break> {
    let mut table = table(facts, explained);
    STEPS.iter().flat_map(|step| step(facts, &mut table)).collect()
}

/// A missing span.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "facts that do not depend on each other")]
struct Missing {
    trace_id: TraceId,
    /// The service that lost it.
    service: ServiceId,
    /// The site that it is taken to have.
    site: Option<SiteId>,
    seen: Seen,
    /// The trace has spans of the service.
    is_service_present: bool,
    /// Everything in the trace hangs on it.
    is_top: bool,
    /// The call that should be answered failed.
    is_failed: bool,
    /// Its request has no entry span either: it was not over, or nothing of it is left.
    is_unfinished: bool,
    /// It ended no earlier than this, as far as its children tell; or when the call ended. ns
    time_ns: i64,
    /// Spans of its trace.
    trace_spans: u32,
    /// Its orphans, or the call that it does not answer.
    left: Vec<Loss>,
}

impl Missing {
    fn is_call(&self) -> bool {
        self.seen == Seen::FromCall
    }
}

/// Losses by missing span: the orphans of one absent parent are one.
fn table(facts: &Facts<'_>, explained: &Explained) -> Vec<Missing> {
    let mut by_parent: BTreeMap<(TraceId, SpanId, bool), Vec<Loss>> = BTreeMap::new();
    for loss in facts.deviations.losses.rows() {
        let is_explained = match loss.seen {
            Seen::FromCall => explained.has_exit(loss.trace_id, loss.span_id),
            Seen::FromChild | Seen::FromRemoteChild => explained.has(loss.trace_id, loss.span_id),
        };
        if !is_explained {
            let id = loss.parent_id.unwrap_or(loss.span_id);
            by_parent.entry((loss.trace_id, id, loss.parent_id.is_some())).or_default().push(*loss);
        }
    }
    by_parent.into_values().filter_map(|left| missing(facts, left)).collect()
}

fn missing(facts: &Facts<'_>, left: Vec<Loss>) -> Option<Missing> {
    // A child in the same process knows best whose span it was.
    let knows_best = left.iter().min_by_key(|loss| (loss.seen, loss.service.is_none()))?;
    let own = || {
        let site = facts.names.site(facts.names.site_of(knows_best.operation));
        (!site.kind.is_entry()).then_some(site.service)
    };
    Some(Missing {
        trace_id: knows_best.trace_id,
        service: knows_best.service.or_else(own)?,
        site: knows_best.site,
        seen: knows_best.seen,
        is_service_present: knows_best.is_service_present,
        is_top: knows_best.is_top,
        is_failed: knows_best.is_failed && knows_best.seen == Seen::FromCall,
        is_unfinished: knows_best.seen == Seen::FromChild && left.iter().all(|loss| loss.request.is_none()),
        time_ns: left.iter().map(|loss| loss.end_ns).max()?,
        trace_spans: knows_best.trace_spans,
        left,
    })
}

fn by_service(table: &[Missing]) -> BTreeMap<ServiceId, Vec<&Missing>> {
    let mut services: BTreeMap<ServiceId, Vec<&Missing>> = BTreeMap::new();
    for missing in table {
        services.entry(missing.service).or_default().push(missing);
    }
    services
}

/// Takes out of the table what has a key, by key: one pass, however many keys there are.
fn take_by<K: Ord>(
    table: &mut Vec<Missing>,
    key: impl Fn(&Missing) -> Option<K>,
) -> BTreeMap<K, Vec<Missing>> {
    let mut taken: BTreeMap<K, Vec<Missing>> = BTreeMap::new();
    for missing in std::mem::take(table) {
        match key(&missing) {
            Some(key) => taken.entry(key).or_default().push(missing),
            None => table.push(missing),
        }
    }
    taken
}

/// Takes out of the table what fits.
fn take(table: &mut Vec<Missing>, fits: impl Fn(&Missing) -> bool) -> Vec<Missing> {
    table.extract_if(.., |missing| fits(missing)).collect()
}

/// Why spans of a service are missing, and what shows it.
struct Why {
    cause: &'static Cause,
    confidence: Confidence,
    others: Vec<Opinion>,
    severity: Severity,
    evidence: Vec<Evidence>,
}

impl Why {
    fn new(cause: &'static Cause, confidence: Confidence, evidence: Vec<Evidence>) -> Self {
        Self { cause, confidence, others: Vec::new(), severity: Severity::Error, evidence }
    }

    fn or(mut self, cause: &'static Cause, confidence: Confidence) -> Self {
        self.others.push(Opinion { cause, confidence });
        self
    }

    fn at_most(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }
}

/// The break that these missing spans of one service make. It is about the orphans where there are any,
/// else about the calls without an answer.
fn broken(facts: &Facts<'_>, from: Place, missing: &[Missing], why: Why) -> Option<Break> {
    let has_orphans = missing.iter().any(|missing| !missing.is_call());
    let told = missing.iter().filter(|missing| missing.is_call() != has_orphans);
    let left: Vec<&Loss> = told.flat_map(|missing| &missing.left).collect();
    let places = places(facts, &left);
    let leader = *places.first()?;
    let service = from.service(facts.names);
    let lost = missing.len() as u64;
    let spans_of_service: u64 =
        facts.names.sites_of(service).map(|site| facts.corpus.profile(site).spans).sum();
    let mut support = why.evidence;
    let proof = if support.is_empty() { missing_spans(facts, service, missing) } else { support.remove(0) };
    if proof.kind() != "missing-spans" {
        support.push(missing_spans(facts, service, missing));
    }
    support.extend(other_places(facts, &places[1..]));
    let (kept, seen) = facts.deviations.losses.kept_of();
    if kept < seen {
        support.push(Evidence::SampledLosses { kept, seen });
    }
    let spans = left.iter().map(|loss| Damaged::of_loss(loss, None));
    let (from, to) = if has_orphans { (from, Place::Site(leader)) } else { (Place::Site(leader), from) };
    Some(Break {
        rule: if has_orphans { "orphan-span" } else { "unanswered-call" },
        from: Some(from),
        to,
        confidence: if has_orphans { Confidence::Certain } else { Confidence::High },
        severity: why.severity,
        cause: Some(Opinion { cause: why.cause, confidence: why.confidence }),
        other_causes: why.others,
        title: if has_orphans {
            "has a parent that is not in the trace".to_owned()
        } else {
            "is not answered".to_owned()
        },
        message: message(facts, service, has_orphans, why.cause),
        spans: spans.collect(),
        rate: Some(rate(lost, lost + spans_of_service, RateUnit::Spans)),
        proof,
        support,
    })
}

/// The one break that all of these missing spans of several services make.
fn broken_together(facts: &Facts<'_>, missing: &[Missing], why: Why) -> Option<Break> {
    let services = by_service(missing);
    let mut counts: Vec<(u64, ServiceId)> =
        services.into_iter().map(|(service, missing)| (missing.len() as u64, service)).collect();
    counts.sort_by_key(|(count, service)| (Reverse(*count), *service));
    let (_, most) = *counts.first()?;
    let found = broken(facts, Place::Service(most), missing, why)?;
    let per_service = counts
        .iter()
        .take(SERVICES_NAMED)
        .map(|(count, service)| (service_label(facts.names, *service), *count));
    let evidence = Evidence::MissingByService {
        services: per_service.collect(),
        others: counts.len().saturating_sub(SERVICES_NAMED) as u64,
    };
    let support = found.support.into_iter();
    let support = support.map(|fact| if fact.kind() == "missing-spans" { evidence.clone() } else { fact });
    let proof = if found.proof.kind() == "missing-spans" { evidence.clone() } else { found.proof };
    let spans_in_all: u64 = counts
        .iter()
        .flat_map(|(_, service)| facts.names.sites_of(*service))
        .map(|site| facts.corpus.profile(site).spans)
        .sum();
    let lost = missing.len() as u64;
    Some(Break {
        message: format!(
            "Spans of several services are missing: {}.",
            found.cause.map_or("", |cause| cause.cause.summary)
        ),
        rate: Some(rate(lost, lost + spans_in_all, RateUnit::Spans)),
        support: support.collect(),
        proof,
        ..found
    })
}

/// Services named with their losses.
const SERVICES_NAMED: usize = 8;

fn message(facts: &Facts<'_>, service: ServiceId, has_orphans: bool, cause: &Cause) -> String {
    let service = service_label(facts.names, service);
    let what = if has_orphans {
        "The context arrived, but the record of the parent span did not reach this data."
    } else {
        "The call has no span on the other side, although such calls usually do."
    };
    format!("{what} Spans of {service} are missing: {}.", cause.summary)
}

/// Sites of what is left, the one with most spans first; of equals entry spans, then content.
fn places(facts: &Facts<'_>, left: &[&Loss]) -> Vec<SiteId> {
    let mut counts: BTreeMap<SiteId, u64> = BTreeMap::new();
    for loss in left {
        *counts.entry(facts.names.site_of(loss.operation)).or_default() += 1;
    }
    let mut sites: Vec<_> = counts.into_iter().collect();
    sites.sort_by_key(|(site, count)| (Reverse(*count), !facts.names.site(*site).kind.is_entry(), *site));
    sites.into_iter().map(|(site, _)| site).collect()
}

fn other_places(facts: &Facts<'_>, places: &[SiteId]) -> Option<Evidence> {
    const NAMED: usize = 5;
    let names = places.iter().take(NAMED).map(|site| label(&side(facts.names, *site)));
    (!places.is_empty()).then(|| Evidence::OtherPlaces {
        places: names.collect(),
        others: places.len().saturating_sub(NAMED) as u64,
    })
}

fn missing_spans(facts: &Facts<'_>, service: ServiceId, missing: &[Missing]) -> Evidence {
    let sites: BTreeSet<SiteId> = missing.iter().filter_map(|missing| missing.site).collect();
    Evidence::MissingSpans {
        service: service_label(facts.names, service),
        parents: missing.iter().filter(|missing| !missing.is_call()).count() as u64,
        answers: missing.iter().filter(|missing| missing.is_call()).count() as u64,
        operations: sites.len() as u64,
    }
}
