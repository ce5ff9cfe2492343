//! Spans as flat records of named cells, each with its own copy of its resource: what rows of a
//! database, answers of `SigNoz` and console exporters have in common.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::json::{Cursor, Result, number_value, time_ns, time_with_unit};
use super::zipkin_json::id;
use super::{Limits, Origin, RejectReason, SpanSink};
use crate::model::ids::{read_span_id, read_trace_id};
use crate::model::time::parse_instant;
use crate::model::{Attribute, Malformed, Resource, Scope, Span, SpanField, SpanKind, Value};

/// One cell of a row, in whatever notation the row is written.
#[derive(Clone, Debug)]
pub(super) enum Cell<'a> {
    /// A text, or a number as text so that no digit is lost.
    Text(Cow<'a, str>),
    /// Text of a TSV that has backslash escapes.
    Escaped(Cow<'a, str>),
    /// Any other JSON value.
    Value(Value<'a>),
}

impl<'a> Cell<'a> {
    /// Reads a JSON value as a cell.
    pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<Self> {
        if matches!(cursor.peek(), Some(b'"' | b'-' | b'0'..=b'9')) {
            return Ok(Self::Text(cursor.text()?.unwrap_or_default()));
        }
        cursor.plain_value().map(Self::Value)
    }

    /// A value that was read before as a cell.
    pub(super) fn from_value(value: Value<'a>) -> Self {
        match value {
            Value::String(text) => Self::Text(text),
            Value::Int(number) => Self::Text(Cow::Owned(number.to_string())),
            Value::Double(number) => Self::Text(Cow::Owned(number.to_string())),
            other => Self::Value(other),
        }
    }

    /// Bytes of its text.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Text(text) | Self::Escaped(text) => text.len(),
            Self::Value(_) => 0,
        }
    }

    /// The text, number or truth value as text.
    pub(super) fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text),
            Self::Escaped(text) => Some(Cow::Owned(unescape(&text))),
            Self::Value(Value::Bool(flag)) => Some(Cow::Borrowed(if flag { "true" } else { "false" })),
            Self::Value(_) => None,
        }
    }

    /// A list or map, which may stand in a text as JSON or as a literal of `ClickHouse`.
    pub(super) fn value(self, limits: &Limits) -> Value<'a> {
        match self {
            Self::Value(value) => value,
            Self::Text(text) => nested(&text, &text, limits).unwrap_or(Value::String(text)),
            Self::Escaped(text) => {
                let plain = unescape(&text);
                nested(&text, &plain, limits).unwrap_or(Value::String(Cow::Owned(plain)))
            }
        }
    }

    /// The items of a list.
    pub(super) fn items(self, limits: &Limits) -> Vec<Value<'a>> {
        match self.value(limits) {
            Value::Array(items) => items,
            _ => Vec::new(),
        }
    }

    /// Appends the entries of a map. A JSON column nests `a.b` as an object in an object, which is
    /// undone.
    pub(super) fn attributes(self, limits: &Limits, into: &mut Vec<Attribute<'a>>) {
        if let Value::Map(entries) = self.value(limits) {
            flatten(entries, into);
        }
    }
}

/// Entries of nested maps under their joined keys.
fn flatten<'a>(entries: Vec<Attribute<'a>>, into: &mut Vec<Attribute<'a>>) {
    for entry in entries {
        let Value::Map(inner) = entry.value else {
            into.push(entry);
            continue;
        };
        let inner = inner.into_iter().map(|attribute| Attribute {
            key: Cow::Owned(format!("{}.{}", entry.key, attribute.key)),
            value: attribute.value,
        });
        flatten(inner.collect(), into);
    }
}

/// Reads a list or map from a text. Only strings are escaped twice in a TSV, so JSON is read from
/// the plain text and a literal from the raw one.
fn nested<'a>(raw: &str, plain: &str, limits: &Limits) -> Option<Value<'a>> {
    if !raw.starts_with(['[', '{']) {
        return None;
    }
    let quote = raw.find(['"', '\'']).map(|at| raw.as_bytes()[at]);
    if quote == Some(b'\'') {
        return literal(&mut &*raw, limits.max_depth);
    }
    Some(Cursor::new(plain.as_bytes(), limits).plain_value().ok()?.into_owned())
}

/// A list, map, text or number as `ClickHouse` writes them inside a TSV or CSV: texts in single quotes.
fn literal<'a>(rest: &mut &str, depth: usize) -> Option<Value<'a>> {
    let depth = depth.checked_sub(1)?;
    if take(rest, '[') {
        let mut items = Vec::new();
        while !take(rest, ']') {
            items.push(literal(rest, depth)?);
            take(rest, ',');
        }
        return Some(Value::Array(items));
    }
    if take(rest, '{') {
        let mut entries = Vec::new();
        while !take(rest, '}') {
            let key = literal(rest, depth)?.to_text()?.into_owned();
            take(rest, ':').then_some(())?;
            entries.push(Attribute { key: Cow::Owned(key), value: literal(rest, depth)? });
            take(rest, ',');
        }
        return Some(Value::Map(entries));
    }
    if take(rest, '\'') {
        let end = closing_quote(rest)?;
        let text = unescape(&rest[..end]);
        *rest = &rest[end + 1..];
        return Some(Value::String(Cow::Owned(text)));
    }
    let end = rest.find([',', ']', '}', ':']).filter(|end| *end > 0)?;
    let word = &rest[..end];
    *rest = &rest[end..];
    Some(match word {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => number_value(word).into_owned(),
    })
}

fn take(rest: &mut &str, wanted: char) -> bool {
    let found = rest.trim_start().strip_prefix(wanted);
    *rest = found.unwrap_or(rest);
    found.is_some()
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let is_end = byte == b'\'' && !escaped;
        escaped = byte == b'\\' && !escaped;
        is_end
    })
}

/// Undoes the backslash escapes of a TSV.
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        plain.push(match (char, char == '\\') {
            (_, true) => match chars.next() {
                Some('b') => '\u{8}',
                Some('f') => '\u{c}',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some('0') => '\0',
                Some(other) => other,
                None => '\\',
            },
            (char, false) => char,
        });
    }
    plain
}

/// A span on its way from cells to the sink.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about one row")]
pub(super) struct Row<'a> {
    pub(super) span: Span<'a>,
    pub(super) resource: Resource<'a>,
    pub(super) scope: Scope<'a>,
    pub(super) start: Option<Cow<'a, str>>,
    pub(super) duration: Option<Cow<'a, str>>,
    /// In place of a duration.
    pub(super) end: Option<Cow<'a, str>>,
    /// Stands beside the resource in some rows.
    pub(super) service: Option<Cow<'a, str>>,
    /// Whether a start in digits is in milliseconds.
    pub(super) is_in_ms: bool,
    /// Whether a field of a span was met.
    pub(super) any: bool,
    has_trace_id: bool,
    has_span_id: bool,
}

impl<'a> Row<'a> {
    pub(super) fn trace_id(&mut self, text: Option<Cow<'a, str>>, sink: &mut dyn SpanSink) {
        self.has_trace_id = true;
        let text = present(text);
        let read = read_trace_id(text.as_bytes());
        self.span.trace_id = id(&mut self.span, read, SpanField::TraceId, text, sink).unwrap_or_default();
    }

    pub(super) fn span_id(&mut self, text: Option<Cow<'a, str>>, sink: &mut dyn SpanSink) {
        self.has_span_id = true;
        let text = present(text);
        let read = read_span_id(text.as_bytes());
        self.span.span_id = id(&mut self.span, read, SpanField::SpanId, text, sink).unwrap_or_default();
    }

    pub(super) fn parent_span_id(&mut self, text: Option<Cow<'a, str>>, sink: &mut dyn SpanSink) {
        let text = present(text);
        let read = read_span_id(text.as_bytes());
        self.span.parent_span_id = id(&mut self.span, read, SpanField::ParentSpanId, text, sink);
    }

    pub(super) fn name(&mut self, text: Option<Cow<'a, str>>) {
        match text {
            Some(name) => self.span.name = name,
            None => self.malformed(SpanField::Name, Cow::Borrowed("")),
        }
    }

    fn malformed(&mut self, field: SpanField, text: Cow<'a, str>) {
        self.span.malformed.push(Malformed { field, text });
    }

    /// Settles what depends on several cells.
    fn complete(&mut self) {
        for (seen, field) in [(self.has_trace_id, SpanField::TraceId), (self.has_span_id, SpanField::SpanId)]
        {
            if !seen {
                self.malformed(field, Cow::Borrowed(""));
            }
        }
        if let Some(service) = self.service.take().filter(|service| !service.is_empty())
            && self.resource.service_name().is_empty()
        {
            let key = Cow::Borrowed("service.name");
            self.resource.attributes.push(Attribute { key, value: Value::String(service) });
        }
        self.settle_times();
    }

    fn settle_times(&mut self) {
        let (start, end, duration) = (self.start.take(), self.end.take(), self.duration.take());
        let start_ns = start.as_deref().and_then(|text| instant(text, self.is_in_ms));
        let end_ns = match &end {
            Some(end) => instant(end, self.is_in_ms),
            None => {
                start_ns.zip(duration.as_deref().and_then(length_ns)).and_then(|(at, ns)| at.checked_add(ns))
            }
        };
        (self.span.start_ns, self.span.end_ns) = (start_ns, end_ns);
        if start_ns.is_none() {
            let text = if self.is_in_ms { time_with_unit(start, "ms") } else { start.unwrap_or_default() };
            self.malformed(SpanField::StartTime, text);
        }
        if end_ns.is_none() {
            let text = end.unwrap_or_else(|| time_with_unit(duration, "ns"));
            self.malformed(SpanField::EndTime, text);
        }
    }
}

/// The text of an id. A `FixedString` that holds no text is filled with NUL bytes.
fn present(text: Option<Cow<'_, str>>) -> Cow<'_, str> {
    text.filter(|text| text.bytes().any(|byte| byte != 0)).unwrap_or_default()
}

/// The kind, as number or name.
pub(super) fn kind(text: &str) -> SpanKind {
    text.parse::<u64>().map_or_else(|_| SpanKind::from_name(text), SpanKind::from_otlp)
}

/// A point in time as text or number. Rows come out of queries that people write, so the unit of a
/// number is told by its size where the format does not fix it.
pub(super) fn instant(text: &str, is_in_ms: bool) -> Option<i64> {
    if is_in_ms && text.parse::<f64>().is_ok() {
        return time_ns(text, 1_000_000);
    }
    let seconds = || text.contains('.').then(|| time_ns(text, 1_000_000_000)).flatten();
    parse_instant(text).filter(|ns| *ns > 0).or_else(seconds)
}

/// 2^64, by which an unsigned number wraps.
const WRAP: f64 = 18_446_744_073_709_551_616.0;

/// A length in ns. Sources keep it in an unsigned column, where a negative one has wrapped around.
pub(super) fn length_ns(text: &str) -> Option<i64> {
    if let Ok(number) = text.parse::<i64>() {
        return Some(number);
    }
    if let Ok(wrapped) = text.parse::<u64>() {
        return Some(wrapped.cast_signed());
    }
    let number = text.parse::<f64>().ok().filter(|number| number.abs() <= WRAP)?;
    Some(if number >= WRAP / 2.0 { (number - WRAP) as i64 } else { number as i64 })
}

/// Gives out the serials of senders within one block.
#[derive(Debug, Default)]
pub(super) struct Senders<'a> {
    by_hash: HashMap<u64, usize>,
    /// At the index of the serial.
    known: Vec<(Resource<'a>, Scope<'a>)>,
}

impl<'a> Senders<'a> {
    /// Hands a row to the sink: as a span, or as a reject when it has no field of one.
    pub(super) fn give(&mut self, mut row: Row<'a>, sink: &mut dyn SpanSink) {
        if !row.any {
            sink.reject(row.span.position, RejectReason::NoSpanFields);
            return;
        }
        row.complete();
        let serial = self.serial(row.resource, row.scope);
        let (resource, scope) = &self.known[serial];
        sink.span(&mut row.span, Origin { resource, scope, serial });
    }

    fn serial(&mut self, resource: Resource<'a>, scope: Scope<'a>) -> usize {
        let mut hasher = DefaultHasher::new();
        (&scope.name, &scope.version).hash(&mut hasher);
        for attribute in &resource.attributes {
            (&attribute.key, attribute.value.to_text()).hash(&mut hasher);
        }
        let hash = hasher.finish();
        if let Some(serial) = self.by_hash.get(&hash)
            && self.known[*serial] == (resource.clone(), scope.clone())
        {
            return *serial;
        }
        self.known.push((resource, scope));
        self.by_hash.insert(hash, self.known.len() - 1);
        self.known.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(cell: Cell<'_>) -> Value<'_> {
        cell.value(&Limits::default())
    }

    #[test]
    fn texts_hold_json_and_literals() {
        let map = Value::Map(vec![Attribute {
            key: Cow::Borrowed("k"),
            value: Value::Array(vec![Value::Int(1), Value::String(Cow::Borrowed("it's"))]),
        }]);
        assert_eq!(value(Cell::Text(Cow::Borrowed(r#"{"k":[1,"it's"]}"#))), map);
        assert_eq!(value(Cell::Escaped(Cow::Borrowed(r"{'k':[1,'it\'s']}"))), map);
        assert_eq!(value(Cell::Text(Cow::Borrowed("{}"))), Value::Map(Vec::new()));
        for broken in ["{'k':", "['a", "{'k'}", "[1"] {
            assert_eq!(value(Cell::Text(Cow::Borrowed(broken))), Value::String(Cow::Borrowed(broken)));
        }
    }

    #[test]
    fn nested_objects_of_a_json_column_become_dotted_keys() {
        let mut into = Vec::new();
        Cell::Text(Cow::Borrowed(r#"{"service":{"name":"shop","x":{"y":1}}}"#))
            .attributes(&Limits::default(), &mut into);
        let keys: Vec<&str> = into.iter().map(|attribute| attribute.key.as_ref()).collect();
        assert_eq!(keys, ["service.name", "service.x.y"]);
    }

    #[test]
    fn lengths_that_wrapped_are_negative() {
        assert_eq!(length_ns("18446744073709551615"), Some(-1));
        assert_eq!(length_ns("1.8446744073709550e19"), Some(-2048));
        assert_eq!(length_ns("-5"), Some(-5));
        assert_eq!(length_ns("soon"), None);
    }

    #[test]
    fn starts_are_text_or_numbers() {
        let expected = Some(1_767_225_600_000_000_001);
        for text in ["2026-01-01 00:00:00.000000001", "2026-01-01T00:00:00.000000001Z", "1767225600000000001"]
        {
            assert_eq!(instant(text, false), expected, "{text}");
        }
        assert_eq!(instant("1767225600000", true), Some(1_767_225_600_000_000_000));
        assert_eq!(instant("1767225600.5", false), Some(1_767_225_600_500_000_000));
        assert_eq!(instant("1970-01-01 00:00:00", false), None);
    }
}
