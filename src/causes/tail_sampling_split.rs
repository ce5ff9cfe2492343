//! `tail-sampling-split`: Collectors decide on parts of a trace.

use super::{At, Cause, Fix};

pub(crate) static CAUSE: Cause = Cause {
    id: "tail-sampling-split",
    summary: "parts of a trace go to different Collectors, each of which decides on what it sees",
    what: "Tail sampling needs all spans of a trace in one Collector. When several receive spans without \
           routing by trace id, or decide before late spans arrive, each keeps or drops its part.",
    speaks_for: "Spans of many services are missing all the time, in whole parts of traces, and no \
                 function of the trace id tells which.",
    speaks_against: "One service stands out, or one stretch of time: then that service or moment is the \
                     reason.",
    decides: "Is there a `tail_sampling` processor, with more than one replica behind the same address? \
              Its metric `otelcol_processor_tail_sampling_sampling_late_span_age` shows spans that come \
              after the decision.",
    remedy: "Bring all spans of a trace to one Collector before sampling.",
    fixes: &[
        Fix {
            at: At::Between,
            language: "",
            scope: "",
            step: "Put a layer of Collectors in front that routes by trace id:",
            code: "exporters:
  loadbalancing:
    routing_key: traceID
    protocol:
      otlp: {}
    resolver:
      k8s:
        service: sampling-collector",
        },
        Fix {
            at: At::Between,
            language: "",
            scope: "",
            step: "Raise `decision_wait` of `tail_sampling` above the longest trace plus the export delay \
                   of its services (5 s by default), and `num_traces` above what arrives within that \
                   time.",
            code: "",
        },
    ],
    example: "
web  GET /  server  0..60  repeat=80  lost=1/9
  web  GET  client  5..50  http=/price/7  lost=1/7
    price  GET /price/:id  server  10..40  http=/price/7  lost=1/8  // orphan-span (tail-sampling-split)
      price  GET  client  22..38  http=/rates/7  lost=1/6
        rates  GET /rates/:id  server  25..35  http=/rates/7  lost=1/7
          rates  SELECT rates  client  27..30
",
};
