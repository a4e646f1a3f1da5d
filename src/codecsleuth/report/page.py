"""Self-contained HTML pages: one file, nothing fetched, the same bytes for the same answer."""

from __future__ import annotations

from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from codecsleuth.text import printable
from codecsleuth.verdict import OUTCOMES

_ENVIRONMENT: Final = Environment(
    loader=PackageLoader("codecsleuth.report"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
# Names of files come from strangers: markup is escaped by Jinja, what disturbs reading by this.
_ENVIRONMENT.filters["printable"] = printable
_ENVIRONMENT.globals["outcomes"] = OUTCOMES


def render_page(template: str, **values: Any) -> str:
    """Fill a template of ``report/templates``; everything put in is escaped."""
    return _ENVIRONMENT.get_template(template).render(values)


def template_text(name: str) -> str:
    """A file of ``report/templates`` as it is."""
    loader = _ENVIRONMENT.loader
    assert loader is not None
    return loader.get_source(_ENVIRONMENT, name)[0]
