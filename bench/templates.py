"""Certificates in process, without token, database or audit: what encoding, signing and verifying cost.

    python -m bench.templates

Raw is sign + verify of a digest with `cryptography` (`bench.raw`), under the issuer's curve. Every certificate has a
serial number and dates of its own; its key is another one each time. Rates are per second of CPU time, the best of
five short rounds, so that neighbours on the machine change them little.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding

from bench.goals import goal
from bench.raw import rate, raw_sign_verify_rate, raw_verify_rate
from camtrust.server import rarely_collect
from foundation.x509.algorithms import verify
from foundation.x509.certificate import CertificateInput, Urls, certificate_builder, sign_certificate
from foundation.x509.csr import ProvenKey, proven_key, proven_keys
from foundation.x509.lint import require_clean
from foundation.x509.names import SubjectName, subject_name
from foundation.x509.profile import last_second
from foundation.x509.template import (
    Issuer,
    compile_template,
    signed_octets,
    unsigned_certificate,
)
from issuing_ca.key_checks import check_public_key
from issuing_ca.service import packaged_profiles

_SECONDS, _ROUNDS = 0.07, 5
_GROUP = 25  # how many of a call are under way together
_GOALS = {
    256: (("encode + sign + verify",), 0.6),
    384: (("request checked, as above", f"request checked, {_GROUP} at a time"), 0.8),
}
_CITIZEN = (
    ("C", "KH"),
    ("surname", "SPECIMEN SOK"),
    ("givenName", "SPECIMEN DARA"),
    ("CN", "SPECIMEN SOK SPECIMEN DARA (សុខ ដារ៉ា)"),
    ("serialNumber", "CT:KH-0123456789ABCDEF0123456789ABCDEF"),
)
_URLS = Urls("http://ca.example/ocsp", "http://ca.example/aia/issuing.cer", "http://ca.example/crl/issuing.crl")


def main() -> None:
    rarely_collect()  # as a server of ours does
    print("certificates in process: no token, no database     per CPU-second      of raw")
    for curve in (ec.SECP256R1(), ec.SECP384R1()):
        measure(curve)


def measure(curve: ec.EllipticCurve) -> None:
    """The lines for an issuer with a key on this curve; subjects have P-256 keys."""
    name = "P-256" if curve.key_size == 256 else "P-384"
    profile, key = packaged_profiles()["citizen-sign"], ec.generate_private_key(curve)
    issuer_name = subject_name([("C", "KH"), ("O", "SPECIMEN CamTrust"), ("CN", "SPECIMEN Issuing CA")])
    issuer = Issuer(issuer_name, key.public_key(), _URLS, bytes(20))
    template, subject = compile_template(profile, issuer), SubjectName.of(_CITIZEN)
    holders = [ec.generate_private_key(ec.SECP256R1()) for _ in range(64)]
    keys = itertools.cycle([holder.public_key() for holder in holders])
    requests = itertools.cycle([_request(holder) for holder in holders])
    algorithm = ec.ECDSA(hashes.SHA256() if curve.key_size == 256 else hashes.SHA384())
    numbers, begin = itertools.count(1 << 126), datetime(2026, 1, 1, tzinfo=UTC)

    def given(
        subject: SubjectName, public_key: CertificatePublicKeyTypes, encoded_key: bytes | None = None
    ) -> CertificateInput:
        number = next(numbers)
        at = begin + timedelta(seconds=number & 0xFFFFF)
        return issuer.input(profile, subject, public_key, number, at, last_second(at, 1000), encoded_key=encoded_key)

    def encode() -> bytes:
        return template.tbs(given(subject, next(keys)))

    def issue(tbs: bytes) -> bytes:
        signature = key.sign(tbs, algorithm)
        verify(issuer.public_key, signature, tbs)
        return signed_octets(tbs, template.algorithm, signature)

    def issue_checked(public_key: ec.EllipticCurvePublicKey) -> bytes:
        check_public_key(public_key)
        tbs = template.tbs(given(SubjectName.of(_CITIZEN), public_key))
        require_clean(unsigned_certificate(tbs, template.algorithm), profile)
        return issue(tbs)

    def encoded_request() -> bytes:
        proven = proven_key(next(requests))
        return template.tbs(given(subject, proven.public_key, proven.encoded))

    def group() -> None:
        """As a call for many does: all are read, then all encoded, then all signed, then all verified."""
        proven = proven_keys([next(requests) for _ in range(_GROUP)])
        made = [
            template.tbs(given(subject, one.public_key, one.encoded)) for one in proven if isinstance(one, ProvenKey)
        ]
        signed = [(tbs, key.sign(tbs, algorithm)) for tbs in made]
        for tbs, signature in signed:
            verify(issuer.public_key, signature, tbs)
            signed_octets(tbs, template.algorithm, signature)

    operations: dict[str, Callable[[], object]] = {
        f"{name}: template, encode": encode,
        f"{name}: template, encode + sign + verify": lambda: issue(encode()),
        f"{name}: builder, build + sign + verify": lambda: sign_certificate(
            certificate_builder(given(subject, next(keys))), key
        ),
        f"{name}: template, request checked, as above": lambda: issue(encoded_request()),
        f"{name}: template, with names, key checks and lint": lambda: issue_checked(next(keys)),
    }
    in_groups = f"{name}: template, request checked, {_GROUP} at a time"
    raw, raw_request, rates = 0.0, 0.0, dict.fromkeys((*operations, in_groups), 0.0)
    for _ in range(_ROUNDS):  # in turns, so that each has its share of the quiet moments
        raw = max(raw, raw_sign_verify_rate(_SECONDS, curve))
        raw_request = max(raw_request, raw_verify_rate(_SECONDS))
        for what, operation in operations.items():
            rates[what] = max(rates[what], rate(operation, _SECONDS))
        rates[in_groups] = max(rates[in_groups], _GROUP * rate(group, _SECONDS, batch=1))
    with_verified_request = 1 / (1 / raw + 1 / raw_request)
    references = {f"{name}: raw, sign + verify": raw, f"{name}: raw, a request verified too": with_verified_request}
    for what, value in {**references, **rates}.items():
        print(f"{what:50} {value:10,.0f} /s   {value / raw:10.0%}", flush=True)
    whats, least = _GOALS[curve.key_size]
    for what in whats:
        reached = rates[f"{name}: template, {what}"] / raw
        goal(f"{name} issuer, {what}", f"{least:.0%} of raw", f"{reached:.0%}", reached >= least)


def _request(key: ec.EllipticCurvePrivateKey) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject_name([("CN", "SPECIMEN request")]))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


if __name__ == "__main__":
    main()
