//! `export-queue-overflow`: the exporter of a service drops spans under load.

use super::{At, Cause, Fix};

pub(crate) static CAUSE: Cause = Cause {
    id: "export-queue-overflow",
    summary: "the exporter of the service drops spans because its queue is full, or its exports fail",
    what: "The batch processor keeps ended spans in a queue of 2,048 (`OTEL_BSP_MAX_QUEUE_SIZE`). When \
           they end faster than they are exported, or the Collector answers too slowly, new ones are \
           dropped, whatever they are.",
    speaks_for: "Spans of one service are missing, of many operations, all over the time, and more under \
                 load.",
    speaks_against: "Only one operation is missing; or the losses have an end, a restart, or a moment in \
                     common with other services.",
    decides: "Look for warnings of the SDK about dropped spans or failed exports at the time of the \
              losses (Node.js: `OTEL_LOG_LEVEL=warn`), and at `otelcol_receiver_refused_spans` of the \
              Collector.",
    remedy: "Give the queue room, and let exports be quick.",
    fixes: &[
        Fix {
            at: At::Caller,
            language: "",
            scope: "",
            step: "Raise the queue and the batch of the service that loses spans, and export more often \
                   (the values are starting points):",
            code: "OTEL_BSP_MAX_QUEUE_SIZE=16384
OTEL_BSP_MAX_EXPORT_BATCH_SIZE=2048
OTEL_BSP_SCHEDULE_DELAY=1000",
        },
        Fix {
            at: At::Between,
            language: "",
            scope: "",
            step: "Send to a Collector on the same host or node, so that an export takes milliseconds, \
                   and let it batch and retry (`sending_queue`, `retry_on_failure`).",
            code: "",
        },
        Fix {
            at: At::Caller,
            language: "",
            scope: "",
            step: "Make fewer spans: switch off instrumentations that make one for every middleware, DNS \
                   lookup or file (`OTEL_NODE_DISABLED_INSTRUMENTATIONS=fs,dns,net`).",
            code: "",
        },
    ],
    example: "
web  GET /  server  0..60  repeat=90
  web  GET  client  5..50  http=/price/7
    price  GET /price/:id  server  10..40  http=/price/7  lost=1/6
      price  SELECT rates  client  12..20   // orphan-span (export-queue-overflow)
",
};
