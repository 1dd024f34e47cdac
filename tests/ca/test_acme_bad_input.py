"""Malformed requests of every kind to every address of the ACME door."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.ca.acme_world import AcmeWorld, Client, encoded

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
_PATHS = (
    "new-account", "new-order", "revoke-cert", "key-change", "accounts/x", "accounts/x/orders", "orders/x",
    "orders/x/finalize", "authorizations/x", "challenges/x", "certificates/0a",
)  # fmt: skip


@pytest.fixture
def fuzzed(small_door: AcmeWorld) -> tuple[AcmeWorld, Client]:
    """One world and account for every example."""
    return small_door, small_door.client()


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_no_malformed_request_is_a_failure_of_ours(fuzzed: tuple[AcmeWorld, Client], data: st.DataObject) -> None:
    """Bodies of any octets, any JSON, JWS of any header, and well-signed payloads of any JSON: never a 500."""
    door, client = fuzzed
    path = data.draw(st.sampled_from(_PATHS))
    url = f"{door.url}/acme/{path}"
    kind = data.draw(st.sampled_from(("octets", "json", "header", "payload")))
    if kind == "octets":
        content = data.draw(st.binary(max_size=300))
    elif kind == "json":
        content = json.dumps(data.draw(_JSON)).encode()
    elif kind == "header":
        parts = [encoded(json.dumps(data.draw(_JSON)).encode()), encoded(data.draw(st.binary(max_size=40)))]
        content = json.dumps({"protected": parts[0], "payload": parts[1], "signature": parts[1]}).encode()
    else:
        keys = ("identifiers", "notAfter", "replaces", "csr", "certificate", "reason", "status", "account", "oldKey",
                "externalAccountBinding", "protected", "payload", "signature")  # fmt: skip
        payload = data.draw(st.dictionaries(st.sampled_from(keys), _JSON, max_size=4))
        content = json.dumps(client.signed(url, payload)).encode()
    answer = door.http.post(url, content=content, headers={"Content-Type": "application/jose+json"})
    assert answer.status_code < 500, (kind, answer.text)
