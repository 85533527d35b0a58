import random

import pytest
from aiortc.sdp import SessionDescription

from stentor.errors import BadRequest, NotAcceptable, TooLarge
from stentor.origin import sdp
from stentor.origin.sdp import Direction, LocalMedia
from tests.unit.origin.offers import CHROMIUM, FFMPEG, FINGERPRINT, VIDEO_ONLY, WITH_VIDEO

LOCAL = LocalMedia(
    session=1,
    ufrag="ufrag123",
    password="p" * 32,
    fingerprint=f"sha-256 {FINGERPRINT}",
    candidates=["1 1 udp 2130706431 203.0.113.7 40000 typ host", "2 1 udp 2130706431 10.0.0.5 40000 typ host"],
    port=40000,
    ssrc=77,
    cname="us",
)


def answered(offer):
    text = sdp.answer(sdp.parse_offer(offer), LOCAL)
    return text, SessionDescription.parse(text)


def test_a_browsers_offer_is_understood():
    offer = sdp.parse_offer(CHROMIUM)
    assert (offer.payload_type, offer.level_extension, offer.direction) == (111, 1, Direction.SENDRECV)
    assert (offer.ufrag, offer.password) == ("Xb3q", "7Hj2kL9mN4pQ6rS8tU1vW3xY")
    assert offer.fingerprints == (("sha-256", FINGERPRINT),)
    assert offer.we_are_client


def test_names_and_tcp_are_no_candidates():
    assert [(each.host, each.port) for each in sdp.parse_offer(CHROMIUM).candidates] == [("192.0.2.5", 51234)]


def test_an_offer_without_candidates_is_enough():
    assert sdp.parse_offer(FFMPEG).candidates == ()


def test_the_answer_is_read_by_another_parser():
    text, answer = answered(CHROMIUM)
    (media,) = answer.media
    assert media.direction == "sendrecv"
    assert [codec.mimeType for codec in media.rtp.codecs] == ["audio/opus", "audio/red"]
    wanted = {"minptime": 10, "useinbandfec": 1, "usedtx": 1, "maxaveragebitrate": 64000}
    assert {key: int(value) for key, value in media.rtp.codecs[0].parameters.items()} == wanted
    assert "a=fmtp:63 111/111\r\n" in text
    assert media.rtp.headerExtensions[0].uri == sdp.LEVEL_URI
    assert media.rtcp_mux
    assert media.dtls.role == "client"
    assert media.dtls.fingerprints[0].value == FINGERPRINT
    assert (media.ice.usernameFragment, media.ice.password) == (LOCAL.ufrag, LOCAL.password)
    assert [(each.ip, each.port) for each in media.ice_candidates] == [("203.0.113.7", 40000), ("10.0.0.5", 40000)]
    assert media.ssrc[0].ssrc == 77
    assert "a=group:BUNDLE 0\r\n" in text
    assert "stereo" not in text


@pytest.mark.parametrize(
    ("theirs", "ours"), [("sendrecv", "sendrecv"), ("sendonly", "recvonly"), ("recvonly", "sendonly")]
)
def test_the_direction_is_mirrored(theirs, ours):
    text, answer = answered(CHROMIUM.replace("a=sendrecv", f"a={theirs}"))
    assert answer.media[0].direction == ours
    assert ("a=ssrc:" in text) == (theirs != "sendonly")


def test_no_direction_means_both():
    assert sdp.parse_offer(CHROMIUM.replace("a=sendrecv\r\n", "")).direction is Direction.SENDRECV


@pytest.mark.parametrize(("theirs", "client"), [("actpass", True), ("passive", True), ("active", False)])
def test_we_open_the_handshake_unless_they_insist(theirs, client):
    offer = CHROMIUM.replace("setup:actpass", f"setup:{theirs}")
    assert sdp.parse_offer(offer).we_are_client is client
    assert f"a=setup:{'active' if client else 'passive'}\r\n" in answered(offer)[0]


def test_video_and_further_audio_are_rejected_in_their_places():
    text, answer = answered(WITH_VIDEO)
    assert [(media.kind, media.port == 0) for media in answer.media] == [
        ("video", True),
        ("audio", False),
        ("audio", True),
    ]
    assert "a=group:BUNDLE 0\r\n" in text
    assert [media.rtp.muxId for media in answer.media] == ["v", "0", "extra"]


def test_transport_attributes_may_stand_at_the_top_or_in_the_leader_of_the_bundle():
    lines = CHROMIUM.split("\r\n")
    moved = [line for line in lines if line.startswith(("a=ice-", "a=fingerprint", "a=setup"))]
    rest = [line for line in lines if line not in moved]
    at = next(number for number, line in enumerate(rest) if line.startswith("m="))
    assert sdp.parse_offer("\r\n".join(rest[:at] + moved + rest[at:])).ufrag == "Xb3q"
    leader = ["m=video 9 UDP/TLS/RTP/SAVPF 96", "a=mid:v", "a=rtcp-mux", *moved]
    bundled = "\r\n".join(rest[:at] + leader + rest[at:]).replace("BUNDLE 0", "BUNDLE v 0")
    assert sdp.parse_offer(bundled).ufrag == "Xb3q"


@pytest.mark.parametrize(
    ("offer", "slug"),
    [
        (VIDEO_ONLY, "no-audio"),
        (FFMPEG[: FFMPEG.index("m=")], "no-audio"),
        (CHROMIUM.replace("opus/48000/2", "speex/8000"), "no-opus"),
        (CHROMIUM.replace("m=audio 9", "m=audio 0"), "no-opus"),
        (CHROMIUM.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP"), "no-opus"),
        (CHROMIUM.replace("rtpmap:111", "rtpmap:72").replace("SAVPF 111", "SAVPF 72"), "no-opus"),
        (CHROMIUM.replace("a=rtcp-mux\r\n", ""), "no-rtcp-mux"),
        (CHROMIUM.replace("a=sendrecv", "a=inactive"), "no-audio"),
    ],
)
def test_what_has_no_voice_for_us_is_not_acceptable(offer, slug):
    with pytest.raises(NotAcceptable) as refused:
        sdp.parse_offer(offer)
    assert refused.value.kind == slug


@pytest.mark.parametrize(
    "offer",
    [
        "",
        "hello",
        '{"sdp": 1}',
        "v=0\r\n",
        CHROMIUM.replace("v=0", "v=1", 1),
        CHROMIUM.replace("a=ice-ufrag:Xb3q\r\n", ""),
        CHROMIUM.replace("Xb3q", "X b3"),
        CHROMIUM.replace("7Hj2kL9mN4pQ6rS8tU1vW3xY", "short"),
        CHROMIUM.replace("a=setup:actpass\r\n", ""),
        CHROMIUM.replace("a=setup:actpass", "a=setup:holdconn"),
        CHROMIUM.replace(f"a=fingerprint:sha-256 {FINGERPRINT}\r\n", ""),
        CHROMIUM.replace("sha-256", "sha-1"),
        CHROMIUM.replace(FINGERPRINT, FINGERPRINT[:-3]),
        CHROMIUM.replace("a=mid:0", "a=mid:a b"),
        CHROMIUM.replace("m=audio 9", "m=audio nine"),
        CHROMIUM.replace("candidate:2437072876 1", "candidate:2437072876 one"),
        CHROMIUM.replace("s=-", "s=\0"),
        CHROMIUM.replace("s=-", "s=\ud800"),
        CHROMIUM + "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n" * 20,
        CHROMIUM + "a=x\r\n" * 3_000,
    ],
)
def test_what_is_no_sdp_is_a_bad_request(offer):
    with pytest.raises(BadRequest):
        sdp.parse_offer(offer)


def test_more_than_64_kb_is_too_large():
    with pytest.raises(TooLarge):
        sdp.parse_offer(CHROMIUM + "a=x:" + "y" * 65_536 + "\r\n")


def mutate(text: str, dice: random.Random) -> str:
    lines = text.split("\r\n")
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(lines))
        kind = dice.randrange(7)
        if kind == 0:
            del lines[at]
            lines = lines or [""]
        elif kind == 1:
            lines.insert(at, dice.choice(lines))
        elif kind == 2:
            lines[at] = lines[at][: dice.randrange(len(lines[at]) + 1)]
        elif kind == 3:
            where = dice.randrange(len(lines[at]) + 1)
            lines[at] = (
                lines[at][:where] + chr(dice.choice([0, 9, 10, 32, 58, 0x661, 0xD800, 0x1F600])) + lines[at][where:]
            )
        elif kind == 4:
            lines[at] = lines[at].replace(str(dice.randrange(10)), str(dice.choice([-1, 10**30, "", "٣"])))
        elif kind == 5:
            other = dice.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
        else:
            lines[at] = "".join(chr(dice.randrange(256)) for _ in range(20))
    return "\r\n".join(lines)


def test_thousands_of_mutated_offers_are_answered_or_refused_and_nothing_else():
    dice = random.Random(20261122)
    answered_count = 0
    for _ in range(5_000):
        text = mutate(dice.choice([CHROMIUM, FFMPEG, WITH_VIDEO, VIDEO_ONLY]), dice)
        try:
            sdp.answer(sdp.parse_offer(text), LOCAL)
        except (BadRequest, NotAcceptable, TooLarge):
            continue
        answered_count += 1
    assert 500 < answered_count < 4_500


def test_trickled_candidates_are_read():
    fragment = (
        "a=ice-ufrag:Xb3q\r\na=ice-pwd:7Hj2kL9mN4pQ6rS8tU1vW3xY\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n"
        "a=candidate:1 1 udp 1 192.0.2.5 5000 typ host\r\na=candidate:1 1 udp 1 a.local 5000 typ host\r\n"
        "a=end-of-candidates\r\n"
    )
    read = sdp.parse_fragment(fragment)
    assert read.ufrag == "Xb3q"
    assert [each.port for each in read.candidates] == [5000]


@pytest.mark.parametrize("fragment", ["", "x", "a=ice-ufrag:!\r\n", "a=candidate:1\r\n", "a=candidate:" + "1" * 70_000])
def test_broken_fragments_are_bad_requests(fragment):
    with pytest.raises((BadRequest, TooLarge)):
        sdp.parse_fragment(fragment)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "224.0.0.251", "255.255.255.255", "example.org"])
def test_nobody_is_sent_checks_who_is_no_single_host(host):
    assert sdp.parse_fragment(f"a=candidate:1 1 udp 1 {host} 5000 typ host\r\n").candidates == ()


def test_red_is_taken_with_this_opus_in_it_alone():
    assert sdp.parse_offer(CHROMIUM).red_type == 63
    for other in ("a=fmtp:63 111/9", "a=fmtp:63 9/9", "a=x:y"):
        offer = sdp.parse_offer(CHROMIUM.replace("a=fmtp:63 111/111", other))
        assert offer.red_type is None
        assert "red" not in sdp.answer(offer, LOCAL)


def test_lost_packets_may_be_asked_for_where_the_offer_says_so():
    assert not sdp.parse_offer(CHROMIUM).nack
    assert "nack" not in answered(CHROMIUM)[0]
    for feedback in ("a=rtcp-fb:111 nack", "a=rtcp-fb:* nack"):
        text = CHROMIUM.replace("a=rtcp-fb:111 transport-cc", feedback)
        assert sdp.parse_offer(text).nack
        assert "a=rtcp-fb:111 nack\r\n" in answered(text)[0]


def test_a_restart_is_read_and_answered():
    asked = sdp.parse_fragment(f"a=ice-ufrag:abcd\r\na=ice-pwd:{'x' * 22}\r\n")
    assert (asked.ufrag, asked.password) == ("abcd", "x" * 22)
    text = sdp.restarted(sdp.parse_offer(CHROMIUM), "ours", "y" * 22, LOCAL.candidates)
    again = sdp.parse_fragment(text)
    assert (again.ufrag, again.password) == ("ours", "y" * 22)
    assert [each.host for each in again.candidates] == ["203.0.113.7", "10.0.0.5"]
    assert text.index("m=audio") < text.index("a=mid:0") < text.index("a=ice-ufrag")
    with pytest.raises(BadRequest, match="ice-pwd"):
        sdp.parse_fragment("a=ice-ufrag:abcd\r\na=ice-pwd:short\r\n")
