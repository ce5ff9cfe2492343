//! Integration tests: the whole way from bytes to report, through the library and the binary.

mod check;
mod determinism;
mod matrix;
mod support;
