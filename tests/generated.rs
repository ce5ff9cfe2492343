//! What the generator put into its traces is what a run finds, in every format.

#[path = "../benches/support/generator.rs"]
mod generator;

use std::sync::atomic::AtomicBool;

use generator::{Form, Recipe, Truth};
use tracemend::config::Settings;
use tracemend::pipeline::{self, Session};
use tracemend::progress::NoProgress;
use tracemend::report::Report;
use tracemend::sources::{Expanded, Input, InputKind};

fn report(form: Form, recipe: &Recipe) -> (Report, Truth) {
    let (bytes, truth) = generator::bytes(form, recipe);
    let input = Input { path: form.name().to_owned(), kind: InputKind::Memory(bytes.leak()), named: true };
    let inputs = Expanded { inputs: vec![input], failures: Vec::new(), skipped_files: 0 };
    let session = Session { progress: &NoProgress, interrupted: &AtomicBool::new(false) };
    (pipeline::run(inputs, &Settings::default(), session), truth)
}

#[test]
fn a_run_finds_what_was_put_in() {
    for form in Form::ALL {
        let (report, truth) = report(form, &Recipe::of(20_000));
        let summary = &report.summary;
        let found = Truth {
            spans: summary.span_records,
            traces: summary.traces,
            orphan_spans: summary.orphan_spans,
            missing_parents: summary.missing_parents,
            copies: summary.extra_copies,
            skewed_host: truth.skewed_host.clone(),
        };
        assert_eq!(found, truth, "{form:?}");
        assert_eq!((summary.colliding_ids, summary.rejects, summary.cycle_spans), (0, 0, 0), "{form:?}");
    }
}
