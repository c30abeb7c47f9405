"""Presets of quality as people write them, good and bad: what the operator says of them and what
engines do must be the same."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

SOUND = "{default: a, presets: {a: {audioBitsPerSecond: 32000}}}"
ONE = """\
default: low
presets:
  low:
    height: 360
    framesPerSecond: 15
    audioBitsPerSecond: 32000
    videoBitsPerSecond: 150000
"""
GOOD = [SOUND, ONE, '{"default": "a-1", "presets": {"a-1": {"audioBitsPerSecond": 6000}}}']


def low(**fields: object) -> str:
    """ONE with other fields; None takes one away."""
    figures: dict[str, object] = {
        "height": 360,
        "framesPerSecond": 15,
        "audioBitsPerSecond": 32_000,
        "videoBitsPerSecond": 150_000,
    } | fields
    lines = [f"    {name}: {value}" for name, value in figures.items() if value is not None]
    return "\n".join(["default: low", "presets:", "  low:", *lines])


MANY = "\n".join(
    ["default: a0", "presets:", *(f"  a{i}: {{audioBitsPerSecond: 32000}}" for i in range(21))]
)
BAD = [
    ("", "the "),
    ("- 1", "the "),
    ("presets: [", "YAML"),
    ("[" * 101, "brackets"),
    ("[" * 99, "YAML"),
    ("- " * 8_000, "YAML"),
    ("a: 2026-99-99", "YAML"),
    ("# " + "x" * 16_384, "bytes"),
    ("presets: {a: {audioBitsPerSecond: 32000}}", "default: Field required"),
    ("{default: a, presets: {}}", "presets: "),
    (MANY, "presets: "),
    (SOUND.replace("default: a", "default: b"), "default names b"),
    (SOUND.replace("{a:", "{A:"), "presets.A"),
    (SOUND.replace("{a:", "{on:"), "Input should be a valid string"),
    (SOUND.replace("default: a", "other: 1, default: a"), "other: "),
    (SOUND.replace("32000", "5999"), "presets.a.audioBitsPerSecond: "),
    (SOUND.replace("32000", "32000.5"), "presets.a.audioBitsPerSecond: "),
    (SOUND.replace("32000", "'32000'"), "presets.a.audioBitsPerSecond: "),
    (low(audioBitsPerSecond=None), "presets.low.audioBitsPerSecond: Field required"),
    (low(videoBitsPerSecond=None), "presets.low: give all of height"),
    (low(height=0), "presets.low.height: "),
    (low(framesPerSecond=True), "presets.low.framesPerSecond: "),
    (low(videoBitsPerSecond=100_000_001), "presets.low.videoBitsPerSecond: "),
    (low(bitrate=1), "presets.low.bitrate: "),
]
"""Texts, and what of each an error names."""

_NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
_SOUNDS: st.SearchStrategy[dict[str, int]] = st.fixed_dictionaries(
    {"audioBitsPerSecond": st.integers(6_000, 510_000)}
)
_PICTURES: st.SearchStrategy[dict[str, int]] = st.fixed_dictionaries(
    {
        "height": st.integers(90, 4320),
        "framesPerSecond": st.integers(1, 120),
        "audioBitsPerSecond": st.integers(6_000, 510_000),
        "videoBitsPerSecond": st.integers(30_000, 100_000_000),
    }
)


@st.composite
def valid(draw: st.DrawFn) -> dict[str, Any]:
    """The content of a file that is in order."""
    presets = draw(st.dictionaries(_NAMES, _SOUNDS | _PICTURES, min_size=1, max_size=6))
    return {"default": draw(st.sampled_from(sorted(presets))), "presets": presets}


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 10**9) | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=4,
)


@st.composite
def nearly(draw: st.DrawFn) -> Any:  # noqa: ANN401  # any content of a file
    """Such a content with one part of it replaced by anything."""
    content = draw(valid())
    preset = content["presets"][content["default"]]
    place = draw(st.sampled_from([content, content["presets"], preset]))
    place[draw(st.sampled_from(sorted(place)))] = draw(_ANY)
    return content
