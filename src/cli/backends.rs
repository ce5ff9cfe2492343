//! From flags and environment to the backends that are asked.

use std::path::Path;
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::args::{BackendArgs, SourceArgs};
use super::values;
use crate::config::{Backend, BackendKind, Connection, Query, Secret, Window};
use crate::model::TraceId;

/// How far back a backend is asked when nothing is said: 1 h.
const SINCE: i64 = 3_600_000_000_000;

/// Traces when nothing is said.
const LIMIT: u64 = 1_000;

/// Spans when nothing is said: some 640 MB of records.
const MAX_SPANS: u64 = 10_000_000;

/// Time for fetching when nothing is said.
const DEADLINE: Duration = Duration::from_secs(60);

/// SDKs export every 5 s, and the Collector's tail sampler decides after 30 s (defaults of both).
const SETTLE: i64 = 30_000_000_000;

/// Secrets are short; anything longer is another file.
const MOST_OF_A_SECRET: u64 = 64 << 10;

/// The backends that the flags name. `now_ns` is the time of the run.
pub(super) fn backends(
    args: &BackendArgs,
    source: &SourceArgs,
    trace_ids: &[TraceId],
    now_ns: i64,
) -> Result<Vec<Backend>> {
    let urls = [(BackendKind::Jaeger, &args.urls.jaeger), (BackendKind::Signoz, &args.urls.signoz)];
    let mut backends = Vec::new();
    for (kind, url) in urls {
        let Some(url) = url else { continue };
        // Not while the arguments are parsed: an error there repeats the value, and with it a password.
        let url = values::backend_url(url).map_err(|reason| anyhow!("{}: {reason}", kind.flag()))?;
        backends.push(Backend {
            kind,
            url,
            query: query(args, source, trace_ids, now_ns)?,
            connection: connection(args, kind)?,
        });
    }
    Ok(backends)
}

fn query(args: &BackendArgs, source: &SourceArgs, trace_ids: &[TraceId], now_ns: i64) -> Result<Query> {
    let to_ns = source.to.unwrap_or(now_ns);
    let from_ns = source.from.unwrap_or(to_ns.saturating_sub(source.since.unwrap_or(SINCE)));
    ensure!(
        from_ns < now_ns,
        "the window lies in the future, as seen from this machine's clock\n  check --from and the clock"
    );
    ensure!(from_ns < to_ns, "the window is empty: --from is not before --to");
    Ok(Query {
        services: source.services.clone(),
        operation: args.operation.clone(),
        tags: args.tags.clone(),
        environments: source.environments.clone(),
        min_duration_ns: args.min_duration,
        window: Window { from_ns, to_ns },
        trace_ids: trace_ids.to_vec(),
        limit: args.limit.map_or(LIMIT, |limit| limit as u64),
        max_spans: args.max_spans.map_or(MAX_SPANS, |spans| spans as u64),
        settled_ns: now_ns.saturating_sub(args.settle.unwrap_or(SETTLE)),
    })
}

fn connection(args: &BackendArgs, kind: BackendKind) -> Result<Connection> {
    Ok(Connection {
        credentials: credentials(args, kind)?,
        tenant: args.tenant.clone(),
        tenant_header: args.tenant_header.clone(),
        insecure: args.insecure,
        deadline: args.deadline.map_or(DEADLINE, |ns| Duration::from_nanos(ns.unsigned_abs())),
    })
}

/// A file is stronger than the environment. Nothing comes from the command line, which every user of
/// the machine can read.
fn credentials(args: &BackendArgs, kind: BackendKind) -> Result<Vec<(String, Secret)>> {
    let mut headers = Vec::new();
    if let Some(token) = secret(args.bearer_token_file.as_deref(), "TRACEMEND_BEARER_TOKEN")? {
        headers.push(("authorization".to_owned(), Secret::new(format!("Bearer {token}"))));
    }
    if let Some(user) = secret(args.basic_auth_file.as_deref(), "TRACEMEND_BASIC_AUTH")? {
        ensure!(headers.is_empty(), "both a bearer token and user:password are given; only one can be sent");
        ensure!(user.contains(':'), "TRACEMEND_BASIC_AUTH or --basic-auth-file: write user:password");
        headers.push(("authorization".to_owned(), Secret::new(format!("Basic {}", STANDARD.encode(user)))));
    }
    if kind == BackendKind::Signoz
        && let Some(key) = secret(args.api_key_file.as_deref(), "SIGNOZ_API_KEY")?
    {
        headers.push(("signoz-api-key".to_owned(), Secret::new(key)));
    }
    if let Some(lines) = secret(args.header_file.as_deref(), "TRACEMEND_HEADERS")? {
        for line in lines.lines().filter(|line| !line.trim().is_empty()) {
            let Some((name, value)) = line.split_once(':') else {
                bail!("TRACEMEND_HEADERS or --header-file: write one `Name: value` a line");
            };
            headers.push((name.trim().to_ascii_lowercase(), Secret::new(value.trim())));
        }
    }
    Ok(headers)
}

/// What a file or an environment variable has, without the line break at its end.
fn secret(file: Option<&Path>, variable: &str) -> Result<Option<String>> {
    let Some(path) = file else {
        return Ok(env::var(variable)
            .ok()
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty()));
    };
    let read = || {
        ensure!(fs::metadata(path)?.len() <= MOST_OF_A_SECRET, "it is too long for a secret");
        Ok(fs::read_to_string(path)?)
    };
    let text = read().with_context(|| format!("cannot read {}", path.display()))?.trim().to_owned();
    ensure!(!text.is_empty(), "{} is empty", path.display());
    Ok(Some(text))
}
