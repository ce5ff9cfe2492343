//! `docs/accuracy.md`: how well runs with a known truth are diagnosed. `examples/score.rs` writes it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::atomic::AtomicBool;

use tracemend::config::{Occurrences, Settings};
use tracemend::formats::whole::WholeSpan;
use tracemend::pipeline::{self, Session};
use tracemend::progress::NoProgress;
use tracemend::report::{Confidence, Report, Severity, Side};
use tracemend::sources;

use super::ablation::{self, Ablation};
use super::case::LabCase;
use super::score::{Relinked, Score, Totals, score, score_of};
use crate::encode::{FORMS, otlp_lines, whole_spans};

/// Calls that are open at a time on an edge, in the runs that are made.
pub(crate) const IN_FLIGHT: [f64; 3] = [1.0, 10.0, 100.0];
/// Names of the forms in which runs are read beside OTLP, and what the page calls them.
pub(crate) const OTHER_FORMS: [(&str, &str); 3] =
    [("Jaeger", "Jaeger JSON"), ("Zipkin", "Zipkin JSON"), ("otel_traces", "ClickHouse `otel_traces`")];

const HEAD: &str = "\
# Accuracy

How well tracemend diagnoses runs whose truth is known from outside of OpenTelemetry. Written by
`cargo run --release --example score -- --write`; nothing here is typed by hand.

- *named*: runs in which a finding of severity warning or error (info, where that is expected) has a fitting
  cause, or rule where no cause is asked for, and names the right service.
- *top*: runs in which that finding is the first one.
- *recall*: share of the affected spans that fitting findings list, mean over the runs.
- *precision*: of the findings of severity warning or error, the share that is about what is true.
- *noise*: findings of severity warning or error about something else.
- *re-link*: proposed parents in the trace of the true parent / proposed / true parents that are in the data.
";

/// The report over a run, with all occurrences.
pub(crate) fn diagnose(path: &str) -> Report {
    let settings = Settings { occurrences: Occurrences::All, ..Settings::default() };
    let session = Session { progress: &NoProgress, interrupted: &AtomicBool::new(false) };
    pipeline::run(sources::expand(&[path.to_owned()]), &settings, session)
}

fn diagnose_bytes(bytes: &[u8]) -> Report {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    diagnose(file.path().to_str().unwrap())
}

/// The spans of a run of the lab.
pub(crate) fn spans_of(case: &LabCase) -> Vec<WholeSpan> {
    let packed = std::fs::read(&case.traces).unwrap();
    whole_spans(&packed, "otlp-json")
}

fn share(part: usize, of: usize) -> String {
    if of == 0 { "–".to_owned() } else { format!("{part}/{of}") }
}

fn recall(totals: &Totals) -> String {
    totals.recall().map_or_else(|| "–".to_owned(), |recall| format!("{recall:.3}"))
}

fn relink(totals: &Totals) -> String {
    let Relinked { right, proposed, possible } = totals.relinked;
    if possible == 0 { "–".to_owned() } else { format!("{right}/{proposed}/{possible}") }
}

/// What is said aloud, and how much of it is true.
fn precision(loud: usize, noise: usize) -> String {
    if loud == 0 { "–".to_owned() } else { format!("{:.3}", (loud - noise) as f64 / loud as f64) }
}

fn loud(report: &Report) -> usize {
    let counts = report.summary.findings_by_severity;
    (counts.error + counts.warning) as usize
}

/// One row a cause (or rule, where no cause is asked for), and the sum.
pub(crate) fn by_cause(runs: &[(LabCase, Report)]) -> String {
    let mut families: BTreeMap<&str, (Totals, usize)> = BTreeMap::new();
    let mut all = [(Totals::default(), 0), (Totals::default(), 0)];
    for (case, report) in runs {
        let family = case.name.split('/').next().unwrap_or_default();
        let (score, is_silent) = (score(case, report), case.description.expect.silent);
        for (totals, said) in [families.entry(family).or_default(), &mut all[usize::from(is_silent)]] {
            totals.add(&score, is_silent);
            *said += loud(report);
        }
    }
    let mut page = "\n## By cause\n\nRuns of real services in `fixtures/`, two sets of services each. `benign` and `healthy` have nothing to\n\
        be said: there *named* counts the runs in which nothing is.\n\n\
        | cause or rule | runs | named | top | recall | precision | noise | re-link |\n|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for (family, (totals, said)) in families {
        writeln!(page, "{}", cause_row(&format!("`{family}`"), &totals, said)).unwrap();
    }
    for (name, (totals, said)) in ["all with a fault", "all without"].into_iter().zip(all) {
        writeln!(page, "{}", cause_row(name, &totals, said)).unwrap();
    }
    page
}

fn cause_row(name: &str, totals: &Totals, loud: usize) -> String {
    let named = share(totals.named + totals.silent, totals.runs + totals.silent_runs);
    format!(
        "| {name} | {} | {named} | {} | {} | {} | {} | {} |",
        totals.runs + totals.silent_runs,
        share(totals.top, totals.runs),
        recall(totals),
        precision(loud, totals.noise),
        totals.noise,
        relink(totals),
    )
}

const CONCURRENCY: &str = "
## Under concurrency

Made from the healthy runs: the requests are moved closer together or further apart for 1, 10 and 100 open
calls on the median edge (with copies that have ids of their own, where there are too few), and one thing is
done to the spans of the busiest edge. Two things have nothing to be said about them: nothing was done, or the
export ended early. *in flight* is what came out: calls of an edge that are open when a call starts, itself
among them.

| what is done | services | in flight | spans | named | recall | noise | re-link |
|---|---|---|---|---|---|---|---|
";

/// One row for each thing that can be done to a healthy run.
pub(crate) fn rows_under_concurrency(topology: &str, spans: &[WholeSpan], in_flight: f64) -> Vec<String> {
    let folded = ablation::fold(spans, in_flight);
    let open = ablation::in_flight(&folded);
    ablation::ALL.iter().map(|ablation| concurrency_row(ablation, topology, &folded, open)).collect()
}

fn concurrency_row(ablation: &Ablation, topology: &str, folded: &[WholeSpan], open: f64) -> String {
    let made = (ablation.make)(folded.to_vec());
    let report = diagnose_bytes(&otlp_lines(&made.spans));
    let score: Score = score_of(&made.expect, &made.affected, &report);
    let mut totals = Totals::default();
    totals.add(&score, made.expect.silent);
    let named = match (made.expect.silent, score.noise, score.named) {
        (true, 0, _) => "silent",
        (true, ..) => "not silent",
        (false, _, true) => "yes",
        (false, _, false) => "no",
    };
    format!(
        "| {} | {topology} | {open:.1} | {} | {named} | {} | {} | {} |",
        ablation.name,
        made.spans.len(),
        recall(&totals),
        score.noise,
        relink(&totals),
    )
}

const FORMATS: &str = "
## In other formats

The runs of the first table, written as other formats keep them. A format that tells less may lower a
confidence or leave a check out, which coverage says; it must not make something up. *less sure*: findings
that OTLP has too, of a lower confidence. *less* and *more*: findings of severity warning or error that only
OTLP has, or only this format.

| format | named | top | recall | noise | re-link | silent | less sure | less | more |
|---|---|---|---|---|---|---|---|---|---|
";

/// What the runs come to in a format, beside what they come to in OTLP.
#[derive(Default)]
struct InFormat {
    totals: Totals,
    less_sure: usize,
    less: usize,
    more: usize,
}

impl InFormat {
    fn add(&mut self, case: &LabCase, otlp: &Report, report: &Report) {
        self.totals.add(&score(case, report), case.description.expect.silent);
        let (before, after) = (places(otlp), places(report));
        let is_lower =
            |place: &Place, sure: &Confidence| before.get(place).is_some_and(|before| before > sure);
        self.less_sure += after.iter().filter(|(place, sure)| is_lower(place, sure)).count();
        self.less += before.keys().filter(|place| !after.contains_key(*place)).count();
        self.more += after.keys().filter(|place| !before.contains_key(*place)).count();
    }

    fn row(&self, name: &str) -> String {
        let totals = &self.totals;
        format!(
            "| {name} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            share(totals.named, totals.runs),
            share(totals.top, totals.runs),
            recall(totals),
            totals.noise,
            relink(totals),
            share(totals.silent, totals.silent_runs),
            self.less_sure,
            self.less,
            self.more,
        )
    }
}

fn rows_in_formats(runs: &[(LabCase, Report)]) -> Vec<String> {
    let form = |name: &str| FORMS.iter().find(|form| form.name == name).expect("a form of this name");
    let forms = OTHER_FORMS.map(|(name, title)| (form(name), title));
    let mut in_otlp = InFormat::default();
    let mut in_others = OTHER_FORMS.map(|_| InFormat::default());
    for (case, otlp) in runs {
        in_otlp.add(case, otlp, otlp);
        let spans = spans_of(case);
        for ((form, _), in_other) in forms.iter().zip(&mut in_others) {
            in_other.add(case, otlp, &diagnose_bytes(&(form.write)(&spans)));
        }
    }
    let others = forms.iter().zip(&in_others).map(|((_, title), in_other)| in_other.row(title));
    std::iter::once(in_otlp.row("OTLP JSON")).chain(others).collect()
}

type Place = (String, Option<String>, Option<String>);

/// The findings that are heard, by rule and services, with their confidence.
fn places(report: &Report) -> BTreeMap<Place, Confidence> {
    let heard = report.findings.iter();
    let heard = heard.filter(|finding| finding.severity >= Severity::Warning);
    let mut places = BTreeMap::new();
    for finding in heard {
        let service = |side: &Option<Side>| side.as_ref().and_then(|side| side.service.clone());
        let place = (finding.rule.clone(), service(&finding.from), service(&finding.to));
        let sure = places.entry(place).or_insert(finding.confidence);
        *sure = finding.confidence.max(*sure);
    }
    places
}

/// The whole page.
pub(crate) fn page(runs: &[(LabCase, Report)]) -> String {
    let mut page = format!("{HEAD}{}{CONCURRENCY}", by_cause(runs));
    for (case, _) in runs.iter().filter(|(case, _)| case.description.fault == "healthy") {
        let spans = spans_of(case);
        for in_flight in IN_FLIGHT {
            for row in rows_under_concurrency(&case.description.topology, &spans, in_flight) {
                writeln!(page, "{row}").unwrap();
            }
        }
    }
    page.push_str(FORMATS);
    for row in rows_in_formats(runs) {
        writeln!(page, "{row}").unwrap();
    }
    page
}
