//! `sensitive-attribute`: personal data and secrets in what spans carry.

use std::collections::{BTreeMap, BTreeSet};

use super::observations::{Observations, Place, Tally};
use super::{Analyzer, Case, Rule};
use crate::finding::{Evidence, Finding, rate};
use crate::model::sensitive::{self, Holder, Sensitive, Shape};
use crate::model::{Resource, Span, names};
use crate::report::{CheckNotPossible, Confidence, RateUnit, Severity, Side};
use crate::store::{Facts, ServiceId};
use crate::trace::{Parent, TraceView};

static RULE: Rule = Rule {
    name: "sensitive-attribute",
    severity: Severity::Warning,
    summary: "Spans carry personal data or secrets.",
    what: "E-mail addresses, telephone numbers, payment card numbers with a right checksum, tokens, JSON Web \
           Tokens, passwords in URLs, and the values of `authorization`, `cookie` and `set-cookie` headers: in \
           attributes of spans, events, links and resources, in copies of baggage, and in trace state. What is \
           masked (`***`, `REDACTED`) is fine. The value itself is never printed.",
    why: "Everybody who may read traces reads it, for as long as traces are kept, and baggage is sent to every \
          service that is called, third parties included. Personal data in telemetry is still personal data, and \
          a token in a trace can be used by whoever finds it.",
    fix: "Do not record it; where that takes time, delete it in the Collector.
In code: leave the attribute out, or record an id or a hash instead.
Baggage: set only what every callee may know. Name the keys that are copied to spans, in place of all: Node.js \
`new BaggageSpanProcessor((key) => key === 'tenant.id')`, Python \
`BaggageSpanProcessor(lambda key: key == \"tenant.id\")`, Java agent \
`-Dotel.java.experimental.span-attributes.copy-from-baggage.include=tenant.id`.
Headers: do not capture `authorization` and cookies. Node.js `headersToSpanAttributes`, Java agent \
`otel.instrumentation.http.server.capture-request-headers`, Python \
`OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS=authorization,cookie,set-cookie`.
URLs: keep credentials and tokens out of them; semantic conventions ask instrumentations to write `REDACTED`.
Collector: the `attributes` processor deletes keys, the `redaction` processor masks values by pattern.",
    example: "
shop  POST /orders  server    0..50   repeat=3
  shop  place order   internal  5..40   user.email=jane@example.com   // sensitive-attribute
",
};

/// Configuration of the Collector that deletes keys.
const COLLECTOR: &str = "\
processors:
  attributes/sensitive:
    actions:
      - {key: KEY, action: delete}
  redaction:
    allow_all_keys: true
    blocked_values: ['[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\\.[A-Za-z]{2,}']";

/// The analyzer.
pub(super) struct SensitiveAttribute;

impl Analyzer for SensitiveAttribute {
    fn rule(&self) -> &'static Rule {
        &RULE
    }

    /// Notes keys and shapes, never a value.
    fn observe_sensitive_span(
        &self,
        span: &Span<'_>,
        resource: &Resource<'_>,
        operation: u32,
        seen: &mut Observations,
    ) {
        let in_resource = sensitive::in_attributes(&resource.attributes, Holder::Resource);
        for found in sensitive::in_span(span).chain(in_resource) {
            let key: String = names::normalise(found.key).chars().take(LONGEST_KEY).collect();
            seen.text(RULE.name, variant(&found), operation, &key);
        }
    }

    fn observe_trace(&self, trace: &TraceView<'_>, seen: &mut Observations) {
        let is_sensitive = |index: usize| trace.spans[index].has(Facts::SENSITIVE);
        if !(0..trace.spans.len()).any(is_sensitive) {
            return;
        }
        let origins = origins(trace);
        for (index, _) in trace.nodes().filter(|(index, _)| is_sensitive(*index)) {
            let variant = origins[index].variant();
            seen.span(RULE.name, variant, trace, index);
        }
    }

    fn not_possible(&self, case: &Case<'_>) -> Vec<CheckNotPossible> {
        case.lacking(
            RULE.name,
            |capabilities| !capabilities.trace_state,
            "trace state is not kept, so what stands in it is not seen",
        )
    }

    /// One finding a service: who sends the spans decides what is in them.
    fn judge(&self, case: &Case<'_>) -> Vec<Finding> {
        let mut members: BTreeMap<ServiceId, Vec<(&Place, &Tally)>> = BTreeMap::new();
        for (place, tally) in case.seen.of(RULE.name) {
            members.entry(case.names.site(place.site).service).or_default().push((place, tally));
        }
        let keys = keys_by_service(case);
        let findings = members.into_iter().filter_map(|(service, members)| {
            let mut evidence = keys.get(&service)?.iter().map(|(variant, keys)| evidence(*variant, keys));
            let proof = evidence.next()?;
            let caller = usual_caller(&members);
            let group = case.group(members);
            let name = case.names.services[service as usize].name.to_string();
            let title = format!("{name} puts {} into its spans", shape_of(*keys[&service].keys().next()?));
            let mut finding = case.about_service(&RULE, &group, title, proof);
            finding.confidence = Confidence::High;
            finding.rate = Some(rate(group.tally.spans, group.spans, RateUnit::Spans));
            let rest: Vec<Evidence> = evidence.collect();
            finding.support.splice(0..0, rest);
            if let Some((caller, spans)) = caller {
                come_with_the_call(case, &mut finding, caller, spans);
            }
            let first_key = keys[&service].values().flatten().find(|key| !key.is_empty());
            finding.remedy.code = first_key.map(|key| COLLECTOR.replace("KEY", key));
            Some(finding)
        });
        findings.collect()
    }
}

/// A key is data as well; no convention has a longer one.
const LONGEST_KEY: usize = 128;

/// Variant of spans whose sensitive data is their service's own; others are the number of the service
/// that it came from, plus one.
const OWN: u32 = 0;

/// Shape and holder, as the variant of a text.
fn variant(found: &Sensitive<'_>) -> u32 {
    found.shape as u32 * Holder::ALL.len() as u32 + found.holder as u32
}

fn shape_of(variant: u32) -> &'static str {
    Shape::ALL[variant as usize / Holder::ALL.len()].as_str()
}

fn evidence(variant: u32, keys: &BTreeSet<&str>) -> Evidence {
    Evidence::SensitiveText {
        what: shape_of(variant),
        holder: Holder::ALL[variant as usize % Holder::ALL.len()].as_str(),
        keys: keys.iter().copied().filter(|key| !key.is_empty()).map(str::to_owned).collect(),
    }
}

/// By service and variant (so the gravest shape comes first): the keys.
fn keys_by_service<'c>(case: &Case<'c>) -> BTreeMap<ServiceId, BTreeMap<u32, BTreeSet<&'c str>>> {
    let mut keys: BTreeMap<ServiceId, BTreeMap<u32, BTreeSet<&str>>> = BTreeMap::new();
    for (place, texts) in case.seen.texts_of(RULE.name) {
        let of_service = keys.entry(case.names.site(place.site).service).or_default();
        of_service.entry(place.variant).or_default().extend(texts.iter().map(|text| &**text));
    }
    keys
}

/// The service from which most of the spans have what they carry, and how many do.
fn usual_caller(members: &[(&Place, &Tally)]) -> Option<(ServiceId, u64)> {
    let mut by_origin: BTreeMap<u32, u64> = BTreeMap::new();
    for (place, tally) in members {
        *by_origin.entry(place.variant).or_default() += tally.spans;
    }
    let all: u64 = by_origin.values().sum();
    let (origin, spans) = by_origin.into_iter().max_by_key(|(origin, spans)| (*spans, u32::MAX - origin))?;
    (origin != OWN && spans * 2 > all).then(|| (origin - 1, spans))
}

fn come_with_the_call(case: &Case<'_>, finding: &mut Finding, caller: ServiceId, spans: u64) {
    let caller = &case.names.services[caller as usize];
    let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    finding.from = Some(Side {
        namespace: filled(&caller.namespace),
        service: filled(&caller.name),
        operation: None,
        kind: None,
        inferred: true,
    });
    finding
        .support
        .insert(0, Evidence::CameWithTheCall { service: caller.name.to_string(), spans, of: finding.spans });
    finding.decides = Some(format!("Look for what {} puts into the baggage.", caller.name));
}

/// Where a span has its sensitive data from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// Not looked at yet, or not sensitive.
    NotKnown,
    /// Its own service.
    Own,
    /// A caller that does not record it.
    Caller(ServiceId),
}

impl Origin {
    const fn variant(self) -> u32 {
        match self {
            Self::NotKnown | Self::Own => OWN,
            Self::Caller(service) => service + 1,
        }
    }
}

/// For each sensitive span, the service that called the topmost sensitive span above it without having
/// such data itself: what every span of a process carries from its entry span on has come with the call,
/// as baggage does. Walks every span once.
fn origins(trace: &TraceView<'_>) -> Vec<Origin> {
    let mut origins = vec![Origin::NotKnown; trace.spans.len()];
    let mut path = Vec::new();
    for start in 0..trace.spans.len() {
        let mut at = start;
        let origin = loop {
            if !trace.spans[at].has(Facts::SENSITIVE) {
                break caller_of(trace, at, path.last().copied());
            }
            if origins[at] != Origin::NotKnown {
                break origins[at];
            }
            // A circle of parents ends where it is met again.
            origins[at] = Origin::Own;
            path.push(at);
            match trace.parents[at] {
                Parent::Span(parent) => at = parent as usize,
                Parent::None | Parent::Missing | Parent::Itself => break Origin::Own,
            }
        };
        for index in path.drain(..) {
            origins[index] = origin;
        }
    }
    origins
}

fn caller_of(trace: &TraceView<'_>, parent: usize, child: Option<usize>) -> Origin {
    let caller = trace.service(parent);
    let is_called = |child: usize| trace.kind(child).is_entry() && trace.service(child) != caller;
    if child.is_some_and(is_called) { Origin::Caller(caller) } else { Origin::Own }
}

#[cfg(test)]
mod tests {
    use crate::analyzers::notation::{analyse_text, check};

    #[test]
    fn what_is_masked_is_silent() {
        check(
            "
shop  POST /orders  server    0..50   http.request.header.authorization=REDACTED
  shop  place order   internal  5..40   user.email=j***@example.com
",
        );
    }

    #[test]
    fn events_resources_and_trace_state_are_looked_at() {
        check(
            "
shop  a  server  0..50   event.exception.message=jane@example.com   // sensitive-attribute

bill  a  server  0..50   resource.owner=jane@example.com   // sensitive-attribute

ship  a  server  0..50   state=shop=jane@example.com   // sensitive-attribute
",
        );
    }

    #[test]
    fn baggage_is_traced_back_to_who_set_it() {
        let findings = analyse_text(
            "
web  GET /  server  0..90   repeat=4
  web  GET  client  5..80
    cart  GET /cart  server  10..70  user.email=jane@example.com
      cart  GET  client  15..60  user.email=jane@example.com
        stock  GET /stock  server  20..50  user.email=jane@example.com
",
        );
        let sides: Vec<_> = findings
            .iter()
            .map(|finding| [&finding.from, &finding.to].map(|side| side.clone().unwrap().service.unwrap()))
            .collect();
        assert_eq!(sides, [["web", "cart"], ["web", "stock"]]);
    }

    #[test]
    fn the_value_is_in_no_part_of_a_finding() {
        let findings = analyse_text("shop  a  server  0..50   user.email=john.roe@example.org");
        assert!(!format!("{findings:?}").contains("john.roe"), "{findings:?}");
    }
}
