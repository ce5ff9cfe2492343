//! From arguments to settings: the one place where they are checked against each other.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};

use super::args::{BackendArgs, CheckArgs, DemoArgs, InputArgs, OutputArgs, ShowArgs, SourceArgs};
use super::backends::backends;
use super::files;
use super::terminal::Terminal;
use crate::config::{Filter, GateSettings, Settings};
use crate::formats::Limits;
use crate::model::TraceId;
use crate::suggest;

/// Settings of `check`.
pub(super) fn check(args: &CheckArgs, rules: &[&str], terminal: &Terminal) -> Result<Settings> {
    let source = &args.source;
    if let (Some(from), Some(to)) = (source.from, source.to) {
        ensure!(from <= to, "--from is later than --to");
    }
    let trace_ids: Vec<String> = args.trace_ids.iter().map(|text| trace_id(text)).collect::<Result<_>>()?;
    let mut settings = if has_backend(&args.backend) {
        let whole = trace_ids.iter().map(|id| whole_id(id)).collect::<Option<Vec<_>>>();
        let Some(whole) = whole else {
            bail!("--trace-id: a backend has to be asked for a whole id, of 32 or 16 hex digits");
        };
        asked(&args.input, &args.backend, source, &whole, terminal)?
    } else {
        inputs(&args.input, terminal)?
    };
    // Backends select whole traces by service and window, and all of these traces are judged.
    let of_files = if settings.backends.is_empty() { source } else { &SourceArgs::default() };
    settings.filter = Filter {
        services: of_files.services.clone(),
        trace_ids,
        from_ns: of_files.from,
        to_ns: of_files.to,
        since_ns: of_files.since,
        environments: source.environments.clone(),
    };
    settings.gate = GateSettings {
        fail_on: args.gate.fail_on.severity(),
        min_confidence: args.gate.min_confidence.confidence(),
        min_traces: args.gate.min_traces,
        max_rejects: args.gate.max_rejects,
        allow_partial: args.gate.allow_partial,
        exit_zero: args.gate.exit_zero,
        ignores: args.gate.ignores.iter().map(|text| ignore(text, rules)).collect::<Result<_>>()?,
    };
    settings.threads = args.analysis.threads;
    settings.occurrences = args.analysis.occurrences.unwrap_or_default();
    if let Some(path) = &args.relink {
        ensure!(path.as_os_str() != "-", "--relink writes to a file; stdout is for the report");
    }
    output(&args.output, args.relink.as_ref(), &mut settings)?;
    Ok(settings)
}

/// Settings of `demo`.
pub(super) fn demo(args: &DemoArgs) -> Result<Settings> {
    let mut settings = Settings::default();
    output(&args.output, None, &mut settings)?;
    Ok(settings)
}

/// The beginning of a trace id in any spelling, as hex digits.
fn trace_id(text: &str) -> Result<String> {
    let Some(prefix) = super::show::id_prefix(text) else {
        bail!("--trace-id {text}: this is no trace id\n  give hex digits, base64 or a whole traceparent");
    };
    Ok(prefix)
}

/// Settings of `show`; `prefix` is the beginning of the id that is wanted.
pub(super) fn show(args: &ShowArgs, prefix: &str, terminal: &Terminal) -> Result<Settings> {
    if has_backend(&args.backend) {
        // Part of an id is looked for among the traces that the window has.
        let ids: Vec<TraceId> = whole_id(prefix).into_iter().collect();
        return asked(&args.input, &args.backend, &args.source, &ids, terminal);
    }
    let source = &args.source;
    let is_filtered = !source.services.is_empty()
        || !source.environments.is_empty()
        || source.since.or(source.from).or(source.to).is_some();
    ensure!(
        !is_filtered,
        "here --service, --env, --since, --from and --to say what to ask a backend for\n  \
         name one with --jaeger or --signoz"
    );
    inputs(&args.input, terminal)
}

/// A trace id as a backend wants it; a 64-bit id has 16 digits.
fn whole_id(digits: &str) -> Option<TraceId> {
    let is_whole = matches!(digits.len(), 16 | 32);
    u128::from_str_radix(digits, 16).ok().filter(|id| is_whole && *id != 0).map(TraceId)
}

/// Whether a backend is named.
pub(super) const fn has_backend(args: &BackendArgs) -> bool {
    args.urls.jaeger.is_some() || args.urls.signoz.is_some()
}

/// What to read when backends are asked: them, and the files that are named as well.
fn asked(
    input: &InputArgs,
    args: &BackendArgs,
    source: &SourceArgs,
    trace_ids: &[TraceId],
    terminal: &Terminal,
) -> Result<Settings> {
    let mut settings = match input.inputs.as_slice() {
        [] => without_inputs(input),
        _ => inputs(input, terminal)?,
    };
    settings.backends = backends(args, source, trace_ids, terminal.now_ns)?;
    settings.filter.environments.clone_from(&source.environments);
    if let [only] = settings.backends.as_slice() {
        settings.trace_url = Some(format!("{}{}", only.url, only.kind.trace_page()));
    }
    Ok(settings)
}

/// The part of the settings that says what to read.
pub(super) fn inputs(args: &InputArgs, terminal: &Terminal) -> Result<Settings> {
    let mut inputs = args.inputs.clone();
    if inputs.is_empty() {
        ensure!(!terminal.stdin, "no input\n  give a file, a folder or `-`, or pipe traces into tracemend");
        inputs.push("-".to_owned());
    }
    let stdins = inputs.iter().filter(|input| *input == "-").count();
    ensure!(stdins <= 1, "`-` is given {stdins} times; stdin can be read once");
    ensure!(inputs.iter().all(|input| !input.is_empty()), "an input is empty text");
    Ok(Settings { inputs, ..without_inputs(args) })
}

fn without_inputs(args: &InputArgs) -> Settings {
    let defaults = Settings::default();
    Settings {
        input_format: args.input_format.clone(),
        limits: limits(args),
        spool_limit: args.spool_limit.unwrap_or(defaults.spool_limit),
        ..defaults
    }
}

fn limits(args: &InputArgs) -> Limits {
    let defaults = Limits::default();
    let bytes = |size: Option<u64>| size.map(|size| usize::try_from(size).unwrap_or(usize::MAX));
    Limits {
        max_depth: args.max_depth.unwrap_or(defaults.max_depth),
        max_string: bytes(args.max_string).unwrap_or(defaults.max_string),
        max_record: bytes(args.max_record).unwrap_or(defaults.max_record),
        max_decompressed: args.max_decompressed.unwrap_or(defaults.max_decompressed),
    }
}

/// A report that cannot be written is said before a long run, not after it.
fn output(args: &OutputArgs, relink: Option<&PathBuf>, settings: &mut Settings) -> Result<()> {
    let files = args.reports.iter().map(|report| &report.path).chain(&args.output).chain(relink);
    let mut paths: Vec<_> = files.clone().filter(|path| path.as_os_str() != "-").collect();
    paths.sort_unstable();
    if let Some(pair) = paths.windows(2).find(|pair| pair[0] == pair[1]) {
        bail!("two results are to be written to {}", pair[0].display());
    }
    for path in files.filter(|path| path.as_os_str() != "-") {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder {
            ensure!(
                folder.is_dir(),
                "cannot write {}: there is no folder {}",
                path.display(),
                folder.display()
            );
        }
        ensure!(!path.is_dir(), "cannot write {}: it is a folder", path.display());
        let input = settings.inputs.iter().any(|input| files::is_same(Path::new(input), path));
        ensure!(!input, "{} is an input; writing there would destroy it", path.display());
    }
    if args.trace_url.is_some() {
        settings.trace_url.clone_from(&args.trace_url);
    }
    Ok(())
}

/// `RULE[:SERVICE]`
fn ignore(text: &str, rules: &[&str]) -> Result<(String, Option<String>)> {
    let (rule, service) = match text.split_once(':') {
        Some((rule, service)) => (rule, Some(service)),
        None => (text, None),
    };
    ensure!(service != Some(""), "--ignore {text}: the service is empty");
    if !rules.contains(&rule) {
        bail!("--ignore {text}: {}", unknown_rule(rule, rules));
    }
    Ok((rule.to_owned(), service.map(str::to_owned)))
}

/// What to say about a rule that does not exist.
pub(super) fn unknown_rule(rule: &str, rules: &[&str]) -> String {
    let hint = suggest::hint(rule, rules.iter().copied());
    format!("there is no rule `{rule}`{hint}\n  `tracemend rules` lists them")
}

/// What to say about something to explain that does not exist.
pub(super) fn unknown_rule_or_cause(name: &str, names: &[&str]) -> String {
    let hint = suggest::hint(name, names.iter().copied());
    format!(
        "there is no rule or cause `{name}`{hint}\n  `tracemend rules` lists the rules; findings name causes"
    )
}

/// Without a command, a single word that is no file is most likely a command typed wrong.
pub(super) fn refuse_unknown_word(inputs: &[String]) -> Result<()> {
    let is_word = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    let Some(word) = inputs.first().filter(|text| *text != "-" && is_word(text)) else { return Ok(()) };
    if Path::new(word).exists() {
        return Ok(());
    }
    let command = super::command();
    let commands: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
    if commands.contains(&word.as_str()) {
        bail!("put the command first: tracemend {word} …");
    }
    let hint = suggest::hint(word, commands.iter().copied());
    bail!("there is no file, folder or command `{word}`{hint}\n  commands: {}", commands.join(", "))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::args::Cli;
    use crate::config::Occurrences;
    use crate::report::{Confidence, Severity};

    const RULES: [&str; 2] = ["clock-skew", "orphan-span"];

    fn read(line: &str) -> Result<Settings> {
        let cli = Cli::try_parse_from(std::iter::once("tracemend").chain(line.split(' ')))?;
        check(&cli.check, &RULES, &Terminal::default())
    }

    #[test]
    fn defaults_are_the_contract() {
        let settings = read("a.json").unwrap();
        assert_eq!(settings.inputs, ["a.json"]);
        assert_eq!(settings.gate, GateSettings::default());
        assert_eq!(settings.filter, Filter::default());
        assert_eq!(settings.occurrences, Occurrences::First(20));
    }

    #[test]
    fn every_option_arrives() {
        let settings = read(
            "a b - --input-format otlp-json --service s --service t --trace-id 4bf9 --from 2026-01-01 \
             --to 2026-01-02 --env prod --fail-on warning --min-confidence medium --min-traces 5 \
             --max-rejects 5% --allow-partial --exit-zero --ignore orphan-span:pay:ments --ignore clock-skew \
             --occurrences all --threads 3 --trace-url https://x/{trace_id} --max-depth 9 --max-string 1KiB \
             --max-record 2KiB --max-decompressed 3KiB --spool-limit 4KiB",
        )
        .unwrap();
        assert_eq!(settings.inputs, ["a", "b", "-"]);
        assert_eq!(settings.input_format.as_deref(), Some("otlp-json"));
        assert_eq!(settings.filter.services, ["s", "t"]);
        assert_eq!(settings.filter.environments, ["prod"]);
        assert!(settings.filter.from_ns < settings.filter.to_ns);
        assert_eq!(settings.gate.fail_on, Some(Severity::Warning));
        assert_eq!(settings.gate.min_confidence, Confidence::Medium);
        assert!((settings.gate.max_rejects - 0.05).abs() < 1e-12);
        let ignores = [("orphan-span".into(), Some("pay:ments".into())), ("clock-skew".into(), None)];
        assert_eq!(settings.gate.ignores, ignores);
        assert_eq!(settings.occurrences, Occurrences::All);
        assert_eq!(settings.threads, Some(3));
        assert_eq!((settings.limits.max_depth, settings.limits.max_string), (9, 1024));
        assert_eq!(settings.spool_limit, 4096);
    }

    #[test]
    fn contradictions_are_refused() {
        for (line, message) in [
            ("a --ignore orphan-spam", "did you mean `orphan-span`?"),
            ("a --ignore orphan-span:", "the service is empty"),
            ("a --from 2026-01-02 --to 2026-01-01", "later than"),
            ("- -", "stdin can be read once"),
            ("a -o /nowhere/at/all/x", "there is no folder"),
            ("Cargo.toml --report json=./Cargo.toml", "would destroy it"),
        ] {
            let error = format!("{:#}", read(line).unwrap_err());
            assert!(error.contains(message), "{line}: {error}");
        }
    }

    #[test]
    fn nothing_means_stdin_only_when_it_is_piped() {
        let cli = Cli::try_parse_from(["tracemend", "-v"]).unwrap();
        assert_eq!(check(&cli.check, &RULES, &Terminal::default()).unwrap().inputs, ["-"]);
        let terminal = Terminal { stdin: true, ..Terminal::default() };
        assert!(check(&cli.check, &RULES, &terminal).is_err());
    }

    #[test]
    fn unknown_words_are_no_files() {
        let refuse = |word: &str| refuse_unknown_word(&[word.to_owned()]);
        assert!(refuse("chekc").unwrap_err().to_string().contains("did you mean `check`?"));
        assert!(refuse("demo").unwrap_err().to_string().contains("put the command first"));
        for fine in ["src", "-", "missing.json", "a/b", "*", "./demo"] {
            assert!(refuse(fine).is_ok(), "{fine}");
        }
    }
}
