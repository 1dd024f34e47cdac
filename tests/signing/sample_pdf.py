"""Small PDFs for the signing tests, made with pikepdf: no code of ours writes what is given to our code."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import pikepdf
from pikepdf import Array, Dictionary, Name, Pdf, String


def sample(change: Callable[[Pdf], None] | None = None, **saving: object) -> bytes:
    """One page of a letter, ``change``d before it is saved."""
    pdf = Pdf.new()
    page = pdf.add_blank_page(page_size=(595, 842))
    font = pdf.make_indirect(Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica))
    page.Resources = Dictionary(Font=Dictionary(F1=font))
    page.Contents = pdf.make_stream(b"BT /F1 24 Tf 72 720 Td (SPECIMEN agreement) Tj ET")
    if change is not None:
        change(pdf)
    output = BytesIO()
    saving.setdefault("deterministic_id", "encryption" not in saving)  # the same letter has the same digest
    pdf.save(output, **saving)  # type: ignore[arg-type]
    return output.getvalue()


def with_signature_fields(*names: str) -> bytes:
    """A page with empty signature fields of these names."""

    def add(pdf: Pdf) -> None:
        widgets = [
            pdf.make_indirect(
                Dictionary(
                    Type=Name.Annot,
                    Subtype=Name.Widget,
                    FT=Name.Sig,
                    T=String(name),
                    Rect=Array([0, 0, 0, 0]),
                    F=132,
                    P=pdf.pages[0].obj,
                )
            )
            for name in names
        ]
        pdf.pages[0].Annots = pdf.make_indirect(Array(widgets))
        pdf.Root.AcroForm = pdf.make_indirect(Dictionary(Fields=Array(widgets), SigFlags=0))

    return sample(add)


def encrypted(user: str, owner: str, *, may_sign: bool = True, revision: int = 6) -> bytes:
    """A page behind passwords."""
    permissions = pikepdf.Permissions(
        modify_annotation=may_sign, modify_form=may_sign, modify_other=may_sign, modify_assembly=may_sign
    )
    return sample(
        encryption=pikepdf.Encryption(
            user=user, owner=owner, R=revision, allow=permissions, metadata=revision >= 4, aes=revision >= 4
        )
    )
