//! The exit codes: the contract with shells and CI.
//!
//! | code | verdict | meaning |
//! |---|---|---|
//! | 0 | pass | enough was analysed, nothing at or above the gate |
//! | 1 | fail | a finding reaches the gate |
//! | 2 | error | usage, configuration, an input that cannot be read or recognised, a bug |
//! | 3 | inconclusive | too little was analysed to say: no traces, or partial input |
//! | 130 | inconclusive | interrupted; what was read is reported |
//!
//! When several apply: 130 before 2 before 1 before 3 before 0.

use crate::report::Verdict;

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exit {
    /// Enough was analysed, nothing at or above the gate.
    Pass,
    /// A finding reaches the gate.
    Fail,
    /// Usage, configuration, unreadable input, or a bug.
    Error,
    /// Too little was analysed to say.
    Inconclusive,
    /// The user stopped the run; what was read is reported.
    Interrupted,
}

impl Exit {
    /// All of them in the order of their codes.
    pub const ALL: [Self; 5] = [Self::Pass, Self::Fail, Self::Error, Self::Inconclusive, Self::Interrupted];

    /// What the process returns.
    pub const fn code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Fail => 1,
            Self::Error => 2,
            Self::Inconclusive => 3,
            Self::Interrupted => 130,
        }
    }

    /// The exit with this code.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|exit| exit.code() == code)
    }

    /// The verdict that stands in the report.
    pub const fn verdict(self) -> Verdict {
        match self {
            Self::Pass => Verdict::Pass,
            Self::Fail => Verdict::Fail,
            Self::Error => Verdict::Error,
            Self::Inconclusive | Self::Interrupted => Verdict::Inconclusive,
        }
    }

    /// One sentence for people.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Pass => "enough was analysed, nothing at or above the gate",
            Self::Fail => "a finding reaches the gate",
            Self::Error => "usage, configuration, an input that cannot be read, or a bug",
            Self::Inconclusive => "too little was analysed to say",
            Self::Interrupted => "interrupted; only what was read is reported",
        }
    }

    /// The one that counts when both apply.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        if self.precedence() >= other.precedence() { self } else { other }
    }

    const fn precedence(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Inconclusive => 1,
            Self::Fail => 2,
            Self::Error => 3,
            Self::Interrupted => 4,
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_graver_exit_counts() {
        let order = [Exit::Interrupted, Exit::Error, Exit::Fail, Exit::Inconclusive, Exit::Pass];
        for (rank, graver) in order.into_iter().enumerate() {
            for lesser in &order[rank..] {
                assert_eq!(graver.or(*lesser), graver);
                assert_eq!(lesser.or(graver), graver);
            }
        }
    }

    #[test]
    fn codes_are_the_contract() {
        assert_eq!(Exit::ALL.map(Exit::code), [0, 1, 2, 3, 130]);
        assert!(Exit::ALL.into_iter().all(|exit| Exit::from_code(exit.code()) == Some(exit)));
        assert_eq!(Exit::from_code(101), None);
    }

    #[test]
    fn the_table_in_the_docs_lists_every_code() {
        let docs = include_str!("exit.rs");
        for exit in Exit::ALL {
            let row = format!("//! | {} | {} |", exit.code(), exit.verdict().as_str());
            assert!(docs.contains(&row), "{row}");
        }
    }
}
