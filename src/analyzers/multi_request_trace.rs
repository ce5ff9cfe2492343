//! `multi-request-trace`: one trace holds the work of many requests.

use super::{Analyzer, Case, Rule};
use crate::finding::Finding;
use crate::report::{CheckNotPossible, Severity};

static RULE: Rule = Rule {
    name: "multi-request-trace",
    severity: Severity::Error,
    summary: "One trace holds the work of many requests.",
    what: "Spans under one parent that is in no request, over a time far longer than any request takes, while \
           the requests of that time lack just these spans. Long jobs and schedulers have traces as long, but \
           nothing lacks what is in them.",
    why: "The trace grows without end until backends cut it, and every request of the process lacks the part \
          that matters.",
    fix: "Find the span that stays active.
One trace since the start of the process: a start-up span is active while requests are served; end it before.
One trace for all messages: the loop of the consumer runs inside a span; start it without one, and take the \
parent from each message.",
    example: "
stock  GET /items  server  0..50  repeat=10

stock  SELECT items  client  10..20  parent=boot  local   // multi-request-trace
stock  SELECT items  client  10010..10020  parent=boot  local
stock  SELECT items  client  20010..20020  parent=boot  local
stock  SELECT items  client  30010..30020  parent=boot  local
stock  SELECT items  client  40010..40020  parent=boot  local
stock  SELECT items  client  50010..50020  parent=boot  local
stock  SELECT items  client  60010..60020  parent=boot  local
stock  SELECT items  client  70010..70020  parent=boot  local
stock  SELECT items  client  80010..80020  parent=boot  local
stock  SELECT items  client  90010..90020  parent=boot  local
",
};

/// The analyzer.
pub(super) struct MultiRequestTrace;

impl Analyzer for MultiRequestTrace {
    fn rule(&self) -> &'static Rule {
        &RULE
    }

    fn judge(&self, case: &Case<'_>) -> Vec<Finding> {
        case.breaks(&RULE)
    }

    fn not_possible(&self, case: &Case<'_>) -> Vec<CheckNotPossible> {
        case.without_instances(RULE.name)
    }
}

#[cfg(test)]
mod tests {
    use crate::analyzers::notation::check;

    #[test]
    fn a_long_job_is_silent() {
        let steps: Vec<String> = (0..20)
            .map(|step| format!("  report  step  internal  {0}..{1}", step * 3_700, step * 3_700 + 900))
            .collect();
        let steps = steps.join("\n");
        check(&format!(
            "
report  job  internal  0..74000
{steps}

report  GET /healthz  server  5000..5002  repeat=8
"
        ));
    }

    #[test]
    fn consumers_of_one_batch_are_silent() {
        check(
            "
orders  jobs publish  producer  0..4  queue=jobs  id=send  repeat=9

mailer  jobs receive  consumer  20..600  queue=jobs
  mailer  jobs process  consumer  30..120  queue=jobs  link=send
  mailer  jobs process  consumer  130..220  queue=jobs  link=send
  mailer  jobs process  consumer  230..320  queue=jobs  link=send
  mailer  jobs process  consumer  330..420  queue=jobs  link=send
  mailer  jobs process  consumer  430..520  queue=jobs  link=send
",
        );
    }
}
