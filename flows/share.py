"""Where the SQL and the sample data lie: in the checkout, or beside the installed packages."""

from pathlib import Path

import flows

HOME = Path(flows.__file__).resolve().parents[1]


def share(name: str) -> Path:
    """The folder `name` ('sql' or 'sample_data') that came with this code."""
    packed = HOME / "faultledger_share" / name
    return packed if packed.is_dir() else HOME / name


def sql_files(kind: str) -> list[Path]:
    return sorted((share("sql") / kind).glob("*.sql"))


def header(path: Path) -> str:
    """What a SQL file says about itself: its leading comment."""
    lines = []
    for line in path.read_text().splitlines():
        if not line.startswith("--"):
            break
        lines.append(line.removeprefix("--").removeprefix(" "))
    return "\n".join(lines).strip()
