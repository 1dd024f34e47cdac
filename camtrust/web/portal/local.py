"""A document that never leaves the person's browser, on a page: our script hashes it there, the person approves exactly
that digest, and the script gets the signature (``/portal/local``).

What comes here is a digest and the file's name. Nothing is kept of either once the answer is out but what the history
of the key and the audit trail say.

Annotations are not postponed here: the guards are local names, which postponed annotations cannot see.
"""

import base64
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from camtrust.web.portal.layout import language_of
from camtrust.web.portal.parts import NO_PROBLEM, Parts, digest_words
from camtrust.web.portal.session import Sent, Visit
from foundation.http.guard import public
from foundation.keys.activation import Method, PasskeyAssertion, PinTotp, Proof
from foundation.x509.algorithms import signature_hash
from signing.csc.errors import CscRefused
from signing.csc.requests import octets
from signing.csc.wanted import DocumentWanted, Wanted
from signing.digests.errors import DigestsInvalid
from signing.errors import ApprovalNotFound
from signing.forms import CADES_DIGEST, PADES_DIGEST, Form
from signing.history import OWN
from signing.model import Credential

_FORMS: Mapping[str, Form] = {"pades": PADES_DIGEST, "cades": CADES_DIGEST}
_HASHES: Mapping[str, str] = {"sha256": "SHA-256", "sha384": "SHA-384", "sha512": "SHA-512"}
"""As the browser names them."""


def create_router(parts: Parts) -> APIRouter:
    """``/portal/local`` and what its script asks."""
    router = APIRouter(prefix="/portal/local", dependencies=[Depends(public)])
    door, authorising, responses = parts.door, parts.authorising, parts.responses

    @router.get("")
    def show(request: Request, visit: Annotated[Visit, Depends(door.visit)]) -> Response:
        credentials, methods = parts.usable(visit), parts.methods(visit)
        return parts.layout.page(
            "portal/local.html",
            request,
            form=visit.form,
            credentials=credentials,
            passkey=Method.PASSKEY in methods,
            pin=Method.PIN_TOTP in methods,
            hash=_hash_of(credentials[0]) if credentials else "",
            **NO_PROBLEM,
        )

    @router.post("/fingerprint")
    def fingerprint(request: Request, sent: Annotated[Sent, Depends(door.sent)]) -> Response:
        """A digest as words of the reader's language."""
        return JSONResponse({"words": digest_words(_digest(sent), language_of(request))})

    @router.post("/passkey-options")
    def ask_passkey(sent: Annotated[Sent, Depends(door.sent)]) -> Response:
        options = authorising.challenge(sent.visit.person, sent.fields.get("credential", ""), _wanted(sent))
        return JSONResponse({"id": "", "options": options})

    @router.post("/passkey")
    def answer_passkey(sent: Annotated[Sent, Depends(door.sent)]) -> Response:
        return _signed(sent, PasskeyAssertion(sent.fields.get("assertion", "{}")))

    @router.post("/approval")
    def approve(sent: Annotated[Sent, Depends(door.sent)]) -> Response:
        return _signed(sent, PinTotp(sent.fields.get("pin", ""), sent.fields.get("code", "")))

    def _signed(sent: Sent, proof: Proof) -> Response:
        """The signature over the digest that the proof is for."""
        person, credential_id, what = sent.visit.person, sent.fields.get("credential", ""), _wanted(sent)
        try:
            made = authorising.authorise(person, credential_id, what, proof, OWN)
        except CscRefused:  # nothing was asked about exactly this
            raise ApprovalNotFound from None
        sad = octets(made.sad, "SAD")
        told = responses.sign_documents(person, credential_id, sad, what.subject, OWN)
        authorising.forget(person, credential_id, sad)
        beside = told.get("validationInfo", {})
        parts_beside = {name: beside.get(name, []) for name in ("certificates", "ocsp", "crl")}
        return JSONResponse({"signature": told["SignatureObject"][0], **parts_beside})

    return router


def _wanted(sent: Sent) -> Wanted:
    form = _FORMS.get(sent.fields.get("format", ""))
    if form is None:
        raise DigestsInvalid
    return Wanted(documents=(DocumentWanted(sent.fields.get("name", "")[:200], _digest(sent), form, None),))


def _digest(sent: Sent) -> bytes:
    """The digest in a form. DigestsInvalid."""
    try:
        digest = base64.b64decode(sent.fields.get("digest", ""), validate=True)
    except ValueError:
        raise DigestsInvalid from None
    if len(digest) not in (32, 48, 64):
        raise DigestsInvalid
    return digest


def _hash_of(credential: Credential) -> str:
    """By what the browser hashes for this key, as WebCrypto names it."""
    found: Any = signature_hash(credential.signatory.certificate.public_key())
    return _HASHES.get(getattr(found, "name", ""), "")
