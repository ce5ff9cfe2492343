//! `tracemend formats`: the list of input formats.

use std::fmt::Write as _;

use anyhow::Result;
use serde::Serialize;

use super::args::ListFormat;
use crate::formats;
use crate::render;
use crate::report::Capabilities;

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
    let mut out = String::new();
    for entry in &entries {
        writeln!(out, "{}\n  {}\n  {}\n", entry.name, entry.title, entry.comes_from)?;
    }
    out.push_str("Formats are detected from the bytes; gzip and zstd around any of them are undone.\n");
    Ok(out.into_bytes())
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
            assert_eq!(json[index]["name"], format.info().name);
        }
    }
}
