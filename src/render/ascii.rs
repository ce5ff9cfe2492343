//! Drawing characters for terminals that have none: each becomes one ASCII character, so that columns stay.

use std::io;

/// Passes text on with ASCII in place of what the renderers draw with. Names keep their letters.
pub(super) struct Ascii<'w> {
    out: &'w mut dyn io::Write,
}

impl<'w> Ascii<'w> {
    pub(super) fn new(out: &'w mut dyn io::Write) -> Self {
        Self { out }
    }

    /// The writer behind it, for text as it is.
    pub(super) fn inner(&mut self) -> &mut dyn io::Write {
        self.out
    }
}

impl io::Write for Ascii<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Renderers write text, piece by piece, so a character is never cut.
        match std::str::from_utf8(bytes) {
            Ok(text) => self.out.write_all(text.chars().map(plain).collect::<String>().as_bytes())?,
            Err(_) => self.out.write_all(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

const fn plain(c: char) -> char {
    match c {
        '├' | '│' => '|',
        '└' => '`',
        '─' | '–' | '·' => '-',
        '┄' => '.',
        '━' => '=',
        '⋮' => ':',
        '⋯' | '…' => '~',
        '↺' => '@',
        '◀' => '<',
        '→' | '≥' => '>',
        '•' => '*',
        '×' => 'x',
        'µ' => 'u',
        other => other,
    }
}
