//! Spans that went with their process: it was replaced, or nothing of it comes after the first loss.

use std::collections::BTreeMap;

use super::{Break, Facts, Missing, Place, Why, broken, broken_together, by_service, take, take_by};
use crate::causes::{exit_without_flush, process_crash, window_edge};
use crate::corpus::losses::TOLERANCE_NS;
use crate::corpus::statistics::{LN_IMPROBABLE, ln_at_least};
use crate::corpus::usual::Lifetime;
use crate::finding::{Evidence, service_label};
use crate::report::{Confidence, Severity};
use crate::store::ServiceId;

/// Losses at a restart that are more than one request in flight.
const LOSSES: usize = 3;
/// Processors export every five seconds by default (`OTEL_BSP_SCHEDULE_DELAY`), and what ended within that
/// time may be in no export yet. Twice that also covers the export itself.
const EXPORT_NS: i64 = 10_000_000_000;
/// Part of the data that may be its edge, at most.
const EDGE: i64 = 10;
/// Share of the losses of a service that lie behind its last span when it was cut off: orphans of an
/// exporter with another schedule may come after it.
const BEHIND: f64 = 0.8;

/// Processes that another one of the same service took over from, with losses in between.
pub(super) fn replaced(facts: &Facts<'_>, table: &mut Vec<Missing>) -> Vec<Break> {
    let gaps = gaps_by_service(facts);
    let mut taken = take_by(table, |missing| gaps.contains_key(&missing.service).then_some(missing.service));
    let mut breaks = Vec::new();
    for (service, missing) in &mut taken {
        for gap in &gaps[service] {
            breaks.extend(lost_in_gap(facts, missing, *service, *gap));
        }
    }
    table.extend(taken.into_values().flatten());
    breaks
}

/// Replacements of one service that are looked at, those with the longest time in between: each costs a
/// look at all of its losses.
const GAPS_COMPARED: usize = 256;

/// From the last span of one process to the first of the next, ns.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Gap {
    from_ns: i64,
    to_ns: i64,
}

/// Moments at which no process of a service was seen, between two that were; services without any are left
/// out.
fn gaps_by_service(facts: &Facts<'_>) -> BTreeMap<ServiceId, Vec<Gap>> {
    let mut processes: BTreeMap<(&str, &str), BTreeMap<&str, Lifetime>> = BTreeMap::new();
    for (resource, info) in facts.names.resources.iter().enumerate() {
        let lifetime = facts.corpus.usual.lifetime(resource as u32);
        if lifetime.spans > 0 && !info.instance.is_empty() {
            let own = processes.entry((&info.namespace, &info.service)).or_default();
            own.entry(&info.instance).or_default().merge(lifetime);
        }
    }
    let services = (0..).zip(&facts.names.services);
    let gaps = services.filter_map(|(number, service)| {
        let processes = processes.get(&(&*service.namespace, &*service.name))?;
        Some((number, gaps(processes.values().copied().collect())))
    });
    gaps.filter(|(_, gaps)| !gaps.is_empty()).collect()
}

/// Moments outside of all of these, between two of them, by time.
fn gaps(mut lifetimes: Vec<Lifetime>) -> Vec<Gap> {
    lifetimes.sort_unstable_by_key(|lifetime| (lifetime.first_ns, lifetime.last_ns));
    let mut gaps = Vec::new();
    let mut last_ns = i64::MAX;
    for lifetime in lifetimes {
        if lifetime.first_ns > last_ns {
            gaps.push(Gap { from_ns: last_ns, to_ns: lifetime.first_ns });
        }
        last_ns = if last_ns == i64::MAX { lifetime.last_ns } else { last_ns.max(lifetime.last_ns) };
    }
    gaps.sort_by_key(|gap| gap.from_ns - gap.to_ns);
    gaps.truncate(GAPS_COMPARED);
    gaps.sort_unstable();
    gaps
}

/// What the service lost, without what others explain: takes what was lost in one gap.
fn lost_in_gap(
    facts: &Facts<'_>,
    of_service: &mut Vec<Missing>,
    service: ServiceId,
    gap: Gap,
) -> Option<Break> {
    // A request that was under way when the process ended began up to this much before.
    let request_ns = facts.corpus.usual.requests(service).and_then(|requests| requests.quantile(0.99));
    let slack_ns = request_ns.unwrap_or(0).max(TOLERANCE_NS);
    let is_in_gap = |missing: &Missing| {
        missing.time_ns >= gap.from_ns.saturating_sub(slack_ns)
            && missing.time_ns <= gap.to_ns.saturating_add(slack_ns)
    };
    let all = of_service.len();
    let lost = of_service.iter().filter(|missing| is_in_gap(missing)).count();
    let failed = of_service.iter().filter(|missing| is_in_gap(missing) && missing.is_failed).count();
    if lost < LOSSES || !is_concentrated(facts, gap, slack_ns, lost, all) {
        return None;
    }
    let missing = take(of_service, is_in_gap);
    let evidence = Evidence::ProcessReplaced {
        service: service_label(facts.names, service),
        gap_ns: gap.to_ns - gap.from_ns,
        lost: lost as u64,
        failed: failed as u64,
    };
    let why = if failed > 0 {
        Why::new(&process_crash::CAUSE, Confidence::High, vec![evidence])
            .or(&exit_without_flush::CAUSE, Confidence::Low)
    } else {
        Why::new(&exit_without_flush::CAUSE, Confidence::Medium, vec![evidence])
            .or(&process_crash::CAUSE, Confidence::Medium)
    };
    broken(facts, Place::Service(service), &missing, why)
}

/// A restart alone is a deployment. The losses have to lie at it, and not be spread over the time.
fn is_concentrated(facts: &Facts<'_>, gap: Gap, slack_ns: i64, lost: usize, all: usize) -> bool {
    let whole = facts.corpus.usual.whole();
    let span_ns = (whole.last_ns - whole.first_ns).max(1) as f64;
    let share = (gap.to_ns - gap.from_ns + 2 * slack_ns) as f64 / span_ns;
    lost == all || ln_at_least(lost as u64, all as u64, share) < LN_IMPROBABLE
}

/// Losses at the end of the data: one service alone stopped, or everything is cut.
pub(super) fn at_the_end(facts: &Facts<'_>, table: &mut Vec<Missing>) -> Vec<Break> {
    let whole = facts.corpus.usual.whole();
    if table.is_empty() || whole.spans == 0 {
        return Vec::new();
    }
    let trace_ns = facts.corpus.usual.traces.quantile(0.99).unwrap_or(0);
    let under_way_ns = whole.last_ns.saturating_sub(trace_ns.saturating_mul(2));
    let edge_ns =
        under_way_ns.saturating_sub(EXPORT_NS).max(whole.last_ns - (whole.last_ns - whole.first_ns) / EDGE);
    let is_at_edge = |missing: &Missing| {
        missing.time_ns >= edge_ns || missing.is_unfinished && missing.time_ns >= under_way_ns
    };
    let last_ns =
        |service: ServiceId| facts.deviations.losses.kept(service).map_or(i64::MIN, |kept| kept.last_ns);
    // By service: its losses.
    let mut cut: BTreeMap<ServiceId, usize> = BTreeMap::new();
    let mut others = 0;
    for (service, missing) in by_service(table) {
        let told: Vec<_> = missing.iter().filter(|missing| !missing.is_failed).collect();
        let behind = told
            .iter()
            .filter(|missing| missing.time_ns >= last_ns(service).saturating_sub(TOLERANCE_NS))
            .count();
        let are_at_edge = told.iter().all(|missing| is_at_edge(missing));
        if behind as f64 >= BEHIND * told.len() as f64 || are_at_edge {
            cut.insert(service, missing.len());
        } else {
            // Calls alone may be answered by a cache.
            let has_orphans = told.iter().any(|missing| !missing.is_call());
            others += usize::from(has_orphans && told.len() >= LOSSES);
        }
    }
    // Losses that go on all the time take spans of the last seconds as well.
    if cut.is_empty() || others > 0 {
        return Vec::new();
    }
    // Answers that are merely late look the same: the others have to go on for twice the time that all
    // but a hundredth of the traces take.
    let stopped: Vec<ServiceId> = cut
        .iter()
        .filter(|(_, losses)| **losses >= LOSSES)
        .map(|(service, _)| *service)
        .filter(|service| whole.last_ns.saturating_sub(last_ns(*service)) > trace_ns.saturating_mul(2))
        .collect();
    let stopped = if stopped.len() == 1 { stopped.first().copied() } else { None };
    let nothing_after = |service: ServiceId| Evidence::NothingAfter {
        service: service_label(facts.names, service),
        silent_ns: whole.last_ns.saturating_sub(last_ns(service)).max(0),
    };
    let mut breaks = Vec::new();
    if let Some(service) = stopped {
        let missing = take(table, |missing| missing.service == service && !missing.is_failed);
        let why = Why::new(&exit_without_flush::CAUSE, Confidence::Medium, vec![nothing_after(service)])
            .or(&window_edge::CAUSE, Confidence::Medium)
            .at_most(Severity::Warning);
        breaks.extend(broken(facts, Place::Service(service), &missing, why));
    }
    let missing = take(table, |missing| cut.contains_key(&missing.service) && !missing.is_failed);
    if let Some(first) = missing.first() {
        let why = Why::new(&window_edge::CAUSE, Confidence::Medium, vec![nothing_after(first.service)]);
        breaks.extend(broken_together(facts, &missing, why.at_most(Severity::Info)));
    }
    breaks
}
