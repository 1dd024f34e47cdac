"""ASiC-S and ASiC-E containers (ETSI EN 319 162-1), judged: which signature is about which file.

    Z1-Z4  the container has one reading (`signing.asic_container`)                              ASIC-MIMETYPE, -ZIP, …
    A1     every signature of ASiC-E with CAdES has its one manifest, every manifest its signature       ASIC-MANIFEST
    A2     what a manifest names is here, once, and by its digest                       ASIC-REFERENCE, ASIC-DIGEST
    A3     every file outside META-INF is covered by a signature                                        ASIC-UNCOVERED
    A4     nothing in META-INF is left over                                                             ASIC-LEFTOVER
    A2     also for what a XAdES signature refers to by name                                                XML-…
    A5     ASiC-S holds one file and one signature file over it                                         ASIC-SIMPLE

Each signature says which files it covers; who signed one file has not signed the others.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from signing import strict_xml
from signing.asic_container import (
    ASIC,
    ASIC_S,
    DIGEST_URIS,
    XMLDSIG,
    Container,
    ContainerRefused,
    percent_decoded,
    read,
    strict_base64,
)
from signing.verify.cades_document import judge_messages
from signing.verify.cms import CmsMalformed, read_messages
from signing.verify.model import (
    FileVerdict,
    Reason,
    SignatureKind,
    SignatureVerdict,
    SubIndication,
    failed,
    indeterminate,
    noted,
)
from signing.verify.policy import Policy
from signing.verify.trust import Trust
from signing.verify.xades import SIGNATURES, judge_signatures
from signing.verify.xades_form import Referenced
from signing.xmldsig import ds

_CADES = re.compile(r"META-INF/[^/]*signature[^/]*\.p7s", re.IGNORECASE)
_XADES = re.compile(r"META-INF/[^/]*signatures[^/]*\.xml", re.IGNORECASE)
_MANIFEST = re.compile(r"META-INF/ASiCManifest[^/]*\.xml", re.IGNORECASE)
_KNOWN_LEFTOVER = "META-INF/manifest.xml"  # OpenDocument's list of files: says nothing that counts
_SHOWN = 10
_MAX_SIGNATURE_FILES = 100
_CLAUSE = "EN 319 162-1 §4"


@dataclass(frozen=True)
class _Judging:
    container: Container
    trust: Trust
    at: datetime
    policy: Policy


def judge_container(data: bytes, name: str, trust: Trust, at: datetime, policy: Policy) -> FileVerdict:
    """The verdict on a container."""
    try:
        container = read(data, policy.max_file_size)
    except ContainerRefused as error:
        return FileVerdict(name, None, (), (_refused(error.rule),))
    label = "ASiC-S" if container.media_type == ASIC_S else "ASiC-E"
    judging = _Judging(container, trust, at, policy)
    try:
        signed = _simple(judging) if container.media_type == ASIC_S else _extended(judging)
    except ContainerRefused as error:
        return FileVerdict(name, label, (), (_refused(error.rule),))
    return FileVerdict(name, label, signed.verdicts, signed.reasons)


@dataclass(frozen=True)
class _Signed:
    verdicts: tuple[SignatureVerdict, ...]
    reasons: tuple[Reason, ...]


def _refused(rule: str) -> Reason:
    if rule == "ASIC-LIMIT":
        return indeterminate(rule, _CLAUSE, "verify_too_complex", SubIndication.GENERIC)
    return failed(rule, _CLAUSE, "verify_container", SubIndication.FORMAT_FAILURE)


def _unsigned() -> Reason:
    return indeterminate("FMT-UNSIGNED", "camtrust contract", "verify_no_signature", SubIndication.NO_SIGNATURE)


def _simple(judging: _Judging) -> _Signed:
    """A5: ASiC-S (EN 319 162-1 §4.3)."""
    container = judging.container
    signatures = [one for one in container.meta if _CADES.fullmatch(one) or _XADES.fullmatch(one)]
    rest = [one for one in container.meta if one not in signatures]
    if not container.meta:
        return _Signed((), (_unsigned(),))
    if len(container.documents) != 1 or len(signatures) != 1 or rest:
        return _Signed((), (_refused("ASIC-SIMPLE"),))
    (document,) = container.documents
    if _XADES.fullmatch(signatures[0]):
        verdicts, covered = _xades(judging, signatures[0])
        uncovered = (_named("ASIC-UNCOVERED", "verify_uncovered", [document]),) if document not in covered else ()
        return _Signed(verdicts, uncovered)
    found = _cades(judging, signatures[0], container.content(document))
    return _Signed(tuple(_covering(one, (document,), container) for one in found), ())


def _extended(judging: _Judging) -> _Signed:
    """A1 to A4: ASiC-E (EN 319 162-1 §4.4)."""
    container = judging.container
    manifests = {one: _manifest(container.signature_file(one)) for one in container.meta if _MANIFEST.fullmatch(one)}
    signatures = [one for one in container.meta if _CADES.fullmatch(one)]
    xml = [one for one in container.meta if _XADES.fullmatch(one)]
    if len(signatures) + len(xml) > _MAX_SIGNATURE_FILES:
        raise ContainerRefused("ASIC-LIMIT")
    if not signatures and not manifests and not xml:
        return _Signed((), (_unsigned(),))
    verdicts: list[SignatureVerdict] = []
    covered: set[str] = set()
    for signature in signatures:  # A1
        own = [name for name, one in manifests.items() if one is not None and one.signature == signature]
        if len(own) != 1:
            reason = failed("ASIC-MANIFEST", "EN 319 162-1 §A.4", "verify_manifest", SubIndication.FORMAT_FAILURE)
            verdicts.append(SignatureVerdict(SignatureKind.SIGNATURE, signature, (reason,)))
            continue
        manifest = manifests[own[0]]
        assert manifest is not None  # noqa: S101  (it has a signature)
        found, names = _references(container, manifest.references, judging.policy)  # A2
        covered.update(names)
        judged = _cades(judging, signature, container.signature_file(own[0]))
        verdicts.extend(_covering(one, names, container).with_reasons(found) for one in judged)
    for name in xml:
        in_xml, referenced = _xades(judging, name)
        verdicts.extend(in_xml)
        covered.update(referenced)
    used = {one.signature for one in manifests.values() if one is not None}
    reasons = []
    if None in manifests.values() or used != set(signatures):  # A1
        reasons.append(failed("ASIC-MANIFEST", "EN 319 162-1 §A.4", "verify_manifest", SubIndication.FORMAT_FAILURE))
    uncovered = sorted(set(container.documents) - covered)
    if uncovered:  # A3
        reasons.append(_named("ASIC-UNCOVERED", "verify_uncovered", uncovered))
    leftover = [one for one in container.meta if one not in (*signatures, *manifests, *xml, _KNOWN_LEFTOVER)]
    if leftover:  # A4
        reasons.append(
            indeterminate("ASIC-LEFTOVER", _CLAUSE, "verify_leftover", SubIndication.GENERIC, names=_list(leftover))
        )
    return _Signed(tuple(verdicts), tuple(reasons))


def _named(rule: str, key: str, names: Sequence[str]) -> Reason:
    return failed(rule, _CLAUSE, key, SubIndication.FORMAT_FAILURE, names=_list(names))


def _list(names: Sequence[str]) -> str:
    """Names for a sentence: not more than a few."""
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")


def _cades(judging: _Judging, name: str, content: bytes) -> tuple[SignatureVerdict, ...]:
    """The CAdES signatures of one file over ``content``, which must not be inside them too."""
    octets = judging.container.signature_file(name)
    malformed = (SignatureVerdict(SignatureKind.SIGNATURE, name, (_refused("ASIC-SIGNATURE"),)),)
    try:
        if any(one.content is not None for one in read_messages(octets)):
            return malformed
        return judge_messages(octets, judging.trust, judging.at, judging.policy, content, name)
    except CmsMalformed:
        return malformed


def _xades(judging: _Judging, name: str) -> tuple[tuple[SignatureVerdict, ...], set[str]]:
    """All signatures of a XAdES file (EN 319 162-1 §4.4.3.3), and the files that they cover by digest."""
    container = judging.container
    documents = set(container.documents)

    def outside(file: str) -> Referenced | None:
        if file not in documents:
            return None
        return Referenced(partial(container.digest, file), lambda _: container.chunks(file))

    broken = SignatureVerdict(SignatureKind.SIGNATURE, name, (_refused("ASIC-SIGNATURE"),))
    try:
        root = strict_xml.parse(container.signature_file(name))
    except strict_xml.XmlRefused:
        return (broken,), set()
    if root.tag not in (SIGNATURES, ds("Signature")):
        return (broken,), set()
    found = judge_signatures(root, judging.trust, judging.at, judging.policy, outside)
    if not found:
        return (broken,), set()
    verdicts = tuple(_covering(one, names, container) if names else one for one, names in found)
    return verdicts, {one for _, names in found for one in names}


def _covering(verdict: SignatureVerdict, names: Sequence[str], container: Container) -> SignatureVerdict:
    """What a signature is about, as the verdict says it."""
    complete = set(names) == set(container.documents)
    coverage = "every file" if complete else f"{len(names)} of {len(container.documents)} files"
    note = noted("ASIC-COVERS", _CLAUSE, "verify_covers", names=_list(names))
    return replace(verdict, coverage=coverage).with_reasons((note,))


@dataclass(frozen=True)
class _Manifest:
    """An ASiCManifest: its signature, and name, hash and digest of what it is about."""

    signature: str
    references: tuple[tuple[str, str, bytes], ...]


def _manifest(octets: bytes) -> _Manifest | None:
    """A manifest, read strictly; None for anything else (EN 319 162-1 §A.4)."""
    try:
        root = strict_xml.parse(octets)
        signature, *entries = list(root)
        if root.tag != f"{{{ASIC}}}ASiCManifest" or signature.tag != f"{{{ASIC}}}SigReference":
            return None
        return _Manifest(_uri(signature), tuple(_entry(one) for one in entries))
    except (ValueError, KeyError, TypeError):
        return None


def _entry(element: strict_xml.Element) -> tuple[str, str, bytes]:
    method, value = list(element)[:2]
    expected = (f"{{{ASIC}}}DataObjectReference", f"{{{XMLDSIG}}}DigestMethod", f"{{{XMLDSIG}}}DigestValue")
    if (element.tag, method.tag, value.tag) != expected:
        raise ValueError("not a reference")
    return _uri(element), DIGEST_URIS[method.get("Algorithm")], strict_base64(value.text)


def _uri(element: strict_xml.Element) -> str:
    """The entry that a URI names: relative to the container, percent-encoded UTF-8."""
    name = percent_decoded(element.get("URI"))
    if not name:
        raise ValueError("no name")
    return name


def _references(
    container: Container, references: Sequence[tuple[str, str, bytes]], policy: Policy
) -> tuple[tuple[Reason, ...], tuple[str, ...]]:
    """A2. The reasons against, and the files that are covered by their digests."""
    names = [name for name, _, _ in references]
    documents = set(container.documents)
    strange = sorted({name for name in names if name not in documents or names.count(name) > 1})
    if strange or not names:
        return (_named("ASIC-REFERENCE", "verify_reference", strange),), ()
    if any(hash_name not in policy.digests for _, hash_name, _ in references):
        sub = SubIndication.CRYPTO_CONSTRAINTS_FAILURE
        return (indeterminate("ASIC-DIGEST", "EN 319 102-1 §5.2.8", "verify_algorithm", sub),), ()
    changed = [name for name, hash_name, digest in references if container.digest(name, hash_name) != digest]
    if changed:
        clause = "EN 319 102-1 §5.2.7.4"
        reason = failed("ASIC-DIGEST", clause, "verify_changed_files", SubIndication.HASH_FAILURE, names=_list(changed))
        return (reason,), tuple(names)
    return (), tuple(names)
