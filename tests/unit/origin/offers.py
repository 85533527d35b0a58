"""Offers as real clients make them, shortened where they repeat themselves."""

FINGERPRINT = ":".join(["AB"] * 32)

CHROMIUM = f"""\
v=0
o=- 7614219274584779017 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0
a=extmap-allow-mixed
a=msid-semantic: WMS 2b8d
m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=candidate:2437072876 1 udp 2122194687 192.0.2.5 51234 typ host generation 0 network-id 1
a=candidate:1 1 udp 2122194687 2a3cbd60-5e1b-4b0e-9d0f-7a2f0a3c1e11.local 51235 typ host generation 0
a=candidate:3 1 tcp 1518214911 192.0.2.5 9 typ host tcptype active generation 0
a=ice-ufrag:Xb3q
a=ice-pwd:7Hj2kL9mN4pQ6rS8tU1vW3xY
a=ice-options:trickle
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:actpass
a=mid:0
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=sendrecv
a=msid:2b8d 9f6a
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=fmtp:63 111/111
a=rtpmap:0 PCMU/8000
a=ssrc:3302784410 cname:mCQ
""".replace("\n", "\r\n")

FFMPEG = f"""\
v=0
o=FFmpeg 4489045141692799359 2 IN IP4 127.0.0.1
s=FFmpegPublishSession
t=0 0
a=group:BUNDLE 0
a=extmap-allow-mixed
a=msid-semantic: WMS
m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
a=ice-ufrag:9f6a12bc
a=ice-pwd:0123456789abcdef0123456789abcdef
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:passive
a=mid:0
a=sendonly
a=msid:FFmpeg audio
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=ssrc:1234567 cname:FFmpeg
""".replace("\n", "\r\n")

_VIDEO = """\
m=video 9 UDP/TLS/RTP/SAVPF 96 97
c=IN IP4 0.0.0.0
a=mid:{mid}
a=sendonly
a=rtcp-mux
a=rtpmap:96 H264/90000
"""

WITH_VIDEO = (
    FFMPEG.replace("BUNDLE 0", "BUNDLE v 0 extra")
    .replace("m=audio", _VIDEO.format(mid="v").replace("\n", "\r\n") + "m=audio", 1)
    .replace("\r\na=ssrc:1234567 cname:FFmpeg", "")
    + "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:extra\r\na=rtpmap:111 opus/48000/2\r\n"
)

VIDEO_ONLY = FFMPEG[: FFMPEG.index("m=audio")] + _VIDEO.format(mid="0").replace("\n", "\r\n")
