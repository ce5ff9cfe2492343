//! SigNoz.

use super::fetch_problem::FetchProblem;
use super::remote::Fetch;

/// SigNoz has no tenants in one installation; a proxy may.
pub(super) const TENANT_HEADER: &str = "x-tenant";

/// How to give credentials.
pub(super) const HOW_TO_LOG_IN: &str =
    "give an API key with SIGNOZ_API_KEY or --api-key-file; SigNoz makes them under Settings, API Keys";

/// Asks for what the query wants.
pub(super) async fn fetch(_fetch: &mut Fetch) -> Result<(), FetchProblem> {
    Err(FetchProblem::NoApi { api: "SigNoz", path: String::new() })
}
