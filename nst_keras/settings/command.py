"""What a command accepts: its options, their spellings, and the actions that every command has."""

import dataclasses
import functools

from nst_keras.settings.option import Option

HELP_BRIEF, HELP_ALL = "brief", "all"  # or a group or a flag
ACTIONS = {
    "flagfile": Option(
        "Read flags from a file, one per line.", name="flagfile", kind="file", path=True
    ),
    "help": Option(
        "Show the flags that matter most; --help=GROUP or --help=FLAG: only these; --help=all: "
        "every flag.",
        name="help",
        kind="text",
        alone=HELP_BRIEF,
        former=("h",),
    ),
    "version": Option("Show the version.", name="version", kind="bool"),
    "quiet": Option("Print warnings and errors only.", name="quiet", kind="bool"),
}


@dataclasses.dataclass(frozen=True)
class Command:
    """The flags of one command, and the first lines of its help."""

    usage: tuple[str, ...]
    options: dict[str, Option]
    inherited: dict[str, Option] = dataclasses.field(default_factory=dict)  # not in its own help
    # The options to which arguments without a flag belong, in order; the last may take several.
    positionals: tuple[str, ...] = ()
    flagfiles_first: bool = False  # flags of the command line win over all flagfiles
    grouped: bool = False  # a `--` separates the flags of one run from those of the next

    @functools.cached_property
    def known(self) -> dict[str, Option]:
        """All options that the command accepts, and its actions."""
        return self.options | self.inherited | ACTIONS

    @functools.cached_property
    def spellings(self) -> dict[str, tuple[Option, str]]:
        """By all names of flags: the option, and the value that the name alone gives it."""
        found: dict[str, tuple[Option, str]] = {}
        for option in self.known.values():
            for name in (option.name, *option.former):
                found[name] = (option, option.alone)
                if option.kind == "bool":
                    found |= {name: (option, "true"), f"no{name}": (option, "false")}
        return found

    def find(self, name: str) -> tuple[Option, str] | None:
        """The option of a flag, and the value that the name alone gives it; None: there is none.

        Hyphens are taken for underscores, as other tools have them.
        """
        return self.spellings.get(name) or self.spellings.get(name.replace("-", "_"))

    @functools.cached_property
    def groups(self) -> tuple[str, ...]:
        """The headings of its help, in order."""
        return tuple(dict.fromkeys(option.group for option in self.options.values()))
