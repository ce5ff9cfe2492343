//! What the tables of `ClickHouse` that hold spans have in common: one row for each span, as JSON
//! (`JSONEachRow`, `JSON`, `JSONCompact`), or as a table with names (TSV, CSV, `JSONCompactEachRow`).
//!
//! Source: <https://clickhouse.com/docs/interfaces/formats>.

use super::framing::{ArrayRule, JsonFraming};
use super::json::{Cursor, JsonError, Result, each_value};
use super::rows::{Cell, Row, Senders};
use super::table::each_row;
use super::{Block, Head, Limits, RejectReason, SpanSink};
use crate::model::Value;

/// Rows stand under `data`, or one after the other.
pub(super) static FRAMING: JsonFraming = JsonFraming {
    arrays: &[ArrayRule { key: "data", needs: None }],
    context: &["meta"],
    indivisible: &[],
    top_level_arrays: true,
};

/// A row of one of the tables, while its columns come in.
pub(super) trait TableRow<'a> {
    /// An empty row that begins at this position.
    fn at(position: u64) -> Self;

    /// Takes the cell of one column.
    fn member(&mut self, column: &str, cell: Cell<'a>, limits: &Limits, sink: &mut dyn SpanSink);

    /// The span, when all columns were taken.
    fn finish(self, limits: &Limits) -> Row<'a>;
}

/// Whether rows of JSON in this head have all of the columns of the first list and one of the second.
pub(super) fn has_columns(head: &Head<'_>, all: &[&str], any: &[&str]) -> bool {
    let met = |above: &str| {
        let has = |column: &&str| head.has(&format!("{above}{column}"));
        all.iter().all(has) && any.iter().any(has)
    };
    met("") || met("data/") || names_columns(head, all, any)
}

/// The same for a document that names its columns before its rows, which are lists.
pub(super) fn names_columns(head: &Head<'_>, all: &[&str], any: &[&str]) -> bool {
    let columns = meta_columns(head);
    let has = |wanted: &&str| columns.iter().any(|column| column == wanted);
    all.iter().all(has) && any.iter().any(has)
}

/// The columns that a document names before its rows.
fn meta_columns(head: &Head<'_>) -> Vec<String> {
    if !head.has("meta/name") {
        return Vec::new();
    }
    let limits = Limits::default();
    let mut columns = Vec::new();
    // The document goes on behind the head; the error ends the walk.
    let _ = Cursor::new(head.bytes(), &limits).object(|cursor, key| match key {
        "meta" => {
            columns = column_names(cursor)?;
            Err(JsonError::Ended)
        }
        _ => cursor.skip(),
    });
    columns
}

/// The names in a list of `{"name":…,"type":…}`; any other value is skipped and has none.
pub(super) fn column_names(cursor: &mut Cursor<'_>) -> Result<Vec<String>> {
    let mut columns = Vec::new();
    cursor.array(|cursor| {
        let mut name = String::new();
        cursor.object(|cursor, key| match key {
            "name" => {
                name = cursor.string_or_skip()?.unwrap_or_default().into_owned();
                Ok(())
            }
            _ => cursor.skip(),
        })?;
        columns.push(name);
        Ok(())
    })?;
    Ok(columns)
}

/// Whether this list holds lists: rows of cells whose columns are named elsewhere.
pub(super) fn is_list_of_lists(cursor: &Cursor<'_>) -> bool {
    let mut probe = cursor.clone();
    let mut is_list = false;
    // Only the first item is wanted; the error ends the walk.
    let _ = probe.array(|cursor| {
        is_list = cursor.peek() == Some(b'[');
        Err(JsonError::Ended)
    });
    is_list
}

/// Takes a row that is a list of cells, in the order of its columns; `None` when it has more or fewer.
pub(super) fn take_list<'a>(
    cursor: &mut Cursor<'a>,
    columns: &[String],
    mut member: impl FnMut(&str, Cell<'a>),
) -> Result<Option<()>> {
    let mut cells = 0;
    cursor.array(|cursor| {
        let cell = Cell::read(cursor)?;
        if let Some(column) = columns.get(cells) {
            member(column, cell);
        }
        cells += 1;
        Ok(())
    })?;
    Ok((cells == columns.len()).then_some(()))
}

/// Decodes rows of JSON.
pub(super) fn decode_rows<'a, R: TableRow<'a>>(
    block: &'a Block,
    limits: &'a Limits,
    sink: &mut dyn SpanSink,
) {
    let mut decoder = Decoder { block, limits, columns: Vec::new(), senders: Senders::default() };
    each_value(block, limits, sink, |cursor, sink| decoder.value::<R>(cursor, sink));
}

/// Decodes a table with a header.
pub(super) fn decode_table<'a, R: TableRow<'a>>(
    block: &'a Block,
    limits: &'a Limits,
    sink: &mut dyn SpanSink,
) {
    let mut senders = Senders::default();
    each_row(block, limits, sink, |columns, cells, position, sink| {
        let mut row = R::at(position);
        for (column, cell) in columns.iter().zip(cells) {
            row.member(column, cell, limits, sink);
        }
        senders.give(row.finish(limits), sink);
    });
}

struct Decoder<'a> {
    block: &'a Block,
    limits: &'a Limits,
    /// Named by the document whose rows are lists.
    columns: Vec<String>,
    senders: Senders<'a>,
}

impl<'a> Decoder<'a> {
    fn value<R: TableRow<'a>>(&mut self, cursor: &mut Cursor<'a>, sink: &mut dyn SpanSink) -> Result<()> {
        match cursor.peek() {
            Some(b'[') => cursor.array(|cursor| self.value::<R>(cursor, sink)).map(drop),
            Some(b'{') => self.object::<R>(cursor, sink),
            Some(_) if cursor.is_inside() => self.no_row(cursor, sink),
            _ => Err(JsonError::Unexpected("expected a JSON object or array")),
        }
    }

    fn no_row(&self, cursor: &mut Cursor<'a>, sink: &mut dyn SpanSink) -> Result<()> {
        let position = self.block.position(cursor.at());
        cursor.skip()?;
        sink.reject(position, RejectReason::NotAnObject);
        cursor.commit();
        Ok(())
    }

    /// A row, or the document around the rows.
    fn object<R: TableRow<'a>>(&mut self, cursor: &mut Cursor<'a>, sink: &mut dyn SpanSink) -> Result<()> {
        let mut row = R::at(self.block.position(cursor.at()));
        let mut is_document = false;
        let mut early_rows = None;
        let outcome = cursor.object(|cursor, key| {
            match (key, cursor.peek()) {
                ("data", Some(b'[')) if self.columns.is_empty() && is_list_of_lists(cursor) => {
                    is_document = true;
                    early_rows = Some(cursor.clone());
                    cursor.skip()?;
                }
                ("data", Some(b'[')) => {
                    is_document = true;
                    cursor.array(|cursor| self.data_row::<R>(cursor, sink))?;
                }
                ("meta", Some(b'[')) => {
                    is_document = true;
                    self.columns = column_names(cursor)?;
                }
                ("exception", Some(b'"')) => {
                    is_document = true;
                    let text = cursor.string_or_skip()?.unwrap_or_default();
                    sink.partial(&exception_sentence(&text));
                }
                _ => row.member(key, Cell::read(cursor)?, self.limits, sink),
            }
            Ok(())
        });
        let mut outcome = outcome.map(drop);
        if let Some(mut rows) = early_rows {
            let read = rows.array(|cursor| self.data_row::<R>(cursor, sink));
            outcome = cursor.absorb(&rows, outcome, read);
        }
        outcome?;
        if !is_document {
            self.senders.give(row.finish(self.limits), sink);
            cursor.commit();
        }
        Ok(())
    }

    fn data_row<R: TableRow<'a>>(&mut self, cursor: &mut Cursor<'a>, sink: &mut dyn SpanSink) -> Result<()> {
        if cursor.peek() != Some(b'[') {
            return self.value::<R>(cursor, sink);
        }
        let position = self.block.position(cursor.at());
        let mut row = R::at(position);
        let (columns, limits) = (&self.columns, self.limits);
        match take_list(cursor, columns, |column, cell| row.member(column, cell, limits, sink))? {
            Some(()) => self.senders.give(row.finish(limits), sink),
            None => sink.reject(position, RejectReason::ColumnCount),
        }
        cursor.commit();
        Ok(())
    }
}

fn exception_sentence(text: &str) -> String {
    const LONGEST: usize = 200;
    let text: String = text.chars().take(LONGEST).collect();
    format!("ClickHouse ended its answer with an exception, so rows are missing: {text}")
}

/// The lists of a nested column side by side, as long as the longest.
pub(super) fn zipped<'a, const N: usize>(
    lists: [Option<Cell<'a>>; N],
    limits: &Limits,
) -> Vec<[Value<'a>; N]> {
    let mut lists = lists.map(|list| list.map_or_else(Vec::new, |cell| cell.items(limits)).into_iter());
    let longest = lists.iter().map(ExactSizeIterator::len).max().unwrap_or(0);
    (0..longest).map(|_| lists.each_mut().map(|list| list.next().unwrap_or(Value::Empty))).collect()
}
