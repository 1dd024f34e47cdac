"""Sending text messages through an operator's HTTP gateway: one POST a message, with a small JSON body.

The body is a template of the settings, filled in its strings: ``$to`` (E.164), ``$text``, ``$id``, ``$language``. The
notice's id travels as ``Idempotency-Key`` too. The gateway has taken a message over when it answers 2xx; 408, 425, 429
and 5xx are tried again, anything else is a refusal. Nothing is read of the answer but its status.
"""

from __future__ import annotations

import json
from datetime import datetime
from string import Template
from typing import Any

import httpx2

from ekyc.config import SmsSettings
from ekyc.ports import Outgoing, SenderFailed, SenderRefused

_AGAIN = frozenset({408, 425, 429})
_SERVERS = 500


class SmsGateway:
    """A Sender of text messages. Close it when done. Raises OSError when made with a token that cannot be read."""

    def __init__(self, settings: SmsSettings) -> None:
        self._url = settings.url
        self._body = json.loads(settings.body)
        headers = {}
        if settings.token_file is not None:
            headers["Authorization"] = f"Bearer {settings.token_file.read_text(encoding='utf-8').strip()}"
        self._client = httpx2.Client(
            timeout=settings.timeout_seconds, follow_redirects=False, trust_env=False, headers=headers
        )

    def deliver(self, notice: Outgoing, at: datetime) -> None:  # noqa: ARG002
        """Give one message to the gateway (see `ekyc.ports.Sender`)."""
        values = {"to": notice.address, "text": notice.text, "id": notice.id, "language": notice.language}
        headers = {"Idempotency-Key": notice.id}
        try:
            with self._client.stream("POST", self._url, json=_filled(self._body, values), headers=headers) as answer:
                status = answer.status_code
        except httpx2.HTTPError:
            raise SenderFailed("transport") from None
        rule = f"http-{status}"
        if status in _AGAIN or status >= _SERVERS:
            raise SenderFailed(rule)
        if not 200 <= status < 300:
            raise SenderRefused(rule)

    def close(self) -> None:
        self._client.close()


def _filled(part: Any, values: dict[str, str]) -> Any:
    if isinstance(part, str):
        return Template(part).substitute(values)
    if isinstance(part, dict):
        return {name: _filled(one, values) for name, one in part.items()}
    return [_filled(one, values) for one in part] if isinstance(part, list) else part
