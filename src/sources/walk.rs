//! Turns the arguments of the command line into inputs, in an order that does not depend on the
//! file system.

use std::fs::{self, FileType, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use super::{Input, InputKind, SourceError, SourceProblem, backend_input};
use crate::config::Backend;
use crate::suggest;

/// What the arguments stand for.
#[derive(Debug, Default)]
pub struct Expanded {
    /// In the order given; files of a folder or pattern sorted by name.
    pub inputs: Vec<Input>,
    /// Arguments, and folders inside them, that cannot be read.
    pub failures: Vec<SourceError>,
    /// Entries of folders that are never opened: FIFOs, sockets, devices, links out of the folder.
    pub skipped_files: u64,
}

/// Expands files, folders, glob patterns and `-`. A pattern is one only when no file has that name.
/// Hidden files and folders inside a folder are not looked at.
pub fn expand(args: &[String]) -> Expanded {
    let mut expanded = Expanded::default();
    for arg in args {
        expanded.argument(arg);
    }
    expanded
}

impl Expanded {
    /// The same with these backends behind the files.
    #[must_use]
    pub fn with_backends(mut self, backends: &[Backend]) -> Self {
        self.inputs.extend(backends.iter().map(backend_input));
        self
    }

    fn argument(&mut self, arg: &str) {
        if arg == "-" {
            self.inputs.push(Input { path: arg.to_owned(), kind: InputKind::Stdin, named: true });
            return;
        }
        match fs::metadata(arg) {
            Ok(metadata) => self.existing(arg, &metadata),
            Err(error) if error.kind() == io::ErrorKind::NotFound && arg.contains(['*', '?', '[']) => {
                self.pattern(arg);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let problem = SourceProblem::NotFound { similar: similar_path(Path::new(arg)) };
                self.failures.push(SourceError::new(arg, problem));
            }
            Err(error) => self.failures.push(SourceError::io(arg, error)),
        }
    }

    fn existing(&mut self, path: &str, metadata: &Metadata) {
        if metadata.is_dir() {
            self.folder(path);
        } else if is_socket(metadata.file_type()) {
            self.failures.push(SourceError::new(path, SourceProblem::Socket));
        } else {
            self.file(Path::new(path), true);
        }
    }

    fn file(&mut self, path: &Path, named: bool) {
        let kind = InputKind::File(path.to_owned());
        self.inputs.push(Input { path: path.to_string_lossy().into_owned(), kind, named });
    }

    fn pattern(&mut self, pattern: &str) {
        let options = glob::MatchOptions { require_literal_leading_dot: true, ..glob::MatchOptions::new() };
        let matches = match glob::glob_with(pattern, options) {
            Ok(matches) => matches,
            Err(error) => {
                return self.failures.push(SourceError::new(pattern, SourceProblem::BadPattern(error.msg)));
            }
        };
        let mut any = false;
        for found in matches {
            any = true;
            match found {
                Ok(path) => self.matched(&path),
                Err(error) => {
                    let path = error.path().to_string_lossy().into_owned();
                    self.failures.push(SourceError::io(path, error.into()));
                }
            }
        }
        if !any {
            self.failures.push(SourceError::new(pattern, SourceProblem::NoMatch));
        }
    }

    /// What a pattern matches was not named, so anything that could block or has no bytes is left out.
    fn matched(&mut self, path: &Path) {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => self.file(path, true),
            Ok(metadata) if metadata.is_dir() => self.folder(&path.to_string_lossy()),
            Ok(_) => self.skipped_files += 1,
            Err(error) => self.failures.push(SourceError::io(path.to_string_lossy(), error)),
        }
    }

    fn folder(&mut self, root: &str) {
        let real_root = fs::canonicalize(root).ok();
        let visible = |entry: &DirEntry| entry.depth() == 0 || !is_hidden(entry);
        for entry in WalkDir::new(root).sort_by_file_name().into_iter().filter_entry(visible) {
            match entry {
                Ok(entry) if entry.depth() == 0 || entry.file_type().is_dir() => {}
                Ok(entry) if is_readable_file(&entry, real_root.as_deref()) => self.file(entry.path(), false),
                Ok(_) => self.skipped_files += 1,
                Err(error) => self.failures.push(walk_error(root, error)),
            }
        }
    }
}

fn walk_error(root: &str, error: walkdir::Error) -> SourceError {
    let path = error.path().map_or_else(|| root.to_owned(), |path| path.to_string_lossy().into_owned());
    let error = error.into_io_error().unwrap_or_else(|| io::Error::other("cannot be listed"));
    SourceError::io(path, error)
}

fn is_hidden(entry: &DirEntry) -> bool {
    entry.file_name().as_encoded_bytes().starts_with(b".")
}

/// A regular file, or a link to one inside the same folder.
fn is_readable_file(entry: &DirEntry, real_root: Option<&Path>) -> bool {
    if !entry.path_is_symlink() {
        return entry.file_type().is_file();
    }
    let (Ok(target), Some(root)) = (fs::canonicalize(entry.path()), real_root) else {
        return false;
    };
    target.starts_with(root) && fs::metadata(&target).is_ok_and(|metadata| metadata.is_file())
}

#[cfg(unix)]
fn is_socket(file_type: FileType) -> bool {
    std::os::unix::fs::FileTypeExt::is_socket(&file_type)
}

#[cfg(not(unix))]
fn is_socket(_: FileType) -> bool {
    false
}

/// The entry of the same folder whose name differs least, if it differs little, case aside.
fn similar_path(path: &Path) -> Option<String> {
    /// More entries than this are not looked at: the suggestion is not worth the time.
    const MOST_ENTRIES: usize = 10_000;
    let name = path.file_name()?.to_str()?;
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let allowed = (name.chars().count() / 4).max(1);
    let (_, similar) = fs::read_dir(folder.unwrap_or(Path::new(".")))
        .ok()?
        .take(MOST_ENTRIES)
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .map(|other| (suggest::distance(&name.to_lowercase(), &other.to_lowercase()), other))
        .filter(|(distance, _)| *distance <= allowed)
        .min()?;
    let similar = folder.map_or_else(|| PathBuf::from(&similar), |folder| folder.join(&similar));
    similar.into_os_string().into_string().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(root: &Path, expanded: &Expanded) -> Vec<String> {
        let root = format!("{}/", root.display());
        expanded.inputs.iter().map(|input| input.path.replace(&root, "")).collect()
    }

    fn write(root: &Path, names: &[&str]) {
        for name in names {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "{}").unwrap();
        }
    }

    fn arg(path: &Path) -> String {
        path.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_folder_gives_its_files_by_name_without_hidden_ones() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), &["b.json", "a/z.json", "a/b.json", "B.json", ".git/x", ".hidden", "c"]);
        let expanded = expand(&[arg(root.path())]);
        assert_eq!(paths(root.path(), &expanded), ["B.json", "a/b.json", "a/z.json", "b.json", "c"]);
        assert!(expanded.failures.is_empty());
        assert!(expanded.inputs.iter().all(|input| !input.named));
    }

    #[cfg(unix)]
    #[test]
    fn special_files_and_links_out_of_a_folder_are_never_opened() {
        use std::os::unix::fs::symlink;
        let outside = tempfile::tempdir().unwrap();
        write(outside.path(), &["secret.json"]);
        let root = tempfile::tempdir().unwrap();
        write(root.path(), &["a.json"]);
        symlink(outside.path().join("secret.json"), root.path().join("out.json")).unwrap();
        symlink(outside.path(), root.path().join("folder")).unwrap();
        symlink(root.path(), root.path().join("loop")).unwrap();
        symlink("itself", root.path().join("itself")).unwrap();
        symlink("a.json", root.path().join("link.json")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(root.path().join("socket")).unwrap();
        let fifo = root.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());

        let expanded = expand(&[arg(root.path())]);
        assert_eq!(paths(root.path(), &expanded), ["a.json", "link.json"]);
        assert_eq!(expanded.skipped_files, 6);

        let named = expand(&[arg(&fifo), arg(&root.path().join("socket"))]);
        assert_eq!(named.inputs.len(), 1);
        assert!(matches!(named.failures[..], [SourceError { problem: SourceProblem::Socket, .. }]));
    }

    #[test]
    fn a_pattern_is_one_only_when_no_file_has_that_name() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), &["b.json", "a.json", "[ab].json", "x/c.json"]);
        let literal = expand(&[arg(&root.path().join("[ab].json"))]);
        assert_eq!(paths(root.path(), &literal), ["[ab].json"]);
        let pattern = expand(&[arg(&root.path().join("?.json"))]);
        assert_eq!(paths(root.path(), &pattern), ["a.json", "b.json"]);
        let deep = expand(&[arg(&root.path().join("**/c.*"))]);
        assert_eq!(paths(root.path(), &deep), ["x/c.json"]);
        let none = expand(&[arg(&root.path().join("*.pb")), arg(&root.path().join("[.json"))]);
        assert!(matches!(none.failures[0].problem, SourceProblem::NoMatch));
        assert!(matches!(none.failures[1].problem, SourceProblem::BadPattern(_)));
    }

    #[test]
    fn a_missing_file_names_a_similar_one() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), &["traces.jsonl", "other.txt"]);
        let expanded = expand(&[arg(&root.path().join("trace.jsonl")), arg(&root.path().join("nothing"))]);
        assert!(expanded.failures[0].help().contains("traces.jsonl'"), "{}", expanded.failures[0].help());
        assert!(matches!(expanded.failures[1].problem, SourceProblem::NotFound { similar: None }));
    }

    #[test]
    fn a_dash_is_standard_input() {
        let expanded = expand(&["-".to_owned()]);
        assert_eq!(expanded.inputs[0].kind, InputKind::Stdin);
    }
}
