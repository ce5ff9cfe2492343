//! Callers whose client makes no span: entries that are roots, and that begin inside a span which makes
//! this very call elsewhere and shows none here.

use std::collections::{BTreeMap, BTreeSet};

use super::attribution::{
    Attributed, Caller, Caused, Clocks, Group, attribute, extent, sampled, unexplained_roots,
};
use super::{Break, Explained, Facts, Place};
use crate::causes::{Opinion, caller_not_instrumented};
use crate::corpus::possible_callers::{OpenSpan, Role};
use crate::finding::{Evidence, label, rate, side};
use crate::report::RateUnit;
use crate::store::{ServiceId, SiteId};

/// Roots that show one call: their site, and index into the boundaries.
type Call = (SiteId, u32);

/// What calls a service makes, and in which spans it does not.
#[derive(Default)]
struct Known {
    numbers: BTreeSet<u32>,
    made: u64,
}

/// Finds them.
pub(super) fn breaks(facts: &Facts<'_>, explained: &mut Explained) -> Vec<Break> {
    let mut known: BTreeMap<Call, BTreeMap<ServiceId, Known>> = BTreeMap::new();
    for (number, call, made) in facts.deviations.possible_callers.calls() {
        let service = facts.names.site(call.caller).service;
        let known = known.entry((call.entry, call.boundary)).or_default().entry(service).or_default();
        known.numbers.insert(number);
        known.made += made;
    }
    let mut roots: BTreeMap<Call, Vec<OpenSpan>> = BTreeMap::new();
    for root in unexplained_roots(facts, explained) {
        let Some(boundary) = root.boundary else { continue };
        roots.entry((facts.names.site_of(root.operation), boundary)).or_default().push(root);
    }
    let (without_call, clocks) = (without_call(facts), Clocks::of(facts));
    let mut breaks = Vec::new();
    for (call, services) in known {
        let Some(roots) = roots.remove(&call) else { continue };
        let groups: Vec<Group<u64>> = services
            .into_values()
            .filter(|known| known.made > 0)
            .map(|known| group(&known, &without_call))
            .collect();
        for attributed in attribute(roots, &groups, &clocks, extent(facts.names, call.0)) {
            breaks.extend(by_caller(facts, call.0, &attributed));
        }
    }
    breaks
}

/// Spans that could have made a call and did not, by number of the call and start.
fn without_call(facts: &Facts<'_>) -> BTreeMap<u32, Vec<(i64, Caller)>> {
    let mut spans: BTreeMap<u32, Vec<(i64, Caller)>> = BTreeMap::new();
    for span in facts.deviations.possible_callers.by_start() {
        if let Role::WithoutCall(number) = span.role {
            spans.entry(number).or_default().push((span.start_ns, Caller::of_open(facts.names, span)));
        }
    }
    spans
}

fn group(known: &Known, without_call: &BTreeMap<u32, Vec<(i64, Caller)>>) -> Group<u64> {
    let callers = known.numbers.iter().filter_map(|number| without_call.get(number)).flatten();
    let mut callers: Vec<(i64, Caller)> = callers.copied().collect();
    callers.sort_unstable_by_key(|(start_ns, caller)| (*start_ns, caller.trace_id, caller.span_id));
    Group { key: known.made, callers: callers.into_iter().map(|(_, caller)| caller).collect() }
}

fn by_caller(facts: &Facts<'_>, entry: SiteId, attributed: &Attributed<'_, u64>) -> Vec<Break> {
    let mut by_caller: BTreeMap<SiteId, Vec<&Caused>> = BTreeMap::new();
    for caused in &attributed.caused {
        by_caller.entry(caused.by.site).or_default().push(caused);
    }
    by_caller.into_iter().map(|(caller, caused)| found(facts, caller, entry, &caused, attributed)).collect()
}

fn found(
    facts: &Facts<'_>,
    caller: SiteId,
    entry: SiteId,
    caused: &[&Caused],
    attributed: &Attributed<'_, u64>,
) -> Break {
    let from = label(&side(facts.names, caller));
    let roots = caused.len() as u64;
    let proof = Evidence::CallMissing {
        caller: from.clone(),
        roots,
        unique: caused.iter().filter(|caused| caused.candidates == 1).count() as u64,
        made: attributed.group.key,
        lacking: attributed.group.callers.len() as u64,
    };
    let support = [Evidence::beyond_chance(&attributed.chance), sampled(facts)];
    Break {
        rule: "detached-entry",
        from: Some(Place::Site(caller)),
        to: Place::Site(entry),
        confidence: attributed.confidence,
        severity: attributed.severity(),
        cause: Some(Opinion { cause: &caller_not_instrumented::CAUSE, confidence: attributed.confidence }),
        other_causes: Vec::new(),
        title: "is called by a client that makes no span".to_owned(),
        message: format!(
            "{from} makes this call with a span elsewhere. Here it was open, shows no call, and the request \
             arrived without context."
        ),
        spans: caused.iter().map(|caused| caused.damaged()).collect(),
        rate: Some(rate(roots, facts.corpus.profile(entry).spans, RateUnit::Spans)),
        proof,
        support: support.into_iter().flatten().collect(),
    }
}

#[cfg(test)]
mod tests {
    use crate::analyzers::notation::check;

    #[test]
    fn a_client_that_makes_other_calls_with_spans_can_lack_this_one() {
        check(
            "
orders  POST /orders  server  0..60  repeat=20
  orders  GET  client  2..9  http=/rates/7
    rates  GET /rates/:id  server  3..8  http=/rates/7
  orders  POST  client  10..50  http=/reserve
    stock  POST /reserve  server  12..40  http=/reserve

orders  POST /orders  server  2000..2060  repeat=8
  orders  GET  client  2002..2009  http=/rates/7
    rates  GET /rates/:id  server  2003..2008  http=/rates/7

stock  POST /reserve  server  2012..2040  http=/reserve  repeat=8   // detached-entry (caller-not-instrumented)
",
        );
    }

    #[test]
    fn clocks_that_differ_are_corrected() {
        // The callee's clock is three seconds behind.
        check(
            "
orders  POST /orders  server  5000..5060  repeat=20  host=one
  orders  POST  client  5010..5050  http=/reserve  host=one
    stock  POST /reserve  server  2012..2040  http=/reserve  host=two  // clock-skew

orders  POST /orders  server  7000..7060  repeat=8  host=one

stock  POST /reserve  server  4012..4040  http=/reserve  repeat=8  host=two  // detached-entry (caller-not-instrumented)
",
        );
    }

    #[test]
    fn optional_calls_and_direct_requests_are_silent() {
        check(
            "
orders  POST /orders  server  0..60  repeat=20
  orders  POST  client  10..50  http=/reserve
    stock  POST /reserve  server  12..40  http=/reserve

orders  POST /orders  server  2000..2060  repeat=20

stock  POST /reserve  server  4000..4040  http=/reserve  repeat=20

stock  POST /reserve  server  2010..2040  http=/reserve  repeat=2
",
        );
    }
}
