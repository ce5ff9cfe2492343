//! The reference for speed: parses each line of a file into a `serde_json::Value` and drops it.
//! `cargo run --release --example value_pass -- traces.jsonl`

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write as _};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: value_pass FILE")?;
    let mut reader = BufReader::with_capacity(1 << 20, File::open(path)?);
    let (mut line, mut lines) = (Vec::new(), 0_u64);
    while reader.read_until(b'\n', &mut line)? > 0 {
        let value: serde_json::Value = serde_json::from_slice(&line)?;
        std::hint::black_box(&value);
        lines += 1;
        line.clear();
    }
    writeln!(io::stdout(), "{lines} lines")?;
    Ok(())
}
