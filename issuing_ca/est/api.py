"""The EST door: ``/.well-known/est`` (RFC 7030 with RFC 8951 and RFC 9908), and ``/.well-known/est/NAME`` for another
issuing CA, whose name is the label of RFC 7030 §3.2.2.

Who asks is proved by HTTP Basic (reference and secret of an enrolment credential), or by a certificate of ours in TLS.
TLS ends at a proxy, which hands the client's certificate over in a header: it is believed only beside the secret that
proxy and service share (``ca.proxy_secret_file``), and only where it is, octet for octet, one that we issued.
(Annotations are not postponed here: FastAPI resolves them.)
"""

import base64
import binascii
from typing import Annotated

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from fastapi import APIRouter, Depends, Request, Response

from foundation.http.client_certificate import (
    CERTIFICATE_HEADER,
    SECRET_HEADER,
    CertificateDisbelieved,
    shown_certificate,
)
from foundation.http.guard import public
from foundation.x509.csr import read_csr
from issuing_ca.enrolment.model import Applicant, Wanted
from issuing_ca.enrolment.request import wanted_of
from issuing_ca.enrolment.service import Enrolment
from issuing_ca.errors import EnrolmentRefused, EstUnauthenticated, ServerKeysRefused
from issuing_ca.est.attributes import csr_attributes
from issuing_ca.model import IssuedCertificate
from issuing_ca.named_authority import authority_of, declared
from issuing_ca.ra.model import CertificateApplication

_CERTS_ONLY = "application/pkcs7-mime; smime-type=certs-only"
_MOST = 64 * 1024
_RETRY_AFTER = 300  # seconds, while officers decide


async def body_of(request: Request) -> bytes:
    """The body as it came."""
    return await request.body()


Body = Annotated[bytes, Depends(body_of)]


def create_router(service: Enrolment, proxy_secret: bytes | None) -> APIRouter:
    """``/.well-known/est``, for each CA. ``proxy_secret``: shared with the proxy that ends TLS; None: no header is
    believed."""
    router = APIRouter(tags=["EST"], dependencies=[Depends(public)])
    router.include_router(_of_one(service, proxy_secret), prefix="/.well-known/est")
    labelled = _of_one(service, proxy_secret)
    router.include_router(labelled, prefix="/.well-known/est/{authority}", dependencies=[Depends(declared)])
    return router


def _of_one(service: Enrolment, proxy_secret: bytes | None) -> APIRouter:
    """The operations, at the CA that the address names."""
    router = APIRouter()

    @router.get("/cacerts", response_class=Response)
    def cacerts(request: Request) -> Response:
        """The CA's certificates up to the root, PKCS#7 (RFC 7030 §4.1)."""
        authority = service.ca.authorities.issuing(authority_of(request))
        return _certificates([authority.certificate, *authority.chain, authority.root])

    @router.get("/csrattrs", response_class=Response)
    def csrattrs(request: Request) -> Response:
        """What a request should hold (RFC 7030 §4.5, RFC 9908); with a credential, for its very profile and names."""
        applicant = _applicant(service, request, proxy_secret) if _shows_something(request) else None
        credential = applicant.credential if applicant is not None else None
        profile = service.ca.profiles[credential.profile if credential is not None else "tls-server"]
        names = credential.dns_names if credential is not None else ()
        return _encoded(csr_attributes(profile, names), "application/csrattrs")

    @router.post("/simpleenroll", response_class=Response)
    def simpleenroll(request: Request, body: Body) -> Response:
        """A certificate for the key of a PKCS#10 request (RFC 7030 §4.2.1)."""
        applicant = _applicant(service, request, proxy_secret)
        return _made(service.enrol(applicant, _wanted(request, body), "est"))

    @router.post("/simplereenroll", response_class=Response)
    def simplereenroll(request: Request, body: Body) -> Response:
        """A new certificate for whoever shows the last one, for the same or another key (RFC 7030 §4.2.2)."""
        applicant = _applicant(service, request, proxy_secret)
        if applicant.certificate is None:
            raise EstUnauthenticated(rule="EST-CERTIFICATE")
        return _made(service.enrol(applicant, _wanted(request, body), "est"))

    @router.post("/serverkeygen")
    def serverkeygen() -> None:
        """Refused: a key is made by whoever holds it, and nobody else ever has it."""
        raise ServerKeysRefused

    return router


def _shows_something(request: Request) -> bool:
    return any(name in request.headers for name in ("authorization", CERTIFICATE_HEADER, SECRET_HEADER))


def _applicant(service: Enrolment, request: Request, proxy_secret: bytes | None) -> Applicant:
    """Who asks. One proof alone: with two, nobody could say which one counted.

    Raises EstUnauthenticated, for whoever is known to another CA too; AuthorityUnknown, AuthorityNotInstalled.
    """
    authority = service.ca.authorities.issuing(authority_of(request)).name
    authorizations = request.headers.getlist("authorization")
    try:
        certificate = shown_certificate(request, proxy_secret)
    except CertificateDisbelieved as disbelieved:
        raise EstUnauthenticated(rule=f"EST-{disbelieved.reason}") from None
    if certificate is not None:
        if authorizations:
            raise EstUnauthenticated(rule="EST-ONE-PROOF")
        found = service.by_certificate(certificate, authority)
    else:
        if len(authorizations) != 1:
            raise EstUnauthenticated
        found = service.by_secret(*_basic(authorizations[0]), authority)
    if found is None:
        raise EstUnauthenticated(rule="EST-CREDENTIAL")
    return found


def _basic(header: str) -> tuple[str, bytes]:
    """Reference and secret out of HTTP Basic (RFC 7617)."""
    scheme, _, encoded = header.partition(" ")
    try:
        reference, colon, secret = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        name = reference.decode("ascii")
    except (binascii.Error, ValueError):
        raise EstUnauthenticated(rule="EST-CREDENTIAL") from None
    if scheme.lower() != "basic" or not colon:
        raise EstUnauthenticated(rule="EST-CREDENTIAL")
    return name, secret


def _wanted(request: Request, body: bytes) -> Wanted:
    """The key, and what the request says beside it (RFC 8951 §3.1: base64, whatever a header says of it)."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/pkcs10":
        raise EnrolmentRefused(what="Content-Type")
    try:
        der = base64.b64decode(b"".join(body[:_MOST].split()), validate=True)
    except (binascii.Error, ValueError):
        raise EnrolmentRefused(what="base64") from None
    if der[:1] != b"\x30":
        raise EnrolmentRefused(what="PKCS#10")
    return wanted_of(read_csr(der))


def _made(made: IssuedCertificate | CertificateApplication) -> Response:
    """The certificate, or 202: two officers have to approve, the same request is to be sent again (RFC 7030 §4.2.3)."""
    if isinstance(made, CertificateApplication):
        return Response(status_code=202, headers={"Retry-After": str(_RETRY_AFTER), "Cache-Control": "no-store"})
    return _certificates([made.certificate])


def _certificates(certificates: list[x509.Certificate]) -> Response:
    return _encoded(pkcs7.serialize_certificates(certificates, Encoding.DER), _CERTS_ONLY)


def _encoded(der: bytes, media_type: str) -> Response:
    response = Response(base64.encodebytes(der))
    response.headers["Content-Type"] = media_type
    response.headers["Content-Transfer-Encoding"] = "base64"  # for clients from before RFC 8951
    response.headers["Cache-Control"] = "no-store"
    return response
