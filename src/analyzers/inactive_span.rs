//! `inactive-span`: a span that should have children encloses them as its siblings.

use super::{Analyzer, Case, Rule};
use crate::finding::Finding;
use crate::report::Severity;

static RULE: Rule = Rule {
    name: "inactive-span",
    severity: Severity::Warning,
    summary: "A span that should have children encloses them as its siblings.",
    what: "Internal spans without children that enclose every sibling started after them, where such siblings \
           are their children elsewhere; or that never have children, and begin and end with what they \
           enclose. A leaf span that happens to outlast its siblings is not reported: work that runs beside \
           each other looks so at times.",
    why: "The trace is whole, but its shape is not that of the code: the time of the span seems to be its own, \
          and what it contains is counted twice under its parent.",
    fix: "Make the span active while the wrapped work is done.
Use the call that starts a span and makes it active in one (`startActiveSpan`, `start_as_current_span`, \
`makeCurrent`), not the one that only starts it.
In interceptors and middleware, enter the context before the handler is called or subscribed to.",
    example: "
shop  GET /cart  server  0..60  repeat=10
  shop  intercept  internal  2..58
    shop  load  internal  5..30
    shop  price  internal  32..55

shop  GET /cart  server  1000..1060  repeat=5
  shop  intercept  internal  1002..1058   // inactive-span
  shop  load  internal  1005..1030
  shop  price  internal  1032..1055
",
};

/// The analyzer.
pub(super) struct InactiveSpan;

impl Analyzer for InactiveSpan {
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
    fn work_beside_each_other_is_silent() {
        check(
            "
shop  GET /cart  server  0..100  repeat=30
  shop  report  internal  2..98
  shop  load  internal  5..30
  shop  price  internal  32..70
",
        );
    }

    #[test]
    fn a_wrapper_that_never_has_children_is_found() {
        check(
            "
shop  GET /cart  server  0..100  repeat=12
  shop  intercept  internal  2..98   // inactive-span (span-not-activated)
  shop  load  internal  3..30
  shop  price  internal  32..97
",
        );
    }
}
