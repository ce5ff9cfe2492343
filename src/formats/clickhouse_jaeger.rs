//! Rows of `spans`, the table of Jaeger's own `ClickHouse` storage. Attributes stand in lists of keys
//! and values, one pair of lists for each type and owner.
//!
//! Source: jaeger, `internal/storage/v2/clickhouse/sql` (tables) and
//! `internal/storage/v2/clickhouse/tracestore/dbmodel` (mapping).

use std::borrow::Cow;

use base64::Engine as _;

use super::clickhouse::{self, TableRow, zipped};
use super::clickhouse_otel::{CAPABILITIES, link_ids, members, text};
use super::framing::Framing;
use super::otlp_json::parent_is_remote;
use super::rows::{Cell, Row, instant, kind};
use super::table::has_columns;
use super::{Block, Format, FormatInfo, Head, Limits, SpanSink};
use crate::model::{Attribute, Capabilities, Event, Link, StatusCode, Value};

/// Rows as JSON.
pub(super) struct JaegerRows;

/// Rows as a table with a header.
pub(super) struct JaegerTable;

/// Later versions have columns for flags and dropped counts.
const ROW_CAPABILITIES: Capabilities =
    Capabilities { flags: true, is_remote: true, dropped_counts: true, ..CAPABILITIES };

static ROWS: FormatInfo = FormatInfo {
    name: "clickhouse-jaeger-spans",
    title: "ClickHouse rows of Jaeger's table `spans` as JSON: JSONEachRow, JSON, JSONCompact",
    comes_from: "SELECT * FROM spans FORMAT JSONEachRow (Jaeger's ClickHouse storage), times in UTC",
    capabilities: ROW_CAPABILITIES,
};

static TABLE: FormatInfo = FormatInfo {
    name: "clickhouse-jaeger-spans-table",
    title: "ClickHouse rows of Jaeger's table `spans` as TSV, CSV or JSONCompactEachRow with names",
    comes_from: "SELECT * FROM spans FORMAT TabSeparatedWithNames (Jaeger's ClickHouse storage), times in UTC",
    capabilities: ROW_CAPABILITIES,
};

/// What `signoz_index_v3` and other tables with a `trace_id` do not have together.
const COLUMNS: [&str; 4] = ["id", "trace_id", "start_time", "duration"];

const OTHERS: [&str; 3] = ["parent_span_id", "service_name", "str_attributes.key"];

impl Format for JaegerRows {
    fn info(&self) -> &'static FormatInfo {
        &ROWS
    }

    fn detect(&self, head: &Head<'_>) -> bool {
        clickhouse::has_columns(head, &COLUMNS, &OTHERS)
    }

    fn framing(&self) -> Framing {
        Framing::Json(&clickhouse::FRAMING)
    }

    fn decode(&self, block: &Block, limits: &Limits, sink: &mut dyn SpanSink) {
        clickhouse::decode_rows::<JaegerRow<'_>>(block, limits, sink);
    }
}

impl Format for JaegerTable {
    fn info(&self) -> &'static FormatInfo {
        &TABLE
    }

    fn detect(&self, head: &Head<'_>) -> bool {
        has_columns(head.bytes(), &COLUMNS, &OTHERS)
    }

    fn framing(&self) -> Framing {
        Framing::Table
    }

    fn decode(&self, block: &Block, limits: &Limits, sink: &mut dyn SpanSink) {
        clickhouse::decode_table::<JaegerRow<'_>>(block, limits, sink);
    }
}

/// Whose attributes they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Span,
    Resource,
    Scope,
}

/// The types by which attributes are kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    Bool,
    Double,
    Int,
    Text,
    /// Bytes, lists and maps, told apart by a mark before the key.
    Complex,
}

impl Kept {
    fn of(name: &str) -> Option<Self> {
        Some(match name.strip_suffix("_attributes")? {
            "bool" => Self::Bool,
            "double" => Self::Double,
            "int" => Self::Int,
            "str" => Self::Text,
            "complex" => Self::Complex,
            _ => return None,
        })
    }

    fn attribute<'a>(self, key: Value<'a>, value: Value<'a>, limits: &Limits) -> Attribute<'a> {
        let key = text(key);
        if self == Self::Complex {
            return complex(key, value, limits);
        }
        let value = match (self, value) {
            (Self::Int, Value::String(digits)) => digits.parse().map_or(Value::String(digits), Value::Int),
            (Self::Double, Value::String(digits)) => {
                digits.parse().map_or(Value::String(digits), Value::Double)
            }
            (Self::Double, Value::Int(number)) => Value::Double(number as f64),
            (Self::Bool, Value::String(word)) => word.parse().map_or(Value::String(word), Value::Bool),
            (_, value) => value,
        };
        Attribute { key, value }
    }
}

fn complex<'a>(key: Cow<'a, str>, value: Value<'a>, limits: &Limits) -> Attribute<'a> {
    const BYTES: &str = "@bytes@";
    let plain = |mark: &str| Cow::Owned(key[mark.len()..].to_owned());
    if key.starts_with(BYTES)
        && let Some(text) = value.as_str()
        && let Ok(bytes) = base64::engine::general_purpose::STANDARD.decode(text)
    {
        return Attribute { key: plain(BYTES), value: Value::Bytes(Cow::Owned(bytes)) };
    }
    for mark in ["@slice@", "@map@"] {
        if key.starts_with(mark) {
            return Attribute { key: plain(mark), value: Cell::from_value(value).value(limits) };
        }
    }
    Attribute { key, value }
}

/// A pair of lists, of which the columns may come in any order.
#[derive(Default)]
struct Pair<'a> {
    keys: Vec<Value<'a>>,
    values: Vec<Value<'a>>,
}

/// A row whose nested columns are still lists, one for each member.
#[derive(Default)]
struct JaegerRow<'a> {
    row: Row<'a>,
    attributes: Vec<(Owner, Kept, Pair<'a>)>,
    /// Names, times and dropped counts of the events.
    events: [Option<Cell<'a>>; 3],
    event_attributes: Vec<(Kept, Vec<Value<'a>>)>,
    /// Trace ids, span ids, trace states, flags and dropped counts of the links.
    links: [Option<Cell<'a>>; 5],
    link_attributes: Vec<(Kept, Vec<Value<'a>>)>,
}

impl<'a> TableRow<'a> for JaegerRow<'a> {
    fn at(position: u64) -> Self {
        let mut parts = Self::default();
        parts.row.span.position = position;
        parts
    }

    fn member(&mut self, column: &str, cell: Cell<'a>, limits: &Limits, sink: &mut dyn SpanSink) {
        let row = &mut self.row;
        let known = std::mem::replace(&mut row.any, true);
        match column {
            "id" => row.span_id(cell.text(), sink),
            "trace_id" => row.trace_id(cell.text(), sink),
            "parent_span_id" => row.parent_span_id(cell.text(), sink),
            "trace_state" => row.span.trace_state = cell.text(),
            "name" => row.name(cell.text()),
            "kind" => row.span.kind = kind(&cell.text().unwrap_or_default()),
            "start_time" => row.start = cell.text(),
            "duration" => row.duration = cell.text(),
            "status_code" => row.span.status = StatusCode::from_name(&cell.text().unwrap_or_default()),
            "status_message" => row.span.status_message = cell.text().unwrap_or_default(),
            "flags" => {
                // The column is 0 where the span had none, and in rows from before there was one.
                row.span.flags = number(cell).filter(|flags| *flags != 0);
                row.span.parent_is_remote = row.span.flags.and_then(parent_is_remote);
            }
            "dropped_attributes_count" => row.span.dropped_attributes = number(cell).unwrap_or_default(),
            "dropped_events_count" => row.span.dropped_events = number(cell).unwrap_or_default(),
            "dropped_links_count" => row.span.dropped_links = number(cell).unwrap_or_default(),
            _ => {
                row.any = known;
                self.other_member(column, cell, limits);
            }
        }
    }

    fn finish(mut self, limits: &Limits) -> Row<'a> {
        for (owner, kept, pair) in std::mem::take(&mut self.attributes) {
            let entries = pair.keys.into_iter().zip(pair.values);
            let found = entries.map(|(key, value)| kept.attribute(key, value, limits));
            match owner {
                Owner::Span => self.row.span.attributes.extend(found),
                Owner::Resource => self.row.resource.attributes.extend(found),
                Owner::Scope => self.row.scope.attributes.extend(found),
            }
        }
        let Self { mut row, events, event_attributes, links, link_attributes, .. } = self;
        row.span.events.extend(zipped(events, limits).into_iter().map(event));
        row.span.links.extend(zipped(links, limits).into_iter().map(link));
        for (kept, lists) in event_attributes {
            for (event, list) in row.span.events.iter_mut().zip(lists) {
                event.attributes.extend(pairs(list).map(|[key, value]| kept.attribute(key, value, limits)));
            }
        }
        for (kept, lists) in link_attributes {
            for (link, list) in row.span.links.iter_mut().zip(lists) {
                link.attributes.extend(pairs(list).map(|[key, value]| kept.attribute(key, value, limits)));
            }
        }
        row
    }
}

impl<'a> JaegerRow<'a> {
    fn other_member(&mut self, column: &str, cell: Cell<'a>, limits: &Limits) {
        let row = &mut self.row;
        match column {
            "service_name" => row.service = cell.text(),
            "scope_name" => row.scope.name = cell.text().unwrap_or_default(),
            "scope_version" => row.scope.version = cell.text().unwrap_or_default(),
            "events.name" => self.events[0] = Some(cell),
            "events.timestamp" => self.events[1] = Some(cell),
            "events.dropped_attributes_count" => self.events[2] = Some(cell),
            "links.trace_id" => self.links[0] = Some(cell),
            "links.span_id" => self.links[1] = Some(cell),
            "links.trace_state" => self.links[2] = Some(cell),
            "links.flags" => self.links[3] = Some(cell),
            "links.dropped_attributes_count" => self.links[4] = Some(cell),
            _ => self.attributes_of(column, cell, limits),
        }
    }

    fn attributes_of(&mut self, column: &str, cell: Cell<'a>, limits: &Limits) {
        for (above, lists) in [("events.", &mut self.event_attributes), ("links.", &mut self.link_attributes)]
        {
            if let Some(name) = column.strip_prefix(above) {
                lists.extend(Kept::of(name).map(|kept| (kept, cell.items(limits))));
                return;
            }
        }
        let (owner, name) = if let Some(name) = column.strip_prefix("resource_") {
            (Owner::Resource, name)
        } else if let Some(name) = column.strip_prefix("scope_") {
            (Owner::Scope, name)
        } else {
            (Owner::Span, column)
        };
        let (name, part) = name.split_once('.').unwrap_or((name, ""));
        let Some(kept) = Kept::of(name) else { return };
        let pair = self.pair(owner, kept);
        match part {
            "key" => pair.keys = cell.items(limits),
            "value" => pair.values = cell.items(limits),
            _ => {
                for [key, value] in cell.items(limits).into_iter().map(pair_of) {
                    pair.keys.push(key);
                    pair.values.push(value);
                }
            }
        }
    }

    fn pair(&mut self, owner: Owner, kept: Kept) -> &mut Pair<'a> {
        let known = self.attributes.iter().position(|(by, of, _)| (*by, *of) == (owner, kept));
        let at = known.unwrap_or_else(|| {
            self.attributes.push((owner, kept, Pair::default()));
            self.attributes.len() - 1
        });
        &mut self.attributes[at].2
    }
}

fn number(cell: Cell<'_>) -> Option<u32> {
    cell.text()?.parse().ok()
}

fn event([name, time, dropped]: [Value<'_>; 3]) -> Event<'_> {
    Event {
        name: text(name),
        time_ns: instant(&text(time), false),
        dropped_attributes: text(dropped).parse().unwrap_or_default(),
        ..Event::default()
    }
}

fn link([trace, span, state, flags, dropped]: [Value<'_>; 5]) -> Link<'_> {
    let (trace_id, span_id) = link_ids(&text(trace), &text(span));
    Link {
        trace_id,
        span_id,
        trace_state: Some(text(state)),
        flags: text(flags).parse().ok().filter(|flags| *flags != 0),
        dropped_attributes: text(dropped).parse().unwrap_or_default(),
        ..Link::default()
    }
}

/// The entries of a nested column inside a nested column.
fn pairs(list: Value<'_>) -> impl Iterator<Item = [Value<'_>; 2]> {
    let items = match list {
        Value::Array(items) => items,
        _ => Vec::new(),
    };
    items.into_iter().map(pair_of)
}

/// A tuple, as an object or as a list.
fn pair_of(item: Value<'_>) -> [Value<'_>; 2] {
    match item {
        Value::Array(items) => {
            let mut items = items.into_iter();
            [items.next().unwrap_or(Value::Empty), items.next().unwrap_or(Value::Empty)]
        }
        item => members(item, ["key", "value"]),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::whole::testing::decode;
    use super::*;
    use crate::model::{SpanField, SpanId, SpanKind, TraceId};

    pub(in super::super) const ROWS_SAMPLE: &str = r#"{"id":"a1a1a1a1a1a1a1a1","trace_id":"4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f","trace_state":"v=1","parent_span_id":"","name":"GET /","kind":"server","start_time":"2026-01-01 00:00:00.000000001","status_code":"Error","status_message":"no","duration":"5","flags":769,"dropped_links_count":2,
"bool_attributes.key":["t"],"bool_attributes.value":[true],"int_attributes.key":["n"],"int_attributes.value":["9007199254740993"],"double_attributes.key":["d"],"double_attributes.value":[1],"str_attributes.value":["b"],"str_attributes.key":["a"],"complex_attributes.key":["@bytes@raw","@slice@l","@map@m"],"complex_attributes.value":["AAE=","[1,2]","{\"k\":1}"],
"events.name":["e"],"events.timestamp":["2026-01-01 00:00:00.000000002"],"events.str_attributes":[[{"key":"x","value":"y"}]],"events.int_attributes":[[["i","1"]]],
"links.trace_id":["00000000000000000000000000000001"],"links.span_id":["0000000000000002"],"links.trace_state":["w=1"],"links.str_attributes":[[]],
"service_name":"shop","resource_str_attributes.key":["service.name","host.name"],"resource_str_attributes.value":["shop","h"],"scope_name":"http","scope_version":"1","scope_str_attributes":[{"key":"s","value":"v"}]}
{"id":"","trace_id":"not hex","parent_span_id":"p-1","name":null,"kind":"","start_time":"soon","duration":-5,"flags":0,"service_name":"bill"}
"#;

    pub(in super::super) const TABLE_SAMPLE: &str =
        "id\ttrace_id\tparent_span_id\tname\tkind\tstart_time\tduration\tservice_name\tstr_attributes.key\tstr_attributes.value
String\tString\tString\tString\tLowCardinality(String)\tDateTime64(9)\tInt64\tString\tArray(String)\tArray(String)
a1a1a1a1a1a1a1a1\t4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f\t\tGET /\tserver\t2026-01-01 00:00:00.000000001\t5\tshop\t['a']\t['it\\'s']
b2b2b2b2b2b2b2b2\t4f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f\ta1a1a1a1a1a1a1a1\tPOST\tclient\t\\N\t-5\tshop\t[]\t[]
";

    #[test]
    fn lists_become_attributes_of_their_owners() {
        let told = decode(&JaegerRows, ROWS_SAMPLE);
        let (first, second) = (told.spans()[0], told.spans()[1]);
        assert_eq!((first.kind, first.status), (SpanKind::Server, StatusCode::Error));
        assert_eq!((first.flags, first.parent_is_remote, first.dropped_links), (Some(769), Some(true), 2));
        let found: Vec<(&str, &Value<'_>)> =
            first.attributes.iter().map(|attribute| (attribute.key.as_ref(), &attribute.value)).collect();
        let list = Value::Array(vec![Value::Int(1), Value::Int(2)]);
        let map = Value::Map(vec![Attribute { key: Cow::Borrowed("k"), value: Value::Int(1) }]);
        assert_eq!(
            found,
            [
                ("t", &Value::Bool(true)),
                ("n", &Value::Int(9_007_199_254_740_993)),
                ("d", &Value::Double(1.0)),
                ("a", &Value::String(Cow::Borrowed("b"))),
                ("raw", &Value::Bytes(Cow::Borrowed(&[0, 1]))),
                ("l", &list),
                ("m", &map),
            ]
        );
        assert_eq!((first.events[0].attributes.len(), first.events[0].name.as_ref()), (2, "e"));
        assert_eq!((first.links[0].trace_id, first.links[0].span_id), (TraceId(1), SpanId(2)));
        let whole = &told.whole.spans()[0];
        assert_eq!(whole.resource.text(&["host.name"]), "h");
        assert_eq!((whole.scope.name.as_ref(), whole.scope.attributes.len()), ("http", 1));
        assert_eq!(told.services(), ["shop", "bill"]);
        assert_eq!((second.flags, second.parent_is_remote), (None, None));
        for field in [SpanField::TraceId, SpanField::SpanId, SpanField::ParentSpanId, SpanField::Name] {
            assert!(second.is_malformed(field), "{field:?}");
        }
    }

    #[test]
    fn a_line_of_types_is_no_row() {
        let told = decode(&JaegerTable, TABLE_SAMPLE);
        assert_eq!((told.spans().len(), told.rejects.len()), (2, 0));
        assert_eq!(told.spans()[0].attributes[0].value.as_str(), Some("it's"));
        assert_eq!(told.spans()[1].parent_span_id, Some(told.spans()[0].span_id));
    }
}
