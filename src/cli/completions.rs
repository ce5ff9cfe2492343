//! `tracemend completions`: completion scripts.

use clap_complete::Shell;

/// The script for this shell.
pub(super) fn script(shell: Shell) -> Vec<u8> {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut super::command(), "tracemend", &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_has_a_script() {
        for shell in [Shell::Bash, Shell::Elvish, Shell::Fish, Shell::PowerShell, Shell::Zsh] {
            assert!(String::from_utf8(script(shell)).unwrap().contains("min-confidence"), "{shell}");
        }
    }
}
