//! Whole spans in the words of every format that can be written: what the exporters and backends do
//! to them, including what they leave out.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;

use base64::Engine as _;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Status, TracesData, span};
use prost::Message as _;
use serde_json::{Map, Value as Json, json};
use tracemend::formats::whole::{Wanted, WholeSpan, WholeSpans, to_otlp_json, write_otlp_json_lines};
use tracemend::formats::{self, Limits};
use tracemend::model::time::rfc3339;
use tracemend::model::{Attribute, Link, SpanKind, StatusCode, TraceId, Value};
use tracemend::sources::blocks::BlockReader;
use tracemend::sources::{self, Input, InputKind};

/// One way to write spans down.
pub(crate) struct Form {
    /// What it is, for messages.
    pub(crate) name: &'static str,
    /// The format it has to be recognised as.
    pub(crate) format: &'static str,
    /// Writes the spans.
    pub(crate) write: fn(&[WholeSpan]) -> Vec<u8>,
}

const fn form(name: &'static str, format: &'static str, write: fn(&[WholeSpan]) -> Vec<u8>) -> Form {
    Form { name, format, write }
}

/// All of them.
pub(crate) static FORMS: &[Form] = &[
    form("document", "otlp-json", |spans| text(&to_otlp_json(spans))),
    form("pretty document", "otlp-json", |spans| pretty([to_otlp_json(spans)], 2)),
    form("snake_case", "otlp-json", |spans| text(&renamed(to_otlp_json(spans), &snake))),
    form("instrumentationLibrarySpans", "otlp-json", |spans| text(&renamed(to_otlp_json(spans), &library))),
    form("flat lines", "otlp-json", |spans| lines(spans.iter().map(flat_span))),
    form("gzip", "otlp-json", |spans| gzip(&otlp_lines(spans))),
    form("zstd", "otlp-json", |spans| zstd(&otlp_lines(spans))),
    form("log of a container", "otlp-json", |spans| container_log(&otlp_lines(spans), 700)),
    form("protobuf", "otlp-protobuf", protobuf),
    form("delimited protobuf", "otlp-protobuf-delimited", |spans| {
        spans.chunks(7).flat_map(|batch| messages(batch).encode_length_delimited_to_vec()).collect()
    }),
    form("frames", "otlp-protobuf-frames", |spans| {
        spans.chunks(7).flat_map(|batch| frame(&protobuf(batch))).collect()
    }),
    form("frames of zstd", "otlp-protobuf-frames", |spans| {
        spans.chunks(7).flat_map(|batch| frame(&zstd(&text(&to_otlp_json(batch))))).collect()
    }),
    form("Jaeger", "jaeger-json", |spans| text(&json!({ "data": jaeger_traces(spans), "errors": null }))),
    form("Jaeger v3", "jaeger-v3-json", |spans| text(&json!({ "result": to_otlp_json(spans) }))),
    form("Jaeger v3 stream", "jaeger-v3-json", |spans| {
        spans.chunks(5).flat_map(|part| text(&json!({ "result": to_otlp_json(part) }))).collect()
    }),
    form("Jaeger in Elasticsearch", "jaeger-es-json", |spans| {
        lines(spans.iter().map(|span| json!({ "_source": jaeger_document(span) })))
    }),
    form("Jaeger in ClickHouse", "clickhouse-jaeger-spans", |spans| lines(spans.iter().map(jaeger_row))),
    form("Zipkin", "zipkin-json", |spans| text(&spans.iter().map(zipkin_span).collect())),
    form("Zipkin v1", "zipkin-v1-json", |spans| text(&spans.iter().map(zipkin_v1_span).collect())),
    form("Tempo v1", "tempo-json", |spans| {
        by_trace(spans).into_iter().flat_map(|trace| text(&json!({ "batches": tempo(&trace) }))).collect()
    }),
    form("Tempo v2", "tempo-json", |spans| {
        let answer =
            |trace: Vec<WholeSpan>| json!({ "trace": { "resourceSpans": tempo(&trace) }, "metrics": {} });
        lines(by_trace(spans).into_iter().map(answer))
    }),
    form("Grafana", "grafana-tempo-json", |spans| text(&json!({ "batches": grafana(spans) }))),
    form("Data Prepper", "data-prepper-json", |spans| lines(spans.iter().map(data_prepper_document))),
    form("signoz_index_v3", "signoz-rows", |spans| lines(spans.iter().map(signoz_row))),
    form("signoz_index_v3 as TSV", "signoz-table", |spans| {
        tsv(&spans.iter().map(signoz_row).collect::<Vec<_>>())
    }),
    form("export_raw_data as JSON lines", "signoz-rows", |spans| lines(spans.iter().map(signoz_data))),
    form("export_raw_data as CSV", "signoz-table", |spans| {
        csv(&spans.iter().map(signoz_data).collect::<Vec<_>>())
    }),
    form("query_range", "signoz-rows", |spans| text(&signoz_answer(spans))),
    form("waterfall", "signoz-waterfall", |spans| {
        lines(by_trace(spans).iter().map(|trace| signoz_waterfall(trace)))
    }),
    form("SigNoz v1 trace", "signoz-trace", |spans| {
        text(&by_trace(spans).iter().map(|trace| signoz_trace(trace)).collect())
    }),
    form("otel_traces", "clickhouse-otel-traces", |spans| lines(spans.iter().map(otel_row))),
    form("otel_traces as JSONCompact", "clickhouse-otel-traces", |spans| {
        json_compact(&spans.iter().map(otel_row).collect::<Vec<_>>())
    }),
    form("otel_traces as TSV", "clickhouse-otel-traces-table", |spans| {
        tsv(&spans.iter().map(otel_row).collect::<Vec<_>>())
    }),
    form("Go console", "go-stdout-json", |spans| pretty(spans.iter().map(go_span), 1)),
    form("Python console", "python-console-json", |spans| pretty(spans.iter().map(python_span), 4)),
    form("Python console in the log of a container", "python-console-json", |spans| {
        container_log(&pretty(spans.iter().map(python_span), 4), 60)
    }),
];

fn text(value: &Json) -> Vec<u8> {
    value.to_string().into_bytes()
}

fn lines(values: impl Iterator<Item = Json>) -> Vec<u8> {
    values.map(|value| format!("{value}\n")).collect::<String>().into_bytes()
}

/// Values over many lines, one after the other.
fn pretty(values: impl IntoIterator<Item = Json>, indent: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let indent = b" ".repeat(indent);
    for value in values {
        let formatter = serde_json::ser::PrettyFormatter::with_indent(&indent);
        let mut serializer = serde_json::Serializer::with_formatter(&mut out, formatter);
        serde::Serialize::serialize(&value, &mut serializer).unwrap();
        out.push(b'\n');
    }
    out
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Every span of a text, whole.
pub(crate) fn whole_spans(bytes: &[u8], format: &str) -> Vec<WholeSpan> {
    let (limits, format) = (Limits::default(), formats::by_name(format).unwrap());
    let input = Input { path: "traces".to_owned(), kind: InputKind::Memory(&[]), named: true };
    let opened = sources::open_stream(&input, Box::new(bytes), &limits).unwrap();
    let mut blocks = BlockReader::new(opened, format.framing(), &limits);
    let mut sink = WholeSpans::new(Wanted::All);
    while let Ok(Some(block)) = blocks.next_block() {
        format.decode(&block, &limits, &mut sink);
    }
    sink.into_spans()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

/// The log of a container in Kubernetes, which cuts lines that are longer than `most`.
fn container_log(bytes: &[u8], most: usize) -> Vec<u8> {
    let mut out = String::new();
    for line in std::str::from_utf8(bytes).unwrap().lines() {
        let chars: Vec<char> = line.chars().collect();
        let count = chars.len().div_ceil(most).max(1);
        for number in 0..count {
            let part: String = chars.iter().skip(number * most).take(most).collect();
            let tag = if number + 1 == count { "F" } else { "P" };
            writeln!(out, "2026-03-02T09:30:00.000000001Z stdout {tag} {part}").unwrap();
        }
    }
    out.into_bytes()
}

fn by_trace(spans: &[WholeSpan]) -> Vec<Vec<WholeSpan>> {
    let mut traces: BTreeMap<TraceId, Vec<WholeSpan>> = BTreeMap::new();
    for span in spans {
        traces.entry(span.span.trace_id).or_default().push(span.clone());
    }
    traces.into_values().collect()
}

fn start(span: &WholeSpan) -> i64 {
    span.span.start_ns.unwrap()
}

fn duration(span: &WholeSpan) -> i64 {
    span.span.end_ns.unwrap() - start(span)
}

fn parent(span: &WholeSpan) -> String {
    span.span.parent_span_id.map(|id| id.to_string()).unwrap_or_default()
}

fn service(span: &WholeSpan) -> &str {
    span.resource.service_name()
}

/// `Server`
fn titled(name: &str) -> String {
    let (first, rest) = name.split_at(1);
    first.to_uppercase() + rest
}

fn plain(value: &Value<'_>) -> Json {
    match value {
        Value::Empty => Json::Null,
        Value::String(text) => json!(text),
        Value::Bool(flag) => json!(flag),
        Value::Int(number) => json!(number),
        Value::Double(number) => json!(number),
        Value::Bytes(bytes) => json!(base64::engine::general_purpose::STANDARD.encode(bytes)),
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Map(items) => plain_map(items),
    }
}

fn plain_map(attributes: &[Attribute<'_>]) -> Json {
    attributes.iter().map(|attribute| (attribute.key.clone().into_owned(), plain(&attribute.value))).collect()
}

fn as_text(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

fn text_map(attributes: &[Attribute<'_>]) -> Json {
    let entries = attributes.iter().map(|attribute| {
        (attribute.key.clone().into_owned(), Json::String(as_text(&plain(&attribute.value))))
    });
    entries.collect()
}

/// The same value with other member names; `rename` may give a new value as well.
fn renamed(value: Json, rename: &dyn Fn(&str, Json) -> (String, Json)) -> Json {
    match value {
        Json::Array(items) => items.into_iter().map(|item| renamed(item, rename)).collect(),
        Json::Object(members) => members
            .into_iter()
            .map(|(key, value)| {
                let (key, value) = rename(&key, value);
                (key, renamed(value, rename))
            })
            .collect::<Map<String, Json>>()
            .into(),
        other => other,
    }
}

/// JSON lines, as the Collector's file exporter writes them.
pub(crate) fn otlp_lines(spans: &[WholeSpan]) -> Vec<u8> {
    let mut out = Vec::new();
    write_otlp_json_lines(spans, &mut out).unwrap();
    out
}

fn snake(key: &str, value: Json) -> (String, Json) {
    let mut out = String::new();
    for char in key.chars() {
        if char.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(char.to_ascii_lowercase());
    }
    (out, value)
}

fn library(key: &str, value: Json) -> (String, Json) {
    let key = match key {
        "scopeSpans" => "instrumentationLibrarySpans",
        "scope" => "instrumentationLibrary",
        other => other,
    };
    (key.to_owned(), value)
}

/// A span with its sender among its members.
fn flat_span(span: &WholeSpan) -> Json {
    let document = to_otlp_json(std::slice::from_ref(span));
    let group = &document["resourceSpans"][0];
    let scope = &group["scopeSpans"][0];
    let mut members = scope["spans"][0].as_object().unwrap().clone();
    members.insert("resource".to_owned(), group["resource"].clone());
    members.insert("scope".to_owned(), scope["scope"].clone());
    members.into()
}

fn frame(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap();
    [&length.to_be_bytes(), payload].concat()
}

fn protobuf(spans: &[WholeSpan]) -> Vec<u8> {
    messages(spans).encode_to_vec()
}

fn messages(spans: &[WholeSpan]) -> TracesData {
    let resource_spans = spans.iter().map(|whole| {
        let scope = InstrumentationScope {
            name: whole.scope.name.clone().into_owned(),
            version: whole.scope.version.clone().into_owned(),
            attributes: key_values(&whole.scope.attributes),
            dropped_attributes_count: whole.scope.dropped_attributes,
        };
        let spans = vec![message(whole)];
        ResourceSpans {
            resource: Some(v1::Resource {
                attributes: key_values(&whole.resource.attributes),
                dropped_attributes_count: whole.resource.dropped_attributes,
                ..v1::Resource::default()
            }),
            scope_spans: vec![ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        }
    });
    TracesData { resource_spans: resource_spans.collect() }
}

fn message(whole: &WholeSpan) -> opentelemetry_proto::tonic::trace::v1::Span {
    let span = &whole.span;
    let events = span.events.iter().map(|event| span::Event {
        time_unix_nano: event.time_ns.unwrap_or_default() as u64,
        name: event.name.clone().into_owned(),
        attributes: key_values(&event.attributes),
        dropped_attributes_count: event.dropped_attributes,
    });
    let links = span.links.iter().map(|link| span::Link {
        trace_id: link.trace_id.0.to_be_bytes().to_vec(),
        span_id: link.span_id.0.to_be_bytes().to_vec(),
        trace_state: link.trace_state.clone().unwrap_or_default().into_owned(),
        attributes: key_values(&link.attributes),
        dropped_attributes_count: link.dropped_attributes,
        flags: link.flags.unwrap_or_default(),
    });
    opentelemetry_proto::tonic::trace::v1::Span {
        trace_id: span.trace_id.0.to_be_bytes().to_vec(),
        span_id: span.span_id.0.to_be_bytes().to_vec(),
        trace_state: span.trace_state.clone().unwrap_or_default().into_owned(),
        parent_span_id: span.parent_span_id.map(|id| id.0.to_be_bytes().to_vec()).unwrap_or_default(),
        flags: span.flags.unwrap_or_default(),
        name: span.name.clone().into_owned(),
        kind: otlp_kind(span.kind),
        start_time_unix_nano: start(whole) as u64,
        end_time_unix_nano: (start(whole) + duration(whole)) as u64,
        attributes: key_values(&span.attributes),
        dropped_attributes_count: span.dropped_attributes,
        events: events.collect(),
        dropped_events_count: span.dropped_events,
        links: links.collect(),
        dropped_links_count: span.dropped_links,
        status: Some(Status {
            message: span.status_message.clone().into_owned(),
            code: match span.status {
                StatusCode::Unset => 0,
                StatusCode::Ok => 1,
                StatusCode::Error => 2,
            },
        }),
    }
}

fn key_values(attributes: &[Attribute<'_>]) -> Vec<KeyValue> {
    let entries = attributes.iter().map(|attribute| KeyValue {
        key: attribute.key.clone().into_owned(),
        value: Some(AnyValue { value: any_value(&attribute.value) }),
        ..KeyValue::default()
    });
    entries.collect()
}

fn any_value(value: &Value<'_>) -> Option<any_value::Value> {
    Some(match value {
        Value::String(text) => any_value::Value::StringValue(text.clone().into_owned()),
        Value::Bool(flag) => any_value::Value::BoolValue(*flag),
        Value::Int(number) => any_value::Value::IntValue(*number),
        Value::Double(number) => any_value::Value::DoubleValue(*number),
        Value::Empty => return None,
        other => any_value::Value::StringValue(plain(other).to_string()),
    })
}

fn otlp_kind(kind: SpanKind) -> i32 {
    match kind {
        SpanKind::Unspecified => 0,
        SpanKind::Internal => 1,
        SpanKind::Server => 2,
        SpanKind::Client => 3,
        SpanKind::Producer => 4,
        SpanKind::Consumer => 5,
    }
}

fn tag(key: &str, value: &Json) -> Json {
    let (kind, value) = match value {
        Json::Bool(flag) => ("bool", json!(flag)),
        Json::Number(number) if number.is_f64() => ("float64", json!(number)),
        Json::Number(number) => ("int64", json!(number)),
        other => ("string", json!(as_text(other))),
    };
    json!({ "key": key, "type": kind, "value": value })
}

fn tags(attributes: &[Attribute<'_>]) -> Vec<Json> {
    attributes.iter().map(|attribute| tag(&attribute.key, &plain(&attribute.value))).collect()
}

/// What Jaeger's query service and its storage in Elasticsearch have in common.
fn jaeger_span(whole: &WholeSpan) -> Map<String, Json> {
    let span = &whole.span;
    let mut tags = tags(&span.attributes);
    let mut add = |key: &str, value: &str| {
        if !value.is_empty() {
            tags.push(tag(key, &json!(value)));
        }
    };
    if span.kind != SpanKind::Unspecified {
        add("span.kind", span.kind.as_str());
    }
    match span.status {
        StatusCode::Unset => {}
        code => add("otel.status_code", &code.as_str().to_uppercase()),
    }
    add("otel.status_description", &span.status_message);
    add("otel.scope.name", &whole.scope.name);
    add("otel.scope.version", &whole.scope.version);
    add("w3c.tracestate", span.trace_state.as_deref().unwrap_or_default());
    let reference =
        |kind: &str, trace: String, id: String| json!({"refType": kind, "traceID": trace, "spanID": id});
    let own = span.trace_id.to_string();
    let mut references: Vec<Json> =
        span.parent_span_id.iter().map(|id| reference("CHILD_OF", own.clone(), id.to_string())).collect();
    let links = span.links.iter();
    references.extend(
        links.map(|link| reference("FOLLOWS_FROM", link.trace_id.to_string(), link.span_id.to_string())),
    );
    let logs = span.events.iter().map(|event| {
        let mut fields = tags_with_name(&event.name);
        fields.extend(self::tags(&event.attributes));
        json!({"timestamp": event.time_ns.unwrap_or_default() / 1_000, "fields": fields})
    });
    let mut out = Map::new();
    out.insert("traceID".to_owned(), json!(own));
    out.insert("spanID".to_owned(), json!(span.span_id.to_string()));
    out.insert("operationName".to_owned(), json!(span.name));
    out.insert("references".to_owned(), references.into());
    out.insert("startTime".to_owned(), json!(start(whole) / 1_000));
    out.insert("duration".to_owned(), json!(duration(whole).max(0) / 1_000));
    out.insert("tags".to_owned(), tags.into());
    out.insert("logs".to_owned(), logs.collect());
    // Jaeger's collector lets no span end before it starts.
    if duration(whole) <= 0 {
        let printed = |ns: i64| rfc3339(ns).replace('T', " ").replace('Z', " +0000 UTC");
        let warning = format!(
            "Negative duration detected, sanitizing end timestamp. Original end timestamp: {}, adjusted to: {}",
            printed(start(whole) + duration(whole)),
            printed(start(whole) + 1)
        );
        out.insert("warnings".to_owned(), json!([warning]));
    }
    out
}

fn tags_with_name(name: &str) -> Vec<Json> {
    vec![tag("event", &json!(name))]
}

fn process(whole: &WholeSpan) -> Json {
    let tags: Vec<Json> =
        tags(&whole.resource.attributes).into_iter().filter(|tag| tag["key"] != "service.name").collect();
    let name = if service(whole).is_empty() { "OTLPResourceNoServiceName" } else { service(whole) };
    json!({ "serviceName": name, "tags": tags })
}

fn jaeger_traces(spans: &[WholeSpan]) -> Json {
    let traces = by_trace(spans).into_iter().map(|trace| {
        let mut processes: Vec<Json> = Vec::new();
        let spans: Vec<Json> = trace
            .iter()
            .map(|span| {
                let process = process(span);
                let number = processes.iter().position(|known| *known == process).unwrap_or_else(|| {
                    processes.push(process);
                    processes.len() - 1
                });
                let mut out = jaeger_span(span);
                out.insert("flags".to_owned(), json!(span.span.flags.unwrap_or_default() & 1));
                out.insert("processID".to_owned(), json!(format!("p{number}")));
                out.into()
            })
            .collect();
        let processes: Map<String, Json> = processes
            .into_iter()
            .enumerate()
            .map(|(number, process)| (format!("p{number}"), process))
            .collect();
        json!({"traceID": trace[0].span.trace_id.to_string(), "spans": spans, "processes": processes})
    });
    traces.collect()
}

fn jaeger_document(whole: &WholeSpan) -> Json {
    let mut out = jaeger_span(whole);
    out.insert("flags".to_owned(), json!(whole.span.flags.unwrap_or_default()));
    out.insert("startTimeMillis".to_owned(), json!(start(whole) / 1_000_000));
    out.insert("process".to_owned(), process(whole));
    out.into()
}

fn jaeger_row(whole: &WholeSpan) -> Json {
    let span = &whole.span;
    let mut row = json!({
        "id": span.span_id.to_string(), "trace_id": span.trace_id.to_string(),
        "trace_state": span.trace_state.as_deref().unwrap_or_default(), "parent_span_id": parent(whole),
        "name": span.name, "kind": if span.kind == SpanKind::Unspecified { "" } else { span.kind.as_str() },
        "start_time": clickhouse_time(start(whole)), "duration": duration(whole).to_string(),
        "status_code": titled(span.status.as_str()), "status_message": span.status_message,
        "flags": span.flags.unwrap_or_default(), "dropped_attributes_count": span.dropped_attributes,
        "dropped_events_count": span.dropped_events, "dropped_links_count": span.dropped_links,
        "events.name": span.events.iter().map(|event| json!(event.name)).collect::<Json>(),
        "events.timestamp": span.events.iter().map(|event| json!(clickhouse_time(event.time_ns.unwrap_or_default()))).collect::<Json>(),
        "events.str_attributes": span.events.iter().map(|event| tuples(&event.attributes)).collect::<Json>(),
        "links.trace_id": span.links.iter().map(|link| json!(link.trace_id.to_string())).collect::<Json>(),
        "links.span_id": span.links.iter().map(|link| json!(link.span_id.to_string())).collect::<Json>(),
        "links.trace_state": span.links.iter().map(|link| json!(link.trace_state.as_deref().unwrap_or_default())).collect::<Json>(),
        "service_name": service(whole), "scope_name": whole.scope.name, "scope_version": whole.scope.version,
    });
    let members = row.as_object_mut().unwrap();
    for (owner, attributes) in [("", &span.attributes), ("resource_", &whole.resource.attributes)] {
        for kind in ["bool", "int", "double", "str"] {
            let of_kind: Vec<(Json, Json)> = attributes
                .iter()
                .map(|attribute| (json!(attribute.key), plain(&attribute.value)))
                .filter(|(_, value)| typed(value) == kind)
                .collect();
            let (keys, values): (Vec<Json>, Vec<Json>) = of_kind.into_iter().unzip();
            members.insert(format!("{owner}{kind}_attributes.key"), keys.into());
            members.insert(format!("{owner}{kind}_attributes.value"), values.into());
        }
    }
    row
}

fn typed(value: &Json) -> &'static str {
    match value {
        Json::Bool(_) => "bool",
        Json::Number(number) if number.is_f64() => "double",
        Json::Number(_) => "int",
        _ => "str",
    }
}

fn tuples(attributes: &[Attribute<'_>]) -> Json {
    let tuple = |attribute: &Attribute<'_>| json!([attribute.key, as_text(&plain(&attribute.value))]);
    attributes.iter().map(tuple).collect()
}

fn zipkin_tags(whole: &WholeSpan) -> Map<String, Json> {
    let span = &whole.span;
    let Json::Object(mut tags) = text_map(&span.attributes) else { unreachable!("it is a map") };
    if span.status == StatusCode::Error {
        tags.insert("error".to_owned(), json!(span.status_message));
        tags.insert("otel.status_code".to_owned(), json!("ERROR"));
    }
    if !whole.scope.name.is_empty() {
        tags.insert("otel.scope.name".to_owned(), json!(whole.scope.name));
        tags.insert("otel.scope.version".to_owned(), json!(whole.scope.version));
    }
    tags
}

/// In µs; exporters round up, because to Zipkin nothing means unknown.
fn zipkin_duration(whole: &WholeSpan) -> i64 {
    let ns = duration(whole);
    if (0..1_000).contains(&ns) { 1 } else { ns / 1_000 }
}

fn zipkin_span(whole: &WholeSpan) -> Json {
    let span = &whole.span;
    let annotations = span
        .events
        .iter()
        .map(|event| json!({"timestamp": event.time_ns.unwrap_or_default() / 1_000, "value": event.name}));
    let mut out = json!({
        "traceId": span.trace_id.to_string(), "id": span.span_id.to_string(), "name": span.name,
        "timestamp": start(whole) / 1_000, "duration": zipkin_duration(whole),
        "localEndpoint": {"serviceName": service(whole)}, "annotations": annotations.collect::<Json>(),
        "tags": zipkin_tags(whole),
    });
    if let Some(parent) = span.parent_span_id {
        out["parentId"] = json!(parent.to_string());
    }
    if !matches!(span.kind, SpanKind::Unspecified | SpanKind::Internal) {
        out["kind"] = json!(span.kind.as_str().to_uppercase());
    }
    out
}

fn zipkin_v1_span(whole: &WholeSpan) -> Json {
    let span = &whole.span;
    let endpoint = json!({"serviceName": service(whole)});
    let (begins, ends) = (start(whole) / 1_000, start(whole) / 1_000 + zipkin_duration(whole));
    let core: &[(&str, i64)] = match span.kind {
        SpanKind::Client => &[("cs", begins), ("cr", ends)],
        SpanKind::Server => &[("sr", begins), ("ss", ends)],
        SpanKind::Producer => &[("ms", begins)],
        SpanKind::Consumer => &[("mr", begins)],
        SpanKind::Unspecified | SpanKind::Internal => &[],
    };
    let annotation =
        |value: &str, time: i64| json!({"timestamp": time, "value": value, "endpoint": endpoint});
    let mut annotations: Vec<Json> = core.iter().map(|(value, time)| annotation(value, *time)).collect();
    annotations.extend(
        span.events.iter().map(|event| annotation(&event.name, event.time_ns.unwrap_or_default() / 1_000)),
    );
    let mut tags: Vec<Json> = zipkin_tags(whole)
        .into_iter()
        .map(|(key, value)| json!({"key": key, "value": value, "endpoint": endpoint}))
        .collect();
    tags.push(json!({"key": "lc", "value": "", "endpoint": endpoint}));
    let mut out = json!({
        "traceId": span.trace_id.to_string(), "id": span.span_id.to_string(), "name": span.name,
        "timestamp": begins, "duration": ends - begins, "annotations": annotations, "binaryAnnotations": tags,
    });
    if let Some(parent) = span.parent_span_id {
        out["parentId"] = json!(parent.to_string());
    }
    out
}

/// Protobuf's own JSON, with ids in base64 and enums by name.
fn tempo(spans: &[WholeSpan]) -> Json {
    let rename = |key: &str, value: Json| {
        let base64 = |hex: &str| {
            let bytes: Vec<u8> = (0..hex.len() / 2)
                .map(|at| u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).unwrap())
                .collect();
            json!(base64::engine::general_purpose::STANDARD.encode(bytes))
        };
        let value = match (key, &value) {
            ("traceId" | "spanId" | "parentSpanId", Json::String(hex)) => base64(hex),
            ("kind", Json::Number(number)) => {
                let kind = SpanKind::from_otlp(number.as_u64().unwrap());
                json!(format!("SPAN_KIND_{}", kind.as_str().to_uppercase()))
            }
            ("code", Json::Number(number)) => {
                let code = StatusCode::from_otlp(number.as_u64().unwrap());
                json!(format!("STATUS_CODE_{}", code.as_str().to_uppercase()))
            }
            _ => value,
        };
        (key.to_owned(), value)
    };
    renamed(to_otlp_json(spans)["resourceSpans"].clone(), &rename)
}

/// Grafana groups by service and keeps the resource of the first span; times went through floating
/// point.
fn grafana(spans: &[WholeSpan]) -> Json {
    let mut services: BTreeMap<&str, Vec<WholeSpan>> = BTreeMap::new();
    for span in spans {
        let group = services.entry(service(span)).or_default();
        let resource =
            group.first().map_or_else(|| span.resource.clone(), |first: &WholeSpan| first.resource.clone());
        let mut bare = span.clone();
        bare.resource = resource;
        (bare.span.flags, bare.span.parent_is_remote) = (None, None);
        (bare.span.dropped_attributes, bare.span.dropped_events, bare.span.dropped_links) = (0, 0, 0);
        group.push(bare);
    }
    let rename = |key: &str, value: Json| {
        let (key, value) = library(key, value);
        let value = match (&*key, value.as_str()) {
            ("startTimeUnixNano" | "endTimeUnixNano" | "timeUnixNano", Some(digits)) => {
                json!(digits.parse::<f64>().unwrap())
            }
            _ => value,
        };
        (key, value)
    };
    let groups = services.into_values().flat_map(|group| {
        let Json::Array(groups) = to_otlp_json(&group)["resourceSpans"].take() else {
            unreachable!("a list")
        };
        groups
    });
    groups.map(|group| renamed(group, &rename)).collect()
}

fn data_prepper_document(whole: &WholeSpan) -> Json {
    let span = &whole.span;
    let events = span.events.iter().map(|event| {
        json!({"name": event.name, "time": rfc3339(event.time_ns.unwrap_or_default()), "attributes": plain_map(&event.attributes)})
    });
    let links = span.links.iter().map(|link| {
        json!({"traceId": link.trace_id.to_string(), "spanId": link.span_id.to_string(), "attributes": plain_map(&link.attributes)})
    });
    json!({
        "traceId": span.trace_id.to_string(), "spanId": span.span_id.to_string(), "parentSpanId": parent(whole),
        "traceState": span.trace_state.as_deref().unwrap_or_default(), "name": span.name,
        "kind": format!("SPAN_KIND_{}", span.kind.as_str().to_uppercase()), "flags": span.flags,
        "startTime": rfc3339(start(whole)), "endTime": rfc3339(start(whole) + duration(whole)),
        "durationInNanos": duration(whole), "serviceName": service(whole),
        "resource": {"attributes": plain_map(&whole.resource.attributes)},
        "instrumentationScope": {"name": whole.scope.name, "version": whole.scope.version},
        "attributes": plain_map(&span.attributes), "events": events.collect::<Json>(), "links": links.collect::<Json>(),
        "status": {"code": otlp_status(span.status), "message": span.status_message},
        "droppedAttributesCount": span.dropped_attributes, "droppedEventsCount": span.dropped_events,
        "droppedLinksCount": span.dropped_links,
    })
}

fn otlp_status(status: StatusCode) -> u8 {
    match status {
        StatusCode::Unset => 0,
        StatusCode::Ok => 1,
        StatusCode::Error => 2,
    }
}

fn clickhouse_time(ns: i64) -> String {
    rfc3339(ns).replace('T', " ").replace('Z', "")
}

fn otel_row(whole: &WholeSpan) -> Json {
    let span = &whole.span;
    let of_links = |part: fn(&Link<'_>) -> Json| span.links.iter().map(part).collect::<Json>();
    json!({
        "Timestamp": clickhouse_time(start(whole)), "TraceId": span.trace_id.to_string(),
        "SpanId": span.span_id.to_string(), "ParentSpanId": parent(whole),
        "TraceState": span.trace_state.as_deref().unwrap_or_default(), "SpanName": span.name,
        "SpanKind": titled(span.kind.as_str()), "ServiceName": service(whole),
        "ResourceAttributes": text_map(&whole.resource.attributes), "ScopeName": whole.scope.name,
        "ScopeVersion": whole.scope.version, "SpanAttributes": text_map(&span.attributes),
        // The column is unsigned.
        "Duration": (duration(whole) as u64).to_string(),
        "StatusCode": titled(span.status.as_str()), "StatusMessage": span.status_message,
        "Events.Timestamp": span.events.iter().map(|event| json!(clickhouse_time(event.time_ns.unwrap_or_default()))).collect::<Json>(),
        "Events.Name": span.events.iter().map(|event| json!(event.name)).collect::<Json>(),
        "Events.Attributes": span.events.iter().map(|event| text_map(&event.attributes)).collect::<Json>(),
        "Links.TraceId": of_links(|link| json!(link.trace_id.to_string())),
        "Links.SpanId": of_links(|link| json!(link.span_id.to_string())),
        "Links.TraceState": of_links(|link| json!(link.trace_state.as_deref().unwrap_or_default())),
        "Links.Attributes": of_links(|link| text_map(&link.attributes)),
    })
}

fn columns(rows: &[Json]) -> Vec<String> {
    rows[0].as_object().unwrap().keys().cloned().collect()
}

/// Columns once, before the rows.
fn json_compact(rows: &[Json]) -> Vec<u8> {
    let names = columns(rows);
    let lists = rows.iter().map(|row| names.iter().map(|name| row[name].clone()).collect::<Json>());
    let meta = names.iter().map(|name| json!({"name": name, "type": "String"}));
    let (meta, lists) = (meta.collect::<Json>(), lists.collect::<Json>());
    format!(r#"{{"meta":{meta},"data":{lists},"rows":{}}}"#, rows.len()).into_bytes()
}

fn tsv(rows: &[Json]) -> Vec<u8> {
    let names = columns(rows);
    let escaped = |text: &str| text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n");
    let cell = |value: &Json| match value {
        Json::Array(_) | Json::Object(_) => literal(value),
        other => escaped(&as_text(other)),
    };
    let mut out = names.join("\t") + "\n";
    for row in rows {
        let cells: Vec<String> = names.iter().map(|name| cell(&row[name])).collect();
        out += &(cells.join("\t") + "\n");
    }
    out.into_bytes()
}

/// A value inside a TSV as `ClickHouse` writes it.
fn literal(value: &Json) -> String {
    match value {
        Json::Array(items) => format!("[{}]", items.iter().map(literal).collect::<Vec<_>>().join(",")),
        Json::Object(members) => {
            let entries =
                members.iter().map(|(key, value)| format!("{}:{}", literal(&json!(key)), literal(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
        }
        Json::String(text) => format!(
            "'{}'",
            text.replace('\\', "\\\\").replace('\'', "\\'").replace('\n', "\\n").replace('\t', "\\t")
        ),
        other => other.to_string(),
    }
}

/// The links of a span in `SigNoz` begin with a reference to its parent.
fn signoz_links(whole: &WholeSpan) -> Vec<Json> {
    let span = &whole.span;
    let mut first = json!({"traceId": span.trace_id.to_string(), "refType": "CHILD_OF"});
    if let Some(parent) = span.parent_span_id {
        first["spanId"] = json!(parent.to_string());
    }
    let links = span.links.iter().map(|link| {
        json!({"traceId": link.trace_id.to_string(), "spanId": link.span_id.to_string(), "refType": "FOLLOWS_FROM"})
    });
    std::iter::once(first).chain(links).collect()
}

/// What all rows of `SigNoz` have in common.
fn signoz_cells(whole: &WholeSpan) -> Map<String, Json> {
    let span = &whole.span;
    let remote = match span.parent_is_remote {
        Some(true) => "yes",
        Some(false) => "no",
        None => "unknown",
    };
    let cells = json!({
        "trace_id": span.trace_id.to_string(), "span_id": span.span_id.to_string(), "parent_span_id": parent(whole),
        "trace_state": span.trace_state.as_deref().unwrap_or_default(), "flags": span.flags.unwrap_or_default(),
        "name": span.name, "kind": otlp_kind(span.kind), "kind_string": titled(span.kind.as_str()),
        // The column is unsigned.
        "duration_nano": duration(whole) as u64,
        "status_code": otlp_status(span.status), "status_code_string": titled(span.status.as_str()),
        "status_message": span.status_message, "has_error": span.status == StatusCode::Error, "is_remote": remote,
    });
    cells.as_object().unwrap().clone()
}

/// `SigNoz` names the service that has none.
fn signoz_resource(whole: &WholeSpan) -> Json {
    let mut resource = text_map(&whole.resource.attributes);
    if service(whole).is_empty() {
        resource["service.name"] = json!("<nil-service-name>");
    }
    resource
}

fn signoz_row(whole: &WholeSpan) -> Json {
    let mut row = signoz_cells(whole);
    let attributes = |wanted: &[&str]| -> Json {
        let values = whole
            .span
            .attributes
            .iter()
            .map(|attribute| (attribute.key.clone().into_owned(), plain(&attribute.value)));
        values.filter(|(_, value)| wanted.contains(&typed(value))).collect()
    };
    row.insert("timestamp".to_owned(), json!(clickhouse_time(start(whole))));
    row.insert("attributes_string".to_owned(), attributes(&["str"]));
    row.insert("attributes_number".to_owned(), attributes(&["int", "double"]));
    row.insert("attributes_bool".to_owned(), attributes(&["bool"]));
    row.insert("resources_string".to_owned(), signoz_resource(whole));
    row.insert("links".to_owned(), json!(Json::from(signoz_links(whole)).to_string()));
    let events = whole.span.events.iter().map(|event| {
        let event = json!({"name": event.name, "timeUnixNano": event.time_ns, "attributeMap": text_map(&event.attributes)});
        json!(event.to_string())
    });
    row.insert("events".to_owned(), events.collect());
    row.into()
}

fn signoz_data(whole: &WholeSpan) -> Json {
    let mut row = signoz_cells(whole);
    row.insert("timestamp".to_owned(), json!(rfc3339(start(whole))));
    row.insert("attributes".to_owned(), plain_map(&whole.span.attributes));
    row.insert("resource".to_owned(), signoz_resource(whole));
    row.insert("links".to_owned(), signoz_links(whole).into());
    let events = whole.span.events.iter().map(|event| {
        json!({"name": event.name, "timeUnixNano": event.time_ns, "attributes": text_map(&event.attributes)})
    });
    row.insert("events".to_owned(), events.collect());
    row.into()
}

fn signoz_answer(spans: &[WholeSpan]) -> Json {
    let rows = spans.iter().map(signoz_data).map(|row| json!({"timestamp": row["timestamp"], "data": row}));
    let results = json!([{"queryName": "A", "nextCursor": "", "rows": rows.collect::<Json>()}]);
    json!({"status": "success", "data": {"type": "raw", "data": {"results": results}, "meta": {"rowsScanned": spans.len()}}})
}

fn csv(rows: &[Json]) -> Vec<u8> {
    let mut names = columns(rows);
    names.retain(|name| name != "timestamp");
    names.sort();
    names.insert(0, "timestamp".to_owned());
    let cell = |value: &Json| {
        let text = as_text(value);
        let guarded = if text.starts_with(['=', '+', '-', '@']) { format!("'{text}") } else { text };
        if guarded.contains(['"', ',', '\n']) {
            format!("\"{}\"", guarded.replace('"', "\"\""))
        } else {
            guarded
        }
    };
    let mut out = names.join(",") + "\n";
    for row in rows {
        let cells: Vec<String> = names.iter().map(|name| cell(&row[name])).collect();
        out += &(cells.join(",") + "\n");
    }
    out.into_bytes()
}

/// One span for each id, and rows for parents that are missing.
fn signoz_waterfall(trace: &[WholeSpan]) -> Json {
    let mut known = Vec::new();
    let mut rows = Vec::new();
    for whole in trace {
        if known.contains(&whole.span.span_id) {
            continue;
        }
        known.push(whole.span.span_id);
        let mut row = signoz_cells(whole);
        row.remove("kind");
        row.insert("time_unix".to_owned(), json!(start(whole) / 1_000_000));
        row.insert("attributes".to_owned(), plain_map(&whole.span.attributes));
        row.insert("resource".to_owned(), signoz_resource(whole));
        row.insert("references".to_owned(), signoz_links(whole).into());
        rows.push(Json::from(row));
    }
    let total = rows.len();
    for whole in trace {
        let Some(parent) = whole.span.parent_span_id.filter(|parent| !known.contains(parent)) else {
            continue;
        };
        known.push(parent);
        let row = json!({
            "trace_id": whole.span.trace_id.to_string(), "span_id": parent.to_string(), "parent_span_id": "",
            "name": "Missing Span", "kind_string": "", "resource": {}, "attributes": {},
            "time_unix": start(whole) / 1_000_000, "duration_nano": duration(whole) as u64,
        });
        rows.insert(0, row);
    }
    let is_missing = rows.len() > total;
    let data =
        json!({"spans": rows, "hasMissingSpans": is_missing, "hasMore": false, "totalSpansCount": total});
    json!({"status": "success", "data": data})
}

fn signoz_trace(trace: &[WholeSpan]) -> Json {
    const COLUMNS: [&str; 15] = [
        "__time",
        "SpanId",
        "TraceId",
        "ServiceName",
        "Name",
        "Kind",
        "DurationNano",
        "TagsKeys",
        "TagsValues",
        "References",
        "Events",
        "HasError",
        "StatusMessage",
        "StatusCodeString",
        "SpanKind",
    ];
    let rows = trace.iter().map(|whole| {
        let span = &whole.span;
        let tags = text_map(&span.attributes);
        let tags = tags.as_object().unwrap();
        let references = signoz_links(whole).into_iter().map(|link| {
            let id = link["spanId"].as_str().unwrap_or_default();
            let (trace, kind) = (link["traceId"].as_str().unwrap(), link["refType"].as_str().unwrap());
            json!(format!("{{TraceId={trace}, SpanId={id}, RefType={kind}}}"))
        });
        let service = if service(whole).is_empty() { "<nil-service-name>" } else { service(whole) };
        json!([
            start(whole) / 1_000_000,
            span.span_id.to_string(),
            span.trace_id.to_string(),
            service,
            span.name,
            otlp_kind(span.kind).to_string(),
            (duration(whole) as u64).to_string(),
            tags.keys().collect::<Vec<_>>(),
            tags.values().collect::<Vec<_>>(),
            references.collect::<Json>(),
            [],
            span.status == StatusCode::Error,
            span.status_message,
            titled(span.status.as_str()),
            titled(span.kind.as_str()),
        ])
    });
    json!({"startTimestampMillis": 0, "columns": COLUMNS, "events": rows.collect::<Json>(), "isSubTree": false})
}

fn go_attributes(attributes: &[Attribute<'_>]) -> Json {
    let entry = |attribute: &Attribute<'_>| {
        let value = plain(&attribute.value);
        let kind = match typed(&value) {
            "bool" => "BOOL",
            "int" => "INT64",
            "double" => "FLOAT64",
            _ => "STRING",
        };
        json!({"Key": attribute.key, "Value": {"Type": kind, "Value": value}})
    };
    attributes.iter().map(entry).collect()
}

fn go_context(trace: &str, span: &str, flags: u32, is_remote: bool) -> Json {
    json!({"TraceID": trace, "SpanID": span, "TraceFlags": format!("{:02x}", flags & 0xff), "TraceState": "", "Remote": is_remote})
}

fn go_span(whole: &WholeSpan) -> Json {
    let span = &whole.span;
    let trace = span.trace_id.to_string();
    let parent = match span.parent_span_id {
        Some(parent) => go_context(&trace, &parent.to_string(), 1, span.parent_is_remote == Some(true)),
        None => go_context(&"0".repeat(32), &"0".repeat(16), 0, false),
    };
    let mut context = go_context(&trace, &span.span_id.to_string(), span.flags.unwrap_or_default(), false);
    context["TraceState"] = json!(span.trace_state.as_deref().unwrap_or_default());
    let events = span.events.iter().map(|event| {
        json!({"Name": event.name, "Time": rfc3339(event.time_ns.unwrap_or_default()), "Attributes": go_attributes(&event.attributes), "DroppedAttributeCount": event.dropped_attributes})
    });
    let links = span.links.iter().map(|link| {
        let context = go_context(&link.trace_id.to_string(), &link.span_id.to_string(), 1, false);
        json!({"SpanContext": context, "Attributes": go_attributes(&link.attributes), "DroppedAttributeCount": link.dropped_attributes})
    });
    json!({
        "Name": span.name, "SpanContext": context, "Parent": parent, "SpanKind": otlp_kind(span.kind),
        "StartTime": rfc3339(start(whole)), "EndTime": rfc3339(start(whole) + duration(whole)),
        "Attributes": go_attributes(&span.attributes), "Events": events.collect::<Json>(), "Links": links.collect::<Json>(),
        "Status": {"Code": titled(span.status.as_str()), "Description": span.status_message},
        "DroppedAttributes": span.dropped_attributes, "DroppedEvents": span.dropped_events,
        "DroppedLinks": span.dropped_links, "ChildSpanCount": 0, "Resource": go_attributes(&whole.resource.attributes),
        "InstrumentationScope": {"Name": whole.scope.name, "Version": whole.scope.version, "SchemaURL": ""},
    })
}

fn python_span(whole: &WholeSpan) -> Json {
    let span = &whole.span;
    // Six decimals.
    let time = |ns: i64| format!("{}Z", &rfc3339(ns)[..26]);
    let context = |trace: String, span: String| json!({"trace_id": format!("0x{trace}"), "span_id": format!("0x{span}"), "trace_state": "[]"});
    let mut own = context(span.trace_id.to_string(), span.span_id.to_string());
    if let Some(state) = span.trace_state.as_deref().filter(|state| !state.is_empty()) {
        let entries: Vec<String> = state
            .split(',')
            .filter_map(|member| member.split_once('='))
            .map(|(key, value)| format!("{{key={key}, value={value}}}"))
            .collect();
        own["trace_state"] = json!(format!("[{}]", entries.join(", ")));
    }
    let events = span.events.iter().map(|event| {
        json!({"name": event.name, "timestamp": time(event.time_ns.unwrap_or_default()), "attributes": plain_map(&event.attributes)})
    });
    let links = span.links.iter().map(|link| {
        json!({"context": context(link.trace_id.to_string(), link.span_id.to_string()), "attributes": plain_map(&link.attributes)})
    });
    json!({
        "name": span.name, "context": own, "kind": format!("SpanKind.{}", span.kind.as_str().to_uppercase()),
        "parent_id": span.parent_span_id.map(|id| format!("0x{id}")),
        "start_time": time(start(whole)), "end_time": time(start(whole) + duration(whole)),
        "status": {"status_code": span.status.as_str().to_uppercase(), "description": span.status_message},
        "attributes": plain_map(&span.attributes), "events": events.collect::<Json>(), "links": links.collect::<Json>(),
        "resource": {"attributes": plain_map(&whole.resource.attributes), "schema_url": ""},
    })
}
