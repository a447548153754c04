"""Reading the pictures that a module of the corpus makes."""

from collections.abc import Iterable
from pathlib import Path

from nst_keras.imaging import images
from nst_keras.runtime.errors import InputError
from scripts.corpus.expected import Case, Expected
from scripts.corpus.reading import Outcome


def problems_of(cases: Iterable[Case], folder: Path) -> list[str]:
    """What is wrong with how these pictures are read, with their names."""
    cases = list(cases)
    Expected.save(folder, cases)
    expected, problems = Expected.load(folder), []
    for case in cases:
        outcome = Outcome(folder / case.name)
        try:
            picture = images.read_image(outcome.path)
            outcome.pixels, outcome.notes = picture.pixels, picture.notes
        except InputError as error:
            outcome.refusal = str(error)
        problems += [f"{case.name}: {it}" for it in expected.problems(outcome.path, outcome)]
    return problems
