"""Prepare, lint, sign, compare, verify, lint again: the part of an act that uses keys."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from foundation.canonical import canonical_json
from foundation.keys.handles import private_key, public_key
from foundation.keys.port import KeyAlgorithm, KeyInfo, KeyStore, KeyUse
from foundation.randomness import Randomness, serial_number
from foundation.x509 import der
from foundation.x509.algorithms import algorithm_identifier, key_algorithm, sign, throwaway_key
from foundation.x509.certificate import CertificateInput, certificate_builder, sign_certificate, throwaway_sign
from foundation.x509.errors import SignatureWrong
from foundation.x509.lint import require_clean
from foundation.x509.profile import Profile
from root_ca.acts import CRLS, NEW_ROOT, Act, DestroyAct, RolloverAct, TwinRootAct
from root_ca.building import profiles
from root_ca.checks import Examined
from root_ca.errors import CeremonyRefused
from root_ca.history import issuing_label
from root_ca.model import CheckResult
from root_ca.ports import OutsideLint
from root_ca.structures import Facts, Structure, ToSign, file_of, plan, run

Steps = list[tuple[str, dict[str, str], dict[str, str]]]


@dataclass(frozen=True)
class Keys:
    """The keys of an act: those that certify by label, the new one among them, and the one that signs transcripts."""

    certifying: dict[str, KeyInfo]
    audit: KeyInfo
    new: KeyInfo | None

    @property
    def issuing(self) -> KeyInfo:
        """The root that was there before; in the first act, the new one."""
        return next(info for info in self.certifying.values() if info is not self.new or len(self.certifying) == 1)

    def handle(self, store: KeyStore, label: str) -> CertificateIssuerPrivateKeyTypes:
        return private_key(store, self.certifying[label])

    def audit_handle(self, store: KeyStore) -> CertificateIssuerPrivateKeyTypes:
        return private_key(store, self.audit)


@dataclass(frozen=True)
class Signed:
    """What an act made: finished structures and file contents by output path, and the steps that led there."""

    structures: dict[str, Structure]
    contents: dict[str, bytes]
    steps: Steps = field(default_factory=list)


def make_keys(store: KeyStore, act: Act, issuer: x509.Certificate | None, begin: Callable[[], None]) -> Keys:
    """Make every key that the act uses, for the first act or a rehearsal; a root that is there gets a stand-in.

    CeremonyRefused when a label is taken. ``begin`` is called before the first is made.
    """
    wanted: dict[str, KeyAlgorithm] = {}
    if issuer is not None:
        wanted[str(issuing_label(act))] = key_algorithm(issuer.public_key())
    if isinstance(act, NEW_ROOT):
        wanted[act.key.label] = KeyAlgorithm(act.key.algorithm)
    _absent(store, (*wanted, act.key.audit_label))
    begin()
    certifying = {label: store.generate(label, algorithm, KeyUse.ROOT_CA) for label, algorithm in wanted.items()}
    audit = store.generate(act.key.audit_label, KeyAlgorithm.EC_P384, KeyUse.AUDIT)
    return Keys(certifying, audit, certifying[act.key.label] if isinstance(act, NEW_ROOT) else None)


def find_keys(store: KeyStore, act: Act, root: x509.Certificate, audit_key: bytes, begin: Callable[[], None]) -> Keys:
    """The keys of the transcripts, and the new one where the act makes one.

    CeremonyRefused when they are not there, disabled, or others, or when the new label is taken. ``begin`` is called
    before anything is made.
    """
    label = str(issuing_label(act))
    expected = root.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    certifying = {label: _find(store, label, KeyUse.ROOT_CA, expected)}
    audit = _find(store, act.key.audit_label, KeyUse.AUDIT, audit_key)
    new = None
    if isinstance(act, TwinRootAct | RolloverAct):
        _absent(store, (act.key.label,))
        begin()
        new = certifying[act.key.label] = store.generate(act.key.label, KeyAlgorithm(act.key.algorithm), KeyUse.ROOT_CA)
    else:
        begin()
    return Keys(certifying, audit, new)


def _find(store: KeyStore, label: str, use: KeyUse, public: bytes) -> KeyInfo:
    keys = store.find(label=label)
    if len(keys) != 1:
        raise _refused("ROOT-KEY", f"the token has {len(keys)} keys {label}, not one")
    if keys[0].use is not use or keys[0].public_key != public or not keys[0].enabled:
        raise _refused("ROOT-KEY", f"the key {label} is not the enabled {use} key of the transcripts")
    return keys[0]


def _absent(store: KeyStore, labels: Sequence[str]) -> None:
    for label in labels:
        if store.find(label=label):
            raise _refused("ROOT-LABEL-ABSENT", f"the token has a key {label} already")


def discard(store: KeyStore, keys: Keys) -> None:
    """Destroy the keys of a rehearsal, those that the act did not destroy itself."""
    for info in (*keys.certifying.values(), keys.audit):
        if store.find(label=info.label):
            store.destroy(info.key_id)


def stand_in_root(store: KeyStore, keys: Keys, root: x509.Certificate, arc: str) -> x509.Certificate:
    """For a rehearsal: a root with the real one's name and dates, and the throwaway token's key."""
    profile, key = profiles(arc)["root"], public_key(keys.issuing)
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
    return sign_certificate(builder, keys.handle(store, keys.issuing.label))


def sign_act(
    examined: Examined,
    store: KeyStore,
    keys: Keys,
    issuer: x509.Certificate | None,
    randomness: Randomness,
    lints: Sequence[OutsideLint] = (),
) -> Signed:
    """Sign what the act describes. LintFailed before anything is signed; SignatureWrong for what does not verify."""
    act, state = examined.ceremony.act, examined.state
    signed = Signed({}, {})
    serials: dict[str, int] = {}

    def serial(output: str) -> int:
        return serials.setdefault(output, serial_number(randomness))

    def take(wanted: ToSign) -> Structure:
        handle = keys.handle(store, wanted.signer)
        if wanted.builder is not None and wanted.profile is not None:
            finished: Structure = _certificate(
                wanted, wanted.builder, wanted.profile, handle, serials, signed.steps, lints
            )
        else:
            number = (
                {}
                if not isinstance(act, CRLS)
                else {"number": str(act.crl.number), "revoked": json.dumps([item.serial for item in act.crl.revoked])}
            )
            finished = _crl(wanted, handle, number, signed.steps, lints)
        signed.structures[wanted.output] = finished
        signed.contents[wanted.output] = file_of(finished)
        return finished

    facts = Facts(
        inputs=examined.inputs,
        issuer=issuer,
        new_key=public_key(keys.new) if keys.new else None,
        serial=serial,
        profiles=examined.profiles,
        issued=tuple(state.issued) if state else (),
        revoked=state.revoked if state else (),
    )
    signed.contents.update(run(plan(act, facts), take))
    if isinstance(act, DestroyAct):
        signed.steps.append(_destroy(store, keys.issuing))
    return signed


def _certificate(
    wanted: ToSign,
    builder: x509.CertificateBuilder,
    profile: Profile,
    handle: CertificateIssuerPrivateKeyTypes,
    serials: dict[str, int],
    steps: Steps,
    lints: Sequence[OutsideLint],
) -> x509.Certificate:
    output = {"output": wanted.output}
    prepared = throwaway_sign(builder, wanted.issuer_key)
    require_clean(prepared, profile, wanted.issuer or prepared)
    tbs = prepared.tbs_certificate_bytes
    before = _outside(lints, prepared.public_bytes(Encoding.DER), crl=False)
    steps.append(
        (
            "ROOT-PREPARE",
            {**output, "profile": canonical_json(profile.data()).decode()},
            {"serial": f"{serials[wanted.output]:x}", "tbs_sha256": hashlib.sha256(tbs).hexdigest()},
        )
    )
    certificate = sign_certificate(builder, handle)
    octets = certificate.public_bytes(Encoding.DER)
    steps.append(
        (
            "ROOT-SIGN",
            {**output, "key": wanted.signer},
            {"certificate_sha256": hashlib.sha256(octets).hexdigest()},
        )
    )
    _same(output, tbs, certificate.tbs_certificate_bytes, steps)
    require_clean(certificate, profile, wanted.issuer or certificate)
    steps.append(("ROOT-LINT-AFTER", output, {"findings": "none"}))
    _report(output, lints, before, _outside(lints, octets, crl=False), steps)
    return certificate


def _crl(
    wanted: ToSign,
    handle: CertificateIssuerPrivateKeyTypes,
    described: dict[str, str],
    steps: Steps,
    lints: Sequence[OutsideLint],
) -> x509.CertificateRevocationList:
    output, tbs = {"output": wanted.output}, wanted.tbs
    before = _outside(lints, _joined(wanted, throwaway_key(key_algorithm(wanted.issuer_key))), crl=True)
    steps.append(("ROOT-PREPARE", {**output, **described}, {"tbs_sha256": hashlib.sha256(tbs).hexdigest()}))
    if handle.public_key() != wanted.issuer_key:
        raise SignatureWrong
    crl = x509.load_der_x509_crl(_joined(wanted, handle))
    octets = crl.public_bytes(Encoding.DER)
    steps.append(("ROOT-SIGN", {**output, "key": wanted.signer}, {"crl_sha256": hashlib.sha256(octets).hexdigest()}))
    _same(output, tbs, crl.tbs_certlist_bytes, steps)
    _report(output, lints, before, _outside(lints, octets, crl=True), steps)
    return crl


def _joined(wanted: ToSign, key: CertificateIssuerPrivateKeyTypes) -> bytes:
    return der.sequence([wanted.tbs, algorithm_identifier(wanted.issuer_key), der.bit_string(sign(key, wanted.tbs))])


def _destroy(store: KeyStore, info: KeyInfo) -> tuple[str, dict[str, str], dict[str, str]]:
    store.destroy(info.key_id)
    if store.find(label=info.label):
        raise _refused("ROOT-DESTROYED", f"the token still has the key {info.label}")
    return ("ROOT-DESTROYED", {"key": info.label}, {"public_key_sha256": hashlib.sha256(info.public_key).hexdigest()})


def _outside(lints: Sequence[OutsideLint], octets: bytes, *, crl: bool) -> list[str]:
    return [", ".join(one.findings(octets, crl)) or "none" for one in lints]


def _report(
    output: dict[str, str], lints: Sequence[OutsideLint], before: list[str], after: list[str], steps: Steps
) -> None:
    for lint, first, second in zip(lints, before, after, strict=True):
        steps.append(("ROOT-LINT-OUTSIDE", {**output, "program": lint.program}, {"before": first, "after": second}))


def _same(output: dict[str, str], prepared: bytes, signed: bytes, steps: Steps) -> None:
    if prepared != signed:
        raise SignatureWrong
    steps.append(("ROOT-TBS-EQUAL", output, {"tbs_sha256": hashlib.sha256(signed).hexdigest()}))


def _refused(rule: str, detail: str) -> CeremonyRefused:
    return CeremonyRefused([CheckResult(rule, False, detail)])
