"""What came after a signature: allowed, or not (ISO 32000-2 §12.8.2.2; EN 319 142-1 §5.4).

pyHanko's difference analysis reads every later revision; our own gates stand behind it:

    D1  every change is explained by the whitelist: DSS, document timestamps, signatures, fields   PDF-CHANGES
    D2  the document modification rules of the signature allow it (DocMDP, field lock)              PDF-DOCMDP
    D3  fields other than signatures were filled in later: not by default, since what a field shows
        need not be what it says                                                                    PDF-FORM
    D4  a visible signature field appeared later: not by default, since it can cover the page       PDF-COVERING
    D5  the appearance of a field changed while its value did not                                   PDF-APPEARANCE
"""

from __future__ import annotations

from functools import cache
from typing import Any

from signing.verify.model import Reason, SubIndication, failed, indeterminate, noted
from signing.verify.policy import Policy

_CLAUSE = "ISO 32000-2 §12.8.2.2"


def review_changes(reader: Any, revision: int, signature: Any, field: Any, policy: Policy) -> list[Reason]:
    """D1-D5 for everything behind ``revision``. Raises nothing but what reading the signature's own entries raises."""
    from pyhanko.sign.diff_analysis import DiffResult, ModificationLevel

    doc_mdp, field_mdp = _rules(signature, field)
    try:
        result = _difference_policy().review_file(reader, revision, field_mdp_spec=field_mdp, doc_mdp=doc_mdp)
    except Exception:  # SuspiciousModification, and whatever odd objects provoke
        return [_changed()]
    if not isinstance(result, DiffResult) or result.modification_level > ModificationLevel.FORM_FILLING:  # D1
        return [_changed()]
    if doc_mdp is not None and result.modification_level.value > doc_mdp.value:  # D2
        return [failed("PDF-DOCMDP", _CLAUSE, "verify_docmdp", SubIndication.FORMAT_FAILURE)]
    if result.modification_level < ModificationLevel.FORM_FILLING:
        return [noted("PDF-CHANGES", _CLAUSE, "verify_later_evidence")]
    return _forms(reader, revision, policy)


def _changed() -> Reason:
    return failed("PDF-CHANGES", _CLAUSE, "verify_changed", SubIndication.FORMAT_FAILURE)


@cache
def _difference_policy() -> Any:
    """pyHanko's rules, without changes of appearance streams in place."""
    from pyhanko.sign import diff_analysis

    rules: Any = diff_analysis
    level = rules.ModificationLevel
    return rules.StandardDiffPolicy(
        global_rules=[
            rules.CatalogModificationRule(),
            rules.DocInfoRule().as_qualified(level.LTA_UPDATES),
            rules.ObjectStreamRule().as_qualified(level.LTA_UPDATES),
            rules.XrefStreamRule().as_qualified(level.LTA_UPDATES),
            rules.DSSCompareRule().as_qualified(level.LTA_UPDATES),
            rules.MetadataUpdateRule().as_qualified(level.LTA_UPDATES),
        ],
        form_rule=rules.FormUpdatingRule(
            field_rules=[
                rules.SigFieldCreationRule(),
                rules.SigFieldModificationRule(allow_in_place_appearance_stream_changes=False),
                rules.GenericFieldModificationRule(allow_in_place_appearance_stream_changes=False),
            ]
        ),
    )


def _rules(signature: Any, field: Any) -> tuple[Any, Any]:
    """The DocMDP level and the field lock that go with a signature (ISO 32000-2 §12.8.2.2, §12.7.5.5)."""
    from pyhanko.sign.fields import FieldMDPSpec, MDPPerm

    doc_mdp: Any = None
    field_mdp: Any = None
    for reference in signature.get("/Reference", ()):
        transform = reference.get_object()
        if transform.get("/TransformMethod") == "/DocMDP":
            doc_mdp = MDPPerm(int(transform["/TransformParams"].get("/P", 2)))
        elif transform.get("/TransformMethod") == "/FieldMDP":
            field_mdp = FieldMDPSpec.from_pdf_object(transform["/TransformParams"])
    lock = field.get("/Lock")
    if lock is not None:
        lock = lock.get_object()  # an indirect reference as a rule (Table 234), which get() does not follow
        if doc_mdp is None and "/P" in lock:
            doc_mdp = MDPPerm(int(lock["/P"]))
        if field_mdp is None:
            field_mdp = FieldMDPSpec.from_pdf_object(lock)
    return doc_mdp, field_mdp


def _forms(reader: Any, revision: int, policy: Policy) -> list[Reason]:
    """D3-D5, between the signed revision and the current one."""
    before = _fields(reader.get_historical_root(revision))
    after = _fields(reader.root)
    reasons: list[Reason] = []
    for name, field in after.items():
        old = before.get(name)
        if field.get("/FT") == "/Sig":
            if old is None and _is_visible(field) and not policy.later_visible_signatures:  # D4
                reasons.append(
                    indeterminate(
                        "PDF-COVERING",
                        _CLAUSE,
                        "verify_later_visible",
                        SubIndication.SIG_CONSTRAINTS_FAILURE,
                        field=name,
                    )
                )
            continue
        if old is None:
            return [_changed()]
        value = _octets(old.get("/V")) != _octets(field.get("/V"))
        appearance = _octets(old.get("/AP")) != _octets(field.get("/AP"))
        if appearance and not value:  # D5
            return [failed("PDF-APPEARANCE", _CLAUSE, "verify_appearance", SubIndication.FORMAT_FAILURE, field=name)]
        if value and not policy.later_form_filling:  # D3
            reasons.append(
                indeterminate(
                    "PDF-FORM", _CLAUSE, "verify_later_form", SubIndication.SIG_CONSTRAINTS_FAILURE, field=name
                )
            )
    return reasons or [noted("PDF-CHANGES", _CLAUSE, "verify_later_signatures")]


def _fields(root: Any) -> dict[str, Any]:
    """The terminal fields of a form, by their full names (bounded: 20 levels, 5,000 fields)."""
    found: dict[str, Any] = {}

    def walk(items: Any, prefix: str, inherited: Any, depth: int) -> None:
        for index in range(len(items)):
            field = items[index]
            if depth > 20 or len(found) > 5000:
                raise ValueError("form too deep")
            kind = field.get("/FT", inherited)
            name = f"{prefix}.{field['/T']}" if prefix and "/T" in field else str(field.get("/T", prefix))
            kids = field.get("/Kids")
            if kids is not None and any("/T" in kids[at] for at in range(len(kids))):
                walk(kids, name, kind, depth + 1)
                continue
            found[name] = _Terminal(field, kind, [kids[at] for at in range(len(kids))] if kids is not None else [])

    try:
        walk(root["/AcroForm"]["/Fields"], "", None, 0)
    except KeyError:
        return {}
    return found


class _Terminal:
    """A terminal field with its widgets."""

    def __init__(self, field: Any, kind: Any, widgets: list[Any]) -> None:
        self._field, self._kind, self.widgets = field, kind, [field, *widgets]

    def get(self, key: str) -> Any:
        if key == "/FT":
            return self._kind
        if key == "/AP":
            return [widget.get("/AP") for widget in self.widgets]
        return self._field.get(key)


def _is_visible(field: _Terminal) -> bool:
    for widget in field.widgets:
        rect = widget.get("/Rect")
        if rect is None:
            continue
        left, bottom, right, top = (float(one) for one in rect)
        if abs(right - left) * abs(top - bottom) > 0:
            return True
    return False


def _octets(value: Any, depth: int = 0) -> bytes:
    """A value with everything that it refers to, as octets to compare. Not a serialisation."""
    if depth > 8:
        raise ValueError("appearance too deep")
    if isinstance(value, list | tuple):
        return b"[" + b",".join(_octets(one, depth + 1) for one in value) + b"]"
    value = value.get_object() if hasattr(value, "get_object") else value
    if isinstance(value, dict):
        keys = sorted(key for key in value if key not in ("/Parent", "/P"))
        inner = b",".join(str(key).encode() + b":" + _octets(value[key], depth + 1) for key in keys)
        return b"{" + inner + b"}" + getattr(value, "encoded_data", b"")
    return repr(value).encode()
