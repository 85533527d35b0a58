"""Flags of the command line: one for every setting, from the settings' declaration."""

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from stentor.declared import Declared, declared, load
from stentor.telemetry import configure

Verb = Callable[..., None]


def _option(setting: Declared) -> inspect.Parameter:
    default = "" if setting.default in (None, "", ()) else f" [default: {setting.default}]"
    option = typer.Option(
        *setting.flags,
        help=setting.help + default,
        rich_help_panel=setting.group,
        show_default=False,
        hidden=setting.secret,
    )
    kind = setting.kind
    return inspect.Parameter(
        setting.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
    )


_CONFIG = inspect.Parameter(
    "config",
    inspect.Parameter.KEYWORD_ONLY,
    default=None,
    annotation=Annotated[
        Path | None, typer.Option("--config", help="TOML file with settings; see sample-config.", show_default=False)
    ],
)


def with_settings(verb: Verb) -> Verb:
    """Give a verb ``--config`` and a flag for every setting; it is called with ``settings`` and what is its own."""
    settings_flags = [_option(setting) for setting in declared() if not setting.secret]
    own = [each for each in inspect.signature(verb).parameters.values() if each.name != "settings"]
    names = {each.name for each in settings_flags}

    def command(**given: Any) -> None:
        chosen = {name: value for name, value in given.items() if name in names}
        rest = {name: value for name, value in given.items() if name not in names and name != "config"}
        settings = load(given["config"], chosen)
        configure(settings.log_level, settings.log_format, process=os.environ.get("STENTOR_PROCESS"))
        verb(settings=settings, **rest)

    parameters = [*(each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own), _CONFIG, *settings_flags]
    command.__name__, command.__doc__ = verb.__name__, verb.__doc__
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what inspect looks for
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    return command
