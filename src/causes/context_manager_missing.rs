//! `context-manager-missing`: no span is ever active in the process.

use super::{At, Cause, Fix};

pub(crate) static CAUSE: Cause = Cause {
    id: "context-manager-missing",
    summary: "no span is ever active in the calling process, so there is nothing to inject",
    what: "Without a context manager, or with two copies of the API in one process, every span of the \
           process is a root and nothing is injected into messages and calls.",
    speaks_for: "The exit spans are roots themselves, and no entry span of their service has a span of its \
                 own process under it.",
    speaks_against: "Entry spans of the service have children.",
    decides: "Call `trace.getActiveSpan()` inside a request handler: without a context manager it is \
              undefined.",
    remedy: "Give the calling process a context manager, and one copy of the API.",
    fixes: &[
        Fix {
            at: At::Caller,
            language: "nodejs",
            scope: "",
            step: "Register the provider with a context manager (`NodeSDK.start()` and \
                   `NodeTracerProvider.register()` do), and see that there is one copy of the API: \
                   `npm ls @opentelemetry/api`.",
            code: "provider.register({ contextManager: new AsyncLocalStorageContextManager() })",
        },
        Fix {
            at: At::Caller,
            language: "webjs",
            scope: "",
            step: "Browsers: register the provider with `ZoneContextManager`, and load one copy of the API.",
            code: "provider.register({ contextManager: new ZoneContextManager() })",
        },
        Fix {
            at: At::Caller,
            language: "java",
            scope: "",
            step: "Java: with the agent, use its API (`GlobalOpenTelemetry`) instead of an SDK of your own, and \
                   no shaded copy of `io.opentelemetry.context`.",
            code: "",
        },
        Fix {
            at: At::Caller,
            language: "go",
            scope: "",
            step: "Go: the span is in the context that `Start` gives back; pass it on to every call.",
            code: "ctx, span := tracer.Start(ctx, name)",
        },
        Fix {
            at: At::Caller,
            language: "",
            scope: "",
            step: "Set up the SDK before any span is started, with its context manager, once a process.",
            code: "",
        },
    ],
    example: "
orders  POST /orders  server  0..60  http=/orders  repeat=12

orders  jobs publish  producer  5..9  queue=jobs  message=a  repeat=12   // detached-internal (context-manager-missing)

mailer  jobs process  consumer  30..50  queue=jobs  message=a  repeat=12   // detached-entry (context-manager-missing)
",
};
