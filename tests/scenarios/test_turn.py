"""Speakers behind strict networks, for real: coturn as deploy/ has it, Chromium in a network namespace of its own.

The namespace is joined to this machine by one cable. What its firewall lets out decides how the page's sound gets to
the origin; the page itself and everything in it is what hosts give to speakers.
"""

import asyncio
import os
import socket
import time
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from aioice.stun import TransactionFailed
from aioice.turn import TurnClientUdpProtocol
from playwright.async_api import async_playwright

from stentor.control.turn import password
from stentor.demo.staff_api import StaffApi
from tests.browser.support import FLAGS, PITCHES, Opener, Tab, write_microphone
from tests.fakes.installation import free_ports, installation
from tests.fakes.namespace import Namespace, namespace
from tests.fakes.turn_server import SECRET, turn_server

pytestmark = pytest.mark.skipif(which("turnserver") is None, reason="coturn is not installed (scripts/setup-system)")

ORIGIN, OTHER = "192.0.2.1", "192.0.2.2"
PUBLIC = "203.0.113.7"
# Remembers the page's connection and says how its sound goes.
WATCH = """
const Plain = RTCPeerConnection;
window.RTCPeerConnection = function (...given) { return (window.peer = new Plain(...given)); };
window.path = async () => {
  const all = await window.peer?.getStats();
  const stats = [...(all?.values() ?? [])];
  const transport = stats.find((each) => each.type === "transport");
  const pair = stats.find((each) => each.id === transport?.selectedCandidatePairId);
  if (!pair?.packetsReceived) return null;
  const local = stats.find((each) => each.id === pair.localCandidateId);
  const remote = stats.find((each) => each.id === pair.remoteCandidateId);
  return [local.candidateType, local.relayProtocol ?? "", remote.address].join(" ");
};
"""


async def allocated(port: int, username: str, secret: str) -> TurnClientUdpProtocol:
    """Return a client that has an allocation. Raises TransactionFailed."""
    server = ("127.0.0.1", port)
    credential = password(secret, username)
    _, client = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: TurnClientUdpProtocol(server, username, credential, lifetime=600, channel_refresh_time=500),
        remote_addr=server,
    )
    try:
        await client.connect()
    except TransactionFailed:
        client.transport.close()
        raise
    return client


async def test_credentials_run_out_and_the_relay_reaches_the_origin_alone(tmp_path: Path) -> None:
    (port,) = free_ports(1, socket.SOCK_DGRAM)
    async with turn_server(tmp_path, "127.0.0.1", port, ORIGIN):
        client = await allocated(port, f"{int(time.time()) + 60}:ana", SECRET)
        await client.channel_bind(0x4000, (ORIGIN, 50_000))
        for refused in ((OTHER, 50_000), ("127.0.0.1", port), ("224.0.0.1", 50_000)):
            with pytest.raises(TransactionFailed) as caught:
                await client.channel_bind(0x4001, refused)
            assert caught.value.response.error_code == 403
        await client.delete()
        for username, secret in ((f"{int(time.time()) - 1}:ana", SECRET), (f"{int(time.time()) + 60}:ana", "another")):
            with pytest.raises(TransactionFailed) as caught:
                await allocated(port, username, secret)
            assert caught.value.response.error_code == 401


def let_out(net: Namespace, rule: str) -> None:
    """Put a firewall in front of what leaves the namespace: no UDP but what this rule of nft accepts."""
    ruleset = f"""
        flush ruleset
        table inet out {{
            chain leaving {{
                type filter hook output priority 0
                oif lo accept
                {rule}
                meta l4proto udp counter drop
            }}
        }}
        table ip there {{
            chain leaving {{
                type nat hook output priority -100
                ip daddr {PUBLIC} dnat to {net.here}
            }}
        }}
    """
    script = Path(f"/run/{net.name}.nft")
    script.write_text(ruleset)
    try:
        net.run("nft", "-f", str(script))
    finally:
        script.unlink()


async def on_stage(tab: Tab, api: StaffApi, wanted: str) -> None:
    """Wait until the page's sound goes the wanted way and the origin hears it."""
    await tab.until(f"window.path().then((path) => path === {wanted!r})", f"the sound does not go by {wanted}")

    async with asyncio.timeout(10):
        while True:
            roster = await api.call("GET", "/rooms/strict/roster")
            people = roster["people"]
            assert isinstance(people, list)
            if [person for person in people if person["connected"] and person["speaking"]]:
                return
            await asyncio.sleep(0.1)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a network namespace")
@pytest.mark.timeout(120)
async def test_a_page_without_udp_speaks_through_the_relay_and_without_any_fence_goes_straight(tmp_path: Path) -> None:
    staff, relay = free_ports(2)
    wav = write_microphone(tmp_path / "ana.wav", PITCHES["ana"])
    with namespace() as net:
        url = f"http://{net.here}:{staff}"
        settings: dict[str, Any] = {
            "staff_host": net.here,
            "staff_port": staff,
            "staff_url": url,
            "udp_bind": f"{net.here},{net.here6}",
            "advertise": PUBLIC,
            "turn_urls": f"turn:{net.here}:{relay}?transport=tcp",
            "turn_secret": SECRET,
        }
        async with (
            turn_server(tmp_path, net.here, relay, net.here),
            installation(tmp_path, **settings) as site,
            async_playwright() as playwright,
        ):
            api = await site.operator()
            made = await api.call("POST", "/rooms", {"room": "strict", "title": "Strict"})
            await api.call("POST", "/rooms/strict/open", {})
            links = made["links"]
            assert isinstance(links, dict)
            # No TLS here, and a microphone is for secure pages alone.
            secure = f"--unsafely-treat-insecure-origin-as-secure={url}"
            flags = [*FLAGS, secure, f"--use-file-for-fake-audio-capture={wav}"]
            program = net.wrapper(tmp_path, "/usr/bin/chromium")
            browser = await playwright.chromium.launch(executable_path=program, args=flags)
            visit = Opener()
            try:
                let_out(net, "")
                tab = await visit(browser, links["speaker"], script=WATCH)
                await tab.click("mic-allow")
                await tab.click("join")
                await on_stage(tab, api, f"relay tcp {net.here}")
                assert "counter packets 0 " not in net.run("nft", "list", "table", "inet", "out")
                let_out(net, "meta nfproto ipv6 accept")
                await tab.page.reload()
                await on_stage(tab, api, f"host  {net.here6}")
                # A NAT in front of the origin: its own address cannot be reached, the advertised one can.
                let_out(net, "ct status dnat accept")
                await tab.page.reload()
                await on_stage(tab, api, f"host  {PUBLIC}")
                await visit.close()
            finally:
                await browser.close()
