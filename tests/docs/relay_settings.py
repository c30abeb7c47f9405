"""Writes the table of the relay's settings in docs/relay.md.

    python -m tests.docs.relay_settings

What a flag does is its help; defaults and bounds are those of the checked settings.
"""

from __future__ import annotations

from pathlib import Path

import click
from pydantic.fields import FieldInfo

from callfleet_relay.__main__ import main as relay
from callfleet_relay.settings import Settings

PAGE = Path(__file__).parents[2] / "docs" / "relay.md"
BEGIN = "<!-- Settings: written by `python -m tests.docs.relay_settings`. -->"
END = "<!-- End of the settings. -->"
OF_NO_DEFAULT = {"relay_address": "required", "pod_uid": "a random one"}


def table() -> str:
    """A line for each flag, in the order of `--help`."""
    lines = ["| flag | default | allowed | what |", "|---|---|---|---|"]
    for option in relay.params:
        if not isinstance(option, click.Option) or option.name not in Settings.model_fields:
            continue
        field = Settings.model_fields[option.name]
        cells = (
            f"`{option.opts[-1]}`",
            default_of(option.name, field),
            allowed_of(option, field),
            (option.help or "").replace("|", "\\|"),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def default_of(name: str, field: FieldInfo) -> str:
    """As `callfleet-relay` takes it where the flag is absent."""
    if name in OF_NO_DEFAULT:
        return OF_NO_DEFAULT[name]
    value = field.default
    if value is False:
        return "off"
    if value in (None, "", ()):
        return "none"
    return f"`{value[0] if isinstance(value, tuple) else value}`"


def allowed_of(option: click.Option, field: FieldInfo) -> str:
    """Bounds of a number, the values of a choice, how often a list may be given."""
    if isinstance(option.type, click.Choice):
        return ", ".join(f"`{each}`" for each in option.type.choices)
    bounds = {name: getattr(each, name) for each in field.metadata for name in vars_of(each)}
    if option.multiple:
        return f"up to {bounds['max_length']} times"
    if option.is_flag or not bounds.keys() & {"ge", "le"}:
        return ""
    least, most = bounds.get("ge", 0), bounds.get("le")
    return f"{least:,} or more" if most is None else f"{least:,} to {most:,}"


def vars_of(constraint: object) -> list[str]:
    return [each for each in ("ge", "le", "max_length") if hasattr(constraint, each)]


def with_table(page: str) -> str:
    """The page with the table as it is now."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text("utf-8")), "utf-8")
