//! `pool-callback`: a pool runs waiting callbacks in the context of the request that releases a connection.

use super::{At, Cause, Fix};

pub(crate) static CAUSE: Cause = Cause {
    id: "pool-callback",
    summary: "a pool runs what waited for a connection in the context of the request that released it",
    what: "A request that finds no free connection waits in the queue of the pool. When another request gives \
           its connection back, the pool calls the waiting callback at once, in the context of that other \
           request, and the query becomes a span of the wrong trace.",
    speaks_for: "Requests of one kind have the operation equally often, but for some that have one too many \
                 and as many that lack it, at the same time; the spans fit into the holes.",
    speaks_against: "Requests with too many have them one after the other and none is missing elsewhere: then \
                     it is a retry or a loop. Requests that lack it failed before: then nothing was moved.",
    decides: "Give the pool more connections than there are requests at a time: when the fault is gone, it \
              was the queue of the pool.",
    remedy: "Bind callbacks to their context before they wait in the pool.",
    fixes: &[
        Fix {
            at: At::Callee,
            language: "nodejs",
            scope: "instrumentation-pg",
            step: "pg: use the promise API of `pg.Pool` (`await pool.query(…)`), with current versions of pg \
                   and of its instrumentation.",
            code: "const result = await pool.query('SELECT …')",
        },
        Fix {
            at: At::Callee,
            language: "nodejs",
            scope: "instrumentation-mysql",
            step: "mysql and mysql2: take connections with promises (`mysql2/promise`), or bind the callback.",
            code: "pool.getConnection(AsyncResource.bind(callback))",
        },
        Fix {
            at: At::Callee,
            language: "nodejs",
            scope: "instrumentation-mongo",
            step: "mongodb and mongoose: update the driver and its instrumentation; older ones run commands \
                   that waited for a connection in the context of another.",
            code: "",
        },
        Fix {
            at: At::Callee,
            language: "nodejs",
            scope: "",
            step: "generic-pool, drivers with callbacks and pools of your own: bind what waits.",
            code: "pool.acquire(AsyncResource.bind(callback))",
        },
        Fix {
            at: At::Callee,
            language: "java",
            scope: "",
            step: "Java, reactive and asynchronous drivers: wrap the callback when it is handed over.",
            code: "client.query(sql, Context.current().wrapConsumer(this::onResult));",
        },
        Fix {
            at: At::Callee,
            language: "",
            scope: "",
            step: "Keep the current context with what waits for a resource, and make it current again before \
                   it runs.",
            code: "",
        },
    ],
    example: "
shop  GET /cart  server  0..60  repeat=20
  shop  SELECT cart  client  10..20
  shop  render  internal  20..50

shop  GET /cart  server  1000..1060  repeat=10
  shop  SELECT cart  client  1010..1020
  shop  render  internal  1020..1050
  shop  SELECT cart  client  1025..1040   // misattributed-span (pool-callback)

shop  GET /cart  server  1005..1075  repeat=10
  shop  render  internal  1040..1070
",
};
