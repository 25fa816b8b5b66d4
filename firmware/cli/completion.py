"""`evse completion`: a script for bash that completes commands, actions and options, made from the parsers."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from firmware.cli import COMMANDS, parser_for


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("completion", help="a script that completes this command in a shell")
    parser.add_argument("shell", choices=("bash",))


def run(_args: argparse.Namespace) -> int:
    print(script())
    return 0


def script() -> str:
    cases = "\n".join(
        f'        "{path}") words="{" ".join(words)}" ;;' for path, words in choices(parser_for([*COMMANDS]))
    )
    return f"""# bash completion for evse
_evse() {{
    local path="" words="" word
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        case "$word" in -*) ;; *) path="${{path:+$path }}$word" ;; esac
    done
    case "$path" in
{cases}
    esac
    COMPREPLY=($(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}"))
    [ -n "$words" ] || COMPREPLY=($(compgen -f -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -F _evse evse"""


def choices(parser: argparse.ArgumentParser, path: str = "") -> Iterator[tuple[str, list[str]]]:
    """What may follow each path of commands: further commands, choices and options."""
    words: list[str] = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield from choices(below, f"{path} {name}".strip())
        words += [str(choice) for choice in action.choices or () if not action.option_strings]
        words += [option for option in action.option_strings if option.startswith("--")]
    yield path, words
