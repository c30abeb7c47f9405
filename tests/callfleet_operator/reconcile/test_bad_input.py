"""What is missing or wrong becomes a condition with its remedy, and harms nothing that runs."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from callfleet_operator.gateway.resources import SECRETS, SERVICES
from callfleet_operator.reconcile.dispatch import reconcile
from callfleet_operator.reconcile.errors import RoundError
from callfleet_operator.reconcile.keys import Kind
from tests.callfleet_operator.certificates import make_pair
from tests.callfleet_operator.gateway.connections import uncounted
from tests.callfleet_operator.reconcile.specs import (
    SCALING,
    cluster_spec,
    make_cluster,
    make_pool,
    pool_spec,
)
from tests.callfleet_operator.reconcile.world import World

pytestmark = pytest.mark.api


async def test_missing_secrets(blind: World) -> None:
    key = await blind.make(Kind.CALL_CLUSTER, "calls", cluster_spec())
    await blind.round(key)
    status, reason, message = await blind.condition(key, "Accepted")
    assert (status, reason) == ("False", "SecretMissing")
    assert "Secret join-keys does not exist" in message
    assert "Secret calls-db does not exist" in message
    assert "Create it" in message

    await blind.secret("join-keys", other="x")
    await blind.secret("calls-db", uri="postgresql://calls")
    await blind.round(key)
    _, _, message = await blind.condition(key, "Accepted")
    assert "Secret join-keys has no key keys.json" in message
    assert "calls-db" not in message


async def test_the_certificate_of_signalling(blind: World) -> None:
    key = await make_cluster(blind, signalling={"tlsSecretRef": {"name": "calls-tls"}})
    await blind.round(key)
    status, reason, message = await blind.condition(key, "Accepted")
    assert (status, reason) == ("False", "SecretMissing")
    assert "Secret calls-tls does not exist" in message

    expired = make_pair(datetime.now(UTC) - timedelta(days=70))
    certificate, private = (text.decode() for text in expired)
    await blind.secret("calls-tls", tls_crt=certificate, tls_key=private)
    await blind.round(key)
    assert "its certificate has expired" in (await blind.condition(key, "Accepted"))[2]

    service = await blind.people.get(SERVICES, blind.namespace, "calls-engine")
    assert service is not None
    assert [(port["name"], port["port"]) for port in service["spec"]["ports"]] == [("https", 443)]


async def test_a_running_pod_outlives_its_secret(blind: World) -> None:
    key = await make_cluster(blind)
    await blind.settle(key)
    await blind.people.client.request(
        "delete", SECRETS.path(blind.namespace, "join-keys"), serialize=False
    )
    mark = await blind.mark()
    await blind.settle(key, rounds=2)
    assert (await blind.condition(key, "Accepted"))[1] == "SecretMissing"
    assert len(blind.pods) == 1
    assert await blind.writes(mark, "pods") == []


async def test_a_certificate_that_cannot_be_used_harms_nothing_that_runs(blind: World) -> None:
    key = await make_pool(
        blind,
        listeners=[
            {"protocol": "UDP", "port": 3478},
            {"protocol": "TCP", "port": 3478},
            {"protocol": "TLS", "port": 5349, "certificateSecretRef": {"name": "turn-tls"}},
        ],
    )
    await blind.round(key)
    status, reason, message = await blind.condition(key, "Accepted")
    assert (status, reason) == ("False", "SecretMissing")
    assert "Secret turn-tls does not exist" in message
    assert "Create it" in message

    certificate, private = (text.decode() for text in make_pair(datetime.now(UTC)))
    await blind.secret("turn-tls", tls_crt=certificate, tls_key=private)
    await blind.settle(key)
    assert (await blind.condition(key, "Accepted"))[1] == "Accepted"
    (endpoint,) = (await blind.status(key))["endpoints"]
    scheme, host, _ = endpoint["urls"][0].split(":")
    assert endpoint["urls"] == [
        f"{scheme}:{host}:3478?transport=udp",
        f"{scheme}:{host}:3478?transport=tcp",
        f"turns:{host}:5349?transport=tcp",
    ]

    mark = await blind.mark()
    other = base64.b64encode(make_pair(datetime.now(UTC))[1]).decode()
    await blind.change(SECRETS, "turn-tls", {"data": {"tls.key": other}})
    await blind.settle(key, rounds=2)
    status, reason, message = await blind.condition(key, "Accepted")
    assert (status, reason) == ("False", "SecretMissing")
    assert "tls.key is not the key of the certificate in tls.crt" in message
    assert "or correct it" in message
    assert len(blind.pods) == 1
    assert await blind.writes(mark, "pods") == []


async def test_a_pool_that_is_not_there(blind: World) -> None:
    key = await make_cluster(blind, turn={"poolRefs": [{"name": "relays"}]})
    await blind.settle(key)
    status, reason, message = await blind.condition(key, "Accepted")
    assert (status, reason) == ("False", "PoolMissing")
    assert f"{blind.namespace}/relays" in message
    assert "Create the TurnPool" in message
    status, _, message = await blind.condition(key, "AddressKnown")
    assert status == "False"
    assert "no TurnPool in turn.poolRefs can be used" in message


async def test_no_pool_is_named(blind: World) -> None:
    key = await make_cluster(blind)
    await blind.settle(key)
    status, _, message = await blind.condition(key, "AddressKnown")
    assert status == "False"
    assert "turn.poolRefs names no TurnPool" in message


async def test_a_pool_without_a_relay(blind: World) -> None:
    await make_pool(blind)
    key = await make_cluster(blind, turn={"poolRefs": [{"name": "relays"}]})
    await blind.settle(key)
    status, _, message = await blind.condition(key, "AddressKnown")
    assert status == "False"
    assert f"none is open, ready and has an address in TurnPool {blind.namespace}/relays" in message


async def test_a_schedule_that_cannot_be_read_and_one_that_holds(blind: World) -> None:
    always = {"name": "always", "cron": "* * * * *", "durationSeconds": 3600, "minReplicas": 2}
    nowhere = always | {"name": "nowhere", "timeZone": "Europe/Berlinn", "minReplicas": 3}
    never = always | {"name": "never", "cron": "61 8 * * 1-5", "minReplicas": 3}
    key = await make_cluster(blind, scaling=SCALING | {"schedules": [nowhere, never, always]})
    await blind.settle(key)
    status, reason, message = await blind.condition(key, "Accepted")
    assert (status, reason) == ("False", "InvalidSchedule")
    assert "Left out: schedule nowhere: timeZone 'Europe/Berlinn' is no IANA time zone" in message
    assert "did you mean Europe/Berlin?" in message
    assert "; never: cron '61 8 * * 1-5' cannot be read: bad minute" in message
    assert len(blind.pods) == 2


async def test_a_forecast_without_a_history_says_so_and_holds_nothing_up(blind: World) -> None:
    forecast = {"forecast": {"mode": "Floor"}}
    key = await make_cluster(blind, scaling=SCALING | forecast)
    await blind.settle(key)
    _, _, message = await blind.condition(key, "ScalingActive")
    assert "No forecast, so no floor: the history is known up to" in message
    assert len(blind.pods) == 1


@pytest.mark.parametrize(
    "foreign",
    [
        {"apiVersion": "v1", "kind": "ConfigMap", "data": {"theirs": "yes"}},
        {"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"port": 1}]}},
    ],
)
async def test_an_object_of_the_name_is_somebody_elses(
    blind: World, foreign: dict[str, Any]
) -> None:
    foreign = foreign | {"metadata": {"name": "calls-engine", "namespace": blind.namespace}}
    before = await blind.people.create(foreign)
    key = await make_cluster(blind)
    await blind.settle(key)
    status, reason, message = await blind.condition(key, "Ready")
    assert (status, reason) == ("False", "NameConflict")
    assert f"{foreign['kind']} calls-engine" in message
    assert "Rename or delete" in message
    after = await blind.people.apply(foreign)
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert "ownerReferences" not in after["metadata"]
    # A pod could be given what is in there.
    assert blind.pods == {}


async def test_a_pod_of_the_name_is_somebody_elses(blind: World) -> None:
    await blind.people.create(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "calls-engine-0", "namespace": blind.namespace},
            "spec": {"containers": [{"name": "theirs", "image": "theirs"}]},
        }
    )
    key = await make_cluster(blind)
    await blind.round(key)
    _, reason, message = await blind.condition(key, "Ready")
    assert reason == "NameConflict"
    assert "Pod calls-engine-0" in message


async def test_a_cluster_and_a_pool_of_one_name_do_not_meet(blind: World) -> None:
    first = await make_cluster(blind, "calls")
    await blind.settle(first)
    second = await blind.make(Kind.TURN_POOL, "calls", pool_spec())  # calls-relay: its own names
    await blind.round(second)
    assert (await blind.condition(second, "Ready"))[1] != "NameConflict"
    assert (await blind.condition(first, "Ready"))[0] == "True"


async def test_a_quota_is_named(blind: World) -> None:
    await blind.people.client.request(
        "post",
        f"/api/v1/namespaces/{blind.namespace}/resourcequotas",
        body={"metadata": {"name": "few"}, "spec": {"hard": {"pods": "0"}}},
        serialize=False,
    )
    key = await make_cluster(blind)
    await blind.round(key)
    _, reason, message = await blind.condition(key, "Progressing")
    assert reason == "ApplyFailed"
    assert "exceeded quota" in message or "status unknown for quota" in message


async def test_a_hold_that_is_no_time(blind: World) -> None:
    await blind.secret("join-keys", keys_json="{}")
    await blind.secret("calls-db", uri="postgresql://calls")
    key = await blind.make(
        Kind.CALL_CLUSTER,
        "calls",
        cluster_spec(),
        annotations={"callfleet.dev/hold-until": "tomorrow"},
    )
    await blind.round(key)
    _, reason, message = await blind.condition(key, "Accepted")
    assert reason == "InvalidAnnotation"
    assert "'tomorrow' is no time" in message


async def test_an_object_that_is_not_there(blind: World) -> None:
    key = await blind.make(Kind.TURN_POOL, "relays", pool_spec())
    gone = key._replace(name="gone")
    assert await reconcile(blind.services, gone) is None
    assert await reconcile(blind.services, key) == blind.services.tick


async def test_without_rights_the_round_says_so(blind: World) -> None:
    key = await blind.make(Kind.TURN_POOL, "relays", pool_spec())
    nobody = blind.api.kubeconfig_of("nobody")
    async with uncounted(nobody) as kube:
        powerless = replace(blind.services, kube=kube)
        with pytest.raises(RoundError, match="cannot get resource") as caught:
            await reconcile(powerless, key)
    assert caught.value.cause == "api-forbidden"


class TestPrometheusAway:
    """Nobody answers at its address."""

    async def test_the_condition_says_where_to_look(self, blind: World) -> None:
        key = await make_cluster(blind)
        await blind.settle(key)
        status, reason, message = await blind.condition(key, "MetricsAvailable")
        assert (status, reason) == ("False", "PrometheusUnreachable")
        assert "--prometheus-url" in message

    async def test_pods_that_say_they_are_full_get_company(self, blind: World) -> None:
        key = await make_cluster(blind)
        await blind.settle(key)
        blind.of("calls-engine-0").used = 10
        await blind.settle(key, rounds=2)
        assert len(blind.pods) == 2

    async def test_with_hold_they_do_not(self, blind: World) -> None:
        key = await make_cluster(blind, metrics={"fallback": "Hold"})
        await blind.settle(key)
        blind.of("calls-engine-0").used = 10
        await blind.settle(key, rounds=2)
        assert len(blind.pods) == 1

    async def test_no_drain_is_started_and_one_under_way_ends(self, blind: World) -> None:
        key = await make_cluster(blind, scaling=SCALING | {"minReplicas": 2})
        await blind.settle(key)
        assert len(blind.pods) == 2
        live = {"spec": {"scaling": {"minReplicas": 1}}}
        await blind.change_resource(key, live)
        mark = await blind.mark()
        await blind.settle(key, rounds=3)
        assert await blind.writes(mark, "pods") == []
        assert len(blind.pods) == 2

        label = {"metadata": {"labels": {"callfleet.dev/admission": "Cordoned"}}}
        leaving = blind.of("calls-engine-1").uid
        await blind.change_pod("calls-engine-1", label)
        await blind.settle(key, rounds=4)
        assert blind.ended[leaving].sealed_at() is not None
        assert len(blind.pods) == 2
