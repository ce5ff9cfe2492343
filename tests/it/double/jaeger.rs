//! Jaeger's query service, in the generations that are in use.
//!
//! Routes, parameters, limits and errors are those of `cmd/jaeger/internal/extension/jaegerquery` in
//! jaegertracing/jaeger: `internal/http_handler.go`, `internal/query_parser.go`, `internal/static_handler.go`,
//! `internal/apiv3/http_gateway.go`, `internal/apiv3/query_parser.go` and `internal/adjuster`; the order and
//! the cap of a search are those of its memory store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base64::Engine as _;
use chrono::DateTime;
use serde_json::{Value, json};

use super::store::{items, number, plain};
use super::{Answer, Handler, Request, Span, Store};

/// Which APIs are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Generation {
    /// Only the API of the UI, whose search always adjusts: Jaeger 1.
    V1,
    /// Both, and `/api/v3` knows only parameters in snake case: the first releases of Jaeger 2.
    V1AndSnakeV3,
    /// Both: Jaeger 2 up to 2.20.
    V1AndV3,
    /// `/api/v3` with trace summaries; of the other only single traces are left.
    V3,
}

/// What someone without the right token gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Status 401 with a word.
    Unauthorized,
    /// Status 403 with a word.
    Forbidden,
    /// A redirect to a page with status 200, as proxies for single sign-on send it.
    LoginPage,
}

/// The double.
#[derive(Clone)]
pub(crate) struct Jaeger {
    store: Arc<Store>,
    generation: Generation,
    base_path: &'static str,
    tenant: Option<(&'static str, &'static str)>,
    token: Option<(&'static str, Refusal)>,
    needs_service: bool,
}

/// The number of traces that a search gives when it does not say.
const DEFAULT_DEPTH: usize = 100;

impl Jaeger {
    pub(crate) fn new(store: Store, generation: Generation) -> Self {
        let store = Arc::new(store);
        Self { store, generation, base_path: "", tenant: None, token: None, needs_service: false }
    }

    /// Every route is below this path, which has no slash at its end.
    pub(crate) fn at(mut self, base_path: &'static str) -> Self {
        self.base_path = base_path;
        self
    }

    /// Requests need this header with this value.
    pub(crate) fn with_tenant(mut self, header: &'static str, tenant: &'static str) -> Self {
        self.tenant = Some((header, tenant));
        self
    }

    /// Requests need this bearer token.
    pub(crate) fn with_token(mut self, token: &'static str, refusal: Refusal) -> Self {
        self.token = Some((token, refusal));
        self
    }

    /// The store behind it cannot search all services at once.
    pub(crate) fn needing_service(mut self) -> Self {
        self.needs_service = true;
        self
    }

    fn refusal(&self, request: &Request) -> Option<Answer> {
        if let Some((token, refusal)) = self.token
            && request.header("authorization") != Some(format!("Bearer {token}").as_str())
        {
            return Some(match refusal {
                Refusal::Unauthorized => Answer::text(401, "Unauthorized\n"),
                Refusal::Forbidden => Answer::text(403, "Forbidden\n"),
                Refusal::LoginPage => Answer::redirect(302, "/oauth2/sign_in"),
            });
        }
        let (header, tenant) = self.tenant?;
        match request.header(header) {
            Some(sent) if sent == tenant => None,
            // `internal/tenancy/http.go`
            Some(_) => Some(Answer::text(401, "unknown tenant\n")),
            None => Some(Answer::text(401, "missing tenant header\n")),
        }
    }

    fn v1(&self, request: &Request, path: &str) -> Answer {
        let has_search = self.generation != Generation::V3;
        if let Some(id) = path.strip_prefix("traces/") {
            return self.v1_trace(request, id);
        }
        match path {
            "services" if has_search => v1_data(&self.store.services().into()),
            "traces" if has_search => match Search::from_v1(request, self.generation) {
                Ok(search) => {
                    let traces = search.run(&self.store);
                    v1_data(&traces.iter().map(|trace| ui_trace(trace, search.is_raw)).collect())
                }
                Err(message) => v1_error(400, &message),
            },
            _ => Answer::page_not_found(),
        }
    }

    fn v1_trace(&self, request: &Request, id: &str) -> Answer {
        let Some(id) = padded(id) else {
            return v1_error(400, &format!("strconv.ParseUint: parsing \"{id}\": invalid syntax"));
        };
        let trace = self.store.trace(&id);
        if trace.is_empty() {
            return v1_error(404, "trace not found");
        }
        match go_bool(request.parameter("raw")) {
            Some(is_raw) => v1_data(&json!([ui_trace(&trace, is_raw)])),
            None => v1_error(400, "unable to parse param 'raw'"),
        }
    }

    fn v3(&self, request: &Request, path: &str) -> Answer {
        if self.generation == Generation::V1 {
            return Answer::page_not_found();
        }
        let is_snake = self.generation == Generation::V1AndSnakeV3;
        let parameters = V3Parameters { request, is_snake };
        if let Some(id) = path.strip_prefix("traces/") {
            let Some(id) = padded(id) else {
                return v3_error(400, &format!("malformed parameter trace_id: {id}"));
            };
            return match parameters.is_raw("rawTraces", "raw_traces") {
                Ok(is_raw) => v3_traces(&[self.store.trace(&id)], is_raw),
                Err(message) => v3_error(400, &message),
            };
        }
        match path {
            "services" => Answer::json(200, &json!({"services": self.store.services()})),
            "operations" => self.v3_operations(request),
            "traces" => match self.v3_search(&parameters) {
                Ok(search) => v3_traces(&search.run(&self.store), search.is_raw),
                Err(message) => v3_error(400, &message),
            },
            "trace-summaries" if self.generation == Generation::V3 => match self.v3_search(&parameters) {
                Ok(search) => {
                    let traces = search.run(&self.store);
                    let summaries: Vec<Value> = traces.iter().map(|trace| summary(trace)).collect();
                    Answer::json(200, &json!({"summaries": summaries}))
                }
                Err(message) => v3_error(400, &message),
            },
            _ => Answer::page_not_found(),
        }
    }

    fn v3_operations(&self, request: &Request) -> Answer {
        let Some(service) = request.parameter("service") else {
            return v3_error(400, "malformed parameter service: required");
        };
        let spans = self.store.spans.iter().filter(|span| span.service() == service);
        let operations: BTreeSet<(&str, &str)> = spans.map(|span| (span.name(), kind(span))).collect();
        let operations = operations.into_iter().map(|(name, kind)| json!({"name": name, "spanKind": kind}));
        Answer::json(200, &json!({"operations": operations.collect::<Vec<Value>>()}))
    }

    fn v3_search(&self, parameters: &V3Parameters) -> Result<Search, String> {
        let search = Search::from_v3(parameters)?;
        if self.needs_service && search.service.is_none() {
            let message = "this storage backend requires a service name to search; \
                           searching all services is not supported";
            return Err(message.to_owned());
        }
        Ok(search)
    }
}

impl Handler for Jaeger {
    fn answer(&self, request: &Request) -> Answer {
        if request.path == "/oauth2/sign_in" {
            return Answer::html(LOGIN_PAGE);
        }
        let Some(path) = request.path.strip_prefix(self.base_path) else {
            return Answer::page_not_found();
        };
        if let Some(refusal) = self.refusal(request) {
            return refusal;
        }
        if let Some(path) = path.strip_prefix("/api/v3/") {
            return self.v3(request, path);
        }
        if let Some(path) = path.strip_prefix("/api/") {
            return self.v1(request, path);
        }
        let version = match self.generation {
            Generation::V1 => "v1.57.0",
            Generation::V1AndSnakeV3 => "v2.3.0",
            Generation::V1AndV3 => "v2.20.0",
            Generation::V3 => "v2.21.0",
        };
        Answer::html(&index_page(version))
    }
}

const LOGIN_PAGE: &str = "<!DOCTYPE html>\n<html lang=\"en\"><head><title>Sign In</title></head><body>\
    <form method=\"POST\" action=\"/oauth2/sign_in\"><button>Sign in with SSO</button></form></body></html>\n";

/// The page that the UI starts from; the query service writes its version into it.
fn index_page(version: &str) -> String {
    let version =
        json!({"gitCommit": "8498073ff", "gitVersion": version, "buildDate": "2026-08-20T00:00:00Z"});
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"UTF-8\">\n<base href=\"/\" />\n\
         <title>Jaeger UI</title>\n<script>\nfunction getJaegerVersion() {{\n\
         const DEFAULT_VERSION = {{ gitCommit: '', gitVersion: '', buildDate: '' }};\n\
         const JAEGER_VERSION = {version};\nreturn JAEGER_VERSION;\n}}\n</script>\n</head>\n\
         <body><div id=\"jaeger-ui-root\"></div></body>\n</html>\n"
    )
}

/// What a search asks for.
#[derive(Debug, Default)]
struct Search {
    service: Option<String>,
    operation: Option<String>,
    tags: Vec<(String, String)>,
    min_duration_ns: u64,
    from_ns: u64,
    to_ns: u64,
    depth: usize,
    is_raw: bool,
}

impl Search {
    fn from_v1(request: &Request, generation: Generation) -> Result<Self, String> {
        let mut search = Self { depth: DEFAULT_DEPTH, to_ns: u64::MAX, ..Self::default() };
        let service = request.parameter("service").ok_or("parameter 'service' is required")?;
        search.service = Some(service.to_owned());
        search.operation = request.parameter("operation").map(ToOwned::to_owned);
        for (name, bound) in [("start", &mut search.from_ns), ("end", &mut search.to_ns)] {
            if let Some(text) = request.parameter(name) {
                let micros: u64 =
                    text.parse().map_err(|_| format!("unable to parse param '{name}': {text}"))?;
                *bound = micros.saturating_mul(1_000);
            }
        }
        if let Some(text) = request.parameter("limit") {
            search.depth = text.parse().map_err(|_| format!("unable to parse param 'limit': {text}"))?;
        }
        if let Some(text) = request.parameter("minDuration") {
            search.min_duration_ns = go_duration(text).ok_or("unable to parse param 'minDuration'")?;
        }
        for (_, tag) in request.query.iter().filter(|(key, _)| key == "tag") {
            let (key, value) = tag
                .split_once(':')
                .ok_or(format!("malformed 'tag' parameter, expecting key:value, received: {tag}"))?;
            search.tags.push((key.to_owned(), value.to_owned()));
        }
        if let Some(text) = request.parameter("tags") {
            search.tags.extend(json_tags(text).ok_or("malformed 'tags' parameter, cannot unmarshal JSON")?);
        }
        if generation != Generation::V1 {
            search.is_raw = go_bool(request.parameter("raw")).ok_or("unable to parse param 'raw'")?;
        }
        Ok(search)
    }

    fn from_v3(parameters: &V3Parameters) -> Result<Self, String> {
        let time = |camel, snake| {
            let text =
                parameters.get(camel, snake).ok_or(format!("{camel} and query.startTimeMax are required"))?;
            let time = DateTime::parse_from_rfc3339(text);
            let time = time.map_err(|error| format!("malformed parameter {camel}: {error}"))?;
            Ok::<u64, String>(time.timestamp_nanos_opt().unwrap_or(0) as u64)
        };
        let mut search = Self {
            service: parameters.get("query.serviceName", "query.service_name").map(ToOwned::to_owned),
            operation: parameters.get("query.operationName", "query.operation_name").map(ToOwned::to_owned),
            from_ns: time("query.startTimeMin", "query.start_time_min")?,
            to_ns: time("query.startTimeMax", "query.start_time_max")?,
            is_raw: parameters.is_raw("query.rawTraces", "query.raw_traces")?,
            depth: DEFAULT_DEPTH,
            ..Self::default()
        };
        let depth = parameters.get("query.searchDepth", "query.search_depth");
        let depth = depth.filter(|_| !parameters.is_snake);
        if let Some(text) = depth.or_else(|| parameters.request.parameter("query.num_traces")) {
            search.depth =
                text.parse().map_err(|_| format!("malformed parameter query.searchDepth: {text}"))?;
        }
        if let Some(text) = parameters.get("query.durationMin", "query.duration_min") {
            search.min_duration_ns = go_duration(text).ok_or("malformed parameter query.durationMin")?;
        }
        // The first releases took no attributes, and said nothing about it.
        let attributes = parameters.request.parameter("query.attributes").filter(|_| !parameters.is_snake);
        if let Some(text) = attributes {
            search.tags = json_tags(text).ok_or("malformed parameter query.attributes")?;
        }
        Ok(search)
    }

    fn matches(&self, span: &Span) -> bool {
        let has_tag = |(key, value): &(String, String)| {
            let found = span.attribute(key).or_else(|| span.resource_attribute(key));
            found.as_ref() == Some(value)
        };
        (self.from_ns..=self.to_ns).contains(&span.start_ns)
            && self.service.as_ref().is_none_or(|service| span.service() == service)
            && self.operation.as_ref().is_none_or(|operation| span.name() == operation)
            && span.duration_ns() >= self.min_duration_ns
            && self.tags.iter().all(has_tag)
    }

    /// Whole traces that have a span that matches; when there are too many, those that began last.
    fn run<'s>(&self, store: &'s Store) -> Vec<Vec<&'s Span>> {
        let mut traces: BTreeMap<&str, (bool, Vec<&Span>)> = BTreeMap::new();
        for span in &store.spans {
            let (is_found, spans) = traces.entry(&span.trace_id).or_default();
            *is_found |= self.matches(span);
            spans.push(span);
        }
        let found = traces.into_values().filter(|(is_found, _)| *is_found).map(|(_, spans)| spans);
        let mut found: Vec<Vec<&Span>> = found.collect();
        for spans in &mut found {
            spans.sort_by_key(|span| span.start_ns);
        }
        found.sort_by_key(|spans| std::cmp::Reverse(spans[0].start_ns));
        found.truncate(self.depth);
        found
    }
}

/// Parameters with two spellings.
struct V3Parameters<'r> {
    request: &'r Request,
    is_snake: bool,
}

impl<'r> V3Parameters<'r> {
    fn get(&self, camel: &str, snake: &str) -> Option<&'r str> {
        let camel = if self.is_snake { None } else { self.request.parameter(camel) };
        camel.or_else(|| self.request.parameter(snake))
    }

    fn is_raw(&self, camel: &str, snake: &str) -> Result<bool, String> {
        go_bool(self.get(camel, snake)).ok_or_else(|| format!("malformed parameter {camel}"))
    }
}

fn v1_data(data: &Value) -> Answer {
    let total = data.as_array().map_or(0, Vec::len);
    Answer::json(200, &json!({"data": data, "total": total, "limit": 0, "offset": 0, "errors": null}))
}

/// `http.Error` makes JSON plain text.
fn v1_error(status: u16, message: &str) -> Answer {
    let errors = json!([{"code": status, "msg": message}]);
    let body = json!({"data": null, "total": 0, "limit": 0, "offset": 0, "errors": errors});
    Answer::text(status, format!("{body}\n"))
}

fn v3_error(status: u16, message: &str) -> Answer {
    Answer::text(status, format!("{}\n", json!({"error": {"httpCode": status, "message": message}})))
}

/// All traces in one list of resources.
fn v3_traces(traces: &[Vec<&Span>], is_raw: bool) -> Answer {
    let mut groups: Vec<Value> = Vec::new();
    for trace in traces {
        let adjusted = adjust(trace, is_raw);
        let mut places: BTreeMap<(String, String), Vec<Value>> = BTreeMap::new();
        for span in &adjusted {
            let mut otlp = span.span.otlp.clone();
            otlp["spanId"] = json!(span.span_id);
            otlp["parentSpanId"] = json!(span.parent_id);
            otlp["startTimeUnixNano"] = json!(span.start_ns.to_string());
            otlp["endTimeUnixNano"] = json!((span.start_ns + span.span.duration_ns()).to_string());
            if !span.warnings.is_empty() {
                let values: Vec<Value> =
                    span.warnings.iter().map(|text| json!({"stringValue": text})).collect();
                let warnings =
                    json!({"key": "@jaeger@warnings", "value": {"arrayValue": {"values": values}}});
                match otlp["attributes"].as_array_mut() {
                    Some(attributes) => attributes.push(warnings),
                    None => otlp["attributes"] = json!([warnings]),
                }
            }
            let place = (span.span.resource.to_string(), span.span.scope.to_string());
            places.entry(place).or_default().push(otlp);
        }
        for ((resource, scope), spans) in places {
            let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
            let scope_spans = json!([{"scope": parse(&scope), "spans": spans}]);
            groups.push(json!({"resource": parse(&resource), "scopeSpans": scope_spans}));
        }
    }
    if groups.is_empty() {
        return v3_error(404, "No traces found");
    }
    Answer::json(200, &json!({"result": {"resourceSpans": groups}}))
}

fn summary(trace: &[&Span]) -> Value {
    let root = trace.iter().find(|span| span.parent_id.is_empty());
    let errors = |spans: &[&Span]| spans.iter().filter(|span| span.is_error()).count();
    let mut services: BTreeMap<&str, Vec<&Span>> = BTreeMap::new();
    for span in trace {
        services.entry(span.service()).or_default().push(span);
    }
    let services = services.into_iter().map(
        |(name, spans)| json!({"name": name, "spanCount": spans.len(), "errorSpanCount": errors(&spans)}),
    );
    json!({
        "traceId": trace[0].trace_id,
        "rootServiceName": root.map_or("", |span| span.service()),
        "rootOperationName": root.map_or("", |span| span.name()),
        "minStartTimeUnixNano": trace.iter().map(|span| span.start_ns).min().unwrap_or(0).to_string(),
        "maxEndTimeUnixNano": trace.iter().map(|span| span.end_ns).max().unwrap_or(0).to_string(),
        "spanCount": trace.len(),
        "errorSpanCount": errors(trace),
        "services": services.collect::<Vec<Value>>(),
    })
}

/// A span after the adjusters that run unless an unadjusted trace is asked for.
struct Adjusted<'s> {
    span: &'s Span,
    span_id: String,
    parent_id: String,
    start_ns: u64,
    warnings: Vec<String>,
}

fn adjust<'s>(trace: &[&'s Span], is_raw: bool) -> Vec<Adjusted<'s>> {
    let untouched = trace.iter().map(|&span| {
        let (span_id, parent_id) = (span.span_id.clone(), span.parent_id.clone());
        Adjusted { span, span_id, parent_id, start_ns: span.start_ns, warnings: Vec::new() }
    });
    let mut spans: Vec<Adjusted> = untouched.collect();
    if is_raw {
        return spans;
    }
    invent_ids(&mut spans);
    let mut seen = BTreeSet::new();
    spans.retain(|span| seen.insert((span.span_id.clone(), span.span.otlp.to_string())));
    move_clocks(&mut spans);
    spans
}

/// A child on another host that begins before its parent is moved into the middle of it.
fn move_clocks(spans: &mut [Adjusted]) {
    let parents: BTreeMap<String, &Span> =
        spans.iter().map(|span| (span.span_id.clone(), span.span)).collect();
    for span in spans.iter_mut().filter(|span| !span.parent_id.is_empty()) {
        let parent = &span.parent_id;
        let Some(parent) = parents.get(parent) else {
            let why = format!("parent span ID={parent} is not in the trace; skipping clock skew adjustment");
            span.warnings.push(why);
            continue;
        };
        let host = |span: &Span| span.resource_attribute("host.name");
        if host(parent) == host(span.span) || span.start_ns >= parent.start_ns {
            continue;
        }
        let latency = parent.duration_ns().saturating_sub(span.span.duration_ns()) / 2;
        let moved = parent.start_ns + latency - span.start_ns;
        span.start_ns += moved;
        span.warnings.push(format!("This span's timestamps were adjusted by {}ms", moved as f64 / 1e6));
    }
}

/// A SERVER span that shares its id with a CLIENT span gets an id that nobody gave it.
fn invent_ids(spans: &mut [Adjusted]) {
    let clients: BTreeSet<String> =
        spans.iter().filter(|span| span.span.kind() == 3).map(|span| span.span_id.clone()).collect();
    let mut invented: BTreeMap<String, String> = BTreeMap::new();
    for span in spans.iter_mut().filter(|span| span.span.kind() == 2) {
        if clients.contains(&span.span_id) {
            let new = format!("{:016x}", invented.len() + 1);
            span.parent_id.clone_from(&span.span_id);
            invented.insert(std::mem::replace(&mut span.span_id, new.clone()), new);
        }
    }
    for span in spans.iter_mut() {
        let is_invented = invented.values().any(|new| *new == span.span_id);
        if let Some(new) = invented.get(&span.parent_id).filter(|_| !is_invented) {
            span.parent_id.clone_from(new);
        }
    }
}

/// A trace as the UI reads it (`internal/uimodel`).
fn ui_trace(trace: &[&Span], is_raw: bool) -> Value {
    let adjusted = adjust(trace, is_raw);
    let mut processes: Vec<&Value> = Vec::new();
    let mut spans = Vec::new();
    for span in &adjusted {
        let resource = &*span.span.resource;
        let known = processes.iter().position(|process| *process == resource);
        let process = known.unwrap_or_else(|| {
            processes.push(resource);
            processes.len() - 1
        });
        spans.push(ui_span(span, process + 1));
    }
    let processes = processes.iter().enumerate().map(|(nth, resource)| {
        let mut tags = ui_tags(&resource["attributes"]);
        let service = tags.iter().position(|tag| tag["key"] == "service.name").map(|at| tags.remove(at));
        let service = service.map_or(json!("OTLPResourceNoServiceName"), |tag| tag["value"].clone());
        (format!("p{}", nth + 1), json!({"serviceName": service, "tags": tags}))
    });
    json!({
        "traceID": trace[0].trace_id,
        "spans": spans,
        "processes": Value::Object(processes.collect()),
        "warnings": null,
    })
}

fn ui_span(adjusted: &Adjusted, process: usize) -> Value {
    let span = adjusted.span;
    let mut references = Vec::new();
    if !adjusted.parent_id.is_empty() {
        let (trace, parent) = (&span.trace_id, &adjusted.parent_id);
        references.push(json!({"refType": "CHILD_OF", "traceID": trace, "spanID": parent}));
    }
    for link in items(&span.otlp["links"]) {
        let (trace, span) = (&link["traceId"], &link["spanId"]);
        references.push(json!({"refType": "FOLLOWS_FROM", "traceID": trace, "spanID": span}));
    }
    let text = |key: &str, value: &str| json!({"key": key, "type": "string", "value": value});
    let mut tags = ui_tags(&span.otlp["attributes"]);
    for (key, field) in [("otel.scope.name", "name"), ("otel.scope.version", "version")] {
        if let Some(value) = span.scope[field].as_str() {
            tags.push(text(key, value));
        }
    }
    if span.kind() != 0 {
        tags.push(text("span.kind", kind(span)));
    }
    match span.otlp["status"]["code"].as_u64() {
        Some(1) => tags.push(text("otel.status_code", "OK")),
        Some(2) => {
            tags.push(text("otel.status_code", "ERROR"));
            tags.push(json!({"key": "error", "type": "bool", "value": true}));
        }
        _ => {}
    }
    if let Some(state) = span.otlp["traceState"].as_str().filter(|state| !state.is_empty()) {
        tags.push(text("w3c.tracestate", state));
    }
    let logs = items(&span.otlp["events"]).iter().map(|event| {
        let mut fields = vec![text("event", event["name"].as_str().unwrap_or_default())];
        fields.extend(ui_tags(&event["attributes"]));
        json!({"timestamp": number(&event["timeUnixNano"]) / 1_000, "fields": fields})
    });
    let warnings = if adjusted.warnings.is_empty() { Value::Null } else { json!(adjusted.warnings) };
    json!({
        "traceID": span.trace_id,
        "spanID": adjusted.span_id,
        "flags": span.flags() & 1,
        "operationName": span.name(),
        "references": references,
        "startTime": adjusted.start_ns / 1_000,
        "duration": span.duration_ns() / 1_000,
        "tags": tags,
        "logs": logs.collect::<Vec<Value>>(),
        "processID": format!("p{process}"),
        "warnings": warnings,
    })
}

/// The largest whole number that every reader of JSON keeps.
const SAFE: u64 = (1 << 53) - 1;

fn ui_tags(attributes: &Value) -> Vec<Value> {
    let tag = |attribute: &Value| {
        let value = plain(&attribute["value"]);
        let (kind, value) = match value {
            _ if attribute["value"]["bytesValue"].is_string() => ("binary", value),
            Value::Bool(_) => ("bool", value),
            Value::Number(number) if number.is_f64() => ("float64", Value::Number(number)),
            Value::Number(number) if number.as_i64().is_some_and(|number| number.unsigned_abs() > SAFE) => {
                ("int64", json!(number.to_string()))
            }
            Value::Number(number) => ("int64", Value::Number(number)),
            Value::Array(_) | Value::Object(_) => ("string", json!(value.to_string())),
            Value::String(_) | Value::Null => ("string", value),
        };
        json!({"key": attribute["key"], "type": kind, "value": value})
    };
    items(attributes).iter().map(tag).collect()
}

fn kind(span: &Span) -> &'static str {
    match span.kind() {
        2 => "server",
        3 => "client",
        4 => "producer",
        5 => "consumer",
        _ => "internal",
    }
}

/// A trace id with all its digits. Since 2.20 it may also be base64.
fn padded(id: &str) -> Option<String> {
    if let Ok(bytes) = base64::engine::general_purpose::STANDARD.decode(id)
        && bytes.len() == 16
        && id.ends_with("==")
    {
        return Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect());
    }
    let is_hex = !id.is_empty() && id.len() <= 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| format!("{id:0>32}").to_ascii_lowercase())
}

/// What `strconv.ParseBool` takes; false when there is nothing.
fn go_bool(text: Option<&str>) -> Option<bool> {
    match text {
        None | Some("0" | "f" | "F" | "false" | "False" | "FALSE") => Some(false),
        Some("1" | "t" | "T" | "true" | "True" | "TRUE") => Some(true),
        Some(_) => None,
    }
}

fn json_tags(text: &str) -> Option<Vec<(String, String)>> {
    let tags: BTreeMap<String, String> = serde_json::from_str(text).ok()?;
    Some(tags.into_iter().collect())
}

/// `1m30s`, `1.5s`, `100ms` as nanoseconds.
fn go_duration(text: &str) -> Option<u64> {
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        total += number
            * match &rest[..end] {
                "ns" => 1.0,
                "us" | "µs" => 1e3,
                "ms" => 1e6,
                "s" => 1e9,
                "m" => 6e10,
                "h" => 3.6e12,
                _ => return None,
            };
        rest = &rest[end..];
    }
    (!text.is_empty()).then_some(total as u64)
}
