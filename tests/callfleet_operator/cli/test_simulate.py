"""`callfleet simulate` as a person runs it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from callfleet_operator.cli import main
from callfleet_operator.cli.views.simulate import screen
from callfleet_operator.simulate.comparison import compare
from callfleet_operator.simulate.durations import Exponential
from callfleet_operator.simulate.replay import Assumptions
from callfleet_operator.simulate.traffic import traffic
from tests.callfleet_operator.cli.commands import data, refused
from tests.callfleet_operator.cli.golden import check
from tests.callfleet_operator.plan.samples import cluster
from tests.callfleet_operator.reconcile.specs import make_cluster, make_pool
from tests.callfleet_operator.reconcile.world import World
from tests.callfleet_operator.simulate.samples import history

SPEC = """
apiVersion: callfleet.dev/v1alpha1
kind: CallCluster
metadata: {name: calls}
spec:
  capacity: {participantsPerPod: 40}
  scaling: {maxReplicas: 9}
  store: {type: PostgreSQL, postgresql: {uriSecretRef: {name: calls-db}}}
  cost: {podMonthly: "73", currency: EUR}
"""
LOAD = "time,participants\n0,40\n600,200\n1200,200\n1800,40\n3600,40\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("calls.yaml").write_text(SPEC)
    Path("load.csv").write_text(LOAD)
    return tmp_path


def run(*arguments: str, stdin: str | None = None) -> Result:
    ran = CliRunner().invoke(main, ["simulate", *arguments], input=stdin, prog_name="callfleet")
    if ran.exception is not None and not isinstance(ran.exception, SystemExit):
        raise ran.exception
    return ran


FILES = ("-f", "calls.yaml", "--csv", "load.csv", "--call-minutes", "10")


def test_a_screen() -> None:
    spec = cluster(capacity=40, max_replicas=9)
    priced = spec.model_copy(
        update={"cost": spec.cost.model_copy(update={"pod_monthly": "73", "currency": "EUR"})}
    )
    calls = traffic(history(40, 200, 200, 40, 40, 0, 0), Exponential(900), 2, seed=1)
    check("simulate", screen(compare("CallCluster media/calls", priced, calls, Assumptions())))


def test_a_screen_of_a_change() -> None:
    calls = traffic(history(40, 400, 400, 40, 40, 0, 0), Exponential(900), 2, seed=1)
    compared = compare(
        "CallCluster media/calls",
        cluster(capacity=40, max_replicas=4),
        calls,
        Assumptions(),
        present=cluster(capacity=40),
        notes=("A note.",),
    )
    check("simulate-change", screen(compared))


@pytest.mark.usefixtures("place")
def test_files_alone_ask_no_cluster() -> None:
    said = run(*FILES, "--people-per-call", "2", "-n", "media", "--kubeconfig", "/none")
    assert said.exit_code == 0, said.output
    assert "CallCluster media/calls" in said.stdout
    assert "cost, EUR" in said.stdout
    assert said.stderr == ""


@pytest.mark.usefixtures("place")
def test_for_programs() -> None:
    found = json.loads(run(*FILES, "--set", "spec.scaling.maxReplicas=2", "-o", "json").stdout)
    assert found["version"] == 1
    assert found["seconds"] == 3600
    assert found["notes"][0].startswith("Calls are taken to have 2 people")
    before, changed, hpa, keda = found["outcomes"]
    assert [one["name"] for one in found["outcomes"]] == [
        "Callfleet, as it is",
        "Callfleet, changed",
        "HPA",
        "KEDA",
    ]
    assert before["mostPods"] > 3 >= changed["mostPods"]
    assert before["blockedCalls"] < changed["blockedCalls"]
    assert (before["cutCalls"], changed["cutCalls"]) == (0, 0)
    assert max(hpa["pods"] + keda["pods"]) <= 4, (
        "the changed bounds hold for all, ending pods apart"
    )
    assert len(before["pods"]) == 3600 / before["everySeconds"] + 1
    assert float(before["cost"]) == pytest.approx(before["podHours"] * 0.1, abs=0.005)


@pytest.mark.usefixtures("place")
def test_twice_is_the_same_and_another_seed_another() -> None:
    first, again = (run(*FILES, "-o", "yaml").stdout for _ in range(2))
    assert first == again
    assert run(*FILES, "-o", "yaml", "--seed", "2").stdout != first


def test_charts_are_drawn(place: Path) -> None:
    said = run(*FILES, "--chart", "a.png", "--chart", "b.HTML")
    assert said.exit_code == 0, said.output
    assert said.stderr == "Drawn: a.png\nDrawn: b.HTML\n"
    assert (place / "a.png").read_bytes()[:4] == b"\x89PNG"
    assert "<svg" in (place / "b.HTML").read_text()


@pytest.mark.usefixtures("place")
def test_without_matplotlib_the_remedy_is_named_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "callfleet_operator.simulate.chart", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    said = run(*FILES, "--chart", "a.png")
    assert (said.exit_code, said.stdout) == (1, "")
    assert 'pip install "callfleet[simulate]"' in said.stderr
    assert run(*FILES).exit_code == 0, "the table needs none"


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Name a CallCluster, or a file with one (-f)."),
        (("-f", "calls.yaml", "--csv", "load.csv"), "add --call-minutes, the mean"),
        ((*FILES, "--chart", "a.pdf"), "--chart a.pdf: end its name in .png or .html."),
        ((*FILES, "--chart", "no/a.png"), "no/a.png cannot be written: No such file"),
        (("-f", "load.csv", *FILES[2:]), "load.csv"),
        (("-f", "-", *FILES[2:]), "There is no CallCluster in standard input"),
        ((*FILES, "--set", "spec.mode"), "--set spec.mode: write a field of the spec and its"),
        (
            (*FILES, "--set", "spec.scaling.targetUtilisationPercent=60"),
            "no field spec.scaling.targetUtilisationPercent: write targetUtilizationPercent",
        ),
        (
            (*FILES, "--set", "spec.scaling.targetUtilizationPercent=99"),
            "spec.scaling.targetUtilizationPercent: Input should be less than or equal to 95",
        ),
        (
            (*FILES, "--set", "spec.scaling.minReplicas=10"),
            "spec.scaling.minReplicas: minReplicas must not be above maxReplicas: lower",
        ),
        (
            ("-f", "calls.yaml", "--csv", "bad.csv", "--call-minutes", "1"),
            "bad.csv: line 2, column",
        ),
        (
            ("-f", "calls.yaml", "--csv", "latin.csv", "--call-minutes", "1"),
            "is not UTF-8 (octet 0)",
        ),
        (("-f", "calls.yaml", "--since", "soon"), "write a time such as 90s"),
        (
            ("-f", "calls.yaml", "--prometheus-url", "http://127.0.0.1:1"),
            "http://127.0.0.1:1 cannot be reached",
        ),
    ],
)
def test_what_cannot_be_done_is_said_with_the_remedy(arguments: tuple[str, ...], said: str) -> None:
    Path("bad.csv").write_text("time,calls\n0,x\n")
    Path("latin.csv").write_bytes("é,1\n".encode("latin-1"))
    ran = run(*arguments, stdin="")
    assert ran.exit_code in (1, 2)
    assert said in ran.stderr.replace("\n", " ")
    assert "Traceback" not in ran.stderr


@pytest.mark.api
@pytest.mark.peer
async def test_a_live_object_is_the_present_spec(here: World, place: Path) -> None:
    await make_cluster(here)
    csv = ("--csv", str(place / "load.csv"), "--call-minutes", "10")
    found = await data(here, "simulate", "calls", *csv, "--set", "spec.scaling.maxReplicas=2")
    assert found["object"] == f"CallCluster {here.namespace}/calls"
    before, changed, *_ = found["outcomes"]
    assert (before["name"], changed["name"]) == ("Callfleet, as it is", "Callfleet, changed")
    (unchanged, *_) = (await data(here, "simulate", "calls", *csv))["outcomes"]
    assert unchanged["name"] == "Callfleet"
    assert unchanged["pods"] == before["pods"]


@pytest.mark.api
@pytest.mark.peer
async def test_what_the_cluster_does_not_have_is_said(here: World) -> None:
    await make_cluster(here)
    await make_pool(here)
    assert "There is no CallCluster or TurnPool none" in await refused(here, "simulate", "none")
    assert "relays is a TurnPool" in await refused(here, "simulate", "tp/relays")
    said = await refused(here, "simulate", "calls", "--operator-namespace", here.namespace)
    assert f"There is no operator with a Prometheus in namespace {here.namespace}" in said
