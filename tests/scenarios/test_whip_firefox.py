"""A real Firefox speaks and hears. It is driven by its page alone, which tells us how it goes."""

import asyncio
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from stentor.media.decoder import OpusDecoder
from stentor.media.encoder import OpusEncoder
from tests.fakes.stage import fake_stage
from tests.fakes.whip_door import whip_door

MARKER_HZ = 1_000
PREFERENCES = {
    "media.navigator.permission.disabled": True,
    "media.navigator.streams.fake": True,
    "media.navigator.audio.fake_frequency": MARKER_HZ,
    "media.autoplay.default": 0,
    "media.peerconnection.ice.loopback": True,
    "datareporting.policy.dataSubmissionEnabled": False,
    "app.normandy.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
}
PAGE = """<!doctype html><title>speaker</title><script>
async function say(what) { await fetch("/said", {method: "POST", body: JSON.stringify(what)}); }
async function join() {
  const pc = new RTCPeerConnection();
  const stream = await navigator.mediaDevices.getUserMedia({audio: true});
  pc.addTrack(stream.getTracks()[0], stream);
  await pc.setLocalDescription(await pc.createOffer());
  const answer = await fetch("/whip", {method: "POST", body: pc.localDescription.sdp});
  await pc.setRemoteDescription({type: "answer", sdp: await answer.text()});
  setInterval(async () => {
    const reports = [...(await pc.getStats()).values()];
    await say({state: pc.connectionState, heard: reports.find(each => each.type === "inbound-rtp") || {}});
  }, 200);
}
join().catch(error => say({error: String(error)}));
</script>"""


@asynccontextmanager
async def firefox(profile: Path, url: str) -> AsyncIterator[None]:
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in PREFERENCES.items()]
    (profile / "user.js").write_text("".join(lines))
    process = await asyncio.create_subprocess_exec(
        "firefox-esr", "--headless", "--no-remote", "--profile", str(profile), url,
        env={**os.environ, "HOME": str(profile), "MOZ_DISABLE_CONTENT_SANDBOX": "1"},
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


@pytest.mark.skipif(shutil.which("firefox-esr") is None, reason="firefox-esr is not installed")
async def test_firefox_is_heard_and_hears(tmp_path: Path):
    encoder, mix = OpusEncoder(), 0.3 * np.sin(2 * np.pi * 400 * np.arange(960) / 48_000).astype(np.float32)
    async with fake_stage(()) as stage, whip_door(stage, PAGE) as door:
        stage.on_packet = lambda session, packet: session.send(encoder.encode(mix.reshape(1, -1)))
        async with firefox(tmp_path, door.url), asyncio.timeout(60):
            said: dict[str, dict[str, float]] = {}
            while not (said.get("heard") or {}).get("audioLevel", 0) > 0.05:
                said = json.loads(await door.said.get())
                assert "error" not in said
            await stage.until_packets(100)
            decoder = OpusDecoder()
            pcm = np.concatenate([decoder.decode(payload)[0].copy() for _, _, payload, _ in stage.packets[:100]])
            spectrum = np.abs(np.fft.rfft(pcm[-48_000:]))
            assert abs(int(np.argmax(spectrum)) - MARKER_HZ) < 5
            assert stage.sessions[0].stats().packets_lost == 0
            assert stage.sessions[0].stats().level_dbov is not None
