"""A real Chromium speaks to a media session and hears what is sent back."""

import asyncio
import random
import wave
from pathlib import Path

import numpy as np
from playwright.async_api import Page, async_playwright

from stentor.demo.speech import speak
from stentor.media.decoder import OpusDecoder
from stentor.media.encoder import OpusEncoder
from stentor.origin.guard import drop
from tests.fakes.stage import FakeStage, fake_stage
from tests.fakes.whip_door import whip_door

MARKER_HZ = 1_000
MIX_HZ = 440
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
]
PAGE = """<!doctype html><title>speaker</title><script>
async function join(direction) {
  const pc = window.pc = new RTCPeerConnection();
  const plain = {echoCancellation: false, noiseSuppression: false, autoGainControl: false};
  if (direction === "recvonly") pc.addTransceiver("audio", {direction});
  else pc.addTransceiver((await navigator.mediaDevices.getUserMedia({audio: plain})).getTracks()[0], {direction});
  pc.ontrack = event => { const audio = new Audio(); audio.srcObject = new MediaStream([event.track]); audio.play(); };
  await pc.setLocalDescription(await pc.createOffer());
  const headers = {"Content-Type": "application/sdp", "Authorization": "Bearer token"};
  const answer = await fetch("/whip", {method: "POST", headers, body: pc.localDescription.sdp});
  window.resource = answer.headers.get("Location");
  await pc.setRemoteDescription({type: "answer", sdp: await answer.text()});
}
async function stats(type) {
  for (const report of (await pc.getStats()).values()) if (report.type === type) return report;
  return null;
}
</script>"""


def write_wav(path: Path, pcm: np.ndarray) -> None:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(48_000)
        out.writeframes((pcm * 32_767).astype("<i2").tobytes())


def tone(hz: int, samples: int, amplitude: float = 0.5) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(samples) / 48_000)).astype(np.float32)


def loudest_hz(pcm: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(pcm * np.hanning(len(pcm))))
    return float(np.argmax(spectrum)) * 48_000 / len(pcm)


class Chromium:
    """One browser with a file as its microphone."""

    def __init__(self, wav: Path, url: str) -> None:
        self._wav = wav
        self._url = url
        self._playwright = async_playwright()

    async def __aenter__(self) -> Page:
        playwright = await self._playwright.start()
        self._browser = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=[*FLAGS, f"--use-file-for-fake-audio-capture={self._wav}"]
        )
        page = await self._browser.new_page()
        await page.goto(self._url)
        return page

    async def __aexit__(self, *_: object) -> None:
        await self._browser.close()
        await self._playwright.__aexit__()


def send_mix(stage: FakeStage) -> None:
    """Answer each packet with 20 ms of the mix tone."""
    encoder, position = OpusEncoder(), 0

    def answer(session, packet) -> None:
        nonlocal position
        pcm = tone(MIX_HZ, position + 960)[position:].reshape(1, -1)
        position = (position + 960) % 48_000
        session.send(encoder.encode(pcm))

    stage.on_packet = answer


async def test_chromium_is_heard_and_hears(tmp_path: Path):
    write_wav(tmp_path / "marker.wav", tone(MARKER_HZ, 48_000))
    async with fake_stage() as stage, whip_door(stage, PAGE) as door:
        send_mix(stage)
        async with Chromium(tmp_path / "marker.wav", door.url) as page:
            await page.evaluate("join('sendrecv')")
            await stage.connected.wait()
            await stage.until_packets(150)
            decoder = OpusDecoder()
            pcm = np.concatenate([decoder.decode(payload)[0].copy() for _, _, payload, _ in stage.packets[:150]])
            # The first second may be Chromium's microphone starting.
            assert abs(loudest_hz(pcm[48_000:]) - MARKER_HZ) < 5
            assert np.sqrt(np.mean(pcm[48_000:] ** 2)) > 0.05
            await page.wait_for_function("stats('inbound-rtp').then(s => s && s.audioLevel > 0.05)")
            heard = await page.evaluate("stats('inbound-rtp')")
            assert heard["packetsReceived"] > 50
            assert heard["packetsLost"] == 0
            # It does what the answer asks for.
            assert (await page.evaluate("stats('outbound-rtp')"))["targetBitrate"] == 64_000
            # Our sender and receiver reports are understood there, and theirs here.
            await page.wait_for_function("stats('remote-outbound-rtp').then(s => s && s.packetsSent > 0)")
            await page.wait_for_function("stats('remote-inbound-rtp').then(s => s && s.roundTripTime >= 0)")
            session = stage.sessions[0]
            while session.stats().round_trip_ms is None:
                await stage.until_packets(len(stage.packets) + 1)
            assert session.stats().round_trip_ms < 500
            assert session.stats().level_dbov is not None
            assert session.stats().packets_lost == 0
            assert door.bearers[-1] == "Bearer token"
            await page.evaluate("fetch(resource, {method: 'DELETE'})")
            assert await stage.closed.get() == "left"


async def test_chromium_may_only_listen(tmp_path: Path):
    write_wav(tmp_path / "silence.wav", np.zeros(48_000, np.float32))
    async with (
        fake_stage() as stage,
        whip_door(stage, PAGE) as door,
        Chromium(tmp_path / "silence.wav", door.url) as page,
    ):
        await page.evaluate("join('recvonly')")
        await stage.connected.wait()
        encoder, pcm = OpusEncoder(), tone(MIX_HZ, 960).reshape(1, -1)
        for _ in range(100):
            stage.sessions[0].send(encoder.encode(pcm))
            await stage.clock.sleep(0.02)
        await page.wait_for_function("stats('inbound-rtp').then(s => s && s.packetsReceived === 100)")
        # Somebody who only listens shows that they are there by their reports.
        assert stage.sessions[0].silent_ms < 10_000


def carries_fec(payload: bytes) -> bool:
    """Tell whether a mono SILK or hybrid packet of one 20 ms frame has LBRR (RFC 6716, 3.1 and 4.2.3)."""
    return payload[0] >> 3 < 16 and not payload[0] & 0x07 and len(payload) > 1 and bool(payload[1] & 0x40)


async def test_chromium_adds_fec_when_we_report_loss(tmp_path: Path):
    write_wav(tmp_path / "speech.wav", speak("One room, from microphone to listener, and to the replay. " * 3))
    dice = random.Random(15)
    async with (
        fake_stage() as stage,
        whip_door(stage, PAGE) as door,
        Chromium(tmp_path / "speech.wav", door.url) as page,
    ):
        await page.evaluate("join('sendrecv')")
        await stage.until_packets(100)
        before = [carries_fec(payload) for _, _, payload, _ in stage.packets]
        assert not any(before)
        route = stage.mux.route

        def lossy(index: int, data: bytes, source: tuple[str, int]) -> None:
            if data[0] > 127 and data[1] & 0x7F == 111 and dice.random() < 0.15:
                drop("test")
            else:
                route(index, data, source)

        stage.mux.route = lossy
        async with asyncio.timeout(30):
            while not any(carries_fec(payload) for _, _, payload, _ in stage.packets[100:]):
                await stage.until_packets(len(stage.packets) + 10)
        loss = await page.evaluate("stats('remote-inbound-rtp')")
        assert 0 < loss["fractionLost"] < 0.5
