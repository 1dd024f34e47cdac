"""The pages load nothing from outside, speak both languages, and say what is specimen, emulated or absent."""

from __future__ import annotations

import hashlib
from html.parser import HTMLParser
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from camtrust.web.absent import ABSENT
from camtrust.web.app import STATIC
from camtrust.web.raw import Raw
from foundation.http.errors import RouteUnknown
from foundation.keys.errors import TokenUnavailable
from issuing_ca.errors import WitnessesFail
from tests.web.world import World

LOADING = {"src", "href", "action", "data", "poster", "srcset", "formaction"}


class Reader(HTMLParser):
    """What a browser would load or run, and the language of the page."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.inline: list[str] = []
        self.language = ""
        self._script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.loads += [value or "" for name, value in attrs if name in LOADING]
        self.inline += [name for name, _ in attrs if name.startswith("on") or name == "style"]
        if tag == "html":
            self.language = named.get("lang") or ""
        self._script = tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if self._script and data.strip():
            self.inline.append(data)

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002
        self._script = False


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    return reader


@pytest.mark.parametrize("path", ["/", "/docs", "/problems/foundation.forbidden"])
def test_pages_load_nothing_from_outside(world: World, path: str) -> None:
    """Every address in a page is a path of ours that answers, nothing is inline, and the policy forbids the rest."""
    client = world.client()
    answer = client.get(path)
    reader = read(answer.text)
    assert reader.loads
    assert reader.inline == []
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
    for address in reader.loads:
        assert address.startswith(("/", "#")), address
        assert not address.startswith("//")
        if address.startswith("/static/"):
            assert client.get(address).status_code == 200, address


def test_style_sheets_load_nothing_from_outside(world: World) -> None:
    """Style sheets name our own fonts and embedded icons alone."""
    for file in STATIC.rglob("*.css"):
        text = file.read_text(encoding="utf-8")
        addresses = [part.split(")", 1)[0].strip("\"' ") for part in text.split("url(")[1:]]
        assert all(address.startswith(("data:", "/static/fonts/")) for address in addresses), file
        assert "@import" not in text
    assert world.client().get("/static/fonts/NotoSansKhmer-Regular.ttf").status_code == 200


def test_vendored_files_are_what_the_note_says() -> None:
    """The files of swagger-ui are unchanged, with their licence beside them."""
    folder = STATIC / "swagger-ui"
    noted = [line.split() for line in (folder / "VERSION.txt").read_text().splitlines() if line.startswith("sha256")]
    assert {name for _, _, name in noted} == {"swagger-ui-bundle.js", "swagger-ui.css"}
    for _, digest, name in noted:
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert (folder / "LICENSE").exists()
    assert (folder / "NOTICE").exists()


@pytest.mark.parametrize(("query", "header", "language"), [("", "km", "km"), ("?lang=km", "en", "km"), ("", "", "en")])
def test_the_portal_speaks_khmer_and_english(world: World, query: str, header: str, language: str) -> None:
    """By Accept-Language, or as the visitor chose; the page says its language, for screen readers and fonts."""
    answer = world.client().get(f"/{query}", headers={"Accept-Language": header})
    assert read(answer.text).language == answer.headers["content-language"] == language
    assert ("ប្រជាពលរដ្ឋ" in answer.text) == (language == "km")


def test_the_portal_says_what_is_not_real(world: World) -> None:
    """A specimen service carries its banner on every page, and names the emulated parts; a real one does neither."""
    pages = ("/", "/docs", "/problems/foundation.forbidden")
    specimen = world.client(specimen=True, emulated=("key_store", "registry"), crl_paths=("/crl/1/full.crl",))
    for path in pages:
        assert "SPECIMEN" in specimen.get(path).text
    assert "hardware security module is emulated" in specimen.get("/").text
    assert 'href="/crl/1/full.crl"' in specimen.get("/").text
    real = world.client(specimen=False)
    for path in pages:
        assert "SPECIMEN" not in real.get(path).text
    assert "emulated" not in real.get("/").text


@pytest.mark.parametrize("path", ["/", "/docs", "/problems/foundation.forbidden"])
def test_every_page_names_the_emulated_parts(world: World, path: str) -> None:
    """Each part is named in the language of the page, under the same policy; nothing is said where none is emulated."""
    parts = {
        "key_store": ("hardware security module", "HSM"),
        "registry": ("base registry", "បញ្ជីអត្តសញ្ញាណគោល"),
        "notifications": ("notifications", "សារជូនដំណឹង"),
    }
    client = world.client(emulated=tuple(parts))
    for place, (language, heading) in enumerate((("en", "Emulated parts"), ("km", "ផ្នែកក្លែងធ្វើ"))):
        answer = client.get(path, headers={"Accept-Language": language})
        assert heading in answer.text
        for names in parts.values():
            assert names[place].lower() in answer.text.lower()
        assert read(answer.text).inline == []
        assert "unsafe" not in answer.headers["content-security-policy"]
        some = world.client(emulated=("registry",)).get(path, headers={"Accept-Language": language}).text
        assert parts["registry"][place] in some
        assert parts["notifications"][place] not in some.lower()
        assert heading not in world.client().get(path, headers={"Accept-Language": language}).text


@pytest.mark.parametrize("path", ["/", "/docs", "/problems/foundation.forbidden"])
def test_what_is_put_into_a_page_is_escaped(world: World, path: str) -> None:
    """Values of the settings cannot become markup."""
    text = world.client(emulated=("<script>x</script>",), crl_paths=('/"><script>x</script>',)).get(path).text
    assert "<script>" not in text
    assert "&lt;script&gt;" in text


@pytest.mark.parametrize("path", ABSENT)
def test_absent_parts_say_so(world: World, path: str) -> None:
    """What the contract names and this build lacks answers 501 with a problem document, for every method."""
    client = world.client()
    for method in ("GET", "POST"):
        answer = client.request(method, path.replace("{path:path}", "some/thing"))
        assert (answer.status_code, answer.json()["code"]) == (501, "foundation.not_implemented")
    assert world.refusals() == []


def test_a_router_that_is_built_takes_its_path(world: World) -> None:
    """A hot path or router comes before the absent parts, and takes requests at its path and below, without a
    redirect (clients POST there)."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode()})

    client = world.client(raw=[Raw("/log", app), Raw("/ocsp", app)])
    assert client.get("/log/checkpoint").text == "/log/checkpoint"
    assert client.post("/ocsp", follow_redirects=False).text == "/ocsp"
    assert client.get("/ocsp/MEUw").text == "/ocsp/MEUw"
    assert client.get("/ocspx").status_code == 404


def test_healthy_is_not_ready(world: World) -> None:
    """/healthz says that the process answers; /readyz says which part does not work, by code, and what is emulated."""
    from starlette.testclient import TestClient

    from camtrust.web.app import WebSettings, create_app

    broken: list[Exception] = []

    def token() -> None:
        for error in broken:
            raise error

    def witness() -> None:
        raise WitnessesFail(witnesses="witness.example")

    settings = WebSettings(public_url="http://127.0.0.1:8440", version="0.1.0", emulated=("key_store",))
    checks = {"database": lambda: None, "key_store": token}
    client = TestClient(create_app(settings, routers=[], checks=checks, advisories={"log_witnesses": witness}))
    ready = client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json() == {
        "status": "ready",
        "checks": {"database": "ok", "key_store": "ok"},
        "advisories": {"log_witnesses": "issuing_ca.witnesses_fail"},
        "emulated": ["key_store"],
        "specimen": True,
    }
    for error, code in ((TokenUnavailable(), "foundation.token_unavailable"), (ValueError("secret 481516"), "failed")):
        broken[:] = [error]
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["checks"]["key_store"]) == (503, code)
        assert "481516" not in answer.text
        assert client.get("/healthz").json() == {"status": "ok"}
    assert "strict-transport-security" not in ready.headers


def test_metrics_count_what_was_answered(world: World) -> None:
    """Requests are counted by method, route template and status; nothing that was sent becomes a label."""
    client = world.client()
    client.get("/problems/481516")
    client.request("BREW", "/481516")
    text = client.get("/metrics").text
    assert 'camtrust_http_requests_total{method="GET",route="/problems/{code}",status="404"} 1' in text
    assert 'camtrust_http_requests_total{method="-",route="unmatched",status="404"} 1' in text
    assert "481516" not in text
    assert "BREW" not in text


def test_problem_pages_read_only_our_catalogues(world: World) -> None:
    """The page of a code explains it in both languages; names from outside never reach an import or a file."""
    client = world.client()
    page = client.get("/problems/identity.login_refused").text
    assert "The identifier, the PIN or the code is not right." in page
    assert "លេខសម្ងាត់" in page
    assert "{" not in client.get("/problems/foundation.body_too_large").text
    for code in ("os.path", "foundation.nothing", "foundation.kind_invalid", "..%2f..", "foundation", "x" * 500):
        answer = client.get(f"/problems/{code}")
        assert (answer.status_code, answer.json()["code"]) == (404, RouteUnknown.code)


def test_the_openapi_document_tells_the_truth(world: World) -> None:
    """OpenAPI 3.1: problem documents for failures, the guard of each operation, and the key of each POST."""
    document: dict[str, Any] = world.client().get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert "HTTPValidationError" not in document["components"]["schemas"]
    operations = [
        (method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    assert len(operations) >= 9
    for method, path, operation in operations:
        assert "422" not in operation["responses"]
        assert "application/problem+json" in operation["responses"]["default"]["content"]
        names = [parameter["name"] for parameter in operation.get("parameters", [])]
        assert ("Idempotency-Key" in names) == (method == "post"), path
    paths = document["paths"]
    assert paths["/identity/v1/actors"]["post"]["security"] == [{"assertion": []}]
    assert paths["/identity/v1/actors"]["post"]["x-allowed-actors"] == ["operator"]
    assert paths["/identity/v1/sessions"]["delete"]["security"] == [{"session": []}]
    assert "security" not in paths["/identity/v1/sessions"]["post"]
