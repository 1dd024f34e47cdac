"""Making a trust bundle. Pure: values in, octets out; the keys are handles that the caller holds."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding

from foundation.canonical import canonical_json
from foundation.clock import rfc3339
from signing.verify.bundle import (
    ABSENT_WHEN_EMPTY,
    FORMAT,
    LISTS,
    OPERATORS,
    OPERATORS_FILE,
    SEALS,
    TWINS,
    Bundle,
    BundleContents,
    BundleProblem,
    file_name,
    fingerprint,
    read_bundle,
)
from signing.verify.bundle_container import INDEX, ContainerInvalid, manifest, read_container, write_container
from signing.verify.cades import sign_detached
from signing.verify.errors import BundleNotMade

BundleSigner = tuple[CertificateIssuerPrivateKeyTypes, x509.Certificate]


def export_bundle(contents: BundleContents, signers: Sequence[BundleSigner]) -> bytes:
    """The bundle of ``contents``, signed by each of ``signers``: (private key or handle, self-signed certificate).

    It is read again before it is given out. Raises BundleNotMade for contents that no reader would take.
    """
    octets = {
        "anchors": [one.public_bytes(Encoding.DER) for one in contents.anchors],
        "intermediates": [one.public_bytes(Encoding.DER) for one in contents.intermediates],
        "tsa": [one.public_bytes(Encoding.DER) for one in contents.tsa],
        "crls": list(contents.crls),
        "ocsp": list(contents.ocsp),
        TWINS: [one.public_bytes(Encoding.DER) for one in contents.twins],
        SEALS: [one.public_bytes(Encoding.DER) for one in contents.seals],
    }
    files: dict[str, bytes] = {}
    index: dict[str, object] = {
        "format": FORMAT,
        "sequence": contents.sequence,
        "issued": rfc3339(contents.issued.replace(microsecond=0)),
        "expires": rfc3339(contents.expires.replace(microsecond=0)),
        "specimen": contents.specimen,
        "threshold": contents.threshold,
        "logs": {
            "keys": list(contents.logs.keys),
            "witnesses": list(contents.logs.witnesses),
            "quorum": contents.logs.quorum,
            "required": contents.logs.required,
        },
    }
    for key in (one for one in LISTS if one not in ABSENT_WHEN_EMPTY or octets[one]):
        named = {hashlib.sha256(one).hexdigest(): one for one in octets[key]}
        index[key] = sorted(named)
        files.update({file_name(key, sha256): one for sha256, one in named.items()})
    if contents.operators is not None:
        files[OPERATORS_FILE] = contents.operators
        index[OPERATORS] = hashlib.sha256(contents.operators).hexdigest()
    files[INDEX] = canonical_json(index)
    return _signed(files, (), signers, contents.issued)


def add_signature(bundle: bytes, signer: BundleSigner) -> bytes:
    """The bundle with one more operator's signature; what the others signed stays as it is.

    Raises BundleNotMade for octets that are no bundle, and for an operator who signed it already.
    """
    try:
        files, signatures = read_container(bundle)
    except ContainerInvalid:
        raise BundleNotMade(rule="BND-FORM") from None
    read = read_bundle(bundle, frozenset())
    claimed = read if isinstance(read, Bundle) else read.claimed
    if claimed is None:
        raise BundleNotMade(rule="BND-FORM" if isinstance(read, Bundle) else read.reason.rule)
    if fingerprint(signer[1]) in claimed.signers:
        raise BundleNotMade(rule="BND-SIGNATURE")
    return _signed(files, signatures, (signer,), claimed.contents.issued)


def _signed(
    files: Mapping[str, bytes], signatures: Sequence[bytes], signers: Sequence[BundleSigner], issued: datetime
) -> bytes:
    more = [
        sign_detached(manifest(files, number), key, certificate, issued)
        for number, (key, certificate) in enumerate(signers, len(signatures) + 1)
    ]
    made = write_container(files, (*signatures, *more))
    read = read_bundle(made, frozenset())
    claimed = read.claimed if isinstance(read, BundleProblem) else read
    if claimed is not None and not claimed.sets:  # each signer pinned: nothing else may be missing
        read = read_bundle(made, frozenset(claimed.signers))
    if isinstance(read, BundleProblem) and (claimed is None or not claimed.sets):
        raise BundleNotMade(rule=read.reason.rule)
    return made  # with a set of operators, signatures of others may still be missing
