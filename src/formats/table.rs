//! Tables with a header line, as TSV (`ClickHouse`'s `TabSeparatedWithNames`), CSV, or a JSON array a
//! line (`JSONCompactEachRowWithNames`).
//!
//! Sources: <https://clickhouse.com/docs/interfaces/formats/TabSeparated>, RFC 4180.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

use super::json::Cursor;
use super::rows::Cell;
use super::{Block, Limit, Limits, RejectReason, SpanSink};
use crate::model::{Repair, Value};

/// How cells are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Tabs between cells, backslash escapes inside, a record a line.
    Tab,
    /// Commas between cells, which may be in quotes and then hold line breaks.
    Comma,
    /// A JSON array a line (`JSONCompactEachRowWithNames`).
    JsonLine,
}

/// The header of a table.
struct Header<'a> {
    dialect: Dialect,
    columns: Vec<String>,
    /// What follows the header.
    rest: &'a [u8],
}

/// Length of the header with everything before it, `None` while it is not complete.
pub(super) fn header_len(bytes: &[u8]) -> Option<usize> {
    let start = blank_len(bytes);
    record_len(&bytes[start..], dialect(bytes)).map(|len| start + len)
}

/// How the cells of this table are told apart: a tab in its first line settles it.
pub(super) fn dialect(bytes: &[u8]) -> Dialect {
    let rest = &bytes[blank_len(bytes)..];
    let line = &rest[..memchr(b'\n', rest).unwrap_or(rest.len())];
    if line.starts_with(b"[") {
        return Dialect::JsonLine;
    }
    if line.contains(&b'\t') { Dialect::Tab } else { Dialect::Comma }
}

/// Length of the first record with its line break, `None` when that is not in sight.
pub(super) fn record_len(bytes: &[u8], dialect: Dialect) -> Option<usize> {
    if dialect != Dialect::Comma {
        return memchr(b'\n', bytes).map(|newline| newline + 1);
    }
    let mut at = 0;
    loop {
        if bytes.get(at) == Some(&b'"') {
            at = closing_quote(bytes, at + 1)? + 1;
        }
        let rest = bytes.get(at..)?;
        at += memchr2(b',', b'\n', rest)? + 1;
        if bytes[at - 1] == b'\n' {
            return Some(at);
        }
    }
}

/// Two quotes stand for one.
fn closing_quote(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += memchr(b'"', bytes.get(at..)?)?;
        if bytes.get(at + 1) != Some(&b'"') {
            return Some(at);
        }
        at += 2;
    }
}

/// Blank lines and a byte order mark before the header.
fn blank_len(bytes: &[u8]) -> usize {
    let mark = if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let rest = &bytes[mark..];
    mark + rest.iter().position(|byte| !matches!(byte, b'\n' | b'\r' | b' ')).unwrap_or(rest.len())
}

/// Whether a table begins here that has all of the columns of the first list and one of the second.
pub(super) fn has_columns(bytes: &[u8], all: &[&str], any: &[&str]) -> bool {
    let first = bytes.get(blank_len(bytes)).copied().unwrap_or(b'{');
    if matches!(first, b'{' | b'<') {
        return false;
    }
    let limits = Limits::default();
    let columns = header(bytes, &limits).map(|header| header.columns).unwrap_or_default();
    let has = |name: &&str| columns.iter().any(|column| column == name);
    all.iter().all(has) && any.iter().any(has)
}

fn header<'a>(bytes: &'a [u8], limits: &'a Limits) -> Option<Header<'a>> {
    let end = header_len(bytes)?;
    let dialect = dialect(bytes);
    let cells = cells(&bytes[blank_len(bytes)..end], dialect, limits, &mut 0)?;
    let columns = cells.into_iter().map(|cell| cell.text().unwrap_or_default().into_owned()).collect();
    Some(Header { dialect, columns, rest: &bytes[end..] })
}

/// The cells of one record, `None` when it is no record of this dialect.
fn cells<'a>(
    record: &'a [u8],
    dialect: Dialect,
    limits: &'a Limits,
    repaired: &mut u64,
) -> Option<Vec<Cell<'a>>> {
    let record = record.strip_suffix(b"\n").unwrap_or(record);
    let record = record.strip_suffix(b"\r").unwrap_or(record);
    match dialect {
        Dialect::Tab => {
            Some(record.split(|byte| *byte == b'\t').map(|cell| tab_cell(utf8(cell, repaired))).collect())
        }
        Dialect::Comma => Some(comma_cells(record, repaired)),
        Dialect::JsonLine => json_cells(record, limits),
    }
}

fn json_cells<'a>(record: &'a [u8], limits: &'a Limits) -> Option<Vec<Cell<'a>>> {
    let mut cursor = Cursor::new(record, limits);
    if cursor.peek() != Some(b'[') {
        return None;
    }
    let mut cells = Vec::new();
    cursor.array(|cursor| Cell::read(cursor).map(|cell| cells.push(cell))).ok()?;
    cursor.peek().is_none().then_some(cells)
}

fn comma_cells<'a>(record: &'a [u8], repaired: &mut u64) -> Vec<Cell<'a>> {
    let mut cells = Vec::new();
    let mut at = 0;
    loop {
        let rest = &record[at..];
        let quoted = rest.first() == Some(&b'"');
        let body = if quoted { closing_quote(rest, 1).map_or(rest.len(), |quote| quote + 1) } else { 0 };
        let end = body + memchr(b',', &rest[body..]).unwrap_or(rest.len() - body);
        cells.push(Cell::Text(comma_cell(&rest[..end], quoted, repaired)));
        at += end + 1;
        if at > record.len() {
            return cells;
        }
    }
}

fn tab_cell(text: Cow<'_, str>) -> Cell<'_> {
    match text.as_ref() {
        "\\N" => Cell::Value(Value::Empty),
        escaped if escaped.contains('\\') => Cell::Escaped(text),
        _ => Cell::Text(text),
    }
}

fn comma_cell<'a>(raw: &'a [u8], quoted: bool, repaired: &mut u64) -> Cow<'a, str> {
    let inner = raw.strip_prefix(b"\"").map(|inner| inner.strip_suffix(b"\"").unwrap_or(inner));
    match utf8(inner.filter(|_| quoted).unwrap_or(raw), repaired) {
        text if quoted && text.contains("\"\"") => Cow::Owned(text.replace("\"\"", "\"")),
        text => text,
    }
}

fn utf8<'a>(raw: &'a [u8], repaired: &mut u64) -> Cow<'a, str> {
    let text = String::from_utf8_lossy(raw);
    *repaired += u64::from(matches!(text, Cow::Owned(_)));
    text
}

/// Reads the rows of a block, which begins with the header of its table. `row` gets the columns,
/// the cells and the position.
pub(super) fn each_row<'a>(
    block: &'a Block,
    limits: &'a Limits,
    sink: &mut dyn SpanSink,
    mut row: impl FnMut(&[String], Vec<Cell<'a>>, u64, &mut dyn SpanSink),
) {
    let Some(Header { dialect, columns, mut rest }) = header(&block.bytes, limits) else {
        sink.unreadable(block.position(0), block.own_len() as u64, "a table without rows");
        return;
    };
    let mut repaired = 0;
    // A second line of the header names the types (`…WithNamesAndTypes`).
    if block.replayed == 0
        && let Some(len) = record_len(rest, dialect)
        && cells(&rest[..len], dialect, limits, &mut 0).is_some_and(are_types)
    {
        rest = &rest[len..];
    }
    while !rest.is_empty() {
        let index = block.bytes.len() - rest.len();
        let (start, len) = (block.position(index), record_len(rest, dialect));
        let (record, behind) = rest.split_at(len.unwrap_or(rest.len()));
        rest = behind;
        if record.trim_ascii().is_empty() && columns.len() > 1 && !record.contains(&b'\t') {
            continue;
        }
        let cells = cells(record, dialect, limits, &mut repaired).unwrap_or_default();
        let limit = if record.len() > limits.max_record {
            Some(Limit::Record)
        } else {
            cells.iter().any(|cell| cell.len() > limits.max_string).then_some(Limit::String)
        };
        if let Some(limit) = limit {
            sink.limit(start, limit);
            break;
        }
        if cells.len() == columns.len() && !is_cut(record, dialect, len) {
            row(&columns, cells, start, sink);
        } else if len.is_none() {
            sink.unreadable(start, record.len() as u64, "cut in the middle of a row");
        } else {
            not_a_row(record, start, sink);
        }
    }
    for _ in 0..repaired {
        sink.repaired(Repair::InvalidUtf8);
    }
}

/// Whether these cells are names of types of `ClickHouse`, which spans have none of.
fn are_types(cells: Vec<Cell<'_>>) -> bool {
    const TYPES: [&str; 17] = [
        "Array",
        "Bool",
        "Date",
        "Dynamic",
        "Enum",
        "FixedString",
        "Float",
        "Int",
        "JSON",
        "LowCardinality",
        "Map",
        "Nested",
        "Nullable",
        "Object",
        "String",
        "Tuple",
        "UInt",
    ];
    cells.into_iter().all(|cell| {
        cell.text().is_some_and(|text| {
            let name = text.split('(').next().unwrap_or_default();
            TYPES.contains(&name.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches("Time"))
        })
    })
}

/// Whether the input ends inside a quoted cell of this record.
fn is_cut(record: &[u8], dialect: Dialect, len: Option<usize>) -> bool {
    if len.is_some() || dialect != Dialect::Comma {
        return false;
    }
    let mut closed = record.to_vec();
    closed.push(b'\n');
    record_len(&closed, dialect).is_none()
}

/// `ClickHouse` appends the text of an exception to rows that it has sent already.
fn not_a_row(record: &[u8], position: u64, sink: &mut dyn SpanSink) {
    if memchr::memmem::find(record, b"DB::Exception").is_none() {
        sink.reject(position, RejectReason::ColumnCount);
        return;
    }
    sink.unreadable(position, record.len() as u64, "the text of a ClickHouse exception");
    sink.partial("ClickHouse ended its answer with an exception, so rows are missing");
}

#[cfg(test)]
mod tests {
    use super::super::by_name;
    use super::super::whole::testing::decode_within;
    use super::*;

    fn texts(record: &str, dialect: Dialect) -> Vec<String> {
        let limits = Limits::default();
        let cells = cells(record.as_bytes(), dialect, &limits, &mut 0).unwrap();
        cells.into_iter().map(|cell| cell.text().unwrap_or_default().into_owned()).collect()
    }

    #[test]
    fn cells_keep_what_their_dialect_hides() {
        assert_eq!(texts("a\\tb\t\\\\\t\\N\t\n", Dialect::Tab), ["a\tb", "\\", "", ""]);
        assert_eq!(texts("a,\"b,\"\"\n\",,\r\n", Dialect::Comma), ["a", "b,\"\n", "", ""]);
    }

    #[test]
    fn a_row_that_is_too_long_is_a_record() {
        let format = by_name("signoz-table").unwrap();
        let text = format!("trace_id\tspan_id\ttimestamp\n1\t2\t{}\n", "3".repeat(100));
        for (max_string, max_record, limit) in [(1000, 104, Limit::Record), (99, 1000, Limit::String)] {
            let limits = Limits { max_string, max_record, ..Limits::default() };
            assert_eq!(decode_within(format, text.as_str(), &limits).limits, [limit]);
        }
        let limits = Limits { max_record: 105, max_string: 100, ..Limits::default() };
        assert_eq!(decode_within(format, text.as_str(), &limits).spans().len(), 1);
    }

    #[test]
    fn a_quoted_line_break_ends_no_record() {
        assert_eq!(record_len(b"a,\"\n\"\nb", Dialect::Comma), Some(6));
        assert_eq!(record_len(b"a,\"\n", Dialect::Comma), None);
        assert_eq!(record_len(b"a\"\nb", Dialect::Comma), Some(3));
        assert_eq!(header_len(b"\xef\xbb\xbf\n\na\tb\nc"), Some(9));
    }
}
