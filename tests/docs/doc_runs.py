"""What is done with each command of the documentation: run on stand-ins, or parsed by its own parser.

Commands run in a working folder that looks like a checkout: links to the package, the scripts and the
images, and small stand-ins under the names that the pages use. Nothing else is put in place of what a
page says than what the tables below say.
"""

import argparse
import contextlib
import glob
import importlib
import importlib.util
import os
import re
import subprocess
import sys
from unittest import mock

from doc_commands import ROOT, read

# Words of a page -> what the working folder has in their place. Everything else is taken as it is written:
# data/birds, my_images/ and train_log/vgg_* are there, small.
STAND_INS = (
    (r"^CKPT$", "dgl/pretrained/birds_vgg.npz"),
    (r"^IMAGE_OR_FOLDER$", "images/bird_violet_fan.jpg"),
    (r"^DATA$", "data/birds"),
    (r"^~/images$", "my_images"),
)
_SHORT_TRAINING = "--epoch 1 --steps 1 --batch 4 --workers 0 --width 0.125 --final-size 64"
# Program -> flags put at the end of its command, so that it is soon done.
SHORTER = (
    (r"train_code/|^dgl train (?!--probe)", _SHORT_TRAINING + " --gpu -1"),
    (r"^sh run_train", "-- " + _SHORT_TRAINING),
    # Examples of one page share the default --out.
    (
        r"(evaluate|study)_localization|^dgl (evaluate|study) ",
        "--resamples 20 --gallery 2 --overwrite",
    ),
    (r"dgl\.data\.birds|^dgl make-data birds", "--train-per-class 2 --test-per-class 1 --size 64"),
)
# What a command needs that no test has; a mark on its page says so too, and wins.
NEEDS = (
    (r"^make ", "minutes"),
    (r"^(pip|git) |-m venv|^\. ", "network"),
    (r"^horovodrun|-m horovod", "Horovod"),
    (r"^ray |--ray-workers", "Ray"),
    (r"\$SLURM|shards/", "several hosts"),
    (r"/data/(CUB|ILSVRC|wsol)|--imagenet|--cub", "full data"),
    (r"--finetune|\.(pth|h5)( |$)", "downloaded weights"),
    (r"--load (vgg|resnet50|resnet50se|inceptionv3) ", "downloaded weights"),
    (r"^python (-m )?benchmarks", "minutes"),
    (r"^(dgl serve|dgl review|tensorboard)", "a person"),
    (r"raccoon_dataset", "network"),
    (r"--calibrate ", "more annotated images"),
    (r"^dgl fetch (?!--list)", "network"),
)
# What a test does run, in a process of its own, when the marker `docs` is asked for.
SLOW = (
    (r"^sh run_train\.sh(?! --help)", "a training"),
    (r"(^dgl train|train_code/\S+) (?!.*--(print-recipe|help|val)\b)", "a training"),
    (r"study", "every method at every layer"),
)

PARSE, RUN, SLOW_RUN = "parse", "run", "slow"
HELP_PAGE = "docs/command-line.md"


def matches(table, command):
    """The second parts of a table's rows whose pattern is found in a command, its assignments last."""
    text = " ".join(command.words + list(command.environment.values()))
    return [row[1] for row in table if re.search(row[0], text)]


def treatment(command):
    """``"parse"``, ``"run"`` or ``"slow"``: what the tests do with a command."""
    is_marked = command.mark is not None and command.mark[0] == "needs"
    if command.is_inline or is_marked or matches(NEEDS, command):
        return PARSE
    # The examples of the commands' own help run in the tests of the commands too.
    is_slow = command.mark == ("run", "slow") or command.path == HELP_PAGE
    return SLOW_RUN if is_slow or matches(SLOW, command) else RUN


class Parsed(Exception):
    """The parser of a program took its flags."""


@contextlib.contextmanager
def _parsing_only():
    whole, outer = argparse.ArgumentParser.parse_known_args, []

    def parse(self, args=None, namespace=None):
        outer.append(self)
        found = whole(self, args, namespace)
        outer.pop()
        if outer:  # the parser of a command, within that of all
            return found
        assert found[1] == []
        raise Parsed

    with mock.patch.object(argparse.ArgumentParser, "parse_known_args", parse):
        yield


def main_of(words):
    """(``main`` function, its arguments) of a command that is this project's, else ``None``."""
    if words[0] == "dgl":
        return importlib.import_module("dgl.cli.parser").main, words[1:]
    if not os.path.basename(words[0]).startswith("python"):
        return None
    if words[1] == "-m":
        if not words[2].startswith(("dgl.", "benchmarks")):
            return None
        if words[2] == "dgl.weights.convert":
            return main_of(["dgl", "convert"] + words[3:])
        module = importlib.import_module(words[2])
        if not hasattr(module, "main"):
            module = importlib.import_module(words[2] + ".__main__")
        return module.main, words[3:]
    name = "doc_script_" + re.sub(r"\W", "_", words[1])
    spec = importlib.util.spec_from_file_location(name, os.path.join(ROOT, words[1]))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main, words[2:]


def parse(command):
    """Hold a command to the parser of this project that takes it, if there is one.

    Raises:
        AssertionError, SystemExit: it does not go together with what it names.
    """
    words = [word for word in command.words if word != "..."]
    words = words[: words.index(">")] if ">" in words else words
    words = [re.sub(r"^\$\w+(/\$\w+)?$", "1/2" if "/" in word else "4", word) for word in words]
    if words[0] == "make":
        for target in words[1:]:
            subprocess.check_output(["make", "-n", "-C", ROOT, target], stderr=subprocess.STDOUT)
        return
    if words[0] == "sh":  # prints the command that it would run, or its help
        environment = dict(os.environ, DRY_RUN="1", PYTHON="python", **command.environment)
        line = subprocess.check_output(words, cwd=ROOT, env=environment).decode()
        if "--help" in words:
            return
        words = line.split()
    if words[0] == "horovodrun" and "python" in words:
        words = words[words.index("python") :]
    if words[:3] == ["python", "-m", "dgl.training.relay"]:
        words = ["python"] + words[3:]
    if words[1:3] == ["-m", "pytest"]:
        _check_pytest(words[3:])
    elif words[0] == "pip":
        _check_pip(words[1:])
    else:
        found = main_of(words)
        if found is not None:
            _check_flags(command, *found)


def _check_flags(command, main, argv):
    try:
        with _parsing_only():
            main(argv)
    except Parsed:
        return
    except SystemExit as ending:
        assert ending.code in (None, 0) and {"--help", "-h"} & set(argv), command.text
    else:
        raise AssertionError(f"{command.text} parsed nothing")


def _check_pytest(words):
    """Markers and files exist."""
    for before, word in zip([""] + words, words):
        if before == "-m":
            assert f'"{word}: ' in read("pyproject.toml"), word
        assert "/" not in word or os.path.exists(os.path.join(ROOT, word)), word


def _check_pip(words):
    """Requirement files and extras exist."""
    for word in words:
        if word.startswith("requirements"):
            assert os.path.isfile(os.path.join(ROOT, word)), word
        extra = re.match(r"(?:\.|dgl-localization)\[(\w+)\]$", word)
        if extra:
            line = rf"^{extra.group(1)} = \["
            assert re.search(line, read("pyproject.toml"), re.MULTILINE), word


def stand_in(command, folder):
    """The words of a command as it is run in the working folder, with the flags of ``SHORTER``."""
    given, words = command.words, []
    for word in given[: given.index(">")] if ">" in given else given:
        for pattern, replacement in STAND_INS:
            word = re.sub(pattern, replacement, word)
        found = sorted(glob.glob(os.path.join(folder, word))) if "*" in word else []
        words += [os.path.relpath(path, folder) for path in found] or [word]
    for flags in matches(SHORTER, command):
        if flags.startswith("-- ") and "--" in words:
            flags = flags[3:]
        words += flags.split()
    return words


def run(command, folder):
    """Run a command in the working folder.

    Raises:
        AssertionError: it did not end with 0.
        UserError: what the command says of its input.
    """
    words = stand_in(command, folder)
    if "a training" in matches(SLOW, command):
        _run_process(words, command.environment, folder)
        return
    main, argv = main_of(words)
    before = os.getcwd()
    os.chdir(folder)
    try:
        with mock.patch.dict(os.environ, command.environment):
            assert main(argv) in (None, 0), command.text
    finally:
        os.chdir(before)


def _run_process(words, environment, folder):
    """Run a training, which wants a process of its own."""
    words = ["python", "-m", "dgl.cli"] + words[1:] if words[0] == "dgl" else words
    words = [sys.executable] + words[1:] if words[0] == "python" else words
    given = {pattern.strip("^$"): replacement for pattern, replacement in STAND_INS}
    environment = {name: given.get(value, value) for name, value in environment.items()}
    environment = dict(os.environ, PYTHON=sys.executable, **environment)
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done = subprocess.run(words, cwd=folder, env=environment, **output)
    assert done.returncode == 0, done.stdout.decode("utf-8", "replace")[-3000:]
