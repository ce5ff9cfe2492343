//! `double-injection`: two instrumentations of one client each send the headers.

use super::{At, Cause, Fix};

pub(crate) static CAUSE: Cause = Cause {
    id: "double-injection",
    summary: "the client is instrumented twice, sends two `traceparent` headers, and the callee rejects both",
    what: "Each of two instrumentations of one HTTP client makes a span and adds `traceparent`. The callee \
           sees two values joined by a comma, which no W3C parser takes, and begins a trace of its own.",
    speaks_for: "Every call has two sibling client spans of one operation with equal times, and the callee \
                 one root for both.",
    speaks_against: "Each of the two siblings has an entry span of its own: then two requests were sent. \
                     Retries follow each other and do not start together.",
    decides: "Log the `traceparent` header at the callee: two values in it prove the double injection.",
    remedy: "Leave one instrumentation for each client of the calling service.",
    fixes: &[
        Fix {
            at: At::Caller,
            language: "nodejs",
            scope: "undici",
            step: "Register @opentelemetry/instrumentation-undici once: it is part of \
                   getNodeAutoInstrumentations(), so do not list it beside that, and call \
                   registerInstrumentations() in one place only.",
            code: "registerInstrumentations({ instrumentations: [getNodeAutoInstrumentations()] })",
        },
        Fix {
            at: At::Caller,
            language: "nodejs",
            scope: "",
            step: "Start the SDK once: `node --require ./tracing.js` together with an import of the same \
                   file, or an agent of a vendor beside the SDK, instruments everything twice.",
            code: "",
        },
        Fix {
            at: At::Caller,
            language: "python",
            scope: "",
            step: "Use either `opentelemetry-instrument` or `RequestsInstrumentor().instrument()` (and the \
                   like), not both.",
            code: "",
        },
        Fix {
            at: At::Caller,
            language: "java",
            scope: "",
            step: "Remove the library instrumentation of the HTTP client where the Java agent is attached.",
            code: "",
        },
        Fix {
            at: At::Caller,
            language: "",
            scope: "",
            step: "Remove one of the two instrumentations of this client in the calling service.",
            code: "",
        },
    ],
    example: "
orders  POST /orders  server  0..60  repeat=6
  orders  POST  client  5..45  http=/reserve
  orders  POST  client  5..45  http=/reserve

stock  POST /reserve  server  10..40  http=/reserve  repeat=6   // detached-entry (double-injection)
",
};
