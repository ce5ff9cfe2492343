//! SigNoz' query API: `/api/v5/query_range` and exports where they are, `/api/v1/traces` elsewhere.
//!
//! Traces are found by counting the spans that fit, grouped by trace: of what `query_range` offers,
//! only that also finds traces that have no root. Then they are asked for by their ids, whole. Rows
//! come in the order of trace ids, so that a page ends inside one trace at most; that one is held
//! back until its end has come, and no part of a trace is ever given out.
//!
//! Source: SigNoz, `pkg/querier`, `pkg/telemetrytraces`, `pkg/types/querybuildertypes`,
//! `pkg/modules/rawdataexport` and `pkg/query-service/app`, v0.87 to v0.138.

mod answer;
mod older;
mod request;

use std::collections::{BTreeSet, VecDeque};

use serde::Deserialize;

use super::fetch_problem::FetchProblem;
use super::http::{Answer, Ask, Client};
use super::remote::Fetch;
use crate::config::Window;
use crate::formats;
use crate::model::{Capabilities, TraceId, time};
use answer::{Groups, Page};
use request::{Columns, MOST_ROWS, Order};

/// SigNoz has no tenants in one installation; a proxy may.
pub(super) const TENANT_HEADER: &str = "x-tenant";

/// How to give credentials.
pub(super) const HOW_TO_LOG_IN: &str = "give an API key with SIGNOZ_API_KEY or --api-key-file; SigNoz makes them in its \
     settings, under Service Accounts or, before v0.117, API Keys";

/// Path of searches.
const QUERY_RANGE: &str = "api/v5/query_range";

/// Path of exports.
const EXPORT: &str = "api/v1/export_raw_data";

/// Set behind an export, `true` when nothing is missing.
const IS_COMPLETE: &str = "x-response-complete";

/// Traces of one request.
const TRACES_AT_ONCE: usize = 200;

/// Rows or groups of one answer are not fewer, however large they are.
const LEAST_ROWS: u64 = 50;

/// Windows are not cut shorter than this, in ns: times of requests are in ms.
const SHORTEST: i64 = 1_000_000;

/// How far around the window spans of a trace are asked for, in ns: 1 h.
const READ_AROUND: i64 = 3_600_000_000_000;

/// How far around the window a trace is looked for when the window has none, in ns: 30 days.
const LOOK_AROUND: i64 = 30 * 24 * 3_600_000_000_000;

/// Services named in messages.
const NAMED: usize = 8;

/// First minor version with `query_range` (v0.87).
const QUERY_RANGE_SINCE: u32 = 87;

/// First minor version whose rows have all fields when none is named (v0.130).
const ALL_FIELDS_SINCE: u32 = 130;

/// What warnings say when an answer lacks something.
const SAYS_LACKING: [&str; 4] = ["outside the selected time range", "limited to", "partial", "truncated"];

/// Asks for what the query wants.
pub(super) async fn fetch(fetch: &mut Fetch) -> Result<(), FetchProblem> {
    let version = Version::ask(&fetch.client).await?;
    let Some(mut api) = probe(fetch, &version).await? else {
        return older::fetch(fetch, &version).await;
    };
    if fetch.query.trace_ids.is_empty() {
        check_services(fetch).await?;
    }
    begin(fetch, &api, &version).await;
    if !fetch.query.trace_ids.is_empty() {
        return by_id(fetch, &mut api).await;
    }
    fetch.outcome.horizon.whole_from_ns = Some(fetch.query.window.widened(READ_AROUND).from_ns);
    // Where a part could not be read, nobody knows what is in it.
    if !search(fetch, &mut api).await? && fetch.outcome.partial.is_empty() {
        fetch.outcome.nothing_found = Some(nothing_found(fetch, &api).await);
    }
    Ok(())
}

/// What SigNoz says about itself.
#[derive(Debug)]
struct Version {
    /// As given, such as `v0.138.0`.
    text: String,
    /// The middle number; `None` when the text has none.
    minor: Option<u32>,
}

impl Version {
    async fn ask(client: &Client) -> Result<Self, FetchProblem> {
        #[derive(Deserialize)]
        struct Said {
            version: String,
        }
        let ask = Ask::get("api/v1/version", &[]);
        let answer = client.send(&ask).await?;
        if answer.status == 404 {
            return Err(FetchProblem::NoApi { api: "SigNoz", path: "/api/v1/version".to_owned() });
        }
        if !answer.is_data() {
            return Err(client.refusal(&ask, &answer));
        }
        let said: Said = serde_json::from_slice(&answer.body)
            .map_err(|_| not_signoz("/api/v1/version", "it names no version"))?;
        Ok(Self { minor: minor_of(&said.version), text: client.quoted(&said.version) })
    }
}

/// `138` of `v0.138.0`. Whatever comes after 0 is newer.
fn minor_of(version: &str) -> Option<u32> {
    let mut numbers = version.trim().trim_start_matches(['v', 'V']).split(['.', '-', '+']);
    let major: u32 = numbers.next()?.parse().ok()?;
    let minor = numbers.next()?.parse().ok()?;
    Some(if major > 0 { u32::MAX } else { minor })
}

fn not_signoz(path: &str, reason: &str) -> FetchProblem {
    FetchProblem::NotThisApi { api: "SigNoz", path: path.to_owned(), reason: reason.to_owned() }
}

/// How a server is asked.
#[derive(Debug)]
struct Api {
    /// What is selected of a span.
    columns: Columns,
    /// Whether exports were not refused so far.
    exports: bool,
    /// Rows that make no answer too large, as far as is known.
    most_rows: u64,
    /// Ways to write down what is wanted. Where a server refuses one, the next is tried.
    filters: VecDeque<String>,
}

impl Api {
    fn filter(&self) -> &str {
        self.filters.front().map_or("", |filter| filter)
    }
}

/// Finds out whether `query_range` is there, and whether rows have all fields unless fields are
/// named. `None` means an older server.
async fn probe(fetch: &Fetch, version: &Version) -> Result<Option<Api>, FetchProblem> {
    let client = &fetch.client;
    let filters = request::filters(&fetch.query)?;
    let mut api = Api { columns: Columns::All, exports: true, most_rows: u64::MAX, filters };
    let window = fetch.query.window;
    let mut newest = Page::default();
    for window in [window, window.widened(LOOK_AROUND)] {
        let body = request::spans("", window, Columns::All, Order::NewestFirst, 1, 0);
        let ask = Ask::post(QUERY_RANGE, &[], &body);
        let answer = client.send(&ask).await?;
        // Some installations answer for the user interface wherever there is nothing else.
        let is_absent = answer.status == 404 || (answer.is_success() && !answer.is_data());
        if is_absent && version.minor.is_none_or(|minor| minor < QUERY_RANGE_SINCE) {
            return Ok(None);
        }
        newest = Page::of_answer(&data_of(client, &ask, answer)?, Columns::All)?;
        if !newest.is_empty() {
            break;
        }
    }
    let is_early = newest.is_empty() && version.minor.is_some_and(|minor| minor < ALL_FIELDS_SINCE);
    if newest.lacks_parents || is_early {
        api.columns = named_columns(client, window).await?;
    }
    Ok(Some(api))
}

/// Links and events can be selected as whole columns, although no documentation says so.
async fn named_columns(client: &Client, window: Window) -> Result<Columns, FetchProblem> {
    let mut last = not_signoz("/api/v5/query_range", "its rows have no parent_span_id");
    for columns in [Columns::Named { links: true }, Columns::Named { links: false }] {
        let window = window.widened(LOOK_AROUND);
        match newest(client, "", window, columns).await {
            Ok(page) if !page.lacks_parents => return Ok(columns),
            Ok(_) => {}
            Err(problem @ FetchProblem::Status { status: 400, .. }) => last = problem,
            Err(problem) => return Err(problem),
        }
    }
    Err(last)
}

/// Says what the rows can tell.
async fn begin(fetch: &mut Fetch, api: &Api, version: &Version) {
    // The name stands in the list; a test holds that.
    let format = formats::by_name("signoz-rows").unwrap_or(formats::ALL[0]);
    let all = format.info().capabilities;
    let capabilities = match api.columns {
        Columns::All => all,
        Columns::Named { links } => {
            let without = if links { "" } else { ", and neither links nor events" };
            fetch.outcome.warnings.push(format!(
                "SigNoz {} gives only attributes that are asked for by name{without}; v0.{ALL_FIELDS_SINCE} gives all",
                version.text
            ));
            Capabilities { links, exact_resource: false, ..all }
        }
    };
    fetch.begin(format, capabilities).await;
}

/// The body of an answer that is a success.
fn data_of(client: &Client, ask: &Ask<'_>, answer: Answer) -> Result<Vec<u8>, FetchProblem> {
    if answer.is_data() { Ok(answer.body) } else { Err(client.refusal(ask, &answer)) }
}

async fn query_range(client: &Client, body: &serde_json::Value) -> Result<Vec<u8>, FetchProblem> {
    Ok(client.data(&Ask::post(QUERY_RANGE, &[], body)).await?.body)
}

/// The newest span that fits.
async fn newest(
    client: &Client,
    filter: &str,
    window: Window,
    columns: Columns,
) -> Result<Page, FetchProblem> {
    let body = request::spans(filter, window, columns, Order::NewestFirst, 1, 0);
    Page::of_answer(&query_range(client, &body).await?, columns)
}

/// Refuses services that are not there.
async fn check_services(fetch: &mut Fetch) -> Result<(), FetchProblem> {
    let wanted = fetch.query.services.clone();
    if wanted.is_empty() {
        return Ok(());
    }
    let mut known = listed_services(&fetch.client).await.unwrap_or_default();
    if wanted.iter().all(|name| known.contains(name)) {
        return Ok(());
    }
    // The list has services with entry spans only.
    known.extend(services_with_spans(fetch).await?);
    known.sort_unstable();
    known.dedup();
    match wanted.iter().find(|name| !known.contains(name)) {
        Some(name) => Err(FetchProblem::no_service(name, &known, NAMED)),
        None => Ok(()),
    }
}

/// The services that SigNoz lists, of all times.
async fn listed_services(client: &Client) -> Option<Vec<String>> {
    let answer = client.data(&Ask::get("api/v1/services/list", &[])).await.ok()?;
    serde_json::from_slice(&answer.body).ok()
}

/// The services with spans in the window.
async fn services_with_spans(fetch: &mut Fetch) -> Result<Vec<String>, FetchProblem> {
    let body = request::count_by("service.name", "resource", "", fetch.query.window, MOST_ROWS);
    let groups = Groups::of_answer(&query_range(&fetch.client, &body).await?)?;
    hear(fetch, groups.warnings);
    Ok(groups.counts.into_iter().map(|(name, _)| name).filter(|name| !name.is_empty()).collect())
}

/// Finds traces and gives them out. A window with more of them than one answer may have is halved.
/// Says whether there was anything.
async fn search(fetch: &mut Fetch, api: &mut Api) -> Result<bool, FetchProblem> {
    // One more than wanted shows whether there are more.
    let mut most = fetch.query.limit.saturating_add(1).min(MOST_ROWS);
    let mut queue = VecDeque::from([fetch.query.window]);
    let mut found = false;
    while let Some(window) = queue.pop_front() {
        let groups = match traces_in(fetch, api, window, most).await {
            Ok(groups) => groups,
            // Fewer at a time; a window that has more is halved below.
            Err(FetchProblem::TooLarge(_)) if most > LEAST_ROWS => {
                most = (most / 4).max(LEAST_ROWS);
                queue.push_front(window);
                continue;
            }
            // The server ended its query. The client gives up when that happens again and again.
            Err(FetchProblem::Status { status: 504, .. }) if window.halves(SHORTEST).is_some() => {
                queue.extend(window.halves(SHORTEST).into_iter().flatten());
                continue;
            }
            Err(problem @ FetchProblem::Status { status: 400..500, .. }) => return Err(problem),
            Err(problem) => {
                fetch.tolerate(&format!("traces from {window}"), problem)?;
                continue;
            }
        };
        hear(fetch, groups.warnings);
        found |= !groups.counts.is_empty();
        let is_cut = groups.counts.len() as u64 >= most;
        if !give_all(fetch, api, groups.counts, window).await? {
            break;
        }
        match window.halves(SHORTEST) {
            Some(halves) if is_cut => queue.extend(halves),
            None if is_cut => fetch.lacks(format!(
                "more than {most} traces have spans within a millisecond at {}",
                time::rfc3339(window.from_ns)
            )),
            _ => {}
        }
    }
    Ok(found)
}

/// Traces with spans that fit, and how many such spans they have, in the order of their ids. That
/// order has nothing to do with time or size, so that a limit leaves a fair choice.
async fn traces_in(fetch: &Fetch, api: &mut Api, window: Window, most: u64) -> Result<Groups, FetchProblem> {
    loop {
        let body = request::count_by("trace_id", "span", api.filter(), window, most);
        match query_range(&fetch.client, &body).await {
            // A key that no span has is an error, and of two names for one thing one may be such a key.
            Err(FetchProblem::Status { status: 400, .. }) if api.filters.len() > 1 => {
                api.filters.pop_front();
            }
            Err(problem) => return Err(problem),
            Ok(body) => return Groups::of_answer(&body),
        }
    }
}

/// Gives out what was not given out before, in batches. Says whether there is room for more.
async fn give_all(
    fetch: &mut Fetch,
    api: &mut Api,
    counts: Vec<(String, u64)>,
    window: Window,
) -> Result<bool, FetchProblem> {
    let expected: u64 = counts.iter().map(|(_, spans)| spans).sum();
    let way = if expected > Way::Query.rows() { Way::Export } else { Way::Query };
    let (mut batch, mut rows, mut unnamed) = (Vec::new(), 0, 0);
    let mut has_room = true;
    for (text, spans) in counts {
        let Some(id) = answer::valid_id(&text) else {
            unnamed += spans;
            continue;
        };
        if fetch.has(id) {
            continue;
        }
        if !batch.is_empty() && (batch.len() >= TRACES_AT_ONCE || rows + spans > way.rows()) {
            give(fetch, api, &std::mem::take(&mut batch), way, window).await?;
            rows = 0;
        }
        has_room = fetch.take(id);
        if !has_room {
            break;
        }
        rows += spans;
        batch.push(id);
    }
    if !batch.is_empty() {
        give(fetch, api, &batch, way, window).await?;
    }
    if unnamed > 0 {
        fetch
            .lacks(format!("{unnamed} spans from {window} have no valid trace id, by which to ask for them"));
    }
    Ok(has_room)
}

/// Fetches the traces that the user named, whenever they were.
async fn by_id(fetch: &mut Fetch, api: &mut Api) -> Result<(), FetchProblem> {
    let window = request::ever(&fetch.query);
    let ids = fetch.query.trace_ids.clone();
    let wanted: Vec<TraceId> = ids.into_iter().filter(|id| fetch.take(*id)).collect();
    for batch in wanted.chunks(TRACES_AT_ONCE) {
        let Some(given) = give_from(fetch, api, batch, Way::Query, window, None).await? else { continue };
        for id in batch.iter().filter(|id| !given.contains(id)) {
            fetch.lacks(format!("trace {id}: not found"));
        }
    }
    Ok(())
}

/// How rows are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// A page of `query_range`.
    Query,
    /// An export: more rows at a time, one after the other.
    Export,
}

impl Way {
    /// Rows of one answer. A row is 1 to 3 KB, and answers are kept whole; servers allow 10 000 and
    /// 50 000.
    const fn rows(self) -> u64 {
        match self {
            Self::Query => 5_000,
            Self::Export => 20_000,
        }
    }
}

/// Gives out the traces of one batch that was found in a window.
async fn give(
    fetch: &mut Fetch,
    api: &mut Api,
    ids: &[TraceId],
    way: Way,
    window: Window,
) -> Result<(), FetchProblem> {
    let around = window.widened(READ_AROUND);
    let Some(given) = give_from(fetch, api, ids, way, around, Some(window)).await? else { return Ok(()) };
    let lost = ids.iter().filter(|id| !given.contains(id)).count();
    if lost > 0 {
        fetch.lacks(format!("{lost} of {} traces from {window} were found and then not given", ids.len()));
    }
    Ok(())
}

/// Asks for the rows of traces, page by page, and gives out every trace that is there to its end.
/// Says which those were, or nothing when something went wrong that was said already.
async fn give_from(
    fetch: &mut Fetch,
    api: &mut Api,
    ids: &[TraceId],
    way: Way,
    around: Window,
    shown: Option<Window>,
) -> Result<Option<BTreeSet<TraceId>>, FetchProblem> {
    let filter = request::by_ids(ids);
    let mut way = if api.exports { way } else { Way::Query };
    let mut offset = 0;
    let (mut held, mut given) = (Page::default(), BTreeSet::new());
    let what = |given: &BTreeSet<TraceId>| format!("{} of {} traces", ids.len() - given.len(), ids.len());
    loop {
        let limit = way.rows().min(api.most_rows);
        let body = request::spans(&filter, around, api.columns, Order::ByTrace, limit, offset);
        let mut page = match rows(&fetch.client, way, &body, api.columns).await {
            Ok(Some(page)) => page,
            Ok(None) => {
                (api.exports, way) = (false, Way::Query);
                continue;
            }
            Err(FetchProblem::TooLarge(_)) if limit > LEAST_ROWS => {
                api.most_rows = (limit / 4).max(LEAST_ROWS);
                continue;
            }
            Err(problem) => {
                fetch.tolerate(&what(&given), problem)?;
                return Ok(None);
            }
        };
        let rows = page.rows();
        hear(fetch, std::mem::take(&mut page.warnings));
        if offset > 0 && page.begins_like(&held) {
            let what = what(&given);
            fetch.lacks(format!("{what}: SigNoz gives the same page again and again (offset {offset})"));
            return Ok(None);
        }
        held.append(page);
        let ready = if rows < limit { std::mem::take(&mut held) } else { held.take_whole_traces() };
        if !ready.is_empty() {
            let traces = ready.trace_ids();
            given.extend(traces.iter().copied());
            let spans = ready.rows();
            fetch.document(ready.lines, traces.len() as u64, spans, shown).await;
        }
        if rows < limit {
            return Ok(Some(given));
        }
        if held.lines.len() > fetch.client.max_answer() {
            fetch.tolerate(&what(&given), FetchProblem::TooLarge(fetch.client.max_answer()))?;
            return Ok(None);
        }
        offset += rows;
    }
}

/// One page of rows. `None` when there are no exports, or when one does not say that it is whole:
/// errors in the middle of an export can be seen by that alone.
async fn rows(
    client: &Client,
    way: Way,
    body: &serde_json::Value,
    columns: Columns,
) -> Result<Option<Page>, FetchProblem> {
    if way == Way::Query {
        return Page::of_answer(&query_range(client, body).await?, columns).map(Some);
    }
    let format = [("format", "jsonl".to_owned())];
    let answer = client.send(&Ask::post(EXPORT, &format, body)).await?;
    let is_whole = answer.headers.get(IS_COMPLETE).is_some_and(|value| value == "true");
    if !answer.is_data() || !is_whole {
        return Ok(None);
    }
    Page::of_export(&answer.body, columns).map(Some)
}

/// Passes on what an answer warns of, each thing once.
fn hear(fetch: &mut Fetch, warnings: Vec<String>) {
    for warning in warnings {
        let warning = format!("SigNoz says: {}", fetch.client.quoted(&warning));
        let outcome = &mut fetch.outcome;
        let lacks = SAYS_LACKING.iter().any(|mark| warning.contains(mark));
        let list = if lacks { &mut outcome.partial } else { &mut outcome.warnings };
        if !list.contains(&warning) {
            list.push(warning);
        }
    }
}

/// What to look at when the window has no trace.
async fn nothing_found(fetch: &Fetch, api: &Api) -> String {
    let window = fetch.query.window;
    let around = window.widened(LOOK_AROUND);
    let page = newest(&fetch.client, api.filter(), around, api.columns).await;
    if let Some(start_ns) = page.ok().and_then(|page| page.start_ns) {
        let start = time::rfc3339(start_ns);
        return format!(
            "SigNoz has no such trace from {window}, but one at {start}: widen the window with --since or --from"
        );
    }
    let mut known = listed_services(&fetch.client).await.unwrap_or_default();
    if known.is_empty() {
        return format!("SigNoz has no such trace from {window}, nor 30 days around; it lists no service");
    }
    known.sort_unstable();
    let more = known.len().saturating_sub(NAMED);
    known.truncate(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let known = known.join(", ");
    format!("SigNoz has no such trace from {window}, nor 30 days around; it knows services {known}{more}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_apart_by_their_middle_number() {
        assert_eq!(minor_of("v0.138.0"), Some(138));
        assert_eq!(minor_of("0.86.1-rc.2"), Some(86));
        assert_eq!(minor_of("v0.117"), Some(117));
        assert_eq!(minor_of("v1.2.0"), Some(u32::MAX));
        for none in ["", "dev", "v0", "main-4ac2f0"] {
            assert_eq!(minor_of(none), None, "{none}");
        }
    }

    #[test]
    fn the_formats_are_in_the_list() {
        for name in ["signoz-rows", "signoz-trace"] {
            assert_eq!(formats::by_name(name).unwrap().info().name, name);
        }
    }

    #[test]
    fn answers_fit_into_what_servers_allow() {
        assert!(Way::Query.rows() <= MOST_ROWS && Way::Export.rows() <= 50_000);
    }
}
