#!/usr/bin/env python
"""Write a few thousand small pictures with their right values: `make_corpus.py FOLDER`.

Every mode, depth, compression, orientation, color description and container that the installed
packages can write. `read_corpus.py FOLDER` then tells which of them are not read rightly. Needs
`pip install '.[corpus]'`.
"""

import argparse
import collections
import sys
from pathlib import Path

from corpus import bmps, photos, pngs, tiffs
from corpus.expected import Expected


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="A new folder.")
    given = parser.parse_args(arguments)
    if given.folder.exists():
        parser.error(f"{given.folder}: exists")
    cases = [case for maker in (tiffs, pngs, bmps, photos) for case in maker.cases()]
    Expected.save(given.folder, cases)
    kinds = collections.Counter(Path(case.name).suffix for case in cases)
    print(f"{given.folder}: {', '.join(f'{count} {kind}' for kind, count in kinds.items())}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
