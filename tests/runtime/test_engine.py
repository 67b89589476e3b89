"""The engine: arrays on the interpreter's memory, and networks whose tensors share it."""

from __future__ import annotations

import gc
import json
import weakref
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.artifact import Artifact
from runtime.engine import Engine, _requantisation
from runtime.errors import ArtifactError
from runtime.flatbuffer import TensorInfo, read_network
from runtime.interpreter import open_interpreter
from runtime.spec import StateSpec

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

BOTH = ("litert", "tflite")


def frames(number: int, shape: tuple[int, ...], seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (number, *shape), np.uint8)


def by_runner(engine: Engine, pictures: Any) -> list[Any]:
    """What the interpreter's own signature runner says, its states carried by hand."""
    interpreter: Any = open_interpreter(engine.artifact.content, choice=engine.interpreter_name).interpreter
    interpreter.allocate_tensors()
    runner = interpreter.get_signature_runner("step")
    states = {name: initial.copy() for name, initial in engine.initial.items()}
    answers = []
    for picture in pictures:
        states = {name: value.copy() for name, value in runner(frame=picture[None], **states).items()}
        answers.append(states.pop("probabilities")[0])
    return answers


@pytest.mark.parametrize("choice", BOTH)
@pytest.mark.parametrize("name", ["tiny", "lstm-int8", "gru-float32"])
def test_steps_are_those_of_the_signature_runner_bit_for_bit(golden: Path, name: str, choice: Any) -> None:
    engine = Engine.open(golden / f"{name}.tflite", interpreter=choice)
    pictures = frames(40, engine.spec.input.shape[1:])
    stepper = engine.stepper()
    for picture, expected in zip(pictures, by_runner(engine, pictures), strict=True):
        assert np.array_equal(stepper.step(picture), expected)


@pytest.mark.parametrize("choice", [*BOTH, "tensorflow"])
@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("tiny", 1e-5),
        ("gru-float32", 1e-5),  # kernels of different processors add in different orders
        ("lstm-int8", 8 / 256),  # tflite-runtime runs int8 undelegated, and rounds otherwise at each of some 20 tensors
    ],
)
def test_a_golden_artifact_answers_as_it_did(golden: Path, name: str, tolerance: float, choice: Any) -> None:
    answers = json.loads((golden / "answers.json").read_text())[name]["probabilities"]
    engine = Engine.open(golden / f"{name}.tflite", interpreter=choice)
    stepper = engine.stepper()
    rows, columns, channels = np.ogrid[tuple(slice(size) for size in engine.spec.input.shape[1:])]
    for number, answer in enumerate(answers):
        # The same stripes as in tests/golden/make_golden.py.
        picture = (rows * 13 + (columns + number) * 37 + channels * 5 + number // 8 * 101) % 256
        assert np.abs(stepper.step(picture.astype(np.uint8)) - answer).max() <= tolerance


@given(pixels=st.lists(st.lists(st.integers(0, 255), min_size=6, max_size=6), min_size=1, max_size=12))
def test_a_drawn_network_is_the_arithmetic_it_was_drawn_as(pixels: list[list[int]], golden: Path) -> None:
    stepper = Engine.open(golden / "tiny.tflite").stepper()
    total, previous = np.zeros(6), np.zeros(6)
    weights = np.linspace(-1, 1, 18).reshape(3, 6) / 64
    for flat in np.array(pixels):
        total, previous = total / 2 + flat - previous, flat
        powers = np.exp(weights @ total + [0.1, 0, -0.1])
        answer = stepper.step(flat.astype(np.uint8).reshape(2, 3, 1))
        assert np.abs(answer - powers / powers.sum()).max() < 1e-5  # float32 against float64
        assert np.allclose(stepper.snapshot()["total"], total)


def test_a_file_that_is_overwritten_while_it_runs_does_not_matter(golden: Path, tmp_path: Path) -> None:
    path = tmp_path / "running.tflite"
    path.write_bytes((golden / "gru-float32.tflite").read_bytes())
    engine = Engine.open(path)
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
    pictures = frames(5, engine.spec.input.shape[1:])
    stepper = engine.stepper()
    for picture, answer in zip(pictures, by_runner(engine, pictures), strict=True):
        assert np.array_equal(stepper.step(picture), answer)


def test_it_says_what_runs_it(golden: Path) -> None:
    engine = Engine.open(golden / "tiny.tflite", interpreter="tflite", threads=2)
    assert (engine.interpreter_name, engine.interpreter_version, engine.threads) == ("tflite", "2.14.0", 2)
    assert engine.spec is engine.artifact.spec


def test_loading_leaves_no_trace_of_its_trial_run(golden: Path) -> None:
    states = Engine.open(golden / "tiny.tflite").stepper().snapshot()
    assert not any(state.any() for state in states.values())


def test_an_engine_is_freed_with_its_last_reference(golden: Path) -> None:
    engine = Engine.open(golden / "tiny.tflite")
    stepper = engine.stepper()
    stepper.step(frames(1, (2, 3, 1))[0])
    freed = weakref.ref(engine)
    gc.disable()  # no cycle may be needed to be found
    try:
        del engine, stepper
        assert freed() is None
    finally:
        gc.enable()


def test_a_stepper_keeps_its_interpreter_alive(golden: Path) -> None:
    stepper = Engine.open(golden / "tiny.tflite").stepper()
    gc.collect()
    pictures = frames(3, (2, 3, 1))
    expected = by_runner(stepper.engine, pictures)
    assert all(np.array_equal(stepper.step(each), answer) for each, answer in zip(pictures, expected, strict=True))


@pytest.mark.parametrize("choice", BOTH)
def test_states_that_change_places_are_not_mixed_up(
    drawing: ModuleType, drawn: Callable[..., Engine], choice: str
) -> None:
    def swap(_: Any, inputs: dict[str, int], outputs: dict[str, int]) -> None:
        inputs |= {"left": extra(_, "left"), "right": extra(_, "right")}
        outputs |= {"left": inputs["right"], "right": inputs["left"]}

    def extra(draft: Any, name: str) -> int:
        number: int = draft.tensor(name, (1, 4))
        return number

    content = drawing.tiny(swap)
    sides = (StateSpec(name="left", shape=(1, 4), initial=1.0), StateSpec(name="right", shape=(1, 4), initial=2.0))
    stepper = drawn(
        content, drawing.spec_for(content, states=(*drawing.TINY_STATES, *sides)), interpreter=choice
    ).stepper()
    for number, picture in enumerate(frames(5, (2, 3, 1)), 1):
        stepper.step(picture)
        states = stepper.snapshot()
        assert states["left"].tolist() == [[2.0 if number % 2 else 1.0] * 4]
        assert states["right"].tolist() == [[1.0 if number % 2 else 2.0] * 4]


@pytest.mark.parametrize("choice", BOTH)
def test_a_delay_line_of_states_hands_each_on(drawing: ModuleType, drawn: Callable[..., Engine], choice: str) -> None:
    def delay(draft: Any, inputs: dict[str, int], outputs: dict[str, int]) -> None:
        for name in ("one", "two", "three"):
            inputs[name] = draft.tensor(name, (1, *drawing.SIZE, 1))
        outputs |= {"three": inputs["two"], "two": inputs["one"], "one": outputs["previous"]}

    content = drawing.tiny(delay)
    line = tuple(StateSpec(name=name, shape=(1, *drawing.SIZE, 1)) for name in ("one", "two", "three"))
    stepper = drawn(
        content, drawing.spec_for(content, states=(*line, *drawing.TINY_STATES)), interpreter=choice
    ).stepper()
    pictures = frames(8, (2, 3, 1))
    for number, picture in enumerate(pictures):
        stepper.step(picture)
        for name, before in (("previous", 0), ("one", 0), ("two", 1), ("three", 2)):
            expected = pictures[number - before] if number >= before else np.zeros_like(picture)
            assert np.array_equal(stepper.snapshot()[name][0], expected)


def test_probabilities_that_are_a_states_memory_are_read_before_it_moves(
    drawing: ModuleType, drawn: Callable[..., Engine]
) -> None:
    # The answer of the step before: the output is the very tensor that takes the state.
    def late(draft: Any, inputs: dict[str, int], outputs: dict[str, int]) -> None:
        inputs["answer"] = draft.tensor("answer", (1, 3))
        outputs |= {"answer": outputs["probabilities"], "probabilities": inputs["answer"]}

    content = drawing.tiny(late)
    states = (*drawing.TINY_STATES, StateSpec(name="answer", shape=(1, 3), initial=[[1.0, 0.0, 0.0]]))
    late_stepper = drawn(content, drawing.spec_for(content, states=states)).stepper()
    pictures = frames(6, (2, 3, 1))
    expected = [np.array([1, 0, 0], np.float32), *by_runner(drawn(drawing.tiny()), pictures)[:-1]]
    for picture, answer in zip(pictures, expected, strict=True):
        assert np.array_equal(late_stepper.step(picture), answer)


def test_a_constant_output_becomes_the_state(drawing: ModuleType, drawn: Callable[..., Engine]) -> None:
    def start(draft: Any, inputs: dict[str, int], outputs: dict[str, int]) -> None:
        inputs["started"], outputs["started"] = draft.tensor("started", (1, 1)), draft.constant("yes", [[1.0]])

    content = drawing.tiny(start)
    states = (*drawing.TINY_STATES, StateSpec(name="started", shape=(1, 1)))
    stepper = drawn(content, drawing.spec_for(content, states=states)).stepper()
    assert stepper.snapshot()["started"] == 0
    stepper.step(frames(1, (2, 3, 1))[0])
    assert stepper.snapshot()["started"] == 1
    stepper.reset()
    assert stepper.snapshot()["started"] == 0


def test_a_float_frame_takes_the_same_pixels(drawing: ModuleType, drawn: Callable[..., Engine]) -> None:
    def real(draft: Any, inputs: dict[str, int], _: dict[str, int]) -> None:
        draft.graph.tensors[inputs["frame"]].type = 0  # float32

    content = drawing.tiny(real)
    spec = drawing.spec_for(content)
    engine = drawn(content, replace(spec, input=replace(spec.input, dtype="float32")))
    pictures = frames(6, (2, 3, 1))
    stepper = engine.stepper()
    for picture, answer in zip(pictures, by_runner(drawn(drawing.tiny()), pictures), strict=True):
        assert np.array_equal(stepper.step(picture), answer)


@pytest.mark.parametrize("choice", BOTH)
@pytest.mark.parametrize(("dtype", "taken", "given"), [("int8", (0.5, 3), (0.25, -5)), ("int16", (0.5, 0), (0.75, 0))])
def test_a_quantised_state_is_brought_into_the_scale_that_takes_it(
    drawing: ModuleType, drawn: Callable[..., Engine], *, choice: Any, dtype: Any, taken: Any, given: Any
) -> None:
    def rescale(draft: Any, inputs: dict[str, int], outputs: dict[str, int]) -> None:
        inputs["q"] = draft.tensor("q", (1, 5), dtype, scale=taken[0], zero_point=taken[1])
        outputs["q"] = draft.tensor("q_next", (1, 5), dtype, scale=given[0], zero_point=given[1])
        draft.op("QUANTIZE", [inputs["q"]], [outputs["q"]])

    content = drawing.tiny(rescale)
    values = [taken[1] + step for step in (-8, -3, 0, 5, 20)]
    state = StateSpec(
        name="q",
        shape=(1, 5),
        dtype=dtype,
        scale=taken[0],
        zero_point=taken[1],
        initial=[values],
    )
    stepper = drawn(
        content, drawing.spec_for(content, states=(*drawing.TINY_STATES, state)), interpreter=choice
    ).stepper()
    real = (np.array(values) - taken[1]) * taken[0]
    inside = np.rint(real / given[0]) * given[0]  # none of these is a tie
    for picture in frames(3, (2, 3, 1)):
        stepper.step(picture)
        units = stepper.snapshot()["q"][0].astype(int) - taken[1]
        assert np.abs(units * taken[0] - inside).max() <= taken[0] / 2


@given(
    scales=st.tuples(*[st.floats(2**-20, 64, width=32)] * 2),
    points=st.tuples(*[st.integers(-128, 127)] * 2),
)
def test_requantisation_is_exact_rational_arithmetic(scales: tuple[float, float], points: tuple[int, int]) -> None:
    from fractions import Fraction

    taken, given_ = (
        TensorInfo(index=0, shape=(1,), dtype="int8", scale=scale, zero_point=point)
        for scale, point in zip(scales, points, strict=True)
    )
    table = _requantisation(taken, given_)
    if table is None:
        assert (scales[0], points[0]) == (scales[1], points[1])
        return
    for value in range(-128, 128):
        level = Fraction(value - points[1]) * Fraction(scales[1]) / Fraction(scales[0])
        rounded = int(abs(level) + Fraction(1, 2)) * (1 if level >= 0 else -1)
        assert table[value % 256] == min(max(rounded + points[0], -128), 127)


def test_one_scale_needs_no_table() -> None:
    tensor = TensorInfo(index=0, shape=(1,), dtype="int8", scale=0.1, zero_point=2)
    assert _requantisation(tensor, replace(tensor, index=5)) is None


@pytest.mark.parametrize("choice", BOTH)
def test_a_size_known_only_while_the_network_runs_is_refused_by_the_engine_too(
    drawing: ModuleType, choice: Any
) -> None:
    content = drawing.tiny(drawing.unsized)
    previous, total = drawing.TINY_STATES
    spec = drawing.spec_for(content, states=(previous, replace(total, initial=[[1, 6, 1, 1, 1, 1]])))
    artifact = Artifact(path=Path("drawn"), content=content, spec=spec, network=read_network(content), size_bytes=0)
    with pytest.raises(ArtifactError, match="'total'"):
        Engine(artifact, interpreter=choice)


def test_a_network_that_fails_in_its_trial_run_is_refused(drawing: ModuleType, drawn: Callable[..., Engine]) -> None:
    with pytest.raises(ArtifactError, match=r"ai-edge-litert .* refuses the network: .*gather"):
        drawn(drawing.tiny(lambda *parts: _gather(drawing, *parts, first=-1)))


def test_a_step_that_fails_says_so_and_leaves_the_states(drawing: ModuleType, drawn: Callable[..., Engine]) -> None:
    stepper = drawn(drawing.tiny(lambda *parts: _gather(drawing, *parts, first=0))).stepper()
    stepper.step(np.array([[[1], [0], [1]], [[0], [1], [0]]], np.uint8))
    before = stepper.snapshot()
    with pytest.raises(ArtifactError, match=r"ai-edge-litert .* refuses the network: .*gather"):
        stepper.step(np.full((2, 3, 1), 200, np.uint8))
    assert all(np.array_equal(state, before[name]) for name, state in stepper.snapshot().items())


def _gather(drawing: ModuleType, draft: Any, inputs: dict[str, int], outputs: dict[str, int], *, first: int) -> None:
    """Look pixels up in a table of two entries: any other pixel is an error while the network runs."""
    whole, moved = (
        draft.tensor("whole", (1, *drawing.SIZE, 1), "int32"),
        draft.tensor("moved", (1, *drawing.SIZE, 1), "int32"),
    )
    found, flat = draft.tensor("found", (1, *drawing.SIZE, 1)), draft.tensor("found_flat", (1, 6))
    following = draft.tensor("total_found", (1, 6))
    draft.op("CAST", [inputs["frame"]], [whole])
    draft.op("ADD", [whole, draft.constant("first", [first], "int32")], [moved])
    draft.op("GATHER", [draft.constant("table", [0.5, 1.0]), moved], [found])
    draft.op("RESHAPE", [found, draft.constant("six_found", [1, 6], "int32")], [flat])
    draft.op("ADD", [outputs["total"], flat], [following])
    outputs["total"] = following
