"""Every failure becomes the same sort of document, says nothing that was sent, and is in the audit trail."""

import json
import logging
from typing import Annotated, Any, Literal

import pytest
from fastapi import APIRouter, Depends, HTTPException
from pydantic import BaseModel, Field, field_validator
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from camtrust.web.raw import Raw
from foundation.errors import CamTrustError, InternalError, Kind
from foundation.http.actor import Actor, ActorKind
from foundation.http.guard import public
from foundation.http.problems import STATUS
from foundation.keys.errors import PinLocked
from tests.web.world import World

SECRET = "481516"
MEMBERS = {"type", "title", "status", "detail", "code", "hint", "trace_id"}


class Order(BaseModel):
    """A body with a secret in it."""

    pin: str = Field(min_length=8, pattern="^[0-9]+$")
    count: int = 1
    colour: Literal["red", "blue"] = "red"
    note: str = ""

    @field_validator("note")
    @classmethod
    def _no_note(cls, value: str) -> str:
        if value:
            raise ValueError(f"a validator that quotes its input: {value}")
        return value


def failing(error: Exception) -> APIRouter:
    """A public endpoint /fail that raises ``error``, and /order that takes an Order."""
    router = APIRouter(dependencies=[Depends(public)])

    def fail() -> None:
        raise error

    def order(order: Order) -> str:
        return order.pin

    router.add_api_route("/fail", fail, methods=["GET", "POST"])
    router.add_api_route("/order", order, methods=["POST"])
    return router


def error_of(kind: Kind, **arguments: Any) -> CamTrustError:
    made = type("Made", (InternalError,), {"kind": kind, "code": "foundation.stale_write"})
    error: CamTrustError = made(**arguments)
    return error


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_has_its_status(world: World, kind: Kind) -> None:
    """A failure of each kind is answered with the status of that kind and all members of RFC 9457 that we promise."""
    answer = world.client([failing(error_of(kind))]).get("/fail")
    assert answer.status_code == STATUS[kind]
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert set(document) == MEMBERS
    assert document["status"] == answer.status_code
    assert document["code"] == "foundation.stale_write"
    assert document["type"] == "/problems/foundation.stale_write"
    assert document["trace_id"] == answer.headers["x-trace-id"]


@pytest.mark.parametrize(
    ("header", "language"),
    [("km", "km"), ("km-KH,km;q=0.9,en;q=0.5", "km"), ("en;q=0.4, km;q=0.6", "km"), ("en-GB", "en"), ("fr", "en")],
)
def test_the_answer_is_in_the_language_that_was_asked_for(world: World, header: str, language: str) -> None:
    """Accept-Language chooses between Khmer and English; anything else gets English."""
    answer = world.client().get("/nowhere", headers={"Accept-Language": header})
    assert answer.headers["content-language"] == language
    assert any("\u1780" <= char <= "\u17ff" for char in answer.json()["detail"]) == (language == "km")
    assert "Accept-Language" in answer.headers["vary"]


def test_retry_after_is_told_in_whole_seconds(world: World) -> None:
    """A lock-out says when to come back, rounded up, as the header RFC 9110 §10.2.3 names."""
    answer = world.client([failing(PinLocked(retry_after=12.2))]).get("/fail")
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "13"


def test_a_401_says_how_to_authenticate(world: World) -> None:
    """RFC 9110 §11.6.1: a challenge for each scheme that we take."""
    answer = world.client().delete("/identity/v1/sessions/current")
    assert answer.status_code == 401
    assert "Assertion" in answer.headers["www-authenticate"]
    assert "Bearer" in answer.headers["www-authenticate"]


@pytest.mark.parametrize(
    "body",
    [
        {"pin": SECRET},
        {"pin": f"12345678x{SECRET}"},
        {"pin": "12345678", "count": SECRET + "x"},
        {"pin": "12345678", "colour": SECRET},
        {"pin": "12345678", "note": SECRET},
        {"pin": [SECRET]},
        [SECRET],
        SECRET,
    ],
)
def test_invalid_input_is_named_but_never_repeated(
    world: World, body: object, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever rule the input breaks, its value is in no answer, no log line and no audit event."""
    caplog.set_level(logging.DEBUG)
    answer = world.client([failing(RuntimeError())]).post("/order", json=body)
    assert answer.status_code == 422
    document = answer.json()
    assert document["code"] == "foundation.input_invalid"
    assert document["errors"]
    assert all(set(item) <= {"field", "rule", "expects"} for item in document["errors"])
    assert SECRET not in answer.text
    assert SECRET not in caplog.text
    assert SECRET not in json.dumps(world.refusals())


def test_a_broken_rule_says_what_it_expects(world: World) -> None:
    """The caller learns field, rule and limits, which is enough to mend the request."""
    document = world.client([failing(RuntimeError())]).post("/order", json={"pin": "12"}).json()
    (error,) = document["errors"]
    assert error == {"field": "body.pin", "rule": "string_too_short", "expects": {"min_length": 8}}


def test_unreadable_json_is_a_400(world: World) -> None:
    """A body that is no JSON is told apart from one that is JSON but wrong, and is not repeated either."""
    answer = world.client([failing(RuntimeError())]).post(
        "/order", content=f'{{"pin": "{SECRET}"', headers={"Content-Type": "application/json"}
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "foundation.body_unreadable")
    assert SECRET not in answer.text


def test_unknown_paths_and_methods_have_the_same_shape(world: World) -> None:
    """404 and 405 of the framework are problem documents too, and are not in the audit trail."""
    client = world.client()
    unknown, wrong = client.get("/nowhere/at/all"), client.put("/healthz")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "foundation.route_unknown")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "foundation.method_not_allowed")
    assert wrong.headers["allow"] == "GET"
    assert set(unknown.json()) == set(wrong.json()) == MEMBERS
    assert world.refusals() == []


def test_a_failure_of_ours_tells_nothing(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """An unexpected exception answers 500 with a trace id; the log has its class and place under that id, but neither
    answer nor log has its text, which may quote personal data."""
    answer = world.client([failing(ValueError(f"DETAIL: Key (pin)=({SECRET}) exists"))]).get("/fail")
    assert answer.status_code == 500
    assert set(answer.json()) == MEMBERS
    assert answer.json()["code"] == "foundation.internal"
    assert SECRET not in answer.text
    assert SECRET not in caplog.text
    (record,) = [record for record in caplog.records if record.name == "camtrust.problems"]
    line = json.loads(record.getMessage())
    assert line["trace_id"] == answer.json()["trace_id"]
    assert any(cause["class"] == "builtins.ValueError" for cause in line["causes"])
    assert any("in fail" in place or place.endswith(" fail") for cause in line["causes"] for place in cause["at"])


def test_a_failure_in_a_hot_path_is_a_problem_document_too(world: World) -> None:
    """Raw ASGI applications have no exception handlers of their own; the boundary around everything answers."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise PinLocked(retry_after=3)

    answer = world.client(raw=[Raw("/hot", app)]).post("/hot/path")
    assert (answer.status_code, answer.json()["code"]) == (429, "foundation.pin_locked")
    assert world.refusals()[0]["route"] == "/hot"


def test_an_answer_that_breaks_off_is_not_patched(world: World) -> None:
    """When half an answer is out already, the connection breaks; nothing else is sent after it."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise ValueError(SECRET)

    client = TestClient(world.app(raw=[Raw("/hot", app)]))
    with pytest.raises(RuntimeError, match="broke off") as caught:
        client.get("/hot")
    assert caught.value.__suppress_context__
    assert SECRET not in str(caught.value)


def test_a_framework_exception_keeps_its_status(world: World) -> None:
    """An HTTPException that some library raises is mapped by status; its detail is not passed on."""
    answer = world.client([failing(HTTPException(418, detail=SECRET))]).get("/fail")
    assert (answer.status_code, answer.json()["code"]) == (418, "foundation.request_refused")
    assert SECRET not in answer.text


def test_refusals_are_in_the_audit_trail(world: World) -> None:
    """A refused request leaves who (opaque), what code, which route and the trace id, in a chain that verifies."""
    router = APIRouter()
    person = world.guard.person()

    def locked(item: str, actor: Annotated[Actor, Depends(person)]) -> None:
        raise PinLocked(retry_after=60)

    router.add_api_route("/things/{item}", locked, methods=["POST"])
    client = world.client([router])
    token = world.identity.open("person-1")
    answer = client.post(f"/things/{SECRET}?q={SECRET}", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 429
    (event,) = world.refusals()
    assert event == {
        "actor": "person:person-1",
        "subject": answer.headers["x-trace-id"],
        "code": "foundation.pin_locked",
        "status": 429,
        "method": "POST",
        "route": "/things/{item}",
    }
    assert world.trail.verify(world.database) >= 2


def test_which_check_refused_a_credential_is_for_the_trail_alone(world: World) -> None:
    """A bad credential is answered with one and the same document; the ID of the failed check is in the audit trail.
    A request without any credential is not: it is what scanners do, and touches nothing."""
    client = world.client()
    officer = world.register(ActorKind.OPERATOR, "identity-admin")
    path = "/identity/v1/actors"
    answers = [
        client.get(path, headers={"Authorization": credential})
        for credential in (
            officer.sign(world, "GET", "/elsewhere"),
            officer.sign(world, "PUT", path),
            "Bearer nothing-of-ours",
            "Basic YTpi",
        )
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({json.dumps(answer.json() | {"trace_id": ""}) for answer in answers}) == 1
    assert client.get(path).status_code == 401
    assert [event["rule"] for event in world.refusals()] == ["AS-07", "AS-06", "SE-01", "AS-01"]


def test_an_audit_trail_that_fails_does_not_hide_the_answer(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """The trail being down, the caller still learns why the request was refused, and the log tells of the trail."""
    client = world.client([failing(PinLocked(retry_after=1))])
    with world.database.unit_of_work() as connection:
        connection.exec_driver_sql("DROP TABLE audit_events")
    answer = client.get("/fail")
    assert (answer.status_code, answer.json()["code"]) == (429, "foundation.pin_locked")
    assert any("audit.failed" in record.getMessage() for record in caplog.records)


def test_the_trace_id_of_the_caller_is_kept(world: World) -> None:
    """A W3C traceparent is taken over when it is well formed; anything else gets an id of ours."""
    client = world.client()
    given = "4bf92f3577b34da6a3ce929d0e0e4736"
    kept = client.get("/healthz", headers={"traceparent": f"00-{given}-00f067aa0ba902b7-01"})
    assert kept.headers["x-trace-id"] == given
    for bad in (f"00-{'0' * 32}-00f067aa0ba902b7-01", "00-x-y-z", f"ff-{given}-00f067aa0ba902b7-01", "'; DROP"):
        made = client.get("/healthz", headers={"traceparent": bad}).headers["x-trace-id"]
        assert made != given
        assert len(made) == 32


def test_the_access_log_has_no_personal_data(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """The access log names the route's template, never the path, the query or a header's value."""
    caplog.set_level(logging.WARNING, logger="httpx2")
    caplog.set_level(logging.INFO, logger="camtrust.access")
    client = world.client()
    client.get(f"/problems/{SECRET}?name={SECRET}", headers={"X-Name": SECRET})
    client.get(f"/{SECRET}")
    lines = [json.loads(record.getMessage()) for record in caplog.records if record.name == "camtrust.access"]
    assert [line["route"] for line in lines] == ["/problems/{code}", "unmatched"]
    assert SECRET not in caplog.text


def test_security_headers_are_on_every_answer(world: World) -> None:
    """Pages, API answers, refusals and hot paths carry the same protection; API answers are not cached."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"cache-control", b"max-age=60")]})
        await send({"type": "http.response.body", "body": b""})

    client = world.client(raw=[Raw("/hot", app)])
    for path in ("/", "/docs", "/healthz", "/nowhere", "/hot", "/static/camtrust.css", "/acme/directory"):
        headers = client.get(path).headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "default-src 'self'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "max-age" in headers["strict-transport-security"]
    assert client.get("/healthz").headers["cache-control"] == "no-store"
    assert client.get("/hot").headers["cache-control"] == "max-age=60"


def test_two_credentials_are_none(world: World) -> None:
    """Two Authorization headers are refused, though one of them is good: a proxy may have looked at the other."""
    token = world.identity.open("person-1")
    headers = [("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")]
    assert world.client().delete("/identity/v1/sessions", headers=headers).status_code == 401
    assert world.identity.sessions.authenticate(token).id == "person-1"
