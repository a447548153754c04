"""Many inputs for many readers, one at a time."""

import collections
import random
from collections.abc import Callable, Iterator
from pathlib import Path

from .damage_bytes import mutate
from .readers import Kind
from .watch import Limits, Outcome, observe

MAX_GROWN = 300  # inputs per kind that are damaged further
SHOWN = 3  # inputs that are kept and reported for one cause


class Campaign:
    """Reads many inputs, one at a time, in folders below `scratch`.

    Args:
        keep: a folder that the inputs of findings are copied to, or None.
        say: called with each line or text to report.
    """

    def __init__(
        self,
        kinds: dict[str, Kind],
        seed: int,
        scratch: Path,
        keep: Path | None = None,
        limits: Limits | None = None,
        say: Callable[[str], None] = print,
    ):
        self.kinds, self.seed, self.scratch = kinds, seed, scratch
        self.keep, self.limits, self.say = keep, limits or Limits(), say
        self.counts: collections.Counter[tuple[str, str]] = collections.Counter()
        self.findings: collections.Counter[str] = collections.Counter()
        self.peak = 0.0  # MB: the largest growth for one input
        self._causes: collections.Counter[str] = collections.Counter()
        self._seen: set[tuple[str, str]] = set()
        self._seeds: dict[str, list[bytes]] = {}
        self._whole: dict[str, int] = {}  # how many of the seeds are undamaged
        for name, kind in kinds.items():
            self._begin(name, kind)

    def run(self, inputs: int) -> None:
        """Read this many inputs of kinds chosen at random."""
        names = [name for name, kind in self.kinds.items() for _ in range(kind.share)]
        for number in range(inputs):
            rng = random.Random(f"{self.seed} {number}")
            name = rng.choice(names)
            self._read(number, name, self._make(rng, name))

    def summary(self) -> Iterator[str]:
        """Lines with counts by kind and outcome, other findings, and the totals."""
        for name in self.kinds:
            counts = {what: n for (kind, what), n in sorted(self.counts.items()) if kind == name}
            yield f"{name:18}" + "  ".join(f"{what} {n}" for what, n in counts.items())
        others = {k: n for k, n in self.findings.items() if k not in ("traceback", "hang")}
        if others:
            yield "also " + ", ".join(f"{n} {kind}" for kind, n in sorted(others.items()))
        yield (
            f"{sum(self.counts.values())} inputs, {self.findings['traceback']} tracebacks, "
            f"{self.findings['hang']} hangs, peak {self.peak:.0f} MB"
        )

    def _begin(self, name: str, kind: Kind) -> None:
        """Prepare the folder, and check that undamaged files can be read."""
        (self.scratch / name).mkdir()
        kind.prepare(self.scratch / name)
        self._seeds[name] = list(kind.seeds())
        self._whole[name] = len(self._seeds[name])
        for data in self._seeds[name]:
            outcome = self._observe(name, data)
            self._seen.add((name, outcome.signature))
            if outcome.findings:
                raise RuntimeError(
                    f"{name}: an undamaged file is not read: {outcome.findings[0][1]}"
                )

    def _make(self, rng: random.Random, name: str) -> bytes:
        seeds = self._seeds[name]
        whole = seeds[: self._whole[name]]  # prefer these: files damaged twice are refused early
        data = rng.choice(rng.choice((whole, whole, seeds)))
        return mutate(rng, data, seeds, self.kinds[name].ways)

    def _observe(self, name: str, data: bytes) -> Outcome:
        kind, folder = self.kinds[name], self.scratch / name
        path = folder / kind.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return observe(lambda: kind.read(folder), self.scratch, self.limits)

    def _read(self, number: int, name: str, data: bytes) -> None:
        outcome = self._observe(name, data)
        self.counts[name, outcome.name] += 1
        self.peak = max(self.peak, outcome.growth)
        if (name, outcome.signature) not in self._seen:
            self._seen.add((name, outcome.signature))
            seeds = self._seeds[name]
            if outcome.name in ("read", "refused") and len(seeds) < MAX_GROWN and data:
                seeds.append(data)
        for what, text in dict(reversed(outcome.findings)).items():  # the first of each kind
            self._tell(number, name, data, what, text, outcome.signature)

    def _tell(
        self, number: int, name: str, data: bytes, what: str, text: str, signature: str
    ) -> None:
        self.findings[what] += 1
        cause = f"{name} {what} {signature}"
        self._causes[cause] += 1
        if self._causes[cause] > SHOWN:
            return
        place = ""
        if self.keep:
            path = (
                self.keep
                / f"{name}-{self.seed}-{number}-{what}{Path(self.kinds[name].file).suffix}"
            )
            path.write_bytes(data)
            place = f", kept as {path}"
        first = self._causes[cause] == 1
        self.say(f"{name}: input {number} of seed {self.seed}: {what}{place}")
        self.say(text if first else f"  as before: {signature[:200]}")
