//! `scope-filtered`: a filter drops spans that have children.

use super::{At, Cause, Fix};

pub(crate) static CAUSE: Cause = Cause {
    id: "scope-filtered",
    summary: "something on the way drops all spans of an instrumentation scope, and their children stay \
              behind",
    what: "A filter of the Collector, or a processor in the SDK, drops spans by name, scope or attribute. \
           It does not hang their children on the span above: these keep the id of a parent that is gone.",
    speaks_for: "Operations never have their parent, which is of the same process, in several services or \
                 at several places of one.",
    speaks_against: "The parents are there at times: then they are lost, and not filtered.",
    decides: "Look for `filter` processors in the Collector and for span processors that drop spans in \
              the services.",
    remedy: "Do not drop spans that have children.",
    fixes: &[
        Fix {
            at: At::Between,
            language: "",
            scope: "",
            step: "Drop only what has no children, or switch the instrumentation off at its source, which \
                   keeps the traces whole (Node.js):",
            code: "OTEL_NODE_DISABLED_INSTRUMENTATIONS=express,net",
        },
        Fix {
            at: At::Between,
            language: "",
            scope: "",
            step: "In the Collector, look at `filter` processors with conditions on spans, such as \
                   `instrumentation_scope.name` or `kind`: these spans have children in most cases.",
            code: "",
        },
    ],
    example: "
web  GET /  server  0..60  repeat=40
  web  middleware  internal  5..50  lost=1/1
    web  GET  client  10..20  http=/price/7   // orphan-span (scope-filtered)
      price  GET /price/:id  server  12..18  http=/price/7
        price  middleware  internal  13..17  lost=1/1
          price  SELECT rates  client  14..16   // orphan-span (scope-filtered)
",
};
