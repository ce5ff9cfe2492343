//! What `query_range` and exports answer.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::not_signoz;
use super::request::{ATTRIBUTE_FIELDS, Columns, RESOURCE_FIELDS};
use crate::model::TraceId;
use crate::model::ids::{IdText, read_trace_id};
use crate::model::time;
use crate::sources::fetch_problem::FetchProblem;

const PATH: &str = "/api/v5/query_range";

/// `{"status":"success","data":{…}}`
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    data: Response<'a>,
}

#[derive(Deserialize)]
struct Response<'a> {
    #[serde(borrow)]
    data: Results<'a>,
    warning: Option<Warning>,
}

#[derive(Deserialize)]
struct Results<'a> {
    #[serde(borrow)]
    results: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct Warning {
    #[serde(default)]
    message: String,
    warnings: Option<Vec<Said>>,
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    message: String,
}

impl Warning {
    /// The particular messages, or the general one when there are none.
    fn messages(self) -> Vec<String> {
        let particular: Vec<String> =
            self.warnings.unwrap_or_default().into_iter().map(|said| said.message).collect();
        let mut messages = if particular.is_empty() { vec![self.message] } else { particular };
        messages.retain(|message| !message.is_empty());
        messages
    }
}

fn wrong(error: &serde_json::Error) -> FetchProblem {
    FetchProblem::unexpected("SigNoz", PATH, error)
}

/// The results of an answer, and what it warns of.
fn results(body: &[u8]) -> Result<(Vec<&RawValue>, Vec<String>), FetchProblem> {
    let envelope: Envelope<'_> = serde_json::from_slice(body).map_err(|error| wrong(&error))?;
    let warnings = envelope.data.warning.map(Warning::messages).unwrap_or_default();
    Ok((envelope.data.data.results.unwrap_or_default(), warnings))
}

/// The trace id of a text that can be asked for.
pub(super) fn valid_id(text: &str) -> Option<TraceId> {
    match read_trace_id(text.as_bytes()) {
        IdText::Valid(id, _) if id.to_string() == text => Some(id),
        _ => None,
    }
}

/// Values of a field, and how many spans have them.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// Value and number of spans.
    pub(super) counts: Vec<(String, u64)>,
    /// What the answer warns of.
    pub(super) warnings: Vec<String>,
}

#[derive(Deserialize)]
struct Scalar {
    columns: Option<Vec<Column>>,
    data: Option<Vec<Vec<serde_json::Value>>>,
}

#[derive(Deserialize)]
struct Column {
    #[serde(rename = "columnType", default)]
    kind: String,
}

impl Groups {
    /// Reads an answer to a count by one field.
    pub(super) fn of_answer(body: &[u8]) -> Result<Self, FetchProblem> {
        let (results, warnings) = results(body)?;
        let mut groups = Self { counts: Vec::new(), warnings };
        for result in results {
            let scalar: Scalar = serde_json::from_str(result.get()).map_err(|error| wrong(&error))?;
            let columns = scalar.columns.unwrap_or_default();
            let place = |kind: &str| columns.iter().position(|column| column.kind == kind);
            let rows = scalar.data.unwrap_or_default();
            if rows.is_empty() {
                continue;
            }
            let (Some(group), Some(count)) = (place("group"), place("aggregation")) else {
                return Err(not_signoz(PATH, "a table without groups and counts"));
            };
            for row in rows {
                let name = row.get(group).and_then(serde_json::Value::as_str).unwrap_or_default();
                let count = row.get(count).and_then(serde_json::Value::as_f64).unwrap_or_default();
                groups.counts.push((name.to_owned(), count as u64));
            }
        }
        Ok(groups)
    }
}

/// Rows one after the other, a line each, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// The rows.
    pub(super) lines: Vec<u8>,
    /// What the answer warns of.
    pub(super) warnings: Vec<String>,
    /// A row does not say what its parent is, not even that there is none.
    pub(super) lacks_parents: bool,
    /// Start of the first span, in ns since the Unix epoch.
    pub(super) start_ns: Option<i64>,
    /// First row of the answer that came last.
    first: Option<Key>,
    runs: Vec<Run>,
}

/// What a row is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    trace_id: TraceId,
    span_id: String,
    timestamp: String,
}

/// Rows of one trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    trace_id: TraceId,
    /// Where its first line begins.
    at: usize,
    rows: u64,
}

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow)]
    rows: Option<Vec<RawRow<'a>>>,
}

#[derive(Deserialize)]
struct RawRow<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct Cells<'a> {
    #[serde(borrow)]
    trace_id: Cow<'a, str>,
    #[serde(borrow, default)]
    span_id: Cow<'a, str>,
    #[serde(borrow, default)]
    timestamp: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "is_there")]
    parent_span_id: bool,
}

fn is_there<'de, D: serde::Deserializer<'de>>(cell: D) -> Result<bool, D::Error> {
    serde::de::IgnoredAny::deserialize(cell).map(|_| true)
}

impl Page {
    /// Reads an answer of `query_range`.
    pub(super) fn of_answer(body: &[u8], columns: Columns) -> Result<Self, FetchProblem> {
        let (results, warnings) = results(body)?;
        let mut page = Self { warnings, ..Self::default() };
        for result in results {
            let raw: Raw<'_> = serde_json::from_str(result.get()).map_err(|error| wrong(&error))?;
            for row in raw.rows.unwrap_or_default() {
                page.push(row.data, columns)?;
            }
        }
        Ok(page)
    }

    /// Reads an export, a row a line.
    pub(super) fn of_export(body: &[u8], columns: Columns) -> Result<Self, FetchProblem> {
        let mut page = Self::default();
        for row in serde_json::Deserializer::from_slice(body).into_iter::<&RawValue>() {
            page.push(row.map_err(|error| wrong(&error))?, columns)?;
        }
        Ok(page)
    }

    fn push(&mut self, row: &RawValue, columns: Columns) -> Result<(), FetchProblem> {
        let cells: Cells<'_> = serde_json::from_str(row.get()).map_err(|error| wrong(&error))?;
        let trace_id = match read_trace_id(cells.trace_id.as_bytes()) {
            IdText::Valid(id, _) | IdText::Invalid(id) => id,
            IdText::Absent => TraceId::default(),
        };
        self.lacks_parents |= !cells.parent_span_id;
        if self.first.is_none() {
            let timestamp = cells.timestamp.map_or("", RawValue::get).trim_matches('"').to_owned();
            self.start_ns = time::parse_instant(&timestamp);
            self.first = Some(Key { trace_id, span_id: cells.span_id.into_owned(), timestamp });
        }
        match self.runs.last_mut() {
            Some(run) if run.trace_id == trace_id => run.rows += 1,
            _ => self.runs.push(Run { trace_id, at: self.lines.len(), rows: 1 }),
        }
        match columns {
            Columns::All => self.lines.extend_from_slice(row.get().as_bytes()),
            Columns::Named { .. } => self.lines.extend(sorted_out(row)?),
        }
        self.lines.push(b'\n');
        Ok(())
    }

    /// Number of rows.
    pub(super) fn rows(&self) -> u64 {
        self.runs.iter().map(|run| run.rows).sum()
    }

    /// Whether there is no row.
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The traces that it has rows of.
    pub(super) fn trace_ids(&self) -> Vec<TraceId> {
        self.runs.iter().map(|run| run.trace_id).collect()
    }

    /// Whether both begin with the same row.
    pub(super) fn begins_like(&self, last: &Self) -> bool {
        self.first.is_some() && self.first == last.first
    }

    /// Adds the next page.
    pub(super) fn append(&mut self, next: Self) {
        let shift = self.lines.len();
        self.lines.extend(next.lines);
        self.first = next.first;
        let mut runs = next.runs.into_iter().map(|run| Run { at: run.at + shift, ..run }).peekable();
        if let (Some(last), Some(first)) = (self.runs.last_mut(), runs.peek())
            && last.trace_id == first.trace_id
        {
            last.rows += first.rows;
            runs.next();
        }
        self.runs.extend(runs);
    }

    /// Takes away all traces but the last, of which more may come.
    pub(super) fn take_whole_traces(&mut self) -> Self {
        let Some(last) = self.runs.pop() else { return Self::default() };
        let rest = self.lines.split_off(last.at);
        let whole = Self {
            lines: std::mem::replace(&mut self.lines, rest),
            runs: std::mem::take(&mut self.runs),
            ..Self::default()
        };
        self.runs.push(Run { at: 0, ..last });
        whole
    }
}

/// Selected attributes come without a word on where they belong.
fn sorted_out(row: &RawValue) -> Result<Vec<u8>, FetchProblem> {
    #[derive(Default, Serialize)]
    struct SortedOut<'a> {
        #[serde(flatten)]
        span: BTreeMap<Cow<'a, str>, &'a RawValue>,
        resource: BTreeMap<Cow<'a, str>, &'a RawValue>,
        attributes: BTreeMap<Cow<'a, str>, &'a RawValue>,
    }
    let cells: BTreeMap<Cow<'_, str>, &RawValue> =
        serde_json::from_str(row.get()).map_err(|error| wrong(&error))?;
    let mut sorted = SortedOut::default();
    for (name, cell) in cells {
        let list = if RESOURCE_FIELDS.contains(&&*name) {
            &mut sorted.resource
        } else if ATTRIBUTE_FIELDS.contains(&&*name) {
            &mut sorted.attributes
        } else {
            sorted.span.insert(name, cell);
            continue;
        };
        // So an attribute comes that the span does not have.
        if !matches!(cell.get(), "\"\"" | "null") {
            list.insert(name, cell);
        }
    }
    serde_json::to_vec(&sorted).map_err(|error| wrong(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(trace: u128, span: u64) -> String {
        format!(
            r#"{{"timestamp":"2026-01-01T00:00:00.00000000{span}Z","trace_id":"{trace:032x}","span_id":"{span:016x}","parent_span_id":""}}"#
        )
    }

    fn answer(rows: &[String]) -> Vec<u8> {
        let rows: Vec<String> =
            rows.iter().map(|row| format!(r#"{{"timestamp":"x","data":{row}}}"#)).collect();
        let rows = if rows.is_empty() { "null".to_owned() } else { format!("[{}]", rows.join(",")) };
        format!(
            r#"{{"status":"success","data":{{"type":"raw","data":{{"results":[{{"queryName":"A","nextCursor":"MTc=","rows":{rows}}}]}},"meta":{{}}}}}}"#
        )
        .into_bytes()
    }

    fn page(rows: &[String]) -> Page {
        Page::of_answer(&answer(rows), Columns::All).unwrap()
    }

    #[test]
    fn answers_and_exports_give_the_same_lines() {
        let rows = [row(1, 1), row(1, 2), row(2, 1)];
        let page = page(&rows);
        let export = Page::of_export(rows.join("\n").as_bytes(), Columns::All).unwrap();
        assert_eq!(page.lines, export.lines);
        assert_eq!(page.lines, format!("{}\n", rows.join("\n")).into_bytes());
        assert_eq!((page.rows(), page.trace_ids()), (3, vec![TraceId(1), TraceId(2)]));
        assert_eq!(page.start_ns, Some(1_767_225_600_000_000_001));
        assert!(!page.lacks_parents);
    }

    #[test]
    fn the_last_trace_of_a_page_is_held_back() {
        let mut held = page(&[row(1, 1), row(2, 1)]);
        let whole = held.take_whole_traces();
        assert_eq!((whole.trace_ids(), whole.rows()), (vec![TraceId(1)], 1));
        held.append(page(&[row(2, 2), row(3, 1)]));
        let whole = held.take_whole_traces();
        assert_eq!((whole.trace_ids(), whole.rows()), (vec![TraceId(2)], 2));
        assert_eq!(whole.lines, format!("{}\n{}\n", row(2, 1), row(2, 2)).into_bytes());
        assert_eq!(held.lines, format!("{}\n", row(3, 1)).into_bytes());
        assert!(Page::default().take_whole_traces().is_empty());
    }

    #[test]
    fn a_page_that_comes_again_is_noticed() {
        let mut held = page(&[row(1, 1), row(2, 1)]);
        drop(held.take_whole_traces());
        assert!(page(&[row(1, 1)]).begins_like(&held));
        assert!(!page(&[row(2, 2)]).begins_like(&held));
        assert!(!page(&[]).begins_like(&Page::default()));
    }

    #[test]
    fn selected_attributes_go_where_they_belong() {
        let cells = r#"{"trace_id":"1","span_id":"2","parent_span_id":"","timestamp":"t","name":"x","service.name":"shop","host.name":null,"http.route":"/a","url.path":"","links":"[]"}"#;
        let page = Page::of_answer(&answer(&[cells.to_owned()]), Columns::Named { links: true }).unwrap();
        let line: serde_json::Value = serde_json::from_slice(&page.lines).unwrap();
        assert_eq!(line["resource"], serde_json::json!({"service.name": "shop"}));
        assert_eq!(line["attributes"], serde_json::json!({"http.route": "/a"}));
        assert_eq!((&line["name"], &line["links"]), (&"x".into(), &"[]".into()));
    }

    #[test]
    fn seven_columns_lack_the_parent() {
        let cells = r#"{"trace_id":"1","span_id":"2","timestamp":"t","name":"x"}"#.to_owned();
        assert!(page(&[cells]).lacks_parents);
        let null = r#"{"trace_id":"1","span_id":"2","parent_span_id":null}"#.to_owned();
        assert!(!page(&[null]).lacks_parents);
    }

    #[test]
    fn warnings_are_read() {
        let body = br#"{"data":{"data":{"results":null},"warning":{"message":"Encountered warnings","warnings":[{"message":"a"},{"message":"b"}]}}}"#;
        assert_eq!(Page::of_answer(body, Columns::All).unwrap().warnings, ["a", "b"]);
        let body = br#"{"data":{"data":{"results":[]},"warning":{"message":"a"}}}"#;
        assert_eq!(Groups::of_answer(body).unwrap().warnings, ["a"]);
    }

    #[test]
    fn counts_are_read_by_the_kind_of_their_columns() {
        let body = br#"{"status":"success","data":{"type":"scalar","data":{"results":[{"queryName":"A","columns":[{"name":"__result_0","columnType":"aggregation"},{"name":"trace_id","columnType":"group"}],"data":[[3,"a"],[1.0,"b"]]}]},"meta":{}}}"#;
        let groups = Groups::of_answer(body).unwrap();
        assert_eq!(groups.counts, [("a".to_owned(), 3), ("b".to_owned(), 1)]);
        let body = br#"{"data":{"data":{"results":[{"columns":[],"data":[[1]]}]}}}"#;
        assert!(Groups::of_answer(body).is_err());
        for body in [&b"[]"[..], b"", br#"{"data":{}}"#, br#"{"status":"success"}"#] {
            assert!(Groups::of_answer(body).is_err() && Page::of_answer(body, Columns::All).is_err());
        }
    }

    #[test]
    fn only_ids_that_servers_know_can_be_asked_for() {
        assert_eq!(valid_id("0000000000000000000000000000000a"), Some(TraceId(10)));
        for text in ["", "\0\0", "a", "0000000000000000000000000000000A", "00000000000000000000000000000000"]
        {
            assert_eq!(valid_id(text), None, "{text:?}");
        }
    }
}
