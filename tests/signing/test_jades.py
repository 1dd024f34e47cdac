"""JAdES: made as JSON and compact, judged by joserfc and by us; confusions of algorithms and headers do not pass."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_der_x509_certificate
from joserfc import jws as jose
from joserfc.errors import BadSignatureError
from joserfc.jwk import import_key

from foundation.base64url import encoded
from foundation.keys.port import KeyAlgorithm
from signing import jws
from signing.errors import LevelNotAllowed
from signing.forms import Form
from signing.model import Level
from tests.signing.conftest import Desk
from tests.signing.formats import TEXT, judged, outcome, sealed, signed_by

JSON, COMPACT = Form.named("jades", "json"), Form.named("jades", "compact")


def rules(desk: Desk, made: bytes, detached: bytes | None = None) -> set[str]:
    verdict = judged(desk, made, detached=detached)
    reasons = (*verdict.reasons, *(one for signature in verdict.signatures for one in signature.reasons))
    return {one.rule for one in reasons if one.sub_indication}


def header_of(made: bytes) -> dict[str, Any]:
    text = json.loads(made)["protected"] if made[:1] == b"{" else made.split(b".")[0].decode()
    value: dict[str, Any] = json.loads(jws.decode(text))
    return value


@pytest.mark.parametrize(
    ("form", "level"),
    [(COMPACT, Level.B_B), (JSON, Level.B_B), (JSON, Level.B_T), (JSON, Level.B_LT), (JSON, Level.B_LTA)],
    ids=str,
)
def test_every_level(desk: Desk, form: Form, level: Level) -> None:
    """JSON passes from B-LT with the root alone; compact is B-B."""
    made = sealed(desk, TEXT, form, level)
    verdict = judged(desk, made)
    assert verdict.format == "JAdES"
    if level.includes(Level.B_LT):
        assert outcome(verdict) == ("TOTAL-PASSED", None)
        assert verdict.signatures[0].level == level.value
    else:
        unknown = {"REV-UNKNOWN"} if level is Level.B_B else {"REV-UNKNOWN", "PATH-NO-ISSUER"}
        assert rules(desk, made) == unknown
    assert verdict.signatures[0].claimed_at == desk.clock.now().replace(microsecond=0)


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.EC_P256, KeyAlgorithm.EC_P384, KeyAlgorithm.RSA_3072])
@pytest.mark.parametrize("form", [COMPACT, JSON], ids=str)
def test_joserfc_verifies(desk: Desk, form: Form, algorithm: KeyAlgorithm) -> None:
    """joserfc accepts the signature under the key of the first certificate, and refuses another payload."""
    made = sealed(desk, TEXT, form, Level.B_B, algorithm=algorithm)
    header = header_of(made)
    certificate = load_der_x509_certificate(base64.b64decode(header["x5c"][0]))
    assert header["x5t#S256"] == encoded(hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest())
    pem = certificate.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    key = import_key(pem, "RSA" if algorithm is KeyAlgorithm.RSA_3072 else "EC")
    registry = jose.JWSRegistry(algorithms=[header["alg"]], strict_check_header=False)
    registry.max_header_length = 100_000  # certificates are longer than its default
    if form == COMPACT:
        assert jose.deserialize_compact(made, key, registry=registry).payload == TEXT
        head, _, value = made.split(b".")
        with pytest.raises(BadSignatureError):
            jose.deserialize_compact(b".".join((head, encoded(b"other").encode(), value)), key, registry=registry)
        return
    assert jose.deserialize_json(json.loads(made), key, registry=registry).payload == TEXT


def test_a_person_signs_json_and_not_compact(desk: Desk) -> None:
    """Compact has no place for a timestamp, and persons sign from B-T."""
    person = desk.person()
    assert outcome(judged(desk, signed_by(desk, person, TEXT, JSON, None))) == ("TOTAL-PASSED", None)
    for level in (None, Level.B_T):
        with pytest.raises(LevelNotAllowed):
            signed_by(desk, person, TEXT, COMPACT, level)


@pytest.fixture
def made(desk: Desk) -> dict[str, Any]:
    """A good one, taken apart."""
    value: dict[str, Any] = json.loads(sealed(desk, TEXT, JSON, Level.B_LT))
    return value


def _protected(value: dict[str, Any], **changes: Any) -> dict[str, Any]:
    header = json.loads(jws.decode(value["protected"]))
    header.update({name.replace("__", "#"): one for name, one in changes.items()})
    return {**value, "protected": encoded(jws.write(header))}


def _hmac(value: dict[str, Any]) -> dict[str, Any]:
    """HS256 with the public key as its secret, correctly computed."""
    changed = _protected(value, alg="HS256")
    header = json.loads(jws.decode(value["protected"]))
    certificate = load_der_x509_certificate(base64.b64decode(header["x5c"][0]))
    secret = certificate.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    message = f"{changed['protected']}.{changed['payload']}".encode()
    return {**changed, "signature": encoded(hmac.digest(secret, message, "sha256"))}


def _der(value: dict[str, Any]) -> dict[str, Any]:
    """The same r and s, as DER."""
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    raw = jws.decode(value["signature"])
    numbers = (int.from_bytes(one, "big") for one in (raw[:32], raw[32:]))
    return {**value, "signature": encoded(encode_dss_signature(*numbers))}


Value = dict[str, Any]
ATTACKS: dict[str, tuple[Callable[[Value], Value], str]] = {
    "another payload": (lambda one: {**one, "payload": encoded(b"other")}, "JWS-SIGNATURE"),
    "alg none": (lambda one: {**_protected(one, alg="none"), "signature": ""}, "JWS-ALGORITHM"),
    "alg None in other letters": (lambda one: _protected(one, alg="nOnE"), "JWS-ALGORITHM"),
    "HMAC with the public key": (_hmac, "JWS-ALGORITHM"),
    "alg of another curve": (lambda one: _protected(one, alg="ES384"), "JWS-SIGNATURE"),
    "alg of another kind of key": (lambda one: _protected(one, alg="RS256"), "JWS-SIGNATURE"),
    "a signature in DER": (_der, "JWS-SIGNATURE"),
    "r and s zero": (lambda one: {**one, "signature": encoded(bytes(64))}, "JWS-SIGNATURE"),
    "a protected header that was changed": (lambda one: _protected(one, iat=1), "JWS-SIGNATURE"),
    "b64 without crit": (lambda one: _protected(one, b64=False), "JWS-CRIT"),
    "b64 with crit": (lambda one: _protected(one, b64=False, crit=["b64"]), "JWS-CRIT"),
    "sigD": (lambda one: _protected(one, sigD={"mId": "x"}), "JWS-CRIT"),
    "crit with something unknown": (lambda one: _protected(one, crit=["exp"], exp=1), "JWS-CRIT"),
    "crit that is empty": (lambda one: _protected(one, crit=[]), "JWS-CRIT"),
    "crit of what is not there": (lambda one: _protected(one, crit=["sigT"]), "JWS-CRIT"),
    "crit that is no list": (lambda one: _protected(one, crit="sigT"), "JWS-FORM"),
    "alg in the unprotected header": (lambda one: {**one, "header": {"alg": "ES256"}}, "JWS-HEADER"),
    "certificates in the unprotected header": (lambda one: {**one, "header": {"x5c": []}}, "JWS-HEADER"),
    "another member": (lambda one: {**one, "more": "x"}, "JWS-FORM"),
    "padding": (lambda one: {**one, "payload": one["payload"] + "=="}, "JWS-FORM"),
    "white space": (lambda one: {**one, "payload": one["payload"] + "\n"}, "JWS-FORM"),
    "the other alphabet": (lambda one: {**one, "payload": "+/" + one["payload"]}, "JWS-FORM"),
    "no certificate named": (lambda one: _protected(one, x5t__S256=encoded(bytes(32))), "JWS-CERTIFICATE"),
    "no certificates": (lambda one: _protected(one, x5c=[]), "JWS-CERTIFICATE"),
    "a key of its own": (
        lambda one: _protected(one, x5c=[], jwk={"kty": "oct", "k": "AAAA"}, jku="https://specimen.invalid/"),
        "JWS-CERTIFICATE",
    ),
    "etsiU that is none": (lambda one: {**one, "header": {"etsiU": "x"}}, "JWS-FORM"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks(desk: Desk, made: dict[str, Any], attack: str) -> None:
    """Confusions of algorithms, headers and encodings: the rule speaks, and nothing passes."""
    twist, rule = ATTACKS[attack]
    changed = json.dumps(twist(made)).encode()
    assert rule in rules(desk, changed)
    assert outcome(judged(desk, changed))[0] != "TOTAL-PASSED"


def test_names_that_stand_twice(desk: Desk, made: dict[str, Any]) -> None:
    """Two payloads: one reader takes the first, another the last."""
    text = json.dumps(made)
    twice = text[:-1] + ', "payload": "' + encoded(b"other") + '"}'
    assert outcome(judged(desk, twice.encode())) == ("TOTAL-FAILED", "FORMAT_FAILURE")


def test_general_json_and_encoded_members(desk: Desk, made: dict[str, Any]) -> None:
    """Two signatures in general JSON, the members of one etsiU in the clear: as good; one bad signature spoils the
    file."""
    other = json.loads(sealed(desk, TEXT, JSON, Level.B_LT))
    clear = {"etsiU": [jws.member(one) for one in other["header"]["etsiU"]]}
    parts = [{name: one[name] for name in ("protected", "header", "signature")} for one in (made, other)]
    parts[1]["header"] = clear
    general = {"payload": made["payload"], "signatures": parts}
    verdict = judged(desk, json.dumps(general).encode())
    assert outcome(verdict) == ("TOTAL-PASSED", None)
    assert len(verdict.signatures) == 2
    parts[1]["signature"] = parts[0]["signature"]
    assert outcome(judged(desk, json.dumps(general).encode()))[0] == "TOTAL-FAILED"
    many = {"payload": made["payload"], "signatures": [parts[0]] * 21}
    assert rules(desk, json.dumps(many).encode()) == {"JWS-LIMIT"}


def test_a_timestamp_of_another_signature(desk: Desk, made: dict[str, Any]) -> None:
    """It leaves the time unproven."""
    other = json.loads(sealed(desk, TEXT, JSON, Level.B_LT))
    stamp = next(one for one in other["header"]["etsiU"] if "sigTst" in jws.member(one))
    rest = [one for one in made["header"]["etsiU"] if "sigTst" not in jws.member(one)]
    assert "TST-IMPRINT" in rules(desk, json.dumps({**made, "header": {"etsiU": [stamp, *rest]}}).encode())


def test_the_payload_beside(desk: Desk, made: dict[str, Any]) -> None:
    """Detached in the way of RFC 7515 Appendix F: with the document it passes, without it is open."""
    beside = json.dumps({**made, "payload": ""}).encode()
    assert outcome(judged(desk, beside, detached=TEXT)) == ("TOTAL-PASSED", None)
    assert outcome(judged(desk, beside, detached=b"other")) == ("TOTAL-FAILED", "SIG_CRYPTO_FAILURE")
    assert rules(desk, beside) == {"JWS-DETACHED"}


@pytest.mark.parametrize("data", [b"{}", b'{"a": 1}', b"a.b.c", b"{", b'{"signature": "x"}', b"hello world"])
def test_other_json_is_unsigned(desk: Desk, data: bytes) -> None:
    """What is no signature is no forgery."""
    assert outcome(judged(desk, data)) == ("INDETERMINATE", "NO_SIGNATURE")
