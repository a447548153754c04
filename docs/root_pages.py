"""Pages of the site from the files in the folder of the repository, such as the README."""

import re
from pathlib import Path

NAMES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
FOLDER = "_pages"  # of the site's sources; written anew by each build
_LINK = re.compile(r"\[([^]]*)\]\((?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?\)")
_HTML = re.compile(r'(src|href)="(?:configs/images/)([^"]+)"')
_TO_ROOT = re.compile(rf"\]\(\.\./({'|'.join(map(re.escape, NAMES))})")


def write(root: Path, docs: Path) -> None:
    """Write a page for each of the files.

    Args:
        root, docs: the folders of the repository and of the site's sources.
    """
    for name in NAMES:
        text = (root / name).read_text(encoding="utf-8")
        write_if_new(docs / FOLDER / name, moved(text, root))


def write_if_new(path: Path, text: str) -> None:
    """Write a page, unless it is there with the same text: Sphinx would read it anew."""
    path.parent.mkdir(exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def moved(text: str, root: Path) -> str:
    """The text of a file in the root folder as it must be in FOLDER, for its links to lead to the
    same places. Links to folders, which a site cannot show, become plain text."""

    def link(match: re.Match) -> str:
        label, path, place = match[1], match[2], match[3] or ""
        if (root / path).is_dir():
            return label
        if path in NAMES:
            return f"[{label}]({path}{place})"
        path = f"../{path[5:]}" if path.startswith("docs/") else f"../../{path}"
        return f"[{label}]({path}{place})"

    return _HTML.sub(r'\1="../_static/\2"', _LINK.sub(link, text))


def with_pages(text: str) -> str:
    """The text of a page in `docs`, with links to files in the root folder leading to FOLDER."""
    return _TO_ROOT.sub(rf"]({FOLDER}/\1", text)
