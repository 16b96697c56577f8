"""Write the table of docs/boxes.md anew, from the declarations of the boxes."""

from pathlib import Path

from nnlab.commands.box_help import markdown_table

PAGE = Path(__file__).parents[1] / "docs" / "boxes.md"


def main() -> None:
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(text[: text.index("| box |")] + markdown_table(), encoding="utf-8")


if __name__ == "__main__":
    main()
