//! `high-cardinality-name`: span names with ids in them.

use std::collections::{BTreeMap, BTreeSet};

use super::observations::{Observations, Place, Tally};
use super::{Analyzer, Case, Rule};
use crate::finding::{Evidence, Finding, label, side};
use crate::model::SpanKind;
use crate::report::{Confidence, Severity};
use crate::store::intern::NAME_CAP;
use crate::store::{ServiceId, SiteId};
use crate::trace::TraceView;

static RULE: Rule = Rule {
    name: "high-cardinality-name",
    severity: Severity::Info,
    summary: "Span names hold values that differ from span to span.",
    what: "Names that are new again and again: ids, paths or queries in the name where the operation should stand. \
           It is told from a long list of routes by statistics: so few names come back that there must be far \
           more of them than were seen.",
    why: "Nobody can look up, count or alert on an operation of which every span has a name of its own. Metrics \
          made from spans get a series for each name, until the limit is reached and all of them end in one.",
    fix: "Name the operation, and put the value into an attribute.
In code: `startSpan('order.validate', { attributes: { 'order.id': id } })` in place of a name with the id.
HTTP: a name needs the route; where a router is not instrumented, set `http.route` and the name in a hook of the \
instrumentation.
Databases: `db.query.summary` or operation and table, not the statement.
Collector, until then: the `transform` processor with `replace_pattern(span.name, \"[0-9]+\", \"{id}\")`, or \
`span.name` rules of the `span` processor.",
    example: "
jobs  export report {round}  internal  0..5  repeat=40   // high-cardinality-name
",
};

/// More names than this of one form (what is left when ids, numbers and hosts are taken out) are no list
/// that somebody wrote: what is numbered in names on purpose (versions, shards, regions, queues) has
/// a handful of values, and this is an order of magnitude more.
const NAMES_OF_ONE_FORM: f64 = 50.0;

/// More names than this in one (service, kind, scope) are too many whatever they look like: it is the
/// default limit of attribute sets a metric has in OpenTelemetry SDKs (specification, "Metrics SDK",
/// cardinality limits), and with one series a name all others end in one overflow series.
const NAMES_OF_A_SCOPE: f64 = 2_000.0;

/// With fewer names beside it, a site cannot be one of so many.
const NAMES_WORTH_COUNTING: usize = 100;

/// Variants of a place: spans whose name differs from the normalised one, and others of scopes with
/// many names.
const VARYING: u32 = 0;
const CROWDED: u32 = 1;

/// The analyzer.
pub(super) struct HighCardinalityName;

impl Analyzer for HighCardinalityName {
    fn rule(&self) -> &'static Rule {
        &RULE
    }

    fn observe_trace(&self, trace: &TraceView<'_>, seen: &mut Observations) {
        let names = trace.names;
        for (index, span) in trace.nodes() {
            let site = names.site_of(span.operation);
            if names.name_of(span.operation) != &*names.site(site).name {
                seen.candidate(RULE.name, VARYING, trace, index);
                seen.operation(span.operation);
            } else if names.names_beside[site as usize] > NAMES_WORTH_COUNTING {
                seen.candidate(RULE.name, CROWDED, trace, index);
                seen.operation(span.operation);
            }
        }
    }

    /// One finding for each form of a name, else one for a scope.
    fn judge(&self, case: &Case<'_>) -> Vec<Finding> {
        let names_of = names_by_site(case);
        let mut findings = Vec::new();
        let mut scopes: BTreeMap<(ServiceId, SpanKind, &str), Members<'_>> = BTreeMap::new();
        for (place, tally) in case.seen.of(RULE.name) {
            let names = names_of.get(&place.site).map_or(0, BTreeSet::len) as u64;
            if place.variant == VARYING && fewest_names(tally.spans, names) >= NAMES_OF_ONE_FORM {
                findings.push(finding_of_form(case, place.site, tally, names));
            } else {
                let site = case.names.site(place.site);
                scopes.entry((site.service, site.kind, &site.scope)).or_default().push((place, tally));
            }
        }
        findings
            .extend(scopes.into_values().filter_map(|members| finding_of_scope(case, &names_of, members)));
        findings
    }
}

/// What was noted at several sites.
type Members<'c> = Vec<(&'c Place, &'c Tally)>;

type NamesBySite<'c> = BTreeMap<SiteId, BTreeSet<&'c str>>;

/// The names of the spans that were noted, by site.
fn names_by_site<'c>(case: &Case<'c>) -> NamesBySite<'c> {
    let mut names: NamesBySite<'_> = BTreeMap::new();
    let seen =
        (0..case.names.operations.len() as u32).filter(|operation| case.seen.has_operation(*operation));
    for operation in seen {
        names.entry(case.names.site_of(operation)).or_default().insert(case.names.name_of(operation));
    }
    names
}

fn finding_of_form(case: &Case<'_>, site: SiteId, tally: &Tally, names: u64) -> Finding {
    let title = format!("{} has a name of its own for almost every span", label(&side(case.names, site)));
    let proof = Evidence::DistinctNames { names, spans: tally.spans, is_more: false };
    let mut finding = Finding::at_site(&RULE, case.names, site, tally, title, proof);
    finding.confidence = Confidence::High;
    finding
}

/// Names without numbers in them can be as many: words, slugs, statements.
fn finding_of_scope(case: &Case<'_>, names_of: &NamesBySite<'_>, members: Members<'_>) -> Option<Finding> {
    let group = case.group(members);
    let is_more = group.sites.iter().any(|site| case.names.names_beside[*site as usize] > NAME_CAP);
    let names: usize = group.sites.iter().filter_map(|site| names_of.get(site)).map(BTreeSet::len).sum();
    let names = if is_more { NAME_CAP } else { names } as u64;
    if !is_more && fewest_names(group.tally.spans, names) < NAMES_OF_A_SCOPE {
        return None;
    }
    let site = case.names.site(group.sites[0]);
    let service = &case.names.services[site.service as usize].name;
    let title = format!("{service} has a name of its own for almost every {} span", site.kind.as_str());
    let proof = Evidence::DistinctNames { names, spans: group.tally.spans, is_more };
    let mut finding = Finding::at_site(&RULE, case.names, group.sites[0], &group.tally, title, proof);
    if let Some(to) = &mut finding.to {
        to.operation = None;
    }
    finding.confidence = Confidence::High;
    finding.support.push(case.seen_at(&group));
    Some(finding)
}

/// How many names there are at least, if that many of them were met in that many spans: with fewer
/// (all equally frequent, which is the most that so few can show), so many different ones would be
/// met in less than one of twenty cases. Few spans cannot show many names, so nothing else is needed.
fn fewest_names(spans: u64, names: u64) -> f64 {
    let (spans, seen) = (spans.max(names) as f64, names as f64);
    let could_show = |all: f64| {
        // The number of boxes out of `all` that are hit by `spans` balls: mean and variance
        // (W. Feller, An Introduction to Probability Theory and Its Applications, vol. 1, II.5 and IV.2).
        let missed = (-spans / all).exp();
        let mean = all * (1.0 - missed);
        let variance = all * missed * (1.0 - (1.0 + spans / all) * missed).max(0.0);
        mean + ONE_IN_TWENTY * variance.sqrt() >= seen
    };
    let (mut low, mut high) = (seen.max(1.0), NAMES_OF_A_SCOPE.max(seen) * 2.0);
    if could_show(low) {
        return low;
    }
    while high - low > 0.5 {
        let middle = f64::midpoint(low, high);
        if could_show(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

/// Quantile of the normal distribution.
const ONE_IN_TWENTY: f64 = 1.644_853_626_951_472;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyzers::notation::check;

    #[test]
    fn a_list_of_queues_is_silent() {
        let queues: Vec<String> = (100..120)
            .map(|queue| format!("jobs  poll queue {queue}  internal  0..5  repeat=20\n\n"))
            .collect();
        check(&queues.concat());
    }

    #[test]
    fn few_spans_show_nothing() {
        check("jobs  export report {round}  internal  0..5  repeat=12");
    }

    #[test]
    fn the_estimate_is_that_of_the_birthday_problem() {
        assert!((15.0..=17.0).contains(&fewest_names(1_000, 16)));
        assert!((60.0..=120.0).contains(&fewest_names(23, 23)), "{}", fewest_names(23, 23));
        assert!(fewest_names(120, 120) >= NAMES_OF_A_SCOPE);
        assert!(fewest_names(40, 20) < NAMES_OF_ONE_FORM);
        assert!((499.0..=560.0).contains(&fewest_names(100_000, 500)));
    }
}
