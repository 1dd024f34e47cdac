"""Which issuing CA a request is for: by its address, where the address names one; otherwise ``issuing``.

(Annotations are not postponed here: FastAPI resolves them.)
"""

import re
from typing import Annotated

from fastapi import Path, Request
from pydantic import Field

from issuing_ca.errors import AuthorityUnknown
from issuing_ca.model import ISSUING

_PATTERN = r"^[a-z][a-z0-9-]{0,39}$"

AuthorityNamed = Annotated[str, Field(pattern=_PATTERN, description="the issuing CA that it is for")]


def declared(authority: Annotated[str, Path(pattern=_PATTERN, description="the issuing CA")]) -> str:
    """The path parameter, for routers whose prefix has it."""
    return authority


def authority_of(request: Request) -> str:
    """The CA that the address names; whether there is such a CA is the caller's question.

    Raises AuthorityUnknown for what can be no name: dependencies see it before :func:`declared` has refused it.
    """
    name = str(request.path_params.get("authority", ISSUING))
    if not re.fullmatch(_PATTERN, name):
        raise AuthorityUnknown(name="-")
    return name
