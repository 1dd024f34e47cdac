"""Signature fields: found, looked at for what they ask and forbid, made (ISO 32000-2 §12.7.5.5, §12.8.2).

Names are fully qualified (§12.7.4.2). Looking never reads a signature that is in a field unless it says, in its own
octets, that it transforms or locks something: a document with hundreds of signatures stays cheap to open.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pyhanko.pdf_utils import generic
from pyhanko.sign.fields import FieldMDPAction, FieldMDPSpec

from signing.errors import DocumentTooComplex, SignatureFieldConstraint
from signing.model import FieldAction, FieldLock
from signing.sign.pdf_objects import Array, Dictionary, array, dictionary, entry, name, number, reference, text
from signing.sign.update import Update

MAX_FIELDS = 5_000
MAX_SIGNATURE_FIELDS = 2_000
_MAX_DEPTH = 20
_PRINT_AND_LOCKED = 132
_SIGNATURES_EXIST_APPEND_ONLY = 3


@dataclass(frozen=True)
class Field:
    """A signature field: ``holder`` is its dictionary, ``value`` the reference to the signature in it, if any."""

    name: str
    holder: Any
    value: Any


@dataclass(frozen=True)
class Spot:
    """A place to be seen: ``page`` from 0; ``box``: left, bottom, right, top in the page's own space; ``rotation``: how
    the page is shown, in degrees clockwise."""

    page: int
    box: tuple[float, float, float, float]
    rotation: int

    @property
    def size(self) -> tuple[float, float]:
        """Width and height as they are shown, in points."""
        left, bottom, right, top = self.box
        across, up = right - left, top - bottom
        return (up, across) if self.rotation in (90, 270) else (across, up)


def widget_of(field: Field) -> Any:
    """The annotation of a field: itself, or the first of its kids."""
    kids = entry(field.holder, "/Kids", Array)
    return kids[0] if kids else field.holder


def area_of(field: Field) -> tuple[float, float]:
    """Width and height of a field, in points; zeros for one that is not seen."""
    box = entry(widget_of(field), "/Rect", Array)
    if box is None or len(box) != 4:
        return 0.0, 0.0
    left, bottom, right, top = (float(box[index]) for index in range(4))
    return abs(right - left), abs(top - bottom)


def rotation_of(field: Field) -> int:
    """How the page of a field is shown, in degrees clockwise; 0 where the field does not say on which it is."""
    page = entry(widget_of(field), "/P", Dictionary)
    for _ in range(_MAX_DEPTH):
        if page is None:
            return 0
        if "/Rotate" in page:
            return int(page["/Rotate"]) % 360 // 90 * 90
        page = entry(page, "/Parent", Dictionary)
    return 0


def signature_fields(handler: Any) -> tuple[Field, ...]:
    """Every signature field. DocumentTooComplex over the limits; odd structures raise whatever they provoke."""
    try:
        fields = handler.root["/AcroForm"]["/Fields"]
    except KeyError:
        return ()
    found = list(_walk(fields, "", None, 0, [0]))
    if len(found) > MAX_SIGNATURE_FIELDS:
        raise DocumentTooComplex
    return tuple(found)


def _walk(items: Any, prefix: str, inherited: Any, depth: int, count: list[int]) -> Iterator[Field]:
    for index in range(len(items)):
        field = items[index]
        count[0] += 1
        if depth > _MAX_DEPTH or count[0] > MAX_FIELDS:
            raise DocumentTooComplex
        kind = entry(field, "/FT") or inherited
        part = str(field["/T"]) if "/T" in field else ""
        called = f"{prefix}.{part}" if prefix and part else part or prefix
        kids = entry(field, "/Kids")
        if kids is not None and any("/T" in kids[at] for at in range(len(kids))):
            yield from _walk(kids, called, kind, depth + 1, count)
        elif kind == "/Sig":
            value = field.raw_get("/V") if "/V" in field else None
            yield Field(called, field, None if isinstance(value, generic.NullObject) else value)


def field_lock(holder: Any) -> FieldLock | None:
    """The /Lock of a field. SignatureFieldConstraint for one that cannot be read: it is not to be ignored."""
    if "/Lock" not in holder:
        return None
    return read_lock(holder["/Lock"])


def read_lock(given: Any) -> FieldLock:
    """A signature field lock dictionary, or FieldMDP parameters (ISO 32000-2 Table 237, Table 260)."""
    try:
        action = FieldAction(str(given["/Action"])[1:])
        names = (entry(given, "/Fields") or ()) if action is not FieldAction.ALL else ()
        permission = int(given["/P"]) if "/P" in given else None
        return FieldLock(action, tuple(str(names[at]) for at in range(len(names))), permission)
    except (KeyError, ValueError, TypeError) as error:
        raise SignatureFieldConstraint(rule="SV-LOCK") from error


def locks_of_signatures(handler: Any, fields: tuple[Field, ...], data: bytes) -> Iterator[FieldLock]:
    """What the signatures that are there lock: by their fields' /Lock, and by their own FieldMDP and DocMDP."""
    for field in fields:
        if field.value is None:
            continue
        lock = field_lock(field.holder)
        if lock is not None:
            yield lock
        for transform in _transforms(handler, field.value, data):
            if entry(transform, "/TransformMethod") == "/FieldMDP":
                yield read_lock(transform["/TransformParams"])


def _transforms(handler: Any, value: Any, data: bytes) -> Iterator[Any]:
    """The signature reference dictionaries. A signature whose octets hold no such key, under no spelling, is not read:
    its hexadecimal string takes longer than the rest of the document."""
    place = handler.xrefs[value.reference] if isinstance(value, generic.IndirectObject) else None
    if isinstance(place, int):
        octets = data[place : data.find(b"endobj", place)]
        if b"/Reference" not in octets and b"#" not in octets:
            return
    signature = value.get_object()
    references = entry(signature, "/Reference") or ()
    for index in range(len(references)):
        yield references[index]


def references(update: Update, lock: FieldLock | None, certify: int | None) -> Any | None:
    """The /Reference of a signature that certifies (DocMDP) or locks fields (FieldMDP); None for one that does neither.

    The permission of a lock stands in the field's /Lock, where the specification has it, and in the parameters here,
    where Acrobat writes it.
    """
    found = array()
    if certify is not None:
        parameters = {
            "/Type": name("/TransformParams"),
            "/V": name("/1.2"),
            "/P": number(certify),
        }
        found.append(dictionary({**_reference("/DocMDP"), "/TransformParams": dictionary(parameters)}))
    if lock is not None:
        specification: Any = _specification(lock)
        transform = specification.as_transform_params()
        if lock.permission is not None:
            transform[name("/P")] = number(lock.permission)
        root = update.root_ref
        data = reference(update, root.idnum, root.generation)
        found.append(dictionary({**_reference("/FieldMDP"), "/Data": data, "/TransformParams": transform}))
    return found or None


def covers(lock: FieldLock, called: str) -> bool:
    """Whether a lock covers the field of this name."""
    specification: Any = _specification(lock)
    return bool(specification.is_locked(called))


def _specification(lock: FieldLock) -> FieldMDPSpec:
    return FieldMDPSpec(FieldMDPAction(name("/" + lock.action.value)), list(lock.fields) or None)


def _reference(method: str) -> dict[str, Any]:
    return {"/Type": name("/SigRef"), "/TransformMethod": name(method)}


def lock_dictionary(lock: FieldLock) -> Any:
    """The /Lock of a new field (ISO 32000-2 Table 237)."""
    entries: dict[str, Any] = {
        "/Type": name("/SigFieldLock"),
        "/Action": name("/" + lock.action.value),
    }
    if lock.action is not FieldAction.ALL:
        entries["/Fields"] = array(text(one) for one in lock.fields)
    if lock.permission is not None:
        entries["/P"] = number(lock.permission)
    return dictionary(entries)


def add_field(
    update: Update,
    called: str,
    value: Any,
    *,
    page: int = 0,
    box: tuple[float, float, float, float] = (0, 0, 0, 0),
    lock: FieldLock | None = None,
) -> Any:
    """A new signature field with its annotation in one, on ``page`` (from 0), filled with ``value``; its dictionary.

    ``box``: left, bottom, right, top in the page's units; without an area nothing is seen.
    """
    handler: Any = update
    page_reference, _ = handler.find_page_for_modification(page)
    entries: dict[str, Any] = {
        "/Type": name("/Annot"),
        "/Subtype": name("/Widget"),
        "/FT": name("/Sig"),
        "/T": text(called),
        "/Rect": array(number(one) for one in box),
        "/F": number(_PRINT_AND_LOCKED),
        "/P": reference(update, page_reference.idnum, page_reference.generation),
        "/V": value,
    }
    if lock is not None:
        entries["/Lock"] = update.add(lock_dictionary(lock))  # Table 234: shall be an indirect reference
    field = dictionary(entries)
    added = update.add(field)
    _append(update, page_reference.get_object(), "/Annots", added)
    _append(update, _form(update), "/Fields", added)
    return field


def fill_field(update: Update, field: Field, value: Any, lock: FieldLock | None = None) -> None:
    """Put a signature into a field that is there; ``lock`` where it has none of its own."""
    update.put(field.holder, "/V", value)
    if lock is not None and field_lock(field.holder) is None:
        update.put(field.holder, "/Lock", update.add(lock_dictionary(lock)))
    _form(update)


def _form(update: Update) -> Any:
    """The form dictionary, made if there is none, which says that the document is only to be appended to."""
    root: Any = update.root
    form = entry(root, "/AcroForm", Dictionary)
    if form is None:
        form = update.put(root, "/AcroForm", dictionary())
    if entry(form, "/SigFlags") != _SIGNATURES_EXIST_APPEND_ONLY:
        update.put(form, "/SigFlags", number(_SIGNATURES_EXIST_APPEND_ONLY))
    return form


def _append(update: Update, holder: Any, key: str, item: Any) -> None:
    items = entry(holder, key, Array)
    if items is None:
        items = update.put(holder, key, array())
    items.append(item)
    update.touch(items)
