//! Processes in which no span is ever active: everything that they start is a root, and no entry span has
//! a child.

use super::processes::{
    Placed, Process, Request, SITES_COMPARED, Settlement, Strays, are_receivers, by_service, damaged,
    is_stray_root, place,
};
use super::{Break, Damaged, Explained, Facts, Place};
use crate::causes::{Opinion, context_manager_missing};
use crate::corpus::requests::{LocalSpan, ParentPlace};
use crate::corpus::statistics::LN_IMPROBABLE;
use crate::finding::{Evidence, rate};
use crate::report::{Confidence, RateUnit, Severity};
use crate::store::{ServiceId, SiteId};

/// Entry spans that a process needs before it can be said that none has a child: fewer may all be
/// requests that do nothing else.
const ENTRIES_NEEDED: usize = 5;
/// Spans that a library makes with an explicit parent are exceptions; more than one in twenty are none.
const EXCEPTIONS: f64 = 0.05;

/// Finds them.
pub(super) fn breaks(facts: &Facts<'_>, explained: &mut Explained) -> Vec<Break> {
    let rows = facts.deviations.requests.by_process();
    let processes = Process::all(rows, explained);
    let services = by_service(facts.names, &processes);
    services.into_iter().filter_map(|(service, own)| of_service(facts, explained, service, &own)).collect()
}

fn of_service(
    facts: &Facts<'_>,
    explained: &Explained,
    service: ServiceId,
    processes: &[&Process<'_>],
) -> Option<Break> {
    let empty: Vec<&Process<'_>> =
        processes.iter().copied().filter(|process| is_empty(process, explained)).collect();
    let roots = |process: &Process<'_>| -> usize {
        process.spans.iter().filter(|span| is_stray_root(span, explained)).count()
    };
    if empty.iter().all(|process| roots(process) == 0) {
        return None;
    }
    // A worker that does nothing but wait for messages has roots and empty requests as well.
    if are_receivers(&strays(explained, &empty, &|_| true)) {
        return None;
    }
    let all = settle_all(facts, explained, &empty);
    // Jobs of a scheduler beside the probes of an orchestrator are roots and empty requests as well.
    if all.chance.ln_p >= LN_IMPROBABLE || all.inside * 2 < all.chance.entries {
        return None;
    }
    let entries = empty.iter().map(|process| process.requests.len() as u64).sum();
    let spans = by_site(facts, explained, &empty);
    let own: usize = empty.iter().flat_map(|process| process.spans).filter(|span| !span.is_entry()).count();
    let name = facts.names.services[service as usize].name.to_string();
    Some(Break {
        rule: "detached-internal",
        from: None,
        to: Place::Service(service),
        confidence: Confidence::Certain,
        severity: Severity::Error,
        cause: Some(Opinion { cause: &context_manager_missing::CAUSE, confidence: Confidence::Certain }),
        other_causes: Vec::new(),
        title: "starts every span as a root".to_owned(),
        message: "Requests arrive with their context, but no span is ever active while they are handled: \
                  what the service does is torn into traces of one span each."
            .to_owned(),
        rate: Some(rate(spans.len() as u64, own as u64, RateUnit::Spans)),
        spans,
        proof: Evidence::NothingActive { service: name, entries },
        support: vec![super::inside_requests(None, &all)],
    })
}

fn is_empty(process: &Process<'_>, explained: &Explained) -> bool {
    let is_own = |span: &&LocalSpan| {
        !span.is_entry() && !matches!(span.parent, ParentPlace::Elsewhere | ParentPlace::MissingElsewhere)
    };
    let own = process.spans.iter().filter(is_own).count();
    let roots = process.spans.iter().filter(|span| is_stray_root(span, explained)).count();
    let entries = process.requests.len();
    let with_children = process.requests.iter().filter(|request| !request.spans.is_empty()).count();
    entries >= ENTRIES_NEEDED
        && roots >= entries
        && with_children as f64 <= EXCEPTIONS * entries as f64
        && (own - roots) as f64 <= EXCEPTIONS * own as f64
}

fn strays<'p, 'r>(
    explained: &Explained,
    processes: &[&'p Process<'r>],
    is_wanted: &dyn Fn(&LocalSpan) -> bool,
) -> Vec<Strays<'p, 'r>> {
    let of_process = |process: &&'p Process<'r>| Strays {
        process,
        spans: process
            .spans
            .iter()
            .filter(|span| is_stray_root(span, explained) && is_wanted(span))
            .collect(),
    };
    processes.iter().map(of_process).collect()
}

fn settle_all<'p, 'r>(
    facts: &Facts<'_>,
    explained: &Explained,
    processes: &[&'p Process<'r>],
) -> Settlement<'p, 'r> {
    place(facts.names, SiteId::MAX, &strays(explained, processes, &|_| true), &|_| true)
}

/// Requests have one span of most sites, so each site is placed by itself.
fn by_site(facts: &Facts<'_>, explained: &Explained, processes: &[&Process<'_>]) -> Vec<Damaged> {
    let names = facts.names;
    let roots = processes.iter().flat_map(|process| process.spans);
    let roots = roots.filter(|span| is_stray_root(span, explained));
    let mut sites: Vec<SiteId> = roots.map(|span| names.site_of(span.operation)).collect();
    sites.sort_unstable();
    sites.dedup();
    let mut found = Vec::new();
    for (number, site) in sites.into_iter().enumerate() {
        // Beyond these, it is only said which spans are damaged.
        let is_home = |_: &Request<'_>| number < SITES_COMPARED;
        let strays = strays(explained, processes, &|span| names.site_of(span.operation) == site);
        let settled = place(names, site, &strays, &is_home);
        found.extend(settled.placed.iter().map(|placed: &Placed<'_, '_>| damaged(facts, placed)));
    }
    found
}
