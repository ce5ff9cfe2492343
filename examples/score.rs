//! Scores the diagnosis of the lab's runs below `fixtures/`: one line a run, and the totals.
//! `cargo run --example score [PART OF A NAME]`
//!
//! `cargo run --release --example score -- --write` writes `docs/accuracy.md`, which says what is measured.

#![expect(dead_code, reason = "the tests use the rest of these modules")]
#![expect(clippy::unwrap_used, reason = "a fixture that cannot be read ends the program")]
#![expect(clippy::format_collect, reason = "as in the tests, which share these modules")]

use std::io::{self, Write as _};
use std::path::Path;

#[path = "../tests/it/diagnosis/ablation.rs"]
mod ablation;
#[path = "../tests/it/diagnosis/accuracy.rs"]
mod accuracy;
#[path = "../tests/it/diagnosis/case.rs"]
mod case;
#[path = "../tests/it/encode.rs"]
mod encode;
#[path = "../tests/it/diagnosis/score.rs"]
mod score;

use score::{Relinked, Score, Totals};

fn main() -> io::Result<()> {
    let argument = std::env::args().nth(1).unwrap_or_default();
    let mut cases = case::lab_cases(Path::new("."));
    let mut out = io::stdout().lock();
    if argument == "--write" {
        let runs = cases.into_iter().map(|case| {
            let report = accuracy::diagnose(&case.traces);
            (case, report)
        });
        return std::fs::write("docs/accuracy.md", accuracy::page(&runs.collect::<Vec<_>>()));
    }
    cases.retain(|case| case.name.contains(&argument));
    writeln!(out, "{:<60} named  top  recall  noise  re-link", "run")?;
    let mut totals = Totals::default();
    for case in cases {
        let score = score::score(&case, &accuracy::diagnose(&case.traces));
        let is_silent = case.description.expect.silent;
        writeln!(out, "{:<60} {}", case.name, line(&score, is_silent))?;
        totals.add(&score, is_silent);
    }
    write_totals(&totals, &mut out)
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

fn write_totals(totals: &Totals, out: &mut impl io::Write) -> io::Result<()> {
    let share = |part: usize, of: usize| part as f64 / of.max(1) as f64;
    let Relinked { right, proposed, possible } = totals.relinked;
    writeln!(
        out,
        "{} runs with a fault: named {:.3}, top {:.3}, recall {:.3}, noise {}, re-link {right}/{proposed}/{possible}",
        totals.runs,
        share(totals.named, totals.runs),
        share(totals.top, totals.runs),
        totals.recall().unwrap_or(0.0),
        totals.noise,
    )?;
    writeln!(out, "{} of {} benign runs are silent", totals.silent, totals.silent_runs)
}
