"""Write docs/cli.md from the commands themselves.

    python docs/write_cli.py [--check]

`--check` writes nothing and ends with status 1 where the page is not what the commands say.
"""

from __future__ import annotations

import sys
from pathlib import Path

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
        child = click.Context(command, info_name=name, parent=context, terminal_width=100, max_content_width=100)
        sections.append(f"\n## {child.command_path}\n\n```text\n{command.get_help(child)}\n```\n")
        if isinstance(command, click.Group):
            sections += _sections(command, child)
    return sections


def main() -> int:
    """Write the page, or compare."""
    text = page()
    if "--check" in sys.argv[1:]:
        return int(PAGE.read_text(encoding="utf-8") != text)
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
