"""HTTP: a person's authenticators, and the way back in when all are lost. Annotations are not postponed here either."""

import json
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Response
from pydantic import BaseModel, Field, SecretStr

from ekyc.api import EnrolmentId, IfVersion
from ekyc.authenticators.recovery import Loss
from ekyc.review.desk import ROLE as REVIEW_ROLE
from ekyc.service import EkycService
from ekyc.views import EnrolmentView, Input, enrolment_view
from foundation.http.actor import Actor
from foundation.http.guard import Guard, public
from foundation.keys.activation import Method as FactorMethod
from foundation.keys.activation import PasskeyAssertion, PinTotp, Proof
from foundation.keys.errors import DataInvalid
from foundation.keys.factors import ChangeKind, FactorChange

ChangeId = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$", description="the change's id, as it was given")]


class PasskeyInput(Input):
    """What the person's device answered to the options."""

    credential: dict[str, Any] = Field(
        default_factory=dict, description="the PublicKeyCredential of navigator.credentials.create(), as toJSON()"
    )


class ChangeInput(Input):
    """A change of factors, and by which factor it will be approved."""

    kind: ChangeKind
    method: FactorMethod
    pin: Annotated[SecretStr, Field(min_length=6, max_length=12)] | None = None
    credential: dict[str, Any] | None = Field(None, description="of navigator.credentials.create(), to add a passkey")
    credential_id: Annotated[str, Field(pattern=r"^[0-9a-f]{2,2046}$")] | None = Field(
        None, description="the passkey to take away"
    )


class ApprovalInput(Input):
    """Either PIN and code, or the answer of a passkey; ``new_code`` of a new authenticator."""

    pin: Annotated[SecretStr, Field(min_length=1, max_length=64)] | None = None
    totp: Annotated[SecretStr, Field(min_length=1, max_length=16)] | None = None
    assertion: dict[str, Any] | None = None
    new_code: Annotated[SecretStr, Field(min_length=1, max_length=16)] | None = None


class LossInput(Input):
    """What has become of the person's factors, as they say before the officer."""

    loss: Loss


class PasskeyOptionsView(BaseModel):
    """What the person's device is asked."""

    options: dict[str, Any] = Field(description="for navigator.credentials.create()")


class FactorsView(BaseModel):
    """What a person can prove themselves with."""

    methods: list[FactorMethod]
    passkeys: list[str] = Field(description="credential ids, hexadecimal")
    codes: str | None = Field(None, description="what makes one-time codes: totp (an app), hotp (a device), card")
    codes_left: int | None = Field(None, description="how many codes of a card are not used yet")


class ChangeView(BaseModel):
    """A change that waits for approval."""

    id: str
    expires_at: datetime
    data: str = Field(description="canonical data that names the change; its SHA-256 is the challenge")
    options: dict[str, Any] | None = Field(description="for navigator.credentials.get(), where a passkey approves")
    provisioning_uri: str | None = Field(description="for the new authenticator, shown once")


class RecoveredView(BaseModel):
    """The enrolment from where it goes on, and a session for the person who stands there."""

    enrolment: EnrolmentView
    session_token: str


class StopInput(Input):
    """The code of the message, as it stands there."""

    code: Annotated[SecretStr, Field(min_length=16, max_length=40)]


def create_authenticator_router(service: EkycService, guard: Guard) -> APIRouter:
    """Passkeys, changes of factors, and recovery."""
    router = APIRouter(prefix="/ekyc/v1", tags=["eKYC"])
    person = guard.person()
    officer = guard.officer(REVIEW_ROLE)

    @router.get("/authenticators")
    def authenticators(actor: Annotated[Actor, Depends(person)]) -> FactorsView:
        """What the caller can prove themselves with."""
        found = service.authenticators.show(actor)
        passkeys = [one.credential_id for one in found.passkeys]
        return FactorsView(
            methods=sorted(found.methods), passkeys=passkeys, codes=found.codes, codes_left=found.codes_left
        )

    @router.post("/authenticators/passkey-options")
    def passkey_options(actor: Annotated[Actor, Depends(person)]) -> PasskeyOptionsView:
        """What to ask the device of the caller for a new passkey: the first factor, or one to add."""
        return PasskeyOptionsView(options=json.loads(service.authenticators.begin_passkey(actor)))

    @router.post("/enrolments/{enrolment_id}/passkey")
    def bind_passkey(
        enrolment_id: EnrolmentId,
        body: PasskeyInput,
        actor: Annotated[Actor, Depends(person)],
        version: IfVersion,
        response: Response,
    ) -> EnrolmentView:
        """Make a passkey the first factor, instead of PIN and authenticator."""
        credential = json.dumps(body.credential)
        moved = service.authenticators.bind_passkey(actor, enrolment_id, credential, if_version=version)
        response.headers["ETag"] = f'"{moved.version}"'
        return enrolment_view(moved)

    @router.post("/authenticators/changes", status_code=201)
    def ask_change(actor: Annotated[Actor, Depends(person)], body: ChangeInput) -> ChangeView:
        """Ask for a change: a new PIN, a new authenticator, both, a further passkey, or one to take away.

        It is made when a factor that the caller has, of the kind that ``method`` says, approves it.
        """
        adding = json.dumps(body.credential) if body.credential is not None else None
        pin = body.pin.get_secret_value() if body.pin else None
        change = FactorChange(body.kind, pin, adding if adding is not None else body.credential_id)
        asked = service.authenticators.ask_change(actor, change, body.method)
        return ChangeView(
            id=asked.approval.nonce.hex(),
            expires_at=asked.approval.expires,
            data=asked.approval.data.decode(),
            options=json.loads(asked.approval.options) if asked.approval.options else None,
            provisioning_uri=asked.provisioning_uri,
        )

    @router.post("/authenticators/changes/{change_id}", status_code=204)
    def change(actor: Annotated[Actor, Depends(person)], change_id: ChangeId, body: ApprovalInput) -> None:
        """Approve a change, and make it."""
        new_code = body.new_code.get_secret_value() if body.new_code else None
        service.authenticators.change(actor, change_id, _proof(body), new_code)

    @router.post("/reviews/{enrolment_id}/recovery", status_code=201)
    def recover(
        enrolment_id: EnrolmentId,
        body: LossInput,
        actor: Annotated[Actor, Depends(officer)],
        version: IfVersion,
        response: Response,
    ) -> RecoveredView:
        """The officer has the person before them, who has lost every factor. Certificate and key end; the person binds
        new factors with the session that this gives, and gets a new key and certificate under the same person id.
        """
        recovered = service.recovery.recover(actor, enrolment_id, body.loss, if_version=version)
        response.headers["ETag"] = f'"{recovered.enrolment.version}"'
        return RecoveredView(enrolment=enrolment_view(recovered.enrolment), session_token=recovered.session_token)

    @router.post("/stops", status_code=204, dependencies=[Depends(public)])
    def stop(body: StopInput) -> None:
        """Stop new factors, by the code that every contact of before was sent when an officer let them be set.

        No login: whoever lost everything has none. Certificates go on hold, sessions end, and an officer must see the
        person.
        """
        service.cool_off.stop(body.code.get_secret_value())

    return router


def _proof(body: ApprovalInput) -> Proof:
    """Exactly one of the two; DataInvalid."""
    if body.assertion is not None and body.pin is None and body.totp is None:
        return PasskeyAssertion(json.dumps(body.assertion))
    if body.assertion is None and body.pin is not None and body.totp is not None:
        return PinTotp(body.pin.get_secret_value(), body.totp.get_secret_value())
    raise DataInvalid
