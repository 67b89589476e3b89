"""One stream and many: the stepper's states."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.artifact import read_artifact
from runtime.engine import Engine
from runtime.errors import FrameError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

    from runtime.stepper import Stepper

NAMES = ("tiny", "lstm-int8", "gru-float32")


@pytest.fixture(scope="module", params=NAMES)
def engine(request: pytest.FixtureRequest, golden: Path) -> Engine:
    return Engine.open(golden / f"{request.param}.tflite")


def pictures(engine: Engine, number: int = 20, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (number, *engine.spec.input.shape[1:]), np.uint8)


def run(stepper: Stepper, frames: Any) -> list[Any]:
    return [stepper.step(frame) for frame in frames]


def same(ours: list[Any], theirs: list[Any]) -> bool:
    return all(np.array_equal(one, other) for one, other in zip(ours, theirs, strict=True))


def test_a_step_gives_a_probability_for_each_label(engine: Engine) -> None:
    answer = engine.stepper().step(pictures(engine)[0])
    assert answer.dtype == np.float32
    assert answer.shape == (len(engine.spec.labels),)
    assert abs(float(answer.sum()) - 1) < 0.02  # int8 probabilities come in steps of 1/256


def test_a_stream_has_memory(engine: Engine) -> None:
    frames = pictures(engine)
    whole = run(engine.stepper(), frames)
    assert not np.array_equal(engine.stepper().step(frames[-1]), whole[-1])


def test_an_answer_is_the_callers_own(engine: Engine) -> None:
    stepper = engine.stepper()
    frames = pictures(engine, 2)
    first = stepper.step(frames[0])
    kept = first.copy()
    stepper.step(frames[1])
    assert np.array_equal(first, kept)
    assert first.flags.writeable


def test_a_frame_may_have_its_batch_axis(engine: Engine) -> None:
    frames = pictures(engine, 3)
    assert same(run(engine.stepper(), frames), run(engine.stepper(), frames[:, None]))


def test_a_frame_may_be_a_view_in_any_order(engine: Engine) -> None:
    frames = pictures(engine, 3)
    flipped = frames[:, ::-1, ::-1]
    assert same(run(engine.stepper(), flipped), run(engine.stepper(), np.ascontiguousarray(flipped)))


def test_reset_begins_the_stream_again(engine: Engine) -> None:
    stepper = engine.stepper()
    frames = pictures(engine)
    first = run(stepper, frames)
    stepper.reset()
    assert same(run(stepper, frames), first)


def test_reset_of_a_stream_that_is_not_in_the_interpreter_leaves_the_one_that_is(engine: Engine) -> None:
    frames = pictures(engine)
    expected = run(engine.stepper(), frames)
    resting, running = engine.stepper(), engine.stepper()
    run(resting, frames[:5])
    begun = run(running, frames[:7])
    resting.reset()
    assert same(begun + run(running, frames[7:]), expected)
    assert same(run(resting, frames), expected)


def test_restore_goes_on_where_the_snapshot_was_taken(engine: Engine) -> None:
    stepper = engine.stepper()
    frames = pictures(engine)
    run(stepper, frames[:9])
    snapshot = stepper.snapshot()
    rest = run(stepper, frames[9:])
    stepper.restore(snapshot)
    assert same(run(stepper, frames[9:]), rest)


def test_a_snapshot_is_a_copy_and_goes_into_another_stream(engine: Engine) -> None:
    frames = pictures(engine)
    one = engine.stepper()
    run(one, frames[:9])
    snapshot = one.snapshot()
    rest = run(one, frames[9:])
    other = engine.stepper()
    other.restore(snapshot)
    assert same(run(other, frames[9:]), rest)


def test_a_snapshot_has_every_state_in_its_shape_and_type(engine: Engine) -> None:
    snapshot = engine.stepper().snapshot()
    assert [(name, array.shape, array.dtype) for name, array in sorted(snapshot.items())] == sorted(
        (state.name, state.shape, np.dtype(state.dtype)) for state in engine.spec.states
    )


@given(turns=st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["step", "step", "step", "reset", "snapshot"]))))
@settings(max_examples=40)
def test_streams_interleaved_are_those_run_apart_bit_for_bit(turns: list[tuple[int, str]], engine: Engine) -> None:
    together = [engine.stepper() for _ in range(3)]
    answers = _play(turns, together, engine)
    for stream in range(3):
        alone = _play([turn for turn in turns if turn[0] == stream], [engine.stepper()] * 3, engine)
        assert same(answers[stream], alone[stream])


def _play(turns: list[tuple[int, str]], steppers: list[Stepper], engine: Engine) -> list[list[Any]]:
    answers: list[list[Any]] = [[], [], []]
    frames = [pictures(engine, len(turns), seed) for seed in range(3)]
    for stream, what in turns:
        if what == "step":
            answers[stream].append(steppers[stream].step(frames[stream][len(answers[stream])]))
        elif what == "reset":
            steppers[stream].reset()
        else:
            steppers[stream].restore(steppers[stream].snapshot())
    return answers


def test_a_stream_that_is_thrown_away_does_not_disturb_the_next(engine: Engine) -> None:
    frames = pictures(engine)
    expected = run(engine.stepper(), frames)
    run(engine.stepper(), frames[:3])
    assert same(run(engine.stepper(), frames), expected)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (
            np.zeros((480, 640, 3), np.uint8),
            "Frame is uint8 (480, 640, 3); the model expects uint8 (2, 3, 1). Pass it through Preprocessor first.",
        ),
        (
            np.zeros((2, 3, 1), np.float32),
            "Frame is float32 (2, 3, 1); the model expects uint8 (2, 3, 1). Pass it through Preprocessor first.",
        ),
        ([[0] * 3] * 2, "Frame is a list; the model expects uint8 (2, 3, 1). Pass it through Preprocessor first."),
    ],
)
def test_a_frame_that_does_not_fit_is_told_and_changes_nothing(golden: Path, frame: Any, message: str) -> None:
    stepper = Engine.open(golden / "tiny.tflite").stepper()
    stepper.step(np.full((2, 3, 1), 9, np.uint8))
    before = stepper.snapshot()
    with pytest.raises(FrameError) as caught:
        stepper.step(frame)
    assert str(caught.value) == message
    assert all(np.array_equal(state, before[name]) for name, state in stepper.snapshot().items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda snapshot: snapshot.pop("total"),
            (
                "The snapshot has the states ['previous']; the model has ['previous', 'total']. "
                "Restore one of the same model."
            ),
        ),
        (
            lambda snapshot: snapshot.update(total=np.zeros((1, 7), np.float32)),
            (
                "State 'total' of the snapshot is float32 [1, 7]; the model has float32 [1, 6]. "
                "Restore one of the same model."
            ),
        ),
        (
            lambda snapshot: snapshot.update(total=np.zeros((1, 6))),
            (
                "State 'total' of the snapshot is float64 [1, 6]; the model has float32 [1, 6]. "
                "Restore one of the same model."
            ),
        ),
    ],
)
def test_a_snapshot_of_another_model_is_refused_and_changes_nothing(
    golden: Path, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    stepper = Engine.open(golden / "tiny.tflite").stepper()
    stepper.step(np.full((2, 3, 1), 9, np.uint8))
    before = stepper.snapshot()
    wrong = {name: np.ones_like(state) for name, state in before.items()}
    change(wrong)
    with pytest.raises(FrameError) as caught:
        stepper.restore(wrong)
    assert str(caught.value) == message
    assert all(np.array_equal(state, before[name]) for name, state in stepper.snapshot().items())


def test_a_model_without_states_can_be_stepped(drawing: ModuleType, drawn: Callable[..., Engine]) -> None:
    draft = drawing.Drawing()
    frame, pixels, flat = (
        draft.tensor("frame", (1, 2, 3, 1), "uint8"),
        draft.tensor("p", (1, 2, 3, 1)),
        draft.tensor("f", (1, 6)),
    )
    draft.op("CAST", [frame], [pixels])
    draft.op("RESHAPE", [pixels, draft.constant("six", [1, 6], "int32")], [flat])
    content = draft.content({"frame": frame}, {"probabilities": drawing.head(draft, flat)})
    stepper = drawn(content, drawing.spec_for(content, states=())).stepper()
    picture = np.full((2, 3, 1), 77, np.uint8)
    first = stepper.step(picture)
    stepper.reset()
    assert stepper.snapshot() == {}
    assert np.array_equal(stepper.step(picture), first)


def test_the_benchmark_compares_four_ways_to_run_the_same_steps(golden: Path) -> None:
    place = importlib.util.spec_from_file_location("stepping", golden.parents[1] / "benchmarks" / "stepper.py")
    assert place is not None
    assert place.loader is not None
    benchmark = importlib.util.module_from_spec(place)
    place.loader.exec_module(benchmark)
    ways = benchmark.measure(read_artifact(golden / "tiny.tflite"), rounds=1)["ways"]
    assert list(ways) == ["invoke alone", "framestep", "set_tensor, get_tensor", "runner"]
    assert all(way["step_us"] > 0 for way in ways.values())
