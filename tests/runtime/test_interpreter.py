"""Whichever interpreter is there: choice, fall-back and reasons."""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
from typing import TYPE_CHECKING, Any

import pytest

from runtime.artifact import read_artifact
from runtime.engine import Engine
from runtime.errors import ArtifactError, ConfigError, InterpreterNotFoundError
from runtime.interpreter import Delegation, delegation, open_interpreter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType


@pytest.fixture
def content(golden: Path) -> bytes:
    return read_artifact(golden / "tiny.tflite").content


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make modules fail to import."""

    def hide(*names: str) -> None:
        for name in names:
            monkeypatch.setitem(sys.modules, name, None)

    return hide


def test_litert_is_the_first_choice(content: bytes) -> None:
    loaded = open_interpreter(content)
    assert loaded.name == "litert"
    assert loaded.version == importlib.metadata.version("ai-edge-litert")


def test_tflite_runtime_is_the_second(content: bytes, without: Callable[..., None]) -> None:
    without("ai_edge_litert.interpreter")
    loaded = open_interpreter(content)
    assert (loaded.name, loaded.version) == ("tflite", importlib.metadata.version("tflite-runtime"))


def test_tensorflow_is_the_last(content: bytes, without: Callable[..., None]) -> None:
    without("ai_edge_litert.interpreter", "tflite_runtime.interpreter")
    assert open_interpreter(content).name == "tensorflow"


def test_a_forced_choice_is_not_fallen_back_from(content: bytes, without: Callable[..., None]) -> None:
    without("tflite_runtime.interpreter")
    with pytest.raises(InterpreterNotFoundError, match="tflite-runtime: ModuleNotFoundError") as caught:
        open_interpreter(content, choice="tflite")
    assert "ai-edge-litert:" not in str(caught.value)


def test_without_any_every_reason_is_told(content: bytes, without: Callable[..., None]) -> None:
    without("ai_edge_litert.interpreter", "tflite_runtime.interpreter", "tensorflow")
    with pytest.raises(InterpreterNotFoundError) as caught:
        open_interpreter(content)
    assert str(caught.value) == (
        "No TensorFlow Lite interpreter can be imported ("
        "ai-edge-litert: ModuleNotFoundError: import of ai_edge_litert.interpreter halted; None in sys.modules; "
        "tflite-runtime: ModuleNotFoundError: import of tflite_runtime.interpreter halted; None in sys.modules; "
        "tensorflow: ModuleNotFoundError: import of tensorflow halted; None in sys.modules). "
        "Run: pip install ai-edge-litert"
    )


def test_an_interpreter_that_breaks_while_it_is_imported_is_passed_over(
    content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.import_module

    def broken(name: str) -> Any:
        if name.startswith("ai_edge_litert"):
            raise AttributeError("_ARRAY_API not found")  # what a wheel built for numpy 1 does under numpy 2
        return real(name)

    monkeypatch.setattr(importlib, "import_module", broken)
    assert open_interpreter(content).name == "tflite"


@pytest.mark.parametrize("choice", ["litert", "tflite"])
def test_an_operator_that_an_interpreter_does_not_know_is_an_artifact_error(
    drawing: ModuleType, drawn: Callable[..., Engine], choice: str
) -> None:
    def newer(draft: Any, *_: object) -> None:
        draft.model.operatorCodes[0].version = 99

    with pytest.raises(ArtifactError, match=r"refuses the network: .*[Vv]ersion.* Install a newer interpreter"):
        drawn(drawing.tiny(newer), interpreter=choice)


def test_less_than_one_thread_is_refused(content: bytes) -> None:
    with pytest.raises(ConfigError, match="threads is 0; it must be at least 1"):
        open_interpreter(content, threads=0)


def test_nothing_is_said_on_stdout(golden: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for choice in ("litert", "tflite", "tensorflow"):
        Engine.open(golden / "gru-float32.tflite", interpreter=choice).stepper()
    assert capfd.readouterr().out == ""


def test_the_float_network_is_one_partition_but_for_the_cast(golden: Path) -> None:
    engine = Engine.open(golden / "gru-float32.tflite", interpreter="litert")
    assert engine.delegation() == Delegation(partitions=1, outside=("CAST",))


def test_what_tflite_runtime_leaves_out_of_int8_is_told(golden: Path) -> None:
    plan = Engine.open(golden / "lstm-int8.tflite", interpreter="tflite").delegation()
    assert plan is not None
    assert {"CONV_2D", "FULLY_CONNECTED"} <= set(plan.outside)


def test_an_interpreter_that_cannot_tell_says_none() -> None:
    class Silent:
        def allocate_tensors(self) -> None: ...
        def invoke(self) -> None: ...
        def tensor(self, tensor_index: int) -> Any: ...

    assert delegation(Silent(), [0]) is None
