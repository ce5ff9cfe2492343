//! Composes the report from what was read and found.

use std::collections::{BTreeMap, BTreeSet};

use crate::analysis::Analysis;
use crate::config::{Occurrences, Settings};
use crate::corpus::sample::Sampled;
use crate::exit::Exit;
use crate::finding::Finding;
use crate::formats::Format;
use crate::formats::whole::WholeSpan;
use crate::gate::Readings;
use crate::graph::{Node, SpanGraph};
use crate::model::time::rfc3339;
use crate::model::value::first_of;
use crate::model::{SpanKind, TraceId, Value};
use crate::read::ReadInput;
use crate::report::{
    self, Capabilities, Coverage, Evidence, Exemplar, ExemplarSpan, FindingState, Input, LimitReached,
    Location, NotJudged, Occurrence, Reject, RepairCount, Report, SCHEMA, Severity, SeverityCounts, Summary,
    Tool, Unreadable, Verdict,
};
use crate::store::accounting::Accounting;
use crate::trace::{FlatPass, Scope, TraceView};

/// Affected spans kept at least, so that exemplars can be chosen.
pub(crate) const SAMPLE: usize = 20;
/// Traces shown with a finding.
const EXEMPLARS: usize = 3;
/// A trace up to this size is shown whole; a larger one is cut around the break to this size.
const EXEMPLAR_SPANS: usize = 40;

/// What was read, for the report.
pub(crate) struct ReadingsOfRun<'r> {
    /// Inputs in their order.
    pub(crate) inputs: &'r [ReadInput],
    /// Named inputs that could not be read.
    pub(crate) failures: Vec<String>,
    /// Inputs whose end could not be read.
    pub(crate) damaged_inputs: u64,
    /// Files in folders that hold no traces.
    pub(crate) skipped_files: u64,
    /// Reading was ended early.
    pub(crate) interrupted: bool,
    /// Inputs of which spans could not be read a second time, and why.
    pub(crate) attributes_not_kept: Vec<String>,
}

/// The spans that should be read whole for the report: those at which findings can be seen.
pub(crate) fn wanted_whole(analysis: &Analysis) -> BTreeSet<(TraceId, crate::model::SpanId)> {
    let shown = analysis.findings.iter().flat_map(exemplar_spans);
    shown.map(|span| (span.trace_id, span.span_id)).collect()
}

/// The affected spans that lead the exemplars of a finding, one a trace.
fn exemplar_spans(finding: &Finding) -> Vec<Sampled> {
    let mut traces = BTreeSet::new();
    let mut spans = finding.occurrences.clone();
    spans.retain(|span| traces.insert(span.trace_id));
    spans.truncate(EXEMPLARS);
    spans
}

/// Composes the report. `whole` holds whole spans by (trace, span).
pub(crate) fn report(
    analysis: &Analysis,
    mut read: ReadingsOfRun<'_>,
    settings: &Settings,
    whole: &BTreeMap<(TraceId, crate::model::SpanId), WholeSpan>,
) -> Report {
    let composer = Composer { analysis, inputs: read.inputs, settings, whole };
    let findings: Vec<report::Finding> =
        analysis.findings.iter().map(|finding| composer.finding(finding)).collect();
    let mut coverage = composer.coverage(read.skipped_files);
    coverage.attributes_not_kept = std::mem::take(&mut read.attributes_not_kept);
    let failing = findings.iter().filter(|finding| finding.fails_gate).count();
    let readings = composer.readings(read);
    let (verdict, reasons) = settings.gate.judge(failing, &readings);
    let exit = exit(verdict, readings.interrupted, settings.gate.exit_zero);
    Report {
        schema: SCHEMA.to_owned(),
        tool: Tool { name: "tracemend".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() },
        inputs: composer.inputs(),
        summary: composer.summary(&findings),
        coverage,
        findings,
        verdict,
        reasons,
        exit_code: exit.code(),
    }
}

fn exit(verdict: Verdict, interrupted: bool, exit_zero: bool) -> Exit {
    if interrupted {
        return Exit::Interrupted;
    }
    match verdict {
        Verdict::Pass => Exit::Pass,
        Verdict::Fail if exit_zero => Exit::Pass,
        Verdict::Fail => Exit::Fail,
        Verdict::Inconclusive => Exit::Inconclusive,
        Verdict::Error => Exit::Error,
    }
}

struct Composer<'c> {
    analysis: &'c Analysis,
    inputs: &'c [ReadInput],
    settings: &'c Settings,
    whole: &'c BTreeMap<(TraceId, crate::model::SpanId), WholeSpan>,
}

impl Composer<'_> {
    fn accounting(&self) -> &Accounting {
        &self.analysis.store.accounting
    }

    fn path(&self, input: usize) -> String {
        self.inputs[input].input.path.clone()
    }

    fn inputs(&self) -> Vec<Input> {
        let totals = self.accounting().inputs.iter().zip(&self.analysis.traces_by_input);
        let inputs = self.inputs.iter().zip(totals).map(|(read, (totals, traces))| {
            let path = read.input.path.clone();
            let name = path.rsplit(['/', '\\']).next().unwrap_or(&path);
            let label = if path == "-" { "standard input".to_owned() } else { name.to_owned() };
            Input {
                label,
                format: Some(read.format.info().name.to_owned()),
                compression: read.compression.map(|compression| compression.as_str().to_owned()),
                bytes: totals.bytes,
                spans: totals.spans,
                traces: *traces,
                first_time: totals.first_ns.map(rfc3339),
                last_time: totals.last_ns.map(rfc3339),
                capabilities: Some(capabilities(read.format)),
                path,
            }
        });
        inputs.collect()
    }

    fn summary(&self, findings: &[report::Finding]) -> Summary {
        let counts = self.analysis.counts;
        let accounting = self.accounting();
        let by_severity =
            |severity| findings.iter().filter(|finding| finding.severity == severity).count() as u64;
        let is_break = |finding: &&report::Finding| {
            finding.severity >= Severity::Warning && finding.state != FindingState::Ignored
        };
        Summary {
            span_records: accounting.spans(),
            traces: counts.traces,
            orphan_spans: counts.orphan_spans,
            missing_parents: counts.missing_parents,
            traces_with_orphans: counts.traces_with_orphans,
            traces_without_root: counts.traces_without_root,
            traces_with_multiple_roots: counts.traces_with_multiple_roots,
            fragments: counts.fragments,
            self_parents: counts.self_parents,
            cycle_spans: counts.cycle_spans,
            exact_duplicate_ids: counts.exact_duplicate_ids,
            colliding_ids: counts.colliding_ids,
            extra_copies: counts.extra_copies,
            shared_pairs: counts.shared_pairs,
            zero_durations: counts.zero_durations,
            negative_durations: counts.negative_durations,
            truncated_trace_pairs: self.analysis.truncated_trace_pairs,
            services: self.analysis.store.names.services.len() as u64,
            rejects: accounting.rejected(),
            findings_by_severity: SeverityCounts {
                error: by_severity(Severity::Error),
                warning: by_severity(Severity::Warning),
                info: by_severity(Severity::Info),
            },
            breaks: findings.iter().filter(is_break).count() as u64,
            traces_affected: self.analysis.traces_affected,
            first_time: accounting.inputs.iter().filter_map(|input| input.first_ns).min().map(rfc3339),
            last_time: accounting.inputs.iter().filter_map(|input| input.last_ns).max().map(rfc3339),
        }
    }

    fn coverage(&self, skipped_files: u64) -> Coverage {
        let accounting = self.accounting();
        let mut rejects = Vec::new();
        for (reason, (positions, count)) in &accounting.rejects {
            for (nth, (input, offset)) in positions.iter().enumerate() {
                let is_last = nth + 1 == positions.len();
                rejects.push(Reject {
                    input: self.path(*input),
                    offset: *offset,
                    line: None,
                    reason: reason.as_str().to_owned(),
                    count: if is_last { count - nth as u64 } else { 1 },
                });
            }
        }
        let unreadable = accounting.unreadable.iter().map(|(input, offset, bytes, reason)| Unreadable {
            input: self.path(*input),
            offset: *offset,
            line: None,
            bytes: *bytes,
            reason: reason.to_string(),
        });
        let repairs = accounting
            .repairs
            .iter()
            .map(|(repair, count)| RepairCount { kind: repair.as_str().to_owned(), count: *count });
        let limits = accounting.limits().iter().map(|(input, offset, limit)| LimitReached {
            input: self.path(input),
            offset,
            limit: limit.as_str().to_owned(),
            flag: limit.flag().to_owned(),
        });
        Coverage {
            records_seen: accounting.spans() + accounting.rejected(),
            rejected_spans: accounting.rejected(),
            rejects,
            unreadable_bytes: accounting.unreadable_bytes,
            unreadable: unreadable.collect(),
            skipped_files,
            repairs: repairs.collect(),
            repeated_across_inputs: self.analysis.counts.repeated_across_inputs,
            invented_rows: accounting.invented_rows,
            outside_filter: self.analysis.outside_filter,
            limits_reached: limits.collect(),
            attributes_not_kept: Vec::new(),
            not_judged: NotJudged {
                truncated_traces: accounting.truncated.len() as u64,
                ..NotJudged::default()
            },
            checks_not_possible: self.analysis.not_possible.clone(),
        }
    }

    fn readings(&self, read: ReadingsOfRun<'_>) -> Readings {
        let accounting = self.accounting();
        Readings {
            traces: self.analysis.counts.traces,
            spans: accounting.spans(),
            rejected: accounting.rejected(),
            bytes: accounting.inputs.iter().map(|input| input.bytes).sum(),
            unreadable_bytes: accounting.unreadable_bytes - accounting.cut_last_record_bytes(),
            truncated_traces: accounting.truncated.len() as u64,
            limits_reached: accounting.limits().iter().count() as u64,
            damaged_inputs: read.damaged_inputs,
            failures: read.failures,
            interrupted: read.interrupted,
        }
    }

    fn finding(&self, finding: &Finding) -> report::Finding {
        let gate = &self.settings.gate;
        let service = finding.to.as_ref().and_then(|side| side.service.as_deref());
        let is_ignored = gate.ignores.iter().any(|(rule, only)| {
            rule == finding.rule.name && only.as_deref().is_none_or(|only| Some(only) == service)
        });
        let shown = exemplar_spans(finding);
        let evidence = finding.evidence().map(|evidence| Evidence {
            kind: evidence.kind().to_owned(),
            text: evidence.text(),
            data: evidence.data(),
        });
        report::Finding {
            rule: finding.rule.name.to_owned(),
            severity: finding.severity,
            confidence: finding.confidence,
            fingerprint: finding.fingerprint(),
            edge_fingerprint: finding.edge_fingerprint(),
            state: if is_ignored { FindingState::Ignored } else { FindingState::New },
            fails_gate: !is_ignored && gate.fails(finding.severity, finding.confidence),
            title: finding.title.clone(),
            message: finding.message.clone(),
            from: finding.from.clone(),
            to: finding.to.clone(),
            scope: finding.scope.clone(),
            cause: None,
            other_causes: Vec::new(),
            decides: finding.decides.clone(),
            spans: finding.spans,
            traces: finding.traces,
            rate: finding.rate.clone(),
            first_seen: finding.first_ns.map(rfc3339),
            last_seen: finding.last_ns.map(rfc3339),
            blame: Vec::new(),
            evidence: evidence.collect(),
            remedy: finding.remedy.clone(),
            locations: self.locations(&shown),
            exemplars: shown.iter().filter_map(|span| self.exemplar(finding, span)).collect(),
            occurrences: self.occurrences(finding),
            occurrences_total: finding.occurrences_total,
        }
    }

    fn occurrences(&self, finding: &Finding) -> Vec<Occurrence> {
        let mut spans = finding.occurrences.clone();
        match self.settings.occurrences {
            Occurrences::First(count) => spans.truncate(count),
            Occurrences::All => spans.sort_unstable_by_key(|span| (span.trace_id, span.span_id)),
        }
        let occurrences = spans.iter().map(|span| Occurrence {
            trace_id: span.trace_id.to_string(),
            span_id: span.span_id.to_string(),
            proposed_parent: None,
        });
        occurrences.collect()
    }

    /// Places in the code first (OpenTelemetry's `code.*` attributes, current names before older
    /// ones), then the inputs.
    fn locations(&self, shown: &[Sampled]) -> Vec<Location> {
        let mut locations = Vec::new();
        for span in shown {
            let Some(whole) = self.whole.get(&(span.trace_id, span.span_id)) else { continue };
            let attributes = &whole.span.attributes;
            let path = first_of(attributes, &["code.file.path", "code.filepath"]).and_then(Value::as_str);
            let line = first_of(attributes, &["code.line.number", "code.lineno"]).and_then(Value::to_text);
            if let Some(path) = path {
                let line = line.and_then(|line| line.parse().ok());
                locations.push(Location { path: path.to_owned(), line, kind: "code".to_owned() });
            }
        }
        let inputs = shown.iter().filter_map(|span| {
            let (_, records) = self.analysis.store.trace(span.trace_id)?;
            let record = records.iter().find(|record| record.span_id() == span.span_id)?;
            Some(Location { path: self.path(record.input()), line: None, kind: "input".to_owned() })
        });
        locations.extend(inputs);
        let mut seen = BTreeSet::new();
        locations
            .retain(|location| seen.insert((location.kind.clone(), location.path.clone(), location.line)));
        locations
    }

    fn exemplar(&self, finding: &Finding, shown: &Sampled) -> Option<Exemplar> {
        let (partition, records) = self.analysis.store.trace(shown.trace_id)?;
        let mut pass = FlatPass::default();
        let everything = Scope::default();
        let trace = pass.run(&self.analysis.store.names, partition, records, &everything)?;
        let graph = SpanGraph::new(&trace);
        let affected: BTreeSet<_> = finding
            .occurrences
            .iter()
            .filter(|span| span.trace_id == shown.trace_id)
            .map(|span| span.span_id)
            .collect();
        let is_affected = |node: Node| match node {
            Node::Span(index) => affected.contains(&trace.spans[index as usize].span_id()),
            Node::Missing(_) => false,
        };
        let kept = around(&graph, shown, &trace);
        let spans = graph
            .in_tree_order()
            .into_iter()
            .filter(|(node, _)| kept.as_ref().is_none_or(|kept| kept.contains(node)))
            .map(|(node, _)| exemplar_span(&trace, graph.node(node), is_affected(graph.node(node))));
        Some(Exemplar {
            trace_id: shown.trace_id.to_string(),
            url: trace_url(self.settings.trace_url.as_deref(), shown.trace_id),
            cut: kept.is_some(),
            spans: spans.collect(),
        })
    }
}

/// The page of a trace in the user's backend.
pub(crate) fn trace_url(template: Option<&str>, trace_id: TraceId) -> Option<String> {
    template.map(|template| template.replace("{trace_id}", &trace_id.to_string()))
}

/// The nodes nearest to a span, found in rings over parents and children; `None` when the whole
/// trace is small enough.
fn around(
    graph: &SpanGraph,
    shown: &Sampled,
    trace: &TraceView<'_>,
) -> Option<BTreeSet<petgraph::graph::NodeIndex>> {
    if graph.len() <= EXEMPLAR_SPANS {
        return None;
    }
    let index = trace.spans.iter().position(|span| span.span_id() == shown.span_id)?;
    let start = graph.node_of(index)?;
    let mut kept = BTreeSet::from([start]);
    // The way up comes first: it is what leads to the break.
    let mut above = graph.parent(start);
    while let Some(node) = above.filter(|_| kept.len() < EXEMPLAR_SPANS / 2) {
        kept.insert(node);
        above = graph.parent(node);
    }
    let mut ring: Vec<_> = kept.iter().copied().collect();
    while !ring.is_empty() && kept.len() < EXEMPLAR_SPANS {
        let mut next = Vec::new();
        for node in ring {
            for child in graph.children(node) {
                if kept.len() < EXEMPLAR_SPANS && kept.insert(child) {
                    next.push(child);
                }
            }
        }
        ring = next;
    }
    Some(kept)
}

/// A node of a trace as it stands in the report.
pub(crate) fn exemplar_span(trace: &TraceView<'_>, node: Node, affected: bool) -> ExemplarSpan {
    let index = match node {
        Node::Span(index) => index as usize,
        Node::Missing(span_id) => {
            return ExemplarSpan {
                span_id: span_id.to_string(),
                parent_id: None,
                service: None,
                operation: None,
                kind: None,
                start: None,
                duration_ns: None,
                status: None,
                missing: true,
                proposed: false,
                affected,
            };
        }
    };
    let span = &trace.spans[index];
    let service = &trace.names.resource_of(span.operation).service;
    let kind = trace.kind(index);
    ExemplarSpan {
        span_id: span.span_id().to_string(),
        parent_id: span.parent_id().map(|parent| parent.to_string()),
        service: (!service.is_empty()).then(|| service.to_string()),
        operation: Some(trace.names.name_of(span.operation).to_owned()),
        kind: (kind != SpanKind::Unspecified).then(|| kind.as_str().to_owned()),
        start: (span.start_ns() != 0).then(|| rfc3339(span.start_ns())),
        duration_ns: span.is_timed().then(|| span.duration_ns()),
        status: Some(span.status().as_str().to_owned()),
        missing: false,
        proposed: false,
        affected,
    }
}

fn capabilities(format: &dyn Format) -> Capabilities {
    let known = format.info().capabilities;
    Capabilities {
        time_resolution_ns: known.time_resolution_ns,
        flags: known.flags,
        is_remote: known.is_remote,
        links: known.links,
        trace_state: known.trace_state,
        dropped_counts: known.dropped_counts,
        exact_resource: known.exact_resource,
        duplicates_visible: known.duplicates_visible,
        edited_by_source: known.edited_by_source,
    }
}
