//! SigNoz, in the generations that are in use.
//!
//! Requests, answers and errors are those of SigNoz/signoz: `pkg/types/querybuildertypes/querybuildertypesv5`
//! (`req.go`, `builder_query.go`, `validation.go`, `resp.go`), `pkg/querier/builder_query.go`,
//! `pkg/telemetrytraces/statement_builder.go`, `pkg/modules/rawdataexport`, `pkg/query-service/app`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat};
use serde_json::{Map, Value, json};

use super::store::{items, number, plain};
use super::{Answer, Handler, Request, Span, Store};
use filter::Filter;

mod filter;

/// The double.
#[derive(Clone)]
pub(crate) struct Signoz {
    store: Arc<Store>,
    minor: u32,
    key: Option<&'static str>,
    base_path: &'static str,
    unknown_is_page: bool,
    is_export_complete: bool,
}

/// What `limit` may be at most.
const MAX_ROWS: usize = 10_000;
/// What it is in an export, at most and by default.
const MAX_EXPORTED: usize = 50_000;
const DEFAULT_EXPORTED: usize = 10_000;
const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;

/// The columns that a version before 0.130 gives when it is not told which.
const DEFAULT_COLUMNS: [&str; 7] =
    ["duration_nano", "name", "response_status_code", "service.name", "span_id", "timestamp", "trace_id"];
/// The columns that come whatever is asked for.
const FIXED_COLUMNS: [&str; 3] = ["timestamp", "span_id", "trace_id"];

impl Signoz {
    /// Version `0.minor.0`.
    pub(crate) fn new(store: Store, minor: u32) -> Self {
        let store = Arc::new(store);
        let (key, base_path) = (None, "");
        Self { store, minor, key, base_path, unknown_is_page: false, is_export_complete: true }
    }

    pub(crate) fn with_key(mut self, key: &'static str) -> Self {
        self.key = Some(key);
        self
    }

    /// Every route is below this path, which has no slash at its end.
    pub(crate) fn at(mut self, base_path: &'static str) -> Self {
        self.base_path = base_path;
        self
    }

    /// Unknown routes of the API give the page of the UI with status 200.
    pub(crate) fn unknown_is_page(mut self) -> Self {
        self.unknown_is_page = true;
        self
    }

    /// Exports end early and say so behind the body.
    pub(crate) fn exporting_in_part(mut self) -> Self {
        self.is_export_complete = false;
        self
    }

    fn route(&self, request: &Request, path: &str) -> Answer {
        let get = request.method == "GET";
        match path {
            "/api/v1/version" if get => {
                let version = format!("v0.{}.0", self.minor);
                return Answer::json(200, &json!({"version": version, "ee": "Y", "setupCompleted": true}));
            }
            "/api/v1/health" if get => return Answer::json(200, &json!({"status": "ok"})),
            _ if !path.starts_with("/api/") => return Answer::html(PAGE),
            _ => {}
        }
        let token = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        if self.key.is_some() && request.header("signoz-api-key").or(token) != self.key {
            return failure(401, "unauthenticated", "unauthenticated", &[]);
        }
        match path {
            "/api/v5/query_range" if !get && self.minor >= 87 => self.query_range(request),
            "/api/v1/export_raw_data" if self.minor >= 117 && get => Answer::text(405, ""),
            "/api/v1/export_raw_data" if self.minor >= 117 => self.export(request),
            "/api/v1/services" if !get => self.services(request),
            "/api/v1/services/list" if get => Answer::json(200, &json!(self.store.services())),
            _ => self.route_by_id(request, path),
        }
    }

    fn route_by_id(&self, request: &Request, path: &str) -> Answer {
        let waterfall = path.strip_prefix("/api/v4/traces/").and_then(|rest| rest.strip_suffix("/waterfall"));
        if let Some(id) = waterfall.filter(|_| self.minor >= 126 && request.method == "POST") {
            return self.waterfall(id);
        }
        match path.strip_prefix("/api/v1/traces/") {
            Some(id) if request.method == "GET" => self.legacy_trace(id),
            _ if self.unknown_is_page => Answer::html(PAGE),
            _ => Answer::page_not_found(),
        }
    }

    fn query_range(&self, request: &Request) -> Answer {
        let query = match Query::parse(request, MAX_ROWS) {
            Ok(query) => query,
            Err(answer) => return *answer,
        };
        let (warning, spans) = match self.select(&query) {
            Ok(selected) => selected,
            Err(message) => return failure(400, "invalid_input", &message, &[]),
        };
        let result = match query.kind.as_str() {
            "scalar" => scalar(&query, &spans),
            "trace" => self.traces(&query, &spans),
            _ => self.raw(&query, &spans),
        };
        let mut data = json!({
            "type": query.kind,
            "data": {"results": [result]},
            "meta": {"rowsScanned": spans.len(), "bytesScanned": 0, "durationMs": 1, "stepIntervals": {}},
        });
        if let Some(warning) = warning {
            data["warning"] = json!({"message": "Encountered warnings", "warnings": [{"message": warning}]});
        }
        Answer::json(200, &json!({"status": "success", "data": data}))
    }

    /// The spans in the window that the filter lets through, in order. A filter on trace ids changes the
    /// window to that of the traces.
    fn select(&self, query: &Query) -> Result<(Option<String>, Vec<&Span>), String> {
        let filter = Filter::parse(&query.filter)?;
        filter.check_keys(&self.store.spans)?;
        let (mut from, mut to) = (query.from_ns, query.to_ns);
        let mut copies = 1;
        let ids = filter.trace_ids();
        let starts = self.store.spans.iter().filter(|span| ids.contains(&span.trace_id));
        let starts: Vec<u64> = starts.map(|span| span.start_ns).collect();
        if let (Some(first), Some(last)) = (starts.iter().min(), starts.iter().max()) {
            let (first, last) = (first.saturating_sub(SECOND), last + SECOND);
            if self.minor < 130 {
                // The window of the request is forgotten, and every part into which it is cut gives all.
                copies = if query.is_window_list() { parts(from, to) } else { 1 };
                (from, to) = (first, last);
            } else if last < from || first >= to {
                let name = &query.name;
                let (first, last) = (time(first / SECOND * SECOND), time(last / SECOND * SECOND));
                let warning = format!(
                    "Query {name} references a trace_id that exists between {first} and {last} (UTC) but lies \
                     outside the selected time range; adjust the time range to see results"
                );
                return Ok((Some(warning), Vec::new()));
            } else {
                (from, to) = (from.max(first), to.min(last));
            }
        }
        let in_window = self.store.spans.iter().filter(|span| (from..to).contains(&span.start_ns));
        let mut spans: Vec<&Span> = in_window.filter(|span| filter.matches(span)).collect();
        query.sort(&mut spans);
        let all = spans.iter().copied().cycle().take(spans.len() * copies).collect();
        Ok((None, all))
    }

    fn raw(&self, query: &Query, spans: &[&Span]) -> Value {
        let limit =
            if query.limit == 0 { if query.is_window_list() { MAX_ROWS } else { 100 } } else { query.limit };
        let page = spans.iter().skip(query.offset).take(limit);
        let rows: Vec<Value> = page.map(|span| self.row(query, span)).collect();
        let is_full = query.is_window_list() && rows.len() == limit;
        let last = is_full.then(|| spans[query.offset + limit - 1].start_ns / MS);
        let cursor = last.map_or_else(String::new, |ms| STANDARD.encode(ms.to_string()));
        let rows = if rows.is_empty() { Value::Null } else { rows.into() };
        json!({"queryName": query.name, "nextCursor": cursor, "rows": rows})
    }

    fn row(&self, query: &Query, span: &Span) -> Value {
        json!({"timestamp": time(span.start_ns), "data": self.row_data(query, span)})
    }

    fn row_data(&self, query: &Query, span: &Span) -> Value {
        if query.columns.is_empty() && self.minor >= 130 {
            return all_fields(span);
        }
        let columns: Vec<&str> = match query.columns.as_slice() {
            [] => DEFAULT_COLUMNS.to_vec(),
            named => named.iter().map(String::as_str).chain(FIXED_COLUMNS).collect(),
        };
        let value = |column: &str| match column {
            "links" | "events" if !query.columns.is_empty() => stored(span, column),
            // The columns of attributes are maps, which give an empty text for what they do not have.
            _ => field(span, column).unwrap_or_else(|| {
                span.attribute(column).or_else(|| span.resource_attribute(column)).unwrap_or_default().into()
            }),
        };
        Value::Object(columns.into_iter().map(|column| (column.to_owned(), value(column))).collect())
    }

    /// One row for each trace that has a root.
    fn traces(&self, query: &Query, spans: &[&Span]) -> Value {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for span in spans {
            *counts.entry(&span.trace_id).or_default() += 1;
        }
        let roots = self.store.spans.iter().filter(|span| span.parent_id.is_empty());
        let mut rows: Vec<(u64, Value)> = Vec::new();
        for root in roots {
            let Some(count) = counts.remove(root.trace_id.as_str()) else { continue };
            let data = json!({"service.name": root.service(), "name": root.name(), "span_count": count,
                "duration_nano": root.duration_ns(), "trace_id": root.trace_id});
            rows.push((root.duration_ns(), json!({ "data": data })));
        }
        rows.sort_by_key(|(duration, _)| std::cmp::Reverse(*duration));
        let limit = if query.limit == 0 { 100 } else { query.limit };
        let rows: Vec<Value> = rows.into_iter().map(|(_, row)| row).skip(query.offset).take(limit).collect();
        let rows = if rows.is_empty() { Value::Null } else { rows.into() };
        json!({"queryName": query.name, "nextCursor": "", "rows": rows})
    }

    fn export(&self, request: &Request) -> Answer {
        let mut query = match Query::parse(request, MAX_EXPORTED) {
            Ok(query) => query,
            Err(answer) => return *answer,
        };
        if query.limit == 0 {
            query.limit = DEFAULT_EXPORTED;
        }
        let spans = match self.select(&query) {
            Ok((_, spans)) => spans,
            Err(message) => return failure(400, "invalid_input", &message, &[]),
        };
        let page = spans.iter().skip(query.offset).take(query.limit);
        let rows: Vec<Value> = page.map(|span| self.row_data(&query, span)).collect();
        let rows = if self.is_export_complete { &rows[..] } else { &rows[..rows.len() / 2] };
        let (content_type, body) = match request.parameter("format") {
            Some("jsonl") => {
                ("application/x-ndjson", rows.iter().map(|row| format!("{row}\n")).collect::<String>())
            }
            None | Some("csv") => ("text/csv", csv(rows)),
            Some(_) => return failure(400, "invalid_input", "invalid format: must be csv or jsonl", &[]),
        };
        let is_complete = self.is_export_complete.to_string();
        Answer::new(200, content_type, body).trailer("X-Response-Complete", &is_complete)
    }

    fn services(&self, request: &Request) -> Answer {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let bound = |key: &str| body[key].as_str().and_then(|text| text.parse::<u64>().ok());
        let (Some(from), Some(to)) = (bound("start"), bound("end")) else {
            return legacy_failure(400, "bad_data", "start and end are nanoseconds in quotes");
        };
        let mut calls: BTreeMap<&str, usize> = BTreeMap::new();
        for span in self.store.spans.iter().filter(|span| (from..to).contains(&span.start_ns)) {
            *calls.entry(span.service()).or_default() += 1;
        }
        let services = calls.into_iter().map(|(service, calls)| {
            json!({"serviceName": service, "p99": 0, "avgDuration": 0, "numCalls": calls, "callRate": 0,
                "numErrors": 0, "errorRate": 0, "num4XX": 0, "fourXXRate": 0})
        });
        Answer::json(200, &services.collect())
    }

    /// Copies by span id are gone, and a parent that is not there has a row all the same.
    fn waterfall(&self, id: &str) -> Answer {
        let trace = self.store.trace(id);
        let Some(first) = trace.first() else {
            return failure(404, "trace_not_found", &format!("trace with id {id} not found"), &[]);
        };
        let mut seen = BTreeSet::new();
        let spans: Vec<&&Span> = trace.iter().filter(|span| seen.insert(span.span_id.as_str())).collect();
        let mut rows: Vec<Value> = spans.iter().map(|span| waterfall_row(span)).collect();
        let mut missing = BTreeSet::new();
        for span in &spans {
            let parent = span.parent_id.as_str();
            if !parent.is_empty() && !seen.contains(parent) && missing.insert(parent) {
                rows.push(missing_row(span));
            }
        }
        let data = json!({
            "startTimestampMillis": first.start_ns / MS,
            "endTimestampMillis": trace.iter().map(|span| span.end_ns / MS).max(),
            "rootServiceName": first.service(),
            "rootServiceEntryPoint": first.name(),
            "totalSpansCount": spans.len(),
            "totalErrorSpansCount": spans.iter().filter(|span| span.is_error()).count(),
            "spans": rows,
            "hasMissingSpans": !missing.is_empty(),
            "hasMore": false,
            "uncollapsedSpans": [],
        });
        Answer::json(200, &json!({"status": "success", "data": data}))
    }

    /// Columns and rows, in milliseconds.
    fn legacy_trace(&self, id: &str) -> Answer {
        const COLUMNS: [&str; 15] = [
            "__time",
            "SpanId",
            "TraceId",
            "ServiceName",
            "Name",
            "Kind",
            "DurationNano",
            "TagsKeys",
            "TagsValues",
            "References",
            "Events",
            "HasError",
            "StatusMessage",
            "StatusCodeString",
            "SpanKind",
        ];
        let trace = self.store.trace(id);
        let rows = trace.iter().map(|span| {
            let mut tags = attributes(&span.otlp);
            tags.extend(attributes(&span.resource));
            let (keys, values): (Vec<String>, Vec<String>) =
                tags.into_iter().map(|(key, value)| (key, as_text(&value))).unzip();
            let mut references = vec![reference(&span.trace_id, &span.parent_id, "CHILD_OF")];
            for link in items(&span.otlp["links"]) {
                let text = |key: &str| link[key].as_str().unwrap_or_default().to_owned();
                references.push(reference(&text("traceId"), &text("spanId"), "FOLLOWS_FROM"));
            }
            json!([
                span.start_ns / MS,
                span.span_id,
                span.trace_id,
                span.service(),
                span.name(),
                span.kind().to_string(),
                span.duration_ns().to_string(),
                keys,
                values,
                references,
                [],
                span.is_error(),
                status_message(span),
                status(span),
                kind(span),
            ])
        });
        let rows: Vec<Value> = rows.collect();
        let start = trace.iter().map(|span| span.start_ns / MS).min().unwrap_or(0);
        let end = trace.iter().map(|span| span.end_ns / MS).max().unwrap_or(0);
        let answer = json!([{"startTimestampMillis": start, "endTimestampMillis": end, "columns": COLUMNS,
            "events": rows, "isSubTree": false}]);
        Answer::json(200, &answer)
    }
}

impl Handler for Signoz {
    fn answer(&self, request: &Request) -> Answer {
        match request.path.strip_prefix(self.base_path) {
            Some(path) => self.route(request, path),
            None => Answer::page_not_found(),
        }
    }
}

const PAGE: &str = "<!doctype html>\n<html lang=\"en\"><head><title>SigNoz | Open source observability\
    </title></head><body><div id=\"root\"></div></body></html>\n";

/// The error of a handler of `pkg/http/render`.
fn failure(status: u16, code: &str, message: &str, suggestions: &[String]) -> Answer {
    let error = json!({"type": code.replace('_', "-"), "code": code, "message": message, "errors": [],
        "suggestions": suggestions});
    Answer::json(status, &json!({"status": "error", "error": error}))
}

/// The error of a handler of the old query service.
fn legacy_failure(status: u16, kind: &str, message: &str) -> Answer {
    Answer::json(status, &json!({"status": "error", "errorType": kind, "error": message}))
}

/// A query that was accepted.
struct Query {
    kind: String,
    name: String,
    from_ns: u64,
    to_ns: u64,
    filter: String,
    columns: Vec<String>,
    order: Vec<(String, bool)>,
    group_by: Vec<String>,
    aggregations: Vec<String>,
    limit: usize,
    offset: usize,
}

type Refused = Box<Answer>;

impl Query {
    fn parse(request: &Request, max_rows: usize) -> Result<Self, Refused> {
        let refuse = |message: String| Box::new(failure(400, "invalid_input", &message, &[]));
        let body: Value = serde_json::from_slice(&request.body)
            .map_err(|error| refuse(format!("invalid JSON: {error}")))?;
        known_fields(
            &body,
            "",
            &[
                "schemaVersion",
                "start",
                "end",
                "requestType",
                "compositeQuery",
                "variables",
                "noCache",
                "formatOptions",
            ],
        )?;
        let composite = &body["compositeQuery"];
        known_fields(composite, " in composite query", &["queries"])?;
        let [envelope] = items(&composite["queries"]) else {
            return Err(refuse("at least one query is required".to_owned()));
        };
        known_fields(envelope, "", &["type", "spec"])?;
        if envelope["type"] != "builder_query" {
            return Err(refuse(format!("unknown query type {}", envelope["type"])));
        }
        let spec = &envelope["spec"];
        known_fields(
            spec,
            " in query spec",
            &[
                "name",
                "stepInterval",
                "signal",
                "source",
                "aggregations",
                "disabled",
                "filter",
                "groupBy",
                "order",
                "selectFields",
                "limit",
                "limitBy",
                "offset",
                "cursor",
                "having",
                "secondaryAggregations",
                "functions",
                "legend",
            ],
        )?;
        if spec["signal"] != "traces" {
            return Err(refuse(format!("invalid signal {}", spec["signal"])));
        }
        let kind = body["requestType"].as_str().unwrap_or_default().to_owned();
        if !["raw", "scalar", "trace"].contains(&kind.as_str()) {
            return Err(refuse(format!("invalid request type: {kind}")));
        }
        let (Some(start), Some(end)) = (body["start"].as_u64(), body["end"].as_u64()) else {
            return Err(refuse("invalid JSON: start and end are numbers".to_owned()));
        };
        if start >= end {
            return Err(refuse("start time must be before end time".to_owned()));
        }
        let limit = spec["limit"].as_i64().unwrap_or(0);
        if limit < 0 {
            return Err(refuse(format!("limit must be non-negative, got {limit}")));
        }
        if limit as usize > max_rows {
            return Err(refuse(format!("limit exceeds maximum allowed value of {max_rows}")));
        }
        let mut query = Self {
            kind,
            name: spec["name"].as_str().unwrap_or_default().to_owned(),
            from_ns: to_nanos(start),
            to_ns: to_nanos(end),
            filter: spec["filter"]["expression"].as_str().unwrap_or_default().to_owned(),
            columns: names(&spec["selectFields"]),
            order: order(&spec["order"])?,
            group_by: names(&spec["groupBy"]),
            aggregations: items(&spec["aggregations"])
                .iter()
                .map(|one| as_text(&one["expression"]))
                .collect(),
            limit: limit as usize,
            offset: number(&spec["offset"]) as usize,
        };
        if query.kind == "scalar" && query.aggregations.is_empty() {
            return Err(refuse("at least one aggregation is required".to_owned()));
        }
        if query.order.is_empty() && query.kind != "scalar" {
            query.order = vec![("timestamp".to_owned(), false)];
        }
        query.follow(spec["cursor"].as_str().unwrap_or_default());
        Ok(query)
    }

    /// The page after a cursor begins a whole millisecond later, and loses what else that one has.
    fn follow(&mut self, cursor: &str) {
        let decoded = STANDARD.decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let Some(ms) = decoded.and_then(|text| text.parse::<u64>().ok()) else { return };
        match self.order.first() {
            Some((key, true)) if key == "timestamp" => self.from_ns = (ms + 1) * MS,
            Some((key, false)) if key == "timestamp" => self.to_ns = (ms - 1) * MS,
            _ => {}
        }
    }

    /// Whether the window is cut into parts that are read one after the other.
    fn is_window_list(&self) -> bool {
        self.kind == "raw" && self.order.first().is_some_and(|(key, _)| key == "timestamp")
    }

    fn sort(&self, spans: &mut [&Span]) {
        spans.sort_by(|one, other| {
            let keys = self.order.iter().map(|(key, is_ascending)| {
                let order = match key.as_str() {
                    "timestamp" => one.start_ns.cmp(&other.start_ns),
                    "span_id" => one.span_id.cmp(&other.span_id),
                    "trace_id" => one.trace_id.cmp(&other.trace_id),
                    "duration_nano" => one.duration_ns().cmp(&other.duration_ns()),
                    _ => std::cmp::Ordering::Equal,
                };
                if *is_ascending { order } else { order.reverse() }
            });
            keys.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
        });
    }
}

fn known_fields(object: &Value, place: &str, known: &[&str]) -> Result<(), Refused> {
    let Some(object) = object.as_object() else {
        return Err(Box::new(failure(400, "invalid_input", "invalid JSON: an object is missing", &[])));
    };
    let Some(field) = object.keys().find(|field| !known.contains(&field.as_str())) else { return Ok(()) };
    let mut suggestions = Vec::new();
    let near = known.iter().find(|name| name.eq_ignore_ascii_case(field) || name.starts_with(field.as_str()));
    suggestions.extend(near.map(|name| format!("did you mean: `{name}`")));
    suggestions.push(format!("valid fields are `{}`", known.join("`, `")));
    let message = format!("unknown field \"{field}\"{place}");
    Err(Box::new(failure(400, "invalid_input", &message, &suggestions)))
}

/// The names of fields, in the words of a filter or in parts.
fn names(fields: &Value) -> Vec<String> {
    items(fields).iter().map(|field| bare(&as_text(&field["name"])).to_owned()).collect()
}

/// Keys, and whether they ascend.
fn order(keys: &Value) -> Result<Vec<(String, bool)>, Refused> {
    let key = |entry: &Value| {
        let name = bare(&as_text(&entry["key"]["name"])).to_owned();
        match entry["direction"].as_str() {
            Some("asc") => Ok((name, true)),
            Some("desc") => Ok((name, false)),
            other => {
                let message = format!("invalid direction for order by clause: {}", other.unwrap_or_default());
                Err(Box::new(failure(400, "invalid_input", &message, &[])))
            }
        }
    };
    items(keys).iter().map(key).collect()
}

/// A key without its context and type: `resource.service.name:string` is `service.name`.
fn bare(key: &str) -> &str {
    let key = key.split(':').next().unwrap_or(key);
    let contexts = ["resource.", "attribute.", "span."];
    contexts.iter().find_map(|context| key.strip_prefix(context)).unwrap_or(key)
}

/// Seconds, milli-, micro- or nanoseconds since 1970 as nanoseconds, told apart by their digits.
fn to_nanos(time: u64) -> u64 {
    let digits = time.checked_ilog10().unwrap_or(0) + 1;
    time.saturating_mul(10_u64.saturating_pow(19_u32.saturating_sub(digits)))
}

/// Into how many parts a window is cut: the last hour, then twice as much each time.
fn parts(from: u64, to: u64) -> usize {
    let (mut parts, mut left, mut part) = (1, to.saturating_sub(from), 3_600 * SECOND);
    while left > part {
        left -= part;
        part *= 2;
        parts += 1;
    }
    parts
}

/// As Go writes `RFC3339Nano`: without zeros at the end.
fn time(ns: u64) -> String {
    let text = DateTime::from_timestamp_nanos(ns as i64).to_rfc3339_opts(SecondsFormat::Nanos, true);
    let text = text.trim_end_matches('Z').trim_end_matches('0').trim_end_matches('.');
    format!("{text}Z")
}

fn scalar(query: &Query, spans: &[&Span]) -> Value {
    let mut groups: BTreeMap<Vec<String>, Vec<&Span>> = BTreeMap::new();
    for span in spans {
        let value = |key: &String| match field(span, key) {
            Some(value) => as_text(&value),
            None => span.attribute(key).or_else(|| span.resource_attribute(key)).unwrap_or_default(),
        };
        groups.entry(query.group_by.iter().map(value).collect()).or_default().push(span);
    }
    let aggregate = |expression: &String, spans: &[&Span]| match expression.as_str() {
        "count()" => json!(spans.len()),
        "min(timestamp)" => json!(spans.iter().map(|span| span.start_ns).min()),
        "max(timestamp)" => json!(spans.iter().map(|span| span.start_ns).max()),
        "count_distinct(trace_id)" => {
            json!(spans.iter().map(|span| &span.trace_id).collect::<BTreeSet<_>>().len())
        }
        _ => Value::Null,
    };
    let mut rows: Vec<(usize, Vec<Value>)> = Vec::new();
    for (key, spans) in &groups {
        let mut row: Vec<Value> = key.iter().map(|value| json!(value)).collect();
        row.extend(query.aggregations.iter().map(|expression| aggregate(expression, spans)));
        rows.push((spans.len(), row));
    }
    // Without an order of its own the largest come first.
    match query.order.first() {
        Some((key, is_ascending)) if query.group_by.contains(key) => {
            if !is_ascending {
                rows.reverse();
            }
        }
        _ => rows.sort_by_key(|(count, _)| std::cmp::Reverse(*count)),
    }
    let limit = if query.limit == 0 { usize::MAX } else { query.limit };
    let data: Vec<Value> = rows.into_iter().take(limit).map(|(_, row)| row.into()).collect();
    let groups = query.group_by.iter().map(|name| {
        json!({"name": name, "queryName": query.name, "aggregationIndex": 0, "meta": {}, "columnType": "group"})
    });
    let results = query.aggregations.iter().enumerate().map(|(nth, _)| {
        json!({"name": format!("__result_{nth}"), "queryName": query.name, "aggregationIndex": nth, "meta": {},
            "columnType": "aggregation"})
    });
    json!({"queryName": query.name, "columns": groups.chain(results).collect::<Vec<Value>>(), "data": data})
}

/// The fields of a span, as the collector of SigNoz writes them.
const FIELDS: [&str; 28] = [
    "timestamp",
    "trace_id",
    "span_id",
    "parent_span_id",
    "trace_state",
    "flags",
    "name",
    "service.name",
    "kind",
    "kind_string",
    "duration_nano",
    "status_code",
    "status_code_string",
    "status_message",
    "has_error",
    "is_remote",
    "events",
    "links",
    "http_method",
    "http_url",
    "http_host",
    "external_http_method",
    "external_http_url",
    "response_status_code",
    "db_name",
    "db_operation",
    "attributes",
    "resource",
];

fn all_fields(span: &Span) -> Value {
    let fields = FIELDS.iter().map(|name| ((*name).to_owned(), field(span, name).unwrap_or_default()));
    Value::Object(fields.collect())
}

/// A field of a span; nothing for names of attributes.
fn field(span: &Span, name: &str) -> Option<Value> {
    Some(match name {
        "timestamp" => json!(time(span.start_ns)),
        "trace_id" => json!(span.trace_id),
        "span_id" => json!(span.span_id),
        "parent_span_id" => json!(span.parent_id),
        "trace_state" => json!(as_text(&span.otlp["traceState"])),
        "flags" => json!(span.flags()),
        "name" => json!(span.name()),
        "service.name" if span.service().is_empty() => json!("<nil-service-name>"),
        "service.name" => json!(span.service()),
        "kind" => json!(span.kind()),
        "kind_string" => json!(kind(span)),
        // Unsigned: an end before the start wraps.
        "duration_nano" => json!(span.end_ns.wrapping_sub(span.start_ns)),
        "status_code" => json!(span.otlp["status"]["code"].as_u64().unwrap_or(0)),
        "status_code_string" => json!(status(span)),
        "status_message" => json!(status_message(span)),
        "has_error" => json!(span.is_error()),
        "is_remote" => json!(is_remote(span.flags())),
        "events" => events(span),
        "links" => links(span),
        "http_method"
        | "http_url"
        | "http_host"
        | "external_http_method"
        | "external_http_url"
        | "response_status_code"
        | "db_name"
        | "db_operation" => json!(""),
        "attributes" => attributes(&span.otlp).into(),
        "resource" => attributes(&span.resource)
            .into_iter()
            .map(|(key, value)| (key, json!(as_text(&value))))
            .collect::<Map<String, Value>>()
            .into(),
        _ => return None,
    })
}

fn events(span: &Span) -> Value {
    let events = items(&span.otlp["events"]).iter().map(|event| {
        json!({"name": event["name"], "timeUnixNano": number(&event["timeUnixNano"]),
            "attributes": attributes(event)})
    });
    events.collect()
}

/// The first is the parent.
fn links(span: &Span) -> Value {
    let others = items(&span.otlp["links"]).iter();
    let others = others.map(|other| link(&as_text(&other["traceId"]), &as_text(&other["spanId"])));
    std::iter::once(link(&span.trace_id, &span.parent_id)).chain(others).collect()
}

/// A column as it is stored, which is what comes when it is selected by name.
fn stored(span: &Span, column: &str) -> Value {
    if column == "links" {
        let mut links = links(span);
        for (nth, link) in links.as_array_mut().into_iter().flatten().enumerate() {
            link["refType"] = json!(if nth == 0 { "CHILD_OF" } else { "FOLLOWS_FROM" });
        }
        return json!(links.to_string());
    }
    let events = items(&span.otlp["events"]).iter().map(|event| {
        let attributes: Map<String, Value> =
            attributes(event).into_iter().map(|(key, value)| (key, json!(as_text(&value)))).collect();
        let time = number(&event["timeUnixNano"]);
        let event = json!({"name": event["name"], "timeUnixNano": time, "attributeMap": attributes, "isError": false});
        json!(event.to_string())
    });
    events.collect()
}

/// The first link of every span is its parent, without a span id when it has none.
fn link(trace_id: &str, span_id: &str) -> Value {
    let mut link = json!({ "traceId": trace_id });
    if !span_id.is_empty() {
        link["spanId"] = json!(span_id);
    }
    link
}

fn reference(trace_id: &str, span_id: &str, kind: &str) -> String {
    format!("{{TraceId={trace_id}, SpanId={span_id}, RefType={kind}}}")
}

fn waterfall_row(span: &Span) -> Value {
    let mut row = all_fields(span);
    if let Some(fields) = row.as_object_mut() {
        let links = fields.remove("links").unwrap_or_default();
        fields.remove("timestamp");
        fields.remove("service.name");
        let references = items(&links).iter().map(|link| {
            let mut reference = link.clone();
            reference["refType"] = json!("CHILD_OF");
            reference
        });
        fields.insert("references".to_owned(), references.collect());
        fields.insert("time_unix".to_owned(), json!(span.start_ns / MS));
        fields.insert("level".to_owned(), json!(0));
    }
    row
}

fn missing_row(child: &Span) -> Value {
    json!({
        "trace_id": child.trace_id, "span_id": child.parent_id, "parent_span_id": "", "name": "Missing Span",
        "time_unix": child.start_ns / MS, "duration_nano": child.duration_ns(), "kind_string": "",
        "resource": {}, "attributes": {}, "events": [], "references": [], "has_error": false, "level": 0,
    })
}

fn attributes(of: &Value) -> Map<String, Value> {
    let pairs = items(&of["attributes"]).iter();
    pairs.map(|pair| (as_text(&pair["key"]), plain(&pair["value"]))).collect()
}

fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn kind(span: &Span) -> &'static str {
    ["Unspecified", "Internal", "Server", "Client", "Producer", "Consumer"]
        .get(span.kind() as usize)
        .copied()
        .unwrap_or("Unspecified")
}

fn status(span: &Span) -> &'static str {
    match span.otlp["status"]["code"].as_u64() {
        Some(1) => "Ok",
        Some(2) => "Error",
        _ => "Unset",
    }
}

fn status_message(span: &Span) -> String {
    as_text(&span.otlp["status"]["message"])
}

fn is_remote(flags: u64) -> &'static str {
    match (flags & 0x100 != 0, flags & 0x200 != 0) {
        (false, _) => "unknown",
        (true, false) => "no",
        (true, true) => "yes",
    }
}

/// The header is that of the first row, the time first; text that a spreadsheet would run gets an apostrophe.
fn csv(rows: &[Value]) -> String {
    let Some(first) = rows.first().and_then(Value::as_object) else { return String::new() };
    let others = first.keys().map(String::as_str).filter(|key| *key != "timestamp");
    let header: Vec<&str> = std::iter::once("timestamp").chain(others).collect();
    let cell = |value: &Value| {
        let text = as_text(value);
        let text = if text.starts_with(['=', '+', '-', '@']) { format!("'{text}") } else { text };
        if text.contains(['"', ',', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
    };
    let mut lines = vec![header.join(",")];
    lines.extend(rows.iter().map(|row| {
        let cells: Vec<String> = header.iter().map(|key| cell(&row[*key])).collect();
        cells.join(",")
    }));
    lines.join("\n") + "\n"
}
