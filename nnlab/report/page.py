"""The HTML page of a report: one file, of sections, with plotly's code in it and nothing from the network.

Text comes from folders that may be a stranger's, so all of it is escaped, and the page's policy lets no other
script run than the two that are written here.
"""

from __future__ import annotations

import base64
import hashlib
import html
import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from nnlab.errors import visible
from nnlab.records.sweep_folder import SWEEP_FILE
from nnlab.report.colours import DARK, LIGHT, css_variables
from nnlab.report.figure_json import figure_tree, script_json
from nnlab.report.parts import Image, Part, PlotlyFigure, Preformatted, Svg, Table, Text
from nnlab.untrusted import plain_file, unlinked_file

GENERATOR = '<meta name="generator" content="nnlab report">'  # by which a page of nnlab's is known
OLD_BEGINNING = '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>'  # of a sweep's page
HEAD_BYTES = 4096  # in which a page says who wrote it
NARROWEST_CAPTION = 128  # pixels
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Section:
    """A heading and what is below it; `note` says what is missing or was left out, in a sentence."""

    heading: str
    body: Sequence[Part] = field(default_factory=tuple)
    note: str = ""


def render_page(title: str, sections: Iterable[Section], lead: str = "") -> str:
    """The HTML of a page. `lead` is HTML below the title, which was escaped by whoever made it."""
    figures: dict[str, PlotlyFigure] = {}
    sections = list(sections)
    anchors = _anchors([section.heading for section in sections])
    bodies = [
        f'<section>\n<h2 id="{anchor}">{escape(section.heading)}</h2>\n'
        f"{_body_html(section, figures)}\n</section>"
        for section, anchor in zip(sections, anchors, strict=True)
    ]
    entries = "".join(
        f'<li><a href="#{anchor}">{escape(section.heading)}</a></li>'
        for section, anchor in zip(sections, anchors, strict=True)
    )
    scripts = [_plotly_code(), (HERE / "page.js").read_text(encoding="utf-8")] if figures else []
    data = {
        "colours": {"light": LIGHT, "dark": DARK},
        "figures": {name: figure_tree(figure) for name, figure in figures.items()},
    }
    parts = [
        "<!doctype html>",
        f'<html lang="en"><head><meta charset="utf-8">{GENERATOR}',
        f"<title>{escape(title)}</title>",
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(scripts)}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<style>{css_variables()}\n{(HERE / 'page.css').read_text(encoding='utf-8')}</style></head><body>",
        f"<h1>{escape(title)}</h1>",
        lead,
        f'<nav aria-label="Contents"><ul>{entries}</ul></nav>' if len(sections) > 1 else "",
        "<main>",
        *bodies,
        "</main>",
        f'<script type="application/json" id="figures">{script_json(data)}</script>' if figures else "",
        *(f"<script>{script}</script>" for script in scripts),
        "</body></html>\n",
    ]
    return "\n".join(parts)


def is_own_page(file: Path) -> bool:
    """Whether the file is a page that nnlab wrote, and may write again."""
    with plain_file(unlinked_file(file)) as opened:
        head = opened.read(HEAD_BYTES).decode(errors="replace")
    return GENERATOR in head or head.startswith(OLD_BEGINNING) and (file.parent / SWEEP_FILE).is_file()


def escape(text: str) -> str:
    return html.escape(visible(str(text)))


def _anchors(headings: list[str]) -> list[str]:
    """An id for each heading, of its words."""
    anchors: list[str] = []
    for heading in headings:
        words = re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-") or "section"
        numbered = (f"{words}-{n}" if n > 1 else words for n in itertools.count(1))
        anchors.append(next(name for name in numbered if name not in anchors))
    return anchors


def _policy(scripts: list[str]) -> str:
    """The Content-Security-Policy: nothing is loaded, and only `scripts` run.

    plotly's parallel coordinates compile their shaders' code with `Function`, hence unsafe-eval.
    """
    digests = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    scripts_policy = f"{allowed} 'unsafe-eval'" if digests else "'none'"
    return f"default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src {scripts_policy}"


def _plotly_code() -> str:
    """plotly.js, without importing the package, whose figures nothing here needs."""
    (folder,) = find_spec("plotly").submodule_search_locations
    return (Path(folder) / "package_data" / "plotly.min.js").read_text(encoding="utf-8")


def _body_html(section: Section, figures: dict[str, PlotlyFigure]) -> str:
    """The parts of a section; figures that follow each other share a row where it is wide enough, as images
    do."""
    pieces = []
    for kind, parts in itertools.groupby(section.body, type):
        parts_html = [_part_html(part, figures) for part in parts]
        if kind in (PlotlyFigure, Image) and len(parts_html) > 1:
            name = "row" if kind is PlotlyFigure else "images"
            parts_html = [f'<div class="{name}">', *parts_html, "</div>"]
        pieces += parts_html
    if section.note:
        pieces.append(_part_html(Text(section.note, muted=True), figures))
    return "\n".join(pieces)


def _part_html(part: Part, figures: dict[str, PlotlyFigure]) -> str:
    match part:
        case Text():
            return f"<p{' class=muted' * part.muted}>{escape(part.text)}</p>"
        case Preformatted():
            return f'<pre{" class=command" * part.wrapped} tabindex="0">{escape(part.text)}</pre>'
        case Table():
            return _table_html(part)
        case PlotlyFigure():
            return _figure_html(part, figures)
        case Image():
            return _image_html(part)
        case Svg():
            return f'<div class="scroll" role="img" aria-label="{escape(part.label)}">{part.markup}</div>'
    raise TypeError(f"{type(part).__name__} is no part of a section")


def _table_html(table: Table) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        styles = (" class=label" * (n < table.labels) for n in range(len(cells)))
        pairs = zip(styles, cells, strict=True)
        return "<tr>" + "".join(f"<{tag}{style}>{escape(cell)}</{tag}>" for style, cell in pairs) + "</tr>"

    body = "\n".join(line(row, "td") for row in table.rows)
    head = f"<thead>{line(table.headings, 'th')}</thead>" if any(table.headings) else ""
    note = _part_html(Text(table.note, muted=True), {}) if table.note else ""
    return f'<div class="scroll" tabindex="0"><table>{head}<tbody>\n{body}</tbody></table></div>{note}'


def _figure_html(figure: PlotlyFigure, figures: dict[str, PlotlyFigure]) -> str:
    name = f"figure{len(figures)}"
    figures[name] = figure
    wide = f"min-width:{figure.min_width}px;" if figure.min_width else ""
    narrow = f"max-width:{figure.max_width}px;" if figure.max_width else ""
    plot = (
        f'<div class="plot" id="{name}" role="img" aria-label="{escape(figure.label)}" '
        f'data-height="{figure.height}" style="{wide}{narrow}min-height:{figure.height}px"></div>'
    )
    scroll = f'<div class="scroll" tabindex="0">{plot}</div>' if wide else plot
    return f"<figure>{scroll}{_caption_html(figure.caption)}</figure>"


def _image_html(image: Image) -> str:
    style = ' class="pixelated"' * image.pixelated
    width = f' width="{image.width}"' if image.width else ""
    content = base64.b64encode(image.png).decode()
    source = f'src="data:image/png;base64,{content}" alt="{escape(image.label)}"'
    narrow = f' style="max-width:{max(image.width, NARROWEST_CAPTION)}px"' if image.width else ""
    return f"<figure{narrow}><img{style}{width} {source}>{_caption_html(image.caption)}</figure>"


def _caption_html(caption: str) -> str:
    return f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
