"""What identifies a result: the settings that decide it, and the content of its inputs."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from nst_keras.settings.option import Option

_SHOWN = 4  # differing settings in a message


@dataclasses.dataclass(frozen=True)
class Fingerprint:
    """Everything that decides a result. Runs of equal fingerprints end with the same bytes."""

    # As the text of a flag, by the flag's name.
    settings: dict[str, str] = dataclasses.field(default_factory=dict)
    # SHA-256 in hexadecimal, by input: 'content', 'style 1', 'weights'.
    hashes: dict[str, str] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(
        cls,
        config: Any,
        options: Mapping[str, Option],
        hashes: Mapping[str, str],
    ) -> "Fingerprint":
        """The fingerprint of a config, a dataclass whose fields are described by `options`.

        Args:
            hashes: of the files that were read. These count instead of the paths, so that of an
                option that names a file only its words are among the settings.
        """
        settings = {}
        for name, option in options.items():
            value = getattr(config, name)
            is_path = option.hashed and value not in option.words
            if option.changes_result and value is not None and not is_path:
                settings[name] = option.format(value)
        return cls({name: text for name, text in settings.items() if text}, dict(hashes))

    def named_values(self) -> dict[str, str]:
        """All settings, and the hashes as 'sha256 of NAME', in one mapping."""
        return {**self.settings, **{f"sha256 of {name}": h for name, h in self.hashes.items()}}

    def digest(self) -> str:
        """A hash in hexadecimal that differs between different fingerprints."""
        text = json.dumps(self.named_values(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def without(self, name: str) -> "Fingerprint":
        """The fingerprint with one setting left out."""
        settings = {other: text for other, text in self.settings.items() if other != name}
        return Fingerprint(settings, self.hashes)

    def differences(self, other: "Fingerprint") -> list[str]:
        """The names of the settings and hashes in which the two differ."""
        ours, theirs = self.named_values(), other.named_values()
        return [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]

    def describe_differences(self, asked: "Fingerprint") -> str:
        """What differs between this fingerprint, of a folder, and the one that is asked for."""
        names, ours, theirs = self.differences(asked), self.named_values(), asked.named_values()
        shown = [
            f"{name}: {_brief(ours.get(name))} there, {_brief(theirs.get(name))} here"
            for name in names[:_SHOWN]
        ]
        return "; ".join(shown) + ("; ..." if len(names) > _SHOWN else "")

    def has_more_steps_than(self, other: "Fingerprint") -> bool:
        """Whether the two differ only in --iterations, of which this one has more."""
        if self.differences(other) != ["iterations"] or "time_limit" in self.settings:
            return False
        ours, theirs = (one.settings.get("iterations", "") for one in (self, other))
        return ours.isdecimal() and theirs.isdecimal() and int(ours) > int(theirs)


def _brief(text: str | None) -> str:
    if text is None:
        return "not set"
    return text if len(text) <= 40 else text[:8] + "..."
