//! `span-not-activated`: a span is started around work, but is not active while the work is done.

use super::{At, Cause, Fix};

pub(crate) static CAUSE: Cause = Cause {
    id: "span-not-activated",
    summary: "the span is started and never made active, so nothing becomes its child",
    what: "A wrapper (interceptor, middleware, decorator) starts a span before the work and ends it after, but \
           does not make it the active span. What the work starts has the parent that was active before.",
    speaks_for: "The span is a leaf and encloses its later siblings, which elsewhere are its children.",
    speaks_against: "The siblings run beside it: they end after it, or begin and end at other times.",
    decides: "Print the active span inside the wrapped work: it has to be the span of the wrapper.",
    remedy: "Make the span active while the work is done.",
    fixes: &[
        Fix {
            at: At::Callee,
            language: "nodejs",
            scope: "",
            step: "NestJS interceptors: subscribe to the handler inside the context of the span.",
            code: "const span = tracer.startSpan(name);\n\
                   const ctx = trace.setSpan(context.active(), span);\n\
                   return new Observable(subscriber => context.with(ctx, () => next.handle()\n  \
                   .pipe(finalize(() => span.end())).subscribe(subscriber)));",
        },
        Fix {
            at: At::Callee,
            language: "nodejs",
            scope: "",
            step: "Other wrappers: `startActiveSpan` instead of `startSpan`.",
            code: "return tracer.startActiveSpan(name, span => work().finally(() => span.end()))",
        },
        Fix {
            at: At::Callee,
            language: "python",
            scope: "",
            step: "Python: `start_as_current_span` instead of `start_span`.",
            code: "with tracer.start_as_current_span(name):",
        },
        Fix {
            at: At::Callee,
            language: "java",
            scope: "",
            step: "Java: `makeCurrent` around the work, or `@WithSpan`.",
            code: "try (Scope ignored = span.makeCurrent()) { work(); } finally { span.end(); }",
        },
        Fix {
            at: At::Callee,
            language: "go",
            scope: "",
            step: "Go: pass the context that `Start` gives back to the work.",
            code: "ctx, span := tracer.Start(ctx, name)\ndefer span.End()\nwork(ctx)",
        },
        Fix {
            at: At::Callee,
            language: "",
            scope: "",
            step: "Put the span into the current context for as long as the work lasts.",
            code: "",
        },
    ],
    example: "
shop  GET /cart  server  0..60  repeat=10
  shop  intercept  internal  2..58
    shop  load  internal  5..30
    shop  price  internal  32..55

shop  GET /cart  server  1000..1060  repeat=5
  shop  intercept  internal  1002..1058   // inactive-span (span-not-activated)
  shop  load  internal  1005..1030
  shop  price  internal  1032..1055
",
};
