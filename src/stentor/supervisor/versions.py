"""The versions of what Stentor is made of, for bug reports and for whoever watches security notices."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version

from stentor.errors import ConfigError
from stentor.supervisor.nats_server import find_nats_server


def versions() -> dict[str, str]:
    """Return names and versions, our own first."""
    return {
        "stentor": _package("stentor"),
        "python": platform.python_version(),
        "nats-server": _nats_server(),
        "aiortc": _package("aiortc"),
        "PyAV": _package("av"),
        **_ffmpeg(),
        "libopus": _libopus(),
    }


def _package(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _nats_server() -> str:
    try:
        said = subprocess.run(  # noqa: S603 - a program that the operator or we installed
            [str(find_nats_server()), "--version"], capture_output=True, text=True, timeout=10, check=True
        ).stdout
    except (ConfigError, OSError, subprocess.SubprocessError):
        return "not installed"
    return said.strip().rpartition(" ")[2].removeprefix("v")


def _ffmpeg() -> dict[str, str]:
    import av

    return {name: ".".join(map(str, number)) for name, number in sorted(av.library_versions.items())}


def _libopus() -> str:
    import ctypes

    from opuslib_next.api import libopus

    asked = ctypes.CFUNCTYPE(ctypes.c_char_p)(("opus_get_version_string", libopus))
    said = asked().decode().removeprefix("libopus ")
    return f"{said} (opuslib-next-bundled {_package('opuslib-next-bundled')})"
