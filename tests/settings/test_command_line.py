"""The command-line layer on a small command; `test_flags` tests it on that of a run."""

import dataclasses
import logging

import pytest

import nst_keras
from nst_keras.runtime.errors import InputError
from nst_keras.settings import command_line
from nst_keras.settings.command import Command
from nst_keras.settings.command_help import help_text
from nst_keras.settings.option import options_of, section

_main = section("main")
_other = section("other")


@dataclasses.dataclass(frozen=True)
class Settings:
    """The options of the command."""

    item: tuple[str, ...] = _main(
        (), "An item.", unset="what the place has", repeated=True, path=True
    )
    color: str = _main("red", "The color.", choices=("red", "blue"), former=("colour",))
    gray: bool = _other(False, "Without color.", former=("grey",))
    count: int | None = _other(None, "How many.", (1, 9), unset="as many as there are")


TWO_WORDS = [("two_words", int, _main(1, "A number."))]


@dataclasses.dataclass(frozen=True)
class Shared:
    """Options of another command, which this one accepts."""

    size: int = _main(8, "The size.")


@dataclasses.dataclass(frozen=True)
class Painting:
    """The options of a command with two positional options."""

    photo: str = _main("", "The photo.")
    styles: tuple[str, ...] = _main((), "The styles.")
    count: int = _main(1, "How many.")


def moved(text, folder):
    return f"{folder.name}>{text}"


OPTIONS = options_of(Settings)
COMMAND = Command(
    usage=("Does something.",),
    options={
        **OPTIONS,
        "rule": dataclasses.replace(OPTIONS["item"], name="rule", path=False, rebase=moved),
    },
    inherited=options_of(Shared),
)
FILES_FIRST = dataclasses.replace(COMMAND, flagfiles_first=True)
POSITIONAL = dataclasses.replace(COMMAND, positionals=("item",))


def parse(*arguments, command=COMMAND):
    return command_line.parse(command, arguments)[0]


def refusal(*arguments, command=COMMAND):
    with pytest.raises(InputError) as caught:
        command_line.parse(command, arguments)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.fixture
def flagfile(tmp_path):
    """Writes a flagfile in the folder `place`; returns the flag that reads it."""

    def write(text):
        path = tmp_path / "place" / "a.cfg"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return f"--flagfile={path}"

    return write


def test_a_repeated_flag_has_a_value_for_each_time_it_is_given():
    assert parse("--item=a,b", "--color=blue", "--item", "c") == {
        "item": ("a,b", "c"),
        "color": "blue",
    }


def test_repeated_flags_of_flagfiles_and_of_the_command_line_add_up(flagfile, tmp_path):
    argument = flagfile("--item=a\n--item=b, c\n")
    folder = tmp_path / "place"
    expected = (f"{folder}/a", f"{folder}/b, c", "d")
    assert parse(argument, "--item=d")["item"] == expected
    assert parse("--item=d", argument)["item"] == (expected[2], *expected[:2])
    assert parse("--item=d", argument, command=FILES_FIRST)["item"] == expected


def test_an_option_may_have_its_own_way_to_rebase_the_paths_of_a_flagfile(flagfile):
    assert parse(flagfile("--rule=x=a.jpg\n"), "--rule=y")["rule"] == ("place>x=a.jpg", "y")


def test_arguments_without_a_flag_belong_to_the_positional_option():
    values = parse("a", "--color=blue", "b,c", "--item=d", command=POSITIONAL)
    assert values == {"item": ("a", "b,c", "d"), "color": "blue"}
    assert str(refusal("", command=POSITIONAL)) == "--item=: must be a text, not empty"
    assert str(refusal("a")) == "a is not a flag; every setting is given as --name=value"


PAINTING = Command(usage=(), options=options_of(Painting), positionals=("photo", "styles"))


@pytest.mark.parametrize(
    ("arguments", "photo", "styles"),
    [
        (["p", "s"], "p", ("s",)),
        (["p", "s", "t,u"], "p", ("s", "t,u")),
        (["p"], "p", None),
        (["p", "--styles=s,t"], "p", ("s", "t")),
        (["--photo=p", "s", "t"], "p", ("s", "t")),
        (["p", "--count=3", "s"], "p", ("s",)),
        (["p", "s", "FILE"], "p", ("s",)),
        (["FILE", "p"], "p", ("of file",)),
    ],
)
def test_arguments_without_a_flag_go_to_the_options_in_order(arguments, photo, styles, flagfile):
    file = flagfile("--photo=in file\n--styles=of file\n")
    given = [file if one == "FILE" else one for one in arguments]
    values = parse(*given, command=PAINTING)
    assert values["photo"] == photo and values.get("styles") == styles


def test_arguments_without_a_flag_are_refused_where_flags_say_the_same():
    said = "t: is one too many, since --styles is given as a flag"
    assert str(refusal("p", "--styles=s", "t", command=PAINTING)) == said
    said = "t: is one too many, since --photo and --styles are given as flags"
    assert str(refusal("--photo=p", "--styles=s", "t", command=PAINTING)) == said


@pytest.mark.parametrize("arguments", [("--size=3", "FILE"), ("FILE", "--size=3")])
def test_the_command_line_may_win_wherever_a_flagfile_stands(arguments, flagfile):
    given = [flagfile("--size=2\n--count=4\n") if one == "FILE" else one for one in arguments]
    assert parse(*given, command=FILES_FIRST) == {"size": 3, "count": 4}


@pytest.mark.parametrize(
    ("argument", "values"),
    [
        ("--colour=blue", {"color": "blue"}),
        ("--grey", {"gray": True}),
        ("--nogrey", {"gray": False}),
        ("--nogray", {"gray": False}),
        ("--grey=true", {"gray": True}),
    ],
)
def test_former_names_are_accepted(argument, values, flagfile):
    assert parse(argument) == values
    assert parse(flagfile(argument)) == values


def test_an_error_of_a_former_name_tells_the_present_one():
    error = refusal("--colour=green")
    assert str(error) == "--color=green: must be one of red, blue"
    assert error.flags == ("color",)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--count"], "--count: must be a whole number from 1 to 9; give --count=VALUE"),
        (["--count=0"], "--count=0: must be a whole number from 1 to 9"),
        (["--nogray=1"], "--nogray=1: must be without a value; give --nogray or --gray=false"),
        (["--gray=perhaps"], "--gray=perhaps: must be true or false"),
        (["--nocount"], "--nocount: unknown flag; did you mean --count?"),
        (["--xyz"], "--xyz: unknown flag; --help=all lists all flags"),
        (["-"], "--: unknown flag; --help=all lists all flags"),
        (["--siz=3"], "--siz: unknown flag; did you mean --size?"),
        (["--Preserve_Colors=red"], "--Preserve_Colors: unknown flag; did you mean --color?"),
    ],
)
def test_errors_have_one_form(arguments, message):
    assert str(refusal(*arguments)) == message


def test_a_line_of_a_flagfile_does_not_take_its_value_from_the_next(flagfile):
    error = refusal(flagfile("--count\n--size=3\n"))
    message = "line 1: --count: must be a whole number from 1 to 9; give --count=VALUE"
    assert str(error).endswith(f"a.cfg, {message}")


def test_blanks_around_the_equals_sign_of_a_flagfile_are_left_out(flagfile):
    assert parse(flagfile("--size = 3\n  --count =4\n")) == {"size": 3, "count": 4}


def test_names_may_hold_what_ends_lines_elsewhere(flagfile):
    name = "/a\u2028b\x85c\x0bd\x1ce"
    assert parse(flagfile(f"--item={name}\n--size=3")) == {"item": (name,), "size": 3}
    values = {"item": ("/a\nb",), "color": "blue", "gray": True, "count": None, "rule": ()}
    with pytest.raises(InputError, match="has a line break; rename the file"):
        command_line.format_flagfile(COMMAND, values)
    assert "has a line break in its name" in str(refusal("--item=/a\rb"))


def test_a_flagfile_has_a_line_for_each_value_of_a_repeated_option():
    values = {"item": ("/a,b", "/c"), "color": "blue", "gray": True, "count": None, "rule": ()}
    text = command_line.format_flagfile(COMMAND, values)
    assert text == "--item=/a,b\n--item=/c\n--color=blue\n--gray=true\n"
    given = {name: value for name, value in values.items() if value not in (None, ())}
    assert parse(*text.splitlines()) == given


def test_a_long_value_is_written_in_time_that_grows_with_its_length():
    """A pattern that is tried at each letter of the line would take minutes here."""
    long = "/" + "a" * 500_000
    values = {"item": (long,), "color": "blue", "gray": True, "count": None, "rule": ()}
    assert f"--item={long}\n" in command_line.format_flagfile(COMMAND, values)


def test_a_command_works_with_what_was_given(capsys):
    log = logging.getLogger("nst_keras.test")

    def work(call):
        log.info("working")
        log.warning("careful")
        assert call.groups == [(arguments, {"size": 3})]
        assert call.quiet == ("--quiet" in arguments) and call.started > 0
        return 7

    for arguments, said in (
        (["--size=3"], "nst_keras: working\nnst_keras: careful\n"),
        (["--size=3", "--quiet"], "nst_keras: careful\n"),
    ):
        assert command_line.run(COMMAND, work, arguments) == 7
        assert capsys.readouterr().err == said


def test_a_command_may_take_several_groups_of_flags():
    grouped = dataclasses.replace(COMMAND, grouped=True)
    arguments = command_line.join_groups([["--size=3"], [], ["--size=4", "--quiet"]])

    def work(call):
        assert call.groups == [
            (["--size=3"], {"size": 3}),
            ([], {}),
            (["--size=4", "--quiet"], {"size": 4}),
        ]
        return 0 if call.quiet else 1

    assert command_line.run(grouped, work, arguments) == 0


@pytest.mark.parametrize("groups", [[["a"], ["b", "c"]], [["a"]], [["a"], []], [[], ["b"]]])
def test_groups_are_joined_and_split(groups):
    assert command_line.split_groups(command_line.join_groups(groups)) == groups


@pytest.mark.parametrize(
    ("flags", "topic"),
    [
        (["--help"], "brief"),
        (["-help"], "brief"),
        (["-h"], "brief"),
        (["--help=all"], "all"),
        (["--help=other"], "other"),
        (["--help", "other"], "other"),
        (["--help=count"], "count"),
    ],
)
def test_help_is_shown_in_place_of_the_work(flags, topic, capsys):
    assert command_line.run(COMMAND, None, [*flags, "--size=3"]) == 0
    assert capsys.readouterr().out == help_text(COMMAND, topic) + "\n"


def test_the_version_is_shown_in_place_of_the_work(capsys):
    assert command_line.run(COMMAND, None, ["--version"]) == 0
    assert capsys.readouterr().out == f"nst_keras {nst_keras.__version__}\n"


def test_bad_input_is_one_line_and_a_status(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["a program", "--count=x"])
    assert command_line.run(COMMAND, None) == 2
    said = capsys.readouterr()
    assert (said.out, said.err) == (
        "",
        "nst_keras: --count=x: must be a whole number from 1 to 9\n",
    )


def test_hyphens_are_taken_for_underscores():
    command = dataclasses.replace(
        COMMAND, options=options_of(dataclasses.make_dataclass("Own", TWO_WORDS))
    )
    values, _ = command_line.parse(command, ["--two-words=3"])
    assert values == {"two_words": 3}


@pytest.mark.parametrize("name", ["no-gray", "no_gray"])
def test_a_flag_that_is_switched_off_is_written_in_one_word(name):
    with pytest.raises(InputError, match="did you mean --nogray"):
        command_line.parse(COMMAND, [f"--{name}"])
