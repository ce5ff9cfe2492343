//! Whether two names stand for one file, so that nothing that is read is written over.

use std::fs::{self, Metadata};
use std::path::Path;

/// Whether both names lead to one file: over links of either kind, too.
pub(super) fn is_same(left: &Path, right: &Path) -> bool {
    let by_path = match (left.canonicalize(), right.canonicalize()) {
        (Ok(left), Ok(right)) => left == right,
        _ => return false,
    };
    by_path
        || matches!((fs::metadata(left), fs::metadata(right)), (Ok(left), Ok(right)) if is_one(&left, &right))
}

/// Whether standard input comes from the file of this name.
#[cfg(unix)]
pub(super) fn is_stdin(path: &Path) -> bool {
    use std::os::fd::AsFd as _;

    let stdin =
        std::io::stdin().as_fd().try_clone_to_owned().and_then(|stdin| fs::File::from(stdin).metadata());
    matches!((stdin, fs::metadata(path)), (Ok(stdin), Ok(path)) if stdin.is_file() && is_one(&stdin, &path))
}

/// Elsewhere the system does not let a file be written that a shell has opened for reading.
#[cfg(not(unix))]
pub(super) fn is_stdin(_path: &Path) -> bool {
    false
}

#[cfg(unix)]
fn is_one(left: &Metadata, right: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;

    left.dev() == right.dev() && left.ino() == right.ino()
}

#[cfg(not(unix))]
fn is_one(_left: &Metadata, _right: &Metadata) -> bool {
    false
}
