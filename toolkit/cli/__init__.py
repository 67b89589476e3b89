"""The command line: `framestep COMMAND`.

A command's module is imported when that command is called, and its libraries inside its body, so that `--help` costs
what click costs. The one line that `--help` says of a command therefore stands here and not in its module.
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

    from click.shell_completion import CompletionItem

COMMANDS = {
    "data": ("toolkit.cli.data", "Say what a dataset holds, or make the built-in one."),
    "train": ("toolkit.cli.train", "Train a network on clips and streams: a run."),
    "prune": ("toolkit.cli.prune", "Take weights out of a run: a smaller run."),
    "quantize": ("toolkit.cli.quantize", "Train a run on so that 8 bits are enough for it: a run."),
    "convert": ("toolkit.cli.convert", "Make an artifact for the device out of a run or a Keras model."),
    "verify": ("toolkit.cli.verify", "Compare an artifact with its trained model on a long stream."),
    "evaluate": ("toolkit.cli.evaluate", "Measure accuracy on clips, or on a labelled stream."),
    "run": ("toolkit.cli.run", "Step an artifact through a camera, a film or a folder of pictures."),
    "inspect": ("toolkit.cli.inspect", "Show what an artifact is: spec, operations, tensors, sizes."),
    "bench": ("toolkit.cli.bench", "Time artifacts side by side: step, stages, memory, cold start."),
    "demo": ("toolkit.cli.demo", "Go the whole way on built-in data, in a few minutes."),
}
"""Each command's module, which holds it as `command`, and its line in `--help`."""


class LazyGroup(click.Group):
    """A click group that imports a command's module only to run it, and lets no traceback out.

    Args:
        table: each command's module and its line in `--help`.
    """

    def __init__(self, table: Mapping[str, tuple[str, str]], **settings: Any) -> None:
        super().__init__(**settings)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """The names, in the order of the table."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # click's signature
        """The command, its module imported; None where there is none of that name."""
        if cmd_name not in self.table:
            return None
        command: click.Command = importlib.import_module(self.table[cmd_name][0]).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments begin with; a misspelt name gets a suggestion."""
        name = args[0]
        if name not in self.table and not name.startswith("-") and not ctx.resilient_parsing:
            near = difflib.get_close_matches(name, self.table)
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            raise click.UsageError(f"No such command {name!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # click's signature
        """Write the table, without importing any command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self.table.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The names that begin so, without importing any command."""
        from click.shell_completion import CompletionItem

        names = [
            CompletionItem(name, help=line) for name, (_, line) in self.table.items() if name.startswith(incomplete)
        ]
        return names + click.Command.shell_complete(self, ctx, incomplete)

    def main(  # type: ignore[override]  # click's two overloads say only which of them returns
        self, args: Any = None, prog_name: str | None = None, **settings: Any
    ) -> Any:
        """Run a command and exit: 0 done, 1 failed, 2 wrong usage, 3 a gate does not hold, 130 interrupted."""
        if not settings.pop("standalone_mode", True):
            return super().main(args, prog_name, standalone_mode=False, **settings)
        try:
            result = super().main(args, prog_name or "framestep", standalone_mode=False, **settings)
            sys.stdout.flush()
        except Exception as error:  # the last place before a user would see a traceback
            if os.environ.get("FRAMESTEP_DEBUG"):
                raise
            from toolkit.cli.failure import report

            sys.exit(report(error))
        sys.exit(result if isinstance(result, int) else 0)


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:  # noqa: FBT001  # click's signature
    if wanted and not ctx.resilient_parsing:
        from runtime import __version__

        click.echo(f"framestep {__version__}")
        ctx.exit()


framestep = LazyGroup(
    COMMANDS,
    name="framestep",
    help="Train a CNN-LSTM on video, make it small, and step it through an endless camera stream.",
    epilog="framestep COMMAND --help tells a command's options. Each may also come from the environment, "
    "as FRAMESTEP_COMMAND_OPTION.",
    params=[
        click.Option(
            ["--version"], is_flag=True, expose_value=False, is_eager=True, callback=_version, help="Say the version."
        )
    ],
    context_settings={
        "auto_envvar_prefix": "FRAMESTEP",
        "help_option_names": ["-h", "--help"],
        "max_content_width": 120,
    },
    no_args_is_help=True,
)


def main() -> NoReturn:
    """Run `framestep` on the process's arguments."""
    framestep.main()
    raise AssertionError  # main exits
