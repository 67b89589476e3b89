"""`framestep convert --precision auto`: what it builds, what it ships, and what it says."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import tf_keras
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from converters.convert import PRECISIONS
from converters.fidelity import Gate, measure_fidelity
from runtime.artifact import read_artifact
from runtime.errors import ConversionError, FidelityError
from toolkit.cli import framestep
from toolkit.conversion import ConversionRequest, ForeignModel, workpiece_of_model
from toolkit.precision_choice import NEAR, cheapest, choose_precision
from toolkit.variants import Variant

if TYPE_CHECKING:
    from pathlib import Path

    from toolkit.conversion import Workpiece

pytestmark = pytest.mark.usefixtures("converter_in_this_process")

BYTES_AS_COUNT = """#!/bin/bash
[ "$2 $3 $4 $5" = "--cpu cortex-a72 --dir $FRAMESTEP_PI_LAB" ] || exit 4
echo "{\\"insn_per_invoke\\": $(stat -c %s "$1")}"
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small GRU over 16x16 gray frames, three classes."""
    layers = tf_keras.layers
    tf_keras.utils.set_random_seed(3)
    net = tf_keras.Sequential(
        [
            layers.Input((None, 16, 16, 1)),
            layers.TimeDistributed(layers.Conv2D(4, 3, 2, activation="relu")),
            layers.TimeDistributed(layers.Flatten()),
            layers.GRU(16, return_sequences=True),
            layers.Dense(3, activation="softmax", kernel_initializer="orthogonal"),
        ]
    )
    path = tmp_path_factory.mktemp("model") / "net.keras"
    net.save(path)
    return path


@pytest.fixture(scope="module")
def piece(model: Path) -> Workpiece:
    request = ConversionRequest(precision="float32", frames=200, calibrate=("digits",), keep=True)
    return workpiece_of_model(ForeignModel(path=model, labels=None, fps=15.0), request)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for the Pi lab: a file costs as many instructions as it has bytes."""
    folder = tmp_path / "lab"
    folder.mkdir()
    script = folder / "count.sh"
    script.write_text(BYTES_AS_COUNT)
    script.chmod(0o755)
    monkeypatch.setenv("FRAMESTEP_PI_LAB", str(folder))


def call(*arguments: object) -> Result:
    return CliRunner().invoke(framestep, [str(each) for each in arguments])


@pytest.mark.usefixtures("lab")
def test_auto_ships_thecheapest_for_the_target_of_those_that_pass(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.tflite"
    result = call(
        *("convert", model, "-o", path, "--precision", "auto", "--target", "pi4", "--calibrate", "digits"),
        *("--min-agreement", 0.99999, "--frames", 1000, "--keep", "--json"),
    )
    assert result.exit_code == 0, result.stderr
    figures = json.loads(result.stdout)
    rows = {row["precision"]: row for row in figures["variants"]}
    assert tuple(rows) == PRECISIONS
    passed = [row for row in rows.values() if row["passed"]]
    # Both stand-in and rule go by bytes; the spec with the table has been added since.
    assert rows[figures["precision"]]["bytes"] == min(row["bytes"] for row in passed)
    assert all(row["instructions"] == row["bytes"] and row["step_us"] is None for row in rows.values())
    fell = [row for row in rows.values() if not row["passed"]]
    assert [row["precision"] for row in fell if row["agreement"] < 0.99999] == [row["precision"] for row in fell]
    assert all("Agreement with the float model" in row["reason"] for row in fell)
    assert sorted(each.name for each in tmp_path.glob("*.tflite")) == sorted(
        ["a.tflite", *(f"a.{row['precision']}.failed.tflite" for row in fell)]
    )
    kept = json.loads(read_artifact(path).spec.made["auto"])
    assert kept["variants"] == figures["variants"]
    assert kept["target"] == "pi4"
    assert kept["measured_on"] == "pi4's core, a cortex-a72, emulated"
    assert kept["why"] == figures["why"]
    assert figures["why"].startswith(f"{figures['precision']}, ")


def test_without_a_lab_this_machine_is_timed_and_one_line_says_so(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRAMESTEP_PI_LAB", str(tmp_path / "nowhere"))
    monkeypatch.setattr("toolkit.variants.PRECISIONS", ("float32", "float16"))
    path = tmp_path / "a.tflite"
    result = call(
        *("convert", model, "-o", path, "--precision", "auto", "--target", "pi5", "--calibrate", "digits"),
        *("--frames", 100),
    )
    assert result.exit_code == 0, result.stderr
    assert f"There is no Pi lab in {tmp_path / 'nowhere'}, so this machine" in result.stderr
    assert "Chosen: float16" in result.stderr
    table = result.stdout.splitlines()
    assert table[0].split()[:2] == ["precision", "µs/frame"]
    assert [line.split()[0] for line in table[1:3]] == ["float32", "float16"]
    assert table[3].startswith(f"{path}  float16  ")


def test_where_none_passes_there_is_the_table_and_no_file(
    piece: Workpiece, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolkit.variants.PRECISIONS", ("float32", "float16"))
    unmet = replace(piece, config=replace(piece.config, gate=Gate(min_agreement=1.1)))
    path = tmp_path / "a.tflite"
    path.write_bytes(b"the old one")
    with pytest.raises(
        FidelityError, match=r"^No precision holds the gate\. float32: Agreement .*below 1\.1\."
    ) as told:
        choose_precision(unmet, path)
    rows: Any = told.value.report["variants"]
    assert [(row["precision"], row["passed"]) for row in rows] == [("float32", False), ("float16", False)]
    assert path.read_bytes() == b"the old one"
    kept = {"a.float32.failed.tflite", "a.float16.failed.tflite"}
    assert {each.name for each in tmp_path.iterdir()} == {"a.tflite", *kept}


def test_none_passing_is_status_3_and_prints_the_table(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolkit.variants.PRECISIONS", ("float32",))
    monkeypatch.setattr("toolkit.precision_choice.AUTO_GATE", Gate(min_agreement=1.1))
    result = call(
        *("convert", model, "-o", tmp_path / "a.tflite", "--precision", "auto", "--calibrate", "digits"),
        *("--frames", 100),
    )
    assert result.exit_code == 3
    assert "float32    fails" in result.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("lab")
def test_where_the_cheapest_fails_over_more_frames_the_next_one_is_tried(
    piece: Workpiece, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proofs = []

    def first_drifts(*arguments: Any, frames: int, **options: Any) -> Any:
        found = measure_fidelity(*arguments, frames=frames, **options)
        proofs.append(found.frames)
        return replace(found, agreement=0.5) if len(proofs) == 1 else found

    monkeypatch.setattr("toolkit.variants.PRECISIONS", ("float32", "float16"))
    monkeypatch.setattr("toolkit.precision_choice.measure_fidelity", first_drifts)
    path = tmp_path / "a.tflite"
    assert choose_precision(piece, path, target="pi4").converted.spec.precision == "float16"
    assert proofs == []
    choice = choose_precision(piece, path, target="pi4", proof_frames=300)
    assert proofs == [300, 300]
    spec = read_artifact(path).spec
    assert (choice.converted.spec.precision, spec.precision) == ("float32", "float32")
    assert spec.fidelity is not None
    assert spec.fidelity.frames == 300
    assert choice.why.startswith("float32, the only one that holds the gate: ")
    fell = {row["precision"]: row for row in choice.table}["float16"]
    assert (fell["passed"], fell["agreement"]) == (False, 0.5)
    assert "Agreement with the float model" in fell["reason"]
    assert "300 frames" in fell["reason"]
    assert (tmp_path / "a.float16.failed.tflite").exists()


def test_where_each_fails_over_more_frames_there_is_no_file(
    piece: Workpiece, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drifts(*arguments: Any, **options: Any) -> Any:
        return replace(measure_fidelity(*arguments, **options), agreement=0.5)

    monkeypatch.setattr("toolkit.variants.PRECISIONS", ("float32", "float16"))
    monkeypatch.setattr("toolkit.precision_choice.measure_fidelity", drifts)
    with pytest.raises(FidelityError, match=r"^No precision holds the gate\."):
        choose_precision(piece, tmp_path / "a.tflite", proof_frames=300)
    assert not (tmp_path / "a.tflite").exists()


def test_a_precision_that_cannot_be_built_falls_and_the_others_go_on(
    piece: Workpiece, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from converters import convert as module

    real = module.network_of

    def fails(step_model: Any, precision: Any, **options: Any) -> bytes:
        if precision == "float16":
            raise ConversionError("The converter ended with signal SIGSEGV: no words. Try another precision.")
        return real(step_model, precision, **options)

    monkeypatch.setattr("toolkit.variants.PRECISIONS", ("float32", "float16"))
    monkeypatch.setattr("converters.convert.network_of", fails)
    choice = choose_precision(piece, tmp_path / "a.tflite")
    assert choice.converted.spec.precision == "float32"
    assert choice.why.startswith("float32, the only one that holds the gate: ")
    assert choice.table[1]["reason"].startswith("The converter ended with signal SIGSEGV")
    assert choice.table[1]["bytes"] is None


def test_an_interrupt_leaves_the_old_file(piece: Workpiece, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    path = tmp_path / "a.tflite"
    path.write_bytes(b"the old one")
    monkeypatch.setattr("toolkit.variants.step_costs", interrupted)
    monkeypatch.setattr("toolkit.variants.PRECISIONS", ("float32",))
    with pytest.raises(KeyboardInterrupt):
        choose_precision(piece, path)
    assert [each.name for each in tmp_path.iterdir()] == ["a.tflite"]
    assert path.read_bytes() == b"the old one"


variants = st.lists(
    st.builds(
        Variant,
        precision=st.sampled_from(PRECISIONS),
        passed=st.booleans(),
        bytes=st.integers(1, 10**6),
        cost=st.floats(1, 1e6),
    ),
    max_size=5,
)


@given(variants=variants)
def test_the_choice_passes_is_near_thecheapest_and_the_smallest_of_those(variants: list[Variant]) -> None:
    best = cheapest(variants)
    passed = [(each.cost or 0.0, each.bytes or 0) for each in variants if each.passed]
    assert (best is None) == (not passed)
    if best is not None:
        least = min(cost for cost, _ in passed)
        assert best.passed
        assert (best.cost or 0.0) <= NEAR * least
        assert best.bytes == min(size for cost, size in passed if cost <= NEAR * least)


@pytest.mark.usefixtures("lab")
def test_a_target_tells_what_any_precision_costs_on_it(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.tflite"
    result = call("convert", model, "-o", path, "--precision", "float32", "--target", "pi4", "--frames", 20, "--json")
    assert result.exit_code == 0, result.stderr
    figures = json.loads(result.stdout)
    assert (figures["instructions"], figures["step_us"]) == (figures["bytes"], None)
    assert "instructions a frame on pi4's core, a cortex-a72, emulated." in result.stderr
