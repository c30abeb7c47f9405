"""What `make images` prints: the Helm values, and a note where there is no Rust compiler."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.cluster import images
from tests.cluster.images import CHECKOUT, PARTS, Image

IMAGE = Image("relay", "localhost/callfleet-relay:0.1.0-abc", Path("relay.tar"))


@pytest.mark.parametrize("registry", ["registry.example.org/team", "registry.example.org/team/"])
def test_an_image_keeps_its_name_and_tag_in_a_registry(registry: str) -> None:
    name = images.named_for(IMAGE, registry)

    assert name == "registry.example.org/team/callfleet-relay:0.1.0-abc"


def test_the_values_are_those_of_the_chart() -> None:
    references = {part: f"registry.example.org/callfleet-{part}:1" for part in PARTS}

    values = yaml.safe_load(images.helm_values(references))

    assert values == {part: {"image": name} for part, name in references.items()}
    defaults = yaml.safe_load((CHECKOUT / "charts/callfleet/values.yaml").read_text("utf-8"))
    assert all("image" in defaults[part] for part in values)


@pytest.mark.parametrize("there", [True, False])
def test_without_a_compiler_a_note_goes_where_the_values_do_not(
    there: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if there:
        (tmp_path / "cargo").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    images.note_missing_compiler()

    printed = capsys.readouterr()
    assert printed.out == ""
    assert ("install Rust" in printed.err) is not there


def test_the_note_names_each_part_that_has_a_native_plane() -> None:
    native = [part for part in PARTS if (CHECKOUT / part / "native").is_dir()]

    assert f"the images of {' and '.join(native)} are made without" in images.NO_COMPILER
