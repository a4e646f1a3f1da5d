"""What every page must be: whole, and in need of nothing from outside."""

from __future__ import annotations

import re
from html.parser import HTMLParser

HOSTILE = (
    "<script>alert(1)</script>.wav",
    '"><img src=x onerror=alert(1)>.wav',
    "{{ 7 * 7 }}{% raw %}.wav",
    "</style></title>&amp;.wav",
    "right\u202eto left.wav",
)
_VOID = {"meta", "line", "rect", "circle", "path", "polyline", "polygon", "br", "img"}


class Reader(HTMLParser):
    """Text, tags and attributes of a page; refuses tags that are not closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in _VOID | {"li", "dd", "dt"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        if tag not in {"li", "dd", "dt"} | _VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def is_self_contained(page: str) -> Reader:
    """Nothing is run or fetched; links lead to places in the page."""
    read = Reader(page)
    assert not read.tags & {"script", "img", "link", "iframe", "object", "embed", "image", "use"}
    for name, value in read.attributes:
        assert not name.startswith("on")
        assert name not in ("src", "srcset", "action")
        assert name != "href" or str(value).startswith("#")
    assert not re.search(r"url\(|@import|https?:", page)
    return read
