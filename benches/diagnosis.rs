//! What diagnosis costs beside the structural part of a run: reading and the flat pass over every trace,
//! without corpus, rules and causes. Both over the same file, in turns, and by CPU time, so that their ratio
//! can be read on a machine that does other work. The goal is a ratio of at most 2.

#[path = "support/generator.rs"]
mod generator;

use std::hint::black_box;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;
use std::{fs, iter};

use generator::{Form, Recipe};
use tracemend::config::Settings;
use tracemend::formats::Limits;
use tracemend::pipeline::{self, Session};
use tracemend::progress::NoProgress;
use tracemend::read::{self, ReadOptions};
use tracemend::sources::{self, Expanded};
use tracemend::trace::{FlatPass, Scope, TraceCounts};

/// Spans of each format; `SPANS` in the environment says otherwise.
const SPANS: usize = 200_000;
const ROUNDS: usize = 5;

static GOES_ON: AtomicBool = AtomicBool::new(false);

fn inputs(path: &Path) -> Expanded {
    sources::expand(&[path.to_string_lossy().into_owned()])
}

/// Everything: one thread, so that both parts use the same.
fn full(path: &Path) {
    let settings = Settings { threads: Some(1), ..Settings::default() };
    let session = Session { progress: &NoProgress, interrupted: &GOES_ON };
    black_box(pipeline::run(inputs(path), &settings, session));
}

/// Reading, and the counts of the flat pass.
fn structural(path: &Path) {
    let options = ReadOptions {
        format: None,
        limits: &Limits::default(),
        threads: 1,
        capacity: 20,
        spool_limit: 0,
        progress: &NoProgress,
        interrupted: &GOES_ON,
    };
    let store = read::read(inputs(path), options).store;
    let (mut pass, mut counts, scope) = (FlatPass::default(), TraceCounts::default(), Scope::default());
    for partition in &store.partitions {
        for records in partition.traces() {
            if let Some(trace) = pass.run(&store.names, partition, records, &scope) {
                counts += trace.counts;
            }
        }
    }
    black_box(counts);
}

/// CPU time of this process so far, user and system, ms; `None` where the system has no `/proc`. Its ticks
/// are of 10 ms (`USER_HZ` in proc(5)).
fn cpu_milliseconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut fields = behind_name.split_whitespace().skip(11);
    let mut ticks = iter::from_fn(|| fields.next()?.parse::<f64>().ok());
    Some((ticks.next()? + ticks.next()?) * 10.0)
}

/// CPU time, because the machine may do other work; else the time that passes.
fn milliseconds(run: impl Fn()) -> f64 {
    let (start, cpu) = (Instant::now(), cpu_milliseconds());
    run();
    match (cpu, cpu_milliseconds()) {
        (Some(before), Some(after)) => after - before,
        _ => start.elapsed().as_secs_f64() * 1e3,
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    let spans = std::env::var("SPANS").ok().and_then(|spans| spans.parse().ok()).unwrap_or(SPANS);
    for form in Form::ALL {
        let (bytes, truth) = generator::bytes(form, &Recipe::of(spans));
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(&bytes)?;
        let rounds = (0..ROUNDS).map(|_| {
            let parts = [milliseconds(|| structural(file.path())), milliseconds(|| full(file.path()))];
            (parts, parts[1] / parts[0])
        });
        let (parts, ratios): (Vec<[f64; 2]>, Vec<f64>) = rounds.unzip();
        let [structural, full] = [0, 1].map(|part| median(parts.iter().map(|parts| parts[part]).collect()));
        writeln!(
            out,
            "diagnosis/{}: {} spans, structural {structural:.0} ms, full {full:.0} ms, ratio {:.2}",
            form.name(),
            truth.spans,
            median(ratios),
        )?;
    }
    Ok(())
}
