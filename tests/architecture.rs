//! Holds the direction of imports that `docs/ARCHITECTURE.md` describes, by reading the source.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The modules in the direction of the data. A module may use itself and what stands before it;
/// modules in one row know each other.
const ORDER: &[&[&str]] = &[
    // Vocabulary and plain data.
    &["model"],
    &["report"],
    &["progress"],
    &["exit"],
    &["suggest"],
    // From bytes to records.
    &["formats"],
    &["config"],
    &["sources"],
    &["store"],
    // From records to findings. A finding names its rule and its cause, a rule makes findings, and
    // causes are weighed for findings.
    &["trace"],
    &["graph"],
    &["corpus"],
    &["analyzers", "causes", "diagnosis", "finding"],
    &["gate"],
    &["analysis"],
    // From settings to a report.
    &["read"],
    &["relink"],
    &["exemplars"],
    &["compose"],
    &["shown"],
    &["pipeline"],
    // What people see.
    &["render"],
    &["cli"],
    &["lib", "main"],
];

/// The part that can be tested without a process, a terminal or a file.
const CORE: &[&str] = &[
    "model",
    "report",
    "formats",
    "store",
    "trace",
    "graph",
    "corpus",
    "analyzers",
    "causes",
    "diagnosis",
    "finding",
    "gate",
    "analysis",
];

/// Crates that the core must not know.
const FORBIDDEN_IN_CORE: &[&str] = &[
    "anstream",
    "anyhow",
    "clap",
    "clap_complete",
    "comfy_table",
    "ctrlc",
    "indicatif",
    "reqwest",
    "tempfile",
    "terminal_size",
    "tokio",
    "walkdir",
];

/// Crates that only these files and folders use.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("anyhow", &["cli/", "main.rs"]),
    ("chrono", &["model/time.rs"]),
    ("clap", &["cli/"]),
    ("comfy_table", &["render/table.rs"]),
    ("ctrlc", &["cli/session.rs"]),
    ("flate2", &["sources/"]),
    ("futures_util", &["sources/"]),
    ("indicatif", &["cli/progress.rs"]),
    (
        "petgraph",
        &[
            "corpus/assignment.rs",
            "corpus/clocks/network.rs",
            "diagnosis/losses/systematic.rs",
            "graph.rs",
            "trace.rs",
        ],
    ),
    ("http_body_util", &["sources/http.rs"]),
    ("httpdate", &["sources/http.rs"]),
    ("reqwest", &["sources/http.rs"]),
    ("rustls", &["sources/http.rs"]),
    ("tokio", &["sources/http.rs", "sources/remote.rs"]),
    ("rayon", &["analysis.rs", "pipeline.rs", "store/"]),
    ("tempfile", &["sources/"]),
    ("walkdir", &["sources/walk.rs"]),
];

/// Source files by their path in `src`, without comments and without their tests.
fn sources() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut files): (Vec<PathBuf>, _) = (vec![root.clone()], BTreeMap::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
                files.insert(name, without_tests(&fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(files.len() > 30, "this test reads the wrong folder");
    // Modules that only tests have.
    files.retain(|name, _| {
        !matches!(name.as_str(), "analyzers/notation.rs" | "render/samples.rs")
            && !name.ends_with("/tests.rs")
    });
    files
}

/// Leaves out comments, and items behind `#[cfg(test)]`: single lines, and blocks up to the
/// closing bracket in the first column.
fn without_tests(source: &str) -> String {
    let mut kept = String::new();
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        if line.trim() == "#[cfg(test)]" {
            let is_block = lines.next().is_some_and(|item| item.trim_end().ends_with('{'));
            if is_block && !line.starts_with(' ') {
                lines.by_ref().find(|line| *line == "}");
            }
        } else if !line.trim_start().starts_with("//") {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// The module at the top of the crate that a file belongs to.
fn module(file: &str) -> &str {
    file.split('/').next().unwrap().trim_end_matches(".rs")
}

fn rank(module: &str) -> Option<usize> {
    ORDER.iter().position(|row| row.contains(&module))
}

/// Names that follow `prefix` in the code, as whole words.
fn names_after<'s>(source: &'s str, prefix: &'s str) -> impl Iterator<Item = &'s str> {
    source.match_indices(prefix).filter_map(move |(start, _)| {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if source[..start].ends_with(is_word) {
            return None;
        }
        let rest = &source[start + prefix.len()..];
        let end = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
        (end > 0).then(|| &rest[..end])
    })
}

fn uses_crate(source: &str, name: &str) -> bool {
    let path = format!("{name}::");
    names_after(source, &path).next().is_some()
        || source.contains(&format!("{path}{{"))
        || source.contains(&format!("use {name};"))
}

#[test]
fn imports_point_back_toward_the_input() {
    let mut wrong = Vec::new();
    for (file, source) in sources() {
        let Some(own) = rank(module(&file)) else {
            wrong.push(format!("{file}: has no place in the order"));
            continue;
        };
        assert!(
            !source.contains("use crate::{"),
            "{file}: one `use` for each module, so that they can be read"
        );
        for used in names_after(&source, "crate::") {
            match rank(used) {
                Some(other) if other <= own => {}
                Some(_) => wrong.push(format!("{file}: uses {used}, which comes later")),
                None => wrong.push(format!("{file}: uses {used}, which has no place in the order")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `super` does not lead out of a folder, so that the test above sees every import.
#[test]
fn super_stays_in_the_folder() {
    for (file, source) in sources() {
        let depth = file.matches('/').count() - usize::from(file.ends_with("/mod.rs"));
        let leads_out = "super::".repeat(depth + 1);
        let is_import = |line: &str| line.contains(&leads_out);
        assert!(!source.lines().any(is_import), "{file}: write crate:: instead of {leads_out}");
    }
}

#[test]
fn the_core_knows_no_network_terminal_or_command_line() {
    for (file, source) in sources() {
        if !CORE.contains(&module(&file)) {
            continue;
        }
        for name in FORBIDDEN_IN_CORE {
            assert!(!uses_crate(&source, name), "{file}: uses {name}");
        }
        for path in ["std::env", "std::fs", "std::io::stdin", "std::net", "std::process", "std::time"] {
            assert!(!source.contains(path), "{file}: uses {path}");
        }
    }
}

#[test]
fn some_crates_stay_in_their_place() {
    for (file, source) in sources() {
        for (name, places) in ONLY_IN {
            let is_allowed = places
                .iter()
                .any(|place| file == *place || (place.ends_with('/') && file.starts_with(place)));
            assert!(is_allowed || !uses_crate(&source, name), "{file}: uses {name}");
        }
    }
}

#[test]
fn only_sources_wait_for_the_network() {
    for (file, source) in sources() {
        for path in ["std::net", "TcpStream", "UdpSocket"] {
            assert!(!source.contains(path), "{file}: uses {path}");
        }
        let words = source.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let is_async = words.into_iter().any(|word| matches!(word, "async" | "await"));
        // Causes show code in other languages.
        let is_data = file.starts_with("causes/");
        assert!(!is_async || is_data || file.starts_with("sources/"), "{file}: async code");
    }
}

#[test]
fn there_is_no_unsafe_code() {
    for (file, source) in sources() {
        let words = source.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        assert!(words.into_iter().all(|word| word != "unsafe"), "{file}: unsafe code");
    }
}

/// The page names every module, so that it cannot forget one.
#[test]
fn the_page_on_architecture_names_every_module() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ARCHITECTURE.md");
    let page = fs::read_to_string(page).unwrap();
    for file in sources().keys() {
        let module = module(file);
        assert!(page.contains(&format!("`{module}")), "docs/ARCHITECTURE.md does not name {module}");
    }
}
