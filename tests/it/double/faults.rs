//! Faults by script: which answers are spoilt, and how.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Answer, Handler, Request};

/// Which of the requests on a path meet a fault.
#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    /// Only this one; the first has number 1.
    Nth(usize),
    /// So many, then never again.
    First(usize),
    /// All after so many.
    After(usize),
    Always,
}

impl When {
    fn is_now(self, number: usize) -> bool {
        match self {
            Self::Nth(nth) => number == nth,
            Self::First(count) => number <= count,
            Self::After(count) => number > count,
            Self::Always => true,
        }
    }
}

type Change = Box<dyn Fn(Answer) -> Answer + Send + Sync>;

struct Rule {
    path: String,
    when: When,
    change: Change,
    seen: AtomicUsize,
}

/// A handler some of whose answers are changed.
pub(crate) struct Faulty {
    inner: Box<dyn Handler>,
    rules: Vec<Rule>,
}

impl Faulty {
    pub(crate) fn over(inner: impl Handler) -> Self {
        Self { inner: Box::new(inner), rules: Vec::new() }
    }

    /// Changes the answers to requests whose path begins like this. Of several rules for a request, those
    /// whose time it is are applied in the order in which they were given.
    pub(crate) fn on(
        mut self,
        path: &str,
        when: When,
        change: impl Fn(Answer) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let (path, change) = (path.to_owned(), Box::new(change));
        self.rules.push(Rule { path, when, change, seen: AtomicUsize::new(0) });
        self
    }
}

impl Handler for Faulty {
    fn answer(&self, request: &Request) -> Answer {
        let mut answer = self.inner.answer(request);
        for rule in self.rules.iter().filter(|rule| request.path.starts_with(&rule.path)) {
            let number = rule.seen.fetch_add(1, Ordering::SeqCst) + 1;
            if rule.when.is_now(number) {
                answer = (rule.change)(answer);
            }
        }
        answer
    }
}
