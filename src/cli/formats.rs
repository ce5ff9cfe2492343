//! `tracemend formats`: the list of input formats.

use std::fmt::Write as _;

use anyhow::Result;
use serde::Serialize;

use super::args::ListFormat;
use crate::formats;
use crate::render;
use crate::report::Capabilities;

const DETECTION: &str = "Formats are detected from the bytes; gzip and zstd around any of them are undone, and so is what a \
     container's log puts before the lines of JSON.";

#[derive(Serialize)]
struct Entry {
    name: &'static str,
    title: &'static str,
    comes_from: &'static str,
    capabilities: Capabilities,
}

/// The list.
pub(super) fn list(format: ListFormat) -> Result<Vec<u8>> {
    let entries: Vec<Entry> = formats::ALL.iter().map(|format| entry(format.info())).collect();
    if format == ListFormat::Json {
        let mut out = Vec::new();
        render::write_json(&entries, &mut out)?;
        return Ok(out);
    }
    if format == ListFormat::Markdown {
        return Ok(markdown(&entries).into_bytes());
    }
    let mut out = String::new();
    for entry in &entries {
        writeln!(out, "{}\n  {}\n  {}", entry.name, entry.title, entry.comes_from)?;
        writeln!(out, "  {}\n", in_words(&entry.capabilities))?;
    }
    let _ = writeln!(out, "{DETECTION}");
    Ok(out.into_bytes())
}

/// What a format can tell and what it cannot, on a line.
fn in_words(can: &Capabilities) -> String {
    let (mut tells, mut lacks) = (Vec::new(), Vec::new());
    for (fact, value) in &FACTS[1..FACTS.len() - 1] {
        if value(can) == "yes" { tells.push(*fact) } else { lacks.push(*fact) }
    }
    let times = format!("times in steps of {}", FACTS[0].1(can));
    let mut words = vec![times];
    if !tells.is_empty() {
        words.push(format!("tells {}", tells.join(", ")));
    }
    if !lacks.is_empty() {
        words.push(format!("does not tell {}", lacks.join(", ")));
    }
    if can.edited_by_source {
        words.push("the backend may have edited spans".to_owned());
    }
    words.join("; ")
}

fn markdown(entries: &[Entry]) -> String {
    let mut out = format!("# Input formats\n\n{DETECTION}\n\n");
    out.push_str("| `--input-format` | what it is | where it comes from |\n|---|---|---|\n");
    for Entry { name, title, comes_from, .. } in entries {
        let _ = writeln!(out, "| `{name}` | {title} | {comes_from} |");
    }
    out.push_str("\n## What a format can tell\n\n");
    out.push_str("A check cannot see what a format does not tell.\n\n");
    out.push_str("| |");
    for entry in entries {
        let _ = write!(out, " `{}` |", entry.name);
    }
    let _ = write!(out, "\n|---|{}\n", "---|".repeat(entries.len()));
    for (fact, value) in FACTS {
        let _ = write!(out, "| {fact} |");
        for entry in entries {
            let _ = write!(out, " {} |", value(&entry.capabilities));
        }
        out.push('\n');
    }
    out
}

/// One line of the table of capabilities: what it is called, and what a format says about it.
type Fact = (&'static str, fn(&Capabilities) -> &'static str);

const FACTS: [Fact; 9] = [
    ("resolution of times", |can| match can.time_resolution_ns {
        1 => "1 ns",
        512 => "512 ns",
        1_000 => "1 µs",
        1_000_000 => "1 ms",
        _ => "other",
    }),
    ("trace flags", |can| yes(can.flags)),
    ("whether the parent is remote", |can| yes(can.is_remote)),
    ("span links", |can| yes(can.links)),
    ("trace state", |can| yes(can.trace_state)),
    ("dropped counts", |can| yes(can.dropped_counts)),
    ("the exact resource of every span", |can| yes(can.exact_resource)),
    ("several copies of one span", |can| yes(can.duplicates_visible)),
    ("backend may have edited spans", |can| yes(can.edited_by_source)),
];

const fn yes(fact: bool) -> &'static str {
    if fact { "yes" } else { "no" }
}

fn entry(info: &'static formats::FormatInfo) -> Entry {
    let can = &info.capabilities;
    Entry {
        name: info.name,
        title: info.title,
        comes_from: info.comes_from,
        capabilities: Capabilities {
            time_resolution_ns: can.time_resolution_ns,
            flags: can.flags,
            is_remote: can.is_remote,
            links: can.links,
            trace_state: can.trace_state,
            dropped_counts: can.dropped_counts,
            exact_resource: can.exact_resource,
            duplicates_visible: can.duplicates_visible,
            edited_by_source: can.edited_by_source,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_every_format_both_ways() {
        let text = String::from_utf8(list(ListFormat::Text).unwrap()).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&list(ListFormat::Json).unwrap()).unwrap();
        for (index, format) in formats::ALL.iter().enumerate() {
            assert!(text.contains(format.info().name));
            assert!(text.contains(&in_words(&entry(format.info()).capabilities)));
            assert_eq!(json[index]["name"], format.info().name);
        }
    }
}
