//! Zipkin v1 JSON: core annotations (`cs`, `sr`, …) in place of a kind, tags as binary annotations,
//! and an endpoint on each. One object may hold both sides of a call; then it is two spans.
//!
//! Source of the rules: zipkin, `zipkin2/v1/V1SpanConverter.java`, and `zipkinCore.thrift` for what
//! the annotations mean.

use std::borrow::Cow;

use super::detect::is_zipkin_v1;
use super::framing::Framing;
use super::json::{Cursor, Result, each_value};
use super::zipkin_json::{Decoder, Endpoint, Parts, ZipkinJson, annotation_time, endpoint, span_member};
use super::{Block, Format, FormatInfo, Head, Limits, RejectReason, SpanSink};
use crate::model::{Attribute, Capabilities, Event, Span, SpanKind, Value};

/// Zipkin v1 JSON.
pub(super) struct ZipkinV1Json;

static INFO: FormatInfo = FormatInfo {
    name: "zipkin-v1-json",
    title: "Zipkin v1 JSON: lists of spans, lists of traces, single spans",
    comes_from: "Zipkin's /api/v1/trace and /api/v1/traces, old Zipkin and Brave exporters",
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

impl Format for ZipkinV1Json {
    fn info(&self) -> &'static FormatInfo {
        &INFO
    }

    fn detect(&self, head: &Head<'_>) -> bool {
        head.has_all(&["traceId", "id"]) && is_zipkin_v1(head)
    }

    fn framing(&self) -> Framing {
        ZipkinJson.framing()
    }

    fn decode(&self, block: &Block, limits: &Limits, sink: &mut dyn SpanSink) {
        let mut zipkin = Decoder::new(block);
        each_value(block, limits, sink, |cursor, sink| {
            zipkin.value(cursor, sink, &mut |zipkin, cursor, sink| object(zipkin, cursor, sink))
        });
    }
}

/// An annotation with the side that made it.
#[derive(Default)]
struct Annotation<'a> {
    time: Option<Cow<'a, str>>,
    value: Cow<'a, str>,
    endpoint: Option<Endpoint<'a>>,
}

/// A binary annotation: a tag, or the address of a side.
struct Binary<'a> {
    key: Cow<'a, str>,
    value: Value<'a>,
    endpoint: Option<Endpoint<'a>>,
}

impl Binary<'_> {
    /// `ca`, `sa` and `ma` with the value `true` name an endpoint and are no tags.
    fn is_address(&self) -> bool {
        matches!(self.key.as_ref(), "ca" | "sa" | "ma")
            && self.endpoint.is_some()
            && (self.value == Value::Bool(true) || matches!(self.value.as_str(), Some("true" | "\u{1}")))
    }
}

/// What one object holds besides the members that v2 has as well.
#[derive(Default)]
struct Told<'a> {
    annotations: Vec<Annotation<'a>>,
    binaries: Vec<Binary<'a>>,
}

fn object<'a>(zipkin: &mut Decoder<'a>, cursor: &mut Cursor<'a>, sink: &mut dyn SpanSink) -> Result<()> {
    let position = zipkin.position(cursor);
    let mut span = Span { position, ..Span::default() };
    let (mut parts, mut told) = (Parts::default(), Told::default());
    cursor.object(|cursor, key| match key {
        "annotations" => {
            parts.any = true;
            cursor.array(|cursor| annotation(cursor).map(|found| told.annotations.push(found))).map(drop)
        }
        "binaryAnnotations" => {
            parts.any = true;
            cursor.array(|cursor| binary(cursor).map(|found| told.binaries.push(found))).map(drop)
        }
        _ => span_member(&mut span, &mut parts, cursor, key, sink),
    })?;
    cursor.commit();
    if !parts.any {
        sink.reject(position, RejectReason::NoSpanFields);
        return Ok(());
    }
    let sides = told.sides();
    // Timestamp and duration of the object are those of the side that began the span.
    let starter = sides.first().copied();
    for side in sides.iter().rev().copied().filter(|side| Some(*side) != starter) {
        let mut half = span.clone();
        let own = told.take_side(side, false, &mut half);
        let mut half_parts = parts.without_times();
        told.settle(side, own, &mut half, &mut half_parts);
        half.shared = true;
        zipkin.deliver(half, half_parts, sink);
    }
    let kind = starter.unwrap_or_default();
    let own = told.take_side(kind, true, &mut span);
    span.shared |= kind == SpanKind::Server && !parts.is_timed();
    told.settle(kind, own, &mut span, &mut parts);
    zipkin.deliver(span, parts, sink);
    Ok(())
}

impl<'a> Told<'a> {
    /// The kinds that the core annotations speak of; the side that sends stands before the one that
    /// receives.
    fn sides(&self) -> Vec<SpanKind> {
        [SpanKind::Client, SpanKind::Server, SpanKind::Producer, SpanKind::Consumer]
            .into_iter()
            .filter(|kind| {
                self.annotations.iter().any(|annotation| core_kind(&annotation.value) == Some(*kind))
            })
            .collect()
    }

    /// The endpoint of a side: that of its core annotations, else the first with a service.
    fn local(&self, side: SpanKind) -> Option<&Endpoint<'a>> {
        let of_side = |annotation: &&Annotation<'a>| core_kind(&annotation.value) == Some(side);
        let core =
            self.annotations.iter().filter(of_side).find_map(|annotation| annotation.endpoint.as_ref());
        let any = || self.annotations.iter().filter_map(|annotation| annotation.endpoint.as_ref());
        let tag = || self.binaries.iter().filter(|binary| !binary.is_address());
        core.or_else(|| any().next()).or_else(|| tag().find_map(|binary| binary.endpoint.as_ref()))
    }

    /// Moves the annotations and tags of a side into its span. The last side takes what is left.
    fn take_side(&mut self, side: SpanKind, is_last: bool, span: &mut Span<'a>) -> Endpoint<'a> {
        let local = self.local(side).cloned().unwrap_or_default();
        let is_own = |endpoint: Option<&Endpoint<'a>>| {
            is_last || endpoint.is_some_and(|endpoint| endpoint.service == local.service)
        };
        let mut rest = Vec::new();
        for annotation in std::mem::take(&mut self.annotations) {
            if is_core(&annotation.value) || !is_own(annotation.endpoint.as_ref()) {
                rest.push(annotation);
                continue;
            }
            let time_ns = annotation.time.as_deref().and_then(annotation_time);
            span.events.push(Event { time_ns, name: annotation.value, ..Event::default() });
        }
        self.annotations = rest;
        let mut rest = Vec::new();
        for binary in std::mem::take(&mut self.binaries) {
            if binary.is_address() || !is_own(binary.endpoint.as_ref()) {
                rest.push(binary);
                continue;
            }
            // The mark of a span inside one process; with a value it says which component.
            if binary.key != "lc" || binary.value.as_str().is_none_or(|value| !value.is_empty()) {
                span.attributes.push(Attribute { key: binary.key, value: binary.value });
            }
        }
        self.binaries = rest;
        local
    }

    /// Kind, sides and, where the object does not give them, times.
    fn settle(&self, side: SpanKind, local: Endpoint<'a>, span: &mut Span<'a>, parts: &mut Parts<'a>) {
        let (begins, ends, address) = match side {
            SpanKind::Client => ("cs", "cr", "sa"),
            SpanKind::Server => ("sr", "ss", "ca"),
            SpanKind::Producer => ("ms", "ws", "ma"),
            SpanKind::Consumer => ("wr", "mr", "ma"),
            _ => ("", "", "sa"),
        };
        if side != SpanKind::Unspecified {
            span.kind = side;
            parts.kind = true;
        }
        let remote = self.binaries.iter().find(|binary| binary.key == address && binary.is_address());
        if let Some(remote) = remote.and_then(|binary| binary.endpoint.as_ref())
            && (remote.service.is_none() || remote.service != local.service)
        {
            parts.remote = remote.clone();
        }
        parts.local = local;
        let (mut start, mut end) = (self.time(begins), self.time(ends));
        if side == SpanKind::Consumer && start.is_none() {
            start = end.take();
        }
        parts.add_times(start, end);
    }

    fn time(&self, core: &str) -> Option<i64> {
        let found = self.annotations.iter().find(|annotation| annotation.value == core)?;
        found.time.as_deref()?.parse().ok().filter(|time| *time > 0)
    }
}

fn core_kind(value: &str) -> Option<SpanKind> {
    match value {
        "cs" | "cr" => Some(SpanKind::Client),
        "sr" | "ss" => Some(SpanKind::Server),
        "ms" => Some(SpanKind::Producer),
        "mr" => Some(SpanKind::Consumer),
        _ => None,
    }
}

/// `ws` and `wr` tell when a message was sent and received on the wire.
fn is_core(value: &str) -> bool {
    core_kind(value).is_some() || matches!(value, "ws" | "wr")
}

fn annotation<'a>(cursor: &mut Cursor<'a>) -> Result<Annotation<'a>> {
    let mut found = Annotation::default();
    cursor.object(|cursor, key| {
        match key {
            "timestamp" => found.time = cursor.text()?,
            "value" => found.value = cursor.text()?.unwrap_or_default(),
            "endpoint" => found.endpoint = some_endpoint(cursor)?,
            _ => cursor.skip()?,
        }
        Ok(())
    })?;
    Ok(found)
}

fn binary<'a>(cursor: &mut Cursor<'a>) -> Result<Binary<'a>> {
    let mut found = Binary { key: Cow::Borrowed(""), value: Value::Empty, endpoint: None };
    cursor.object(|cursor, key| {
        match key {
            "key" => found.key = cursor.text()?.unwrap_or_default(),
            "value" => found.value = cursor.plain_value()?,
            "endpoint" => found.endpoint = some_endpoint(cursor)?,
            _ => cursor.skip()?,
        }
        Ok(())
    })?;
    Ok(found)
}

fn some_endpoint<'a>(cursor: &mut Cursor<'a>) -> Result<Option<Endpoint<'a>>> {
    if cursor.peek() != Some(b'{') {
        return cursor.skip().map(|()| None);
    }
    let mut found = endpoint(cursor)?;
    // v1 has no way to leave it out.
    found.service = found.service.filter(|service| !service.is_empty());
    Ok(Some(found))
}

#[cfg(test)]
mod tests {
    use super::super::whole::testing::{Told, decode};
    use super::*;
    use crate::model::{SpanField, SpanId};

    fn read(text: &str) -> Told {
        decode(&ZipkinV1Json, text)
    }

    fn end(service: &str) -> String {
        format!(r#""endpoint":{{"serviceName":"{service}","ipv4":"10.0.0.1","port":0}}"#)
    }

    fn note(value: &str, time: u64, service: &str) -> String {
        format!(r#"{{"timestamp":{time},"value":"{value}",{}}}"#, end(service))
    }

    fn span(rest: &str, annotations: &[String], binaries: &[String]) -> String {
        let (annotations, binaries) = (annotations.join(","), binaries.join(","));
        format!(
            r#"{{"traceId":"5af7183fb1d4cf5f","id":"2","parentId":"1","name":"get"{rest},"annotations":[{annotations}],"binaryAnnotations":[{binaries}]}}"#
        )
    }

    #[test]
    fn reads_every_envelope() {
        let span =
            span(r#","timestamp":10,"duration":5"#, &[note("sr", 10, "shop"), note("ss", 15, "shop")], &[]);
        for (text, count) in [
            (span.clone(), 1),
            (format!("[{span},{span}]"), 2),
            (format!("[[{span}],[],[{span}]]"), 2),
            (format!("{span}\n{span}\n"), 2),
        ] {
            let told = read(&text);
            assert_eq!(told.services(), vec!["shop"; count], "{text}");
            assert!(told.rejects.is_empty() && told.unreadable.is_empty());
            let found = told.spans()[0];
            assert_eq!((found.kind, found.shared, found.start_ns), (SpanKind::Server, false, Some(10_000)));
            assert_eq!((found.duration_ns(), found.parent_span_id), (Some(5_000), Some(SpanId(1))));
        }
    }

    #[test]
    fn both_sides_in_one_object_are_two_spans() {
        let told = read(&span(
            r#","timestamp":10,"duration":90"#,
            &[
                note("cs", 10, "web"),
                note("sr", 30, "shop"),
                note("cache miss", 40, "shop"),
                note("ss", 60, "shop"),
                note("cr", 100, "web"),
            ],
            &[
                format!(r#"{{"key":"http.path","value":"/x",{}}}"#, end("shop")),
                format!(r#"{{"key":"sa","value":true,{}}}"#, end("shop")),
                format!(r#"{{"key":"ca","value":true,{}}}"#, end("web")),
                r#"{"key":"error","value":"no"}"#.to_owned(),
            ],
        ));
        assert_eq!(told.services(), ["shop", "web"]);
        let [server, client] = told.spans()[..] else { panic!("two spans") };
        assert_eq!(
            (server.kind, server.shared, client.kind, client.shared),
            (SpanKind::Server, true, SpanKind::Client, false)
        );
        assert_eq!((server.start_ns, server.end_ns), (Some(30_000), Some(60_000)));
        assert_eq!((client.start_ns, client.end_ns), (Some(10_000), Some(100_000)));
        assert_eq!(server.events[0].name, "cache miss");
        let text = |span: &Span<'_>, key: &str| {
            let found = span.attributes.iter().find(|attribute| attribute.key == key)?;
            found.value.as_str().map(ToOwned::to_owned)
        };
        assert_eq!(text(server, "http.path").as_deref(), Some("/x"));
        assert_eq!(
            (text(server, "peer.service").as_deref(), text(client, "peer.service").as_deref()),
            (Some("web"), Some("shop"))
        );
        assert_eq!(text(client, "error").as_deref(), Some("no"));
    }

    #[test]
    fn a_server_without_times_of_its_own_is_shared() {
        let told = read(&span("", &[note("sr", 30, "shop"), note("ss", 60, "shop")], &[]));
        let found = told.spans()[0];
        assert!(found.shared && found.malformed.is_empty());
        assert_eq!((found.start_ns, found.duration_ns()), (Some(30_000), Some(30_000)));
    }

    #[test]
    fn messages_and_local_spans_have_their_kinds() {
        for (notes, kind, start, duration) in [
            (vec![note("ms", 10, "a"), note("ws", 12, "a")], SpanKind::Producer, 10_000, Some(2_000)),
            (vec![note("wr", 10, "a"), note("mr", 14, "a")], SpanKind::Consumer, 10_000, Some(4_000)),
            (vec![note("mr", 14, "a")], SpanKind::Consumer, 14_000, None),
        ] {
            let told = read(&span("", &notes, &[]));
            let found = told.spans()[0];
            assert_eq!((found.kind, found.start_ns, found.duration_ns()), (kind, Some(start), duration));
            assert_eq!(found.is_malformed(SpanField::EndTime), duration.is_none());
        }
        let local = format!(r#"{{"key":"lc","value":"",{}}}"#, end("shop"));
        let told = read(&span(r#","timestamp":10,"duration":5"#, &[], &[local]));
        assert_eq!((told.services(), told.spans()[0].kind), (vec!["shop"], SpanKind::Internal));
        assert!(told.spans()[0].attributes.is_empty());
    }

    #[test]
    fn what_is_no_span_is_told() {
        let told = read(r#"[7,{"x":1},{"traceId":"zz","id":"","annotations":null}]"#);
        let reasons: Vec<RejectReason> = told.rejects.iter().map(|(_, reason)| *reason).collect();
        assert_eq!(reasons, [RejectReason::NotAnObject, RejectReason::NoSpanFields]);
        for field in [SpanField::TraceId, SpanField::SpanId, SpanField::StartTime, SpanField::EndTime] {
            assert!(told.spans()[0].is_malformed(field), "{field:?}");
        }
    }
}
