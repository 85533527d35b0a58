"""Where settings come from: flags, environment, TOML file; and the sample file, all from their declaration.

What is said more loudly wins: a flag over ``STENTOR_…`` in the environment over the TOML file over the default.
A key or variable that does not exist is an error that names the nearest one that does.
"""

import difflib
import hashlib
import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from stentor.config import ENV_PREFIX, LOGS, OTHER_VARIABLES, PLACES, Settings
from stentor.errors import ConfigError

_NO_MATTER = (PLACES, LOGS)


@dataclass(frozen=True, slots=True)
class Declared:
    """One setting as declared: what the command line, the sample file and messages derive from."""

    name: str
    kind: type
    default: object
    help: str
    group: str
    flags: tuple[str, ...]
    secret: bool

    @property
    def variable(self) -> str:
        """Return the setting's environment variable."""
        return ENV_PREFIX + self.name.upper()


def declared() -> Iterator[Declared]:
    """Yield every setting in the order of the sample file."""
    for name, field in Settings.model_fields.items():
        extra = field.json_schema_extra
        assert isinstance(extra, dict)  # noqa: S101 - each field above is declared with _extra
        flags = extra["flags"]
        assert isinstance(flags, list)  # noqa: S101 - see above
        yield Declared(
            name=name,
            kind=_kind(field),
            default=field.default,
            help=field.description or "",
            group=str(extra["group"]),
            flags=("--" + name.replace("_", "-"), *map(str, flags)),
            secret=bool(extra["secret"]),
        )


def _kind(field: FieldInfo) -> type:
    if field.annotation is int:
        return int
    return Path if field.annotation in (Path, Path | None) else str


def fingerprint(settings: Settings) -> str:
    """Return what changes with every setting that may change how much an installation bears: no secrets, no logs."""
    values = settings.model_dump(mode="json")
    counted = {each.name: values[each.name] for each in declared() if not each.secret and each.group not in _NO_MATTER}
    return hashlib.sha256(json.dumps(counted, sort_keys=True).encode()).hexdigest()[:16]


def load(config: Path | None = None, flags: Mapping[str, object] | None = None) -> Settings:
    """Return the settings from flags, environment and file; raises ConfigError in sentences.

    Args:
        config: a TOML file; default: what STENTOR_CONFIG names, or none.
        flags: settings from the command line; those that are None were not given.
    """
    named = os.environ.get("STENTOR_CONFIG")
    path = config or (Path(named) if named else None)
    known = {setting.name: setting for setting in declared()}
    file = _read(path) if path else {}
    for key in file:
        if key not in known:
            raise ConfigError(f"{path} has an unknown key {key!r}{_nearest(key, known)}.")
    variables = {setting.variable for setting in known.values()} | OTHER_VARIABLES
    for key in os.environ:
        if key.startswith(ENV_PREFIX) and key not in variables:
            raise ConfigError(f"The environment has an unknown setting {key}{_nearest(key, variables)}.")
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    quiet = {name: value for name, value in file.items() if known[name].variable not in os.environ}
    try:
        return Settings(**{**quiet, **given})  # type: ignore[arg-type]  # checked by the model itself
    except ValidationError as error:
        raise ConfigError(" ".join(_sentences(error, known))) from None


def _read(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"The configuration file {path} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"The configuration file {path} is not TOML: {error}.") from None


def _nearest(key: str, known: Mapping[str, object] | set[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean {near[0]}" if near else "; `stentor sample-config` lists them all"


def _sentences(error: ValidationError, known: Mapping[str, Declared]) -> Iterator[str]:
    for fault in error.errors():
        text = fault["msg"].removeprefix("Value error, ")
        setting = known.get(str(fault["loc"][0])) if fault["loc"] else None
        if setting is None:
            yield f"{text[:1].upper()}{text[1:]}."
            continue
        shown = f", not {fault['input']!r}" if Settings.model_fields[setting.name].repr else ""
        yield f"{setting.flags[0]} ({setting.variable}, {setting.name} in the file): {text}{shown}."


def sample_config() -> str:
    """Return a commented TOML file with every setting, its help and its default."""
    lines = ["# Stentor's settings. A flag or STENTOR_… in the environment wins over this file.", ""]
    group = ""
    for setting in declared():
        if setting.group != group:
            group = setting.group
            lines += [f"# --- {group} ---", ""]
        shown = list(setting.default) if isinstance(setting.default, tuple) else setting.default
        value = json.dumps("" if shown is None else shown if isinstance(shown, int | list) else str(shown))
        lines += [f"# {setting.help}", f"# {setting.name} = {value}", ""]
    return "\n".join(lines)
