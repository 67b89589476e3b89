"""What `framestep --help` and importing `runtime` cost, beside `python -c "import click"`.

    python benchmarks/startup.py

Each is started in turns; the best of many starts counts, since everything else only adds.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

ROUNDS = 25
HELP = 'import sys; sys.argv = ["framestep", "--help"]; from toolkit.cli import main; main()'
STARTS = {
    "python": "pass",
    "import click": "import click",
    "import runtime": "import runtime",
    "framestep --help": HELP,
    "import numpy": "import numpy",
}


def main() -> None:
    """Print the table."""
    best_ms = dict.fromkeys(STARTS, float("inf"))
    environment = os.environ | {"COLUMNS": "100"}
    for _ in range(ROUNDS):
        for name, code in STARTS.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, env=environment)
            best_ms[name] = min(best_ms[name], 1e3 * (time.perf_counter() - start))
    for name, value in best_ms.items():
        print(f"{name:<18} {value:7.1f} ms   {value / best_ms['import click']:5.2f} of import click")


if __name__ == "__main__":
    main()
