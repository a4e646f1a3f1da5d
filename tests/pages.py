"""What every page must be: whole, and in need of nothing from outside."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

HOSTILE = (
    "<script>alert(1)</script>.wav",
    '"><img src=x onerror=alert(1)>.wav',
    "{{ 7 * 7 }}{% raw %}.wav",
    "</style></title>&amp;.wav",
    "right\u202eto left.wav",
)
_VOID = {"meta", "line", "rect", "circle", "path", "polyline", "polygon", "br", "img", "image"}
_VOID |= {"li", "dd", "dt", "input"}


class Reader(HTMLParser):
    """Text, tags and attributes of a page; refuses tags that are not closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def is_self_contained(page: str) -> Reader:
    """Nothing is fetched; links lead to places in the page; no script but the page's own runs."""
    read = Reader(page)
    assert not set(read.tags) & {"img", "link", "iframe", "object", "embed", "use", "base", "form"}
    for name, value in read.attributes:
        assert not name.startswith("on")
        assert name not in ("srcset", "action")
        assert name not in ("href", "src") or str(value).startswith(("#", "data:"))
    assert not re.search(r"url\(|@import|https?:", page)
    (policy,) = (str(v) for _, v in read.attributes if str(v).startswith("default-src 'none'"))
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert len(scripts) == read.tags.count("script") <= 1
    for script in scripts:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"script-src 'sha256-{digest}'" in policy
        assert "alert" not in script
    return read
