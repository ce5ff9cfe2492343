//! The report, version 1: the contract with machines. These types are the only source of the JSON
//! Schema in `docs/schema/`; version 1 only grows. Absent knowledge is `null`, never a missing key.
//! Times are RFC 3339 UTC with 9 decimals, durations integer ns, ids lower-case hex, rates 0..1
//! with 6 decimals. Neither the time of the run nor absolute paths stand in it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Value of [`Report::schema`].
pub const SCHEMA: &str = "tracemend.report/v1";

/// Kinds of evidence, as published in the schema. More will come.
pub const EVIDENCE_KINDS: &[&str] = &[
    "parent-absent",
    "parent-location",
    "usual-parent",
    "never-joined",
    "sibling-places",
    "shadow-of-parent",
    "seen-at",
    "copies",
    "copies-differ",
    "id-shared",
    "id-in-many-traces",
    "cycle",
    "not-an-id",
    "service-mark",
    "ends-before-start",
    "clock-offset",
    "clock-step",
    "clock-drift",
    "clock-of-spans",
    "clocks-could-agree",
    "agreeing-clocks",
    "backend-warning",
    "unanswered-calls",
    "beyond-chance",
    "same-message",
    "sampled-hops",
    "sibling-exits",
    "every-hop-broken",
    "other-hops-work",
    "partly-joined",
    "nothing-active",
    "sampled-losses",
    "call-around",
    "sampler-separates",
    "missing-spans",
    "missing-by-service",
    "other-places",
    "always-missing",
    "others-spared",
    "process-replaced",
    "nothing-after",
    "lost-in-window",
    "many-services-lose",
    "large-traces-only",
    "caller-absent",
    "every-copied",
    "copies-in-time",
    "copies-enriched",
    "not-random",
    "sensitive-text",
    "came-with-the-call",
    "dropped",
    "distinct-names",
    "no-routes",
    "siblings-have-routes",
    "twins",
    "nested-twins",
    "parent-in-other-trace",
    "orphans-in-calls",
    "never-answered",
    "call-missing",
    "requests-around",
    "path-rewritten",
    "inside-requests",
    "shared-parent",
    "late-children",
    "even-gaps",
    "exchanged",
    "encloses-siblings",
    "unlinked-batches",
    "sampled-requests",
];

/// Everything one run found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Report {
    /// `tracemend.report/v1`
    pub schema: String,
    /// The program that wrote the report.
    pub tool: Tool,
    /// What was read, in the order given; folders sorted by name.
    pub inputs: Vec<Input>,
    /// Counts over everything that was judged.
    pub summary: Summary,
    /// What was read, skipped, repaired and not judged.
    pub coverage: Coverage,
    /// Breaks, the gravest first: by severity, confidence, traces affected, lower bound of the
    /// rate, rule, fingerprint.
    pub findings: Vec<Finding>,
    /// How often the context got from one operation to the next: the edges with most broken hops,
    /// then those with most calls, at most 2,000.
    #[serde(default)]
    pub edges: Vec<Edge>,
    /// How many edges there are.
    #[serde(default)]
    pub edges_total: u64,
    /// Clocks that were compared: those that are off, then those that agree with each other, by host and
    /// service; at most 2,000.
    #[serde(default)]
    pub clocks: Vec<Clock>,
    /// How many clocks were compared.
    #[serde(default)]
    pub clocks_total: u64,
    /// The verdict, whatever `--exit-zero` says.
    pub verdict: Verdict,
    /// Why the verdict is what it is.
    pub reasons: Vec<Reason>,
    /// What the process returns.
    pub exit_code: u8,
}

/// All hops between one caller operation and one callee operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Edge {
    /// The exit span's side.
    pub from: Side,
    /// The entry span's side.
    pub to: Side,
    /// Protocol.
    pub via: Via,
    /// Hops: joined and broken. Calls that no entry span was found for are in neither.
    pub calls: u64,
    /// Hops of which the entry span has the exit span as parent.
    pub joined: u64,
    /// Hops of which the two spans were found in different traces.
    pub broken: u64,
    /// Share of the broken hops.
    pub rate: Rate,
    /// Offset of the callee's clock against the caller's, `null` when too few hops tell.
    pub clock: Option<EdgeClock>,
}

/// Protocol of an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// HTTP.
    Http,
    /// gRPC and other RPC systems.
    Rpc,
    /// Messages over a broker or queue.
    Messaging,
    /// The entry spans do not say.
    Other,
}

/// What the hops of an edge say about two clocks: callee minus caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct EdgeClock {
    /// At least, ns; `null` when unbounded.
    pub low_ns: Option<i64>,
    /// At most, ns; `null` when unbounded.
    pub high_ns: Option<i64>,
    /// Hops that were looked at.
    pub pairs: u64,
}

/// A clock and how it stands to those that agree with each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Clock {
    /// Host whose clock it is, `null` when the data does not say.
    pub host: Option<String>,
    /// `service.namespace` of the process that reads it, `null` for all processes of the host.
    pub namespace: Option<String>,
    /// Service of the process that reads it, `null` for all processes of the host.
    pub service: Option<String>,
    /// Instance of the process that reads it.
    pub instance: Option<String>,
    /// How it goes.
    pub kind: ClockKind,
    /// The clock it was compared with most, `null` for clocks that agree with all others.
    pub relative_to: Option<String>,
    /// At the end of the data it is ahead by at least this, ns; `null` when unbounded.
    pub offset_low_ns: Option<i64>,
    /// At the end of the data it is ahead by at most this, ns; `null` when unbounded.
    pub offset_high_ns: Option<i64>,
    /// The same at the beginning of the data.
    pub first_offset_low_ns: Option<i64>,
    /// The same at the beginning of the data.
    pub first_offset_high_ns: Option<i64>,
    /// When it was set, where it was.
    pub step_at: Option<String>,
    /// What it gains in a second, ns, where it goes at another speed.
    pub drift_ns_per_second: Option<i64>,
    /// The data does not tell whether this clock is wrong or those it was compared with.
    pub ambiguous: bool,
    /// Hops that were looked at.
    pub pairs: u64,
    /// Of these, hops that agree.
    pub agreeing: u64,
}

/// How a clock goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ClockKind {
    /// As the others.
    Agrees,
    /// Always as much ahead or behind.
    Offset,
    /// It was set.
    Step,
    /// Faster or slower.
    Drift,
}

/// The program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Tool {
    /// `tracemend`
    pub name: String,
    /// Its version.
    pub version: String,
}

/// One input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Input {
    /// Path as given, `-` for standard input.
    pub path: String,
    /// A name for people.
    pub label: String,
    /// Name of the format, `null` when it was not recognised.
    pub format: Option<String>,
    /// `gzip`, `zstd` or `null`.
    pub compression: Option<String>,
    /// Bytes read after decompression.
    pub bytes: u64,
    /// Span records.
    pub spans: u64,
    /// Traces that have a span in this input.
    pub traces: u64,
    /// Earliest start.
    pub first_time: Option<String>,
    /// Latest end.
    pub last_time: Option<String>,
    /// What this input can tell, `null` when the format is unknown.
    pub capabilities: Option<Capabilities>,
}

/// What an input can tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[expect(clippy::struct_excessive_bools, reason = "a record of independent facts")]
pub struct Capabilities {
    /// Step of the times in ns.
    pub time_resolution_ns: u64,
    /// Trace flags are kept.
    pub flags: bool,
    /// Whether a parent is remote is kept.
    pub is_remote: bool,
    /// Links are kept.
    pub links: bool,
    /// Trace state is kept.
    pub trace_state: bool,
    /// Counts of dropped attributes, events and links are kept.
    pub dropped_counts: bool,
    /// Every span has its own complete resource.
    pub exact_resource: bool,
    /// Several copies of one span stay visible.
    pub duplicates_visible: bool,
    /// The backend may have changed times, ids or parents.
    pub edited_by_source: bool,
}

/// Counts. A trace is all spans with one trace id, over all inputs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Summary {
    /// Span records that were read.
    pub span_records: u64,
    /// Traces.
    pub traces: u64,
    /// Distinct spans whose parent is not in their trace.
    pub orphan_spans: u64,
    /// Distinct parents that orphan spans name.
    pub missing_parents: u64,
    /// Traces with an orphan span.
    pub traces_with_orphans: u64,
    /// Traces without a root span.
    pub traces_without_root: u64,
    /// Traces with more than one root span.
    pub traces_with_multiple_roots: u64,
    /// Connected pieces of all traces; a complete trace is one.
    pub fragments: u64,
    /// Spans that name themselves as parent.
    pub self_parents: u64,
    /// Distinct spans on a parent cycle of two or more.
    pub cycle_spans: u64,
    /// Span ids with several equal copies.
    pub exact_duplicate_ids: u64,
    /// Span ids with copies of different content.
    pub colliding_ids: u64,
    /// Records beyond the first of each span.
    pub extra_copies: u64,
    /// Client and server spans that share one id, as Zipkin's B3 servers do.
    pub shared_pairs: u64,
    /// Spans that end when they start.
    pub zero_durations: u64,
    /// Spans that end before they start.
    pub negative_durations: u64,
    /// Pairs of traces of which one id is the other's low 64 bits.
    pub truncated_trace_pairs: u64,
    /// Distinct services.
    pub services: u64,
    /// Span objects that could not be taken as spans.
    pub rejects: u64,
    /// Findings by severity.
    pub findings_by_severity: SeverityCounts,
    /// Findings of severity error or warning that are not ignored.
    pub breaks: u64,
    /// Distinct traces that stand in a finding, at least.
    pub traces_affected: u64,
    /// Earliest start.
    pub first_time: Option<String>,
    /// Latest end.
    pub last_time: Option<String>,
}

/// Findings by severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SeverityCounts {
    /// Errors.
    pub error: u64,
    /// Warnings.
    pub warning: u64,
    /// Infos.
    pub info: u64,
}

/// What was read, skipped, repaired and not judged. Lists hold at most 20 entries a reason,
/// ordered by input and offset; what is beyond is counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Coverage {
    /// Span objects that could be delimited: span records plus rejected spans.
    pub records_seen: u64,
    /// Span objects that could not be taken as spans.
    pub rejected_spans: u64,
    /// Those, by reason.
    pub rejects: Vec<Reject>,
    /// Bytes that could not be delimited into spans.
    pub unreadable_bytes: u64,
    /// Those stretches.
    pub unreadable: Vec<Unreadable>,
    /// Files found by walking a folder that hold no traces.
    pub skipped_files: u64,
    /// What was repaired while reading.
    pub repairs: Vec<RepairCount>,
    /// Span records that repeat whole traces of another input; they are no duplicates.
    pub repeated_across_inputs: u64,
    /// Rows that a source made up (placeholders), dropped.
    pub invented_rows: u64,
    /// Span records outside the filter flags; they count as parents only.
    pub outside_filter: u64,
    /// Inputs of which spans could not be read a second time, so that attributes are missing.
    pub attributes_not_kept: Vec<String>,
    /// Bounds that ended an input.
    pub limits_reached: Vec<LimitReached>,
    /// Inputs whose source says that it answered only in part.
    pub partial_sources: Vec<PartialSource>,
    /// Traces that were read but not judged.
    pub not_judged: NotJudged,
    /// Checks that an input cannot support.
    pub checks_not_possible: Vec<CheckNotPossible>,
}

/// Rejected span objects of one reason at one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Reject {
    /// Path of the input.
    pub input: String,
    /// Byte offset after decompression.
    pub offset: u64,
    /// Line, where it is known.
    pub line: Option<u64>,
    /// Why.
    pub reason: String,
    /// How many this entry stands for; the last entry of a reason counts the rest.
    pub count: u64,
}

/// A stretch that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Unreadable {
    /// Path of the input.
    pub input: String,
    /// Byte offset after decompression.
    pub offset: u64,
    /// Line, where it is known.
    pub line: Option<u64>,
    /// Length in bytes.
    pub bytes: u64,
    /// Why.
    pub reason: String,
}

/// An input whose source gave only a part of what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PartialSource {
    /// Path of the input.
    pub input: String,
    /// What the source says.
    pub reason: String,
}

/// How often something was repaired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RepairCount {
    /// What.
    pub kind: String,
    /// How often.
    pub count: u64,
}

/// A bound that ended an input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LimitReached {
    /// Path of the input.
    pub input: String,
    /// Byte offset after decompression.
    pub offset: u64,
    /// What was exceeded.
    pub limit: String,
    /// The flag that moves the bound.
    pub flag: String,
}

/// Traces that were read but not judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct NotJudged {
    /// Traces near the edge of the window that was asked for.
    pub window_edge_traces: u64,
    /// Traces too young to be complete.
    pub settle_traces: u64,
    /// Traces that the source says it cut.
    pub truncated_traces: u64,
}

/// A check that could not be made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CheckNotPossible {
    /// The rule.
    pub rule: String,
    /// Why, and for what part of the input.
    pub reason: String,
}

/// How grave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Worth mending; no context was lost.
    Warning,
    /// Context was lost, or the trace cannot be trusted.
    Error,
}

/// How sure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// A hint.
    Low,
    /// One of several explanations.
    Medium,
    /// Look-alikes are rare or excluded.
    High,
    /// Counted, not inferred.
    Certain,
}

/// The verdict of the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Enough was analysed and nothing reaches the gate.
    Pass,
    /// A finding reaches the gate.
    Fail,
    /// Too little was analysed to say.
    Inconclusive,
    /// Something named could not be read.
    Error,
}

/// A reason of the verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Reason {
    /// Stable code, kebab-case.
    pub code: String,
    /// One sentence.
    pub message: String,
}

/// Whether a finding was seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum FindingState {
    /// Not in the baseline.
    New,
    /// In the baseline.
    Known,
    /// Ignored by flag or configuration.
    Ignored,
}

/// One break: one place where something is wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Finding {
    /// Rule id.
    pub rule: String,
    /// How grave.
    pub severity: Severity,
    /// How sure it is that the break exists.
    pub confidence: Confidence,
    /// Identity of the break across runs: `v1:` and 16 hex digits.
    pub fingerprint: String,
    /// Identity including the inferred other side.
    pub edge_fingerprint: Option<String>,
    /// Seen before?
    pub state: FindingState,
    /// Whether this finding makes the verdict `fail`.
    pub fails_gate: bool,
    /// One line without ids.
    pub title: String,
    /// A few sentences.
    pub message: String,
    /// The caller's side, where there is one.
    pub from: Option<Side>,
    /// The damaged side.
    pub to: Option<Side>,
    /// Instrumentation scope of the damaged spans.
    pub scope: Option<ScopeName>,
    /// The leading cause.
    pub cause: Option<Cause>,
    /// Runners-up.
    pub other_causes: Vec<Cause>,
    /// What would settle the cause.
    pub decides: Option<String>,
    /// Spans affected.
    pub spans: u64,
    /// Traces affected.
    pub traces: u64,
    /// How often it happens.
    pub rate: Option<Rate>,
    /// Earliest affected start.
    pub first_seen: Option<String>,
    /// Latest affected start.
    pub last_seen: Option<String>,
    /// Versions, instances, hosts or moments that the break concentrates on.
    pub blame: Vec<Blame>,
    /// What a colleague can verify; at least one.
    pub evidence: Vec<Evidence>,
    /// What to change.
    pub remedy: Remedy,
    /// Where in code or input.
    pub locations: Vec<Location>,
    /// At most 3 traces, cut around the break.
    pub exemplars: Vec<Exemplar>,
    /// The affected spans with the smallest hash; every one with `--occurrences all`.
    pub occurrences: Vec<Occurrence>,
    /// How many there are.
    pub occurrences_total: u64,
}

/// One side of a break.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Side {
    /// `service.namespace`
    pub namespace: Option<String>,
    /// `service.name`
    pub service: Option<String>,
    /// Normalised operation name.
    pub operation: Option<String>,
    /// Span kind.
    pub kind: Option<String>,
    /// Not observed but concluded.
    pub inferred: bool,
}

/// An instrumentation scope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ScopeName {
    /// Name.
    pub name: String,
    /// Version.
    pub version: Option<String>,
}

/// Why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Cause {
    /// Cause id.
    pub id: String,
    /// How sure it is that this is the reason.
    pub confidence: Confidence,
    /// One sentence.
    pub summary: String,
}

/// A share with its Wilson 95 % interval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Rate {
    /// Affected.
    pub affected: u64,
    /// Of how many.
    pub total: u64,
    /// Of what.
    pub unit: RateUnit,
    /// Share.
    pub value: f64,
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
}

/// What a rate counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum RateUnit {
    /// Calls over an edge.
    Calls,
    /// Traces.
    Traces,
    /// Spans.
    Spans,
}

/// Something that a break concentrates on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Blame {
    /// `version`, `instance`, `host` or `time`.
    pub kind: String,
    /// The service whose version, instance, host or time it is.
    #[serde(default)]
    pub service: Option<String>,
    /// Which; a time is `since` or `until` and a moment.
    pub value: String,
    /// Affected spans there; traces for times.
    pub affected: u64,
    /// Of how many there.
    pub total: u64,
    /// Affected elsewhere, outside everything that is blamed.
    #[serde(default)]
    pub elsewhere_affected: u64,
    /// Of how many elsewhere.
    #[serde(default)]
    pub elsewhere_total: u64,
    /// Probability of this by chance, corrected for the number of values that were tried.
    pub p: f64,
}

/// A fact that supports a finding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Evidence {
    /// Kind; the known ones stand in the schema under `x-known-values`, and more will come.
    #[cfg_attr(test, schemars(extend("x-known-values" = EVIDENCE_KINDS)))]
    pub kind: String,
    /// One sentence.
    pub text: String,
    /// The numbers in it.
    pub data: BTreeMap<String, serde_json::Value>,
}

/// What to change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Remedy {
    /// One sentence.
    pub summary: String,
    /// Steps in order.
    pub steps: Vec<String>,
    /// Code or configuration to copy.
    pub code: Option<String>,
    /// Further reading.
    pub links: Vec<String>,
}

/// Where in code or input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Location {
    /// File in the code (from `code.*` attributes), or path of the input.
    pub path: String,
    /// Line, where known.
    pub line: Option<u64>,
    /// `code` or `input`.
    pub kind: String,
}

/// A trace in which the break can be seen. Where the diagnosis proposes a parent in another trace, that
/// parent and what is above it are among the spans.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Exemplar {
    /// Trace id.
    pub trace_id: String,
    /// Link to the backend's page, with `--trace-url`.
    pub url: Option<String>,
    /// Whether spans were left out.
    pub cut: bool,
    /// Spans in tree order with the proposed parents, parents before children.
    pub spans: Vec<ExemplarSpan>,
}

/// A span of an exemplar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ExemplarSpan {
    /// Trace id.
    #[serde(default)]
    pub trace_id: Option<String>,
    /// Span id.
    pub span_id: String,
    /// Parent span id as recorded.
    pub parent_id: Option<String>,
    /// Service.
    pub service: Option<String>,
    /// Operation, as the span has it.
    pub operation: Option<String>,
    /// Kind.
    pub kind: Option<String>,
    /// Start.
    pub start: Option<String>,
    /// Duration in ns.
    pub duration_ns: Option<i64>,
    /// Status.
    pub status: Option<String>,
    /// A placeholder for a span that is not in the data.
    pub missing: bool,
    /// The parent is a proposal: `proposed_parent`, not `parent_id`.
    pub proposed: bool,
    /// Where the span belongs, if that can be told.
    #[serde(default)]
    pub proposed_parent: Option<ProposedParent>,
    /// What is concluded about the times of a missing span; its service, operation and kind are those of
    /// the parent that such children have in other traces.
    #[serde(default)]
    pub inferred: Option<InferredTimes>,
    /// One of the spans that the finding is about.
    pub affected: bool,
}

/// Bounds of the time of a span that is not in the data. A span starts no later than its children, and,
/// if it waits for them, ends no earlier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct InferredTimes {
    /// Earliest start of its children.
    pub first_child_start: Option<String>,
    /// Latest end of its children.
    pub last_child_end: Option<String>,
    /// Start of the span that it is proposed to lie in.
    pub enclosing_start: Option<String>,
    /// End of the span that it is proposed to lie in.
    pub enclosing_end: Option<String>,
}

/// An affected span.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Occurrence {
    /// Trace id.
    pub trace_id: String,
    /// Span id.
    pub span_id: String,
    /// Where the span belongs, if that can be told.
    pub proposed_parent: Option<ProposedParent>,
}

/// Where a span belongs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ProposedParent {
    /// Trace id.
    pub trace_id: String,
    /// Span id.
    pub span_id: String,
    /// How sure.
    pub confidence: Confidence,
}

impl Severity {
    /// The name in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl Confidence {
    /// The name in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Certain => "certain",
        }
    }
}

impl Verdict {
    /// The name in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Inconclusive => "inconclusive",
            Self::Error => "error",
        }
    }
}

impl RateUnit {
    /// The name in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Traces => "traces",
            Self::Spans => "spans",
        }
    }
}

impl Side {
    /// The service alone, `unknown service` when there is none.
    pub fn service_name(&self) -> String {
        self.service.clone().unwrap_or_else(|| "unknown service".to_owned())
    }

    /// Namespace and service, `unknown service` when there is none.
    pub fn short_name(&self) -> String {
        match (&self.namespace, &self.service) {
            (Some(namespace), Some(service)) => format!("{namespace}/{service}"),
            (None, Some(service)) => service.clone(),
            (_, None) => "unknown service".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published schema is generated; `UPDATE_SCHEMA=1 cargo test schema` writes it anew.
    #[test]
    fn the_published_schema_is_up_to_date() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema/report-v1.json");
        let schema = serde_json::to_string_pretty(&schemars::schema_for!(Report)).unwrap() + "\n";
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &schema).unwrap();
        }
        let published = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(published == schema, "docs/schema/report-v1.json is out of date; set UPDATE_SCHEMA=1");
    }
}
