//! `exit-without-flush`: a process ended without exporting what it had.

use super::{At, Cause, Fix};

pub(crate) static CAUSE: Cause = Cause {
    id: "exit-without-flush",
    summary: "the process ended in order, but did not export its last spans",
    what: "A batch processor exports every few seconds. A process that ends in between has to flush \
           first; without a handler for its signal, or when it calls `process.exit`, it does not.",
    speaks_for: "Spans of one service are missing from one moment on, the calls to it did not fail, and \
                 other services go on.",
    speaks_against: "Calls failed at that moment (a crash), or everything ends there (the edge of the \
                     data).",
    decides: "Does the log of the process show a shutdown at that time? Does its code call `shutdown` of \
              the SDK on SIGTERM?",
    remedy: "Flush before the process ends.",
    fixes: &[
        Fix {
            at: At::Caller,
            language: "nodejs",
            scope: "nestjs",
            step: "NestJS: let it see the signals (`app.enableShutdownHooks()` in main.ts) and flush when \
                   the application is down:",
            code: "@Injectable()
export class Tracing implements OnApplicationShutdown {
  async onApplicationShutdown() {
    await sdk.shutdown()
  }
}",
        },
        Fix {
            at: At::Caller,
            language: "nodejs",
            scope: "",
            step: "Node.js: flush on SIGTERM, and never call `process.exit` before:",
            code: "process.on('SIGTERM', async () => {
  await server.close()
  await sdk.shutdown()
  process.exit(0)
})",
        },
        Fix {
            at: At::Caller,
            language: "python",
            scope: "",
            step: "Python: the provider flushes at exit, but not on SIGTERM, and not in forked workers; \
                   call it there:",
            code: "signal.signal(signal.SIGTERM, lambda *_: (trace.get_tracer_provider().shutdown(), sys.exit(0)))",
        },
        Fix {
            at: At::Caller,
            language: "go",
            scope: "",
            step: "Go: call `Shutdown` of the provider before `main` returns, and not in a `defer` that \
                   `os.Exit` or `log.Fatal` skips.",
            code: "defer func() { _ = provider.Shutdown(context.Background()) }()",
        },
        Fix {
            at: At::Caller,
            language: "",
            scope: "",
            step: "Call `shutdown` of the tracer provider when the process gets its signal to stop, and \
                   give it time (`terminationGracePeriodSeconds` in Kubernetes).",
            code: "",
        },
    ],
    example: "
web  GET /  server  0..60  repeat=40
  web  GET  client  5..50  http=/price/7   // unanswered-call (exit-without-flush)
    price  GET /price/:id  server  10..40  http=/price/7  lost=34..40
",
};
