//! The report for people and machines: one file per output format. Text in a report comes from
//! traces and is untrusted; each renderer neutralises what would hurt its reader.

mod ascii;
mod concise;
mod json;
mod table;
pub mod text;
pub mod trace;
pub mod tree;

#[cfg(test)]
mod samples;

use std::io;

pub(crate) use json::write_pretty as write_json;

use crate::report::Report;

/// An output format.
#[derive(Debug)]
pub struct Renderer {
    /// The name for `--format` and `--report`.
    pub name: &'static str,
    /// One line: what it is good for.
    pub summary: &'static str,
    /// Writes the report.
    pub render: fn(&Report, &RenderOptions, &mut dyn io::Write) -> io::Result<()>,
}

/// All output formats.
pub static ALL: &[Renderer] = &[
    Renderer { name: "table", summary: "for people, in a terminal", render: table::render },
    Renderer { name: "concise", summary: "one line a finding, for grep and agents", render: concise::render },
    Renderer { name: "json", summary: "everything, for programs", render: json::render },
];

/// How to write a report. Formats for machines look at none of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderOptions {
    /// Columns.
    pub width: usize,
    /// Write colours.
    pub color: bool,
    /// Draw with ASCII characters only.
    pub ascii: bool,
    /// Write links (OSC 8).
    pub hyperlinks: bool,
    /// How many findings are shown in detail; all when `None`.
    pub top: Option<usize>,
    /// Number of `-v` less number of `-q`.
    pub verbosity: i8,
    /// What follows the id in a suggested `tracemend show`, quoted for a shell; taken from the
    /// inputs of the report when `None`.
    pub show_arguments: Option<String>,
}

impl Default for RenderOptions {
    fn default() -> Self {
        Self {
            width: 80,
            color: false,
            ascii: false,
            hyperlinks: false,
            top: None,
            verbosity: 0,
            show_arguments: None,
        }
    }
}

/// An output format that does not exist.
#[derive(Debug, thiserror::Error)]
#[error("unknown output format `{name}`; known are {}", known_names())]
pub struct UnknownRenderer {
    /// What was asked for.
    pub name: String,
}

/// The output format with this name.
pub fn by_name(name: &str) -> Result<&'static Renderer, UnknownRenderer> {
    ALL.iter()
        .find(|renderer| renderer.name == name)
        .ok_or_else(|| UnknownRenderer { name: text::clean(name).into_owned() })
}

fn known_names() -> String {
    ALL.iter().map(|renderer| renderer.name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_format_lists_the_known_ones() {
        let error = by_name("yaml").unwrap_err().to_string();
        assert_eq!(error, "unknown output format `yaml`; known are table, concise, json");
    }

    #[test]
    fn hostile_names_never_reach_the_terminal() {
        let report = samples::hostile();
        for renderer in ALL {
            for verbosity in [-1, 0, 2] {
                let options = RenderOptions { verbosity, ..RenderOptions::default() };
                let mut out = Vec::new();
                (renderer.render)(&report, &options, &mut out).unwrap();
                let out = String::from_utf8(out).unwrap();
                let harmful = out.chars().find(|c| *c != '\n' && text::is_harmful(*c));
                assert_eq!(harmful, None, "{} lets a control through", renderer.name);
            }
        }
    }
}
