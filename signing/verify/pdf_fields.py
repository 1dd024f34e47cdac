"""What happens to form fields from one revision to the next (ISO 32000-2 §12.7, §12.5.6.19).

W1  fields are only added, never removed, renamed or moved; new ones are for signatures         PDF-FIELD
W2  a signature field gets a value once, a new object, and an appearance with it                PDF-FIELD
W3  two fields of one name, one of them a signature, are confusion                              PDF-FIELD
W4  another field changes its value, and its appearance with it; nothing else of it changes     PDF-FORM,
                                                                                                    PDF-APPEARANCE
W5  nothing that comes runs anything, or shows at one time and hides at another                 PDF-SCRIPT, PDF-LAYER
W6  the form itself changes in its list of fields, signature flags and default resources        PDF-FIELD
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from signing.verify.pdf_appearance import Shown, examine_appearance
from signing.verify.pdf_objects import Ref, TooComplex, entries_of

if TYPE_CHECKING:
    from signing.verify.pdf_difference import Comparison

_NEW_KEYS = {
    "/Type", "/Subtype", "/FT", "/T", "/TU", "/TM", "/F", "/Ff", "/Rect", "/P", "/V", "/AP", "/AS", "/Lock", "/SV",
    "/DA", "/DR", "/Q", "/MK", "/BS", "/Border", "/Kids", "/Parent", "/StructParent", "/NM", "/M",
}  # fmt: skip
_WIDGET_CHANGES = {"/V", "/AP", "/AS", "/M"}
_SIGNING_CHANGES = {*_WIDGET_CHANGES, "/F", "/MK", "/DA", "/DR", "/P", "/Type", "/Subtype"}
_FORM_KEYS = {"/Fields", "/SigFlags", "/DR", "/DA", "/NeedAppearances"}
_RUNS = {"/A", "/AA", "/JS", "/OpenAction", "/URI"}
_SIGNATURE_TYPES = ("/Sig", "/DocTimeStamp")
_MAX_FIELDS = 5000


@dataclass(frozen=True)
class Filling:
    """A field that is not a signature got another value. ``was_empty``: it had none; ``shown`` says what it shows."""

    field: str
    was_empty: bool
    shown: Shown
    page: Any
    rect: tuple[float, float, float, float] | None


@dataclass(frozen=True)
class Appeared:
    """A widget of a signature field that came, or that got an appearance. ``rect`` None: it takes no room."""

    field: str
    widget: Ref
    page: Any
    rect: tuple[float, float, float, float] | None
    new: bool


@dataclass(frozen=True)
class Field:
    """A terminal field: its own dictionary and its widgets, which may be the same object."""

    name: str
    kind: Any
    ref: Ref
    entries: Mapping[str, Any]
    widgets: tuple[tuple[Ref, Mapping[str, Any]], ...]

    @property
    def value(self) -> Any:
        return self.entries.get("/V")


class Duplicate(ValueError):
    """W3."""


def read_fields(form: Any, resolve: Any) -> tuple[dict[str, Field], dict[Ref, tuple[Any, ...]]]:
    """The terminal fields by full name, and the fields above them with their kids. Raises Duplicate, TooComplex."""
    found: dict[str, Field] = {}
    above: dict[Ref, tuple[Any, ...]] = {}

    def walk(items: Any, prefix: str, kind: Any, depth: int) -> None:
        for ref in items if isinstance(items, tuple) else ():
            if depth > 20 or len(found) > _MAX_FIELDS:
                raise TooComplex
            entries = resolve(ref)
            if not isinstance(ref, Ref) or not isinstance(entries, dict):
                raise TooComplex
            own = _text(entries.get("/T"))
            name = ".".join(part for part in (prefix, own) if part)
            own_kind = resolve(entries.get("/FT")) or kind
            kids = resolve(entries.get("/Kids")) or ()
            widgets = [(one, resolve(one)) for one in kids if isinstance(resolve(one), dict)]
            if any("/T" in kid for _, kid in widgets):
                if ref in above:
                    raise TooComplex
                above[ref] = kids
                walk(kids, name, own_kind, depth + 1)
                continue
            if name in found and "/Sig" in (own_kind, found[name].kind):
                raise Duplicate(name)
            if name not in found:
                found[name] = Field(name, own_kind, ref, entries, tuple(widgets) or ((ref, entries),))

    dictionary = resolve(form)
    walk(resolve(entries_of(dictionary).get("/Fields")), "", None, 0)
    return found, above


def compare_forms(comparison: Comparison, old_form: Any, new_form: Any) -> None:
    """W1-W6. What is found goes into the comparison's step."""
    found = comparison.found
    if old_form is None and new_form is None:
        return
    try:
        before, above_before = read_fields(old_form, comparison.old)
        after, above_after = read_fields(new_form, comparison.new)
    except (Duplicate, TooComplex):  # W3
        found.refuse("PDF-FIELD", "verify_field_changed", field="-")
        return
    _form(comparison, old_form, new_form)
    for ref, kids in above_after.items():
        was = above_before.get(ref)
        if was is not None and ref in comparison.changed:
            _parent(comparison, ref, was, kids)
        elif was is None and comparison.is_new(ref):
            comparison.explain(ref)
            if not entries_of(comparison.new(ref)).keys() <= {"/T", "/Kids", "/Parent", "/FT", "/Ff"}:
                _refuse(comparison, "-")
    for name in before.keys() - after.keys():  # W1
        _refuse(comparison, name)
    for name, field in after.items():
        if name in before:
            _kept(comparison, before[name], field)
        else:
            _added(comparison, field)


def _refuse(comparison: Comparison, name: str) -> None:
    comparison.found.refuse("PDF-FIELD", "verify_field_changed", field=name or "-")


def _form(comparison: Comparison, old_form: Any, new_form: Any) -> None:
    """W6."""
    old = entries_of(comparison.old(old_form))
    new = entries_of(comparison.new(new_form))
    for key in old.keys() | new.keys():
        if key == "/Fields" or old.get(key) == new.get(key):
            continue
        fine = key in _FORM_KEYS
        if key == "/NeedAppearances":
            fine = comparison.new(new.get(key)) is not True
        elif key == "/SigFlags":
            fine = isinstance(new.get(key), int)
        elif key == "/DR":
            fine = _only_grows(comparison, old.get(key), new.get(key))
        elif key == "/DA":
            fine = key not in old
        if not fine:
            _refuse(comparison, "-")
    comparison.explain_in_place(new_form, old_form)
    comparison.explain_in_place(new.get("/Fields"), old.get("/Fields"))
    was, is_ = comparison.old(old.get("/Fields")) or (), comparison.new(new.get("/Fields")) or ()
    if is_[: len(was)] != was:
        _refuse(comparison, "-")


def _only_grows(comparison: Comparison, old: Any, new: Any) -> bool:
    """Whether default resources kept what they had; what is new in them is explained."""
    was, is_ = entries_of(comparison.old(old)), entries_of(comparison.new(new))
    comparison.explain_in_place(new, old)
    for kind, entries in is_.items():
        before = entries_of(comparison.old(was.get(kind)))
        if entries != was.get(kind):
            comparison.explain_in_place(entries, was.get(kind))
        for name, value in entries_of(comparison.new(entries)).items():
            if name in before and before[name] != value:
                return False
            if name not in before:
                comparison.explain_deep(value)
    return was.keys() <= is_.keys()


def _parent(comparison: Comparison, ref: Ref, was: tuple[Any, ...], is_: tuple[Any, ...]) -> None:
    old, new = entries_of(comparison.old(ref)), entries_of(comparison.new(ref))
    same = all(old.get(key) == new.get(key) for key in (old.keys() | new.keys()) - {"/Kids"})
    if not same or is_[: len(was)] != was:
        _refuse(comparison, _text(new.get("/T")))
    comparison.explain(ref)
    comparison.explain_in_place(new.get("/Kids"), old.get("/Kids"))


def _added(comparison: Comparison, field: Field) -> None:
    """W1, W2, W5 for a field that this revision brought."""
    from signing.verify.pdf_difference import Level

    parts = {field.ref: field.entries, **dict(field.widgets)}
    if field.kind != "/Sig" or not all(comparison.is_new(ref) for ref in parts):
        _refuse(comparison, field.name)
        return
    for ref, entries in parts.items():
        comparison.explain(ref)
        if _RUNS & entries.keys():
            comparison.found.refuse("PDF-SCRIPT")
        elif not entries.keys() <= _NEW_KEYS or entries.get("/Subtype", "/Widget") != "/Widget":
            _refuse(comparison, field.name)
        for key in ("/Lock", "/SV", "/MK", "/DR", "/BS", "/AP", "/Kids"):
            comparison.explain_deep(entries.get(key))
    level = _signed(comparison, field)
    for ref, entries in field.widgets:
        rect = _appeared(comparison, field, ref, entries, new=True)
        if rect is not None:
            level = Level.FORMS
    comparison.found.reach(level)


def _signed(comparison: Comparison, field: Field) -> Any:
    """W2 for the value of a signature field; gives the level that it needs."""
    from signing.verify.pdf_difference import Level

    if field.value is None:
        return Level.FORMS
    signature = comparison.new(field.value)
    fine = isinstance(signature, dict) and signature.get("/Type", "/Sig") in _SIGNATURE_TYPES
    if not fine or not isinstance(field.value, Ref) or not comparison.is_new(field.value):
        _refuse(comparison, field.name)
    comparison.explain_deep(field.value)
    if entries_of(signature).get("/Type") == "/DocTimeStamp":
        return Level.EVIDENCE  # no lock is about it
    comparison.found.signed.append(field.name)
    return Level.FORMS


def _appeared(
    comparison: Comparison, field: Field, ref: Ref, entries: Mapping[str, Any], *, new: bool
) -> tuple[float, float, float, float] | None:
    """A widget that is there now: it runs nothing and has no layers. Gives its rectangle if it takes room."""
    rect = rectangle(comparison.new(entries.get("/Rect")))
    flags = entries.get("/F")
    hidden = isinstance(flags, int) and bool(flags & 0b100010)  # Hidden, NoView
    room = rect is not None and not hidden and abs(rect[2] - rect[0]) * abs(rect[3] - rect[1]) > 0
    if "/OC" in entries or has_layers(entries.get("/AP"), comparison.new):
        comparison.found.refuse("PDF-LAYER")
    shown = rect if room else None
    comparison.found.visible.append(Appeared(field.name, ref, entries.get("/P"), shown, new))
    return shown


def _kept(comparison: Comparison, old: Field, new: Field) -> None:
    """W1, W2, W4 for a field that was there before."""
    parts = {new.ref: new.entries, **dict(new.widgets)}
    before = {old.ref: old.entries, **dict(old.widgets)}
    touched = {ref for ref in parts if before.get(ref) != parts[ref]}
    deep = {ref for ref in parts if _appearance_touched(comparison, parts[ref].get("/AP"))}
    if not touched and not deep and old.ref == new.ref and old.kind == new.kind:
        return
    if old.ref != new.ref or old.kind != new.kind or parts.keys() != before.keys():
        _refuse(comparison, new.name)
        return
    for ref in touched:
        comparison.explain(ref)
        allowed = _SIGNING_CHANGES if new.kind == "/Sig" else _WIDGET_CHANGES
        keys = {key for key in before[ref].keys() | parts[ref].keys() if before[ref].get(key) != parts[ref].get(key)}
        if _RUNS & keys:
            comparison.found.refuse("PDF-SCRIPT")
        elif not keys <= allowed or ("/P" in before[ref] and "/P" in keys):
            _refuse(comparison, new.name)
    if new.kind == "/Sig":
        _signature_kept(comparison, old, new, touched | deep)
    else:
        _filled(comparison, old, new, before)


def _signature_kept(comparison: Comparison, old: Field, new: Field, touched: set[Ref]) -> None:
    """W2: from no value to one, once."""
    if old.value is not None or new.value is None:
        _refuse(comparison, new.name)
        return
    level = _signed(comparison, new)
    for ref, entries in new.widgets:
        if ref in touched:
            _fresh_appearance(comparison, new.name, entries.get("/AP"))
            for key in ("/MK", "/DR", "/AP"):
                comparison.explain_deep(entries.get(key))
            if _appeared(comparison, new, ref, entries, new=False) is not None:
                from signing.verify.pdf_difference import Level

                level = Level.FORMS
    comparison.found.reach(level)


def _filled(
    comparison: Comparison,
    old: Field,
    new: Field,
    before: Mapping[Ref, Mapping[str, Any]],
) -> None:
    """W4."""
    from signing.verify.pdf_difference import Level

    comparison.found.reach(Level.FORMS)
    was, is_ = comparison.old(old.value), comparison.new(new.value)
    comparison.explain_deep(new.value)
    for ref, entries in new.widgets:
        appearance = entries.get("/AP")
        changed = before[ref].get("/AP") != appearance or _appearance_touched(comparison, appearance)
        state = before[ref].get("/AS") != entries.get("/AS")
        if was == is_:
            if changed or state:
                comparison.found.refuse("PDF-APPEARANCE", "verify_appearance", field=new.name)
            continue
        if changed:
            _fresh_appearance(comparison, new.name, appearance)
            comparison.explain_deep(appearance)
        if has_layers(appearance, comparison.new):
            comparison.found.refuse("PDF-LAYER")
        shown = examine_appearance(comparison, new, entries, is_, changed)
        rect = rectangle(comparison.new(entries.get("/Rect")))
        empty = was in (None, b"", "/Off")
        comparison.found.filled.append(Filling(new.name, empty, shown, entries.get("/P"), rect))


def _fresh_appearance(comparison: Comparison, name: str, appearance: Any) -> None:
    """What an appearance is made of is new; a stream of an older revision is never written anew (V5)."""
    for one in entries_of(comparison.new(appearance)).values():
        if isinstance(one, Ref) and one in comparison.changed and not comparison.is_new(one):
            comparison.found.refuse("PDF-APPEARANCE", "verify_appearance", field=name)
    if isinstance(appearance, Ref) and appearance in comparison.changed and not comparison.is_new(appearance):
        comparison.found.refuse("PDF-APPEARANCE", "verify_appearance", field=name)


def _appearance_touched(comparison: Comparison, appearance: Any) -> bool:
    """Whether this revision wrote an object that the appearance consists of."""
    if isinstance(appearance, Ref) and appearance in comparison.changed:
        return True
    return any(
        isinstance(one, Ref) and one in comparison.changed for one in entries_of(comparison.new(appearance)).values()
    )


def has_layers(value: Any, resolve: Any, depth: int = 0, seen: set[Ref] | None = None) -> bool:
    """Whether anything below ``value`` is optional content (ISO 32000-2 §8.11)."""
    seen = set() if seen is None else seen
    if isinstance(value, Ref):
        if value in seen:
            return False
        seen.add(value)
        value = resolve(value)
    if depth > 12 or len(seen) > 500:
        return True
    if isinstance(value, tuple):
        return any(has_layers(one, resolve, depth + 1, seen) for one in value)
    entries = entries_of(value)
    if "/OC" in entries or entries.get("/Type") in ("/OCG", "/OCMD"):
        return True
    return any(
        has_layers(one, resolve, depth + 1, seen) for key, one in entries.items() if key not in ("/Parent", "/P")
    )


def rectangle(value: Any) -> tuple[float, float, float, float] | None:
    """Left, bottom, right, top; None for what is no rectangle."""
    if not isinstance(value, tuple) or len(value) != 4:
        return None
    if not all(isinstance(one, int | float) for one in value):
        return (float("-inf"), float("-inf"), float("inf"), float("inf"))
    left, bottom, right, top = (float(one) for one in value)
    return min(left, right), min(bottom, top), max(left, right), max(bottom, top)


def _text(value: Any) -> str:
    """A text string (ISO 32000-2 §7.9.2.2) as text."""
    if not isinstance(value, bytes):
        return ""
    return text_of(value)


def text_of(value: bytes) -> str:
    if value[:2] == b"\xfe\xff":
        return value[2:].decode("utf-16-be", "replace")
    if value[:3] == b"\xef\xbb\xbf":
        return value[3:].decode("utf-8", "replace")
    return value.decode("latin-1")
