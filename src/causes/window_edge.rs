//! `window-edge`: the data ends in the middle of traces.

use super::{At, Cause, Fix};

pub(crate) static CAUSE: Cause = Cause {
    id: "window-edge",
    summary: "the data ends here: the rest was not exported or not read yet",
    what: "Spans arrive seconds after they end, longer ones later than their children. A file or window \
           that ends in between holds the first part of its last traces.",
    speaks_for: "Spans are missing at the very end of the data only.",
    speaks_against: "One service stops earlier than the others, or spans are missing before the end.",
    decides: "Read the same traces again some minutes later, or with a later end of the window.",
    remedy: "Leave the last seconds out, or read them again later.",
    fixes: &[
        Fix {
            at: At::Between,
            language: "",
            scope: "",
            step: "Let the window end some time before now (`--to`), or ask for the traces by their ids \
                   once they are complete.",
            code: "",
        },
        Fix {
            at: At::Between,
            language: "",
            scope: "",
            step: "Before an export at the end of a test, wait for twice the export delay of the services \
                   (5 s by default), or stop them first.",
            code: "",
        },
    ],
    example: "
web  GET /  server  0..60  repeat=40
  web  GET  client  5..50  http=/price/7  // unanswered-call (window-edge)
    price  GET /price/:id  server  10..40  http=/price/7  lost=39..40
",
};
