"""The container of a trust bundle: ASiC-E with CAdES (ETSI EN 319 162-1 §4.4), in one canonical form.

    mimetype                        first, stored: application/vnd.etsi.asic-e+zip
    bundle.json                     what is in it
    operators.json                  who may sign bundles (`operators`), where there is more than one
    anchors/… intermediates/… tsa/… crls/… ocsp/… twins/… seals/…   DER
    META-INF/ASiCManifest001.xml    names and digests of all of the above, for each signer
    META-INF/signature001.p7s       a detached CAdES signature over that manifest

There is exactly one way to write given contents, and a reader accepts nothing else: it takes the container apart and
writes it again, and every octet must be the same. That excludes duplicate names, hidden entries, comments, extra
fields, compression, and any flipped bit that no digest covers.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import zipfile
from collections.abc import Mapping, Sequence

MIMETYPE = b"application/vnd.etsi.asic-e+zip"
INDEX = "bundle.json"
MAX_SIZE = 512 * 1024 * 1024
MAX_ENTRIES = 10_000

_NAME = re.compile(
    r"(bundle\.json|operators\.json|(anchors|intermediates|tsa|crls|ocsp|twins|seals)/[0-9a-f]{64}\.(cer|crl|ors))"
)
_SIGNATURE = re.compile(r"META-INF/signature(\d{3})\.p7s")


class ContainerInvalid(ValueError):
    """Octets that are not a container in the canonical form."""


def manifest(files: Mapping[str, bytes], number: int) -> bytes:
    """The ASiCManifest that signature ``number`` signs (EN 319 162-1 §A.4)."""
    references = "".join(
        f'<asic:DataObjectReference URI="{name}"><ds:DigestMethod '
        f'Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"></ds:DigestMethod><ds:DigestValue>'
        f"{base64.b64encode(hashlib.sha256(files[name]).digest()).decode()}</ds:DigestValue>"
        f"</asic:DataObjectReference>"
        for name in sorted(files)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<asic:ASiCManifest xmlns:asic="http://uri.etsi.org/02918/v1.2.1#" '
        'xmlns:ds="http://www.w3.org/2000/09/xmldsig#">'
        f'<asic:SigReference URI="META-INF/signature{number:03d}.p7s" MimeType="application/pkcs7-signature">'
        f"</asic:SigReference>{references}</asic:ASiCManifest>\n"
    ).encode()


def write_container(files: Mapping[str, bytes], signatures: Sequence[bytes]) -> bytes:
    """The container of these files and signatures: the same octets for the same contents, always."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        _add(archive, "mimetype", MIMETYPE)
        for name in sorted(files):
            _add(archive, name, files[name])
        for number, signature in enumerate(signatures, 1):
            _add(archive, f"META-INF/ASiCManifest{number:03d}.xml", manifest(files, number))
            _add(archive, f"META-INF/signature{number:03d}.p7s", signature)
    return buffer.getvalue()


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    entry.create_system = 3
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, content)


def read_container(octets: bytes) -> tuple[dict[str, bytes], tuple[bytes, ...]]:
    """The files and signatures of a container. Raises ContainerInvalid for anything but the canonical form."""
    if len(octets) > MAX_SIZE:
        raise ContainerInvalid("too large")
    files: dict[str, bytes] = {}
    signatures: list[bytes] = []
    try:
        with zipfile.ZipFile(io.BytesIO(octets)) as archive:
            entries = archive.infolist()
            if len(entries) > MAX_ENTRIES or any(
                one.compress_type != zipfile.ZIP_STORED or one.file_size > len(octets) for one in entries
            ):
                raise ContainerInvalid("entries")
            for entry in entries:
                if _NAME.fullmatch(entry.filename):
                    files[entry.filename] = archive.read(entry)
                elif _SIGNATURE.fullmatch(entry.filename):
                    signatures.append(archive.read(entry))
    except (ContainerInvalid, MemoryError):
        raise
    except Exception as error:  # zipfile raises BadZipFile, and much else on hostile octets
        raise ContainerInvalid("not a ZIP file") from error
    if not signatures or INDEX not in files or write_container(files, signatures) != octets:
        raise ContainerInvalid("not in the canonical form")
    return files, tuple(signatures)
