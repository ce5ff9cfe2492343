//! `service-not-instrumented`: a service on the way exports nothing and passes nothing on.

use super::{At, Cause, Fix};

pub(crate) static CAUSE: Cause = Cause {
    id: "service-not-instrumented",
    summary: "a service on the way has no instrumentation: it makes no spans and passes no context on",
    what: "A service without an SDK, or with one that is switched off, answers calls without a span and calls \
           others without the headers that it got. The caller's trace ends in a call without an answer, and \
           what the service causes begins traces of its own.",
    speaks_for: "Calls to one address are never answered, and other services' roots begin inside these calls \
                 far more often than by chance.",
    speaks_against: "Roots that have nothing to do with the calls: then the address is a third party's, which \
                     nobody expects to export anything here.",
    decides: "Who listens at the address of these calls, and does it export traces (`OTEL_SDK_DISABLED`, \
              `OTEL_TRACES_EXPORTER`, the start command)?",
    remedy: "Instrument the service that listens at this address.",
    fixes: &[
        Fix {
            at: At::Between,
            language: "",
            scope: "",
            step: "Start the service with the SDK or the agent of its language, with a service name of its \
                   own: `node --require ./tracing.js`, `opentelemetry-instrument python …`, \
                   `java -javaagent:opentelemetry-javaagent.jar …`.",
            code: "",
        },
        Fix {
            at: At::Between,
            language: "",
            scope: "",
            step: "It is instrumented and still silent: look for `OTEL_SDK_DISABLED=true`, \
                   `OTEL_TRACES_EXPORTER=none`, a wrong endpoint, or a sampler that takes nothing.",
            code: "",
        },
        Fix {
            at: At::Between,
            language: "",
            scope: "",
            step: "It cannot be instrumented: let it at least copy `traceparent`, `tracestate` and `baggage` \
                   from the requests it gets to those it makes. Behind a mesh or a proxy, its sidecar can \
                   make the spans.",
            code: "",
        },
    ],
    example: "
web  POST /checkout  server  0..90  repeat=8
  web  POST  client  5..80  http=/charges

risk  GET /score  server  20..40  http=/score/7  repeat=8   // detached-entry (service-not-instrumented)
",
};
