"""The servers that people would use instead: Icecast, nginx with nchan, Varnish, HAProxy, as Debian builds them.

Each runs in a temporary folder on free ports of the loopback, all its threads and children on the core it is given, and
is gone when its context ends. Limits are raised so far that none of them refuses what a bench asks for; logs are off
and nothing else is tuned down. The soft limit of descriptors of this process is raised to its hard limit; children
inherit it.
"""

import asyncio
import contextlib
import os
import resource
import signal
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import Literal

from bench.account import cpu_ns, raise_descriptors, rss_bytes
from stentor.supervisor.spawn import spawn
from tests.fakes.certificates import write_certificate
from tests.fakes.installation import descendants, free_ports

Feed = Literal["opus", "mp3"]

_VCL = Path(__file__).parent.parent / "deploy" / "varnish.vcl"
MOUNT = "/stream"
FILE_BYTES = 2048
_PASSWORD = "bench"
_READY_S = 15.0


@dataclass
class Peer:
    """A running server: where it is and what it uses."""

    name: str
    port: int
    folder: Path
    root: int
    tls_port: int = 0

    host = "127.0.0.1"

    @property
    def url(self) -> str:
        """Return its address without TLS."""
        return f"http://{self.host}:{self.port}"

    @property
    def tls_url(self) -> str:
        """Return its address with TLS (``cert.pem`` in its folder is what it shows)."""
        return f"https://{self.host}:{self.tls_port}"

    def pids(self) -> list[int]:
        """Return its processes: the first and all below it."""
        return [self.root, *(pid for pid, _ in descendants(self.root))]

    def cpu_ns(self) -> int:
        """Return the CPU time it has used so far."""
        return cpu_ns(self.pids())

    def rss_bytes(self) -> int:
        """Return its resident memory."""
        return rss_bytes(self.pids())


@asynccontextmanager
async def running(
    name: str, core: int, configure: Callable[[Path, int, int], list[str]], *, tls: bool = False
) -> AsyncIterator[Peer]:
    """Run a server pinned to ``core`` until the context ends; yields once its ports take connections.

    Args:
        name: what it is called in messages.
        core: all its threads and children run there.
        configure: writes its configuration, given its folder, port and TLS port, and returns the command line.
        tls: wait for the TLS port, too. The certificate is in the folder in any case: ``cert.pem``, ``key.pem`` and
            both in ``both.pem``.
    """
    raise_descriptors()
    with tempfile.TemporaryDirectory(prefix=f"stentor-{name}-", ignore_cleanup_errors=True) as place:
        folder = Path(place)
        _prepare(folder)
        port, tls_port = free_ports(2)
        command = configure(folder, port, tls_port)
        if which(command[0]) is None:
            raise SystemExit(f"{command[0]} is not installed; scripts/setup-bench installs what benches need.")
        with (folder / "said.txt").open("wb") as said:
            process = await spawn(
                ["taskset", "-c", str(core), *command], {}, stdout=said.fileno(), stderr=said.fileno()
            )
        try:
            peer = Peer(name, port, folder, process.pid, tls_port)
            for each in (port, tls_port) if tls else (port,):
                await _takes_connections(peer, process, each)
            yield peer
        finally:
            await _stop(process)


def _descriptors() -> int:
    raise_descriptors()
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _prepare(folder: Path) -> None:
    folder.chmod(0o777)  # those that put off root have to write there
    write_certificate(folder)
    (folder / "both.pem").write_text((folder / "cert.pem").read_text() + (folder / "key.pem").read_text())


async def _takes_connections(peer: Peer, process: asyncio.subprocess.Process, port: int) -> None:
    async def look() -> bool:
        if process.returncode is not None:
            raise AssertionError(f"{peer.name} ended: {(peer.folder / 'said.txt').read_text()[-2000:]}")
        try:
            _, writer = await asyncio.open_connection(peer.host, port)
        except OSError:
            return False
        writer.close()
        return True

    await _until(look, f"{peer.name} does not take connections")


async def _until(reached: Callable[[], Awaitable[bool]], why_not: str) -> None:
    try:
        async with asyncio.timeout(_READY_S):
            while not await reached():  # noqa: ASYNC110 - it is another process that we wait for
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(why_not) from None


async def _stop(process: asyncio.subprocess.Process) -> None:
    """End a process and its session: asked first, killed after three seconds."""
    if process.returncode is None:
        process.terminate()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(3):
                await process.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


async def fetched(host: str, port: int, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
    """Make one HTTP/1.1 request on a connection of its own; return status and body."""
    reader, writer = await asyncio.open_connection(host, port)
    head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    try:
        writer.write(head.encode() + body)
        answer, _, rest = (await reader.read()).partition(b"\r\n\r\n")
    finally:
        writer.close()
    return int(answer.split(b" ", 2)[1]), rest


_ICECAST = """<icecast>
  <location>here</location><admin>bench@localhost</admin><hostname>127.0.0.1</hostname>
  <limits><clients>20000</clients><sources>4</sources><queue-size>524288</queue-size>
    <client-timeout>30</client-timeout><header-timeout>15</header-timeout><source-timeout>30</source-timeout>
    <burst-on-connect>{burst}</burst-on-connect><burst-size>{burst_bytes}</burst-size></limits>
  <authentication><source-password>{password}</source-password><relay-password>{password}</relay-password>
    <admin-user>admin</admin-user><admin-password>{password}</admin-password></authentication>
  <listen-socket><port>{port}</port><bind-address>127.0.0.1</bind-address></listen-socket>
  <listen-socket><port>{tls_port}</port><bind-address>127.0.0.1</bind-address><ssl>1</ssl></listen-socket>
  <paths><basedir>/usr/share/icecast2</basedir><logdir>{folder}</logdir>
    <webroot>/usr/share/icecast2/web</webroot><adminroot>/usr/share/icecast2/admin</adminroot>
    <ssl-certificate>{folder}/both.pem</ssl-certificate><alias source="/" destination="/status.xsl"/></paths>
  <logging><accesslog>access.log</accesslog><errorlog>error.log</errorlog><loglevel>1</loglevel></logging>
  <security><chroot>0</chroot>{owner}</security>
</icecast>
"""
_OWNER = "<changeowner><user>nobody</user><group>nogroup</group></changeowner>"  # it refuses to run as root
_CODECS: dict[str, list[str]] = {
    "opus": ["-c:a", "libopus", "-b:a", "32k", "-vbr", "off", "-f", "ogg", "-content_type", "application/ogg"],
    "mp3": ["-c:a", "libmp3lame", "-b:a", "32k", "-write_xing", "0", "-id3v2_version", "0", "-f", "mp3"],
}


@dataclass
class Icecast(Peer):
    """An Icecast with one mount, ``MOUNT``, that a source feeds."""

    async def listeners(self) -> int:
        """Return how many listeners it counts."""
        _, page = await fetched(self.host, self.port, "GET", "/status-json.xsl")
        _, _, rest = page.partition(b'"listeners":')
        return int(rest.partition(b",")[0] or b"0")


@asynccontextmanager
async def icecast(
    core: int, *, feed_core: int, feed: Feed = "opus", page_ms: int = 350, burst_bytes: int = 0
) -> AsyncIterator[Icecast]:
    """Run Icecast with a 32 kbit/s source; plain and TLS ports both serve ``MOUNT``.

    What Icecast sends in one write is what it reads from the source: a page of Ogg, or 1,400 bytes (0.35 s) of MP3.

    Args:
        core: Icecast's own.
        feed_core: where the source, ffmpeg, encodes noise in real time (2 % of a core).
        feed: ``opus`` in Ogg at a constant bitrate, or ``mp3``.
        page_ms: length of the source's Ogg pages, and so the cadence; 350 is what Icecast itself does with MP3. ffmpeg
            would make pages of 1 s.
        burst_bytes: what a listener gets at once when it comes (Icecast's default is 65,535); without it, it waits for
            the next page.
    """

    def configure(folder: Path, port: int, tls_port: int) -> list[str]:
        values = {"burst": int(burst_bytes > 0), "burst_bytes": burst_bytes, "password": _PASSWORD}
        owner = _OWNER if os.geteuid() == 0 else ""
        (folder / "key.pem").chmod(0o644)
        text = _ICECAST.format(port=port, tls_port=tls_port, folder=folder, owner=owner, **values)
        (folder / "icecast.xml").write_text(text)
        return ["icecast2", "-c", str(folder / "icecast.xml")]

    async with running("icecast", core, configure, tls=True) as peer:
        source = "aevalsrc=0.3*random(0):s=48000"
        paging = ["-page_duration", str(page_ms * 1000)] if feed == "opus" else []
        encode = ["ffmpeg", "-v", "error", "-nostdin", "-re", "-f", "lavfi", "-i", source, *_CODECS[feed], *paging]
        target = f"icecast://source:{_PASSWORD}@127.0.0.1:{peer.port}{MOUNT}"
        process = await spawn(["taskset", "-c", str(feed_core), *encode, target], {})
        try:

            async def on_air() -> bool:
                return b'"server_type"' in (await fetched(peer.host, peer.port, "GET", "/status-json.xsl"))[1]

            await _until(on_air, "Icecast has no source")
            yield Icecast(**vars(peer))
        finally:
            await _stop(process)


_NGINX = """{nchan}daemon off; {user}worker_processes 1; worker_rlimit_nofile {descriptors};
error_log {folder}/error.log error; pid {folder}/nginx.pid;
events {{ worker_connections {descriptors}; }}
http {{
  access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; server_tokens off;
  keepalive_timeout 300s; keepalive_requests 100000000; open_file_cache max=100; types {{ }}
  default_type application/octet-stream;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; {shared}
  {map}
  server {{
    listen 127.0.0.1:{port} backlog=16384; listen 127.0.0.1:{tls_port} ssl backlog=16384;
    ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
    root {folder}/www;
    {locations}
  }}
}}
"""
_NCHAN = """location = /sub { nchan_subscriber websocket longpoll http-chunked; nchan_channel_id room;
      nchan_subscriber_first_message newest; }
    location = /pub { nchan_publisher http; nchan_channel_id room; nchan_message_buffer_length 8; }"""
_PROXY = """location / {{ proxy_pass http://{upstream}; proxy_http_version 1.1; proxy_set_header Host $host;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
      proxy_read_timeout 1h; proxy_buffering off; }}"""
_UPGRADE = "map $http_upgrade $connection_upgrade { default upgrade; '' ''; }"


@dataclass
class Nginx(Peer):
    """An nginx that serves ``/file`` (2 kB), and with nchan ``/sub`` (WebSocket, long-poll) and ``/pub``."""

    file = "/file"
    subscribe = "/sub"

    @asynccontextmanager
    async def publisher(self) -> AsyncIterator["NchanPublisher"]:
        """Hold one connection on which to publish."""
        reader, writer = await asyncio.open_connection(self.host, self.port)
        try:
            yield NchanPublisher(reader, writer)
        finally:
            writer.close()


@dataclass
class NchanPublisher:
    """Publishes to all subscribers of an nchan."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def publish(self, block: bytes) -> None:
        """Publish one message, binary; returns when nchan has answered."""
        head = (
            f"POST /pub HTTP/1.1\r\nHost: b\r\nContent-Type: application/octet-stream\r\nContent-Length: {len(block)}"
        )
        self.writer.write(head.encode() + b"\r\n\r\n" + block)
        answer = await self.reader.readuntil(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 20"):
            raise AssertionError(f"nchan refuses: {answer[:80]!r}")
        length = next(line for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await self.reader.readexactly(int(length.partition(b":")[2]))


@asynccontextmanager
async def nginx(core: int, *, nchan: bool = False, upstream: str = "") -> AsyncIterator[Nginx]:
    """Run nginx with one worker, plain and TLS.

    Args:
        core: its own.
        nchan: load the module; else it is not even loaded.
        upstream: ``host:port`` of a server to stand in front of, WebSocket included; nothing else is served then.
    """
    descriptors = _descriptors()

    def configure(folder: Path, port: int, tls_port: int) -> list[str]:
        (folder / "www").mkdir()
        (folder / "www" / "file").write_bytes(os.urandom(FILE_BYTES))
        text = _NGINX.format(
            nchan="load_module /usr/lib/nginx/modules/ngx_nchan_module.so;\n" if nchan else "",
            shared="nchan_shared_memory_size 256M;" if nchan else "",
            user="user root; " if os.geteuid() == 0 else "",
            locations=_PROXY.format(upstream=upstream) if upstream else _NCHAN if nchan else "",
            map=_UPGRADE if upstream else "",
            descriptors=descriptors,
            folder=folder,
            port=port,
            tls_port=tls_port,
        )
        (folder / "nginx.conf").write_text(text)
        return ["nginx", "-c", str(folder / "nginx.conf"), "-p", str(folder)]

    async with running("nginx", core, configure, tls=True) as peer:
        yield Nginx(**vars(peer))


@asynccontextmanager
async def varnish(core: int, *, upstream: str) -> AsyncIterator[Peer]:
    """Run Varnish with deploy/varnish.vcl in front of ``host:port``."""
    host, port = upstream.rsplit(":", 1)
    vcl = _VCL.read_text()
    for old, new in (('.host = "127.0.0.1"', f'.host = "{host}"'), ('.port = "8000"', f'.port = "{port}"')):
        assert old in vcl, f"{_VCL} no longer has {old}"
        vcl = vcl.replace(old, new)

    def configure(folder: Path, own_port: int, _tls_port: int) -> list[str]:
        (folder / "default.vcl").write_text(vcl)
        sizes = ["-s", "malloc,256m", "-p", "thread_pools=1", "-p", "thread_pool_max=5000", "-p", "thread_pool_min=300"]
        listen = ["-a", f"127.0.0.1:{own_port}", "-n", str(folder / "n"), "-f", str(folder / "default.vcl")]
        return ["varnishd", "-j", "none", "-F", *listen, *sizes]

    async with running("varnish", core, configure) as peer:
        yield peer


_HAPROXY = """global
  nbthread 1
  maxconn {most}
  log 127.0.0.1:1 local0 emerg
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout tunnel 1h
frontend plain
  bind 127.0.0.1:{port} backlog 16384
  default_backend edge
frontend tls
  bind 127.0.0.1:{tls_port} ssl crt {folder}/both.pem backlog 16384
  default_backend edge
backend edge
  server one {upstream}
"""


@asynccontextmanager
async def haproxy(core: int, *, upstream: str) -> AsyncIterator[Peer]:
    """Run HAProxy with one thread in front of ``host:port``, plain and TLS."""
    most = _descriptors() // 2 - 100

    def configure(folder: Path, port: int, tls_port: int) -> list[str]:
        text = _HAPROXY.format(most=most, folder=folder, port=port, tls_port=tls_port, upstream=upstream)
        (folder / "haproxy.cfg").write_text(text)
        return ["haproxy", "-db", "-f", str(folder / "haproxy.cfg")]

    async with running("haproxy", core, configure, tls=True) as peer:
        yield peer
