//! What surrounds the process: terminals, the environment variables that concern them, the clock.

use std::env;
use std::io::{self, IsTerminal as _};
use std::time::SystemTime;

use super::args::ColorWhen;

/// Columns when nobody knows.
const DEFAULT_WIDTH: usize = 80;

/// What is a terminal, and what it can do.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "a record of independent facts")]
pub(super) struct Terminal {
    /// Standard input is a terminal.
    pub(super) stdin: bool,
    /// Standard output is a terminal.
    pub(super) stdout: bool,
    /// Standard error is a terminal.
    pub(super) stderr: bool,
    /// Columns of standard output.
    pub(super) width: Option<usize>,
    /// Colours are not wanted.
    pub(super) no_color: bool,
    /// Colours are wanted even where there is no terminal.
    pub(super) force_color: bool,
    /// The terminal knows no escape sequences.
    pub(super) dumb: bool,
    /// The locale has another encoding than UTF-8.
    pub(super) other_encoding: bool,
    /// Time of the run, ns since the Unix epoch.
    pub(super) now_ns: i64,
}

impl Terminal {
    /// Looks at the process.
    pub(super) fn observe() -> Self {
        let set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
        let on = |name: &str| set(name) && env::var_os(name).is_some_and(|value| value != "0");
        Self {
            stdin: io::stdin().is_terminal(),
            stdout: io::stdout().is_terminal(),
            stderr: io::stderr().is_terminal(),
            width: terminal_size::terminal_size().map(|(width, _)| usize::from(width.0)),
            no_color: set("NO_COLOR") || env::var_os("CLICOLOR").is_some_and(|value| value == "0"),
            force_color: on("CLICOLOR_FORCE") || on("FORCE_COLOR"),
            dumb: env::var_os("TERM").is_some_and(|value| value == "dumb"),
            other_encoding: has_other_encoding(
                ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().map(|name| env::var(name).unwrap_or_default()),
            ),
            now_ns: SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .map_or(0, |time| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)),
        }
    }

    /// Whether standard output gets colours. A flag is stronger than the environment, and a user
    /// who wants none is stronger than a CI that forces them.
    pub(super) fn color(&self, when: ColorWhen) -> bool {
        match when {
            ColorWhen::Always => true,
            ColorWhen::Never => false,
            ColorWhen::Auto if self.no_color => false,
            ColorWhen::Auto => self.force_color || (self.stdout && !self.dumb),
        }
    }

    /// Whether standard output is drawn with ASCII characters only. What is no terminal gets all characters:
    /// a file has no locale.
    pub(super) const fn ascii(&self, wanted: bool) -> bool {
        wanted || (self.stdout && self.other_encoding)
    }

    /// Whether standard output gets links.
    pub(super) fn hyperlinks(&self) -> bool {
        self.stdout && !self.dumb
    }

    /// Columns to write.
    pub(super) fn columns(&self) -> usize {
        if self.stdout { self.width.unwrap_or(DEFAULT_WIDTH) } else { DEFAULT_WIDTH }
    }
}

/// The first of these variables that is set decides, as POSIX has it (XBD 8.2, internationalization
/// variables); without any, nothing is known.
fn has_other_encoding(mut values: impl Iterator<Item = String>) -> bool {
    let Some(locale) = values.find(|value| !value.is_empty()) else { return false };
    let locale = locale.to_ascii_lowercase();
    !locale.contains("utf-8") && !locale.contains("utf8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_follows_the_conventions() {
        let screen = Terminal { stdout: true, ..Terminal::default() };
        let pipe = Terminal::default();
        assert!(screen.color(ColorWhen::Auto));
        assert!(!pipe.color(ColorWhen::Auto));
        assert!(pipe.color(ColorWhen::Always));
        assert!(Terminal { force_color: true, ..pipe.clone() }.color(ColorWhen::Auto));
        assert!(!Terminal { force_color: true, no_color: true, ..pipe }.color(ColorWhen::Auto));
        assert!(!Terminal { no_color: true, ..screen.clone() }.color(ColorWhen::Auto));
        assert!(Terminal { no_color: true, ..screen.clone() }.color(ColorWhen::Always));
        assert!(!Terminal { dumb: true, ..screen }.color(ColorWhen::Auto));
    }

    #[test]
    fn drawings_follow_the_locale_of_a_terminal() {
        let locale = |values: [&str; 3]| has_other_encoding(values.into_iter().map(str::to_owned));
        assert!(locale(["", "", "C"]) && locale(["POSIX", "", "en_US.UTF-8"]) && locale(["", "de_DE", ""]));
        assert!(!locale(["", "", ""]) && !locale(["", "C.utf8", "C"]) && !locale(["", "", "en_US.UTF-8"]));
        let screen = Terminal { stdout: true, other_encoding: true, ..Terminal::default() };
        assert!(screen.ascii(false));
        assert!(!Terminal { stdout: false, ..screen }.ascii(false));
        assert!(Terminal::default().ascii(true));
    }
}
