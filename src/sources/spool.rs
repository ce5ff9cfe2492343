//! Keeps the blocks of inputs that cannot be read twice, so that single spans can be had whole.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use crate::formats::Block;

/// Fast, and traces shrink to about a tenth even so.
const ZSTD_LEVEL: i32 = 1;

/// Why blocks of an input were not kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpoolLoss {
    /// The byte limit was reached.
    #[error("more than the spool may hold")]
    Full,
    /// The temporary folder cannot be written.
    #[error("the temporary folder cannot be written: {0}")]
    Write(String),
}

impl SpoolLoss {
    /// What would help.
    pub const fn help(&self) -> &'static str {
        match self {
            Self::Full => "raise the bound with --spool-limit, or save the input to a file and name that",
            Self::Write(_) => "set TMPDIR to a folder with free space, or save the input to a file",
        }
    }
}

/// Blocks in a private temporary file that has no name and goes with the process.
#[derive(Debug)]
pub struct Spool {
    limit: u64,
    used: u64,
    file: Option<File>,
    inputs: BTreeMap<usize, SpooledInput>,
}

#[derive(Debug, Default)]
struct SpooledInput {
    blocks: Vec<SpooledBlock>,
    loss: Option<SpoolLoss>,
}

#[derive(Debug)]
struct SpooledBlock {
    file_position: u64,
    compressed_len: usize,
    len: usize,
    offset: u64,
    replayed: usize,
    closing: usize,
}

impl SpooledBlock {
    fn end(&self) -> u64 {
        self.offset + (self.len - self.replayed - self.closing) as u64
    }
}

impl Spool {
    /// A spool of at most `limit` compressed bytes over all inputs. Nothing is created before the
    /// first block comes.
    pub const fn new(limit: u64) -> Self {
        Self { limit, used: 0, file: None, inputs: BTreeMap::new() }
    }

    /// Keeps the next block of the input with this number. Once a block of an input is lost, the
    /// later ones are not kept either.
    pub fn add(&mut self, input: usize, block: &Block) {
        if self.inputs.entry(input).or_default().loss.is_some() {
            return;
        }
        let kept = self.write(block);
        let entry = self.inputs.entry(input).or_default();
        match kept {
            Ok(block) => entry.blocks.push(block),
            Err(loss) => entry.loss = Some(loss),
        }
    }

    fn write(&mut self, block: &Block) -> Result<SpooledBlock, SpoolLoss> {
        let failed = |error: io::Error| SpoolLoss::Write(error.to_string());
        let compressed = zstd::bulk::compress(&block.bytes, ZSTD_LEVEL).map_err(failed)?;
        let file_position = self.used;
        if compressed.len() as u64 > self.limit.saturating_sub(file_position) {
            return Err(SpoolLoss::Full);
        }
        let mut file = match self.file.take() {
            Some(file) => file,
            None => tempfile::tempfile().map_err(failed)?,
        };
        // A write that failed in the middle is written over by the next.
        let written = file.seek(SeekFrom::Start(file_position)).and_then(|_| file.write_all(&compressed));
        self.file = Some(file);
        written.map_err(failed)?;
        self.used += compressed.len() as u64;
        Ok(SpooledBlock {
            file_position,
            compressed_len: compressed.len(),
            len: block.bytes.len(),
            offset: block.offset,
            replayed: block.replayed,
            closing: block.closing,
        })
    }

    /// Whether every block of this input was kept.
    pub fn is_complete(&self, input: usize) -> bool {
        self.inputs.get(&input).is_some_and(|input| input.loss.is_none())
    }

    /// Why not, if blocks of this input were lost.
    pub fn loss(&self, input: usize) -> Option<&SpoolLoss> {
        self.inputs.get(&input)?.loss.as_ref()
    }

    /// Calls `each` with the kept blocks of an input that contain one of the positions, which are
    /// sorted.
    pub fn read(&mut self, input: usize, positions: &[u64], each: &mut dyn FnMut(Block)) -> io::Result<()> {
        let (Some(entry), Some(file)) = (self.inputs.get(&input), &mut self.file) else {
            return Ok(());
        };
        for block in &entry.blocks {
            if super::reread::any_within(positions, block.offset..block.end()) {
                each(restore(file, block)?);
            }
        }
        Ok(())
    }
}

fn restore(file: &mut File, block: &SpooledBlock) -> io::Result<Block> {
    let mut compressed = vec![0; block.compressed_len];
    file.seek(SeekFrom::Start(block.file_position))?;
    file.read_exact(&mut compressed)?;
    let bytes = zstd::bulk::decompress(&compressed, block.len)?;
    if bytes.len() != block.len {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let (offset, replayed, closing) = (block.offset, block.replayed, block.closing);
    Ok(Block { bytes, offset, replayed, closing, undone: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(offset: u64, text: &str) -> Block {
        Block { bytes: format!("[{text}]").into_bytes(), offset, replayed: 1, closing: 1, undone: 0 }
    }

    fn read(spool: &mut Spool, input: usize, positions: &[u64]) -> Vec<(u64, Vec<u8>)> {
        let mut seen = Vec::new();
        spool.read(input, positions, &mut |block| seen.push((block.offset, block.bytes))).unwrap();
        seen
    }

    #[test]
    fn gives_back_the_blocks_that_are_wanted() {
        let mut spool = Spool::new(1 << 20);
        spool.add(0, &block(0, "aaaa"));
        spool.add(7, &block(0, "other"));
        spool.add(0, &block(4, "bbbb"));
        spool.add(0, &block(8, "cccc"));
        assert!(spool.is_complete(0) && spool.is_complete(7) && !spool.is_complete(1));
        assert_eq!(read(&mut spool, 0, &[1, 3, 8]), [(0, b"[aaaa]".to_vec()), (8, b"[cccc]".to_vec())]);
        assert_eq!(read(&mut spool, 7, &[2]), [(0, b"[other]".to_vec())]);
        assert!(read(&mut spool, 1, &[0]).is_empty());
    }

    #[test]
    fn beyond_the_limit_an_input_is_incomplete() {
        let mut spool = Spool::new(40);
        spool.add(0, &block(0, "a"));
        let digits: Vec<String> = (0..100_u32).map(|number| number.to_string()).collect();
        spool.add(0, &block(1, &digits.concat()));
        spool.add(0, &block(200, "b"));
        assert!(!spool.is_complete(0));
        assert_eq!(spool.loss(0), Some(&SpoolLoss::Full));
        spool.add(1, &block(0, "small"));
        assert!(spool.is_complete(1));
        assert_eq!(read(&mut spool, 0, &[0, 200]).len(), 1);
    }
}
