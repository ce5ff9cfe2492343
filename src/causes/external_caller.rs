//! `external-caller`: who calls from outside exports elsewhere.

use super::{At, Cause, Fix};

pub(crate) static CAUSE: Cause = Cause {
    id: "external-caller",
    summary: "the caller is not in this data: a browser, a gateway or a client of others",
    what: "Whoever calls from outside may send a trace context and export its spans elsewhere, or \
           nowhere. The first service then begins with a span whose parent nobody here has.",
    speaks_for: "Everything in the trace hangs on the absent caller, and nothing of it is there.",
    speaks_against: "The caller is a service that exports spans, of which only this one is missing.",
    decides: "Who calls this service? If it is one that should export to this backend, look at its \
              exporter and its sampler.",
    remedy: "Nothing, if the caller is outside; else let it export to the same backend.",
    fixes: &[
        Fix {
            at: At::Callee,
            language: "",
            scope: "",
            step: "To begin new traces at the border, drop or ignore the incoming context there: in the \
                   gateway, remove `traceparent` from requests that come from outside.",
            code: "",
        },
        Fix {
            at: At::Between,
            language: "",
            scope: "",
            step: "To see such callers, export their spans: OpenTelemetry in the browser, and the tracing \
                   of the gateway, send to the same Collector.",
            code: "",
        },
    ],
    example: "
cart  GET  client  0..60  http=/items/7  repeat=8
  shop  GET /items/:id  server  5..50  http=/items/7

shop  GET /items/:id  server  0..60  http=/items/7  parent=browser  remote  repeat=8   // orphan-span (external-caller)
  shop  SELECT items  client  10..20
",
};
