"""Where in a file a Pydantic error lies: the path as written, and the type that was wanted there."""

from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

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


def homes(spec: type[BaseModel], name: str) -> Iterator[str]:
    """Yield the paths of the fields, at any depth, that hold a field of a name."""
    for field_name, field in spec.model_fields.items():
        for inner in _models(field.annotation):
            if name in inner.model_fields:
                yield field_name
            yield from (f"{field_name}.{path}" for path in homes(inner, name))


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
        return next((member for member in args if _tag(member) == part), None), False
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


def _tag(member: Any) -> str:
    """Return how Pydantic names a member of a union in an error's path."""
    tags = [extra.tag for extra in getattr(member, "__metadata__", ()) if isinstance(extra, Tag)]
    member = _plain(member)
    return next(iter((*tags, *type_tags(member))), getattr(member, "__name__", ""))


def type_tags(member: Any) -> tuple[str, ...]:
    """Return what `type:` may be in a model that is chosen by it."""
    field = getattr(member, "model_fields", {}).get("type")
    return get_args(field.annotation) if field else ()
