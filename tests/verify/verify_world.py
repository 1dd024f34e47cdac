"""A specimen world for verification tests: a PKI by `cryptography`, signatures by pyHanko, a bundle by us.

Nothing here uses the code under test but the export of bundles.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from io import BytesIO

from asn1crypto import keys as asn1_keys
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import fields, signers
from pyhanko.sign.timestamps.dummy_client import DummyTimeStamper
from pyhanko.sign.validation.dss import DocumentSecurityStore
from pyhanko_certvalidator.registry import SimpleCertificateStore

from foundation.clock import SystemClock

# `cryptography` writes the real time into producedAt, so the specimens live around the real time.
NOW = SystemClock().now().replace(microsecond=0)
SIGNED_AT = NOW - timedelta(days=2)
YEAR = timedelta(days=365)
POLICY = "2.999.116.1.1"


def name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "KH"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "SPECIMEN CamTrust"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def usage(*on: str) -> x509.KeyUsage:
    every = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{one: one in on for one in every})


Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    """pyHanko's timestamper signs with RSA alone."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass(frozen=True)
class Holder:
    """A key and its certificate."""

    key: Key
    certificate: x509.Certificate

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def asn1(self) -> asn1_x509.Certificate:
        return asn1_x509.Certificate.load(self.der)

    @property
    def asn1_key(self) -> asn1_keys.PrivateKeyInfo:
        return asn1_keys.PrivateKeyInfo.load(self.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))


Extension = tuple[x509.ExtensionType, bool]


def issue(
    subject: x509.Name | str,
    issuer: Holder | None,
    extensions: Sequence[Extension],
    *,
    not_before: datetime = NOW - YEAR,
    not_after: datetime = NOW + YEAR,
    key: Key | None = None,
    issuer_name: x509.Name | None = None,
    serial: int | None = None,
) -> Holder:
    """A certificate with exactly these extensions; self-signed without an issuer."""
    own = key or ec.generate_private_key(ec.SECP256R1())
    subject_name = name(subject) if isinstance(subject, str) else subject
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject_name)
        .issuer_name(issuer_name or (issuer.certificate.subject if issuer else subject_name))
        .public_key(own.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
    )
    for value, critical in extensions:
        builder = builder.add_extension(value, critical)
    return Holder(own, builder.sign(issuer.key if issuer else own, hashes.SHA256()))


def ca_extensions(path_length: int | None = None) -> list[Extension]:
    return [
        (x509.BasicConstraints(ca=True, path_length=path_length), True),
        (usage("key_cert_sign", "crl_sign"), True),
    ]


def policies(*dotted: str) -> Extension:
    return (
        x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier(one), None) for one in dotted]),
        False,
    )


SIGNER_EXTENSIONS: list[Extension] = [
    (x509.BasicConstraints(ca=False, path_length=None), True),
    (usage("content_commitment"), True),
    policies(POLICY),
]
UNIT_EXTENSIONS: list[Extension] = [
    (x509.BasicConstraints(ca=False, path_length=None), True),
    (usage("digital_signature"), True),
    (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), True),
]
RESPONDER_EXTENSIONS: list[Extension] = [
    (usage("digital_signature"), True),
    (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), False),
    (x509.OCSPNoCheck(), False),
]


def crl(
    issuer: Holder,
    revoked: Sequence[tuple[Holder, datetime, x509.ReasonFlags | None]] = (),
    *,
    this_update: datetime = NOW - timedelta(hours=12),
    next_update: datetime = NOW + timedelta(days=7),
    key: Key | None = None,
    extensions: Sequence[Extension] = (),
) -> bytes:
    """A CRL; by another key than the issuer's when ``key`` says so."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(this_update)
        .next_update(next_update)
    )
    for holder, at, reason in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(holder.certificate.serial_number).revocation_date(at)
        if reason is not None:
            entry = entry.add_extension(x509.CRLReason(reason), False)
        builder = builder.add_revoked_certificate(entry.build())
    for value, critical in extensions:
        builder = builder.add_extension(value, critical)
    return builder.sign(key or issuer.key, hashes.SHA256()).public_bytes(Encoding.DER)


def ocsp_response(
    holder: Holder,
    issuer: Holder,
    responder: Holder,
    *,
    this_update: datetime,
    revoked_at: datetime | None = None,
    reason: x509.ReasonFlags | None = None,
    tampered: bool = False,
) -> bytes:
    """An OCSP response about ``holder``; ``tampered``: with a signature that does not verify."""
    status = ocsp.OCSPCertStatus.REVOKED if revoked_at else ocsp.OCSPCertStatus.GOOD
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            holder.certificate,
            issuer.certificate,
            hashes.SHA256(),
            status,
            this_update,
            this_update + timedelta(hours=1),
            revoked_at,
            reason,
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH, responder.certificate)
        .certificates([responder.certificate])
    )
    response = builder.sign(responder.key, hashes.SHA256())
    octets = response.public_bytes(Encoding.DER)
    if tampered:
        signature = response.signature
        octets = octets.replace(signature, signature[:-1] + bytes((signature[-1] ^ 1,)))
    return octets


class World:
    """Root, issuing CA, TSA CA, a delegated responder, a timestamping unit, a signer, a trust-list operator."""

    def __init__(self) -> None:
        self.root = issue("SPECIMEN Root", None, ca_extensions(), not_before=NOW - 5 * YEAR, not_after=NOW + 5 * YEAR)
        self.issuing = issue("SPECIMEN Issuing CA", self.root, ca_extensions(0))
        self.tsa_ca = issue("SPECIMEN TSA CA", self.root, ca_extensions(0))
        self.responder = issue("SPECIMEN Responder", self.issuing, RESPONDER_EXTENSIONS)
        self.unit = issue("SPECIMEN TSU", self.tsa_ca, UNIT_EXTENSIONS, key=rsa_key())
        self.signer = issue("SPECIMEN Signer", self.issuing, SIGNER_EXTENSIONS)
        self.operator = issue("SPECIMEN Trust list operator", None, [(usage("digital_signature"), True)])

    # --- documents

    def signer_of(self, holder: Holder, above: Sequence[Holder] = ()) -> signers.SimpleSigner:
        store = SimpleCertificateStore()
        store.register_multiple([one.asn1 for one in above])
        return signers.SimpleSigner(signing_cert=holder.asn1, signing_key=holder.asn1_key, cert_registry=store)

    def timestamper(self, at: datetime, unit: Holder | None = None) -> DummyTimeStamper:
        unit = unit or self.unit
        store = SimpleCertificateStore()
        store.register(unit.asn1)
        store.register(self.tsa_ca.asn1)
        return DummyTimeStamper(unit.asn1, unit.asn1_key, certs_to_embed=store, fixed_dt=at)

    def sign(
        self,
        pdf: bytes,
        *,
        holder: Holder | None = None,
        stamped_at: datetime | None = SIGNED_AT,
        unit: Holder | None = None,
        field: str = "Signature1",
        subfilter: fields.SigSeedSubFilter = fields.SigSeedSubFilter.PADES,
        box: tuple[int, int, int, int] | None = None,
        metadata: dict[str, object] | None = None,
    ) -> bytes:
        """A signature at level B-T (B-B without ``stamped_at``)."""
        meta = signers.PdfSignatureMetadata(
            field_name=field, subfilter=subfilter, md_algorithm="sha256", **(metadata or {})
        )
        signed = signers.sign_pdf(
            IncrementalPdfFileWriter(BytesIO(pdf)),
            meta,
            signer=self.signer_of(holder or self.signer, [self.issuing]),
            timestamper=self.timestamper(stamped_at, unit) if stamped_at else None,
            new_field_spec=fields.SigFieldSpec(field, box=box) if box else None,
            bytes_reserved=20_000,
        )
        return signed.getvalue()

    def add_evidence(
        self,
        pdf: bytes,
        *,
        ocsps: Sequence[bytes] | None = None,
        crls: Sequence[bytes] | None = None,
        certificates: Sequence[Holder] | None = None,
    ) -> bytes:
        """A DSS with everything that B-LT asks for, unless told otherwise."""
        from asn1crypto import crl as asn1_crl
        from asn1crypto import ocsp as asn1_ocsp

        output = BytesIO(pdf)
        DocumentSecurityStore.add_dss(
            output,
            sig_contents=None,
            certs=[one.asn1 for one in (self.evidence_certificates() if certificates is None else certificates)],
            ocsps=[asn1_ocsp.OCSPResponse.load(one) for one in (self.good_ocsps() if ocsps is None else ocsps)],
            crls=[asn1_crl.CertificateList.load(one) for one in (self.good_crls() if crls is None else crls)],
            force_write=True,
        )
        return output.getvalue()

    def timestamp(self, pdf: bytes, at: datetime, field: str = "Stamp1", unit: Holder | None = None) -> bytes:
        """A document timestamp behind everything."""
        stamper = signers.PdfTimeStamper(self.timestamper(at, unit), field_name=field)
        output = stamper.timestamp_pdf(IncrementalPdfFileWriter(BytesIO(pdf)), "sha256", bytes_reserved=20_000)
        return bytes(output.getvalue())

    def evidence_certificates(self) -> list[Holder]:
        return [self.signer, self.issuing, self.unit, self.tsa_ca]

    def good_ocsps(self) -> list[bytes]:
        at = SIGNED_AT + timedelta(seconds=5)
        return [ocsp_response(self.signer, self.issuing, self.responder, this_update=at)]

    def good_crls(self) -> list[bytes]:
        dates = {"this_update": SIGNED_AT - timedelta(hours=1), "next_update": SIGNED_AT + timedelta(days=5)}
        return [crl(self.root, **dates), crl(self.tsa_ca, **dates)]

    def signed(self, pdf: bytes) -> bytes:
        """A good B-LT document."""
        return self.add_evidence(self.sign(pdf))

    # --- trust

    def bundle(self, **changes: object) -> bytes:
        """A bundle a day old, with the root and current CRLs."""
        from signing.verify.bundle import BundleContents
        from signing.verify.bundle_export import export_bundle

        issued = NOW - timedelta(days=1)
        settings: dict[str, object] = {
            "sequence": 7,
            "issued": issued,
            "expires": issued + timedelta(days=14),
            "specimen": True,
            "anchors": (self.root.certificate,),
            "intermediates": (self.issuing.certificate, self.tsa_ca.certificate),
            "tsa": (self.unit.certificate,),
            "crls": tuple(
                crl(one, this_update=issued - timedelta(hours=1), next_update=issued + timedelta(days=1))
                for one in (self.root, self.issuing, self.tsa_ca)
            ),
        }
        signers_of_it = changes.pop("signers", [(self.operator.key, self.operator.certificate)])
        settings.update(changes)
        return export_bundle(BundleContents(**settings), signers_of_it)  # type: ignore[arg-type]

    @property
    def pin(self) -> str:
        return hashlib.sha256(self.operator.der).hexdigest()


def document(text: str = "SPECIMEN agreement") -> bytes:
    """A small PDF of one page, made with pikepdf."""
    import pikepdf
    from pikepdf import Dictionary, Name, Pdf

    pdf = Pdf.new()
    page = pdf.add_blank_page(page_size=(595, 842))
    font = pdf.make_indirect(Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica))
    page.Resources = Dictionary(Font=Dictionary(F1=font))
    page.Contents = pdf.make_stream(f"BT /F1 24 Tf 72 720 Td ({text}) Tj ET".encode())
    output = BytesIO()
    pdf.save(output, object_stream_mode=pikepdf.ObjectStreamMode.disable, compress_streams=False)
    return output.getvalue()
