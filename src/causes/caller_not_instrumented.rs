//! `caller-not-instrumented`: the caller makes the call with a client that no instrumentation knows.

use super::{At, Cause, Fix};

pub(crate) static CAUSE: Cause = Cause {
    id: "caller-not-instrumented",
    summary: "the caller uses a client that makes no span and sends no context",
    what: "Instrumentation wraps particular libraries. A call over another library, over one that was loaded \
           before the SDK, or over a copy of it that a bundler made, has no exit span, and no headers are \
           added. The callee begins a trace of its own.",
    speaks_for: "Such a request begins inside a span that usually makes this call with an exit span, and has \
                 none this time. Or it only ever runs inside requests of one service.",
    speaks_against: "An exit span for the call is there: then it was sent with a context, or the SDK has no \
                     propagator.",
    decides: "Which library makes this call in the caller? Look for it in the list of what the \
              instrumentation in use supports, and whether it is loaded after the SDK has started.",
    remedy: "Instrument the client library that makes the call, or use one that is instrumented.",
    fixes: &[
        Fix {
            at: At::Caller,
            language: "nodejs",
            scope: "",
            step: "Node.js: `fetch` and undici need @opentelemetry/instrumentation-undici; \
                   instrumentation-http does not know them.",
            code: "registerInstrumentations({ instrumentations: [new HttpInstrumentation(), new UndiciInstrumentation()] });",
        },
        Fix {
            at: At::Caller,
            language: "nodejs",
            scope: "",
            step: "Node.js: start the SDK before anything else (`--require` or `--import` of its file). \
                   `import { request } from 'node:http'` that ran earlier stays as it was; ES modules need \
                   the loader hook of @opentelemetry/instrumentation, and bundlers have to leave the \
                   library external.",
            code: "",
        },
        Fix {
            at: At::Caller,
            language: "python",
            scope: "",
            step: "Python: each client has a package of its own: opentelemetry-instrumentation-requests, \
                   -httpx, -urllib3, -urllib, -aiohttp-client; `opentelemetry-bootstrap -a install` installs \
                   those that fit.",
            code: "opentelemetry-bootstrap -a install",
        },
        Fix {
            at: At::Caller,
            language: "java",
            scope: "",
            step: "Java: compare the client with the agent's list of supported libraries, and look for \
                   `otel.instrumentation.<name>.enabled=false`. Without the agent, wrap the client by the \
                   library instrumentation of the same name.",
            code: "",
        },
        Fix {
            at: At::Caller,
            language: "go",
            scope: "",
            step: "Go: every `http.Client` needs the transport of otelhttp, and requests need the context of \
                   the handler (`http.NewRequestWithContext`).",
            code: "client := &http.Client{Transport: otelhttp.NewTransport(http.DefaultTransport)}",
        },
        Fix {
            at: At::Caller,
            language: "dotnet",
            scope: "",
            step: ".NET: `AddHttpClientInstrumentation()` (and `AddGrpcClientInstrumentation()`) at the tracer \
                   provider; clients that do not use `HttpClient` need an instrumentation of their own.",
            code: "",
        },
        Fix {
            at: At::Caller,
            language: "webjs",
            scope: "",
            step: "Browser: register the instrumentation for what the page uses: fetch, XMLHttpRequest, or \
                   both.",
            code: "",
        },
        Fix {
            at: At::Caller,
            language: "",
            scope: "",
            step: "Where no instrumentation exists, make a span of kind CLIENT around the call and inject its \
                   context into the headers by hand.",
            code: "",
        },
    ],
    example: "
orders  POST /orders  server  0..60  repeat=20
  orders  POST  client  5..50  http=/reserve
    stock  POST /reserve  server  10..40  http=/reserve

orders  POST /orders  server  2000..2060  repeat=8

stock  POST /reserve  server  2010..2040  http=/reserve  repeat=8   // detached-entry (caller-not-instrumented)
",
};
