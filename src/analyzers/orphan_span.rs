//! `orphan-span`: a span names a parent that is not in its trace.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::observations::sampled;
use super::{Analyzer, Case, Rule};
use crate::corpus::losses::{Loss, Seen};
use crate::corpus::sample::Sampled;
use crate::corpus::traffic::Affected;
use crate::finding::{Evidence, Finding, label, rate, side};
use crate::model::{SpanId, TraceId};
use crate::report::{RateUnit, ScopeName, Severity};
use crate::store::SiteId;

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

    fn judge(&self, case: &Case<'_>) -> Vec<Finding> {
        let mut unexplained: BTreeMap<Break, Vec<&Loss>> = BTreeMap::new();
        for loss in case.diagnosis.unexplained_orphans() {
            let site = case.names.site_of(loss.operation);
            let place =
                case.corpus.usual_parent(site).map_or(Break::At(site), |(parent, _)| Break::Under(parent));
            unexplained.entry(place).or_default().push(loss);
        }
        let mut findings = case.breaks(&RULE);
        findings.extend(unexplained.values().map(|losses| finding(case, losses)));
        findings
    }
}

/// Orphans of different places belong to one break when they usually have the same parent.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Break {
    Under(SiteId),
    At(SiteId),
}

/// The orphans of one place.
#[derive(Default)]
struct Orphans {
    spans: u64,
    /// What the children of each absent parent cover, ns.
    covers: BTreeMap<(TraceId, SpanId), (i64, i64)>,
}

impl Orphans {
    fn add(&mut self, loss: &Loss) {
        self.spans += 1;
        let parent = (loss.trace_id, loss.parent_id.unwrap_or_default());
        let cover = self.covers.entry(parent).or_insert((loss.start_ns, loss.end_ns));
        *cover = (cover.0.min(loss.start_ns), cover.1.max(loss.end_ns));
    }

    fn longest_cover_ns(&self) -> i64 {
        self.covers.values().map(|(start, end)| end.saturating_sub(*start)).max().unwrap_or(0)
    }
}

fn finding(case: &Case<'_>, losses: &[&Loss]) -> Finding {
    let mut sites: BTreeMap<SiteId, Orphans> = BTreeMap::new();
    for loss in losses {
        sites.entry(case.names.site_of(loss.operation)).or_default().add(loss);
    }
    // The observed side is the place with most absent parents; of equals entry spans, then content.
    let rank = |(site, orphans): &(&SiteId, &Orphans)| {
        (orphans.covers.len(), case.names.site(**site).kind.is_entry(), Reverse(**site))
    };
    let Some((leader, orphans)) = sites.iter().max_by_key(rank) else { unreachable!("a group has a member") };
    let profile = case.corpus.profile(*leader);
    let to = side(case.names, *leader);
    let missing_parents = orphans.covers.len() as u64;
    let proof = Evidence::ParentAbsent { orphans: losses.len() as u64, missing_parents };
    let traces: BTreeSet<TraceId> = losses.iter().map(|loss| loss.trace_id).collect();
    let title = format!("{} has a parent that is not in the trace", label(&to));
    let (count, spans) = (traces.len() as u64, losses.len() as u64);
    let mut finding = Finding::between(&RULE, None, Some(to), spans, count, title, proof);
    let scope = &case.names.site(*leader).scope;
    finding.scope = (!scope.is_empty()).then(|| ScopeName { name: scope.to_string(), version: None });
    finding.first_ns = losses.iter().map(|loss| loss.start_ns).min();
    finding.last_ns = losses.iter().map(|loss| loss.start_ns).max();
    finding.rate = Some(rate(orphans.spans, profile.spans, RateUnit::Spans));
    finding.corpus_traces = traces.into_iter().collect();
    finding.occurrences = occurrences(case, losses);
    finding.affected = vec![affected(losses)];
    let of = |wanted: Location| losses.iter().filter(|loss| location(loss) == wanted).count() as u64;
    let (remote, local, unknown) = (of(Location::Remote), of(Location::Local), of(Location::Unknown));
    finding.support.push(Evidence::ParentLocation { remote, local, unknown });
    match case.corpus.usual_parent(*leader) {
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
    let siblings = sites.keys().filter(|site| *site != leader);
    let places: Vec<String> =
        siblings.map(|site| label(&side(case.names, *site))).take(PLACES_NAMED).collect();
    if !places.is_empty() {
        finding.support.push(Evidence::SiblingPlaces { places });
    }
    let longest_ns = sites.values().map(Orphans::longest_cover_ns).max().unwrap_or(0);
    if longest_ns > 0 {
        finding.support.push(Evidence::ShadowOfParent { longest_ns });
    }
    let (kept, seen) = case.diagnosis.losses_kept_of();
    if kept < seen {
        finding.support.push(Evidence::SampledLosses { kept, seen });
    }
    finding.remedy.steps.retain(|step| fits(step, remote, local));
    finding.message = message(&finding, remote, local);
    finding.decides = Some(decides(remote, local));
    finding.lower_when_rare();
    finding
}

#[derive(PartialEq, Eq)]
enum Location {
    Remote,
    Local,
    Unknown,
}

fn location(loss: &Loss) -> Location {
    match (loss.is_told, loss.seen) {
        (false, _) => Location::Unknown,
        (true, Seen::FromChild) => Location::Local,
        (true, _) => Location::Remote,
    }
}

fn affected(losses: &[&Loss]) -> Affected {
    let mut sorted: Vec<&&Loss> = losses.iter().collect();
    sorted.sort_unstable_by_key(|loss| (loss.trace_id, loss.start_ns, loss.span_id));
    let mut affected = Affected::default();
    for loss in sorted {
        affected.add(loss.operation, loss.trace_id, loss.start_ns);
    }
    affected
}

/// The orphans with the smallest hash.
fn occurrences(case: &Case<'_>, losses: &[&Loss]) -> Vec<Sampled> {
    let sampled_loss = |loss: &&Loss| {
        let site = case.names.site_of(loss.operation);
        sampled(loss.trace_id, loss.span_id, loss.source, site, loss.start_ns)
    };
    let mut spans: Vec<Sampled> = losses.iter().map(sampled_loss).collect();
    spans.sort_unstable();
    spans.truncate(case.seen.capacity());
    spans
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
