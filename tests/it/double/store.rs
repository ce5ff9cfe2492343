//! The spans that a double serves, as OTLP JSON with what the doubles ask of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::case;

/// A span, and the resource and the scope it belongs to.
#[expect(clippy::struct_field_names, reason = "the words of OpenTelemetry")]
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) trace_id: String,
    pub(crate) span_id: String,
    /// Empty for a root.
    pub(crate) parent_id: String,
    pub(crate) start_ns: u64,
    pub(crate) end_ns: u64,
    pub(crate) resource: Arc<Value>,
    pub(crate) scope: Arc<Value>,
    /// The whole span.
    pub(crate) otlp: Value,
}

impl Span {
    fn new(resource: &Arc<Value>, scope: &Arc<Value>, otlp: Value) -> Self {
        let text = |key: &str| otlp[key].as_str().unwrap_or_default().to_owned();
        Self {
            trace_id: text("traceId"),
            span_id: text("spanId"),
            parent_id: text("parentSpanId"),
            start_ns: number(&otlp["startTimeUnixNano"]),
            end_ns: number(&otlp["endTimeUnixNano"]),
            resource: Arc::clone(resource),
            scope: Arc::clone(scope),
            otlp,
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.otlp["name"].as_str().unwrap_or_default()
    }

    pub(crate) fn service(&self) -> &str {
        attribute(&self.resource, "service.name")
            .and_then(|value| value["stringValue"].as_str())
            .unwrap_or("")
    }

    /// OTLP's number of the kind.
    pub(crate) fn kind(&self) -> u64 {
        self.otlp["kind"].as_u64().unwrap_or(0)
    }

    pub(crate) fn flags(&self) -> u64 {
        self.otlp["flags"].as_u64().unwrap_or(0)
    }

    pub(crate) fn is_error(&self) -> bool {
        self.otlp["status"]["code"] == json!(2)
    }

    pub(crate) fn duration_ns(&self) -> u64 {
        self.end_ns.saturating_sub(self.start_ns)
    }

    /// The value of an attribute of the span, as text.
    pub(crate) fn attribute(&self, key: &str) -> Option<String> {
        attribute(&self.otlp, key).map(plain_text)
    }

    /// The value of an attribute of the resource, as text.
    pub(crate) fn resource_attribute(&self, key: &str) -> Option<String> {
        attribute(&self.resource, key).map(plain_text)
    }
}

/// All spans of a backend.
#[derive(Clone, Debug, Default)]
pub(crate) struct Store {
    pub(crate) spans: Vec<Span>,
}

impl Store {
    /// Reads lines of OTLP JSON.
    pub(crate) fn from_otlp(lines: &str) -> Self {
        let mut store = Self::default();
        for line in lines.lines().filter(|line| !line.trim().is_empty()) {
            let document: Value = serde_json::from_str(line).unwrap();
            for group in items(&document["resourceSpans"]) {
                let resource = Arc::new(group["resource"].clone());
                for scope_group in items(&group["scopeSpans"]) {
                    let scope = Arc::new(scope_group["scope"].clone());
                    let spans = items(&scope_group["spans"]).iter();
                    store.spans.extend(spans.map(|span| Span::new(&resource, &scope, span.clone())));
                }
            }
        }
        store
    }

    /// The spans of a fixture.
    pub(crate) fn from_fixture(name: &str) -> Self {
        Self::from_otlp(&String::from_utf8(case(name).bytes()).unwrap())
    }

    /// Healthy traces of three spans in two services. The first begins at `first_ns`, each other `step_ns`
    /// after the one before; a trace lasts 30 ms.
    pub(crate) fn healthy(traces: usize, first_ns: u64, step_ns: u64) -> Self {
        const MS: u64 = 1_000_000;
        let resource = |service: &str| {
            let attributes = [text_attribute("service.name", service), text_attribute("host.name", service)];
            Arc::new(json!({ "attributes": attributes }))
        };
        let (storefront, billing) = (resource("storefront"), resource("billing"));
        let scope = Arc::new(json!({"name": "shop.http", "version": "1.0.0"}));
        let mut store = Self::default();
        for nth in 0..traces {
            let start = first_ns + nth as u64 * step_ns;
            // Numbers that are next to each other would all lie in one part of a store that is cut by id.
            let trace_id =
                format!("{:032x}", (nth as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
            let span_id =
                |of: u64| format!("{:016x}", (nth as u64 * 3 + of + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let mut add = |resource, of, parent: Option<u64>, name: &str, kind: u64, from: u64, to: u64| {
                let parent = parent.map_or_else(String::new, span_id);
                let flags = if kind == 2 && !parent.is_empty() { 769 } else { 257 };
                let otlp = json!({
                    "traceId": trace_id, "spanId": span_id(of), "parentSpanId": parent, "flags": flags,
                    "name": name, "kind": kind,
                    "startTimeUnixNano": (start + from * MS).to_string(),
                    "endTimeUnixNano": (start + to * MS).to_string(),
                    "attributes": [text_attribute("http.request.method", "GET")], "status": {},
                });
                store.spans.push(Span::new(resource, &scope, otlp));
            };
            add(&storefront, 0, None, "GET /orders", 2, 0, 30);
            add(&storefront, 1, Some(0), "GET", 3, 5, 25);
            add(&billing, 2, Some(1), "GET /invoices", 2, 8, 22);
        }
        store
    }

    /// All times moved so that the last span ends then.
    pub(crate) fn ending_at(mut self, end_ns: u64) -> Self {
        let last = self.last_ns();
        let moved = |ns: u64| if end_ns >= last { ns + (end_ns - last) } else { ns - (last - end_ns) };
        for span in &mut self.spans {
            (span.start_ns, span.end_ns) = (moved(span.start_ns), moved(span.end_ns));
            span.otlp["startTimeUnixNano"] = json!(span.start_ns.to_string());
            span.otlp["endTimeUnixNano"] = json!(span.end_ns.to_string());
            for event in span.otlp["events"].as_array_mut().into_iter().flatten() {
                event["timeUnixNano"] = json!(moved(number(&event["timeUnixNano"])).to_string());
            }
        }
        self
    }

    pub(crate) fn first_ns(&self) -> u64 {
        self.spans.iter().map(|span| span.start_ns).min().unwrap_or(0)
    }

    pub(crate) fn last_ns(&self) -> u64 {
        self.spans.iter().map(|span| span.end_ns).max().unwrap_or(0)
    }

    pub(crate) fn services(&self) -> Vec<&str> {
        let services: BTreeSet<&str> = self.spans.iter().map(Span::service).collect();
        services.into_iter().collect()
    }

    pub(crate) fn trace_ids(&self) -> Vec<&str> {
        let ids: BTreeSet<&str> = self.spans.iter().map(|span| span.trace_id.as_str()).collect();
        ids.into_iter().collect()
    }

    /// The spans of a trace, by start.
    pub(crate) fn trace(&self, trace_id: &str) -> Vec<&Span> {
        let mut spans: Vec<&Span> = self.spans.iter().filter(|span| span.trace_id == trace_id).collect();
        spans.sort_by_key(|span| span.start_ns);
        spans
    }
}

pub(crate) fn text_attribute(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

/// The elements of an array; none when it is missing.
pub(super) fn items(array: &Value) -> &[Value] {
    array.as_array().map_or(&[], Vec::as_slice)
}

/// A number, or one in quotes.
pub(super) fn number(value: &Value) -> u64 {
    value.as_u64().or_else(|| value.as_str().and_then(|text| text.parse().ok())).unwrap_or(0)
}

fn attribute<'v>(of: &'v Value, key: &str) -> Option<&'v Value> {
    let found = items(&of["attributes"]).iter().find(|attribute| attribute["key"] == key);
    found.map(|attribute| &attribute["value"])
}

/// A value of OTLP as a value of JSON.
pub(super) fn plain(value: &Value) -> Value {
    let Some((kind, inner)) = value.as_object().and_then(|object| object.iter().next()) else {
        return Value::Null;
    };
    match kind.as_str() {
        "intValue" => {
            let text = inner.as_str().map_or_else(|| inner.to_string(), ToOwned::to_owned);
            text.parse::<i64>().map_or(Value::Null, Value::from)
        }
        "arrayValue" => items(&inner["values"]).iter().map(plain).collect(),
        "kvlistValue" => {
            let pairs = items(&inner["values"]).iter();
            let text = |pair: &Value| pair["key"].as_str().unwrap_or_default().to_owned();
            Value::Object(pairs.map(|pair| (text(pair), plain(&pair["value"]))).collect())
        }
        _ => inner.clone(),
    }
}

fn plain_text(value: &Value) -> String {
    match plain(value) {
        Value::String(text) => text,
        other => other.to_string(),
    }
}
