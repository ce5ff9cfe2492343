//! What is sent to `query_range` and to exports. Both refuse fields that they do not know.

use std::collections::VecDeque;

use serde_json::{Value, json};

use crate::config::{Query, Window};
use crate::model::TraceId;
use crate::sources::fetch_problem::FetchProblem;

/// Most rows or groups of one query (`MaxQueryLimit`).
pub(super) const MOST_ROWS: u64 = 10_000;

/// Times with fewer digits pass for seconds: 2001-09-09, in ms since the Unix epoch.
const EARLIEST_MS: i64 = 1_000_000_000_000;

/// How far in the future spans may lie, for clocks that are ahead, in ns: a day.
const AHEAD: i64 = 24 * 3_600_000_000_000;

/// Fields of the span that are selected by name.
const SPAN_FIELDS: [&str; 11] = [
    "parent_span_id",
    "trace_state",
    "flags",
    "name",
    "kind_string",
    "duration_nano",
    "status_code_string",
    "status_message",
    "has_error",
    "is_remote",
    "response_status_code",
];

/// Attributes of the resource that are selected by name: what tells services, processes, machines
/// and SDKs apart.
pub(super) const RESOURCE_FIELDS: [&str; 19] = [
    "service.name",
    "service.namespace",
    "service.version",
    "service.instance.id",
    "deployment.environment.name",
    "deployment.environment",
    "host.name",
    "host.id",
    "host.ip",
    "k8s.node.name",
    "k8s.pod.name",
    "k8s.pod.uid",
    "container.id",
    "process.pid",
    "telemetry.sdk.name",
    "telemetry.sdk.language",
    "telemetry.sdk.version",
    "telemetry.distro.name",
    "telemetry.distro.version",
];

/// Attributes of the span that are selected by name: what both sides of a call know. Numbers are not
/// among them, since one that is not there comes as 0.
pub(super) const ATTRIBUTE_FIELDS: [&str; 27] = [
    "http.request.method",
    "http.method",
    "http.route",
    "http.target",
    "http.url",
    "http.host",
    "url.path",
    "url.full",
    "rpc.system.name",
    "rpc.system",
    "rpc.service",
    "rpc.method",
    "messaging.system",
    "messaging.operation.type",
    "messaging.operation",
    "messaging.destination.template",
    "messaging.destination.name",
    "messaging.destination",
    "messaging.message.id",
    "messaging.message_id",
    "service.peer.name",
    "peer.service",
    "server.address",
    "net.peer.name",
    "code.function.name",
    "code.namespace",
    "db.system.name",
];

/// What is selected of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Columns {
    /// Everything, which is what servers give when nothing is selected; early ones give seven
    /// columns then.
    All,
    /// What is named here.
    Named {
        /// Links and events too.
        links: bool,
    },
}

impl Columns {
    fn select(self) -> Option<Value> {
        let Self::Named { links } = self else { return None };
        let field = |name: &&str, context: &str| match context {
            "span" => json!({"name": name, "fieldContext": context}),
            _ => json!({"name": name, "fieldContext": context, "fieldDataType": "string"}),
        };
        let links: &[&str] = if links { &["links", "events"] } else { &[] };
        let span = SPAN_FIELDS.iter().chain(links).map(|name| field(name, "span"));
        let resource = RESOURCE_FIELDS.iter().map(|name| field(name, "resource"));
        let attributes = ATTRIBUTE_FIELDS.iter().map(|name| field(name, "attribute"));
        Some(span.chain(resource).chain(attributes).collect())
    }
}

/// In which order rows come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Traces one after the other, and spans in a fixed order, which paging by offset needs. An order
    /// that begins with the time would make the server cut the window into parts, each of which gives
    /// all spans of a trace that is named in the filter (before v0.130).
    ByTrace,
    /// The newest first.
    NewestFirst,
}

impl Order {
    fn keys(self) -> Value {
        let key = |name: &str, direction: &str| json!({"key": {"name": name}, "direction": direction});
        match self {
            Self::ByTrace => json!([key("trace_id", "asc"), key("timestamp", "asc"), key("span_id", "asc")]),
            Self::NewestFirst => json!([key("timestamp", "desc")]),
        }
    }
}

/// Asks for spans.
pub(super) fn spans(
    filter: &str,
    window: Window,
    columns: Columns,
    order: Order,
    limit: u64,
    offset: u64,
) -> Value {
    let mut spec = json!({
        "name": "A",
        "signal": "traces",
        "order": order.keys(),
        "limit": limit,
        "offset": offset,
    });
    if let Some(fields) = columns.select() {
        spec["selectFields"] = fields;
    }
    request("raw", window, filter, spec)
}

/// Asks how many spans fit for each value of a field, in the order of the values.
pub(super) fn count_by(field: &str, context: &str, filter: &str, window: Window, limit: u64) -> Value {
    let spec = json!({
        "name": "A",
        "signal": "traces",
        "aggregations": [{"expression": "count()"}],
        "groupBy": [{"name": field, "fieldContext": context, "fieldDataType": "string"}],
        "order": [{"key": {"name": field}, "direction": "asc"}],
        "limit": limit,
    });
    request("scalar", window, filter, spec)
}

fn request(kind: &str, window: Window, filter: &str, mut spec: Value) -> Value {
    if !filter.is_empty() {
        spec["filter"] = json!({ "expression": filter });
    }
    let start = window.from_ns.div_euclid(1_000_000).max(EARLIEST_MS);
    let end = window.to_ns.saturating_add(999_999).div_euclid(1_000_000).max(start + 1);
    json!({
        "schemaVersion": "v1",
        "start": start,
        "end": end,
        "requestType": kind,
        "compositeQuery": {"queries": [{"type": "builder_query", "spec": spec}]},
    })
}

/// All times that can be asked for. The server finds out by itself when a trace was.
pub(super) fn ever(query: &Query) -> Window {
    let to_ns = query.window.to_ns.max(query.settled_ns).saturating_add(AHEAD);
    Window { from_ns: EARLIEST_MS * 1_000_000, to_ns }
}

/// The spans of these traces.
pub(super) fn by_ids(ids: &[TraceId]) -> String {
    any_of("trace_id", ids.iter().map(ToString::to_string))
}

/// What a span must be like for its trace to be wanted. There are several ways to say it where an
/// attribute has an older name: a server may refuse names that it never saw.
pub(super) fn filters(query: &Query) -> Result<VecDeque<String>, FetchProblem> {
    let mut parts = Vec::new();
    if !query.services.is_empty() {
        parts.push(any_of("resource.service.name", query.services.iter().cloned()));
    }
    if let Some(operation) = &query.operation {
        parts.push(format!("name = {}", quoted(operation)));
    }
    if let Some(shortest) = query.min_duration_ns {
        parts.push(format!("duration_nano >= {shortest}"));
    }
    for (key, value) in &query.tags {
        parts.push(format!("{} = {}", checked_key(key)?, quoted(value)));
    }
    let rest = parts.join(" AND ");
    if query.environments.is_empty() {
        return Ok(VecDeque::from([rest]));
    }
    let [name, older] = ["resource.deployment.environment.name", "resource.deployment.environment"]
        .map(|key| any_of(key, query.environments.iter().cloned()));
    let ways = [format!("({name} OR {older})"), name, older];
    Ok(ways.into_iter().map(|way| if rest.is_empty() { way } else { format!("{rest} AND {way}") }).collect())
}

fn any_of(key: &str, values: impl Iterator<Item = String>) -> String {
    let values: Vec<String> = values.map(|value| quoted(&value)).collect();
    format!("{key} IN ({})", values.join(", "))
}

/// Text as the grammar of filters wants it (`QUOTED_TEXT`, `trimQuotes`).
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// A key that the grammar of filters takes for a key.
fn checked_key(key: &str) -> Result<&str, FetchProblem> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_.:-@/$#".contains(c);
    if key.starts_with(|c: char| c.is_ascii_alphabetic()) && key.chars().all(fits) {
        return Ok(key);
    }
    Err(FetchProblem::Unaskable(format!(
        "the key {key:?} of --tag has characters that its filters do not know"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query() -> Query {
        Query {
            services: Vec::new(),
            operation: None,
            tags: Vec::new(),
            environments: Vec::new(),
            min_duration_ns: None,
            window: Window { from_ns: 1_767_225_600_000_000_001, to_ns: 1_767_229_200_000_000_001 },
            trace_ids: Vec::new(),
            limit: 10,
            max_spans: 10,
            settled_ns: 0,
        }
    }

    #[test]
    fn filters_say_what_is_wanted() {
        assert_eq!(filters(&query()).unwrap(), [""]);
        let all = Query {
            services: vec!["shop".to_owned(), "o'neil\\".to_owned()],
            operation: Some("GET /".to_owned()),
            tags: vec![("http.route".to_owned(), "/a".to_owned()), ("n".to_owned(), "7".to_owned())],
            min_duration_ns: Some(5),
            ..query()
        };
        let said = "resource.service.name IN ('shop', 'o\\'neil\\\\') AND name = 'GET /' AND \
                    duration_nano >= 5 AND http.route = '/a' AND n = '7'";
        assert_eq!(filters(&all).unwrap(), [said]);
        let environments = filters(&Query { environments: vec!["prod".to_owned()], ..all }).unwrap();
        assert_eq!(environments.len(), 3);
        assert!(environments[0].ends_with(
            "AND (resource.deployment.environment.name IN ('prod') OR resource.deployment.environment IN ('prod'))"
        ));
        assert!(environments[2].ends_with("'7' AND resource.deployment.environment IN ('prod')"));
    }

    #[test]
    fn keys_cannot_change_the_filter() {
        for key in ["a = 'b' OR c", "", "1a", "a b", "a'"] {
            let query = Query { tags: vec![(key.to_owned(), "v".to_owned())], ..query() };
            assert!(matches!(filters(&query), Err(FetchProblem::Unaskable(_))), "{key}");
        }
    }

    #[test]
    fn requests_have_only_fields_that_servers_know() {
        let window = query().window;
        let raw = spans("", window, Columns::All, Order::ByTrace, 7, 14);
        insta::assert_json_snapshot!(raw);
        let scalar = count_by("trace_id", "span", "name = 'x'", window, 8);
        insta::assert_json_snapshot!(scalar);
        let newest = spans("", window, Columns::All, Order::NewestFirst, 1, 0);
        assert_eq!(newest["compositeQuery"]["queries"][0]["spec"]["order"][0]["direction"], "desc");
    }

    #[test]
    fn fields_are_named_with_their_context() {
        let request = spans("", query().window, Columns::Named { links: true }, Order::ByTrace, 1, 0);
        let fields = &request["compositeQuery"]["queries"][0]["spec"]["selectFields"];
        let fields: Vec<&Value> = fields.as_array().unwrap().iter().collect();
        assert!(fields.contains(&&json!({"name": "parent_span_id", "fieldContext": "span"})));
        assert!(fields.contains(&&json!({"name": "links", "fieldContext": "span"})));
        let host = json!({"name": "host.name", "fieldContext": "resource", "fieldDataType": "string"});
        assert!(fields.contains(&&host));
        let without = spans("", query().window, Columns::Named { links: false }, Order::ByTrace, 1, 0);
        assert!(!without.to_string().contains("events"));
    }

    #[test]
    fn windows_are_whole_milliseconds_that_pass_for_milliseconds() {
        let asked = |from_ns, to_ns| {
            let request = spans("", Window { from_ns, to_ns }, Columns::All, Order::ByTrace, 1, 0);
            (request["start"].as_i64().unwrap(), request["end"].as_i64().unwrap())
        };
        assert_eq!(
            asked(1_767_225_600_000_000_001, 1_767_225_600_001_000_001),
            (1_767_225_600_000, 1_767_225_600_002)
        );
        assert_eq!(asked(-5, 1), (EARLIEST_MS, EARLIEST_MS + 1));
        assert_eq!(asked(0, i64::MAX).1.to_string().len(), 13);
        let ever = ever(&query());
        assert_eq!(ever.from_ns, 1_000_000_000_000_000_000);
        assert!(ever.to_ns > query().window.to_ns);
    }

    #[test]
    fn traces_are_named_by_their_ids() {
        let expected = "trace_id IN ('00000000000000000000000000000001', '000000000000000000000000000000ff')";
        assert_eq!(by_ids(&[TraceId(1), TraceId(255)]), expected);
    }
}
