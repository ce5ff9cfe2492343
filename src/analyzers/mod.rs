//! WHAT is wrong: one file per rule.

use crate::report::Severity;

/// A rule: what can be wrong, and how to explain it.
#[derive(Debug)]
pub struct Rule {
    /// Id, kebab-case; equals the file name with `_` for `-`.
    pub name: &'static str,
    /// Severity of its findings unless lowered.
    pub severity: Severity,
    /// One sentence.
    pub summary: &'static str,
    /// What it finds.
    pub what: &'static str,
    /// Why it matters.
    pub why: &'static str,
    /// How to fix it, one step a line.
    pub fix: &'static str,
    /// A trace in the trace notation that shows it.
    pub example: &'static str,
}

/// All rules in the order of their names.
pub fn rules() -> Vec<&'static Rule> {
    Vec::new()
}
