//! An open input as blocks, and where each block began.

use crate::formats::framing::{Framing, SplitError, Splitter};
use crate::formats::{Block, Limit, Limits};

use super::{Damage, Opened, ReadProblem};

/// Where the blocks of an input begin: enough to find any span again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockIndex {
    /// Positions of the first own bytes, in decompressed bytes, ascending.
    pub starts: Vec<u64>,
    /// Position after the last own byte.
    pub end: u64,
    /// Whether a document was cut inside, so that a block cannot be had from its own bytes alone.
    pub cut_inside: bool,
    /// Whether lines of a log were put right, so that blocks are not the bytes of the input.
    pub put_right: bool,
}

impl BlockIndex {
    /// Adds the block that follows.
    pub fn push(&mut self, block: &Block) {
        self.starts.push(block.offset);
        self.end = block.end();
        self.cut_inside |= block.replayed > 0 || block.closing > 0;
        self.put_right |= block.undone > 0;
    }

    /// Own bytes of the block with this number, as positions.
    pub fn range(&self, block: usize) -> Option<std::ops::Range<u64>> {
        let start = *self.starts.get(block)?;
        Some(start..self.starts.get(block + 1).copied().unwrap_or(self.end))
    }
}

/// Why an input gives no further blocks before its end.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// The disk, pipe or network failed.
    #[error("reading failed at byte {position}: {reason}")]
    Io {
        /// Decompressed bytes that were read before.
        position: u64,
        /// What the operating system says.
        reason: String,
    },
    /// A bound was reached. A decoder names [`Limit::Depth`] as well, see [`SplitError::Limit`].
    #[error("{} at byte {position}", limit.as_str())]
    Limit {
        /// Where, in decompressed bytes.
        position: u64,
        /// Which.
        limit: Limit,
    },
    /// The compressed stream is damaged.
    #[error("compressed data is {} after {position} decompressed bytes", reason.as_str())]
    Damaged {
        /// Decompressed bytes that were read before.
        position: u64,
        /// How.
        reason: Damage,
    },
}

impl Damage {
    /// One word for reports.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Corrupt(_) => "corrupt",
        }
    }
}

impl Stop {
    /// What would help.
    pub fn help(&self) -> String {
        match self {
            Self::Io { .. } => "copy the file to a local disk and read it from there".to_owned(),
            Self::Limit { limit, .. } => format!("raise the bound with {}", limit.flag()),
            Self::Damaged { reason: Damage::Cut, .. } => {
                "the file may still be written: export or download it again when it is complete".to_owned()
            }
            Self::Damaged { .. } => "test it with `gzip -t` or `zstd -t` and export it again".to_owned(),
        }
    }
}

impl From<SplitError> for Stop {
    fn from(error: SplitError) -> Self {
        match error {
            SplitError::Limit { position, limit } => Self::Limit { position, limit },
            SplitError::Io { position, source } => match ReadProblem::of(&source) {
                Some(ReadProblem::TooLong) => Self::Limit { position, limit: Limit::Decompressed },
                Some(ReadProblem::Damaged(reason)) => Self::Damaged { position, reason: reason.clone() },
                None => Self::Io { position, reason: source.to_string() },
            },
        }
    }
}

/// Reads an input block by block.
#[derive(Debug)]
pub struct BlockReader<'s> {
    opened: Opened<'s>,
    splitter: Splitter,
    index: BlockIndex,
}

impl<'s> BlockReader<'s> {
    /// Reads `opened` from its beginning.
    pub fn new(opened: Opened<'s>, framing: Framing, limits: &Limits) -> Self {
        Self { opened, splitter: Splitter::new(framing, limits), index: BlockIndex::default() }
    }

    /// The next block, `None` at the end. A stop comes after every block that can be read, and
    /// after it there is nothing more.
    pub fn next_block(&mut self) -> Result<Option<Block>, Stop> {
        let block = self.splitter.next_block(&mut self.opened)?;
        if let Some(block) = &block {
            self.index.push(block);
        }
        Ok(block)
    }

    /// Takes the buffer of a block back that is done with.
    pub fn recycle(&mut self, buffer: Vec<u8>) {
        self.splitter.recycle(buffer);
    }

    /// The blocks given out so far.
    pub const fn index(&self) -> &BlockIndex {
        &self.index
    }

    /// Gives the index away.
    pub fn into_index(self) -> BlockIndex {
        self.index
    }
}

#[cfg(test)]
mod tests {
    use super::super::open;
    use super::super::open::tests::{file, gzip, lines};
    use super::*;
    use crate::formats;

    fn read(stored: &[u8], framing: Framing, limits: &Limits) -> (Vec<Block>, Option<Stop>, BlockIndex) {
        let (_file, input) = file(stored);
        let mut reader = BlockReader::new(open(&input, limits).unwrap(), framing, limits);
        let mut blocks = Vec::new();
        loop {
            match reader.next_block() {
                Ok(Some(block)) => blocks.push(block),
                Ok(None) => return (blocks, None, reader.into_index()),
                Err(stop) => return (blocks, Some(stop), reader.into_index()),
            }
        }
    }

    fn json() -> Framing {
        formats::by_name("otlp-json").unwrap().framing()
    }

    #[test]
    fn large_inputs_are_several_blocks() {
        let bytes = lines(200_000);
        let (blocks, stop, index) = read(&gzip(&bytes), json(), &Limits::default());
        assert!(stop.is_none() && blocks.len() > 3);
        assert_eq!(index.end, bytes.len() as u64);
        assert!(!index.cut_inside);
        assert!(blocks.concat_own() == bytes);
        assert_eq!(index.range(1), Some(blocks[1].offset..blocks[1].end()));
    }

    trait ConcatOwn {
        fn concat_own(&self) -> Vec<u8>;
    }

    impl ConcatOwn for Vec<Block> {
        fn concat_own(&self) -> Vec<u8> {
            self.iter().flat_map(|block| block.bytes.clone()).collect()
        }
    }

    #[test]
    fn every_readable_block_comes_before_the_stop() {
        let bytes = lines(200_000);
        let stored = gzip(&bytes);
        let (blocks, stop, index) = read(&stored[..stored.len() / 2], json(), &Limits::default());
        assert!(
            matches!(stop, Some(Stop::Damaged { reason: Damage::Cut, position }) if position == index.end)
        );
        assert!(bytes.starts_with(&blocks.concat_own()) && index.end > 1 << 20);

        let limits = Limits { max_decompressed: 3 << 20, ..Limits::default() };
        let (_, stop, index) = read(&stored, json(), &limits);
        assert!(matches!(stop, Some(Stop::Limit { limit: Limit::Decompressed, .. })), "{stop:?}");
        assert_eq!(index.end, 3 << 20);
    }

    #[test]
    fn a_bomb_without_records_is_ended_by_the_record_limit() {
        let bomb = gzip(&vec![b'0'; 50 << 20]);
        let limits = Limits { max_record: 4 << 20, ..Limits::default() };
        let (blocks, stop, _) = read(&bomb, json(), &limits);
        assert!(matches!(stop, Some(Stop::Limit { limit: Limit::Record, position: 0 })), "{stop:?}");
        assert!(blocks[0].bytes.len() <= 6 << 20);
    }
}
