"""Write to a disk of 64 KiB that is read-only, then full, then not: run by test_full_disk, in a name space."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
from pathlib import Path
from typing import Any

from runtime.sinks import open_queued
from runtime.sinks.queued import Limits

RECORDS = 500  # of about 90 bytes


def mount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)


def main(folder: Path) -> dict[str, Any]:
    told: queue.SimpleQueue[str] = queue.SimpleQueue()
    heard: list[str] = []

    def until(part: str) -> None:
        while not heard or part not in heard[-1]:
            heard.append(told.get(timeout=60))

    mount(folder, "size=64k")
    path, filler = folder / "out.jsonl", folder / "filler"
    filler.write_bytes(bytes(40_000))
    mount(folder, "remount,ro")
    with open_queued(f"jsonl:{path}", limits=Limits(first_s=0.02, longest_s=0.05), tell=told.put) as sink:
        until("Read-only file system")
        mount(folder, "remount,rw,size=64k")
        until("is on.")
        for index in range(RECORDS):
            sink.write({"event": "x" * 50, "start": index, "end": index})
        until("No space left on device")
        whole = path.read_bytes().endswith(b"\n")
        filler.unlink()
        until("is on.")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return {"starts": [line["start"] for line in lines], "whole": whole, "heard": heard}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))  # noqa: T201  # its answer
