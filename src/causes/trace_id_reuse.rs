//! `trace-id-reuse`: a span that belongs to no request stays active and is the parent of what requests do.

use super::{At, Cause, Fix};

pub(crate) static CAUSE: Cause = Cause {
    id: "trace-id-reuse",
    summary: "a span that was made active once, outside of requests, stays the parent of what requests do",
    what: "A span of the start of the process is made active and never left, or code keeps one span or one \
           context in a global and uses it as the parent. What requests do becomes a part of that one trace, \
           and their own entry spans stay without children.",
    speaks_for: "One trace lasts as long as the process, its spans hang on one parent that is in no request, \
                 and they start inside requests that lack them.",
    speaks_against: "No request lacks such spans: then it is a long job of its own, or a scheduler.",
    decides: "Print the active span at the start of a request handler, before anything else: it has to be the \
              entry span of this request.",
    remedy: "Leave the span of the start-up before requests are served, and keep no span in a global.",
    fixes: &[
        Fix {
            at: At::Callee,
            language: "nodejs",
            scope: "",
            step: "Node.js: end start-up spans before `listen`, do not use `AsyncLocalStorage.enterWith`, and \
                   start the server outside of `startActiveSpan`.",
            code: "await tracer.startActiveSpan('boot', async span => { await init(); span.end(); });\n\
                   server.listen(port)",
        },
        Fix {
            at: At::Callee,
            language: "python",
            scope: "",
            step: "Python: pair every `context.attach` with `context.detach`, and use \
                   `start_as_current_span` only as a `with` block.",
            code: "token = context.attach(ctx)\ntry:\n    handle()\nfinally:\n    context.detach(token)",
        },
        Fix {
            at: At::Callee,
            language: "java",
            scope: "",
            step: "Java: close every scope on the thread that opened it.",
            code: "try (Scope ignored = span.makeCurrent()) { handle(); }",
        },
        Fix {
            at: At::Callee,
            language: "go",
            scope: "",
            step: "Go: use the context of the request (`r.Context()`), not one that is kept in a struct.",
            code: "",
        },
        Fix {
            at: At::Callee,
            language: "",
            scope: "",
            step: "Make a span active only around the work that it stands for, and take the parent from the \
                   current context.",
            code: "",
        },
    ],
    example: "
stock  GET /items  server  0..50  repeat=10

stock  SELECT items  client  10..20  parent=boot  local   // multi-request-trace (trace-id-reuse)
stock  SELECT items  client  10010..10020  parent=boot  local
stock  SELECT items  client  20010..20020  parent=boot  local
stock  SELECT items  client  30010..30020  parent=boot  local
stock  SELECT items  client  40010..40020  parent=boot  local
stock  SELECT items  client  50010..50020  parent=boot  local
stock  SELECT items  client  60010..60020  parent=boot  local
stock  SELECT items  client  70010..70020  parent=boot  local
stock  SELECT items  client  80010..80020  parent=boot  local
stock  SELECT items  client  90010..90020  parent=boot  local
",
};
