"""Python's regular expressions in the engine's dialect, RE2, where both mean the same."""

import re
from math import prod

_CLASSES = {"d": r"\p{Nd}", "w": r"\p{L}\p{N}_"}
_MOST_TIMES = 200
"""RE2 refuses what takes too much memory; it repeats nothing more than 1,000 times."""
_SAME = set("tnrfv")
_TOKEN = re.compile(r"\\(?P<escaped>.)|(?P<bracket>[\[\]])|(?P<end>\$)|(?P<other>.)", re.DOTALL)


def in_re2(pattern: str) -> str | None:
    """Write a pattern so that it finds what `re.search` finds; None where that is not certain."""
    if re.search(r"\(\?(?!:)|\[:|\[\^?\]|\{,|[+*?}]\+|&&|--|\|\||~~", pattern) or not pattern.isascii():
        return None
    try:
        re.compile(pattern)
    except re.error:
        return None
    if prod(max(1, int(times)) for times in re.findall(r"\d+(?=,?\d*\})", pattern)) > _MOST_TIMES:
        return None
    written, inside = [], False
    for token in _TOKEN.finditer(pattern):
        part = _part(token, inside=inside)
        if part is None:
            return None
        inside = token["bracket"] == "[" or (inside and token["bracket"] != "]")
        written.append(part)
    return "".join(written)


def _part(token: re.Match[str], *, inside: bool) -> str | None:
    if (escaped := token["escaped"]) is not None:
        return _escaped(escaped, inside=inside)
    if token["bracket"] == "[" and inside:
        return r"\["
    if token["end"] and not inside:
        return r"(?:\n?\z)"  # Python's $ matches before a last line feed, too
    return "[^\\n]" if token["other"] == "." and not inside else token[0]


def _escaped(name: str, *, inside: bool) -> str | None:
    if name in _CLASSES:
        return _CLASSES[name] if inside else f"[{_CLASSES[name]}]"
    if name.isalnum() and name not in _SAME:
        return None
    return f"\\{name}"
