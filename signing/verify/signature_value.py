"""Signature values as XML and JSON have them, and the certificates that come with them."""

from __future__ import annotations

from collections.abc import Iterable

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding

from foundation.x509.signature_check import HASHES, Outcome, Scheme, check_signature
from signing.raw_signature import der_ecdsa
from signing.verify.model import Reason, SubIndication, failed, indeterminate
from signing.verify.policy import Policy


def verify_value(
    signer: x509.Certificate, scheme: Scheme, hash_name: str, value: bytes, octets: bytes, policy: Policy
) -> Outcome:
    """Check a signature value as XML and JSON have it: ECDSA as r and s side by side, RSA-PSS with a salt as long as
    the hash."""
    try:
        key = signer.public_key()
    except Exception:  # a key that cannot be read: cryptography raises several kinds
        return Outcome.REFUSED
    pss = None
    if scheme is Scheme.ECDSA:
        if not isinstance(key, ec.EllipticCurvePublicKey):
            return Outcome.WRONG
        try:
            value = der_ecdsa(value, key)
        except ValueError:
            return Outcome.WRONG
    elif scheme is Scheme.RSA_PSS:
        pss = padding.PSS(padding.MGF1(HASHES[hash_name]), HASHES[hash_name].digest_size)
    return check_signature(key, scheme, hash_name, value, octets, policy.algorithms, pss)


def signature_reasons(outcome: Outcome, prefix: str) -> tuple[Reason, ...]:
    """What a check of a signature value means; rules begin with ``prefix``."""
    if outcome is Outcome.WRONG:
        clause, sub = "EN 319 102-1 §5.2.7.4", SubIndication.SIG_CRYPTO_FAILURE
        return (failed(f"{prefix}-SIGNATURE", clause, "verify_crypto_failure", sub),)
    if outcome is Outcome.REFUSED:
        return (unsupported(f"{prefix}-ALGORITHM"),)
    return ()


def other_content(rule: str) -> Reason:
    """A file was given beside, and the signature is about something else, which is inside."""
    return failed(rule, "camtrust contract", "verify_other_content", SubIndication.HASH_FAILURE)


def unsupported(rule: str) -> Reason:
    """An algorithm that does not count."""
    sub = SubIndication.CRYPTO_CONSTRAINTS_FAILURE
    return indeterminate(rule, "EN 319 102-1 §5.2.8", "verify_algorithm", sub)


def loaded(octets: Iterable[bytes]) -> tuple[x509.Certificate, ...]:
    """The certificates that can be read; one that cannot does not help."""
    found: dict[x509.Certificate, None] = {}
    for one in octets:
        try:
            found[x509.load_der_x509_certificate(one)] = None
        except Exception:  # noqa: S112
            continue
    return tuple(found)
