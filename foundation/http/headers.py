"""The headers that every answer carries.

The pages of CamTrust run their own scripts from their own files and load nothing from elsewhere, so one content
security policy fits all of them. ``img-src data:`` is for the icons inside the style sheet of the API pages.
"""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_SECURITY_POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)

_ALWAYS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}

_TWO_YEARS = 63_072_000


class SecurityHeaders:
    """ASGI middleware. ``https``: the service is reached over TLS, so browsers may insist on it (RFC 6797).

    An answer that says nothing about caching is not cached; what may be kept (CRLs, OCSP, static files) says so.
    ``scope["camtrust.form_action"]``: an origin that the answer to a form of this page leads to (browsers hold the
    policy to the whole chain of redirects).
    """

    def __init__(self, app: ASGIApp, https: bool) -> None:
        self._app = app
        self._headers = dict(_ALWAYS)
        if https:
            self._headers["Strict-Transport-Security"] = f"max-age={_TWO_YEARS}; includeSubDomains"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers[name] = value
                target = scope.get("camtrust.form_action")
                if target is not None:
                    policy = headers["Content-Security-Policy"]
                    headers["Content-Security-Policy"] = policy.replace(
                        "form-action 'self'", f"form-action 'self' {target}"
                    )
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, secured)
