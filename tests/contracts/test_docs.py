"""What the documents say is so."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest

from toolkit.cli import COMMANDS, framestep

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
DECISIONS = sorted(ROOT.glob("docs/decisions/*.md"))

COMMAND_LINES = sorted(
    {line for page in PAGES for line in re.findall(r"^framestep .+$", page.read_text(encoding="utf-8"), re.MULTILINE)}
)


def test_the_page_of_the_command_line_is_what_the_commands_say() -> None:
    done = subprocess.run([sys.executable, ROOT / "docs/write_cli.py", "--check"], env=_plain(), check=False)
    assert done.returncode == 0, "docs/cli.md is stale: run make docs"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_within_the_repository_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_a_page_shows_exists(page: Path) -> None:
    shown = set(re.findall(r"^(?:\$ )?framestep ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE))
    assert shown <= set(COMMANDS)


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_every_option_that_a_page_shows_exists(line: str) -> None:
    command: click.Command | None = framestep
    words = shlex.split(line)[1:]
    while isinstance(command, click.Group):
        command = command.get_command(click.Context(command), words.pop(0))
    assert command is not None
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words if word.startswith("-")} <= known


def test_the_code_that_the_readme_shows_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    shutil.copy(ROOT / "tests/golden/gru-float32.tflite", tmp_path / "model.tflite")
    monkeypatch.chdir(tmp_path)
    names = {"picture": np.zeros((48, 64, 3), np.uint8)}
    exec(code, names)  # noqa: S102  # our own page
    assert np.isclose(names["probabilities"].sum(), 1, atol=1e-5)


def test_a_decision_is_a_short_page() -> None:
    assert DECISIONS
    assert [page.name for page in DECISIONS if len(page.read_text(encoding="utf-8").splitlines()) > 60] == []


def _plain() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("FRAMESTEP_")}
