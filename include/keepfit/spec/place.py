"""Where in a file a Pydantic error lies: the path as written, and the type that was wanted there."""

from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, Tag

from keepfit.spec.yaml_file import Place


def locate(spec: type[BaseModel], loc: Place) -> tuple[Place, Any]:
    """Return the path as written in the file, without Pydantic's union tags, and the type around its end."""
    kind: Any = spec
    parent: Any = spec
    place: list[str | int] = []
    for part in loc:
        inner, written = _descend(kind, part)
        if written:
            place.append(part)
            parent = kind
        kind = inner
    return tuple(place), _plain(parent)


def wanted(parent: Any, part: str | int) -> Any:
    """Return the type that is wanted at one part of a parent, bare of its wrappings."""
    return _plain(_descend(parent, part)[0])


def homes(spec: type[BaseModel], name: str, around: tuple[type[BaseModel], ...] = ()) -> Iterator[str]:
    """Yield the paths of the fields, at any depth, that hold a field of a name.

    A spec that holds itself is looked into once.
    """
    for field_name, field in spec.model_fields.items():
        for inner in _models(field.annotation):
            if inner in around:
                continue
            if name in inner.model_fields:
                yield field_name
            yield from (f"{field_name}.{path}" for path in homes(inner, name, (*around, inner)))


def _plain(kind: Any) -> Any:
    """Take the wrappings off a type: metadata, and `| None`."""
    while True:
        members = [member for member in get_args(kind) if member is not type(None)]
        if get_origin(kind) is Annotated or (get_origin(kind) in (Union, UnionType) and len(members) == 1):
            kind = members[0]
        else:
            return kind


def _models(kind: Any) -> Iterator[type[BaseModel]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    for inner in get_args(kind):
        yield from _models(inner)


def _descend(kind: Any, part: str | int) -> tuple[Any, bool]:
    """Return the type one step down, and whether that step is written in the file."""
    kind = _plain(kind)
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return next((member for member in args if part in _names(member)), None), False
    if part == "[key]":
        return None, False
    if origin is dict:
        return args[1], True
    if origin is tuple:
        return args[0], True
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        field = kind.model_fields.get(str(part))
        return (field.annotation if field else None), True
    return None, isinstance(part, int)


def _names(member: Any) -> tuple[str, ...]:
    """Return how Pydantic may name a member of a union in an error's path."""
    tags = [extra.tag for extra in getattr(member, "__metadata__", ()) if isinstance(extra, Tag)]
    member = _plain(member)
    return (*tags, *chosen_by(member), getattr(member, "__name__", ""))


def chosen_by(member: Any) -> tuple[str, ...]:
    """Return what the field may be that chooses a model in a union: the first of its fixed words."""
    fields = getattr(member, "model_fields", {}).values()
    words = (get_args(field.annotation) for field in fields if get_origin(field.annotation) is Literal)
    return next(words, ())
