"""The rows of bench.loss without a network: packets pushed into a Playout in virtual time, seconds to run.

The packets are a browser's (64 kbit/s, in-band FEC for the loss that the row has), the losses and delays those that
bench.loss makes on loopback. What the encoder alone leaves is the most that can be had.
``python -m bench.offline --jobs 2 --rows 5 burst --seeds 1 2 3``.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import pairwise, product
from statistics import mean, stdev

import numpy as np

from bench.clips import judge, programme
from bench.impair import NETWORKS, Network
from bench.speech import DTX_BYTES, BrowserEncoder, Pcm, decoded
from stentor.media.grid import TICK_SAMPLES
from stentor.media.playout import Playout, PlayoutStats

TICK_NS = 20_000_000
_PHASE_NS = 7_000_000  # the mixer's tick falls somewhere between two packets
_AFTER_TICKS = 25
SECONDS, PEOPLE = 32.0, 3


@dataclass(frozen=True)
class Played:
    """The programme through one network: PESQ of its pieces, of the encoder alone, and what the playout counted."""

    pesq: list[float]
    codec: list[float]
    stats: PlayoutStats
    depth_ms: float


def play(packets: list[bytes], network: Network, seed: int, playout: Playout) -> tuple[Pcm, float]:
    """Return what ``playout`` makes of packets sent 20 ms apart, shape ``(samples,)``, and its mean depth in ms.

    An empty packet is one that was not sent (DTX).
    """
    delays = network.delays_ms(seed)
    arrivals = []
    sequence = 0
    for number, (payload, late_ms) in enumerate(zip(packets, delays, strict=False)):
        if not payload:
            continue
        if late_ms is not None:
            arrivals.append((number * TICK_NS + int(late_ms * 1e6), sequence, number * TICK_SAMPLES, payload))
        sequence += 1
    arrivals.sort()
    heard, depths, coming = [], [], 0
    for tick in range(len(packets) + _AFTER_TICKS):
        now_ns = tick * TICK_NS + _PHASE_NS
        while coming < len(arrivals) and arrivals[coming][0] <= now_ns:
            at_ns, sequence, timestamp, payload = arrivals[coming]
            playout.push(sequence & 0xFFFF, timestamp & 0xFFFFFFFF, payload, at_ns)
            coming += 1
        heard.append(playout.pull(now_ns)[0].copy())
        depths.append(playout.stats.depth_samples / 48)
    return np.concatenate(heard), mean(depths)


def rested(packets: list[bytes]) -> list[bytes]:
    """Return the packets with those empty that a browser does not send: what says "nothing", but for the first."""
    before = [b"-", *packets]
    return [b"" if max(len(packet), len(last)) <= DTX_BYTES else packet for last, packet in pairwise(before)]


def row(name: str, seed: int, bitrate_bps: int, dtx: bool) -> Played:  # noqa: FBT001  # a pool calls it
    """Play the programme through one row's network; seed 0 is that of bench.loss."""
    said, _ = programme(SECONDS, PEOPLE)
    network = NETWORKS[name]
    encoder = BrowserEncoder(bitrate_bps, dtx=dtx)
    encoder.set_packet_loss(network.loss)
    packets = encoder.encode(said)
    playout = Playout()
    seed = seed or network.seed(len(packets))
    heard, depth_ms = play(rested(packets) if dtx else packets, network, seed, playout)
    codec = judge(decoded(packets), SECONDS, PEOPLE)
    return Played(judge(heard, SECONDS, PEOPLE), codec, playout.stats, depth_ms)


def main() -> None:
    """Play, score and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="0: that of bench.loss")
    parser.add_argument("--bitrate", type=int, default=64_000)
    parser.add_argument("--no-dtx", action="store_true", help="pauses are sent, too")
    parser.add_argument("--jobs", type=int, default=1)
    told = parser.parse_args()
    tasks = list(product(told.rows, told.seeds))
    with ProcessPoolExecutor(told.jobs) as pool:
        waiting = [pool.submit(row, name, seed, told.bitrate, not told.no_dtx) for name, seed in tasks]
        played = dict(zip(tasks, (each.result() for each in waiting), strict=True))
    for name in told.rows:
        of_row = [each for task, each in played.items() if task[0] == name]
        pieces = [value for each in of_row for value in each.pesq]
        codec = mean(value for each in of_row for value in each.codec)
        print(
            f"{name:>6}: PESQ {mean(pieces):.2f} (spread {stdev(pieces):.2f}, worst {min(pieces):.2f}; "
            f"encoder alone {codec:.2f}), depth {mean(each.depth_ms for each in of_row):.0f} ms, "
            + ", ".join(
                f"{counter} {sum(getattr(each.stats, counter) for each in of_row)}"
                for counter in ("received", "lost", "recovered", "concealed", "comfort", "late")
            )
        )


if __name__ == "__main__":
    main()
