"""Policy inside the token: what each kind of key signs, and everything else that it refuses before it is used."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.keys.errors import DataInvalid, KeyStoreError, PolicyRefused, WrappedKeyInvalid
from foundation.keys.handles import mechanism_for, public_key
from foundation.keys.policy import DEFAULTS, Signable, Subject
from foundation.keys.port import KeyAlgorithm, KeyInfo, KeyUse, Mechanism
from foundation.x509 import der
from foundation.x509.algorithms import signature_hash
from foundation.x509.names import subject_name
from hsm_emulation.gate import Gate
from tests.hsm.conftest import Served
from tests.keys.structures import (
    CA_NAME,
    FROM,
    attribute,
    key_usage,
    request_info,
    response_data,
    signed_attributes,
    tbs_certificate,
    tbs_crl,
    time_stamp,
)

SIGN = Mechanism.ECDSA_SHA256
OTHER_NAME = subject_name([("C", "KH"), ("CN", "SPECIMEN other CA")])
OTHER_KEY = ec.generate_private_key(ec.SECP256R1()).public_key()
OTHER_SPKI = OTHER_KEY.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def make(served: Served, use: KeyUse, **policy: Any) -> KeyInfo:
    chosen = replace(DEFAULTS[use], **policy) if policy else None
    return served.client.generate(f"{use}-key", KeyAlgorithm.EC_P256, use, policy=chosen)


def refused(rule: str, call: Callable[[], object]) -> None:
    with pytest.raises(PolicyRefused) as told:
        call()
    assert told.value.params == {"rule": rule}


# --- kinds ------------------------------------------------------------------------------------------------------------

ANYTHING = {
    "a message": b"to whom it may concern",
    "nothing much": b"x",
    "a number": der.integer(7),
    "an empty SEQUENCE": der.sequence([]),
    "a text in a SEQUENCE": der.sequence([der.octet_string(b"to whom it may concern")]),
    "CMS signed attributes": signed_attributes(bytes(32), "1.2.840.113549.1.7.1"),
    "a TSTInfo": time_stamp(FROM)[1],
    "a timestamp's signed attributes": time_stamp(FROM)[0],
    "a digest": hashlib.sha256(b"x").digest(),
    "a DigestInfo": der.sequence((der.sequence([der.oid("2.16.840.1.101.3.4.2.1")]), der.octet_string(bytes(32)))),
}


@pytest.mark.parametrize("use", [use for use in KeyUse if use.certifies])
@pytest.mark.parametrize("name", ANYTHING)
def test_a_certifying_key_signs_no_arbitrary_message(served: Served, use: KeyUse, name: str) -> None:
    """A CA, OCSP or TSA key refuses whatever is no to-be-signed structure of its kind; the refusal is in the log."""
    key = make(served, use)
    with pytest.raises((PolicyRefused, DataInvalid)):
        served.client.sign(key.key_id, SIGN, ANYTHING[name])
    with pytest.raises((PolicyRefused, DataInvalid)):
        served.client.sign_many(key.key_id, SIGN, [request_info(key), ANYTHING[name]])
    last = served.client.audit_entries()[-1]
    assert (last["subject"], last["outcome"][:10]) == (key.key_id, "foundation")
    assert not [row for row in served.client.audit_entries() if row["action"] == "sign" and row["outcome"] == "done"]


def test_each_use_signs_its_own_kinds_alone(served: Served) -> None:
    """CAs: certificates, CRLs, OCSP responses, their own requests. OCSP: responses. TSA: timestamps."""
    now = served.clock.now()
    for use in (one for one in KeyUse if one.certifies):
        key = make(served, use)
        attributes, info = time_stamp(now)
        kinds: dict[Signable, tuple[bytes, bytes | None]] = {
            Signable.CERTIFICATE: (tbs_certificate(key), None),
            Signable.CRL: (tbs_crl(key), None),
            Signable.OCSP: (response_data(key), None),
            Signable.REQUEST: (request_info(key), None),
            Signable.TIMESTAMP: (attributes, info),
        }
        for kind, (data, content) in kinds.items():
            if kind in DEFAULTS[use].kinds:
                served.client.sign(key.key_id, SIGN, data, content=content)
            else:
                refused("POL-KIND", lambda: served.client.sign(key.key_id, SIGN, data, content=content))  # noqa: B023


def test_a_policy_may_say_less_than_the_use(served: Served) -> None:
    """A CA whose policy names certificates alone signs no CRL; a document key for digests alone signs no message."""
    authority = make(served, KeyUse.ISSUING_CA, kinds=frozenset({Signable.CERTIFICATE}))
    served.client.sign(authority.key_id, SIGN, tbs_certificate(authority))
    refused("POL-KIND", lambda: served.client.sign(authority.key_id, SIGN, tbs_crl(authority)))
    seal = make(served, KeyUse.ORGANISATION_SEAL, kinds=frozenset({Signable.DIGEST}))
    served.client.sign(seal.key_id, Mechanism.ECDSA, bytes(32))
    refused("POL-KIND", lambda: served.client.sign(seal.key_id, SIGN, b"a message"))


def test_a_request_is_for_the_key_itself(served: Served) -> None:
    """Proof of possession (RFC 2986) of another key is refused."""
    key, other = make(served, KeyUse.ISSUING_CA), make(served, KeyUse.TSA_CA)
    served.client.sign(key.key_id, SIGN, request_info(key))
    refused("POL-OWN-KEY", lambda: served.client.sign(key.key_id, SIGN, request_info(key, other.public_key)))


def test_an_ocsp_response_is_in_the_key_s_own_name(served: Served) -> None:
    """By the hash of another key, or by another name than the first: refused."""
    key = make(served, KeyUse.OCSP_RESPONDER)
    served.client.sign(key.key_id, SIGN, response_data(key))
    refused("POL-RESPONDER", lambda: served.client.sign(key.key_id, SIGN, response_data(key, key=OTHER_KEY)))
    served.client.sign(key.key_id, SIGN, response_data(key, by_name=True))
    refused(
        "POL-ISSUER",
        lambda: served.client.sign(key.key_id, SIGN, response_data(key, by_name=True, name=OTHER_NAME)),
    )


# --- certificates -----------------------------------------------------------------------------------------------------

BASIC_CA = (x509.BasicConstraints(True, 0), True)


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("POL-VALIDITY", {"days": 1097}),
        ("POL-SUBJECT", {"extensions": [BASIC_CA], "usage": None}),
        ("POL-KEY-USAGE", {"usage": "keyCertSign"}),
        ("POL-KEY-USAGE", {"usage": "cRLSign"}),
        ("POL-EXTENSION", {"extensions": [(x509.UnrecognizedExtension(x509.ObjectIdentifier("2.999.1"), b""), False)]}),
        ("POL-EXTENSION", {"extensions": [(x509.InhibitAnyPolicy(0), True)]}),
        (
            "POL-EXTENDED-KEY-USAGE",
            {"extensions": [(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.TIME_STAMPING]), True)]},
        ),
        (
            "POL-EXTENDED-KEY-USAGE",
            {"extensions": [(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]), False)]},
        ),
    ],
)
def test_an_issuing_key_keeps_to_its_rules(served: Served, rule: str, change: dict[str, Any]) -> None:
    """A certificate outside the key's rules is refused, and the same one inside them is signed."""
    key = make(served, KeyUse.ISSUING_CA)
    served.client.sign(key.key_id, SIGN, tbs_certificate(key))
    refused(rule, lambda: served.client.sign(key.key_id, SIGN, tbs_certificate(key, **change)))


def test_the_longest_validity_is_allowed_and_a_second_more_is_not(served: Served) -> None:
    """Both ends count (RFC 5280 §4.1.2.5)."""
    key = make(served, KeyUse.ISSUING_CA)
    served.client.sign(key.key_id, SIGN, tbs_certificate(key, days=1096))
    refused("POL-VALIDITY", lambda: served.client.sign(key.key_id, SIGN, tbs_certificate(key, days=1096 + 1 / 86400)))


@pytest.mark.parametrize("serial", [b"\x02\x01\x00", b"\x02\x01\xff", b"\x02\x15" + b"\x01" * 21])
def test_a_serial_number_is_positive_and_short(served: Served, serial: bytes) -> None:
    """Zero, negative, 21 octets: refused (RFC 5280 §4.1.2.2)."""
    key = make(served, KeyUse.ISSUING_CA)
    version, _, *rest = der.children(tbs_certificate(key))
    refused("POL-SERIAL", lambda: served.client.sign(key.key_id, SIGN, der.sequence([version, serial, *rest])))


def test_an_issuer_is_who_it_was_at_first(served: Served) -> None:
    """The first certificate, CRL or response by name fixes whom a key signs for; a restart does not forget it."""
    key = make(served, KeyUse.ISSUING_CA)
    served.client.sign(key.key_id, SIGN, tbs_crl(key))
    for _ in range(2):
        served.client.sign(key.key_id, SIGN, tbs_certificate(key))
        for data in (tbs_certificate(key, issuer=OTHER_NAME), tbs_crl(key, OTHER_NAME)):
            refused("POL-ISSUER", lambda: served.client.sign(key.key_id, SIGN, data))  # noqa: B023
            refused("POL-ISSUER", lambda: served.client.sign_many(key.key_id, SIGN, [tbs_crl(key), data]))  # noqa: B023
        served.restart()


def test_the_algorithm_inside_is_the_one_outside(served: Served) -> None:
    """A structure that names ecdsa-with-SHA256 is not signed with SHA-384 (RFC 5280 §4.1.1.2)."""
    key = make(served, KeyUse.ISSUING_CA)
    for data in (tbs_certificate(key), tbs_crl(key)):
        refused("POL-ALGORITHM", lambda: served.client.sign(key.key_id, Mechanism.ECDSA_SHA384, data))  # noqa: B023


def test_a_root_certifies_itself_and_cas(served: Served) -> None:
    """A root key: itself under its own name, CAs, responders; no person, and nobody with its key under another name."""
    key = make(served, KeyUse.ROOT_CA)
    own = public_key(key)
    usage = [(key_usage("keyCertSign", "cRLSign"), True)]
    authority = {"extensions": [(x509.BasicConstraints(True, None), True), *usage], "usage": None}
    served.client.sign(key.key_id, SIGN, tbs_certificate(key, subject=CA_NAME, key=own, days=9131, **authority))
    served.client.sign(key.key_id, SIGN, tbs_certificate(key, **authority))
    refused("POL-SUBJECT", lambda: served.client.sign(key.key_id, SIGN, tbs_certificate(key, key=own, **authority)))
    refused(
        "POL-EXTENDED-KEY-USAGE",
        lambda: served.client.sign(
            key.key_id,
            SIGN,
            tbs_certificate(key, extensions=[(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.CLIENT_AUTH]), False)]),
        ),
    )


def test_path_length_and_name_space(served: Served) -> None:
    """A policy can ask every CA below for a path length, and every subject for an attribute."""
    rules = DEFAULTS[KeyUse.ROOT_CA].certificates
    assert rules is not None
    narrow = replace(rules, path_length=0, name_space=(("2.5.4.6", "KH"),), subjects=frozenset(Subject))
    key = make(served, KeyUse.ROOT_CA, certificates=narrow)

    def ca(length: int | None, subject: x509.Name = OTHER_NAME) -> bytes:
        extensions = [(x509.BasicConstraints(True, length), True), (key_usage("keyCertSign"), True)]
        return tbs_certificate(key, subject=subject, extensions=extensions, usage=None)

    served.client.sign(key.key_id, SIGN, ca(0))
    for length in (None, 1):
        refused("POL-PATH-LENGTH", lambda: served.client.sign(key.key_id, SIGN, ca(length)))  # noqa: B023
    abroad = subject_name([("C", "TH"), ("CN", "SPECIMEN abroad")])
    refused("POL-NAME-SPACE", lambda: served.client.sign(key.key_id, SIGN, ca(0, abroad)))


@settings(max_examples=300)
@given(data=st.data())
def test_no_changed_octet_gets_past_the_rules(data: st.DataObject) -> None:
    """Change any octet of a certificate: it is refused, or read as a certificate that still keeps to every rule."""
    key = SPECIMEN
    tbs = tbs_certificate(key)
    place, by = data.draw(st.integers(0, len(tbs) - 1)), data.draw(st.integers(1, 255))
    changed = tbs[:place] + bytes([tbs[place] ^ by]) + tbs[place + 1 :]
    try:
        Gate(DEFAULTS[KeyUse.ISSUING_CA], key).judge(SIGN, changed, None, FROM)
    except KeyStoreError:
        return
    algorithm = der.sequence([der.oid("1.2.840.10045.4.3.2")])
    read = x509.load_der_x509_certificate(der.sequence((changed, algorithm, b"\x03\x02\x00\x00")))
    try:
        read.extensions  # noqa: B018 - inside of those that no rule is about is not looked
    except ValueError:
        return
    assert timedelta(0) <= read.not_valid_after_utc - read.not_valid_before_utc < timedelta(days=1096)
    assert not any(isinstance(one.value, x509.BasicConstraints) and one.value.ca for one in read.extensions)
    assert not read.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign


SPECIMEN = KeyInfo(
    "specimen",
    "specimen",
    KeyAlgorithm.EC_P256,
    KeyUse.ISSUING_CA,
    OTHER_SPKI,
    None,
    True,
    DEFAULTS[KeyUse.ISSUING_CA].hash,
)


# --- timestamps -------------------------------------------------------------------------------------------------------


def test_a_timestamp_is_of_the_token_s_own_time(served: Served) -> None:
    """A genTime within a second of the daemon's clock is signed; further away it is not."""
    key, now = make(served, KeyUse.TSA), served.clock.now()
    for away in (timedelta(0), timedelta(seconds=1), timedelta(milliseconds=999)):
        attributes, info = time_stamp(now + away)
        served.client.sign(key.key_id, SIGN, attributes, content=info)
    for away in (timedelta(seconds=1, microseconds=1), timedelta(seconds=-2), timedelta(days=1), timedelta(days=-1)):
        attributes, info = time_stamp(now + away)
        refused("POL-TIME", lambda: served.client.sign(key.key_id, SIGN, attributes, content=info))  # noqa: B023


def test_time_does_not_go_back(served: Served) -> None:
    """Set the daemon's clock back, even across a restart: no timestamp before the latest, beyond its accuracy."""
    key = make(served, KeyUse.TSA)
    attributes, info = time_stamp(served.clock.now())
    served.client.sign(key.key_id, SIGN, attributes, content=info)
    served.stop()
    served.clock.advance(timedelta(minutes=-10))
    served.start()
    attributes, info = time_stamp(served.clock.now())
    refused("POL-TIME", lambda: served.client.sign(key.key_id, SIGN, attributes, content=info))


def test_ordered_timestamps_are_in_order(served: Served) -> None:
    """Who claims ordering (RFC 3161 §2.4.2) may not be earlier by a microsecond; who does not, by the accuracy."""
    key, now = make(served, KeyUse.TSA), served.clock.now()
    attributes, info = time_stamp(now)
    served.client.sign(key.key_id, SIGN, attributes, content=info)
    attributes, info = time_stamp(now - timedelta(microseconds=1))
    served.client.sign(key.key_id, SIGN, attributes, content=info)
    attributes, info = time_stamp(now - timedelta(microseconds=1), ordered=True)
    refused("POL-TIME", lambda: served.client.sign(key.key_id, SIGN, attributes, content=info))


def test_the_attributes_are_over_what_was_shown(served: Served) -> None:
    """Another TSTInfo than the attributes are over, another content type, more or less beside it: refused."""
    key, now = make(served, KeyUse.TSA), served.clock.now()
    attributes, info = time_stamp(now)
    other = time_stamp(now - timedelta(days=365))
    digest = hashlib.sha256(info).digest()
    signing_time = attribute("1.2.840.113549.1.9.5", der.time(now))
    for rule, data in (
        ("POL-CONTENT", other[0]),
        ("POL-CONTENT", signed_attributes(digest, "1.2.840.113549.1.7.1")),
        ("POL-CONTENT", signed_attributes(digest, certificate=False)),
        ("POL-CONTENT", signed_attributes(digest, extra=signing_time)),
        ("POL-FORM", attributes + b"\0"),
        ("POL-FORM", signed_attributes(digest, extra=attribute("1.2.840.113549.1.9.4", der.octet_string(bytes(32))))),
    ):
        refused(rule, lambda: served.client.sign(key.key_id, SIGN, data, content=info))  # noqa: B023
    refused("POL-CONTENT", lambda: served.client.sign(key.key_id, Mechanism.ECDSA_SHA384, attributes, content=info))
    refused("POL-CONTENT", lambda: served.client.sign(key.key_id, SIGN, attributes, content=info + b"\0"))
    for junk in (b"", info + b"\0", der.sequence([der.integer(1)]), tbs_certificate(key)):
        over = signed_attributes(hashlib.sha256(junk).digest())
        refused("POL-FORM", lambda: served.client.sign(key.key_id, SIGN, over, content=junk))  # noqa: B023
    with pytest.raises(DataInvalid):
        served.client.sign(key.key_id, SIGN, attributes)
    with pytest.raises(DataInvalid):
        served.client.sign_many(key.key_id, SIGN, [attributes], contents=[info, info])
    seal = make(served, KeyUse.ORGANISATION_SEAL)
    with pytest.raises(DataInvalid):
        served.client.sign(seal.key_id, SIGN, b"message", content=info)


def test_many_timestamps_at_once(served: Served) -> None:
    """A list of timestamps is signed, all or none."""
    key, now = make(served, KeyUse.TSA), served.clock.now()
    pairs = [time_stamp(now + timedelta(milliseconds=number)) for number in range(20)]
    data, contents = [one for one, _ in pairs], [one for _, one in pairs]
    assert len(served.client.sign_many(key.key_id, SIGN, data, contents=contents)) == 20
    late, shown = time_stamp(now + timedelta(hours=1))
    refused(
        "POL-TIME",
        lambda: served.client.sign_many(key.key_id, SIGN, [*data, late], contents=[*contents, shown]),
    )


# --- uses -------------------------------------------------------------------------------------------------------------


def test_uses_are_counted_and_a_restart_does_not_forget_them(served: Served) -> None:
    """A key for five signatures gives five, in one call or many, and after a restart; a refused call costs none."""
    key = make(served, KeyUse.AUDIT, use_limit=5)
    served.client.sign(key.key_id, SIGN, b"one")
    served.client.sign_many(key.key_id, SIGN, [b"two", b"three"])
    refused("POL-USES", lambda: served.client.sign_many(key.key_id, SIGN, [b"four", b"five", b"six"]))
    served.restart()
    served.client.sign_many(key.key_id, SIGN, [b"four", b"five"])
    refused("POL-USES", lambda: served.client.sign(key.key_id, SIGN, b"six"))


@pytest.mark.parametrize("edit", ["DELETE FROM key_states", "UPDATE key_states SET sealed = zeroblob(60)"])
def test_a_past_that_was_edited_ends_the_key(served: Served, edit: str) -> None:
    """Whoever deletes or edits the count of uses gets no signature at all."""
    key = make(served, KeyUse.AUDIT, use_limit=5)
    served.client.sign(key.key_id, SIGN, b"one")
    assert served.edit(edit) == 1
    with pytest.raises(WrappedKeyInvalid):
        served.client.sign(key.key_id, SIGN, b"two")


def test_two_keys_pasts_cannot_be_swapped(served: Served) -> None:
    """The count of an unused key, put in another's place, does not open."""
    key = make(served, KeyUse.AUDIT, use_limit=1)
    other = served.client.generate(
        "other", KeyAlgorithm.EC_P256, KeyUse.AUDIT, policy=replace(DEFAULTS[KeyUse.AUDIT], use_limit=9)
    )
    served.client.sign(key.key_id, SIGN, b"one")
    served.edit(
        "UPDATE key_states SET sealed = (SELECT sealed FROM key_states WHERE key_id = ?) WHERE key_id = ?",
        *(other.key_id, key.key_id),
    )
    with pytest.raises(WrappedKeyInvalid):
        served.client.sign(key.key_id, SIGN, b"two")


@pytest.mark.parametrize("algorithm", list(KeyAlgorithm))
def test_every_algorithm_s_structures_are_read(served: Served, algorithm: KeyAlgorithm) -> None:
    """Certificate, CRL, OCSP response and request under keys of every algorithm."""
    key = served.client.generate("any", algorithm, KeyUse.ISSUING_CA)
    mechanism = mechanism_for(key, signature_hash(public_key(key)), False)
    for data in (tbs_certificate(key), tbs_crl(key), response_data(key), request_info(key)):
        served.client.sign(key.key_id, mechanism, data)
