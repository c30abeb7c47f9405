"""`callfleet plan` with flags and files: no cluster is asked."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from callfleet_operator.cli import main
from callfleet_operator.cli.planning.asked import Asked
from callfleet_operator.cli.planning.inputs import inputs_of
from callfleet_operator.cli.planning.manifest import read_manifest
from callfleet_operator.cli.session import Problem
from callfleet_operator.cli.views.figures import money, percent, plain
from callfleet_operator.cli.views.plan import page
from callfleet_operator.plan.sizing.size import at_concurrent, size
from tests.callfleet_operator.cli.golden import check

FLEET = """
apiVersion: v1
kind: Namespace
metadata: {name: media}
---
apiVersion: callfleet.dev/v1alpha1
kind: CallCluster
metadata: {name: calls, namespace: media}
spec:
  capacity: {participantsPerPod: 60}
  scaling: {minReplicas: 2, maxReplicas: 4, targetUtilizationPercent: 60}
  exposure: {type: HostPort}
  store: {type: PostgreSQL, postgresql: {uriSecretRef: {name: calls-db}, maxConnectionsPerPod: 12}}
  turn: {poolRefs: [{name: relays}, {name: edge, namespace: shared}]}
  cost: {podMonthly: "140", egressPerGB: "0.05", currency: EUR}
---
apiVersion: callfleet.dev/v1alpha1
kind: TurnPool
metadata: {name: relays, namespace: media}
spec:
  scaling: {minReplicas: 2, targetSaturationPercent: 50}
  quota: {allocationsPerPod: 500}
  cost: {podMonthly: "69.90", currency: EUR}
"""


def run(*arguments: str, stdin: str = "") -> Result:
    result = CliRunner().invoke(main, ["plan", *arguments], prog_name="callfleet", input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def data(*arguments: str, stdin: str = "") -> Any:  # noqa: ANN401
    result = run(*arguments, "-o", "json", stdin=stdin)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def refused(*arguments: str, stdin: str = "") -> str:
    result = run(*arguments, stdin=stdin)
    assert result.exit_code in (1, 2), result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    return result.stderr


def drawn(asked: Asked, manifest: str = "") -> Any:  # noqa: ANN401
    planned = (
        read_manifest(manifest, "fleet.yaml", name="", namespace="media") if manifest else None
    )
    inputs, assumptions = inputs_of(asked, planned)
    sizing = size(inputs)
    rows = at_concurrent(sizing, (10, 50, 100, 500, 1000))
    return page(sizing, assumptions, rows, planned.title if planned else "Plan")


def test_a_page_with_prices() -> None:
    asked = Asked(
        users=1000,
        pod_price=Decimal(140),
        relay_price=Decimal(70),
        egress_price=Decimal("0.05"),
        other_monthly=Decimal(150),
    )
    check("plan", drawn(asked))


def test_a_page_without() -> None:
    check("plan-unpriced", drawn(Asked(concurrent=300, bitrate="360p")))


def test_a_page_of_a_file() -> None:
    check("plan-file", drawn(Asked(users=3000), FLEET))


def test_piped_it_is_plain_lines() -> None:
    text = run("--users", "1000").stdout
    assert "\x1b" not in text
    assert "= 1,000 users x 20 h a month\n" in text
    assert text.startswith("Plan: 1,000 users, 136 in calls at a time: 2 engine pods, 4 relays, ")


def test_for_programs() -> None:
    found = data(
        "--users=1000", "--pod-price=140", "--relay-price=70", "--egress-price=0.05", "--at=10"
    )

    assert found["version"] == 1
    assert found["figures"]["engines"]["pods"]["value"] == 2
    assert found["figures"]["load"]["userHours"] == {
        "value": 20000,
        "unit": "h a month",
        "arithmetic": "1,000 users x 20 h a month",
    }
    assert found["figures"]["relays"]["relays"]["pods"]["value"] == 4
    assert found["figures"]["cost"]["total"]["value"] == "1784.72"
    assert found["figures"]["cost"]["egressGigabytes"]["value"] == 24494.4
    (row,) = found["byConcurrent"]
    assert (row["concurrent"], row["pods"], row["relays"]) == (10, 1, 1)
    assert row["total"] == "299.81"  # 140 + 70 + 1,796.256 GB x 0.05
    assert {"name": "users", "value": 1000, "unit": "", "source": "--users"} in found["assumptions"]
    as_yaml = run("--users=1000", "-o", "yaml")
    assert yaml.safe_load(as_yaml.stdout) == data("--users=1000")


def test_what_is_not_known_is_null() -> None:
    found = data("--users=1000", "--pod-price=140")

    assert found["figures"]["cost"]["enginePods"]["value"] == "280.00"
    assert found["figures"]["cost"]["total"]["value"] is None
    assert {row["total"] for row in found["byConcurrent"]} == {None}
    (note,) = [note for note in found["notes"] if "total is not known" in note]
    assert "--relay-price" in note
    assert "--egress-price" in note
    assert "--pod-price" not in note


def test_the_source_documents_thousand_users() -> None:
    found = data(
        *("--users=1000", "--concurrent=1000", "--hours-per-month=720", "--people-per-call=2"),
        *("--overhead-percent=0", "--participants-per-pod=150"),
        *("--pod-price=140", "--relay-price=70", "--egress-price=0.05", "--other-monthly=150"),
    )

    cost = found["figures"]["cost"]
    assert cost["egressGigabytes"]["value"] == 279_936
    assert cost["relayEgress.relays"]["value"] == "13996.80"
    assert cost["total"]["value"] == "16526.80"


def sources(found: Any) -> dict[str, tuple[object, str]]:  # noqa: ANN401
    return {one["name"]: (one["value"], one["source"]) for one in found["assumptions"]}


@pytest.mark.parametrize("where", ["file", "standard input"])
def test_a_manifest_gives_capacity_limits_and_prices(where: str, tmp_path: Path) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text(FLEET)
    found = (
        data("-f", str(file), "--users=3000")
        if where == "file"
        else data("-f-", "--users=3000", stdin=FLEET)
    )

    said = sources(found)
    assert said["participantsPerPod"] == (60, "CallCluster calls: capacity.participantsPerPod")
    assert said["podPrice"] == ("140", "CallCluster calls: cost.podMonthly")
    assert said["relayPrice.relays"] == ("69.90", "TurnPool relays: cost.podMonthly")
    assert said["relayEgressPrice.relays"] == ("0.05", "as of engines")
    assert said["relayedPercent"][0] == 5
    assert said["allocationsPerRelay.relays"] == (500, "TurnPool relays: quota.allocationsPerPod")
    assert said["allocationsPerRelay.shared/edge"] == (2000, "default: quota.allocationsPerPod")
    figures = found["figures"]
    # 3,000 x 20 h / 22 x 15 % = 409.1 people over 60 x 60 % = 11.4
    assert figures["engines"]["byTarget"]["value"] == 12
    assert (
        figures["engines"]["databaseConnections"]["value"]
        == figures["engines"]["pods"]["value"] * 12
    )
    assert figures["relays"]["relays"]["pods"]["value"] == 2
    assert figures["cost"]["relayPods.relays"]["value"] == "139.80"
    assert figures["cost"]["relayPods.relays"]["unit"] == "EUR"
    assert any("maxReplicas is 4 and 12 are needed" in note for note in found["notes"])


def test_what_relays_are_told_to_bear() -> None:
    env = 'env: [{name: CALLFLEET_RELAY_SUSTAINABLE_PACKET_RATE, value: "MANY"}]'
    manifest = FLEET.replace("  quota:", f"  {env}\n  quota:")
    found = data("-f-", "--users=10", stdin=manifest.replace("MANY", "1000"))
    assert sources(found)["relayPackets.relays"] == (
        1000,
        "TurnPool relays: env CALLFLEET_RELAY_SUSTAINABLE_PACKET_RATE",
    )
    assert sources(found)["relayPackets.shared/edge"][0] == 30_000
    message = refused("-f-", "--users=10", stdin=manifest.replace("MANY", "fast"))
    assert "to 'fast': write packets a second, or say --relay-packets" in message


def test_flags_go_before_the_manifest() -> None:
    said = sources(data("-f-", "--users=10", "--participants-per-pod=99", stdin=FLEET))
    assert said["participantsPerPod"] == (99, "--participants-per-pod")


def test_what_kubectl_prints_is_read() -> None:
    items = list(yaml.safe_load_all(FLEET))
    listed = yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": items})
    assert data("-f-", "--users=10", stdin=listed) == data("-f-", "--users=10", stdin=FLEET)


def cluster(**spec: object) -> str:
    return json.dumps(
        {
            "apiVersion": "callfleet.dev/v1alpha1",
            "kind": "CallCluster",
            "metadata": {"name": "calls"},
            "spec": spec,
        }
    )


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        ([], "Say --users N, or --concurrent N"),
        (["--users=0"], "0 is not in the range"),
        (["--users=many"], "'many' is not a valid integer"),
        (["--users=10", "--hours-per-month=two"], "write a decimal number such as 2.5"),
        (["--users=10", "--hours-per-month=nan"], "write a number from 0.01 to 744"),
        (["--users=10", "--hours-per-month=0"], "write a number from 0.01 to 744"),
        (["--users=10", "--hours-per-month=745"], "write a number from 0.01 to 744"),
        (["--users=10", "--pod-price=-1"], "write a number from 0"),
        (["--users=10", "--currency=euro"], "write an ISO 4217 code such as EUR"),
        (["--users=10", "--bitrate=4k"], "'1080p'"),
        (["--users=10", "--concurrent=5", "--busy-days=5"], "remove --busy-days"),
        (["--users=10", "--concurrent=50"], "lower --concurrent or raise --users"),
        (["--users=10", "--audio-kbit=0", "--bitrate=audio"], "raise --audio-kbit or --video-kbit"),
        (["--users=10", "--target-percent=85"], "raise --new-call-limit-percent"),
        (["--users=10", "-f", "no-such.yaml"], "does not exist"),
        (["tp/relays", "--users=10"], "A plan is made of a CallCluster"),
    ],
)
def test_bad_flags_are_told_what_to_do(arguments: list[str], remedy: str) -> None:
    assert remedy in refused(*arguments)


@pytest.mark.parametrize(
    ("manifest", "remedy"),
    [
        ("kind: [", "standard input is no YAML: "),
        ('{"apiVersion": "v1", "kind": "List", "items": 3}', "no Kubernetes object"),
        ('{"apiVersion": "callfleet.dev/v1", "kind": ["a"]}', "has no kind ['a']"),
        (
            '{"apiVersion": "callfleet.dev/v1alpha1", "kind": "CallCluster", "metadata": 3}',
            "no metadata.name",
        ),
        ("just text", "each document needs apiVersion, kind and metadata"),
        ("", "There is no CallCluster in standard input"),
        ('{"apiVersion": "callfleet.dev/v1alpha1", "kind": "CallFleet"}', "no kind CallFleet"),
        ('{"apiVersion": "callfleet.dev/v1alpha1", "kind": "CallCluster"}', "no metadata.name"),
        (f"{cluster()}\n---\n{FLEET}", "has several CallClusters (calls, calls): write the name"),
        (
            cluster(capacity={"participantPerPod": 3}),
            "there is no field spec.capacity.participantPerPod: write participantsPerPod.",
        ),
        (
            cluster(turn={"poolRefs": [{"names": "a"}]}),
            "there is no field spec.turn.poolRefs[].names: write name.",
        ),
        (cluster(cost={"podMonthly": "12,50"}), "spec.cost.podMonthly: String should match"),
        (cluster(capacity={"participantsPerPod": 0}), "spec.capacity.participantsPerPod: Input"),
        (
            cluster(scaling={"targetUtilizationPercent": 90}),
            "raise --new-call-limit-percent or lower --target-percent",
        ),
        (
            cluster(scaling={"maxReplicas": 3}),
            "has a SQLite store, which serves one pod, and maxReplicas 3: set scaling.maxReplicas",
        ),
        (cluster(scaling={"minReplicas": 3}), "minReplicas 3 above maxReplicas 1: lower"),
        (cluster(), "names no TurnPool: add one to turn.poolRefs"),
        (
            FLEET.replace("currency: EUR}\n---", "currency: USD}\n---"),
            "TurnPool relays has prices in EUR, the plan is in USD",
        ),
    ],
)
def test_bad_manifests_are_told_what_to_do(manifest: str, remedy: str) -> None:
    message = refused("-f-", "--users=10", stdin=manifest)
    assert remedy in message
    assert message.count("\n") == 1


SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "List", "calls"])
TREES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["apiVersion", "kind", "metadata", "name", "spec", "items", "scaling", "turn"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
OBJECTS = st.fixed_dictionaries(
    {
        "apiVersion": st.just("callfleet.dev/v1alpha1"),
        "kind": st.sampled_from(["CallCluster", "TurnPool"]) | TREES,
        "metadata": st.just({"name": "calls"}) | TREES,
        "spec": TREES,
    }
)


@settings(deadline=None)
@given(st.lists(OBJECTS | TREES, max_size=3))
def test_any_manifest_is_read_or_refused(documents: list[object]) -> None:
    text = yaml.safe_dump_all(documents)
    try:
        planned = read_manifest(text, "it", name="", namespace="media")
    except Problem:
        return
    assert planned.cluster.metadata.name == "calls"


def test_nothing_is_converted() -> None:
    message = refused("-f-", "--users=10", "--currency=USD", stdin=FLEET)
    assert "CallCluster calls has prices in EUR, and --currency USD converts nothing" in message


def test_turn_only_relays_everything() -> None:
    manifest = FLEET.replace("type: HostPort", "type: TurnOnly")
    assert sources(data("-f-", "--users=10", stdin=manifest))["relayedPercent"][0] == 100
    message = refused("-f-", "--users=10", "--relayed-percent=50", stdin=manifest)
    assert "remove it, or set exposure.type HostPort" in message


def test_a_cluster_of_another_name_is_not_there() -> None:
    assert "There is no CallCluster call in standard input: there is calls." in refused(
        "call", "-f-", "--users=10", stdin=FLEET
    )
    assert data("calls", "-f-", "--users=10", stdin=FLEET)["version"] == 1


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "unknown"),
        (0, "0"),
        (1000, "1,000"),
        (Decimal("1234.567"), "1,234.57"),
        (Decimal("34.0909090909"), "34.0909"),
        (Decimal("0.05"), "0.05"),
        (Decimal("0.000379123"), "0.000379"),
        (Decimal("1e-30"), "1.0e-30"),
    ],
)
def test_numbers_for_people(value: int | Decimal | None, shown: str) -> None:
    assert plain(value) == shown


def test_money_and_shares_for_people() -> None:
    assert money(Decimal("1234.565")) == "1,234.57"
    assert money(None) == "unknown"
    assert [percent(share) for share in (0.0, 1e-9, 0.0000177, 0.0365, 0.126, 1.0)] == [
        "0 %",
        "<0.0001 %",
        "0.00177 %",
        "3.65 %",
        "12.6 %",
        "100 %",
    ]
