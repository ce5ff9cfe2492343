//! `instrumentation-loaded-late`: requests without a route, because the framework was loaded before
//! its instrumentation.

use std::collections::{BTreeMap, BTreeSet};

use super::observations::{Observations, Place, Tally};
use super::{Analyzer, Case, Rule};
use crate::causes::{self, Opinion};
use crate::finding::{Evidence, Finding, rate};
use crate::model::{Span, SpanKind};
use crate::report::{CheckNotPossible, Confidence, RateUnit, Severity};
use crate::store::ServiceId;
use crate::trace::TraceView;

static RULE: Rule = Rule {
    name: "instrumentation-loaded-late",
    severity: Severity::Info,
    summary: "A service names its requests by their method only, and has no spans of its framework.",
    what: "Server spans called `GET` or `POST`, without a route, for several different paths, in a service none of \
           whose spans knows a route, while other services of the same language have them. HTTP itself is \
           instrumented; the framework above it is not.",
    why: "All routes of the service are one operation: no rate, latency or error of a route can be told. The same \
          start order often leaves database and queue clients without instrumentation, which does lose context.",
    fix: "Start the SDK before anything else is loaded.
Node.js, CommonJS: `node --require ./tracing.js app.js`, not a `require` inside of the application.
Node.js, ES modules: `node --experimental-loader=@opentelemetry/instrumentation/hook.mjs --import ./tracing.js \
app.js`.
Bundlers leave nothing to patch: keep the instrumented packages external.
Check that the instrumentation supports the version of the framework; with OTEL_LOG_LEVEL=debug the SDK says what \
it patches.",
    example: "
shop  GET  server  0..50  repeat=8  sdk=nodejs  http=/carts

shop  POST  server  0..50  repeat=8  sdk=nodejs  http=/orders   // instrumentation-loaded-late

shop  GET  server  0..50  repeat=8  sdk=nodejs  http=/vouchers

stock  GET /items  server  0..50  repeat=8  sdk=nodejs  route=/items
",
};

/// A server that answers one or two paths does well without a framework; a third needs a router.
const PATHS_OF_A_ROUTER: usize = 3;

/// Spans that a path needs, so that stray requests for what is not there are no paths.
const SPANS_OF_A_PATH: u64 = 5;

/// Paths of so many different numbers are told apart, so that hostile paths need no memory.
const PATHS_KEPT: u32 = 1 << 12;

/// Variant of the text of spans that know a route; those of paths are smaller.
const ROUTED: u32 = PATHS_KEPT;

/// The analyzer.
pub(super) struct InstrumentationLoadedLate;

impl Analyzer for InstrumentationLoadedLate {
    fn rule(&self) -> &'static Rule {
        &RULE
    }

    /// Frameworks put the route into spans of their own.
    fn observe_span(&self, span: &Span<'_>, operation: u32, seen: &mut Observations) {
        let is_inner = matches!(span.kind, SpanKind::Internal | SpanKind::Unspecified);
        if is_inner && span.attributes.iter().any(|attribute| attribute.key == "http.route") {
            seen.text(RULE.name, ROUTED, operation, "http.route");
        }
    }

    fn observe_trace(&self, trace: &TraceView<'_>, seen: &mut Observations) {
        for (index, span) in trace.nodes() {
            if trace.kind(index) != SpanKind::Server || !is_only_a_method(trace.names.name_of(span.operation))
            {
                continue;
            }
            let Some(row) = trace.partition.boundary(span) else { continue };
            let boundary = &trace.names.boundaries[row.boundary as usize];
            if !boundary.target.is_empty() && !is_probe(&boundary.target) {
                seen.candidate(RULE.name, row.boundary % PATHS_KEPT, trace, index);
            }
        }
    }

    fn not_possible(&self, case: &Case<'_>) -> Vec<CheckNotPossible> {
        let languages = languages(case);
        if without_routes(case).keys().all(|service| languages.contains_key(service)) {
            return Vec::new();
        }
        let reason =
            "telemetry.sdk.language is not known of services without routes, so they cannot be compared";
        vec![CheckNotPossible { rule: RULE.name.to_owned(), reason: reason.to_owned() }]
    }

    fn judge(&self, case: &Case<'_>) -> Vec<Finding> {
        let candidates = without_routes(case);
        if candidates.is_empty() {
            return Vec::new();
        }
        let languages = languages(case);
        let mut routed: BTreeMap<&str, u64> = BTreeMap::new();
        for language in services_with_routes(case).iter().filter_map(|service| languages.get(service)) {
            *routed.entry(language).or_default() += 1;
        }
        let findings = candidates.into_iter().filter_map(|(service, members)| {
            let paths = paths(&members);
            let language = languages.get(&service)?;
            let siblings = routed.get(language).copied()?;
            let group = case.group(members);
            let name = &case.names.services[service as usize].name;
            let title = format!("{name} names its requests by their method only");
            let proof = Evidence::NoRoutes { spans: group.tally.spans, paths: paths as u64 };
            let mut finding = case.about_service(&RULE, &group, title, proof);
            finding.confidence = Confidence::Medium;
            finding.rate = Some(rate(group.tally.spans, group.spans, RateUnit::Spans));
            finding.support.insert(
                0,
                Evidence::SiblingsHaveRoutes { services: siblings, language: (*language).to_owned() },
            );
            let leading =
                Opinion { cause: &causes::LIBRARY_NOT_INSTRUMENTED, confidence: Confidence::Medium };
            causes::blame(case.names, &mut finding, service, leading, Vec::new());
            Some(finding)
        });
        findings.collect()
    }
}

/// `GET`, or `HTTP GET` as older conventions had it: what is left of a name without a route. The methods are
/// those of RFC 9110 and RFC 5789, and `HTTP` stands for any other one.
fn is_only_a_method(name: &str) -> bool {
    let name = name.strip_prefix("HTTP ").unwrap_or(name);
    matches!(name, "GET" | "POST" | "PUT" | "DELETE" | "PATCH" | "HEAD" | "OPTIONS" | "HTTP")
}

/// Paths that orchestrators and monitoring ask for, which a server answers by itself.
fn is_probe(path: &str) -> bool {
    let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    matches!(
        last,
        "health"
            | "healthz"
            | "livez"
            | "readyz"
            | "live"
            | "ready"
            | "liveness"
            | "readiness"
            | "ping"
            | "status"
            | "metrics"
            | "favicon.ico"
    )
}

/// What was seen of services with several paths and no route at any span.
fn without_routes<'c>(case: &Case<'c>) -> BTreeMap<ServiceId, Vec<(&'c Place, &'c Tally)>> {
    let mut members: BTreeMap<ServiceId, Vec<(&Place, &Tally)>> = BTreeMap::new();
    for (place, tally) in case.seen.of(RULE.name) {
        members.entry(case.names.site(place.site).service).or_default().push((place, tally));
    }
    members.retain(|_, members| paths(members) >= PATHS_OF_A_ROUTER);
    if !members.is_empty() {
        let routed = services_with_routes(case);
        members.retain(|service, _| !routed.contains(service));
    }
    members
}

/// Different paths with spans enough.
fn paths(members: &[(&Place, &Tally)]) -> usize {
    let mut spans: BTreeMap<u32, u64> = BTreeMap::new();
    for (place, tally) in members {
        *spans.entry(place.variant).or_default() += tally.spans;
    }
    spans.values().filter(|spans| **spans >= SPANS_OF_A_PATH).count()
}

/// Services with a span that knows a route: a server span named by more than its method, or a span of
/// a framework.
fn services_with_routes(case: &Case<'_>) -> BTreeSet<ServiceId> {
    let routed = case.seen.texts_of(RULE.name).map(|(place, _)| case.names.site(place.site).service);
    let named = (0..).zip(&case.names.sites).filter(|(number, site)| {
        site.kind == SpanKind::Server
            && !is_only_a_method(&site.name)
            && case.corpus.profile(*number).spans > 0
    });
    routed.chain(named.map(|(_, site)| site.service)).collect()
}

fn languages<'c>(case: &Case<'c>) -> BTreeMap<ServiceId, &'c str> {
    let mut languages = BTreeMap::new();
    for operation in &case.names.operations {
        let language = &*case.names.resources[operation.resource as usize].sdk_language;
        if !language.is_empty() {
            languages.entry(case.names.site(operation.site).service).or_insert(language);
        }
    }
    languages
}

#[cfg(test)]
mod tests {
    use crate::analyzers::notation::check;

    #[test]
    fn a_server_of_one_path_needs_no_framework() {
        check(
            "
price  GET  server  0..50  repeat=30  sdk=nodejs  http=/price/7

price  GET  server  0..50  repeat=30  sdk=nodejs  http=/healthz

price  GET  server  0..50  repeat=30  sdk=nodejs  http=/metrics

stock  GET /items  server  0..50  repeat=8  sdk=nodejs  route=/items
",
        );
    }

    #[test]
    fn a_framework_that_knows_the_route_is_enough() {
        check(
            "
shop  GET  server  0..50  repeat=8  sdk=nodejs  http=/carts
  shop  CartsController.list  internal  1..49  http.route=/carts

shop  POST  server  0..50  repeat=8  sdk=nodejs  http=/orders

shop  GET  server  0..50  repeat=8  sdk=nodejs  http=/vouchers

stock  GET /items  server  0..50  repeat=8  sdk=nodejs  route=/items
",
        );
    }

    #[test]
    fn services_of_another_language_say_nothing() {
        check(
            "
shop  GET  server  0..50  repeat=8  sdk=go  http=/carts

shop  POST  server  0..50  repeat=8  sdk=go  http=/orders

shop  GET  server  0..50  repeat=8  sdk=go  http=/vouchers

stock  GET /items  server  0..50  repeat=8  sdk=nodejs  route=/items
",
        );
    }
}
