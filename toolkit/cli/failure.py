"""How a command ends that could not do its work: one line on stderr, and an exit status."""

from __future__ import annotations

import errno
import os
import sys

import click

from runtime.errors import FidelityError, FramestepError

OURS = ("", "runtime", "converters", "toolkit")

INTERRUPTED = 130
"""Exit status after Ctrl-C: 128 and the signal's number, as shells count."""


def report(error: Exception) -> int:
    """Tell a user what ended the command.

    Returns:
        The exit status.
    """
    if isinstance(error, click.ClickException):
        error.show()
        return error.exit_code
    if isinstance(error, FidelityError) and _wants_json():
        from toolkit.cli.output import print_json

        print_json(error.report)
    _settle_stdout()
    click.echo(f"framestep: {_line(error)}", err=True)
    if isinstance(error, click.Abort):
        return INTERRUPTED
    return error.exit_code if isinstance(error, FramestepError) else 1


def _line(error: Exception) -> str:
    if isinstance(error, click.Abort):
        return "Interrupted. What was finished is kept."
    if isinstance(error, FramestepError):
        return " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return "Memory ran out. Ask for less at a time, or close other programs."
    if isinstance(error, BrokenPipeError):
        return "Whatever read the output has gone; stopped."
    if isinstance(error, OSError) and error.strerror:
        where = f" at {error.filename}" if error.filename else ""
        remedy = (
            " Free some space and run it again." if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else ""
        )
        return f"{error.strerror}{where}.{remedy}"
    if isinstance(error, ModuleNotFoundError) and (library := (error.name or "").partition(".")[0]) not in OURS:
        extra = "video" if library in ("av", "simplejpeg") else "train"
        return f"{library} is not installed. Run: pip install 'framestep[{extra}]'"
    words = " ".join(str(error).split()) or "no words"
    return f"Internal error ({type(error).__name__}): {words[:300]}. FRAMESTEP_DEBUG=1 shows where."


def _wants_json() -> bool:
    # The failed command's context has ended; what it stored under its root's is gone with it.
    from toolkit.cli.output import json_wanted

    return json_wanted()


def _settle_stdout() -> None:
    """Let no unwritable rest in stdout's buffer raise once more when Python ends."""
    try:
        sys.stdout.flush()
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
