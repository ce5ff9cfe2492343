//! Writes generated traces to standard output, and what is in them to standard error:
//! `cargo run --release --example generate -- otlp-json 1000000 > traces.jsonl`

#[path = "../benches/support/generator.rs"]
mod generator;

use std::io::{self, BufWriter, Write as _};

use generator::{Form, Recipe};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let usage = || {
        let forms = Form::ALL.map(Form::name).join("|");
        format!("usage: generate {forms} SPANS [SEED]")
    };
    let mut arguments = std::env::args().skip(1);
    let (Some(form), Some(spans)) = (arguments.next(), arguments.next()) else {
        return Err(usage().into());
    };
    let form = Form::ALL.into_iter().find(|known| known.name() == form).ok_or_else(usage)?;
    let mut recipe = Recipe::of(spans.parse()?);
    if let Some(seed) = arguments.next() {
        recipe.seed = seed.parse()?;
    }
    let mut out = BufWriter::with_capacity(1 << 20, io::stdout().lock());
    let truth = generator::write(form, &recipe, &mut out)?;
    out.flush()?;
    writeln!(io::stderr(), "{truth:?}")?;
    Ok(())
}
