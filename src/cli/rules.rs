//! `tracemend rules`: the list of rules.

use std::fmt::Write as _;

use anyhow::Result;
use serde::Serialize;

use super::args::ListFormat;
use crate::analyzers;
use crate::render;

#[derive(Serialize)]
struct Entry {
    name: &'static str,
    severity: &'static str,
    summary: &'static str,
}

/// The list.
pub(super) fn list(format: ListFormat) -> Result<Vec<u8>> {
    let entries: Vec<Entry> = analyzers::rules()
        .iter()
        .map(|rule| Entry { name: rule.name, severity: rule.severity.as_str(), summary: rule.summary })
        .collect();
    if format == ListFormat::Json {
        let mut out = Vec::new();
        render::write_json(&entries, &mut out)?;
        return Ok(out);
    }
    if format == ListFormat::Markdown {
        let mut out = String::from("| rule | severity | what it finds |\n|---|---|---|\n");
        for Entry { name, severity, summary } in &entries {
            writeln!(out, "| `{name}` | {severity} | {summary} |")?;
        }
        return Ok(out.into_bytes());
    }
    let longest = entries.iter().map(|entry| entry.name.len()).max().unwrap_or(0);
    let mut out = String::new();
    for entry in &entries {
        writeln!(out, "{:longest$}  {:7}  {}", entry.name, entry.severity, entry.summary)?;
    }
    out.push_str("\nMore about one of them: tracemend explain RULE\n");
    Ok(out.into_bytes())
}
