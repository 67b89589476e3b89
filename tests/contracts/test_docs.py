"""What the documents say is so."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from toolkit.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
DECISIONS = sorted(ROOT.glob("docs/decisions/*.md"))


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


def test_a_decision_is_a_short_page() -> None:
    assert DECISIONS
    assert [page.name for page in DECISIONS if len(page.read_text(encoding="utf-8").splitlines()) > 60] == []


def _plain() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("FRAMESTEP_")}
