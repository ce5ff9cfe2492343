//! Callers that never make a span for a call: entries none of which ever has a parent, and that all run
//! inside requests of one other service.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::attribution::{Caller, Caused, sampled, unexplained_roots};
use super::{Break, Explained, Facts, Place};
use crate::causes::{Opinion, caller_not_instrumented};
use crate::corpus::enclosing::{Interval, enclosed_beyond_chance, shortest_around};
use crate::corpus::matching::Chance;
use crate::corpus::possible_callers::{Direction, OpenSpan, ROOTS_NEEDED, Role, Services};
use crate::finding::{Evidence, rate};
use crate::report::{Confidence, RateUnit, Severity};
use crate::store::{ServiceId, SiteId};

/// A caller that waits encloses all of its calls. This share of exceptions leaves room for clients that
/// give up, and for single requests from elsewhere.
const EXCEPTIONS: f64 = 0.02;

/// Requests that are open more than half of the time enclose anything.
const MOSTLY_OPEN: f64 = 0.5;

/// Services that are compared with the roots, those with most requests first.
const SERVICES_COMPARED: usize = 64;

/// Requests of one service, by start, and when they ran.
struct Requests {
    service: ServiceId,
    /// The service and all that call it, directly or not: what they call is not their caller.
    callers: BTreeSet<ServiceId>,
    spans: Vec<OpenSpan>,
    intervals: Vec<Interval>,
}

/// Finds them.
pub(super) fn breaks(facts: &Facts<'_>, explained: &mut Explained) -> Vec<Break> {
    let mut roots: BTreeMap<SiteId, Vec<OpenSpan>> = BTreeMap::new();
    for root in unexplained_roots(facts, explained) {
        let site = facts.names.site_of(root.operation);
        if facts.names.site(site).kind.is_entry() && facts.corpus.parents(site).is_empty() {
            roots.entry(site).or_default().push(root);
        }
    }
    roots.retain(|_, roots| roots.len() as u64 >= ROOTS_NEEDED);
    if roots.is_empty() {
        return Vec::new();
    }
    let requests = requests(facts);
    let mut breaks = Vec::new();
    for (site, roots) in roots {
        breaks.extend(enclosing_service(facts, site, &roots, &requests));
    }
    breaks
}

fn requests(facts: &Facts<'_>) -> Vec<Requests> {
    let mut requests: BTreeMap<ServiceId, Vec<OpenSpan>> = BTreeMap::new();
    for span in facts.deviations.possible_callers.by_start() {
        if span.role == Role::Request {
            let service = facts.names.site(facts.names.site_of(span.operation)).service;
            requests.entry(service).or_default().push(*span);
        }
    }
    let mut most: Vec<(ServiceId, Vec<OpenSpan>)> = requests.into_iter().collect();
    most.sort_by_key(|(_, spans)| Reverse(spans.len()));
    most.truncate(SERVICES_COMPARED);
    let services = Services::of(facts.corpus, facts.names);
    let requests = most.into_iter().map(|(service, spans)| Requests {
        service,
        callers: services.reachable_from([service], Direction::Up),
        intervals: spans.iter().map(OpenSpan::interval).collect(),
        spans,
    });
    requests.collect()
}

/// Of the services whose requests enclose the roots, the one that does it least by chance: the callers of
/// the caller are open longer.
fn enclosing_service(
    facts: &Facts<'_>,
    site: SiteId,
    roots: &[OpenSpan],
    requests: &[Requests],
) -> Option<Break> {
    let own = facts.names.site(site).service;
    let inner: Vec<Interval> = roots.iter().map(OpenSpan::interval).collect();
    let mut best: Option<(Chance, ServiceId, Vec<Caused>)> = None;
    for requests in requests.iter().filter(|requests| !requests.callers.contains(&own)) {
        let caused: Vec<Caused> = shortest_around(&inner, &requests.intervals)
            .into_iter()
            .zip(roots)
            .filter_map(|(around, root)| {
                let (at, candidates) = around?;
                Some(Caused {
                    root: *root,
                    by: Caller::of_open(facts.names, &requests.spans[at]),
                    candidates,
                })
            })
            .collect();
        // What begins and ends together tells nothing of the order.
        let alike = caused.iter().filter(|caused| caused.root.interval().is_like(caused.by.interval)).count();
        if (caused.len() as f64) < (1.0 - EXCEPTIONS) * roots.len() as f64 || alike * 2 > caused.len() {
            continue;
        }
        let chance = enclosed_beyond_chance(&inner, &requests.intervals, caused.len() as u64);
        let is_better = best.as_ref().is_none_or(|(known, ..)| chance.ln_p < known.ln_p);
        if chance.is_improbable() && chance.expected < MOSTLY_OPEN && is_better {
            best = Some((chance, requests.service, caused));
        }
    }
    let (chance, service, caused) = best?;
    Some(found(facts, site, roots.len() as u64, &chance, service, &caused))
}

fn found(
    facts: &Facts<'_>,
    site: SiteId,
    roots: u64,
    chance: &Chance,
    service: ServiceId,
    caused: &[Caused],
) -> Break {
    let name = facts.names.services[service as usize].name.to_string();
    let support = [Evidence::beyond_chance(chance), sampled(facts)];
    Break {
        rule: "detached-entry",
        from: Some(Place::Service(service)),
        to: Place::Site(site),
        confidence: Confidence::Medium,
        // Somebody outside who calls both services at the same time leaves the same spans.
        severity: Severity::Warning,
        cause: Some(Opinion { cause: &caller_not_instrumented::CAUSE, confidence: Confidence::Medium }),
        other_causes: Vec::new(),
        title: format!("is called only while {name} handles requests, and never with a context"),
        message: format!(
            "No span calls it, and it runs only inside requests of {name}: that service seems to call it with \
             a client that makes no spans. Somebody outside who always calls both at the same time would leave \
             the same."
        ),
        spans: caused.iter().map(Caused::damaged).collect(),
        rate: Some(rate(caused.len() as u64, facts.corpus.profile(site).spans, RateUnit::Spans)),
        proof: Evidence::RequestsAround { service: name, enclosed: caused.len() as u64, roots },
        support: support.into_iter().flatten().collect(),
    }
}

#[cfg(test)]
mod tests {
    use crate::analyzers::notation::check;

    #[test]
    fn a_service_that_runs_only_inside_requests_of_another_is_called_by_it() {
        check(
            "
web  GET /  server  0..90  http=/  repeat=24
  web  POST  client  5..80  http=/orders
    orders  POST /orders  server  10..70  http=/orders

stock  POST /reserve  server  20..40  http=/reserve  repeat=24   // detached-entry (caller-not-instrumented)
",
        );
    }

    #[test]
    fn requests_from_outside_come_at_any_time() {
        check(
            "
web  GET /  server  0..90  http=/  repeat=24

stock  POST /reserve  server  20..40  http=/reserve  repeat=22

stock  POST /reserve  server  200..240  http=/reserve  repeat=3
",
        );
    }
}
