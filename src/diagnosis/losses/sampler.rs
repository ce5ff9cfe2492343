//! Samplers that decide by the trace id and not by the parent: a function of the trace id tells the traces
//! in which a service is from those in which it is missing.

use std::collections::{BTreeMap, BTreeSet};

use super::{Break, Facts, Missing, Place, Why, broken, by_service, take_by};
use crate::causes::sampler_mismatch;
use crate::corpus::losses::Kept;
use crate::corpus::statistics::{LN_IMPROBABLE, ln_choose};
use crate::finding::{Evidence, service_label};
use crate::model::TraceId;
use crate::report::Confidence;
use crate::store::ServiceId;

/// What a sampler compares with its ratio, 0 up to 1.
struct IdFunction {
    /// Whose it is.
    name: &'static str,
    of: fn(u128) -> f64,
    /// Sampled is what lies above the threshold, not below.
    keeps_above: bool,
    /// It uses the first half of the id, which holds a time in the ids of some systems.
    uses_high_half: bool,
}

const TWO_32: f64 = 4_294_967_296.0;
const TWO_56: f64 = 72_057_594_037_927_936.0;
const TWO_63: f64 = 9_223_372_036_854_775_808.0;

/// The functions of the samplers that SDKs ship.
const FUNCTIONS: &[IdFunction] = &[
    // opentelemetry-js, TraceIdRatioBasedSampler: the four words, combined by exclusive or.
    IdFunction { name: "OpenTelemetry JS", of: xor_of_words, keeps_above: false, uses_high_half: false },
    // opentelemetry-python, sampling.TraceIdRatioBased; Ruby; Go and Rust drop the last bit first.
    IdFunction {
        name: "OpenTelemetry Python, Go, Ruby and Rust",
        of: low_half,
        keeps_above: false,
        uses_high_half: false,
    },
    // opentelemetry-java, TraceIdRatioBasedSampler: the absolute value of the signed low half.
    IdFunction { name: "OpenTelemetry Java", of: low_magnitude, keeps_above: false, uses_high_half: false },
    // opentelemetry-dotnet, TraceIdRatioBasedSampler: the same of the high half.
    IdFunction { name: "OpenTelemetry .NET", of: high_magnitude, keeps_above: false, uses_high_half: true },
    // W3C Trace Context level 2 and consistent probability sampling: the last 56 bits, from the
    // threshold on.
    IdFunction {
        name: "consistent probability sampling",
        of: low_56_bits,
        keeps_above: true,
        uses_high_half: false,
    },
];

fn xor_of_words(id: u128) -> f64 {
    let words = [id >> 96, id >> 64, id >> 32, id].map(|word| word as u32);
    f64::from(words.iter().fold(0, |mixed, word| mixed ^ word)) / TWO_32
}

fn low_half(id: u128) -> f64 {
    (id as u64 >> 1) as f64 / TWO_63
}

fn low_magnitude(id: u128) -> f64 {
    (id as u64).cast_signed().unsigned_abs() as f64 / TWO_63
}

fn high_magnitude(id: u128) -> f64 {
    ((id >> 64) as u64).cast_signed().unsigned_abs() as f64 / TWO_63
}

fn low_56_bits(id: u128) -> f64 {
    (id as u64 & ((1 << 56) - 1)) as f64 / TWO_56
}

/// A function that tells present and absent traces apart.
struct Separation {
    function: &'static IdFunction,
    /// Share of the traces that the sampler keeps.
    ratio: f64,
    /// The value of the function beyond which traces are absent.
    bound: f64,
    /// Absent traces beyond the bound, and present ones.
    beyond: (u64, u64),
    ln_p: f64,
}

impl Separation {
    fn drops(&self, trace_id: TraceId) -> bool {
        value(self.function, trace_id) > self.bound
    }
}

/// Distance from what is surely sampled.
fn value(function: &IdFunction, trace_id: TraceId) -> f64 {
    let value = (function.of)(trace_id.0);
    if function.keeps_above { 1.0 - value } else { value }
}

/// Finds such samplers.
pub(super) fn explain(facts: &Facts<'_>, table: &mut Vec<Missing>) -> Vec<Break> {
    let mut found = Vec::new();
    // By trace: the samplers, as numbers in `found`, that should have kept it.
    let mut samplers: BTreeMap<TraceId, Vec<usize>> = BTreeMap::new();
    for (service, missing) in by_service(table) {
        let is_told = |missing: &&&Missing| !missing.is_service_present && !missing.is_failed;
        let absent: BTreeSet<TraceId> =
            missing.iter().filter(is_told).map(|missing| missing.trace_id).collect();
        let present = facts.deviations.losses.kept(service).map(Kept::sample).unwrap_or_default();
        let present: Vec<TraceId> = present.iter().map(|trace| trace.trace_id).collect();
        if let Some(separation) = separate(&present, &absent) {
            for trace_id in absent {
                samplers.entry(trace_id).or_default().push(found.len());
            }
            found.push((service, separation));
        }
    }
    // What else such a trace lacks hung on the service.
    let dropped_by = |missing: &Missing| {
        let of_trace = samplers.get(&missing.trace_id)?;
        let drops = |number: &usize| !missing.is_failed && found[*number].1.drops(missing.trace_id);
        of_trace.iter().copied().find(drops)
    };
    let mut taken = take_by(table, dropped_by);
    let breaks = found.iter().enumerate().filter_map(|(number, (service, sampler))| {
        let missing = taken.remove(&number).unwrap_or_default();
        let why = why(facts, *service, sampler, &missing);
        broken(facts, Place::Service(*service), &missing, why)
    });
    breaks.collect()
}

fn why(facts: &Facts<'_>, service: ServiceId, sampler: &Separation, missing: &[Missing]) -> Why {
    let traces: BTreeSet<TraceId> = missing.iter().map(|missing| missing.trace_id).collect();
    let evidence = Evidence::SamplerSeparates {
        service: service_label(facts.names, service),
        function: sampler.function.name,
        ratio: sampler.ratio,
        absent: traces.len() as u64,
        beyond: sampler.beyond.0,
        exceptions: sampler.beyond.1,
        p_exponent: (sampler.ln_p / std::f64::consts::LN_10).ceil() as i64,
    };
    Why::new(&sampler_mismatch::CAUSE, Confidence::Certain, vec![evidence])
}

/// Present traces that may lie beyond the bound: spans that came another way, one in a hundred.
const EXCEPTIONS: usize = 100;

/// The function that separates best, if chance would hardly do it: with n present and m absent traces,
/// that the k farthest of all are absent has the probability C(m, k) / C(n + m, k); with e exceptions
/// allowed among them, at most C(k + e, e) times that. Losses for other reasons may lie anywhere.
fn separate(present: &[TraceId], absent: &BTreeSet<TraceId>) -> Option<Separation> {
    if present.is_empty() || absent.is_empty() {
        return None;
    }
    let has_time = holds_time(present.iter().chain(absent));
    let functions = FUNCTIONS.iter().filter(|function| !(has_time && function.uses_high_half));
    let separations = functions.filter_map(|function| separation(function, present, absent));
    separations.min_by(|one, other| one.ln_p.total_cmp(&other.ln_p))
}

/// Whether ids begin with a time, as those of AWS X-Ray and Datadog do: then their first words lie within a
/// small part of all that there are. Random ones of 12 traces do so with a probability below 10⁻²⁴.
fn holds_time<'t>(ids: impl Iterator<Item = &'t TraceId>) -> bool {
    let words = ids.map(|id| (id.0 >> 96) as u32);
    let (low, high) = words.fold((u32::MAX, 0), |(low, high), word| (low.min(word), high.max(word)));
    high.saturating_sub(low) < 1 << 24
}

fn separation(
    function: &'static IdFunction,
    present: &[TraceId],
    absent: &BTreeSet<TraceId>,
) -> Option<Separation> {
    let sorted = |values: &mut Vec<f64>| values.sort_by(f64::total_cmp);
    let mut kept: Vec<f64> = present.iter().map(|id| value(function, *id)).collect();
    let mut dropped: Vec<f64> = absent.iter().map(|id| value(function, *id)).collect();
    sorted(&mut kept);
    sorted(&mut dropped);
    let (n, m) = (kept.len() as u64, dropped.len() as u64);
    let exceptions = kept.len() / EXCEPTIONS;
    let tries = ((exceptions + 1) * FUNCTIONS.len()) as f64;
    let best = (0..=exceptions).map(|exceptions| {
        let bound = kept[kept.len() - 1 - exceptions];
        let beyond = (dropped.len() - dropped.partition_point(|value| *value <= bound)) as u64;
        let ln_p = ln_choose(m, beyond) - ln_choose(n + m, beyond)
            + ln_choose(beyond + exceptions as u64, exceptions as u64)
            + tries.ln();
        (ln_p, bound, beyond, exceptions as u64)
    });
    let (ln_p, bound, beyond, exceptions) = best.min_by(|one, other| one.0.total_cmp(&other.0))?;
    // Between the last that is kept and the first that is dropped.
    let first_dropped = dropped.iter().copied().find(|value| *value > bound)?;
    let is_separate = ln_p < LN_IMPROBABLE;
    is_separate.then_some(Separation {
        function,
        ratio: f64::midpoint(bound, first_dropped),
        bound,
        beyond: (beyond, exceptions),
        ln_p,
    })
}

#[cfg(test)]
mod tests {
    use xxhash_rust::xxh3::xxh3_128;

    use super::*;

    fn ids() -> Vec<TraceId> {
        (0..400_u32).map(|number| TraceId(xxh3_128(&number.to_be_bytes()))).collect()
    }

    fn separated(is_kept: impl Fn(&TraceId) -> bool) -> Option<Separation> {
        let (present, absent): (Vec<TraceId>, Vec<TraceId>) = ids().into_iter().partition(is_kept);
        separate(&present, &absent.into_iter().collect())
    }

    #[test]
    fn each_sampler_is_told_by_its_function() {
        for function in FUNCTIONS {
            for ratio in [0.1, 0.5, 0.9] {
                let separation = separated(|id| value(function, *id) < ratio).unwrap();
                assert_eq!(separation.function.name, function.name);
                assert!((separation.ratio - ratio).abs() < 0.03, "{} for {ratio}", separation.ratio);
            }
        }
    }

    #[test]
    fn other_losses_do_not_hide_a_sampler() {
        let is_lost = |id: &TraceId| xxh3_128(&id.0.to_be_bytes()).is_multiple_of(10);
        let separation = separated(|id| value(&FUNCTIONS[0], *id) < 0.7 && !is_lost(id)).unwrap();
        assert_eq!(separation.function.name, "OpenTelemetry JS");
    }

    #[test]
    fn losses_at_random_are_no_sampler() {
        for every in [2, 3, 10] {
            assert!(separated(|id| !xxh3_128(&id.0.to_be_bytes()).is_multiple_of(every)).is_none());
        }
        // Too few to tell.
        let few: Vec<TraceId> = ids().into_iter().take(12).collect();
        let (present, absent): (Vec<_>, Vec<_>) =
            few.into_iter().partition(|id| value(&FUNCTIONS[0], *id) < 0.5);
        assert!(separate(&present, &absent.into_iter().collect()).is_none());
    }

    #[test]
    fn a_time_in_the_ids_is_no_sampler() {
        let timed = |number: u32| {
            TraceId(u128::from(0x6720_0000 + number) << 96 | xxh3_128(&number.to_be_bytes()) >> 32)
        };
        let present: Vec<TraceId> = (0..100).map(timed).collect();
        let absent: BTreeSet<TraceId> = (100..200).map(timed).collect();
        assert!(separate(&present, &absent).is_none());
    }
}
