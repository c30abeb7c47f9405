"""What must not leave the cluster, in every place where it may stand."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callfleet_operator.cli.views.redaction import REMOVED, redacted, redacted_text

SECRET = "hunter2-s3cr3t"
JWT = "eyJhbGciOiJFZERTQSJ9.eyJhdWQiOiJ1aWQifQ.c2lnbmF0dXJlLW9mLTY0"
PEM = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2Vw\n-----END PRIVATE KEY-----"


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {SECRET}",
        f"postgresql://calls:{SECRET}@db:5432/calls",
        f"connecting with password={SECRET}&sslmode=require",
        f"run --token {SECRET} now",
        f"run --token={SECRET}",
        json.dumps({"keys": [{"kty": "oct", "kid": "a", "k": SECRET}]}),
        json.dumps({"message": json.dumps({"k": SECRET})}),
        json.dumps({"password": SECRET}),
        f"token={SECRET}",
    ],
)
def test_secrets_in_texts(text: str) -> None:
    found = redacted_text(text)
    assert SECRET not in found
    assert REMOVED in found


def test_tokens_and_keys_in_texts() -> None:
    found = redacted_text(f"join {JWT} refused\n{PEM}\nafter\n{json.dumps(PEM)}\nend")
    assert JWT not in found
    assert "MC4CAQ" not in found
    assert "after" in found
    assert "end" in found


def test_the_rest_of_a_text_stays() -> None:
    text = "CallCluster media/calls: 2 to 3 open pods: the load fills 1.95 pods at 10.0.0.7:9091"
    assert redacted_text(text) == text


def test_objects() -> None:
    body = {
        "metadata": {
            "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": f'{{"x": "{SECRET}"}}',
                "kept": "yes",
                "example.org/api-key": SECRET,
            },
            "managedFields": [{"x": SECRET}],
        },
        "spec": {
            "env": [
                {"name": "MY_PASSPHRASE", "value": SECRET},
                {"name": "ANYTHING", "value": SECRET},
                {"name": "CALLFLEET_ENGINE_LISTEN", "value": "0.0.0.0:8080"},
                {"name": "CALLFLEET_ENGINE_TOKEN", "value": SECRET},
                {
                    "name": "CALLFLEET_ENGINE_DATABASE",
                    "valueFrom": {"secretKeyRef": {"name": "calls-db", "key": "uri"}},
                },
            ],
            "auth": {"keysSecretRef": {"name": "join-keys"}},
            "password": SECRET,
            "number": 3,
        },
    }
    found = redacted(body)
    assert SECRET not in json.dumps(found)
    assert found["metadata"]["annotations"]["kept"] == "yes"
    env = {one["name"]: one for one in found["spec"]["env"]}
    assert env["CALLFLEET_ENGINE_LISTEN"]["value"] == "0.0.0.0:8080"
    assert env["CALLFLEET_ENGINE_DATABASE"]["valueFrom"]["secretKeyRef"]["key"] == "uri"
    assert found["spec"]["auth"] == {"keysSecretRef": {"name": "join-keys"}}
    assert found["spec"]["number"] == 3


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(JSON)
def test_it_takes_any_value_and_may_be_repeated(value: object) -> None:
    once = redacted(value)
    assert redacted(once) == once
