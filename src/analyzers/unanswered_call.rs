//! `unanswered-call`: a call has no span on the other side, although such calls usually do.

use super::{Analyzer, Case, Rule};
use crate::finding::Finding;
use crate::report::Severity;

static RULE: Rule = Rule {
    name: "unanswered-call",
    severity: Severity::Error,
    summary: "Calls have no span on the other side, although such calls usually do.",
    what: "Client and producer spans that no server or consumer span answers, of calls that are answered in \
           other traces, where time, process or trace id show a reason. Nothing below such a call was \
           recorded: there is no orphan, the trace just ends. A call that failed, or that nobody ever \
           answers, is no finding, and neither is one whose other side was found damaged elsewhere.",
    why: "A trace that ends early looks whole: whoever reads it takes the call for the end of the story, and \
          the time behind it is nobody's.",
    fix: "Find out why the called service recorded or exported nothing.
Some trace ids always, others never: the service samples on its own; let it follow its caller \
(`OTEL_TRACES_SAMPLER=parentbased_always_on`).
From one moment on: its process ended without flushing; call `shutdown` of the SDK on SIGTERM.
At random under load: its exporter drops spans; raise `OTEL_BSP_MAX_QUEUE_SIZE`.",
    example: "
web  GET /  server  0..60  repeat=80
  web  GET  client  5..50  http=/price/7   // unanswered-call
    price  GET /price/:id  server  10..40  http=/price/7  sampled=0.5
",
};

/// The analyzer.
pub(super) struct UnansweredCall;

impl Analyzer for UnansweredCall {
    fn rule(&self) -> &'static Rule {
        &RULE
    }

    fn judge(&self, case: &Case<'_>) -> Vec<Finding> {
        case.breaks(&RULE)
    }
}

#[cfg(test)]
mod tests {
    use crate::analyzers::notation::check;

    #[test]
    fn calls_that_nobody_ever_answers_are_silent() {
        check(
            "
web  GET /  server  0..60  repeat=80
  web  POST  client  5..50  http=/v1/charges
",
        );
    }

    #[test]
    fn calls_that_fail_at_times_are_silent() {
        check(
            "
web  GET /  server  0..60  repeat=80
  web  GET  client  5..50  http=/price/7
    price  GET /price/:id  server  10..40  http=/price/7

web  GET /  server  70..130  repeat=9
  web  GET  client  75..120  http=/price/7  error
",
        );
    }

    #[test]
    fn a_cache_that_answers_some_calls_is_silent() {
        check(
            "
web  GET /  server  0..60  repeat=80
  web  GET  client  5..50  http=/price/7
    price  GET /price/:id  server  10..40  http=/price/7  lost=1/3
  web  GET  client  51..59  http=/stock/7
    stock  GET /stock/:id  server  52..58  http=/stock/7  lost=1/2
",
        );
    }

    #[test]
    fn a_path_that_is_never_traced_is_silent() {
        check(
            "
web  GET /  server  0..60  repeat=80
  web  GET  client  5..50  http=/price/7
    price  GET /price/:id  server  10..40  http=/price/7
  web  GET  client  51..53  http=/healthz
",
        );
    }

    #[test]
    fn one_call_in_many_without_an_answer_is_silent() {
        check(
            "
web  GET /  server  0..60  repeat=80
  web  GET  client  5..50  http=/price/7
    price  GET /price/:id  server  10..40  http=/price/7  lost=7..9
",
        );
    }
}
