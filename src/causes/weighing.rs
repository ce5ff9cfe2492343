//! From evidence to causes. The order is that of proof: sibling exits and empty processes are
//! counted; a service none of whose hops works is what they have in common; the rest lies in
//! between.

mod clocks;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::{
    Cause, Opinion, Software, context_manager_missing, double_injection, header_stripped,
    message_context_missing, propagator_mismatch, service_not_instrumented,
};
use crate::analyzers::Case;
use crate::corpus::Edge;
use crate::corpus::matching::BrokenEdge;
use crate::diagnosis::Place;
use crate::finding::{Evidence, Finding, service_label};
use crate::model::boundary::Protocol;
use crate::report::Confidence;
use crate::store::{Names, ServiceId, SiteId};

/// Broken hops that a service needs before all of them are blamed on it: fewer may be one incident.
const HOPS_OF_A_SERVICE: u64 = 10;
/// A direction with more joined hops than this share of the broken ones works at times. Wrong pairs
/// and retries over another way stay below it.
const STILL_DEAD: f64 = 0.02;
/// Entry spans without children that a process needs before nothing is active in it, and the share of
/// exceptions (spans that a library makes with an explicit parent).
const ENTRIES_OF_A_PROCESS: u64 = 5;
const EXCEPTIONS: f64 = 0.05;

/// Why the hops of an edge are broken.
struct Why {
    leading: Opinion,
    others: Vec<Opinion>,
    evidence: Vec<Evidence>,
}

impl Why {
    const fn only(cause: &'static Cause, confidence: Confidence, evidence: Vec<Evidence>) -> Self {
        Self { leading: Opinion { cause, confidence }, others: Vec::new(), evidence }
    }

    fn or(mut self, cause: &'static Cause, confidence: Confidence) -> Self {
        self.others.push(Opinion { cause, confidence });
        self
    }
}

/// Gives findings their cause, what speaks for it, and a remedy for the software at hand.
pub fn explain(case: &Case<'_>, findings: &mut [Finding]) {
    let set_back = clocks::set_back(findings);
    for finding in findings.iter_mut() {
        clocks::explain(finding, &set_back);
    }
    explain_breaks(case, findings);
}

fn explain_breaks(case: &Case<'_>, findings: &mut [Finding]) {
    if findings.iter().all(|finding| finding.sides.1.is_none()) {
        return;
    }
    let mut reasons = reasons(case);
    let software = software_of_sites(case.names);
    for finding in findings {
        if finding.cause.is_none()
            && let (Some(Place::Site(exit)), Some(Place::Site(entry))) = finding.sides
            && let Some(why) = reasons.remove(&(exit, entry))
        {
            take_over(finding, why);
        }
        let (Some(cause), (from, Some(to))) = (finding.cause, finding.sides) else { continue };
        let [from, to] = [from.unwrap_or(to), to].map(|place| software_of(case.names, &software, place));
        finding.remedy = cause.cause.remedy(from, to);
        finding.decides = Some(cause.cause.decides.to_owned());
    }
}

fn take_over(finding: &mut Finding, why: Why) {
    finding.cause = Some(why.leading);
    finding.other_causes = why.others;
    // What speaks for the cause stands behind the proof, before what refines it.
    let refined = std::mem::take(&mut finding.support);
    finding.support = why.evidence.into_iter().chain(refined).collect();
}

/// Language and scope of every site.
fn software_of_sites(names: &Names) -> Vec<Software<'_>> {
    let mut software: Vec<Software<'_>> =
        names.sites.iter().map(|site| Software { language: "", scope: &site.scope }).collect();
    for operation in &names.operations {
        let language = &*names.resources[operation.resource as usize].sdk_language;
        let known = &mut software[operation.site as usize].language;
        *known = (*known).max(language);
    }
    software
}

/// Of a whole service the language, and no scope.
fn software_of<'n>(names: &Names, software: &[Software<'n>], place: Place) -> Software<'n> {
    match place {
        Place::Site(site) => software.get(site as usize).copied().unwrap_or_default(),
        Place::Service(service) => {
            let languages = names.sites_of(service).map(|site| software[site as usize].language);
            Software { language: languages.max().unwrap_or_default(), scope: "" }
        }
    }
}

fn reasons(case: &Case<'_>) -> BTreeMap<(SiteId, SiteId), Why> {
    let broken = case.corpus.broken_edges();
    let mut reasons: BTreeMap<(SiteId, SiteId), Why> = BTreeMap::new();
    let processes = LocalParents::of(case);
    for edge in broken {
        let why = doubled(edge).or_else(|| nothing_active(case, edge, &processes));
        if let Some(why) = why {
            reasons.insert((edge.exit, edge.entry), why);
        }
    }
    let services = Services::of(case, &reasons);
    let suspects = services.with_every_hop_broken();
    for edge in broken {
        reasons.entry((edge.exit, edge.entry)).or_insert_with(|| {
            propagator(case, edge, &services, &suspects)
                .unwrap_or_else(|| lost_between(case, edge, &services))
        });
    }
    reasons
}

fn doubled(edge: &BrokenEdge) -> Option<Why> {
    let (calls, doubled) = (edge.pairs.len(), edge.pairs.iter().filter(|pair| pair.is_doubled).count());
    (doubled > 0 && doubled * 2 >= calls).then(|| {
        let evidence = Evidence::SiblingExits { doubled: doubled as u64, calls: calls as u64 };
        Why::only(&double_injection::CAUSE, Confidence::High, vec![evidence])
    })
}

fn nothing_active(case: &Case<'_>, edge: &BrokenEdge, processes: &LocalParents) -> Option<Why> {
    let roots = edge.pairs.iter().filter(|pair| pair.exit.parent_id.is_none()).count() as f64;
    let caller = case.names.site(edge.exit).service;
    let (entries, children) = processes.0.get(&caller).copied()?;
    let is_empty = entries >= ENTRIES_OF_A_PROCESS && children as f64 <= EXCEPTIONS * entries as f64;
    (is_empty && roots >= (1.0 - EXCEPTIONS) * edge.pairs.len() as f64).then(|| {
        let evidence = Evidence::NothingActive { service: service_label(case.names, caller), entries };
        Why::only(&context_manager_missing::CAUSE, Confidence::High, vec![evidence])
    })
}

/// By service: entry spans, and spans that have one of them as parent within the service.
struct LocalParents(BTreeMap<ServiceId, (u64, u64)>);

impl LocalParents {
    fn of(case: &Case<'_>) -> Self {
        let mut found: BTreeMap<ServiceId, (u64, u64)> = BTreeMap::new();
        let sites = || (0..).zip(&case.names.sites);
        for (number, site) in sites().filter(|(_, site)| site.kind.is_entry()) {
            found.entry(site.service).or_default().0 += case.corpus.profile(number).spans;
        }
        for (parent, child, count) in case.corpus.joined_pairs() {
            let (parent, child) = (case.names.site(parent), case.names.site(child));
            if parent.kind.is_entry() && parent.service == child.service {
                found.entry(parent.service).or_default().1 += count;
            }
        }
        Self(found)
    }
}

/// Hops between a service and one partner, in one direction.
#[derive(Clone, Copy, Default)]
struct Direction {
    joined: u64,
    broken: u64,
    /// Broken hops that are calls, not messages.
    calls: u64,
}

impl Direction {
    fn is_dead(self) -> bool {
        self.broken > 0 && self.joined as f64 <= STILL_DEAD * self.broken as f64
    }
}

/// The hops of each service by partner and direction: `true` when the partner is the caller.
struct Services(BTreeMap<ServiceId, BTreeMap<(ServiceId, bool), Direction>>);

impl Services {
    /// Edges that have a reason of their own say nothing about their services.
    fn of(case: &Case<'_>, explained: &BTreeMap<(SiteId, SiteId), Why>) -> Self {
        let mut services: BTreeMap<ServiceId, BTreeMap<(ServiceId, bool), Direction>> = BTreeMap::new();
        for edge in case.corpus.edges(case.names) {
            let (caller, callee) = service_pair(case.names, &edge);
            if caller == callee || explained.contains_key(&(edge.exit, edge.entry)) {
                continue;
            }
            for (own, partner) in [(caller, (callee, false)), (callee, (caller, true))] {
                let direction = services.entry(own).or_default().entry(partner).or_default();
                direction.joined += edge.joined;
                direction.broken += edge.broken;
                direction.calls += if edge.protocol == Some(Protocol::Messaging) { 0 } else { edge.broken };
            }
        }
        Self(services)
    }

    /// Joined hops into a service, which show that it extracts, or out of it, which show that it
    /// injects. One does not show the other: a propagator of one's own may do only half.
    fn joined(&self, service: ServiceId, into: bool) -> u64 {
        let directions = self.0.get(&service).into_iter().flatten();
        directions
            .filter(|((_, by_caller), _)| *by_caller == into)
            .map(|(_, direction)| direction.joined)
            .sum()
    }

    /// Services none of whose hops works, with two partners or more; those with most partners first,
    /// because a hop that one of them explains is no evidence against another.
    fn with_every_hop_broken(&self) -> BTreeMap<ServiceId, usize> {
        let mut by_partners: Vec<_> =
            self.0.iter().map(|(service, directions)| (Reverse(directions.len()), *service)).collect();
        by_partners.sort_unstable();
        let mut suspects = BTreeMap::new();
        for (_, service) in by_partners {
            if self.is_dead(service, &suspects) {
                suspects.insert(service, suspects.len());
            }
        }
        suspects
    }

    fn is_dead(&self, service: ServiceId, suspects: &BTreeMap<ServiceId, usize>) -> bool {
        let directions = self.0.get(&service).into_iter().flatten();
        let left: Vec<&Direction> = directions
            .filter(|((partner, _), _)| !suspects.contains_key(partner))
            .map(|(_, direction)| direction)
            .collect();
        let broken: u64 = left.iter().map(|direction| direction.broken).sum();
        left.len() >= 2
            && broken >= HOPS_OF_A_SERVICE
            && left.iter().any(|direction| direction.calls > 0)
            && left.iter().all(|direction| direction.is_dead())
    }

    fn every_hop_broken(&self, names: &Names, service: ServiceId) -> (Evidence, bool) {
        let directions = || self.0.get(&service).into_iter().flatten();
        let partners =
            |is_caller: bool| directions().filter(|((_, caller), _)| *caller == is_caller).count() as u64;
        let evidence = Evidence::EveryHopBroken {
            service: service_label(names, service),
            callers: partners(true),
            callees: partners(false),
            broken: directions().map(|(_, direction)| direction.broken).sum(),
            joined: directions().map(|(_, direction)| direction.joined).sum(),
        };
        (evidence, partners(true) > 0 && partners(false) > 0)
    }
}

fn service_pair(names: &Names, edge: &Edge) -> (ServiceId, ServiceId) {
    (names.site(edge.exit).service, names.site(edge.entry).service)
}

fn propagator(
    case: &Case<'_>,
    edge: &BrokenEdge,
    services: &Services,
    suspects: &BTreeMap<ServiceId, usize>,
) -> Option<Why> {
    let sides = [edge.exit, edge.entry].map(|site| case.names.site(site).service);
    let suspect = sides.into_iter().filter(|service| suspects.contains_key(service));
    let suspect = suspect.min_by_key(|service| suspects[service])?;
    let (evidence, is_both_ways) = services.every_hop_broken(case.names, suspect);
    if is_both_ways {
        return Some(Why::only(&propagator_mismatch::CAUSE, Confidence::High, vec![evidence]));
    }
    // In one direction only, one proxy in front of the service would leave the same spans.
    let why = Why::only(&propagator_mismatch::CAUSE, Confidence::Medium, vec![evidence]);
    Some(why.or(&header_stripped::CAUSE, Confidence::Medium))
}

fn lost_between(case: &Case<'_>, edge: &BrokenEdge, services: &Services) -> Why {
    let joined = case.corpus.joined(edge.exit, edge.entry);
    let calls = joined + edge.pairs.len() as u64;
    let partly = Evidence::PartlyJoined { joined, calls };
    if edge.protocol == Protocol::Messaging {
        let evidence = if joined > 0 { vec![partly] } else { Vec::new() };
        return Why::only(&message_context_missing::CAUSE, Confidence::High, evidence);
    }
    if joined as f64 > STILL_DEAD * edge.pairs.len() as f64 {
        return Why::only(&header_stripped::CAUSE, Confidence::High, vec![partly]);
    }
    let working: Vec<Evidence> = [(edge.entry, true), (edge.exit, false)]
        .into_iter()
        .map(|(site, into)| (case.names.site(site).service, into))
        .map(|(service, into)| (service, services.joined(service, into)))
        .filter(|(_, joined)| *joined > 0)
        .map(|(service, joined)| Evidence::OtherHopsWork {
            service: service_label(case.names, service),
            joined,
        })
        .collect();
    if edge.is_rewritten {
        // A service that passes requests on under another path leaves the same spans as a proxy.
        return Why::only(&header_stripped::CAUSE, Confidence::Medium, working)
            .or(&service_not_instrumented::CAUSE, Confidence::Medium);
    }
    match working.len() {
        2 => Why::only(&header_stripped::CAUSE, Confidence::High, working),
        _ => Why::only(&header_stripped::CAUSE, Confidence::Medium, working)
            .or(&propagator_mismatch::CAUSE, Confidence::Medium),
    }
}
