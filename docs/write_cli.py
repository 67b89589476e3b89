"""Write docs/cli.md from the commands themselves.

    python docs/write_cli.py [--check]

`--check` writes nothing and ends with status 1 where the page is not what the commands say.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from toolkit.cli import framestep

PAGE = Path(__file__).with_name("cli.md")

OPENING = """\
# The command line

Written by `make docs` from the commands themselves; a test compares it with them.

Results go to stdout, words and progress to stderr. `--json` prints one JSON object on stdout and nothing else (`run`
prints JSON lines). An option may also come from the environment: `framestep run --threads 2` is
`FRAMESTEP_RUN_THREADS=2 framestep run`. `NO_COLOR` is obeyed.

| exit status | means |
|---|---|
| 0 | done |
| 1 | failed; one line says what, and what to do (`FRAMESTEP_DEBUG=1` shows the traceback) |
| 2 | wrong usage |
| 3 | a gate was measured and does not hold; `--json` still prints what was measured |
| 130 | interrupted by Ctrl-C; what was finished is kept |
"""


def page() -> str:
    """Give the whole page."""
    context = click.Context(framestep, info_name="framestep", **framestep.context_settings)
    return OPENING + "".join(_sections(framestep, context))


def _sections(group: click.Group, context: click.Context) -> list[str]:
    sections = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None:
            raise AssertionError(name)
        child = click.Context(command, info_name=name, parent=context)
        sections.append(_section(command, child))
        if isinstance(command, click.Group):
            sections += _sections(command, child)
    return sections


def _section(command: click.Command, context: click.Context) -> str:
    """One command. Written here and not by click, whose layout changes from version to version."""
    arguments = [each for each in command.params if isinstance(each, click.Argument)]
    usage = " ".join([context.command_path, *[each.human_readable_name for each in arguments]])
    paragraphs = [" ".join(part.split()) for part in (command.help or "").split("\n\n")]
    lines = [f"\n## {context.command_path}\n", f"`{usage}`\n", *[f"{part}\n" for part in paragraphs if part]]
    options = [each for each in command.params if isinstance(each, click.Option)]
    if options:
        lines += ["| option | |", "|---|---|", *map(_row, options), ""]
    return "\n".join(lines)


def _row(option: click.Option) -> str:
    names = ", ".join([*option.opts, *option.secondary_opts])
    value = "" if option.is_flag else f" {option.metavar or _value(option.type)}"
    notes = [(option.help or "").replace("  [default:", " [default:")]
    if option.show_default and isinstance(option.default, (int, float, str)):
        notes.append(f"[default: {_default(option)}]")
    notes += ["[required]"] * option.required + ["[may be repeated]"] * option.multiple
    cells = f"`{names}{value}`", " ".join(filter(None, notes))
    return "| {} | {} |".format(*(cell.replace("|", "\\|") for cell in cells))


def _value(kind: Any) -> str:
    if isinstance(kind, click.Choice):
        return "|".join(map(str, kind.choices))
    return "N" if kind.name.split()[0] in ("integer", "float") else str(kind.name).upper()


def _default(option: click.Option) -> str:
    if isinstance(option.default, bool):
        names = option.opts if option.default else option.secondary_opts
        return (names or ["off"])[0].lstrip("-")
    return str(option.default)


def main() -> int:
    """Write the page, or compare."""
    text = page()
    if "--check" in sys.argv[1:]:
        return int(PAGE.read_text(encoding="utf-8") != text)
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
