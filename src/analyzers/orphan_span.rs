//! `orphan-span`: a span names a parent that is not in its trace.

use std::collections::BTreeMap;

use super::observations::{Observations, Place, Tally};
use super::{Analyzer, Case, Rule};
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
Parent in the same process: look for spans that are never ended, for a Collector filter that drops spans, \
and for exporter queues that overflow (raise `OTEL_BSP_MAX_QUEUE_SIZE`).
Losses at the end of a process: flush on shutdown (`process.on('SIGTERM', () => sdk.shutdown())`).
Tail sampling on several Collectors: route by trace id (`loadbalancing` exporter with `routing_key: traceID`).",
    example: "
checkout  POST /orders    server    0..120
  checkout  reserve       internal  5..90
    stock     POST /items   server    30..80   parent=missing   // orphan-span
      stock     UPDATE items  client    40..60
",
};

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
        let mut groups: BTreeMap<Group, Vec<(SiteId, &Tally)>> = BTreeMap::new();
        for (place, tally) in case.seen.of(RULE.name) {
            let group = match case.corpus.usual_parent(place.site) {
                Some((parent, _)) => Group::Parent(parent),
                None => Group::Alone(place.site),
            };
            groups.entry(group).or_default().push((place.site, tally));
        }
        groups.into_values().map(|members| finding(case, members)).collect()
    }
}

/// Orphans of different places belong to one break when they usually have the same parent.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Parent(SiteId),
    Alone(SiteId),
}

fn finding(case: &Case<'_>, mut members: Vec<(SiteId, &Tally)>) -> Finding {
    // The observed side is the place with most absent parents; of equals entry spans, then content.
    members.sort_by_key(|(site, tally)| {
        let is_entry = case.names.site(*site).kind.is_entry();
        (std::cmp::Reverse(tally.count("missing_parents")), !is_entry, *site)
    });
    let leader = members[0].0;
    let mut all = members[0].1.clone();
    for (_, tally) in &members[1..] {
        all.merge(tally);
    }
    let missing_parents = members[0].1.count("missing_parents");
    let profile = case.corpus.profile(leader);
    let to = side(case.names, leader);
    let proof = Evidence::ParentAbsent { orphans: all.spans, missing_parents };
    let title = format!("{} has a parent that is not in the trace", label(&to));
    let mut finding = Finding::at_site(&RULE, case.names, leader, &all, title, proof);
    finding.rate = Some(rate(members[0].1.spans, profile.spans, RateUnit::Spans));
    let (remote, local) = (all.count("remote"), all.count("local"));
    let unknown = all.count("unknown");
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
    if members.len() > 1 {
        let places = members[1..].iter().map(|(site, _)| label(&side(case.names, *site)));
        finding.support.push(Evidence::SiblingPlaces { places: places.take(5).collect() });
    }
    if let Some(longest_ns) = all.extremes.get("cover").filter(|longest| **longest > 0) {
        finding.support.push(Evidence::ShadowOfParent { longest_ns: *longest_ns });
    }
    finding.message = message(&finding, remote, local);
    finding.decides = Some(decides(remote, local));
    finding.lower_when_rare();
    finding
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
