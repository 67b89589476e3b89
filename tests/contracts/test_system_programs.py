"""Programs that pip does not install: missing, they are named; required, their absence is a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_missing_program_skips_with_its_packages_name(
    system_program: Callable[[str, str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FRAMESTEP_REQUIRE_SYSTEM", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"^framestep-none is missing\. Debian: apt install nothing$"):
        system_program("framestep-none", "nothing")


def test_where_programs_are_required_a_missing_one_is_a_failure(
    system_program: Callable[[str, str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRAMESTEP_REQUIRE_SYSTEM", "1")
    with pytest.raises(pytest.fail.Exception, match="apt install nothing"):
        system_program("framestep-none", "nothing")


def test_a_program_that_is_there_is_found(system_program: Callable[[str, str], str]) -> None:
    assert system_program("sh", "dash").endswith("/sh")
