//! Services that export nothing: calls to an address that never answers, and roots of other services that
//! begin inside these calls.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::attribution::{
    Attributed, Caller, Caused, Clocks, Group, ROOTS_NEEDED, attribute, extent, sampled, unexplained_roots,
};
use super::{Break, Explained, Facts, Place};
use crate::causes::{Opinion, header_stripped, service_not_instrumented};
use crate::corpus::possible_callers::{Direction, OpenSpan, Services};
use crate::finding::{Evidence, label, rate, side};
use crate::model::boundary::Protocol;
use crate::report::{Confidence, RateUnit};
use crate::store::{ServiceId, SiteId};

/// Addresses that are compared with the roots, those with most calls first.
const ADDRESSES_COMPARED: usize = 16;

/// Whom calls are made to: the peer as the callers know it, or the calls of one site where they do not say.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Address {
    Peer(Protocol, String),
    CallsOf(SiteId),
}

/// Finds them.
pub(super) fn breaks(facts: &Facts<'_>, explained: &mut Explained) -> Vec<Break> {
    let silent = silent_addresses(facts, explained);
    if silent.is_empty() {
        return Vec::new();
    }
    let clocks = Clocks::of(facts);
    let callers = callers(facts, &silent);
    let mut roots: BTreeMap<SiteId, Vec<OpenSpan>> = BTreeMap::new();
    for root in unexplained_roots(facts, explained) {
        roots.entry(facts.names.site_of(root.operation)).or_default().push(root);
    }
    let mut found = Vec::new();
    for (site, roots) in roots.into_iter().filter(|(_, roots)| roots.len() >= ROOTS_NEEDED) {
        // A call is not caused by what it causes.
        let own = facts.names.site(site).service;
        let possible = silent.iter().zip(&callers).filter(|(_, callers)| !callers.contains(&own));
        let possible: Vec<Group<&Address>> =
            possible.map(|(group, _)| Group { key: &group.key, callers: group.callers.clone() }).collect();
        for attributed in attribute(roots, &possible, &clocks, extent(facts.names, site)) {
            for caller in &attributed.group.callers {
                explained.add_exit(caller.trace_id, caller.span_id);
            }
            found.extend(by_caller(facts, site, &attributed));
        }
    }
    found
}

/// For each address the services that call it, and all that call these, directly or not.
fn callers(facts: &Facts<'_>, silent: &[Group<Address>]) -> Vec<BTreeSet<ServiceId>> {
    let services = Services::of(facts.corpus, facts.names);
    let callers = silent.iter().map(|group| {
        let direct = group.callers.iter().map(|caller| facts.names.site(caller.site).service);
        services.reachable_from(direct, Direction::Up)
    });
    callers.collect()
}

/// The calls that nothing answers, by address, where nothing ever does.
fn silent_addresses(facts: &Facts<'_>, explained: &Explained) -> Vec<Group<Address>> {
    let mut addresses: BTreeMap<Address, Vec<(i64, Caller)>> = BTreeMap::new();
    for exit in facts.corpus.hops.exits(facts.names) {
        let boundary = &facts.names.boundaries[exit.boundary as usize];
        let site = facts.names.site_of(exit.operation);
        let is_silent = boundary.protocol != Protocol::Messaging
            && !facts.corpus.usual.is_ever_answered(facts.names, site, exit.boundary)
            && !explained.has_exit(exit.trace_id, exit.span_id)
            && !facts.corpus.hops.is_linked(exit.trace_id, exit.span_id);
        if !is_silent {
            continue;
        }
        let address = match &*boundary.peer {
            "" => Address::CallsOf(site),
            peer => Address::Peer(boundary.protocol, peer.to_owned()),
        };
        addresses.entry(address).or_default().push((exit.start_ns, Caller::of_exit(facts.names, exit)));
    }
    let mut groups: Vec<Group<Address>> = addresses
        .into_iter()
        .map(|(key, mut callers)| {
            callers.sort_unstable_by_key(|(start_ns, caller)| (*start_ns, caller.trace_id, caller.span_id));
            Group { key, callers: callers.into_iter().map(|(_, caller)| caller).collect() }
        })
        .collect();
    groups.sort_by_key(|group| Reverse(group.callers.len()));
    groups.truncate(ADDRESSES_COMPARED);
    groups
}

fn by_caller(facts: &Facts<'_>, root: SiteId, attributed: &Attributed<'_, &Address>) -> Vec<Break> {
    let mut by_caller: BTreeMap<SiteId, Vec<&Caused>> = BTreeMap::new();
    for caused in &attributed.caused {
        by_caller.entry(caused.by.site).or_default().push(caused);
    }
    by_caller.into_iter().map(|(caller, caused)| found(facts, caller, root, &caused, attributed)).collect()
}

fn found(
    facts: &Facts<'_>,
    caller: SiteId,
    root: SiteId,
    caused: &[&Caused],
    attributed: &Attributed<'_, &Address>,
) -> Break {
    let is_entry = facts.names.site(root).kind.is_entry();
    let calls = attributed.group.callers.iter().filter(|exit| exit.site == caller).count() as u64;
    let proof = Evidence::NeverAnswered {
        caller: label(&side(facts.names, caller)),
        calls,
        roots: caused.len() as u64,
        unique: caused.iter().filter(|caused| caused.candidates == 1).count() as u64,
    };
    let support = [Evidence::beyond_chance(&attributed.chance), sampled(facts)];
    let profile = facts.corpus.profile(root);
    let other = is_entry && is_passed_on(facts, caused, caller);
    Break {
        rule: if is_entry { "detached-entry" } else { "detached-internal" },
        from: Some(Place::Site(caller)),
        to: Place::Site(root),
        confidence: attributed.confidence,
        severity: attributed.severity(),
        cause: Some(Opinion { cause: &service_not_instrumented::CAUSE, confidence: attributed.confidence }),
        other_causes: if other {
            vec![Opinion { cause: &header_stripped::CAUSE, confidence: Confidence::Low }]
        } else {
            Vec::new()
        },
        title: "begins a trace inside calls to a service that exports nothing".to_owned(),
        message: format!(
            "{} calls somebody of whom there is no span, and what happens behind that begins traces of its \
             own.",
            label(&side(facts.names, caller))
        ),
        spans: caused.iter().map(|caused| caused.damaged()).collect(),
        rate: Some(rate(caused.len() as u64, profile.spans, RateUnit::Spans)),
        proof,
        support: support.into_iter().flatten().collect(),
    }
}

/// Whether the requests could be those of the calls, passed on under another path: with equal methods.
fn is_passed_on(facts: &Facts<'_>, caused: &[&Caused], caller: SiteId) -> bool {
    let methods = |boundaries: &mut dyn Iterator<Item = u32>| -> BTreeSet<&str> {
        boundaries.map(|number| &*facts.names.boundaries[number as usize].method).collect()
    };
    let of_roots = methods(&mut caused.iter().filter_map(|caused| caused.root.boundary));
    let of_calls = facts.corpus.hops.exits(facts.names);
    let of_calls = of_calls.filter(|exit| facts.names.site_of(exit.operation) == caller);
    let of_calls = methods(&mut of_calls.map(|exit| exit.boundary));
    !of_roots.is_empty() && of_roots.is_subset(&of_calls)
}

#[cfg(test)]
mod tests {
    use crate::analyzers::notation::check;

    #[test]
    fn one_call_may_cause_several_roots() {
        check(
            "
web  POST /checkout  server  0..90  repeat=8
  web  POST  client  5..80  http=/charges  peer=billing
  web  GET  client  81..89  http=/stock/7  peer=stock
    stock  GET /stock/:id  server  82..88  http=/stock/7

risk  GET /score  server  20..40  http=/score/7  repeat=8   // detached-entry (service-not-instrumented)

mailer  mails process  consumer  50..150  queue=mails  repeat=8   // detached-entry (service-not-instrumented)
",
        );
    }

    #[test]
    fn a_third_party_and_requests_of_others_are_silent() {
        check(
            "
web  POST /checkout  server  0..90  repeat=30
  web  POST  client  5..80  http=/v1/charges  peer=bank

admin  GET /reports  server  300..390  http=/reports  repeat=30

admin  GET /reports  server  20..60  http=/reports
",
        );
    }

    #[test]
    fn two_requests_of_one_page_are_silent() {
        // Both are called by a browser that exports nothing; either may come first.
        check(
            "
shop  GET /user  server  0..90  http=/user  repeat=20
  shop  GET  client  3..80  http=/v2/profile  peer=identity-provider

catalog  GET /offers  server  1..40  http=/offers  repeat=10

catalog  GET /offers  server  60000001..60000040  http=/offers

shop  GET /user  server  200000..200090  http=/user  repeat=10
  shop  GET  client  200003..200080  http=/v2/profile  peer=identity-provider

catalog  GET /offers  server  200009..200140  http=/offers  repeat=10
",
        );
    }

    #[test]
    fn what_the_service_itself_calls_causes_nothing_there() {
        check(
            "
web  GET /  server  0..90  http=/  repeat=20
  web  GET  client  5..80  http=/stock/7  peer=stock
    stock  GET /stock/:id  server  10..70  http=/stock/7
      stock  GET  client  15..60  http=/rates  peer=central-bank
",
        );
    }
}
