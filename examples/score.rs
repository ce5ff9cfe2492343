//! Scores the diagnosis of the lab's runs below `fixtures/`: one line a run, and the totals.
//! `cargo run --example score [PART OF A NAME]`
//!
//! named: a finding of severity warning or error has a fitting cause (or rule, where no cause is asked)
//! and names the right service. top: it is the first of them. recall: the share of the affected spans
//! that fitting findings list. noise: findings of severity warning or error about something else.
//! re-link: proposed parents in the right trace / proposed / possible.

#![expect(dead_code, reason = "the tests use the rest of these modules")]
#![expect(clippy::unwrap_used, reason = "a fixture that cannot be read ends the program")]

use std::io::{self, Write as _};
use std::path::Path;
use std::sync::atomic::AtomicBool;

use tracemend::config::{Occurrences, Settings};
use tracemend::pipeline::{self, Session};
use tracemend::progress::NoProgress;
use tracemend::sources;

#[path = "../tests/it/diagnosis/case.rs"]
mod case;
#[path = "../tests/it/diagnosis/score.rs"]
mod score;

use score::{Relinked, Score};

fn main() -> io::Result<()> {
    let filter = std::env::args().nth(1).unwrap_or_default();
    let mut cases = case::lab_cases(Path::new("."));
    cases.retain(|case| case.name.contains(&filter));
    let settings = Settings { occurrences: Occurrences::All, ..Settings::default() };
    let mut out = io::stdout().lock();
    writeln!(out, "{:<60} named  top  recall  noise  re-link", "run")?;
    let mut totals = Totals::default();
    for case in cases {
        let session = Session { progress: &NoProgress, interrupted: &AtomicBool::new(false) };
        let report = pipeline::run(sources::expand(std::slice::from_ref(&case.traces)), &settings, session);
        let score = score::score(&case, &report);
        let is_silent = case.description.expect.silent;
        writeln!(out, "{:<60} {}", case.name, line(&score, is_silent))?;
        totals.add(&score, is_silent);
    }
    totals.write(&mut out)
}

fn line(score: &Score, is_silent: bool) -> String {
    if is_silent {
        let said =
            if score.noise == 0 { "silent".to_owned() } else { format!("NOT silent: {}", score.noise) };
        return said;
    }
    let word = |is: bool| if is { "yes" } else { "no" };
    let recall = score.recall.map_or_else(|| "-".to_owned(), |recall| format!("{recall:.2}"));
    let Relinked { right, proposed, possible } = score.relinked;
    let (named, top, noise) = (word(score.named), word(score.top), score.noise);
    format!("{named:<5}  {top:<3}  {recall:<6}  {noise:<5}  {right}/{proposed}/{possible}")
}

#[derive(Default)]
struct Totals {
    runs: usize,
    named: usize,
    top: usize,
    recalls: Vec<f64>,
    noise: usize,
    silent: usize,
    silent_runs: usize,
    relinked: Relinked,
}

impl Totals {
    fn add(&mut self, score: &Score, is_silent: bool) {
        if is_silent {
            self.silent_runs += 1;
            self.silent += usize::from(score.noise == 0);
            return;
        }
        self.runs += 1;
        self.named += usize::from(score.named);
        self.top += usize::from(score.top);
        self.recalls.extend(score.recall);
        self.noise += score.noise;
        self.relinked.right += score.relinked.right;
        self.relinked.proposed += score.relinked.proposed;
        self.relinked.possible += score.relinked.possible;
    }

    fn write(&self, out: &mut impl io::Write) -> io::Result<()> {
        let share = |part: usize, of: usize| part as f64 / of.max(1) as f64;
        let recall = self.recalls.iter().sum::<f64>() / self.recalls.len().max(1) as f64;
        let Relinked { right, proposed, possible } = self.relinked;
        writeln!(
            out,
            "{} runs with a fault: named {:.3}, top {:.3}, recall {recall:.3}, noise {}, re-link {right}/{proposed}/{possible}",
            self.runs,
            share(self.named, self.runs),
            share(self.top, self.runs),
            self.noise,
        )?;
        writeln!(out, "{} of {} benign runs are silent", self.silent, self.silent_runs)
    }
}
