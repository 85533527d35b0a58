from stentor.origin import guard
from stentor.origin.guard import Intake, RateCap

SECOND = 1_000_000_000


def test_a_rate_cap_lets_a_second_through_at_once_and_its_rate_for_ever():
    cap = RateCap(10)
    assert sum(cap.admits(1, 0) for _ in range(100)) == 10
    assert sum(cap.admits(1, SECOND // 2) for _ in range(100)) == 5
    assert sum(cap.admits(1, second * SECOND) for second in range(1, 11) for _ in range(100)) == 5 + 9 * 10


def test_a_second_voice_must_wait_for_silence_or_a_goodbye():
    intake = Intake()
    assert intake.admits_datagram(1, 0, media=True)
    assert intake.admits_packet(1, 100, 0)
    assert not intake.admits_datagram(2, SECOND // 2, media=True)
    assert intake.admits_datagram(2, SECOND // 2, media=False)
    assert intake.admits_datagram(2, SECOND, media=True)
    intake.forget(1)
    assert intake.admits_datagram(2, SECOND // 2, media=True)


def test_ssrcs_are_few():
    intake = Intake()
    for ssrc in range(guard.MAX_SSRCS):
        assert intake.admits_datagram(ssrc, 0, media=False)
        intake.authenticated(ssrc)
    assert not intake.admits_datagram(99, 0, media=False)
    assert intake.admits_datagram(0, 0, media=False)


def test_packets_and_bytes_are_capped():
    intake = Intake()
    assert sum(intake.admits_packet(1, 50, 0) for _ in range(1_000)) == guard.PACKETS_PER_S
    intake = Intake()
    assert sum(intake.admits_packet(1, 1_000, 0) for _ in range(1_000)) == guard.BYTES_PER_S // 1_000


def test_a_forger_cannot_use_up_the_speakers_rate():
    intake = Intake()
    for _ in range(500):
        intake.admits_datagram(1, 0, media=True)
    assert intake.admits_datagram(1, 0, media=True)
    assert intake.admits_packet(1, 100, 0)
