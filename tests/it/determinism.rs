//! What must not change a report: order, splits, threads, formats, ids, times, hosts. And what must
//! never happen, whatever the bytes are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree as _;
use prost::Message as _;
use serde_json::{Value, json};
use tracemend::config::Settings;
use tracemend::formats::whole::{Wanted, WholeSpans, write_otlp_json_lines};
use tracemend::formats::{self, Limits};
use tracemend::graph::{self, SpanGraph};
use tracemend::progress::NoProgress;
use tracemend::read::{self, ReadOptions};
use tracemend::report::Report;
use tracemend::sources::blocks::BlockReader;
use tracemend::sources::{self, Expanded, Input, InputKind};
use tracemend::trace::{FlatPass, Scope};

use crate::support::{cases, gzip, run_bytes};

// --- Generated traces -------------------------------------------------------------------------------

/// A span of a generated trace. Few different values, so that ids meet and times touch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Made {
    trace: u8,
    id: u8,
    parent: Parent,
    sender: u8,
    name: u8,
    kind: u8,
    start: i16,
    duration: i16,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Parent {
    None,
    /// May be there, may be the span itself, may be missing, may close a cycle.
    Id(u8),
}

fn made() -> impl Strategy<Value = Made> {
    let parent = prop_oneof![1 => Just(Parent::None), 4 => (0_u8..12).prop_map(Parent::Id)];
    (0_u8..5, 0_u8..10, parent, 0_u8..4, 0_u8..3, 0_u8..6, 0_i16..500, -3_i16..80).prop_map(
        |(trace, id, parent, sender, name, kind, start, duration)| Made {
            trace,
            id,
            parent,
            sender,
            name,
            kind,
            start,
            duration,
        },
    )
}

/// Spans, some of them several times.
pub(crate) fn spans() -> impl Strategy<Value = Vec<Made>> {
    (vec(made(), 1..40), vec(any::<Index>(), 0..6)).prop_map(|(mut spans, again)| {
        let copies: Vec<Made> = again.iter().map(|index| index.get(&spans).clone()).collect();
        spans.extend(copies);
        spans
    })
}

impl Made {
    /// Of the five traces two are one, in 64 and 128 bits.
    fn trace_id(&self) -> [u8; 16] {
        let high = if self.trace == 1 { 0 } else { 0x5a4d_0000_0000_0001_u64 };
        let low = 0x9e37_79b9_0000_0000 + u64::from(self.trace.max(1));
        let mut id = [0; 16];
        id[..8].copy_from_slice(&high.to_be_bytes());
        id[8..].copy_from_slice(&low.to_be_bytes());
        id
    }

    fn span_id(id: u8) -> [u8; 8] {
        (0xa5a5_0000_0000_0000 + u64::from(id) * 0x0101_0101).to_be_bytes()
    }

    fn sender(&self) -> Resource {
        let (service, host) =
            [("storefront", "a"), ("inventory", "b"), ("inventory", "c"), ("unknown_service", "a")]
                [usize::from(self.sender)];
        let attribute = |key: &str, value: &str| KeyValue {
            key: key.to_owned(),
            value: Some(AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) }),
            ..KeyValue::default()
        };
        let attributes = vec![attribute("service.name", service), attribute("host.name", host)];
        Resource { attributes, ..Resource::default() }
    }

    fn message(&self) -> Span {
        let start = 1_772_443_800_000_000_000 + i64::from(self.start) * 1_000_000;
        Span {
            trace_id: self.trace_id().to_vec(),
            span_id: Self::span_id(self.id).to_vec(),
            parent_span_id: match self.parent {
                Parent::None => Vec::new(),
                Parent::Id(id) => Self::span_id(id).to_vec(),
            },
            name: format!("op {}", ["a", "b", "c"][usize::from(self.name)]),
            kind: i32::from(self.kind),
            start_time_unix_nano: start as u64,
            end_time_unix_nano: (start + i64::from(self.duration) * 1_000_000) as u64,
            ..Span::default()
        }
    }

    fn json(&self) -> Value {
        let span = self.message();
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let attributes: Vec<Value> = self
            .sender()
            .attributes
            .into_iter()
            .map(|attribute| {
                let Some(any_value::Value::StringValue(text)) = attribute.value.and_then(|value| value.value)
                else {
                    unreachable!("only texts are made");
                };
                json!({"key": attribute.key, "value": {"stringValue": text}})
            })
            .collect();
        let span = json!({
            "traceId": hex(&span.trace_id),
            "spanId": hex(&span.span_id),
            "parentSpanId": hex(&span.parent_span_id),
            "name": span.name,
            "kind": span.kind,
            "startTimeUnixNano": span.start_time_unix_nano.to_string(),
            "endTimeUnixNano": span.end_time_unix_nano.to_string(),
        });
        json!({"resource": {"attributes": attributes}, "scopeSpans": [{"spans": [span]}]})
    }
}

pub(crate) fn lines(spans: &[Made]) -> Vec<u8> {
    spans
        .iter()
        .map(|span| format!("{}\n", json!({"resourceSpans": [span.json()]})))
        .collect::<String>()
        .into()
}

fn document(spans: &[Made]) -> Vec<u8> {
    let groups: Vec<Value> = spans.iter().map(Made::json).collect();
    json!({ "resourceSpans": groups }).to_string().into_bytes()
}

fn protobuf(spans: &[Made]) -> Vec<u8> {
    let resource_spans = spans.iter().map(|span| ResourceSpans {
        resource: Some(span.sender()),
        scope_spans: vec![ScopeSpans { spans: vec![span.message()], ..ScopeSpans::default() }],
        ..ResourceSpans::default()
    });
    TracesData { resource_spans: resource_spans.collect() }.encode_to_vec()
}

// --- Reports ----------------------------------------------------------------------------------------

fn text(report: &Report) -> String {
    serde_json::to_string_pretty(report).unwrap()
}

/// A report without what names the inputs.
fn apart_from_inputs(mut report: Report) -> String {
    report.inputs.clear();
    for finding in &mut report.findings {
        finding.locations.retain(|location| location.kind != "input");
    }
    text(&report)
}

/// Names the lines that differ; whole reports are too long to compare by eye.
fn is_same(one: &str, other: &str) -> Result<(), TestCaseError> {
    let differing = one.lines().zip(other.lines()).enumerate().filter(|(_, (one, other))| one != other);
    let differing: Vec<_> = differing.take(8).collect();
    prop_assert!(one == other, "{differing:#?}");
    Ok(())
}

fn with_threads(threads: usize) -> Settings {
    Settings { threads: Some(threads), ..Settings::default() }
}

fn of_bytes(bytes: &[u8]) -> Report {
    run_bytes(&[("traces", bytes)], &with_threads(2))
}

fn cases_of(count: u32) -> ProptestConfig {
    ProptestConfig { cases: count, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases_of(48))]

    #[test]
    fn order_does_not_matter(
        (spans, shuffled) in spans().prop_flat_map(|spans| (Just(spans.clone()), Just(spans).prop_shuffle())),
    ) {
        is_same(&text(&of_bytes(&lines(&spans))), &text(&of_bytes(&lines(&shuffled))))?;
    }

    #[test]
    fn splits_and_threads_do_not_matter(spans in spans(), split in vec(0_usize..3, 10), threads in 1_usize..5) {
        // Copies of one span in several files would be one file given twice, so they stay together.
        let part = |number: usize| {
            let of_part: Vec<Made> =
                spans.iter().filter(|span| split[usize::from(span.id)] == number).cloned().collect();
            lines(&of_part)
        };
        let parts = [part(0), part(1), part(2)];
        let files: Vec<(&str, &[u8])> =
            ["a", "b", "c"].into_iter().zip(&parts).filter(|(_, part)| !part.is_empty())
                .map(|(name, part)| (name, &part[..])).collect();
        let whole = run_bytes(&[("whole", &lines(&spans))], &with_threads(1));
        let split = run_bytes(&files, &with_threads(threads));
        is_same(&apart_from_inputs(whole), &apart_from_inputs(split))?;
    }

    #[test]
    fn formats_do_not_matter(spans in spans()) {
        let expected = apart_from_inputs(of_bytes(&lines(&spans)));
        let same = [document(&spans), gzip(&lines(&spans)), zstd::encode_all(&document(&spans)[..], 1).unwrap(),
            protobuf(&spans)];
        for bytes in same {
            is_same(&apart_from_inputs(of_bytes(&bytes)), &expected)?;
        }
    }

    #[test]
    fn flat_pass_and_graph_agree(spans in spans()) {
        let outcome = read_store(&lines(&spans));
        let scope = Scope::default();
        let mut pass = FlatPass::default();
        let mut judged = 0;
        for partition in &outcome.store.partitions {
            for records in partition.traces() {
                let trace = pass.run(&outcome.store.names, partition, records, &scope).unwrap();
                let (orphans, roots, missing) = graph::counts(&trace, &SpanGraph::new(&trace));
                prop_assert_eq!(orphans, trace.counts.orphan_spans);
                prop_assert_eq!(missing, trace.counts.missing_parents);
                prop_assert_eq!(u64::from(roots == 0), trace.counts.traces_without_root);
                prop_assert_eq!(u64::from(roots > 1), trace.counts.traces_with_multiple_roots);
                judged += records.len();
            }
        }
        prop_assert_eq!(judged, spans.len());
    }

    #[test]
    fn every_node_stands_in_the_tree_once(spans in spans()) {
        let outcome = read_store(&lines(&spans));
        let scope = Scope::default();
        let mut pass = FlatPass::default();
        for partition in &outcome.store.partitions {
            for records in partition.traces() {
                let trace = pass.run(&outcome.store.names, partition, records, &scope).unwrap();
                let graph = SpanGraph::new(&trace);
                let nodes: BTreeSet<usize> = graph.in_tree_order().iter().map(|(node, _)| node.index()).collect();
                prop_assert_eq!(nodes.len(), graph.len());
                prop_assert_eq!(graph.in_tree_order().len(), graph.len());
            }
        }
    }
}

/// Without this the properties could hold for want of anything to compare.
#[test]
fn generated_traces_have_everything() {
    let mut rules = BTreeSet::new();
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for _ in 0..20 {
        let made = spans().new_tree(&mut runner).unwrap().current();
        rules.extend(of_bytes(&lines(&made)).findings.into_iter().map(|finding| finding.rule));
    }
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    let expected = [
        "duplicate-span",
        "missing-service-name",
        "negative-duration",
        "orphan-span",
        "parent-cycle",
        "span-id-collision",
    ];
    assert_eq!(rules, expected);
}

fn memory(bytes: &[u8]) -> Input {
    let kind = InputKind::Memory(Box::leak(Box::<[u8]>::from(bytes)));
    Input { path: "traces".to_owned(), kind, named: true }
}

fn read_store(bytes: &[u8]) -> read::ReadOutcome {
    let options = ReadOptions {
        format: None,
        limits: &Limits::default(),
        threads: 1,
        capacity: 20,
        spool_limit: 0,
        progress: &NoProgress,
        interrupted: &AtomicBool::new(false),
    };
    read::read(Expanded { inputs: vec![memory(bytes)], ..Expanded::default() }, options)
}

// --- Damage -----------------------------------------------------------------------------------------

#[derive(Clone, Debug)]
enum Damage {
    Cut(Index),
    Set(Index, u8),
    Remove(Index, usize),
    Repeat(Index, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        any::<Index>().prop_map(Damage::Cut),
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        (any::<Index>(), prop_oneof![Just(b'{'), Just(b'}'), Just(b'['), Just(b']'), Just(b'"'), Just(b',')])
            .prop_map(|(at, byte)| Damage::Set(at, byte)),
        (any::<Index>(), 1_usize..200).prop_map(|(at, len)| Damage::Remove(at, len)),
        (any::<Index>(), 1_usize..2_000).prop_map(|(at, len)| Damage::Repeat(at, len)),
    ]
}

fn damaged(mut bytes: Vec<u8>, damages: &[Damage]) -> Vec<u8> {
    for damage in damages {
        if bytes.is_empty() {
            break;
        }
        match damage {
            Damage::Cut(at) => bytes.truncate(at.index(bytes.len())),
            Damage::Set(at, byte) => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Damage::Remove(at, len) => {
                let at = at.index(bytes.len());
                bytes.drain(at..(at + len).min(bytes.len()));
            }
            Damage::Repeat(at, len) => {
                let at = at.index(bytes.len());
                let piece = bytes[at..(at + len).min(bytes.len())].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes
}

#[test]
fn damage_is_accounted_for_in_every_fixture() {
    // The small ones: damage is about formats, not about size.
    let mut fixtures: BTreeMap<String, (Vec<u8>, Option<String>)> = BTreeMap::new();
    for case in cases() {
        let bytes = case.bytes();
        if bytes.len() < 40_000 {
            let format = of_bytes(&bytes).inputs.first().and_then(|input| input.format.clone());
            fixtures.insert(case.name, (bytes, format));
        }
    }
    assert!(fixtures.len() > 30, "{}", fixtures.len());
    let mut runner = proptest::test_runner::TestRunner::new(cases_of(6));
    for (name, (bytes, format)) in fixtures {
        let settings = Settings { input_format: format, ..with_threads(1) };
        let whole = run_bytes(&[("traces", &bytes)], &settings);
        let tried = runner.run(&vec(damage(), 1..4), |damages| {
            let is_cut = matches!(damages[..], [Damage::Cut(_)]);
            let bytes = damaged(bytes.clone(), &damages);
            let report = run_bytes(&[("traces", &bytes)], &settings);
            accounts(&report, &bytes)?;
            if is_cut {
                prop_assert!(report.summary.span_records <= whole.summary.span_records);
            }
            Ok(())
        });
        tried.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

fn accounts(report: &Report, bytes: &[u8]) -> Result<(), TestCaseError> {
    let (summary, coverage) = (&report.summary, &report.coverage);
    prop_assert_eq!(summary.span_records + coverage.rejected_spans, coverage.records_seen);
    prop_assert_eq!(report.inputs.iter().map(|input| input.spans).sum::<u64>(), summary.span_records);
    prop_assert_eq!(coverage.rejects.iter().map(|reject| reject.count).sum::<u64>(), coverage.rejected_spans);
    for input in &report.inputs {
        let is_whole = input.compression.is_none() && coverage.limits_reached.is_empty();
        if is_whole {
            prop_assert_eq!(input.bytes, bytes.len() as u64, "every byte is in a block");
        }
        prop_assert!(coverage.unreadable_bytes <= input.bytes);
    }
    if summary.span_records == 0 {
        prop_assert_ne!(report.exit_code, 0, "no data is not health");
    }
    Ok(())
}

// --- The same in other words ------------------------------------------------------------------------

#[test]
fn both_depths_tell_the_same() {
    for case in cases() {
        let bytes = case.bytes();
        let direct = of_bytes(&bytes);
        // OTLP has no place to say that a trace was cut.
        if direct.coverage.not_judged.truncated_traces > 0 {
            continue;
        }
        let mut written = Vec::new();
        write_otlp_json_lines(&whole_spans(&bytes, direct.inputs[0].format.as_deref()), &mut written)
            .unwrap();
        let mut again = of_bytes(&written);
        let mut expected = direct;
        // What a backend wrote about a span becomes an attribute.
        for finding in expected.findings.iter_mut().chain(&mut again.findings) {
            finding.evidence.retain(|evidence| evidence.kind != "backend-warning");
        }
        // What the second file cannot have: damage, repairs and the abilities of the first format.
        expected.coverage.clone_from(&again.coverage);
        expected.summary.rejects = 0;
        (expected.verdict, expected.exit_code) = (again.verdict, again.exit_code);
        expected.reasons.clone_from(&again.reasons);
        assert_eq!(apart_from_inputs(expected), apart_from_inputs(again), "{}", case.name);
    }
}

fn whole_spans(bytes: &[u8], format: Option<&str>) -> Vec<formats::whole::WholeSpan> {
    let (limits, format) = (Limits::default(), formats::by_name(format.unwrap()).unwrap());
    let mut blocks =
        BlockReader::new(sources::open(&memory(bytes), &limits).unwrap(), format.framing(), &limits);
    let mut sink = WholeSpans::new(Wanted::All);
    while let Ok(Some(block)) = blocks.next_block() {
        format.decode(&block, &limits, &mut sink);
    }
    sink.into_spans()
}

#[test]
fn fingerprints_survive_new_ids_other_times_and_hosts() {
    let mut compared = 0;
    for case in cases().into_iter().filter(|case| case.has_extension("jsonl")) {
        let bytes = case.bytes();
        // What a sampler did with trace ids is told by these ids.
        if of_bytes(&bytes)
            .findings
            .iter()
            .any(|finding| finding.cause.as_ref().is_some_and(|cause| cause.id == "sampler-mismatch"))
        {
            continue;
        }
        let Ok(text) = std::str::from_utf8(&bytes) else { continue };
        let Ok(mut values) = text.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>() else {
            continue;
        };
        for value in &mut values {
            disguise(value, "");
        }
        let other: String = values.iter().map(|value| format!("{value}\n")).collect();
        let fingerprints = |report: &Report| {
            let found =
                report.findings.iter().map(|finding| (finding.rule.clone(), finding.fingerprint.clone()));
            found.collect::<Vec<_>>()
        };
        let (before, after) = (of_bytes(&bytes), of_bytes(other.as_bytes()));
        assert_ne!(text, other, "{}", case.name);
        let sorted = |report: &Report| fingerprints(report).into_iter().collect::<BTreeSet<_>>();
        assert_eq!(sorted(&before), sorted(&after), "{}", case.name);
        compared += before.findings.len();
    }
    assert!(compared > 15, "{compared}");
}

/// Other ids, an hour and a bit later, on other hosts.
fn disguise(value: &mut Value, key: &str) {
    match value {
        Value::Array(items) => {
            for item in items {
                disguise(item, key);
            }
        }
        Value::Object(members) => {
            if members.get("key").is_some_and(|key| key == "host.name" || key == "service.instance.id") {
                if let Some(text) = members["value"]["stringValue"].as_str() {
                    members["value"] = json!({"stringValue": format!("other-{text}")});
                }
                return;
            }
            for (key, member) in members {
                disguise(member, key);
            }
        }
        Value::String(text) if key.ends_with("Id") || key.ends_with("_id") || key == "id" => {
            // Small numbers and zeros mean something; random ids do not.
            let is_random =
                text.len() >= 16 && !text.starts_with("000") && text.bytes().all(|b| b.is_ascii_hexdigit());
            if is_random {
                let other = |digit: char| char::from_digit((digit.to_digit(16).unwrap_or(0) + 5) % 16, 16);
                *text = text.chars().filter_map(other).collect();
            }
        }
        Value::String(text) if key.ends_with("UnixNano") => {
            *text = (text.parse::<i64>().unwrap() + 3_723_000_000_000).to_string();
        }
        Value::Number(number) if key.ends_with("UnixNano") => {
            *value = json!(number.as_i64().unwrap() + 3_723_000_000_000);
        }
        _ => {}
    }
}
