//! `collector-refused`: the Collector refused spans for some time.

use super::{At, Cause, Fix};

pub(crate) static CAUSE: Cause = Cause {
    id: "collector-refused",
    summary: "for some time the Collector or backend took no spans",
    what: "A Collector that is out of memory (`memory_limiter`), restarts, or whose backend is slow \
           answers with 429 or 503. Exporters retry for a while and then drop; how long differs by SDK.",
    speaks_for: "Several services lose spans in the same stretch of time, and hardly any outside of it.",
    speaks_against: "The losses go on all the time, or are those of one service.",
    decides: "Look at `otelcol_processor_refused_spans`, `otelcol_exporter_send_failed_spans` and \
              `otelcol_exporter_enqueue_failed_spans` of the Collector at that time.",
    remedy: "Give the Collector room for peaks, and let it queue.",
    fixes: &[
        Fix {
            at: At::Between,
            language: "",
            scope: "",
            step: "Queue and retry in the Collector, with a queue that survives restarts:",
            code: "extensions:
  file_storage: {}
exporters:
  otlp:
    endpoint: backend:4317
    sending_queue:
      storage: file_storage
      queue_size: 10000
    retry_on_failure:
      max_elapsed_time: 10m",
        },
        Fix {
            at: At::Between,
            language: "",
            scope: "",
            step: "Raise the memory of the Collector together with `limit_mib` of `memory_limiter`, and \
                   run more than one replica.",
            code: "",
        },
    ],
    example: "
web  GET /  server  0..60  repeat=60  lost=20..26
  web  GET  client  5..50  http=/price/7
    price  GET /price/:id  server  10..40  http=/price/7  lost=20..26
      price  SELECT rates  client  12..20   // orphan-span (collector-refused)
",
};
