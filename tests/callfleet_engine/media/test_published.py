"""What a publisher is told: keyframes wanted, packets missing, how it is received."""

from __future__ import annotations

from aiortc.rtp import (
    RTCP_PSFB_APP,
    RTCP_PSFB_PLI,
    AnyRtcpPacket,
    RtcpPacket,
    RtcpPsfbPacket,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    unpack_remb_fci,
)

from tests.callfleet_engine.media.test_downtrack import Setup


def told(s: Setup) -> list[AnyRtcpPacket]:
    return [packet for data in s.upstream.rtcp for packet in RtcpPacket.parse(data)]


def keyframe_requests(s: Setup) -> int:
    return sum(isinstance(p, RtcpPsfbPacket) and p.fmt == RTCP_PSFB_PLI for p in told(s))


def test_keyframe_requests_are_one_in_half_a_second() -> None:
    s = Setup()
    s.attach()
    s.publish(1)
    for _ in range(10):
        s.down.request_keyframe(1000.0)
    assert keyframe_requests(s) == 1
    s.track.tick(1000.4)
    assert keyframe_requests(s) == 1
    s.track.tick(1000.5)
    s.track.tick(1000.6)
    s.track.tick(1002.0)
    assert keyframe_requests(s) == 2
    assert s.down.pli_count == 10


def test_a_keyframe_is_asked_for_as_long_as_somebody_waits_for_it() -> None:
    s = Setup()
    s.publish(1)
    s.attach()
    layer = s.track.layers[0]
    for tick in range(11):
        s.track.tick(s.now + tick / 10)
    assert keyframe_requests(s) == 3
    s.publish(2)
    assert layer.waiting == []
    s.track.tick(s.now + 5)
    assert keyframe_requests(s) == 3


def test_nobody_is_asked_for_a_keyframe_that_nobody_gets() -> None:
    s = Setup()
    s.publish(1)
    s.track.request_keyframe(s.now)
    s.track.tick(s.now)
    assert keyframe_requests(s) == 0


def test_a_refused_send_is_tried_again() -> None:
    s = Setup()
    s.attach()
    s.publish(1)
    s.upstream.up = False
    s.track.request_keyframe(1.0)
    s.upstream.up = True
    s.track.tick(1.1)
    assert keyframe_requests(s) == 1


def test_missing_packets_are_asked_for_at_once() -> None:
    s = Setup()
    for sequence in (1, 2, 5):
        s.publish(sequence)
    nacks = [p for p in told(s) if isinstance(p, RtcpRtpfbPacket)]
    assert [(n.lost, n.media_ssrc) for n in nacks] == [([3, 4], 1)]


def test_missing_packets_over_the_wrap_are_asked_for() -> None:
    s = Setup()
    for sequence in (65_533, 65_539):
        s.publish(sequence)
    nacks = [p for p in told(s) if isinstance(p, RtcpRtpfbPacket)]
    assert [sorted(n.lost) for n in nacks] == [[0, 1, 2, 65_534, 65_535]]


def test_report_says_how_the_stream_arrives_and_what_it_may_send() -> None:
    s = Setup()
    s.track.report(0.5)
    assert s.upstream.rtcp == []
    for sequence in (1, 2, 4):
        s.publish(sequence)
    s.upstream.rtcp.clear()
    s.track.report(s.now)
    report, remb = told(s)
    assert isinstance(report, RtcpRrPacket)
    assert [(r.ssrc, r.packets_lost, r.fraction_lost) for r in report.reports] == [(1, 1, 64)]
    assert isinstance(remb, RtcpPsfbPacket)
    assert remb.fmt == RTCP_PSFB_APP
    bitrate, ssrcs = unpack_remb_fci(remb.fci)
    assert (ssrcs, abs(bitrate - 1_000_000) < 10) == ([1], True)
    counters = s.totals.snapshot()
    assert counters.lost_packets_in == 1
    assert counters.jitter_seconds.buckets[-1][1] == 1


def test_losses_of_a_stream_that_ended_stay_counted() -> None:
    s = Setup()
    for sequence in (1, 4):
        s.publish(sequence)
    s.track.use_ssrc(2)
    s.track.close()
    assert s.totals.snapshot().lost_packets_in == 2


def test_leaving_detaches_subscribers() -> None:
    s = Setup()
    s.attach()
    s.track.close()
    s.publish(1)
    assert s.down.track is None
    assert s.wire.packets == []
