"""The simulated registry's web application: one service in the X-Road REST shape, and a switch for tests."""

import asyncio
import uuid
from typing import Annotated, Literal

from fastapi import FastAPI, Header, Response
from pydantic import BaseModel, ConfigDict, Field

from ekyc.registry_simulation.matching import compare
from ekyc.registry_simulation.persons import registered

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

    @app.post("/r1/{instance}/{member_class}/{member}/{subsystem}/match")
    async def match(
        query: Query,
        response: Response,
        x_road_client: Annotated[str, Header(max_length=200)],
        x_road_id: Annotated[str, Header(max_length=100)],
    ) -> dict[str, object]:
        behaviour: Switch = app.state.switch
        await asyncio.sleep(behaviour.delay_seconds)
        response.headers["X-Road-Id"] = x_road_id
        response.headers["X-Road-Client"] = x_road_client
        response.headers["X-Road-Request-Id"] = str(uuid.uuid4())
        response.headers["X-CamTrust-Simulated"] = "true"
        if behaviour.outage:
            response.status_code = 503
            response.headers["X-Road-Error"] = "Server.ServerProxy.ServiceFailed"
            return {"type": "Server.ServerProxy.ServiceFailed", "message": "simulated outage", "detail": ""}
        if behaviour.broken:
            return {"outcome": "match", "fields": {}}
        known = registered(query.document_number, query.issuing_state)
        outcome, fields = compare(known, query.model_dump())
        return {"outcome": outcome, "fields": fields}

    return app
