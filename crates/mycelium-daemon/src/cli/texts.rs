//! The manual page and the completions, as the packages install them.

use super::command::Shell;
use crate::formats::packed::{PackedText, packed};

pub(super) const MAN: PackedText = packed!("myceliumd.1");

pub(super) fn completions(shell: Shell) -> String {
    let text = match shell {
        Shell::Bash => packed!("myceliumd.bash"),
        Shell::Zsh => packed!("_myceliumd"),
        Shell::Fish => packed!("myceliumd.fish"),
    };
    text.unpack()
}
