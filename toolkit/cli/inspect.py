"""`framestep inspect`: what an artifact is."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import click

from toolkit.cli.fidelity_words import state_words
from toolkit.cli.output import bytes_words, json_option, print_json


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--interpreter",
    type=click.Choice(["litert", "tflite", "tensorflow"]),
    help="Whose delegate is asked what it takes; the first that is installed where not given.",
)
@json_option
def command(*, file: Path, interpreter: Any, as_json: bool) -> None:
    """Show what the artifact FILE is: its spec, operations, tensors and sizes, and what the delegate takes."""
    from toolkit.reports.anatomy import anatomy

    found = anatomy(file, interpreter=interpreter)
    if as_json:
        print_json(found)
        return
    for name, words in _lines(found):
        click.echo(f"{name:<12} {_printable(words)}")


def _printable(words: str) -> str:
    # A file's own texts are data: no control sequence of theirs reaches the terminal.
    return "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in words)


def _lines(found: dict[str, Any]) -> list[tuple[str, str]]:
    """The table for people: a word and what there is to say of it."""
    picture = found["input"]
    sizes = [found["bytes"], found["gzip_bytes"], found["weight_bytes"]]
    lines = [
        ("name", found["name"]),
        (
            "input",
            (
                f"{picture['width']}x{picture['height']} {picture['colour']} {picture['kind']}, {picture['dtype']}, "
                f"{found['fps']:g} frames a second"
            ),
        ),
        ("labels", ", ".join(found["labels"])),
        *[("state", f"{state['name']} {_shape(state)} {state['dtype']}") for state in found["states"]],
        ("reset", found["reset"]["policy"]),
        ("precision", found["precision"]),
        ("size", "{}, {} after gzip, {} of it weights".format(*map(bytes_words, sizes))),
        ("ops", ", ".join(f"{op['count']} {op['name']} v{op['version']}" for op in found["ops"])),
        ("delegate", _delegate(found["delegated"])),
    ]
    if found["parity"]:
        parity = found["parity"]
        lines.append(("parity", f"largest difference {parity['max_error']:.1e} over {parity['frames']} frames"))
    if found["calibration"]:
        lines += [("calibration", words) for words in _calibration(found["calibration"])]
    if found["fidelity"]:
        lines.append(("fidelity", _fidelity(found["fidelity"])))
        lines += [("drift", words) for words in state_words(found["fidelity"], found["calibration"])]
    return [*lines, *[("made", f"{key} {value}") for key, value in found["made"].items()], ("sha256", found["sha256"])]


def _shape(tensor: dict[str, Any]) -> str:
    return "x".join(map(str, tensor["shape"]))


def _delegate(delegated: dict[str, Any] | None) -> str:
    if delegated is None:
        return "this interpreter does not tell"
    outside = ", ".join(f"{count} {name}" for name, count in sorted(Counter(delegated["outside"]).items()))
    parts = "1 partition" if delegated["partitions"] == 1 else f"{delegated['partitions']} partitions"
    return f"{parts}, outside: {outside or 'nothing'} ({delegated['interpreter']})"


def _calibration(calibration: dict[str, Any]) -> list[str]:
    """What was rolled out, and of each rounded state its range and how that came about."""
    told = (
        f"{calibration['frames']} frames of {calibration['source']}, {calibration['cuts']} cuts and "
        f"{calibration['resets']} resets among them; {calibration['percentile']:g} % of the extremes"
    )
    if calibration["ranges"]:  # files of before did not tell more
        told += f", {len(calibration['bounded'])} of {len(calibration['ranges'])} ranges imposed by the model"
    lines = [told]
    for name, (low, high) in calibration["state_ranges"].items():
        how = ", had not settled" if calibration["ranges"] else ""
        if name in calibration["bounded"]:
            how = ", imposed by the model"
        elif name in calibration["settled"]:
            how = f", settled after {calibration['settled'][name]} frames"
        lines.append(f"{name} {low:.4g} to {high:.4g}{how}")
    return lines


def _fidelity(fidelity: dict[str, Any]) -> str:
    confident = fidelity["confident_disagreements"]
    return (
        f"agreement {fidelity['agreement']:.4f} over {fidelity['frames']} frames of {fidelity['source']}, "
        f"{fidelity['agreement_first']:.4f} in the first tenth, {fidelity['agreement_last']:.4f} in the last"
        + ("" if confident is None else f"; confident disagreements {confident}")
    )
