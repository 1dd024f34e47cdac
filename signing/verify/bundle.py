"""The trust bundle: what offline verification trusts, in one signed file.

It holds anchors, intermediates, timestamping certificates, CRLs and OCSP responses, the keys of issuance logs, and the
certificates of seals whose codes stand on paper, numbered and dated. It is signed by trust-list operators, whose keys
stand outside the root: their self-signed certificates are pinned by SHA-256.

    K1  the container is in the one canonical form (`bundle_container`)                          BND-FORM
    K2  each signature is in the one canonical form and verifies over its manifest               BND-SIGNATURE
    K3  it is signed by as many operators as the newest set asks for, which a pin leads to       BND-PINNED
    K4  bundle.json is canonical and lists exactly the files that are there, with their digests  BND-INDEX
    K5  every file is what its list says: a certificate, a CRL, an OCSP response; keys are keys  BND-CONTENT
    K6  the chain of operator sets holds (`operators`)                                           BND-OPERATORS
    K7  statements of twin roots come in pairs, each signed by two of the anchors (`x509.twin`)  BND-TWINS

Reading never raises for a bad bundle. Age, sequence and clock are judged in `signing.verify.trust`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from foundation.canonical import canonical_json
from foundation.clock import parse_rfc3339
from foundation.x509.status_evidence import Evidence, EvidenceKind, read_evidence
from foundation.x509.twin import statement_of, twins_problem
from signing.verify.bundle_container import INDEX, ContainerInvalid, manifest, read_container
from signing.verify.cades import rebuild
from signing.verify.cms import DATA, CmsMalformed, check_message, read_message
from signing.verify.logged import LogRequirement
from signing.verify.model import Reason, SubIndication, indeterminate
from signing.verify.operators import OperatorSet, OperatorsInvalid, pinned_chain, verified_chain
from signing.verify.policy import STRICT

FORMAT = "camtrust-bundle/1"
SOURCE = "bundle"  # what evidence and anchors from here call themselves
TWINS = "twins"
SEALS = "seals"
ABSENT_WHEN_EMPTY = (TWINS, SEALS)  # lists that are left out when there is nothing in them
OPERATORS = "operators"  # the digest of operators.json, left out when there is none
OPERATORS_FILE = "operators.json"
LISTS = ("anchors", "intermediates", "tsa", "crls", "ocsp", TWINS, SEALS)
SUFFIXES = dict.fromkeys(LISTS, "cer") | {"crls": "crl", "ocsp": "ors"}
_KEYS = {"format", "sequence", "issued", "expires", "specimen", "threshold", "logs", *LISTS} - set(ABSENT_WHEN_EMPTY)
_OPTIONAL = {*ABSENT_WHEN_EMPTY, OPERATORS}
_LOG_KEYS = {"keys", "witnesses", "quorum", "required"}


@dataclass(frozen=True)
class BundleContents:
    """What goes into a bundle. Times are aware, whole seconds; CRLs and OCSP responses are DER."""

    sequence: int
    issued: datetime
    expires: datetime
    specimen: bool
    anchors: tuple[x509.Certificate, ...]
    intermediates: tuple[x509.Certificate, ...] = ()
    tsa: tuple[x509.Certificate, ...] = ()
    crls: tuple[bytes, ...] = ()
    ocsp: tuple[bytes, ...] = ()
    threshold: int = 1
    logs: LogRequirement = field(default_factory=LogRequirement)
    twins: tuple[x509.Certificate, ...] = ()  # statements that two anchors are twins, by both
    operators: bytes | None = None  # operators.json (`operators.write_chain`)
    seals: tuple[x509.Certificate, ...] = ()  # of organisations, for codes on paper: named, never trusted


@dataclass(frozen=True)
class Bundle:
    """A bundle that was read and whose signatures verify. ``signers``: SHA-256 of the signer certificates, hex.

    ``sets``: the chain of operator sets; empty for a bundle that names none.
    """

    contents: BundleContents
    evidence: tuple[Evidence, ...]
    signers: tuple[str, ...]
    sha256: str
    sets: tuple[OperatorSet, ...] = ()

    @property
    def operators_version(self) -> int:
        """The number of the newest set, 0 where there is none."""
        return self.sets[-1].version if self.sets else 0


@dataclass(frozen=True)
class BundleProblem:
    """Why a bundle is not taken. ``claimed`` is what it says where only the pin is missing: to be shown, not used."""

    reason: Reason
    claimed: Bundle | None = None


def fingerprint(certificate: x509.Certificate) -> str:
    """The SHA-256 of a certificate, as 64 hex digits: what is pinned."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def read_pin(text: str) -> str | None:
    """A fingerprint as a person writes it (colons, spaces, capitals), as 64 hex digits; None for something else."""
    digits = "".join(text.replace(":", " ").split()).lower()
    return digits if len(digits) == 64 and all(one in "0123456789abcdef" for one in digits) else None


def read_bundle(octets: bytes, pins: frozenset[str]) -> Bundle | BundleProblem:
    """K1-K7. ``pins`` are fingerprints by :func:`read_pin`. Raises nothing."""
    try:
        return _read(octets, pins)
    except _Invalid as invalid:
        return BundleProblem(_invalid(invalid.rule))
    except ContainerInvalid:
        return BundleProblem(_invalid("BND-FORM"))
    except MemoryError:
        raise
    except Exception:  # whatever hostile octets do to a parser: not a bundle
        return BundleProblem(_invalid("BND-FORM"))


class _Invalid(ValueError):
    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


def _invalid(rule: str) -> Reason:
    return indeterminate(rule, "EN 319 162-1 §4.4", "bundle_invalid", SubIndication.BUNDLE_INVALID)


def _read(octets: bytes, pins: frozenset[str]) -> Bundle | BundleProblem:
    files, signatures = read_container(octets)  # K1
    signers = tuple(_signer(signature, manifest(files, number)) for number, signature in enumerate(signatures, 1))  # K2
    contents, evidence = _contents(files)  # K4, K5
    sets = _operator_sets(contents)  # K6
    _check_twins(contents)  # K7
    for signer in signers:
        if not signer.not_valid_before_utc <= contents.issued <= signer.not_valid_after_utc:
            raise _Invalid("BND-SIGNATURE")
    fingerprints = tuple(fingerprint(signer) for signer in signers)
    bundle = Bundle(contents, evidence, fingerprints, hashlib.sha256(octets).hexdigest(), sets)
    if not _signed_by_pinned(bundle, pins):  # K3
        reason = indeterminate(
            "BND-PINNED",
            "camtrust bundle K3",
            "bundle_not_pinned",
            SubIndication.BUNDLE_NOT_PINNED,
            signer=sets[-1].sha256 if sets else " ".join(sorted(set(fingerprints))),
        )
        return BundleProblem(reason, bundle)
    return bundle


def _signed_by_pinned(bundle: Bundle, pins: frozenset[str]) -> bool:
    """K3. A bundle's own threshold can ask for more than its operators' set does, never for less."""
    least = bundle.contents.threshold
    if not bundle.sets:
        return len(set(bundle.signers) & pins) >= least
    newest = pinned_chain(bundle.sets, pins)
    return newest is not None and newest.enough(bundle.signers) and len(set(bundle.signers)) >= least


def _operator_sets(contents: BundleContents) -> tuple[OperatorSet, ...]:
    if contents.operators is None:
        return ()
    try:
        sets = verified_chain(contents.operators)
    except OperatorsInvalid:
        raise _Invalid("BND-OPERATORS") from None
    if sets[-1].issued > contents.issued:
        raise _Invalid("BND-OPERATORS")
    return sets


def _signer(signature: bytes, signed: bytes) -> x509.Certificate:
    try:
        message = read_message(signature)
    except CmsMalformed:
        raise _Invalid("BND-SIGNATURE") from None
    check = check_message(message, lambda name: hashlib.new(name, signed).digest(), DATA, STRICT)
    if check.reasons or check.signer is None or rebuild(message) != signature:
        raise _Invalid("BND-SIGNATURE")
    return check.signer


def _contents(files: Mapping[str, bytes]) -> tuple[BundleContents, tuple[Evidence, ...]]:
    index = _index(files[INDEX])
    named: dict[str, tuple[bytes, ...]] = {}
    for key in LISTS:
        listed = index.get(key, []) if key in ABSENT_WHEN_EMPTY else index[key]
        if key in ABSENT_WHEN_EMPTY and key in index and not listed:
            raise _Invalid("BND-INDEX")
        if not isinstance(listed, list) or listed != sorted(set(listed)):
            raise _Invalid("BND-INDEX")
        for sha256 in listed:
            if hashlib.sha256(files.get(file_name(key, sha256), b"")).hexdigest() != sha256:
                raise _Invalid("BND-INDEX")
        named[key] = tuple(files[file_name(key, sha256)] for sha256 in listed)
    operators = files.get(OPERATORS_FILE)
    if (None if operators is None else hashlib.sha256(operators).hexdigest()) != index.get(OPERATORS):
        raise _Invalid("BND-INDEX")
    beside = {INDEX} if operators is None else {INDEX, OPERATORS_FILE}
    if {file_name(key, one) for key in LISTS for one in index.get(key, [])} | beside != set(files):
        raise _Invalid("BND-INDEX")
    kinds = {"crls": EvidenceKind.CRL, "ocsp": EvidenceKind.OCSP}
    evidence = [read_evidence(kind, octets, SOURCE) for key, kind in kinds.items() for octets in named[key]]
    if any(one is None for one in evidence):
        raise _Invalid("BND-CONTENT")
    try:
        certificates = {
            key: tuple(x509.load_der_x509_certificate(octets) for octets in named[key])
            for key in ("anchors", "intermediates", "tsa", TWINS, SEALS)
        }
    except ValueError:
        raise _Invalid("BND-CONTENT") from None
    contents = BundleContents(
        sequence=index["sequence"],
        issued=parse_rfc3339(index["issued"]),
        expires=parse_rfc3339(index["expires"]),
        specimen=index["specimen"],
        threshold=index["threshold"],
        anchors=certificates["anchors"],
        intermediates=certificates["intermediates"],
        tsa=certificates["tsa"],
        crls=named["crls"],
        ocsp=named["ocsp"],
        logs=_logs(index["logs"]),
        twins=certificates[TWINS],
        seals=certificates[SEALS],
        operators=operators,
    )
    if contents.expires <= contents.issued:
        raise _Invalid("BND-INDEX")
    return contents, tuple(one for one in evidence if one is not None)


def _logs(value: Any) -> LogRequirement:
    if not isinstance(value, dict) or set(value) != _LOG_KEYS:
        raise _Invalid("BND-INDEX")
    if type(value["quorum"]) is not int or type(value["required"]) is not bool:
        raise _Invalid("BND-INDEX")
    lists = [value["keys"], value["witnesses"]]
    if not all(isinstance(one, list) and all(isinstance(key, str) for key in one) for one in lists):
        raise _Invalid("BND-INDEX")
    logs = LogRequirement(tuple(value["keys"]), tuple(value["witnesses"]), value["quorum"], value["required"])
    if logs.problem():
        raise _Invalid("BND-CONTENT")
    return logs


def _check_twins(contents: BundleContents) -> None:
    pairs: dict[bytes | None, list[x509.Certificate]] = {}
    for one in contents.twins:
        pairs.setdefault(statement_of(one), []).append(one)
    for pair in pairs.values():
        if len(pair) != 2 or twins_problem(pair[0], pair[1], contents.anchors) is not None:
            raise _Invalid("BND-TWINS")


def file_name(key: str, sha256: str) -> str:
    """The name of an entry: its list, and the digest of its octets."""
    return f"{key}/{sha256}.{SUFFIXES[key]}"


def _index(octets: bytes) -> dict[str, Any]:
    index = json.loads(octets)
    if not isinstance(index, dict) or set(index) - _OPTIONAL != _KEYS or index["format"] != FORMAT:
        raise _Invalid("BND-INDEX")
    if canonical_json(index) != octets:
        raise _Invalid("BND-INDEX")
    for key in ("sequence", "threshold"):
        if type(index[key]) is not int or index[key] < 1:
            raise _Invalid("BND-INDEX")
    if type(index["specimen"]) is not bool:
        raise _Invalid("BND-INDEX")
    return index
