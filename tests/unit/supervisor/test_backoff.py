"""Quick at first, growing to ten seconds, quick again after a stable minute."""

from stentor.supervisor.backoff import DELAYS_S, STABLE_S, Backoff


def test_it_grows_and_stays():
    backoff = Backoff()
    waits = [backoff.after(0.1) for _ in range(10)]
    assert waits == [*DELAYS_S, *[DELAYS_S[-1]] * (10 - len(DELAYS_S))]
    assert waits == sorted(waits)
    assert waits[0] <= 0.5
    assert waits[-1] == 10


def test_a_stable_minute_forgives():
    backoff = Backoff()
    for _ in range(5):
        backoff.after(STABLE_S - 0.001)
    assert backoff.after(STABLE_S) == DELAYS_S[0]
    assert backoff.after(1) == DELAYS_S[1]
