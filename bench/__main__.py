"""All benches, one after the other, into ``results/NAME.json``; exit code 1 when a goal is missed."""

import subprocess
import sys
from pathlib import Path

from bench.report import arguments

NAMES = (
    *("latency", "fidelity", "stage", "loss", "takeover", "start"),
    *("fanout", "hold", "memory", "cores", "join", "hls", "neighbours", "tls", "fronts"),
    *("isolation", "rooms", "caches", "mobile"),
    *("flood", "slow"),
    *("storm", "tickets", "fair"),
    *("delay", "drift", "loudness", "return", "guard", "hostile"),
    *("ladder", "herd"),
)
RESULTS = Path(__file__).parent.parent / "results"


def main() -> int:
    """Run each bench in a process of its own; return how many failed or missed a goal."""
    options = arguments("All benches, into results/.").parse_args()
    folder = options.json or RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    failed = 0
    for name in NAMES:
        command = [sys.executable, "-m", f"bench.{name}", "--json", str(folder / f"{name}.json")]
        failed += subprocess.run([*command, *(["--quick"] if options.quick else [])], check=False).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
