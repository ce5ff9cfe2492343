//! `double-pipeline`: two ways lead to one backend.

use super::{At, Cause, Fix};

pub(crate) static CAUSE: Cause = Cause {
    id: "double-pipeline",
    summary: "the spans of the service go to the backend on two ways",
    what: "A provider with two span processors, an SDK that exports both directly and through a Collector, or two \
           pipelines of a Collector that end in one backend: every span is sent once for each way.",
    speaks_for: "Every span of the process is there equally often, from the first to the last. Or the copies \
                 differ in what one of the ways adds.",
    speaks_against: "Copies only in some stretches of time: then batches were sent again. Some spans are there \
                     three times, others twice.",
    decides: "Count the exporters: of the SDK (code and `OTEL_TRACES_EXPORTER`), and of every Collector pipeline \
              that the spans go through.",
    remedy: "Leave one way from the service to the backend.",
    fixes: &[
        Fix {
            at: At::Callee,
            language: "nodejs",
            scope: "",
            step: "Node.js: `traceExporter` already makes a batch processor; give `NodeSDK` either it or \
                   `spanProcessors`. `OTEL_TRACES_EXPORTER` adds none when one of them is set.",
            code: "new NodeSDK({ spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())] })",
        },
        Fix {
            at: At::Callee,
            language: "python",
            scope: "",
            step: "Python: `opentelemetry-instrument` adds a processor; code that runs under it must not call \
                   `add_span_processor` with an exporter to the same backend.",
            code: "",
        },
        Fix {
            at: At::Callee,
            language: "java",
            scope: "",
            step: "Java: the agent exports by itself; remove exporters that the application configures beside it.",
            code: "",
        },
        Fix {
            at: At::Between,
            language: "",
            scope: "",
            step: "Collector: list each receiver in one traces pipeline, and each exporter once; where several \
                   pipelines are needed, fork behind the receiver with a connector and filter so that no span \
                   takes both ways.",
            code: "",
        },
    ],
    example: "
web  GET /   server    0..50  repeat=12  id=a
web  GET /   server    0..50  id=a   // duplicate-span (double-pipeline)
  web  SELECT  client    5..10  id=b
  web  SELECT  client    5..10  id=b
",
};
