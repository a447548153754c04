"""Random interruptions: signals, faults of the disk, damage between two starts."""

import dataclasses
import random
import signal

PLAIN_SHARE = 0.1  # of all starts are `python -m nst_keras.run` itself, with all its imports
SIGNALS = {
    "kill": signal.SIGKILL,
    "term": signal.SIGTERM,
    "int": signal.SIGINT,
    "hup": signal.SIGHUP,
    "usr1": signal.SIGUSR1,
    "int2": signal.SIGINT,  # twice
}
# What happens at the file operation of a given number. crash: the process is killed before it.
# torn: from then on, a write beyond so many bytes of a file kills the process in the middle. full:
# this operation finds no space. limit: from then on, no file can grow beyond so many bytes.
FAULTS = ("crash", "torn", "full", "limit")
# Damage to the folder before the next start, as after a power failure.
DAMAGES = ("checkpoint", "metrics")
WEIGHTS = {"kill": 3, "term": 2, "int": 2, "hup": 1, "usr1": 1, "int2": 1} | {
    "crash": 5,
    "torn": 3,
    "full": 3,
    "limit": 2,
}


@dataclasses.dataclass(frozen=True)
class Interruption:
    """One interruption of a run, and how that run is started."""

    kind: str  # of SIGNALS or FAULTS; empty for none
    share: float  # when it happens, as a share of the reference's seconds or file operations
    size: int = 0  # bytes, for torn and limit
    plain: bool = False  # started as a new process instead of being forked
    alone: bool = False  # started with --workdir alone, if the folder has the other flags
    damage: str = ""  # of DAMAGES, done before the start; empty for none

    def __str__(self) -> str:
        how = [name for name in ("plain", "alone") if getattr(self, name)]
        damage = [f"damaged {self.damage}"] if self.damage else []
        return " ".join([self.kind or "none", f"{self.share:.3f}", *damage, *how])


def random_interruptions(rng: random.Random) -> list[Interruption]:
    """The interruptions of a job; the kind of the last one is empty."""
    kinds = rng.choices(list(WEIGHTS), list(WEIGHTS.values()), k=rng.randint(1, 5))
    return [
        Interruption(
            kind,
            _random_share(rng),
            _random_size(rng, kind),
            plain=rng.random() < PLAIN_SHARE,
            alone=rng.random() < 0.2,
            damage=rng.choice(DAMAGES) if rng.random() < 0.2 else "",
        )
        for kind in [*kinds, ""]
    ]


def _random_size(rng: random.Random, kind: str) -> int:
    """A number of bytes, log-uniform.

    A limit applies to the whole process. Below about 10 kB it would affect files that TensorFlow
    writes elsewhere while it compiles, and the run could not report the cause.
    """
    return int(10 ** rng.uniform(4.3 if kind == "limit" else 0.0, 5.3))


def _random_share(rng: random.Random) -> float:
    """From 0 to 1, more often near the ends, where a run does most things that it does once."""
    share = rng.random()
    return rng.choice((share, share**3, 1.0 - share**3))
