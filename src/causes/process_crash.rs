//! `process-crash`: a process died with the spans it had not exported.

use super::{At, Cause, Fix};

pub(crate) static CAUSE: Cause = Cause {
    id: "process-crash",
    summary: "the process ended without exporting its last spans, while its callers failed",
    what: "A process that is killed (out of memory, an uncaught error, `kill -9`) takes the spans with it \
           that wait for export, up to five seconds of them.",
    speaks_for: "Another process of the service takes over, spans are missing around that moment, and \
                 calls to the service fail until then.",
    speaks_against: "No call failed: then the process was stopped in order, but without flushing.",
    decides: "Look at the restarts of the service at that time: exit code, `OOMKilled`, the last lines of \
              its log.",
    remedy: "Find out why the process died, and lose less when it does.",
    fixes: &[
        Fix {
            at: At::Caller,
            language: "nodejs",
            scope: "",
            step: "Node.js: flush on uncaught errors before the process ends:",
            code: "process.on('uncaughtException', async (error) => {
  console.error(error)
  await sdk.shutdown().catch(() => {})
  process.exit(1)
})",
        },
        Fix {
            at: At::Caller,
            language: "",
            scope: "",
            step: "Export more often, so that a crash takes less:",
            code: "OTEL_BSP_SCHEDULE_DELAY=500",
        },
        Fix {
            at: At::Caller,
            language: "",
            scope: "",
            step: "Raise the memory limit of the container if it was killed for that, and compare it with \
                   the heap limit of the runtime (`NODE_OPTIONS=--max-old-space-size`).",
            code: "",
        },
    ],
    example: "
web  GET /  server  0..60  repeat=20
  web  GET  client  5..50  http=/price/7
    price  GET /price/:id  server  10..40  http=/price/7  instance=one

web  GET /  server  200000..200060  repeat=6
  web  GET  client  200005..200050  http=/price/7  error   // unanswered-call (process-crash)

web  GET /  server  260000..260060  repeat=20
  web  GET  client  260005..260050  http=/price/7
    price  GET /price/:id  server  260010..260040  http=/price/7  instance=two
",
};
