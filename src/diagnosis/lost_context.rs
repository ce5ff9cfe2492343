//! Work inside a process that lost the context of its request: a root that starts while a request is open
//! that lacks it.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::processes::{
    Process, SITES_COMPARED, SPANS_NEEDED, Settlement, Strays, are_receivers, by_service, is_periodic,
    is_stray_root, settle,
};
use super::{Break, Explained, Facts, Place, inside_requests, tells_links};
use crate::causes::{Opinion, async_context_lost};
use crate::finding::{Evidence, label, rate, side};
use crate::report::{Confidence, RateUnit, Severity};
use crate::store::SiteId;

/// Finds it.
pub(super) fn breaks(facts: &Facts<'_>, explained: &mut Explained) -> Vec<Break> {
    let rows = facts.deviations.requests.by_process();
    let processes = Process::all(rows, explained);
    let services = by_service(facts.names, &processes);
    services.values().flat_map(|own| of_service(facts, explained, own)).collect()
}

fn of_service(facts: &Facts<'_>, explained: &Explained, processes: &[&Process<'_>]) -> Vec<Break> {
    let mut sites: BTreeMap<SiteId, Vec<Strays<'_, '_>>> = BTreeMap::new();
    for process in processes {
        let mut own: BTreeMap<SiteId, Vec<_>> = BTreeMap::new();
        for span in process.spans.iter().filter(|span| is_stray_root(span, explained)) {
            own.entry(facts.names.site_of(span.operation)).or_default().push(span);
        }
        for (site, spans) in own {
            sites.entry(site).or_default().push(Strays { process, spans });
        }
    }
    let spans = |strays: &[Strays<'_, '_>]| strays.iter().map(|strays| strays.spans.len()).sum::<usize>();
    let mut most: Vec<(Reverse<usize>, SiteId)> =
        sites.iter().map(|(site, strays)| (Reverse(spans(strays)), *site)).collect();
    most.retain(|(spans, _)| spans.0 >= SPANS_NEEDED);
    most.sort_unstable();
    most.truncate(SITES_COMPARED);
    most.into_iter().filter_map(|(_, site)| found(facts, site, &sites[&site])).collect()
}

fn found(facts: &Facts<'_>, site: SiteId, strays: &[Strays<'_, '_>]) -> Option<Break> {
    let settled = settle(facts, site, strays)?;
    if !settled.is_lacking && (are_started_by_timers(strays) || are_receivers(strays)) {
        return None;
    }
    if !settled.is_lacking && !settled.is_at_one_point && !is_mostly_inside_one(&settled) {
        return None;
    }
    let names = facts.names;
    let spans = settled.damaged(facts);
    let profile = facts.corpus.profile(site);
    let usual = facts.corpus.usual_parent(site);
    let is_sure = settled.is_lacking && tells_links(facts);
    let confidence = if is_sure { Confidence::High } else { Confidence::Medium };
    let mut support = Vec::new();
    if let Some((parent, joined)) = usual {
        let parent = label(&side(names, parent));
        support.push(Evidence::UsualParent { parent, joined, spans: profile.spans });
    }
    support.extend(super::sampled_requests(facts));
    Some(Break {
        rule: "detached-internal",
        from: parent_place(&settled, usual).map(Place::Site),
        to: Place::Site(site),
        confidence,
        severity: Severity::Error,
        cause: Some(Opinion { cause: &async_context_lost::CAUSE, confidence }),
        other_causes: Vec::new(),
        title: "loses the context of its request".to_owned(),
        message: "The work is done for a request, but begins a trace of its own: where it was handed over, \
                  the context stayed behind."
            .to_owned(),
        rate: Some(rate(spans.len() as u64, profile.spans, RateUnit::Spans)),
        spans,
        proof: inside_requests(Some((names, site)), &settled),
        support,
    })
}

/// Where several requests are open most of the time, everything starts inside of one: no span that requests
/// lack speaks for it, and so the place in them has to, or that no other request is open.
fn is_mostly_inside_one(settled: &Settlement<'_, '_>) -> bool {
    let inside_one = settled.placed.iter().filter(|placed| placed.candidates == 1).count();
    inside_one * 2 >= settled.placed.len()
}

/// The usual parent, else the entry span of the requests.
fn parent_place(settled: &Settlement<'_, '_>, usual: Option<(SiteId, u64)>) -> Option<SiteId> {
    usual.map(|(parent, _)| parent).or(settled.kind)
}

fn are_started_by_timers(strays: &[Strays<'_, '_>]) -> bool {
    let starts = |strays: &Strays<'_, '_>| strays.spans.iter().map(|span| span.start_ns).collect();
    strays.iter().any(|strays| is_periodic(starts(strays)))
}
