//! A break, with the evidence for it. A finding cannot be made without evidence.

pub mod blame;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use xxhash_rust::xxh64::xxh64;

use crate::analyzers::Rule;
use crate::analyzers::observations::Tally;
use crate::causes::Opinion;
use crate::corpus::matching::Chance;
use crate::corpus::sample::Sampled;
use crate::corpus::traffic::Affected;
use crate::diagnosis::Place;
use crate::model::time::{human_duration, rfc3339};
use crate::model::{SpanId, TraceId, names};
use crate::report::{Blame, Confidence, Rate, RateUnit, Remedy, ScopeName, Severity, Side};
use crate::store::{Names, ServiceId, SiteId};

/// A span to which a detached one belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProposedParent {
    /// Its trace.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
    /// How sure.
    pub confidence: Confidence,
}

/// One place where something is wrong.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The rule.
    pub rule: &'static Rule,
    /// How grave; never above the rule's.
    pub severity: Severity,
    /// How sure it is that the break exists.
    pub confidence: Confidence,
    /// One line without ids.
    pub title: String,
    /// A few sentences.
    pub message: String,
    /// The caller's side.
    pub from: Option<Side>,
    /// The damaged side.
    pub to: Option<Side>,
    /// Scope of the damaged spans.
    pub scope: Option<ScopeName>,
    /// The places of both sides where the diagnosis knows them, for the software that runs there.
    pub sides: (Option<Place>, Option<Place>),
    /// The caller's side is the damaged one.
    pub is_from_damaged: bool,
    /// Why, if that was concluded.
    pub cause: Option<Opinion>,
    /// Runners-up.
    pub other_causes: Vec<Opinion>,
    /// What would settle the cause.
    pub decides: Option<String>,
    /// Spans affected.
    pub spans: u64,
    /// Traces affected.
    pub traces: u64,
    /// How often.
    pub rate: Option<Rate>,
    /// Affected spans by operation and time: the damaged side, then the other, as far as it is known.
    pub affected: Vec<Affected>,
    /// What the break concentrates on.
    pub blame: Vec<Blame>,
    /// Earliest affected start, ns.
    pub first_ns: Option<i64>,
    /// Latest affected start, ns.
    pub last_ns: Option<i64>,
    /// The fact that carries the finding.
    pub proof: Evidence,
    /// Further facts.
    pub support: Vec<Evidence>,
    /// What to change.
    pub remedy: Remedy,
    /// Affected spans with the smallest hash.
    pub occurrences: Vec<Sampled>,
    /// Affected spans in all.
    pub occurrences_total: u64,
    /// Where affected spans belong, by trace and span.
    pub proposed_parents: BTreeMap<(TraceId, SpanId), ProposedParent>,
    /// Affected traces that no analyzer saw by itself, because only the corpus shows them.
    pub corpus_traces: Vec<TraceId>,
}

impl Finding {
    /// A finding about the spans of a tally at a site.
    pub fn at_site(
        rule: &'static Rule,
        names: &Names,
        site: SiteId,
        tally: &Tally,
        title: String,
        proof: Evidence,
    ) -> Self {
        let scope = &names.site(site).scope;
        Self {
            scope: (!scope.is_empty()).then(|| ScopeName { name: scope.to_string(), version: None }),
            first_ns: Some(tally.first_ns),
            last_ns: Some(tally.last_ns),
            affected: vec![tally.affected.clone()],
            occurrences: tally.sample.sorted(),
            occurrences_total: tally.spans,
            ..Self::between(rule, None, Some(side(names, site)), tally.spans, tally.traces, title, proof)
        }
    }

    /// A finding about two sides.
    pub fn between(
        rule: &'static Rule,
        from: Option<Side>,
        to: Option<Side>,
        spans: u64,
        traces: u64,
        title: String,
        proof: Evidence,
    ) -> Self {
        Self {
            rule,
            severity: rule.severity,
            confidence: Confidence::Certain,
            title,
            message: rule.summary.to_owned(),
            from,
            to,
            scope: None,
            sides: (None, None),
            is_from_damaged: false,
            cause: None,
            other_causes: Vec::new(),
            decides: None,
            spans,
            traces,
            rate: None,
            affected: Vec::new(),
            blame: Vec::new(),
            first_ns: None,
            last_ns: None,
            proof,
            support: Vec::new(),
            remedy: rule.remedy(),
            occurrences: Vec::new(),
            occurrences_total: spans,
            proposed_parents: BTreeMap::new(),
            corpus_traces: Vec::new(),
        }
    }

    /// Lowers the severity; it is never raised.
    pub fn lower_to(&mut self, severity: Severity) {
        self.severity = self.severity.min(severity);
    }

    /// A break that is both small in number and rare is at most a warning: fewer than 3 traces, and
    /// below 0.1 % of its calls.
    pub fn lower_when_rare(&mut self) {
        let is_rare = self.rate.as_ref().is_some_and(|rate| rate.value < 0.001);
        if self.traces < 3 && is_rare {
            self.lower_to(Severity::Warning);
        }
    }

    /// The side whose spans are damaged.
    pub const fn damaged(&self) -> Option<&Side> {
        if self.is_from_damaged { self.from.as_ref() } else { self.to.as_ref() }
    }

    /// All evidence, the carrying fact first.
    pub fn evidence(&self) -> impl Iterator<Item = &Evidence> {
        std::iter::once(&self.proof).chain(&self.support)
    }

    /// Identity of the break across runs: rule, damaged side and scope. Never ids, times or hosts.
    pub fn fingerprint(&self) -> String {
        let damaged = self.damaged();
        let scope = self.scope.as_ref().map(|scope| scope.name.as_str());
        hash_parts(&[
            Some(self.rule.name),
            side_parts(damaged)[0],
            side_parts(damaged)[1],
            side_parts(damaged)[2],
            side_parts(damaged)[3],
            scope,
        ])
    }

    /// Identity with the inferred other side, where there is one.
    pub fn edge_fingerprint(&self) -> Option<String> {
        let other = if self.is_from_damaged { self.to.as_ref()? } else { self.from.as_ref()? };
        let fingerprint = self.fingerprint();
        let [namespace, service, operation, kind] = side_parts(Some(other));
        Some(hash_parts(&[Some(&fingerprint), namespace, service, operation, kind]))
    }
}

fn side_parts(side: Option<&Side>) -> [Option<&str>; 4] {
    let Some(side) = side else { return [None; 4] };
    [side.namespace.as_deref(), side.service.as_deref(), side.operation.as_deref(), side.kind.as_deref()]
}

/// xxHash64 over the parts, separated by U+001F so that borders between parts count.
fn hash_parts(parts: &[Option<&str>]) -> String {
    let text: Vec<&str> = parts.iter().map(|part| part.unwrap_or_default()).collect();
    format!("{}:{:016x}", names::VERSION, xxh64(text.join("\u{1f}").as_bytes(), 0))
}

/// A site as one side of a break.
pub fn side(names: &Names, site: SiteId) -> Side {
    let service = names.service_of_site(site);
    let site = names.site(site);
    Side {
        namespace: filled(&service.namespace),
        service: filled(&service.name),
        operation: filled(&site.name),
        kind: Some(site.kind.as_str().to_owned()),
        inferred: false,
    }
}

fn filled(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// A whole service as one side of a break.
pub fn side_of_service(names: &Names, service: ServiceId) -> Side {
    let service = &names.services[service as usize];
    Side {
        namespace: filled(&service.namespace),
        service: filled(&service.name),
        operation: None,
        kind: None,
        inferred: false,
    }
}

/// The name of a service, for sentences.
pub fn service_label(names: &Names, service: ServiceId) -> String {
    label(&side_of_service(names, service))
}

/// `service operation` for titles.
pub fn label(side: &Side) -> String {
    let service = side.service.as_deref().unwrap_or("(no service name)");
    match &side.operation {
        Some(operation) => format!("{service} `{operation}`"),
        None => service.to_owned(),
    }
}

/// A share with its Wilson score interval at 95 % (E. B. Wilson, JASA 22, 1927).
pub fn rate(affected: u64, total: u64, unit: RateUnit) -> Rate {
    const Z: f64 = 1.959_963_984_540_054;
    let total = total.max(affected).max(1);
    let (n, share) = (total as f64, affected as f64 / total as f64);
    let spread = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    let centre = share + Z * Z / (2.0 * n);
    let scale = 1.0 + Z * Z / n;
    let round = |value: f64| (value.clamp(0.0, 1.0) * 1e6).round() / 1e6;
    Rate {
        affected,
        total,
        unit,
        value: round(share),
        low: round((centre - spread) / scale),
        high: round((centre + spread) / scale),
    }
}

/// A fact that a colleague can verify.
#[derive(Clone, Debug, PartialEq)]
pub enum Evidence {
    /// Parents are named but absent.
    ParentAbsent {
        /// Orphan spans.
        orphans: u64,
        /// Distinct absent parents.
        missing_parents: u64,
    },
    /// What the flags say about where the absent parents ran.
    ParentLocation {
        /// In another process.
        remote: u64,
        /// In the same process.
        local: u64,
        /// Not told.
        unknown: u64,
    },
    /// The parent that such spans have when it is there.
    UsualParent {
        /// Name of the parent's place.
        parent: String,
        /// Spans that have it.
        joined: u64,
        /// Spans in all.
        spans: u64,
    },
    /// Such spans never have a parent in the data.
    NeverJoined {
        /// Spans in all.
        spans: u64,
    },
    /// Other places that hang on the same absent parents.
    SiblingPlaces {
        /// Their names.
        places: Vec<String>,
    },
    /// The absent parent began no later than this before its first child: lower bound of what is missing.
    ShadowOfParent {
        /// Longest time covered by the children of one absent parent, ns.
        longest_ns: i64,
    },
    /// The operations at which something was seen, those with most spans first.
    SeenAt {
        /// Their names.
        operations: Vec<String>,
        /// How many more there are.
        others: u64,
    },
    /// What is missing was counted in a sample.
    SampledLosses {
        /// Losses in the sample.
        kept: u64,
        /// Losses in all.
        seen: u64,
    },
    /// A call without an answer encloses the orphan, in the same trace.
    CallAround {
        /// Orphans.
        orphans: u64,
    },
    /// A function of the trace id tells the traces with a service from those without it.
    SamplerSeparates {
        /// The service.
        service: String,
        /// Whose sampler uses it.
        function: &'static str,
        /// Share of the traces that it keeps.
        ratio: f64,
        /// Traces that lack the service.
        absent: u64,
        /// Of these, traces that such a sampler drops.
        beyond: u64,
        /// Traces that it drops and that have the service all the same.
        exceptions: u64,
        /// Power of ten that the probability by chance is below.
        p_exponent: i64,
    },
    /// Spans of a service are not there.
    MissingSpans {
        /// The service.
        service: String,
        /// Parents of orphans.
        parents: u64,
        /// Answers to calls.
        answers: u64,
        /// Operations that they are taken to be of.
        operations: u64,
    },
    /// Missing spans by service.
    MissingByService {
        /// Services and what each of them misses, those with most first.
        services: Vec<(String, u64)>,
        /// How many more services there are.
        others: u64,
    },
    /// Further places with damage from the same losses.
    OtherPlaces {
        /// Their names.
        places: Vec<String>,
        /// How many more there are.
        others: u64,
    },
    /// Operations whose parent in the same process is never there.
    AlwaysMissing {
        /// Their service.
        service: String,
        /// How many there are.
        operations: u64,
        /// Different absent parents among them.
        parents: u64,
        /// Kinds of requests in which it happens.
        requests: u64,
        /// Services to which the same happens.
        services: u64,
    },
    /// Everything else of the service is complete.
    OthersSpared {
        /// The operation that is missing.
        operation: String,
        /// How often.
        lost: u64,
        /// Other losses of the service.
        others_lost: u64,
        /// Losses that the others would have at the same rate.
        expected: u64,
    },
    /// One process of a service stopped, another one began, and spans are missing around that.
    ProcessReplaced {
        /// The service.
        service: String,
        /// Time between the last span of the one and the first of the other, ns.
        gap_ns: i64,
        /// Missing spans.
        lost: u64,
        /// Of these, answers to calls that failed.
        failed: u64,
    },
    /// All losses of a service lie behind the last span that came from it, or at the end of the data.
    NothingAfter {
        /// The service.
        service: String,
        /// How long the data goes on after that, ns.
        silent_ns: i64,
    },
    /// Several services lose spans in one stretch of time.
    LostInWindow {
        /// Services.
        services: u64,
        /// Losses in it.
        lost: u64,
        /// Losses in all.
        of: u64,
        /// How long it is, ns.
        window_ns: i64,
        /// Share of time or traces that lie in it.
        share: f64,
        /// Power of ten that the probability by chance is below.
        p_exponent: i64,
    },
    /// Several services lose spans all the time.
    ManyServicesLose {
        /// Services.
        services: u64,
        /// Share of the losses that the first of them has.
        largest_share: f64,
    },
    /// Only large traces lack spans.
    LargeTracesOnly {
        /// Spans of the smallest trace that does.
        smallest: u64,
        /// Spans that nine of ten traces do not exceed.
        usual: u64,
    },
    /// Nothing of a caller is in the traces.
    CallerAbsent {
        /// Missing callers.
        orphans: u64,
    },
    /// The parent is in another trace.
    ParentInOtherTrace {
        /// Orphans.
        orphans: u64,
        /// The trace ids share their low half, and the high half of one is zero.
        is_cut: bool,
    },
    /// Orphans on top of their traces lie inside calls of other traces.
    OrphansInCalls {
        /// Name of the caller's place.
        caller: String,
        /// Pairs of call and orphan.
        pairs: u64,
        /// Of these, orphans for which only one call comes into question.
        unique: u64,
    },
    /// Calls to one address are never answered, and roots begin inside them.
    NeverAnswered {
        /// Name of the caller's place.
        caller: String,
        /// Its calls to the address.
        calls: u64,
        /// Roots inside.
        roots: u64,
        /// Of these, roots for which only one call comes into question.
        unique: u64,
    },
    /// Spans that could have made a call show none, and roots begin inside them.
    CallMissing {
        /// Name of the caller's place.
        caller: String,
        /// Roots inside.
        roots: u64,
        /// Of these, roots for which only one span comes into question.
        unique: u64,
        /// Spans of the caller that make this call.
        made: u64,
        /// Spans of the caller that do not.
        lacking: u64,
    },
    /// Entries without a parent run inside requests of one service.
    RequestsAround {
        /// The service.
        service: String,
        /// Entries inside.
        enclosed: u64,
        /// Entries in all.
        roots: u64,
    },
    /// The callee sees the end of the caller's path, or the other way round.
    PathRewritten {
        /// Path as the caller names it.
        caller: String,
        /// Path as the callee names it.
        callee: String,
    },
    /// Copies under one id.
    Copies {
        /// Ids.
        ids: u64,
        /// Records beyond the first.
        extra: u64,
        /// Spans of the place.
        spans: u64,
    },
    /// Copies that differ only in what a pipeline adds or a later version of the span changed.
    CopiesDiffer {
        /// Ids.
        ids: u64,
    },
    /// Different spans under one id.
    IdShared {
        /// Span ids.
        ids: u64,
        /// Distinct contents.
        contents: u64,
    },
    /// One span id in many traces.
    IdInManyTraces {
        /// Span ids.
        ids: u64,
        /// Most traces for one id.
        most_traces: u64,
    },
    /// Parents form a circle.
    Cycle {
        /// Spans on circles of two and more.
        spans: u64,
        /// Spans that name themselves.
        own_parents: u64,
    },
    /// Texts that stand where an id should.
    NotAnId {
        /// Trace id, span id or parent span id.
        field: &'static str,
        /// Spans.
        spans: u64,
        /// Examples.
        examples: Vec<String>,
    },
    /// What stands in place of the service name.
    ServiceMark {
        /// The mark, possibly empty.
        mark: String,
        /// Spans.
        spans: u64,
    },
    /// Spans end before they start.
    EndsBeforeStart {
        /// Spans.
        spans: u64,
        /// Worst case, ns.
        worst_ns: i64,
    },
    /// The offset of two clocks that most hops allow.
    ClockOffset {
        /// Clock that is off.
        clock: String,
        /// Clock it is compared with.
        reference: String,
        /// At least, ns; `None` when unbounded.
        low_ns: Option<i64>,
        /// At most, ns; `None` when unbounded.
        high_ns: Option<i64>,
        /// Hops.
        pairs: u64,
        /// Hops that agree.
        agreeing: u64,
    },
    /// One clock was set.
    ClockStep {
        /// Clock that was set.
        clock: String,
        /// Clock it is compared with.
        reference: String,
        /// When, on that clock, ns.
        at_ns: i64,
        /// Offset before: at least and at most, ns; `None` when unbounded.
        before_ns: (Option<i64>, Option<i64>),
        /// Offset after.
        after_ns: (Option<i64>, Option<i64>),
        /// Hops.
        pairs: u64,
        /// Hops that agree.
        agreeing: u64,
    },
    /// One clock goes faster than the other.
    ClockDrift {
        /// Clock that is off.
        clock: String,
        /// Clock it is compared with.
        reference: String,
        /// What it gains in a second, ns.
        ns_per_second: i64,
        /// Offset at the first hop, ns.
        first_ns: i64,
        /// Offset at the last hop, ns.
        last_ns: i64,
        /// Hops.
        pairs: u64,
        /// Hops that agree.
        agreeing: u64,
    },
    /// Spans of a service whose SDK reads start and end from the clock of the host, or does not.
    ClockOfSpans {
        /// `telemetry.sdk.language`, possibly empty.
        language: String,
        /// Whether start and end are both read from the clock of the host, where that is known.
        reads_it_twice: Option<bool>,
    },
    /// Hops that would allow that the clocks agree.
    ClocksCouldAgree {
        /// Those hops.
        pairs: u64,
        /// Of how many.
        total: u64,
    },
    /// Roots that belong to calls which nothing else answers.
    UnansweredCalls {
        /// Name of the caller's place.
        caller: String,
        /// Pairs of call and root.
        pairs: u64,
        /// Of these, roots for which only one call comes into question.
        unique: u64,
        /// Whether messages are sent, not calls made.
        messages: bool,
    },
    /// The same roots at other times meet calls more rarely.
    BeyondChance {
        /// Roots that such a call is known for.
        entries: u64,
        /// Of these, roots with their call.
        paired: u64,
        /// Share that would be paired by chance.
        expected: f64,
        /// Only roots that fill the call closely are counted.
        is_close: bool,
        /// The probability of this by chance is at most 10 to this power.
        p_exponent: i64,
    },
    /// Both sides name the same message.
    SameMessage {
        /// Hops.
        pairs: u64,
    },
    /// The pairs come from a sample.
    SampledHops {
        /// Spans in the sample.
        kept: u64,
        /// Spans that it was taken from.
        seen: u64,
    },
    /// Calls have two sibling spans with equal times.
    SiblingExits {
        /// Calls with two.
        doubled: u64,
        /// Calls in all.
        calls: u64,
    },
    /// No hop of a service works.
    EveryHopBroken {
        /// The service.
        service: String,
        /// Partners that call it.
        callers: u64,
        /// Partners that it calls.
        callees: u64,
        /// Broken hops.
        broken: u64,
        /// Joined hops.
        joined: u64,
    },
    /// Other hops of a service work.
    OtherHopsWork {
        /// The service.
        service: String,
        /// Its joined hops.
        joined: u64,
    },
    /// A part of the same hops arrives with context.
    PartlyJoined {
        /// Joined hops.
        joined: u64,
        /// Hops in all.
        calls: u64,
    },
    /// No span of a service has a parent in its own process.
    NothingActive {
        /// The service.
        service: String,
        /// Its entry spans.
        entries: u64,
    },
    /// Spans start inside requests of their process.
    InsideRequests {
        /// Spans.
        spans: u64,
        /// Of these, spans inside such a request.
        inside: u64,
        /// Spans for which only one request comes into question.
        unique: u64,
        /// Spans at one point of their requests, where it is that which is more than chance.
        at_one_point: Option<u64>,
        /// The operation that the requests lack although they usually have it.
        lacking: Option<String>,
        /// Share that would be inside by chance.
        expected: f64,
        /// The probability of this by chance is at most 10 to this power.
        p_exponent: i64,
    },
    /// Spans of many requests have one parent.
    SharedParent {
        /// Spans.
        spans: u64,
        /// Their parents.
        parents: u64,
        /// From the first to the last start under one parent, ns.
        cover_ns: i64,
        /// What 99 of 100 requests do not exceed, ns.
        request_ns: i64,
        /// The parents are not in the data.
        is_missing: bool,
    },
    /// Children start long after their parent ended.
    LateChildren {
        /// Children.
        children: u64,
        /// Their parents.
        parents: u64,
        /// The longest time after the parent's end, ns.
        longest_ns: i64,
    },
    /// Spans start at even gaps.
    EvenGaps {
        /// Spans.
        spans: u64,
        /// The gap, ns.
        gap_ns: i64,
    },
    /// Some requests have too many spans of an operation, and others as many too few.
    Exchanged {
        /// The operation.
        operation: String,
        /// Spans too many.
        surplus: u64,
        /// Spans too few.
        deficit: u64,
        /// Requests that lack one into which one of the others fits.
        fitting: u64,
        /// Share of these into which one would fit by chance.
        expected: f64,
        /// The probability of this by chance is at most 10 to this power.
        p_exponent: i64,
    },
    /// Leaf spans enclose their later siblings.
    EnclosesSiblings {
        /// Leaf spans.
        leaves: u64,
        /// Siblings inside them.
        siblings: u64,
        /// Elsewhere such siblings are their children.
        are_children_elsewhere: bool,
    },
    /// Batches of messages have links to none but the first.
    UnlinkedBatches {
        /// Consumer spans.
        batches: u64,
        /// Messages beyond the first of each, and beyond those that have links.
        messages: u64,
        /// Producer spans that nothing answers, which these messages come from.
        unanswered: u64,
    },
    /// Requests were compared in a sample.
    SampledRequests {
        /// Spans in the sample.
        kept: u64,
        /// Spans that it was taken from.
        seen: u64,
    },
    /// What the backend itself wrote at affected spans.
    BackendWarning {
        /// Its words.
        warning: String,
    },
    /// Copies of every span of the processes that have copies.
    EveryCopied {
        /// Spans of these processes that were looked at.
        spans: u64,
        /// Most records of one span.
        records: u64,
        /// Longest time from the first to the last copied span of a process, ns.
        longest_ns: i64,
    },
    /// How the copies lie in time.
    CopiesInTime {
        /// Processes' parts of traces that were looked at, in the order of their ends.
        parts: u64,
        /// Of these, those with copies.
        copied: u64,
        /// Runs of such with and of such without copies.
        runs: u64,
        /// Runs that as many would make in any order.
        expected: f64,
    },
    /// Copies to which something was added on the way.
    CopiesEnriched {
        /// Ids.
        ids: u64,
        /// Ids with copies in all.
        of: u64,
    },
    /// So many random ids would not repeat.
    NotRandom {
        /// Ids that repeat.
        repeated: u64,
        /// Spans.
        spans: u64,
        /// The probability that so many repeat by chance is below 10 to the minus this.
        p_exponent: u32,
    },
    /// What looks like personal data or a secret.
    SensitiveText {
        /// What it looks like, in the plural.
        what: &'static str,
        /// Where it stands.
        holder: &'static str,
        /// Keys, the first ones.
        keys: Vec<String>,
    },
    /// Sensitive data that a service has with the calls of another one that does not record it.
    CameWithTheCall {
        /// The caller.
        service: String,
        /// Spans.
        spans: u64,
        /// Affected spans in all.
        of: u64,
    },
    /// The SDK dropped something.
    Dropped {
        /// Spans.
        spans: u64,
        /// Attributes, events, links.
        kinds: Vec<&'static str>,
    },
    /// Many names.
    DistinctNames {
        /// Names.
        names: u64,
        /// Spans.
        spans: u64,
        /// There are more than that many.
        is_more: bool,
    },
    /// Server spans named by their method only.
    NoRoutes {
        /// Spans.
        spans: u64,
        /// Different paths.
        paths: u64,
    },
    /// Services of the same language know their routes.
    SiblingsHaveRoutes {
        /// How many.
        services: u64,
        /// `telemetry.sdk.language`.
        language: String,
    },
    /// Sibling exit spans with equal times for one call.
    Twins {
        /// Calls.
        calls: u64,
        /// Of these, pairs made by two instrumentations.
        other_scope: u64,
        /// Pairs of which one is answered.
        answered: u64,
    },
    /// A server span right below a server span of the same instrumentation.
    NestedTwins {
        /// Requests.
        requests: u64,
    },
    /// Processes that agree with each other.
    AgreeingClocks {
        /// How many.
        clocks: u64,
    },
}

impl Evidence {
    /// That pairs are more than chance gives; nothing where none was made by times.
    pub fn beyond_chance(chance: &Chance) -> Option<Self> {
        (chance.paired > 0).then(|| Self::BeyondChance {
            entries: chance.entries,
            paired: chance.paired,
            expected: chance.expected,
            is_close: chance.is_close,
            p_exponent: (chance.ln_p / std::f64::consts::LN_10).ceil() as i64,
        })
    }

    /// Kind, from [`crate::report::EVIDENCE_KINDS`].
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::ParentAbsent { .. } => "parent-absent",
            Self::ParentLocation { .. } => "parent-location",
            Self::UsualParent { .. } => "usual-parent",
            Self::NeverJoined { .. } => "never-joined",
            Self::SiblingPlaces { .. } => "sibling-places",
            Self::ShadowOfParent { .. } => "shadow-of-parent",
            Self::SeenAt { .. } => "seen-at",
            Self::SampledLosses { .. } => "sampled-losses",
            Self::CallAround { .. } => "call-around",
            Self::SamplerSeparates { .. } => "sampler-separates",
            Self::MissingSpans { .. } => "missing-spans",
            Self::MissingByService { .. } => "missing-by-service",
            Self::OtherPlaces { .. } => "other-places",
            Self::AlwaysMissing { .. } => "always-missing",
            Self::OthersSpared { .. } => "others-spared",
            Self::ProcessReplaced { .. } => "process-replaced",
            Self::NothingAfter { .. } => "nothing-after",
            Self::LostInWindow { .. } => "lost-in-window",
            Self::ManyServicesLose { .. } => "many-services-lose",
            Self::LargeTracesOnly { .. } => "large-traces-only",
            Self::CallerAbsent { .. } => "caller-absent",
            Self::ParentInOtherTrace { .. } => "parent-in-other-trace",
            Self::OrphansInCalls { .. } => "orphans-in-calls",
            Self::NeverAnswered { .. } => "never-answered",
            Self::CallMissing { .. } => "call-missing",
            Self::RequestsAround { .. } => "requests-around",
            Self::PathRewritten { .. } => "path-rewritten",
            Self::Copies { .. } => "copies",
            Self::CopiesDiffer { .. } => "copies-differ",
            Self::IdShared { .. } => "id-shared",
            Self::IdInManyTraces { .. } => "id-in-many-traces",
            Self::Cycle { .. } => "cycle",
            Self::NotAnId { .. } => "not-an-id",
            Self::ServiceMark { .. } => "service-mark",
            Self::EndsBeforeStart { .. } => "ends-before-start",
            Self::ClockOffset { .. } => "clock-offset",
            Self::ClockStep { .. } => "clock-step",
            Self::ClockDrift { .. } => "clock-drift",
            Self::ClockOfSpans { .. } => "clock-of-spans",
            Self::ClocksCouldAgree { .. } => "clocks-could-agree",
            Self::AgreeingClocks { .. } => "agreeing-clocks",
            Self::EveryCopied { .. } => "every-copied",
            Self::CopiesInTime { .. } => "copies-in-time",
            Self::CopiesEnriched { .. } => "copies-enriched",
            Self::NotRandom { .. } => "not-random",
            Self::SensitiveText { .. } => "sensitive-text",
            Self::CameWithTheCall { .. } => "came-with-the-call",
            Self::Dropped { .. } => "dropped",
            Self::DistinctNames { .. } => "distinct-names",
            Self::NoRoutes { .. } => "no-routes",
            Self::SiblingsHaveRoutes { .. } => "siblings-have-routes",
            Self::Twins { .. } => "twins",
            Self::NestedTwins { .. } => "nested-twins",
            Self::UnansweredCalls { .. } => "unanswered-calls",
            Self::BeyondChance { .. } => "beyond-chance",
            Self::SameMessage { .. } => "same-message",
            Self::SampledHops { .. } => "sampled-hops",
            Self::SiblingExits { .. } => "sibling-exits",
            Self::EveryHopBroken { .. } => "every-hop-broken",
            Self::OtherHopsWork { .. } => "other-hops-work",
            Self::PartlyJoined { .. } => "partly-joined",
            Self::NothingActive { .. } => "nothing-active",
            Self::InsideRequests { .. } => "inside-requests",
            Self::SharedParent { .. } => "shared-parent",
            Self::LateChildren { .. } => "late-children",
            Self::EvenGaps { .. } => "even-gaps",
            Self::Exchanged { .. } => "exchanged",
            Self::EnclosesSiblings { .. } => "encloses-siblings",
            Self::UnlinkedBatches { .. } => "unlinked-batches",
            Self::SampledRequests { .. } => "sampled-requests",
            Self::BackendWarning { .. } => "backend-warning",
        }
    }

    /// One sentence.
    pub fn text(&self) -> String {
        match self {
            Self::ParentAbsent { orphans, missing_parents } => format!(
                "{} {} {} that {} not in the trace",
                count(*orphans, "span names", "spans name"),
                missing_parents,
                if *missing_parents == 1 { "parent" } else { "parents" },
                if *missing_parents == 1 { "is" } else { "are" },
            ),
            Self::ParentLocation { remote, local, unknown } => parent_location(*remote, *local, *unknown),
            Self::UsualParent { parent, joined, spans } => {
                format!("in {joined} of {spans} spans the parent is there: {parent}")
            }
            Self::NeverJoined { spans } => match spans {
                1 => "the one span here does not have its parent in the data".to_owned(),
                number => format!("none of the {number} spans here has its parent in the data"),
            },
            Self::SiblingPlaces { places } => {
                format!("the same absent parents are named by {}", places.join(", "))
            }
            Self::ShadowOfParent { longest_ns } => {
                format!("the children of one absent parent cover up to {}", human_duration(*longest_ns))
            }
            Self::SeenAt { operations, others } => {
                let names: Vec<String> = operations.iter().map(|name| format!("`{name}`")).collect();
                let more = if *others > 0 { format!(" and {others} more") } else { String::new() };
                format!("seen at {}{more}", names.join(", "))
            }
            Self::SampledLosses { kept, seen } => {
                format!(
                    "counted in a sample: {kept} of {seen} orphans and calls without an answer, whole traces"
                )
            }
            Self::CallAround { orphans } => format!(
                "{} open call to the same target around it in the same trace, which nothing answers",
                count(*orphans, "orphan has an", "orphans have an")
            ),
            Self::SamplerSeparates { service, function, ratio, absent, beyond, exceptions, p_exponent } => {
                format!(
                    "a sampler that keeps {:.1} % of the trace ids explains {beyond} of {absent} traces without {service}, with {} ({function}; probability by chance below 1e{p_exponent})",
                    ratio * 100.0,
                    count(*exceptions, "exception", "exceptions"),
                )
            }
            Self::MissingSpans { service, parents, answers, operations } => {
                missing_spans(service, *parents, *answers, *operations)
            }
            Self::MissingByService { services, others } => {
                let names: Vec<String> =
                    services.iter().map(|(name, missing)| format!("{name} {missing}")).collect();
                let more = if *others > 0 { format!(" and {others} more services") } else { String::new() };
                format!("missing spans: {}{more}", names.join(", "))
            }
            Self::OtherPlaces { places, others } => {
                let more = if *others > 0 { format!(" and {others} more") } else { String::new() };
                format!("also seen at {}{more}", places.join(", "))
            }
            Self::AlwaysMissing { service, operations, parents, requests, services } => {
                always_missing(service, *operations, *parents, *requests, *services)
            }
            Self::OthersSpared { operation, lost, others_lost, expected } => format!(
                "{} missing; at that rate the other operations of the service would have lost {expected}, and lost {others_lost}",
                count(*lost, &format!("span of {operation} is"), &format!("spans of {operation} are")),
            ),
            Self::ProcessReplaced { service, gap_ns, lost, failed } => format!(
                "a process of {service} was replaced after {} of silence; {} missing around it, {} failed",
                human_duration(*gap_ns),
                count(*lost, "span is", "spans are"),
                count(*failed, "call", "calls"),
            ),
            Self::NothingAfter { service, silent_ns } => format!(
                "the missing spans lie at the end: nothing of {service} comes in the last {}",
                human_duration(*silent_ns)
            ),
            Self::LostInWindow { services, lost, of, window_ns, share, p_exponent } => format!(
                "{lost} of {of} losses of {services} services lie within {}, in which {:.0} % of the traces lie (probability by chance below 1e{p_exponent})",
                human_duration(*window_ns),
                share * 100.0,
            ),
            Self::ManyServicesLose { services, largest_share } => format!(
                "{services} services lose spans all the time, none of them more than {:.0} % of what is missing, and no function of the trace id tells which",
                (largest_share * 100.0).ceil(),
            ),
            Self::LargeTracesOnly { smallest, usual } => format!(
                "only traces of {smallest} spans and more lack some; nine of ten traces have at most {usual}"
            ),
            Self::CallerAbsent { orphans } => format!(
                "in {} everything hangs on the absent caller, and nothing of it is there",
                count(*orphans, "trace", "traces")
            ),
            Self::ParentInOtherTrace { orphans, is_cut } => format!(
                "{} in another trace{}",
                count(*orphans, "orphan has its parent", "orphans have their parents"),
                if *is_cut {
                    ", whose id has the same low 64 bits; the high ones of one are zero"
                } else {
                    ""
                },
            ),
            Self::OrphansInCalls { caller, pairs, unique } => format!(
                "{} of their traces inside calls of {caller} that nothing answers; for {unique} of them only \
                 one call comes into question",
                count(*pairs, "orphan starts on top", "orphans start on top"),
            ),
            Self::NeverAnswered { caller, calls, roots, unique } => format!(
                "{} inside {} of {caller} to an address that never answers; for {unique} of them only one call \
                 comes into question",
                count(*roots, "root begins", "roots begin"),
                count(*calls, "call", "calls"),
            ),
            Self::CallMissing { caller, roots, unique, made, lacking } => format!(
                "{} inside {caller}, which makes such a call in {} and shows none in {lacking}; for {unique} \
                 of them only one span comes into question",
                count(*roots, "root begins", "roots begin"),
                count(*made, "span", "spans"),
            ),
            Self::RequestsAround { service, enclosed, roots } => {
                format!(
                    "{enclosed} of {} inside requests of {service}",
                    count(*roots, "root lies", "roots lie")
                )
            }
            Self::PathRewritten { caller, callee } => {
                format!("something between the two makes `{callee}` of `{caller}`")
            }
            Self::Copies { ids, extra, spans } => format!(
                "{} {} more than once: {} among {} here",
                count(*ids, "span", "spans"),
                if *ids == 1 { "is there" } else { "are there" },
                count(*extra, "extra copy", "extra copies"),
                count(*spans, "span", "spans"),
            ),
            Self::CopiesDiffer { ids } => format!(
                "{} in attributes, end or resource only: one span, seen twice on its way",
                count(*ids, "of them differs", "of them differ"),
            ),
            Self::IdShared { ids, contents } => {
                format!("{} for {contents} different spans", count(*ids, "span id stands", "span ids stand"))
            }
            Self::IdInManyTraces { ids, most_traces } => format!(
                "{} in several traces, one of them in {most_traces}; random ids do not repeat",
                count(*ids, "span id occurs", "span ids occur"),
            ),
            Self::Cycle { spans, own_parents } => cycle(*spans, *own_parents),
            Self::NotAnId { field, spans, examples } => format!(
                "{} a {field} that is no id{}",
                count(*spans, "span has", "spans have"),
                examples.first().map_or_else(String::new, |example| format!(", such as {example:?}")),
            ),
            Self::ServiceMark { mark, spans } if mark.is_empty() => {
                format!("{} no service.name", count(*spans, "span has", "spans have"))
            }
            Self::ServiceMark { mark, spans } => format!(
                "{} the placeholder {mark:?} as service.name",
                count(*spans, "span has", "spans have")
            ),
            Self::EndsBeforeStart { spans, worst_ns } => format!(
                "{} before the start, by up to {}",
                count(*spans, "span ends", "spans end"),
                human_duration(*worst_ns)
            ),
            Self::ClockOffset { clock, reference, low_ns, high_ns, pairs, agreeing } => format!(
                "the clock of {clock} is {} that of {reference} ({agreeing} of {pairs} hops agree)",
                offset(*low_ns, *high_ns),
            ),
            Self::ClockStep { clock, reference, at_ns, before_ns, after_ns, pairs, agreeing } => format!(
                "the clock of {clock} is {} that of {reference} until {}, and {} it from then on ({agreeing} of \
                 {pairs} hops agree)",
                level(*before_ns),
                rfc3339(*at_ns),
                level(*after_ns),
            ),
            Self::ClockDrift { clock, reference, ns_per_second, first_ns, last_ns, pairs, agreeing } => {
                format!(
                    "the clock of {clock} gains {} a second on that of {reference}, from {} to {} ahead ({agreeing} \
                 of {pairs} hops agree)",
                    human_duration(*ns_per_second),
                    human_duration(*first_ns),
                    human_duration(*last_ns),
                )
            }
            Self::ClockOfSpans { language, reads_it_twice } => clock_of_spans(language, *reads_it_twice),
            Self::ClocksCouldAgree { pairs, total } => {
                format!("only {pairs} of {total} hops would allow that the clocks agree")
            }
            Self::UnansweredCalls { caller, pairs, unique, messages } => {
                unanswered_calls(caller, *pairs, *unique, *messages)
            }
            Self::BeyondChance { entries, paired, expected, is_close, p_exponent } => format!(
                "{paired} of {} such a call{}; moved in time, {:.1} % would (probability by chance below 1e{p_exponent})",
                count(*entries, "root lies in", "roots lie in"),
                if *is_close { " and fill it closely" } else { "" },
                expected * 100.0,
            ),
            Self::SameMessage { pairs } => {
                format!("both sides name the same message in {}", count(*pairs, "pair", "pairs"))
            }
            Self::SampledHops { kept, seen } => {
                format!(
                    "counted in a sample: {kept} of {seen} unanswered calls and roots, whole stretches of time"
                )
            }
            Self::SiblingExits { doubled, calls } => {
                format!(
                    "{doubled} of {calls} calls have two sibling spans with equal times, and one root for both"
                )
            }
            Self::EveryHopBroken { service, callers, callees, broken, joined } => {
                every_hop_broken(service, *callers, *callees, *broken, *joined)
            }
            Self::OtherHopsWork { service, joined } => {
                format!("{service} keeps the context in {}", count(*joined, "other hop", "other hops"))
            }
            Self::PartlyJoined { joined, calls } => {
                format!("{joined} of {calls} calls of this very kind arrive with their context")
            }
            Self::NothingActive { service, entries } => format!(
                "none of {} of {service} has a span of its process under it, and its calls are roots",
                count(*entries, "entry span", "entry spans")
            ),
            Self::InsideRequests { spans, inside, unique, at_one_point, lacking, expected, p_exponent } => {
                let request = lacking.as_ref().map_or_else(
                    || "a request of the process".to_owned(),
                    |operation| format!("a request that lacks `{operation}`"),
                );
                let point = at_one_point.map_or_else(String::new, |spans| {
                    format!(" and {spans} of them at the same point of it")
                });
                format!(
                    "{inside} of {} inside {request}, {unique} inside only one{point}; moved in time, {:.1} % \
                     would (probability by chance below 1e{p_exponent})",
                    count(*spans, "span starts", "spans start"),
                    expected * 100.0,
                )
            }
            Self::SharedParent { spans, parents, cover_ns, request_ns, is_missing } => format!(
                "{} over {} on {}{}, while 99 of 100 requests are over in {}",
                count(*spans, "span hangs", "spans hang"),
                human_duration(*cover_ns),
                if *parents == 1 { "one parent".to_owned() } else { format!("{parents} parents") },
                if *is_missing { " not in the data" } else { "" },
                human_duration(*request_ns),
            ),
            Self::LateChildren { children, parents, longest_ns } => format!(
                "{} under {} up to {} after it ended",
                count(*children, "span starts", "spans start"),
                if *parents == 1 { "one parent".to_owned() } else { format!("{parents} parents") },
                human_duration(*longest_ns),
            ),
            Self::EvenGaps { spans, gap_ns } => {
                format!("{} every {}", count(*spans, "span starts", "spans start"), human_duration(*gap_ns))
            }
            Self::Exchanged { operation, surplus, deficit, fitting, expected, p_exponent } => format!(
                "`{operation}` is there {surplus} times too often, and lacks {deficit} times in requests of \
                 the same time; into {fitting} of these one of the others fits, moved in time into {:.1} % \
                 (probability by chance below 1e{p_exponent})",
                expected * 100.0,
            ),
            Self::EnclosesSiblings { leaves, siblings, are_children_elsewhere } => format!(
                "{} {} later {}{}",
                count(*leaves, "leaf span encloses", "leaf spans enclose"),
                siblings,
                if *siblings == 1 { "sibling" } else { "siblings" },
                if *are_children_elsewhere { ", which elsewhere are its children" } else { "" },
            ),
            Self::UnlinkedBatches { batches, messages, unanswered } => format!(
                "{} {messages} more messages and no link to them; {} nothing",
                count(*batches, "batch has", "batches have"),
                count(*unanswered, "producer span is answered by", "producer spans are answered by"),
            ),
            Self::SampledRequests { kept, seen } => {
                format!("compared in a sample: {kept} of {seen} spans, whole stretches of time")
            }
            Self::BackendWarning { warning } => format!("the backend wrote at an affected span: {warning}"),
            Self::AgreeingClocks { clocks } => {
                format!("{} with the reference", count(*clocks, "other clock agrees", "other clocks agree"))
            }
            Self::EveryCopied { spans, records, longest_ns } => format!(
                "every span of a process that has copies is there more than once ({} over {}, up to {records} \
                 records of each)",
                count(*spans, "span", "spans"),
                human_duration(*longest_ns),
            ),
            Self::CopiesInTime { parts, copied, runs, expected } => format!(
                "{copied} of {} have copies, in {} of time; in any order it would be about {expected:.0}",
                count(*parts, "trace", "traces"),
                count(*runs, "run", "runs"),
            ),
            Self::CopiesEnriched { ids, of } => {
                format!("{ids} of {of} copies differ in attributes or resource: two ways lead to the data")
            }
            Self::NotRandom { repeated, spans, p_exponent } => format!(
                "{} among {}: by chance in less than 1 of 1e{p_exponent} cases",
                count(*repeated, "repeated id", "repeated ids"),
                count(*spans, "span", "spans"),
            ),
            Self::SensitiveText { what, holder, keys } if keys.is_empty() => {
                format!("{what} in the {holder}")
            }
            Self::SensitiveText { what, holder, keys } => {
                let keys: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
                format!("{what} in the {holder} {}", keys.join(", "))
            }
            Self::CameWithTheCall { service, spans, of } => format!(
                "in {spans} of {} it came with a call of {service}, which does not record it: baggage",
                count(*of, "span", "spans"),
            ),
            Self::Dropped { spans, kinds } if kinds.is_empty() => {
                format!(
                    "{} something",
                    count(*spans, "span says that it dropped", "spans say that they dropped")
                )
            }
            Self::Dropped { spans, kinds } => format!(
                "{} {}",
                count(*spans, "span says that it dropped", "spans say that they dropped"),
                kinds.join(" and "),
            ),
            Self::DistinctNames { names, spans, is_more } => format!(
                "{}{} for {}",
                if *is_more { "more than " } else { "" },
                count(*names, "name", "names"),
                count(*spans, "span", "spans"),
            ),
            Self::NoRoutes { spans, paths } => format!(
                "{} with the method alone, for {}",
                count(*spans, "server span is named", "server spans are named"),
                count(*paths, "path", "different paths"),
            ),
            Self::SiblingsHaveRoutes { services, language } => format!(
                "{} in {language} {} routes",
                count(*services, "other service", "other services"),
                if *services == 1 { "has" } else { "have" },
            ),
            Self::Twins { calls, other_scope, answered } => format!(
                "{} two sibling spans with equal start and duration ({answered} with an answer to one of them, \
                 {other_scope} by two instrumentations)",
                count(*calls, "call has", "calls have"),
            ),
            Self::NestedTwins { requests } => format!(
                "{} two server spans of one instrumentation, one right below the other",
                count(*requests, "request has", "requests have"),
            ),
        }
    }

    /// The numbers in the sentence.
    pub fn data(&self) -> BTreeMap<String, Value> {
        let value = match self {
            Self::ParentAbsent { orphans, missing_parents } => {
                json!({"orphans": orphans, "missing_parents": missing_parents})
            }
            Self::ParentLocation { remote, local, unknown } => {
                json!({"remote": remote, "local": local, "unknown": unknown})
            }
            Self::UsualParent { parent, joined, spans } => {
                json!({"parent": parent, "joined": joined, "spans": spans})
            }
            Self::NeverJoined { spans } => json!({"spans": spans}),
            Self::SiblingPlaces { places } => json!({"places": places}),
            Self::ShadowOfParent { longest_ns } => json!({"longest_ns": longest_ns}),
            Self::SeenAt { operations, others } => json!({"operations": operations, "others": others}),
            Self::SampledLosses { kept, seen } | Self::SampledRequests { kept, seen } => {
                json!({"kept": kept, "seen": seen})
            }
            Self::CallAround { orphans } | Self::CallerAbsent { orphans } => json!({"orphans": orphans}),
            Self::SamplerSeparates { service, function, ratio, absent, beyond, exceptions, p_exponent } => {
                json!({"service": service, "function": function, "absent": absent, "beyond": beyond, "exceptions": exceptions, "p_exponent": p_exponent, "ratio": (ratio * 1e3).round() / 1e3})
            }
            Self::MissingSpans { service, parents, answers, operations } => {
                json!({"service": service, "parents": parents, "answers": answers, "operations": operations})
            }
            Self::MissingByService { services, others } => {
                let services: BTreeMap<&str, u64> =
                    services.iter().map(|(name, missing)| (&**name, *missing)).collect();
                json!({"services": services, "others": others})
            }
            Self::OtherPlaces { places, others } => json!({"places": places, "others": others}),
            Self::AlwaysMissing { service, operations, parents, requests, services } => {
                json!({"service": service, "operations": operations, "parents": parents, "requests": requests, "services": services})
            }
            Self::OthersSpared { operation, lost, others_lost, expected } => {
                json!({"operation": operation, "lost": lost, "others_lost": others_lost, "expected": expected})
            }
            Self::ProcessReplaced { service, gap_ns, lost, failed } => {
                json!({"service": service, "gap_ns": gap_ns, "lost": lost, "failed": failed})
            }
            Self::NothingAfter { service, silent_ns } => json!({"service": service, "silent_ns": silent_ns}),
            Self::LostInWindow { services, lost, of, window_ns, share, p_exponent } => {
                json!({"services": services, "lost": lost, "of": of, "window_ns": window_ns, "p_exponent": p_exponent, "share": (share * 1e3).round() / 1e3})
            }
            Self::ManyServicesLose { services, largest_share } => {
                json!({"services": services, "largest_share": (largest_share * 1e3).round() / 1e3})
            }
            Self::LargeTracesOnly { smallest, usual } => json!({"smallest": smallest, "usual": usual}),
            Self::ParentInOtherTrace { orphans, is_cut } => json!({"orphans": orphans, "is_cut": is_cut}),
            Self::OrphansInCalls { caller, pairs, unique } => {
                json!({"caller": caller, "pairs": pairs, "unique": unique})
            }
            Self::NeverAnswered { caller, calls, roots, unique } => {
                json!({"caller": caller, "calls": calls, "roots": roots, "unique": unique})
            }
            Self::CallMissing { caller, roots, unique, made, lacking } => json!({
                "caller": caller, "roots": roots, "unique": unique, "made": made, "lacking": lacking,
            }),
            Self::RequestsAround { service, enclosed, roots } => {
                json!({"service": service, "enclosed": enclosed, "roots": roots})
            }
            Self::PathRewritten { caller, callee } => json!({"caller": caller, "callee": callee}),
            Self::Copies { ids, extra, spans } => json!({"ids": ids, "extra": extra, "spans": spans}),
            Self::CopiesDiffer { ids } => json!({"ids": ids}),
            Self::IdShared { ids, contents } => json!({"ids": ids, "contents": contents}),
            Self::IdInManyTraces { ids, most_traces } => json!({"ids": ids, "most_traces": most_traces}),
            Self::Cycle { spans, own_parents } => json!({"spans": spans, "own_parents": own_parents}),
            Self::NotAnId { field, spans, examples } => {
                json!({"field": field, "spans": spans, "examples": examples})
            }
            Self::ServiceMark { mark, spans } => json!({"mark": mark, "spans": spans}),
            Self::EndsBeforeStart { spans, worst_ns } => json!({"spans": spans, "worst_ns": worst_ns}),
            Self::ClockOffset { clock, reference, low_ns, high_ns, pairs, agreeing } => json!({
                "clock": clock, "reference": reference, "low_ns": low_ns, "high_ns": high_ns,
                "pairs": pairs, "agreeing": agreeing,
            }),
            Self::ClockStep { clock, reference, at_ns, before_ns, after_ns, pairs, agreeing } => json!({
                "clock": clock, "reference": reference, "at": rfc3339(*at_ns),
                "before_low_ns": before_ns.0, "before_high_ns": before_ns.1,
                "after_low_ns": after_ns.0, "after_high_ns": after_ns.1,
                "pairs": pairs, "agreeing": agreeing,
            }),
            Self::ClockDrift { clock, reference, ns_per_second, first_ns, last_ns, pairs, agreeing } => {
                json!({
                    "clock": clock, "reference": reference, "ns_per_second": ns_per_second, "first_ns": first_ns,
                    "last_ns": last_ns, "pairs": pairs, "agreeing": agreeing,
                })
            }
            Self::ClockOfSpans { language, reads_it_twice } => {
                json!({"language": language, "reads_it_twice": reads_it_twice})
            }
            Self::ClocksCouldAgree { pairs, total } => json!({"pairs": pairs, "total": total}),
            Self::UnansweredCalls { caller, pairs, unique, messages } => {
                json!({"caller": caller, "pairs": pairs, "unique": unique, "messages": messages})
            }
            Self::BeyondChance { entries, paired, expected, is_close, p_exponent } => json!({
                "entries": entries, "paired": paired, "is_close": is_close, "p_exponent": p_exponent,
                "expected": (expected * 1e6).round() / 1e6,
            }),
            Self::SameMessage { pairs } => json!({"pairs": pairs}),
            Self::SampledHops { kept, seen } => json!({"kept": kept, "seen": seen}),
            Self::SiblingExits { doubled, calls } => json!({"doubled": doubled, "calls": calls}),
            Self::EveryHopBroken { service, callers, callees, broken, joined } => json!({
                "service": service, "callers": callers, "callees": callees, "broken": broken, "joined": joined,
            }),
            Self::OtherHopsWork { service, joined } => json!({"service": service, "joined": joined}),
            Self::PartlyJoined { joined, calls } => json!({"joined": joined, "calls": calls}),
            Self::NothingActive { service, entries } => json!({"service": service, "entries": entries}),
            Self::InsideRequests { spans, inside, unique, at_one_point, lacking, expected, p_exponent } => {
                json!({
                    "spans": spans, "inside": inside, "unique": unique, "at_one_point": at_one_point, "lacking": lacking,
                    "p_exponent": p_exponent, "expected": (expected * 1e6).round() / 1e6,
                })
            }
            Self::SharedParent { spans, parents, cover_ns, request_ns, is_missing } => json!({
                "spans": spans, "parents": parents, "cover_ns": cover_ns, "request_ns": request_ns,
                "is_missing": is_missing,
            }),
            Self::LateChildren { children, parents, longest_ns } => {
                json!({"children": children, "parents": parents, "longest_ns": longest_ns})
            }
            Self::EvenGaps { spans, gap_ns } => json!({"spans": spans, "gap_ns": gap_ns}),
            Self::Exchanged { operation, surplus, deficit, fitting, expected, p_exponent } => json!({
                "operation": operation, "surplus": surplus, "deficit": deficit, "fitting": fitting,
                "p_exponent": p_exponent, "expected": (expected * 1e6).round() / 1e6,
            }),
            Self::EnclosesSiblings { leaves, siblings, are_children_elsewhere } => json!({
                "leaves": leaves, "siblings": siblings, "are_children_elsewhere": are_children_elsewhere,
            }),
            Self::UnlinkedBatches { batches, messages, unanswered } => {
                json!({"batches": batches, "messages": messages, "unanswered": unanswered})
            }
            Self::BackendWarning { warning } => json!({"warning": warning}),
            Self::AgreeingClocks { clocks } => json!({"clocks": clocks}),
            Self::EveryCopied { spans, records, longest_ns } => {
                json!({"spans": spans, "records": records, "longest_ns": longest_ns})
            }
            Self::CopiesInTime { parts, copied, runs, expected } => json!({
                "parts": parts, "copied": copied, "runs": runs,
                "expected": (expected * 10.0).round() / 10.0,
            }),
            Self::CopiesEnriched { ids, of } => json!({"ids": ids, "of": of}),
            Self::NotRandom { repeated, spans, p_exponent } => {
                json!({"repeated": repeated, "spans": spans, "p_exponent": p_exponent})
            }
            Self::SensitiveText { what, holder, keys } => {
                json!({"what": what, "holder": holder, "keys": keys})
            }
            Self::CameWithTheCall { service, spans, of } => {
                json!({"service": service, "spans": spans, "of": of})
            }
            Self::Dropped { spans, kinds } => json!({"spans": spans, "kinds": kinds}),
            Self::DistinctNames { names, spans, is_more } => {
                json!({"names": names, "spans": spans, "is_more": is_more})
            }
            Self::NoRoutes { spans, paths } => json!({"spans": spans, "paths": paths}),
            Self::SiblingsHaveRoutes { services, language } => {
                json!({"services": services, "language": language})
            }
            Self::Twins { calls, other_scope, answered } => {
                json!({"calls": calls, "other_scope": other_scope, "answered": answered})
            }
            Self::NestedTwins { requests } => json!({"requests": requests}),
        };
        let Value::Object(members) = value else { return BTreeMap::new() };
        members.into_iter().collect()
    }
}

/// `1 span names`, `2 spans name`.
fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

fn missing_spans(service: &str, parents: u64, answers: u64, operations: u64) -> String {
    let what = match (parents, answers) {
        (parents, 0) => format!("{} missing", count(parents, "parent is", "parents are")),
        (0, answers) => format!("{} no answer", count(answers, "call has", "calls have")),
        _ => format!("{parents} parents and the answers to {answers} calls are missing"),
    };
    let whose = if operations > 1 { format!(", of {operations} operations") } else { String::new() };
    format!("{what} in {service}{whose}")
}

fn always_missing(service: &str, operations: u64, parents: u64, requests: u64, services: u64) -> String {
    let others = match services {
        1 => String::new(),
        number => format!("; the same happens in {number} services"),
    };
    format!(
        "{} of {service} {}, in {}{others}",
        count(operations, "operation", "operations"),
        if operations == 1 {
            "never has its parent, which is of the same process".to_owned()
        } else {
            format!(
                "never have their parents, which are of the same process: {}",
                count(parents, "parent", "different parents")
            )
        },
        count(requests, "kind of request", "kinds of requests"),
    )
}

fn unanswered_calls(caller: &str, pairs: u64, unique: u64, messages: bool) -> String {
    let (what, which) = if messages {
        (count(pairs, "root follows a message", "roots follow messages"), "message")
    } else {
        (count(pairs, "root starts inside a call", "roots start inside calls"), "call")
    };
    let unique = match unique {
        0 => format!("several {which}s come into question for each"),
        number if number == pairs => format!("only one {which} comes into question for each"),
        number => format!("for {number} of them only one {which} comes into question"),
    };
    format!("{what} of {caller} that nothing answers; {unique}")
}

fn every_hop_broken(service: &str, callers: u64, callees: u64, broken: u64, joined: u64) -> String {
    let partners = match (callers, callees) {
        (callers, 0) => format!("from {}", count(callers, "caller", "callers")),
        (0, callees) => format!("to {}", count(callees, "callee", "callees")),
        _ => format!(
            "from {} and to {}",
            count(callers, "caller", "callers"),
            count(callees, "callee", "callees")
        ),
    };
    let exceptions = if joined == 0 { String::new() } else { format!(" ({joined} still work)") };
    format!("every hop of {service} is broken, {partners}: {broken} hops{exceptions}")
}

fn parent_location(remote: u64, local: u64, unknown: u64) -> String {
    match (remote, local, unknown) {
        (_, 0, 0) => {
            "all absent parents are in another process: the context arrived, their span did not".to_owned()
        }
        (0, _, 0) => "all absent parents are in the same process".to_owned(),
        (0, 0, _) => "the data does not tell whether the absent parents are in another process".to_owned(),
        _ => format!("absent parents: {remote} in another process, {local} in the same, {unknown} not told"),
    }
}

fn cycle(spans: u64, own_parents: u64) -> String {
    match (spans, own_parents) {
        (_, 0) => format!("{} on a circle of parents", count(spans, "span lies", "spans lie")),
        (0, _) => count(own_parents, "span names itself as parent", "spans name themselves as parent"),
        _ => format!(
            "{} on a circle of parents, {}",
            count(spans, "span lies", "spans lie"),
            count(own_parents, "names itself as parent", "name themselves as parent")
        ),
    }
}

/// An offset before or after a step, which may be zero.
fn level((low_ns, high_ns): (Option<i64>, Option<i64>)) -> String {
    let may_be_zero = low_ns.is_none_or(|low| low <= 0) && high_ns.is_none_or(|high| high >= 0);
    if may_be_zero { "in agreement with".to_owned() } else { offset(low_ns, high_ns) }
}

fn clock_of_spans(language: &str, reads_it_twice: Option<bool>) -> String {
    match reads_it_twice {
        Some(true) => {
            format!("the SDK for {language} reads start and end of a span from the clock of the host")
        }
        Some(false) => format!(
            "the SDK for {language} measures durations on a clock that cannot be set; times given by hand are \
             the likelier reason"
        ),
        None => {
            "the data does not tell whether the SDK reads start and end from the clock of the host".to_owned()
        }
    }
}

fn offset(low_ns: Option<i64>, high_ns: Option<i64>) -> String {
    let ahead_or_behind = |ns: i64| if ns < 0 { "behind" } else { "ahead of" };
    match (low_ns, high_ns) {
        (Some(low), Some(high)) => {
            let (near, far) = if high < 0 { (-high, -low) } else { (low, high) };
            let (near, far) = (human_duration(near), human_duration(far));
            let range = if near == far { near } else { format!("{near} to {far}") };
            format!("{range} {}", ahead_or_behind(high))
        }
        (Some(low), None) => format!("at least {} {}", human_duration(low), ahead_or_behind(low)),
        (None, Some(high)) => format!("at least {} {}", human_duration(-high), ahead_or_behind(high)),
        (None, None) => "of unknown distance to".to_owned(),
    }
}
