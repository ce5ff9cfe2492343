//! `duplicate-span`: one span that is there more than once.

use std::collections::BTreeMap;

use super::observations::{Observations, ProcessInTrace, Tally};
use super::{Analyzer, Case, Rule};
use crate::causes::{self, Cause, Opinion};
use crate::corpus::hops::hash_in_time;
use crate::corpus::sample::hash_span;
use crate::finding::{Evidence, Finding, rate};
use crate::model::SpanId;
use crate::report::{CheckNotPossible, Confidence, RateUnit, Severity};
use crate::store::ServiceId;
use crate::trace::{CopyKind, TraceView};

static RULE: Rule = Rule {
    name: "duplicate-span",
    severity: Severity::Warning,
    summary: "The same span is there more than once.",
    what: "Records with the same trace id and span id that are the same span: equal in everything, or \
           differing only in what a pipeline adds on the way. Client and server spans that share an id \
           (Zipkin, B3) are no duplicates, nor are files that were given twice.",
    why: "Counts, rates and costs are too high, and backends that keep one copy keep a random one.",
    fix: "Export every span once.
All spans of a process twice: look for two span processors or exporters, or two pipelines of the Collector \
that end in one backend.
Some spans, in bursts: the exporter retried after a timeout although the backend had stored the batch; \
raise its timeout (`OTEL_EXPORTER_OTLP_TRACES_TIMEOUT`) or lower the batch size.",
    example: "
web  GET /   server    0..50
  web  SELECT  client    5..10  id=a
  web  SELECT  client    5..10  id=a   // duplicate-span
",
};

/// The analyzer.
pub(super) struct DuplicateSpan;

impl Analyzer for DuplicateSpan {
    fn rule(&self) -> &'static Rule {
        &RULE
    }

    fn observe_trace(&self, trace: &TraceView<'_>, seen: &mut Observations) {
        observe_processes(trace, seen);
        if trace.counts.extra_copies == 0 {
            return;
        }
        for key in trace.keys.iter().filter(|key| key.end - key.start > 1) {
            let is_extra = |index: &usize| trace.in_scope(*index) && is_extra_copy(trace, *index);
            let extra: Vec<usize> = key.range().filter(is_extra).collect();
            let head = &trace.spans[key.head as usize];
            for (nth, index) in extra.iter().enumerate() {
                let tally = seen.span(RULE.name, 0, trace, *index);
                let differs = trace.copies[*index] == CopyKind::Different;
                let is_finished = head.duration_ns() == trace.spans[*index].duration_ns();
                tally.add("ids", u64::from(nth == 0));
                tally.add("differ", u64::from(differs));
                tally.add("enriched", u64::from(differs && is_finished));
                tally.raise("most", extra.len() as i64 + 1);
                tally.raise("fewest, negated", -(extra.len() as i64 + 1));
            }
        }
    }

    fn not_possible(&self, case: &Case<'_>) -> Vec<CheckNotPossible> {
        case.lacking(
            RULE.name,
            |capabilities| !capabilities.duplicates_visible,
            "the backend may have removed copies before the export",
        )
    }

    /// One finding a service: copies are made behind it, not in its code.
    fn judge(&self, case: &Case<'_>) -> Vec<Finding> {
        let groups = case.grouped_by_service(RULE.name, 0).into_iter();
        let courses = Courses::of_case(case);
        let findings = groups.map(|group| {
            let tally = &group.tally;
            let service = case.names.site(group.sites[0]).service;
            let spans = case.names.sites_of(service).map(|site| case.corpus.profile(site).spans).sum();
            let ids = tally.count("ids");
            let proof = Evidence::Copies { ids, extra: tally.spans, spans };
            let name = case.names.service_of_site(group.sites[0]).name.to_string();
            let title = format!("{name} has spans that are there more than once");
            let mut finding = case.about_service(&RULE, &group, title, proof);
            finding.rate = Some(rate(ids, spans, RateUnit::Spans));
            if tally.count("differ") > 0 {
                finding.support.push(Evidence::CopiesDiffer { ids: tally.count("differ") });
            }
            if let Some(why) = courses.of(service).why(tally) {
                finding.support.splice(0..0, why.evidence);
                causes::blame(case.names, &mut finding, service, why.leading, why.others);
            }
            finding
        });
        findings.collect()
    }
}

/// Notes for each process how many of its spans in this trace have copies.
fn observe_processes(trace: &TraceView<'_>, seen: &mut Observations) {
    let Some(start_ns) = trace.spans.iter().map(crate::store::SpanRecord::start_ns).min() else { return };
    let hash = hash_in_time(start_ns, hash_span(trace.trace_id, SpanId(0)));
    if !seen.processes.wants(hash) {
        return;
    }
    let mut parts: BTreeMap<u32, ProcessInTrace> = BTreeMap::new();
    for key in trace.keys {
        let head = key.head as usize;
        if trace.copies[head] == CopyKind::Repeated || !trace.in_scope(head) {
            continue;
        }
        let span = &trace.spans[head];
        let resource = trace.names.operation(span.operation).resource;
        let part = parts.entry(resource).or_insert(ProcessInTrace {
            hash,
            resource,
            end_ns: i64::MIN,
            trace_id: trace.trace_id,
            spans: 0,
            copied: 0,
        });
        part.end_ns = part.end_ns.max(span.end_ns());
        part.spans += 1;
        part.copied += u32::from(key.range().any(|index| is_extra_copy(trace, index)));
    }
    for part in parts.into_values() {
        seen.processes.insert(part);
    }
}

/// A batch of a batch span processor holds at most so many spans (`OTEL_BSP_MAX_EXPORT_BATCH_SIZE`), and
/// spans that ended within so many ns (`OTEL_BSP_SCHEDULE_DELAY`), by default (OpenTelemetry
/// specification, "SDK environment variables"). What is more than one batch was exported in several.
const SPANS_OF_A_BATCH: u64 = 512;
const BATCH_NS: i64 = 5_000_000_000;

/// Standard deviations by which copies have to make fewer runs than in any order: one-sided, that is one
/// in a thousand. Copies of batches make as few runs as there are batches.
const FEWER_RUNS: f64 = 3.0;

/// How the copies of processes lie in time. Sums over processes with copies.
#[derive(Clone, Copy, Debug, Default)]
struct Course {
    /// Spans, and those without copies.
    spans: u64,
    not_copied: u64,
    /// Whether a span without copies lies between spans with copies.
    has_gaps: bool,
    /// Whether what has no copies at either end is more than a batch.
    has_wide_edges: bool,
    /// Longest stretch of time with copies, and most spans in one.
    longest_ns: i64,
    most_spans: u64,
    /// Parts of traces, and those with copies.
    parts: u64,
    copied: u64,
    /// Runs of parts with and without copies (A. Wald, J. Wolfowitz, Annals of Mathematical Statistics 11,
    /// 1940): how many there are, how many there would be in any order, and the variance of that. Only of
    /// processes that have both.
    runs: u64,
    expected: f64,
    variance: f64,
}

impl Course {
    /// Takes in a process that has copies, its parts of traces in the order of their ends.
    fn add(&mut self, parts: &[ProcessInTrace]) {
        let has_copy = |part: &&ProcessInTrace| part.copied > 0;
        let Some(first) = parts.iter().position(|part| has_copy(&part)) else { return };
        let last = parts.iter().rposition(|part| has_copy(&part)).unwrap_or(first);
        let (before, rest) = parts.split_at(first);
        let (inside, after) = rest.split_at(last - first + 1);
        let spans = |parts: &[ProcessInTrace]| parts.iter().map(|part| u64::from(part.spans)).sum::<u64>();
        let duration = |parts: &[ProcessInTrace]| match parts {
            [first, .., last] => last.end_ns.saturating_sub(first.end_ns),
            _ => 0,
        };
        self.spans += spans(parts);
        self.not_copied += parts.iter().map(|part| u64::from(part.spans - part.copied)).sum::<u64>();
        self.has_gaps |= inside.iter().any(|part| part.copied < part.spans);
        self.has_wide_edges |= [before, after]
            .into_iter()
            .any(|edge| spans(edge) > SPANS_OF_A_BATCH || duration(edge) > BATCH_NS);
        self.longest_ns = self.longest_ns.max(duration(inside));
        self.most_spans = self.most_spans.max(spans(inside));
        let copied = parts.iter().filter(has_copy).count();
        self.parts += parts.len() as u64;
        self.copied += copied as u64;
        if copied < parts.len() {
            let changes = parts.windows(2).filter(|two| has_copy(&&two[0]) != has_copy(&&two[1])).count();
            self.runs += changes as u64 + 1;
            let (with, without) = (copied as f64, (parts.len() - copied) as f64);
            let all = with + without;
            let pairs = 2.0 * with * without;
            self.expected += pairs / all + 1.0;
            self.variance += pairs * (pairs - all) / (all * all * (all - 1.0).max(1.0));
        }
    }

    /// By how many standard deviations there are fewer runs than that in any order.
    fn fewer_than_by_chance(&self, runs: f64) -> f64 {
        if self.variance <= 0.0 { 0.0 } else { (self.expected - runs) / self.variance.sqrt() }
    }

    fn is_more_than_a_batch(&self) -> bool {
        self.longest_ns > BATCH_NS || self.most_spans > SPANS_OF_A_BATCH
    }

    /// Two ways copy every span; retries copy batches.
    fn why(&self, tally: &Tally) -> Option<WhyCopied> {
        let (ids, differ, enriched) = (tally.count("ids"), tally.count("differ"), tally.count("enriched"));
        if enriched * 2 > tally.spans {
            // A retry sends the same bytes.
            let evidence = Evidence::CopiesEnriched { ids: enriched, of: tally.spans };
            return Some(WhyCopied::sure(&causes::DOUBLE_PIPELINE, evidence));
        }
        if differ * 2 > tally.spans || ids == 0 || self.copied == 0 {
            // Unfinished and finished versions of one span.
            return None;
        }
        let extreme = |name| tally.extremes.get(name).copied().unwrap_or_default();
        let (most, fewest) = (extreme("most"), -extreme("fewest, negated"));
        if !self.has_gaps && !self.has_wide_edges && (self.not_copied == 0 || self.is_more_than_a_batch()) {
            let evidence = Evidence::EveryCopied {
                spans: self.spans - self.not_copied,
                records: most.unsigned_abs(),
                longest_ns: self.longest_ns,
            };
            // One batch can be sent twice; a retry that never gets an answer is repeated, so that
            // batches are there more often than twice, and not equally often.
            let is_sure = most == fewest && self.is_more_than_a_batch() && self.not_copied == 0;
            return Some(WhyCopied::new(&causes::DOUBLE_PIPELINE, &causes::EXPORT_RETRY, is_sure, evidence));
        }
        let evidence = Evidence::CopiesInTime {
            parts: self.parts,
            copied: self.copied,
            runs: self.runs,
            expected: self.expected,
        };
        let is_clustered = self.fewer_than_by_chance(self.runs as f64) >= FEWER_RUNS;
        let could_be_clustered = self.fewer_than_by_chance(2.0) >= FEWER_RUNS;
        Some(if could_be_clustered && !is_clustered {
            // Single spans or traces here and there: one of two ways loses or samples.
            WhyCopied::new(&causes::DOUBLE_PIPELINE, &causes::EXPORT_RETRY, false, evidence)
        } else {
            WhyCopied::new(&causes::EXPORT_RETRY, &causes::DOUBLE_PIPELINE, is_clustered, evidence)
        })
    }
}

/// Why spans are there more than once.
struct WhyCopied {
    leading: Opinion,
    others: Vec<Opinion>,
    evidence: Vec<Evidence>,
}

impl WhyCopied {
    fn sure(cause: &'static Cause, evidence: Evidence) -> Self {
        let leading = Opinion { cause, confidence: Confidence::High };
        Self { leading, others: Vec::new(), evidence: vec![evidence] }
    }

    fn new(cause: &'static Cause, other: &'static Cause, is_sure: bool, evidence: Evidence) -> Self {
        if is_sure {
            return Self::sure(cause, evidence);
        }
        let [leading, other] = [cause, other].map(|cause| Opinion { cause, confidence: Confidence::Medium });
        Self { leading, others: vec![other], evidence: vec![evidence] }
    }
}

/// The courses of all services with copies.
struct Courses(BTreeMap<ServiceId, Course>);

impl Courses {
    fn of_case(case: &Case<'_>) -> Self {
        let mut parts = case.seen.processes.sorted();
        parts.sort_unstable_by_key(|part| (part.resource, part.end_ns, part.trace_id));
        let mut courses: BTreeMap<ServiceId, Course> = BTreeMap::new();
        for process in parts.chunk_by(|one, other| one.resource == other.resource) {
            let resource = &case.names.resources[process[0].resource as usize];
            let wanted = (&resource.namespace, &resource.service);
            let service = case.names.services.partition_point(|it| (&it.namespace, &it.name) < wanted);
            courses.entry(service as ServiceId).or_default().add(process);
        }
        Self(courses)
    }

    fn of(&self, service: ServiceId) -> Course {
        self.0.get(&service).copied().unwrap_or_default()
    }
}

/// A copy of a span that is there already: equal, or one that differs in what a pipeline adds or
/// in a later state of the same span. Anything else is a collision of ids.
fn is_extra_copy(trace: &TraceView<'_>, index: usize) -> bool {
    match trace.copies[index] {
        CopyKind::Equal => true,
        CopyKind::Different => is_version_of_head(trace, index),
        CopyKind::First | CopyKind::SharedServer | CopyKind::Repeated => false,
    }
}

/// Whether a record with another content is the same span all the same: same service, name, kind,
/// parent and start as the first record of its id.
pub(super) fn is_version_of_head(trace: &TraceView<'_>, index: usize) -> bool {
    let key = trace.key(index);
    let is_version = |head: usize| {
        let (one, other) = (&trace.spans[head], &trace.spans[index]);
        let names = trace.names;
        names.site_of(one.operation) == names.site_of(other.operation)
            && names.name_of(one.operation) == names.name_of(other.operation)
            && one.start_ns() == other.start_ns()
            && one.parent_id() == other.parent_id()
    };
    is_version(key.head as usize) || key.server.is_some_and(|server| is_version(server as usize))
}

#[cfg(test)]
mod tests {
    use crate::analyzers::notation::check;

    #[test]
    fn a_shared_client_and_server_pair_is_no_duplicate() {
        check(
            "
web  GET stock  client  0..50  id=a
  stock  GET /stock  server  5..40  id=a  parent=none  shared
",
        );
    }

    #[test]
    fn copies_of_one_batch_may_be_either() {
        let findings = crate::analyzers::notation::analyse_text(
            "
web  GET /   server    0..50
  web  SELECT  client    5..10  id=a
  web  SELECT  client    5..10  id=a
",
        );
        let finding = &findings[0];
        assert_eq!(finding.cause.map(|opinion| opinion.confidence), Some(super::Confidence::Medium));
        assert_eq!(finding.other_causes.len(), 1);
    }

    #[test]
    fn copies_here_and_there_are_no_batches() {
        let text: String = (0..40).fold(String::new(), |mut text, number| {
            let start = number * 1_000;
            let line = format!("web  GET /   server    {start}..{}  id={number}\n", start + 50);
            text.push_str(&line);
            // Every third one, as a way that samples would.
            if number % 3 == 0 {
                text.push_str(&line);
            }
            text.push('\n');
            text
        });
        let findings = crate::analyzers::notation::analyse_text(&text);
        assert_eq!(findings[0].cause.map(|opinion| opinion.cause.id), Some("double-pipeline"));
        assert_eq!(findings[0].other_causes.len(), 1);
    }

    #[test]
    fn an_unfinished_and_a_finished_version_are_one_span() {
        check(
            "
web  GET /   server    0..50
  web  SELECT  client    5..6   id=a
  web  SELECT  client    5..10  id=a   // duplicate-span
",
        );
    }
}
