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


def complete(script, words, folder):
    """What bash offers for the last of some words."""
    command = ["bash", "--norc", "-c", _ASK, "ask", script, *words]
    done = subprocess.run(command, cwd=str(folder), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return {line.strip() for line in done.stdout.splitlines() if line.strip()}


@pytest.mark.parametrize(
    "words, expected",
    [
        (["dgl", "lo"], {"localize"}),
        (["dgl", "e"], {"evaluate", "export"}),
        (["dgl", "make-data", ""], {"birds", "photos5"}),
        (["dgl", "localize", "--pre"], {"--precision", "--preprocess"}),
        (["dgl", "localize", "--method", "grad"], {"gradcam", "gradcam++"}),
        (["dgl", "layers", "--mode", "resnet50"], {"resnet50", "resnet50se"}),
        (["dgl", "localize", "pho"], {"photo.jpg", "photos"}),
        (["dgl", "localize", "photo.jpg", "photos"], {"photos"}),
        (["dgl", "localize", "--load", "mo"], {"model.npz"}),
        (["dgl", "info", "mo"], {"model.npz"}),
        (["dgl", "convert", "mo"], {"model.npz"}),
        (["dgl", "fetch", "vgg16", "--from", "mo"], {"model.npz"}),
        (["dgl", "train", "--data", "pho"], {"photos"}),
        (["dgl", "--print-completion", "z"], {"zsh"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bash_completes(script, words, expected, tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"")
    (tmp_path / "model.npz").write_bytes(b"")
    (tmp_path / "photos").mkdir()
    assert complete(script, words, tmp_path) == expected
