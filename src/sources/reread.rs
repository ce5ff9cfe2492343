//! Reads single blocks again, for spans that are wanted whole.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use super::blocks::{BlockIndex, BlockReader, Stop};
use super::spool::Spool;
use super::{Compression, Input, InputKind, SourceError, open};
use crate::formats::framing::Framing;
use crate::formats::{Block, Limits};

/// What is wanted of one input.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The input as it was read first.
    pub input: &'a Input,
    /// Its number, under which the spool keeps it.
    pub number: usize,
    /// Its blocks as they were read first.
    pub index: &'a BlockIndex,
    /// As it was read first.
    pub framing: Framing,
    /// As it was read first.
    pub compression: Option<Compression>,
    /// Whether it can be read again; otherwise the spool is asked.
    pub repeatable: bool,
    /// Positions in decompressed bytes, sorted.
    pub positions: &'a [u64],
}

/// Why blocks of an input could not be read again.
#[derive(Debug, thiserror::Error)]
pub enum RereadError {
    /// It cannot be opened any more.
    #[error(transparent)]
    Open(#[from] SourceError),
    /// It ends earlier than it did.
    #[error("{0}")]
    Stop(#[from] Stop),
    /// Its blocks are not those that were read first.
    #[error("changed while it was read")]
    Changed,
    /// The file or the spool cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl RereadError {
    /// What would help.
    pub fn help(&self) -> String {
        match self {
            Self::Open(error) => error.help(),
            Self::Stop(stop) => stop.help(),
            Self::Changed => "copy the file while nothing writes to it and read the copy".to_owned(),
            Self::Io(_) => "run again; the attributes of some spans could not be read".to_owned(),
        }
    }
}

/// Calls `each` with every block of the input that contains a wanted position, in their order.
pub fn reread(
    wanted: &Wanted<'_>,
    spool: &mut Spool,
    limits: &Limits,
    each: &mut dyn FnMut(Block),
) -> Result<(), RereadError> {
    if wanted.positions.is_empty() {
        return Ok(());
    }
    if !wanted.repeatable {
        return Ok(spool.read(wanted.number, wanted.positions, each)?);
    }
    match &wanted.input.kind {
        InputKind::File(path)
            if wanted.compression.is_none() && !wanted.index.cut_inside && !wanted.index.put_right =>
        {
            let file = File::open(path).map_err(|error| SourceError::io(&wanted.input.path, error))?;
            by_position(file, wanted, each)
        }
        _ => by_stream(wanted, limits, each),
    }
}

/// Most spans are shorter.
const FIRST_WINDOW: u64 = 8 << 10;

/// Calls `each` with the bytes from each wanted position on, more of them while it answers `false`,
/// but no more than to the end of the block that has the position. Returns `false` when that is
/// not possible: the input cannot be read from anywhere, or `each` was not content with all there is.
pub fn reread_from(wanted: &Wanted<'_>, each: &mut dyn FnMut(&Block) -> bool) -> Result<bool, RereadError> {
    let InputKind::File(path) = &wanted.input.kind else { return Ok(false) };
    if !wanted.repeatable || wanted.compression.is_some() || wanted.index.put_right {
        return Ok(false);
    }
    let mut file = File::open(path).map_err(|error| SourceError::io(&wanted.input.path, error))?;
    for position in wanted.positions {
        let block = wanted.index.starts.partition_point(|start| start <= position);
        let Some(range) = wanted.index.range(block.saturating_sub(1)) else { return Ok(false) };
        let most = range.end.saturating_sub(*position);
        let mut window = FIRST_WINDOW.min(most);
        while !each(&Block {
            bytes: read_at(&mut file, *position, window)?,
            offset: *position,
            ..Block::default()
        }) {
            if window == most {
                return Ok(false);
            }
            window = (window * 16).min(most);
        }
    }
    Ok(true)
}

fn read_at(file: &mut File, position: u64, len: u64) -> Result<Vec<u8>, RereadError> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(position))?;
    file.take(len).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == len { Ok(bytes) } else { Err(RereadError::Changed) }
}

fn by_position(mut file: File, wanted: &Wanted<'_>, each: &mut dyn FnMut(Block)) -> Result<(), RereadError> {
    for range in wanted_ranges(wanted) {
        let bytes = read_at(&mut file, range.start, range.end - range.start)?;
        each(Block { bytes, offset: range.start, ..Block::default() });
    }
    Ok(())
}

fn by_stream(wanted: &Wanted<'_>, limits: &Limits, each: &mut dyn FnMut(Block)) -> Result<(), RereadError> {
    let mut reader = BlockReader::new(open(wanted.input, limits)?, wanted.framing, limits);
    for range in wanted_ranges(wanted) {
        loop {
            let block = reader.next_block()?.ok_or(RereadError::Changed)?;
            if block.offset < range.start {
                continue;
            }
            if block.offset != range.start || block.end() != range.end {
                return Err(RereadError::Changed);
            }
            each(block);
            break;
        }
    }
    Ok(())
}

fn wanted_ranges(wanted: &Wanted<'_>) -> impl Iterator<Item = Range<u64>> {
    let ranges = (0..wanted.index.starts.len()).filter_map(|block| wanted.index.range(block));
    ranges.filter(|range| any_within(wanted.positions, range.clone()))
}

/// Whether one of the sorted positions is in the range.
pub(super) fn any_within(positions: &[u64], range: Range<u64>) -> bool {
    let first = positions.partition_point(|position| *position < range.start);
    positions.get(first).is_some_and(|position| *position < range.end)
}

#[cfg(test)]
mod tests {
    use super::super::open::tests::{file, gzip, lines, zstd};
    use super::super::open_stream;
    use super::*;
    use crate::formats;

    const FORMAT: &str = "otlp-json";

    /// Reads an input as the pipeline does, then again what contains the positions; both as text
    /// with positions.
    fn twice(stored: &[u8], positions: &[u64], stream: bool) -> (Vec<Block>, Vec<Block>) {
        let limits = Limits::default();
        let (stored, input) = file(stored);
        let framing = formats::by_name(FORMAT).unwrap().framing();
        let opened = if stream {
            open_stream(&input, Box::new(File::open(stored.path()).unwrap()), &limits).unwrap()
        } else {
            open(&input, &limits).unwrap()
        };
        let (compression, repeatable) = (opened.compression, opened.repeatable);
        let mut spool = Spool::new(1 << 30);
        let mut reader = BlockReader::new(opened, framing, &limits);
        let mut first = Vec::new();
        while let Some(block) = reader.next_block().unwrap() {
            if !repeatable {
                spool.add(3, &block);
            }
            first.push(block);
        }
        let index = reader.into_index();
        let wanted =
            Wanted { input: &input, number: 3, index: &index, framing, compression, repeatable, positions };
        let mut again = Vec::new();
        reread(&wanted, &mut spool, &limits, &mut |block| again.push(block)).unwrap();
        (first, again)
    }

    fn document(spans: u64) -> Vec<u8> {
        let spans: Vec<String> = (0..spans).map(|id| format!("{{\"name\":\"span {id}\"}}")).collect();
        let head = r#"{"resourceSpans":[{"resource":{},"scopeSpans":[{"scope":{},"spans":["#;
        format!("{head}{}]}}]}}]}}", spans.join(",\n")).into_bytes()
    }

    #[test]
    fn gives_the_blocks_as_they_were() {
        for bytes in [lines(150_000), document(150_000)] {
            let last = bytes.len() as u64 - 1;
            for (stored, stream) in
                [(bytes.clone(), false), (gzip(&bytes), false), (zstd(&bytes), false), (bytes.clone(), true)]
            {
                let (first, again) = twice(&stored, &[1_100_000, 1_100_007, last], stream);
                assert!(first.len() > 2);
                let expected: Vec<&Block> = first
                    .iter()
                    .filter(|block| {
                        [1_100_000, last].iter().any(|at| (block.offset..block.end()).contains(at))
                    })
                    .collect();
                assert_eq!(again.len(), 2);
                for (expected, again) in expected.into_iter().zip(&again) {
                    assert_eq!(
                        (expected.offset, expected.replayed, expected.closing),
                        (again.offset, again.replayed, again.closing)
                    );
                    assert!(expected.bytes == again.bytes);
                }
            }
        }
    }

    #[test]
    fn a_file_that_became_shorter_is_an_error() {
        let bytes = lines(1000);
        let (stored, input) = file(&bytes);
        let framing = formats::by_name(FORMAT).unwrap().framing();
        let limits = Limits::default();
        let mut reader = BlockReader::new(open(&input, &limits).unwrap(), framing, &limits);
        while reader.next_block().unwrap().is_some() {}
        let index = reader.into_index();
        stored.as_file().set_len(10).unwrap();
        let wanted = Wanted {
            input: &input,
            number: 0,
            index: &index,
            framing,
            compression: None,
            repeatable: true,
            positions: &[500],
        };
        let result = reread(&wanted, &mut Spool::new(0), &limits, &mut |_| {});
        assert!(matches!(result, Err(RereadError::Changed)));
    }
}
