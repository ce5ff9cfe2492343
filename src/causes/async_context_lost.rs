//! `async-context-lost`: work is handed over inside a process, and the context is not handed over with it.

use super::{At, Cause, Fix};

pub(crate) static CAUSE: Cause = Cause {
    id: "async-context-lost",
    summary: "work is handed over inside the process without its context",
    what: "A request hands work to something that runs it later or elsewhere, and what runs it does not have \
           the context of the request: an event bus or a stream that a timer drains, callbacks of a library \
           with promises of its own, a worker thread or an executor, an exception filter outside of the \
           interceptor that made the span, or a span that is started as a root on purpose. All of them leave \
           the same spans. Native promises, async functions, timers and synchronous events keep the context.",
    speaks_for: "The spans are roots, start while a request is open, and that request lacks just this span, \
                 while others of its kind have it.",
    speaks_against: "The spans come at even times, or as often while no request is open: then a timer or a job \
                     of its own starts them.",
    decides: "Look at what calls the code that starts this span. A subscription or event handler: the emitter \
              or subject defers it. `.then` of an object that is no native promise: the library. A message to \
              a worker or a task of an executor: the thread. `root: true` or `ROOT_CONTEXT`: it is intended. \
              A small trace below the root speaks for the last two, a single span for the others.",
    remedy: "Take the context along where the work is handed over.",
    fixes: &[
        Fix {
            at: At::Callee,
            language: "nodejs",
            scope: "nestjs",
            step: "NestJS: exception filters run outside of what an interceptor makes active. Start the span \
                   in a middleware, or keep its context on the request and enter it in the filter.",
            code: "catch(error, host) {\n  const request = host.switchToHttp().getRequest();\n  \
                   context.with(request.otelContext, () => this.report(error));\n}",
        },
        Fix {
            at: At::Callee,
            language: "nodejs",
            scope: "",
            step: "Node.js, events and queues in memory: bind each handler when the work is handed over, not \
                   once when it is registered.",
            code: "queue.push(AsyncResource.bind(() => handle(item)))\n\
                   // or: const run = context.bind(context.active(), () => handle(item))",
        },
        Fix {
            at: At::Callee,
            language: "nodejs",
            scope: "",
            step: "RxJS: a hot Subject behind bufferTime, debounce or a scheduler runs in the context of the \
                   timer. Put the context into the item, and enter it in the subscriber.",
            code: "subject.next({ item, ctx: context.active() })\n\
                   subject.pipe(bufferTime(50)).subscribe(batch => batch.forEach(\n  \
                   ({ item, ctx }) => context.with(ctx, () => handle(item))))",
        },
        Fix {
            at: At::Callee,
            language: "nodejs",
            scope: "",
            step: "Libraries with promises of their own: `await` the result, or bind the callback.",
            code: "thenable.then(AsyncResource.bind(onResult))",
        },
        Fix {
            at: At::Callee,
            language: "nodejs",
            scope: "",
            step: "worker_threads and child processes: inject into the message, and extract on the other side.",
            code: "const carrier = {};\npropagation.inject(context.active(), carrier);\n\
                   worker.postMessage({ task, carrier });",
        },
        Fix {
            at: At::Callee,
            language: "webjs",
            scope: "",
            step: "Browsers: Zone.js loses the context after native `await`. Compile to ES2015 where zones \
                   are used, or pass the context explicitly.",
            code: "",
        },
        Fix {
            at: At::Callee,
            language: "python",
            scope: "",
            step: "Python: executors and threads begin with an empty context. Use \
                   opentelemetry-instrumentation-threading, `asyncio.to_thread`, or copy the context.",
            code: "executor.submit(contextvars.copy_context().run, handle, item)",
        },
        Fix {
            at: At::Callee,
            language: "java",
            scope: "",
            step: "Java: wrap the executor or the task; the agent does so only for executors that it knows.",
            code: "ExecutorService executor = Context.taskWrapping(Executors.newFixedThreadPool(4));",
        },
        Fix {
            at: At::Callee,
            language: "go",
            scope: "",
            step: "Go: pass `ctx` to the goroutine, without its deadline when it outlives the request.",
            code: "go handle(context.WithoutCancel(ctx), item)",
        },
        Fix {
            at: At::Callee,
            language: "dotnet",
            scope: "",
            step: ".NET: keep `Activity.Current.Context` with the item and start the activity below it; \
                   channels and `ExecutionContext.SuppressFlow` do not carry it.",
            code: "source.StartActivity(\"handle\", ActivityKind.Internal, item.ParentContext)",
        },
        Fix {
            at: At::Callee,
            language: "",
            scope: "",
            step: "Keep the current context with the piece of work, and make it current again where the work \
                   runs. Where a trace of its own is intended, add a link to the request.",
            code: "",
        },
    ],
    example: "
shop  POST /orders  server  0..60  repeat=20
  shop  save  internal  5..20
  shop  notify  internal  22..30

shop  POST /orders  server  1000..1060  repeat=12
  shop  save  internal  1005..1020

shop  notify  internal  1022..1030  repeat=12   // detached-internal (async-context-lost)
",
};
