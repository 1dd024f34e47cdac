"""Control of names: what is not ordered, what does not show it, and where nobody is led."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_address, ip_network

import pytest

from issuing_ca.acme.errors import AcmeRefused, ConnectionFailed, IncorrectResponse
from issuing_ca.acme.network import DnsResolver, HttpFetcher
from tests.ca.acme_world import URN, AcmeWorld, Client, csr, refused

NAME = "www.ministry.example"


def test_names_that_are_not_ordered(small_door: AcmeWorld) -> None:
    """Wildcards, addresses, single labels, names outside of the credential's domains, other identifier types."""
    client = small_door.client(domains=("ministry.example",))
    for name in ("*.ministry.example", "127.0.0.1", "localhost", "ministry.example.", "a..example", "other.example"):
        refused(client.order(name), "rejectedIdentifier")
    refused(client.order("notministry.example"), "rejectedIdentifier")
    refused(client.post("/acme/new-order", {"identifiers": [{"type": "ip", "value": "x"}]}), "unsupportedIdentifier")
    for identifiers in ([], "x", [1], [{"type": "dns"}], None):
        refused(client.post("/acme/new-order", {"identifiers": identifiers}), "malformed")
    now = small_door.world.clock.now()
    for not_after in ("soon", 1, (now + timedelta(days=400)).isoformat(), now.isoformat(), "2027-01-01T00:00:00"):
        refused(client.order(NAME, notAfter=not_after), "malformed")
    refused(client.order(NAME, notBefore=now.isoformat()), "malformed")


def test_control_that_is_not_shown(door: AcmeWorld) -> None:
    """A wrong page, another account's key, no page, no address, no TXT record: invalid, and so is the order."""
    client = door.client()
    door.site(NAME)
    for page, kind in ((b"wrong", "incorrectResponse"), (None, "incorrectResponse")):
        order = client.order(NAME)
        challenge = client.challenge(order.json()["authorizations"][0])
        path = f"/.well-known/acme-challenge/{challenge['token']}"
        if page is not None:
            door.web.pages[path] = page
        done = client.post(challenge["url"], {}).json()
        assert (done["status"], done["error"]["type"]) == ("invalid", URN + kind)
        assert client.post(order.json()["authorizations"][0]).json()["status"] == "invalid"
        assert client.post(order.headers["Location"]).json()["status"] == "invalid"
        refused(client.finalize(order.json(), csr(NAME)), "orderNotReady", 403)
    order = client.order(NAME).json()
    challenge = client.challenge(order["authorizations"][0])
    other = Client(door).key.thumbprint()
    door.web.pages[f"/.well-known/acme-challenge/{challenge['token']}"] = f"{challenge['token']}.{other}".encode()
    assert client.post(challenge["url"], {}).json()["status"] == "invalid"
    order = client.order("nowhere.example").json()
    done = client.post(client.challenge(order["authorizations"][0])["url"], {}).json()
    assert done["error"]["type"] == URN + "dns"
    order = client.order(NAME).json()
    done = client.post(client.challenge(order["authorizations"][0], "dns-01")["url"], {}).json()
    assert done["error"]["type"] == URN + "incorrectResponse"
    assert door.world.ca.certificates() == ()


def test_the_fetcher_is_not_led_elsewhere(small_door: AcmeWorld) -> None:
    """Private, loopback and link-local addresses are not connected to, unless they are the operator's; redirects to
    addresses, other ports and schemes are not followed, those to a name are, and circles end."""
    resolver = DnsResolver(("127.0.0.1",), small_door.names.port)
    strict = HttpFetcher(resolver, (), small_door.web.port)
    inside = "127.0.0.1 10.0.0.1 192.168.1.1 169.254.169.254 100.64.0.1 0.0.0.0 ::1 fe80::1 fd00::1 ::ffff:127.0.0.1"
    translated = "64:ff9b::a9fe:a9fe 64:ff9b:1::a00:1 ::10.0.0.1 ::ffff:0:10.0.0.1"
    for address in f"{inside} {translated} fec0::1 2002:7f00:1:: 224.0.0.1 ff02::1".split():
        assert not strict.allowed(ip_address(address)), address
    for address in ("203.144.0.1", "2606:4700::1111"):
        assert strict.allowed(ip_address(address)), address
    small_door.site("inside.example")
    small_door.web.pages["/x"] = b"secret"
    with pytest.raises(ConnectionFailed):
        strict.fetch("inside.example", "/x")
    assert small_door.web.asked == []
    small_door.names.addresses["rebinding.example"] = ["203.0.113.1", "127.0.0.1"]
    with pytest.raises(ConnectionFailed):
        strict.fetch("rebinding.example", "/x")
    assert small_door.web.asked == []
    mine = HttpFetcher(resolver, (ip_network("127.0.0.0/8"),), small_door.web.port)
    assert mine.fetch("inside.example", "/x") == b"secret"
    for number, location in enumerate(
        (
            "http://127.0.0.1/x",
            "https://inside.example/x",
            "http://inside.example:22/x",
            "ftp://inside.example/x",
            "http://user@inside.example/x",
            "//inside.example/x\r\nX: y",
            "/loop",
            "http://[::1]/x",
        )
    ):
        small_door.web.pages[f"/{number}"] = (302, {"Location": location.replace("\r\n", "%0d%0a ")}, b"")
        small_door.web.pages["/loop"] = (302, {"Location": "/loop"}, b"")
        with pytest.raises(AcmeRefused):
            mine.fetch("inside.example", f"/{number}")
    small_door.web.pages["/there"] = (301, {"Location": "http://inside.example/x"}, b"")
    assert mine.fetch("inside.example", "/there") == b"secret"
    small_door.web.pages["/long"] = b"x" * 100_000
    assert len(mine.fetch("inside.example", "/long")) == 1024
    small_door.web.pages["/error"] = (500, {}, b"")
    with pytest.raises(IncorrectResponse):
        mine.fetch("inside.example", "/error")


def test_an_order_ends(door: AcmeWorld) -> None:
    """After seven days an order that was not finished is invalid; a deactivated authorization ends it at once."""
    client = door.client()
    order = client.order(NAME)
    gone = client.order(NAME)
    authorization = gone.json()["authorizations"][0]
    assert client.post(authorization, {"status": "deactivated"}).json()["status"] == "deactivated"
    assert client.post(gone.headers["Location"]).json()["status"] == "invalid"
    door.world.clock.advance(timedelta(days=8))
    assert client.post(order.headers["Location"]).json()["status"] == "invalid"
