//! The trace notation of rule examples and tests: one line a span, indentation is the parent.
//!
//! ```text
//! service  name of the span  kind  start..end  key=value …  // rule
//! ```
//!
//! Fields stand two or more spaces apart; times are ms. A line without indentation begins a new
//! trace, unless the line before it belongs to a trace that has no empty line behind it yet.
//! Keys: `id`, `parent` (an id, `none`, or any word for a span that is not there), `trace`, `host`,
//! `repeat` (of the whole trace), `shared`, `remote`, `local`, `link` (an id), `sdk` (a language). What
//! the span says of its other side: `http` (a path; the method is the first word of the name),
//! `route`, `rpc` (service/method), `queue`, `message` (an id, another one in every repetition), `batch` (a number of messages). A
//! comment names the rules that must find something at this place; nothing else may be found
//! anywhere. `rule: service` names the service when the finding is about another line's, `rule
//! (cause)` the leading cause.

use std::collections::{BTreeMap, BTreeSet};

use super::observations::Observations;
use crate::analysis::{self, Analysis};
use crate::finding::Finding;
use crate::formats::{Block, Origin};
use crate::model::ids::{IdText, read_span_id, read_trace_id};
use crate::model::{
    Attribute, Link, Malformed, Resource, Scope, Span, SpanField, SpanId, SpanKind, TraceId, Value, names,
};
use crate::report::Side;
use crate::store::ingest::WorkerStore;

/// Parses the notation, runs every rule, and compares what they find with the comments.
pub(crate) fn check(text: &str) {
    let lines = parse(text);
    let analysis = analyse(&lines);
    let found: BTreeSet<Found> = analysis.findings.iter().map(Found::of).collect();
    let expected: BTreeSet<&Expected> = lines.iter().flat_map(|line| &line.expected).collect();
    for finding in &found {
        assert!(
            expected.iter().any(|wanted| wanted.is_met_by(finding)),
            "not expected: {finding:?} in\n{text}"
        );
    }
    for wanted in &expected {
        assert!(
            found.iter().any(|finding| wanted.is_met_by(finding)),
            "not found: {wanted:?} in\n{text}\nfound: {found:?}"
        );
    }
    assert_eq!(found.len(), analysis.findings.len(), "one place was reported twice in\n{text}");
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    rule: String,
    other: Option<Side>,
    service: String,
    operation: Option<String>,
    cause: Option<&'static str>,
}

impl Found {
    fn of(finding: &Finding) -> Self {
        let damaged = finding.damaged().cloned().unwrap();
        Self {
            rule: finding.rule.name.to_owned(),
            other: if finding.is_from_damaged { finding.to.clone() } else { finding.from.clone() },
            service: damaged.service.unwrap_or_default(),
            operation: damaged.operation,
            cause: finding.cause.map(|opinion| opinion.cause.id),
        }
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Expected {
    rule: String,
    service: String,
    operation: String,
    /// `None` for any.
    cause: Option<String>,
}

impl Expected {
    fn read(text: &str, service: &str, operation: &str) -> Self {
        let (text, cause) = match text.split_once(" (") {
            Some((text, cause)) => (text, Some(cause.trim_end_matches(')').to_owned())),
            None => (text, None),
        };
        let (rule, service) = text.split_once(": ").unwrap_or((text, service));
        Self { rule: rule.to_owned(), service: service.to_owned(), operation: operation.to_owned(), cause }
    }

    fn is_met_by(&self, found: &Found) -> bool {
        self.rule == found.rule
            && self.service == found.service
            && found.operation.as_ref().is_none_or(|operation| *operation == self.operation)
            && self.cause.as_ref().is_none_or(|cause| found.cause == Some(cause))
    }
}

struct Line {
    trace: usize,
    parent: Option<String>,
    id: String,
    service: String,
    name: String,
    kind: SpanKind,
    start_ms: i64,
    end_ms: i64,
    keys: BTreeMap<String, String>,
    expected: Vec<Expected>,
}

fn parse(text: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut open: Vec<(usize, String)> = Vec::new();
    let (mut trace, mut is_new_trace) = (0, true);
    for (number, raw) in text.lines().enumerate() {
        let (body, comment) = raw.split_once("//").unwrap_or((raw, ""));
        if body.trim().is_empty() {
            is_new_trace = true;
            continue;
        }
        let indent = body.len() - body.trim_start().len();
        open.retain(|(depth, _)| *depth < indent);
        if indent == 0 && (is_new_trace || body.contains("repeat=")) {
            trace += 1;
            is_new_trace = false;
        }
        let mut fields = body.trim().split("  ").map(str::trim).filter(|field| !field.is_empty());
        let mut next =
            |what: &str| fields.next().unwrap_or_else(|| panic!("{what} is missing in {raw:?}")).to_owned();
        let (service, name, kind, times) = (next("service"), next("name"), next("kind"), next("times"));
        let keys: BTreeMap<String, String> = fields
            .flat_map(str::split_whitespace)
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        let (times, extra) = times.split_once(' ').unwrap_or((&times, ""));
        assert!(extra.trim().is_empty(), "two spaces before {extra:?}");
        let (start, end) = times.split_once("..").unwrap_or_else(|| panic!("no times in {raw:?}"));
        let id = keys.get("id").cloned().unwrap_or_else(|| format!("line {number}"));
        let parent = match keys.get("parent").map(String::as_str) {
            Some("none") => None,
            Some(other) => Some(other.to_owned()),
            None => open.last().map(|(_, id)| id.clone()),
        };
        let operation = names::normalise(&name).into_owned();
        let expected = comment.split(',').map(str::trim).filter(|rule| !rule.is_empty());
        let expected = expected.map(|rule| Expected::read(rule, &service, &operation)).collect();
        open.push((indent, id.clone()));
        lines.push(Line {
            trace,
            parent,
            id,
            service,
            name,
            kind: SpanKind::from_name(&kind),
            start_ms: start.parse().unwrap(),
            end_ms: end.parse().unwrap(),
            keys,
            expected,
        });
    }
    lines
}

fn analyse(lines: &[Line]) -> Analysis {
    let mut worker = WorkerStore::default();
    let block = Block::default();
    worker.begin(0, &block);
    let mut seen = Observations::new(usize::MAX);
    let mut position = 0;
    for trace in lines.chunk_by(|one, other| one.trace == other.trace) {
        let repeat: u64 = trace[0].keys.get("repeat").map_or(1, |count| count.parse().unwrap());
        for round in 0..repeat {
            for line in trace {
                let (mut span, resource) = span(line, round);
                if let Some(target) = line.keys.get("link") {
                    let target = lines.iter().find(|line| line.id == *target).unwrap();
                    span.links.push(Link {
                        trace_id: trace_id(target.trace, round),
                        span_id: span_id(&target.id, round),
                        ..Link::default()
                    });
                }
                span.position = position;
                let origin =
                    Origin { resource: &resource, scope: &Scope::default(), serial: position as usize };
                let (operation, _) = worker.add(&span, origin);
                analysis::observe_span(&span, operation, &mut seen);
                position += 1;
            }
        }
    }
    worker.end();
    analysis::analyse_spans(worker, seen)
}

fn span(line: &Line, round: u64) -> (Span<'static>, Resource<'static>) {
    const DAY_NS: i64 = 86_400_000_000_000;
    const MS: i64 = 1_000_000;
    let base = 20_000 * DAY_NS + round as i64 * 10_000 * MS + 123;
    let mut span = Span {
        trace_id: trace_id(line.trace, round),
        span_id: span_id(&line.id, round),
        parent_span_id: line.parent.as_ref().map(|parent| span_id(parent, round)),
        name: line.name.clone().into(),
        kind: line.kind,
        start_ns: Some(base + line.start_ms * MS),
        end_ns: Some(base + line.end_ms * MS),
        shared: line.keys.contains_key("shared"),
        attributes: boundary(line, round),
        ..Span::default()
    };
    if let Some(text) = line.keys.get("trace") {
        match read_trace_id(text.as_bytes()) {
            IdText::Valid(id, _) => span.trace_id = id,
            IdText::Absent | IdText::Invalid(_) => {
                span.malformed.push(Malformed { field: SpanField::TraceId, text: text.clone().into() });
            }
        }
    }
    if line.keys.contains_key("remote") || line.keys.contains_key("local") {
        span.parent_is_remote = Some(line.keys.contains_key("remote"));
    }
    let mut attributes = vec![attribute("service.name", &line.service)];
    for (key, name) in [("host", "host.name"), ("sdk", "telemetry.sdk.language")] {
        attributes.extend(line.keys.get(key).map(|value| attribute(name, value)));
    }
    (span, Resource { attributes, dropped_attributes: 0 })
}

fn attribute(key: &'static str, value: &str) -> Attribute<'static> {
    Attribute { key: key.into(), value: Value::String(value.to_owned().into()) }
}

/// What the span says of its other side.
fn boundary(line: &Line, round: u64) -> Vec<Attribute<'static>> {
    let method = line.name.split(' ').next().unwrap_or_default();
    let mut attributes = Vec::new();
    for (key, value) in &line.keys {
        match key.as_str() {
            "http" if line.kind == SpanKind::Client => {
                attributes.push(attribute("http.request.method", method));
                attributes.push(attribute("url.full", &format!("http://callee:80{value}")));
            }
            "http" => {
                attributes.push(attribute("http.request.method", method));
                attributes.push(attribute("url.path", value));
            }
            "route" => {
                attributes.push(attribute("http.request.method", method));
                attributes.push(attribute("http.route", value));
            }
            "rpc" => {
                attributes.push(attribute("rpc.system.name", "grpc"));
                attributes.push(attribute("rpc.method", value));
            }
            "queue" => {
                attributes.push(attribute("messaging.system", "broker"));
                attributes.push(attribute("messaging.destination.name", value));
            }
            "batch" => attributes.push(attribute("messaging.batch.message_count", value)),
            "message" => attributes.push(attribute("messaging.message.id", &format!("{value}-{round}"))),
            _ => {}
        }
    }
    attributes
}

fn trace_id(trace: usize, round: u64) -> TraceId {
    TraceId(u128::from(hashed(&format!("trace {trace} {round}"))))
}

/// Ids of 16 hex digits are taken as they are and stay the same in every trace and round.
fn span_id(text: &str, round: u64) -> SpanId {
    if text.len() == 16
        && let IdText::Valid(id, _) = read_span_id(text.as_bytes())
    {
        return id;
    }
    SpanId(hashed(&format!("{text} {round}")))
}

fn hashed(text: &str) -> u64 {
    xxhash_rust::xxh64::xxh64(text.as_bytes(), 7)
}
