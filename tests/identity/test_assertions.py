"""An assertion opens one request, once, and nothing else."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey

from foundation.http.actor import Actor, ActorKind, Credential, Unauthenticated
from identity import assertion
from identity.errors import ActorKeyInvalid
from tests.web.world import ORIGIN, Officer, World, new_jti

PATH, BODY = "/ekyc/v1/reviews", b'{"decision": "approve"}'


@pytest.fixture
def officer(world: World) -> Officer:
    return world.register(ActorKind.OFFICER, "ekyc-review")


def credential(authorization: str, method: str = "POST", url: str = ORIGIN + PATH, body: bytes = BODY) -> Credential:
    """What the guard hands over for one request."""
    return Credential(authorization, method, url, hashlib.sha256(body).digest())


def refused(world: World, shown: Credential) -> str:
    """The ID of the check that refused it."""
    with pytest.raises(Unauthenticated) as caught:
        world.identity.authenticate(shown)
    return str(caught.value.params["rule"])


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def claims(world: World, officer: Officer, **changes: Any) -> dict[str, Any]:
    """The claims of a good assertion, with some of them changed (None: left out)."""
    now = int(world.clock.now().timestamp())
    good = {
        "iss": officer.actor.id,
        "aud": ORIGIN,
        "iat": now,
        "exp": now + 60,
        "jti": new_jti(),
        "htm": "POST",
        "htu": ORIGIN + PATH,
        "bd": b64(hashlib.sha256(BODY).digest()),
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


def signed(key: ec.EllipticCurvePrivateKey, content: Any, header: dict[str, Any] | None = None) -> str:
    """An Authorization header over any content, with any header."""
    head = {"alg": "ES256", "typ": assertion.TYPE} if header is None else header
    data = content if isinstance(content, bytes) else json.dumps(content)
    return "Assertion " + jws.serialize_compact(head, data, ECKey.import_key(key), ["ES256"])


def test_a_good_assertion_is_its_actor(world: World, officer: Officer) -> None:
    """Made with the registered key for this request, it gives the actor with its kind and roles."""
    actor = world.identity.authenticate(credential(officer.sign(world, "POST", PATH, BODY)))
    assert actor == Actor(ActorKind.OFFICER, officer.actor.id, frozenset({"ekyc-review"}))


def test_an_assertion_works_once(both_worlds: World) -> None:
    """AS-09: whoever copies an assertion from the wire or a log has nothing; on both databases."""
    officer = both_worlds.register(ActorKind.OFFICER)
    shown = credential(officer.sign(both_worlds, "POST", PATH, BODY))
    both_worlds.identity.authenticate(shown)
    assert refused(both_worlds, shown) == "AS-09"
    both_worlds.clock.advance(timedelta(minutes=30))
    both_worlds.identity.authenticate(credential(officer.sign(both_worlds, "POST", PATH, BODY)))  # prunes
    assert refused(both_worlds, shown) == "AS-05"


def test_the_same_jti_of_two_actors_does_not_collide(world: World) -> None:
    """Nobody can use up another actor's jti."""
    jti = new_jti()
    for _ in range(2):
        officer = world.register(ActorKind.OFFICER)
        world.identity.authenticate(credential(officer.sign(world, "POST", PATH, BODY, jti=jti)))


@pytest.mark.parametrize(
    ("rule", "shown"),
    [
        ("AS-08", {"body": BODY + b" "}),
        ("AS-08", {"body": b""}),
        ("AS-07", {"url": ORIGIN + "/ekyc/v1/other"}),
        ("AS-07", {"url": "https://elsewhere.example" + PATH}),
        ("AS-07", {"url": ORIGIN + PATH + "/"}),
        ("AS-06", {"method": "DELETE"}),
    ],
)
def test_it_is_bound_to_the_request(world: World, officer: Officer, rule: str, shown: dict[str, Any]) -> None:
    """AS-06 to AS-08: another method, address or body than the one signed is refused, and does not use it up."""
    authorization = officer.sign(world, "POST", PATH, BODY)
    assert refused(world, credential(authorization, **shown)) == rule
    assert world.identity.authenticate(credential(authorization)).id == officer.actor.id


@pytest.mark.parametrize(
    ("seconds", "passes"),
    [(-31, False), (-29, True), (0, True), (89, True), (90, False), (3600, False)],
)
def test_it_is_good_for_its_time(world: World, officer: Officer, seconds: int, passes: bool) -> None:
    """AS-05: from 30 s before it was issued (skew of clocks) to 30 s after its 60 s, and not beyond."""
    shown = credential(officer.sign(world, "POST", PATH, BODY))
    world.clock.advance(timedelta(seconds=seconds))
    if passes:
        assert world.identity.authenticate(shown).id == officer.actor.id
    else:
        assert refused(world, shown) == "AS-05"


@pytest.mark.parametrize("lifetime", [121, 0, -60, 10**6])
def test_a_long_life_is_refused(world: World, officer: Officer, lifetime: int) -> None:
    """AS-05: an assertion that claims to live for more than 120 s, or for none, is no assertion."""
    now = int(world.clock.now().timestamp())
    assert (
        refused(world, credential(signed(officer.key, claims(world, officer, iat=now, exp=now + lifetime)))) == "AS-05"
    )


def test_it_is_for_this_service(world: World, officer: Officer) -> None:
    """AS-04: what was made for another service cannot be brought here."""
    assert (
        refused(world, credential(officer.sign(world, "POST", PATH, BODY, audience="https://other.example"))) == "AS-04"
    )


def test_another_key_is_refused(world: World, officer: Officer) -> None:
    """AS-03: only the registered key of the named actor signs for it; a colleague's does not."""
    colleague = world.register(ActorKind.OFFICER, "ekyc-review")
    shown = officer.sign(world, "POST", PATH, BODY, key=colleague.key)
    assert refused(world, credential(shown)) == "AS-03"


def test_unknown_and_disabled_actors_are_refused(world: World, officer: Officer) -> None:
    """AS-02: at once when they are disabled, and with the same answer as for ids that never were."""
    shown = credential(officer.sign(world, "POST", PATH, BODY))
    world.identity.disable_actor(None, officer.actor.id)
    assert refused(world, shown) == "AS-02"
    assert refused(world, credential(officer.sign(world, "POST", PATH, BODY, actor_id="act_nobody"))) == "AS-02"


def _none(officer: Officer, content: dict[str, Any]) -> str:
    return f"{b64(json.dumps({'alg': 'none', 'typ': assertion.TYPE}).encode())}.{b64(json.dumps(content).encode())}."


def _hs256(officer: Officer, content: dict[str, Any]) -> str:
    """The classic confusion: the public key, which everybody has, used as the secret of an HMAC."""
    head = b64(json.dumps({"alg": "HS256", "typ": assertion.TYPE}).encode())
    text = f"{head}.{b64(json.dumps(content).encode())}"
    pem = officer.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return f"{text}.{b64(hmac.digest(pem, text.encode(), 'sha256'))}"


def _es256_named_hmac(officer: Officer, content: dict[str, Any]) -> str:
    """An HMAC under a header that says ES256."""
    head = b64(json.dumps({"alg": "ES256", "typ": assertion.TYPE}).encode())
    text = f"{head}.{b64(json.dumps(content).encode())}"
    return f"{text}.{b64(hmac.digest(officer.actor.public_key, text.encode(), 'sha512'))}"


@pytest.mark.parametrize(("forge", "rule"), [(_none, "AS-01"), (_hs256, "AS-01"), (_es256_named_hmac, "AS-03")])
def test_the_header_does_not_choose_the_algorithm(
    world: World, officer: Officer, forge: Callable[[Officer, dict[str, Any]], str], rule: str
) -> None:
    """AS-01, AS-03: neither `none` nor an HMAC over the public key passes for a signature (RFC 8725 §3.1)."""
    assert refused(world, credential("Assertion " + forge(officer, claims(world, officer)))) == rule


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "ES256"},
        {"alg": "ES256", "typ": "JWT"},
        {"alg": "ES256", "typ": assertion.TYPE, "kid": "other"},
        {"alg": "ES256", "typ": assertion.TYPE, "jku": "https://attacker.example/keys"},
        {"alg": "ES256", "typ": assertion.TYPE, "b64": False, "crit": ["b64"]},
    ],
)
def test_the_header_is_exactly_ours(world: World, officer: Officer, header: dict[str, Any]) -> None:
    """AS-01: other token types, and headers that bring or point to keys, are refused though the signature is good."""
    assert refused(world, credential(signed(officer.key, claims(world, officer), header))) == "AS-01"


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": None},
        {"aud": [ORIGIN]},
        {"iat": "now"},
        {"iat": True},
        {"exp": None},
        {"exp": 1e12},
        {"exp": 10**30},
        {"jti": "short"},
        {"jti": "x" * 65},
        {"jti": None},
        {"htm": ""},
        {"bd": None},
    ],
)
def test_every_claim_is_there_and_of_its_type(world: World, officer: Officer, changes: dict[str, Any]) -> None:
    """AS-01: a missing claim, or one of another type, is refused though the signature is good."""
    assert refused(world, credential(signed(officer.key, claims(world, officer, **changes)))) == "AS-01"


@pytest.mark.parametrize(
    "value",
    ["", "Assertion", "Assertion ", "Assertion a.b.c", "Assertion a.b", "Assertion " + "x" * 5000, "Assertion é"],
)
def test_what_is_no_assertion_is_refused(world: World, value: str) -> None:
    """AS-01: garbage is refused like everything else, and raises nothing else."""
    assert refused(world, credential(value)) == "AS-01"


@pytest.mark.parametrize("content", [b"[]", b"{", b"\xff", b"null", b"[" * 3000])
def test_a_signed_payload_that_is_no_object_is_refused(world: World, officer: Officer, content: bytes) -> None:
    """AS-01: even under a good signature."""
    assert refused(world, credential(signed(officer.key, content))) == "AS-01"


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(position=st.integers(min_value=0, max_value=400), change=st.integers(min_value=1, max_value=63))
def test_any_changed_character_is_refused(world: World, officer: Officer, position: int, change: int) -> None:
    """Whatever character of an assertion is changed, it opens nothing."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    shown = officer.sign(world, "POST", PATH, BODY)
    start = len("Assertion ")
    index = start + position % (len(shown) - start)
    old = shown[index]
    new = alphabet[(alphabet.index(old) + change) % 64] if old in alphabet else "A"
    refused(world, credential(shown[:index] + new + shown[index + 1 :]))


def test_the_query_may_be_in_the_url_that_is_signed_with(world: World, officer: Officer) -> None:
    """make_assertion takes the address as the client has it and signs it without query and fragment."""
    shown = officer.sign(world, "POST", PATH + "?cursor=abc#top", BODY)
    assert world.identity.authenticate(credential(shown)).id == officer.actor.id


def test_only_p256_keys_are_registered() -> None:
    """Other curves, RSA, private keys, certificates and garbage are refused with one clear error."""
    p384 = ec.generate_private_key(ec.SECP384R1()).public_key()
    rsa_key = rsa.generate_private_key(65537, 2048).public_key()
    for key in (p384, rsa_key):
        with pytest.raises(ActorKeyInvalid):
            assertion.read_public_key(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    for data in (b"", b"garbage", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"):
        with pytest.raises(ActorKeyInvalid):
            assertion.read_public_key(data)
    p256 = ec.generate_private_key(ec.SECP256R1()).public_key()
    der = p256.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert assertion.read_public_key(der) == der
    assert assertion.read_public_key(p256.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)) == der
