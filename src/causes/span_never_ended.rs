//! `span-never-ended`: code starts a span and does not end it.

use super::{At, Cause, Fix};

pub(crate) static CAUSE: Cause = Cause {
    id: "span-never-ended",
    summary: "the span is started, and on some way through the code never ended",
    what: "Only ended spans are exported. When an early return, an exception or a forgotten callback \
           skips `span.end()`, its children are exported and name a parent that never comes.",
    speaks_for: "It is always the same operation of one process that is missing, at the same way through \
                 the code, while everything else of the service is complete.",
    speaks_against: "Other operations of the service are missing as well (losses at random), or a whole \
                     instrumentation scope in several services (a filter).",
    decides: "Look at the code that starts the span: is there a way on which `end()` is not reached? The \
              children tell where it got to.",
    remedy: "End the span on every way out.",
    fixes: &[
        Fix {
            at: At::Caller,
            language: "nodejs",
            scope: "",
            step: "Node.js: start it as the active span and end it in `finally`:",
            code: "return tracer.startActiveSpan('work', async (span) => {
  try {
    return await work()
  } finally {
    span.end()
  }
})",
        },
        Fix {
            at: At::Caller,
            language: "python",
            scope: "",
            step: "Python: use the context manager, which ends it on errors as well:",
            code: "with tracer.start_as_current_span('work'):
    work()",
        },
        Fix {
            at: At::Caller,
            language: "java",
            scope: "",
            step: "Java: end it in `finally`, after the scope is closed:",
            code: "Span span = tracer.spanBuilder(\"work\").startSpan();
try (Scope scope = span.makeCurrent()) {
  work();
} finally {
  span.end();
}",
        },
        Fix {
            at: At::Caller,
            language: "go",
            scope: "",
            step: "Go: defer it right after the start:",
            code: "ctx, span := tracer.Start(ctx, \"work\")
defer span.End()",
        },
        Fix {
            at: At::Caller,
            language: "",
            scope: "",
            step: "End the span where it was started, in a block that runs on every way out.",
            code: "",
        },
    ],
    example: "
web  GET /  server  0..60  repeat=60
  web  load  internal  5..50
    web  SELECT users  client  10..20
  web  render  internal  51..59
    web  SELECT views  client  52..55

web  GET /  server  70..130  repeat=20
  web  load  internal  75..120  lost=0..20
    web  SELECT users  client  80..90   // orphan-span (span-never-ended)
  web  render  internal  121..129
    web  SELECT views  client  122..125
",
};
