"""What is here in a person's name: certificates in the issuance log, their revocation and renewal, who looked at the
person's data, the data to take away, and their PIN and passkeys.

Annotations are not postponed here: the guards are local names, which postponed annotations cannot see.
"""

import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from cryptography import x509
from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from camtrust.web.portal.parts import NO_PROBLEM, Parts, show_problems, told
from camtrust.web.portal.session import Sent, Visit
from foundation.errors import CamTrustError
from foundation.http.guard import public
from foundation.keys.activation import Method, PasskeyAssertion, PinTotp
from foundation.keys.factors import ChangeKind, FactorChange
from foundation.x509.names import name_pairs
from issuing_ca.errors import LogEntryUnknown
from issuing_ca.model import CertificateState, Reason
from issuing_ca.own_log import LoggedAsTheirs
from issuing_ca.ra.model import HOLDER_REASONS
from signing.api import attachment

Serial = Annotated[str, Path(pattern="^[0-9a-f]{1,40}$")]
Digest = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]

Page = Callable[[Request, Visit, int, Mapping[str, Any]], Response]


def create_router(parts: Parts) -> APIRouter:
    """``/portal/own/…``."""
    router = APIRouter(prefix="/portal/own", dependencies=[Depends(public)])
    door, ekyc, desk = parts.door, parts.ekyc, parts.authenticators

    def _page(template: str, request: Request, visit: Visit, status: int, values: Mapping[str, Any]) -> Response:
        return parts.layout.page(template, request, status=status, form=visit.form, **NO_PROBLEM | dict(values))

    def _told_on(request: Request, visit: Visit, page: Page) -> None:
        """What fails is told on this page."""

        def shown(error: CamTrustError, status: int) -> Response:
            return page(request, visit, status, told(error, request))

        show_problems(request, shown)

    # --- certificates and the log -----------------------------------------------------------------------------------

    def _certificates(request: Request, visit: Visit, status: int, more: Mapping[str, Any]) -> Response:
        now, methods = parts.clock.now(), parts.methods(visit)
        values = {
            "entries": [_entry(one) for one in reversed(parts.own_log.of(visit.person))],
            "records": [
                {"record": one, "good": one.state is CertificateState.ISSUED and one.not_after > now}
                for one in parts.registration.own(visit.person)
            ],
            "reasons": [one.value for one in Reason if one in HOLDER_REASONS],
            "subject": parts.own_log.subject(visit.person),
            "pin": Method.PIN_TOTP in methods,
        }
        return _page("portal/own_certificates.html", request, visit, status, values | dict(more))

    @router.get("/certificates")
    def certificates(request: Request, visit: Annotated[Visit, Depends(door.visit)]) -> Response:
        return _certificates(request, visit, 200, {})

    @router.get("/certificates/proofs/{digest}")
    def proof(visit: Annotated[Visit, Depends(door.visit)], digest: Digest) -> Response:
        for one in parts.own_log.of(visit.person):
            if one.proof.opening.digest.hex() == digest:
                return attachment(f"{digest[:16]}.tlog-proof", "application/octet-stream", bytes(one.proof))
        raise LogEntryUnknown

    @router.post("/certificates/{serial}/revocation")
    def revoke(request: Request, sent: Annotated[Sent, Depends(door.sent)], serial: Serial) -> Response:
        _told_on(request, sent.visit, _certificates)
        reason, person = Reason.parse(sent.fields.get("reason", "")), sent.visit.person
        parts.registration.revoke_own(person, serial, reason, sent.fields.get("pin", ""), sent.fields.get("code", ""))
        return RedirectResponse("/portal/own/certificates", 303)

    @router.post("/renewal")
    def renew(request: Request, sent: Annotated[Sent, Depends(door.sent)]) -> Response:
        _told_on(request, sent.visit, _certificates)
        person, enrolment = sent.visit.person, ekyc.enrolment.show(sent.visit.person)
        ekyc.renewals.renew(person, enrolment.id, sent.fields.get("pin", ""), sent.fields.get("code", ""))
        return RedirectResponse("/portal/own/certificates", 303)

    # --- data -------------------------------------------------------------------------------------------------------

    @router.get("/data")
    def data(request: Request, visit: Annotated[Visit, Depends(door.visit)]) -> Response:
        enrolment = ekyc.enrolment.show(visit.person)
        accesses = ekyc.own_data.accesses(visit.person, enrolment.id)
        return _page("portal/own_data.html", request, visit, 200, {"enrolment": enrolment, "accesses": accesses})

    @router.post("/data/copy")
    def copy(sent: Annotated[Sent, Depends(door.sent)]) -> Response:
        person = sent.visit.person
        kept = ekyc.own_data.export(person, ekyc.enrolment.show(person).id)
        text = json.dumps(kept, ensure_ascii=False, indent=1)
        return attachment("my-data.json", "application/json", text.encode())

    # --- PIN and passkeys -------------------------------------------------------------------------------------------

    def _factors(request: Request, visit: Visit, status: int, more: Mapping[str, Any]) -> Response:
        found = parts.factors.factors_of(visit.person.id)
        values = {
            "passkeys": [one.credential_id for one in found.passkeys],
            "pin": Method.PIN_TOTP in found.methods,
            "codes": found.codes or "",
            "codes_left": found.codes_left,
        }
        return _page("portal/own_factors.html", request, visit, status, values | dict(more))

    @router.get("/factors")
    def factors(request: Request, visit: Annotated[Visit, Depends(door.visit)]) -> Response:
        return _factors(request, visit, 200, {})

    @router.post("/factors/pin")
    def change_pin(request: Request, sent: Annotated[Sent, Depends(door.sent)]) -> Response:
        _told_on(request, sent.visit, _factors)
        person, fields = sent.visit.person, sent.fields
        asked = desk.ask_change(person, FactorChange(ChangeKind.PIN, pin=fields.get("new_pin", "")), Method.PIN_TOTP)
        proof = PinTotp(fields.get("pin", ""), fields.get("code", ""))
        desk.change(person, asked.approval.nonce.hex(), proof, None)
        return RedirectResponse("/portal/own/factors", 303)

    @router.post("/factors/removal")
    def remove_by_code(request: Request, sent: Annotated[Sent, Depends(door.sent)]) -> Response:
        _told_on(request, sent.visit, _factors)
        person, fields = sent.visit.person, sent.fields
        change = FactorChange(ChangeKind.REMOVE_PASSKEY, passkey=fields.get("credential", ""))
        asked = desk.ask_change(person, change, Method.PIN_TOTP)
        proof = PinTotp(fields.get("pin", ""), fields.get("code", ""))
        desk.change(person, asked.approval.nonce.hex(), proof, None)
        return RedirectResponse("/portal/own/factors", 303)

    @router.post("/factors/passkey-options")
    def ask_removal(request: Request, sent: Annotated[Sent, Depends(door.sent)]) -> Response:
        _told_on(request, sent.visit, _factors)
        change = FactorChange(ChangeKind.REMOVE_PASSKEY, passkey=sent.fields.get("credential", ""))
        asked = desk.ask_change(sent.visit.person, change, Method.PASSKEY)
        return JSONResponse({"id": asked.approval.nonce.hex(), "options": asked.approval.options})

    @router.post("/factors/passkey")
    def remove_by_passkey(request: Request, sent: Annotated[Sent, Depends(door.sent)]) -> Response:
        _told_on(request, sent.visit, _factors)
        question = sent.fields.get("question", "")
        proof = PasskeyAssertion(sent.fields.get("assertion", ""))
        known = question if len(question) == 64 and set(question) <= set("0123456789abcdef") else "0" * 64
        desk.change(sent.visit.person, known, proof, None)
        return RedirectResponse("/portal/own/factors", 303)

    return router


def _entry(one: LoggedAsTheirs) -> dict[str, Any]:
    opening, record = one.proof.opening, one.record
    names = None
    if record is not None and record.certificate is not None:
        names = dict(name_pairs(x509.load_der_x509_certificate(record.certificate).subject)).get("CN")
    return {
        "kind": opening.kind.value,
        "digest": opening.digest.hex(),
        "at": opening.at,
        "index": one.proof.index,
        "certificate": opening.kind.value == "certificate",
        "record": record,
        "names": names,
    }
