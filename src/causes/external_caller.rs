//! `external-caller`: requests come from somebody who takes part in the trace and exports elsewhere.

use super::{At, Cause, Fix};

pub(crate) static CAUSE: Cause = Cause {
    id: "external-caller",
    summary: "the callers take part in the trace, and their spans are not in this data",
    what: "A browser, a mobile app, a load generator, or a gateway or service of somebody else sends the \
           context of its own trace. Its spans go elsewhere, or nowhere. What begins here is whole; it only \
           is not the beginning of the trace.",
    speaks_for: "The absent parent ran in another process, everything in the trace hangs on it, and no such \
                 span here ever had its parent in the data.",
    speaks_against: "The service that calls this place otherwise lost other spans as well: then it lost this one, too.",
    decides: "Who sends `traceparent` to this endpoint? A caller that is sampled out or never exported leaves \
              the same spans as one outside; its own configuration tells.",
    remedy: "Nothing has to be changed when the callers are not yours. When they are, let them export here.",
    fixes: &[
        Fix {
            at: At::Between,
            language: "",
            scope: "",
            step: "The callers are yours: let them send their spans to this backend, and sample with a \
                   parent-based sampler on both sides.",
            code: "",
        },
        Fix {
            at: At::Between,
            language: "",
            scope: "",
            step: "Nobody may decide on your sampling: let the edge drop the trace headers of requests from \
                   outside, or begin a new trace with a link to the caller's span.",
            code: "",
        },
    ],
    example: "
shop  GET /products/:id  server  0..40  http=/products/7  parent=browser  remote  repeat=5  // orphan-span (external-caller)
  shop  SELECT products  client  10..20

cart  GET  client  0..60  http=/items/7  repeat=8
  shop  GET /items/:id  server  5..50  http=/items/7

shop  GET /items/:id  server  0..60  http=/items/7  parent=browser  remote  repeat=8   // orphan-span (external-caller)
  shop  SELECT items  client  10..20
",
};
