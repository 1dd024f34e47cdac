"""The simulated registry's web application: one service in the X-Road REST shape, and a switch for tests."""

import asyncio
import uuid
from typing import Annotated, Literal

from fastapi import FastAPI, Header, Response
from pydantic import BaseModel, ConfigDict, Field

from ekyc.registry_simulation.matching import compare, compare_relation
from ekyc.registry_simulation.persons import registered, registered_as

_Text = Annotated[str, Field(max_length=200)]


class Query(BaseModel):
    """What is asked about a person."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    document_number: _Text
    surname: _Text
    given_names: _Text
    date_of_birth: _Text
    sex: _Text
    surname_km: _Text = ""
    given_names_km: _Text = ""
    document_type: Literal["khmer-id-card", "passport"] = "khmer-id-card"
    issuing_state: _Text = "KHM"
    nationality: _Text = "KHM"


class Party(BaseModel):
    """A person by their document."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    document_number: _Text
    issuing_state: _Text
    date_of_birth: _Text


class Relation(BaseModel):
    """What is asked about two persons."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    child: Party
    guardian: Party
    relation: _Text


class Switch(BaseModel):
    """How the registry behaves from now on: in outage it answers 503, broken it answers nonsense."""

    model_config = ConfigDict(extra="forbid")

    outage: bool = False
    broken: bool = False
    delay_seconds: Annotated[float, Field(ge=0, le=30)] = 0


def create_app() -> FastAPI:
    """The application; its state is the switch alone."""
    app = FastAPI(title="SIMULATED base registry", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.switch = Switch()

    @app.post("/admin/switch")
    async def switch(wanted: Switch) -> Switch:
        app.state.switch = wanted
        return wanted

    async def behave(response: Response, client: str, message_id: str) -> dict[str, object] | None:
        """The headers of an answer, and an answer in the place of the right one where the switch says so."""
        behaviour: Switch = app.state.switch
        await asyncio.sleep(behaviour.delay_seconds)
        response.headers["X-Road-Id"] = message_id
        response.headers["X-Road-Client"] = client
        response.headers["X-Road-Request-Id"] = str(uuid.uuid4())
        response.headers["X-CamTrust-Simulated"] = "true"
        if behaviour.outage:
            response.status_code = 503
            response.headers["X-Road-Error"] = "Server.ServerProxy.ServiceFailed"
            return {"type": "Server.ServerProxy.ServiceFailed", "message": "simulated outage", "detail": ""}
        return {"outcome": "match", "fields": {}} if behaviour.broken else None

    @app.post("/r1/{instance}/{member_class}/{member}/{subsystem}/match")
    async def match(
        query: Query,
        response: Response,
        x_road_client: Annotated[str, Header(max_length=200)],
        x_road_id: Annotated[str, Header(max_length=100)],
    ) -> dict[str, object]:
        unusual = await behave(response, x_road_client, x_road_id)
        if unusual is not None:
            return unusual
        known = registered(query.document_number, query.issuing_state)
        outcome, fields = compare(known, query.model_dump())
        return {"outcome": outcome, "fields": fields}

    @app.post("/r1/{instance}/{member_class}/{member}/{subsystem}/relation")
    async def relation(
        asked: Relation,
        response: Response,
        x_road_client: Annotated[str, Header(max_length=200)],
        x_road_id: Annotated[str, Header(max_length=100)],
    ) -> dict[str, object]:
        unusual = await behave(response, x_road_client, x_road_id)
        if unusual is not None:
            return unusual
        child, guardian = (
            registered_as(one.document_number, one.issuing_state, one.date_of_birth)
            for one in (asked.child, asked.guardian)
        )
        outcome, fields = compare_relation(child, guardian, asked.relation)
        return {"outcome": outcome, "fields": fields}

    return app
