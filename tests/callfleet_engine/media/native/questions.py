"""Questions that both planes are asked: recorded packets, damaged ones, and generated ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

from .reference import joined, shown

MEDIA = Path(__file__).parent.parent
MAPPINGS = (
    "-",
    "1:1",
    "1:7,2:5,3:3,4:14",
    "4:1,255:9,12:2",
    joined(f"{n}:{15 - n}" for n in range(1, 15)),
)
CODECS = ("video/vp8", "video/vp9", "video/h264", "video/av1")
RTP_FIRST = (0x80, 0x90, 0x90, 0x90, 0xB0, 0xA0, 0x92)


def hexadecimal(path: Path) -> list[bytes]:
    """A packet a line, or a whole file with remarks behind #."""
    lines = [line.partition("#")[0] for line in path.read_text().splitlines()]
    if path.parent.name == "fixtures":
        lines = ["".join(lines)]
    return [bytes.fromhex(line) for line in lines if line.strip()]


def recorded(kind: str) -> list[bytes]:
    """Packets of the files, whose names begin so."""
    return [path.read_bytes() for path in sorted((MEDIA / "packets").glob(f"{kind}-*.bin"))]


def payloads() -> list[bytes]:
    """RTP packets with codecs' payloads."""
    files = sorted((MEDIA / "codecs" / "packets").glob("*.hex"))
    return [packet for path in files for packet in hexadecimal(path)]


def feedback() -> list[bytes]:
    """RTCP packets with transport-wide feedback."""
    return [
        each for path in sorted((MEDIA / "fixtures").glob("*.hex")) for each in hexadecimal(path)
    ]


def damaged(data: bytes, chance: Random, least: int, times: int) -> Iterator[bytes]:
    """The packet, beginnings of it of at least so many bytes, and some with other bytes."""
    yield data
    for length in range(least, min(len(data), 64)):
        yield data[:length]
    for _ in range(times):
        changed = bytearray(data)
        for _ in range(chance.randint(1, 4)):
            at = min(chance.randrange(len(data)), chance.randrange(len(data)))
            changed[at] = chance.choice((chance.randrange(256), 0, 255, changed[at] ^ 1 << at % 8))
        yield bytes(changed)


def generated_rtp(chance: Random) -> bytes:
    """With any header extension block, sound or not."""
    block = bytearray()
    two_byte = chance.random() < 0.4
    for _ in range(chance.randrange(6)):
        length = chance.choice((0, 1, 2, 3, 16, chance.randrange(24)))
        identifier = chance.randrange(16) if not two_byte else chance.choice((1, 4, 12, 255))
        if two_byte:
            block += bytes([identifier, length]) + chance.randbytes(length)
        else:
            block += bytes([identifier << 4 | max(length - 1, 0) & 15]) + chance.randbytes(length)
        block += bytes(chance.choice((0, 0, 1, 3)))
    if chance.random() < 0.7:
        block += bytes(-len(block) % 4)
    profile = chance.choice((b"\x10\x00", b"\x10\x07")) if two_byte else b"\xbe\xde"
    if chance.random() < 0.05:
        profile = b"\x12\x34"
    words = len(block) // 4 + chance.choice((0, 0, 0, 0, 1))
    first = chance.choice(RTP_FIRST)
    header = bytes([first, chance.randrange(256)]) + chance.randbytes(10 + 4 * (first & 15))
    extended = profile + words.to_bytes(2, "big") + bytes(block) if first & 0x10 else b""
    payload = chance.randbytes(chance.randrange(40)) + bytes([chance.randrange(12)])
    return header + extended + payload


def rtp_questions(chance: Random) -> Iterator[str]:
    """About headers and header extensions."""
    packets = [*recorded("rtp"), *payloads()]
    whole = [each for packet in packets for each in damaged(packet, chance, 12, 6)]
    whole += [generated_rtp(chance) for _ in range(700)]
    for data in whole:
        text = shown(data)
        yield f"payload_offset {text}"
        yield f"elements {text}"
        yield f"extension {text} {chance.choice((1, 2, 3, 4, 12, 255))}"
        mapping = chance.choice(MAPPINGS)
        yield f"renumber {text} {mapping}"
        yield f"mapped {text} {mapping}"
        yield f"send_time_block {chance.randint(1, 14)} {chance.uniform(0, 1e6)!r} {text} {mapping}"
        yield f"unwrap {text} {chance.randrange(128)} {chance.randrange(1 << 32)}"
        types = chance.choice(("96:97,98:99", "111:112", "-"))
        yield f"wrap 77 {types} {chance.randrange(1 << 16)} {text}"
    for _ in range(100):
        yield f"level_block {chance.randint(1, 14)} {chance.randrange(256)}"
        yield f"padding 5 96:97 {chance.randrange(1 << 16)} {chance.randrange(1 << 32)}"
    for data in recorded("rtp"):
        if not data[0] & 0x0F and not (data[0] & 0x10 and data[12:14] != b"\xbe\xde"):
            yield f"numbered {shown(data)} {chance.randint(1, 14)} {chance.randrange(1 << 16)}"


def payload_offset(data: bytes) -> int:
    """Of a sound packet."""
    at = 12 + 4 * (data[0] & 15)
    return at + 4 + 4 * int.from_bytes(data[at + 2 : at + 4], "big") if data[0] & 0x10 else at


def codec_questions(chance: Random) -> Iterator[str]:
    """About payloads: what starts, which numbers, and how they go on."""
    found = [packet[payload_offset(packet) :][:64] for packet in payloads()]
    found += [chance.randbytes(chance.randrange(24)) for _ in range(800)]
    # With the bits of VP8's and VP9's descriptors as they are mostly set.
    found += [
        bytes([chance.choice((0x90, 0x80, 0xAF, 0x8F, 0x28))]) + chance.randbytes(9)
        for _ in range(800)
    ]
    for payload in found:
        for data in (
            damaged(payload or b"\x00", chance, 0, 3) if chance.random() < 0.2 else [payload]
        ):
            text, by = shown(data), " ".join(str(chance.randint(-70000, 70000)) for _ in range(3))
            for name in CODECS:
                yield f"codec {name} {text}"
                yield f"shift {name} {text} {by}"
            yield f"following {chance.choice(CODECS[:2])} {text} {shown(chance.choice(found))} {by}"
            yield f"red_primary {text}"
            yield f"red_type {text} {chance.randrange(128)}"


def rtcp_questions(chance: Random) -> Iterator[str]:
    """About compound packets, read and written."""
    packets = [*recorded("rtcp"), *feedback()]
    packets += [b"".join(chance.choices(packets, k=chance.randint(2, 5))) for _ in range(60)]
    packets += [packets[0][:4] + chance.randbytes(4 * n) for n in range(20)]
    for _ in range(600):
        words = chance.randrange(14)
        kind = chance.choice((200, 201, 202, 203, 204, 205, 205, 206, 206, 207))
        form = chance.choice((0, 1, 2, 4, 15, 15, chance.randrange(32)))
        first = chance.choice((0x80, 0x80, 0x80, 0xA0, 0x40)) | form
        body = chance.randbytes(4 * words)
        if kind == 202 and words > 2:
            body = body[:4] + bytes([1, chance.randrange(12)]) + body[6:]
        if kind == 206 and chance.random() < 0.6:
            body = body[:8] + b"REMB" + bytes([chance.randrange(4)]) + body[13:]
        packets.append(bytes([first, kind]) + (len(body) // 4).to_bytes(2, "big") + body)
    packets += [bytes([0x81, 203, 0, 1, 0, 0, 0, n % 256]) * n for n in (1, 63, 64, 65, 80)]
    for packet in packets:
        for data in damaged(packet, chance, 0, 12):
            yield f"rtcp {shown(data)}"
    for _ in range(500):
        number, count = chance.choice((2, 3, 14, 15, 400, 8192, 8193)), chance.randint(2, 30)
        chunks = chance.choice((chance.randbytes(count), b"\x20\x03" * 3, b"\xd5\x55\x9a\x55" * 8))
        data = bytes(2) + number.to_bytes(2, "big") + chance.randbytes(4) + chunks
        yield f"feedback {shown(data + chance.randbytes(chance.randrange(60)))}"
    yield from _rtcp_to_write(chance)


def _rtcp_to_write(chance: Random) -> Iterator[str]:
    for _ in range(300):
        word = [chance.randrange(1 << 32) for _ in range(6)]
        name = chance.choice(("a", "alice", "x" * 255, "o" * chance.randint(1, 40)))
        ntp = chance.randrange(1 << 64)
        yield f"write_sr {word[0]} {ntp} {word[1]} {word[2]} {word[3]} {name}"
        lost = chance.choice((0, -5, 1 << 23, -(1 << 24), chance.randint(-(1 << 25), 1 << 25)))
        report = joined([word[0], chance.randrange(256), lost, *word[1:5]])
        yield f"write_rr {word[5]} {chance.randint(0, 31)} {report}"
        base = chance.randrange(1 << 16)
        spread = chance.choice((20, 200, 60000))
        missing = {(base + chance.randrange(spread)) % 65536 for _ in range(chance.randint(1, 40))}
        lost_now = joined(chance.sample(sorted(missing), len(missing)))
        yield f"write_nack {word[0]} {word[1]} {lost_now}"
        yield f"write_pli {word[0]} {word[1]}"
        yield f"write_fir {word[0]} {word[1]} {chance.randrange(256)}"
        rate = chance.randrange(1 << chance.randint(1, 63))
        yield f"write_remb {word[0]} {rate} {joined(word[: chance.randrange(6)])}"
        time, arrivals = 0, list[int | str]()
        small = chance.random() < 0.5
        for _ in range(chance.choice((1, 3, 14, 15, 60, 300))):
            time += chance.randint(0, 255) if small else chance.randint(-33000, 33000)
            arrivals += [chance.choice((time, time, "-"))] * chance.choice((1, 1, 1, 20))
        reference = chance.randint(-(1 << 23), (1 << 23) - 1)
        yield f"write_feedback {base} {reference} {chance.randrange(256)} {joined(arrivals)}"


def timeline_questions(chance: Random) -> Iterator[str]:
    """About timestamps across encodings."""
    for _ in range(1500):
        stamp = [chance.randrange(1 << 32) for _ in range(4)]
        ntp = chance.randrange(1 << 64)
        other = chance.choice((ntp, (ntp + chance.randint(-(1 << 36), 1 << 36)) % (1 << 64)))
        rate = chance.choice((48000, 90000))
        yield f"same_moments {ntp} {stamp[0]} {other} {stamp[1]} {rate}"
        ticks = chance.choice((0, 1, 3000, rate, chance.randint(0, 20 * rate)))
        near = (stamp[3] + ticks + chance.randint(-2 * rate, 2 * rate) - stamp[2]) % (1 << 32)
        wished = chance.choice(("-", stamp[0], near, near))
        yield f"continued {stamp[2]} {stamp[3]} {ticks} {rate} {wished}"
