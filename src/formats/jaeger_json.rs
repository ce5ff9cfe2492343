//! Jaeger's query JSON: the `{"data":[trace…]}` envelope of `/api/traces`, UI downloads, one bare
//! trace, an array of traces, and any of these one after the other.
//!
//! Sources of the rules: jaeger, `internal/uimodel/model.go` (shape) and
//! `internal/uimodel/converter/v1` (mapping of OpenTelemetry to tags); opentelemetry-collector-contrib,
//! `pkg/translator/jaeger` (mapping back).

use std::borrow::Cow;
use std::collections::HashMap;

use base64::Engine as _;

use super::framing::{ArrayRule, Framing, JsonFraming};
use super::json::{Cursor, JsonError, Result, each_value, signed_ns, time_ns, time_with_unit};
use super::otlp_json::parent_is_remote;
use super::{Block, Format, FormatInfo, Head, Limits, Origin, RejectReason, SpanSink};
use crate::model::ids::{IdText, read_span_id, read_trace_id};
use crate::model::time::parse_instant;
use crate::model::{
    Attribute, Capabilities, Event, Link, Malformed, Repair, Resource, Scope, Span, SpanField, SpanId,
    SpanKind, StatusCode, TraceId, Value,
};

/// Jaeger's query JSON.
pub(super) struct JaegerJson;

static INFO: FormatInfo = FormatInfo {
    name: "jaeger-json",
    title: "Jaeger JSON: answers of /api/traces, UI downloads, bare traces",
    comes_from: "Jaeger's query API (best with ?raw=true) and its user interface",
    capabilities: Capabilities {
        time_resolution_ns: 1_000,
        flags: true,
        is_remote: false,
        links: true,
        trace_state: true,
        dropped_counts: false,
        exact_resource: true,
        duplicates_visible: false,
        edited_by_source: true,
    },
};

static FRAMING: JsonFraming = JsonFraming {
    arrays: &[ArrayRule { key: "data", needs: None }],
    context: &[],
    indivisible: &["spans", "processes"],
    top_level_arrays: true,
};

/// Times and durations are in microseconds.
const UNIT_NS: i64 = 1_000;

impl Format for JaegerJson {
    fn info(&self) -> &'static FormatInfo {
        &INFO
    }

    fn detect(&self, head: &Head<'_>) -> bool {
        is_trace(head, "") || is_trace(head, "data/") || is_empty_answer(head)
    }

    fn framing(&self) -> Framing {
        Framing::Json(&FRAMING)
    }

    fn decode(&self, block: &Block, limits: &Limits, sink: &mut dyn SpanSink) {
        let mut decoder = Decoder::new(block);
        each_value(block, limits, sink, |cursor, sink| decoder.value(cursor, sink));
    }

    fn decode_span(&self, block: &Block, index: usize, limits: &Limits, sink: &mut dyn SpanSink) -> bool {
        let mut cursor = Cursor::at_index(&block.bytes, index, limits);
        Decoder::new(block).span(&mut cursor, &mut Trace::default(), sink).is_ok()
    }
}

fn is_trace(head: &Head<'_>, above: &str) -> bool {
    let has = |path: &str| head.has(&format!("{above}{path}"));
    has("spans/traceID")
        || has("spans/spanID") && has("spans/operationName")
        || has("traceID") && has("spans")
}

/// A search that found nothing. Lists of services and dependencies have the same envelope.
fn is_empty_answer(head: &Head<'_>) -> bool {
    head.has_all(&["data", "total", "limit", "offset"])
        && head.text("data").is_none()
        && !head.has_any(&["errors/msg", "errors/code", "data/callCount", "data/name"])
}

struct Decoder<'a> {
    block: &'a Block,
    next_process: usize,
    serials: HashMap<SenderKey<'a>, usize>,
    span: Span<'a>,
    parts: Parts<'a>,
}

/// Number of a process in its block, scope name and scope version.
type SenderKey<'a> = (usize, Cow<'a, str>, Cow<'a, str>);

/// One entry of the `processes` of a trace.
#[derive(Default)]
struct Process<'a> {
    number: usize,
    resource: Resource<'a>,
}

/// What one trace object holds besides its spans.
#[derive(Default)]
struct Trace<'a> {
    id: Option<TraceId>,
    processes: Option<HashMap<String, Process<'a>>>,
    /// Stands in where the process of a span is not known.
    nobody: Process<'a>,
    spans_before_processes: Vec<Cursor<'a>>,
    truncated: bool,
}

/// Who wrote a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Jaeger's query service.
    Query,
    /// Jaeger's storage in Elasticsearch or OpenSearch.
    Stored,
}

/// The members of a span that are judged when all of it was read, because they may stand in any order.
pub(super) struct Parts<'a> {
    dialect: Dialect,
    /// Whether any member of a span was met.
    pub(super) any: bool,
    trace_id: bool,
    span_id: bool,
    process_id: Option<Cow<'a, str>>,
    parent: Option<Cow<'a, str>>,
    references: Vec<Reference>,
    start: Option<Cow<'a, str>>,
    duration: Option<Cow<'a, str>>,
}

impl Parts<'_> {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            any: false,
            trace_id: false,
            span_id: false,
            process_id: None,
            parent: None,
            references: Vec::new(),
            start: None,
            duration: None,
        }
    }

    /// Ready for the next span, keeping the allocation.
    pub(super) fn clear(&mut self) {
        let mut references = std::mem::take(&mut self.references);
        references.clear();
        *self = Self { references, ..Self::new(self.dialect) };
    }
}

struct Reference {
    child_of: bool,
    /// `None` when the reference does not say; then it is the trace of the span.
    trace_id: Option<TraceId>,
    span_id: Option<SpanId>,
    malformed: Option<String>,
}

impl<'a> Decoder<'a> {
    fn new(block: &'a Block) -> Self {
        Self {
            block,
            next_process: 0,
            serials: HashMap::new(),
            span: Span::default(),
            parts: Parts::new(Dialect::Query),
        }
    }

    fn value(&mut self, cursor: &mut Cursor<'a>, sink: &mut dyn SpanSink) -> Result<()> {
        match cursor.peek() {
            Some(b'[') => cursor.array(|cursor| self.value(cursor, sink)).map(drop),
            Some(b'{') => self.trace(cursor, sink),
            Some(_) if cursor.is_inside() => cursor.skip(),
            _ => Err(JsonError::Unexpected("expected a JSON object")),
        }
    }

    /// A trace or the envelope around traces: told apart by the keys met.
    fn trace(&mut self, cursor: &mut Cursor<'a>, sink: &mut dyn SpanSink) -> Result<()> {
        let mut trace = Trace { nobody: self.process(Resource::default()), ..Trace::default() };
        let outcome = cursor.object(|cursor, key| {
            match key {
                "data" => self.value_or_skip(cursor, sink)?,
                "traceID" => trace.id = some_id(read_trace_id(cursor.text()?.unwrap_or_default().as_bytes())),
                "processes" => {
                    let processes = trace.processes.get_or_insert_default();
                    cursor.object(|cursor, key| {
                        let process = self.process(process(cursor, Dialect::Query)?);
                        processes.insert(key.to_owned(), process);
                        Ok(())
                    })?;
                }
                "spans" if trace.processes.is_some() => self.spans(cursor, &mut trace, sink)?,
                "spans" => {
                    trace.spans_before_processes.push(cursor.clone());
                    cursor.skip()?;
                }
                "warnings" => {
                    for warning in warnings(cursor)? {
                        trace.truncated |= says_truncated(&warning);
                    }
                }
                "errors" => Self::errors(cursor, sink)?,
                _ => cursor.skip()?,
            }
            Ok(())
        });
        let mut outcome = outcome.map(drop);
        for mut earlier in std::mem::take(&mut trace.spans_before_processes) {
            let read = self.spans(&mut earlier, &mut trace, sink);
            outcome = cursor.absorb(&earlier, outcome, read);
        }
        // After a cut or a syntax error nobody knows which spans are missing.
        if (trace.truncated || outcome.is_err())
            && let Some(id) = trace.id
        {
            sink.truncated_trace(id);
        }
        outcome
    }

    /// What Jaeger could not answer, in the envelope beside what it could.
    fn errors(cursor: &mut Cursor<'a>, sink: &mut dyn SpanSink) -> Result<()> {
        cursor.array(|cursor| {
            if cursor.peek() != Some(b'{') {
                return cursor.skip();
            }
            let (mut message, mut trace_id) = (Cow::Borrowed(""), Cow::Borrowed(""));
            cursor.object(|cursor, key| {
                match key {
                    "msg" => message = cursor.string_or_skip()?.unwrap_or_default(),
                    "traceID" => trace_id = cursor.string_or_skip()?.unwrap_or_default(),
                    _ => cursor.skip()?,
                }
                Ok(())
            })?;
            sink.partial(&error_sentence(&message, &trace_id));
            Ok(())
        })?;
        Ok(())
    }

    fn value_or_skip(&mut self, cursor: &mut Cursor<'a>, sink: &mut dyn SpanSink) -> Result<()> {
        if matches!(cursor.peek(), Some(b'[' | b'{')) { self.value(cursor, sink) } else { cursor.skip() }
    }

    fn process(&mut self, resource: Resource<'a>) -> Process<'a> {
        self.next_process += 1;
        Process { number: self.next_process - 1, resource }
    }

    fn spans(
        &mut self,
        cursor: &mut Cursor<'a>,
        trace: &mut Trace<'a>,
        sink: &mut dyn SpanSink,
    ) -> Result<()> {
        cursor.array(|cursor| self.span(cursor, trace, sink)).map(drop)
    }

    fn span(
        &mut self,
        cursor: &mut Cursor<'a>,
        trace: &mut Trace<'a>,
        sink: &mut dyn SpanSink,
    ) -> Result<()> {
        let position = self.block.position(cursor.at());
        if cursor.peek() != Some(b'{') {
            cursor.skip()?;
            sink.reject(position, RejectReason::NotAnObject);
            cursor.commit();
            return Ok(());
        }
        self.span.clear();
        self.span.position = position;
        self.parts.clear();
        let (span, parts) = (&mut self.span, &mut self.parts);
        cursor.object(|cursor, key| span_member(span, parts, cursor, key, sink))?;
        cursor.commit();
        if !parts.any {
            sink.reject(position, RejectReason::NoSpanFields);
            return Ok(());
        }
        let scope = complete(span, parts, sink);
        trace.id = trace.id.or(Some(span.trace_id));
        if span.warnings.iter().any(|warning| says_truncated(warning)) {
            sink.truncated_trace(span.trace_id);
        }
        let process = parts
            .process_id
            .as_deref()
            .and_then(|id| trace.processes.as_ref()?.get(id))
            .unwrap_or(&trace.nobody);
        let next = self.serials.len();
        let key = (process.number, scope.name.clone(), scope.version.clone());
        let serial = *self.serials.entry(key).or_insert(next);
        sink.span(span, Origin { resource: &process.resource, scope: &scope, serial });
        Ok(())
    }
}

/// Reads one member of a span.
pub(super) fn span_member<'a>(
    span: &mut Span<'a>,
    parts: &mut Parts<'a>,
    cursor: &mut Cursor<'a>,
    key: &str,
    sink: &mut dyn SpanSink,
) -> Result<()> {
    let known = parts.any;
    parts.any = true;
    match key {
        "traceID" => {
            parts.trace_id = true;
            let text = cursor.text()?.unwrap_or_default();
            let (id, malformed) = known_id(read_trace_id(text.as_bytes()), sink);
            span.trace_id = id.unwrap_or_default();
            note_malformed(span, malformed, SpanField::TraceId, text);
        }
        "spanID" => {
            parts.span_id = true;
            let text = cursor.text()?.unwrap_or_default();
            let (id, malformed) = known_id(read_span_id(text.as_bytes()), sink);
            span.span_id = id.unwrap_or_default();
            note_malformed(span, malformed, SpanField::SpanId, text);
        }
        "parentSpanID" => parts.parent = cursor.text()?,
        "references" => {
            cursor.array(|cursor| {
                if let Some(reference) = reference(cursor, sink)? {
                    parts.references.push(reference);
                }
                Ok(())
            })?;
        }
        "operationName" => match cursor.text()? {
            Some(name) => span.name = name,
            None => span.malformed.push(Malformed { field: SpanField::Name, text: Cow::Borrowed("") }),
        },
        "startTime" => parts.start = cursor.text()?,
        "duration" => parts.duration = cursor.text()?,
        "flags" => {
            span.flags = cursor.unsigned()?.map(|flags| trace_flags(flags as u32, parts.dialect));
            span.parent_is_remote = span.flags.and_then(parent_is_remote);
        }
        "tags" => tags(cursor, parts.dialect, &mut span.attributes)?,
        "logs" => {
            cursor.array(|cursor| log(cursor, parts.dialect).map(|event| span.events.push(event)))?;
        }
        "processID" => parts.process_id = cursor.text()?,
        "warnings" => span.warnings = warnings(cursor)?,
        _ => {
            parts.any = known;
            cursor.skip()?;
        }
    }
    Ok(())
}

/// Jaeger has a set of flags of its own, of which only the sampled bit means the same in
/// OpenTelemetry. Its storage keeps the flags of OTLP, which these bits tell from its own.
const fn trace_flags(flags: u32, dialect: Dialect) -> u32 {
    match dialect {
        Dialect::Stored if flags >= 0x100 => flags,
        _ => flags & 1,
    }
}

/// Settles what depends on several members of the span, and returns its scope.
pub(super) fn complete<'a>(span: &mut Span<'a>, parts: &mut Parts<'a>, sink: &mut dyn SpanSink) -> Scope<'a> {
    note_malformed(span, !parts.trace_id, SpanField::TraceId, Cow::Borrowed(""));
    note_malformed(span, !parts.span_id, SpanField::SpanId, Cow::Borrowed(""));
    settle_parent(span, parts, sink);
    settle_times(span, parts);
    let scope = take_mapped_tags(span);
    undo_adjustments(span, sink);
    scope
}

/// The parent is the first `CHILD_OF` of the same trace, else the first `FOLLOWS_FROM` of the same
/// trace (Jaeger writes a link that repeats the parent over the parent), else, without any
/// reference, the old `parentSpanID`. A reference to another trace never is the parent.
fn settle_parent<'a>(span: &mut Span<'a>, parts: &mut Parts<'a>, sink: &mut dyn SpanSink) {
    let trace_id = span.trace_id;
    if parts.dialect == Dialect::Stored && take_parent_field(span, parts, sink) {
        let is_parent = |reference: &Reference| {
            reference.span_id == span.parent_span_id && reference.trace_id.is_none_or(|id| id == trace_id)
        };
        let links = parts.references.iter().filter(|reference| !is_parent(reference));
        span.links.extend(links.map(|reference| link(reference, trace_id)));
        return;
    }
    let same_trace = |reference: &Reference| reference.trace_id.is_none_or(|id| id == trace_id);
    let position = parts
        .references
        .iter()
        .position(|reference| reference.child_of && same_trace(reference))
        .or_else(|| parts.references.iter().position(same_trace));
    for (index, reference) in parts.references.iter_mut().enumerate() {
        if Some(index) == position {
            span.parent_span_id = reference.span_id;
            if let Some(text) = reference.malformed.take() {
                span.malformed.push(Malformed { field: SpanField::ParentSpanId, text: Cow::Owned(text) });
            }
            continue;
        }
        span.links.push(link(reference, trace_id));
    }
    if parts.references.is_empty() {
        take_parent_field(span, parts, sink);
    }
}

/// Takes `parentSpanID`; returns whether it says anything. In storage it is the parent that was
/// recorded, and a reference that repeats it may be left out.
fn take_parent_field<'a>(span: &mut Span<'a>, parts: &mut Parts<'a>, sink: &mut dyn SpanSink) -> bool {
    let text = parts.parent.take().unwrap_or_default();
    let read = read_span_id(text.as_bytes());
    let malformed = matches!(read, IdText::Invalid(_));
    span.parent_span_id = known_id(read, sink).0;
    note_malformed(span, malformed, SpanField::ParentSpanId, text);
    span.parent_span_id.is_some()
}

fn link(reference: &Reference, own_trace: TraceId) -> Link<'static> {
    let kind = if reference.child_of { "child_of" } else { "follows_from" };
    Link {
        trace_id: reference.trace_id.unwrap_or(own_trace),
        span_id: reference.span_id.unwrap_or_default(),
        // The semantic convention for what OpenTracing told and OpenTelemetry links do not.
        attributes: vec![Attribute {
            key: Cow::Borrowed("opentracing.ref_type"),
            value: Value::String(Cow::Borrowed(kind)),
        }],
        ..Link::default()
    }
}

fn settle_times<'a>(span: &mut Span<'a>, parts: &mut Parts<'a>) {
    span.start_ns = parts.start.as_deref().and_then(|text| time_ns(text, UNIT_NS));
    let duration = parts.duration.as_deref().and_then(|text| signed_ns(text, UNIT_NS));
    span.end_ns = span.start_ns.zip(duration).and_then(|(start, duration)| start.checked_add(duration));
    if span.start_ns.is_none() {
        let text = time_with_unit(parts.start.take(), "µs");
        span.malformed.push(Malformed { field: SpanField::StartTime, text });
    }
    if span.end_ns.is_none() {
        let text = time_with_unit(parts.duration.take(), "µs");
        span.malformed.push(Malformed { field: SpanField::EndTime, text });
    }
}

/// Takes the tags out that stand for fields of an OpenTelemetry span.
fn take_mapped_tags<'a>(span: &mut Span<'a>) -> Scope<'a> {
    let mut scope = Scope::default();
    let mut old_scope = Scope::default();
    let mut failed = false;
    let mut status = None;
    let mut attributes = std::mem::take(&mut span.attributes);
    attributes.retain_mut(|attribute| {
        let value = &mut attribute.value;
        match attribute.key.as_ref() {
            "span.kind" => {
                let kind = SpanKind::from_name(value.as_str().unwrap_or_default());
                if kind == SpanKind::Unspecified {
                    return true;
                }
                span.kind = kind;
            }
            "otel.status_code" => {
                let text = value.as_str().unwrap_or_default();
                let code = StatusCode::from_name(text);
                if code == StatusCode::Unset && !text.eq_ignore_ascii_case("unset") {
                    return true;
                }
                status = Some(code);
            }
            "error" if *value == Value::Bool(true) || value.as_str() == Some("true") => failed = true,
            "otel.status_description" => return !take_text(value, &mut span.status_message),
            "otel.scope.name" => return !take_text(value, &mut scope.name),
            "otel.scope.version" => return !take_text(value, &mut scope.version),
            "otel.library.name" => return !take_text(value, &mut old_scope.name),
            "otel.library.version" => return !take_text(value, &mut old_scope.version),
            "w3c.tracestate" => {
                let mut text = Cow::Borrowed("");
                if !take_text(value, &mut text) {
                    return true;
                }
                span.trace_state = Some(text);
            }
            _ => return true,
        }
        false
    });
    span.attributes = attributes;
    span.status = status.unwrap_or(if failed { StatusCode::Error } else { StatusCode::Unset });
    if scope.name.is_empty() {
        scope.name = old_scope.name;
    }
    if scope.version.is_empty() {
        scope.version = old_scope.version;
    }
    scope
}

fn take_text<'a>(value: &mut Value<'a>, into: &mut Cow<'a, str>) -> bool {
    let Value::String(text) = value else {
        return false;
    };
    *into = std::mem::take(text);
    true
}

/// Gives a span the times back that it was recorded with, where Jaeger says in a warning that it
/// changed them.
pub(super) fn undo_adjustments(span: &mut Span<'_>, sink: &mut dyn SpanSink) {
    undo_clock_adjustment(span, sink);
    undo_end_adjustment(span, sink);
}

/// Jaeger's collector moves the end of a span that ends before it starts, or with its start, behind
/// the start.
fn undo_end_adjustment(span: &mut Span<'_>, sink: &mut dyn SpanSink) {
    const MOVED: &str = "Negative duration detected, sanitizing end timestamp. Original end timestamp: ";
    let original = span.warnings.iter().find_map(|warning| {
        let (time, _) = warning.strip_prefix(MOVED)?.split_once(" +0000 UTC")?;
        parse_instant(time).filter(|ns| *ns > 0)
    });
    if original.is_some() {
        span.end_ns = original;
        sink.repaired(Repair::JaegerEndAdjustment);
    }
}

/// Jaeger's query service moves spans whose clocks disagree, and says so. The times as they were
/// recorded are what clock analysis needs.
fn undo_clock_adjustment(span: &mut Span<'_>, sink: &mut dyn SpanSink) {
    const ADJUSTED: &str = "This span's timestamps were adjusted by ";
    let shift: i64 = span
        .warnings
        .iter()
        .filter_map(|warning| go_duration_ns(warning.strip_prefix(ADJUSTED)?.trim()))
        .fold(0, i64::saturating_add);
    if shift == 0 {
        return;
    }
    let back = |time: &mut Option<i64>| *time = time.map(|time| time.saturating_sub(shift));
    back(&mut span.start_ns);
    back(&mut span.end_ns);
    for event in &mut span.events {
        back(&mut event.time_ns);
    }
    sink.repaired(Repair::JaegerClockAdjustment);
}

/// A duration as Go prints it (`-1h2m3.5s`, `12.5µs`), in ns, exactly.
fn go_duration_ns(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let unit_end =
            rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |end| digits + end);
        let unit_ns: i64 = match &rest[digits..unit_end] {
            "ns" => 1,
            // Go prints the micro sign; the Greek letter looks the same.
            "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        total = total.checked_add(decimal(&rest[..digits], unit_ns)?)?;
        rest = &rest[unit_end..];
    }
    (!text.is_empty()).then_some(if negative { -total } else { total })
}

/// A decimal number times `unit_ns`, without floating point.
fn decimal(text: &str, unit_ns: i64) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut total = if whole.is_empty() { 0 } else { whole.parse::<i64>().ok()?.checked_mul(unit_ns)? };
    let mut step = unit_ns;
    for digit in fraction.chars() {
        step /= 10;
        total = total.checked_add(i64::from(digit.to_digit(10)?) * step)?;
    }
    Some(total)
}

fn error_sentence(message: &str, trace_id: &str) -> String {
    const LONGEST: usize = 200;
    let message = if message.is_empty() { "an error without a message" } else { message };
    let named = !trace_id.is_empty() && !message.contains(trace_id);
    let trace = if named { format!("trace {trace_id}: ") } else { String::new() };
    trace.chars().chain(message.chars()).take(LONGEST).collect()
}

pub(super) fn says_truncated(warning: &str) -> bool {
    warning.contains("trace has more than ") && warning.contains(" spans, showing first ")
}

fn warnings<'a>(cursor: &mut Cursor<'a>) -> Result<Vec<Cow<'a, str>>> {
    let mut warnings = Vec::new();
    cursor.array(|cursor| {
        warnings.extend(cursor.string_or_skip()?);
        Ok(())
    })?;
    Ok(warnings)
}

/// The process that sent a span.
pub(super) fn process<'a>(cursor: &mut Cursor<'a>, dialect: Dialect) -> Result<Resource<'a>> {
    let mut resource = Resource::default();
    let mut service_name = None;
    cursor.object(|cursor, key| {
        match key {
            "serviceName" => service_name = cursor.text()?,
            "tags" => tags(cursor, dialect, &mut resource.attributes)?,
            "tag" if dialect == Dialect::Stored => tag_map(cursor, &mut resource.attributes)?,
            _ => cursor.skip()?,
        }
        Ok(())
    })?;
    if let Some(name) = service_name {
        let key = Cow::Borrowed("service.name");
        resource.attributes.insert(0, Attribute { key, value: Value::String(name) });
    }
    Ok(resource)
}

/// `None` when it is no object.
fn reference(cursor: &mut Cursor<'_>, sink: &mut dyn SpanSink) -> Result<Option<Reference>> {
    let mut reference = Reference { child_of: false, trace_id: None, span_id: None, malformed: None };
    let is_object = cursor.object(|cursor, key| {
        match key {
            "refType" => reference.child_of = cursor.text()?.as_deref() == Some("CHILD_OF"),
            "traceID" => {
                let text = cursor.text()?.unwrap_or_default();
                reference.trace_id = known_id(read_trace_id(text.as_bytes()), sink).0;
            }
            "spanID" => {
                let text = cursor.text()?.unwrap_or_default();
                let read = read_span_id(text.as_bytes());
                if matches!(read, IdText::Invalid(_)) {
                    reference.malformed = Some(text.into_owned());
                }
                reference.span_id = known_id(read, sink).0;
            }
            _ => cursor.skip()?,
        }
        Ok(())
    })?;
    Ok(is_object.then_some(reference))
}

fn log<'a>(cursor: &mut Cursor<'a>, dialect: Dialect) -> Result<Event<'a>> {
    let mut event = Event::default();
    cursor.object(|cursor, key| {
        match key {
            "timestamp" => event.time_ns = cursor.text()?.and_then(|text| time_ns(&text, UNIT_NS)),
            "fields" => tags(cursor, dialect, &mut event.attributes)?,
            _ => cursor.skip()?,
        }
        Ok(())
    })?;
    // Current Jaeger writes the name of an event as `event`, older versions as `message`.
    for key in ["event", "message"] {
        let found =
            event.attributes.iter().position(|field| field.key == key && field.value.as_str().is_some());
        if let Some(index) = found {
            if let Value::String(name) = event.attributes.remove(index).value {
                event.name = name;
            }
            break;
        }
    }
    Ok(event)
}

/// A list of `{key, type, value}`.
fn tags<'a>(cursor: &mut Cursor<'a>, dialect: Dialect, into: &mut Vec<Attribute<'a>>) -> Result<()> {
    cursor.array(|cursor| {
        let mut key = None;
        let mut kind = Cow::Borrowed("");
        let mut value = Value::Empty;
        cursor.object(|cursor, member| {
            match member {
                "key" => key = cursor.text()?,
                "type" => kind = cursor.string_or_skip()?.unwrap_or_default(),
                "value" => value = cursor.plain_value()?,
                _ => cursor.skip()?,
            }
            Ok(())
        })?;
        if let Some(key) = key {
            into.push(Attribute { key, value: typed(value, &kind, dialect) });
        }
        Ok(())
    })?;
    Ok(())
}

/// An object with a member for each tag, in whose keys Jaeger writes `@` for dots, because
/// Elasticsearch takes a dot for a path.
pub(super) fn tag_map<'a>(cursor: &mut Cursor<'a>, into: &mut Vec<Attribute<'a>>) -> Result<()> {
    let first = into.len();
    cursor.plain_members(into)?;
    for tag in &mut into[first..] {
        if tag.key.contains('@') {
            tag.key = Cow::Owned(tag.key.replace('@', "."));
        }
    }
    Ok(())
}

/// Brings a value to the type it was declared with. Numbers beyond 2^53 stand as strings in the
/// API, and exports of Elasticsearch have all values as strings. What does not fit stays as it is.
fn typed<'a>(value: Value<'a>, kind: &str, dialect: Dialect) -> Value<'a> {
    let text = value.as_str();
    let converted = match kind {
        "string" => value.to_text().map(|text| Value::String(Cow::Owned(text.into_owned()))),
        "bool" => text.and_then(|text| text.parse().ok()).map(Value::Bool),
        "int64" => text.and_then(|text| text.parse().ok()).map(Value::Int),
        "float64" => match &value {
            Value::Int(number) => Some(Value::Double(*number as f64)),
            _ => text.and_then(|text| text.parse().ok()).map(Value::Double),
        },
        "binary" => text
            .and_then(|text| match dialect {
                Dialect::Query => base64::engine::general_purpose::STANDARD.decode(text).ok(),
                Dialect::Stored => hex_bytes(text),
            })
            .map(|bytes| Value::Bytes(Cow::Owned(bytes))),
        _ => None,
    };
    match converted {
        Some(converted) if kind != "string" || text.is_none() => converted,
        _ => value,
    }
}

fn hex_bytes(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks_exact(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect())
}

fn some_id<T>(read: IdText<T>) -> Option<T> {
    match read {
        IdText::Valid(id, _) | IdText::Invalid(id) => Some(id),
        IdText::Absent => None,
    }
}

/// The id if there is one, and whether that is a fault where an id must be.
fn known_id<T>(read: IdText<T>, sink: &mut dyn SpanSink) -> (Option<T>, bool) {
    if let IdText::Valid(_, Some(repair)) = &read {
        sink.repaired(*repair);
    }
    let malformed = !matches!(read, IdText::Valid(..));
    (some_id(read), malformed)
}

fn note_malformed<'a>(span: &mut Span<'a>, malformed: bool, field: SpanField, text: Cow<'a, str>) {
    if malformed && !span.is_malformed(field) {
        span.malformed.push(Malformed { field, text });
    }
}

#[cfg(test)]
mod tests {
    use super::super::whole::testing::{Told, decode};
    use super::*;

    const T: &str = "4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f";

    fn span(rest: &str) -> String {
        format!(
            r#"{{"traceID":"{T}","spanID":"b2","operationName":"op","startTime":1767225600000000,"duration":7,"processID":"p1"{rest}}}"#
        )
    }

    fn trace(spans: &str) -> String {
        format!(r#"{{"traceID":"{T}","spans":[{spans}],"processes":{{"p1":{{"serviceName":"shop"}}}}}}"#)
    }

    fn read(text: &str) -> Told {
        decode(&JaegerJson, text)
    }

    fn one(rest: &str) -> (Span<'static>, Told) {
        let told = read(&trace(&span(rest)));
        assert!(told.rejects.is_empty() && told.unreadable.is_empty(), "{told:?}");
        (told.spans()[0].clone(), told)
    }

    #[test]
    fn reads_every_envelope() {
        let trace = trace(&span(""));
        let lines = format!("{trace}\n{trace}\n");
        for (text, count) in [
            (trace.clone(), 1),
            (format!(r#"{{"data":[{trace},{trace}],"total":0,"errors":null}}"#), 2),
            (format!(r#"{{"data":{trace}}}"#), 1),
            (format!("[{trace}]"), 1),
            (lines, 2),
            (r#"{"data":[],"total":0,"limit":0,"offset":0,"errors":null}"#.to_owned(), 0),
        ] {
            let told = read(&text);
            assert_eq!(told.services(), vec!["shop"; count], "{text}");
            assert!(told.unreadable.is_empty() && told.rejects.is_empty());
        }
    }

    #[test]
    fn the_parent_is_a_reference_of_the_same_trace() {
        let reference = |kind: &str, trace: &str, span: &str| {
            format!(r#"{{"refType":"{kind}","traceID":"{trace}","spanID":"{span}"}}"#)
        };
        let upper = T.to_uppercase();
        let cases = [
            (vec![reference("FOLLOWS_FROM", T, "1"), reference("CHILD_OF", &upper, "2")], Some(2), 1),
            (vec![reference("CHILD_OF", "99", "1"), reference("FOLLOWS_FROM", T, "3")], Some(3), 1),
            (vec![reference("CHILD_OF", "99", "1")], None, 1),
            (vec![reference("CHILD_OF", T, "0")], None, 0),
        ];
        for (references, parent, links) in cases {
            let list = references.join(",");
            let (span, _) = one(&format!(r#","parentSpanID":"77","references":[{list}]"#));
            assert_eq!((span.parent_span_id, span.links.len()), (parent.map(SpanId), links), "{list}");
        }
        for references in ["null", "[]"] {
            let (span, _) = one(&format!(r#","parentSpanID":"77","references":{references}"#));
            assert_eq!(span.parent_span_id, Some(SpanId(0x77)));
        }
    }

    #[test]
    fn tags_become_fields_and_typed_attributes() {
        let (span, told) = one(r#","flags":3,"tags":[{"key":"span.kind","type":"string","value":"consumer"},
            {"key":"error","type":"bool","value":true},{"key":"otel.status_description","type":"string","value":"no"},
            {"key":"otel.library.name","type":"string","value":"lib"},{"key":"w3c.tracestate","type":"string","value":"a=b"},
            {"key":"big","type":"int64","value":"9007199254740993"},{"key":"bin","type":"binary","value":"AAE="},
            {"key":"f","type":"float64","value":2}],"logs":[{"timestamp":5,"fields":[{"key":"message","type":"string","value":"hi"}]}]"#);
        assert_eq!((span.kind, span.status), (SpanKind::Consumer, StatusCode::Error));
        assert_eq!((span.status_message.as_ref(), span.trace_state.as_deref()), ("no", Some("a=b")));
        assert_eq!((span.flags, span.parent_is_remote), (Some(1), None));
        let values: Vec<Value<'_>> =
            span.attributes.iter().map(|attribute| attribute.value.clone()).collect();
        let bytes = Value::Bytes(Cow::Borrowed(&[0, 1]));
        assert_eq!(values, [Value::Int(9_007_199_254_740_993), bytes, Value::Double(2.0)]);
        assert_eq!((span.events[0].name.as_ref(), span.events[0].time_ns), ("hi", Some(5_000)));
        assert_eq!(told.whole.spans()[0].scope.name, "lib");
    }

    #[test]
    fn undoes_clock_adjustments_and_reports_truncation() {
        let (span, told) = one(
            r#","warnings":["This span's timestamps were adjusted by -1.5ms","trace has more than 9 spans, showing first 9 spans only"]"#,
        );
        assert_eq!(span.start_ns, Some(1_767_225_600_001_500_000));
        assert_eq!(span.duration_ns(), Some(7_000));
        assert!(told.repairs.contains(&Repair::JaegerClockAdjustment));
        assert_eq!(told.truncated, [span.trace_id]);
        assert_eq!(go_duration_ns("1h2m3.5s"), Some(3_723_500_000_000));
        assert_eq!(go_duration_ns("12.5µs"), Some(12_500));
        assert_eq!(go_duration_ns("-"), Some(0));
        assert_eq!(go_duration_ns("soon"), None);
    }

    #[test]
    fn a_cut_trace_gives_its_whole_spans() {
        let text = format!(r#"{{"data":[{{"spans":[{},{},{{"traceID":"4f"#, span(""), span(""));
        let told = read(&text);
        assert_eq!(told.services(), ["", ""]);
        assert_eq!(told.unreadable.len(), 1);
        assert_eq!(told.truncated, [told.spans()[0].trace_id]);
    }

    #[test]
    fn only_the_trace_that_is_cut_is_truncated() {
        let whole = trace(&span("")).replace(T, "0000000000000000000000000000000a");
        let cut = trace(&span(""));
        let cut = &cut[..cut.len() - 9];
        for text in [format!(r#"{{"data":[{whole},{cut}"#), format!("{whole}\n{cut}\n{whole}\n")] {
            let told = read(&text);
            assert!(told.spans().len() >= 2);
            let ids: Vec<String> = told.truncated.iter().map(ToString::to_string).collect();
            assert_eq!(ids, [T], "{text}");
        }
        for text in [format!(r#"{{"data":[{whole},"#), format!("[{whole}"), format!("{whole}]")] {
            let told = read(&text);
            assert!(told.truncated.is_empty() && told.spans().len() == 1, "{text}");
        }
    }

    #[test]
    fn errors_beside_the_data_say_that_the_answer_is_partial() {
        let trace = trace(&span(""));
        let text = format!(
            r#"{{"data":[{trace}],"errors":[{{"code":404,"msg":"trace not found","traceID":"99"}},{{"msg":"trace 98 is gone","traceID":"98"}},{{}},7]}}"#
        );
        let told = read(&text);
        assert_eq!(told.spans().len(), 1);
        assert_eq!(
            told.partial,
            ["trace 99: trace not found", "trace 98 is gone", "an error without a message"]
        );
        for errors in ["null", "[]", "{}"] {
            assert!(read(&format!(r#"{{"data":[{trace}],"errors":{errors}}}"#)).partial.is_empty());
        }
    }

    #[test]
    fn errors_before_the_data_are_told_once() {
        let trace = trace(&span(""));
        let text = format!(r#"{{"errors":[{{"msg":"gone"}}],"data":[{}]}}"#, vec![trace; 3].join(","));
        let limits = Limits::default();
        let mut splitter =
            super::super::framing::Splitter::with_block_bytes(JaegerJson.framing(), &limits, 64);
        let (mut told, mut blocks, mut reader) = (Told::default(), 0, text.as_bytes());
        while let Some(block) = splitter.next_block(&mut reader).unwrap() {
            JaegerJson.decode(&block, &limits, &mut told);
            blocks += 1;
        }
        assert!(blocks > 1);
        assert_eq!(told.partial, ["gone"]);
    }

    #[test]
    fn odd_spans_are_facts_or_rejects() {
        let told = read(&trace(r#"7,{},{"spanID":"zz","startTime":0,"duration":5,"operationName":null}"#));
        let reasons: Vec<RejectReason> = told.rejects.iter().map(|(_, reason)| *reason).collect();
        assert_eq!(reasons, [RejectReason::NotAnObject, RejectReason::NoSpanFields]);
        let fields: Vec<SpanField> =
            told.spans()[0].malformed.iter().map(|malformed| malformed.field).collect();
        for field in
            [SpanField::TraceId, SpanField::SpanId, SpanField::StartTime, SpanField::EndTime, SpanField::Name]
        {
            assert!(fields.contains(&field), "{field:?}");
        }
    }
}
