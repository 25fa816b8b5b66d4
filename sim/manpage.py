"""`docs/evse.1`, the manual page, from the parsers of the commands.

python -m sim.manpage docs/evse.1
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from firmware.cli import COMMANDS, parser_for

LONGEST_CHOICES = 30

HEAD = """.TH EVSE 1 "" "evsed" "EV charging station"
.SH NAME
evse \\- look into and steer an EV charging station
.SH SYNOPSIS
.B evse
.I COMMAND
.RI [ ARGUMENT " ...]"
.SH DESCRIPTION
The technician's command.
It asks the daemon
.BR evsed (8)
over a Unix socket; nothing it does can hold up charging.
In a terminal tables are aligned and cut to its width; into a pipe or a file they go whole, with tabs.
What a user may do follows from the user's groups.
.SH COMMANDS
"""
FOOT = """.SH EXIT STATUS
.TP
0
good
.TP
1
a check failed, or there is no such thing
.TP
2
usage
.TP
3
the daemon cannot be reached
.TP
4
not allowed
.TP
130
interrupted
.SH ENVIRONMENT
.TP
.B EVSE_SOCKET
the daemon's control socket, instead of
.I /run/evse/control.sock
.TP
.B NO_COLOR
no colours
"""


def page() -> str:
    root = parser_for([*COMMANDS])
    parts = [HEAD]
    for action in root._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, parser in action.choices.items():
                parts += [f".SS {_escaped(f'evse {name}')}\n", _sentence(COMMANDS[name]), *_of_parser(parser, name)]
    return "".join([*parts, FOOT])


def _of_parser(parser: argparse.ArgumentParser, path: str) -> Iterator[str]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help for choice in action._choices_actions}
            for name, below in action.choices.items():
                usage = " ".join(_usage(below))
                yield (
                    f".TP\n.B {_escaped(f'{path} {name}')}\n{_escaped(usage)}\n"
                    if usage
                    else (f".TP\n.B {_escaped(f'{path} {name}')}\n")
                )
                yield _text(helps.get(name) or "") if not usage else f".br\n{_text(helps.get(name) or '')}"
                yield from _options(below, indent=True)
    yield from _options(parser, indent=False)


def _usage(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        if not action.option_strings:
            name = _metavar(action)
            yield f"[{name}]" if action.nargs in ("?", "*") else f"{name} ..." if action.nargs == "+" else name


def _options(parser: argparse.ArgumentParser, *, indent: bool) -> Iterator[str]:
    own = [action for action in parser._actions if action.help and action.option_strings and action.dest != "help"]
    if not any(isinstance(action, argparse._SubParsersAction) for action in parser._actions):
        own = [action for action in parser._actions if action.help and action.dest != "help"]
    if own and indent:
        yield ".RS\n"
    for action in own:
        names = ", ".join(action.option_strings) or _metavar(action)
        value = f" {_metavar(action)}" if action.option_strings and action.nargs != 0 else ""
        yield f".TP\n.B {_escaped(names + value)}\n{_text(_says(action))}"
    if own and indent:
        yield ".RE\n"


def _metavar(action: argparse.Action) -> str:
    if isinstance(action.metavar, str):
        return action.metavar
    choices = "|".join(map(str, action.choices or ()))
    return choices if 0 < len(choices) <= LONGEST_CHOICES else action.dest.upper()


def _says(action: argparse.Action) -> str:
    """What it is; choices too long for the head stand here, where a line may break."""
    said = action.help or ""
    if action.choices is None or _metavar(action) == "|".join(map(str, action.choices)):
        return said
    return f"{said}: {', '.join(map(str, action.choices))}" if isinstance(action.metavar, type(None)) else said


def _sentence(words: str) -> str:
    return _text(f"{words[0].upper()}{words[1:]}.")


def _text(words: str) -> str:
    """One line of prose; what roff would take for a request at its beginning is shielded."""
    escaped = _escaped(words) or "\\&"
    return f"\\&{escaped}\n" if escaped.startswith((".", "'")) else f"{escaped}\n"


def _escaped(words: str) -> str:
    return " ".join(words.split()).replace("\\", "\\e").replace("-", "\\-").replace("`", "\\(ga").replace("%%", "%")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page())
