//! Rows of `otel_traces`, the table of the Collector's `ClickHouse` exporter, as JSON
//! (`JSONEachRow`, and the `data` of `FORMAT JSON`), TSV or CSV with names.
//!
//! Source: opentelemetry-collector-contrib, `exporter/clickhouseexporter/internal/sqltemplates`.

use std::borrow::Cow;

use super::framing::{ArrayRule, Framing, JsonFraming};
use super::json::{Cursor, JsonError, Result, each_value};
use super::rows::{Cell, Row, Senders, instant, kind};
use super::table::{columns, each_row};
use super::{Block, Format, FormatInfo, Head, Limits, RejectReason, SpanSink};
use crate::model::ids::{IdText, read_span_id, read_trace_id};
use crate::model::{Capabilities, Event, Link, SpanId, StatusCode, TraceId, Value};

/// Rows as JSON.
pub(super) struct ClickhouseRows;

/// Rows as a table with a header.
pub(super) struct ClickhouseTable;

/// The exporter has no column for flags.
const CAPABILITIES: Capabilities = Capabilities {
    time_resolution_ns: 1,
    flags: false,
    is_remote: false,
    links: true,
    trace_state: true,
    dropped_counts: false,
    exact_resource: true,
    duplicates_visible: true,
    edited_by_source: false,
};

static ROWS: FormatInfo = FormatInfo {
    name: "clickhouse-otel-traces",
    title: "ClickHouse rows of otel_traces as JSON: JSONEachRow, JSON",
    comes_from: "SELECT * FROM otel_traces FORMAT JSONEachRow (Collector's clickhouse exporter), times in UTC",
    capabilities: CAPABILITIES,
};

static TABLE: FormatInfo = FormatInfo {
    name: "clickhouse-otel-traces-table",
    title: "ClickHouse rows of otel_traces as TSV or CSV with names",
    comes_from: "SELECT * FROM otel_traces FORMAT TabSeparatedWithNames or CSVWithNames, times in UTC",
    capabilities: CAPABILITIES,
};

static FRAMING: JsonFraming =
    JsonFraming { arrays: &[ArrayRule { key: "data", needs: None }], context: &[], top_level_arrays: true };

impl Format for ClickhouseRows {
    fn info(&self) -> &'static FormatInfo {
        &ROWS
    }

    fn detect(&self, head: &Head<'_>) -> bool {
        const COLUMNS: [&str; 3] = ["SpanName", "Duration", "Timestamp"];
        head.has_all(&["TraceId", "SpanId"]) && head.has_any(&COLUMNS)
            || head.has_all(&["data/TraceId", "data/SpanId"])
                && COLUMNS.iter().any(|column| head.has(&format!("data/{column}")))
    }

    fn framing(&self) -> Framing {
        Framing::Json(&FRAMING)
    }

    fn decode(&self, block: &Block, limits: &Limits, sink: &mut dyn SpanSink) {
        let mut decoder = Decoder { block, limits, senders: Senders::default() };
        each_value(block, limits, sink, |cursor, sink| decoder.value(cursor, sink));
    }
}

impl Format for ClickhouseTable {
    fn info(&self) -> &'static FormatInfo {
        &TABLE
    }

    fn detect(&self, head: &Head<'_>) -> bool {
        let columns = columns(head.bytes());
        let has = |name: &str| columns.iter().any(|column| column == name);
        has("TraceId") && has("SpanId") && (has("SpanName") || has("Duration") || has("Timestamp"))
    }

    fn framing(&self) -> Framing {
        Framing::Table
    }

    fn decode(&self, block: &Block, limits: &Limits, sink: &mut dyn SpanSink) {
        let mut senders = Senders::default();
        each_row(block, limits, sink, |columns, cells, position, sink| {
            let mut row = RowParts::at(position);
            for (column, cell) in columns.iter().zip(cells) {
                row.member(column, cell, limits, sink);
            }
            senders.give(row.finish(limits), sink);
        });
    }
}

struct Decoder<'a> {
    block: &'a Block,
    limits: &'a Limits,
    senders: Senders<'a>,
}

impl<'a> Decoder<'a> {
    fn value(&mut self, cursor: &mut Cursor<'a>, sink: &mut dyn SpanSink) -> Result<()> {
        match cursor.peek() {
            Some(b'[') => cursor.array(|cursor| self.value(cursor, sink)).map(drop),
            Some(b'{') => self.row(cursor, sink),
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

    /// A row, or the document around the rows.
    fn row(&mut self, cursor: &mut Cursor<'a>, sink: &mut dyn SpanSink) -> Result<()> {
        let mut row = RowParts::at(self.block.position(cursor.at()));
        let mut is_document = false;
        cursor.object(|cursor, key| {
            if key == "data" && cursor.peek() == Some(b'[') {
                is_document = true;
                return self.value(cursor, sink);
            }
            row.member(key, Cell::read(cursor)?, self.limits, sink);
            Ok(())
        })?;
        if !is_document {
            self.senders.give(row.finish(self.limits), sink);
            cursor.commit();
        }
        Ok(())
    }
}

/// A row whose nested columns are still lists, one for each member.
#[derive(Default)]
struct RowParts<'a> {
    row: Row<'a>,
    /// Timestamps, names and attributes of the events.
    events: [Option<Cell<'a>>; 3],
    /// Trace ids, span ids, trace states and attributes of the links.
    links: [Option<Cell<'a>>; 4],
}

impl<'a> RowParts<'a> {
    fn at(position: u64) -> Self {
        let mut parts = Self::default();
        parts.row.span.position = position;
        parts
    }

    fn member(&mut self, key: &str, cell: Cell<'a>, limits: &Limits, sink: &mut dyn SpanSink) {
        let row = &mut self.row;
        let known = std::mem::replace(&mut row.any, true);
        match key {
            "Timestamp" => row.start = cell.text(),
            "TraceId" => row.trace_id(cell.text(), sink),
            "SpanId" => row.span_id(cell.text(), sink),
            "ParentSpanId" => row.parent_span_id(cell.text(), sink),
            "TraceState" => row.span.trace_state = cell.text(),
            "SpanName" => row.name(cell.text()),
            "SpanKind" => row.span.kind = kind(&cell.text().unwrap_or_default()),
            "Duration" => row.duration = cell.text(),
            "StatusCode" => row.span.status = StatusCode::from_name(&cell.text().unwrap_or_default()),
            "StatusMessage" => row.span.status_message = cell.text().unwrap_or_default(),
            "SpanAttributes" => cell.attributes(limits, &mut row.span.attributes),
            _ => {
                row.any = known;
                self.other_member(key, cell, limits);
            }
        }
    }

    fn other_member(&mut self, key: &str, cell: Cell<'a>, limits: &Limits) {
        let row = &mut self.row;
        match key {
            "ServiceName" => row.service = cell.text(),
            "ResourceAttributes" => cell.attributes(limits, &mut row.resource.attributes),
            "ScopeName" => row.scope.name = cell.text().unwrap_or_default(),
            "ScopeVersion" => row.scope.version = cell.text().unwrap_or_default(),
            "Events.Timestamp" => self.events[0] = Some(cell),
            "Events.Name" => self.events[1] = Some(cell),
            "Events.Attributes" => self.events[2] = Some(cell),
            "Links.TraceId" => self.links[0] = Some(cell),
            "Links.SpanId" => self.links[1] = Some(cell),
            "Links.TraceState" => self.links[2] = Some(cell),
            "Links.Attributes" => self.links[3] = Some(cell),
            _ => {}
        }
    }

    /// Turns the lists of the nested columns into events and links.
    fn finish(self, limits: &Limits) -> Row<'a> {
        let Self { mut row, events, links } = self;
        for [time, name, attributes] in zipped(events, limits) {
            let mut event = Event { name: text(name), ..Event::default() };
            event.time_ns = instant(&text(time), false);
            Cell::Value(attributes).attributes(limits, &mut event.attributes);
            row.span.events.push(event);
        }
        for [trace, span, state, attributes] in zipped(links, limits) {
            let mut link = Link { trace_state: Some(text(state)), ..Link::default() };
            (link.trace_id, link.span_id) = link_ids(&text(trace), &text(span));
            Cell::Value(attributes).attributes(limits, &mut link.attributes);
            row.span.links.push(link);
        }
        row
    }
}

/// The lists of a nested column side by side, as long as the longest.
fn zipped<'a, const N: usize>(lists: [Option<Cell<'a>>; N], limits: &Limits) -> Vec<[Value<'a>; N]> {
    let mut lists = lists.map(|list| list.map_or_else(Vec::new, |cell| cell.items(limits)).into_iter());
    let longest = lists.iter().map(ExactSizeIterator::len).max().unwrap_or(0);
    (0..longest).map(|_| lists.each_mut().map(|list| list.next().unwrap_or(Value::Empty))).collect()
}

fn text(value: Value<'_>) -> Cow<'_, str> {
    Cell::from_value(value).text().unwrap_or_default()
}

/// The ids of a link; what is no id keeps the hash that tells it from others.
pub(super) fn link_ids(trace: &str, span: &str) -> (TraceId, SpanId) {
    let trace = match read_trace_id(trace.as_bytes()) {
        IdText::Valid(id, _) | IdText::Invalid(id) => id,
        IdText::Absent => TraceId::default(),
    };
    let span = match read_span_id(span.as_bytes()) {
        IdText::Valid(id, _) | IdText::Invalid(id) => id,
        IdText::Absent => SpanId::default(),
    };
    (trace, span)
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::framing::Splitter;
    use super::super::whole::testing::{Told, decode};
    use super::*;
    use crate::model::{SpanField, SpanKind};

    pub(in super::super) const ROWS_SAMPLE: &str = r#"{"Timestamp":"2026-01-01 00:00:00.000000001","TraceId":"4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f","SpanId":"a1a1a1a1a1a1a1a1","ParentSpanId":"","TraceState":"v=1","SpanName":"GET /","SpanKind":"SPAN_KIND_SERVER","ServiceName":"shop","ResourceAttributes":{"host.name":"h"},"ScopeName":"http","ScopeVersion":"1","SpanAttributes":{"a":"b"},"Duration":"5","StatusCode":"STATUS_CODE_ERROR","StatusMessage":"no","Events.Timestamp":["2026-01-01 00:00:00.000000002"],"Events.Name":["e"],"Events.Attributes":[{"x":"y"}],"Links.TraceId":["00000000000000000000000000000001"],"Links.SpanId":["0000000000000002"],"Links.TraceState":["v=1"],"Links.Attributes":[{}]}
{"Timestamp":"soon","TraceId":"not hex","SpanId":"\u0000\u0000","ParentSpanId":"p-1","SpanName":null,"SpanKind":"Client","Duration":18446744073709551615}
"#;

    pub(in super::super) const TABLE_SAMPLE: &str = "Timestamp\tTraceId\tSpanId\tParentSpanId\tSpanName\tSpanKind\tServiceName\tResourceAttributes\tSpanAttributes\tDuration\tStatusCode\tEvents.Timestamp\tEvents.Name\tEvents.Attributes
2026-01-01 00:00:00.000000001\t4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f\ta1a1a1a1a1a1a1a1\t\tGET \\\\ \\t\\n\tServer\tshop\t{'service.name':'shop','k':'it\\'s'}\t{}\t18446744073709551615\tError\t['2026-01-01 00:00:00.000000002']\t['e']\t[{'x':'y'}]
\\N\t4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f\tb2b2b2b2b2b2b2b2\ta1a1a1a1a1a1a1a1\t\tServer\tshop\t{}\t{}\t5\tUnset\t[]\t[]\t[]
";

    #[test]
    fn rows_hold_nested_columns_and_either_spelling() {
        let told = decode(&ClickhouseRows, ROWS_SAMPLE);
        let (first, second) = (told.spans()[0], told.spans()[1]);
        assert_eq!(
            (first.kind, first.status, first.duration_ns()),
            (SpanKind::Server, StatusCode::Error, Some(5))
        );
        assert_eq!(first.events[0].time_ns, Some(1_767_225_600_000_000_002));
        assert_eq!((first.links[0].trace_id, first.links[0].span_id), (TraceId(1), SpanId(2)));
        assert_eq!(told.services()[0], "shop");
        for field in [SpanField::TraceId, SpanField::SpanId, SpanField::ParentSpanId, SpanField::Name] {
            assert!(second.is_malformed(field), "{field:?}");
        }
    }

    #[test]
    fn documents_and_oddities_are_told() {
        let row = r#"{"TraceId":"1","SpanId":"2","SpanName":"x","Timestamp":1767225600000000001,"Duration":"18446744073709551615"}"#;
        let told = decode(
            &ClickhouseRows,
            format!(r#"{{"meta":[{{"name":"TraceId"}}],"data":[{row},7,{{"x":1}}],"rows":3}}"#),
        );
        assert_eq!((told.spans().len(), told.spans()[0].duration_ns()), (1, Some(-1)));
        let reasons: Vec<RejectReason> = told.rejects.iter().map(|(_, reason)| *reason).collect();
        assert_eq!(reasons, [RejectReason::NotAnObject, RejectReason::NoSpanFields]);
    }

    #[test]
    fn cells_of_a_table_lose_their_escapes() {
        let told = decode(&ClickhouseTable, TABLE_SAMPLE);
        let span = told.spans()[0];
        assert_eq!((span.name.as_ref(), span.duration_ns()), ("GET \\ \t\n", Some(-1)));
        assert_eq!(told.whole.spans()[0].resource.text(&["k"]), "it's");
        assert_eq!((span.events[0].name.as_ref(), span.events[0].attributes.len()), ("e", 1));
        assert!(told.spans()[1].is_malformed(SpanField::StartTime));
    }

    #[test]
    fn rows_of_another_length_are_told() {
        let good = "TraceId\tSpanId\tSpanName\n1\t2\tx\n";
        let told = decode(&ClickhouseTable, format!("{good}1\t2\n\n1\t2\tx\ty\n1\t3"));
        assert_eq!(told.rejects.len(), 2);
        assert_eq!(told.unreadable, [(43, 3, "cut in the middle of a row".to_owned())]);
        let told = decode(&ClickhouseTable, format!("{good}Code: 241. DB::Exception: memory\n"));
        assert_eq!((told.spans().len(), told.partial.len(), told.unreadable.len()), (1, 1, 1));
    }

    #[test]
    fn every_block_of_a_table_begins_with_its_header() {
        let rows: Vec<String> = (1..50).map(|id| format!("1,{id:016x},\"a\nb\"\n")).collect();
        let text = format!("TraceId,SpanId,SpanName\n{}", rows.concat());
        let limits = Limits::default();
        let mut splitter = Splitter::with_block_bytes(Framing::Table, &limits, 64);
        let mut reader = text.as_bytes();
        let (mut told, mut at, mut blocks) = (Told::default(), 0, 0);
        while let Some(block) = splitter.next_block(&mut reader).unwrap() {
            assert_eq!((block.offset, block.closing), (at, 0));
            assert_eq!(&block.bytes[block.replayed..], &text.as_bytes()[at as usize..block.end() as usize]);
            (at, blocks) = (block.end(), blocks + 1);
            let mut part = Told::default();
            ClickhouseTable.decode(&block, &limits, &mut part);
            assert!(part.rejects.is_empty() && part.unreadable.is_empty(), "{part:?}");
            told.rejects.extend(part.spans().iter().map(|span| (span.position, RejectReason::NotAnObject)));
        }
        assert!(blocks > 5);
        assert_eq!((at, told.rejects.len()), (text.len() as u64, 49));
        for (number, (position, _)) in told.rejects.iter().enumerate() {
            assert_eq!(*position, 24 + 25 * number as u64);
        }
    }
}
