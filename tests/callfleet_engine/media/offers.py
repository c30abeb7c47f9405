"""Descriptions as clients send them."""

from __future__ import annotations


def chromium_offer() -> str:
    """What Chromium 156 sends for one audio and one video track, shortened."""
    session = (
        "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
        "a=group:BUNDLE 0 1\r\na=extmap-allow-mixed\r\na=msid-semantic: WMS s\r\n"
    )
    common = (
        "c=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n"
        "a=candidate:1 1 udp 2113937151 3c1d.local 50001 typ host generation 0\r\n"
        "a=candidate:2 1 udp 1677729535 192.0.2.7 50001 typ relay raddr 0.0.0.0 rport 0\r\n"
        "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=ice-options:trickle\r\n"
        f"a=fingerprint:sha-256 {':'.join(['AB'] * 32)}\r\na=setup:actpass\r\n"
    )
    audio = (
        f"m=audio 9 UDP/TLS/RTP/SAVPF 111 63\r\n{common}a=mid:0\r\n"
        "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n"
        "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n"
        "a=sendonly\r\na=msid:s t\r\na=rtcp-mux\r\na=rtcp-rsize\r\n"
        "a=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 transport-cc\r\n"
        "a=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:63 red/48000/2\r\n"
        "a=fmtp:63 111/111\r\na=ssrc:111111 cname:c\r\na=ssrc:111111 msid:s t\r\n"
    )
    video = (
        f"m=video 9 UDP/TLS/RTP/SAVPF 96 97 45\r\n{common}a=mid:1\r\n"
        "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n"
        "a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time\r\n"
        "a=sendonly\r\na=msid:s u\r\na=rtcp-mux\r\na=rtcp-rsize\r\n"
        "a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 goog-remb\r\na=rtcp-fb:96 nack pli\r\n"
        "a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=rtpmap:45 AV1/90000\r\n"
        "a=ssrc-group:FID 222222 333333\r\na=ssrc:222222 cname:c\r\na=ssrc:333333 cname:c\r\n"
    )
    return session + audio + video
