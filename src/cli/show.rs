//! `tracemend show`: one trace as a tree.

use std::io::{self, BufWriter, Write as _};
use std::process::ExitCode;

use anyhow::{Result, bail};

use super::args::ShowArgs;
use super::progress::{self, Wanted};
use super::terminal::Terminal;
use super::{demo, session, settings};
use crate::config::Settings;
use crate::exit::Exit;
use crate::model::ids;
use crate::pipeline;
use crate::render::{self, RenderOptions, text};
use crate::shown::{Drawn, ShowOutcome};
use crate::sources;

/// Finds the trace and draws it.
pub(super) fn run(args: &ShowArgs, terminal: &Terminal) -> Result<ExitCode> {
    let Some(prefix) = id_prefix(&args.id) else {
        bail!("`{}` is no trace id\n  give hex digits, base64 or a whole traceparent", args.id);
    };
    let drawn = if args.output.plain { Drawn::AsExported } else { Drawn::Relinked };
    let (outcome, failures) = if args.demo {
        pipeline::show(&prefix, demo::sample(), &Settings::default(), session::quiet(), drawn)
    } else {
        let settings = settings::show(args, &prefix, terminal)?;
        let requests = args.output.verbose;
        let wanted =
            if args.output.no_progress { Wanted::Notices { requests } } else { Wanted::Bar { requests } };
        let progress = progress::on_stderr(terminal, wanted);
        let shown = pipeline::show(
            &prefix,
            sources::expand(&settings.inputs).with_backends(&settings.backends),
            &settings,
            session::with(progress.as_ref()),
            drawn,
        );
        progress.finish();
        shown
    };
    let mut stderr = io::stderr().lock();
    for failure in &failures {
        // Nobody is left to tell when even this cannot be written.
        let _ = writeln!(stderr, "error: {}", text::clean(failure));
    }
    drop(stderr);
    let trace = match outcome {
        ShowOutcome::Found(trace) => trace,
        ShowOutcome::Ambiguous(ids) => bail!("several traces match `{prefix}`:{}", listed(&ids)),
        ShowOutcome::Unknown(nearest) => {
            let nearest =
                if nearest.is_empty() { String::new() } else { format!("; nearest:{}", listed(&nearest)) };
            bail!("no trace matches `{prefix}`{nearest}{}", how_to_find(args, &prefix))
        }
    };
    let options = RenderOptions {
        width: terminal.columns(),
        color: terminal.color(args.output.color),
        ascii: terminal.ascii(args.output.ascii),
        verbosity: i8::from(args.output.verbose),
        ..RenderOptions::default()
    };
    let mut out = BufWriter::new(anstream::AutoStream::always(io::stdout().lock()));
    render::trace::render(&trace, &options, &mut out)?;
    out.flush()?;
    Ok(if failures.is_empty() { Exit::Pass } else { Exit::Error }.into())
}

/// A backend finds a trace by its whole id; by part of it only those of the window are looked at.
fn how_to_find(args: &ShowArgs, prefix: &str) -> &'static str {
    if settings::has_backend(&args.backend) && !matches!(prefix.len(), 16 | 32) {
        return "\n  only traces of the window were looked at: give the whole id, or --since or --from";
    }
    ""
}

fn listed(ids: &[String]) -> String {
    let lines: Vec<&str> = ids.iter().take(10).flat_map(|id| ["\n  ", id]).collect();
    lines.concat()
}

/// Hex digits with which the trace id begins (or, for 16 of them, ends), from all the spellings
/// that people copy.
pub(super) fn id_prefix(text: &str) -> Option<String> {
    let text = text.trim();
    let parts: Vec<&str> = text.split('-').collect();
    let text = match parts.as_slice() {
        [version, trace_id, span_id, ..] if version.len() == 2 && span_id.len() == 16 => trace_id,
        _ => text,
    };
    let text = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    let hex = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if hex && text.len() <= 32 {
        return Some(text.to_ascii_lowercase());
    }
    let bytes = ids::base64_bytes(text.as_bytes()).filter(|bytes| bytes.len() == 16 || bytes.len() == 8)?;
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from_digit(u32::from(digit), 16)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_in_every_spelling() {
        let whole = Some("4bf92f3577b34da6a3ce929d0e0e4736".to_owned());
        for text in [
            "4bf92f3577b34da6a3ce929d0e0e4736",
            " 4BF92F3577B34DA6A3CE929D0E0E4736\n",
            "0x4bf92f3577b34da6a3ce929d0e0e4736",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "S/kvNXezTaajzpKdDg5HNg==",
        ] {
            assert_eq!(id_prefix(text), whole, "{text}");
        }
        assert_eq!(id_prefix("4bf9"), Some("4bf9".to_owned()));
        for wrong in ["", "xyz", "4bf9 2f35", "4bf92f3577b34da6a3ce929d0e0e47360"] {
            assert_eq!(id_prefix(wrong), None, "{wrong}");
        }
    }
}
