//! What the console exporters of the Go and Python SDKs print: objects back to back, one a span.
//!
//! Sources: opentelemetry-go, `exporters/stdout/stdouttrace` and `sdk/trace/tracetest.SpanStub`;
//! opentelemetry-python, `ReadableSpan.to_json`.

use std::borrow::Cow;

use super::clickhouse_otel::link_ids;
use super::framing::{Framing, JsonFraming};
use super::json::{Cursor, JsonError, Result, each_value};
use super::rows::{Cell, Row, Senders, instant, kind};
use super::{Block, Format, FormatInfo, Head, Limits, RejectReason, SpanSink};
use crate::model::{Attribute, Capabilities, Event, Link, SpanField, StatusCode, Value};

/// Go's `stdouttrace`.
pub(super) struct GoStdout;

/// Python's `ConsoleSpanExporter`.
pub(super) struct PythonConsole;

static GO: FormatInfo = FormatInfo {
    name: "go-stdout-json",
    title: "Go stdouttrace: a JSON object for each span",
    comes_from: "stdouttrace exporter of opentelemetry-go",
    capabilities: super::otlp_json::OTLP_CAPABILITIES,
};

static PYTHON: FormatInfo = FormatInfo {
    name: "python-console-json",
    title: "Python console: a JSON object for each span",
    comes_from: "ConsoleSpanExporter of opentelemetry-python",
    capabilities: Capabilities {
        time_resolution_ns: 1_000,
        flags: false,
        is_remote: false,
        dropped_counts: false,
        ..super::otlp_json::OTLP_CAPABILITIES
    },
};

static FRAMING: JsonFraming =
    JsonFraming { arrays: &[], context: &[], indivisible: &[], top_level_arrays: true };

impl Format for GoStdout {
    fn info(&self) -> &'static FormatInfo {
        &GO
    }

    fn detect(&self, head: &Head<'_>) -> bool {
        head.has_all(&["SpanContext/TraceID", "SpanContext/SpanID"]) && head.has_any(&["SpanKind", "Parent"])
    }

    fn framing(&self) -> Framing {
        Framing::Json(&FRAMING)
    }

    fn decode(&self, block: &Block, limits: &Limits, sink: &mut dyn SpanSink) {
        decode(block, limits, go_member, sink);
    }
}

impl Format for PythonConsole {
    fn info(&self) -> &'static FormatInfo {
        &PYTHON
    }

    fn detect(&self, head: &Head<'_>) -> bool {
        head.has_all(&["context/trace_id", "context/span_id"]) && head.has_any(&["parent_id", "start_time"])
    }

    fn framing(&self) -> Framing {
        Framing::Json(&FRAMING)
    }

    fn decode(&self, block: &Block, limits: &Limits, sink: &mut dyn SpanSink) {
        decode(block, limits, python_member, sink);
    }
}

/// Takes one member of a span object.
type Member = for<'a> fn(&mut Row<'a>, &str, Cell<'a>, &Limits, &mut dyn SpanSink);

fn decode(block: &Block, limits: &Limits, member: Member, sink: &mut dyn SpanSink) {
    let mut senders = Senders::default();
    each_value(block, limits, sink, |cursor, sink| {
        if cursor.peek() == Some(b'[') {
            return cursor
                .array(|cursor| object(cursor, block, limits, member, &mut senders, sink))
                .map(drop);
        }
        if cursor.peek() != Some(b'{') {
            return Err(JsonError::Unexpected("expected a JSON object"));
        }
        object(cursor, block, limits, member, &mut senders, sink)
    });
}

fn object<'a>(
    cursor: &mut Cursor<'a>,
    block: &Block,
    limits: &Limits,
    member: Member,
    senders: &mut Senders<'a>,
    sink: &mut dyn SpanSink,
) -> Result<()> {
    let mut row = Row::default();
    row.span.position = block.position(cursor.at());
    let is_object = cursor.object(|cursor, key| {
        member(&mut row, key, Cell::read(cursor)?, limits, sink);
        Ok(())
    })?;
    if is_object {
        senders.give(row, sink);
    } else {
        sink.reject(row.span.position, RejectReason::NotAnObject);
    }
    cursor.commit();
    Ok(())
}

fn go_member<'a>(row: &mut Row<'a>, key: &str, cell: Cell<'a>, limits: &Limits, sink: &mut dyn SpanSink) {
    let known = std::mem::replace(&mut row.any, true);
    match key {
        "Name" => row.name(cell.text()),
        "SpanContext" => {
            for (key, value) in members(cell, limits) {
                match key.as_ref() {
                    "TraceID" => row.trace_id(Some(value), sink),
                    "SpanID" => row.span_id(Some(value), sink),
                    "TraceFlags" => add_flags(row, u32::from_str_radix(&value, 16).ok()),
                    "TraceState" => row.span.trace_state = Some(value),
                    _ => {}
                }
            }
        }
        "Parent" => go_parent(row, cell, limits, sink),
        "SpanKind" => row.span.kind = kind(&cell.text().unwrap_or_default()),
        "StartTime" => row.start = cell.text(),
        "EndTime" => row.end = cell.text(),
        "Status" => {
            for (key, value) in members(cell, limits) {
                match key.as_ref() {
                    "Code" => row.span.status = go_status(&value),
                    "Description" => row.span.status_message = value,
                    _ => {}
                }
            }
        }
        _ => {
            row.any = known;
            go_other_member(row, key, cell, limits);
        }
    }
}

fn go_other_member<'a>(row: &mut Row<'a>, key: &str, cell: Cell<'a>, limits: &Limits) {
    match key {
        "Attributes" => go_attributes(cell, limits, &mut row.span.attributes),
        "Resource" => go_attributes(cell, limits, &mut row.resource.attributes),
        "InstrumentationLibrary" | "InstrumentationScope" | "Scope" => {
            for (key, value) in members(cell, limits) {
                match key.as_ref() {
                    "Name" => row.scope.name = value,
                    "Version" => row.scope.version = value,
                    _ => {}
                }
            }
        }
        "Events" | "MessageEvents" => {
            row.span.events = cell.items(limits).into_iter().map(|item| go_event(item, limits)).collect();
        }
        "Links" => {
            row.span.links = cell.items(limits).into_iter().map(|item| go_link(item, limits)).collect();
        }
        "DroppedAttributes" | "DroppedAttributeCount" => row.span.dropped_attributes = count(cell),
        "DroppedEvents" | "DroppedMessageEventCount" => row.span.dropped_events = count(cell),
        "DroppedLinks" | "DroppedLinkCount" => row.span.dropped_links = count(cell),
        _ => {}
    }
}

/// A root has a parent of zeros.
fn go_parent<'a>(row: &mut Row<'a>, cell: Cell<'a>, limits: &Limits, sink: &mut dyn SpanSink) {
    let mut is_remote = false;
    for (key, value) in members(cell, limits) {
        match key.as_ref() {
            "SpanID" => row.parent_span_id(Some(value), sink),
            "Remote" => is_remote = value == "true",
            _ => {}
        }
    }
    let has_parent = row.span.parent_span_id.is_some() || row.span.is_malformed(SpanField::ParentSpanId);
    if has_parent {
        row.span.parent_is_remote = Some(is_remote);
        add_flags(row, Some(if is_remote { 0x300 } else { 0x100 }));
    }
}

/// The flags of the span and what is known of its parent stand in two members.
fn add_flags(row: &mut Row<'_>, flags: Option<u32>) {
    if let Some(flags) = flags {
        row.span.flags = Some(row.span.flags.unwrap_or_default() | flags);
    }
}

/// Go numbers its codes otherwise than OTLP does.
fn go_status(text: &str) -> StatusCode {
    match text {
        "1" => StatusCode::Error,
        "2" => StatusCode::Ok,
        _ => StatusCode::from_name(text),
    }
}

/// A list of `{Key, Value: {Type, Value}}`.
fn go_attributes<'a>(cell: Cell<'a>, limits: &Limits, into: &mut Vec<Attribute<'a>>) {
    for item in cell.items(limits) {
        let (mut key, mut value) = (None, Value::Empty);
        for entry in entries(item) {
            match entry.key.as_ref() {
                "Key" => key = Cell::from_value(entry.value).text(),
                "Value" => {
                    let typed = entries(entry.value).into_iter().find(|entry| entry.key == "Value");
                    value = typed.map_or(Value::Empty, |typed| typed.value);
                }
                _ => {}
            }
        }
        if let Some(key) = key {
            into.push(Attribute { key, value });
        }
    }
}

fn go_event<'a>(item: Value<'a>, limits: &Limits) -> Event<'a> {
    let mut event = Event::default();
    for Attribute { key, value } in entries(item) {
        let cell = Cell::from_value(value);
        match key.as_ref() {
            "Name" => event.name = cell.text().unwrap_or_default(),
            "Time" => event.time_ns = cell.text().and_then(|text| instant(&text, false)),
            "Attributes" => go_attributes(cell, limits, &mut event.attributes),
            "DroppedAttributeCount" => event.dropped_attributes = count(cell),
            _ => {}
        }
    }
    event
}

fn go_link<'a>(item: Value<'a>, limits: &Limits) -> Link<'a> {
    let mut link = Link::default();
    for Attribute { key, value } in entries(item) {
        let cell = Cell::from_value(value);
        match key.as_ref() {
            "SpanContext" => {
                let context = members(cell, limits);
                let of = |name: &str| {
                    context
                        .iter()
                        .find(|(key, _)| key == name)
                        .map(|(_, value)| value.clone())
                        .unwrap_or_default()
                };
                (link.trace_id, link.span_id) = link_ids(&of("TraceID"), &of("SpanID"));
                link.flags = u32::from_str_radix(&of("TraceFlags"), 16).ok();
                link.trace_state = Some(of("TraceState"));
            }
            "Attributes" => go_attributes(cell, limits, &mut link.attributes),
            "DroppedAttributeCount" => link.dropped_attributes = count(cell),
            _ => {}
        }
    }
    link
}

fn python_member<'a>(row: &mut Row<'a>, key: &str, cell: Cell<'a>, limits: &Limits, sink: &mut dyn SpanSink) {
    let known = std::mem::replace(&mut row.any, true);
    match key {
        "name" => row.name(cell.text()),
        "context" => {
            for (key, value) in members(cell, limits) {
                match key.as_ref() {
                    "trace_id" => row.trace_id(Some(without_prefix(value)), sink),
                    "span_id" => row.span_id(Some(without_prefix(value)), sink),
                    "trace_state" => row.span.trace_state = python_trace_state(&value),
                    _ => {}
                }
            }
        }
        "parent_id" => row.parent_span_id(cell.text().map(without_prefix), sink),
        "kind" => row.span.kind = kind(&cell.text().unwrap_or_default()),
        "start_time" => row.start = cell.text(),
        "end_time" => row.end = cell.text(),
        "attributes" => cell.attributes(limits, &mut row.span.attributes),
        "status" => {
            for (key, value) in members(cell, limits) {
                match key.as_ref() {
                    "status_code" => row.span.status = StatusCode::from_name(&value),
                    "description" => row.span.status_message = value,
                    _ => {}
                }
            }
        }
        "events" => {
            row.any = known;
            row.span.events = cell.items(limits).into_iter().map(|item| python_event(item, limits)).collect();
        }
        "links" => {
            row.any = known;
            row.span.links = cell.items(limits).into_iter().map(|item| python_link(item, limits)).collect();
        }
        "resource" => {
            row.any = known;
            python_resource(row, cell, limits);
        }
        _ => row.any = known,
    }
}

/// Old versions have the attributes right in the resource.
fn python_resource<'a>(row: &mut Row<'a>, cell: Cell<'a>, limits: &Limits) {
    let mut entries = entries(cell.value(limits));
    if let Some(at) = entries.iter().position(|entry| entry.key == "attributes") {
        let attributes = Cell::Value(entries.swap_remove(at).value);
        attributes.attributes(limits, &mut row.resource.attributes);
        return;
    }
    row.resource.attributes = entries;
}

fn python_event<'a>(item: Value<'a>, limits: &Limits) -> Event<'a> {
    let mut event = Event::default();
    for Attribute { key, value } in entries(item) {
        let cell = Cell::from_value(value);
        match key.as_ref() {
            "name" => event.name = cell.text().unwrap_or_default(),
            "timestamp" => event.time_ns = cell.text().and_then(|text| instant(&text, false)),
            "attributes" => cell.attributes(limits, &mut event.attributes),
            _ => {}
        }
    }
    event
}

fn python_link<'a>(item: Value<'a>, limits: &Limits) -> Link<'a> {
    let mut link = Link::default();
    for Attribute { key, value } in entries(item) {
        let cell = Cell::from_value(value);
        match key.as_ref() {
            "context" => {
                let context = members(cell, limits);
                let of = |name: &str| {
                    context
                        .iter()
                        .find(|(key, _)| key == name)
                        .map(|(_, value)| value.clone())
                        .unwrap_or_default()
                };
                (link.trace_id, link.span_id) =
                    link_ids(&without_prefix(of("trace_id")), &without_prefix(of("span_id")));
                link.trace_state = python_trace_state(&of("trace_state"));
            }
            "attributes" => cell.attributes(limits, &mut link.attributes),
            _ => {}
        }
    }
    link
}

/// Python prints ids as numbers in hex; the mark is part of its notation and no fault.
fn without_prefix(text: Cow<'_, str>) -> Cow<'_, str> {
    match text.strip_prefix("0x") {
        Some(digits) => Cow::Owned(digits.to_owned()),
        None => text,
    }
}

/// `[{key=a, value=b}, {key=c, value=d}]` stands for `a=b,c=d`.
fn python_trace_state(text: &str) -> Option<Cow<'static, str>> {
    let entries = text.strip_prefix("[{")?.strip_suffix("}]")?.split("}, {");
    let pairs: Option<Vec<String>> = entries
        .map(|entry| {
            let (key, value) = entry.strip_prefix("key=")?.split_once(", value=")?;
            Some(format!("{key}={value}"))
        })
        .collect();
    Some(Cow::Owned(pairs?.join(",")))
}

fn entries(value: Value<'_>) -> Vec<Attribute<'_>> {
    match value {
        Value::Map(entries) => entries,
        _ => Vec::new(),
    }
}

/// The members of an object whose values are texts, numbers or truth values.
fn members<'a>(cell: Cell<'a>, limits: &Limits) -> Vec<(Cow<'a, str>, Cow<'a, str>)> {
    entries(cell.value(limits))
        .into_iter()
        .filter_map(|entry| Some((entry.key, Cell::from_value(entry.value).text()?)))
        .collect()
}

fn count(cell: Cell<'_>) -> u32 {
    cell.text().and_then(|text| text.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::detect;
    use super::super::framing::Splitter;
    use super::super::whole::testing::{Told, decode};
    use super::*;
    use crate::model::{Repair, SpanId, SpanKind, TraceId};

    pub(in super::super) const GO_SAMPLE: &str = r#"{"Name":"GET /","SpanContext":{"TraceID":"4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f","SpanID":"a1a1a1a1a1a1a1a1","TraceFlags":"01","TraceState":"v=1","Remote":false},
"Parent":{"TraceID":"4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f","SpanID":"b2b2b2b2b2b2b2b2","TraceFlags":"01","TraceState":"","Remote":true},"SpanKind":2,
"StartTime":"2026-01-01T01:00:00.000000001+01:00","EndTime":"2026-01-01T00:00:00.000000006Z","Attributes":[{"Key":"n","Value":{"Type":"INT64","Value":7}},{"Key":"l","Value":{"Type":"STRINGSLICE","Value":["a"]}}],
"Events":[{"Name":"e","Attributes":null,"DroppedAttributeCount":3,"Time":"2026-01-01T00:00:00.000000002Z"}],
"Links":[{"SpanContext":{"TraceID":"00000000000000000000000000000001","SpanID":"0000000000000002","TraceFlags":"01","TraceState":"w=2","Remote":true},"Attributes":[{"Key":"k","Value":{"Type":"BOOL","Value":true}}],"DroppedAttributeCount":4}],
"Status":{"Code":"Error","Description":"no"},"DroppedAttributes":1,"DroppedEvents":2,"DroppedLinks":3,"ChildSpanCount":1,
"Resource":[{"Key":"service.name","Value":{"Type":"STRING","Value":"shop"}}],"InstrumentationLibrary":{"Name":"http","Version":"1","SchemaURL":""}}
{"Name":"root","SpanContext":{"TraceID":"00000000000000000000000000000000","SpanID":"x"},"Parent":{"TraceID":"00000000000000000000000000000000","SpanID":"0000000000000000","Remote":false},
"SpanKind":1,"StartTime":"0001-01-01T00:00:00Z","EndTime":"0001-01-01T00:00:00Z"}
"#;

    pub(in super::super) const PYTHON_SAMPLE: &str = r#"{
    "name": "GET /", "context": {"trace_id": "0x4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f", "span_id": "0xa1a1a1a1a1a1a1a1", "trace_state": "[{key=v, value=1}, {key=w, value=2}]"},
    "kind": "SpanKind.SERVER", "parent_id": null, "start_time": "2026-01-01T00:00:00.000001Z", "end_time": "2026-01-01T00:00:00.000006Z",
    "status": {"status_code": "ERROR", "description": "no"}, "attributes": {"n": 7},
    "events": [{"name": "e", "timestamp": "2026-01-01T00:00:00.000002Z", "attributes": {"x": "y"}}],
    "links": [{"context": {"trace_id": "0x00000000000000000000000000000001", "span_id": "0x0000000000000002", "trace_state": "[]"}, "attributes": {}}],
    "resource": {"attributes": {"service.name": "shop"}, "schema_url": ""}
}
{"name": null, "context": {"trace_id": "0x4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f", "span_id": ""}, "kind": "SpanKind.CLIENT", "parent_id": "0xa1a1a1a1a1a1a1a1", "start_time": "soon", "end_time": null, "resource": {"service.name": "old"}}
"#;

    #[test]
    fn go_tells_whether_the_parent_is_remote() {
        let told = decode(&GoStdout, GO_SAMPLE);
        let (first, root) = (told.spans()[0], told.spans()[1]);
        assert_eq!(
            (first.parent_span_id, first.parent_is_remote),
            (Some(SpanId(0xb2b2_b2b2_b2b2_b2b2)), Some(true))
        );
        assert_eq!((first.flags, first.kind, first.duration_ns()), (Some(0x301), SpanKind::Server, Some(5)));
        assert_eq!((first.links[0].trace_id, first.dropped_links), (TraceId(1), 3));
        assert_eq!((root.parent_span_id, root.parent_is_remote, root.flags), (None, None, None));
        assert!(
            [SpanField::TraceId, SpanField::SpanId, SpanField::StartTime]
                .iter()
                .all(|field| root.is_malformed(*field))
        );
        assert!(!root.is_malformed(SpanField::ParentSpanId));
    }

    #[test]
    fn python_writes_ids_and_trace_states_its_own_way() {
        let told = decode(&PythonConsole, PYTHON_SAMPLE);
        let (first, second) = (told.spans()[0], told.spans()[1]);
        assert_eq!(
            (first.kind, first.status, first.duration_ns()),
            (SpanKind::Server, StatusCode::Error, Some(5_000))
        );
        assert_eq!(first.trace_state.as_deref(), Some("v=1,w=2"));
        assert_eq!((first.links[0].span_id, &first.links[0].trace_state), (SpanId(2), &None));
        assert_eq!(second.parent_span_id, Some(first.span_id));
        assert_eq!(told.services(), ["shop", "old"]);
        assert!(told.repairs.is_empty(), "{:?}", told.repairs);
    }

    #[test]
    fn what_is_no_span_is_told() {
        let told = decode(&GoStdout, r#"[{"Name":"x"},7,{"y":1}]"#);
        let reasons: Vec<RejectReason> = told.rejects.iter().map(|(_, reason)| *reason).collect();
        assert_eq!(
            (told.spans().len(), reasons),
            (1, vec![RejectReason::NotAnObject, RejectReason::NoSpanFields])
        );
    }

    #[test]
    fn prefixes_of_logs_are_left_out_and_counted() {
        let span = r#"{"name":"x","context":{"trace_id":"0x1","span_id":"0x2"},"parent_id":null}"#;
        for prefix in [
            "2026-01-01T00:00:00.000000001Z stdout F ",
            "shop-1  | ",
            "[2026-01-01 00:00:00] [INFO] ",
            "time=\"now\" msg=\"it's\" ",
        ] {
            let text = format!("{prefix}starting\n{prefix}{span}\n{prefix}{{\"cut\n{span}\n{prefix}{span}");
            let told = decode(&PythonConsole, text.as_str());
            assert_eq!(told.spans().len(), 3, "{text}");
            assert_eq!(told.repairs.iter().filter(|repair| **repair == Repair::LogPrefix).count(), 2);
            for found in told.spans() {
                let at = usize::try_from(found.position).unwrap();
                assert!(text[at..].starts_with(span), "{text}: {at}");
            }
            let unreadable: u64 = told.unreadable.iter().map(|(_, bytes, _)| bytes).sum();
            assert_eq!(unreadable as usize, 2 * prefix.len() + "starting\n{\"cut\n".len(), "{text}");
            assert_eq!(
                format!("{:?}", detect(&Head::new(text.as_bytes()))),
                r#"Known("python-console-json")"#
            );
        }
    }

    #[test]
    fn a_member_of_a_damaged_document_is_no_log_line() {
        let text = "{\n\t\"name\": oops,\n\t\"context\": {\"trace_id\":\"0x1\"}\n}\n";
        let told = decode(&PythonConsole, text);
        assert_eq!((told.spans().len(), told.repairs.len(), told.rejects.len()), (0, 0, 0), "{told:?}");
    }

    #[test]
    fn lines_behind_prefixes_are_cut_between_lines() {
        let span = r#"{"name":"x","context":{"trace_id":"0x1","span_id":"0x2"},"parent_id":null}"#;
        let text = format!("starting\n{}", format!("a \"b [INFO] {span}\n").repeat(20));
        let limits = Limits::default();
        let mut splitter = Splitter::with_block_bytes(PythonConsole.framing(), &limits, 150);
        let (mut reader, mut spans, mut unreadable, mut blocks) = (text.as_bytes(), 0, 0, 0);
        while let Some(block) = splitter.next_block(&mut reader).unwrap() {
            let mut told = Told::default();
            PythonConsole.decode(&block, &limits, &mut told);
            spans += told.spans().len();
            unreadable += told.unreadable.len();
            blocks += 1;
        }
        assert_eq!((spans, unreadable), (20, 1));
        assert!(blocks > 10, "{blocks}");
    }
}
