"""Verification of a transcript: walks back to the making of the root, then replays every act forward from its files.

It needs no key and trusts no transcript by itself: it rebuilds every to-be-signed structure from ceremony file and
inputs, compares it bit for bit with what was signed, and verifies each signature. What it cannot know by itself is
whose root it is: for that, compare the fingerprints that were read aloud (or give them: ``root``, ``audit_key``).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_der_public_key

from foundation.errors import CamTrustError
from foundation.x509.algorithms import verify as verify_signature
from foundation.x509.certificate import throwaway_sign
from foundation.x509.csr import read_csr
from foundation.x509.errors import SignatureWrong
from foundation.x509.lint import lint_certificate
from foundation.x509.pem import certificate_pem, read_certificate, read_crl
from foundation.x509.profile import Profile, parse_profile
from root_ca import transcript as transcripts
from root_ca.building import profiles, root_builder, root_crl_tbs, subordinate_builder
from root_ca.ceremony_file import parse_ceremony
from root_ca.errors import TranscriptInvalid
from root_ca.history import certificate_rules, crl_rules
from root_ca.model import Ceremony, RootAct, RootCrlAct, SubordinateAct
from root_ca.transcript import Transcript

MAX_ACTS = 1000


@dataclass(frozen=True)
class Problem:
    """A broken rule and the file that breaks it."""

    rule: str
    artifact: str
    message: str


@dataclass(frozen=True)
class Replayed:
    """An act whose record holds: what it made."""

    path: Path
    sha256: str
    transcript: Transcript
    ceremony: Ceremony
    certificate: x509.Certificate | None = None
    crl: x509.CertificateRevocationList | None = None


@dataclass
class Verification:
    """``acts`` oldest first, as far as they hold; ``problems`` empty when everything does."""

    acts: list[Replayed] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    audit_key: bytes | None = None

    @property
    def valid(self) -> bool:
        return not self.problems and bool(self.acts)

    @property
    def root(self) -> x509.Certificate | None:
        return self.acts[0].certificate if self.acts else None

    @property
    def certificates(self) -> list[x509.Certificate]:
        """The root, then everything that it certified."""
        return [act.certificate for act in self.acts if act.certificate is not None]


@dataclass(frozen=True)
class _Found:
    path: Path
    shown: str  # the path as a report names it
    data: bytes
    transcript: Transcript


def verify(path: Path, *, root: str | None = None, audit_key: str | None = None) -> Verification:
    """Verify a transcript and everything before it. Never raises for what it reads; problems name the changed file.

    ``root`` and ``audit_key`` are SHA-256 fingerprints in hex (certificate; SubjectPublicKeyInfo) to hold it against.
    """
    result = Verification()
    chain = _walk_back(path, result)
    if chain is None or result.problems:
        return result
    result.audit_key = bytes.fromhex(chain[0].transcript.audit_key)
    for found in chain:
        _check_transcript(found, result)
    if result.problems:
        return result
    for found in chain:
        before = len(result.problems)
        replayed = _replay(found, result)
        if replayed is None or len(result.problems) > before:
            return result
        result.acts.append(replayed)
    _check_pins(result, root, audit_key)
    return result


def _walk_back(path: Path, result: Verification) -> list[_Found] | None:
    chain: list[_Found] = []
    shown, expected = path.name, None
    folder = PurePosixPath()
    while True:
        data = _read(path, shown, result)
        if data is None:
            return None
        if expected is not None and hashlib.sha256(data).hexdigest() != expected:
            result.problems.append(Problem("ROOT-PREVIOUS", shown, "it is not the transcript that was continued"))
            return None
        try:
            transcript = transcripts.parse(data, shown)
        except TranscriptInvalid as error:
            result.problems.append(Problem("ROOT-TRANSCRIPT", shown, str(error.params["reason"])))
            return None
        chain.insert(0, _Found(path, shown, data, transcript))
        previous = transcript.header.previous
        if previous is None:
            break
        if len(chain) >= MAX_ACTS or not _stays_inside(previous.file):
            result.problems.append(Problem("ROOT-PREVIOUS", shown, "its past is too long, or lies outside its folder"))
            return None
        expected, path = previous.sha256, path.parent / previous.file
        folder = folder / PurePosixPath(previous.file).parent
        shown = str(folder / path.name)
    if chain[0].transcript.header.act != "root":
        result.problems.append(Problem("ROOT-PREVIOUS", chain[0].shown, "it does not begin with the act root"))
    return chain


def _stays_inside(file: str) -> bool:
    parts = PurePosixPath(file).parts
    return bool(parts) and not PurePosixPath(file).is_absolute() and ".." not in parts


def _read(path: Path, shown: str, result: Verification) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        result.problems.append(Problem("ROOT-ARTIFACT", shown, "it cannot be read"))
        return None


def _check_transcript(found: _Found, result: Verification) -> None:
    transcript = found.transcript
    broken = transcripts.broken_step(transcript)
    if broken is not None:
        rule = transcript.steps[broken].rule
        where = f"step {broken + 1} ({rule}), or what stands before it, was changed"
        result.problems.append(Problem("ROOT-TRANSCRIPT", found.shown, where))
    elif transcript.audit_key != (result.audit_key or b"").hex():
        result.problems.append(
            Problem("ROOT-TRANSCRIPT", found.shown, "it names another audit key than the root's act")
        )
    elif not transcripts.signed_by(transcript, result.audit_key or b""):
        result.problems.append(Problem("ROOT-TRANSCRIPT", found.shown, "the audit key did not sign it"))
    if transcript.header.rehearsal:
        result.problems.append(Problem("ROOT-TRANSCRIPT", found.shown, "it records a rehearsal"))


def _artifacts(found: _Found, result: Verification) -> dict[str, bytes] | None:
    """Every file that the act took and gave, if each is the one recorded; keys are paths as in the transcript."""
    header = found.transcript.header
    recorded = {header.ceremony.file: header.ceremony.sha256}
    recorded |= found.transcript.step("ROOT-CHECK").inputs
    recorded |= found.transcript.step("ROOT-OUTPUT").outputs
    contents = {}
    for file, expected in recorded.items():
        shown = str(PurePosixPath(found.shown).parent / file)
        if not _stays_inside(file):
            result.problems.append(Problem("ROOT-ARTIFACT", shown, "it lies outside the folder"))
            continue
        data = _read(found.path.parent / file, shown, result)
        if data is None:
            continue
        if hashlib.sha256(data).hexdigest() != expected:
            result.problems.append(Problem("ROOT-ARTIFACT", shown, "it is not the file that was recorded"))
        contents[file] = data
    return contents if len(contents) == len(recorded) else None


def _replay(found: _Found, result: Verification) -> Replayed | None:
    before = len(result.problems)
    try:
        contents = _artifacts(found, result)
        if contents is None or len(result.problems) > before:
            return None
        ceremony = parse_ceremony(found.path.parent / found.transcript.header.ceremony.file,
                                  contents[found.transcript.header.ceremony.file])  # fmt: skip
        replayed = Replayed(found.path, hashlib.sha256(found.data).hexdigest(), found.transcript, ceremony)
        _check_record(found, ceremony, result)
        if isinstance(ceremony.act, RootCrlAct):
            return _replay_crl(found, replayed, ceremony.act, contents, result)
        return _replay_certificate(found, replayed, ceremony.act, contents, result)
    except (CamTrustError, ValueError, KeyError) as error:
        reason = str(error) if isinstance(error, CamTrustError) else "a step does not hold what it should"
        result.problems.append(Problem("ROOT-REBUILD", found.shown, reason))
        return None


def _check_record(found: _Found, ceremony: Ceremony, result: Verification) -> None:
    """The record names exactly the files of the ceremony, and the same act."""
    header = found.transcript.header
    previous = header.previous.file if header.previous else None
    inputs, outputs = found.transcript.step("ROOT-CHECK").inputs, found.transcript.step("ROOT-OUTPUT").outputs
    if (header.act, header.title, previous) != (ceremony.act.act, ceremony.act.title, ceremony.previous):
        result.problems.append(Problem("ROOT-TRANSCRIPT", found.shown, "it records another act than its ceremony file"))
    if set(inputs) != set(ceremony.inputs) or set(outputs) != {ceremony.output}:
        result.problems.append(Problem("ROOT-TRANSCRIPT", found.shown, "it records other files than its ceremony file"))
    if found.path.name != ceremony.act.outputs.transcript:
        result.problems.append(Problem("ROOT-TRANSCRIPT", found.shown, "its ceremony file gives it another name"))


def _recorded_profile(found: _Found, act: RootAct | SubordinateAct, result: Verification) -> Profile:
    profile = parse_profile(json.loads(found.transcript.step("ROOT-PREPARE").inputs["profile"]))
    if profile.name != act.certificate.profile or profile.cps != act.certificate.cps:
        raise TranscriptInvalid(file=found.shown, reason="its profile is not the one of the ceremony file")
    if profile != profiles().get(profile.name):
        result.notes.append(f"{found.shown}: the profile {profile.name} has changed in this software since then")
    return profile


def _replay_certificate(
    found: _Found,
    replayed: Replayed,
    act: RootAct | SubordinateAct,
    contents: dict[str, bytes],
    result: Verification,
) -> Replayed | None:
    profile = _recorded_profile(found, act, result)
    data = contents[act.outputs.certificate]
    certificate = read_certificate(data, act.outputs.certificate)
    prepared = found.transcript.step("ROOT-PREPARE").outputs
    serial = int(prepared["serial"], 16)
    if isinstance(act, RootAct):
        recorded = bytes.fromhex(found.transcript.step("ROOT-KEY").outputs["root_key"])
        key = load_der_public_key(recorded)
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise TranscriptInvalid(file=found.shown, reason="its root key is of another kind")
        issuer, issuer_key = certificate, key
        builder = root_builder(act, profile, key, serial)
    else:
        issuer = _root(result, contents[act.inputs.issuer])
        issuer_key = _ec_key(issuer)
        request = read_csr(contents[act.inputs.csr])
        builder = subordinate_builder(act, profile, request.public_key(), serial, issuer)
        for rule, detail in certificate_rules(act, request.public_key(), result.certificates):
            result.problems.append(Problem(rule, found.shown, detail))
    rebuilt = throwaway_sign(builder, issuer_key).tbs_certificate_bytes
    shown = str(PurePosixPath(found.shown).parent / act.outputs.certificate)
    if (
        rebuilt != certificate.tbs_certificate_bytes
        or hashlib.sha256(rebuilt).hexdigest() != prepared["tbs_sha256"]
        or certificate_pem(certificate) != data
    ):
        result.problems.append(Problem("ROOT-REBUILD", shown, "it is not what the ceremony file and inputs give"))
    _check_signature(issuer_key, certificate.signature, certificate.tbs_certificate_bytes, shown, result)
    for item in lint_certificate(certificate, profile, issuer):
        result.problems.append(Problem("ROOT-LINT-AFTER", shown, f"{item.rule}: {item.message}"))
    return Replayed(replayed.path, replayed.sha256, replayed.transcript, replayed.ceremony, certificate=certificate)


def _replay_crl(
    found: _Found, replayed: Replayed, act: RootCrlAct, contents: dict[str, bytes], result: Verification
) -> Replayed | None:
    issuer = _root(result, contents[act.inputs.issuer])
    for rule, detail in crl_rules(act, [one.ceremony for one in result.acts], result.certificates):
        result.problems.append(Problem(rule, found.shown, detail))
    data = contents[act.outputs.crl]
    crl = read_crl(data, act.outputs.crl)
    rebuilt = root_crl_tbs(act, issuer)
    shown = str(PurePosixPath(found.shown).parent / act.outputs.crl)
    if (
        rebuilt != crl.tbs_certlist_bytes
        or hashlib.sha256(rebuilt).hexdigest() != found.transcript.step("ROOT-PREPARE").outputs["tbs_sha256"]
        or crl.public_bytes(Encoding.DER) != data
    ):
        result.problems.append(Problem("ROOT-REBUILD", shown, "it is not what the ceremony file gives"))
    _check_signature(_ec_key(issuer), crl.signature, crl.tbs_certlist_bytes, shown, result)
    return Replayed(replayed.path, replayed.sha256, replayed.transcript, replayed.ceremony, crl=crl)


def _root(result: Verification, data: bytes) -> x509.Certificate:
    """The root that the first act made; the issuer file must be exactly that."""
    if result.root is None or certificate_pem(result.root) != data:
        raise TranscriptInvalid(file="issuer", reason="the issuer is not the root that the first act made")
    return result.root


def _ec_key(certificate: x509.Certificate) -> ec.EllipticCurvePublicKey:
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise TranscriptInvalid(file="issuer", reason="its key is not an elliptic curve key")
    return key


def _check_signature(
    key: ec.EllipticCurvePublicKey, signature: bytes, message: bytes, shown: str, result: Verification
) -> None:
    try:
        verify_signature(key, signature, message)
    except SignatureWrong:
        result.problems.append(Problem("ROOT-SIGNATURE", shown, "the root key did not sign it"))


def _check_pins(result: Verification, root: str | None, audit_key: str | None) -> None:
    first = result.acts[0]
    if root is not None and root_fingerprint(result) != _plain(root):
        result.problems.append(Problem("ROOT-PINNED", first.ceremony.output, "it is not the root that was given"))
    if audit_key is not None and audit_fingerprint(result) != _plain(audit_key):
        result.problems.append(Problem("ROOT-PINNED", first.path.name, "its audit key is not the one that was given"))


def _plain(fingerprint: str) -> str:
    return fingerprint.replace(":", "").replace(" ", "").lower()


def root_fingerprint(result: Verification) -> str | None:
    """SHA-256 of the root certificate (DER), in hex."""
    return hashlib.sha256(result.root.public_bytes(Encoding.DER)).hexdigest() if result.root else None


def audit_fingerprint(result: Verification) -> str | None:
    """SHA-256 of the audit key's SubjectPublicKeyInfo, in hex."""
    return hashlib.sha256(result.audit_key).hexdigest() if result.audit_key else None
