"""HTTP: a person's receipt of their proofing. Annotations are not postponed here either."""

import base64
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, Field

from ekyc.api import EnrolmentId
from ekyc.service import EkycService
from foundation.http.actor import Actor
from foundation.http.guard import Guard


class ReceiptView(BaseModel):
    """What a person keeps: each part is checked without us."""

    receipt: Annotated[str, Field(description="compact JWS (ES256) with OIDC4IDA verified_claims")]
    timestamp: Annotated[str, Field(description="RFC 3161 token over the receipt's octets, Base64")]
    log_proof: Annotated[str, Field(description="C2SP tlog-proof: the issuance log has the receipt's SHA-256")]
    log_key: Annotated[str, Field(description="verifier key of the log, to be compared with the published one")]
    public_key: Annotated[str, Field(description="SubjectPublicKeyInfo of the signer, hex, to be compared by SHA-256")]


def create_receipt_router(service: EkycService, guard: Guard) -> APIRouter:
    """One endpoint."""
    router = APIRouter(prefix="/ekyc/v1", tags=["eKYC"])
    person = guard.person()

    @router.get("/enrolments/{enrolment_id}/receipt")
    def receipt(
        enrolment_id: EnrolmentId,
        actor: Annotated[Actor, Depends(person)],
        response: Response,
        name: Annotated[bool, Query(description="with the name: for whoever is to be shown it")] = False,
    ) -> ReceiptView:
        """What was verified about the caller, when and by which policy: signed, timestamped, in the issuance log."""
        response.headers["Cache-Control"] = "no-store"
        made = service.receipts.of(actor, enrolment_id, named=name)
        return ReceiptView(
            receipt=made.receipt,
            timestamp=base64.b64encode(made.timestamp).decode("ascii"),
            log_proof=made.log_proof.decode("utf-8"),
            log_key=made.log_key,
            public_key=made.public_key.hex(),
        )

    return router
