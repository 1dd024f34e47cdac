"""HTTP: ``/ekyc/v1``. Parses, calls, maps.

A person works on their own enrolment with their session; officers review with signed assertions. ``If-Match`` with the
version of the last answer makes a step refuse when somebody else was faster. Annotations are not postponed here: the
guards are local names, which postponed annotations cannot see.
"""

import json
import re
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Query, Response

from ekyc.contacts.desk import Channel
from ekyc.contacts.outbox import ROLE as OUTBOX_ROLE
from ekyc.contacts.outbox import Outbox
from ekyc.model import Enrolment
from ekyc.review.desk import ROLE as REVIEW_ROLE
from ekyc.service import EkycService
from ekyc.terms import Acceptance
from ekyc.views import (
    AccessView,
    AuthenticatorView,
    CaseView,
    CertificateView,
    CodeInput,
    CodeSentView,
    ConsentInput,
    ContactCodeInput,
    ContactInput,
    ContactVerifiedView,
    DecisionView,
    DocumentInput,
    EnrolmentView,
    LevelInput,
    LinesInput,
    MessageView,
    PinInput,
    ProposalView,
    QueueView,
    ReviewInput,
    StartedView,
    StartInput,
    TermsView,
    case_view,
    certificate_view,
    decision_view,
    enrolment_view,
    message_view,
    queue_view,
    terms_view,
)
from foundation.db.engine import StaleWrite
from foundation.http.actor import Actor
from foundation.http.guard import Guard, public

EnrolmentId = Annotated[str, Path(pattern=r"^ENR-[A-Z2-7]{16}$")]
_VERSION = re.compile(r'^"([0-9]{1,9})"$')


def if_version(if_match: Annotated[str | None, Header(max_length=20)] = None) -> int | None:
    """The version that ``If-Match`` names (an ETag of ours); StaleWrite for anything that is not one of ours."""
    if if_match is None:
        return None
    found = _VERSION.match(if_match)
    if found is None:
        raise StaleWrite
    return int(found[1])


IfVersion = Annotated[int | None, Depends(if_version)]


def create_outbox_router(outbox: Outbox, guard: Guard) -> APIRouter:
    """What the embedded outbox keeps instead of sending it, for operators. Reading is written into the audit trail."""
    router = APIRouter(prefix="/ekyc/v1", tags=["eKYC"])
    operator = guard.operator(OUTBOX_ROLE)

    @router.get("/outbox")
    def messages(
        actor: Annotated[Actor, Depends(operator)],
        person_id: Annotated[str | None, Query(max_length=64, pattern="^[!-~]*$")] = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
    ) -> list[MessageView]:
        """The newest messages (of one person), newest first: nothing leaves the embedded default."""
        return [message_view(message) for message in outbox.read(actor, person_id, limit)]

    return router


def create_router(service: EkycService, guard: Guard) -> APIRouter:
    """The room's endpoints."""
    router = APIRouter(prefix="/ekyc/v1", tags=["eKYC"])
    person = guard.person()
    officer = guard.officer(REVIEW_ROLE)

    def answer(response: Response, enrolment: Enrolment) -> EnrolmentView:
        response.headers["ETag"] = f'"{enrolment.version}"'
        return enrolment_view(enrolment)

    @router.get("/terms", dependencies=[Depends(public)])
    def terms() -> TermsView:
        """What must be consented to and agreed on, as it is in force."""
        return terms_view(service.enrolment.terms)

    @router.post("/enrolments", status_code=201, dependencies=[Depends(public)])
    def start(body: StartInput, response: Response) -> StartedView:
        """Start an enrolment; gives the session token for all further steps, once."""
        started = service.enrolment.start(body.level, body.language)
        view = answer(response, started.enrolment)
        response.headers["Location"] = f"/ekyc/v1/enrolments/{started.enrolment.id}"
        return StartedView(enrolment=view, session_token=started.session_token)

    @router.get("/enrolments/me")
    def mine(actor: Annotated[Actor, Depends(person)], response: Response) -> EnrolmentView:
        """The caller's enrolment: where it stands and what is next."""
        return answer(response, service.enrolment.show(actor))

    @router.get("/enrolments/{enrolment_id}")
    def show(enrolment_id: EnrolmentId, actor: Annotated[Actor, Depends(person)], response: Response) -> EnrolmentView:
        """The caller's enrolment, by its id."""
        return answer(response, service.enrolment.show(actor, enrolment_id))

    @router.delete("/enrolments/{enrolment_id}")
    def withdraw(
        enrolment_id: EnrolmentId, actor: Annotated[Actor, Depends(person)], version: IfVersion, response: Response
    ) -> EnrolmentView:
        """Leave: personal data is destroyed and every session ends."""
        return answer(response, service.enrolment.withdraw(actor, enrolment_id, if_version=version))

    @router.get("/enrolments/{enrolment_id}/destruction", dependencies=[Depends(public)])
    def destruction(enrolment_id: EnrolmentId) -> Response:
        """After leaving: the key token's signed certificate that the person's keys were destroyed. Anybody can check it
        with the token's public key (`camtrust hsm check-statement`); it holds opaque ids alone.
        """
        return Response(service.enrolment.destruction(enrolment_id), media_type="application/json")

    @router.post("/enrolments/{enrolment_id}/consent")
    def consent(
        enrolment_id: EnrolmentId,
        body: ConsentInput,
        actor: Annotated[Actor, Depends(person)],
        version: IfVersion,
        response: Response,
    ) -> EnrolmentView:
        """Consent to the purpose and accept the subscriber agreement, by version and digest."""
        acceptance = Acceptance(**body.model_dump())
        return answer(response, service.enrolment.consent(actor, enrolment_id, acceptance, if_version=version))

    @router.post("/enrolments/{enrolment_id}/level")
    def raise_level(
        enrolment_id: EnrolmentId,
        body: LevelInput,
        actor: Annotated[Actor, Depends(person)],
        version: IfVersion,
        response: Response,
    ) -> StartedView:
        """Go on at a higher level; what was shown stays. Gives a new session token, and ends every session before."""
        raised = service.enrolment.raise_level(actor, enrolment_id, body.level, if_version=version)
        return StartedView(enrolment=answer(response, raised.enrolment), session_token=raised.session_token)

    @router.post("/enrolments/{enrolment_id}/contact", status_code=202)
    def contact(
        enrolment_id: EnrolmentId,
        body: ContactInput,
        actor: Annotated[Actor, Depends(person)],
        version: IfVersion,
        response: Response,
    ) -> CodeSentView:
        """Send a six-digit code to a phone or e-mail address."""
        sent = service.contact.send(
            actor, enrolment_id, Channel(body.channel), body.address.get_secret_value(), if_version=version
        )
        view = answer(response, sent.enrolment)
        return CodeSentView(enrolment=view, code_expires_at=sent.expires_at, resend_at=sent.resend_at)

    @router.post("/enrolments/{enrolment_id}/contact/verification")
    def verify_contact(
        enrolment_id: EnrolmentId,
        body: ContactCodeInput,
        actor: Annotated[Actor, Depends(person)],
        version: IfVersion,
        response: Response,
    ) -> ContactVerifiedView:
        """Show the code that arrived. Every session before ends; the answer has the token of a new one, once."""
        verified = service.contact.verify(
            actor, enrolment_id, body.code.get_secret_value(), shared=body.shared, if_version=version
        )
        token = service.enrolment.new_session(verified).session_token
        return ContactVerifiedView(**answer(response, verified).model_dump(), session_token=token)

    @router.post("/enrolments/{enrolment_id}/document")
    def document(
        enrolment_id: EnrolmentId,
        body: DocumentInput,
        actor: Annotated[Actor, Depends(person)],
        version: IfVersion,
        response: Response,
    ) -> EnrolmentView:
        """The machine-readable lines of the identity card and the name in Khmer, or the lines of a passport."""
        moved = service.document.submit(
            actor,
            enrolment_id,
            body.lines,
            body.surname_km.get_secret_value() if body.surname_km else None,
            body.given_names_km.get_secret_value() if body.given_names_km else None,
            printed=body.printed.opened() if body.printed else None,
            if_version=version,
        )
        return answer(response, moved)

    @router.post("/enrolments/{enrolment_id}/document/proposal")
    def propose(enrolment_id: EnrolmentId, body: LinesInput, actor: Annotated[Actor, Depends(person)]) -> ProposalView:
        """Which fields of typed lines are wrong, and the one repair there is, if there is one. Changes nothing."""
        proposal = service.document.propose(actor, enrolment_id, body.lines)
        return ProposalView(fields=list(proposal.fields), lines=list(proposal.lines) if proposal.lines else None)

    @router.post("/enrolments/{enrolment_id}/registry-match")
    def registry_match(
        enrolment_id: EnrolmentId, actor: Annotated[Actor, Depends(person)], version: IfVersion, response: Response
    ) -> EnrolmentView:
        """Compare with the base registry; asked again after WAITING_REGISTRY, it goes on."""
        moved = service.registry.match(actor, enrolment_id, if_version=version)
        if moved.retry_at is not None:
            response.status_code = 202
        return answer(response, moved)

    @router.post("/enrolments/{enrolment_id}/factors", status_code=201)
    def factors(
        enrolment_id: EnrolmentId, body: PinInput, actor: Annotated[Actor, Depends(person)], version: IfVersion
    ) -> AuthenticatorView:
        """Set the signing PIN; gives the authenticator's secret, once."""
        pin = body.pin.get_secret_value()
        return AuthenticatorView(
            provisioning_uri=service.issuance.enrol_factors(actor, enrolment_id, pin, if_version=version)
        )

    @router.post("/enrolments/{enrolment_id}/factors/confirmation")
    def confirm_factors(
        enrolment_id: EnrolmentId,
        body: CodeInput,
        actor: Annotated[Actor, Depends(person)],
        version: IfVersion,
        response: Response,
    ) -> EnrolmentView:
        """Show a code of the authenticator."""
        code = body.code.get_secret_value()
        return answer(response, service.issuance.confirm_factors(actor, enrolment_id, code, if_version=version))

    @router.post("/enrolments/{enrolment_id}/certificate")
    def issue(
        enrolment_id: EnrolmentId, actor: Annotated[Actor, Depends(person)], version: IfVersion, response: Response
    ) -> EnrolmentView:
        """Make the key in the token, have it certified, and make it ready to sign. Repeat it until ACTIVATED."""
        return answer(response, service.issuance.certificate(actor, enrolment_id, if_version=version))

    @router.get("/enrolments/{enrolment_id}/certificate")
    def certificate(enrolment_id: EnrolmentId, actor: Annotated[Actor, Depends(person)]) -> CertificateView:
        """The certificate and its chain, in PEM."""
        return certificate_view(service.issuance.issued(actor, enrolment_id))

    @router.get("/enrolments/{enrolment_id}/data")
    def own_data(enrolment_id: EnrolmentId, actor: Annotated[Actor, Depends(person)]) -> Response:
        """Everything that is kept about the caller, as JSON to take away. Asking is written down."""
        data = json.dumps(service.own_data.export(actor, enrolment_id), ensure_ascii=False, indent=1)
        headers = {"Content-Disposition": 'attachment; filename="my-data.json"', "Cache-Control": "no-store"}
        return Response(data.encode(), media_type="application/json", headers=headers)

    @router.get("/enrolments/{enrolment_id}/accesses")
    def accesses(enrolment_id: EnrolmentId, actor: Annotated[Actor, Depends(person)]) -> list[AccessView]:
        """Who looked at the caller's data, newest first; officers and operators by their opaque ids."""
        return [AccessView(**vars(one)) for one in service.own_data.accesses(actor, enrolment_id)]

    @router.get("/enrolments/{enrolment_id}/decision")
    def decision(enrolment_id: EnrolmentId, actor: Annotated[Actor, Depends(person)]) -> DecisionView:
        """The last decision on the caller's enrolment, rule by rule."""
        return decision_view(service.decider.of_person(actor, enrolment_id))

    @router.get("/reviews")
    def queue(
        actor: Annotated[Actor, Depends(officer)],
        cursor: Annotated[str | None, Query(pattern=r"^ENR-[A-Z2-7]{16}$")] = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
    ) -> QueueView:
        """What waits for this officer, who was drawn for it at random; no personal data."""
        return queue_view(service.review.queue(actor, cursor, limit))

    @router.get("/reviews/{enrolment_id}")
    def case(enrolment_id: EnrolmentId, actor: Annotated[Actor, Depends(officer)]) -> CaseView:
        """The evidence of one case. Looking is written down."""
        return case_view(service.review.show(actor, enrolment_id))

    @router.post("/reviews/{enrolment_id}")
    def decide(
        enrolment_id: EnrolmentId,
        body: ReviewInput,
        actor: Annotated[Actor, Depends(officer)],
        version: IfVersion,
        response: Response,
    ) -> EnrolmentView:
        """Bind the person, reject or refer, on exactly the evidence that was shown, with the officer's signature."""
        moved = service.review.decide(
            actor,
            enrolment_id,
            body.decision,
            body.method,
            body.reason,
            body.evidence_digest,
            body.signature,
            if_version=version,
        )
        return answer(response, moved)

    return router
