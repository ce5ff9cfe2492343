//! The trace notation of rule examples and tests: one line a span, indentation is the parent.
//!
//! ```text
//! service  name of the span  kind  start..end  key=value …  // rule
//! ```
//!
//! Fields stand two or more spaces apart; times are ms. A line without indentation begins a new
//! trace, unless the line before it belongs to a trace that has no empty line behind it yet.
//! Keys: `id`, `parent` (an id, `none`, or any word for a span that is not there), `trace`, `host`,
//! `instance`, `version`, `repeat` (of the whole trace, every 10 s), `drifts` (so many ms more in every
//! repetition), `times` (of the span and those below it), `shared`, `remote`, `local`, `error`, `link` (an
//! id), `sdk` (a language), `scope`, `dropped` (attributes), `state` (trace state). A key with a dot is an
//! attribute of the span, or of an event or of the resource after `event.` and `resource.`. `{round}` in names
//! and values is the number of the repetition. Spans that are made and not there: `lost` (`1/6`: in that
//! share of the repetitions, at random; `3..5`: in the third and fourth, counted from 0), `sampled` (a
//! ratio: it and those below are there when the sampler of the JS SDK keeps the trace). What
//! the span says of its other side: `http` (a path; the method is the first word of the name),
//! `route`, `peer` (the service that is called), `rpc` (service/method), `queue`, `message` (an id, another one
//! in every repetition), `batch` (a number of messages). A
//! comment names the rules that must find something at this place; nothing else may be found
//! anywhere. `rule: service` names the service when the finding is about another line's (`rule:` that there is
//! none), `rule (cause)` the leading cause.

use std::collections::{BTreeMap, BTreeSet};

use super::observations::Observations;
use crate::analysis::{self, Analysis};
use crate::finding::Finding;
use crate::formats::{Block, Origin};
use crate::model::ids::{IdText, read_span_id, read_trace_id};
use crate::model::{
    Attribute, Event, Link, Malformed, Resource, Scope, Span, SpanField, SpanId, SpanKind, StatusCode,
    TraceId, Value, names,
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

/// Checks the notation, and gives what its findings are blamed on: kind, value, affected and total.
pub(crate) fn blamed(text: &str) -> Vec<String> {
    check(text);
    let analysis = analyse(&parse(text));
    let blame = analysis.findings.iter().flat_map(|finding| &finding.blame);
    blame.map(|blame| format!("{} {} {}/{}", blame.kind, blame.value, blame.affected, blame.total)).collect()
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
        let (rule, service) = text.split_once(':').unwrap_or((text, service));
        let (rule, service) = (rule.to_owned(), service.trim().to_owned());
        Self { rule, service, operation: operation.to_owned(), cause }
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
        let operation = names::normalise(&in_round(&name, 0)).into_owned();
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

/// What every rule finds in the notation.
pub(crate) fn analyse_text(text: &str) -> Vec<Finding> {
    analyse(&parse(text)).findings
}

fn analyse(lines: &[Line]) -> Analysis {
    let mut worker = WorkerStore::default();
    let block = Block::default();
    worker.begin(0, &block);
    let mut seen = Observations::new(usize::MAX);
    let mut position = 0;
    for trace in lines.chunk_by(|one, other| one.trace == other.trace) {
        let repeat: u64 = trace[0].number("repeat").unwrap_or(1);
        for round in 0..repeat {
            for (line, copy) in there(trace, round) {
                let (mut span, resource) = span(trace, line, round, copy);
                if let Some(target) = line.keys.get("link") {
                    let target = lines.iter().find(|line| line.id == *target).unwrap();
                    span.links.push(Link {
                        trace_id: trace_id(target.trace, round),
                        span_id: span_id(&target.id, round),
                        ..Link::default()
                    });
                }
                span.position = position;
                let name = line.keys.get("scope").cloned().unwrap_or_default();
                let scope = Scope { name: name.into(), ..Scope::default() };
                let origin = Origin { resource: &resource, scope: &scope, serial: position as usize };
                let added = worker.add(&span, origin);
                analysis::observe_span(&span, &resource, added, &mut seen);
                position += 1;
            }
        }
    }
    worker.end();
    analysis::analyse_spans(worker, seen)
}

impl Line {
    fn number(&self, key: &str) -> Option<u64> {
        self.keys.get(key).map(|text| text.parse().unwrap_or_else(|_| panic!("{key}={text}")))
    }

    /// Whether the span is there in this repetition and copy, leaving aside those above it.
    fn is_there(&self, round: u64, copy: u64) -> bool {
        if let Some(ratio) = self.keys.get("sampled") {
            let id = trace_id(self.trace, round).0;
            let words = [id >> 96, id >> 64, id >> 32, id].map(|word| word as u32);
            let mixed = words.iter().fold(0, |mixed, word| mixed ^ word);
            return f64::from(mixed) < ratio.parse::<f64>().unwrap() * f64::from(u32::MAX);
        }
        let Some(lost) = self.keys.get("lost") else { return true };
        if let Some((from, to)) = lost.split_once("..") {
            return !(from.parse().unwrap()..to.parse().unwrap()).contains(&round);
        }
        let (share, of) = lost.split_once('/').unwrap_or_else(|| panic!("lost={lost}"));
        let (share, of): (u64, u64) = (share.parse().unwrap(), of.parse().unwrap());
        hashed(&format!("{} {round} {copy} lost", self.id)) % of >= share
    }
}

/// The spans of a trace that are there in one repetition, each with the number of its copy.
fn there(trace: &[Line], round: u64) -> Vec<(&Line, u64)> {
    let mut all = Vec::new();
    let mut sampled_out: BTreeSet<&str> = BTreeSet::new();
    for line in trace {
        let is_below = line.parent.as_ref().is_some_and(|parent| sampled_out.contains(parent.as_str()));
        let is_dropped = line.keys.contains_key("sampled") && !line.is_there(round, 0);
        if is_below || is_dropped {
            sampled_out.insert(&line.id);
            continue;
        }
        let copies = times(trace, line);
        all.extend((0..copies).filter(|copy| line.is_there(round, *copy)).map(|copy| (line, copy)));
    }
    all
}

/// How often a span is there: what stands below a span with `times` as often as that.
fn times(trace: &[Line], line: &Line) -> u64 {
    let mut above = Some(line);
    // Parents may be circles.
    for _ in 0..trace.len() {
        let Some(line) = above else { break };
        if let Some(times) = line.number("times") {
            return times;
        }
        let parent = |parent: &String| trace.iter().find(|other| other.id == *parent);
        above = line.parent.as_ref().and_then(parent);
    }
    1
}

fn span(trace: &[Line], line: &Line, round: u64, copy: u64) -> (Span<'static>, Resource<'static>) {
    const DAY_NS: i64 = 86_400_000_000_000;
    const MS: i64 = 1_000_000;
    let drifts_ms: i64 = line.keys.get("drifts").map_or(0, |drifts| drifts.parse().unwrap());
    let base = 20_000 * DAY_NS + round as i64 * (10_000 + drifts_ms) * MS + 123;
    let own_id = |id: &str| span_id(&numbered(id, copy), round);
    let parent_id = |id: &String| {
        let parent = trace.iter().find(|other| other.id == *id);
        let is_copied = parent.is_some_and(|parent| times(trace, parent) > 1);
        if is_copied { own_id(id) } else { span_id(id, round) }
    };
    let mut span = Span {
        trace_id: trace_id(line.trace, round),
        span_id: own_id(&line.id),
        parent_span_id: line.parent.as_ref().map(parent_id),
        name: in_round(&line.name, round).into(),
        kind: line.kind,
        start_ns: Some(base + line.start_ms * MS),
        end_ns: Some(base + line.end_ms * MS),
        shared: line.keys.contains_key("shared"),
        status: if line.keys.contains_key("error") { StatusCode::Error } else { StatusCode::Unset },
        attributes: boundary(line, round),
        dropped_attributes: line.keys.get("dropped").map_or(0, |count| count.parse().unwrap()),
        trace_state: line.keys.get("state").map(|text| text.clone().into()),
        ..Span::default()
    };
    let in_event = dotted(line, "event.", round);
    if !in_event.is_empty() {
        span.events.push(Event { attributes: in_event, ..Event::default() });
    }
    span.attributes.extend(dotted(line, "", round));
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
    for (key, name) in [
        ("host", "host.name"),
        ("instance", "service.instance.id"),
        ("sdk", "telemetry.sdk.language"),
        ("version", "service.version"),
    ] {
        attributes.extend(line.keys.get(key).map(|value| attribute(name, value)));
    }
    attributes.extend(dotted(line, "resource.", round));
    (span, Resource { attributes, dropped_attributes: 0 })
}

/// The attributes whose keys begin so; without a beginning, those of the span.
fn dotted(line: &Line, start: &str, round: u64) -> Vec<Attribute<'static>> {
    let is_elsewhere = |key: &str| key.starts_with("event.") || key.starts_with("resource.");
    let keys = line.keys.iter().filter(|(key, _)| {
        key.contains('.') && key.starts_with(start) && (!start.is_empty() || !is_elsewhere(key))
    });
    let attributes = keys.map(|(key, value)| Attribute {
        key: key[start.len()..].to_owned().into(),
        value: Value::String(in_round(value, round).into()),
    });
    attributes.collect()
}

fn in_round(text: &str, round: u64) -> String {
    text.replace("{round}", &round.to_string())
}

fn attribute(key: &'static str, value: &str) -> Attribute<'static> {
    Attribute { key: key.into(), value: Value::String(value.to_owned().into()) }
}

/// What the span says of its other side.
fn boundary(line: &Line, round: u64) -> Vec<Attribute<'static>> {
    let method = line.name.split(' ').next().unwrap_or_default();
    let mut attributes = Vec::new();
    for (key, value) in &line.keys {
        let value = &in_round(value, round);
        match key.as_str() {
            "http" if line.kind == SpanKind::Client => {
                attributes.push(attribute("http.request.method", method));
                attributes.push(attribute("http.target", value));
            }
            "http" => {
                attributes.push(attribute("http.request.method", method));
                attributes.push(attribute("url.path", value));
            }
            "peer" => attributes.push(attribute("peer.service", value)),
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

fn numbered(id: &str, copy: u64) -> String {
    if copy == 0 { id.to_owned() } else { format!("{id} {copy}") }
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
