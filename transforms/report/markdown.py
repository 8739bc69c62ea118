"""The report as Markdown: the same parts, for a pull request, a mail or a terminal."""

from collections.abc import Sequence

from transforms.report.headline import Card
from transforms.report.parts import Part


def markdown(
    title: str, lead: str, cards: Sequence[Card], parts: Sequence[Part], footer: str
) -> str:
    """Write headline and tables; pictures stay in the HTML."""
    lines = [f"# {title}", "", lead, ""]
    for card in cards:
        lines.append(
            f"- **{_cell(card.name)}: {_cell(card.value)}** ({_cell('; '.join(card.lines))})"
        )
    for part in parts:
        lines += ["", f"## {part.title}", ""]
        if part.text:
            lines += [part.text, ""]
        if part.rows:
            lines.append("| " + " | ".join(column.name for column in part.columns) + " |")
            lines.append(
                "|" + "|".join("--:" if c.is_number else "---" for c in part.columns) + "|"
            )
            lines += ["| " + " | ".join(map(_cell, row)) + " |" for row in part.rows]
        elif part.empty:
            lines.append(part.empty)
    return "\n".join([*lines, "", footer, ""])


def _cell(text: str) -> str:
    """Text that cannot break out of a table cell."""
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
