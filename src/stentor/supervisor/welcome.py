"""What ``stentor serve`` says once it is ready: where everything is, in a box that cannot be missed."""

from collections.abc import Mapping

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from stentor.config import Settings
from stentor.supervisor.capacity import capacity


def welcome(settings: Settings, operator_link: str | None) -> None:
    """Print the addresses and, at the first start, the operator's link."""
    addresses = Table.grid(padding=(0, 2))
    addresses.add_row("Listeners", Text(settings.public_url, style="bold"))
    addresses.add_row("Hosts and speakers", Text(settings.staff_url, style="bold"))
    addresses.add_row("Health and metrics", f"http://{settings.private_host}:{settings.private_port}/readyz")
    addresses.add_row("Data folder", str(settings.data_dir))
    addresses.add_row("Room for", capacity(settings))
    _print(addresses, title="Stentor is ready")
    if operator_link is not None:
        operator_box(operator_link)


def operator_box(link: str) -> None:
    """Print the operator's link: shown once, it is as good as a password."""
    links_box("Operator", {"Open this to create rooms. Whoever has it is an operator; keep it.": link})


def links_box(title: str, links: Mapping[str, str]) -> None:
    """Print links, each under what it is for; a link stays in one piece however narrow the terminal."""
    console = Console()
    console.rule(title, align="left")
    for what, link in links.items():
        console.print(Text(what, style="bold"))
        console.print(Text(f"  {link}", no_wrap=True), soft_wrap=True)
    console.rule()


def _print(content: Table | Text, *, title: str) -> None:
    console = Console()
    console.print(Panel(Group(content), title=title, title_align="left", expand=False, padding=(1, 2)))
