//! Parents with the work of many requests under them: a span of the start of the process that stays
//! active, a loop that consumes inside one span, and connections and timers that keep the context in
//! which they were made.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::{FxHashMap, FxHashSet};

use super::processes::{Process, SITES_COMPARED, Strays, by_service, damaged_span, is_periodic, settle};
use super::{Break, Damaged, Explained, Facts, Place, inside_requests, sampled_requests};
use crate::causes::{Cause, Opinion, consumer_loop_span, sticky_context, trace_id_reuse};
use crate::corpus::composition::{LATE_CHILDREN, TOLERANCE_NS};
use crate::corpus::hops::UnjoinedSpan;
use crate::corpus::matching::{Pair, pair_up};
use crate::corpus::requests::{LocalSpan, ParentPlace};
use crate::finding::{Evidence, ProposedParent, rate};
use crate::model::{SpanId, SpanKind, TraceId};
use crate::report::{Confidence, RateUnit, Severity};
use crate::store::{Names, ServiceId, SiteId};

/// A parent that works for so many times as long as the slowest request in a hundred is no request.
const FAR_LONGER: i64 = 5;

/// Finds them.
pub(super) fn breaks(facts: &Facts<'_>, explained: &mut Explained) -> Vec<Break> {
    let rows = facts.deviations.requests.by_process();
    let processes = Process::all(rows, explained);
    let mut found = Vec::new();
    for (service, own) in by_service(facts.names, &processes) {
        let Some(requests) = facts.corpus.usual.requests(service) else { continue };
        let request_ns = requests.quantile(0.99).unwrap_or(0);
        let groups: Vec<Group<'_, '_>> =
            own.iter().flat_map(|process| groups(facts.names, explained, process)).collect();
        found.extend(consumer_loop(facts, explained, service, request_ns, &groups));
        found.extend(reused_trace(facts, service, request_ns, &groups));
        found.extend(sticky(facts, request_ns, &groups));
    }
    found
}

/// The children of one site under one parent.
struct Group<'p, 'r> {
    process: &'p Process<'r>,
    parent: (TraceId, SpanId),
    site: SiteId,
    /// By start.
    spans: Vec<&'r LocalSpan>,
}

impl Group<'_, '_> {
    fn kind(&self, names: &Names) -> SpanKind {
        names.site(self.site).kind
    }

    /// From the first to the last start, ns.
    fn cover_ns(&self) -> i64 {
        let [Some(first), Some(last)] = [self.spans.first(), self.spans.last()] else { return 0 };
        last.start_ns - first.start_ns
    }

    fn has_parent(&self) -> bool {
        self.spans.iter().all(|span| span.parent == ParentPlace::Here)
    }

    /// The parent is inside a request.
    fn is_in_request(&self) -> bool {
        self.spans.iter().any(|span| span.entry.is_some() && !span.is_entry())
    }
}

/// Groups of at least [`LATE_CHILDREN`] spans.
fn groups<'p, 'r>(names: &Names, explained: &Explained, process: &'p Process<'r>) -> Vec<Group<'p, 'r>> {
    let mut groups: BTreeMap<((TraceId, SpanId), SiteId), Vec<&'r LocalSpan>> = BTreeMap::new();
    for span in process.spans {
        let is_wanted = match span.parent {
            ParentPlace::Here | ParentPlace::MissingHere => true,
            ParentPlace::Missing => names.operation(span.operation).kind == SpanKind::Consumer,
            ParentPlace::Nowhere | ParentPlace::Elsewhere | ParentPlace::MissingElsewhere => false,
        };
        let Some(parent) = span.parent_id.filter(|_| is_wanted) else { continue };
        if !explained.has(span.trace_id, span.span_id) {
            let key = ((span.trace_id, parent), names.site_of(span.operation));
            groups.entry(key).or_default().push(span);
        }
    }
    let many = groups.into_iter().filter(|(_, spans)| spans.len() >= LATE_CHILDREN);
    many.map(|((parent, site), spans)| Group { process, parent, site, spans }).collect()
}

/// Consumer spans of one site that have one parent in their own process, over a time that no batch takes.
fn consumer_loop(
    facts: &Facts<'_>,
    explained: &Explained,
    service: ServiceId,
    request_ns: i64,
    groups: &[Group<'_, '_>],
) -> Vec<Break> {
    let is_long = |group: &&Group<'_, '_>| {
        group.kind(facts.names) == SpanKind::Consumer
            && group.cover_ns() > FAR_LONGER.saturating_mul(request_ns)
    };
    let mut loops: Vec<&Group<'_, '_>> = groups.iter().filter(is_long).collect();
    let requests = requests_by_site(facts.names, &loops);
    let all = |group: &Group<'_, '_>| requests.get(&(group.process.number(), group.site)).copied();
    loops.retain(|group| group.spans.len() * 2 >= all(group).unwrap_or_default());
    let consumers: Vec<&LocalSpan> =
        loops.iter().flat_map(|group| &group.spans).copied().filter(|span| !span.is_linked).collect();
    if consumers.len() < LATE_CHILDREN {
        return Vec::new();
    }
    let pairs = pairs(facts, explained, &consumers);
    // A missing parent may be a producer, unless the source tells that it ran here; and a parent that is
    // there may be a long batch.
    let is_told =
        loops.iter().all(|group| group.spans.iter().all(|span| span.parent == ParentPlace::MissingHere));
    if !is_told && pairs.len() * 2 < consumers.len() {
        return Vec::new();
    }
    let is_orphan = loops.iter().all(|group| !group.has_parent());
    let spans: Vec<Damaged> = consumers
        .iter()
        .map(|span| {
            let pair = pairs.get(&(span.trace_id, span.span_id));
            damaged_span(span, pair.map(proposed_producer))
        })
        .collect();
    let crowd = Crowd {
        rule: if is_orphan { "orphan-span" } else { "multi-request-trace" },
        cause: &consumer_loop_span::CAUSE,
        title: "handles all its messages inside one span",
        message: "Every message is handled as a child of one span of the consumer: the traces of the \
                  producers end at their messages, and one trace holds the work for all of them.",
    };
    let sites: Vec<SiteId> = loops.iter().map(|group| group.site).collect();
    vec![crowd.found(facts, service, &sites, spans, &loops, request_ns, Vec::new())]
}

/// How many requests begin with each site, in each process of these groups.
fn requests_by_site(names: &Names, groups: &[&Group<'_, '_>]) -> FxHashMap<(u32, SiteId), usize> {
    let mut counts: FxHashMap<(u32, SiteId), usize> = FxHashMap::default();
    // The groups of a process stand together.
    for of_process in groups.chunk_by(|one, other| one.process.number() == other.process.number()) {
        let process = of_process[0].process;
        for request in &process.requests {
            *counts.entry((process.number(), names.site_of(request.entry.operation))).or_default() += 1;
        }
    }
    counts
}

/// Consumer spans and the unanswered producer spans that they belong to.
fn pairs(
    facts: &Facts<'_>,
    explained: &Explained,
    consumers: &[&LocalSpan],
) -> FxHashMap<(TraceId, SpanId), Pair> {
    let [mut exits, _] = facts.corpus.hops.sides(facts.names, &FxHashSet::default());
    exits.retain(|exit| {
        facts.names.operation(exit.operation).kind == SpanKind::Producer
            && !explained.has_exit(exit.trace_id, exit.span_id)
    });
    let has_boundary = |span: &&&LocalSpan| (span.boundary as usize) < facts.names.boundaries.len();
    let mut entries: Vec<UnjoinedSpan> =
        consumers.iter().filter(has_boundary).map(|span| UnjoinedSpan::of_local(span)).collect();
    entries.sort_unstable_by_key(|entry| (entry.start_ns, entry.trace_id, entry.span_id));
    let edges = pair_up(&exits, &entries, &facts.corpus.clocks, &facts.corpus.clock_network, facts.names);
    let pairs = edges.into_iter().flat_map(|edge| edge.pairs);
    pairs.map(|pair| ((pair.entry.trace_id, pair.entry.span_id), pair)).collect()
}

fn proposed_producer(pair: &Pair) -> ProposedParent {
    let confidence = match (pair.has_message_id, pair.candidates) {
        (true, _) | (_, 1) => Confidence::High,
        (_, 2 | 3) => Confidence::Medium,
        _ => Confidence::Low,
    };
    ProposedParent { trace_id: pair.exit.trace_id, span_id: pair.exit.span_id, confidence }
}

/// Spans of many requests under one parent that belongs to none.
fn reused_trace(
    facts: &Facts<'_>,
    service: ServiceId,
    request_ns: i64,
    groups: &[Group<'_, '_>],
) -> Option<Break> {
    let mut parents: BTreeMap<(TraceId, SpanId), Vec<&Group<'_, '_>>> = BTreeMap::new();
    for group in groups {
        let is_wanted = group.kind(facts.names) != SpanKind::Consumer
            && !group.is_in_request()
            && group.cover_ns() > FAR_LONGER.saturating_mul(request_ns);
        if is_wanted {
            parents.entry(group.parent).or_default().push(group);
        }
    }
    let mut sites: BTreeMap<SiteId, Vec<&Group<'_, '_>>> = BTreeMap::new();
    for group in parents.into_values().flatten() {
        sites.entry(group.site).or_default().push(group);
    }
    // Groups came by their parents; those of one process have to stand together.
    for own in sites.values_mut() {
        own.sort_by_key(|group| group.process.number());
    }
    let (mut spans, mut crowded, mut support) = (Vec::new(), Vec::new(), Vec::new());
    for (site, own) in sites.iter().take(SITES_COMPARED) {
        let Some(settled) = settle(facts, *site, &strays(own, |_| true)) else { continue };
        support.push(inside_requests(Some((facts.names, *site)), &settled));
        spans.extend(settled.damaged(facts));
        crowded.extend(own.iter().copied());
    }
    if crowded.is_empty() {
        return None;
    }
    let crowd = Crowd {
        rule: "multi-request-trace",
        cause: &trace_id_reuse::CAUSE,
        title: "puts the work of many requests into one trace",
        message: "What the service does for its requests hangs on one span that belongs to none of them, \
                  and their own entry spans lack it.",
    };
    let sites: Vec<SiteId> = crowded.iter().map(|group| group.site).collect();
    Some(crowd.found(facts, service, &sites, spans, &crowded, request_ns, support))
}

fn strays<'p, 'r>(groups: &[&Group<'p, 'r>], is_wanted: impl Fn(&LocalSpan) -> bool) -> Vec<Strays<'p, 'r>> {
    let of_group = |group: &&Group<'p, 'r>| Strays {
        process: group.process,
        spans: group.spans.iter().copied().filter(|span| is_wanted(span)).collect(),
    };
    groups.iter().map(of_group).collect()
}

/// Children that start long after the request of their parent, because it was the first.
fn sticky(facts: &Facts<'_>, request_ns: i64, groups: &[Group<'_, '_>]) -> Vec<Break> {
    let stuck = groups.iter().filter(|group| is_sticky(facts, request_ns, group));
    let stuck: BTreeSet<SiteId> = stuck.map(|group| group.site).collect();
    // What is stuck under one parent is so under others that ended too recently to tell.
    let is_like = |group: &&Group<'_, '_>| {
        stuck.contains(&group.site)
            && group.has_parent()
            && group.spans.iter().any(|span| is_after_parent(span))
    };
    let mut sites: BTreeMap<SiteId, Vec<&Group<'_, '_>>> = BTreeMap::new();
    for group in groups.iter().filter(is_like) {
        sites.entry(group.site).or_default().push(group);
    }
    let sites = sites.into_iter().take(SITES_COMPARED);
    sites.filter_map(|(site, groups)| found_sticky(facts, site, &groups)).collect()
}

fn site_of_parent(facts: &Facts<'_>, group: &Group<'_, '_>) -> Option<SiteId> {
    let parent = group.process.span(group.parent.0, group.parent.1)?;
    Some(facts.names.site_of(parent.operation))
}

fn is_sticky(facts: &Facts<'_>, request_ns: i64, group: &Group<'_, '_>) -> bool {
    if !group.has_parent() || group.kind(facts.names) == SpanKind::Consumer {
        return false;
    }
    let Some(parent) = site_of_parent(facts, group) else { return false };
    let wait_ns = facts.corpus.composition.longest_wait_ns(parent, group.site).saturating_add(request_ns);
    let is_late = |span: &&&LocalSpan| {
        span.parent_end_ns.is_some_and(|end| span.start_ns > end.saturating_add(wait_ns))
    };
    group.spans.iter().filter(is_late).count() >= LATE_CHILDREN
}

fn is_after_parent(span: &LocalSpan) -> bool {
    span.parent_end_ns.is_some_and(|end| span.start_ns > end + TOLERANCE_NS)
}

fn found_sticky(facts: &Facts<'_>, site: SiteId, groups: &[&Group<'_, '_>]) -> Option<Break> {
    let strays = strays(groups, is_after_parent);
    let settled = settle(facts, site, &strays);
    let settled = settled.filter(|settled| settled.is_lacking);
    let late = || groups.iter().flat_map(|group| &group.spans).filter(|span| is_after_parent(span));
    let latest = |span: &&LocalSpan| span.parent_end_ns.map(|end| span.start_ns - end);
    let proof = Evidence::LateChildren {
        children: late().count() as u64,
        parents: groups.len() as u64,
        longest_ns: late().filter_map(latest).max().unwrap_or(0),
    };
    let (spans, support, message) = if let Some(settled) = &settled {
        (
            settled.damaged(facts),
            inside_requests(Some((facts.names, site)), settled),
            "What was set up inside one request keeps its context: the work of later requests hangs on the \
             span of the first, and they lack it.",
        )
    } else {
        // A parent that queued its own jobs has late children too, but they come one after the other.
        let both = groups.iter().copied().zip(&strays);
        let timers: Vec<&Group<'_, '_>> =
            both.filter(|(_, strays)| is_timer(strays)).map(|(group, _)| group).collect();
        if timers.is_empty() {
            return None;
        }
        let spans = timers.iter().flat_map(|group| &group.spans);
        let spans: Vec<Damaged> = spans.map(|span| damaged_span(span, None)).collect();
        let gaps = Evidence::EvenGaps { spans: spans.len() as u64, gap_ns: typical_gap_ns(&timers) };
        let message = "A timer that was started inside a request keeps its context: the trace of that \
                       request never ends.";
        (spans, gaps, message)
    };
    let parent = site_of_parent(facts, groups[0]);
    let rate = Some(rate(spans.len() as u64, facts.corpus.profile(site).spans, RateUnit::Spans));
    Some(Break {
        rule: "misattributed-span",
        from: parent.map(Place::Site),
        to: Place::Site(site),
        confidence: Confidence::High,
        severity: Severity::Error,
        cause: Some(Opinion { cause: &sticky_context::CAUSE, confidence: Confidence::High }),
        other_causes: Vec::new(),
        title: "runs in the context of a request that is over".to_owned(),
        message: message.to_owned(),
        spans,
        rate,
        proof,
        support: std::iter::once(support).chain(sampled_requests(facts)).collect(),
    })
}

/// Starts at even gaps, and most of the time nothing runs: work that is done one piece after the other is
/// even as well, and leaves no pause.
fn is_timer(strays: &Strays<'_, '_>) -> bool {
    let spans = &strays.spans;
    let [Some(first), Some(last)] = [spans.first(), spans.last()] else { return false };
    let busy_ns: i64 = spans.iter().map(|span| span.duration_ns()).sum();
    busy_ns.saturating_mul(2) < last.start_ns - first.start_ns
        && is_periodic(spans.iter().map(|span| span.start_ns).collect())
}

fn typical_gap_ns(groups: &[&Group<'_, '_>]) -> i64 {
    let starts = groups.iter().flat_map(|group| group.spans.windows(2));
    let mut gaps: Vec<i64> = starts.map(|two| two[1].start_ns - two[0].start_ns).collect();
    crate::corpus::matching::median(&mut gaps)
}

/// How a crowd under one parent is reported.
struct Crowd {
    rule: &'static str,
    cause: &'static Cause,
    title: &'static str,
    message: &'static str,
}

impl Crowd {
    #[expect(clippy::too_many_arguments, reason = "one call each for two kinds of crowds")]
    fn found(
        &self,
        facts: &Facts<'_>,
        service: ServiceId,
        sites: &[SiteId],
        spans: Vec<Damaged>,
        groups: &[&Group<'_, '_>],
        request_ns: i64,
        support: Vec<Evidence>,
    ) -> Break {
        let is_one_site = sites.iter().all(|site| *site == sites[0]);
        let mut distinct = sites.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        let all = distinct.iter().map(|site| facts.corpus.profile(*site).spans).sum();
        let parents: BTreeSet<_> = groups.iter().map(|group| group.parent).collect();
        let confidence = Confidence::High;
        Break {
            rule: self.rule,
            from: None,
            to: if is_one_site { Place::Site(sites[0]) } else { Place::Service(service) },
            confidence,
            severity: Severity::Error,
            cause: Some(Opinion { cause: self.cause, confidence }),
            other_causes: Vec::new(),
            title: self.title.to_owned(),
            message: self.message.to_owned(),
            rate: Some(rate(spans.len() as u64, all, RateUnit::Spans)),
            proof: Evidence::SharedParent {
                spans: spans.len() as u64,
                parents: parents.len() as u64,
                cover_ns: groups.iter().map(|group| group.cover_ns()).max().unwrap_or(0),
                request_ns,
                is_missing: groups.iter().all(|group| !group.has_parent()),
            },
            spans,
            support: support.into_iter().chain(sampled_requests(facts)).collect(),
        }
    }
}
