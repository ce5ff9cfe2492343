//! The console blocks of the README are run as they stand.
//! `TRYCMD=overwrite cargo test --test readme` writes their output anew.

#[test]
fn the_console_blocks_say_what_happens() {
    trycmd::TestCases::new()
        .register_bin("tracemend", std::path::Path::new(env!("CARGO_BIN_EXE_tracemend")))
        .env("NO_COLOR", "1")
        .case("README.md");
}
