//! OTLP as JSON: one `TracesData` document, JSON lines of the Collector's file exporter, values one
//! after the other, and the variants that are found in the wild: `snake_case` keys, enums by name,
//! numbers as strings and strings as numbers, `null`s, `instrumentationLibrarySpans`, a
//! bare `ResourceSpans` object per line (old Java exporters), one flat span per line, which may have
//! its resource and scope among its members.
//!
//! Source of the rules: opentelemetry-proto, `docs/specification.md`, section "JSON Protobuf Encoding".

use std::borrow::Cow;

use base64::Engine as _;

use super::framing::{ArrayRule, Framing, JsonFraming};
use super::json::{Cursor, JsonError, Result, each_value, number_value, time_ns};
use super::{Block, Format, FormatInfo, Head, Limits, Origin, RejectReason, SpanSink};
use crate::model::ids::{IdText, read_span_id, read_trace_id};
use crate::model::{
    Attribute, Capabilities, Event, Link, Malformed, Resource, Scope, Span, SpanField, SpanId, SpanKind,
    StatusCode, TraceId, Value,
};

/// OTLP in JSON.
pub(super) struct OtlpJson;

static INFO: FormatInfo = FormatInfo {
    name: "otlp-json",
    title: "OTLP JSON: documents, JSON lines, values one after the other",
    comes_from: "Collector file exporter, OTLP/HTTP request bodies, SDK file exporters",
    capabilities: OTLP_CAPABILITIES,
};

/// OTLP carries everything.
pub(super) const OTLP_CAPABILITIES: Capabilities = Capabilities {
    time_resolution_ns: 1,
    flags: true,
    is_remote: true,
    links: true,
    trace_state: true,
    dropped_counts: true,
    exact_resource: true,
    duplicates_visible: true,
    edited_by_source: false,
};

/// Members that only a span on its own begins with; an envelope begins with none of them.
pub(super) const FLAT_MEMBERS: [&str; 9] = [
    "traceId",
    "trace_id",
    "spanId",
    "span_id",
    "parentSpanId",
    "parent_span_id",
    "name",
    "startTimeUnixNano",
    "start_time_unix_nano",
];

static FRAMING: JsonFraming = JsonFraming {
    arrays: &[
        ArrayRule { key: "resourceSpans", needs: None },
        ArrayRule { key: "resource_spans", needs: None },
        ArrayRule { key: "batches", needs: None },
        ArrayRule { key: "scopeSpans", needs: Some("resource") },
        ArrayRule { key: "scope_spans", needs: Some("resource") },
        ArrayRule { key: "instrumentationLibrarySpans", needs: Some("resource") },
        ArrayRule { key: "spans", needs: Some("scope") },
    ],
    context: &["resource", "scope"],
    indivisible: &FLAT_MEMBERS,
    top_level_arrays: true,
};

impl Format for OtlpJson {
    fn info(&self) -> &'static FormatInfo {
        &INFO
    }

    fn detect(&self, head: &Head<'_>) -> bool {
        head.has_any(&["resourceSpans", "resource_spans", "batches/scope_spans"])
            || head.has_any(&["scopeSpans", "scope_spans", "instrumentationLibrarySpans"])
            || (head.has_any(&["traceId", "trace_id"])
                && head.has_any(&["spanId", "span_id"])
                && head.has_any(&["startTimeUnixNano", "start_time_unix_nano"]))
    }

    fn framing(&self) -> Framing {
        Framing::Json(&FRAMING)
    }

    fn decode(&self, block: &Block, limits: &Limits, sink: &mut dyn SpanSink) {
        let mut decoder = Decoder::new(block);
        each_value(block, limits, sink, |cursor, sink| decoder.root(cursor, sink));
    }

    fn decode_span(&self, block: &Block, index: usize, limits: &Limits, sink: &mut dyn SpanSink) -> bool {
        let mut decoder = Decoder::new(block);
        let mut cursor = Cursor::at_index(&block.bytes, index, limits);
        let (resource, scope) = (Resource::default(), Scope::default());
        decoder.span(&mut cursor, &resource, &scope, &mut None, sink).is_ok()
    }
}

/// Reads OTLP wherever it stands in a document.
pub(super) struct Decoder<'a> {
    block: &'a Block,
    next_serial: usize,
    span: Span<'a>,
    /// The sender of the flat span before, with its serial.
    flat_sender: Option<(Sender<'a>, usize)>,
}

/// What the members of a flat span tell about its sender.
#[derive(Debug, Default, PartialEq)]
struct Sender<'a> {
    resource: Resource<'a>,
    scope: Scope<'a>,
}

impl<'a> Sender<'a> {
    /// Takes a member that tells of the sender; returns whether it was one.
    fn takes(&mut self, cursor: &mut Cursor<'a>, key: &str) -> Result<bool> {
        match key {
            "resource" | "resources" => flat_resource(cursor, &mut self.resource)?,
            "resourceAttributes" | "resource_attributes" => {
                attributes(cursor, &mut self.resource.attributes)?;
            }
            "service.name" | "serviceName" | "service_name" => {
                if let Some(name) = cursor.string_or_skip()?
                    && self.resource.service_name().is_empty()
                {
                    let key = Cow::Borrowed("service.name");
                    self.resource.attributes.push(Attribute { key, value: Value::String(name) });
                }
            }
            "scope" | "instrumentationScope" | "instrumentation_scope" | "instrumentationLibrary" => {
                self.scope = scope(cursor)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// A resource as in OTLP, or its attributes as the members of an object.
fn flat_resource<'a>(cursor: &mut Cursor<'a>, resource: &mut Resource<'a>) -> Result<()> {
    cursor.object(|cursor, key| match key {
        "attributes" => attributes(cursor, &mut resource.attributes),
        "droppedAttributesCount" | "dropped_attributes_count" => {
            resource.dropped_attributes = count(cursor)?;
            Ok(())
        }
        "schemaUrl" | "schema_url" => cursor.skip(),
        _ => {
            let (key, value) = (Cow::Owned(key.to_owned()), cursor.plain_value()?);
            resource.attributes.push(Attribute { key, value });
            Ok(())
        }
    })?;
    Ok(())
}

impl<'a> Decoder<'a> {
    /// For the values of one block.
    pub(super) fn new(block: &'a Block) -> Self {
        Self { block, next_serial: 0, span: Span::default(), flat_sender: None }
    }

    /// An envelope, or an array of them.
    pub(super) fn root(&mut self, cursor: &mut Cursor<'a>, sink: &mut dyn SpanSink) -> Result<()> {
        if cursor.peek() == Some(b'[') {
            cursor.array(|cursor| self.root_object(cursor, sink))?;
            return Ok(());
        }
        if cursor.peek() != Some(b'{') {
            return Err(JsonError::Unexpected("expected a JSON object"));
        }
        self.root_object(cursor, sink)
    }

    /// An envelope, a bare `ResourceSpans`, or a flat span: told apart by the keys met.
    fn root_object(&mut self, cursor: &mut Cursor<'a>, sink: &mut dyn SpanSink) -> Result<()> {
        if is_flat_span(cursor) {
            return self.flat_span(cursor, sink);
        }
        let mut resource_spans = ResourceSpans::default();
        let outcome = cursor.object(|cursor, key| {
            match key {
                "resourceSpans" | "resource_spans" | "batches" => {
                    self.resource_spans_list(cursor, sink)?;
                }
                _ => self.resource_spans_member(&mut resource_spans, cursor, key, sink)?,
            }
            Ok(())
        });
        self.deferred(&resource_spans, cursor, outcome.map(drop), sink)
    }

    /// A span on its own, with or without its sender among its members.
    fn flat_span(&mut self, cursor: &mut Cursor<'a>, sink: &mut dyn SpanSink) -> Result<()> {
        self.span.clear();
        self.span.position = self.block.position(cursor.at());
        let (mut seen, mut sender) = (Seen::default(), Sender::default());
        let span = &mut self.span;
        cursor.object(|cursor, key| {
            if sender.takes(cursor, key)? {
                return Ok(());
            }
            span_member(span, &mut seen, cursor, key, sink)
        })?;
        seen.complete(&mut self.span);
        // Lines of one sender often follow each other.
        if self.flat_sender.as_ref().is_none_or(|(known, _)| *known != sender) {
            self.flat_sender = Some((sender, self.next_serial));
            self.next_serial += 1;
        }
        if let Some((Sender { resource, scope }, serial)) = &self.flat_sender {
            sink.span(&mut self.span, Origin { resource, scope, serial: *serial });
        }
        cursor.commit();
        Ok(())
    }

    /// An array of `ResourceSpans`; any other value is skipped.
    pub(super) fn resource_spans_list(
        &mut self,
        cursor: &mut Cursor<'a>,
        sink: &mut dyn SpanSink,
    ) -> Result<()> {
        cursor.array(|cursor| self.resource_spans(cursor, sink)).map(drop)
    }

    fn resource_spans(&mut self, cursor: &mut Cursor<'a>, sink: &mut dyn SpanSink) -> Result<()> {
        let mut resource_spans = ResourceSpans::default();
        let outcome =
            cursor.object(|cursor, key| self.resource_spans_member(&mut resource_spans, cursor, key, sink));
        self.deferred(&resource_spans, cursor, outcome.map(drop), sink)
    }

    fn resource_spans_member(
        &mut self,
        into: &mut ResourceSpans<'a>,
        cursor: &mut Cursor<'a>,
        key: &str,
        sink: &mut dyn SpanSink,
    ) -> Result<()> {
        match key {
            "resource" => {
                into.resource = Some(resource(cursor)?);
                Ok(())
            }
            "scopeSpans" | "scope_spans" | "instrumentationLibrarySpans" => {
                let Some(resource) = &into.resource else {
                    into.spans_before_resource.push(cursor.clone());
                    return cursor.skip();
                };
                cursor.array(|cursor| self.scope_spans(cursor, resource, sink))?;
                Ok(())
            }
            _ => cursor.skip(),
        }
    }

    /// Reads the scopes that stood before their resource, now that it is known (or will never be).
    fn deferred(
        &mut self,
        held: &ResourceSpans<'a>,
        cursor: &mut Cursor<'a>,
        mut outcome: Result<()>,
        sink: &mut dyn SpanSink,
    ) -> Result<()> {
        let nobody = Resource::default();
        let resource = held.resource.as_ref().unwrap_or(&nobody);
        for earlier in &held.spans_before_resource {
            let mut earlier = earlier.clone();
            let read = earlier.array(|cursor| self.scope_spans(cursor, resource, sink));
            outcome = cursor.absorb(&earlier, outcome, read);
        }
        outcome
    }

    fn scope_spans(
        &mut self,
        cursor: &mut Cursor<'a>,
        resource: &Resource<'a>,
        sink: &mut dyn SpanSink,
    ) -> Result<()> {
        let mut serial = None;
        let mut held = ScopeSpans::default();
        let outcome = cursor.object(|cursor, key| match key {
            "scope" | "instrumentationLibrary" | "instrumentation_library" => {
                held.scope = Some(scope(cursor)?);
                Ok(())
            }
            "spans" => {
                let Some(scope) = &held.scope else {
                    held.spans_before_scope.push(cursor.clone());
                    return cursor.skip();
                };
                cursor.array(|cursor| self.span(cursor, resource, scope, &mut serial, sink))?;
                Ok(())
            }
            _ => cursor.skip(),
        });
        let scope = held.scope.unwrap_or_default();
        let mut outcome = outcome.map(drop);
        for earlier in &held.spans_before_scope {
            let mut earlier = earlier.clone();
            let read = earlier.array(|cursor| self.span(cursor, resource, &scope, &mut serial, sink));
            outcome = cursor.absorb(&earlier, outcome, read);
        }
        outcome
    }

    fn span(
        &mut self,
        cursor: &mut Cursor<'a>,
        resource: &Resource<'a>,
        scope: &Scope<'a>,
        serial: &mut Option<usize>,
        sink: &mut dyn SpanSink,
    ) -> Result<()> {
        if cursor.peek() != Some(b'{') {
            let position = self.block.position(cursor.at());
            cursor.skip()?;
            sink.reject(position, RejectReason::NotAnObject);
            cursor.commit();
            return Ok(());
        }
        let position = self.block.position(cursor.at());
        if !sink.wants(position) {
            cursor.skip()?;
            cursor.commit();
            return Ok(());
        }
        self.span.clear();
        let span = &mut self.span;
        span.position = position;
        let mut seen = Seen::default();
        let ids = usual_ids(cursor);
        if let Some(ids) = &ids {
            (span.trace_id, span.span_id, span.parent_span_id) = (ids.trace_id, ids.span_id, ids.parent);
            seen = Seen { any: true, trace_id: true, span_id: true, ..seen };
        }
        let member = |cursor: &mut Cursor<'a>, key: &str| span_member(span, &mut seen, cursor, key, sink);
        match ids {
            Some(ids) => cursor.object_behind(ids.end, member)?,
            None => cursor.object(member).map(drop)?,
        }
        if seen.any {
            seen.complete(span);
            // Numbered at the first span that is delivered, so that serials have no gaps.
            let serial = *serial.get_or_insert_with(|| {
                self.next_serial += 1;
                self.next_serial - 1
            });
            sink.span(span, Origin { resource, scope, serial });
        } else {
            sink.reject(span.position, RejectReason::NoSpanFields);
        }
        cursor.commit();
        Ok(())
    }
}

#[derive(Default)]
struct ResourceSpans<'a> {
    resource: Option<Resource<'a>>,
    spans_before_resource: Vec<Cursor<'a>>,
}

#[derive(Default)]
struct ScopeSpans<'a> {
    scope: Option<Scope<'a>>,
    spans_before_scope: Vec<Cursor<'a>>,
}

/// Which required fields of a span were met.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "one for each field, independent of each other")]
pub(super) struct Seen {
    pub(super) any: bool,
    pub(super) trace_id: bool,
    pub(super) span_id: bool,
    pub(super) start: bool,
    pub(super) end: bool,
}

impl Seen {
    /// Notes the required fields that are missing.
    pub(super) fn complete(&self, span: &mut Span<'_>) {
        for (seen, field) in [
            (self.trace_id, SpanField::TraceId),
            (self.span_id, SpanField::SpanId),
            (self.start, SpanField::StartTime),
            (self.end, SpanField::EndTime),
        ] {
            if !seen && !span.is_malformed(field) {
                span.malformed.push(Malformed { field, text: Cow::Borrowed("") });
            }
        }
    }
}

/// The ids at the beginning of a span.
struct UsualIds {
    trace_id: TraceId,
    span_id: SpanId,
    parent: Option<SpanId>,
    /// Index behind them.
    end: usize,
}

/// The ids of a span that begins with them, spelled as exporters do. Takes nothing.
fn usual_ids(cursor: &Cursor<'_>) -> Option<UsualIds> {
    let at = cursor.literal_at(cursor.at(), b"{\"traceId\":\"")?;
    let (trace_id, at) = cursor.chunk_at::<32>(at)?;
    let at = cursor.literal_at(at, b"\",\"spanId\":\"")?;
    let (span_id, at) = cursor.chunk_at::<16>(at)?;
    let mut end = cursor.literal_at(at, b"\"")?;
    let mut parent = None;
    if let Some(at) = cursor.literal_at(end, b",\"parentSpanId\":\"") {
        end = if let Some(end) = cursor.literal_at(at, b"\"") {
            end
        } else {
            let (text, at) = cursor.chunk_at::<16>(at)?;
            parent = Some(as_written(read_span_id(text))?);
            cursor.literal_at(at, b"\"")?
        };
    }
    let (trace_id, span_id) = (as_written(read_trace_id(trace_id))?, as_written(read_span_id(span_id))?);
    Some(UsualIds { trace_id, span_id, parent, end })
}

/// An id that was read without a repair.
fn as_written<T>(id: IdText<T>) -> Option<T> {
    match id {
        IdText::Valid(id, None) => Some(id),
        IdText::Valid(..) | IdText::Absent | IdText::Invalid(_) => None,
    }
}

/// Told by the first member that only a span or only an envelope has.
fn is_flat_span(cursor: &Cursor<'_>) -> bool {
    let mut probe = cursor.clone();
    let mut is_flat = false;
    // The error ends the walk.
    let _ = probe.object(|cursor, key| {
        match key {
            "resourceSpans"
            | "resource_spans"
            | "batches"
            | "scopeSpans"
            | "scope_spans"
            | "instrumentationLibrarySpans" => return Err(JsonError::Ended),
            _ if FLAT_MEMBERS.contains(&key) => is_flat = true,
            _ => return cursor.skip(),
        }
        Err(JsonError::Ended)
    });
    is_flat
}

fn span_member<'a>(
    span: &mut Span<'a>,
    seen: &mut Seen,
    cursor: &mut Cursor<'a>,
    key: &str,
    sink: &mut dyn SpanSink,
) -> Result<()> {
    let known = seen.any;
    seen.any = true;
    match key {
        "traceId" | "trace_id" => {
            seen.trace_id = true;
            span.trace_id = trace_id(cursor, &mut span.malformed, sink)?;
        }
        "spanId" | "span_id" => {
            seen.span_id = true;
            span.span_id = span_id(cursor, SpanField::SpanId, &mut span.malformed, sink)?.unwrap_or_default();
        }
        "parentSpanId" | "parent_span_id" => {
            span.parent_span_id = span_id(cursor, SpanField::ParentSpanId, &mut span.malformed, sink)?;
        }
        "traceState" | "trace_state" => span.trace_state = cursor.string_or_skip()?,
        "name" => match cursor.text()? {
            Some(name) => span.name = name,
            None => span.malformed.push(Malformed { field: SpanField::Name, text: Cow::Borrowed("") }),
        },
        "kind" => span.kind = kind(cursor)?,
        "startTimeUnixNano" | "start_time_unix_nano" => {
            seen.start = true;
            span.start_ns = time(cursor, SpanField::StartTime, &mut span.malformed)?;
        }
        "endTimeUnixNano" | "end_time_unix_nano" => {
            seen.end = true;
            span.end_ns = time(cursor, SpanField::EndTime, &mut span.malformed)?;
        }
        "attributes" => attributes(cursor, &mut span.attributes)?,
        "droppedAttributesCount" | "dropped_attributes_count" => span.dropped_attributes = count(cursor)?,
        "events" => {
            cursor.array(|cursor| event(cursor).map(|event| span.events.push(event)))?;
        }
        "droppedEventsCount" | "dropped_events_count" => span.dropped_events = count(cursor)?,
        "links" => {
            cursor.array(|cursor| link(cursor, sink).map(|link| span.links.push(link)))?;
        }
        "droppedLinksCount" | "dropped_links_count" => span.dropped_links = count(cursor)?,
        "status" => status(cursor, span)?,
        "flags" => {
            span.flags = cursor.unsigned()?.map(|flags| flags as u32);
            span.parent_is_remote = span.flags.and_then(parent_is_remote);
        }
        _ => {
            seen.any = known;
            cursor.skip()?;
        }
    }
    Ok(())
}

/// OTLP flags: bit 8 says that bit 9 is meaningful, bit 9 that the parent is remote
/// (opentelemetry-proto, `SpanFlags`).
pub(super) const fn parent_is_remote(flags: u32) -> Option<bool> {
    if flags & 0x100 == 0 { None } else { Some(flags & 0x200 != 0) }
}

pub(super) fn trace_id(
    cursor: &mut Cursor<'_>,
    malformed: &mut Vec<Malformed<'_>>,
    sink: &mut dyn SpanSink,
) -> Result<TraceId> {
    let text = cursor.text()?.unwrap_or_default();
    let (id, repair) = match read_trace_id(text.as_bytes()) {
        IdText::Valid(id, repair) => (id, repair),
        IdText::Invalid(id) => {
            malformed.push(Malformed { field: SpanField::TraceId, text: Cow::Owned(text.into_owned()) });
            (id, None)
        }
        IdText::Absent => {
            malformed.push(Malformed { field: SpanField::TraceId, text: Cow::Owned(text.into_owned()) });
            (TraceId::default(), None)
        }
    };
    if let Some(repair) = repair {
        sink.repaired(repair);
    }
    Ok(id)
}

/// An absent parent is `None` and no fault; an absent span id is one.
pub(super) fn span_id(
    cursor: &mut Cursor<'_>,
    field: SpanField,
    malformed: &mut Vec<Malformed<'_>>,
    sink: &mut dyn SpanSink,
) -> Result<Option<SpanId>> {
    let text = cursor.text()?.unwrap_or_default();
    let id = match read_span_id(text.as_bytes()) {
        IdText::Valid(id, repair) => {
            if let Some(repair) = repair {
                sink.repaired(repair);
            }
            return Ok(Some(id));
        }
        IdText::Absent if field == SpanField::ParentSpanId => return Ok(None),
        IdText::Absent => None,
        IdText::Invalid(id) => Some(id),
    };
    malformed.push(Malformed { field, text: Cow::Owned(text.into_owned()) });
    Ok(id)
}

pub(super) fn kind(cursor: &mut Cursor<'_>) -> Result<SpanKind> {
    let text = cursor.text()?.unwrap_or_default();
    Ok(text.parse::<u64>().map_or_else(|_| SpanKind::from_name(&text), SpanKind::from_otlp))
}

pub(super) fn status<'a>(cursor: &mut Cursor<'a>, span: &mut Span<'a>) -> Result<()> {
    cursor.object(|cursor, key| {
        match key {
            "code" => {
                let text = cursor.text()?.unwrap_or_default();
                span.status =
                    text.parse::<u64>().map_or_else(|_| StatusCode::from_name(&text), StatusCode::from_otlp);
            }
            "message" => span.status_message = cursor.string_or_skip()?.unwrap_or_default(),
            _ => cursor.skip()?,
        }
        Ok(())
    })?;
    Ok(())
}

fn time<'a>(
    cursor: &mut Cursor<'a>,
    field: SpanField,
    malformed: &mut Vec<Malformed<'a>>,
) -> Result<Option<i64>> {
    let text = cursor.text()?;
    let time = text.as_deref().and_then(|text| time_ns(text, 1));
    if time.is_none() {
        malformed.push(Malformed { field, text: text.unwrap_or_default() });
    }
    Ok(time)
}

pub(super) fn count(cursor: &mut Cursor<'_>) -> Result<u32> {
    Ok(cursor.unsigned()?.map_or(0, |count| u32::try_from(count).unwrap_or(u32::MAX)))
}

fn resource<'a>(cursor: &mut Cursor<'a>) -> Result<Resource<'a>> {
    let mut resource = Resource::default();
    cursor.object(|cursor, key| match key {
        "attributes" => attributes(cursor, &mut resource.attributes),
        "droppedAttributesCount" | "dropped_attributes_count" => {
            resource.dropped_attributes = count(cursor)?;
            Ok(())
        }
        _ => cursor.skip(),
    })?;
    Ok(resource)
}

fn scope<'a>(cursor: &mut Cursor<'a>) -> Result<Scope<'a>> {
    let mut scope = Scope::default();
    cursor.object(|cursor, key| {
        match key {
            "name" => scope.name = cursor.string_or_skip()?.unwrap_or_default(),
            "version" => scope.version = cursor.string_or_skip()?.unwrap_or_default(),
            "attributes" => attributes(cursor, &mut scope.attributes)?,
            "droppedAttributesCount" | "dropped_attributes_count" => {
                scope.dropped_attributes = count(cursor)?;
            }
            _ => cursor.skip()?,
        }
        Ok(())
    })?;
    Ok(scope)
}

fn event<'a>(cursor: &mut Cursor<'a>) -> Result<Event<'a>> {
    let mut event = Event::default();
    cursor.object(|cursor, key| {
        match key {
            "timeUnixNano" | "time_unix_nano" => {
                event.time_ns = cursor.text()?.and_then(|text| time_ns(&text, 1));
            }
            "name" => event.name = cursor.string_or_skip()?.unwrap_or_default(),
            "attributes" => attributes(cursor, &mut event.attributes)?,
            "droppedAttributesCount" | "dropped_attributes_count" => {
                event.dropped_attributes = count(cursor)?;
            }
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

/// Reads one member of a link. What is wrong with the ids of a link is no fault of its span.
pub(super) fn link_member<'a>(
    link: &mut Link<'a>,
    cursor: &mut Cursor<'a>,
    key: &str,
    sink: &mut dyn SpanSink,
) -> Result<()> {
    let mut malformed = Vec::new();
    match key {
        "traceId" | "trace_id" => link.trace_id = trace_id(cursor, &mut malformed, sink)?,
        "spanId" | "span_id" => {
            link.span_id = span_id(cursor, SpanField::SpanId, &mut malformed, sink)?.unwrap_or_default();
        }
        "traceState" | "trace_state" => link.trace_state = cursor.string_or_skip()?,
        "attributes" => attributes(cursor, &mut link.attributes)?,
        "droppedAttributesCount" | "dropped_attributes_count" => link.dropped_attributes = count(cursor)?,
        "flags" => link.flags = cursor.unsigned()?.map(|flags| flags as u32),
        _ => cursor.skip()?,
    }
    Ok(())
}

/// A list of `{key, value}`, or a plain object.
fn attributes<'a>(cursor: &mut Cursor<'a>, into: &mut Vec<Attribute<'a>>) -> Result<()> {
    if cursor.peek() == Some(b'{') {
        return cursor.plain_members(into);
    }
    cursor.array(|cursor| {
        if let Some(attribute) = cursor.usual_attribute() {
            into.push(attribute);
            return Ok(());
        }
        let mut key = None;
        let mut value = Value::Empty;
        cursor.object(|cursor, member| {
            match member {
                "key" => key = cursor.string_or_skip()?,
                "value" => value = any_value(cursor)?,
                _ => cursor.skip()?,
            }
            Ok(())
        })?;
        if let Some(key) = key {
            into.push(Attribute { key, value });
        }
        Ok(())
    })?;
    Ok(())
}

/// `{"stringValue": …}` and its kin; a bare JSON value is taken as it is.
fn any_value<'a>(cursor: &mut Cursor<'a>) -> Result<Value<'a>> {
    if cursor.peek() != Some(b'{') {
        return cursor.plain_value();
    }
    let mut value = Value::Empty;
    cursor.object(|cursor, key| {
        let found = match key {
            "stringValue" | "string_value" => cursor.text()?.map(Value::String),
            "boolValue" | "bool_value" => cursor.boolean()?.map(Value::Bool),
            "intValue" | "int_value" => cursor.text()?.map(|text| number_value(&text).into_owned()),
            "doubleValue" | "double_value" => {
                cursor.text()?.and_then(|text| text.parse().ok()).map(Value::Double)
            }
            "bytesValue" | "bytes_value" => cursor.string_or_skip()?.map(|text| bytes_value(&text)),
            "arrayValue" | "array_value" => Some(array_value(cursor)?),
            "kvlistValue" | "kvlist_value" => Some(map_value(cursor)?),
            _ => {
                cursor.skip()?;
                None
            }
        };
        if let Some(found) = found {
            value = found;
        }
        Ok(())
    })?;
    Ok(value)
}

fn bytes_value(text: &str) -> Value<'static> {
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .map_or_else(|_| Value::String(Cow::Owned(text.to_owned())), |bytes| Value::Bytes(Cow::Owned(bytes)))
}

fn array_value<'a>(cursor: &mut Cursor<'a>) -> Result<Value<'a>> {
    let mut items = Vec::new();
    cursor.object(|cursor, key| {
        if key == "values" {
            cursor.array(|cursor| any_value(cursor).map(|item| items.push(item)))?;
            return Ok(());
        }
        cursor.skip()
    })?;
    Ok(Value::Array(items))
}

fn map_value<'a>(cursor: &mut Cursor<'a>) -> Result<Value<'a>> {
    let mut items = Vec::new();
    cursor
        .object(|cursor, key| if key == "values" { attributes(cursor, &mut items) } else { cursor.skip() })?;
    Ok(Value::Map(items))
}

#[cfg(test)]
mod tests {
    use super::super::detect;
    use super::super::whole::testing::decode;
    use super::*;

    #[test]
    fn a_flat_span_may_have_its_sender_with_it() {
        let span = r#""traceId":"1","spanId":"2","name":"x","startTimeUnixNano":1,"endTimeUnixNano":2"#;
        for sender in [
            r#""resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},"scope":{"name":"http"}"#,
            r#""resource":{"attributes":{"service.name":"shop"}},"instrumentationScope":{"name":"http"}"#,
            r#""resources":{"service.name":"shop"},"scope":{"name":"http"}"#,
            r#""resource_attributes":{"service.name":"shop"},"scope":{"name":"http"}"#,
            r#""serviceName":"shop","scope":{"name":"http"}"#,
        ] {
            for line in [format!("{{{sender},{span}}}"), format!("{{{span},{sender}}}")] {
                let told = decode(&OtlpJson, format!("{line}\n{line}\n"));
                assert_eq!(
                    (told.services(), told.serials.as_slice()),
                    (vec!["shop", "shop"], &[0, 0][..]),
                    "{line}"
                );
                assert_eq!(told.whole.spans()[1].scope.name, "http", "{line}");
                assert_eq!(format!("{:?}", detect(&Head::new(line.as_bytes()))), "Known(\"otlp-json\")");
            }
        }
    }

    #[test]
    fn numbers_come_in_every_spelling() {
        let values = [
            (r#"{"intValue":1.5}"#, Value::Double(1.5)),
            (r#"{"intValue":"7"}"#, Value::Int(7)),
            (r#"{"doubleValue":"-Infinity"}"#, Value::Double(f64::NEG_INFINITY)),
            (r#"{"doubleValue":-Infinity}"#, Value::Double(f64::NEG_INFINITY)),
            ("Infinity", Value::Double(f64::INFINITY)),
            ("null", Value::Empty),
        ];
        for (text, expected) in values {
            let told =
                decode(&OtlpJson, format!(r#"{{"spanId":"2","attributes":[{{"key":"k","value":{text}}}]}}"#));
            assert_eq!(told.spans()[0].attributes[0].value, expected, "{text}");
        }
        let told = decode(&OtlpJson, r#"{"spanId":"2","attributes":{"k":NaN},"kind":2}"#);
        assert_eq!((told.spans().len(), told.unreadable.len()), (1, 0));
    }
}
