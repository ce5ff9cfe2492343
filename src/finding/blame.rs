//! What a break concentrates on: a version, an instance, a host, or a stretch of time.
//!
//! Something is blamed when it has so much more of the break than the rest that chance would do this
//! in one case of a million (Fisher's exact test over traces, times the number of values tried), and
//! when the rest is clean: at least ten times rarer, even at the near ends of both Wilson intervals.
//! The most general explanation that accounts for all of it is told: a version rather than its
//! instances, and these rather than the time at which they came.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, rate};
use crate::analyzers::Case;
use crate::corpus::statistics::{LN_IMPROBABLE, ln_choose};
use crate::corpus::traffic::{Affected, Count, OperationsBySite, TimeHistogram};
use crate::model::time::rfc3339;
use crate::report::{Blame, RateUnit};
use crate::store::intern::ResourceInfo;
use crate::store::{OperationId, SiteId};

/// How many times rarer the break has to be elsewhere.
const TIMES_RARER: f64 = 10.0;

/// Most values that are blamed together: two versions of one line, a few replicas.
const VALUES: usize = 3;

/// Says what each finding concentrates on.
pub fn assign(case: &Case<'_>, findings: &mut [Finding]) {
    if findings.iter().all(|finding| finding.affected.is_empty()) {
        return;
    }
    let operations = OperationsBySite::of(case.names);
    for finding in findings {
        let traces = finding.traces;
        let sides = finding.affected.iter();
        let sides = sides.map(|affected| Population::of(case, &operations, affected, traces));
        let sides: Vec<Population<'_>> = sides.collect();
        // The damaged side stands first; the other is asked when it explains nothing.
        let by_resource = sides.iter().map(Population::resource).find(|blame| !blame.is_empty());
        let found = by_resource.or_else(|| sides.iter().find_map(Population::time).map(|blame| vec![blame]));
        finding.blame = found.unwrap_or_default();
    }
}

/// What of something is affected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Share {
    affected: Count,
    total: Count,
}

impl std::ops::AddAssign for Share {
    fn add_assign(&mut self, other: Self) {
        self.affected += other.affected;
        self.total += other.total;
    }
}

impl Share {
    /// The rest of all.
    fn rest_of(self, all: Self) -> Self {
        let without = |all: Count, part: Count| Count {
            spans: all.spans.saturating_sub(part.spans),
            traces: all.traces.saturating_sub(part.traces),
        };
        Self { affected: without(all.affected, self.affected), total: without(all.total, self.total) }
    }

    /// The counts of traces, taken by a factor.
    fn scaled(self, factor: f64) -> Self {
        let scaled = |count: Count| Count { traces: (count.traces as f64 * factor).round() as u64, ..count };
        Self { affected: scaled(self.affected), total: scaled(self.total) }
    }

    /// Whether the break is at least so much rarer elsewhere, and there is an elsewhere.
    fn is_apart_from(self, rest: Self) -> bool {
        if rest.total.traces == 0 || self.affected.traces == 0 {
            return false;
        }
        let here = rate(self.affected.traces, self.total.traces, RateUnit::Traces);
        let there = rate(rest.affected.traces, rest.total.traces, RateUnit::Traces);
        // A clean rest may be small; whether it is large enough is for the test to say.
        rest.affected.spans == 0 || there.high * TIMES_RARER <= here.low
    }

    /// Natural logarithm of the chance that as much of the break or more is here.
    fn ln_chance(self, rest: Self) -> f64 {
        let affected = self.affected.traces + rest.affected.traces;
        let total = self.total.traces + rest.total.traces;
        ln_hypergeometric_tail(self.affected.traces, affected, self.total.traces, total)
    }
}

/// The spans that a finding is about, and those of the same sites that are whole.
struct Population<'c> {
    case: &'c Case<'c>,
    service: Option<String>,
    shares: Vec<(OperationId, Share)>,
    sites: BTreeSet<SiteId>,
    affected: &'c Affected,
    /// Traces of the finding for each that was counted: a trace counts for each of its operations, and is
    /// one event all the same (Kish's effective size of a sample of clusters).
    events: f64,
}

/// How values of resources are told apart.
type Value = for<'r> fn(&'r ResourceInfo) -> &'r str;

impl<'c> Population<'c> {
    fn of(case: &'c Case<'c>, operations: &OperationsBySite, affected: &'c Affected, traces: u64) -> Self {
        let sites: BTreeSet<SiteId> =
            affected.by_operation.keys().map(|operation| case.names.site_of(*operation)).collect();
        let shares = sites.iter().flat_map(|site| operations.of_site(*site)).map(|operation| {
            let affected = affected.by_operation.get(&operation).copied().unwrap_or_default();
            let total = case.corpus.traffic.of_operation(operation);
            // Copies of a span are affected, and no spans of their own.
            let total =
                Count { spans: total.spans.max(affected.spans), traces: total.traces.max(affected.traces) };
            (operation, Share { affected, total })
        });
        let service = sites.first().map(|site| case.names.service_of_site(*site).name.to_string());
        let counted: u64 = affected.by_operation.values().map(|count| count.traces).sum();
        let events = (traces as f64 / counted.max(1) as f64).min(1.0);
        Self { case, service, shares: shares.collect(), sites, affected, events }
    }

    /// Natural logarithm of the chance that the break lies here by chance, if it lies here and not in the
    /// rest; corrected for what was tried.
    fn ln_chance(&self, here: Share, rest: Share, tried: usize) -> Option<f64> {
        let (here, rest) = (here.scaled(self.events), rest.scaled(self.events));
        let ln_p = here.ln_chance(rest) + (tried as f64).ln();
        (ln_p < LN_IMPROBABLE && here.is_apart_from(rest)).then_some(ln_p)
    }

    /// A version; or, where only some of its processes are affected or it is none, instances or hosts.
    fn resource(&self) -> Vec<Blame> {
        let version: Value = |resource| &resource.version;
        let of_version = self.concentration("version", version, &|_| true);
        let versions: BTreeSet<&str> = of_version.iter().map(|blame| &*blame.value).collect();
        let is_inside =
            |resource: &ResourceInfo| versions.is_empty() || versions.contains(&*resource.version);
        let of_process = self.process(&is_inside);
        if of_process.is_empty() { of_version } else { of_process }
    }

    /// A host of which several processes are affected, or an instance.
    fn process(&self, is_inside: &dyn Fn(&ResourceInfo) -> bool) -> Vec<Blame> {
        let of_instance = self.concentration("instance", |resource| &resource.instance, is_inside);
        let of_host = self.concentration("host", |resource| &resource.host, is_inside);
        let hosts: BTreeSet<&str> = of_host.iter().map(|blame| &*blame.value).collect();
        let has_several = |host: &&str| {
            let affected = self.shares.iter().filter(|(_, share)| share.affected.traces > 0);
            let resources = affected.map(|(operation, _)| self.case.names.resource_of(*operation));
            let on_host = resources.filter(|resource| *resource.host == **host);
            on_host.map(|resource| &*resource.instance).collect::<BTreeSet<_>>().len() > 1
        };
        let is_host = of_instance.is_empty() || !hosts.is_empty() && hosts.iter().all(has_several);
        if is_host && !of_host.is_empty() { of_host } else { of_instance }
    }

    /// The few values that have all of the break, the one with most first.
    fn concentration(
        &self,
        kind: &str,
        value: Value,
        is_inside: &dyn Fn(&ResourceInfo) -> bool,
    ) -> Vec<Blame> {
        let mut by_value: BTreeMap<&str, Share> = BTreeMap::new();
        let mut all = Share::default();
        for (operation, share) in &self.shares {
            let resource = self.case.names.resource_of(*operation);
            if is_inside(resource) {
                *by_value.entry(value(resource)).or_default() += *share;
                all += *share;
            }
        }
        let tried = by_value.len();
        let mut ranked: Vec<(&str, Share)> = by_value
            .into_iter()
            .filter(|(name, share)| !name.is_empty() && share.affected.traces > 0)
            .collect();
        let portion = |share: &Share| share.affected.traces as f64 / share.total.traces.max(1) as f64;
        ranked.sort_by(|one, other| portion(&other.1).total_cmp(&portion(&one.1)).then(one.0.cmp(other.0)));
        let mut here = Share::default();
        for count in 1..=ranked.len().min(VALUES) {
            here += ranked[count - 1].1;
            let rest = here.rest_of(all);
            // As many sets were tried as there are values, of each size.
            if let Some(ln_p) = self.ln_chance(here, rest, tried * VALUES) {
                let blame = ranked[..count]
                    .iter()
                    .map(|(name, share)| self.blame(kind, (*name).to_owned(), *share, rest, ln_p));
                return blame.collect();
            }
        }
        Vec::new()
    }

    fn blame(&self, kind: &str, value: String, here: Share, rest: Share, ln_p: f64) -> Blame {
        Blame {
            kind: kind.to_owned(),
            service: self.service.clone(),
            value,
            affected: here.affected.spans,
            total: here.total.spans,
            elsewhere_affected: rest.affected.spans,
            elsewhere_total: rest.total.spans,
            p: rounded_chance(ln_p),
        }
    }

    /// The moment at which the break begins or ends. Counts are of traces.
    fn time(&self) -> Option<Blame> {
        let mut totals = self.affected.times.clone();
        let mut all = TimeHistogram::default();
        for times in self.sites.iter().filter_map(|site| self.case.corpus.traffic.times_of(*site)) {
            all.merge(times);
        }
        totals.merge(&all);
        let affected = self.affected.times.counts_as_wide_as(&totals);
        let slots = all.counts_as_wide_as(&totals);
        let (first, last) = (affected.first()?.0, affected.last()?.0);
        let share = |is_inside: &dyn Fn(i64) -> bool| {
            let sum = |counts: &[(i64, u64)]| -> u64 {
                counts.iter().filter(|(start, _)| is_inside(*start)).map(|(_, count)| count).sum()
            };
            let count = |number: u64| Count { spans: number, traces: number };
            let hits = sum(&affected);
            Share { affected: count(hits), total: count(sum(&slots).max(hits)) }
        };
        let since = (
            format!("since {}", rfc3339(first)),
            share(&|start| start >= first),
            share(&|start| start < first),
        );
        let until =
            (format!("until {}", rfc3339(last)), share(&|start| start <= last), share(&|start| start > last));
        let judged = [since, until].into_iter().filter_map(|(value, here, rest)| {
            Some((self.ln_chance(here, rest, 2 * slots.len())?, value, here, rest))
        });
        let (ln_p, value, here, rest) = judged.min_by(|one, other| one.0.total_cmp(&other.0))?;
        Some(self.blame("time", value, here, rest, ln_p))
    }
}

/// A chance of two digits: further ones are noise, and may differ between machines.
fn rounded_chance(ln_p: f64) -> f64 {
    // The smallest number that a report can hold is some 1e-300.
    let chance = ln_p.max(-690.0).exp();
    format!("{chance:.1e}").parse().unwrap_or(chance)
}

/// Natural logarithm of the chance that of `drawn` members, among `all` of which `marked` are marked, at least
/// `hits` are marked.
fn ln_hypergeometric_tail(hits: u64, marked: u64, drawn: u64, all: u64) -> f64 {
    let unmarked = all.saturating_sub(marked);
    let most = marked.min(drawn);
    let mut ln_sum = f64::NEG_INFINITY;
    for number in hits..=most {
        if drawn - number > unmarked {
            continue;
        }
        let ln_term = ln_choose(marked, number) + ln_choose(unmarked, drawn - number) - ln_choose(all, drawn);
        let (greater, smaller) = if ln_term > ln_sum { (ln_term, ln_sum) } else { (ln_sum, ln_term) };
        ln_sum = greater + (smaller - greater).exp().ln_1p();
        // Beyond the peak terms only fall; what is left adds nothing.
        if ln_term < ln_sum - 40.0 {
            break;
        }
    }
    ln_sum.min(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyzers::notation::blamed;

    #[test]
    fn the_exact_test_gives_known_chances() {
        // Fisher's tea: 3 of 4 right, of 8 cups: 17 of 70.
        assert!((ln_hypergeometric_tail(3, 4, 4, 8).exp() - 17.0 / 70.0).abs() < 1e-12);
        assert!((ln_hypergeometric_tail(0, 4, 4, 8).exp() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_version_is_blamed_rather_than_its_instances() {
        let found = blamed(
            "
web  GET /  server  0..50  version=1  instance=a  repeat=30
  web  SELECT  client  5..10  version=1  instance=a

web  GET /  server  1000000..1000050  version=2  instance=b  repeat=15
  web  SELECT  client  1000005..1000010  version=2  instance=b  parent=lost   // orphan-span

web  GET /  server  1000000..1000050  version=2  instance=c  repeat=15
  web  SELECT  client  1000005..1000010  version=2  instance=c  parent=lost   // orphan-span
",
        );
        assert_eq!(found, ["version 2 30/30"]);
    }

    #[test]
    fn one_of_several_instances_of_a_version_is_blamed() {
        let found = blamed(
            "
web  GET /  server  0..50  version=2  instance=a  repeat=40
  web  SELECT  client  5..10  version=2  instance=a

web  GET /  server  0..50  version=2  instance=b  repeat=40
  web  SELECT  client  5..10  version=2  instance=b  parent=lost   // orphan-span
",
        );
        assert_eq!(found, ["instance b 40/40"]);
    }

    #[test]
    fn a_host_is_blamed_for_all_its_processes() {
        let found = blamed(
            "
web  GET /  server  0..50  host=x  instance=a  repeat=40
  web  SELECT  client  5..10  host=x  instance=a

web  GET /  server  0..50  host=y  instance=b  repeat=20
  web  SELECT  client  5..10  host=y  instance=b  parent=lost   // orphan-span

web  GET /  server  0..50  host=y  instance=c  repeat=20
  web  SELECT  client  5..10  host=y  instance=c  parent=lost   // orphan-span
",
        );
        assert_eq!(found, ["host y 40/40"]);
    }

    #[test]
    fn a_break_that_begins_is_blamed_on_the_moment() {
        let found = blamed(
            "
web  GET /  server  0..50  version=1  instance=a  repeat=60
  web  SELECT  client  5..10  version=1  instance=a

web  GET /  server  1000000..1000050  version=1  instance=a  repeat=30
  web  SELECT  client  1000005..1000010  version=1  instance=a  parent=lost   // orphan-span
",
        );
        let [only] = &*found else { panic!("{found:?}") };
        assert!(only.starts_with("time since 2024-10-04T00:"), "{only}");
    }

    #[test]
    fn what_is_everywhere_has_nobody_to_blame() {
        let found = blamed(
            "
web  GET /  server  0..50  version=1  instance=a  repeat=40
  web  SELECT  client  5..10  version=1  instance=a  parent=lost   // orphan-span

web  GET /  server  0..50  version=2  instance=b  repeat=40
  web  SELECT  client  5..10  version=2  instance=b  parent=lost   // orphan-span
",
        );
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn one_trace_is_one_event() {
        let many = "  web  SELECT  client  5..10  instance=b  parent=lost   // orphan-span\n".repeat(40);
        let found = blamed(&format!(
            "
web  GET /  server  0..50  instance=a  repeat=40
  web  SELECT  client  5..10  instance=a

web  GET /  server  0..50  instance=b
{many}"
        ));
        assert!(found.is_empty(), "{found:?}");
    }
}
