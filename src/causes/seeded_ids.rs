//! `seeded-ids`: the random numbers that ids are made of repeat.

use super::{At, Cause, Fix};

pub(crate) static CAUSE: Cause = Cause {
    id: "seeded-ids",
    summary: "the random numbers that span ids are made of are seeded, so they repeat",
    what: "A process sets the seed of the generator that the SDK takes its ids from, or several processes start \
           with the same seed or the same memory (a fork, a snapshot). They make the same ids in the same order.",
    speaks_for: "The same span ids for different spans, in one trace or in many, more often than random 64-bit ids \
                 ever would (about n²/2^65 for n spans); spans that are their own parents.",
    speaks_against: "The spans with one id start at the same time: then it is one span, written anew on its way. \
                     Traces that share their low 64 bits are one trace with a truncated id.",
    decides: "Look for a seed in the service that made the spans (`random.seed`, `--random-seed`), for forks after \
              the SDK was started, and for custom id generators.",
    remedy: "Take ids from a generator that nobody seeds.",
    fixes: &[
        Fix {
            at: At::Callee,
            language: "python",
            scope: "",
            step: "Python: ids come from the global `random`. Seed an own generator in the application, never the \
                   global one; libraries that seed it (training code, test plugins) run in a process of their own.",
            code: "rng = random.Random(42)   # in place of random.seed(42)",
        },
        Fix {
            at: At::Callee,
            language: "python",
            scope: "",
            step: "Python servers that fork (gunicorn, uWSGI): start the SDK after the fork, in `post_fork`, and do \
                   not seed before it.",
            code: "",
        },
        Fix {
            at: At::Callee,
            language: "nodejs",
            scope: "",
            step: "Node.js: ids come from `Math.random`. Start without `--random-seed` (look into NODE_OPTIONS too), \
                   and start the SDK after a snapshot is restored, not before it is taken; or give the provider an \
                   id generator that uses `crypto.randomBytes`.",
            code: "const idGenerator = {\n  generateTraceId: () => crypto.randomBytes(16).toString('hex'),\n  \
                   generateSpanId: () => crypto.randomBytes(8).toString('hex'),\n};\nnew NodeSDK({ idGenerator })",
        },
        Fix {
            at: At::Callee,
            language: "",
            scope: "",
            step: "Check custom id generators, and machines or processes that are cloned while the service runs \
                   (snapshots, forks, checkpoint and restore).",
            code: "",
        },
    ],
    example: "
py  GET /1  server  0..50    id=11aa22bb33cc44dd   // span-id-collision (seeded-ids)
  py  x  internal  0..9    id=21aa22bb33cc44dd
  py  y  internal  0..9    id=31aa22bb33cc44dd

py  GET /1  server  60..90   id=11aa22bb33cc44dd
  py  x  internal  60..69    id=21aa22bb33cc44dd
  py  y  internal  60..69    id=31aa22bb33cc44dd
",
};
