//! WHERE bytes come from: files, folders, globs, stdin, backends. A source gives bytes and says why
//! it gave only a part; it knows nothing about spans.

pub mod blocks;
mod fetch_problem;
mod http;
mod jaeger;
pub mod lines;
mod open;
pub mod remote;
pub mod reread;
mod signoz;
pub mod spool;
pub mod stdin;
mod walk;

use std::path::PathBuf;
use std::{fs, io};

pub use fetch_problem::FetchProblem;
pub use http::base_url;
pub use open::{Compression, Damage, Opened, ReadProblem, StoredBytes, open, open_stream};
pub use walk::{Expanded, expand};

use crate::config::Backend;

/// One thing to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// As given; for files in a folder the folder as given, joined with the path inside it.
    pub path: String,
    /// Where the bytes are.
    pub kind: InputKind,
    /// Whether the user named it, so that not being able to read it is an error. Files met in a
    /// folder are not named.
    pub named: bool,
}

impl Input {
    /// Bytes as stored, where that is known before reading.
    pub fn size(&self) -> Option<u64> {
        match &self.kind {
            InputKind::File(path) => {
                let metadata = fs::metadata(path).ok()?;
                metadata.is_file().then_some(metadata.len())
            }
            InputKind::Memory(bytes) => Some(bytes.len() as u64),
            InputKind::Stdin | InputKind::Backend(_) => None,
        }
    }
}

/// A backend as an input.
pub fn backend_input(backend: &Backend) -> Input {
    Input {
        path: format!("{} {}", backend.kind.flag(), backend.url),
        kind: InputKind::Backend(Box::new(backend.clone())),
        named: true,
    }
}

/// Where the bytes of an input are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputKind {
    /// A file, or a FIFO or device that the user named.
    File(PathBuf),
    /// Standard input.
    Stdin,
    /// Bytes that are part of the program.
    Memory(&'static [u8]),
    /// Answers of a backend.
    Backend(Box<Backend>),
}

/// An input that cannot be read at all.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", shown_path(path))]
pub struct SourceError {
    /// As given.
    pub path: String,
    /// Why.
    pub problem: SourceProblem,
}

/// A path for messages: nobody reads `-` as standard input.
pub fn shown_path(path: &str) -> &str {
    if path == "-" { "standard input" } else { path }
}

/// Why an input cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceProblem {
    /// There is no such file.
    #[error("no such file or folder")]
    NotFound {
        /// A path with a similar name in the same folder.
        similar: Option<String>,
    },
    /// Access is denied.
    #[error("permission denied")]
    Permission,
    /// It is a socket.
    #[error("is a socket, not a file")]
    Socket,
    /// It is a folder, where a file was expected.
    #[error("is a folder, not a file")]
    Folder,
    /// No file matches this glob pattern.
    #[error("no file matches this pattern")]
    NoMatch,
    /// The glob pattern cannot be understood.
    #[error("is not a valid pattern: {0}")]
    BadPattern(&'static str),
    /// The operating system says something else.
    #[error("{0}")]
    Io(io::Error),
    /// A backend gave nothing.
    #[error("{0}")]
    Backend(FetchProblem),
}

impl SourceError {
    pub(crate) fn new(path: impl Into<String>, problem: SourceProblem) -> Self {
        Self { path: path.into(), problem }
    }

    pub(crate) fn io(path: impl Into<String>, error: io::Error) -> Self {
        let problem = match error.kind() {
            io::ErrorKind::NotFound => SourceProblem::NotFound { similar: None },
            io::ErrorKind::PermissionDenied => SourceProblem::Permission,
            io::ErrorKind::IsADirectory => SourceProblem::Folder,
            _ => SourceProblem::Io(error),
        };
        Self::new(path, problem)
    }

    /// What would help.
    pub fn help(&self) -> String {
        match &self.problem {
            SourceProblem::NotFound { similar: Some(similar) } => format!("did you mean '{similar}'?"),
            SourceProblem::NotFound { similar: None } => {
                "check the path; `-` reads from standard input".to_owned()
            }
            SourceProblem::Permission => {
                format!("make it readable, or pipe it in: `sudo cat '{}' | tracemend … -`", self.path)
            }
            SourceProblem::Socket => {
                "write the traces to a file first, with the Collector's file exporter".to_owned()
            }
            SourceProblem::Folder => "name the files in it, or the folder on its own".to_owned(),
            SourceProblem::NoMatch => {
                "quote the pattern so that the shell leaves it alone; `**` matches folders of any depth"
                    .to_owned()
            }
            SourceProblem::BadPattern(_) => {
                "write `[*]`, `[?]` or `[[]` for a file name that contains such a character".to_owned()
            }
            SourceProblem::Backend(problem) => problem.help(),
            SourceProblem::Io(_) => "copy the file to a local disk and read it from there".to_owned(),
        }
    }
}
