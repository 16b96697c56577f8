"""Writes small Excel files, valid and hostile, by nothing but the standard library."""

import io
import zipfile
from xml.sax.saxutils import escape

SCHEMAS = "http://schemas.openxmlformats.org"
MAIN = f"{SCHEMAS}/spreadsheetml/2006/main"
PACKAGE = f"{SCHEMAS}/package/2006"
OFFICE = f"{SCHEMAS}/officeDocument/2006/relationships"
TYPE_OF_SHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"
TYPE_OF_BOOK = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"


def xlsx(sheets: dict[str, list[list]], replaced: tuple[str, str] = ("", "")) -> bytes:
    """An Excel file of sheets of rows of cells, `replaced` in the XML of its sheets."""
    numbered = list(enumerate(sheets, 1))
    parts = {
        "[Content_Types].xml": _content_types(len(sheets)),
        "_rels/.rels": _relations("officeDocument", ["xl/workbook.xml"]),
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>'
        + "".join(f'<sheet name="{name}" sheetId="{i}" r:id="rId{i}"/>' for i, name in numbered)
        + "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": _relations(
            "worksheet", [f"worksheets/sheet{i}.xml" for i, _ in numbered]
        ),
    }
    for i, name in numbered:
        rows = (_row(number, row) for number, row in enumerate(sheets[name], 1))
        sheet = f'<worksheet xmlns="{MAIN}"><sheetData>{"".join(rows)}</sheetData></worksheet>'
        parts[f"xl/worksheets/sheet{i}.xml"] = sheet.replace(*replaced) if replaced[0] else sheet
    return archive(parts)


def archive(parts: dict[str, str | bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as writer:
        for name, content in parts.items():
            writer.writestr(name, content)
    return file.getvalue()


def _content_types(sheets: int) -> str:
    of_sheets = (
        f'<Override PartName="/xl/worksheets/sheet{i}.xml" ContentType="{TYPE_OF_SHEET}"/>'
        for i in range(1, sheets + 1)
    )
    return (
        f'<Types xmlns="{PACKAGE}/content-types"><Default Extension="rels" '
        f'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{TYPE_OF_BOOK}"/>{"".join(of_sheets)}</Types>'
    )


def _relations(kind: str, targets: list[str]) -> str:
    relations = (
        f'<Relationship Id="rId{i}" Type="{OFFICE}/{kind}" Target="{target}"/>'
        for i, target in enumerate(targets, 1)
    )
    return f'<Relationships xmlns="{PACKAGE}/relationships">{"".join(relations)}</Relationships>'


def _row(number: int, row: list) -> str:
    cells = (_cell(f"{chr(ord('A') + i)}{number}", value) for i, value in enumerate(row))
    return f'<row r="{number}">{"".join(cells)}</row>'


def _cell(place: str, value) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return f'<c r="{place}" t="b"><v>{int(value)}</v></c>'
    if isinstance(value, int | float):
        return f'<c r="{place}"><v>{value}</v></c>'
    if value.startswith("#"):
        return f'<c r="{place}" t="e"><v>{value}</v></c>'
    return f'<c r="{place}" t="inlineStr"><is><t>{escape(value)}</t></is></c>'
