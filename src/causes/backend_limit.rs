//! `backend-limit`: the backend cuts large traces.

use super::{At, Cause, Fix};

pub(crate) static CAUSE: Cause = Cause {
    id: "backend-limit",
    summary: "the backend keeps or returns only a part of very large traces",
    what: "Backends cut traces that are too large: Tempo by bytes (`max_bytes_per_trace`), Jaeger on \
           Elasticsearch by documents of one query (`--es.max-doc-count`, 10,000), others by spans.",
    speaks_for: "Only the largest traces lack spans, and all smaller ones are complete.",
    speaks_against: "Small traces lack spans as well.",
    decides: "Ask the backend for the limit and for the number of spans that it holds of such a trace.",
    remedy: "Raise the limit of the backend, or make smaller traces.",
    fixes: &[
        Fix {
            at: At::Between,
            language: "",
            scope: "",
            step: "Tempo: raise `max_bytes_per_trace` in the overrides. Jaeger on Elasticsearch: raise \
                   `--es.max-doc-count` together with `index.max_result_window`.",
            code: "",
        },
        Fix {
            at: At::Between,
            language: "",
            scope: "",
            step: "A trace of so many spans often is a loop or a job under one root: give every item a \
                   trace of its own, with a link to the job.",
            code: "",
        },
    ],
    example: "
batch  run  internal  0..900  id=job
  batch  item  internal  1..800  times=6000  lost=1/100
    batch  SELECT item  client  2..3   // orphan-span (backend-limit)

batch  ping  internal  0..5  repeat=20
",
};
