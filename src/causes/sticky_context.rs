//! `sticky-context`: something that was made inside a request keeps the context of that request.

use super::{At, Cause, Fix};

pub(crate) static CAUSE: Cause = Cause {
    id: "sticky-context",
    summary: "a connection or timer that was made inside a request keeps the context of that request",
    what: "A connection, subscription or interval that is opened lazily, inside the first request that needs \
           it, keeps the context in which it was made. Whatever its callbacks do later becomes a part of the \
           trace of that first request.",
    speaks_for: "One span has many children of one operation that start long after it ended; requests at that \
                 time lack the operation, or the children come at even times.",
    speaks_against: "Every such parent has late children, as with work that is not waited for, or they follow \
                     each other without a pause, as with a long list of jobs.",
    decides: "Open the connection or start the timer at start-up, before any request: when the fault is gone, \
              it was made inside a request.",
    remedy: "Make connections, subscriptions and timers outside of requests.",
    fixes: &[
        Fix {
            at: At::Callee,
            language: "nodejs",
            scope: "",
            step: "Node.js: connect in `onModuleInit` (NestJS) or before `listen`, or leave the request's \
                   context while connecting.",
            code: "context.with(ROOT_CONTEXT, () => client.connect())",
        },
        Fix {
            at: At::Callee,
            language: "nodejs",
            scope: "",
            step: "Answers over a shared socket: bind each request's callback to its own context.",
            code: "pending.set(id, AsyncResource.bind(onAnswer))",
        },
        Fix {
            at: At::Callee,
            language: "nodejs",
            scope: "",
            step: "Intervals: start them at start-up, or without a context.",
            code: "context.with(ROOT_CONTEXT, () => setInterval(refresh, 60_000))",
        },
        Fix {
            at: At::Callee,
            language: "python",
            scope: "",
            step: "Python: tasks copy the context in which they are made. Create background tasks at start-up, \
                   or in an empty context.",
            code: "asyncio.create_task(refresh(), context=contextvars.Context())",
        },
        Fix {
            at: At::Callee,
            language: "java",
            scope: "",
            step: "Java: create clients and scheduled tasks at start-up, or under the root context.",
            code: "try (Scope ignored = Context.root().makeCurrent()) { client.connect(); }",
        },
        Fix {
            at: At::Callee,
            language: "",
            scope: "",
            step: "Create what outlives a request under the root context, and enter the context of each \
                   request in its callbacks.",
            code: "",
        },
    ],
    example: "
pay  POST /pay  server  0..60
  pay  charge  internal  5..50
    pay  rates.find  internal  10..14
    pay  rates.find  internal  10010..10014   // misattributed-span (sticky-context)
    pay  rates.find  internal  20010..20014
    pay  rates.find  internal  30010..30014
    pay  rates.find  internal  40010..40014
    pay  rates.find  internal  50010..50014
    pay  rates.find  internal  60010..60014
    pay  rates.find  internal  70010..70014
    pay  rates.find  internal  80010..80014
    pay  rates.find  internal  90010..90014

pay  POST /pay  server  10000..10060  repeat=9
  pay  charge  internal  10005..10050
",
};
