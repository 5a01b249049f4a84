"""A page of facts as Markdown and as HTML, from a template. The door to jinja2 and markdown-it.

Whatever a template is given shows as the text it is: neither Markdown nor HTML within it takes effect.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

_MARKS = re.compile(r"[\\`*\[\]<>|~&$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_BEGINS_A_BLOCK = re.compile(r"^(\d{0,9})([#=]|[.)](?=\s|$)|(?<!\d)[+-](?=[\s-]|$))")
_LAYOUT = re.compile(r"[\s\x00-\x1f\x7f\u2028\u2029]+")
_HTML = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>{title}</title><style>
body {{ font: 15px/1.55 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem;
  color: #222; background: #fff; overflow-wrap: anywhere }}
h1 {{ font-size: 1.7rem; margin-bottom: .4rem }}
h2 {{ font-size: 1.15rem; margin-top: 2rem; border-bottom: 1px solid #ddd; padding-bottom: .2rem }}
table {{ border-collapse: collapse; width: 100%; margin: .8rem 0; font-variant-numeric: tabular-nums }}
th, td {{ text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #e4e4e4; vertical-align: top }}
th {{ font-weight: 600; color: #555 }}
blockquote {{ margin: 1rem 0; padding: .1rem 1rem; border-left: 4px solid #4477aa; background: #f4f7fa }}
pre {{ background: #f4f7fa; padding: .8rem 1rem; overflow-x: auto; font-size: .87rem }}
svg {{ display: block; max-width: 100%; height: auto; margin: 1rem auto }}
svg text {{ font-family: system-ui, sans-serif !important }}
</style></head><body>
{body}</body></html>
"""


@dataclass(frozen=True)
class Page:
    """The same content twice."""

    markdown: str
    html: str
    """Without scripts, and nothing in it is loaded from elsewhere."""


def render(
    template: Path, title: str, facts: Mapping[str, Any], inserted: Mapping[str, str] | None = None
) -> Page:
    """Fill in a Markdown template, a file of this package, and make a page of it.

    Args:
        template: A Jinja template.
        title: The HTML page's title.
        facts: What the template names. A name it has no value for is an error.
        inserted: HTML of our own making, such as plots, for the lines `(here: name)` of the template. In
            Markdown they tell only that the HTML page shows something there.
    """
    import jinja2
    from markdown_it import MarkdownIt

    environment = jinja2.Environment(
        # Every value passes `plain_text`, which escapes for Markdown; markdown-it escapes for HTML.
        autoescape=False,  # noqa: S701
        undefined=jinja2.StrictUndefined,
        finalize=plain_text,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    markdown = environment.from_string(template.read_text(encoding="utf-8")).render(facts)
    reader = MarkdownIt("commonmark", {"html": False}).enable("table").disable(["link", "image", "autolink"])
    body = reader.render(markdown)
    for name, element in (inserted or {}).items():
        body = body.replace(f"<p>(here: {name})</p>", element)
        markdown = markdown.replace(f"\n(here: {name})\n", f"\n*{name}: see the HTML page*\n")
    return Page(markdown, _HTML.format(title=escape(title), body=body))


def preformatted(text: str) -> str:
    """Return an element that shows a text as it is, line by line."""
    return f"<pre>{escape(text)}</pre>"


def plain_text(value: object) -> str:
    """Write a value so that Markdown shows it as it is, on one line."""
    text = _LAYOUT.sub(" ", str(value)).strip()
    return _BEGINS_A_BLOCK.sub(r"\1\\\2", _MARKS.sub(r"\\\g<0>", text))
