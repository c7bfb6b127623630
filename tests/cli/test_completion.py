"""Shell completion, asked of a real bash."""

import shutil
import subprocess

import pytest
from cli_runs import dgl

# What readline does: it calls the function that `complete` names, with the words in COMP_WORDS.
_ASK = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
registered=$(complete -p dgl) || exit 3
function=$(sed -E 's/.*-F ([^ ]+).*/\\1/' <<< "$registered")
"$function" dgl "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    if shutil.which("bash") is None:
        pytest.skip("no bash")
    done = dgl("--print-completion", "bash")
    assert (done.code, done.err) == (0, "")
    path = tmp_path_factory.mktemp("completion") / "dgl.bash"
    path.write_text(done.out)
    return str(path)


@pytest.mark.parametrize(
    "line, expected",
    [
        ("lo", "localize"),
        ("make-data ", "birds photos5"),
        ("localize --pre", "--precision --preprocess"),
        ("layers --mode resnet50", "resnet50 resnet50se"),
        ("localize pho", "photo.jpg photos"),
        ("localize --load mo", "model.npz"),
        ("convert mo", "model.npz"),
        ("train --data pho", "photos"),
        ("--print-completion z", "zsh"),
    ],
)
def test_bash_completes(script, line, expected, tmp_path):
    """What bash offers for the last word of a line."""
    (tmp_path / "photo.jpg").write_bytes(b"")
    (tmp_path / "model.npz").write_bytes(b"")
    (tmp_path / "photos").mkdir()
    command = ["bash", "--norc", "-c", _ASK, "ask", script, "dgl", *line.split(" ")]
    done = subprocess.run(command, cwd=str(tmp_path), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert {offer.strip() for offer in done.stdout.splitlines()} - {""} == set(expected.split())
