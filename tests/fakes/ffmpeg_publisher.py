"""FFmpeg's WHIP muxer as a process of its own: ``python -m tests.fakes.ffmpeg_publisher URL TOKEN CERT KEY SECONDS``.

It holds the interpreter's lock while it shakes hands, so it cannot live in the process that it talks to. Without a
P-256 certificate it makes one of P-224, which OpenSSL refuses.
"""

import sys
import time
from fractions import Fraction

import av
import numpy as np


def main(url: str, token: str, certificate: str, key: str, seconds: str) -> None:
    """Publish a 1 kHz tone in real time."""
    options = {"authorization": token, "cert_file": certificate, "key_file": key}
    with av.open(url, "w", format="whip", options=options) as container:
        stream = container.add_stream("libopus", rate=48_000, layout="stereo")
        stream.bit_rate = 64_000
        start = time.monotonic()
        for number in range(int(float(seconds) * 50)):
            wave = 0.5 * np.sin(2 * np.pi * 1_000 * (np.arange(960) + 960 * number) / 48_000)
            frame = av.AudioFrame.from_ndarray(
                np.repeat((wave * 32_767).astype(np.int16), 2).reshape(1, -1), format="s16", layout="stereo"
            )
            frame.sample_rate, frame.pts, frame.time_base = 48_000, 960 * number, Fraction(1, 48_000)
            container.mux(stream.encode(frame))
            time.sleep(max(0.0, start + number * 0.02 - time.monotonic()))


if __name__ == "__main__":
    main(*sys.argv[1:])
