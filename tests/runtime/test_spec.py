"""The spec: what it keeps, and what it refuses and how."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import FramestepError, SpecError
from runtime.spec import (
    CalibrationSpec,
    DecisionSpec,
    FidelitySpec,
    InputSpec,
    ParitySpec,
    ResetSpec,
    Spec,
    StateSpec,
    from_plain,
)

INPUT = InputSpec(height=48, width=64, channels=1, colour="gray")
PLAIN = Spec(
    name="gestures",
    input=INPUT,
    fps=15.0,
    states=(StateSpec(name="h", shape=(1, 2)),),
    labels=("still", "wave"),
    precision="int8",
    sha256="0" * 64,
)
FULL = replace(
    PLAIN,
    states=(
        StateSpec(name="h", shape=(1, 2), dtype="int8", scale=0.0078125, zero_point=-1, initial=[[3, -4]]),
        StateSpec(name="c", shape=(1, 2), initial=0.5),
    ),
    reset=ResetSpec(policy="every", every_frames=300),
    decision=DecisionSpec(smoothing=1.0, on=0.5, off=0.5, minimum_frames=1),
    calibration=CalibrationSpec(source="digits", frames=3000, cuts=4, state_ranges={"h": (-1.0, 1.0)}),
    fidelity=FidelitySpec(
        source="digits", frames=100, agreement=1.0, agreement_first=1.0, agreement_last=0.9, rmse=0.1
    ),
    parity=ParitySpec(frames=30, max_error=1e-6),
    interpreters={"litert": "2.1", "tflite": None},
    made={"framestep": "0.1.0"},
)


def plain(spec: Spec = PLAIN) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(spec.to_json())
    return data


def refusal(data: object) -> str:
    with pytest.raises(SpecError) as caught:
        Spec.from_json(json.dumps(data))
    return str(caught.value)


@pytest.mark.parametrize("spec", [PLAIN, FULL])
def test_a_spec_reads_as_it_was_written(spec: Spec) -> None:
    assert Spec.from_json(spec.to_json()) == spec


def test_a_spec_reads_from_bytes_too() -> None:
    named = replace(PLAIN, name="geste à main")
    assert Spec.from_json(named.to_json().encode()) == named


@pytest.mark.parametrize("key", ["name", "input", "fps", "states", "labels", "precision", "sha256"])
def test_each_needed_member_is_missed_by_name(key: str) -> None:
    data = plain()
    del data[key]
    assert refusal(data) == f"spec lacks {key}. Convert the model again."


def test_members_that_nobody_knows_are_passed_over() -> None:
    assert Spec.from_json(json.dumps({**plain(), "colour_of_the_case": "red"})) == PLAIN


def test_a_later_format_is_named_before_anything_else_of_it_is_read() -> None:
    assert refusal({"format": 2}) == "The spec has format 2; this framestep reads 1. Install a newer framestep."


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("fps",), "15", "spec.fps is '15'; it must be float."),
        (("fps",), 0, "fps is 0.0; it must be above 0 and at most 1000."),
        (("fps",), True, "spec.fps is True; it must be float."),
        (("name",), "", "name is ''; it must be 1 to 200 printable characters."),
        (("name",), "a\x1b[2J", "name is 'a\\x1b[2J'; it must be 1 to 200 printable characters."),
        (("labels",), [], "labels has 0 entries; 1 to 4096, each once."),
        (("labels",), ["a", "a"], "labels has 2 entries; 1 to 4096, each once."),
        (("labels",), ["a", "b\n"], "labels has 'b\\n'; a label is printable text on one line."),
        (("labels", 1), 7, "spec.labels[1] is 7; it must be str."),
        (("labels",), "ab", "spec.labels is 'ab'; it must be a list."),
        (("precision",), "int4", "spec.precision is 'int4'; it must be one of float32, float16, dynamic, int8, mixed."),
        (("sha256",), "f" * 63, f"sha256 is '{'f' * 63}'; it must be 64 hexadecimal digits."),
        (("input",), [1, 2], "spec.input is a list with 2 entries; it must be an object."),
        (("input", "height"), 0, "input.height is 0; it must be 1 to 8192."),
        (("input", "height"), 48.0, "spec.input.height is 48.0; it must be int."),
        (("input", "height"), 10**30, "input.height is a very large number; it must be 1 to 8192."),
        (("input", "channels"), 3, "input.channels is 3, but input.colour is 'gray'. Mend the spec."),
        (("input", "dtype"), "int8", "spec.input.dtype is 'int8'; it must be one of uint8, float32."),
        (("reset", "gap_s"), -1.0, "reset.gap_s is -1.0; it must be above 0."),
        (("reset", "every_frames"), 5, "reset.policy is 'gap' and reset.every_frames 5; they go together."),
        (("decision", "smoothing"), 0.0, "decision.smoothing is 0.0; it must be above 0 and at most 1."),
        (
            ("decision", "off"),
            0.9,
            "decision.off is 0.9 and decision.on 0.6; it must hold that 0 <= off <= on <= 1.",
        ),
        (("states", 0, "shape"), [2, 2], "states['h'].shape is [2, 2]; it must begin with 1, one stream at a time."),
        (("states", 0, "shape"), [1] * 9, "The rank of states['h'] is 9; it must be 1 to 8."),
        (("states", 0, "shape"), [1, 0], "states['h'].shape is 0; it must be 1 to 1048576."),
        (
            ("states", 0, "name"),
            "frame",
            "states['frame']: a state's name is 1 to 64 of A-Z a-z 0-9 _ . - and neither frame nor probabilities.",
        ),
        (
            ("states", 0, "scale"),
            0.5,
            "states['h']: scale and zero_point belong to quantised states and to them alone.",
        ),
        (("states", 0, "initial"), "zero", "spec.states[0].initial is 'zero'; it must be a list."),
        (("states", 0, "initial"), [[0.0, "x"]], "states['h'].initial holds 'x'; it must hold numbers."),
        (("states", 0, "initial"), [0.0, 0.0], "states['h'].initial does not have the shape [1, 2]."),
        (
            ("states", 0, "initial"),
            1e39,
            "states['h'].initial holds 1e+39, which is no float32. Convert the model again.",
        ),
        (("interpreters",), {"litert": 2}, "spec.interpreters['litert'] is 2; it must be str."),
    ],
)
def test_what_is_wrong_is_told_with_its_place_and_value(place: tuple[Any, ...], value: object, message: str) -> None:
    data = inner = plain()
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    assert refusal(data) == message


def test_a_quantised_states_numbers_must_be_of_its_type() -> None:
    quantised = {"name": "h", "shape": (1, 2), "dtype": "int8", "scale": 0.5, "zero_point": 0}
    for wrong, message in (
        ({"initial": 128}, "states['h'].initial holds 128, which is no int8. Convert the model again."),
        ({"initial": [[0, 0.5]]}, "states['h'].initial holds 0.5, which is no int8. Convert the model again."),
        ({"zero_point": -129}, "states['h'].zero_point is -129; it must be -128 to 127."),
        ({"scale": 0.0}, "states['h'].scale is 0.0; it must be above 0, and a float32."),
        ({"scale": 1e300}, "states['h'].scale is 1e+300; it must be above 0, and a float32."),
    ):
        with pytest.raises(SpecError) as caught:
            StateSpec(**{**quantised, **wrong})  # type: ignore[arg-type]  # a mixed dict
        assert str(caught.value) == message


def test_two_states_of_one_name_are_refused() -> None:
    state = plain()["states"][0]
    assert "named ['h', 'h']" in refusal({**plain(), "states": [state, state]})


def test_an_integer_stays_one_where_a_float_would_do() -> None:
    state = Spec.from_json(FULL.to_json()).states[0]
    assert state.initial == [[3, -4]]
    assert all(type(number) is int for row in state.initial for number in row)


def test_errors_are_framesteps_own_and_value_errors() -> None:
    with pytest.raises(FramestepError):
        Spec.from_json("{")
    with pytest.raises(ValueError, match="The spec is not JSON"):
        Spec.from_json("{")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@given(data=st.data(), value=JSON)
def test_whatever_stands_in_a_member_the_spec_is_read_or_refused(data: st.DataObject, value: object) -> None:
    document = plain(FULL)
    place: Any = document
    keys = data.draw(st.integers(1, 3))
    for _ in range(keys - 1):
        inner = [key for key, each in _members(place) if isinstance(each, (dict, list)) and each]
        if not inner:
            break
        place = place[data.draw(st.sampled_from(inner))]
    key = data.draw(st.sampled_from([key for key, _ in _members(place)]))
    place[key] = value
    try:
        spec = Spec.from_json(json.dumps(document))
    except SpecError:
        return
    assert Spec.from_json(spec.to_json()) == spec


def _members(place: Any) -> list[tuple[Any, Any]]:
    return list(place.items() if isinstance(place, dict) else enumerate(place))


@given(st.binary(max_size=64))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with pytest.raises(SpecError):
        Spec.from_json(data)


def test_every_member_of_the_spec_is_told_on_the_page_of_the_format() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "artifact.md").read_text()
    parts = (Spec, InputSpec, StateSpec, ResetSpec, DecisionSpec, CalibrationSpec, FidelitySpec, ParitySpec)
    untold = [f"{part.__name__}.{item.name}" for part in parts for item in fields(part) if f"`{item.name}`" not in page]
    assert untold == []


def test_other_dataclasses_are_read_the_same_way() -> None:
    assert from_plain(ResetSpec, {"policy": "never"}, "reset") == ResetSpec(policy="never")
