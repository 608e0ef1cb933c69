"""One place turns failures into messages: a cause, a hint, an exit code, never a traceback."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from ethogram import __version__, errors
from ethogram.cli.group import COMMANDS, cli
from ethogram.cli.run import run

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
HEAVY = ("numpy", "pandas", "pyarrow", "pydantic", "rich", "sklearn", "yaml")


def ethogram(
    *arguments: str, code: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    program = code or "from ethogram.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def failing(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run a command that raises *error*."""

    def raise_it(*_: object) -> None:
        raise error

    monkeypatch.setattr(cli, "invoke", raise_it)
    return run(["schema"])


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from ethogram.cli.run import run\n"
        "assert run(['--help']) == 0\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)"
    )
    done = ethogram(code=code)
    assert done.stderr == "[]\n"
    assert done.stdout.startswith("Usage: ethogram")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_loads_nothing_heavy(name: str) -> None:
    code = (
        "import sys\n"
        "from ethogram.cli.run import run\n"
        f"assert run([{name!r}, '--help']) == 0\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)"
    )
    assert ethogram(code=code).stderr == "[]\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_the_command_says(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.name == name
    assert command.short_help == COMMANDS[name]
    assert command.help


def test_every_option_says_what_it_does() -> None:
    context = click.Context(cli)
    silent = [
        f"{name} {parameter.name}"
        for name in COMMANDS
        if (command := cli.get_command(context, name))
        for parameter in command.params
        if isinstance(parameter, click.Option) and not parameter.help
    ]
    assert silent == []


@pytest.mark.parametrize("name", COMMANDS)
def test_the_examples_of_a_command_can_be_pasted(name: str) -> None:
    group = click.Context(cli)
    command = cli.get_command(group, name)
    assert command is not None
    examples = (command.epilog or "").splitlines()[2:]
    for words in [shlex.split(line) for line in examples if line.startswith("  ethogram ")]:
        assert words[:2] == ["ethogram", name]
        command.make_parser(click.Context(command)).parse_args(words[2:])


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"ethogram {__version__}\n"


def test_without_a_command_help_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Commands:" in captured.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lern"], "error: there is no command `lern`\n\nhint: did you mean `ethogram learn`?\n"),
        (
            ["zzz"],
            "error: there is no command `zzz`\n\nhint: `ethogram --help` lists the commands\n",
        ),
        (
            ["schema", "--formt", "json"],
            "error: `ethogram schema` has no option `--formt`\n\nhint: did you mean `--format`?\n",
        ),
        (
            ["schema", "--format", "yaml"],
            "error: `--format`: `yaml` is not one of `text`, `json`, `markdown`\n\n"
            "hint: `ethogram schema --help` lists what it takes\n",
        ),
        (
            ["record", "--all"],
            "error: `ethogram record` needs `--output`\n\n"
            "hint: `ethogram record --help` lists what it takes\n",
        ),
        (["schema", "fils"], "error: there is no table `fils`\n\nhint: did you mean `files`?\n"),
    ],
)
def test_a_typo_gets_a_suggestion(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == message


@pytest.mark.parametrize("name", errors.__all__)
def test_a_foreseen_failure_has_its_code_and_its_hint(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = getattr(errors, name)("it broke", hint="mend it")
    assert failing(error, monkeypatch) == error.exit_code
    assert capsys.readouterr().err == "error: it broke\n\nhint: mend it\n"


def test_the_log_of_the_failing_part_is_kept_out_of_a_pipe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(errors.CaptureError("it broke", log="line one\nline two"), monkeypatch)
    assert capsys.readouterr().err == "error: it broke\n"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    failing(errors.CaptureError("it broke", log="line\x1b one\nline two"), monkeypatch)
    assert capsys.readouterr().err == "error: it broke\n  line\\x1b one\n  line two\n"


def test_what_a_workload_chose_cannot_steer_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(errors.EthogramError("no `\x1b[2J`", hint="look\rat \u202ethis"), monkeypatch)
    assert capsys.readouterr().err == (
        "error: no `\\x1b[2J`\n\nhint: look\\x0dat \\xe2\\x80\\xaethis\n"
    )


def test_a_file_system_failure_names_the_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failing(PermissionError(13, "Permission denied", "/x"), monkeypatch) == 1
    assert capsys.readouterr().err.startswith("error: `/x`: permission denied\n\nhint: ")


def test_a_full_disk_is_said_even_without_a_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failing(OSError(28, "No space left on device"), monkeypatch) == 1
    printed = capsys.readouterr().err
    assert printed.startswith("error: no space left on device\n\nhint: free space")


def test_a_bug_is_called_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("ETHOGRAM_TRACEBACK", raising=False)
    assert failing(ZeroDivisionError("1/0"), monkeypatch) == 1
    printed = capsys.readouterr().err
    assert printed.startswith("error: internal error: ZeroDivisionError: 1/0\n")
    assert "Traceback" not in printed


def test_a_traceback_is_printed_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ETHOGRAM_TRACEBACK", "1")
    failing(errors.EthogramError("it broke"), monkeypatch)
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_an_interruption_is_no_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failing(KeyboardInterrupt(), monkeypatch) == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize("output_format", ["text", "json", "markdown"])
def test_a_reader_that_leaves_ends_it_quietly(output_format: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", "from ethogram.cli import main; main()", "schema",
         "--format", output_format],
        cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("words", [("schema",), ("schema", "--no-such-option")])
def test_messages_that_cannot_be_written_change_no_exit_code(words: tuple[str, ...]) -> None:
    command = [sys.executable, "-c", "from ethogram.cli import main; main()", *words]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    with Path("/dev/full").open("w") as full:
        unsaid = subprocess.run(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=full, check=False
        )  # fmt: skip
    assert (unsaid.returncode, unsaid.stdout) == (said.returncode, said.stdout)


def test_output_that_cannot_be_written_is_an_error() -> None:
    command = [sys.executable, "-c", "from ethogram.cli import main; main()", "schema"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.endswith(
        "no space left on device\n\nhint: free space, or name another place\n"
    )
