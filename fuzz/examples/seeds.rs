//! Makes the first corpora out of the fixtures: `seeds FIXTURES CORPORA` writes a folder for each
//! target. Each fixture goes to the target of its format, under several ways to read it.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use tracemend::formats::{Detection, Head, Limits, detect};
use tracemend::sources::{Input, InputKind, open_stream};
use tracemend_fuzz::{PACKED, TARGETS};

/// Inputs of a fuzzer have to be small; a longer fixture is cut.
const MOST_BYTES: usize = 6 << 10;

/// Limits and cuts, as the bytes before an input say them.
const READINGS: [[u8; 2]; 3] = [[4, 0x23], [0, 0x11], [4, 0x02]];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(fixtures), Some(corpora)) = (arguments.next(), arguments.next()) else {
        return Err("usage: seeds FIXTURES CORPORA".into());
    };
    let mut files = Vec::new();
    collect(Path::new(&fixtures), &mut files)?;
    files.sort();
    for (number, file) in files.iter().enumerate() {
        write_seeds(&fs::read(file)?, number, Path::new(&corpora))?;
    }
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.file_name().is_some_and(|name| name != "expect.json") {
            files.push(path);
        }
    }
    Ok(())
}

fn write_seeds(stored: &[u8], number: usize, corpora: &Path) -> Result<(), Box<dyn Error>> {
    let input = Input { path: String::new(), kind: InputKind::Stdin, named: true };
    let opened = open_stream(&input, Box::new(stored), &Limits::default())?;
    let Detection::Known(format) = detect(&Head::new(&opened.head)) else { return Ok(()) };
    let head = &opened.head[..opened.head.len().min(MOST_BYTES)];
    let name = format.info().name;
    let write = |target: &str, control: &[u8], bytes: &[u8]| {
        let folder = corpora.join(target);
        fs::create_dir_all(&folder)?;
        let id: String = control.iter().map(|byte| format!("{byte:02x}")).collect();
        fs::write(folder.join(format!("{name}-{number}-{id}")), [control, bytes].concat())
    };
    for (target, formats) in TARGETS {
        let Some(choice) = formats.iter().position(|format| *format == name) else { continue };
        for [limits, cuts] in READINGS {
            write(target, &[choice as u8, limits, cuts], head)?;
        }
    }
    for (target, formats) in TARGETS {
        for (choice, framed) in formats.iter().enumerate() {
            // Frames hold messages and JSON.
            let holds = match *framed {
                "otlp-protobuf-frames" => ["otlp-protobuf", "otlp-json"].contains(&name),
                "otlp-protobuf-delimited" => name == "otlp-protobuf",
                _ => false,
            };
            if holds {
                write(target, &[choice as u8 | PACKED, 4, 0x23], head)?;
            }
        }
    }
    write("detect", &[0, 4, 0x23], head)?;
    if stored.len() <= MOST_BYTES && opened.compression.is_some() {
        write("compressed", &[0xfa, 0, 0, 0, 0], stored)?;
    }
    write("compressed", &[0xf8, 0xff, 0xff, 0, 0], &head[..head.len().min(1024)])?;
    write("compressed", &[0xf1, 0xff, 0xff, 0, 0], &head[..head.len().min(1024)])?;
    Ok(())
}
