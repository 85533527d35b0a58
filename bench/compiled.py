"""The C programs of bench/c, built when they are needed into a cache folder; nothing built is ever committed."""

import hashlib
import os
import subprocess
from pathlib import Path

_SOURCES = Path(__file__).parent / "c"
PROGRAMS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "crowd": (("crowd.c", "reading.c", "figures.c"), ("-lssl", "-lcrypto")),
    "bare": (("bare.c",), ()),
    "flood": (("flood.c",), ()),
}
"""Name → (sources, libraries)."""


def compiled(name: str) -> Path:
    """Return the path of a program, building it unless these very sources have been built before.

    Raises SystemExit with the compiler's words when it cannot be built (gcc and libssl-dev: scripts/setup-bench).
    """
    sources, libraries = PROGRAMS[name]
    paths = [_SOURCES / source for source in sources]
    digest = hashlib.sha256(b"\0".join(each.read_bytes() for each in sorted(_SOURCES.glob("*.[ch]")))).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stentor-bench"
    program = cache / f"{name}-{digest}"
    if not program.exists():
        cache.mkdir(parents=True, exist_ok=True)
        fresh = program.with_suffix(f".{os.getpid()}")
        command = ["gcc", "-O2", "-Wall", "-Wextra", "-o", str(fresh), *map(str, paths), *libraries]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
        except FileNotFoundError:
            raise SystemExit("Benches need gcc and libssl-dev: see scripts/setup-bench.") from None
        except subprocess.CalledProcessError as error:
            raise SystemExit(f"{name} does not build: {error.stderr}") from None
        fresh.rename(program)
    return program
