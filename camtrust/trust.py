"""The trust bundle of a home: gathering what the services publish, and having the trust-list operator sign it.

The operator's key is in a token of its own and its certificate is self-signed: it stands outside the root, so that a
stolen root or service key cannot make a bundle. What relying parties pin is that certificate's SHA-256.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding

from camtrust.errors import OperatorNotInSet, OperatorsRefused, RootsRefused
from camtrust.home import Home
from camtrust.trust_list import make_trust_list
from foundation.clock import Clock
from foundation.keys.handles import private_key
from foundation.keys.port import KeyAlgorithm, KeyStore, KeyUse
from foundation.randomness import SystemRandomness, serial_number
from foundation.x509.certificate import key_identifier, sign_certificate
from foundation.x509.names import subject_name
from issuing_ca.log import IssuanceLog
from issuing_ca.model import ROOT, AuthorityKind
from issuing_ca.scopes import Scope
from issuing_ca.service import CertificateAuthority
from root_ca.acts import RolloverAct, TwinRootAct
from root_ca.service import verify
from signing.verify.bundle import Bundle, BundleContents, BundleProblem, fingerprint, read_bundle
from signing.verify.bundle_export import export_bundle
from signing.verify.bundle_memory import SEQUENCE_IN_HOME, remembered
from signing.verify.errors import BundleNotMade
from signing.verify.logged import LogRequirement
from signing.verify.operators import OperatorSet, OperatorsInvalid, verified_chain

_LABEL = "trust-list-operator"
_OPERATOR_DAYS = 1096
OPERATORS_IN_HOME = Path("trust") / "operators.json"
SEAL_PROFILES = frozenset({"organisation-seal"})
_PAGE = 200
DRAFT_IN_HOME = Path("trust") / "camtrust.bundle.draft"


@dataclass(frozen=True)
class WrittenBundle:
    """A bundle that was written: where, its sequence number, and the fingerprint to pin.

    ``missing``: how many operators' signatures it still lacks; until then it is a draft and not published.
    """

    path: Path
    sequence: int
    signer: str
    expires: str
    missing: int = 0


def operator_certificate(home: Home, keys: KeyStore, clock: Clock, specimen: bool) -> x509.Certificate:
    """The trust-list operator's self-signed certificate, made with its key when it is not there yet."""
    file = home.folder("trust") / "operator.pem"
    if file.exists():
        return x509.load_pem_x509_certificate(file.read_bytes())
    found = keys.find(label=_LABEL, use=KeyUse.TRUST_LIST)
    info = found[0] if found else keys.generate(_LABEL, KeyAlgorithm.EC_P384, KeyUse.TRUST_LIST)
    key, now = private_key(keys, info), clock.now().replace(microsecond=0)
    mark = "SPECIMEN " if specimen else ""
    name = subject_name([("C", "KH"), ("O", f"{mark}CamTrust"), ("CN", f"{mark}CamTrust Trust List Operator")])
    public = key.public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(serial_number(SystemRandomness()))
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=_OPERATOR_DAYS) - timedelta(seconds=1))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_digital_signature(), critical=True)
        .add_extension(x509.SubjectKeyIdentifier(key_identifier(public)), critical=False)
    )
    certificate = sign_certificate(builder, key)
    write_new(file, certificate.public_bytes(Encoding.PEM))
    return certificate


@dataclass(frozen=True)
class Roots:
    """What the root's transcripts add to a bundle: anchors beside the services' own, links, statements of twins."""

    anchors: tuple[x509.Certificate, ...] = ()
    links: tuple[x509.Certificate, ...] = ()
    twins: tuple[x509.Certificate, ...] = ()


def roots_of(transcript: Path, ca: CertificateAuthority) -> Roots:
    """Every root of a transcript that verifies and has not ended, the links between them, and the twins' statements.

    RootsRefused when the transcript does not verify, or is not about the root of these services.
    """
    result = verify(transcript)
    if not result.valid:
        raise RootsRefused(transcript=transcript.name)
    living = {state.label: state.certificate for state in result.states if not state.ended}
    if not {one.root for one in ca.authorities.all()} <= set(living.values()):
        raise RootsRefused(transcript=transcript.name)
    links: list[x509.Certificate] = []
    twins: list[x509.Certificate] = []
    for one in result.acts:
        act = one.ceremony.act
        if isinstance(act, TwinRootAct | RolloverAct) and {act.key.label, act.key.beside} <= set(living):
            made = one.certificates[1:]  # after the new root itself
            (twins if isinstance(act, TwinRootAct) else links).extend(made)
    return Roots(tuple(living.values()), tuple(links), tuple(twins))


def write_bundle(
    home: Home,
    ca: CertificateAuthority,
    keys: KeyStore,
    clock: Clock,
    *,
    days: int,
    specimen: bool,
    roots: Roots = Roots(),
    contact: str = "trust@example.invalid",
) -> WrittenBundle:
    """Gather, sign and write ``trust/camtrust.bundle``, ``bundle-signer.txt`` and the trust list ``list.xml``.

    The sequence number rises by 1. ``keys`` is the trust-list operator's token, not the services'. ``days``: how long
    verifiers may rely on it; ``contact``: the operator's e-mail address, for the list.
    """
    signer = operator_certificate(home, keys, clock, specimen)
    now = clock.now().replace(microsecond=0)
    chain = operator_chain(home)
    if chain is not None and fingerprint(signer) not in chain[-1].operators:
        raise OperatorNotInSet(version=chain[-1].version)
    pin = chain[-1].sha256 if chain else fingerprint(signer)
    contents = _gather(ca, _last_sequence(home) + 1, now, now + timedelta(days=days), specimen)
    contents = replace(
        contents,
        anchors=tuple(dict.fromkeys((*contents.anchors, *roots.anchors))),
        intermediates=tuple(dict.fromkeys((*contents.intermediates, *roots.links))),
        twins=roots.twins,
        operators=(home.path / OPERATORS_IN_HOME).read_bytes() if chain else None,
    )
    key = operator_key(keys)
    written = publish_bundle(home, export_bundle(contents, [(key, signer)]), pin)
    _replace(home.trust_list, make_trust_list(ca, contents.sequence, clock, specimen, contact, key, signer))
    return written


def publish_bundle(home: Home, octets: bytes, pin: str) -> WrittenBundle:
    """Put a bundle in the home's place where enough operators signed it; else beside it, as a draft."""
    read = read_bundle(octets, frozenset({pin}))
    bundle = read if isinstance(read, Bundle) else read.claimed
    if bundle is None:
        raise BundleNotMade(rule="BND-FORM")
    newest = bundle.sets[-1] if bundle.sets else None
    missing = 0
    if isinstance(read, BundleProblem):
        missing = newest.threshold - len(set(newest.operators) & set(bundle.signers)) if newest else 1
    place = home.path / DRAFT_IN_HOME if missing else home.bundle
    _replace(place, octets)
    if not missing:
        (home.path / DRAFT_IN_HOME).unlink(missing_ok=True)
        _replace(home.bundle_signer, f"{pin}\n".encode())
    return WrittenBundle(place, bundle.contents.sequence, pin, bundle.contents.expires.isoformat(), missing)


def operator_key(keys: KeyStore) -> CertificateIssuerPrivateKeyTypes:
    """The trust-list operator's key, a handle."""
    return private_key(keys, keys.find(label=_LABEL, use=KeyUse.TRUST_LIST)[0])


def operator_chain(home: Home) -> tuple[OperatorSet, ...] | None:
    """The home's sets of operators; None where one operator signs alone. Raises OperatorsRefused."""
    file = home.path / OPERATORS_IN_HOME
    if not file.exists():
        return None
    try:
        return verified_chain(file.read_bytes())
    except OperatorsInvalid:
        raise OperatorsRefused(name=file.name) from None


def adopt_operators(home: Home, octets: bytes) -> OperatorSet:
    """Take a chain of sets that holds and goes on from the home's own. Raises OperatorsRefused."""
    try:
        chain = verified_chain(octets)
    except OperatorsInvalid:
        raise OperatorsRefused(name=OPERATORS_IN_HOME.name) from None
    before = operator_chain(home) or ()
    if chain[: len(before)] != before:
        raise OperatorsRefused(name=OPERATORS_IN_HOME.name)
    _replace(home.folder("trust") / OPERATORS_IN_HOME.name, octets)
    return chain[-1]


def _gather(
    ca: CertificateAuthority, sequence: int, issued: datetime, expires: datetime, specimen: bool
) -> BundleContents:
    authorities = ca.authorities.all()
    subordinates = [one for one in authorities if one.kind is not AuthorityKind.ROOT_OCSP]
    roots = {one.root for one in authorities}
    crls = [ca.current_crl(ROOT), *(ca.current_crl(one.name) for one in subordinates)]
    unit = ca.timestamps.certificate()
    asked = [*(one.certificate for one in subordinates), unit]
    return BundleContents(
        sequence=sequence,
        issued=issued,
        expires=expires,
        specimen=specimen,
        anchors=tuple(roots),
        intermediates=tuple(dict.fromkeys(c for one in subordinates for c in (one.certificate, *one.chain))),
        tsa=(unit,),
        crls=tuple(crls),
        ocsp=tuple(answer for one in asked if (answer := ca.fresh_ocsp(one)) is not None),
        logs=_logs(ca.log) if ca.log else LogRequirement(),
        seals=_seals(ca, issued),
    )


def _seals(ca: CertificateAuthority, now: datetime) -> tuple[x509.Certificate, ...]:
    """Of all organisations, also those that are revoked: what is on paper stays there."""
    found: list[x509.Certificate] = []
    after: str | None = None
    while page := ca.certificates(after, _PAGE, None, None, Scope(profiles=SEAL_PROFILES)):
        kept = [one.certificate for one in page if one.certificate is not None and one.not_after > now]
        found += [x509.load_der_x509_certificate(one) for one in kept]
        after = page[-1].serial
    return tuple(found)


def _logs(log: IssuanceLog) -> LogRequirement:
    return LogRequirement(
        keys=(str(log.verifier_key()),),
        witnesses=tuple(str(one) for one in log.witnesses),
        quorum=log.quorum,
        required=True,
    )


def _last_sequence(home: Home) -> int:
    """The highest number that was given out, whoever signed it: in what is there, a draft, or what was seen here."""
    kept = remembered(home.path / SEQUENCE_IN_HOME)
    numbers = [kept.sequence if kept else 0]
    for file in (home.bundle, home.path / DRAFT_IN_HOME):
        if file.exists():
            read = read_bundle(file.read_bytes(), frozenset())
            bundle = read if isinstance(read, Bundle) else read.claimed
            numbers.append(bundle.contents.sequence if bundle else 0)
    return max(numbers)


def _digital_signature() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def write_new(file: Path, data: bytes) -> None:
    """Write a file that must not exist; readers never see a part of it."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _replace(file: Path, data: bytes) -> None:
    temporary = file.with_name(file.name + ".new")
    temporary.unlink(missing_ok=True)
    write_new(temporary, data)
    temporary.replace(file)
