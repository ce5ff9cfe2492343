//! The same spans in every format that can be written give the same structure. Findings differ only by
//! lower confidence or by an abstention that is stated, never by a new finding or cause. What a format
//! may not be able to tell is read from its capability record.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tracemend::config::Settings;
use tracemend::formats;
use tracemend::formats::whole::WholeSpan;
use tracemend::model::resource::is_missing_service_name;
use tracemend::report::{Capabilities, Confidence, Finding, Report, Severity, Summary};

use crate::determinism;
use crate::encode::{FORMS, Form, otlp_lines, whole_spans};
use crate::support::{cases, run_bytes};

/// A count with its name.
type Count = (&'static str, fn(&Summary) -> u64);

/// What is the same however spans are written: counts of ids and edges.
const STRUCTURE: [Count; 11] = [
    ("traces", |summary| summary.traces),
    ("orphan spans", |summary| summary.orphan_spans),
    ("missing parents", |summary| summary.missing_parents),
    ("traces with orphans", |summary| summary.traces_with_orphans),
    ("traces without root", |summary| summary.traces_without_root),
    ("traces with several roots", |summary| summary.traces_with_multiple_roots),
    ("fragments", |summary| summary.fragments),
    ("self parents", |summary| summary.self_parents),
    ("cycle spans", |summary| summary.cycle_spans),
    ("truncated trace pairs", |summary| summary.truncated_trace_pairs),
    ("services", |summary| summary.services),
];

fn report(bytes: &[u8]) -> Report {
    run_bytes(&[("traces", bytes)], &Settings { threads: Some(2), ..Settings::default() })
}

/// What OTLP makes of the spans.
struct Reference {
    report: Report,
    spans: Vec<WholeSpan>,
    /// Whether copies of one span are among them.
    has_copies: bool,
    /// Whether damage has a cause: that of spans made at random has none, and what is known of them decides
    /// what seems to be it, and whose span seems to be missing.
    has_causes: bool,
}

impl Reference {
    fn new(spans: Vec<WholeSpan>) -> Self {
        let report = report(&otlp_lines(&spans));
        let has_copies = report.summary.extra_copies > 0 || report.summary.shared_pairs > 0;
        Self { report, spans, has_copies, has_causes: true }
    }

    fn at_random(spans: Vec<WholeSpan>) -> Self {
        Self { has_causes: false, ..Self::new(spans) }
    }

    /// Holds the reference against the same spans in another form; says what is not as it should be.
    fn against(&self, form: &Form) -> Vec<String> {
        let found = report(&(form.write)(&self.spans));
        let Some(input) = found.inputs.first() else {
            return vec![format!("not read: {:?}", found.reasons)];
        };
        if input.format.as_deref() != Some(form.format) {
            return vec![format!("taken for {:?}, not {}", input.format, form.format)];
        }
        let can = input.capabilities.clone().unwrap();
        let mut wrong = self.structure(&found, &can);
        wrong.extend(self.durations(&found.summary, &can));
        wrong.extend(self.copies(&found.summary, &can));
        wrong.extend(self.findings(&found, &can));
        wrong
    }

    fn structure(&self, found: &Report, can: &Capabilities) -> Vec<String> {
        let mut wrong = Vec::new();
        let coverage = &found.coverage;
        if coverage.rejected_spans + coverage.unreadable_bytes > 0 || !coverage.partial_sources.is_empty() {
            wrong.push(format!("not read whole: {coverage:?}"));
        }
        // A backend that keeps one copy of each id may have kept the one with another parent.
        if self.has_copies && !can.duplicates_visible {
            return wrong;
        }
        for (name, count) in STRUCTURE {
            let (expected, found) = (count(&self.report.summary), count(&found.summary));
            if found != expected {
                wrong.push(format!("{name}: {found}, not {expected}"));
            }
        }
        wrong
    }

    /// A coarse step may make a short duration nothing, and nothing a short one.
    fn durations(&self, found: &Summary, can: &Capabilities) -> Vec<String> {
        let step = i64::try_from(can.time_resolution_ns).unwrap();
        let blurred =
            |whole: &&WholeSpan| whole.span.duration_ns().is_some_and(|ns| step > 1 && ns.abs() <= step);
        let slack = self.spans.iter().filter(blurred).count() as u64 + self.hidden(found, can);
        let expected = &self.report.summary;
        let counts = [
            ("negative durations", found.negative_durations, expected.negative_durations),
            ("zero durations", found.zero_durations, expected.zero_durations),
        ];
        let wrong = counts.into_iter().filter(|(_, found, expected)| found.abs_diff(*expected) > slack);
        wrong.map(|(name, found, expected)| format!("{name}: {found}, not {expected} ± {slack}")).collect()
    }

    /// Records that the backend left out because it keeps one for each id.
    fn hidden(&self, found: &Summary, can: &Capabilities) -> u64 {
        if can.duplicates_visible {
            return 0;
        }
        self.report.summary.span_records.saturating_sub(found.span_records)
    }

    /// What a format does not tell cannot tell copies apart.
    fn copies(&self, found: &Summary, can: &Capabilities) -> Vec<String> {
        let expected = &self.report.summary;
        let hidden = self.hidden(found, can);
        let ids = |summary: &Summary| summary.exact_duplicate_ids + summary.colliding_ids;
        let mut wrong = Vec::new();
        if found.span_records + hidden != expected.span_records {
            wrong.push(format!("span records: {}, not {}", found.span_records, expected.span_records));
        }
        if found.extra_copies > expected.extra_copies || found.extra_copies + hidden < expected.extra_copies {
            wrong.push(format!("extra copies: {}, not {}", found.extra_copies, expected.extra_copies));
        }
        if hidden == 0 && ids(found) != ids(expected) {
            wrong.push(format!("ids with copies: {}, not {}", ids(found), ids(expected)));
        }
        if found.colliding_ids > expected.colliding_ids
            || (tells_all(can) && hidden == 0 && found.colliding_ids != expected.colliding_ids)
        {
            wrong.push(format!("colliding ids: {}, not {}", found.colliding_ids, expected.colliding_ids));
        }
        wrong
    }

    fn findings(&self, found: &Report, can: &Capabilities) -> Vec<String> {
        // Where a backend keeps one of several spans under an id, that one may hang anywhere else.
        let summary = &self.report.summary;
        if self.hidden(&found.summary, can) > 0 && summary.colliding_ids + summary.shared_pairs > 0 {
            return Vec::new();
        }
        // Of different spans that share an id, the order of content decides which stands for the id, so
        // that a format without some of the content may name another service.
        let is_loose = self.report.summary.colliding_ids > 0 && !tells_all(can);
        let (expected, found_by) = (by_place(&self.report, is_loose), by_place(found, is_loose));
        let mut wrong = Vec::new();
        for (place, finding) in &found_by {
            match expected.get(place) {
                Some(known) => {
                    let raised = if self.has_causes { raised(known, finding, is_loose) } else { Vec::new() };
                    wrong.extend(raised.into_iter().map(|text| format!("{place:?}: {text}")));
                }
                None if self.has_causes => wrong.push(format!("{place:?} is new")),
                None => {
                    let is_known = expected.keys().any(|(rule, _)| *rule == place.0);
                    wrong.extend((!is_known).then(|| format!("{} is new", place.0)));
                }
            }
        }
        for (place @ (rule, _), _) in expected.iter().filter(|(place, _)| !found_by.contains_key(*place)) {
            let is_elsewhere = !self.has_causes && found_by.keys().any(|(other, _)| other == rule);
            if !is_elsewhere && !self.is_stated(found, rule, can) {
                wrong.push(format!("{place:?} is not there, and coverage does not say why"));
            }
        }
        wrong
    }

    /// Whether the report says that this check was not possible. What a copy had of its own is gone
    /// with it where a backend keeps one span for each id; that copies may be gone is what is said then.
    fn is_stated(&self, report: &Report, rule: &str, can: &Capabilities) -> bool {
        let hides_copies = self.has_copies && !can.duplicates_visible;
        let checks = &report.coverage.checks_not_possible;
        checks.iter().any(|check| check.rule == rule || (hides_copies && check.rule == "duplicate-span"))
    }
}

/// Whether the content of a span comes through as it was.
fn tells_all(can: &Capabilities) -> bool {
    can.time_resolution_ns == 1
        && can.links
        && can.trace_state
        && can.dropped_counts
        && can.exact_resource
        && can.duplicates_visible
}

/// Where a finding is: its rule and service. Scopes and namespaces are not kept by every format.
type Place = (String, String);

/// The surest finding of each place, with the sums over all of them.
struct Placed {
    confidence: Confidence,
    severity: Severity,
    spans: u64,
    causes: BTreeSet<String>,
}

fn by_place(report: &Report, is_loose: bool) -> BTreeMap<Place, Placed> {
    let mut places: BTreeMap<Place, Placed> = BTreeMap::new();
    for finding in &report.findings {
        let service = finding.to.as_ref().and_then(|side| side.service.clone()).unwrap_or_default();
        // Where a service has no name, each format has its own word for that.
        let is_nameless = is_loose || is_missing_service_name(&service);
        let service = if is_nameless { String::new() } else { service };
        let placed = places.entry((finding.rule.clone(), service)).or_insert(Placed {
            confidence: finding.confidence,
            severity: finding.severity,
            spans: 0,
            causes: BTreeSet::new(),
        });
        placed.confidence = placed.confidence.max(finding.confidence);
        placed.severity = placed.severity.max(finding.severity);
        placed.spans += finding.spans;
        placed.causes.extend(causes(finding));
    }
    places
}

fn causes(finding: &Finding) -> impl Iterator<Item = String> {
    finding.cause.iter().chain(&finding.other_causes).map(|cause| cause.id.clone())
}

fn raised(known: &Placed, found: &Placed, is_loose: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    if found.confidence > known.confidence {
        wrong.push(format!("confidence {:?}, more than {:?}", found.confidence, known.confidence));
    }
    if found.spans > known.spans && !is_loose {
        wrong.push(format!("{} spans, more than {}", found.spans, known.spans));
    }
    if found.severity > known.severity {
        wrong.push(format!("severity {:?}, more than {:?}", found.severity, known.severity));
    }
    if !found.causes.is_subset(&known.causes) {
        wrong.push(format!("causes {:?}, not of {:?}", found.causes, known.causes));
    }
    wrong
}

fn check(name: &str, reference: &Reference) -> Vec<String> {
    let wrong = FORMS.iter().flat_map(|form| {
        reference.against(form).into_iter().map(move |wrong| format!("{name} as {}: {wrong}", form.name))
    });
    wrong.collect()
}

/// Whether every field can be written in every format.
fn is_writable(whole: &WholeSpan) -> bool {
    whole.span.malformed.is_empty() && whole.span.start_ns.is_some() && whole.span.end_ns.is_some()
}

#[test]
fn fixtures_give_the_same_in_every_format() {
    let (mut wrong, mut compared, mut rules) = (Vec::new(), 0, BTreeSet::new());
    for case in cases() {
        let bytes = case.bytes();
        let own = report(&bytes);
        let is_whole = own.coverage.rejected_spans + own.coverage.unreadable_bytes == 0;
        let is_otlp = own.inputs.first().is_some_and(|input| input.format.as_deref() == Some("otlp-json"));
        // The stories of the formats are all one, and they are compared in `matrix`.
        if !is_whole || !is_otlp || case.is_in("formats") {
            continue;
        }
        let spans = whole_spans(&bytes, "otlp-json");
        if !spans.iter().all(is_writable) {
            continue;
        }
        let reference = Reference::new(spans);
        rules.extend(reference.report.findings.iter().map(|finding| finding.rule.clone()));
        wrong.extend(check(&case.name, &reference));
        compared += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(compared > 20, "{compared}");
    assert!(rules.len() > 6, "{rules:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn generated_traces_give_the_same_in_every_format(made in determinism::spans()) {
        let spans = whole_spans(&determinism::lines(&made), "otlp-json");
        let wrong = check("generated", &Reference::at_random(spans));
        prop_assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

/// Without this, a new format could be left out.
#[test]
fn every_format_is_written_somewhere() {
    let written: BTreeSet<&str> = FORMS.iter().map(|form| form.format).collect();
    // The table of Jaeger's rows differs from the rows as that of `otel_traces` does.
    let left_out = ["clickhouse-jaeger-spans-table"];
    for format in formats::ALL {
        let name = format.info().name;
        assert_ne!(written.contains(name), left_out.contains(&name), "{name}");
    }
}
