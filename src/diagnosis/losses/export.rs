//! Spans that got lost between the process and the backend, told apart by time, service and size of the
//! trace only; and callers that never were in the data.

use std::collections::{BTreeMap, BTreeSet};

use super::{Break, Facts, Missing, Place, Seen, Why, broken, broken_together, by_service, take_by};
use crate::causes::{
    backend_limit, collector_refused, export_queue_overflow, external_caller, tail_sampling_split,
};
use crate::corpus::losses::{Kept, SampledTrace};
use crate::corpus::statistics::{LN_IMPROBABLE, ln_at_least};
use crate::finding::Evidence;
use crate::report::{Confidence, Severity};
use crate::store::ServiceId;

/// Losses of a service that are more than accidents.
const LOSSES: usize = 5;
/// Spans of a trace that no backend cuts: the lowest known limit is 10,000 documents of one query
/// (Jaeger's `es.max-doc-count`, the window of Elasticsearch); half of it leaves room for what was lost.
const LARGE_TRACE: u32 = 5_000;
/// Share of the losses that a window has to hold: answers of requests under way, and processors that
/// export later, reach beyond it.
const IN_WINDOW: f64 = 0.9;
/// Share of the losses up to which no service stands out.
const NO_SERVICE_STANDS_OUT: f64 = 0.7;

/// Losses in the largest traces only.
pub(super) fn in_large_traces(facts: &Facts<'_>, table: &mut Vec<Missing>) -> Vec<Break> {
    let smallest = table.iter().map(|missing| missing.trace_spans).min().unwrap_or(0);
    let usual = facts.corpus.usual.sizes.quantile(0.9).unwrap_or(i64::MAX);
    if table.len() < LOSSES || smallest < LARGE_TRACE || i64::from(smallest) <= usual {
        return Vec::new();
    }
    let evidence = Evidence::LargeTracesOnly { smallest: u64::from(smallest), usual: usual.unsigned_abs() };
    let why = Why::new(&backend_limit::CAUSE, Confidence::Medium, vec![evidence])
        .or(&export_queue_overflow::CAUSE, Confidence::Low);
    broken_together(facts, &std::mem::take(table), why).into_iter().collect()
}

/// Orphans of a service that is also called from outside: nothing of the caller that calls it otherwise is
/// in their traces, and that caller hardly lost anything else. Losses at random would take its other
/// spans as well, and leave some of them.
pub(super) fn callers_outside(facts: &Facts<'_>, table: &mut Vec<Missing>) -> Vec<Break> {
    let is_outside = |missing: &Missing| {
        missing.seen == Seen::FromRemoteChild && missing.is_top && !missing.is_service_present
    };
    let mut outside = BTreeSet::new();
    for (service, missing) in by_service(table) {
        let told = missing.iter().filter(|missing| !missing.is_failed).count();
        let of_others = missing.iter().filter(|missing| is_outside(missing)).count();
        if of_others > 0 && (told - of_others) as f64 <= ELSEWHERE * of_others as f64 {
            outside.insert(service);
        }
    }
    let of_service = |missing: &Missing| {
        (is_outside(missing) && outside.contains(&missing.service)).then_some(missing.service)
    };
    let breaks = take_by(table, of_service).into_iter().filter_map(|(service, missing)| {
        let evidence = Evidence::CallerAbsent { orphans: missing.len() as u64 };
        let why = Why::new(&external_caller::CAUSE, Confidence::Medium, vec![evidence])
            .or(&export_queue_overflow::CAUSE, Confidence::Medium)
            .at_most(Severity::Info);
        let found = broken(facts, Place::Service(service), &missing, why)?;
        // Who called is not known, only that it was not this service.
        let support = found.support.into_iter().filter(|evidence| evidence.kind() != "missing-spans");
        Some(Break { from: None, support: support.collect(), message: OUTSIDE.to_owned(), ..found })
    });
    breaks.collect()
}

/// Other losses of a caller, in shares of the absent ones, up to which it is not the caller that lost them.
const ELSEWHERE: f64 = 0.2;

const OUTSIDE: &str = "The context came from a caller that is not in this data. The callers that are known show nothing \
                       of it in these traces.";

/// The rest: a Collector that refuses for a while, traces that are split over Collectors, a queue that
/// overflows.
pub(super) fn on_the_way(facts: &Facts<'_>, table: &mut Vec<Missing>) -> Vec<Break> {
    keep_what_shows(table);
    let counts: BTreeMap<ServiceId, usize> =
        by_service(table).into_iter().map(|(service, missing)| (service, missing.len())).collect();
    let services = counts.values().filter(|count| **count >= 3).count();
    let most = counts.values().copied().max().unwrap_or(0);
    if services >= 2
        && let Some(evidence) = common_window(facts, table, services)
    {
        let why = Why::new(&collector_refused::CAUSE, Confidence::High, vec![evidence])
            .or(&export_queue_overflow::CAUSE, Confidence::Low);
        return broken_together(facts, &std::mem::take(table), why).into_iter().collect();
    }
    if services >= 2 && (most as f64) < NO_SERVICE_STANDS_OUT * table.len() as f64 {
        let largest_share = most as f64 / table.len() as f64;
        let evidence = Evidence::ManyServicesLose { services: services as u64, largest_share };
        let why = Why::new(&tail_sampling_split::CAUSE, Confidence::Medium, vec![evidence])
            .or(&collector_refused::CAUSE, Confidence::Low)
            .or(&export_queue_overflow::CAUSE, Confidence::Low);
        return broken_together(facts, &std::mem::take(table), why).into_iter().collect();
    }
    let of_service = |missing: &Missing| (counts[&missing.service] >= LOSSES).then_some(missing.service);
    let breaks = take_by(table, of_service).into_iter().filter_map(|(service, missing)| {
        let why = Why::new(&export_queue_overflow::CAUSE, Confidence::Medium, Vec::new())
            .or(&collector_refused::CAUSE, Confidence::Low)
            .or(&tail_sampling_split::CAUSE, Confidence::Low);
        broken(facts, Place::Service(service), &missing, why)
    });
    breaks.collect()
}

/// Calls without an answer alone are no losses: a cache in front of the service answers some, and a call that
/// failed has none. Losses at random leave the children of some of what is lost.
fn keep_what_shows(table: &mut Vec<Missing>) {
    let with_orphans: BTreeSet<ServiceId> =
        table.iter().filter(|missing| !missing.is_call()).map(|missing| missing.service).collect();
    table.retain(|missing| !missing.is_failed && with_orphans.contains(&missing.service));
}

/// The shortest time that holds nearly all losses, if few enough of the traces lie in it: with n losses
/// and a share w of the traces, some window of that length that begins with a loss holds k of them with a
/// probability of at most n · P(Bin(n - 1, w) ≥ k - 1).
fn common_window(facts: &Facts<'_>, table: &[Missing], services: usize) -> Option<Evidence> {
    let mut times: Vec<i64> = table.iter().map(|missing| missing.time_ns).collect();
    times.sort_unstable();
    let inside = ((IN_WINDOW * times.len() as f64).ceil() as usize).max(1);
    let window = times.windows(inside).min_by_key(|window| window[inside - 1] - window[0])?;
    let (from_ns, to_ns) = (window[0], window[inside - 1]);
    let mut traces: Vec<SampledTrace> = Vec::new();
    for service in by_service(table).into_keys() {
        traces.extend(facts.deviations.losses.kept(service).map(Kept::sample).unwrap_or_default());
    }
    traces.sort_unstable();
    traces.dedup();
    let in_window = traces.iter().filter(|trace| (from_ns..=to_ns).contains(&trace.start_ns)).count();
    // Where everything is lost no trace is left to be counted: then the time decides.
    let whole = facts.corpus.usual.whole();
    let share_of_time = (to_ns - from_ns) as f64 / (whole.last_ns - whole.first_ns).max(1) as f64;
    let share_of_traces = in_window as f64 / traces.len().max(1) as f64;
    let share = share_of_time.max(share_of_traces).max(1.0 / times.len() as f64);
    let (n, k) = (times.len() as u64, inside as u64);
    let ln_p = (n as f64).ln() + ln_at_least(k - 1, n - 1, share);
    (ln_p < LN_IMPROBABLE).then(|| Evidence::LostInWindow {
        services: services as u64,
        lost: k,
        of: n,
        window_ns: to_ns - from_ns,
        share,
        p_exponent: (ln_p / std::f64::consts::LN_10).ceil() as i64,
    })
}
