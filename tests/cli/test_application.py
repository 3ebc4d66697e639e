"""The command as such: help, version, errors, exit statuses, terminals and pipes."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import osmia as library
from osmia.cli.application import VERBS, application

from .conftest import OSMIA, Result

Cli = Callable[..., Result]


def test_version_is_told_without_click() -> None:
    code = (
        "import sys; from osmia.cli import main; main(['--version']);"
        "assert not {'click', 'rich', 'numpy'} & set(sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == f"osmia {library.__version__}\n"


def best_time(*arguments: str) -> float:
    """Seconds that a command line takes, the best of five."""
    times = []
    for _ in range(5):
        started = time.perf_counter()
        subprocess.run([*OSMIA, *arguments], capture_output=True, check=True)
        times.append(time.perf_counter() - started)
    return min(times)


@pytest.mark.alone
def test_version_and_help_are_quick() -> None:
    assert best_time("--version") < 0.25
    assert best_time("--help") < 0.5


def test_help_lists_every_verb_and_each_has_help(osmia: Cli) -> None:
    text = osmia("--help")
    assert text.status == 0
    for verb in VERBS:
        assert f"  {verb} " in text.out
        assert osmia(verb, "--help").out.startswith(f"Usage: osmia {verb}")


def test_help_does_not_import_the_verbs() -> None:
    code = (
        "import sys; from osmia.cli import main; main(['--help']);"
        "assert not {'osmia.cli.prog', 'osmia.kernel.programs.program', 'rich'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)


def test_every_command_below_a_verb_says_what_it_does() -> None:
    import click

    context = click.Context(application)
    for verb in VERBS:
        command = application.get_command(context, verb)
        assert command is not None and command.help, verb
        for name, below in getattr(command, "commands", {}).items():
            assert below.help, f"{verb} {name}"


def test_python_m_osmia_is_the_command() -> None:
    run = subprocess.run([*OSMIA, "--version"], capture_output=True, text=True, check=True)
    assert run.stdout.startswith("osmia ")


def test_a_wrong_command_line_is_status_2_and_one_line(osmia: Cli) -> None:
    wrong = osmia("prg")
    assert (wrong.status, wrong.out) == (2, "")
    assert (
        wrong.err == "osmia: there is no command 'prg'; did you mean 'prog'? (see osmia --help)\n"
    )
    assert osmia("prog", "list", "--nonsense").status == 2
    assert osmia("stubs").status == 2


def test_an_error_is_status_1_and_one_line(osmia: Cli, tmp_path: Path) -> None:
    missing = osmia("inspect", tmp_path / "none.o")
    assert (missing.status, missing.out) == (1, "")
    assert missing.err == f"osmia: {tmp_path / 'none.o'}: No such file or directory\n"
    (tmp_path / "text.o").write_text("this is no object")
    garbage = osmia("inspect", tmp_path / "text.o")
    assert garbage.status == 1
    assert garbage.err.startswith("osmia: ") and garbage.err.count("\n") == 1
    assert "Traceback" not in garbage.err


def test_verbose_errors_show_where_they_come_from(osmia: Cli, tmp_path: Path) -> None:
    wrong = osmia("-v", "inspect", tmp_path / "none.o")
    assert wrong.status == 1
    assert "Traceback" in wrong.err
    assert wrong.err.splitlines()[-1].startswith("osmia: ")


def test_control_characters_do_not_reach_the_terminal(osmia: Cli, tmp_path: Path) -> None:
    wrong = osmia("inspect", tmp_path / "\x1b[31mred.o")
    assert "\x1b" not in wrong.err


@pytest.mark.kernel
def test_a_reader_that_goes_away_is_no_error() -> None:
    command = subprocess.Popen(
        [*OSMIA, "btf", "dump", "vmlinux"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert command.stdout is not None and command.stderr is not None
    assert command.stdout.readline().startswith(b"[1] ")
    command.stdout.close()
    assert command.stderr.read() == b""
    assert command.wait(timeout=60) == 141
    command.stderr.close()


def on_terminal(*arguments: str, **environment: str) -> str:
    """What a command prints on a terminal."""
    leader, follower = os.openpty()
    try:
        subprocess.run(
            [*OSMIA, *arguments],
            stdout=follower,
            env={**os.environ, "TERM": "xterm-256color", **environment},
            check=True,
        )
    finally:
        os.close(follower)
    chunks = []
    while True:
        try:
            chunk = os.read(leader, 65536)
        except OSError:
            break
        if not chunk:
            break
        chunks.append(chunk)
    os.close(leader)
    return b"".join(chunks).decode()


def test_tables_are_coloured_on_a_terminal_only(osmia: Cli, compiled: Path) -> None:
    plain = osmia("inspect", compiled)
    assert "\x1b" not in plain.out
    coloured = on_terminal("inspect", str(compiled), NO_COLOR="")
    assert "\x1b[1m" in coloured and "totals" in coloured and "─" in coloured
    assert "\x1b[22m" not in coloured  # which ends what is bold
    assert "\x1b" not in on_terminal("inspect", str(compiled), NO_COLOR="1")
    assert "\x1b" not in on_terminal("inspect", str(compiled), "--color", "never", NO_COLOR="")
    assert "\x1b[1m" in osmia("--color", "always", "inspect", compiled).out


def test_json_options_stand_before_or_behind_the_verb(osmia: Cli, compiled: Path) -> None:
    behind = osmia("inspect", compiled, "-j")
    assert behind.json == osmia("-j", "inspect", compiled).json
    pretty = osmia("inspect", compiled, "--pretty")
    assert pretty.json == behind.json
    assert len(pretty.lines) > 50 and len(behind.lines) == 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_and_what_they_ask(osmia: Cli, shell: str) -> None:
    script = osmia("completion", shell)
    assert script.status == 0
    assert "_OSMIA_COMPLETE" in script.out


def test_completion_offers_verbs() -> None:
    environment = {"_OSMIA_COMPLETE": "bash_complete", "COMP_WORDS": "osmia fea", "COMP_CWORD": "1"}
    run = subprocess.run(
        OSMIA, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert "plain,features" in run.stdout


UNBUFFERED = os.environ | {"PYTHONUNBUFFERED": "1"}


@pytest.mark.parametrize("environment", [dict(os.environ), UNBUFFERED])
def test_what_does_not_fit_is_not_lost_in_silence(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """A write that takes a part is no error yet; Python does not try the rest unbuffered."""
    command = [sys.executable, "-m", "osmia", "btf", "vmlinux"]  # the cache has it from now on
    subprocess.run(command, stdout=subprocess.DEVNULL, env=environment, check=True)
    limited = f"ulimit -f 1024; exec {sys.executable} -m osmia btf vmlinux"  # in KiB
    with (tmp_path / "vmlinux.h").open("w") as file:
        done = subprocess.run(
            ["bash", "-c", limited], stdout=file, stderr=-1, text=True, env=environment
        )
    assert done.returncode == 1
    assert done.stderr == "osmia: standard output: File too large\n"


@pytest.mark.parametrize("arguments", [["features", "--help"], ["completion", "bash"]])
@pytest.mark.parametrize("environment", [dict(os.environ), UNBUFFERED])
def test_output_that_cannot_be_written_is_an_error_in_one_line(
    arguments: list[str], environment: dict[str, str]
) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*OSMIA, *arguments], stdout=full, stderr=-1, text=True, env=environment
        )
    assert done.returncode == 1
    assert done.stderr == "osmia: standard output: No space left on device\n"


def test_ctrl_c_while_modules_are_imported_is_no_traceback() -> None:
    code = """
import sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "osmia.cli.application":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupting())
from osmia.cli import main
sys.exit(main(["features"]))
"""
    done = subprocess.run([sys.executable, "-c", code], stderr=-1, text=True)
    assert (done.returncode, done.stderr) == (130, "")


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["features", "-j"], ["inspect", "O"]])
def test_a_closed_stdout_is_one_line_on_stderr(words: list[str], compiled: Path) -> None:
    given = [str(compiled) if word == "O" else word for word in words]
    run = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *OSMIA, *given], stderr=subprocess.PIPE, text=True
    )
    assert run.returncode == 1
    said = "standard output: Bad file descriptor"
    told = f'{{"error": "{said}"}}' if "-j" in words else f"osmia: {said}"
    assert run.stderr == f"{told}\n"
    silent = subprocess.run(["sh", "-c", 'exec "$@" >&- 2>&-', "sh", *OSMIA, *given])
    assert silent.returncode == 1


def test_a_closed_stdout_disturbs_nothing_that_prints_nothing(tmp_path: Path) -> None:
    source = tmp_path / "a.bpf.c"
    source.write_text("int number = 1;\n")
    command = [*OSMIA, "compile", str(source), "-o", str(tmp_path / "a.o")]
    subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", *command], check=True)
    assert (tmp_path / "a.o").exists()


def test_what_the_encoding_lacks_is_escaped(tmp_path: Path) -> None:
    source = tmp_path / "a.bpf.c"
    source.write_text('int number = 1; char text[] SEC("license") = "é";\n')
    source.write_text("#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n" + source.read_text())
    run = subprocess.run(
        [*OSMIA, "inspect", source],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert r"\xe9" in run.stdout and "number" in run.stdout


def test_a_typo_in_c_is_no_traceback(osmia: Cli, tmp_path: Path) -> None:
    source = tmp_path / "typo.bpf.c"
    source.write_text("int f(void) { retrun 0; }\n")
    wrong = osmia("-v", "compile", source, "-o", tmp_path / "a.o")
    assert wrong.status == 1
    assert "Traceback" not in wrong.err and "retrun" in wrong.err


def test_programs_that_may_not_be_opened_are_listed_by_their_ids(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from osmia.cli.listings import told_program
    from osmia.errors import BpfPermissionError
    from osmia.kernel.programs.program import KernelProgram

    def refuse(number: int) -> None:
        raise BpfPermissionError(errno.EPERM, f"open program {number}")

    monkeypatch.setattr(KernelProgram, "from_id", refuse)
    assert told_program(7) == {"name": None, "id": 7, "tag": None}
