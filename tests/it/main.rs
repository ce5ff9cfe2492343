//! Integration tests: the whole way from bytes to report, through the library and the binary.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]
#![expect(clippy::format_collect, reason = "clear, and a test has time")]

mod check;
mod determinism;
mod diagnosis;
mod matrix;
mod reports;
mod support;
