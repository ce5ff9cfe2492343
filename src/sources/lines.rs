//! Line numbers, for people who look at an input with an editor.

use std::fs::File;
use std::io::{self, Read};

use super::{Input, InputKind};

const CHUNK: usize = 64 << 10;

/// The lines, counted from 1, in which bytes of an uncompressed input stand. The offsets must
/// ascend; nothing behind the last one is read. Standard input has none left to count.
pub fn line_numbers(input: &Input, offsets: &[u64]) -> io::Result<Vec<u64>> {
    match &input.kind {
        InputKind::File(path) => count(File::open(path)?, offsets),
        InputKind::Memory(bytes) => count(*bytes, offsets),
        InputKind::Stdin | InputKind::Backend(_) => Err(io::ErrorKind::Unsupported.into()),
    }
}

fn count(reader: impl Read, offsets: &[u64]) -> io::Result<Vec<u64>> {
    let mut reader = reader.take(offsets.last().copied().unwrap_or(0));
    let mut chunk = vec![0; CHUNK];
    let mut lines = Vec::with_capacity(offsets.len());
    let (mut position, mut line) = (0, 1);
    loop {
        let len = match reader.read(&mut chunk) {
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let mut rest = &chunk[..len];
        while let Some(offset) =
            offsets.get(lines.len()).filter(|offset| **offset <= position + rest.len() as u64)
        {
            let (before, behind) = rest.split_at(offset.saturating_sub(position) as usize);
            line += newlines(before);
            position += before.len() as u64;
            rest = behind;
            lines.push(line);
        }
        line += newlines(rest);
        position += rest.len() as u64;
        if len == 0 {
            // The input became shorter: what was behind its end has no line any more.
            return if lines.len() == offsets.len() {
                Ok(lines)
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            };
        }
    }
}

fn newlines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

#[cfg(test)]
mod tests {
    use super::super::open::tests::file;
    use super::*;

    #[test]
    fn counts_the_newlines_before_an_offset() {
        let text = b"a\nbb\n\n\xffc";
        assert_eq!(count(&text[..], &[0, 1, 2, 2, 5, 6, 8]).unwrap(), [1, 1, 2, 2, 3, 4, 4]);
        assert_eq!(count(&text[..], &[]).unwrap(), Vec::<u64>::new());
        assert!(count(&text[..], &[3, 9]).is_err(), "it became shorter");
        let long = "x\n".repeat(CHUNK);
        let chunk = CHUNK as u64;
        assert_eq!(
            count(long.as_bytes(), &[chunk - 1, chunk, chunk + 1, chunk + 2]).unwrap(),
            [chunk / 2, chunk / 2 + 1, chunk / 2 + 1, chunk / 2 + 2]
        );
    }

    #[test]
    fn opens_files_and_memory_but_not_streams() {
        let (_stored, input) = file(b"1\n2\n3\n");
        assert_eq!(line_numbers(&input, &[4]).unwrap(), [3]);
        let memory = Input { kind: InputKind::Memory(b"\n\n"), ..input.clone() };
        assert_eq!(line_numbers(&memory, &[2]).unwrap(), [3]);
        assert!(line_numbers(&Input { kind: InputKind::Stdin, ..input }, &[1]).is_err());
    }
}
