"""The colours of a report by their names, on light and on dark screens; Okabe and Ito's hues for curves.

CSS has them as variables, plotly's figures by name: page.js looks them up for the screen that shows the page.
"""

from __future__ import annotations

LIGHT = {
    "page": "#ffffff", "ink": "#1f2328", "muted": "#57606a", "line": "#d5d9de", "grid": "#e6e8eb",
    "panel": "#f4f5f7", "link": "#0a58a8",
    "series0": "#0072b2", "series1": "#c84e00", "series2": "#00805c", "series3": "#b3568c",
    "series4": "#96690a", "series5": "#2a7fae", "series6": "#5a626c", "series7": "#6f6f1f",
    "scale0": "#f3f7fb", "scale1": "#b9d6ec", "scale2": "#6baed6", "scale3": "#2f7fbc", "scale4": "#0b4a87",
    "low": "#2f6fb5", "middle": "#f2f2f2", "high": "#c8501e", "good": "#00805c", "bad": "#c84e00",
}  # fmt: skip
DARK = {
    "page": "#14171c", "ink": "#e6edf3", "muted": "#a0a8b2", "line": "#3a414b", "grid": "#2a3038",
    "panel": "#1e232a", "link": "#7db7f5",
    "series0": "#5aaeee", "series1": "#f58f55", "series2": "#3cc79a", "series3": "#e394c4",
    "series4": "#e5b940", "series5": "#86d3f2", "series6": "#b4bcc6", "series7": "#c9c96f",
    "scale0": "#1b222b", "scale1": "#1d3f63", "scale2": "#2a6aa3", "scale3": "#58a0dc", "scale4": "#b7defb",
    "low": "#5b9be0", "middle": "#2b3038", "high": "#ee8350", "good": "#3cc79a", "bad": "#f58f55",
}  # fmt: skip
SERIES = tuple(f"--series{n}" for n in range(8))
SCALE = [[n / 4, f"--scale{n}"] for n in range(5)]  # plotly's colorscale, of what is 0 or more
POINT_SCALE = [[n / 2, f"--scale{n + 2}"] for n in range(3)]  # ... of points, seen on the page itself
DIVERGING = [[0, "--low"], [0.5, "--middle"], [1, "--high"]]  # ... of what may be negative


def series(n: int, opacity: float = 1.0) -> str:
    """The colour of the nth curve, from 0."""
    name = SERIES[n % len(SERIES)]
    return name if opacity == 1.0 else f"{name}/{opacity:g}"


def css_variables() -> str:
    """The CSS that defines the colours: light, and dark where the screen is and nothing is printed."""
    light, dark = (_declarations(colours) for colours in (LIGHT, DARK))
    return (
        f":root{{color-scheme:light dark;{light}}}"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}"
    )


def _declarations(colours: dict[str, str]) -> str:
    return "".join(f"--{name}:{colour};" for name, colour in colours.items())
