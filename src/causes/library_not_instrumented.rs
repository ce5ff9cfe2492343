//! `library-not-instrumented`: a library was loaded before its instrumentation, or in a version that it
//! does not know.

use super::{At, Cause, Fix};

pub(crate) static CAUSE: Cause = Cause {
    id: "library-not-instrumented",
    summary: "a library is not instrumented: it was loaded before the SDK, or in a version that is not supported",
    what: "Instrumentations replace functions of a library when it is loaded. What was loaded before the SDK, is \
           bundled, is an ES module without the loader hook, or has a version outside of the supported range, \
           stays as it is, and nothing says so.",
    speaks_for: "HTTP spans are there and know no route, and the service has no span of a framework, while services \
                 of the same language have both.",
    speaks_against: "The service answers with the HTTP library alone, without a framework: then nothing is missing.",
    decides: "Start with OTEL_LOG_LEVEL=debug: the SDK names every library that it patches, and warns of those \
              that were loaded before.",
    remedy: "Start the SDK before the library is loaded, with an instrumentation that supports its version.",
    fixes: &[
        Fix {
            at: At::Callee,
            language: "nodejs",
            scope: "",
            step: "Node.js: load the SDK with `--require` (CommonJS), or with the loader hook and `--import` (ES \
                   modules), not from a file of the application.",
            code: "node --require ./tracing.js app.js\nnode \
                   --experimental-loader=@opentelemetry/instrumentation/hook.mjs --import ./tracing.js app.mjs",
        },
        Fix {
            at: At::Callee,
            language: "nodejs",
            scope: "",
            step: "NestJS 12 is made of ES modules, and @opentelemetry/instrumentation-nestjs-core up to 0.70.0 \
                   supports versions below 12: no Nest spans and no warning \
                   (github.com/open-telemetry/opentelemetry-js-contrib/issues/3732). Stay on 11, or use a version \
                   that names 12.",
            code: "",
        },
        Fix {
            at: At::Callee,
            language: "nodejs",
            scope: "",
            step: "Bundlers (esbuild, webpack): mark the instrumented packages as external, so that they are loaded \
                   at run time.",
            code: "esbuild app.ts --bundle --platform=node --packages=external",
        },
        Fix {
            at: At::Callee,
            language: "python",
            scope: "",
            step: "Python: start with `opentelemetry-instrument`, or instrument before the application object is \
                   made.",
            code: "",
        },
        Fix {
            at: At::Callee,
            language: "",
            scope: "",
            step: "Compare the version of the library with the range that its instrumentation supports.",
            code: "",
        },
    ],
    example: "
shop  GET  server  0..50  repeat=8  sdk=nodejs  http=/carts

shop  POST  server  0..50  repeat=8  sdk=nodejs  http=/orders   // instrumentation-loaded-late (library-not-instrumented)

shop  GET  server  0..50  repeat=8  sdk=nodejs  http=/vouchers

stock  GET /items  server  0..50  repeat=8  sdk=nodejs  route=/items
",
};
