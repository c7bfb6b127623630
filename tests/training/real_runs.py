"""Real trainings in processes of their own.

    python real_runs.py SCRIPT FLAGS [FLAGS ...]

runs the script once per FLAGS, each time in a new graph. With ``--still`` before SCRIPT,
training takes the validation view, so that it does not depend on the order of the images.
"""

import os
import runpy
import subprocess
import sys

MARK = "== training"


def run(command, folder, timeout=300):
    """Run a command in ``folder``; returns its output, standard error included."""
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=str(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=timeout,
    )
    text = done.stdout.decode("utf-8", "replace")
    assert done.returncode == 0, text[-4000:]
    return text


def train(root, folder, *trainings, still=False):
    """Train VGGs one after another in one new process; returns the output of each."""
    script = os.path.join(root, "train_code", "dgl_vgg.py")
    flag = ["--still"] if still else []
    text = run([__file__, *flag, script, *trainings], folder)
    return text.split(MARK)[1:]


def load_last(folder):
    """Variable name -> value of a log folder's last checkpoint."""
    from dgl.tf_compat import tf

    reader = tf.train.load_checkpoint(str(folder))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def main(script, *trainings):
    if script == "--still":
        from dgl.data import flows

        flows.random_training_view = lambda image, size, _: flows.validation_view(image, size)
        script, *trainings = trainings
    from dgl.tf_compat import tf

    train_main = runpy.run_path(script)["main"]
    for flags in trainings:
        print(MARK, flush=True)
        with tf.Graph().as_default():
            train_main(flags.split())


if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    main(*sys.argv[1:])
