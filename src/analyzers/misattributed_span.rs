//! `misattributed-span`: work of one request is in the trace of another.

use super::{Analyzer, Case, Rule};
use crate::finding::Finding;
use crate::report::{CheckNotPossible, Severity};

static RULE: Rule = Rule {
    name: "misattributed-span",
    severity: Severity::Error,
    summary: "Work of one request is in the trace of another.",
    what: "Spans whose parent is there, but is that of another request: some requests have too many spans of an \
           operation while requests of the same time lack them; children start long after their parent's \
           request was over; or a batch of messages is handled in the trace of its first message. Retries, \
           loops and work that is not waited for look alike, so the spans have to fit into the requests that \
           lack them far more often than they would by chance.",
    why: "Both traces lie: one shows work that it did not cause, the other lacks what made it slow. Counts, \
          latencies and errors go to the wrong request, user or tenant.",
    fix: "Find out what runs callbacks of one request in the context of another.
Too many here and as many too few there, under load: a pool of connections; bind what waits in it.
Many late children under one span: a connection, subscription or timer was made inside that request; make it \
at start-up.
Batches of messages: start a span for each message with its own context, or add a link for each.",
    example: "
shop  GET /cart  server  0..60  repeat=20
  shop  SELECT cart  client  10..20
  shop  render  internal  20..50

shop  GET /cart  server  1000..1060  repeat=10
  shop  SELECT cart  client  1010..1020
  shop  render  internal  1020..1050
  shop  SELECT cart  client  1025..1040   // misattributed-span

shop  GET /cart  server  1005..1075  repeat=10
  shop  render  internal  1040..1070
",
};

/// The analyzer.
pub(super) struct MisattributedSpan;

impl Analyzer for MisattributedSpan {
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
            "batches of messages are not judged: without links, those that are linked look like the others",
        );
        case.without_instances(RULE.name).into_iter().chain(links).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::analyzers::notation::check;

    #[test]
    fn retries_and_failures_are_silent() {
        check(
            "
shop  GET /cart  server  0..60  repeat=20
  shop  SELECT cart  client  10..20
  shop  render  internal  20..50

shop  GET /cart  server  1000..1080  repeat=10
  shop  SELECT cart  client  1010..1020
  shop  SELECT cart  client  1022..1040
  shop  render  internal  1040..1070

shop  GET /cart  server  3000..3004  repeat=10
",
        );
    }

    #[test]
    fn work_that_is_not_waited_for_is_silent() {
        check(
            "
shop  POST /import  server  0..60  repeat=5
  shop  row  internal  70..90
  shop  row  internal  90..2110
  shop  row  internal  2110..2130
  shop  row  internal  2130..4150
  shop  row  internal  4150..4170
  shop  row  internal  4170..4190
  shop  row  internal  4190..4210

shop  POST /orders  server  5000..5060  repeat=20
",
        );
    }

    #[test]
    fn a_timer_that_is_started_in_a_request_is_found() {
        let ticks: Vec<String> = (1..=12)
            .map(|tick| format!("  shop  refresh  internal  {0}..{1}", tick * 500, tick * 500 + 3))
            .collect();
        let ticks = ticks.join("\n").replacen("503", "503  // misattributed-span (sticky-context)", 1);
        check(&format!(
            "
shop  GET /cart  server  0..60
{ticks}

shop  GET /cart  server  10000..10060  repeat=20
"
        ));
    }

    #[test]
    fn batches_with_links_are_silent() {
        check(
            "
orders  jobs send  producer  0..2  queue=jobs  repeat=6
  mailer  jobs process  consumer  30..80  queue=jobs  batch=2  link=other
    mailer  INSERT mails  client  35..50
    mailer  INSERT mails  client  55..70

orders  jobs send  producer  10..12  queue=jobs  repeat=6  id=other
",
        );
    }
}
