"""Small plots for inline SVG: positions are worked out here and drawn by ``plot.html``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

#: Size of the drawing and the edges of the field in it, in units of the SVG.
WIDTH: Final = 420.0
HEIGHT: Final = 330.0
LEFT, RIGHT, TOP, BOTTOM = 58.0, 408.0, 12.0, 278.0

Points = Iterable[tuple[float, float]]


def _same(value: float) -> float:
    return value


@dataclass(frozen=True)
class Axis:
    """One axis of a plot.

    Attributes:
        label: what it shows, with unit.
        low: value at its beginning.
        high: value at its end.
        ticks: values that are marked, and how they are written.
        scale: makes equal steps of what shall look equal.
    """

    label: str
    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    scale: Callable[[float], float] = _same

    def place(self, value: float, start: float, end: float) -> float:
        """Where a value lies between two edges; values beyond the axis lie on its end."""
        low, high = self.scale(self.low), self.scale(self.high)
        part = (self.scale(min(max(value, self.low), self.high)) - low) / (high - low)
        return round(start + part * (end - start), 1)


@dataclass(frozen=True)
class Mark:
    """A shape: ``line``, ``area`` or ``dot``, its points as SVG writes them, its look, a hint."""

    kind: str
    points: str
    look: str
    hint: str = ""
    radius: float = 0.0
    x: float = 0.0
    y: float = 0.0


@dataclass
class Plot:
    """A plot that is drawn mark by mark.

    Attributes:
        title: above it.
        about: what is seen, for those who do not see it.
        x: horizontal axis.
        y: vertical axis.
        legend: look and name of what is drawn.
        marks: what is drawn, in order.
    """

    title: str
    about: str
    x: Axis
    y: Axis
    legend: Sequence[tuple[str, str]] = ()
    marks: list[Mark] = field(default_factory=list)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Position of a point in the drawing."""
        return self.x.place(x, LEFT, RIGHT), self.y.place(y, BOTTOM, TOP)

    def line(self, points: Points, look: str, hint: str = "") -> None:
        """A line through points; what falls on the point before is left out."""
        self._add("line", points, look, hint)

    def area(self, points: Points, look: str, hint: str = "") -> None:
        """What lies between a line and the lower edge."""
        places = list(points)
        low = self.y.low
        self._add("area", [(places[0][0], low), *places, (places[-1][0], low)], look, hint)

    def dot(self, x: float, y: float, look: str, hint: str = "", radius: float = 4.0) -> None:
        """A point with a radius in units of the drawing."""
        across, down = self.at(x, y)
        self.marks.append(Mark("dot", "", look, hint, round(radius, 1), across, down))

    def _add(self, kind: str, points: Points, look: str, hint: str) -> None:
        places = list(dict.fromkeys(self.at(x, y) for x, y in points))
        drawn = " ".join(f"{x:g},{y:g}" for x, y in places)
        self.marks.append(Mark(kind, drawn, look, hint))

    @property
    def x_ticks(self) -> list[tuple[float, str]]:
        """Positions of the horizontal axis's marks, and their words."""
        return [(self.x.place(value, LEFT, RIGHT), text) for value, text in self.x.ticks]

    @property
    def y_ticks(self) -> list[tuple[float, str]]:
        """Positions of the vertical axis's marks, and their words."""
        return [(self.y.place(value, BOTTOM, TOP), text) for value, text in self.y.ticks]
