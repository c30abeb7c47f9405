"""The commands of a document, as a reader would copy them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
OF_THE_OPERATOR = "-n callfleet-system "
"""In commands that look at the operator itself."""
_BLOCK = re.compile(r"^( *)```sh\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_ANY_BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`((?:kubectl|callfleet) [^`]+)`")
_FOR_ONE_TO_FILL_IN = re.compile(r"\b(?:NAMESPACE|NAME|KIND|POD|NODE)\b")
_COMMENT = re.compile(r"\s{2,}# .*$")


def commands(page: str) -> Iterator[str]:
    """Those in blocks of shell, line by line, then those in the text with a word to fill in."""
    text = (CHECKOUT / "docs" / f"{page}.md").read_text("utf-8")
    for _, block in _BLOCK.findall(text):
        for line in re.sub(r"\\\n\s*", "", block).splitlines():
            if command := _COMMENT.sub("", line).strip():
                yield command
    for command in _INLINE.findall(_BLOCK.sub("", text)):
        if _FOR_ONE_TO_FILL_IN.search(command):
            yield " ".join(command.split())


def blocks(page: str, language: str = "sh") -> Iterator[str]:
    """Whole blocks, as they are pasted. Those within a list are alternatives: left out."""
    text = (CHECKOUT / "docs" / f"{page}.md").read_text("utf-8")
    for indent, found, block in _ANY_BLOCK.findall(text):
        if not indent and found == language:
            yield re.sub(r"\\\n\s*", "", block)


def filled_in(command: str, words: dict[str, str]) -> str:
    """A command with the words that stand for a reader's own."""
    return _FOR_ONE_TO_FILL_IN.sub(lambda found: words[found[0]], command)
