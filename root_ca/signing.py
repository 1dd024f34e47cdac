"""Prepare, lint, sign, compare, verify, lint again: the part of an act that uses keys."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from foundation.canonical import canonical_json
from foundation.keys.handles import private_key, public_key
from foundation.keys.port import KeyAlgorithm, KeyInfo, KeyStore, KeyUse
from foundation.randomness import Randomness, serial_number
from foundation.x509.certificate import (
    CertificateInput,
    certificate_builder,
    sign_certificate,
    throwaway_sign,
)
from foundation.x509.crl import sign_crl
from foundation.x509.errors import SignatureWrong
from foundation.x509.lint import require_clean
from foundation.x509.pem import certificate_pem
from root_ca.building import profiles, root_builder, root_crl_tbs, subordinate_builder
from root_ca.checks import Examined, held
from root_ca.errors import CeremonyRefused
from root_ca.model import CheckResult, NewKeys, RootAct, RootCrlAct
from root_ca.model import Keys as KeyLabels

Steps = list[tuple[str, dict[str, str], dict[str, str]]]


@dataclass(frozen=True)
class Keys:
    """The root key, and the key that signs transcripts and nothing else."""

    root: KeyInfo
    audit: KeyInfo

    def root_handle(self, store: KeyStore) -> CertificateIssuerPrivateKeyTypes:
        return private_key(store, self.root)

    def audit_handle(self, store: KeyStore) -> CertificateIssuerPrivateKeyTypes:
        return private_key(store, self.audit)


@dataclass(frozen=True)
class Signed:
    """What was signed, the file that holds it, and the steps that led there."""

    structure: x509.Certificate | x509.CertificateRevocationList
    file: bytes
    steps: Steps = field(default_factory=list)


def make_keys(store: KeyStore, labels: NewKeys | KeyLabels, begin: Callable[[], None]) -> Keys:
    """Make root and audit key; CeremonyRefused when a label is taken. ``begin`` is called before the first is made."""
    for label in (labels.label, labels.audit_label):
        if store.find(label=label):
            raise _refused("ROOT-LABEL-ABSENT", f"the token has a key {label} already")
    begin()
    root = store.generate(labels.label, KeyAlgorithm.EC_P384, KeyUse.ROOT_CA)
    return Keys(root, store.generate(labels.audit_label, KeyAlgorithm.EC_P384, KeyUse.AUDIT))


def find_keys(store: KeyStore, labels: NewKeys | KeyLabels, root: x509.Certificate, audit_key: bytes) -> Keys:
    """The keys of the transcripts; CeremonyRefused when they are not there, disabled, or others."""
    found = []
    expected = root.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    for label, use, public in (
        (labels.label, KeyUse.ROOT_CA, expected),
        (labels.audit_label, KeyUse.AUDIT, audit_key),
    ):
        keys = store.find(label=label)
        if len(keys) != 1:
            raise _refused("ROOT-KEY", f"the token has {len(keys)} keys {label}, not one")
        if keys[0].use is not use or keys[0].public_key != public or not keys[0].enabled:
            raise _refused("ROOT-KEY", f"the key {label} is not the enabled {use} key of the transcripts")
        found.append(keys[0])
    return Keys(*found)


def discard(store: KeyStore, keys: Keys) -> None:
    """Destroy the keys of a rehearsal."""
    for info in (keys.root, keys.audit):
        store.destroy(info.key_id)


def stand_in_root(store: KeyStore, keys: Keys, root: x509.Certificate) -> x509.Certificate:
    """For a rehearsal: a root with the real one's name and dates, and the throwaway token's key."""
    profile, key = profiles()["root"], public_key(keys.root)
    builder = certificate_builder(
        CertificateInput(
            profile,
            root.subject,
            key,
            root.serial_number,
            root.not_valid_before_utc,
            root.not_valid_after_utc,
            root.subject,
            key,
        )
    )
    return sign_certificate(builder, keys.root_handle(store))


def sign_act(
    examined: Examined, store: KeyStore, keys: Keys, issuer: x509.Certificate | None, randomness: Randomness
) -> Signed:
    """Sign what the act describes. LintFailed before anything is signed; SignatureWrong for what does not verify."""
    act = examined.ceremony.act
    if isinstance(act, RootCrlAct):
        return _sign_crl(act, store, keys, held(issuer, "ROOT-ISSUER"))
    profile = held(examined.profile, "ROOT-PROFILE")
    serial = serial_number(randomness)
    if isinstance(act, RootAct):
        builder = root_builder(act, profile, public_key(keys.root), serial)
    else:
        request = held(examined.request, "ROOT-CSR")
        builder = subordinate_builder(act, profile, request.public_key(), serial, held(issuer, "ROOT-ISSUER"))
    prepared = throwaway_sign(builder, public_key(keys.root))
    require_clean(prepared, profile, issuer or prepared)
    tbs = prepared.tbs_certificate_bytes
    steps: Steps = [
        (
            "ROOT-PREPARE",
            {"profile": canonical_json(profile.data()).decode()},
            {"serial": f"{serial:x}", "tbs_sha256": hashlib.sha256(tbs).hexdigest()},
        )
    ]
    certificate = sign_certificate(builder, keys.root_handle(store))
    der = certificate.public_bytes(Encoding.DER)
    steps.append(("ROOT-SIGN", {"key": keys.root.label}, {"certificate_sha256": hashlib.sha256(der).hexdigest()}))
    _same(tbs, certificate.tbs_certificate_bytes, steps)
    require_clean(certificate, profile, issuer or certificate)
    steps.append(("ROOT-LINT-AFTER", {}, {"findings": "none"}))
    return Signed(certificate, certificate_pem(certificate), steps)


def _sign_crl(act: RootCrlAct, store: KeyStore, keys: Keys, issuer: x509.Certificate) -> Signed:
    tbs = root_crl_tbs(act, issuer)
    steps: Steps = [
        (
            "ROOT-PREPARE",
            {"number": str(act.crl.number), "revoked": json.dumps([item.serial for item in act.crl.revoked])},
            {"tbs_sha256": hashlib.sha256(tbs).hexdigest()},
        )
    ]
    crl = sign_crl(issuer, keys.root_handle(store), tbs)
    der = crl.public_bytes(Encoding.DER)
    steps.append(("ROOT-SIGN", {"key": keys.root.label}, {"crl_sha256": hashlib.sha256(der).hexdigest()}))
    _same(tbs, crl.tbs_certlist_bytes, steps)
    return Signed(crl, der, steps)


def _same(prepared: bytes, signed: bytes, steps: Steps) -> None:
    if prepared != signed:
        raise SignatureWrong
    steps.append(("ROOT-TBS-EQUAL", {}, {"tbs_sha256": hashlib.sha256(signed).hexdigest()}))


def _refused(rule: str, detail: str) -> CeremonyRefused:
    return CeremonyRefused([CheckResult(rule, False, detail)])
