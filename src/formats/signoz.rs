//! `SigNoz`: rows of `signoz_index_v3`, exports, answers of `query_range`, and views of one trace.
//!
//! Rows come in many envelopes with the same cells in them, so every object is read as a row unless
//! it holds rows. Sources: signoz-otel-collector, `exporter/clickhousetracesexporter`; signoz,
//! `pkg/types/tracedetailtypes` and `pkg/querybuilder`.

use std::borrow::Cow;

use super::clickhouse::{self, is_list_of_lists, take_list};
use super::clickhouse_otel::link_ids;
use super::framing::{ArrayRule, Framing, JsonFraming};
use super::json::{Cursor, JsonError, Result, each_value};
use super::noting::Noting;
use super::otlp_json::parent_is_remote;
use super::rows::{Cell, Row, Senders, instant, kind};
use super::table::{each_row, has_columns};
use super::{Block, Format, FormatInfo, Head, Limits, RejectReason, SpanSink};
use crate::model::{Attribute, Capabilities, Event, Link, SpanId, SpanKind, StatusCode, Value};

/// Rows as JSON, in any envelope.
pub(super) struct SignozRows;

/// Rows as a table with a header.
pub(super) struct SignozTable;

/// The tree of one trace that the user interface shows.
pub(super) struct SignozWaterfall;

/// The columns and events of `/api/v1/traces`.
pub(super) struct SignozTrace;

/// Ids are all that is kept of links.
const ROW_CAPABILITIES: Capabilities = Capabilities {
    time_resolution_ns: 1,
    flags: true,
    is_remote: true,
    links: true,
    trace_state: true,
    dropped_counts: false,
    exact_resource: true,
    duplicates_visible: true,
    edited_by_source: false,
};

static ROWS: FormatInfo = FormatInfo {
    name: "signoz-rows",
    title: "SigNoz rows as JSON: signoz_index_v3 (JSONEachRow, JSON, JSONCompact), export_raw_data, answers of query_range",
    comes_from: "ClickHouse behind SigNoz (JSONEachRow, times in UTC), /api/v1/export_raw_data?format=jsonl, /api/v5/query_range (raw)",
    capabilities: ROW_CAPABILITIES,
};

static TABLE: FormatInfo = FormatInfo {
    name: "signoz-table",
    title: "SigNoz rows as CSV, or as TSV or JSONCompactEachRow with names",
    comes_from: "/api/v1/export_raw_data?format=csv, ClickHouse behind SigNoz (TabSeparatedWithNames)",
    capabilities: ROW_CAPABILITIES,
};

static WATERFALL: FormatInfo = FormatInfo {
    name: "signoz-waterfall",
    title: "SigNoz waterfall: the view of one trace",
    comes_from: "/api/v4/traces/{id}/waterfall, /api/v3/traces/{id}/waterfall, /api/v2/traces/waterfall/{id}",
    capabilities: Capabilities {
        time_resolution_ns: 1_000_000,
        duplicates_visible: false,
        ..ROW_CAPABILITIES
    },
};

static TRACE: FormatInfo = FormatInfo {
    name: "signoz-trace",
    title: "SigNoz trace: columns and events",
    comes_from: "/api/v1/traces/{id}",
    capabilities: Capabilities {
        time_resolution_ns: 1_000_000,
        flags: false,
        is_remote: false,
        trace_state: false,
        exact_resource: false,
        ..ROW_CAPABILITIES
    },
};

static FRAMING: JsonFraming = JsonFraming {
    arrays: &[
        ArrayRule { key: "data", needs: None },
        ArrayRule { key: "results", needs: None },
        ArrayRule { key: "rows", needs: None },
        ArrayRule { key: "result", needs: None },
        ArrayRule { key: "list", needs: None },
        ArrayRule { key: "spans", needs: None },
        ArrayRule { key: "events", needs: Some("columns") },
    ],
    context: &["columns", "meta", "isSubTree", "hasMore", "timestamp", "time_unix", "__time"],
    indivisible: &[],
    top_level_arrays: true,
};

impl Format for SignozRows {
    fn info(&self) -> &'static FormatInfo {
        &ROWS
    }

    fn detect(&self, head: &Head<'_>) -> bool {
        const ENVELOPES: [&str; 6] = [
            "",
            "data/",
            "data/data/results/rows/data/",
            "data/result/list/data/",
            "data/newResult/data/result/list/data/",
            "result/list/data/",
        ];
        ENVELOPES.iter().any(|above| is_row(head, above))
            || clickhouse::names_columns(head, &["trace_id", "span_id"], &["duration_nano", "parent_span_id"])
            || head.has("data/data/results/rows")
    }

    fn framing(&self) -> Framing {
        Framing::Json(&FRAMING)
    }

    fn decode(&self, block: &Block, limits: &Limits, sink: &mut dyn SpanSink) {
        decode_json(block, limits, false, sink);
    }
}

impl Format for SignozTable {
    fn info(&self) -> &'static FormatInfo {
        &TABLE
    }

    fn detect(&self, head: &Head<'_>) -> bool {
        has_columns(head.bytes(), &["trace_id", "span_id"], &["timestamp", "duration_nano"])
    }

    fn framing(&self) -> Framing {
        Framing::Table
    }

    fn decode(&self, block: &Block, limits: &Limits, sink: &mut dyn SpanSink) {
        let mut senders = Senders::default();
        let mut lacks_parents = false;
        each_row(block, limits, sink, |columns, cells, position, sink| {
            let mut row = SignozRow::at(position, false);
            for (column, cell) in columns.iter().zip(cells) {
                row.member(column, spreadsheet_safe(cell), limits, sink);
            }
            row.settle_links(sink);
            lacks_parents |= row.give(&mut senders, limits, sink);
        });
        say_parents_are_missing(lacks_parents, sink);
    }
}

impl Format for SignozWaterfall {
    fn info(&self) -> &'static FormatInfo {
        &WATERFALL
    }

    fn detect(&self, head: &Head<'_>) -> bool {
        head.has_any(&["data/hasMissingSpans", "data/serviceNameToTotalDurationMap"])
            || head.has("data/spans/time_unix")
            || head.has_all(&["data/spans/spanId", "data/spans/durationNano"])
                && head.has_any(&["data/spans/kind", "data/spans/references", "data/spans/spanKind"])
            || head.has_all(&["spans/span_id", "spans/time_unix"])
    }

    fn framing(&self) -> Framing {
        Framing::Json(&FRAMING)
    }

    fn decode(&self, block: &Block, limits: &Limits, sink: &mut dyn SpanSink) {
        decode_json(block, limits, true, sink);
    }
}

impl Format for SignozTrace {
    fn info(&self) -> &'static FormatInfo {
        &TRACE
    }

    fn detect(&self, head: &Head<'_>) -> bool {
        head.has_all(&["columns", "events"]) || head.has_all(&["startTimestampMillis", "events"])
    }

    fn framing(&self) -> Framing {
        Framing::Json(&FRAMING)
    }

    fn decode(&self, block: &Block, limits: &Limits, sink: &mut dyn SpanSink) {
        decode_json(block, limits, true, sink);
    }
}

fn is_row(head: &Head<'_>, above: &str) -> bool {
    let has = |names: &[&str]| names.iter().any(|name| head.has(&format!("{above}{name}")));
    has(&["trace_id", "traceID"])
        && has(&["span_id", "spanID"])
        && has(&["duration_nano", "durationNano", "parent_span_id", "kind_string", "resources_string"])
        && !has(&["start_time_unix_nano", "startTimeUnixNano"])
}

/// A CSV export puts a `'` before cells that a spreadsheet would take for a formula.
fn spreadsheet_safe(cell: Cell<'_>) -> Cell<'_> {
    match cell {
        Cell::Text(text) if text.starts_with('\'') && text[1..].starts_with(['=', '+', '-', '@']) => {
            Cell::Text(Cow::Owned(text[1..].to_owned()))
        }
        other => other,
    }
}

fn decode_json<'a>(block: &'a Block, limits: &'a Limits, is_in_ms: bool, sink: &mut dyn SpanSink) {
    let mut decoder = Decoder {
        block,
        limits,
        is_in_ms,
        lacks_parents: false,
        columns: Vec::new(),
        senders: Senders::default(),
    };
    each_value(block, limits, sink, |cursor, sink| decoder.value(cursor, &mut None, sink));
    say_parents_are_missing(decoder.lacks_parents, sink);
}

/// Before version 0.130 `query_range` left the parent out unless it was asked for by name.
fn say_parents_are_missing(lacks_parents: bool, sink: &mut dyn SpanSink) {
    if lacks_parents {
        sink.partial("rows without parent_span_id; select it, or every span passes for a root");
    }
}

struct Decoder<'a> {
    block: &'a Block,
    limits: &'a Limits,
    is_in_ms: bool,
    lacks_parents: bool,
    /// Named by the document whose rows are lists.
    columns: Vec<String>,
    senders: Senders<'a>,
}

/// What an envelope says of the rows in it.
#[derive(Default)]
struct Envelope<'a> {
    /// It holds rows, or tells of them, and is no row itself.
    is_met: bool,
    /// It names the columns of the lists in it.
    names_columns: bool,
    /// Lists of cells that stood before the names of their columns.
    early_rows: Option<Cursor<'a>>,
    is_sub_tree: bool,
    has_more: Option<bool>,
    total_spans: Option<u64>,
}

impl Envelope<'_> {
    /// Why the rows are not all of the trace, of which so many were read here.
    fn shortage(&self, spans: u64) -> Option<String> {
        if self.is_sub_tree {
            return Some("SigNoz left spans of a large trace out (isSubTree)".to_owned());
        }
        match (self.has_more, self.total_spans) {
            (Some(true), _) => Some("SigNoz shows a part of a large trace (hasMore)".to_owned()),
            (None, Some(total)) if spans < total => {
                Some(format!("SigNoz shows {spans} of the {total} spans of a trace"))
            }
            _ => None,
        }
    }
}

impl<'a> Decoder<'a> {
    /// `start` stands beside the row in some envelopes.
    fn value(
        &mut self,
        cursor: &mut Cursor<'a>,
        start: &mut Option<Cow<'a, str>>,
        sink: &mut dyn SpanSink,
    ) -> Result<()> {
        match cursor.peek() {
            Some(b'[') => cursor.array(|cursor| self.value(cursor, start, sink)).map(drop),
            Some(b'{') => self.object(cursor, start, sink),
            Some(_) if cursor.is_inside() => self.no_object(cursor, sink),
            _ => Err(JsonError::Unexpected("expected a JSON object or array")),
        }
    }

    fn no_object(&self, cursor: &mut Cursor<'a>, sink: &mut dyn SpanSink) -> Result<()> {
        let position = self.block.position(cursor.at());
        cursor.skip()?;
        sink.reject(position, RejectReason::NotAnObject);
        cursor.commit();
        Ok(())
    }

    /// A row, or an envelope: told apart by the keys met.
    fn object(
        &mut self,
        cursor: &mut Cursor<'a>,
        start: &mut Option<Cow<'a, str>>,
        sink: &mut dyn SpanSink,
    ) -> Result<()> {
        let mut row = SignozRow::at(self.block.position(cursor.at()), self.is_in_ms);
        let mut envelope = Envelope::default();
        let mut noting = Noting::new(sink);
        let outcome = cursor.object(|cursor, key| {
            if self.envelope_member(&mut envelope, &mut row, cursor, key, &mut noting)? {
                return Ok(());
            }
            row.member(key, Cell::read(cursor)?, self.limits, &mut noting);
            Ok(())
        });
        let mut outcome = outcome.map(drop);
        if let Some(mut rows) = envelope.early_rows.take() {
            let read = self.column_rows(&mut rows, &mut noting);
            outcome = cursor.absorb(&rows, outcome, read);
        }
        outcome?;
        if envelope.is_met {
            self.say_shortage(&envelope, noting);
            return Ok(());
        }
        row.row.start = row.row.start.take().or_else(|| start.clone());
        self.give(row, &mut noting);
        cursor.commit();
        Ok(())
    }

    /// Takes a member that holds rows or tells of them; returns whether it was one.
    fn envelope_member(
        &mut self,
        envelope: &mut Envelope<'a>,
        row: &mut SignozRow<'a>,
        cursor: &mut Cursor<'a>,
        key: &str,
        sink: &mut dyn SpanSink,
    ) -> Result<bool> {
        let holds_rows = matches!(cursor.peek(), Some(b'[' | b'{'));
        let is_list = cursor.peek() == Some(b'[');
        match key {
            "events" if is_list && envelope.names_columns => self.column_rows(cursor, sink)?,
            // Events of a span are objects or texts; rows are lists.
            "data" | "events" if is_list && is_list_of_lists(cursor) && self.columns.is_empty() => {
                envelope.early_rows = Some(cursor.clone());
                cursor.skip()?;
            }
            "data" if is_list && is_list_of_lists(cursor) => self.column_rows(cursor, sink)?,
            "data" | "results" | "rows" | "result" | "newResult" | "list" | "spans" if holds_rows => {
                self.value(cursor, &mut row.row.start, sink)?;
            }
            "columns" if is_list => {
                let columns = Cell::read(cursor)?.items(self.limits);
                self.columns = columns.into_iter().map(|column| text(column).into_owned()).collect();
                envelope.names_columns = true;
            }
            "meta" if is_list => self.columns = clickhouse::column_names(cursor)?,
            "isSubTree" => envelope.is_sub_tree = cursor.boolean()?.unwrap_or_default(),
            "hasMore" => envelope.has_more = cursor.boolean()?,
            "totalSpansCount" => envelope.total_spans = cursor.unsigned()?,
            "data" | "results" | "rows" | "result" | "newResult" | "list" | "spans" | "status" => {
                cursor.skip()?;
            }
            "meta" | "uncollapsedSpans" => {
                cursor.skip()?;
                return Ok(true);
            }
            "warning" if holds_rows => {
                Self::warning(cursor, sink)?;
                return Ok(true);
            }
            "nextCursor" => {
                Self::next_cursor(cursor, sink)?;
                return Ok(true);
            }
            _ => return Ok(false),
        }
        envelope.is_met = true;
        Ok(true)
    }

    /// Where the document was cut into blocks, how many spans it has is not known here.
    fn say_shortage(&self, envelope: &Envelope<'a>, mut noting: Noting<'_>) {
        let is_whole = self.block.replayed == 0 && self.block.closing == 0;
        let spans = if is_whole { noting.spans() } else { u64::MAX };
        if let Some(reason) = envelope.shortage(spans) {
            noting.partial(&reason);
            noting.truncated();
        }
    }

    /// What the backend says beside an answer that was successful: that the time range lies outside
    /// of the trace, that keys are ambiguous.
    fn warning(cursor: &mut Cursor<'a>, sink: &mut dyn SpanSink) -> Result<()> {
        const LONGEST: usize = 200;
        let mut messages = Vec::new();
        cursor.object(|cursor, key| match key {
            "message" => {
                messages.extend(cursor.string_or_skip()?);
                Ok(())
            }
            "warnings" => cursor
                .array(|cursor| {
                    cursor
                        .object(|cursor, key| match key {
                            "message" => {
                                messages.extend(cursor.string_or_skip()?);
                                Ok(())
                            }
                            _ => cursor.skip(),
                        })
                        .map(drop)
                })
                .map(drop),
            _ => cursor.skip(),
        })?;
        messages.retain(|message| !message.is_empty());
        if !messages.is_empty() {
            let text: String = messages.join("; ").chars().take(LONGEST).collect();
            sink.partial(&format!("SigNoz warns: {text}"));
        }
        Ok(())
    }

    /// A cursor says that the rows ended at the limit of the request.
    fn next_cursor(cursor: &mut Cursor<'a>, sink: &mut dyn SpanSink) -> Result<()> {
        let text = cursor.string_or_skip()?.unwrap_or_default();
        if !text.is_empty() {
            sink.partial("SigNoz has more rows than this answer holds (nextCursor)");
        }
        Ok(())
    }

    /// Rows that are lists of cells; a document may mix in rows that name theirs.
    fn column_rows(&mut self, cursor: &mut Cursor<'a>, sink: &mut dyn SpanSink) -> Result<()> {
        cursor.array(|cursor| self.column_row(cursor, sink)).map(drop)
    }

    fn column_row(&mut self, cursor: &mut Cursor<'a>, sink: &mut dyn SpanSink) -> Result<()> {
        match cursor.peek() {
            Some(b'[') => {}
            Some(b'{') => return self.object(cursor, &mut None, sink),
            _ => return self.no_object(cursor, sink),
        }
        let position = self.block.position(cursor.at());
        let mut row = SignozRow::at(position, self.is_in_ms);
        let (columns, limits) = (&self.columns, self.limits);
        match take_list(cursor, columns, |column, cell| row.member(column, cell, limits, sink))? {
            Some(()) => self.give(row, sink),
            None => sink.reject(position, RejectReason::ColumnCount),
        }
        cursor.commit();
        Ok(())
    }

    fn give(&mut self, mut row: SignozRow<'a>, sink: &mut dyn SpanSink) {
        if row.is_invented() {
            sink.invented_row(row.row.span.trace_id, row.row.span.span_id);
            return;
        }
        row.settle_links(sink);
        self.lacks_parents |= row.give(&mut self.senders, self.limits, sink);
    }
}

/// A row with what is judged when all of it was read.
#[derive(Default)]
struct SignozRow<'a> {
    row: Row<'a>,
    has_parent: bool,
    has_references: bool,
    failed: bool,
    remote: Option<bool>,
    kind_number: SpanKind,
    references: Vec<Reference<'a>>,
    /// Keys and values of tags that stand in two lists.
    tags: [Vec<Value<'a>>; 2],
}

/// An entry of `links` or `references`, of which the first repeats the parent.
struct Reference<'a> {
    trace_id: Cow<'a, str>,
    span_id: Cow<'a, str>,
    is_parent: bool,
}

impl<'a> SignozRow<'a> {
    fn at(position: u64, is_in_ms: bool) -> Self {
        let mut row = Self::default();
        (row.row.span.position, row.row.is_in_ms) = (position, is_in_ms);
        row
    }

    fn member(&mut self, key: &str, cell: Cell<'a>, limits: &Limits, sink: &mut dyn SpanSink) {
        let row = &mut self.row;
        let known = std::mem::replace(&mut row.any, true);
        match key {
            "trace_id" | "traceID" | "traceId" | "TraceId" => row.trace_id(cell.text(), sink),
            "span_id" | "spanID" | "spanId" | "SpanId" => row.span_id(cell.text(), sink),
            "parent_span_id" | "parentSpanID" | "parentSpanId" => {
                self.has_parent = true;
                row.parent_span_id(cell.text(), sink);
            }
            "timestamp" | "time_unix" | "__time" => row.start = cell.text(),
            "duration_nano" | "durationNano" | "DurationNano" => row.duration = cell.text(),
            "name" | "Name" => row.name(cell.text()),
            "kind_string" | "spanKind" | "SpanKind" => {
                row.span.kind = kind(&cell.text().unwrap_or_default());
            }
            "kind" | "Kind" => self.kind_number = kind(&cell.text().unwrap_or_default()),
            "references" | "links" | "References" => {
                row.any = known;
                self.has_references = true;
                self.references.extend(cell.items(limits).into_iter().filter_map(reference));
            }
            _ => {
                row.any = known;
                self.other_member(key, cell, limits);
            }
        }
    }

    fn other_member(&mut self, key: &str, cell: Cell<'a>, limits: &Limits) {
        let span = &mut self.row.span;
        match key {
            "trace_state" | "traceState" => span.trace_state = cell.text(),
            "flags" => {
                // The column is 0 where the span had none.
                span.flags = cell.text().and_then(|text| text.parse().ok()).filter(|flags| *flags != 0);
            }
            "is_remote" => {
                self.remote = match cell.text().as_deref() {
                    Some("yes") => Some(true),
                    Some("no") => Some(false),
                    _ => None,
                };
            }
            "status_code" | "statusCode" | "status_code_string" | "statusCodeString" | "StatusCodeString" => {
                let found = status(&cell.text().unwrap_or_default());
                if found != StatusCode::Unset {
                    span.status = found;
                }
            }
            "status_message" | "statusMessage" | "StatusMessage" => {
                span.status_message = cell.text().unwrap_or_default();
            }
            "has_error" | "hasError" | "HasError" => self.failed = cell.text().as_deref() == Some("true"),
            "attributes_string" | "attributes_number" | "attributes_bool" | "attributes" | "tagMap"
            | "stringTagMap" | "numberTagMap" | "boolTagMap" => cell.attributes(limits, &mut span.attributes),
            "resources_string" | "resource" => cell.attributes(limits, &mut self.row.resource.attributes),
            "service.name" | "service_name" | "serviceName" | "ServiceName" => self.row.service = cell.text(),
            "scope" => self.scope(cell, limits),
            "events" | "Events" | "event" => {
                span.events.extend(cell.items(limits).into_iter().map(|item| event(item, limits)));
            }
            "TagsKeys" => self.tags[0] = cell.items(limits),
            "TagsValues" => self.tags[1] = cell.items(limits),
            _ => {}
        }
    }

    fn scope(&mut self, cell: Cell<'a>, limits: &Limits) {
        let Value::Map(entries) = cell.value(limits) else {
            return;
        };
        for Attribute { key, value } in entries {
            match key.as_ref() {
                "name" => self.row.scope.name = text(value),
                "version" => self.row.scope.version = text(value),
                _ => {}
            }
        }
    }

    /// Hands the row on; returns whether nothing in it could have told its parent.
    fn give(mut self, senders: &mut Senders<'a>, limits: &Limits, sink: &mut dyn SpanSink) -> bool {
        let lacks_parent = self.row.any && !self.has_parent && !self.has_references;
        self.settle_tags(limits);
        let span = &mut self.row.span;
        if span.kind == SpanKind::Unspecified {
            span.kind = self.kind_number;
        }
        if span.status == StatusCode::Unset && self.failed {
            span.status = StatusCode::Error;
        }
        span.parent_is_remote = self.remote.or_else(|| span.flags.and_then(parent_is_remote));
        senders.give(self.row, sink);
        lacks_parent
    }

    /// `SigNoz` puts a row of this name where the parent of a span is missing.
    fn is_invented(&self) -> bool {
        let span = &self.row.span;
        self.row.is_in_ms
            && span.name == "Missing Span"
            && span.kind == SpanKind::Unspecified
            && self.kind_number == SpanKind::Unspecified
            && self.row.resource.attributes.is_empty()
    }

    /// Where tags of the resource are mixed with those of the span, the name of the service is
    /// all that surely is of the resource.
    fn settle_tags(&mut self, limits: &Limits) {
        let [keys, values] = std::mem::take(&mut self.tags);
        for (key, value) in keys.into_iter().zip(values) {
            self.row.span.attributes.push(Attribute { key: text(key), value: plain(value, limits) });
        }
        let row = &mut self.row;
        if row.service.as_ref().is_none_or(|service| service.is_empty()) {
            let named = row.span.attributes.iter().find(|attribute| attribute.key == "service.name");
            row.service =
                named.and_then(|named| named.value.to_text()).map(|name| Cow::Owned(name.into_owned()));
        }
    }

    /// The collector of `SigNoz` begins the links of every span with a reference to its parent, for
    /// roots with one to nothing.
    fn settle_links(&mut self, sink: &mut dyn SpanSink) {
        let row = &mut self.row;
        let own = row.span.trace_id;
        if !self.has_parent {
            let parent = self.references.iter().find(|reference| {
                reference.is_parent
                    && link_ids(&reference.trace_id, "").0 == own
                    && !reference.span_id.is_empty()
            });
            row.parent_span_id(parent.map(|parent| parent.span_id.clone()), sink);
        }
        let mut parent_is_due = true;
        for reference in std::mem::take(&mut self.references) {
            let (trace_id, span_id) = link_ids(&reference.trace_id, &reference.span_id);
            let repeats_parent =
                trace_id == own && (span_id == SpanId::default() || Some(span_id) == row.span.parent_span_id);
            if !(repeats_parent && std::mem::take(&mut parent_is_due)) {
                row.span.links.push(Link { trace_id, span_id, ..Link::default() });
            }
        }
    }
}

fn text(value: Value<'_>) -> Cow<'_, str> {
    Cell::from_value(value).text().unwrap_or_default()
}

/// A value that may be a list or map inside a text.
fn plain<'a>(value: Value<'a>, limits: &Limits) -> Value<'a> {
    match value {
        Value::String(text) => Cell::Text(text).value(limits),
        other => other,
    }
}

fn status(text: &str) -> StatusCode {
    text.parse::<u64>().map_or_else(|_| StatusCode::from_name(text), StatusCode::from_otlp)
}

/// An object, or the text `{TraceId=…, SpanId=…, RefType=CHILD_OF}`.
fn reference(value: Value<'_>) -> Option<Reference<'_>> {
    let mut found = Reference { trace_id: Cow::Borrowed(""), span_id: Cow::Borrowed(""), is_parent: false };
    let entries: Vec<(String, Cow<'_, str>)> = match value {
        Value::Map(entries) => {
            entries.into_iter().map(|entry| (entry.key.into_owned(), text(entry.value))).collect()
        }
        Value::String(text) => text
            .trim_matches(['{', '}'])
            .split(", ")
            .filter_map(|part| part.split_once('='))
            .map(|(key, value)| (key.to_owned(), Cow::Owned(value.to_owned())))
            .collect(),
        _ => return None,
    };
    for (key, value) in entries {
        match key.to_ascii_lowercase().as_str() {
            "traceid" | "trace_id" => found.trace_id = value,
            "spanid" | "span_id" => found.span_id = value,
            "reftype" | "ref_type" => found.is_parent = value == "CHILD_OF",
            _ => {}
        }
    }
    Some(found)
}

/// An object, or JSON in a text.
fn event<'a>(value: Value<'a>, limits: &Limits) -> Event<'a> {
    let mut event = Event::default();
    let Value::Map(entries) = plain(value, limits) else {
        return event;
    };
    for Attribute { key, value } in entries {
        match key.as_ref() {
            "name" => event.name = text(value),
            "timeUnixNano" | "time_unix_nano" => event.time_ns = instant(&text(value), false),
            "attributeMap" | "attributes" => {
                Cell::Value(plain(value, limits)).attributes(limits, &mut event.attributes);
            }
            _ => {}
        }
    }
    event
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::whole::testing::decode;
    use super::*;
    use crate::model::{SpanField, TraceId};

    pub(in super::super) const ROWS_SAMPLE: &str = r#"{"timestamp":"2026-01-01 00:00:00.000000001","trace_id":"4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f","span_id":"a1a1a1a1a1a1a1a1","parent_span_id":"","trace_state":"v=1","flags":257,"name":"GET /","kind":2,"kind_string":"Server","duration_nano":"5","status_code":2,"status_code_string":"Error","status_message":"no","attributes_string":{"a":"b"},"attributes_number":{"n":7},"attributes_bool":{"t":true},"resources_string":{"service.name":"shop"},"links":"[{\"traceId\":\"4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f\",\"refType\":\"CHILD_OF\"},{\"traceId\":\"00000000000000000000000000000001\",\"spanId\":\"0000000000000002\",\"refType\":\"FOLLOWS_FROM\"}]","events":["{\"name\":\"e\",\"timeUnixNano\":1767225600000000002,\"attributeMap\":{\"x\":\"y\"}}"],"has_error":true,"is_remote":"no"}
{"timestamp":"2026-01-01T00:00:00.01Z","trace_id":"4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f","span_id":"b2b2b2b2b2b2b2b2","parent_span_id":"a1a1a1a1a1a1a1a1","flags":769,"name":"POST","kind":3,"duration_nano":18446744073709551615,"attributes":{"k":1},"resource":{"service.name":"shop"},"links":[{"traceId":"4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f","spanId":"a1a1a1a1a1a1a1a1"}],"events":[],"is_remote":"yes"}
{"timestamp":"soon","trace_id":"not hex","span_id":"","parent_span_id":"p-1","name":null,"flags":0,"is_remote":"unknown"}
"#;

    pub(in super::super) const TABLE_SAMPLE: &str = "timestamp,attributes,duration_nano,kind_string,links,name,parent_span_id,resource,span_id,trace_id\r
2026-01-01T00:00:00Z,\"{\"\"k\"\":\"\"v\"\"}\",5,Server,\"[{\"\"traceId\"\":\"\"4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f\"\"}]\",\"GET\n/\",,\"{\"\"service.name\"\":\"\"shop\"\"}\",a1a1a1a1a1a1a1a1,4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f\r
2026-01-01T00:00:00Z,{},'-5,Client,[],'=x,a1a1a1a1a1a1a1a1,{},b2b2b2b2b2b2b2b2,4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f\r
";

    pub(in super::super) const WATERFALL_SAMPLE: &str = r#"{"status":"success","data":{"spans":[
{"trace_id":"4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f","span_id":"a1a1a1a1a1a1a1a1","parent_span_id":"","flags":257,"name":"GET /","kind_string":"Server","duration_nano":5,"resource":{"service.name":"shop"},"time_unix":1767225600001,"references":[{"traceId":"4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f","refType":"CHILD_OF"}]},
{"trace_id":"4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f","span_id":"00000000000000e5","parent_span_id":"","name":"Missing Span","kind_string":"","resource":{},"time_unix":1767225600001,"references":null},
{"traceId":"4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f","spanId":"b2b2b2b2b2b2b2b2","name":"POST","kind":3,"durationNano":5,"serviceName":"shop","timestamp":0,"references":[{"traceId":"4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f","spanId":"00000000000000e5","refType":"CHILD_OF"}],"hasError":true}],
"hasMissingSpans":true}}"#;

    pub(in super::super) const TRACE_SAMPLE: &str = r#"[{"startTimestampMillis":1,"columns":["__time","SpanId","TraceId","ServiceName","Name","Kind","DurationNano","TagsKeys","TagsValues","References","Events","HasError","StatusMessage","StatusCodeString","SpanKind"],
"events":[[1767225600001,"a1a1a1a1a1a1a1a1","4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f","shop","GET /","2","5",["k"],["v"],["{TraceId=4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f, SpanId=, RefType=CHILD_OF}"],["{\"name\":\"e\",\"timeUnixNano\":1767225600000000002}"],false,"","Unset","Server"],
[0,"b2b2b2b2b2b2b2b2","4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f","","POST","3","-5",["service.name"],["bill"],["{TraceId=4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f, SpanId=a1a1a1a1a1a1a1a1, RefType=CHILD_OF}"],[],true,"no","Unset","Client"]]}]"#;

    fn parents(told: &super::super::whole::testing::Told) -> Vec<Option<SpanId>> {
        told.spans().iter().map(|span| span.parent_span_id).collect()
    }

    #[test]
    fn rows_drop_the_link_that_repeats_the_parent() {
        let told = decode(&SignozRows, ROWS_SAMPLE);
        let (first, second, third) = (told.spans()[0], told.spans()[1], told.spans()[2]);
        assert_eq!(first.links.len(), 1);
        assert_eq!((first.links[0].trace_id, first.links[0].span_id), (TraceId(1), SpanId(2)));
        assert!(second.links.is_empty());
        assert_eq!((first.parent_is_remote, second.parent_is_remote), (Some(false), Some(true)));
        assert_eq!((third.parent_is_remote, third.flags), (None, None));
        assert_eq!((second.kind, second.duration_ns()), (SpanKind::Client, Some(-1)));
        assert_eq!((first.attributes.len(), first.events[0].attributes.len()), (3, 1));
        assert!(third.is_malformed(SpanField::TraceId) && third.is_malformed(SpanField::ParentSpanId));
        assert!(told.partial.is_empty());
    }

    #[test]
    fn answers_hold_rows_at_any_depth() {
        let row = r#"{"trace_id":"1","span_id":"2","parent_span_id":"","name":"x","duration_nano":5}"#;
        let list = format!(r#"{{"timestamp":"1767225600000000001","data":{row}}}"#);
        for text in [
            format!(
                r#"{{"status":"success","data":{{"type":"raw","data":{{"results":[{{"queryName":"A","nextCursor":"","rows":[{list},7]}}]}},"meta":{{}}}}}}"#
            ),
            format!(r#"{{"result":[{{"list":[{list},7]}}]}}"#),
        ] {
            let told = decode(&SignozRows, text.as_str());
            assert_eq!(told.spans()[0].start_ns, Some(1_767_225_600_000_000_001), "{text}");
            assert_eq!((told.spans().len(), told.rejects.len()), (1, 1), "{text}");
            assert!(told.partial.is_empty());
        }
        let more =
            decode(&SignozRows, r#"{"data":{"data":{"results":[{"nextCursor":"MTc=","rows":null}]}}}"#);
        assert_eq!((more.partial.len(), more.spans().len(), more.rejects.len()), (1, 0, 0));
        let told = decode(&SignozRows, r#"{"trace_id":"1","span_id":"2","name":"x"}"#);
        assert!(told.partial[0].contains("parent_span_id"));
    }

    #[test]
    fn csv_cells_lose_quotes_and_guards() {
        let told = decode(&SignozTable, TABLE_SAMPLE);
        let (first, second) = (told.spans()[0], told.spans()[1]);
        assert_eq!((first.name.as_ref(), first.attributes.len(), first.links.len()), ("GET\n/", 1, 0));
        assert_eq!((second.name.as_ref(), second.duration_ns()), ("=x", Some(-5)));
        assert_eq!(told.services(), ["shop", ""]);
    }

    #[test]
    fn invented_spans_of_a_waterfall_are_no_spans() {
        let told = decode(&SignozWaterfall, WATERFALL_SAMPLE);
        assert_eq!(parents(&told), [None, Some(SpanId(0xe5))]);
        assert_eq!(told.invented, [(told.spans()[1].trace_id, SpanId(0xe5))]);
        assert_eq!(told.spans()[0].start_ns, Some(1_767_225_600_001_000_000));
        assert_eq!((told.spans()[1].status, told.services()[1]), (StatusCode::Error, "shop"));
        assert!(told.spans()[0].links.is_empty() && told.spans()[1].links.is_empty());
    }

    #[test]
    fn columns_name_the_cells_of_a_trace() {
        let told = decode(&SignozTrace, TRACE_SAMPLE);
        assert_eq!(parents(&told), [None, Some(SpanId(0xa1a1_a1a1_a1a1_a1a1))]);
        assert_eq!(told.services(), ["shop", "bill"]);
        assert_eq!((told.spans()[0].events.len(), told.spans()[1].status), (1, StatusCode::Error));
        assert!(told.spans()[1].is_malformed(SpanField::StartTime));
        let told = decode(&SignozTrace, r#"[{"columns":["SpanId","TraceId"],"events":[["1"],7]}]"#);
        let reasons: Vec<RejectReason> = told.rejects.iter().map(|(_, reason)| *reason).collect();
        assert_eq!(reasons, [RejectReason::ColumnCount, RejectReason::NotAnObject]);
    }

    fn notes(told: &super::super::whole::testing::Told) -> (usize, &[String], usize) {
        (told.spans().len(), &told.partial, told.truncated.len())
    }

    #[test]
    fn columns_may_stand_behind_their_rows() {
        let text = TRACE_SAMPLE.replace("\"columns\":", "\"later\":");
        let (_, columns) = TRACE_SAMPLE.split_once("\"columns\":").unwrap();
        let columns = columns.split_once(']').unwrap().0;
        let text = format!("{}, \"columns\":{columns}]}}]", text.trim_end_matches("}]"));
        let told = decode(&SignozTrace, text.as_str());
        assert_eq!(told.services(), ["shop", "bill"]);
        assert_eq!(notes(&told), (2, &[][..], 0));
    }

    #[test]
    fn parts_of_a_trace_are_truncated() {
        let part = TRACE_SAMPLE.replace("\"events\":[[", "\"isSubTree\":true,\"events\":[[");
        let told = decode(&SignozTrace, part.as_str());
        assert_eq!((told.spans().len(), told.truncated.len()), (2, 1));
        assert!(told.partial[0].contains("isSubTree"));
        for (member, expected) in [
            ("\"hasMore\":true,\"totalSpansCount\":9", Some("hasMore")),
            ("\"hasMore\":false,\"totalSpansCount\":9", None),
            ("\"totalSpansCount\":9", Some("2 of the 9 spans")),
            ("\"totalSpansCount\":2", None),
        ] {
            let text = WATERFALL_SAMPLE.replace("\"hasMissingSpans\":true", member);
            let told = decode(&SignozWaterfall, text.as_str());
            assert_eq!(told.truncated.len(), usize::from(expected.is_some()), "{member}");
            assert!(expected.is_none_or(|expected| told.partial[0].contains(expected)), "{member}");
        }
    }

    #[test]
    fn rows_that_are_objects_keep_their_events_behind_named_columns() {
        let rows: Vec<&str> = ROWS_SAMPLE.lines().collect();
        let text =
            format!(r#"{{"meta":[{{"name":"timestamp"}},{{"name":"events"}}],"data":[{}]}}"#, rows.join(","));
        let told = decode(&SignozRows, text);
        assert_eq!((told.spans().len(), told.rejects.len(), told.spans()[0].events.len()), (3, 0, 1));
    }

    #[test]
    fn warnings_beside_an_answer_are_told() {
        let told = decode(
            &SignozRows,
            r#"{"status":"success","data":{"data":{"results":[{"rows":[]}]},"warning":{"message":"outside","warnings":[{"message":"of the range"},7]}}}"#,
        );
        assert_eq!(told.partial, ["SigNoz warns: outside; of the range"]);
    }

    #[test]
    fn lists_of_cells_have_their_columns_named_once() {
        let cells = r#"["2026-01-01 00:00:00.000000001","1","2","","x",5]"#;
        let names = ["timestamp", "trace_id", "span_id", "parent_span_id", "name", "duration_nano"];
        let meta = names.map(|name| format!(r#"{{"name":"{name}","type":"String"}}"#)).join(",");
        let document = format!(r#"{{"meta":[{meta}],"data":[{cells},["1"],7],"rows":1}}"#);
        let told = decode(&SignozRows, document.as_str());
        let reasons: Vec<RejectReason> = told.rejects.iter().map(|(_, reason)| *reason).collect();
        assert_eq!(reasons, [RejectReason::ColumnCount, RejectReason::NotAnObject]);
        assert_eq!((told.spans().len(), told.spans()[0].span_id), (1, SpanId(2)));
        let late = format!(r#"{{"data":[{cells}],"meta":[{meta}]}}"#);
        assert_eq!(decode(&SignozRows, late.as_str()).spans()[0].span_id, SpanId(2));
        let header = names.map(|name| format!("\"{name}\"")).join(",");
        let types =
            ["DateTime64(9)", "FixedString(32)", "String", "String", "LowCardinality(String)", "UInt64"];
        let types = types.map(|name| format!("\"{name}\"")).join(",");
        let table = format!("[{header}]\n[{types}]\n{cells}\n[\"1\"]\n");
        let told = decode(&SignozTable, table.as_str());
        assert_eq!((told.spans().len(), told.rejects.len()), (1, 1));
        assert_eq!(told.spans()[0].start_ns, Some(1_767_225_600_000_000_001));
        for (text, name) in [(document, "signoz-rows"), (table, "signoz-table")] {
            let found = format!("{:?}", super::super::detect(&Head::new(text.as_bytes())));
            assert_eq!(found, format!("Known({name:?})"));
        }
    }
}
