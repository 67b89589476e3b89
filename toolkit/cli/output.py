"""Where a command's words go: results to stdout, everything else to stderr."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import time
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from types import TracebackType

    from typing_extensions import Self

F = TypeVar("F", bound="Callable[..., Any]")

QUIET_LINE_S = 5.0
"""Where stderr is no terminal, progress says a line at most this often."""

_wanted = False


def json_option(function: F) -> F:
    """Give a command `--json`, its parameter named `as_json`."""
    return click.option(
        "--json", "as_json", is_flag=True, callback=_remember, help="Print one JSON object on stdout and nothing else."
    )(function)


def _remember(_: click.Context, __: click.Parameter, value: bool) -> bool:  # noqa: FBT001  # click's signature
    global _wanted  # noqa: PLW0603  # the end of the process asks once its contexts are gone
    _wanted = value
    return value


def json_wanted() -> bool:
    """Whether this process's command was asked for JSON."""
    return _wanted


def print_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object on stdout, in one line; numbers that are not finite become null."""
    click.echo(json.dumps(_plain(value), ensure_ascii=False, allow_nan=False))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):  # numpy's scalars and arrays, without importing numpy
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def say(text: str) -> None:
    """Tell a person something, on stderr."""
    click.echo(text, err=True)


def print_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table on stdout: the first column to the left, the others to the right."""
    lines = [list(header)] + [["–" if cell is None else str(cell) for cell in row] for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    for number, line in enumerate(lines):
        cells = [
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        text = "  ".join(cells).rstrip()
        click.secho(text, bold=True, color=colour(sys.stdout)) if number == 0 else click.echo(text)


def colour(stream: Any) -> bool:
    """Whether a stream wants colour: a terminal, and NO_COLOR is not set (https://no-color.org)."""
    return not os.environ.get("NO_COLOR") and bool(stream.isatty())


def bytes_words(count: int) -> str:
    """A size for people: 1,234 bytes are `1.2 kB`."""
    if count < 1000:
        return f"{count} B"
    return f"{count / 1000:.1f} kB" if count < 1_000_000 else f"{count / 1_000_000:.2f} MB"


class Progress:
    """How far a long job is, on stderr: a bar on a terminal with rich installed, else now and then a line.

    Args:
        what: the job, in a word or two.
        total: how many steps it has; None where nobody knows.
        clock: seconds that only grow.
    """

    def __init__(self, what: str, total: int | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._what = what
        self._total = total
        self._done = 0
        self._clock = clock
        self._said_s = -math.inf
        self._bar: Any = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._bar = _rich_bar(self._what, self._total)
        return self

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Say that so many more steps are done; the note says with what result."""
        self._done += steps
        if self._bar is not None:
            self._bar.update(0, completed=self._done, note=note)
        elif self._clock() - self._said_s >= QUIET_LINE_S or self._done == self._total:
            self._said_s = self._clock()
            place = f"{self._done}/{self._total}" if self._total is not None else str(self._done)
            say(f"{self._what} {place} {note}".rstrip())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()


def _rich_bar(what: str, total: int | None) -> Any:
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress
    except ModuleNotFoundError:
        return None
    console = Console(stderr=True, no_color=bool(os.environ.get("NO_COLOR")))
    columns = (
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    bar = RichProgress(*columns, console=console, transient=True)
    bar.add_task(what, total=total, note="")
    bar.start()
    return bar


@contextlib.contextmanager
def staged_progress() -> Iterator[Callable[[str, int, int], None]]:
    """Give a function of (stage, done, total) that shows one stage after another."""
    with contextlib.ExitStack() as open_bars:
        current: dict[str, tuple[Progress, int]] = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in current:
                open_bars.close()
                current.clear()
                current[stage] = (open_bars.enter_context(Progress(stage, total)), 0)
            bar, before = current[stage]
            bar.advance(done - before)
            current[stage] = (bar, done)

        yield show
