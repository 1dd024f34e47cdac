"""The templates that clients seal with: approved, of their own organisation, and still what was approved."""

from __future__ import annotations

from foundation.db.engine import Database
from signing.errors import TemplateUnknown
from signing.pdf_options import PdfOptions
from signing.templates import store
from signing.templates.appearance import PLAIN, Appearance


class ApprovedTemplates:
    """Looks up what is approved, at each use."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_client(self, client_id: str, name: str) -> Appearance:
        """Raises TemplateUnknown where the client's organisation has none, or what is kept is not what was approved."""
        with self._database.read() as connection:
            found = store.of_client(connection, client_id, name)
        if found is None or not found.sound:
            raise TemplateUnknown
        return found.appearance


def named_in(options: PdfOptions) -> str | None:
    """What policies call the appearance that is asked for: a template, or `PLAIN`; None for what is not seen.

    A field that is named may have an area, which is never left empty: then it would be seen.
    """
    if options.visible is not None:
        return options.visible.template or PLAIN
    return PLAIN if options.field is not None else None
