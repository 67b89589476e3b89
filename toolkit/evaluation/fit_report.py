"""A decision fitted on a stream, and what its events are worth there beside the default's."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from runtime.spec import DecisionSpec
from toolkit.data.streams import segments_of
from toolkit.evaluation.events import within
from toolkit.evaluation.fitting import fit_decision
from toolkit.evaluation.streams import decide, evaluate_stream, score_on

if TYPE_CHECKING:
    from runtime.spec import ResetSpec
    from toolkit.evaluation.events import EventScore
    from toolkit.evaluation.predictors import Predictor
    from toolkit.evaluation.streams import StreamResult
    from toolkit.evaluation.validation import ValidationStream


def fit_on(result: StreamResult, validation: ValidationStream, *, fps: float, target_per_hour: float) -> DecisionSpec:
    """Fit a decision to what a model said of a stream; see `fit_decision`."""
    return fit_decision(
        result.probabilities,
        segments_of(validation.stream),
        fps=fps,
        target_per_hour=target_per_hour,
        resets=result.reset_at,
    ).decision


def report_events(
    predictor: Predictor,
    validation: ValidationStream,
    labels: tuple[str, ...],
    *,
    fps: float,
    policy: ResetSpec,
    result: StreamResult,
    decision: DecisionSpec,
    target_per_hour: float,
) -> dict[str, Any]:
    """Measure a fitted decision on the stream that it was fitted on, and the default beside it.

    Under the policy `event` a decision's own events reset the states, so that each is measured by a roll-out.

    Args:
        predictor: is stepped again where the policy is `event`.
        validation: the stream.
        labels: the classes.
        fps: the stream's rate.
        policy: of the resets.
        result: what the model said under this policy.
        decision: the fitted one.
        target_per_hour: that it was fitted to.

    Returns:
        As JSON types: `stream`, `frames`, `distinct_frames`, `hours`, `target_per_hour`, whether the target was `met`,
        the `decision`, and the events of it (`fitted`) and of the `default`.
    """

    def score(spec: DecisionSpec) -> EventScore:
        if policy.policy == "event":
            again = evaluate_stream(predictor, validation.stream, labels, fps=fps, reset=policy, decision=spec)
            return replace(again.events, rounds=validation.rounds)
        events = decide(result.probabilities, labels, spec, result.reset_at)
        found = score_on(events, validation.stream, labels, fps=fps, decision=spec)
        return replace(found, rounds=validation.rounds)

    fitted = score(decision)
    return {
        "stream": validation.stream.name,
        "frames": len(validation.stream.frames),
        "distinct_frames": validation.distinct_frames,
        "hours": fitted.hours,
        "target_per_hour": target_per_hour,
        "met": within(fitted.false_alarms_per_hour, target_per_hour),
        "decision": asdict(decision),
        "fitted": plain_events(fitted),
        "default": plain_events(score(DecisionSpec())),
    }


def plain_events(score: EventScore) -> dict[str, Any]:
    """Write a score as JSON types, its rates included."""
    return {
        **{key: value for key, value in asdict(score).items() if key not in ("hours", "rounds")},
        "false_alarms_per_hour": score.false_alarms_per_hour,
        "false_alarms_per_hour_at_most": score.false_alarms_per_hour_at_most,
    }
