//! Whole spans: the depth of decoding that `show`, exemplars and re-linking stand on, and its way
//! back to OTLP JSON.

use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::Arc;

use base64::Engine as _;
use serde_json::{Map, Value as Json, json};

use super::json::time_ns;
use super::{Limit, Origin, RejectReason, SpanSink};
use crate::model::{
    Attribute, Event, Link, Repair, Resource, Scope, Span, SpanField, SpanKind, StatusCode, TraceId, Value,
};

/// One span with everything that its source gave.
#[derive(Clone, Debug, PartialEq)]
pub struct WholeSpan {
    /// The span.
    pub span: Span<'static>,
    /// Its resource, shared between spans of one sender.
    pub resource: Arc<Resource<'static>>,
    /// Its instrumentation scope, shared likewise.
    pub scope: Arc<Scope<'static>>,
}

/// Which spans are collected.
#[derive(Clone, Debug, Default)]
pub enum Wanted {
    /// Every span.
    #[default]
    All,
    /// The spans at these positions ([`Span::position`]). Spans in one compressed frame share a position.
    Positions(Vec<u64>),
}

impl Wanted {
    /// The spans at these positions, in any order.
    pub fn at(mut positions: Vec<u64>) -> Self {
        positions.sort_unstable();
        positions.dedup();
        Self::Positions(positions)
    }

    fn contains(&self, position: u64) -> bool {
        match self {
            Self::All => true,
            Self::Positions(positions) => positions.binary_search(&position).is_ok(),
        }
    }
}

/// A sink that collects whole spans. Rejects, repairs and the rest were counted by the first pass
/// over the input and are not looked at.
#[derive(Debug, Default)]
pub struct WholeSpans {
    wanted: Wanted,
    spans: Vec<WholeSpan>,
    /// The last sender seen under each serial.
    senders: Vec<Option<Sender>>,
}

type Sender = (Arc<Resource<'static>>, Arc<Scope<'static>>);

impl WholeSpans {
    /// Collects the wanted spans.
    pub fn new(wanted: Wanted) -> Self {
        Self { wanted, ..Self::default() }
    }

    /// The spans collected so far, in the order of decoding.
    pub fn spans(&self) -> &[WholeSpan] {
        &self.spans
    }

    /// The spans collected, in the order of decoding.
    pub fn into_spans(self) -> Vec<WholeSpan> {
        self.spans
    }

    /// Serials start anew in every block, so an entry is only good while it says the same.
    fn sender(&mut self, origin: Origin<'_, '_>) -> Sender {
        if self.senders.len() <= origin.serial {
            self.senders.resize(origin.serial + 1, None);
        }
        let entry = &mut self.senders[origin.serial];
        match entry {
            Some((resource, scope)) if **resource == *origin.resource && **scope == *origin.scope => {
                (Arc::clone(resource), Arc::clone(scope))
            }
            _ => {
                let resource = Arc::new(origin.resource.clone().into_owned());
                let scope = Arc::new(origin.scope.clone().into_owned());
                *entry = Some((Arc::clone(&resource), Arc::clone(&scope)));
                (resource, scope)
            }
        }
    }
}

impl SpanSink for WholeSpans {
    fn span(&mut self, span: &mut Span<'_>, origin: Origin<'_, '_>) {
        if !self.wanted.contains(span.position) {
            return;
        }
        let (resource, scope) = self.sender(origin);
        self.spans.push(WholeSpan { span: std::mem::take(span).into_owned(), resource, scope });
    }

    fn reject(&mut self, _position: u64, _reason: RejectReason) {}

    fn unreadable(&mut self, _position: u64, _bytes: u64, _reason: &str) {}

    fn limit(&mut self, _position: u64, _limit: Limit) {}

    fn repaired(&mut self, _repair: Repair) {}

    fn truncated_trace(&mut self, _trace_id: TraceId) {}
}

/// One `TracesData` document. Neighbouring spans of one sender share a `ResourceSpans`; the order
/// of the spans is kept.
pub fn to_otlp_json(spans: &[WholeSpan]) -> Json {
    let groups: Vec<Json> = groups(spans).map(resource_spans).collect();
    json!({ "resourceSpans": groups })
}

/// One `TracesData` document a line, one line for each run of neighbouring spans of one sender.
pub fn write_otlp_json_lines(spans: &[WholeSpan], out: &mut dyn Write) -> io::Result<()> {
    for group in groups(spans) {
        serde_json::to_writer(&mut *out, &json!({ "resourceSpans": [resource_spans(group)] }))?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

fn groups(spans: &[WholeSpan]) -> impl Iterator<Item = &[WholeSpan]> {
    spans.chunk_by(|one, other| {
        Arc::ptr_eq(&one.resource, &other.resource) && Arc::ptr_eq(&one.scope, &other.scope)
    })
}

fn resource_spans(group: &[WholeSpan]) -> Json {
    let mut resource = Map::new();
    let mut scope = Map::new();
    if let Some(first) = group.first() {
        put_attributes(&mut resource, &first.resource.attributes);
        put_count(&mut resource, "droppedAttributesCount", first.resource.dropped_attributes);
        put_text(&mut scope, "name", &first.scope.name);
        put_text(&mut scope, "version", &first.scope.version);
        put_attributes(&mut scope, &first.scope.attributes);
        put_count(&mut scope, "droppedAttributesCount", first.scope.dropped_attributes);
    }
    let spans: Vec<Json> = group.iter().map(|whole| span(&whole.span)).collect();
    json!({ "resource": resource, "scopeSpans": [{ "scope": scope, "spans": spans }] })
}

fn span(span: &Span<'_>) -> Json {
    let mut object = Map::new();
    object.insert("traceId".to_owned(), id(span, SpanField::TraceId, Some(span.trace_id.to_string())));
    object.insert("spanId".to_owned(), id(span, SpanField::SpanId, Some(span.span_id.to_string())));
    let parent = id(span, SpanField::ParentSpanId, span.parent_span_id.map(|id| id.to_string()));
    if !parent.is_null() {
        object.insert("parentSpanId".to_owned(), parent);
    }
    if let Some(state) = &span.trace_state {
        object.insert("traceState".to_owned(), json!(state));
    }
    if let Some(flags) = flags(span) {
        object.insert("flags".to_owned(), json!(flags));
    }
    let name = if span.is_malformed(SpanField::Name) { Json::Null } else { json!(span.name) };
    object.insert("name".to_owned(), name);
    if span.kind != SpanKind::Unspecified {
        let number = SpanKind::ALL.iter().position(|kind| *kind == span.kind);
        object.insert("kind".to_owned(), json!(number));
    }
    put_time(&mut object, "startTimeUnixNano", span, SpanField::StartTime, span.start_ns);
    put_time(&mut object, "endTimeUnixNano", span, SpanField::EndTime, span.end_ns);
    put_attributes(&mut object, &span.attributes);
    put_what_otlp_lacks(&mut object, span);
    put_count(&mut object, "droppedAttributesCount", span.dropped_attributes);
    put_list(&mut object, "events", span.events.iter().map(event));
    put_count(&mut object, "droppedEventsCount", span.dropped_events);
    put_list(&mut object, "links", span.links.iter().map(link));
    put_count(&mut object, "droppedLinksCount", span.dropped_links);
    put_status(&mut object, span);
    Json::Object(object)
}

/// The id, or the malformed text that stood in its place.
fn id(span: &Span<'_>, field: SpanField, hex: Option<String>) -> Json {
    malformed_text(span, field).map_or_else(|| json!(hex), |text| json!(text))
}

fn malformed_text<'s>(span: &'s Span<'_>, field: SpanField) -> Option<&'s str> {
    span.malformed.iter().find(|malformed| malformed.field == field).map(|malformed| malformed.text.as_ref())
}

/// A source may tell whether the parent is remote without having OTLP flags.
fn flags(span: &Span<'_>) -> Option<u32> {
    let remote = span.parent_is_remote.map(|remote| if remote { 0x300 } else { 0x100 });
    match (span.flags, remote) {
        (None, None) => None,
        (flags, remote) => Some(flags.unwrap_or_default() | remote.unwrap_or_default()),
    }
}

fn put_time(into: &mut Map<String, Json>, key: &str, span: &Span<'_>, field: SpanField, time: Option<i64>) {
    let text = match (time, malformed_text(span, field)) {
        (Some(time), _) => time.to_string(),
        // Nobody must take what was no time for one.
        (None, Some(text)) if time_ns(text, 1).is_none() => text.to_owned(),
        (None, _) => return,
    };
    if !text.is_empty() {
        into.insert(key.to_owned(), json!(text));
    }
}

fn put_status(into: &mut Map<String, Json>, span: &Span<'_>) {
    let mut status = Map::new();
    match span.status {
        StatusCode::Unset => {}
        StatusCode::Ok => drop(status.insert("code".to_owned(), json!(1))),
        StatusCode::Error => drop(status.insert("code".to_owned(), json!(2))),
    }
    put_text(&mut status, "message", &span.status_message);
    if !status.is_empty() {
        into.insert("status".to_owned(), Json::Object(status));
    }
}

/// Jaeger's warnings and Zipkin's `shared` have no field in OTLP; Jaeger itself keeps warnings in
/// an attribute of this name.
fn put_what_otlp_lacks(into: &mut Map<String, Json>, span: &Span<'_>) {
    let mut more = Vec::new();
    if !span.warnings.is_empty() {
        let warnings = span.warnings.iter().map(|warning| Value::String(Cow::Borrowed(warning))).collect();
        more.push(Attribute { key: Cow::Borrowed("@jaeger@warnings"), value: Value::Array(warnings) });
    }
    if span.shared {
        more.push(Attribute { key: Cow::Borrowed("@zipkin@shared"), value: Value::Bool(true) });
    }
    if more.is_empty() {
        return;
    }
    let list = into.entry("attributes").or_insert_with(|| json!([]));
    if let Json::Array(list) = list {
        list.extend(more.iter().map(attribute));
    }
}

fn event(event: &Event<'_>) -> Json {
    let mut object = Map::new();
    if let Some(time) = event.time_ns {
        object.insert("timeUnixNano".to_owned(), json!(time.to_string()));
    }
    put_text(&mut object, "name", &event.name);
    put_attributes(&mut object, &event.attributes);
    put_count(&mut object, "droppedAttributesCount", event.dropped_attributes);
    Json::Object(object)
}

fn link(link: &Link<'_>) -> Json {
    let mut object = Map::new();
    object.insert("traceId".to_owned(), json!(link.trace_id.to_string()));
    object.insert("spanId".to_owned(), json!(link.span_id.to_string()));
    if let Some(state) = &link.trace_state {
        object.insert("traceState".to_owned(), json!(state));
    }
    put_attributes(&mut object, &link.attributes);
    put_count(&mut object, "droppedAttributesCount", link.dropped_attributes);
    if let Some(flags) = link.flags {
        object.insert("flags".to_owned(), json!(flags));
    }
    Json::Object(object)
}

fn put_text(into: &mut Map<String, Json>, key: &str, text: &str) {
    if !text.is_empty() {
        into.insert(key.to_owned(), json!(text));
    }
}

fn put_count(into: &mut Map<String, Json>, key: &str, count: u32) {
    if count > 0 {
        into.insert(key.to_owned(), json!(count));
    }
}

fn put_list(into: &mut Map<String, Json>, key: &str, items: impl Iterator<Item = Json>) {
    let items: Vec<Json> = items.collect();
    if !items.is_empty() {
        into.insert(key.to_owned(), Json::Array(items));
    }
}

fn put_attributes(into: &mut Map<String, Json>, attributes: &[Attribute<'_>]) {
    put_list(into, "attributes", attributes.iter().map(attribute));
}

fn attribute(attribute: &Attribute<'_>) -> Json {
    json!({ "key": attribute.key, "value": any_value(&attribute.value) })
}

/// Values are as deep as [`super::Limits::max_depth`] let them be.
fn any_value(value: &Value<'_>) -> Json {
    match value {
        Value::Empty => json!({}),
        Value::String(text) => json!({ "stringValue": text }),
        Value::Bool(flag) => json!({ "boolValue": flag }),
        Value::Int(number) => json!({ "intValue": number.to_string() }),
        Value::Double(number) => json!({ "doubleValue": double(*number) }),
        Value::Bytes(bytes) => {
            json!({ "bytesValue": base64::engine::general_purpose::STANDARD.encode(bytes) })
        }
        Value::Array(items) => {
            let values: Vec<Json> = items.iter().map(any_value).collect();
            json!({ "arrayValue": { "values": values } })
        }
        Value::Map(items) => {
            let values: Vec<Json> = items.iter().map(attribute).collect();
            json!({ "kvlistValue": { "values": values } })
        }
    }
}

/// JSON has no number for these three; the protobuf mapping writes them as strings.
fn double(number: f64) -> Json {
    if number.is_nan() {
        json!("NaN")
    } else if number.is_infinite() {
        json!(if number > 0.0 { "Infinity" } else { "-Infinity" })
    } else {
        json!(number)
    }
}
