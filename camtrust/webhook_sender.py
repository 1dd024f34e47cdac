"""Sending messages to addresses that clients named, without being led elsewhere.

WS-URL       https, with a host name or address, no user, no fragment; in a specimen installation also http to loopback
WS-ADDRESS   the name is resolved here, and the connection goes to the address that was checked: a public one, or one of
             the operator's networks (``webhooks.networks``)
WS-TLS       the certificate is verified for the name, by the machine's authorities
WS-ONCE      redirects are not followed; no more than a kilobyte is read, in no more than fifteen seconds in all
"""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from ipaddress import ip_address
from threading import Timer
from urllib.parse import SplitResult, urlsplit

from foundation.errors import CamTrustError
from issuing_ca.acme.network import Address, DnsResolver, HttpFetcher, Network
from signing.webhooks.errors import WebhookUnreachable, WebhookUrlInvalid

_LONGEST = 500
_MOST = 1024
_EACH, _ALL = 5.0, 15.0  # seconds
_ADDRESSES = 3


class WebhookSender:
    """`signing.ports.MessageSender` over the network."""

    def __init__(self, resolver: DnsResolver, networks: Sequence[Network], *, loopback: bool) -> None:
        """``loopback``: http to this machine is allowed, for specimens."""
        self._resolver, self._loopback = resolver, loopback
        self._walls = HttpFetcher(resolver, networks)

    def check(self, url: str) -> None:
        """WS-URL. Raises WebhookUrlInvalid."""
        self._parts(url)

    def send(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """POST; gives the status of the answer. Raises WebhookUnreachable, with the step that failed."""
        parts = self._parts(url)
        host = parts.hostname or ""
        for address in self._addresses(host, plain=parts.scheme == "http"):
            try:
                return self._post(address, parts, headers, body)
            except ssl.SSLError:
                raise WebhookUnreachable(rule="WS-TLS") from None
            except (OSError, http.client.HTTPException):
                continue
        raise WebhookUnreachable(rule="connection")

    def _parts(self, url: str) -> SplitResult:
        try:
            parts = urlsplit(url)
            port, host = parts.port, parts.hostname
        except ValueError:
            raise WebhookUrlInvalid from None
        plain = any(ord(one) <= 0x20 or ord(one) >= 0x7F for one in url)
        if plain or len(url) > _LONGEST or not host or port == 0 or "@" in parts.netloc or "#" in url:
            raise WebhookUrlInvalid
        if parts.scheme == "https" or (parts.scheme == "http" and self._loopback and _is_loopback(host)):
            return parts
        raise WebhookUrlInvalid

    def _addresses(self, host: str, *, plain: bool) -> list[Address]:
        if plain:
            return [ip_address(host)]  # loopback, as was checked
        try:
            found: Sequence[Address] = [ip_address(host)]
        except ValueError:
            try:
                found = self._resolver.addresses(host)
            except CamTrustError:
                raise WebhookUnreachable(rule="WS-ADDRESS") from None
        allowed = [one for one in found if self._walls.allowed(one)][:_ADDRESSES]
        if not allowed:
            raise WebhookUnreachable(rule="WS-ADDRESS")
        return allowed

    def _post(self, address: Address, parts: SplitResult, headers: Mapping[str, str], body: bytes) -> int:
        connection = _connection(address, parts)
        clock = Timer(_ALL, _cut, (connection,))
        clock.daemon = True
        clock.start()
        try:
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.putrequest("POST", path, skip_host=True, skip_accept_encoding=True)
            fixed = {"Host": parts.netloc, "User-Agent": "CamTrust-Webhooks", "Connection": "close"}
            for name, value in {**fixed, **headers, "Content-Length": str(len(body))}.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            answer.read(_MOST)
            return answer.status
        finally:
            clock.cancel()
            connection.close()


def _connection(address: Address, parts: SplitResult) -> http.client.HTTPConnection:
    """To the address that was checked, whatever the name would lead to now."""
    host, secure = parts.hostname or "", parts.scheme == "https"
    connection = http.client.HTTPConnection(host, parts.port or (443 if secure else 80), timeout=_EACH)
    raw = socket.create_connection((str(address), connection.port), _EACH)
    try:
        connection.sock = ssl.create_default_context().wrap_socket(raw, server_hostname=host) if secure else raw
    except BaseException:
        raw.close()
        raise
    return connection


def _cut(connection: http.client.HTTPConnection) -> None:
    if connection.sock is not None:
        with suppress(OSError):
            connection.sock.shutdown(socket.SHUT_RDWR)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
