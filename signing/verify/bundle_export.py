"""Making a trust bundle. Pure: values in, octets out; the keys are handles that the caller holds."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding

from foundation.canonical import canonical_json
from foundation.clock import rfc3339
from signing.verify.bundle import FORMAT, LISTS, TWINS, Bundle, BundleContents, file_name, fingerprint, read_bundle
from signing.verify.bundle_container import INDEX, manifest, write_container
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
    for key in (one for one in LISTS if one != TWINS or octets[TWINS]):
        named = {hashlib.sha256(one).hexdigest(): one for one in octets[key]}
        index[key] = sorted(named)
        files.update({file_name(key, sha256): one for sha256, one in named.items()})
    files[INDEX] = canonical_json(index)
    signatures = [
        sign_detached(manifest(files, number), key, certificate, contents.issued)
        for number, (key, certificate) in enumerate(signers, 1)
    ]
    made = write_container(files, signatures)
    read = read_bundle(made, frozenset(fingerprint(certificate) for _, certificate in signers))
    if not isinstance(read, Bundle):
        raise BundleNotMade(rule=read.reason.rule)
    return made
