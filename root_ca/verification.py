"""Verification of a transcript: walks back to the making of the root, then replays every act forward from its files.

It needs no key and trusts no transcript by itself: it rebuilds every to-be-signed structure from ceremony file and
inputs, compares it bit for bit with what was signed, and verifies each signature. What it cannot know by itself is
whose root it is: for that, compare the fingerprints that were read aloud (or give them: ``root``, ``audit_key``).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, load_der_public_key

from foundation.errors import CamTrustError
from foundation.x509.algorithms import key_algorithm
from foundation.x509.algorithms import verify as verify_signature
from foundation.x509.certificate import throwaway_sign
from foundation.x509.errors import SignatureWrong
from foundation.x509.lint import lint_certificate
from foundation.x509.pem import read_certificate, read_crl
from foundation.x509.profile import Profile, parse_profile
from foundation.x509.twin import twins_problem
from root_ca import cosigning
from root_ca import transcript as transcripts
from root_ca.acts import NEW_ROOT, Ceremony, NewRootAct, RootAct, TwinRootAct
from root_ca.building import is_below, profiles
from root_ca.ceremony_file import parse_ceremony
from root_ca.cosigning import Cosigner
from root_ca.errors import TranscriptInvalid
from root_ca.history import RootState, advance, broken_rules, issuer_of
from root_ca.ports import TimestampChecker, TimestampFound
from root_ca.structures import Facts, Structure, ToSign, file_of, plan, profiles_used, run
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
    """An act whose record holds: what it made (``structures`` by output path), and who signed its transcript."""

    path: Path
    sha256: str
    transcript: Transcript
    ceremony: Ceremony
    structures: dict[str, Structure] = field(default_factory=dict)
    cosigners: tuple[Cosigner, ...] = ()
    timestamp: TimestampFound | None = None

    @property
    def certificates(self) -> tuple[x509.Certificate, ...]:
        return tuple(one for one in self.structures.values() if isinstance(one, x509.Certificate))

    @property
    def crl(self) -> x509.CertificateRevocationList | None:
        found = [one for one in self.structures.values() if isinstance(one, x509.CertificateRevocationList)]
        return found[0] if found else None


@dataclass
class Verification:
    """``acts`` oldest first, as far as they hold; ``problems`` empty when everything does."""

    acts: list[Replayed] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    audit_key: bytes | None = None
    states: list[RootState] = field(default_factory=list)

    @property
    def valid(self) -> bool:
        return not self.problems and bool(self.acts)

    @property
    def root(self) -> x509.Certificate | None:
        """The root of the first act."""
        return self.states[0].certificate if self.states else None

    @property
    def certificates(self) -> list[x509.Certificate]:
        """The first root, then everything that was certified, in order."""
        return [certificate for act in self.acts for certificate in act.certificates]


@dataclass(frozen=True)
class _Found:
    path: Path
    shown: str  # the path as a report names it
    data: bytes
    transcript: Transcript


def verify(
    path: Path,
    *,
    root: str | None = None,
    audit_key: str | None = None,
    timestamps: TimestampChecker | None = None,
    unsigned: bool = False,
) -> Verification:
    """Verify a transcript and everything before it. Never raises for what it reads; problems name the changed file.

    ``root`` and ``audit_key`` are SHA-256 fingerprints in hex (certificate; SubjectPublicKeyInfo) to hold it against.
    ``unsigned``: the last transcript need not be signed by its people yet, because they are about to.
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
        replayed = _signed_by_people(found, replayed, result, timestamps, unsigned and found is chain[-1])
        if len(result.problems) > before:
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
        broken = transcripts.broken_step(transcript)
        if broken is not None:  # before its word about the previous one is taken
            rule = transcript.steps[broken].rule
            where = f"step {broken + 1} ({rule}), or what stands before it, was changed"
            result.problems.append(Problem("ROOT-TRANSCRIPT", shown, where))
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
    if transcript.audit_key != (result.audit_key or b"").hex():
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
        file = found.transcript.header.ceremony.file
        ceremony = parse_ceremony(found.path.parent / file, contents[file])
        _check_record(found, ceremony, result)
        return _rebuild(found, ceremony, contents, result)
    except (CamTrustError, ValueError, KeyError, TypeError, IndexError) as error:
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
    if set(inputs) != set(ceremony.inputs) or set(outputs) != set(ceremony.outputs):
        result.problems.append(Problem("ROOT-TRANSCRIPT", found.shown, "it records other files than its ceremony file"))
    if found.path.name != ceremony.act.outputs.transcript:
        result.problems.append(Problem("ROOT-TRANSCRIPT", found.shown, "its ceremony file gives it another name"))


def _recorded_profiles(found: _Found, ceremony: Ceremony, result: Verification) -> dict[str, Profile]:
    """The profiles as the transcript recorded them, each the one that the ceremony file names and cites."""
    recorded = [
        parse_profile(json.loads(step.inputs["profile"]))
        for step in found.transcript.steps
        if step.rule == "ROOT-PREPARE" and "profile" in step.inputs
    ]
    by_name = {profile.name: profile for profile in recorded}
    for part in profiles_used(ceremony.act):
        if part.profile not in by_name or by_name[part.profile].cps != part.cps:
            raise TranscriptInvalid(file=found.shown, reason="its profile is not the one of the ceremony file")
    if any(not is_below(profile, ceremony.act.arc) for profile in recorded):
        raise TranscriptInvalid(file=found.shown, reason="its policies are not below the arc of the ceremony file")
    if any(profile != by_name[profile.name] for profile in recorded):
        raise TranscriptInvalid(file=found.shown, reason="it records one profile in two forms")
    for name, profile in by_name.items():
        if profile != profiles(ceremony.act.arc).get(name):
            result.notes.append(f"{found.shown}: the profile {name} has changed in this software since then")
    return by_name


def _rebuild(found: _Found, ceremony: Ceremony, contents: dict[str, bytes], result: Verification) -> Replayed:
    """Run the act's plan again: every structure from its inputs, held against the file that lies there."""
    act, folder, transcript = ceremony.act, PurePosixPath(found.shown).parent, found.transcript
    state = issuer_of(act, contents, result.states)
    for rule, detail in broken_rules(act, contents, result.states, state):
        result.problems.append(Problem(rule, found.shown, detail))
    recorded = _recorded_profiles(found, ceremony, result)
    structures: dict[str, Structure] = {}

    def take(wanted: ToSign) -> Structure:
        structure = structures[wanted.output] = _held(
            wanted, contents[wanted.output], transcript, str(folder / wanted.output), result
        )
        return structure

    facts = Facts(
        inputs=contents,
        issuer=state.certificate if state else None,
        new_key=_new_key(transcript, act) if isinstance(act, NEW_ROOT) else None,
        serial=lambda output: int(transcript.step("ROOT-PREPARE", output).outputs["serial"], 16),
        profiles=recorded,
        issued=tuple(state.issued) if state else (),
        revoked=state.revoked if state else (),
    )
    for output, content in run(plan(act, facts), take).items():
        if contents[output] != content:
            result.problems.append(
                Problem("ROOT-REBUILD", str(folder / output), "it is not what the ceremony file and inputs give")
            )
    advance(act, structures, result.states, state)
    if isinstance(act, TwinRootAct):
        by_new, by_old = structures[act.outputs.by_new], structures[act.outputs.by_old]
        problem = "it is not a certificate"
        if isinstance(by_new, x509.Certificate) and isinstance(by_old, x509.Certificate):
            problem = twins_problem(by_new, by_old, [one.certificate for one in result.states]) or ""
        if problem:
            result.problems.append(Problem("ROOT-TWIN", str(folder / act.outputs.by_new), problem))
    return Replayed(found.path, hashlib.sha256(found.data).hexdigest(), transcript, ceremony, structures)


def _new_key(transcript: Transcript, act: NewRootAct) -> CertificateIssuerPublicKeyTypes:
    outputs = transcript.step("ROOT-KEY").outputs
    key: Any = load_der_public_key(bytes.fromhex(outputs["root_key" if isinstance(act, RootAct) else "new_key"]))
    if key_algorithm(key).value != act.key.algorithm:
        raise TranscriptInvalid(file=transcript.header.act, reason="its root key is of another kind")
    issuing: CertificateIssuerPublicKeyTypes = key
    return issuing


def _held(wanted: ToSign, data: bytes, transcript: Transcript, shown: str, result: Verification) -> Structure:
    """The structure in a file, held against what was to be signed: bit for bit, its signature, its lint."""
    prepared = transcript.step("ROOT-PREPARE", wanted.output).outputs["tbs_sha256"]
    structure: Structure
    if wanted.builder is not None:
        structure = read_certificate(data, wanted.output)
        rebuilt, signed = (
            throwaway_sign(wanted.builder, wanted.issuer_key).tbs_certificate_bytes,
            structure.tbs_certificate_bytes,
        )
    else:
        structure = read_crl(data, wanted.output)
        rebuilt, signed = wanted.tbs, structure.tbs_certlist_bytes
    if rebuilt != signed or hashlib.sha256(rebuilt).hexdigest() != prepared or file_of(structure) != data:
        result.problems.append(Problem("ROOT-REBUILD", shown, "it is not what the ceremony file and inputs give"))
    try:
        verify_signature(wanted.issuer_key, structure.signature, signed)
    except SignatureWrong:
        result.problems.append(Problem("ROOT-SIGNATURE", shown, "the root key did not sign it"))
    if isinstance(structure, x509.Certificate) and wanted.profile is not None:
        for item in lint_certificate(structure, wanted.profile, wanted.issuer or structure):
            result.problems.append(Problem("ROOT-LINT-AFTER", shown, f"{item.rule}: {item.message}"))
    return structure


def _signed_by_people(
    found: _Found,
    replayed: Replayed,
    result: Verification,
    timestamps: TimestampChecker | None,
    unsigned: bool,
) -> Replayed:
    """Who signed the transcript beside the audit key, and the timestamp beside it, if there is one."""
    cosigners = []
    for person, name, problem in cosigning.examine(found.path, found.data, replayed.ceremony.act.people):
        if problem is None:
            cosigners.append(person)
        elif not (unsigned and not (found.path.parent / name).exists()):
            shown = str(PurePosixPath(found.shown).parent / name)
            result.problems.append(Problem("ROOT-COSIGNED", shown, problem))
    stamp = found.path.with_name(f"{found.path.name}.tsr")
    timestamp = None
    if stamp.exists():
        shown = f"{found.shown}.tsr"
        timestamp = timestamps.check(stamp.read_bytes(), found.data) if timestamps else None
        if timestamps is None:
            result.notes.append(f"{shown}: timestamps are not checked by this installation")
        elif timestamp is None:
            result.problems.append(Problem("ROOT-TIMESTAMP", shown, "it is no correct timestamp of this transcript"))
    return replace(replayed, cosigners=tuple(cosigners), timestamp=timestamp)


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
