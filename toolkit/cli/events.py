"""How commands tell people of resets and events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from toolkit.cli.output import print_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def tell_resets(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print what each reset policy gets right on the validation stream."""
    print_table(
        ("reset", "frames right", "settled frames", "segments", "behind", "noise", ""),
        [
            (
                row["reset"],
                _fraction(row["frame_accuracy"]),
                _fraction(row["frame_accuracy_settled"]),
                _fraction(row["segment_accuracy"]),
                _fraction(row["behind"]),
                _fraction(row["noise"]),
                "chosen" if row["chosen"] else "",
            )
            for row in rows
        ],
    )


def tell_fit(events: Mapping[str, Any]) -> None:
    """Print a fitted decision, and its events on the stream that it was fitted on beside the default's."""
    print_table(
        ("decision", "recall", "precision", "false alarms/h", "at most", "delay s"),
        [
            (
                name,
                _fraction(events[name]["recall"]),
                _fraction(events[name]["precision"]),
                f"{events[name]['false_alarms_per_hour']:.1f}",
                f"{events[name]['false_alarms_per_hour_at_most']:.1f}",
                None if events[name]["delay_s"] is None else f"{events[name]['delay_s']:.2f}",
            )
            for name in ("fitted", "default")
        ],
    )
    click.echo("fitted: " + ", ".join(f"{key} {value:g}" for key, value in events["decision"].items()))
    click.echo(_honest(events))


def _honest(events: Mapping[str, Any]) -> str:
    """What the stream can tell of an hourly rate."""
    distinct_s = events["hours"] * 3600 * events["distinct_frames"] / events["frames"]
    met = "met" if events["met"] else "not met by any decision that finds something"
    return (
        f"Target {events['target_per_hour']:g} false alarms an hour: {met} on {events['stream']}. Of its "
        f"{distinct_s:.0f} s that differ, one false alarm is {3600 / distinct_s:.1f} an hour; what was seen excludes "
        "more than `at most`, with 95 % confidence."
    )


def _fraction(value: float | None) -> str | None:
    return None if value is None else f"{value:.4f}"
