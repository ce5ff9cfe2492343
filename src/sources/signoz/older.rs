//! SigNoz before v0.87: `/api/v1/traces`, one trace at a time.

use futures_util::future::join_all;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Version;
use crate::formats;
use crate::model::TraceId;
use crate::sources::fetch_problem::FetchProblem;
use crate::sources::http::{Ask, CONCURRENCY, Client};
use crate::sources::remote::Fetch;

/// Spans of one trace. It gives the surroundings of one span of larger traces unless told otherwise,
/// and nothing at all beyond this number (`MAX_SPANS_IN_TRACE`).
const MOST_SPANS: &str = "250000";

/// Fetches the traces that the user named; there is no search that would find whole traces.
pub(super) async fn fetch(fetch: &mut Fetch, version: &Version) -> Result<(), FetchProblem> {
    if fetch.query.trace_ids.is_empty() {
        return Err(FetchProblem::TooOld {
            api: "SigNoz",
            version: version.text.clone(),
            lacks: "search that finds whole traces",
            how: "name traces with --trace-id, or update SigNoz to v0.87 or newer",
        });
    }
    // The name stands in the list; a test holds that.
    let format = formats::by_name("signoz-trace").unwrap_or(formats::ALL[0]);
    fetch.begin(format, format.info().capabilities).await;
    let ids = fetch.query.trace_ids.clone();
    let wanted: Vec<TraceId> = ids.into_iter().filter(|id| fetch.take(*id)).collect();
    for batch in wanted.chunks(CONCURRENCY) {
        let answers = batch.iter().map(|id| trace(&fetch.client, *id));
        for (id, answer) in batch.iter().zip(join_all(answers).await) {
            match answer {
                Ok(trace) if trace.spans == 0 => fetch.lacks(format!("trace {id}: not found")),
                Ok(trace) => {
                    if trace.is_part {
                        fetch.lacks(format!("trace {id}: SigNoz gave a part of it"));
                    }
                    fetch.document(trace.body, 1, trace.spans, None).await;
                }
                Err(problem) => fetch.tolerate(&format!("trace {id}"), problem)?,
            }
        }
    }
    Ok(())
}

struct Trace {
    body: Vec<u8>,
    spans: u64,
    is_part: bool,
}

async fn trace(client: &Client, id: TraceId) -> Result<Trace, FetchProblem> {
    #[derive(Deserialize)]
    struct Table {
        events: Option<Vec<IgnoredAny>>,
        #[serde(rename = "isSubTree", default)]
        is_part: bool,
    }
    let path = format!("api/v1/traces/{id}");
    let query = [
        ("spanId", String::new()),
        ("levelUp", "0".to_owned()),
        ("levelDown", "0".to_owned()),
        ("spanRenderLimit", MOST_SPANS.to_owned()),
    ];
    let answer = client.data(&Ask::get(&path, &query)).await?;
    let tables: Option<Vec<Table>> = serde_json::from_slice(&answer.body)
        .map_err(|error| FetchProblem::unexpected("SigNoz", "/api/v1/traces", &error))?;
    let tables = tables.unwrap_or_default();
    let spans =
        tables.iter().filter_map(|table| table.events.as_ref()).map(|events| events.len() as u64).sum();
    Ok(Trace { body: answer.body, spans, is_part: tables.iter().any(|table| table.is_part) })
}
