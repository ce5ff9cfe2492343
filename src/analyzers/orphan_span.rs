//! `orphan-span`: a span names a parent that is not in its trace.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::observations::{Observations, Place};
use super::{Analyzer, Case, Group, Rule};
use crate::finding::{Evidence, Finding, label, rate, side};
use crate::model::SpanId;
use crate::report::{RateUnit, Severity};
use crate::store::SiteId;
use crate::trace::{Parent, TraceView};

static RULE: Rule = Rule {
    name: "orphan-span",
    severity: Severity::Error,
    summary: "A span names a parent that is not in its trace.",
    what: "A span with a parent span id whose parent is in none of the inputs. The context did arrive: \
           the span knows its trace and the id of its parent. It is the parent's own record that is \
           missing. Orphans that hang on the same usual parent are one break.",
    why: "The trace falls apart into pieces: latency, errors and causes above the gap cannot be followed, \
          and backends show the piece as a trace of its own or hide it.",
    fix: "Find out why the parent span was not recorded, exported or stored.
Parent in another process: check that the calling service exports to this backend, and that it samples \
with a parent-based sampler (`OTEL_TRACES_SAMPLER=parentbased_always_on` or `parentbased_traceidratio`).
Parent in the same process: look for a code path on which the span is never ended \
(`try { … } finally { span.end() }`), and for a Collector filter that drops spans of its scope.
Losses under load: the exporter's queue overflows; raise `OTEL_BSP_MAX_QUEUE_SIZE` of the parent's service.
Losses at the end of a process: flush on shutdown (`process.on('SIGTERM', () => sdk.shutdown())`).
Tail sampling on several Collectors: route by trace id (`loadbalancing` exporter with `routing_key: traceID`).",
    example: "
checkout  POST /orders    server    0..120
  checkout  reserve       internal  5..90
    stock     POST /items   server    30..80   parent=missing   // orphan-span
      stock     UPDATE items  client    40..60
",
};

/// Sibling places named as evidence.
const PLACES_NAMED: usize = 5;

/// The analyzer.
pub(super) struct OrphanSpan;

impl Analyzer for OrphanSpan {
    fn rule(&self) -> &'static Rule {
        &RULE
    }

    fn observe_trace(&self, trace: &TraceView<'_>, seen: &mut Observations) {
        if trace.counts.orphan_spans == 0 {
            return;
        }
        // The children of one absent parent at one place count it once.
        let mut absent: BTreeMap<(SiteId, SpanId), (i64, i64)> = BTreeMap::new();
        let mut last = None;
        for (index, span) in trace.nodes() {
            let (Parent::Missing, Some(parent_id)) = (trace.parents[index], span.parent_id()) else {
                continue;
            };
            if last == Some(span.span_id()) {
                continue;
            }
            last = Some(span.span_id());
            let tally = seen.span(RULE.name, 0, trace, index);
            let location = match span.parent_is_remote() {
                Some(true) => "remote",
                Some(false) => "local",
                None => "unknown",
            };
            tally.add(location, 1);
            let site = trace.names.site_of(span.operation);
            let cover = absent.entry((site, parent_id)).or_insert((i64::MAX, i64::MIN));
            if span.is_timed() {
                *cover = (cover.0.min(span.start_ns()), cover.1.max(span.end_ns()));
            }
            if cover.0 == i64::MAX {
                continue;
            }
            tally.raise("cover", cover.1.saturating_sub(cover.0));
        }
        for (site, _) in absent.keys() {
            let place = Place { rule: RULE.name, site: *site, variant: 0 };
            seen.count(place, "missing_parents", 1);
        }
    }

    fn judge(&self, case: &Case<'_>) -> Vec<Finding> {
        let break_of = |site| match case.corpus.usual_parent(site) {
            Some((parent, _)) => Break::Under(parent),
            None => Break::At(site),
        };
        case.grouped(RULE.name, 0, break_of).iter().map(|group| finding(case, group)).collect()
    }
}

/// Orphans of different places belong to one break when they usually have the same parent.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Break {
    Under(SiteId),
    At(SiteId),
}

fn finding(case: &Case<'_>, group: &Group) -> Finding {
    // The observed side is the place with most absent parents; of equals entry spans, then content.
    let absent = |site: SiteId| {
        let tally = case.seen.at(Place { rule: RULE.name, site, variant: 0 });
        tally.map_or((0, 0), |tally| (tally.count("missing_parents"), tally.spans))
    };
    let rank = |site: &&SiteId| (absent(**site).0, case.names.site(**site).kind.is_entry(), Reverse(**site));
    let leader = group.sites.iter().max_by_key(rank).copied().unwrap_or(group.sites[0]);
    let (missing_parents, orphans) = absent(leader);
    let all = &group.tally;
    let profile = case.corpus.profile(leader);
    let to = side(case.names, leader);
    let proof = Evidence::ParentAbsent { orphans: all.spans, missing_parents };
    let title = format!("{} has a parent that is not in the trace", label(&to));
    let mut finding = Finding::at_site(&RULE, case.names, leader, all, title, proof);
    finding.rate = Some(rate(orphans, profile.spans, RateUnit::Spans));
    let (remote, local, unknown) = (all.count("remote"), all.count("local"), all.count("unknown"));
    finding.support.push(Evidence::ParentLocation { remote, local, unknown });
    match case.corpus.usual_parent(leader) {
        Some((parent, joined)) => {
            let mut from = side(case.names, parent);
            from.inferred = true;
            finding.support.push(Evidence::UsualParent {
                parent: label(&from),
                joined,
                spans: profile.spans,
            });
            finding.from = Some(from);
        }
        None => finding.support.push(Evidence::NeverJoined { spans: profile.spans }),
    }
    let siblings = group.sites.iter().filter(|site| **site != leader);
    let places: Vec<String> =
        siblings.map(|site| label(&side(case.names, *site))).take(PLACES_NAMED).collect();
    if !places.is_empty() {
        finding.support.push(Evidence::SiblingPlaces { places });
    }
    if let Some(longest_ns) = all.extremes.get("cover").filter(|longest| **longest > 0) {
        finding.support.push(Evidence::ShadowOfParent { longest_ns: *longest_ns });
    }
    finding.remedy.steps.retain(|step| fits(step, remote, local));
    finding.message = message(&finding, remote, local);
    finding.decides = Some(decides(remote, local));
    finding.lower_when_rare();
    finding
}

/// Whether a step of the remedy can help when the absent parents ran where the flags say.
fn fits(step: &str, remote: u64, local: u64) -> bool {
    let is_for_remote = step.starts_with("Parent in another process");
    let is_for_local = step.starts_with("Parent in the same process");
    !(is_for_remote && remote == 0 && local > 0 || is_for_local && local == 0 && remote > 0)
}

fn message(finding: &Finding, remote: u64, local: u64) -> String {
    let whose = match (&finding.from, remote, local) {
        (Some(parent), ..) => format!("Going by the other traces, {} is missing.", label(parent)),
        (None, 1.., 0) => "The parent ran in another process, which is unknown to this data.".to_owned(),
        (None, 0, 1..) => "The parent ran in the same process.".to_owned(),
        (None, ..) => "Nothing in the data tells which span is missing.".to_owned(),
    };
    format!("The context arrived, but the record of the parent span did not reach this data. {whose}")
}

fn decides(remote: u64, local: u64) -> String {
    if local > 0 && remote == 0 {
        "Does the process log dropped spans, or does the Collector filter them? If neither, the span is never ended."
            .to_owned()
    } else {
        "Does the calling service send its spans to this backend, and with which sampler? \
         A caller outside (browser, load generator, gateway of others) never will."
            .to_owned()
    }
}

#[cfg(test)]
mod tests {
    use crate::analyzers::notation::check;

    #[test]
    fn complete_traces_and_roots_are_silent() {
        check(
            "
web  GET /        server  0..50
  web  GET stock    client  5..40
    stock  GET /stock  server  10..35

cron  cleanup  internal  0..5
",
        );
    }

    #[test]
    fn siblings_of_one_absent_parent_are_one_break() {
        check(
            "
web  GET /        server    0..50
  web  handler      internal  2..48
    web  SELECT       client    5..10
    web  GET stock    client    12..40

web  GET /        server    0..50
  web  SELECT       client    5..10   parent=lost
  web  GET stock    client    12..40  parent=lost   // orphan-span
",
        );
    }
}
