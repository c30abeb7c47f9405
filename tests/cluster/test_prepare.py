"""What the machine must have: one message for all of it, and each name is right."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cluster import prepare
from tests.cluster.errors import HarnessError
from tests.cluster.prepare import (
    CARGO,
    CARGO_TOOLS,
    GO,
    NODE,
    NPM,
    REQUIREMENTS,
    Requirement,
)

PACKAGED = [
    requirement
    for requirement in REQUIREMENTS
    if requirement not in {CARGO, *CARGO_TOOLS, GO, NODE, NPM}
]
"""Go, Rust and Node.js often come from elsewhere, and any that is there will do."""


def _file_of(requirement: Requirement) -> Path | None:
    if requirement.files:
        found = (path for pattern in requirement.files for path in Path("/").glob(pattern))
        return next(found, None)
    program = shutil.which(requirement.name, path=f"/usr/bin:/bin:{prepare.SYSTEM_FOLDERS}")
    return Path(program) if program else None


@pytest.mark.peer
@pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="names packages of Debian")
@pytest.mark.parametrize("requirement", PACKAGED, ids=lambda r: r.name)
def test_the_package_brings_the_program(requirement: Requirement) -> None:
    """The owner of the file is the package that we would install, or one it depends on."""
    file = _file_of(requirement)
    assert file is not None, f"{requirement.name} is missing: run `prepare`"
    owners = _owners(file.resolve()) or _owners(Path(*("/", *file.parts[2:])))  # /usr merged
    closure = _depends_on(requirement.package)
    assert owners & closure, f"{file} belongs to {owners}, not to {requirement.package}"


def test_one_message_names_everything_and_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "REQUIREMENTS", (_lacking("etcdd", "a"), _lacking("cnid", "b")))
    with pytest.raises(HarnessError) as caught:
        prepare.require(prepare.EVERYTHING)
    message = str(caught.value)
    assert "Missing: etcdd, cnid." in message
    assert "sudo apt-get install --yes --no-install-recommends a b\n" in message


def test_what_is_there_is_not_asked_for() -> None:
    assert Requirement("sh", "dash", ()).is_there()
    assert Requirement("a file", "base-files", (), files=("nowhere", "etc/pass*")).is_there()
    assert not _lacking("etcdd", "a").is_there()


def test_services_are_held_down_only_meanwhile(tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    with prepare.services_stay_down([], policy):
        assert subprocess.run([policy], check=False).returncode == 101  # invoke-rc.d(8)
    assert not policy.exists()


def test_an_administrators_own_policy_stays(tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 0\n")
    with prepare.services_stay_down([], policy):
        assert policy.read_text() == "#!/bin/sh\nexit 0\n"
    assert policy.exists()


def test_a_policy_that_a_killed_run_left_is_removed(tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    policy.write_text(prepare.POLICY_TEXT)
    with prepare.services_stay_down([], policy):
        pass
    assert not policy.exists()


def _lacking(name: str, package: str) -> Requirement:
    return Requirement(name, package, (prepare.API,))


def _owners(file: Path) -> set[str]:
    done = subprocess.run(["dpkg-query", "-S", file], capture_output=True, text=True, check=False)
    names = done.stdout.partition(": /")[0]
    return {name.split(":")[0].strip() for name in names.split(",")} - {""}


def _depends_on(package: str) -> set[str]:
    argv = ["dpkg-query", "--show", "--showformat=${Depends},${Pre-Depends}", package]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    alternatives = done.stdout.replace("|", ",").split(",")
    return {package} | {a.split()[0].split(":")[0] for a in alternatives if a.strip()}
