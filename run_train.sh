#!/bin/sh
# Train a classifier for DGL.
#
#   sh run_train.sh [BACKBONE [RECIPE]] [-- flags for the training script ...]
#
#   BACKBONE  vgg (default), resnet50, resnet50se, inceptionv3
#   RECIPE    birds      the embedded data, rendered on first use; from scratch (default)
#             scratch    any data in DATA, a small network from scratch, for a few hundred images
#             imagenet   ILSVRC in DATA, the paper's fine-tuning of ImageNet weights
#             cub        CUB-200-2011 in DATA, the paper's fine-tuning of ImageNet weights
#
# Environment: DATA (folder of the data set), GPU (like 0 or 0,1), LOGDIR (name below train_log/),
# BATCH, EPOCH, PYTHON. DRY_RUN=1 prints the command and does nothing else.
#
# Examples
#   sh run_train.sh                                         # the embedded data, a few minutes on a CPU
#   DATA=~/photos sh run_train.sh vgg scratch               # your own images, from scratch
#   DATA=/data/ILSVRC GPU=0,1 sh run_train.sh vgg imagenet  # the paper
#   sh run_train.sh vgg birds -- --resume                   # go on with an interrupted run
#
# The paper's commands, as `imagenet` and `cub` run them (ImageNet weights in pretrain_model/):
#   python train_code/dgl_vgg.py --gpu 0 --data DATA --imagenet --base-lr 0.002 --batch 32 \
#       --epoch 30 --load vgg --logdir vgg_imagenet
#   python train_code/dgl_resnet.py --mode resnet --gpu 0 --data DATA --imagenet --base-lr 0.002 \
#       --batch 32 --epoch 30 --load resnet50 --logdir resnet50_imagenet
#   python train_code/dgl_resnet.py --mode se --gpu 0 --data DATA --imagenet --base-lr 0.002 \
#       --batch 32 --epoch 2 --load resnet50se --logdir resnet50se_imagenet
#   python train_code/dgl_inceptionv3.py --gpu 0 --data DATA --imagenet --base-lr 0.002 --batch 32 \
#       --epoch 30 --load inceptionv3 --logdir inceptionv3_imagenet
# and the same with --cub, 30 epochs each.
set -eu

case ${DATA:-} in
"" | /*) ;;
*) DATA=$PWD/$DATA ;;
esac
cd "$(dirname "$0")"

fail() {
    echo "error: $1" >&2
    exit 2
}

usage() {
    sed -n '2,/^set -eu/p' "$0" | sed -e '/^set -eu/d' -e 's/^# \{0,1\}//'
}

backbone=vgg
recipe=birds
position=0
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help)
        usage
        exit 0
        ;;
    --)
        shift
        break
        ;;
    -*) fail "$1: flags for the training script come after --" ;;
    *)
        position=$((position + 1))
        case $position in
        1) backbone=$1 ;;
        2) recipe=$1 ;;
        *) fail "$1: expected at most a backbone and a recipe; flags come after --" ;;
        esac
        shift
        ;;
    esac
done

case $backbone in
vgg) script=dgl_vgg.py mode= ;;
resnet50) script=dgl_resnet.py mode="--mode resnet" ;;
resnet50se) script=dgl_resnet.py mode="--mode se" ;;
inceptionv3) script=dgl_inceptionv3.py mode= ;;
*) fail "backbone $backbone: choose vgg, resnet50, resnet50se or inceptionv3" ;;
esac

if [ -z "${PYTHON:-}" ]; then
    if [ -x .venv/bin/python ]; then
        PYTHON=.venv/bin/python
    else
        PYTHON=python3
    fi
fi

# From scratch: a quarter of the channels at 112 px, with BatchNorm where VGG has none.
small="--width 0.25 --final-size 112"
if [ "$backbone" = vgg ]; then
    small="$small --norm bn"
fi

case $recipe in
birds)
    DATA=${DATA:-data/birds}
    flags="$small --batch ${BATCH:-16} --base-lr 0.02 --epoch ${EPOCH:-24} --lr-epochs 16,21"
    ;;
scratch)
    flags="$small --batch ${BATCH:-16} --base-lr 0.03 --epoch ${EPOCH:-40} --lr-epochs 25,34"
    ;;
imagenet | cub)
    epochs=30
    if [ "$backbone-$recipe" = resnet50se-imagenet ]; then
        epochs=2
    fi
    flags="--$recipe --batch ${BATCH:-32} --base-lr 0.002 --epoch ${EPOCH:-$epochs} --load $backbone"
    ;;
*) fail "recipe $recipe: choose birds, scratch, imagenet or cub" ;;
esac

if [ -z "${DATA:-}" ]; then
    fail "recipe $recipe: set DATA to the folder of the data set"
fi
if [ -n "${GPU:-}" ]; then
    flags="$flags --gpu $GPU"
fi

# The fixed flags have no spaces; DATA and LOGDIR may.
# shellcheck disable=SC2086
set -- "$PYTHON" "train_code/$script" $mode $flags --data "$DATA" \
    --logdir "${LOGDIR:-${backbone}_$recipe}" "$@"
echo "$*"
if [ -n "${DRY_RUN:-}" ]; then
    exit 0
fi
if [ "$recipe" = birds ] && [ ! -e "$DATA" ]; then
    "$PYTHON" -m dgl.datasets.birds --out "$DATA"
fi
exec "$@"
