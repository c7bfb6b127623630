#!/bin/sh
# The same as run_train.sh one folder up, for those who start in train_code/.
exec sh "$(dirname "$0")/../run_train.sh" "$@"
