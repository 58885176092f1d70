//! `mailconsole completions`: what a shell completes.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap_complete::Shell;

/// Its own arguments.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct CompletionsArguments {
    /// The shell
    #[arg(value_name = "bash|zsh|fish", value_parser = shell())]
    pub shell: Shell,
}

const EXAMPLES: &str = "\
The completions are written to stdout.

Examples:
  mailconsole completions bash > ~/.local/share/bash-completion/completions/mailconsole
  mailconsole completions zsh > /usr/local/share/zsh/site-functions/_mailconsole
  mailconsole completions fish > ~/.config/fish/completions/mailconsole.fish";

const SHELLS: [(&str, Shell); 3] =
    [("bash", Shell::Bash), ("zsh", Shell::Zsh), ("fish", Shell::Fish)];

fn shell() -> impl TypedValueParser<Value = Shell> {
    PossibleValuesParser::new(SHELLS.map(|(name, _)| name)).try_map(|name| {
        let shell = SHELLS.into_iter().find(|(one, _)| *one == name);
        shell.map(|(_, shell)| shell).ok_or_else(|| format!("there is no shell {name}"))
    })
}
