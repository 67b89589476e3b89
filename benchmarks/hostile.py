"""What damaged files do to an interpreter, and what framestep's own reader makes of the same files.

    python benchmarks/hostile.py [FILES]

Bytes of the golden artifacts' networks are overwritten at random. Each result goes to a forked child that loads and
invokes it as it is, and to the reader with its checks of operators and interface, the checksum left out.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from collections import Counter
from pathlib import Path

from runtime.artifact import Artifact, check_interface, check_network, read_artifact
from runtime.errors import FramestepError
from runtime.flatbuffer import read_network

GOLDEN = Path(__file__).resolve().parents[1] / "tests/golden"


def damaged(content: bytes, draw: random.Random) -> bytes:
    """Overwrite one to four bytes."""
    changed = bytearray(content)
    for _ in range(draw.randint(1, 4)):
        changed[draw.randrange(len(changed))] = draw.randrange(256)
    return bytes(changed)


def refused(content: bytes, artifact: Artifact) -> bool:
    """Tell whether the reader refuses it; anything but an error of framestep's own is a fault and ends the script."""
    try:
        network = read_network(content)
        check_network(network)
        check_interface(network, artifact.spec)
    except FramestepError:
        return True
    return False


def in_child(content: bytes) -> str:
    """Load and invoke in a child: `runs`, `refused` or the signal that ended it."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        signal.alarm(20)
        try:
            from ai_edge_litert.interpreter import Interpreter

            interpreter = Interpreter(model_content=content)
            interpreter.allocate_tensors()
            interpreter.invoke()
        except (ValueError, RuntimeError):
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return "refused" if os.WEXITSTATUS(status) else "runs"


def main() -> None:
    """Print the table."""
    files = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
    import ai_edge_litert.interpreter  # noqa: F401  # once, before the forks

    draw = random.Random(0)  # noqa: S311  # no secret
    artifacts = [read_artifact(path) for path in sorted(GOLDEN.glob("*.tflite"))]
    found: Counter[tuple[str, bool]] = Counter()
    for number in range(files):
        artifact = artifacts[number % len(artifacts)]
        content = damaged(artifact.content, draw)
        found[in_child(content), refused(content, artifact)] += 1
    print(f"{files} damaged files of {len(artifacts)} artifacts")
    for (outcome, by_reader), count in sorted(found.items()):
        print(f"interpreter: {outcome:<8} reader: {'refuses' if by_reader else 'passes':<8} {count}")


if __name__ == "__main__":
    main()
