"""All pages of the portal, put on the services."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter, Depends

from camtrust.web.portal import (
    agencies,
    documents,
    held,
    local,
    login,
    own,
    passkeys,
    prompts,
    requests,
    seal_templates,
)
from camtrust.web.portal.parts import Parts, problem_page
from signing.config import SigningConfig
from signing.templates.service import MAX_IMAGE

_ROOM = 64 * 1024


def body_limits(config: SigningConfig) -> Mapping[str, int]:
    """How many octets the upload forms take."""
    return {
        "/portal/documents": config.maximum_document_bytes + _ROOM,
        "/portal/agencies/*/templates": MAX_IMAGE + _ROOM,
    }


def create_router(parts: Parts) -> APIRouter:
    """``/portal/…``. What fails is answered with a page."""
    router = APIRouter(include_in_schema=False, dependencies=[Depends(problem_page(parts.layout))])
    router.include_router(login.create_router(parts))
    router.include_router(requests.create_router(parts))
    router.include_router(prompts.create_router(parts))
    router.include_router(agencies.create_router(parts))
    router.include_router(seal_templates.create_router(parts))
    router.include_router(held.create_router(parts))
    router.include_router(own.create_router(parts))
    router.include_router(documents.create_router(parts))
    router.include_router(local.create_router(parts))
    router.include_router(passkeys.create_router(parts))
    return router
