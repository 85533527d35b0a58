"""Janus 1.1.2 with its AudioBridge, as Debian builds it: the mixer that Stentor's stage is compared with.

It runs with that plugin and its HTTP interface alone, logs off. Janus never offers a loopback address: media goes over
the machine's own first address, which stays in the kernel.
"""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aioice.ice import get_host_addresses

from bench.peers import Peer, running
from stentor.demo.staff_api import http_exchange
from tests.fakes.installation import free_udp_range

_LIBRARIES = Path("/usr/lib/x86_64-linux-gnu/janus")
_MEDIA_PORTS = 400
EXPECTED_LOSS = 20
"""Asked of each participant, or the answer says useinbandfec=0: percent, the most it takes."""
MIX_BPS = 128_000
"""What a listener's mix is encoded with, so that the second codec costs Janus next to nothing in PESQ."""
_BEST_QUALITY = 10

_MAIN = """general: {{
  configs_folder = "{folder}"; plugins_folder = "{folder}/plugins"; transports_folder = "{folder}/transports";
  events_folder = "{folder}/none"; loggers_folder = "{folder}/none";
  debug_level = 2; log_to_stdout = true; session_timeout = 0; {loops}
}}
media: {{ rtp_port_range = "{first}-{last}"; ipv6 = false }}
nat: {{ ice_enforce_list = "{host}"; ice_lite = true }}
"""
_HTTP = """general: {{
  json = "compact"; base_path = "/janus"; http = true; port = {port}; ip = "127.0.0.1"; https = false
}}
admin: {{ admin_http = false; admin_https = false }}
"""


def media_host() -> str:
    """Return the address of this machine over which Janus takes media."""
    addresses = get_host_addresses(use_ipv4=True, use_ipv6=False)
    if not addresses:
        raise SystemExit("Janus offers no loopback address, and this machine has no other (ip address add … dev lo).")
    return addresses[0]


@dataclass
class Handle:
    """One participant's way to the AudioBridge."""

    janus: "Janus"
    number: int

    async def ask(self, body: dict[str, object], offer: str = "") -> dict[str, object]:
        """Ask the AudioBridge and return its answer's plugin data, or its whole event where that has an SDP."""
        message: dict[str, object] = {"janus": "message", "body": body}
        if offer:
            message["jsep"] = {"type": "offer", "sdp": offer}
        return await self.janus.exchange(f"/{self.janus.session}/{self.number}", message)

    async def join(self, room: int, offer: str, *, prebuffering: int | None = None, best: bool = False) -> str:
        """Join a room and return the SDP answer; ``best``: the mix at the best quality that there is."""
        body: dict[str, object] = {"request": "join", "room": room, "expected_loss": EXPECTED_LOSS}
        if prebuffering is not None:
            body["prebuffer"] = prebuffering
        if best:
            body |= {"bitrate": MIX_BPS, "quality": _BEST_QUALITY, "expected_loss": 0}
        event = await self.ask(body, offer)
        jsep = event["jsep"]
        assert isinstance(jsep, dict)
        return str(jsep["sdp"])

    async def detach(self) -> None:
        """Leave the room and give the handle up."""
        await self.janus.post(f"/{self.janus.session}/{self.number}", {"janus": "detach"})


class Janus:
    """One session of the API of the Janus at a port. Make it with ``api_of``; one request at a time."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/janus"
        self._turn = asyncio.Lock()
        self.session = 0

    async def post(self, path: str, message: dict[str, object]) -> tuple[str, dict[str, object]]:
        """POST to the API; return the transaction and the answer."""
        transaction = secrets.token_hex(8)
        body = json.dumps({**message, "transaction": transaction}).encode()
        return transaction, _checked(await self._fetched("POST", path, body))

    async def exchange(self, path: str, message: dict[str, object]) -> dict[str, object]:
        """POST, and wait for the event that answers where it is not answered at once."""
        async with self._turn:
            transaction, answer = await self.post(path, message)
            while answer["janus"] == "ack" or answer.get("transaction") != transaction:
                answer = _checked(await self._fetched("GET", f"/{self.session}"))
            return answer

    async def _fetched(self, method: str, path: str, body: bytes | None = None) -> dict[str, object]:
        answer = await asyncio.to_thread(http_exchange, method, self._url + path, {}, body)
        found = json.loads(answer.body)
        assert isinstance(found, dict)
        return found

    async def attach(self) -> Handle:
        """Return a new handle of the AudioBridge."""
        _, made = await self.post(f"/{self.session}", {"janus": "attach", "plugin": "janus.plugin.audiobridge"})
        return Handle(self, _id(made))

    async def create(self, count: int) -> list[int]:
        """Make rooms of 48 kHz and return their numbers."""
        handle = await self.attach()
        rooms = list(range(1, count + 1))
        for room in rooms:
            body: dict[str, object] = {"request": "create", "room": room, "sampling_rate": 48_000}
            await handle.ask({**body, "audiolevel_ext": False})
        return rooms


def _id(answer: dict[str, object]) -> int:
    data = answer["data"]
    assert isinstance(data, dict)
    return int(data["id"])


def _checked(answer: dict[str, object]) -> dict[str, object]:
    """Return an answer; raises AssertionError in Janus's words if it is an error, its own or the plugin's."""
    data = answer.get("plugindata")
    inner = data.get("data") if isinstance(data, dict) else None
    if answer["janus"] == "error" or (isinstance(inner, dict) and "error" in inner):
        raise AssertionError(f"Janus refuses: {json.dumps(answer)}")
    return answer


@asynccontextmanager
async def janus(core: int, *, event_loops: int = 0) -> AsyncIterator[Peer]:
    """Run Janus until the context ends; ``event_loops``: threads for media of all, 0 for one each."""

    def configure(folder: Path, port: int, _tls_port: int) -> list[str]:
        first, last = free_udp_range(_MEDIA_PORTS)
        for kind, library in (("plugins", "libjanus_audiobridge.so"), ("transports", "libjanus_http.so")):
            (folder / kind).mkdir()
            (folder / kind / library).symlink_to(_LIBRARIES / kind / library)
        (folder / "none").mkdir()
        loops = f"event_loops = {event_loops};" if event_loops else ""
        (folder / "janus.jcfg").write_text(
            _MAIN.format(folder=folder, first=first, last=last, host=media_host(), loops=loops)
        )
        (folder / "janus.transport.http.jcfg").write_text(_HTTP.format(port=port))
        (folder / "janus.plugin.audiobridge.jcfg").write_text("general: { }\n")
        return ["janus", "-F", str(folder), "-C", str(folder / "janus.jcfg")]

    async with running("janus", core, configure) as peer:
        yield peer


async def api_of(port: int) -> Janus:
    """Begin a session of the API."""
    made = Janus(port)
    _, answer = await made.post("", {"janus": "create"})
    made.session = _id(answer)
    return made
