"""The model card: a run's README, with the header that Hugging Face reads."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.atomic import replacing
from toolkit.training.lineage import lineage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from toolkit.training.run_folder import Run


def write_card(run: Run) -> None:
    """Write `README.md` into a run's folder."""
    with replacing(run.folder / "README.md") as temporary:
        temporary.write_text(card(run), encoding="utf-8")


def card(run: Run) -> str:
    """Give the card as Markdown."""
    parts = [_model(run), _data(run), lineage(run), _results(run), _stream(run), _use(run), _made(run)]
    return "\n".join([*_header(run), "", *itertools.chain.from_iterable(parts)]) + "\n"


def _header(run: Run) -> list[str]:
    return [
        "---",
        "library_name: framestep",
        "pipeline_tag: video-classification",
        "tags: [video-classification, tf-keras, cnn-lstm, edge]",
        "model-index:",
        f"- name: {json.dumps(run.name)}",
        "  results:",
        "  - task: {type: video-classification}",
        f"    dataset: {{name: {json.dumps(_sources(run))}, type: local}}",
        f"    metrics: [{{type: accuracy, value: {run.val_accuracy:.4f}}}]",
        "---",
    ]


def _model(run: Run) -> list[str]:
    config, picture = run.model_config, run.input_spec
    bounds = "no bounds"
    if config.bounds is not None:
        parts = [f"{len(config.bounds.activations)} activations"]
        parts += [f"pre-activations within ±{config.bounds.pre:g}"] if config.bounds.pre else []
        parts += [f"c within ±{config.bounds.c:g}"] if config.bounds.c else []
        bounds = "bounded: " + ", ".join(parts)
    return [
        f"# {run.name}",
        "",
        f"Preset `{config.preset}`, input `{config.input}`, cell `{config.cell}`; {bounds}.",
        (
            f"Frames {picture.width}x{picture.height} {picture.colour}, {run.fps:g} a second; the model takes "
            f"`pixel * {picture.scale:.6g} + {picture.offset:g}`."
        ),
        "Labels: " + ", ".join(f"`{label}`" for label in run.labels) + ".",
        "",
    ]


def _data(run: Run) -> list[str]:
    results, data = run.results, run.data
    grouped = f", grouped by `{data.config.group_by}`" if data.config.group_by else ""
    guard = f", {data.guard} group(s) left out beside each part" if data.guard else ""
    return [
        "## Data",
        "",
        (
            f"{_sources(run)}: {results.get('clips_trained', 0)} clips and {results.get('streams_trained', 0)} streams "
            f"trained on, {results.get('clips_held', 0)} clips held out. Divided by group{grouped}{guard}, "
            f"seed {data.seed}."
        ),
        "",
    ]


def _results(run: Run) -> list[str]:
    results = run.results
    lines = [
        "## Results on the clips held out",
        "",
        "A clip's answer is the class with the highest mean probability over its last half.",
        "",
        "| | accuracy |",
        "|---|---|",
        f"| this model | {run.val_accuracy:.4f} |",
    ]
    names = {"single_frame": "its encoder on single frames", "shuffled_order": "the same model, frames in any order"}
    for key, words in names.items():
        value = run.baselines.get(key)
        lines.append(f"| {words} | {'not measured' if value is None else f'{value:.4f}'} |")
    for label, value in results.get("per_class", {}).items():
        lines.append(f"| class `{label}` | {'no clips' if value is None else f'{value:.4f}'} |")
    if confusion := results.get("confusion"):
        lines += ["", "Confusion, a row each true class:", "", "| | " + " | ".join(run.labels) + " |"]
        lines.append("|---" * (len(run.labels) + 1) + "|")
        lines += [
            f"| {label} | " + " | ".join(map(str, row)) + " |" for label, row in zip(run.labels, confusion, strict=True)
        ]
    return [*lines, "", "![history](history.png)", ""]


def _stream(run: Run) -> list[str]:
    """What was measured on the validation stream; nothing of a run that has not been there."""
    events, resets = run.results.get("events"), run.results.get("resets")
    if events is None:
        return []
    lines = ["## On a stream", ""]
    if resets:
        lines += [
            _why(run),
            "",
            "| reset | frames right | settled frames | segments | behind | noise |",
            "|---|---|---|---|---|---|",
        ]
        lines += [_reset_row(row) for row in resets]
        lines.append("")
    distinct_s = events["hours"] * 3600 * events["distinct_frames"] / events["frames"]
    lines += [
        (
            f"The decision was fitted on {events['stream']} ({events['frames']} frames, {distinct_s:.0f} s that "
            f"differ) to at most {events['target_per_hour']:g} false alarms an hour; the target is "
            f"{'' if events['met'] else 'not '}met there. One false alarm in that time is {3600 / distinct_s:.1f} an "
            "hour; what was seen excludes more than `at most`, with 95 % confidence. On the very stream that it was "
            "fitted on:"
        ),
        "",
        "| decision | recall | precision | false alarms an hour | at most | delay in frames | in s |",
        "|---|---|---|---|---|---|---|",
        *[_event_row(name, events[name]) for name in ("fitted", "default")],
        "",
        "Fitted: " + ", ".join(f"{key} {value:g}" for key, value in events["decision"].items()) + ".",
        "",
    ]
    return lines


def _why(run: Run) -> str:
    fixed = run.training["choosing"]["reset"] if run.training.get("choosing") else "auto"
    words = (
        "the simplest (gap, every, event) that is not behind the best by more than noise"
        if fixed == "auto"
        else "as it was asked for"
    )
    return (
        f"The reset policy is {words}. Noise is two standard errors, or half a point, in settled frames: those 12 or "
        "more after a border, on what was held out."
    )


def _reset_row(row: Mapping[str, Any]) -> str:
    name = f"**`{row['reset']}`**" if row["chosen"] else f"`{row['reset']}`"
    keys = ("frame_accuracy", "frame_accuracy_settled", "segment_accuracy", "behind", "noise")
    return f"| {name} | " + " | ".join(_figure(row[key], 4) for key in keys) + " |"


def _event_row(name: str, events: Mapping[str, Any]) -> str:
    cells = [_figure(events["recall"], 4), _figure(events["precision"], 4)]
    cells += [_figure(events[key], 1) for key in ("false_alarms_per_hour", "false_alarms_per_hour_at_most")]
    cells += [_figure(events["delay_frames"], 1), _figure(events["delay_s"], 2)]
    return f"| {name} | " + " | ".join(cells) + " |"


def _figure(value: float | None, decimals: int) -> str:
    return "–" if value is None else f"{value:.{decimals}f}"


def _use(run: Run) -> list[str]:
    return [
        "## Use",
        "",
        "```",
        f"framestep convert {run.folder.name} -o {run.name}.tflite --precision int8",
        f"framestep run {run.name}.tflite --source 0",
        "```",
        "",
    ]


def _made(run: Run) -> list[str]:
    return ["## Made with", "", *[f"- {key}: `{value}`" for key, value in run.made.items()]]


def _sources(run: Run) -> str:
    return ", ".join(Path(source).name for source in run.data.sources)
