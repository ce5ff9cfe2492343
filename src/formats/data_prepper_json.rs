//! Spans that Data Prepper writes to OpenSearch (`otel-v1-apm-span-*`), in any envelope that
//! documents leave OpenSearch in. Older versions flatten attributes into the document, with `@` for
//! dots (`span.attributes.http@method`), newer ones keep them in objects.
//!
//! Source of the rules: data-prepper, `JacksonSpan` and the index template `otel-v1-apm-span`.

use std::borrow::Cow;
use std::collections::HashMap;

use super::framing::Framing;
use super::json::{Cursor, Result, time_ns};
use super::otlp_json::{
    OTLP_CAPABILITIES, Seen, count, kind, link_member, parent_is_remote, span_id, status, trace_id,
};
use super::{Block, Format, FormatInfo, Head, Limits, Origin, RejectReason, SpanSink, documents};
use crate::model::time::parse_instant;
use crate::model::{
    Attribute, Capabilities, Event, Link, Malformed, Resource, Scope, Span, SpanField, StatusCode, Value,
};

/// Spans of Data Prepper.
pub(super) struct DataPrepperJson;

static INFO: FormatInfo = FormatInfo {
    name: "data-prepper-json",
    title: "Data Prepper spans from OpenSearch: dumps, search answers, bulk files",
    comes_from: "_search over otel-v1-apm-span-*, elasticdump, bulk files",
    // A document has the span id as its id, so a second copy replaces the first.
    capabilities: Capabilities { duplicates_visible: false, ..OTLP_CAPABILITIES },
};

impl Format for DataPrepperJson {
    fn info(&self) -> &'static FormatInfo {
        &INFO
    }

    fn detect(&self, head: &Head<'_>) -> bool {
        documents::has_all(head, &["traceId", "spanId", "durationInNanos"])
            || documents::has_all(head, &["traceId", "spanId", "startTime", "serviceName"])
            || documents::has_all(head, &["traceId", "spanId", "startTime", "traceGroup"])
    }

    fn framing(&self) -> Framing {
        Framing::Json(&documents::FRAMING)
    }

    fn decode(&self, block: &Block, limits: &Limits, sink: &mut dyn SpanSink) {
        let mut decoder =
            Decoder { block, serials: HashMap::new(), senders: Vec::new(), span: Span::default() };
        documents::each_document(block, limits, sink, |cursor, sink| decoder.document(cursor, sink));
    }
}

struct Decoder<'a> {
    block: &'a Block,
    /// By what the sender prints as, because attribute values can hold floating-point numbers.
    serials: HashMap<String, usize>,
    /// At the index of the serial.
    senders: Vec<Sender<'a>>,
    span: Span<'a>,
}

#[derive(Debug, Default)]
struct Sender<'a> {
    resource: Resource<'a>,
    scope: Scope<'a>,
}

/// What stands beside the members of the span.
#[derive(Default)]
struct Parts<'a> {
    seen: Seen,
    sender: Sender<'a>,
    service: Option<Cow<'a, str>>,
}

impl<'a> Decoder<'a> {
    fn document(&mut self, cursor: &mut Cursor<'a>, sink: &mut dyn SpanSink) -> Result<()> {
        self.span.clear();
        self.span.position = self.block.position(cursor.at());
        let mut parts = Parts::default();
        let span = &mut self.span;
        cursor.object(|cursor, key| member(span, &mut parts, cursor, key, sink))?;
        cursor.commit();
        if !parts.seen.any {
            sink.reject(span.position, RejectReason::NoSpanFields);
            return Ok(());
        }
        parts.seen.complete(span);
        let serial = self.serial(parts);
        let Sender { resource, scope } = &self.senders[serial];
        sink.span(&mut self.span, Origin { resource, scope, serial });
        Ok(())
    }

    fn serial(&mut self, parts: Parts<'a>) -> usize {
        let mut sender = parts.sender;
        let attributes = &mut sender.resource.attributes;
        // The flat members of a document stand in no order.
        attributes.sort_by(|one, other| one.key.cmp(&other.key));
        if let Some(service) = parts.service
            && !attributes.iter().any(|attribute| attribute.key == "service.name")
        {
            let key = Cow::Borrowed("service.name");
            attributes.insert(0, Attribute { key, value: Value::String(service) });
        }
        let printed = format!("{sender:?}");
        if let Some(serial) = self.serials.get(&printed) {
            return *serial;
        }
        self.senders.push(sender);
        self.serials.insert(printed, self.senders.len() - 1);
        self.senders.len() - 1
    }
}

fn member<'a>(
    span: &mut Span<'a>,
    parts: &mut Parts<'a>,
    cursor: &mut Cursor<'a>,
    key: &str,
    sink: &mut dyn SpanSink,
) -> Result<()> {
    let known = parts.seen.any;
    parts.seen.any = true;
    match key {
        "traceId" => {
            parts.seen.trace_id = true;
            span.trace_id = trace_id(cursor, &mut span.malformed, sink)?;
        }
        "spanId" => {
            parts.seen.span_id = true;
            span.span_id = span_id(cursor, SpanField::SpanId, &mut span.malformed, sink)?.unwrap_or_default();
        }
        "parentSpanId" => {
            span.parent_span_id = span_id(cursor, SpanField::ParentSpanId, &mut span.malformed, sink)?;
        }
        "traceState" => span.trace_state = cursor.string_or_skip()?.filter(|state| !state.is_empty()),
        "name" => match cursor.text()? {
            Some(name) => span.name = name,
            None => span.malformed.push(Malformed { field: SpanField::Name, text: Cow::Borrowed("") }),
        },
        "kind" => span.kind = kind(cursor)?,
        "startTime" => {
            parts.seen.start = true;
            span.start_ns = time(cursor, SpanField::StartTime, span)?;
        }
        "endTime" => {
            parts.seen.end = true;
            span.end_ns = time(cursor, SpanField::EndTime, span)?;
        }
        "events" => {
            cursor.array(|cursor| event(cursor).map(|event| span.events.push(event)))?;
        }
        "links" => {
            cursor.array(|cursor| link(cursor, sink).map(|link| span.links.push(link)))?;
        }
        "droppedAttributesCount" => span.dropped_attributes = count(cursor)?,
        "droppedEventsCount" => span.dropped_events = count(cursor)?,
        "droppedLinksCount" => span.dropped_links = count(cursor)?,
        "status" => status(cursor, span)?,
        "status.code" => span.status = StatusCode::from_otlp(cursor.unsigned()?.unwrap_or_default()),
        "status.message" => span.status_message = cursor.string_or_skip()?.unwrap_or_default(),
        "flags" => {
            span.flags = cursor.unsigned()?.map(|flags| flags as u32);
            span.parent_is_remote = span.flags.and_then(parent_is_remote);
        }
        "attributes" => members(cursor, &mut span.attributes)?,
        _ => {
            parts.seen.any = known;
            about_sender(span, parts, cursor, key)?;
        }
    }
    Ok(())
}

/// Members that tell who sent the span, and flat attributes.
fn about_sender<'a>(
    span: &mut Span<'a>,
    parts: &mut Parts<'a>,
    cursor: &mut Cursor<'a>,
    key: &str,
) -> Result<()> {
    let Parts { sender: Sender { resource, scope }, service, .. } = parts;
    match key {
        "serviceName" => *service = cursor.string_or_skip()?.filter(|name| !name.is_empty()),
        "resource" => with_attributes(cursor, &mut resource.attributes, &mut resource.dropped_attributes)?,
        "instrumentationScope" | "instrumentationLibrary" => instrumentation(cursor, scope)?,
        "instrumentationScope.name" | "instrumentationLibrary.name" => {
            scope.name = cursor.string_or_skip()?.unwrap_or_default();
        }
        "instrumentationScope.version" | "instrumentationLibrary.version" => {
            scope.version = cursor.string_or_skip()?.unwrap_or_default();
        }
        _ => match (key.strip_prefix("resource.attributes."), key.strip_prefix("span.attributes.")) {
            (Some(name), _) => resource.attributes.push(flat(cursor, name)?),
            (_, Some(name)) => span.attributes.push(flat(cursor, name)?),
            _ => cursor.skip()?,
        },
    }
    Ok(())
}

fn flat<'a>(cursor: &mut Cursor<'a>, name: &str) -> Result<Attribute<'a>> {
    let key = Cow::Owned(name.replace('@', "."));
    Ok(Attribute { key, value: cursor.plain_value()? })
}

fn members<'a>(cursor: &mut Cursor<'a>, into: &mut Vec<Attribute<'a>>) -> Result<()> {
    if cursor.peek() == Some(b'{') { cursor.plain_members(into) } else { cursor.skip() }
}

fn with_attributes<'a>(
    cursor: &mut Cursor<'a>,
    attributes: &mut Vec<Attribute<'a>>,
    dropped: &mut u32,
) -> Result<()> {
    cursor.object(|cursor, key| {
        match key {
            "attributes" => members(cursor, attributes)?,
            "droppedAttributesCount" => *dropped = count(cursor)?,
            _ => cursor.skip()?,
        }
        Ok(())
    })?;
    Ok(())
}

fn instrumentation<'a>(cursor: &mut Cursor<'a>, scope: &mut Scope<'a>) -> Result<()> {
    cursor.object(|cursor, key| {
        match key {
            "name" => scope.name = cursor.string_or_skip()?.unwrap_or_default(),
            "version" => scope.version = cursor.string_or_skip()?.unwrap_or_default(),
            "attributes" => members(cursor, &mut scope.attributes)?,
            "droppedAttributesCount" => scope.dropped_attributes = count(cursor)?,
            _ => cursor.skip()?,
        }
        Ok(())
    })?;
    Ok(())
}

/// ISO 8601 with up to nine decimals; a text of digits is one of OpenSearch's epoch formats.
fn instant(text: &str) -> Option<i64> {
    parse_instant(text).filter(|ns| time_ns(&ns.to_string(), 1).is_some())
}

fn time<'a>(cursor: &mut Cursor<'a>, field: SpanField, span: &mut Span<'a>) -> Result<Option<i64>> {
    let text = cursor.text()?;
    let time = text.as_deref().and_then(instant);
    if time.is_none() {
        span.malformed.push(Malformed { field, text: text.unwrap_or_default() });
    }
    Ok(time)
}

fn event<'a>(cursor: &mut Cursor<'a>) -> Result<Event<'a>> {
    let mut event = Event::default();
    cursor.object(|cursor, key| {
        match key {
            "time" => event.time_ns = cursor.text()?.as_deref().and_then(instant),
            "name" => event.name = cursor.string_or_skip()?.unwrap_or_default(),
            "attributes" => members(cursor, &mut event.attributes)?,
            "droppedAttributesCount" => event.dropped_attributes = count(cursor)?,
            _ => cursor.skip()?,
        }
        Ok(())
    })?;
    Ok(event)
}

fn link<'a>(cursor: &mut Cursor<'a>, sink: &mut dyn SpanSink) -> Result<Link<'a>> {
    let mut link = Link::default();
    cursor.object(|cursor, key| link_member(&mut link, cursor, key, sink))?;
    Ok(link)
}

#[cfg(test)]
mod tests {
    use super::super::whole::testing::{Told, decode};
    use super::super::{Detection, detect};
    use super::*;
    use crate::model::{SpanId, SpanKind};

    const FLAT: &str = r#"{"traceId":"4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f","spanId":"a1a1a1a1a1a1a1a1","parentSpanId":"","name":"GET","kind":"SPAN_KIND_CLIENT","startTime":"2026-01-01T00:00:00.000000001Z","endTime":"2026-01-01T00:00:00.5Z","durationInNanos":499999999,"serviceName":"shop","traceGroup":"GET","status.code":2,"resource.attributes.service@name":"shop","resource.attributes.host@name":"h","span.attributes.http@status_code":500,"instrumentationLibrary.name":"http"}"#;
    const NESTED: &str = r#"{"traceId":"4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f","spanId":"b2b2b2b2b2b2b2b2","parentSpanId":"a1a1a1a1a1a1a1a1","name":"GET","kind":"SPAN_KIND_SERVER","flags":769,"startTime":"2026-01-01T00:00:00.1Z","endTime":"soon","serviceName":"bill","instrumentationScope":{"name":"http","version":"1"},"resource":{"attributes":{"host.name":"h"},"droppedAttributesCount":1},"attributes":{"a.b":[1,"x"]},"status":{"code":0},"traceState":"",
        "events":[{"name":"e","time":"2026-01-01T00:00:00.2Z","attributes":{"k":true},"droppedAttributesCount":3}],"links":[{"traceId":"99","spanId":"98","traceState":"v=1","attributes":{"l":1}}]}"#;

    fn read(text: &str) -> Told {
        decode(&DataPrepperJson, text)
    }

    #[test]
    fn reads_flat_and_nested_documents_in_every_envelope() {
        for text in [
            format!("{{\"index\":{{\"_id\":\"1\"}}}}\n{FLAT}\n{{\"index\":{{\"_id\":\"2\"}}}}\n{NESTED}\n"),
            format!(r#"{{"took":1,"hits":{{"hits":[{{"_source":{FLAT}}},{{"_source":{NESTED}}}]}}}}"#),
            format!("[{FLAT},{NESTED}]"),
        ] {
            let told = read(&text);
            assert_eq!(told.services(), ["shop", "bill"], "{text}");
            assert!(told.rejects.is_empty() && told.unreadable.is_empty());
            let found = detect(&Head::new(text.as_bytes()));
            assert!(matches!(found, Detection::Known(format) if format.info().name == INFO.name), "{text}");
        }
    }

    #[test]
    fn members_become_fields() {
        let told = read(&format!("{FLAT}\n{NESTED}\n{FLAT}\n"));
        assert_eq!(told.serials, [0, 1, 0]);
        let [flat, nested, _] = told.spans()[..] else { panic!("three spans") };
        assert_eq!((flat.start_ns, flat.duration_ns()), (Some(1_767_225_600_000_000_001), Some(499_999_999)));
        assert_eq!(
            (flat.kind, flat.status, flat.parent_span_id),
            (SpanKind::Client, StatusCode::Error, None)
        );
        assert_eq!(flat.attributes[0].key, "http.status_code");
        assert_eq!(told.whole.spans()[0].resource.text(&["host.name"]), "h");
        assert_eq!(told.whole.spans()[0].scope.name, "http");
        assert_eq!((nested.parent_is_remote, nested.trace_state.as_deref()), (Some(true), None));
        assert_eq!(nested.events[0].time_ns, Some(1_767_225_600_200_000_000));
        assert_eq!((nested.links[0].span_id, nested.links[0].attributes.len()), (SpanId(0x98), 1));
        assert_eq!(nested.attributes[0].key, "a.b");
        assert!(nested.is_malformed(SpanField::EndTime) && nested.end_ns.is_none());
    }

    #[test]
    fn what_is_no_span_is_told() {
        let told = read(&format!(r#"[{FLAT},7,{{"serviceName":"x"}},{{"traceId":"1"#));
        let reasons: Vec<RejectReason> = told.rejects.iter().map(|(_, reason)| *reason).collect();
        assert_eq!(reasons, [RejectReason::NotAnObject, RejectReason::NoSpanFields]);
        assert_eq!((told.spans().len(), told.unreadable.len()), (1, 1));
    }
}
