//! Composes the report from what was read and found.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::analysis::Analysis;
use crate::causes::Opinion;
use crate::config::{Occurrences, Settings};
use crate::corpus::clocks::{self, Bounds, Course};
use crate::corpus::sample::Sampled;
use crate::exemplars::{exemplars, leading_spans};
use crate::exit::Exit;
use crate::finding::{self, Finding};
use crate::formats::whole::WholeSpan;
use crate::gate::Readings;
use crate::model::boundary::Protocol;
use crate::model::time::rfc3339;
use crate::model::value::first_of;
use crate::model::{self, SpanId, TraceId, Value};
use crate::read::ReadInput;
use crate::relink;
use crate::report::{
    self, Capabilities, Cause, ClockKind, Coverage, EdgeClock, Evidence, Exemplar, FindingState, Input,
    LimitReached, Location, NotJudged, Occurrence, PartialSource, RateUnit, Reject, RepairCount, Report,
    SCHEMA, Severity, SeverityCounts, Summary, Tool, Unreadable, Verdict, Via,
};
use crate::store::accounting::Accounting;
use crate::store::partition::index_of_span;

/// Edges in a report: more than people read, and a few hundred kilobytes.
const EDGES: usize = 2_000;

/// Clocks in a report, for the same reason.
const CLOCKS: usize = 2_000;

/// Affected spans kept at least, so that exemplars can be chosen.
pub(crate) const SAMPLE: usize = 20;

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
    /// Line numbers of what could not be read.
    pub(crate) lines: Lines,
}

/// Line numbers by input and offset.
pub(crate) type Lines = BTreeMap<(usize, u64), u64>;

/// Composes the report. `whole` holds whole spans by (trace, span).
pub(crate) fn report(
    analysis: &Analysis,
    mut read: ReadingsOfRun<'_>,
    settings: &Settings,
    whole: &BTreeMap<(TraceId, SpanId), WholeSpan>,
) -> Report {
    let lines = std::mem::take(&mut read.lines);
    let composer = Composer { analysis, inputs: read.inputs, settings, whole, lines };
    let exemplars = exemplars(analysis, settings.trace_url.as_deref());
    let findings = analysis.findings.iter().enumerate().zip(exemplars);
    let findings: Vec<report::Finding> =
        findings.map(|((place, finding), exemplars)| composer.finding(place, finding, exemplars)).collect();
    let mut coverage = composer.coverage(read.skipped_files);
    coverage.attributes_not_kept = std::mem::take(&mut read.attributes_not_kept);
    let failing = findings.iter().filter(|finding| finding.fails_gate).count();
    let network = &analysis.corpus.clock_network;
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
        edges: composer.edges(),
        edges_total: analysis.edges.len() as u64,
        clocks: composer.clocks(),
        clocks_total: (network.standings.len() + network.agreeing.len()) as u64,
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
    whole: &'c BTreeMap<(TraceId, SpanId), WholeSpan>,
    lines: Lines,
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
                capabilities: Some(capabilities(read.capabilities)),
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

    fn edges(&self) -> Vec<report::Edge> {
        let names = &self.analysis.store.names;
        let mut edges: Vec<_> = self.analysis.edges.iter().collect();
        edges.sort_by_key(|(edge, _)| (Reverse(edge.broken), Reverse(edge.calls()), edge.exit, edge.entry));
        edges.truncate(EDGES);
        let edges = edges.into_iter().map(|(edge, offset)| report::Edge {
            from: finding::side(names, edge.exit),
            to: finding::side(names, edge.entry),
            via: match edge.protocol {
                Some(Protocol::Http) => Via::Http,
                Some(Protocol::Rpc) => Via::Rpc,
                Some(Protocol::Messaging) => Via::Messaging,
                None => Via::Other,
            },
            calls: edge.calls(),
            joined: edge.joined,
            broken: edge.broken,
            rate: finding::rate(edge.broken, edge.calls(), RateUnit::Calls),
            clock: offset.map(|offset| EdgeClock {
                low_ns: offset.bounds.known().0,
                high_ns: offset.bounds.known().1,
                pairs: offset.pairs as u64,
            }),
        });
        edges.collect()
    }

    fn clocks(&self) -> Vec<report::Clock> {
        let network = &self.analysis.corpus.clock_network;
        let off = network.standings.iter().map(clock_that_is_off);
        let agreeing = network.agreeing.iter().map(|agreeing| {
            let clock = report_clock(&agreeing.clock, agreeing.offset, agreeing.offset);
            report::Clock { pairs: agreeing.pairs as u64, agreeing: agreeing.agreeing as u64, ..clock }
        });
        off.chain(agreeing).take(CLOCKS).collect()
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
                    line: self.lines.get(&(*input, *offset)).copied(),
                    reason: reason.as_str().to_owned(),
                    count: if is_last { count - nth as u64 } else { 1 },
                });
            }
        }
        let unreadable = accounting.unreadable.iter().map(|(input, offset, bytes, reason)| Unreadable {
            input: self.path(*input),
            offset: *offset,
            line: self.lines.get(&(*input, *offset)).copied(),
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
        let of_sources = self.inputs.iter().zip(&accounting.inputs).flat_map(|(read, totals)| {
            read.limits.iter().map(|limit| LimitReached {
                input: read.input.path.clone(),
                offset: totals.bytes,
                limit: limit.as_str().to_owned(),
                flag: limit.flag().to_owned(),
            })
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
            partial_sources: self.partial_sources(),
            outside_filter: self.analysis.outside_filter,
            limits_reached: limits.chain(of_sources).collect(),
            attributes_not_kept: Vec::new(),
            not_judged: NotJudged {
                truncated_traces: accounting.truncated.len() as u64,
                window_edge_traces: self.analysis.window_edge_traces,
                settle_traces: self.analysis.settle_traces,
            },
            checks_not_possible: self.analysis.not_possible.clone(),
        }
    }

    fn partial_sources(&self) -> Vec<PartialSource> {
        let sources = self.accounting().partial.iter().flat_map(|(input, partial)| {
            let more = (partial.more > 0).then(|| format!("{} more reasons", partial.more));
            let reasons = partial.reasons.iter().map(ToString::to_string).chain(more);
            reasons.map(|reason| PartialSource { input: self.path(*input), reason })
        });
        sources.collect()
    }

    fn readings(&self, read: ReadingsOfRun<'_>) -> Readings {
        let accounting = self.accounting();
        Readings {
            traces: self.analysis.counts.traces
                - self.analysis.window_edge_traces
                - self.analysis.settle_traces,
            settling_traces: self.analysis.settle_traces,
            spans: accounting.spans(),
            rejected: accounting.rejected(),
            bytes: accounting.inputs.iter().map(|input| input.bytes).sum(),
            unreadable_bytes: accounting.unreadable_bytes - accounting.cut_last_record_bytes(),
            truncated_traces: accounting.truncated.len() as u64,
            limits_reached: accounting.limits().iter().count() as u64,
            damaged_inputs: read.damaged_inputs,
            failures: read.failures,
            partial_reasons: self.partial_sources().into_iter().map(|source| source.reason).collect(),
            input_format: self.settings.input_format.clone(),
            interrupted: read.interrupted,
            nothing_found: self.inputs.iter().find_map(|read| read.nothing_found.clone()),
            filter_hint: (self.analysis.counts.traces == 0).then(|| self.filter_hint()),
        }
    }

    /// What there is to filter by.
    fn filter_hint(&self) -> String {
        const NAMED: usize = 8;
        let names = &self.analysis.store.names;
        let services = names.services.iter().map(|service| &*service.name);
        let environments: BTreeSet<&str> = names
            .resources
            .iter()
            .map(|resource| &*resource.environment)
            .filter(|name| !name.is_empty())
            .collect();
        let list = |names: Vec<&str>| match names.len() {
            0 => "none".to_owned(),
            count if count > NAMED => format!("{} and {} more", names[..NAMED].join(", "), count - NAMED),
            _ => names.join(", "),
        };
        let times = self.accounting().inputs.iter();
        let first = times.clone().filter_map(|input| input.first_ns).min().map(rfc3339).unwrap_or_default();
        let last = times.filter_map(|input| input.last_ns).max().map(rfc3339).unwrap_or_default();
        format!(
            "the filter lets nothing through: the data has services {}; environments {}; times {first} to {last}",
            list(services.collect()),
            list(environments.into_iter().collect()),
        )
    }

    fn finding(&self, place: usize, finding: &Finding, exemplars: Vec<Exemplar>) -> report::Finding {
        let gate = &self.settings.gate;
        let service = finding.to.as_ref().and_then(|side| side.service.as_deref());
        let is_ignored = gate.ignores.iter().any(|(rule, only)| {
            rule == finding.rule.name && only.as_deref().is_none_or(|only| Some(only) == service)
        });
        let shown = leading_spans(place, finding);
        let warnings = self.backend_warnings(&shown);
        let evidence = finding.evidence().chain(&warnings).map(|evidence| Evidence {
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
            cause: finding.cause.as_ref().map(cause),
            other_causes: finding.other_causes.iter().map(cause).collect(),
            decides: finding.decides.clone(),
            spans: finding.spans,
            traces: finding.traces,
            rate: finding.rate.clone(),
            first_seen: finding.first_ns.map(rfc3339),
            last_seen: finding.last_ns.map(rfc3339),
            blame: finding.blame.clone(),
            evidence: evidence.collect(),
            remedy: finding.remedy.clone(),
            locations: self.locations(&shown),
            exemplars,
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
            proposed_parent: finding
                .proposed_parents
                .get(&(span.trace_id, span.span_id))
                .map(relink::in_report),
        });
        occurrences.collect()
    }

    /// What the backend wrote at the spans that lead the exemplars (Jaeger's adjusters and
    /// sanitizers leave warnings), or in place of their parents (`SigNoz` makes rows up for them).
    fn backend_warnings(&self, shown: &[Sampled]) -> Vec<finding::Evidence> {
        const QUOTED: usize = 2;
        let mut warnings = BTreeSet::new();
        let whole = shown.iter().filter_map(|span| self.whole.get(&(span.trace_id, span.span_id)));
        for WholeSpan { span, .. } in whole {
            warnings.extend(span.warnings.iter().map(ToString::to_string));
            let invented = span.parent_span_id.map(|parent| (span.trace_id, parent));
            if let Some((_, parent)) = invented.filter(|id| self.accounting().invented.contains(id)) {
                warnings.insert(format!("the row of its parent {parent} was made up by the backend"));
            }
        }
        let quoted = warnings.into_iter().take(QUOTED);
        quoted.map(|warning| finding::Evidence::BackendWarning { warning }).collect()
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
            let record = &records[index_of_span(records, span.span_id)?];
            Some(Location { path: self.path(record.input()), line: None, kind: "input".to_owned() })
        });
        locations.extend(inputs);
        let mut seen = BTreeSet::new();
        locations
            .retain(|location| seen.insert((location.kind.clone(), location.path.clone(), location.line)));
        locations
    }
}

fn report_clock(clock: &clocks::Clock, first: Bounds, last: Bounds) -> report::Clock {
    let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let of_process = |part: fn(&clocks::ClockReader) -> &str| {
        clock.process.as_ref().and_then(|process| filled(part(process)))
    };
    let (offset_low_ns, offset_high_ns) = last.known();
    let (first_offset_low_ns, first_offset_high_ns) = first.known();
    report::Clock {
        host: filled(&clock.host),
        namespace: of_process(|process| &process.namespace),
        service: of_process(|process| &process.service),
        instance: of_process(|process| &process.instance),
        kind: ClockKind::Agrees,
        relative_to: None,
        offset_low_ns,
        offset_high_ns,
        first_offset_low_ns,
        first_offset_high_ns,
        step_at: None,
        drift_ns_per_second: None,
        ambiguous: false,
        pairs: 0,
        agreeing: 0,
    }
}

fn clock_that_is_off(standing: &clocks::Standing) -> report::Clock {
    let (kind, step_at, drift_ns_per_second) = match standing.course {
        Course::Constant(_) => (ClockKind::Offset, None, None),
        Course::Step { at_ns, .. } => (ClockKind::Step, Some(rfc3339(at_ns)), None),
        Course::Drift { rate, .. } => (ClockKind::Drift, None, Some(clocks::ns_per_second(rate))),
    };
    let (first, last) = standing.ends;
    report::Clock {
        kind,
        relative_to: Some(standing.partner.label()),
        step_at,
        drift_ns_per_second,
        ambiguous: standing.is_ambiguous,
        pairs: standing.pairs as u64,
        agreeing: standing.agreeing as u64,
        ..report_clock(&standing.clock, first, last)
    }
}

fn cause(opinion: &Opinion) -> Cause {
    Cause {
        id: opinion.cause.id.to_owned(),
        confidence: opinion.confidence,
        summary: opinion.cause.summary.to_owned(),
    }
}

fn capabilities(known: model::Capabilities) -> Capabilities {
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
