//! Files that are generated from the program and committed: they have to equal what the program
//! says now. `UPDATE_DOCS=1 cargo test --test docs` writes them anew.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the program prints.
fn printed(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_tracemend")).args(arguments).output().unwrap();
    assert!(output.status.success(), "tracemend {arguments:?}: {}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn is_update() -> bool {
    std::env::var_os("UPDATE_DOCS").is_some()
}

/// Text files by their path in the package.
type Files = BTreeMap<PathBuf, String>;

/// A folder holds exactly these files.
fn check_folder(folder: &str, files: &Files) {
    let folder = root().join(folder);
    if is_update() {
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
    }
    for (path, text) in files {
        check_file(path, text);
    }
    let committed = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
    let committed: Vec<_> = committed.filter(|name| !files.contains_key(&folder.join(name))).collect();
    assert!(committed.is_empty(), "{} holds files that nothing generates: {committed:?}", folder.display());
}

fn check_file(path: &Path, text: &str) {
    if is_update() {
        fs::write(path, text).unwrap();
    }
    let committed = fs::read_to_string(path).unwrap_or_default().replace("\r\n", "\n");
    assert!(committed == text, "{} is out of date: UPDATE_DOCS=1 cargo test --test docs", path.display());
}

#[test]
fn completions_are_up_to_date() {
    let scripts = [
        ("bash", "tracemend.bash"),
        ("elvish", "tracemend.elv"),
        ("fish", "tracemend.fish"),
        ("powershell", "_tracemend.ps1"),
        ("zsh", "_tracemend"),
    ];
    let files = scripts
        .map(|(shell, name)| (root().join("completions").join(name), printed(&["completions", shell])));
    check_folder("completions", &Files::from(files));
}

#[test]
fn the_manual_is_up_to_date() {
    let scratch = tempfile::tempdir().unwrap();
    clap_mangen::generate_to(tracemend::cli::command(), scratch.path()).unwrap();
    let pages = fs::read_dir(scratch.path()).unwrap().map(|entry| {
        let page = entry.unwrap();
        let text = fs::read_to_string(page.path()).unwrap();
        (root().join("docs/man").join(page.file_name()), text)
    });
    let pages: Files = pages.collect();
    assert!(pages.keys().any(|path| path.ends_with("tracemend-check.1")));
    check_folder("docs/man", &pages);
}

#[test]
fn the_pages_of_the_rules_are_up_to_date() {
    let rules = tracemend::analyzers::rules();
    let pages = rules.iter().map(|rule| {
        let path = root().join(format!("docs/rules/{}.md", rule.name));
        (path, printed(&["explain", rule.name, "--format", "markdown"]))
    });
    check_folder("docs/rules", &pages.collect());
}

#[test]
fn the_pages_of_the_causes_are_up_to_date() {
    let pages = tracemend::causes::ALL.iter().map(|cause| {
        let path = root().join(format!("docs/causes/{}.md", cause.id));
        (path, printed(&["explain", cause.id, "--format", "markdown"]))
    });
    check_folder("docs/causes", &pages.collect());
}

#[test]
fn the_page_of_the_formats_is_up_to_date() {
    check_file(&root().join("docs/formats.md"), &printed(&["formats", "--format", "markdown"]));
}

/// The tables in the README stand between two comments and come from the program.
#[test]
fn the_tables_in_the_readme_are_up_to_date() {
    let path = root().join("README.md");
    let readme = fs::read_to_string(&path).unwrap().replace("\r\n", "\n");
    let mut written = readme;
    let tables = [
        ("rules", first_table(&printed(&["rules", "--format", "markdown"]))),
        ("formats", first_table(&printed(&["formats", "--format", "markdown"]))),
        ("exit codes", exit_codes()),
    ];
    for (name, table) in tables {
        let (begin, end) = (format!("<!-- begin {name} -->\n"), format!("<!-- end {name} -->"));
        let start = written.find(&begin).expect(&begin) + begin.len();
        let stop = start + written[start..].find(&end).expect(&end);
        written.replace_range(start..stop, &table);
    }
    check_file(&path, &written);
}

fn first_table(page: &str) -> String {
    let lines = page.lines().skip_while(|line| !line.starts_with('|'));
    lines.take_while(|line| line.starts_with('|')).flat_map(|line| [line, "\n"]).collect()
}

/// The table of the exit codes as the code documents it.
fn exit_codes() -> String {
    let code = fs::read_to_string(root().join("src/exit.rs")).unwrap();
    let rows = code.lines().filter_map(|line| line.strip_prefix("//! ")).filter(|line| line.starts_with('|'));
    rows.flat_map(|row| [row, "\n"]).collect()
}
