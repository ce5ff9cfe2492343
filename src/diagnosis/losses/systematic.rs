//! Operations that are missing by system: always, because something takes them out, or whenever their code
//! takes a way on which the span is not ended.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::unionfind::UnionFind;

use super::{Break, Facts, Missing, Place, Seen, Why, broken, by_service, take_by};
use crate::causes::{Cause, scope_filtered, span_never_ended};
use crate::corpus::statistics::{LN_UNLIKELY, ln_at_most};
use crate::finding::{Evidence, label, service_label, side};
use crate::report::Confidence;
use crate::store::{ServiceId, SiteId};

/// Orphans of one operation that make a system.
const ORPHANS: u64 = 10;
/// Share of joined cases up to which an operation has always lost its parent.
const STILL_ALWAYS: f64 = 0.05;

/// Share of the expected losses up to which the others were spared. Losses come in batches and whole traces,
/// so that their numbers vary more than those of independent ones.
const SPARED: f64 = 0.2;

/// Operations whose parent in the same process is never there.
pub(super) fn always(facts: &Facts<'_>, table: &mut Vec<Missing>) -> Vec<Break> {
    let mut services: BTreeMap<ServiceId, BTreeSet<SiteId>> = BTreeMap::new();
    for head in heads(facts, table) {
        services.entry(facts.names.site(head).service).or_default().insert(head);
    }
    // What the process of a missing span called is an orphan as well.
    let of_service = |missing: &Missing| {
        (!missing.is_call() && services.contains_key(&missing.service)).then_some(missing.service)
    };
    let mut taken = take_by(table, of_service);
    let mut breaks = Vec::new();
    for (service, heads) in &services {
        let missing = taken.remove(service).unwrap_or_default();
        let parents = distinct_parents(facts, &missing, heads);
        let requests = requests(facts, &missing, heads);
        let evidence = Evidence::AlwaysMissing {
            service: service_label(facts.names, *service),
            operations: heads.len() as u64,
            parents,
            requests,
            services: services.len() as u64,
        };
        // A filter takes all spans of a scope, wherever they are made; code that never ends its span is one
        // place.
        let [leading, other]: [&'static Cause; 2] = if services.len() > 1 || parents > 1 || requests > 1 {
            [&scope_filtered::CAUSE, &span_never_ended::CAUSE]
        } else {
            [&span_never_ended::CAUSE, &scope_filtered::CAUSE]
        };
        let why = Why::new(leading, Confidence::Medium, vec![evidence]).or(other, Confidence::Medium);
        let why = if services.len() > 1 { Why { confidence: Confidence::High, ..why } } else { why };
        breaks.extend(broken(facts, Place::Service(*service), &missing, why));
    }
    breaks
}

/// Sites whose spans name a parent in the same process that is as good as never there.
fn heads(facts: &Facts<'_>, table: &[Missing]) -> BTreeSet<SiteId> {
    let mut orphans: BTreeMap<SiteId, u64> = BTreeMap::new();
    for loss in table.iter().flat_map(|missing| &missing.left).filter(|loss| loss.seen == Seen::FromChild) {
        *orphans.entry(facts.names.site_of(loss.operation)).or_default() += 1;
    }
    let is_always = |(site, orphans): (SiteId, u64)| {
        let joined = facts.corpus.profile(site).joined as f64;
        (orphans >= ORPHANS && joined <= STILL_ALWAYS * orphans as f64).then_some(site)
    };
    orphans.into_iter().filter_map(is_always).collect()
}

/// How many different parents these operations lack: those that are ever children of one parent share it.
fn distinct_parents(facts: &Facts<'_>, missing: &[Missing], heads: &BTreeSet<SiteId>) -> u64 {
    let numbers: BTreeMap<SiteId, usize> = heads.iter().copied().zip(0..).collect();
    let mut groups = UnionFind::<usize>::new(numbers.len());
    for missing in missing {
        let sites = missing.left.iter().map(|loss| facts.names.site_of(loss.operation));
        let mut own = sites.filter_map(|site| numbers.get(&site));
        let Some(first) = own.next() else { continue };
        for other in own {
            groups.union(*first, *other);
        }
    }
    groups.into_labeling().into_iter().collect::<BTreeSet<_>>().len() as u64
}

/// Kinds of requests in which it happens.
fn requests(facts: &Facts<'_>, missing: &[Missing], heads: &BTreeSet<SiteId>) -> u64 {
    let left = missing.iter().flat_map(|missing| &missing.left);
    let of_heads = left.filter(|loss| heads.contains(&facts.names.site_of(loss.operation)));
    of_heads.filter_map(|loss| loss.request).collect::<BTreeSet<_>>().len() as u64
}

/// Operations that are missing at times while everything else of their service is complete.
pub(super) fn at_times(facts: &Facts<'_>, table: &mut Vec<Missing>) -> Vec<Break> {
    let mut found: BTreeMap<SiteId, Evidence> = BTreeMap::new();
    for (service, missing) in by_service(table) {
        let visible = visible(facts, service);
        let mut lost: BTreeMap<SiteId, u64> = BTreeMap::new();
        for site in
            missing.iter().filter(|missing| missing.seen == Seen::FromChild).filter_map(|one| one.site)
        {
            *lost.entry(site).or_default() += 1;
        }
        for (site, count) in &lost {
            let others_lost = missing.len() as u64 - count;
            if let Some(evidence) = spared(facts, visible, *site, *count, others_lost) {
                found.entry(*site).or_insert(evidence);
            }
        }
    }
    let of_site = |missing: &Missing| {
        missing.site.filter(|site| missing.seen == Seen::FromChild && found.contains_key(site))
    };
    let mut taken = take_by(table, of_site);
    found
        .into_iter()
        .filter_map(|(site, evidence)| {
            let missing = taken.remove(&site)?;
            let why = Why::new(&span_never_ended::CAUSE, Confidence::High, vec![evidence]);
            broken(facts, Place::Site(site), &missing, why)
        })
        .collect()
}

/// Spans of a site that can be missed: only those that have children can.
fn visible_of(facts: &Facts<'_>, site: SiteId) -> u64 {
    facts.corpus.children(site).min(facts.corpus.profile(site).spans)
}

/// Spans of a service that can be missed.
fn visible(facts: &Facts<'_>, service: ServiceId) -> u64 {
    facts.names.sites_of(service).map(|site| visible_of(facts, site)).sum()
}

/// Losses at random would take the other operations of the service, of which so many spans are `visible`,
/// at the same rate.
fn spared(facts: &Facts<'_>, visible: u64, site: SiteId, lost: u64, others_lost: u64) -> Option<Evidence> {
    let rate = lost as f64 / (lost + facts.corpus.profile(site).spans) as f64;
    let others = visible.saturating_sub(visible_of(facts, site));
    let expected = others as f64 * rate;
    let is_spared =
        others_lost as f64 <= SPARED * expected && ln_at_most(others_lost, expected) < LN_UNLIKELY;
    (lost >= 5 && is_spared).then(|| Evidence::OthersSpared {
        operation: label(&side(facts.names, site)),
        lost,
        others_lost,
        expected: expected as u64,
    })
}
