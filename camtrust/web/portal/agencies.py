"""Pages for those who represent an organisation: who speaks for it, its clients, their seals, batches and messages.

Annotations are not postponed here: the guards are local names, which postponed annotations cannot see.
"""

import json
import re
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from camtrust.web.portal.layout import language_of
from camtrust.web.portal.parts import NO_PROBLEM, Parts, digest_words, show_problems, told
from camtrust.web.portal.session import Sent, Visit
from camtrust.web.portal.statements import Statements
from foundation.catalogue import text
from foundation.errors import CamTrustError
from foundation.http.guard import public
from foundation.keys.activation import Method
from signing.agencies.api import LONGEST_KEY, LONGEST_LABEL
from signing.agencies.errors import AgencyInvalid
from signing.agencies.mandate import NAME as MANDATE
from signing.agencies.model import AgencyState
from signing.credential_requests.model import RequestState
from signing.credential_requests.service import MAX_REASON
from signing.held.model import HeldState
from signing.views import ID

AgencyId = Annotated[str, Path(pattern=ID)]
ClientId = Annotated[str, Path(max_length=200, pattern="^[!-~]+$")]
Cursor = Annotated[str | None, Query(max_length=64, pattern="^[!-~]*$")]

_PROPOSED = ("name_km", "name", "number", "representatives")
_PERSONS = re.compile(r"[\s,;]+")


def create_router(parts: Parts) -> APIRouter:
    """``/portal/agencies/…``."""
    router = APIRouter(prefix="/portal/agencies", dependencies=[Depends(public)])
    agencies, door, statements = parts.agencies, parts.door, Statements(parts.signing)

    def _list(request: Request, visit: Visit, status: int = 200, **more: Any) -> Response:
        return parts.layout.page(
            "portal/agencies.html",
            request,
            status=status,
            form=visit.form,
            agencies=agencies.list(visit.person, AgencyState.PROPOSED),
            able=bool(parts.usable(visit)),
            **({"given": dict.fromkeys(_PROPOSED, "")} | NO_PROBLEM | more),
        )

    def _page(request: Request, visit: Visit, agency_id: str, status: int = 200, **more: Any) -> Response:
        agency = agencies.show(visit.person, agency_id)
        me = agency.representative(visit.person.id)
        unsigned = agency.state is AgencyState.PROPOSED and me is not None and me.signed_at is None
        methods = parts.methods(visit) if unsigned else frozenset()
        clients = {one.client_id: one for one in agency.clients}
        held = [one for one in parts.held.list(visit.person) if one.held.client in clients]
        return parts.layout.page(
            "portal/agency.html",
            request,
            status=status,
            form=visit.form,
            agency=agency,
            me=visit.person.id,
            approved=agency.state.approved,
            unsigned=unsigned,
            mandate=agencies.mandate(visit.person, agency_id).decode(),
            credentials=parts.usable(visit),
            passkey=Method.PASSKEY in methods,
            pin=Method.PIN_TOTP in methods,
            clients=clients,
            waiting=[one for one in held if one.held.state in (HeldState.WAITING, HeldState.RELEASED)],
            decided=[one for one in held if one.held.state not in (HeldState.WAITING, HeldState.RELEASED)],
            **(NO_PROBLEM | more),
        )

    def _again(request: Request, page: Callable[[int, dict[str, str]], Response]) -> None:
        def shown(error: CamTrustError, status: int) -> Response:
            return page(status, told(error, request))

        show_problems(request, shown)

    def _on_page(request: Request, visit: Visit, agency_id: str) -> None:
        """What fails is told on the page of the organisation."""
        agencies.show(visit.person, agency_id)  # what is not there has no page to tell it on
        _again(request, lambda status, problem: _page(request, visit, agency_id, status, **problem))

    def _back(agency_id: str) -> Response:
        return RedirectResponse(f"/portal/agencies/{agency_id}", 303)

    @router.get("")
    def every(request: Request, visit: Annotated[Visit, Depends(door.visit)]) -> Response:
        return _list(request, visit)

    @router.post("")
    def propose(request: Request, sent: Annotated[Sent, Depends(door.sent)]) -> Response:
        fields = {name: sent.fields.get(name, "").strip() for name in _PROPOSED}
        _again(request, lambda status, problem: _list(request, sent.visit, status, given=fields, **problem))
        others = [one for one in _PERSONS.split(fields["representatives"]) if one]
        made = agencies.propose(sent.visit.person, fields["name_km"], fields["name"], fields["number"], others)
        return _back(made.agency_id)

    @router.get("/{agency_id}")
    def show(request: Request, visit: Annotated[Visit, Depends(door.visit)], agency_id: AgencyId) -> Response:
        return _page(request, visit, agency_id)

    # --- the mandate ----------------------------------------------------------------------------------------------

    def _hand_in(visit: Visit, agency_id: str, document_id: str) -> Response:
        agencies.sign_mandate(visit.person, agency_id, parts.signing.signed(visit.person, document_id)[1])
        return _back(agency_id)

    @router.post("/{agency_id}/mandate/approval")
    def sign(request: Request, sent: Annotated[Sent, Depends(door.sent)], agency_id: AgencyId) -> Response:
        _on_page(request, sent.visit, agency_id)
        person, mandate = sent.visit.person, agencies.mandate(sent.visit.person, agency_id)
        pin, code = sent.fields.get("pin", ""), sent.fields.get("code", "")
        signed = statements.by_code(person, parts.usable(sent.visit), MANDATE, mandate, pin, code)
        return _hand_in(sent.visit, agency_id, signed)

    @router.post("/{agency_id}/mandate/passkey-options")
    def ask(request: Request, sent: Annotated[Sent, Depends(door.sent)], agency_id: AgencyId) -> Response:
        _on_page(request, sent.visit, agency_id)
        person, mandate = sent.visit.person, agencies.mandate(sent.visit.person, agency_id)
        asked = statements.ask(person, sent.fields.get("credential", ""), MANDATE, mandate)
        return JSONResponse({"id": asked.approval_id, "options": asked.options})

    @router.post("/{agency_id}/mandate/passkey")
    def answer(request: Request, sent: Annotated[Sent, Depends(door.sent)], agency_id: AgencyId) -> Response:
        _on_page(request, sent.visit, agency_id)
        question, assertion = sent.fields.get("question", ""), sent.fields.get("assertion", "")
        return _hand_in(sent.visit, agency_id, statements.by_passkey(sent.visit.person, question, assertion))

    # --- leaving ----------------------------------------------------------------------------------------------------

    @router.post("/{agency_id}/withdrawal")
    def withdraw(request: Request, sent: Annotated[Sent, Depends(door.sent)], agency_id: AgencyId) -> Response:
        _on_page(request, sent.visit, agency_id)
        agencies.withdraw(sent.visit.person, agency_id)
        return _back(agency_id)

    @router.post("/{agency_id}/representatives")
    def withdraw_representative(
        request: Request, sent: Annotated[Sent, Depends(door.sent)], agency_id: AgencyId
    ) -> Response:
        _on_page(request, sent.visit, agency_id)
        who = sent.fields.get("person", "")
        agencies.withdraw_representative(sent.visit.person, agency_id, who)
        return RedirectResponse("/portal/agencies", 303) if who == sent.visit.person.id else _back(agency_id)

    # --- clients ------------------------------------------------------------------------------------------------------

    def _client(
        request: Request, visit: Visit, agency_id: str, client_id: str, status: int = 200, **more: Any
    ) -> Response:
        seen = parts.overview.client(visit.person, agency_id, client_id)
        listed = parts.credential_requests.list(visit.person, None, agency_id, client_id=client_id)
        asked = [parts.credential_requests.show(visit.person, one.request_id) for one in listed]
        return parts.layout.page(
            "portal/agency_client.html",
            request,
            status=status,
            form=visit.form,
            seen=seen,
            policy=seen.policy.json(),
            credentials=asked,
            officers=parts.credential_requests.officers if seen.agency.state is AgencyState.PRODUCTION else 0,
            waits=any(one.state is RequestState.WAITING for one in asked),
            most_reason=MAX_REASON,
            **(NO_PROBLEM | more),
        )

    @router.post("/{agency_id}/clients")
    def add_client(request: Request, sent: Annotated[Sent, Depends(door.sent)], agency_id: AgencyId) -> Response:
        _on_page(request, sent.visit, agency_id)
        label, key = sent.fields.get("label", "").strip(), sent.fields.get("public_key", "").strip()
        if not 0 < len(label) <= LONGEST_LABEL:
            raise AgencyInvalid(field="label")
        made = agencies.add_client(sent.visit.person, agency_id, label, key.encode()[:LONGEST_KEY])
        return RedirectResponse(f"/portal/agencies/{agency_id}/clients/{made.client_id}", 303)

    @router.get("/{agency_id}/clients/{client_id}")
    def client(
        request: Request, visit: Annotated[Visit, Depends(door.visit)], agency_id: AgencyId, client_id: ClientId
    ) -> Response:
        return _client(request, visit, agency_id, client_id)

    def _on_client(request: Request, visit: Visit, agency_id: str, client_id: str) -> Response:
        parts.overview.client(visit.person, agency_id, client_id)
        _again(request, lambda status, problem: _client(request, visit, agency_id, client_id, status, **problem))
        return RedirectResponse(f"/portal/agencies/{agency_id}/clients/{client_id}", 303)

    @router.post("/{agency_id}/clients/{client_id}/credential")
    def renew(
        request: Request, sent: Annotated[Sent, Depends(door.sent)], agency_id: AgencyId, client_id: ClientId
    ) -> Response:
        back = _on_client(request, sent.visit, agency_id, client_id)
        agencies.renew_credential(sent.visit.person, agency_id, client_id)
        return back

    @router.post("/{agency_id}/clients/{client_id}/credential-requests")
    def ask_for_credential(
        request: Request, sent: Annotated[Sent, Depends(door.sent)], agency_id: AgencyId, client_id: ClientId
    ) -> Response:
        back = _on_client(request, sent.visit, agency_id, client_id)
        parts.credential_requests.ask(sent.visit.person, agency_id, client_id, sent.fields.get("reason", "").strip())
        return back

    @router.post("/{agency_id}/clients/{client_id}/credential-requests/{request_id}/withdrawal")
    def take_back(
        request: Request,
        sent: Annotated[Sent, Depends(door.sent)],
        agency_id: AgencyId,
        client_id: ClientId,
        request_id: Annotated[str, Path(pattern=ID)],
    ) -> Response:
        back = _on_client(request, sent.visit, agency_id, client_id)
        parts.credential_requests.withdraw(sent.visit.person, request_id, sent.fields.get("reason", "").strip())
        return back

    @router.post("/{agency_id}/clients/{client_id}/withdrawal")
    def withdraw_client(
        request: Request, sent: Annotated[Sent, Depends(door.sent)], agency_id: AgencyId, client_id: ClientId
    ) -> Response:
        back = _on_client(request, sent.visit, agency_id, client_id)
        agencies.withdraw_client(sent.visit.person, agency_id, client_id)
        return back

    @router.get("/{agency_id}/clients/{client_id}/batches/{batch_id}")
    def batch(
        request: Request,
        visit: Annotated[Visit, Depends(door.visit)],
        agency_id: AgencyId,
        client_id: ClientId,
        batch_id: Annotated[str, Path(pattern=ID)],
        cursor: Cursor = None,
    ) -> Response:
        seen, language = (
            parts.overview.batch(visit.person, agency_id, client_id, batch_id, cursor),
            language_of(request),
        )
        results = [
            {
                "item": one,
                "refusal": text(one.refusal, language, **json.loads(one.told or "{}")) if one.refusal else "",
                "words": digest_words(one.sha256, language)[:4],
            }
            for one in seen.items
        ]
        return parts.layout.page("portal/agency_batch.html", request, form=visit.form, seen=seen, results=results)

    return router
