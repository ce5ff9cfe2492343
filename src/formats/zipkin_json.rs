//! Zipkin v2 JSON: an array of spans, an array of traces, one span, or any of these one after the other.
//!
//! Source of the rules: zipkin, `zipkin2/Span.java` and `zipkin2/internal/V2SpanReader.java`; the tags
//! that OpenTelemetry exporters write are those of its specification, `trace/sdk_exporters/zipkin.md`.

use std::borrow::Cow;
use std::collections::HashMap;

use super::detect::is_zipkin_v1;
use super::framing::{Framing, JsonFraming};
use super::json::{Cursor, JsonError, Result, each_value, signed_ns, time_ns, time_with_unit};
use super::{Block, Format, FormatInfo, Head, Limits, Origin, RejectReason, SpanSink};
use crate::model::ids::{IdText, read_span_id, read_trace_id};
use crate::model::{
    Attribute, Capabilities, Event, Malformed, Resource, Scope, Span, SpanField, SpanKind, StatusCode, Value,
};

/// Zipkin v2 JSON.
pub(super) struct ZipkinJson;

static INFO: FormatInfo = FormatInfo {
    name: "zipkin-json",
    title: "Zipkin v2 JSON: lists of spans, lists of traces, single spans",
    comes_from: "Zipkin's /api/v2/trace and /api/v2/traces, Zipkin exporters",
    capabilities: Capabilities {
        time_resolution_ns: 1_000,
        flags: false,
        is_remote: false,
        links: false,
        trace_state: false,
        dropped_counts: false,
        exact_resource: false,
        duplicates_visible: true,
        edited_by_source: false,
    },
};

static FRAMING: JsonFraming =
    JsonFraming { arrays: &[], context: &[], indivisible: &[], top_level_arrays: true };

/// Times and durations are in microseconds.
const UNIT_NS: i64 = 1_000;

impl Format for ZipkinJson {
    fn info(&self) -> &'static FormatInfo {
        &INFO
    }

    fn detect(&self, head: &Head<'_>) -> bool {
        const OTHERS: [&str; 7] =
            ["parentId", "name", "kind", "timestamp", "duration", "localEndpoint", "annotations"];
        head.has_all(&["traceId", "id"])
            && !head.has_any(&["spanId", "parentSpanContext"])
            && head.has_any(&OTHERS)
            && !is_zipkin_v1(head)
    }

    fn framing(&self) -> Framing {
        Framing::Json(&FRAMING)
    }

    fn decode(&self, block: &Block, limits: &Limits, sink: &mut dyn SpanSink) {
        let mut decoder = Decoder::new(block);
        each_value(block, limits, sink, |cursor, sink| {
            decoder.value(cursor, sink, &mut |decoder, cursor, sink| decoder.span(cursor, sink))
        });
    }

    fn decode_span(&self, block: &Block, index: usize, limits: &Limits, sink: &mut dyn SpanSink) -> bool {
        let mut decoder =
            Decoder { block, serials: HashMap::new(), senders: Vec::new(), span: Span::default() };
        let mut cursor = Cursor::at_index(&block.bytes, index, limits);
        decoder.span(&mut cursor, sink).is_ok()
    }
}

/// Reads Zipkin's envelopes and keeps the senders of a block.
pub(super) struct Decoder<'a> {
    block: &'a Block,
    serials: HashMap<SenderKey<'a>, usize>,
    /// At the index of the serial.
    senders: Vec<(Resource<'a>, Scope<'a>)>,
    span: Span<'a>,
}

/// What tells one sender from another.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
struct SenderKey<'a> {
    service: Option<Cow<'a, str>>,
    address: Option<Cow<'a, str>>,
    scope_name: Cow<'a, str>,
    scope_version: Cow<'a, str>,
}

/// One side of a call.
#[derive(Clone, Default)]
pub(super) struct Endpoint<'a> {
    pub(super) service: Option<Cow<'a, str>>,
    ipv4: Option<Cow<'a, str>>,
    ipv6: Option<Cow<'a, str>>,
    port: Option<u64>,
}

/// The members of a span that are judged when all of it was read.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "one for each field, independent of each other")]
pub(super) struct Parts<'a> {
    pub(super) any: bool,
    trace_id: bool,
    span_id: bool,
    pub(super) kind: bool,
    start: Option<Cow<'a, str>>,
    duration: Option<Cow<'a, str>>,
    pub(super) local: Endpoint<'a>,
    pub(super) remote: Endpoint<'a>,
}

impl Parts<'_> {
    /// Whether the object itself gives both times.
    pub(super) fn is_timed(&self) -> bool {
        let given = |text: &Option<Cow<'_, str>>| text.as_deref().is_some_and(|text| text != "0");
        given(&self.start) && given(&self.duration)
    }

    /// For the other side of the same object.
    pub(super) fn without_times(&self) -> Self {
        let Self { any, trace_id, span_id, .. } = *self;
        Self { any, trace_id, span_id, ..Self::default() }
    }

    /// Times in µs that stand elsewhere, where the object itself does not give both.
    pub(super) fn add_times(&mut self, start: Option<i64>, end: Option<i64>) {
        let Some(start) = start.filter(|_| !self.is_timed()) else {
            return;
        };
        self.start = Some(Cow::Owned(start.to_string()));
        if let Some(duration) = end.and_then(|end| end.checked_sub(start)) {
            self.duration = Some(Cow::Owned(duration.to_string()));
        }
    }
}

/// Reads the object at the cursor, which is a span.
type ReadObject<'o, 'a> =
    &'o mut dyn FnMut(&mut Decoder<'a>, &mut Cursor<'a>, &mut dyn SpanSink) -> Result<()>;

impl<'a> Decoder<'a> {
    /// For the values of one block.
    pub(super) fn new(block: &'a Block) -> Self {
        Self { block, serials: HashMap::new(), senders: Vec::new(), span: Span::default() }
    }

    /// Where in the input the cursor stands.
    pub(super) fn position(&self, cursor: &Cursor<'a>) -> u64 {
        self.block.position(cursor.at())
    }

    /// Hands every object in arrays of any depth to `object`.
    pub(super) fn value(
        &mut self,
        cursor: &mut Cursor<'a>,
        sink: &mut dyn SpanSink,
        object: ReadObject<'_, 'a>,
    ) -> Result<()> {
        match cursor.peek() {
            Some(b'[') => cursor.array(|cursor| self.value(cursor, sink, object)).map(drop),
            Some(b'{') => object(self, cursor, sink),
            Some(_) if cursor.is_inside() => {
                let position = self.block.position(cursor.at());
                cursor.skip()?;
                sink.reject(position, RejectReason::NotAnObject);
                cursor.commit();
                Ok(())
            }
            _ => Err(JsonError::Unexpected("expected a JSON object or array")),
        }
    }

    fn span(&mut self, cursor: &mut Cursor<'a>, sink: &mut dyn SpanSink) -> Result<()> {
        self.span.clear();
        self.span.position = self.block.position(cursor.at());
        let mut parts = Parts::default();
        let span = &mut self.span;
        cursor.object(|cursor, key| span_member(span, &mut parts, cursor, key, sink))?;
        cursor.commit();
        if !parts.any {
            sink.reject(span.position, RejectReason::NoSpanFields);
            return Ok(());
        }
        let span = std::mem::take(span);
        self.deliver(span, parts, sink);
        Ok(())
    }

    /// Settles a span and hands it to the sink.
    pub(super) fn deliver(&mut self, span: Span<'a>, parts: Parts<'a>, sink: &mut dyn SpanSink) {
        self.span = span;
        let key = complete(&mut self.span, parts);
        let serial = if let Some(serial) = self.serials.get(&key) {
            *serial
        } else {
            self.senders.push(sender(&key));
            self.serials.insert(key, self.senders.len() - 1);
            self.senders.len() - 1
        };
        let (resource, scope) = &self.senders[serial];
        sink.span(&mut self.span, Origin { resource, scope, serial });
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
        "traceId" => {
            parts.trace_id = true;
            let text = cursor.text()?.unwrap_or_default();
            span.trace_id =
                id(span, read_trace_id(text.as_bytes()), SpanField::TraceId, text, sink).unwrap_or_default();
        }
        "id" => {
            parts.span_id = true;
            let text = cursor.text()?.unwrap_or_default();
            span.span_id =
                id(span, read_span_id(text.as_bytes()), SpanField::SpanId, text, sink).unwrap_or_default();
        }
        "parentId" => {
            let text = cursor.text()?.unwrap_or_default();
            span.parent_span_id =
                id(span, read_span_id(text.as_bytes()), SpanField::ParentSpanId, text, sink);
        }
        "kind" => {
            let text = cursor.string_or_skip()?;
            parts.kind = text.is_some();
            span.kind = SpanKind::from_name(&text.unwrap_or_default());
        }
        // Zipkin allows spans without a name.
        "name" => span.name = cursor.text()?.unwrap_or_default(),
        "timestamp" => parts.start = cursor.text()?,
        "duration" => parts.duration = cursor.text()?,
        "localEndpoint" => parts.local = endpoint(cursor)?,
        "remoteEndpoint" => parts.remote = endpoint(cursor)?,
        "annotations" => {
            cursor.array(|cursor| annotation(cursor).map(|event| span.events.push(event)))?;
        }
        "tags" => {
            if cursor.peek() == Some(b'{') {
                cursor.plain_members(&mut span.attributes)?;
            } else {
                cursor.skip()?;
            }
        }
        "shared" => span.shared = cursor.boolean()?.unwrap_or_default(),
        "debug" => {
            if cursor.boolean()? == Some(true) {
                span.attributes.push(attribute("zipkin.debug", Value::Bool(true)));
            }
        }
        _ => {
            parts.any = known;
            cursor.skip()?;
        }
    }
    Ok(())
}

/// Settles what depends on several members of the span, and returns who sent it.
fn complete<'a>(span: &mut Span<'a>, mut parts: Parts<'a>) -> SenderKey<'a> {
    for (seen, field) in [(parts.trace_id, SpanField::TraceId), (parts.span_id, SpanField::SpanId)] {
        if !seen {
            span.malformed.push(Malformed { field, text: Cow::Borrowed("") });
        }
    }
    if !parts.kind {
        span.kind = SpanKind::Internal;
    }
    settle_times(span, parts.start.take(), parts.duration.take());
    let mut key = SenderKey { service: parts.local.service.take(), ..SenderKey::default() };
    take_mapped_tags(span, &mut key);
    let (first, second) = (parts.local.ipv4.take(), parts.local.ipv6.take());
    if let (Some(_), Some(address)) = (&first, &second) {
        span.attributes.push(attribute("network.local.address", Value::String(address.clone())));
    }
    key.address = first.or(second);
    push_port(span, "network.local.port", parts.local.port);
    if let Some(service) = parts.remote.service {
        span.attributes.push(attribute("peer.service", Value::String(service)));
    }
    for address in [parts.remote.ipv4, parts.remote.ipv6].into_iter().flatten() {
        span.attributes.push(attribute("network.peer.address", Value::String(address)));
    }
    push_port(span, "network.peer.port", parts.remote.port);
    key
}

fn push_port(span: &mut Span<'_>, key: &'static str, port: Option<u64>) {
    if let Some(port) = port.and_then(|port| i64::try_from(port).ok()).filter(|port| *port > 0) {
        span.attributes.push(attribute(key, Value::Int(port)));
    }
}

fn settle_times<'a>(span: &mut Span<'a>, start: Option<Cow<'a, str>>, duration: Option<Cow<'a, str>>) {
    span.start_ns = start.as_deref().and_then(|text| time_ns(text, UNIT_NS));
    let length = duration.as_deref().and_then(|text| signed_ns(text, UNIT_NS));
    span.end_ns = span.start_ns.zip(length).and_then(|(start, length)| start.checked_add(length));
    if span.start_ns.is_none() {
        let text = time_with_unit(start, "µs");
        span.malformed.push(Malformed { field: SpanField::StartTime, text });
    }
    if span.end_ns.is_none() {
        let text = time_with_unit(duration, "µs");
        span.malformed.push(Malformed { field: SpanField::EndTime, text });
    }
}

/// Takes the tags out that stand for fields of an OpenTelemetry span. The `error` tag stays: its
/// presence means failure and its value says why.
fn take_mapped_tags<'a>(span: &mut Span<'a>, key: &mut SenderKey<'a>) {
    let mut failed = false;
    let mut status = None;
    let mut library = [Cow::Borrowed(""), Cow::Borrowed("")];
    let mut attributes = std::mem::take(&mut span.attributes);
    attributes.retain_mut(|attribute| {
        if attribute.key == "error" {
            failed = true;
            return true;
        }
        let Value::String(text) = &mut attribute.value else {
            return true;
        };
        match attribute.key.as_ref() {
            "otel.status_code" => {
                let code = StatusCode::from_name(text);
                if code == StatusCode::Unset && !text.eq_ignore_ascii_case("unset") {
                    return true;
                }
                status = Some(code);
            }
            "otel.status_description" => span.status_message = std::mem::take(text),
            "otel.scope.name" => key.scope_name = std::mem::take(text),
            "otel.scope.version" => key.scope_version = std::mem::take(text),
            "otel.library.name" => library[0] = std::mem::take(text),
            "otel.library.version" => library[1] = std::mem::take(text),
            "w3c.tracestate" => span.trace_state = Some(std::mem::take(text)),
            _ => return true,
        }
        false
    });
    span.attributes = attributes;
    span.status = status.unwrap_or(if failed { StatusCode::Error } else { StatusCode::Unset });
    let [name, version] = library;
    if key.scope_name.is_empty() {
        key.scope_name = name;
    }
    if key.scope_version.is_empty() {
        key.scope_version = version;
    }
}

fn sender<'a>(key: &SenderKey<'a>) -> (Resource<'a>, Scope<'a>) {
    let mut resource = Resource::default();
    for (name, value) in [("service.name", &key.service), ("host.ip", &key.address)] {
        if let Some(value) = value {
            resource.attributes.push(attribute(name, Value::String(value.clone())));
        }
    }
    let scope =
        Scope { name: key.scope_name.clone(), version: key.scope_version.clone(), ..Scope::default() };
    (resource, scope)
}

/// Reads an endpoint; any other value is an empty one.
pub(super) fn endpoint<'a>(cursor: &mut Cursor<'a>) -> Result<Endpoint<'a>> {
    let mut endpoint = Endpoint::default();
    cursor.object(|cursor, key| {
        match key {
            "serviceName" => endpoint.service = cursor.text()?,
            "ipv4" => endpoint.ipv4 = cursor.string_or_skip()?,
            "ipv6" => endpoint.ipv6 = cursor.string_or_skip()?,
            "port" => endpoint.port = cursor.unsigned()?,
            _ => cursor.skip()?,
        }
        Ok(())
    })?;
    Ok(endpoint)
}

/// The time of an annotation, in ns.
pub(super) fn annotation_time(text: &str) -> Option<i64> {
    time_ns(text, UNIT_NS)
}

fn annotation<'a>(cursor: &mut Cursor<'a>) -> Result<Event<'a>> {
    let mut event = Event::default();
    cursor.object(|cursor, key| {
        match key {
            "timestamp" => event.time_ns = cursor.text()?.as_deref().and_then(annotation_time),
            "value" => event.name = cursor.text()?.unwrap_or_default(),
            _ => cursor.skip()?,
        }
        Ok(())
    })?;
    Ok(event)
}

fn attribute<'a>(key: &'static str, value: Value<'a>) -> Attribute<'a> {
    Attribute { key: Cow::Borrowed(key), value }
}

/// An absent parent is no fault; an absent trace or span id is one.
pub(super) fn id<'a, T>(
    span: &mut Span<'a>,
    read: IdText<T>,
    field: SpanField,
    text: Cow<'a, str>,
    sink: &mut dyn SpanSink,
) -> Option<T> {
    let found = match read {
        IdText::Valid(id, repair) => {
            if let Some(repair) = repair {
                sink.repaired(repair);
            }
            return Some(id);
        }
        IdText::Absent if field == SpanField::ParentSpanId => return None,
        IdText::Absent => None,
        IdText::Invalid(id) => Some(id),
    };
    span.malformed.push(Malformed { field, text });
    found
}

#[cfg(test)]
mod tests {
    use super::super::whole::testing::decode;
    use super::*;
    use crate::model::SpanId;

    const SPAN: &str = r#"{"traceId":"5af7183fb1d4cf5f","id":"352bff9a74ca9ad2","name":"get","timestamp":1767225600000000,"duration":5,"localEndpoint":{"serviceName":"shop","ipv4":"10.0.0.1"}}"#;

    #[test]
    fn reads_every_envelope() {
        for (text, count) in [
            (SPAN.to_owned(), 1),
            (format!("[{SPAN},{SPAN}]"), 2),
            (format!("[[{SPAN}],[],[{SPAN}]]"), 2),
            (format!("{SPAN}\n{SPAN}\n"), 2),
        ] {
            let told = decode(&ZipkinJson, text.as_str());
            assert_eq!(told.services(), vec!["shop"; count], "{text}");
            assert!(told.rejects.is_empty() && told.unreadable.is_empty());
            assert_eq!(told.whole.spans()[0].resource.text(&["host.ip"]), "10.0.0.1");
            assert_eq!(
                (told.spans()[0].kind, told.spans()[0].duration_ns()),
                (SpanKind::Internal, Some(5_000))
            );
        }
    }

    #[test]
    fn shared_errors_and_missing_times_are_told() {
        let told = decode(
            &ZipkinJson,
            r#"[{"traceId":"1","id":"2","parentId":"2","kind":"SERVER","shared":true,"timestamp":0,"tags":{"error":"500","otel.scope.name":"http"},
            "remoteEndpoint":{"serviceName":"web","ipv4":"10.0.0.2","port":80}},7,{"x":1}]"#,
        );
        let span = told.spans()[0];
        assert_eq!((span.parent_span_id, span.shared), (Some(SpanId(2)), true));
        assert_eq!((span.kind, span.status), (SpanKind::Server, StatusCode::Error));
        assert!(span.is_malformed(SpanField::StartTime) && span.is_malformed(SpanField::EndTime));
        let keys: Vec<&str> = span.attributes.iter().map(|attribute| attribute.key.as_ref()).collect();
        assert_eq!(keys, ["error", "peer.service", "network.peer.address", "network.peer.port"]);
        assert_eq!(told.whole.spans()[0].scope.name, "http");
        let reasons: Vec<RejectReason> = told.rejects.iter().map(|(_, reason)| *reason).collect();
        assert_eq!(reasons, [RejectReason::NotAnObject, RejectReason::NoSpanFields]);
    }
}
