//! `export-retry`: the exporter sent batches again that were stored already.

use super::{At, Cause, Fix};

pub(crate) static CAUSE: Cause = Cause {
    id: "export-retry",
    summary: "batches were sent again although the backend had stored them",
    what: "The answer to an export came too late or was an error (a timeout, 429, 502, 503 or 504 from a proxy), \
           while the spans were stored all the same. The exporter retries the batch, and its spans are there twice.",
    speaks_for: "The copies are equal, and lie in runs of time: whole batches of a process, and none in between.",
    speaks_against: "Every span of the process is there twice over many batches, or single spans scattered among \
                     others: a batch is sent as a whole.",
    decides: "Look for retries and timeouts in the logs of the SDK or Collector at the time of the copies \
              (`otelcol_exporter_send_failed_spans`, `OTEL_LOG_LEVEL=debug`).",
    remedy: "Let the exporter wait longer than the backend takes.",
    fixes: &[
        Fix {
            at: At::Callee,
            language: "",
            scope: "",
            step: "SDK: raise the timeout of the exporter (default 10 s), and send smaller batches.",
            code: "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT=30000\nOTEL_BSP_MAX_EXPORT_BATCH_SIZE=256",
        },
        Fix {
            at: At::Between,
            language: "",
            scope: "",
            step: "Collector: raise `timeout` of the exporter (default 5 s) above what the backend takes for a \
                   batch, and let no proxy in between give up earlier.",
            code: "",
        },
        Fix {
            at: At::Between,
            language: "",
            scope: "",
            step: "Answer quickly: put a Collector beside the service that accepts spans into a `sending_queue`.",
            code: "",
        },
    ],
    example: "
web  GET /   server    0..50  repeat=8  id=a

web  GET /   server    80000..80050  repeat=8  id=b
web  GET /   server    80000..80050  id=b   // duplicate-span (export-retry)

web  GET /   server    160000..160050  repeat=8  id=c
",
};
