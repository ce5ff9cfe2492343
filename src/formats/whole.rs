//! Whole spans: the depth of decoding that `show`, exemplars and re-linking stand on, and its way
//! back to OTLP JSON.

use std::borrow::Cow;
use std::fmt::Display;
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
    fn wants(&self, position: u64) -> bool {
        self.wanted.contains(position)
    }

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
    object.insert("traceId".to_owned(), id(span, SpanField::TraceId, Some(span.trace_id)));
    object.insert("spanId".to_owned(), id(span, SpanField::SpanId, Some(span.span_id)));
    let parent = id(span, SpanField::ParentSpanId, span.parent_span_id);
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
fn id(span: &Span<'_>, field: SpanField, id: Option<impl Display>) -> Json {
    match (malformed_text(span, field), id) {
        (Some(text), _) => json!(text),
        (None, Some(id)) => json!(id.to_string()),
        (None, None) => Json::Null,
    }
}

fn malformed_text<'s>(span: &'s Span<'_>, field: SpanField) -> Option<&'s str> {
    span.malformed.iter().find(|malformed| malformed.field == field).map(|malformed| malformed.text.as_ref())
}

/// A source may tell whether the parent is remote without having OTLP flags, or against them.
fn flags(span: &Span<'_>) -> Option<u32> {
    let Some(is_remote) = span.parent_is_remote else { return span.flags };
    let remote = if is_remote { 0x300 } else { 0x100 };
    Some(span.flags.unwrap_or_default() & !0x300 | remote)
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

/// What the tests of all formats use.
#[cfg(test)]
pub(super) mod testing {
    use super::super::{Block, Format, Limits};
    use super::*;
    use crate::model::SpanId;

    /// Everything that a decoder told.
    #[derive(Debug, Default)]
    pub(in super::super) struct Told {
        pub(in super::super) whole: WholeSpans,
        pub(in super::super) serials: Vec<usize>,
        pub(in super::super) rejects: Vec<(u64, RejectReason)>,
        pub(in super::super) unreadable: Vec<(u64, u64, String)>,
        pub(in super::super) limits: Vec<Limit>,
        pub(in super::super) limit_positions: Vec<u64>,
        pub(in super::super) repairs: Vec<Repair>,
        pub(in super::super) truncated: Vec<TraceId>,
        pub(in super::super) invented: Vec<(TraceId, SpanId)>,
        pub(in super::super) partial: Vec<String>,
    }

    impl Told {
        pub(in super::super) fn spans(&self) -> Vec<&Span<'static>> {
            self.whole.spans().iter().map(|whole| &whole.span).collect()
        }

        pub(in super::super) fn services(&self) -> Vec<&str> {
            self.whole.spans().iter().map(|whole| whole.resource.service_name()).collect()
        }
    }

    impl SpanSink for Told {
        fn span(&mut self, span: &mut Span<'_>, origin: Origin<'_, '_>) {
            let fresh = self.serials.iter().max().map_or(0, |most| most + 1);
            assert!(origin.serial <= fresh, "serials have no gaps");
            self.serials.push(origin.serial);
            self.whole.span(span, origin);
        }

        fn reject(&mut self, position: u64, reason: RejectReason) {
            self.rejects.push((position, reason));
        }

        fn unreadable(&mut self, position: u64, bytes: u64, reason: &str) {
            self.unreadable.push((position, bytes, reason.to_owned()));
        }

        fn limit(&mut self, position: u64, limit: Limit) {
            self.limit_positions.push(position);
            self.limits.push(limit);
        }

        fn repaired(&mut self, repair: Repair) {
            self.repairs.push(repair);
        }

        fn truncated_trace(&mut self, trace_id: TraceId) {
            self.truncated.push(trace_id);
        }

        fn invented_row(&mut self, trace_id: TraceId, span_id: SpanId) {
            self.invented.push((trace_id, span_id));
        }

        fn partial(&mut self, reason: &str) {
            self.partial.push(reason.to_owned());
        }
    }

    pub(in super::super) fn decode(format: &dyn Format, bytes: impl Into<Vec<u8>>) -> Told {
        decode_within(format, bytes, &Limits::default())
    }

    pub(in super::super) fn decode_within(
        format: &dyn Format,
        bytes: impl Into<Vec<u8>>,
        limits: &Limits,
    ) -> Told {
        let block = Block { bytes: bytes.into(), ..Block::default() };
        decode_block(format, &block, limits)
    }

    pub(in super::super) fn decode_block(format: &dyn Format, block: &Block, limits: &Limits) -> Told {
        let mut told = Told::default();
        format.decode(block, limits, &mut told);
        told
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::super::{
        ALL, Format, Head, Limits, by_name, clickhouse_jaeger, clickhouse_otel, consoles, detect,
        otlp_protobuf, signoz,
    };
    use super::testing::{Told, decode, decode_within};
    use super::*;
    use crate::model::SpanId;

    const OTLP: &str = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}],"droppedAttributesCount":1},
        "scopeSpans":[{"scope":{"name":"http","version":"1.0","attributes":[{"key":"a","value":{}}]},"spans":[
        {"traceId":"4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f","spanId":"a1a1a1a1a1a1a1a1","traceState":"","flags":257,"name":"GET /","kind":2,
         "startTimeUnixNano":"1767225600000000001","endTimeUnixNano":"1767225600000000000","status":{"code":2,"message":"no"},
         "attributes":[{"key":"i","value":{"intValue":"9007199254740993"}},{"key":"d","value":{"doubleValue":"-Infinity"}},
          {"key":"b","value":{"bytesValue":"AAEC"}},{"key":"l","value":{"arrayValue":{"values":[{"boolValue":true},{"doubleValue":0.1}]}}},
          {"key":"m","value":{"kvlistValue":{"values":[{"key":"k","value":{"stringValue":"v"}}]}}}],
         "droppedAttributesCount":2,"droppedEventsCount":3,"droppedLinksCount":4,
         "events":[{"timeUnixNano":"1767225600000000005","name":"e","attributes":[{"key":"x","value":{"intValue":1}}],"droppedAttributesCount":5}],
         "links":[{"traceId":"00000000000000000000000000000001","spanId":"0000000000000002","traceState":"v=1","flags":768,"droppedAttributesCount":6}]},
        {"traceId":"not hex","spanId":"","parentSpanId":"p-1","name":null,"startTimeUnixNano":"soon"}]}]}]}"#;

    const JAEGER: &str = r#"{"data":[{"traceID":"4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f","spans":[
        {"traceID":"4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f","spanID":"a1","operationName":"GET /","references":[],"startTime":1767225600000000,"duration":90000,"flags":1,
         "tags":[{"key":"span.kind","type":"string","value":"server"},{"key":"w3c.tracestate","type":"string","value":"v=1"},{"key":"n","type":"float64","value":1}],
         "logs":[{"timestamp":1767225600000001,"fields":[{"key":"event","type":"string","value":"e"}]}],"processID":"p1","warnings":["odd"]},
        {"traceID":"x","spanID":"b2","operationName":"POST","references":[{"refType":"CHILD_OF","traceID":"y","spanID":"z"}],"startTime":0,"duration":"7","processID":"p2"}],
        "processes":{"p1":{"serviceName":"shop","tags":[{"key":"host.name","type":"string","value":"h"}]},"p2":{"serviceName":"bill"}}}]}"#;

    const ZIPKIN: &str = r#"[[{"traceId":"4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f","id":"a1a1a1a1a1a1a1a1","kind":"SERVER","name":"get","timestamp":1767225600000000,"duration":90000,
        "localEndpoint":{"serviceName":"shop","ipv4":"10.0.0.1","port":80},"remoteEndpoint":{"ipv4":"10.0.0.2","port":5},"shared":true,
        "annotations":[{"timestamp":1767225600000001,"value":"e"}],"tags":{"error":"","otel.scope.name":"http"}},
        {"traceId":"4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f","id":"zz","parentId":"a1a1a1a1a1a1a1a1","timestamp":9223372036854775807,"duration":5}]]"#;

    const JAEGER_ES: &str = r#"{"index":{"_id":"1"}}
        {"traceID":"4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f","spanID":"a1","flags":769,"operationName":"GET /","parentSpanID":"e5","startTime":1767225600000000,"duration":90000,
         "tags":[{"key":"bin","type":"binary","value":"00ff"}],"tag":{"span@kind":"server","n":1},"process":{"serviceName":"shop","tag":{"host@name":"h"}}}
        {"_source":{"traceID":"x","spanID":"b2","operationName":"POST","references":[{"refType":"CHILD_OF","traceID":"y","spanID":"z"}],"startTime":"1"}}"#;

    const DATA_PREPPER: &str = r#"{"index":{"_id":"1"}}
        {"traceId":"4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f","spanId":"a1","parentSpanId":"","name":"GET /","kind":"SPAN_KIND_SERVER","startTime":"2026-01-01T00:00:00.000000001Z","endTime":"2026-01-01T00:00:01Z",
         "durationInNanos":1,"serviceName":"shop","span.attributes.http@method":"GET","resource.attributes.host@name":"h","instrumentationLibrary.name":"http","status.code":2}
        {"traceId":"x","spanId":"b2","name":"POST","startTime":"2026-01-01 00:00","endTime":"soon","resource":{"attributes":{"n":1.5}},"events":[{"name":"e","time":"2026-01-01"}],"links":[{"traceId":"9","spanId":"8"}]}"#;

    const ZIPKIN_V1: &str = r#"[[{"traceId":"4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f","id":"a1","name":"get","timestamp":1767225600000000,"duration":90,
        "annotations":[{"timestamp":1767225600000000,"value":"cs","endpoint":{"serviceName":"web","ipv4":"10.0.0.1","port":80}},{"timestamp":1767225600000010,"value":"sr","endpoint":{"serviceName":"shop"}},
         {"timestamp":1767225600000020,"value":"e"}],"binaryAnnotations":[{"key":"n","value":1.5,"endpoint":{"serviceName":"shop"}},{"key":"sa","value":true,"endpoint":{"serviceName":"db"}}]},
        {"traceId":"x","id":"zz","parentId":"a1","annotations":[]}]]"#;

    fn grafana() -> String {
        OTLP.replace("resourceSpans", "batches").replace("\"1767225600000000001\"", "1.7672256e+18")
    }

    fn otlp_json() -> &'static dyn Format {
        by_name("otlp-json").unwrap()
    }

    /// One input of every format.
    fn samples() -> Vec<(&'static dyn Format, Vec<u8>)> {
        vec![
            (otlp_json(), OTLP.into()),
            (by_name("jaeger-v3-json").unwrap(), format!(r#"{{"result":{OTLP}}}"#).into()),
            (by_name("tempo-json").unwrap(), format!(r#"{{"trace":{OTLP},"status":"PARTIAL"}}"#).into()),
            (by_name("grafana-tempo-json").unwrap(), grafana().into()),
            (by_name("jaeger-json").unwrap(), JAEGER.into()),
            (by_name("jaeger-es-json").unwrap(), JAEGER_ES.into()),
            (by_name("data-prepper-json").unwrap(), DATA_PREPPER.into()),
            (by_name("zipkin-json").unwrap(), ZIPKIN.into()),
            (by_name("go-stdout-json").unwrap(), consoles::tests::GO_SAMPLE.into()),
            (by_name("python-console-json").unwrap(), consoles::tests::PYTHON_SAMPLE.into()),
            (by_name("signoz-rows").unwrap(), signoz::tests::ROWS_SAMPLE.into()),
            (by_name("signoz-table").unwrap(), signoz::tests::TABLE_SAMPLE.into()),
            (by_name("signoz-waterfall").unwrap(), signoz::tests::WATERFALL_SAMPLE.into()),
            (by_name("signoz-trace").unwrap(), signoz::tests::TRACE_SAMPLE.into()),
            (by_name("clickhouse-otel-traces").unwrap(), clickhouse_otel::tests::ROWS_SAMPLE.into()),
            (by_name("clickhouse-otel-traces-table").unwrap(), clickhouse_otel::tests::TABLE_SAMPLE.into()),
            (by_name("clickhouse-jaeger-spans").unwrap(), clickhouse_jaeger::tests::ROWS_SAMPLE.into()),
            (
                by_name("clickhouse-jaeger-spans-table").unwrap(),
                clickhouse_jaeger::tests::TABLE_SAMPLE.into(),
            ),
            (by_name("zipkin-v1-json").unwrap(), ZIPKIN_V1.into()),
            (by_name("otlp-protobuf").unwrap(), otlp_protobuf::tests::sample()),
            (by_name("otlp-protobuf-frames").unwrap(), otlp_protobuf::tests::frames_sample()),
            (by_name("otlp-protobuf-delimited").unwrap(), otlp_protobuf::tests::delimited_sample()),
        ]
    }

    #[test]
    fn every_format_has_a_sample() {
        let names = |formats: Vec<&dyn Format>| {
            let mut names: Vec<&str> = formats.iter().map(|format| format.info().name).collect();
            names.sort_unstable();
            names
        };
        let sampled = samples().into_iter().map(|(format, _)| format).collect();
        assert_eq!(names(sampled), names(ALL.to_vec()));
    }

    #[test]
    fn flags_that_contradict_what_is_known_of_the_parent_give_way() {
        for (is_remote, written) in [(false, 0x101), (true, 0x301)] {
            let told = decode(otlp_json(), OTLP);
            let mut whole = told.whole.into_spans();
            (whole[0].span.flags, whole[0].span.parent_is_remote) = (Some(0x201), Some(is_remote));
            let again = decode(otlp_json(), to_otlp_json(&whole).to_string());
            let span = again.spans()[0];
            assert_eq!((span.flags, span.parent_is_remote), (Some(written), Some(is_remote)));
        }
    }

    fn comparable(mut whole: WholeSpan) -> WholeSpan {
        let span = &mut whole.span;
        span.position = 0;
        span.warnings.clear();
        span.shared = false;
        span.attributes.retain(|attribute| !attribute.key.starts_with('@'));
        span.malformed.sort_by_key(|malformed| malformed.field);
        whole
    }

    #[test]
    fn every_format_goes_to_otlp_json_and_back_without_loss() {
        for (format, bytes) in samples() {
            let name = format.info().name;
            let told = decode(format, bytes);
            assert!(told.spans().len() >= 2, "{name}");
            assert!(told.rejects.is_empty() && told.unreadable.is_empty(), "{name}: {told:?}");
            let whole = told.whole.into_spans();
            let expected: Vec<WholeSpan> = whole.iter().cloned().map(comparable).collect();
            let mut lines = Vec::new();
            write_otlp_json_lines(&whole, &mut lines).unwrap();
            for text in [to_otlp_json(&whole).to_string().into_bytes(), lines] {
                let again = decode(otlp_json(), text);
                assert!(again.rejects.is_empty() && again.unreadable.is_empty(), "{name}");
                let found: Vec<WholeSpan> = again.whole.into_spans().into_iter().map(comparable).collect();
                assert_eq!(found, expected, "{name}");
            }
        }
    }

    #[test]
    fn what_otlp_has_no_field_for_is_kept_in_attributes() {
        let jaeger = decode(by_name("jaeger-json").unwrap(), JAEGER).whole.into_spans();
        assert!(to_otlp_json(&jaeger).to_string().contains("@jaeger@warnings"));
        let zipkin = decode(by_name("zipkin-json").unwrap(), ZIPKIN).whole.into_spans();
        assert!(to_otlp_json(&zipkin).to_string().contains("@zipkin@shared"));
    }

    #[test]
    fn collects_only_what_is_wanted_and_shares_senders() {
        let told = decode(otlp_json(), OTLP);
        let second = told.spans()[1].position;
        let mut wanted = WholeSpans::new(Wanted::at(vec![second, second, 1]));
        let block = super::super::Block { bytes: OTLP.into(), ..Default::default() };
        otlp_json().decode(&block, &Limits::default(), &mut wanted);
        assert_eq!(wanted.spans().len(), 1);
        assert_eq!(wanted.spans()[0].span.position, second);
        let [one, two] = told.whole.spans() else { panic!("two spans") };
        assert!(Arc::ptr_eq(&one.resource, &two.resource));
    }

    #[test]
    fn serials_of_another_block_do_not_mix_senders() {
        let mut sink = WholeSpans::default();
        for service in ["a", "b"] {
            let mut text = String::new();
            write!(text, r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"{service}"}}}}]}},"scopeSpans":[{{"spans":[{{"name":"x"}}]}}]}}]}}"#).unwrap();
            let block = super::super::Block { bytes: text.into(), ..Default::default() };
            otlp_json().decode(&block, &Limits::default(), &mut sink);
        }
        let services: Vec<&str> = sink.spans().iter().map(|whole| whole.resource.service_name()).collect();
        assert_eq!(services, ["a", "b"]);
    }

    #[test]
    fn every_sample_is_detected_as_what_it_is() {
        for (format, bytes) in samples() {
            let found = format!("{:?}", detect(&Head::new(&bytes)));
            assert_eq!(found, format!("Known({:?})", format.info().name));
        }
    }

    #[test]
    fn span_ids_survive_as_numbers() {
        assert_eq!(decode(by_name("jaeger-json").unwrap(), JAEGER).spans()[0].span_id, SpanId(0xa1));
    }

    /// Small bounds, so that hostile lengths are met soon.
    fn tight() -> Limits {
        Limits { max_depth: 12, max_string: 64, max_record: 1 << 16, max_decompressed: 1 << 16 }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn damaged_input_is_accounted_for(
            cut in 0.0..1.0_f64,
            changes in proptest::collection::vec((0.0..1.0_f64, any::<u8>()), 0..4),
        ) {
            for (_, sample) in samples() {
                let place = |share: f64| (share * sample.len() as f64) as usize;
                let mut bytes = sample.clone();
                for (share, byte) in &changes {
                    bytes[place(*share)] = *byte;
                }
                if changes.len() % 2 == 1 {
                    bytes.truncate(place(cut));
                }
                let _ = detect(&Head::new(&bytes));
                for format in ALL {
                    for limits in [Limits::default(), tight()] {
                        accounts(&decode_within(*format, bytes.clone(), &limits), bytes.len() as u64)?;
                    }
                }
            }
        }
    }

    fn accounts(told: &Told, len: u64) -> Result<(), TestCaseError> {
        for (position, length, reason) in &told.unreadable {
            prop_assert!(position + length <= len && !reason.is_empty());
        }
        prop_assert!(told.unreadable.iter().map(|(_, bytes, _)| bytes).sum::<u64>() <= len);
        prop_assert!(told.rejects.iter().all(|(position, _)| *position < len));
        prop_assert!(told.spans().iter().all(|span| span.position < len));
        prop_assert!(told.limits.len() <= 1, "a bound ends the input");
        Ok(())
    }
}
