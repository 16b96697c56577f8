"""The colours and fonts of a drawn graph, by the kind of what is drawn, on light and on dark screens."""

from __future__ import annotations

LEGEND = {  # kind -> what the colour means
    "input": "input", "learnt": "box with parameters", "activation": "activation", "plain": "other box",
    "random": "random in training", "parameter": "parameter", "buffer": "buffer",
    "value": "a value from above", "gradient1": "box of the gradient",
    "gradient2": "box of the second gradient", "result": "output",
}  # fmt: skip
LIGHT = {  # kind -> (fill, line)
    "input": ("#e8eaed", "#5f6368"), "learnt": ("#dbe9ff", "#1f5fbf"), "activation": ("#dcf3e0", "#1d7a3a"),
    "plain": ("#f3f4f6", "#6b7280"), "random": ("#f5e9ff", "#7c3aed"), "parameter": ("#fff1cc", "#a86400"),
    "buffer": ("#eceae4", "#78716c"), "value": ("#ffffff", "#8a9099"), "gradient1": ("#ffe3e3", "#c02a2a"),
    "gradient2": ("#ffe6f4", "#ad1f7a"),
}  # fmt: skip
DARK = {
    "input": ("#33373d", "#a8adb5"), "learnt": ("#17305a", "#79aaf5"), "activation": ("#153d23", "#6fce8b"),
    "plain": ("#2b2e34", "#9aa1ab"), "random": ("#37215c", "#b899f7"), "parameter": ("#4a3508", "#e5b04b"),
    "buffer": ("#38352f", "#a8a29e"), "value": ("#1c1f24", "#8a9099"), "gradient1": ("#541c1c", "#f08a8a"),
    "gradient2": ("#4f1238", "#f07cc4"),
}  # fmt: skip


def style_sheet(dark: bool) -> str:
    """CSS for the classes of a picture; with `dark` for dark screens too."""
    rules = [  # the root of a file of its own heeds no max-width
        ".nnlab-graph{max-width:100%;height:auto}:root.nnlab-graph{width:min(100%,var(--width))}",
        ".nnlab-graph text{font-family:ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;"
        "font-size:10.5px}",
        ".nnlab-graph .name,.nnlab-graph .title,.nnlab-graph .heading{font-size:12px;font-weight:600}",
        ".nnlab-graph .formula{font-style:italic}",
        ".nnlab-graph .middle{text-anchor:middle}.nnlab-graph .end{text-anchor:end}",
        ".nnlab-graph .edge{fill:none;stroke-width:1.4}.nnlab-graph .dashed{stroke-dasharray:4 3}",
        ".nnlab-graph rect{stroke-width:1.3}.nnlab-graph .result{stroke-width:3}",
        *_rules(LIGHT, page="#ffffff", ink="#1f2328", grey="#57606a", edge="#6e7781"),
    ]
    if dark:
        night = "".join(_rules(DARK, page="#0d1117", ink="#e6edf3", grey="#9198a1", edge="#8b949e"))
        rules.append(f"@media screen and (prefers-color-scheme:dark){{{night}}}")
    return "".join(rules)


def _rules(colours: dict, page: str, ink: str, grey: str, edge: str) -> list[str]:
    boxes = [f".nnlab-graph .{kind}{{fill:{fill};stroke:{line}}}" for kind, (fill, line) in colours.items()]
    return [
        *boxes, f".nnlab-graph .page{{fill:{page};stroke:none}}", f".nnlab-graph text{{fill:{ink}}}",
        f".nnlab-graph .formula,.nnlab-graph .shape{{fill:{grey}}}", f".nnlab-graph .edge{{stroke:{edge}}}",
        f".nnlab-graph .head{{fill:{edge}}}.nnlab-graph .rect.end{{fill:{page};stroke:{edge}}}",
        f".nnlab-graph .leaf{{stroke:{colours['parameter'][1]}}}",
    ]  # fmt: skip
