"""The model card: a run's README, with the header that Hugging Face reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.atomic import replacing

if TYPE_CHECKING:
    from toolkit.training.run_folder import Run


def write_card(run: Run) -> None:
    """Write `README.md` into a run's folder."""
    with replacing(run.folder / "README.md") as temporary:
        temporary.write_text(card(run), encoding="utf-8")


def card(run: Run) -> str:
    """Give the card as Markdown."""
    return "\n".join([*_header(run), "", *_model(run), *_data(run), *_results(run), *_use(run), *_made(run)]) + "\n"


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
