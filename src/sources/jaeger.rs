//! Jaeger's query API: `/api/v3` where it is, the older `/api` elsewhere.
//!
//! Traces are asked for raw. Otherwise Jaeger moves times, renames ids and drops copies before it
//! answers (`adjuster/standard.go`), and hides with it what is looked for here. Which parameters a
//! server knows is asked with a value that no server accepts: one that knows the parameter refuses
//! it, one that does not ignores it.
//!
//! Source: Jaeger's HTTP handlers (`query_parser.go`, `apiv3/http_gateway.go`) of v1.76 and v2.20.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::fetch_problem::FetchProblem;
use super::http::{Answer, Ask, CONCURRENCY, Client};
use super::remote::Fetch;
use crate::config::{Query, Window};
use crate::formats::{self, Format};
use crate::model::ids::{IdText, read_trace_id};
use crate::model::{Capabilities, TraceId, time};

/// Jaeger's default, see its `tenancy.header`.
pub(super) const TENANT_HEADER: &str = "x-tenant";

/// How to get past a proxy in front of Jaeger, which knows no users of its own.
pub(super) const HOW_TO_LOG_IN: &str = "a proxy in front of it asks for credentials: give a token with TRACEMEND_BEARER_TOKEN or \
     --bearer-token-file, user:password with TRACEMEND_BASIC_AUTH or --basic-auth-file, or a header with \
     --header-file";

/// Most traces of one search. Search has no pages, so a window that has as many is halved.
const DEPTH: u64 = 200;

/// Least traces of one search, however many services share the limit.
const LEAST_DEPTH: u64 = 20;

/// Windows are not cut shorter than this, in ns.
const SHORTEST: i64 = 1_000_000;

/// Elasticsearch and OpenSearch are read from an hour before the window on
/// (`elasticsearch/spanstore/reader.go`); the other storages give traces whole.
const READ_AROUND: i64 = 3_600_000_000_000;

/// How far around the window a trace is looked for when the window has none, in ns: 30 days.
const LOOK_AROUND: i64 = 30 * 24 * 3_600_000_000_000;

/// A value that no parameter of Jaeger has.
const NO_VALUE: &str = "tracemend";

/// Services named in messages.
const NAMED: usize = 8;

/// Asks for what the query wants.
pub(super) async fn fetch(fetch: &mut Fetch) -> Result<(), FetchProblem> {
    let (api, known) = probe(&fetch.client, &fetch.query).await?;
    let format = api.format();
    let capabilities = Capabilities {
        duplicates_visible: api.is_raw,
        edited_by_source: !api.is_raw,
        ..format.info().capabilities
    };
    let services = services(&fetch.query, &known)?;
    if !api.is_raw {
        let warning = "this Jaeger gives no raw traces: it has changed times and dropped copies before";
        fetch.outcome.warnings.push(warning.to_owned());
    }
    fetch.begin(format, capabilities).await;
    if !fetch.query.trace_ids.is_empty() {
        return by_id(fetch, api).await;
    }
    fetch.outcome.horizon.whole_from_ns = Some(fetch.query.window.from_ns.saturating_sub(READ_AROUND));
    let mut found = false;
    if fetch.query.services.is_empty() && can_search_without_service(&fetch.query, api) {
        found = search(fetch, api, &[String::new()]).await?;
    }
    if !found {
        found = search(fetch, api, &services).await?;
    }
    // Where a part could not be read, nobody knows what is in it.
    if !found && fetch.outcome.partial.is_empty() {
        fetch.outcome.nothing_found = Some(nothing_found(fetch, api, &services).await);
    }
    Ok(())
}

/// Which API is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Generation {
    /// `/api/v3`, OTLP in an envelope.
    V3,
    /// `/api`, made for Jaeger's user interface.
    V1,
}

/// What a server can do.
#[derive(Clone, Copy, Debug)]
struct Api {
    generation: Generation,
    /// Traces can be had as they were stored.
    is_raw: bool,
    /// Search gives them raw. Otherwise each has to be fetched by its id.
    raw_search: bool,
}

impl Api {
    fn format(self) -> &'static dyn Format {
        let name = match self.generation {
            Generation::V3 => "jaeger-v3-json",
            Generation::V1 => "jaeger-json",
        };
        // Both names stand in the list; a test holds that.
        formats::by_name(name).unwrap_or(formats::ALL[0])
    }
}

/// Finds out what is there, and which services it knows.
async fn probe(client: &Client, query: &Query) -> Result<(Api, Vec<String>), FetchProblem> {
    let ask = Ask::get("api/v3/services", &[]);
    let answer = client.send(&ask).await?;
    if let Some(known) = services_in(&answer) {
        // With a service, since some storages refuse a search without.
        let search = ask_v3(query, known.first().map_or("", |name| name), query.window, 1);
        let raw = knows(client, &search, "query.rawTraces").await?;
        let tags = query.tags.is_empty() || knows(client, &search, "query.attributes").await?;
        if raw && tags {
            return Ok((Api { generation: Generation::V3, is_raw: true, raw_search: true }, known));
        }
        return match older(client, query).await {
            Ok((api, _)) => Ok((api, known)),
            Err(_) if !tags => Err(FetchProblem::NotThisApi {
                api: "Jaeger",
                path: "/api/v3/traces".to_owned(),
                reason: "this version cannot search by attributes, leave --tag out".to_owned(),
            }),
            Err(_) => Ok((Api { generation: Generation::V3, is_raw: false, raw_search: false }, known)),
        };
    }
    if answer.status != 404 && !answer.is_data() {
        let refusal = client.refusal(&ask, &answer);
        // A page can also come from a proxy that knows the older API only.
        return older(client, query).await.map_err(|_| refusal);
    }
    older(client, query).await
}

/// The older API.
async fn older(client: &Client, query: &Query) -> Result<(Api, Vec<String>), FetchProblem> {
    let ask = Ask::get("api/services", &[]);
    let answer = client.send(&ask).await?;
    let Some(known) = services_in(&answer) else {
        return Err(match answer.status {
            404 => FetchProblem::NoApi { api: "query API of Jaeger", path: "/api/services".to_owned() },
            _ if answer.is_data() => not_jaeger("/api/services", "it lists no services"),
            _ => client.refusal(&ask, &answer),
        });
    };
    let raw_search =
        knows(client, &ask_v1(query, known.first().map_or("", |name| name), query.window, 1), "raw").await?;
    Ok((Api { generation: Generation::V1, is_raw: true, raw_search }, known))
}

/// `{"services":[…]}` of v3, `{"data":[…]}` of v1; `null` when there are none.
fn services_in(answer: &Answer) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    struct Services {
        #[serde(alias = "data")]
        services: Option<Vec<String>>,
    }
    if !answer.is_success() || !answer.body.trim_ascii_start().starts_with(b"{") {
        return None;
    }
    let value: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
    // `{}` is what v3 says when it knows none.
    let is_empty = value.as_object().is_some_and(serde_json::Map::is_empty);
    if !is_empty && value.get("services").is_none() && value.get("data").is_none() {
        return None;
    }
    let services: Services = serde_json::from_value(value).ok()?;
    let mut names = services.services.unwrap_or_default();
    names.sort_unstable();
    Some(names)
}

/// Whether a server knows a parameter: then it refuses a value that makes no sense.
async fn knows(client: &Client, search: &Search, name: &str) -> Result<bool, FetchProblem> {
    let mut query = search.query.clone();
    query.retain(|(key, _)| canonical(key) != canonical(name));
    query.push((name, NO_VALUE.to_owned()));
    if let Some(older) = older_spelling(name) {
        query.push((older, NO_VALUE.to_owned()));
    }
    let ask = Ask::get(search.path, &query);
    let answer = client.send(&ask).await?;
    match answer.status {
        400 => Ok(true),
        200..300 | 404 => Ok(false),
        // A server that cannot answer now has not said that it does not know the parameter.
        _ => Err(client.refusal(&ask, &answer)),
    }
}

fn canonical(key: &str) -> String {
    key.replace('_', "").to_ascii_lowercase()
}

fn older_spelling(name: &str) -> Option<&'static str> {
    (name == "query.rawTraces").then_some("query.raw_traces")
}

/// The services to search by: those that are named, or all.
fn services(query: &Query, known: &[String]) -> Result<Vec<String>, FetchProblem> {
    for name in &query.services {
        if !known.contains(name) && query.trace_ids.is_empty() {
            return Err(FetchProblem::no_service(name, known, NAMED));
        }
    }
    Ok(if query.services.is_empty() { known.to_vec() } else { query.services.clone() })
}

/// Whether one search may do for all services: it does where spans are found by their time alone
/// (memory, Badger, Elasticsearch). Cassandra refuses or finds nothing; then each service is asked
/// for.
fn can_search_without_service(query: &Query, api: Api) -> bool {
    api.generation == Generation::V3 && query.operation.is_none() && query.tags.is_empty()
}

/// A search as path and parameters.
struct Search {
    path: &'static str,
    query: Vec<(&'static str, String)>,
}

/// Both spellings are sent: older servers, v2.13 among them, know the one with underscores only.
fn ask_v3(query: &Query, service: &str, window: Window, depth: u64) -> Search {
    let mut parameters = Vec::new();
    let mut both = |new: &'static str, old: &'static str, value: &str| {
        parameters.extend([(new, value.to_owned()), (old, value.to_owned())]);
    };
    if !service.is_empty() {
        both("query.serviceName", "query.service_name", service);
    }
    if let Some(operation) = &query.operation {
        both("query.operationName", "query.operation_name", operation);
    }
    both("query.startTimeMin", "query.start_time_min", &time::rfc3339(window.from_ns));
    both("query.startTimeMax", "query.start_time_max", &time::rfc3339(window.to_ns));
    both("query.searchDepth", "query.search_depth", &depth.to_string());
    if let Some(shortest) = query.min_duration_ns {
        both("query.durationMin", "query.duration_min", &format!("{shortest}ns"));
    }
    both("query.rawTraces", "query.raw_traces", "true");
    parameters.push(("query.num_traces", depth.to_string()));
    if !query.tags.is_empty() {
        parameters.push(("query.attributes", json_of_tags(query)));
    }
    Search { path: "api/v3/traces", query: parameters }
}

fn ask_v1(query: &Query, service: &str, window: Window, depth: u64) -> Search {
    let mut parameters = vec![
        ("service", service.to_owned()),
        ("start", (window.from_ns / 1_000).to_string()),
        ("end", (window.to_ns / 1_000).to_string()),
        ("limit", depth.to_string()),
        ("raw", "true".to_owned()),
    ];
    parameters.extend(query.operation.clone().map(|operation| ("operation", operation)));
    parameters.extend(query.min_duration_ns.map(|shortest| ("minDuration", format!("{shortest}ns"))));
    if !query.tags.is_empty() {
        parameters.push(("tags", json_of_tags(query)));
    }
    Search { path: "api/traces", query: parameters }
}

fn json_of_tags(query: &Query) -> String {
    let tags = query.tags.iter().map(|(key, value)| (key.clone(), value.clone().into()));
    serde_json::Value::Object(tags.collect()).to_string()
}

/// Searches service by service, every one once before any window is halved, so that a limit leaves
/// something of each. Says whether there was anything.
async fn search(fetch: &mut Fetch, api: Api, services: &[String]) -> Result<bool, FetchProblem> {
    let share = fetch.query.limit / services.len().max(1) as u64;
    let mut depth = share.clamp(LEAST_DEPTH, DEPTH);
    let window = fetch.query.window;
    let mut queue: VecDeque<(&str, Window)> = services.iter().map(|name| (name.as_str(), window)).collect();
    let mut found = false;
    while !queue.is_empty() && !fetch.is_full() {
        let batch: Vec<(&str, Window)> = queue.drain(..queue.len().min(CONCURRENCY)).collect();
        let answers = batch
            .iter()
            .map(|(service, window)| search_once(&fetch.client, &fetch.query, api, service, *window, depth));
        let mut next_depth = depth;
        for ((service, window), answer) in batch.iter().zip(join_all(answers).await) {
            let page = match answer {
                Ok(page) => page,
                // Fewer traces may be small enough. A shorter window would not do: it has as many, down
                // to where it has fewer than were asked for.
                Err(FetchProblem::TooLarge(_)) if depth > 1 => {
                    next_depth = (depth / 4).max(1);
                    queue.push_back((*service, *window));
                    continue;
                }
                // The storage wants to be asked service by service.
                Err(FetchProblem::Status { .. }) if service.is_empty() && !found => return Ok(false),
                Err(problem) => {
                    fetch.tolerate(&format!("traces{} from {window}", of(service)), problem)?;
                    continue;
                }
            };
            found |= !page.starts.is_empty();
            give(fetch, api, &page, *window).await?;
            if (page.starts.len() as u64) < depth {
                continue;
            }
            // Traces crowd; the middle of those that came halves their number, that of the window
            // would not.
            let middle = page.middle_start_ns(api.generation, *window);
            let middle = middle.and_then(|at_ns| window.split(at_ns));
            match middle.or_else(|| window.halves(SHORTEST)) {
                Some(halves) => queue.extend(halves.map(|half| (*service, half))),
                None => fetch.lacks(format!(
                    "more than {depth} traces{} start within a millisecond at {}",
                    of(service),
                    time::rfc3339(window.from_ns)
                )),
            }
        }
        depth = next_depth;
    }
    Ok(found)
}

/// A service in messages; nothing where all were asked for at once.
fn of(service: &str) -> String {
    if service.is_empty() { String::new() } else { format!(" of {service}") }
}

async fn search_once(
    client: &Client,
    query: &Query,
    api: Api,
    service: &str,
    window: Window,
    depth: u64,
) -> Result<Page, FetchProblem> {
    let search = match api.generation {
        Generation::V3 => ask_v3(query, service, window, depth),
        Generation::V1 => ask_v1(query, service, window, depth),
    };
    page(client, &Ask::get(search.path, &search.query), api.generation).await
}

/// Sends a request for traces. A 404 that Jaeger itself says means that there are none.
async fn page(client: &Client, ask: &Ask<'_>, generation: Generation) -> Result<Page, FetchProblem> {
    let answer = client.send(ask).await?;
    if answer.status == 404 && answer.body.trim_ascii_start().starts_with(b"{") {
        return Ok(Page::default());
    }
    if !answer.is_data() {
        return Err(client.refusal(ask, &answer));
    }
    Page::read(answer.body, generation)
}

/// Gives out what was not given out before.
async fn give(fetch: &mut Fetch, api: Api, page: &Page, window: Window) -> Result<(), FetchProblem> {
    let wanted: BTreeSet<TraceId> = page.starts.keys().copied().filter(|id| fetch.take(*id)).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    if api.is_raw && !api.raw_search {
        return each_by_id(fetch, api, wanted.into_iter().collect(), Some(window)).await;
    }
    let (document, spans) = page.only(&wanted, api.generation)?;
    fetch.document(document, wanted.len() as u64, spans, Some(window)).await;
    Ok(())
}

/// Fetches the traces that the user named.
async fn by_id(fetch: &mut Fetch, api: Api) -> Result<(), FetchProblem> {
    let ids = fetch.query.trace_ids.clone();
    let wanted: Vec<TraceId> = ids.into_iter().filter(|id| fetch.take(*id)).collect();
    each_by_id(fetch, api, wanted, None).await
}

async fn each_by_id(
    fetch: &mut Fetch,
    api: Api,
    ids: Vec<TraceId>,
    window: Option<Window>,
) -> Result<(), FetchProblem> {
    for batch in ids.chunks(CONCURRENCY) {
        let answers = batch.iter().map(|id| trace(&fetch.client, *id, api.generation));
        for (id, answer) in batch.iter().zip(join_all(answers).await) {
            match answer {
                Ok(page) if page.starts.is_empty() => fetch.lacks(format!("trace {id}: not found")),
                Ok(page) => {
                    let ids = page.starts.keys().copied().collect();
                    let (document, spans) = page.only(&ids, api.generation)?;
                    fetch.document(document, 1, spans, window).await;
                }
                Err(problem) => fetch.tolerate(&format!("trace {id}"), problem)?,
            }
        }
    }
    Ok(())
}

async fn trace(client: &Client, id: TraceId, generation: Generation) -> Result<Page, FetchProblem> {
    let raw = || "true".to_owned();
    match generation {
        Generation::V3 => {
            let query = [("rawTraces", raw()), ("raw_traces", raw())];
            page(client, &Ask::get(&format!("api/v3/traces/{id}"), &query), generation).await
        }
        Generation::V1 => {
            page(client, &Ask::get(&format!("api/traces/{id}"), &[("raw", raw())]), generation).await
        }
    }
}

/// An answer with traces.
#[derive(Default)]
struct Page {
    body: Vec<u8>,
    /// The traces in it with their earliest start in ns.
    starts: BTreeMap<TraceId, i64>,
}

/// `{"data":[…],"errors":[…]}`
#[derive(Deserialize)]
struct TracesV1<'a> {
    #[serde(borrow)]
    data: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    errors: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct TraceV1<'a> {
    #[serde(borrow, rename = "traceID")]
    trace_id: Cow<'a, str>,
    #[serde(borrow, default)]
    spans: Vec<SpanV1<'a>>,
}

#[derive(Deserialize)]
struct SpanV1<'a> {
    /// In µs.
    #[serde(borrow, rename = "startTime")]
    start: Option<&'a RawValue>,
}

/// `{"result":{"resourceSpans":[…]}}`
#[derive(Deserialize, Serialize)]
struct EnvelopeV3<'a> {
    #[serde(borrow)]
    result: TracesV3<'a>,
}

#[derive(Deserialize, Serialize)]
struct TracesV3<'a> {
    #[serde(borrow, default, rename = "resourceSpans", alias = "resource_spans")]
    resources: Vec<ResourceV3<'a>>,
}

#[derive(Deserialize, Serialize)]
struct ResourceV3<'a> {
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    resource: Option<&'a RawValue>,
    #[serde(borrow, rename = "schemaUrl", skip_serializing_if = "Option::is_none")]
    schema_url: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "scopeSpans", alias = "scope_spans")]
    scopes: Vec<ScopeV3<'a>>,
}

#[derive(Deserialize, Serialize)]
struct ScopeV3<'a> {
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    scope: Option<&'a RawValue>,
    #[serde(borrow, rename = "schemaUrl", skip_serializing_if = "Option::is_none")]
    schema_url: Option<&'a RawValue>,
    #[serde(borrow, default)]
    spans: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct SpanV3<'a> {
    #[serde(borrow, default, rename = "traceId", alias = "trace_id")]
    trace_id: Cow<'a, str>,
    /// In ns.
    #[serde(borrow, default, rename = "startTimeUnixNano", alias = "start_time_unix_nano")]
    start: Option<&'a RawValue>,
}

/// A whole number, as such or as text.
fn number(raw: Option<&RawValue>) -> Option<i64> {
    raw?.get().trim_matches('"').parse().ok()
}

fn not_jaeger(path: &str, reason: &str) -> FetchProblem {
    FetchProblem::NotThisApi { api: "Jaeger", path: path.to_owned(), reason: reason.to_owned() }
}

fn unexpected(path: &str, error: &serde_json::Error) -> FetchProblem {
    FetchProblem::unexpected("Jaeger", path, error)
}

/// The id of a trace; ids that are none are told apart by their text.
fn id_of(text: &str) -> TraceId {
    match read_trace_id(text.as_bytes()) {
        IdText::Valid(id, _) | IdText::Invalid(id) => id,
        IdText::Absent => TraceId::default(),
    }
}

impl Page {
    fn v1(&self) -> Result<TracesV1<'_>, FetchProblem> {
        serde_json::from_slice(&self.body).map_err(|error| unexpected("/api/traces", &error))
    }

    /// Older gateways stream several envelopes.
    fn v3(&self) -> Result<Vec<EnvelopeV3<'_>>, FetchProblem> {
        let values = serde_json::Deserializer::from_slice(&self.body).into_iter();
        values
            .collect::<Result<_, _>>()
            .map_err(|error: serde_json::Error| unexpected("/api/v3/traces", &error))
    }

    /// Finds out which traces are in an answer.
    fn read(body: Vec<u8>, generation: Generation) -> Result<Self, FetchProblem> {
        let mut page = Self { body, starts: BTreeMap::new() };
        let mut starts = BTreeMap::new();
        page.spans(generation, |id, start_ns| {
            let known = starts.entry(id).or_insert(i64::MAX);
            *known = (*known).min(start_ns.unwrap_or(i64::MAX));
        })?;
        page.starts = starts;
        Ok(page)
    }

    /// Shows the trace and the start in ns of every span.
    fn spans(
        &self,
        generation: Generation,
        mut found: impl FnMut(TraceId, Option<i64>),
    ) -> Result<(), FetchProblem> {
        match generation {
            Generation::V1 => {
                for raw in self.v1()?.data.unwrap_or_default() {
                    let trace = trace_v1(raw)?;
                    let id = id_of(&trace.trace_id);
                    // Also one without spans is a trace.
                    found(id, None);
                    for span in &trace.spans {
                        found(id, number(span.start).and_then(|micros| micros.checked_mul(1_000)));
                    }
                }
            }
            Generation::V3 => {
                for envelope in &self.v3()? {
                    for raw in spans_v3(envelope) {
                        let span = span_v3(raw)?;
                        found(id_of(&span.trace_id), number(span.start));
                    }
                }
            }
        }
        Ok(())
    }

    /// Where the middle one of the traces enters a window, in ns. They are in it for a span that starts
    /// inside; what they have outside does not tell them apart.
    fn middle_start_ns(&self, generation: Generation, window: Window) -> Option<i64> {
        let mut inside = BTreeMap::new();
        self.spans(generation, |id, start_ns| {
            if let Some(start_ns) = start_ns
                && (window.from_ns..=window.to_ns).contains(&start_ns)
            {
                let known = inside.entry(id).or_insert(start_ns);
                *known = start_ns.min(*known);
            }
        })
        .ok()?;
        let mut starts: Vec<i64> = inside.into_values().collect();
        let middle = starts.len() / 2;
        (!starts.is_empty()).then(|| *starts.select_nth_unstable(middle).1)
    }

    /// The same with the wanted traces only, and how many spans they have.
    fn only(
        &self,
        wanted: &BTreeSet<TraceId>,
        generation: Generation,
    ) -> Result<(Vec<u8>, u64), FetchProblem> {
        match generation {
            Generation::V1 => self.only_v1(wanted),
            Generation::V3 => self.only_v3(wanted),
        }
    }

    fn only_v1(&self, wanted: &BTreeSet<TraceId>) -> Result<(Vec<u8>, u64), FetchProblem> {
        let page = self.v1()?;
        let (mut kept, mut spans) = (Vec::new(), 0);
        for raw in page.data.unwrap_or_default() {
            let trace = trace_v1(raw)?;
            if wanted.contains(&id_of(&trace.trace_id)) {
                spans += trace.spans.len() as u64;
                kept.push(raw.get());
            }
        }
        let errors = page.errors.map_or("null", RawValue::get);
        Ok((format!("{{\"data\":[{}],\"errors\":{errors}}}", kept.join(",")).into_bytes(), spans))
    }

    fn only_v3(&self, wanted: &BTreeSet<TraceId>) -> Result<(Vec<u8>, u64), FetchProblem> {
        let (mut document, mut count) = (Vec::new(), 0);
        for mut envelope in self.v3()? {
            for scope in envelope.result.resources.iter_mut().flat_map(|resource| &mut resource.scopes) {
                let mut kept = Vec::with_capacity(scope.spans.len());
                for span in std::mem::take(&mut scope.spans) {
                    if wanted.contains(&id_of(&span_v3(span)?.trace_id)) {
                        kept.push(span);
                    }
                }
                count += kept.len() as u64;
                scope.spans = kept;
            }
            envelope.result.resources.retain_mut(|resource| {
                resource.scopes.retain(|scope| !scope.spans.is_empty());
                !resource.scopes.is_empty()
            });
            let written = serde_json::to_writer(&mut document, &envelope);
            written.map_err(|error| unexpected("/api/v3/traces", &error))?;
        }
        Ok((document, count))
    }
}

fn trace_v1(raw: &RawValue) -> Result<TraceV1<'_>, FetchProblem> {
    serde_json::from_str(raw.get()).map_err(|error| unexpected("/api/traces", &error))
}

fn spans_v3<'a>(envelope: &EnvelopeV3<'a>) -> impl Iterator<Item = &'a RawValue> {
    let scopes = envelope.result.resources.iter().flat_map(|resource| &resource.scopes);
    scopes.flat_map(|scope| scope.spans.iter().copied())
}

fn span_v3(raw: &RawValue) -> Result<SpanV3<'_>, FetchProblem> {
    serde_json::from_str(raw.get()).map_err(|error| unexpected("/api/v3/traces", &error))
}

/// What to look at when the window has no trace.
async fn nothing_found(fetch: &Fetch, api: Api, services: &[String]) -> String {
    let window = fetch.query.window;
    if services.is_empty() {
        return "Jaeger knows no service: does anything export to it?".to_owned();
    }
    let mut named = services.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if services.len() > NAMED {
        named = format!("{named} and {} more", services.len() - NAMED);
    }
    let around = window.widened(LOOK_AROUND);
    for service in services.iter().take(CONCURRENCY) {
        let page = search_once(&fetch.client, &fetch.query, api, service, around, 1).await;
        if let Some(start) = page.ok().and_then(|page| page.starts.into_values().next()) {
            let start = time::rfc3339(start);
            return format!(
                "Jaeger has no such trace from {window}, but one at {start}: widen the window with --since or --from"
            );
        }
    }
    format!("Jaeger has no such trace from {window}, nor 30 days around; asked for services {named}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(texts: &[&str]) -> BTreeSet<TraceId> {
        texts.iter().map(|text| id_of(text)).collect()
    }

    fn document(page: &Page, wanted: &[&str], generation: Generation) -> (String, u64) {
        let (document, spans) = page.only(&ids(wanted), generation).unwrap();
        (String::from_utf8(document).unwrap(), spans)
    }

    #[test]
    fn traces_that_were_given_out_are_taken_out_of_an_answer() {
        let body = r#"{"data":[{"traceID":"a1","spans":[{"x":1},{"x":2}],"processes":{}},{"traceID":"b2","spans":[{"x":3}]}],"errors":null}"#;
        let page = Page::read(body.into(), Generation::V1).unwrap();
        assert!(page.starts.keys().eq(&ids(&["a1", "b2"])));
        let rest = (r#"{"data":[{"traceID":"b2","spans":[{"x":3}]}],"errors":null}"#.to_owned(), 1);
        assert_eq!(document(&page, &["b2"], Generation::V1), rest);

        // Two envelopes in a row; a trace is spread over both, and over several scopes.
        let body = concat!(
            r#"{"result":{"resourceSpans":[{"resource":{"r":1},"scopeSpans":[{"scope":{"s":1},"spans":[{"traceId":"a1","n":1},{"traceId":"b2","n":2}]},{"spans":[{"traceId":"a1","n":3}]}]}]}}"#,
            "\n",
            r#"{"result":{"resource_spans":[{"scope_spans":[{"spans":[{"trace_id":"A1","n":4}]}]},{"scopeSpans":[{"spans":[{"traceId":"b2","n":5}]}]}]}}"#,
        );
        let page = Page::read(body.into(), Generation::V3).unwrap();
        assert!(page.starts.keys().eq(&ids(&["a1", "b2"])));
        let (only, spans) = document(&page, &["b2"], Generation::V3);
        assert_eq!(spans, 2);
        assert_eq!(
            only,
            concat!(
                r#"{"result":{"resourceSpans":[{"resource":{"r":1},"scopeSpans":[{"scope":{"s":1},"spans":[{"traceId":"b2","n":2}]}]}]}}"#,
                r#"{"result":{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"b2","n":5}]}]}]}}"#,
            )
        );
        assert_eq!(document(&page, &["a1", "b2"], Generation::V3).1, 5);
    }

    #[test]
    fn what_is_not_of_jaeger_is_said() {
        for (body, generation) in [
            (r#"{"data":{"nope":1}}"#, Generation::V1),
            ("[]", Generation::V3),
            (r#"{"result":{"resourceSpans":[{"scopeSpans":[{"spans":[7]}]}]}}"#, Generation::V3),
        ] {
            let problem = Page::read(body.into(), generation).err();
            assert!(matches!(problem, Some(FetchProblem::NotThisApi { .. })), "{body}: {problem:?}");
        }
    }

    #[test]
    fn services_of_both_generations() {
        let services = |status, body: &str| {
            let headers = reqwest::header::HeaderMap::new();
            services_in(&Answer { status, headers, body: body.into() })
        };
        let shop = Some(vec!["cart".to_owned(), "shop".to_owned()]);
        assert_eq!(services(200, r#"{"services":["shop","cart"]}"#), shop);
        assert_eq!(services(200, r#"{"data":["shop","cart"],"total":2,"errors":null}"#), shop);
        assert_eq!(services(200, r#"{"data":null,"total":0}"#), Some(vec![]));
        assert_eq!(services(200, "{}"), Some(vec![]), "v3 leaves an empty list out");
        assert_eq!(services(404, "{}"), None);
        assert_eq!(services(200, r#"{"status":"success"}"#), None);
        assert_eq!(services(200, "<html>"), None);
    }

    #[test]
    fn a_window_is_cut_where_half_of_its_traces_start() {
        let window = Window { from_ns: 0, to_ns: i64::MAX };
        let middle = |body: &str, generation| {
            Page::read(body.into(), generation).unwrap().middle_start_ns(generation, window)
        };
        let body = r#"{"data":[{"traceID":"a","spans":[{"startTime":9},{"startTime":5}]},{"traceID":"b","spans":[{"startTime":7}]},{"traceID":"c","spans":[{"startTime":6}]}]}"#;
        assert_eq!(middle(body, Generation::V1), Some(6_000));
        let body = r#"{"result":{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"a","startTimeUnixNano":"1767225600000000001"},{"traceId":"b","start_time_unix_nano":1767225600000000003},{"traceId":"c","startTimeUnixNano":"1767225600000000002"}]}]}]}}"#;
        assert_eq!(middle(body, Generation::V3), Some(1_767_225_600_000_000_002));
        assert_eq!(middle(r#"{"data":[]}"#, Generation::V1), None);
        let long = r#"{"data":[{"traceID":"a","spans":[{"startTime":1},{"startTime":8}]},{"traceID":"b","spans":[{"startTime":2},{"startTime":9}]}]}"#;
        let page = Page::read(long.into(), Generation::V1).unwrap();
        let late = Window { from_ns: 5_000, to_ns: 20_000 };
        assert_eq!(page.middle_start_ns(Generation::V1, late), Some(9_000));
    }

    #[test]
    fn both_formats_are_known() {
        for generation in [Generation::V1, Generation::V3] {
            let api = Api { generation, is_raw: true, raw_search: true };
            assert!(api.format().info().name.starts_with("jaeger-"));
        }
    }
}
