//! Integration tests: the whole way from bytes to report, through the library and the binary.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]
#![expect(clippy::format_collect, reason = "clear, and a test has time")]

mod asking;
mod check;
mod determinism;
mod diagnosis;
mod double;
mod encode;
mod hostile;
mod jaeger;
mod matrix;
mod parity;
mod relink;
mod reports;
mod signoz;
mod support;
