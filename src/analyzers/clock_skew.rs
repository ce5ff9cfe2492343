//! `clock-skew`: a process or host whose clock differs from the others', proven as an interval.

use std::collections::BTreeSet;

use super::{Analyzer, Case, Rule};
use crate::corpus::clocks::{Bounds, Clock, Course, Standing, ns_per_second};
use crate::corpus::sample::Sampled;
use crate::finding::{Evidence, Finding, rate};
use crate::model::time::human_duration;
use crate::report::{CheckNotPossible, Confidence, RateUnit, Severity, Side};

static RULE: Rule = Rule {
    name: "clock-skew",
    severity: Severity::Warning,
    summary: "The clock of a process or host differs from the others'.",
    what: "A clock offset that no network delay explains: over all calls between two processes, the times \
           of caller and callee leave an interval of possible offsets that does not contain zero, all the \
           time, from one moment on, or more and more. Never judged from a single span: at least 8 calls, of \
           which 75 % have to agree. The clock that differs from most others is named.",
    why: "Children seem to start before their parents, waterfalls and latencies between services are wrong, \
          and spans near the edge of a window or a retention period get lost.",
    fix: "Synchronise the clock of the named host or process.
Check the time service on the host: `chronyc tracking` or `timedatectl timesync-status`.
Virtual machines: use the hypervisor's clock source (kvm-clock, ptp) and resync after suspend.
Containers share the clock of their node; a single process that differs runs under a changed clock (libfaketime).",
    example: "
web  GET stock  client  0..30  host=a  repeat=25
  stock  GET /stock  server  1010..1020  host=b
web  GET price  client  0..30  host=a  repeat=25
  price  GET /price  server  10..20  host=c   // clock-skew: stock (clock-offset)
",
};

/// Hops between two clocks that are needed to be sure. With 8 hops and 25 % outliers allowed, 6 have to
/// agree, which is little; at 20 the simulated rate of false proofs is below 2 %.
const HOPS_FOR_HIGH: usize = 20;

/// Services named in coverage because their clocks cannot be told apart.
const SERVICES_NAMED: usize = 20;

/// The analyzer.
pub(super) struct ClockSkew;

impl Analyzer for ClockSkew {
    fn rule(&self) -> &'static Rule {
        &RULE
    }

    fn judge(&self, case: &Case<'_>) -> Vec<Finding> {
        case.corpus.clock_network.standings.iter().map(|standing| finding(case, standing)).collect()
    }

    fn not_possible(&self, case: &Case<'_>) -> Vec<CheckNotPossible> {
        let services = case.corpus.clocks.unidentified_services(case.names);
        let others = services.len().saturating_sub(SERVICES_NAMED);
        let named = services.iter().take(SERVICES_NAMED).map(ToString::to_string);
        let more = (others > 0).then(|| format!("{others} more services"));
        let services = named.chain(more).map(|service| CheckNotPossible {
            rule: RULE.name.to_owned(),
            reason: format!("{service}: neither host.* nor service.instance.id in the resource"),
        });
        let edited = case.lacking(
            RULE.name,
            |capabilities| capabilities.edited_by_source,
            "the backend may have shifted times before the export",
        );
        services.chain(edited).collect()
    }
}

fn side(clock: &Clock) -> Side {
    let process = clock.process.as_ref();
    let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Side {
        namespace: process.and_then(|process| filled(&process.namespace)),
        service: process.map(|process| process.service.to_string()),
        operation: None,
        kind: None,
        inferred: false,
    }
}

fn finding(case: &Case<'_>, standing: &Standing) -> Finding {
    let pairs = standing.pairs as u64;
    let traces: BTreeSet<_> = standing.shifted().map(|hop| hop.trace_id).collect();
    let affected = standing.shifted().count() as u64;
    let mut finding = Finding::between(
        &RULE,
        Some(side(&standing.partner)),
        Some(side(&standing.clock)),
        affected,
        traces.len() as u64,
        title(standing),
        proof(standing),
    );
    let is_sure = standing.pairs >= HOPS_FOR_HIGH;
    finding.confidence = if is_sure { Confidence::High } else { Confidence::Medium };
    finding.rate = Some(rate(affected, pairs, RateUnit::Calls));
    finding.first_ns = standing.hops.iter().map(|hop| hop.hop.start_ns).min();
    finding.last_ns = standing.hops.iter().map(|hop| hop.hop.start_ns).max();
    finding.support.push(Evidence::ClocksCouldAgree { pairs: pairs - affected, total: pairs });
    if standing.right_clocks > 1 {
        finding.support.push(Evidence::AgreeingClocks { clocks: standing.right_clocks as u64 - 1 });
    }
    if standing.is_ambiguous {
        finding.message = String::from(ambiguity(standing));
        finding.decides =
            Some("The time service of both hosts: `chronyc tracking` shows its offset.".to_owned());
    } else {
        finding.message = String::from("The other clocks agree with each other, so this one is wrong.");
    }
    finding.occurrences = occurrences(case, standing);
    finding.corpus_traces = traces.into_iter().collect();
    finding
}

const fn ambiguity(standing: &Standing) -> &'static str {
    if standing.right_clocks == 1 && standing.partners == 1 {
        "No third clock was compared, so the data cannot tell which of the two is wrong."
    } else {
        "As many clocks or hosts speak against the others as against this one, so the data cannot tell which \
         are wrong."
    }
}

fn title(standing: &Standing) -> String {
    let (clock, reference) = (standing.clock.label(), standing.partner.label());
    match standing.course {
        Course::Constant(Bounds { low_ns, high_ns }) => {
            let (at_least, direction) = if high_ns < 0 { (-high_ns, "behind") } else { (low_ns, "ahead of") };
            let at_least = human_duration(at_least);
            format!("the clock of {clock} is {at_least} or more {direction} that of {reference}")
        }
        Course::Step { before, after, .. } => {
            let moved_ns = after.middle_ns() - before.middle_ns();
            let direction = if moved_ns < 0 { "back" } else { "forward" };
            format!("the clock of {clock} was set {direction} by {}", human_duration(moved_ns.abs()))
        }
        Course::Drift { rate, .. } => {
            let direction = if rate < 0.0 { "slower" } else { "faster" };
            let a_second = human_duration(ns_per_second(rate).abs());
            format!("the clock of {clock} goes {a_second} a second {direction} than that of {reference}")
        }
    }
}

fn proof(standing: &Standing) -> Evidence {
    let clock = standing.clock.label();
    let others = standing.partners.saturating_sub(1);
    let reference = match others {
        0 => standing.partner.label(),
        1 => format!("{} and one other", standing.partner.label()),
        _ => format!("{} and {others} others", standing.partner.label()),
    };
    let (pairs, agreeing) = (standing.pairs as u64, standing.agreeing as u64);
    match standing.course {
        Course::Constant(offset) => {
            let (low_ns, high_ns) = offset.known();
            Evidence::ClockOffset { clock, reference, low_ns, high_ns, pairs, agreeing }
        }
        Course::Step { at_ns, before, after } => Evidence::ClockStep {
            clock,
            reference,
            at_ns,
            before_ns: before.known(),
            after_ns: after.known(),
            pairs,
            agreeing,
        },
        Course::Drift { origin_ns, rate, .. } => {
            let last_ns = standing.hops.last().map_or(origin_ns, |hop| hop.measured.at_ns);
            Evidence::ClockDrift {
                clock,
                reference,
                ns_per_second: ns_per_second(rate),
                first_ns: standing.course.at(origin_ns).middle_ns(),
                last_ns: standing.course.at(last_ns).middle_ns(),
                pairs,
                agreeing,
            }
        }
    }
}

fn occurrences(case: &Case<'_>, standing: &Standing) -> Vec<Sampled> {
    let mut spans: Vec<Sampled> = standing
        .shifted()
        .map(|hop| Sampled {
            hash: hop.hash,
            trace_id: hop.trace_id,
            span_id: hop.span_id,
            source: 0,
            site: case.names.site_of(hop.server),
            start_ns: hop.start_ns,
        })
        .collect();
    spans.sort_unstable();
    spans.truncate(case.seen.capacity());
    spans
}

#[cfg(test)]
mod tests {
    use crate::analyzers::notation::check;

    #[test]
    fn late_server_ends_are_no_skew() {
        check(
            "
web  GET stock  client  0..30  host=a  repeat=30
  stock  GET /stock  server  5..31  host=b
",
        );
    }

    #[test]
    fn few_calls_prove_nothing() {
        check(
            "
web  GET stock  client  0..30  host=a  repeat=7
  stock  GET /stock  server  1010..1020  host=b
",
        );
    }

    #[test]
    fn a_clock_behind_is_seen_at_the_start_side() {
        check(
            "
web  GET stock  client  1000..1030  host=a  repeat=20
  stock  GET /stock  server  10..20  host=b   // clock-skew
",
        );
    }

    #[test]
    fn processes_without_host_and_instance_are_not_compared() {
        check(
            "
web  GET stock  client  0..30  repeat=30
  stock  GET /stock  server  1010..1020
",
        );
    }

    #[test]
    fn the_clock_in_the_middle_of_a_chain_is_the_wrong_one() {
        check(
            "
web  GET cart  client  0..90  host=a  repeat=30
  cart  GET /cart  server  510..570  host=b   // clock-skew (clock-offset)
    cart  GET stock  client  520..560  host=b
      stock  GET /stock  server  30..50  host=c
",
        );
    }

    #[test]
    fn a_clock_that_goes_wrong_late_is_found() {
        check(
            "
web  GET stock  client  0..30  host=a  repeat=90
  stock  GET /stock  server  10..20  host=b
web  GET price  client  0..30  host=a  repeat=120
  price  GET /price  server  10..20  host=c

web  GET stock  client  1000000..1000030  host=a  repeat=30
  stock  GET /stock  server  1000510..1000520  host=b   // clock-skew (clock-step)
",
        );
    }

    #[test]
    fn a_host_of_which_all_processes_are_off_is_one_finding() {
        check(
            "
web  GET stock  client  0..60  host=a  repeat=30
  stock  GET /stock  server  510..520  host=b
web  GET price  client  0..60  host=a  repeat=30
  price  GET /price  server  510..520  host=b   // clock-skew:
web  GET user  client  0..60  host=a  repeat=30
  user  GET /user  server  10..20  host=c
",
        );
    }

    #[test]
    fn hops_in_two_traces_are_paired_on_corrected_times() {
        check(
            "
web  GET  client  0..30  host=a  http=/stock/7  repeat=30
  stock  GET /stock/:id  server  3010..3020  host=b  http=/stock/7   // clock-skew (clock-offset)
web  GET price  client  0..30  host=a  repeat=30
  price  GET /price  server  10..20  host=c

web  GET  client  500000..500030  host=a  http=/stock/7  repeat=8

stock  GET /stock/:id  server  503010..503020  host=b  http=/stock/7  repeat=8   // detached-entry
",
        );
    }
}
