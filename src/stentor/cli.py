"""The command line: one verb for each thing an operator does. Flags derive from the settings' declaration.

What is wrong is one sentence on stderr and exit code 2; nothing heavy is imported before a verb needs it.
"""

import asyncio
import json
import os
import resource
import sys
from collections.abc import Callable, Coroutine
from datetime import datetime
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from stentor.config import Settings
from stentor.declared import sample_config
from stentor.errors import ConfigError, StentorError
from stentor.flags import with_settings
from stentor.supervisor.spawn import has_parent, leave_if_orphaned
from stentor.telemetry import configure

_EPILOG = """
Examples:

  stentor demo                                      two voices talk; open the link it prints

  stentor serve --data-dir /var/lib/stentor         everything on this machine

  stentor serve --tls-cert cert.pem --tls-key key.pem --advertise 198.51.100.7 --public-url https://radio.example.org

  stentor sample-config > stentor.toml              every setting, explained; use it with --config

  stentor check-config --config stentor.toml        what would be wrong, before it is
"""

app = typer.Typer(
    name="stentor",
    help="A self-hosted live-audio stage for audiences of any size.",
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)

T = TypeVar("T")
Result = TypeVar("Result")


def main() -> None:
    """Run the command line; how every process of Stentor begins."""
    process = os.environ.get("STENTOR_PROCESS")
    # A tick's matrices are small: numpy's threads would double what they cost. Must stand before numpy is imported.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if has_parent():
        leave_if_orphaned()
    try:
        app()
    except (Exception, BaseExceptionGroup) as error:
        known = _known(error)
        if known is None:
            raise
        _say(f"stentor{f' {process}' if process else ''}: {known.detail}")
        sys.exit(2 if isinstance(known, ConfigError) else 1)


def _known(error: BaseException) -> StentorError | None:
    """Return the first error of ours in ``error``, if it is one or a group of them alone."""
    if isinstance(error, BaseExceptionGroup):
        found = [_known(each) for each in error.exceptions]
        return found[0] if all(found) else None
    return error if isinstance(error, StentorError) else None


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _run(work: Coroutine[object, object, Result]) -> Result | None:
    """Run until the work ends, and return what it gives, or is cancelled by a signal: None."""
    import uvloop

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each listener takes a descriptor; children inherit it
    try:
        return uvloop.run(work)
    except (asyncio.CancelledError, KeyboardInterrupt):
        return None


# --- Verbs that run


def _serve(settings: Settings, work: Callable[..., Coroutine[object, object, None]]) -> None:
    from stentor.supervisor.checks import Severity, check
    from stentor.supervisor.welcome import welcome

    problems = check(settings)
    for problem in problems:
        _say(f"{problem.severity}: {problem.text}")
    if any(problem.severity is Severity.ERROR for problem in problems):
        sys.exit(2)
    _run(work(settings, welcome))


@app.command(epilog="Stop it with Ctrl-C or SIGTERM; a second one does not wait. Start it again and rooms go on.")
@with_settings
def serve(settings: Settings) -> None:
    """Run everything on this machine: bus, control, origin, archive and edges."""
    from stentor.app import run_serve

    _serve(settings, run_serve)


@app.command()
@with_settings
def demo(settings: Settings) -> None:
    """Run everything, with a room in which two people talk, and print the links to it."""
    from stentor.app import run_demo

    if "log_level" not in settings.model_fields_set:
        # A newcomer looks for the links, not for requests; what goes wrong is still said.
        settings = settings.model_copy(update={"log_level": "warning"})
        configure(settings.log_level, settings.log_format)
    _serve(settings, run_demo)


@app.command(rich_help_panel="One role alone")
@with_settings
def control(settings: Settings) -> None:
    """Run control alone: the staff's port, the API, the catalogue."""
    from stentor.app import run_control
    from stentor.supervisor.welcome import operator_box
    from stentor.supervisor.whole import leave_first_link

    def announce(link: str) -> None:
        if "STENTOR_PROCESS" in os.environ:
            leave_first_link(settings, link)
        else:
            operator_box(link)

    _run(run_control(settings, announce))


@app.command(rich_help_panel="One role alone")
@with_settings
def origin(settings: Settings) -> None:
    """Run an origin host alone: it makes the programs of rooms, one process each."""
    from stentor.app import run_origin

    _run(run_origin(settings))


@app.command(rich_help_panel="One role alone")
@with_settings
def edge(settings: Settings) -> None:
    """Run one edge alone: it serves listeners. Several may share a port."""
    from stentor.app import run_edge

    _run(run_edge(settings))


@app.command(rich_help_panel="One role alone")
@with_settings
def archive(settings: Settings) -> None:
    """Run the archive alone: it turns the log into recordings."""
    from stentor.app import run_archive

    _run(run_archive(settings))


@app.command(hidden=True)
@with_settings
def origin_room(settings: Settings) -> None:
    """Run the process of one room; the origin host starts it."""
    from stentor.app import run_origin_room

    code = _run(run_origin_room(settings))
    sys.exit(code or 0)


# --- Verbs that speak to a running Stentor


@app.command(epilog="Example: stentor door evening --cap 5000 --per-second 500 --preview --data-dir /var/lib/stentor")
@with_settings
def door(
    settings: Settings,
    room: Annotated[str | None, typer.Argument(help="The room's address; left out: all rooms together.")] = None,
    cap: Annotated[str | None, typer.Option(help="How many may listen at once, or `none` for no limit.")] = None,
    per_second: Annotated[str | None, typer.Option(help="How many may come in each second, or `none`.")] = None,
    preview: Annotated[bool, typer.Option("--preview", help="Say what this would do, and change nothing.")] = False,  # noqa: FBT002 - a flag
    as_json: Annotated[bool, typer.Option("--json", help="Answer for programs.")] = False,  # noqa: FBT002 - a flag
) -> None:
    """Show or turn the door's dials; lowering the cap never throws anybody out."""
    from stentor.verbs.door import dials
    from stentor.verbs.door import door as ask

    asyncio.run(ask(settings, room, dials(cap, per_second), preview=preview, as_json=as_json))


@app.command(epilog="Example: stentor ladder --step 3 --data-dir /var/lib/stentor")
@with_settings
def ladder(
    settings: Settings,
    step: Annotated[int | None, typer.Option("--step", min=0, max=5, help="Set a step by hand; 0: none.")] = None,
    auto: Annotated[bool, typer.Option("--auto", help="Leave it to the load again.")] = False,  # noqa: FBT002 - a flag
    as_json: Annotated[bool, typer.Option("--json", help="Answer for programs.")] = False,  # noqa: FBT002 - a flag
) -> None:
    """Show what is given up under load, in which order and why, or set it; sound is last."""
    from stentor.verbs.ladder import ladder as ask

    asyncio.run(ask(settings, step, auto=auto, as_json=as_json))


# --- Verbs that answer


@app.command(epilog="Example: stentor rehearse evening --listeners 2000 --per-second 200 --data-dir /var/lib/stentor")
@with_settings
def rehearse(  # noqa: PLR0913 - one flag each
    settings: Settings,
    room: Annotated[str, typer.Argument(help="The room's address; it must be open. --listeners says how many come.")],
    per_second: Annotated[float, typer.Option("--per-second", min=0.1, help="How many come each second.")],
    at: Annotated[
        datetime | None, typer.Option("--at", help="When the first one comes, by this machine's clock.")
    ] = None,
    hold: Annotated[float, typer.Option("--hold", min=0, help="Seconds for which all stay.")] = 120.0,
    push_share: Annotated[
        float, typer.Option("--push-share", min=0, max=1, help="Share that takes the push, not LL-HLS.")
    ] = 0.9,
    url: Annotated[
        str, typer.Option("--url", help="Public address of the listeners' port; default: the installation's.")
    ] = "",
    workers: Annotated[
        list[str] | None, typer.Option("--workers", help="Bus that workers of other machines have joined.")
    ] = None,
    processes: Annotated[int, typer.Option("--processes", min=0, help="Workers on this machine; 0: one a core.")] = 0,
    networks: Annotated[list[str] | None, typer.Option("--from", help="Network that workers come from.")] = None,
    source: Annotated[
        list[str] | None, typer.Option("--source", help="Local address to come from; may be repeated.")
    ] = None,
    permit: Annotated[str, typer.Option("--permit", help="A permit that somebody else's operator gave you.")] = "",
    authority: Annotated[
        Path | None, typer.Option("--authority", help="PEM file of who signed the certificate.")
    ] = None,
    report: Annotated[Path, typer.Option("--report", help="Folder for the verdict.")] = Path(),
    no_assets: Annotated[bool, typer.Option("--no-assets", help="Load the page without its files.")] = False,  # noqa: FBT002 - a flag
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before it begins.")] = False,  # noqa: FBT002 - a flag
) -> None:
    """Have a crowd that is not there come through the public doors, and say what became of it."""
    from stentor.verbs.rehearse import Asked
    from stentor.verbs.rehearse import rehearse as run

    if not settings.listeners:
        raise ConfigError("Say how many listeners are to come: --listeners 2000.")
    asked = Asked(
        room=room,
        listeners=settings.listeners,
        per_second=per_second,
        at=at,
        hold_s=hold,
        push_share=push_share,
        url=url,
        permit=permit,
        processes=processes,
        workers=tuple(workers or ()),
        networks=tuple(networks or ()),
        sources=tuple(source or ()),
        authority=authority,
        report=report,
        browses=not no_assets,
    )
    sys.exit(_run(run(settings, asked, confirm=not yes)))


@app.command("rehearse-worker", epilog="Example: stentor rehearse-worker --nats-url nats://bus.example.org:4222")
@with_settings
def rehearse_worker(
    settings: Settings,
    name: Annotated[str, typer.Option("--name", help="What reports call this worker.")] = "",
    pipes: Annotated[bool, typer.Option("--pipes", hidden=True)] = False,  # noqa: FBT002 - a flag
) -> None:
    """Be a worker of a rehearsal: wait on the bus for one that calls, take part in it, and end."""
    from stentor.verbs.rehearse import worker

    _run(worker(settings, name, pipes=pipes))


@app.command("operator-link")
@with_settings
def operator_link(settings: Settings) -> None:
    """Make a link for an operator, who may create rooms, and print it."""
    from stentor.app import operator_link as make_link

    typer.echo(asyncio.run(make_link(settings)))


@app.command("check-config")
@with_settings
def check_config(settings: Settings) -> None:
    """Say what is wrong with the settings on this machine; exit code 2 if `serve` could not start."""
    from stentor.supervisor.capacity import capacity
    from stentor.supervisor.checks import Severity, check

    problems = check(settings)
    for problem in problems:
        typer.echo(f"{problem.severity}: {problem.text}")
    if any(problem.severity is Severity.ERROR for problem in problems):
        sys.exit(2)
    typer.echo(f"The settings are good. Listeners: {settings.public_url}  Hosts and speakers: {settings.staff_url}")
    typer.echo(f"Room for {capacity(settings)}")


@app.command("sample-config")
def sample() -> None:
    """Print a TOML file with every setting, its meaning and its default."""
    typer.echo(sample_config())


@app.command()
def version() -> None:
    """Print the versions of Stentor and of what it is made of."""
    from stentor.supervisor.versions import versions

    for name, number in versions().items():
        typer.echo(f"{name:<12} {number}")


@app.command(epilog="Stentor may be running or not. Example: stentor backup --data-dir /var/lib/stentor night.tar.gz")
@with_settings
def backup(
    settings: Settings, file: Annotated[Path, typer.Argument(help="The archive to write, for example night.tar.gz.")]
) -> None:
    """Write the data folder into one file: catalogue, log, recordings, keys."""
    from stentor.supervisor.backup import backup as write

    typer.echo(write(settings, file))


@app.command(epilog="Stop Stentor first. Example: stentor restore --data-dir /var/lib/stentor night.tar.gz")
@with_settings
def restore(
    settings: Settings,
    file: Annotated[Path, typer.Argument(help="What `stentor backup` wrote.")],
    force: Annotated[bool, typer.Option("--force", help="Replace what the data folder holds.")] = False,  # noqa: FBT002 - a flag
) -> None:
    """Put a backup back into the data folder."""
    from stentor.supervisor.backup import restore as read

    typer.echo(read(settings, file, force=force))


@app.command(epilog="Example: stentor verify recording.m4a proof.json --fingerprint 3f0c… (from the room's page)")
def verify(
    recording: Annotated[Path, typer.Argument(help="A recording as downloaded: .m4a, .opus or .mp3.")],
    proof: Annotated[Path, typer.Argument(help="The room's proof.json.")],
    fingerprint: Annotated[
        str | None, typer.Option(help="Fingerprint of the key that must have signed, from the room's page.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Answer for programs.")] = False,  # noqa: FBT002 - a flag
) -> None:
    """Say whether a recording is what was broadcast, and where it is not; exit code 1 if not, 2 if unreadable."""
    from stentor.archive.verify import verify as compare

    verdict = compare(recording, proof, fingerprint=fingerprint)
    typer.echo(json.dumps(verdict.to_json(), indent=2) if as_json else "\n".join(verdict.sentences()))
    sys.exit(verdict.exit_code)
