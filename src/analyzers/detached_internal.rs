//! `detached-internal`: work inside a process is a root although it belongs to a request.

use super::{Analyzer, Case, Rule};
use crate::finding::Finding;
use crate::report::{CheckNotPossible, Severity};

static RULE: Rule = Rule {
    name: "detached-internal",
    severity: Severity::Error,
    summary: "Work inside a process loses the context of its request, and begins a trace of its own.",
    what: "Internal, client and producer spans without a parent and without a link that belong to a request of \
           their own process. A root alone proves nothing: jobs, timers and start-up are roots too. So the \
           roots have to start while a request is open that lacks just this span, far more often than they \
           would by chance; or no span of the process has a parent at all.",
    why: "The trace of the request lacks what was done for it, and the work has no cause: errors and latency \
          of the one cannot be seen from the other, and calls that it makes continue the wrong trace.",
    fix: "Find out where the work is handed over.
Roots of every operation, in every request: no context manager is registered, or there are two copies of the API.
Roots of one operation: look for a queue in memory, an event bus, an executor or a worker thread between the \
request and the span, and take the context along.
If a trace of its own is intended, add a span link to the request: linked roots are not reported.",
    example: "
shop  POST /orders  server  0..60  repeat=20
  shop  save  internal  5..20
  shop  notify  internal  22..30

shop  POST /orders  server  1000..1060  repeat=12
  shop  save  internal  1005..1020

shop  notify  internal  1022..1030  repeat=12   // detached-internal
",
};

/// The analyzer.
pub(super) struct DetachedInternal;

impl Analyzer for DetachedInternal {
    fn rule(&self) -> &'static Rule {
        &RULE
    }

    fn judge(&self, case: &Case<'_>) -> Vec<Finding> {
        case.breaks(&RULE)
    }

    fn not_possible(&self, case: &Case<'_>) -> Vec<CheckNotPossible> {
        let links = case.lacking(
            RULE.name,
            |capabilities| !capabilities.links,
            "without links, roots that are linked on purpose look like lost ones: medium confidence at most",
        );
        case.without_instances(RULE.name).into_iter().chain(links).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::analyzers::notation::check;

    #[test]
    fn jobs_and_probes_are_silent() {
        check(
            "
shop  POST /orders  server  0..60  repeat=30
  shop  save  internal  5..20

shop  GET /healthz  server  5000..5001  repeat=30

shop  cleanup  internal  3000..3400  repeat=30
",
        );
        // A scheduler: nothing but jobs and probes.
        check(
            "
cron  GET /healthz  server  5000..5001  repeat=30

cron  cleanup  internal  3000..3400  repeat=30
",
        );
    }

    #[test]
    fn what_a_timer_and_requests_both_do_is_silent() {
        check(
            "
shop  POST /orders  server  0..60  repeat=20
  shop  cache.refresh  internal  5..20

shop  POST /orders  server  1000..1060  repeat=20

shop  cache.refresh  internal  4000..4015  repeat=40
",
        );
    }

    #[test]
    fn linked_roots_are_silent() {
        check(
            "
shop  POST /orders  server  0..60  repeat=20
  shop  notify  internal  22..30

shop  POST /orders  server  1000..1060  repeat=12  id=request

shop  notify  internal  1022..1030  repeat=12  link=request
",
        );
    }

    #[test]
    fn what_waits_for_the_next_message_is_silent() {
        check(
            "
orders  jobs publish  producer  0..1  queue=jobs  repeat=30
  mailer  jobs process  consumer  1000..1060  queue=jobs

mailer  BRPOP  client  1001..11000  repeat=30
",
        );
    }

    #[test]
    fn work_that_is_always_a_root_inside_requests_is_found() {
        check(
            "
shop  POST /orders  server  0..60  repeat=10
  shop  save  internal  5..20

shop  POST /orders  server  700..760  repeat=10
  shop  save  internal  705..720

shop  POST /orders  server  3900..3960  repeat=10
  shop  save  internal  3905..3920

shop  notify  internal  22..30  repeat=10   // detached-internal (async-context-lost)

shop  notify  internal  722..730  repeat=10

shop  notify  internal  3922..3930  repeat=10
",
        );
        // At even times a timer may start it.
        check(
            "
shop  POST /orders  server  0..60  repeat=20
  shop  save  internal  5..20

shop  notify  internal  22..30  repeat=20
",
        );
    }
}
