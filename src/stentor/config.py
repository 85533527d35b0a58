"""Every setting, declared once: flags, environment, TOML keys, their help and the sample file derive from it."""

import ipaddress
import os
import re
import socket
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, field_validator, model_validator
from pydantic.config import JsonDict
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

ENV_PREFIX = "STENTOR_"
# Variables of the same prefix that are not settings: the file to read, and what a parent tells its children.
OTHER_VARIABLES = frozenset(
    {"STENTOR_CONFIG", "STENTOR_PROCESS", "STENTOR_PARENT", "STENTOR_PRIVATE_SOCKET", "STENTOR_LISTEN_FD"}
)

PLACES = "Where things are"
ADDRESSES = "Addresses"
SHIELD = "The shield"
MEDIA = "Speakers' media"
PROCESSES = "Processes"
BACKENDS = "Bus and stores"
LOGS = "Logs"

# RFC 7065, section 3.1.
_TURN_URL = re.compile(r"turns?:([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?(\?transport=(udp|tcp))?")

_LIMITED = ("connections", "handshakes", "requests", "tickets", "pages", "insists", "media", "open", "heads")
_LIMIT = re.compile(rf"({'|'.join(_LIMITED)})=[1-9][0-9]{{0,5}}")


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(word.strip() for word in value.split(",") if word.strip())
    return value


def _absent(value: object) -> object:
    return None if value == "" else value


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Port = Annotated[int, Field(ge=0, le=65535)]
File = Annotated[Path | None, BeforeValidator(_absent)]


def _extra(group: str, *flags: str, secret: bool = False) -> JsonDict:
    return {"group": group, "flags": list(flags), "secret": secret}


class Settings(BaseSettings):
    """What an operator may choose. Frozen; addresses left empty are filled in from the others."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, extra="forbid", frozen=True, validate_default=True)

    data_dir: Path = Field(
        Path("data"),
        description="Folder for everything that must survive: catalogue, log, recordings, keys.",
        json_schema_extra=_extra(PLACES),
    )
    tls_cert: File = Field(
        None,
        description="PEM file with the certificate and its chain, for both public ports; read again when it changes.",
        json_schema_extra=_extra(PLACES),
    )
    tls_key: File = Field(
        None, description="PEM file with the certificate's private key.", json_schema_extra=_extra(PLACES)
    )
    audience_host: str = Field(
        "0.0.0.0",  # noqa: S104 - the audience is meant to come from everywhere
        description="Address on which the audience port listens; :: for IPv6 and IPv4.",
        json_schema_extra=_extra(ADDRESSES),
    )
    audience_port: Port = Field(8000, description="Port for listeners (TCP).", json_schema_extra=_extra(ADDRESSES))
    staff_host: str = Field(
        "0.0.0.0",  # noqa: S104 - hosts and speakers come from everywhere, with a link
        description="Address on which the staff port listens.",
        json_schema_extra=_extra(ADDRESSES),
    )
    staff_port: Port = Field(
        8001,
        description="Port for hosts and speakers: API, WHIP, their pages (TCP).",
        json_schema_extra=_extra(ADDRESSES),
    )
    private_host: str = Field(
        "127.0.0.1",
        description="Address on which health and metrics are served; keep it private.",
        json_schema_extra=_extra(ADDRESSES),
    )
    private_port: Port = Field(
        8002, description="Port for /healthz, /readyz and /metrics (TCP).", json_schema_extra=_extra(ADDRESSES)
    )
    public_url: str = Field(
        "",
        description="Address that listeners open, for links and pages: https://radio.example.org",
        json_schema_extra=_extra(ADDRESSES),
    )
    staff_url: str = Field(
        "",
        description="Address of the staff port as hosts and speakers open it; a microphone needs https.",
        json_schema_extra=_extra(ADDRESSES),
    )
    trusted_proxies: Words = Field(
        (),
        description="Addresses or networks of fronts whose X-Forwarded-For edges believe, separated by commas.",
        json_schema_extra=_extra(ADDRESSES),
    )
    allow: Words = Field(
        (),
        description="Addresses or networks that edges never limit, separated by commas; more by the API.",
        json_schema_extra=_extra(SHIELD),
    )
    deny: Words = Field(
        (),
        description="Addresses or networks that edges do not answer, separated by commas; more by the API.",
        json_schema_extra=_extra(SHIELD),
    )
    limits: Words = Field(
        (),
        description="What one address may ask of an edge a second, where it differs: requests=100,tickets=5,pages=20.",
        json_schema_extra=_extra(SHIELD),
    )
    media_url: str = Field(
        "",
        description="Address of a CDN that fetches playlists and media from the audience port: https://cdn.example.org",
        json_schema_extra=_extra(ADDRESSES),
    )
    udp_ports: str = Field(
        "50000-50049",
        description="UDP ports for speakers' media; each room that is open takes one.",
        json_schema_extra=_extra(MEDIA),
    )
    udp_bind: Words = Field(
        (),
        description="Local addresses for speakers' media, separated by commas; default: all of this machine's.",
        json_schema_extra=_extra(MEDIA),
    )
    advertise: Words = Field(
        (),
        description="Addresses under which speakers reach this machine when it is behind NAT, separated by commas.",
        json_schema_extra=_extra(MEDIA),
    )
    turn_urls: Words = Field(
        (),
        description="Relays for speakers without UDP, separated by commas: turn:relay.example.org?transport=tcp.",
        json_schema_extra=_extra(MEDIA, "--turn-url"),
    )
    turn_secret: str = Field(
        "",
        repr=False,
        description="Secret shared with these relays, coturn's static-auth-secret (environment or file only).",
        json_schema_extra=_extra(MEDIA, secret=True),
    )
    edges: int = Field(
        0,
        ge=0,
        le=256,
        description="Edge processes on this machine; 0: one a core, at least two, more where --listeners asks for it.",
        json_schema_extra=_extra(PROCESSES),
    )
    listeners: int = Field(
        0,
        ge=0,
        description="Listeners that this machine is to hold; 0: as many as its cores and descriptors give.",
        json_schema_extra=_extra(PROCESSES),
    )
    max_block_steps: int = Field(
        16,
        ge=1,
        le=16,
        description="Largest blocks, in steps of 0.24 s, that an edge goes to by itself when it is busy; 1: none.",
        json_schema_extra=_extra(PROCESSES),
    )
    edge_mbit: int = Field(
        0,
        ge=0,
        description="What all edges of this machine may send, in Mbit/s, so that speakers keep room; 0: no bound.",
        json_schema_extra=_extra(PROCESSES),
    )
    node: str = Field(
        "",
        description="Name of this machine among others; default: its host name.",
        json_schema_extra=_extra(PROCESSES),
    )
    nats_url: str = Field(
        "",
        description="NATS servers, separated by commas; default: a private one that `serve` starts.",
        json_schema_extra=_extra(BACKENDS, "--nats"),
    )
    nats_user: str = Field("", description="User on these NATS servers.", json_schema_extra=_extra(BACKENDS))
    nats_password: str = Field(
        "",
        repr=False,
        description="Password, or token where no user is set, on these NATS servers (environment or file only).",
        json_schema_extra=_extra(BACKENDS, secret=True),
    )
    nats_server: File = Field(
        None,
        description="The nats-server program that `serve` starts; default: the one installed with Stentor.",
        json_schema_extra=_extra(BACKENDS),
    )
    ticket_secret: str = Field(
        "",
        repr=False,
        description="Secret that all edges share, for listeners' tickets; default: one made by `serve`.",
        json_schema_extra=_extra(BACKENDS, secret=True),
    )
    upstream: str = Field(
        "",
        description="For `edge` without NATS: the audience port of another edge to feed from, https://radio.example.org",
        json_schema_extra=_extra(BACKENDS),
    )
    cache_key: str = Field(
        "",
        repr=False,
        description="What a cache before the edges says in Stentor-Cache to get playlists of rooms with a door.",
        json_schema_extra=_extra(BACKENDS, secret=True),
    )
    relay_key: str = Field(
        "",
        repr=False,
        description="Key that edges prove to feed from others (environment or file only); default: made by `serve`.",
        json_schema_extra=_extra(BACKENDS, secret=True),
    )
    public_relays: int = Field(
        0,
        ge=0,
        le=64,
        description="How many edges without the relay key may feed from each edge process here, at a time.",
        json_schema_extra=_extra(BACKENDS),
    )
    database_url: str = Field(
        "",
        repr=False,
        description="Catalogue: postgresql+asyncpg://user:password@host/name; default: SQLite in the data folder.",
        json_schema_extra=_extra(BACKENDS, "--database"),
    )
    objects_url: str = Field(
        "",
        repr=False,
        description="Recordings: s3://bucket/prefix?endpoint=https://host or file:///folder; default: data folder.",
        json_schema_extra=_extra(BACKENDS, "--objects"),
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info",
        description="The least that is logged: debug, info, warning or error.",
        json_schema_extra=_extra(LOGS),
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto",
        description="console (for people), json (one object a line), or auto: console on a terminal, else json.",
        json_schema_extra=_extra(LOGS),
    )

    @field_validator("data_dir", "tls_cert", "tls_key", "nats_server")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return None if path is None else Path(os.path.abspath(path.expanduser()))  # noqa: PTH100 - keeps links

    @field_validator("public_url", "staff_url", "upstream", "media_url")
    @classmethod
    def _web_address(cls, url: str) -> str:
        if url:
            parts = urlsplit(url)
            if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
                raise ValueError("must be an address such as https://radio.example.org")
        return url.rstrip("/")

    @field_validator("trusted_proxies", "allow", "deny")
    @classmethod
    def _networks(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        for word in words:
            try:
                ipaddress.ip_network(word, strict=False)
            except ValueError:
                raise ValueError("must be addresses or networks such as 127.0.0.1,10.0.0.0/8") from None
        return words

    @field_validator("limits")
    @classmethod
    def _limits(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_LIMIT.fullmatch(word) for word in words):
            raise ValueError(f"must be words such as requests=100, of {', '.join(_LIMITED)}")
        return words

    @field_validator("udp_ports")
    @classmethod
    def _range(cls, text: str) -> str:
        first, _, last = text.partition("-")
        if not (first.isascii() and first.isdigit() and (last or first).isascii() and (last or first).isdigit()):
            raise ValueError("must be one port or a range such as 50000-50049")
        if not 1 <= int(first) <= int(last or first) <= 65535:
            raise ValueError("must be a range between 1 and 65535, the smaller port first")
        return text

    @field_validator("turn_urls")
    @classmethod
    def _relays(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_TURN_URL.fullmatch(word) for word in words):
            raise ValueError("must be addresses such as turn:relay.example.org:3478?transport=tcp")
        return words

    @field_validator("relay_key", "turn_secret")
    @classmethod
    def _long_enough(cls, key: str) -> str:
        if key and len(key) < 16:
            raise ValueError("must have at least 16 characters")
        return key

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("TLS needs both tls_cert and tls_key")
        if bool(self.turn_urls) != bool(self.turn_secret):
            raise ValueError("relays need both turn_urls and turn_secret")
        if self.upstream and self.nats_url:
            raise ValueError("an edge feeds either from another edge (upstream) or from NATS (nats_url)")
        own = self.advertise[0] if self.advertise else "localhost"
        fill = {
            "public_url": _url(self.tls, own, self.audience_host, self.audience_port),
            "staff_url": _url(self.tls, own, self.staff_host, self.staff_port),
            "node": socket.gethostname(),
            "database_url": f"sqlite+aiosqlite:///{self.data_dir / 'stentor.db'}",
            "objects_url": (self.data_dir / "objects").as_uri(),
        }
        for name, value in fill.items():
            if not getattr(self, name):
                object.__setattr__(self, name, value)
        return self

    @property
    def tls(self) -> bool:
        """Tell whether the public ports speak TLS themselves."""
        return self.tls_cert is not None

    @property
    def udp_range(self) -> range:
        """Return the UDP ports for rooms."""
        first, _, last = self.udp_ports.partition("-")
        return range(int(first), int(last or first) + 1)

    @property
    def embedded_bus(self) -> bool:
        """Tell whether ``serve`` starts its own nats-server."""
        return not self.nats_url

    @property
    def run_dir(self) -> Path:
        """Return the folder for sockets and files that matter only while Stentor runs."""
        return self.data_dir / "run"

    @property
    def spool_dir(self) -> Path:
        """Return the folder in which origins keep chunks that are not in the log yet."""
        return self.data_dir / "spool"

    @property
    def keys_dir(self) -> Path:
        """Return the folder of signing keys."""
        return self.data_dir / "keys"

    def with_ports(self, **ports: int) -> "Settings":
        """Return the settings with these ports in place of 0; addresses that followed from them follow again."""
        kept = {name: value for name, value in self.model_dump().items() if not str(value).endswith(":0")}
        return Settings(**{**kept, **ports})

    def environment(self, **changes: object) -> dict[str, str]:
        """Return every setting as environment for a child, so that nothing secret stands in its arguments."""
        values = {**self.model_dump(mode="json"), **changes}
        return {ENV_PREFIX + name.upper(): _plain(value) for name, value in values.items() if value is not None}


def _plain(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _url(tls: bool, own: str, host: str, port: int) -> str:  # noqa: FBT001 - the scheme's first letter, so to say
    name = own if host in {"0.0.0.0", "::", ""} else host  # noqa: S104 - recognised, not bound
    name = f"[{name}]" if ":" in name else name
    scheme, usual = ("https", 443) if tls else ("http", 80)
    return f"{scheme}://{name}" + ("" if port == usual else f":{port}")
