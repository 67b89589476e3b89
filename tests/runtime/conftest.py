"""Artifacts to test with: the golden ones, and ones drawn by hand."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from runtime.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from runtime.spec import Spec

TESTS = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of golden artifacts."""
    return TESTS / "golden"


@pytest.fixture(scope="session")
def drawing(golden: Path) -> ModuleType:
    """`tests/golden/drawing.py`."""
    place = importlib.util.spec_from_file_location("drawing", golden / "drawing.py")
    assert place is not None
    assert place.loader is not None
    module = importlib.util.module_from_spec(place)
    place.loader.exec_module(module)
    return module


@pytest.fixture
def drawn(drawing: ModuleType, tmp_path: Path) -> Callable[..., Engine]:
    """Draw a network, write it as an artifact, and load it."""

    def load(content: bytes, spec: Spec | None = None, **engine: Any) -> Engine:
        path = tmp_path / "drawn.tflite"
        path.write_bytes(drawing.artifact(content, spec))
        return Engine.open(path, **engine)

    return load
