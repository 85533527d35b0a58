"""What bench.attack sends a million times, in small: nothing of it may be more than an error that the code names."""

import pytest

from bench import attack


async def test_mutated_packets_are_dropped_or_heard_as_noise() -> None:
    found = await attack.payloads({"count": 2_000, "seed": 3})
    assert found["faults"] == {}


@pytest.mark.parametrize("seed", [1, 2])
async def test_mutated_offers_are_answered_or_refused(seed: int) -> None:
    found = await attack.offers({"count": 1_000, "seed": seed})
    assert found["faults"] == {}
    assert isinstance(found["read"], int)
    assert found["read"] > 100
