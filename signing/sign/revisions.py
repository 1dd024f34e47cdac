"""The PDF side of a signature: a revision with a placeholder, and the revisions after it. Nothing is ever rewritten.

pyHanko writes the objects; what goes into the placeholder is made elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from typing import Any

from asn1crypto import crl as asn1_crl
from asn1crypto import ocsp as asn1_ocsp
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import SigSeedSubFilter
from pyhanko.sign.general import SigningError
from pyhanko.sign.signers.cms_embedder import PdfCMSEmbedder, SigIOSetup, SigObjSetup
from pyhanko.sign.signers.pdf_byterange import DocumentTimestamp, PreparedByteRangeDigest
from pyhanko.sign.signers.pdf_cms import Signer
from pyhanko.sign.signers.pdf_signer import PdfSignatureMetadata, PdfSigner
from pyhanko.sign.validation.dss import DocumentSecurityStore

from signing.errors import SignatureFieldConstraint, SignatureNotAccepted
from signing.model import SignatureText
from signing.sign.evidence import ValidationData
from signing.sign.intake import unlock
from signing.sign.token_signer import asn1


@dataclass
class Placeholder:
    """A document with room for a signature; ``digest`` is over everything but that room."""

    output: BytesIO
    field: str
    prepared: PreparedByteRangeDigest

    @property
    def digest(self) -> bytes:
        return self.prepared.document_digest

    def fill(self, signed_data: bytes) -> None:
        """Put the DER of the SignedData into its place; SignatureNotAccepted when it does not fit."""
        _fill(self.prepared, self.output, signed_data)


def place(
    writer: IncrementalPdfFileWriter,
    *,
    field: str,
    existing: bool,
    signer: Signer,
    hash_name: str,
    reserved: int,
    text: SignatureText,
    at: datetime,
) -> Placeholder:
    """Write the revision with the signature dictionary (/SubFilter ETSI.CAdES.detached, /M ``at``).

    ``reserved``: octets for the SignedData. ``signer`` says which certificate will sign; it signs nothing here.
    Raises SignatureFieldConstraint when the field asks for what we do not do (seed values, ISO 32000-2 §12.7.5.5).
    """
    metadata = PdfSignatureMetadata(
        field_name=field,
        md_algorithm=hash_name,
        subfilter=SigSeedSubFilter.PADES,
        reason=text.reason,
        location=text.location,
        name=text.name,
    )
    pdf_signer: Any = PdfSigner(metadata, signer)
    try:
        session = pdf_signer.init_signing_session(writer, existing_fields_only=existing)
        session.system_time = at
        document = session.prepare_tbs_document(validation_info=None, bytes_reserved=2 * reserved)
    except (SigningError, NotImplementedError) as error:
        raise SignatureFieldConstraint from error
    prepared, output = document.digest_tbs_document(output=BytesIO())
    return Placeholder(output, field, prepared)


def add_validation_data(output: BytesIO, password: str | None, data: ValidationData) -> None:
    """Append a revision with the document security store (EN 319 142-1 §5.4.2); an existing store is extended.

    No VRI dictionaries: they are optional, name signatures by SHA-1, and verifiers are told to look in the whole store.
    """
    writer = _reopen(output, password)
    store: Any = DocumentSecurityStore
    store.supply_dss_in_writer(
        writer,
        None,
        certs=[asn1(certificate) for certificate in data.certificates],
        ocsps=[asn1_ocsp.OCSPResponse.load(response) for response in data.ocsps],
        crls=[asn1_crl.CertificateList.load(crl) for crl in data.crls],
    )
    writer.write_in_place()


def add_document_timestamp(
    output: BytesIO, password: str | None, *, field: str, hash_name: str, reserved: int, token: Callable[[bytes], bytes]
) -> None:
    """Append a document timestamp over everything so far (EN 319 142-1 §5.4.3). ``token``: digest in, DER token out."""
    writer = _reopen(output, password)
    steps: Any = PdfCMSEmbedder().write_cms(field_name=field, writer=writer)
    next(steps)
    timestamp: Any = DocumentTimestamp
    steps.send(SigObjSetup(sig_placeholder=timestamp(bytes_reserved=2 * reserved)))
    prepared, _ = steps.send(SigIOSetup(md_algorithm=hash_name, in_place=True))
    _fill(prepared, output, token(prepared.document_digest))


def _reopen(output: BytesIO, password: str | None) -> Any:
    writer = IncrementalPdfFileWriter(output, strict=True)
    unlock(writer, password)
    return writer


def _fill(prepared: PreparedByteRangeDigest, output: BytesIO, signed_data: bytes) -> None:
    try:
        prepared.fill_with_cms(output, signed_data)
    except SigningError as error:
        raise SignatureNotAccepted(check="SIGN-OUT-ROOM") from error
