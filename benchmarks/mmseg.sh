#!/bin/sh
# Levels in MMSegmentation itself: a stock config, the doctor's patch, its own tools/train.py.
#
#     sh benchmarks/mmseg.sh ../shared/data/kvasir_seg_320 RUNS
#
# Four trainings with two seeds, ten minutes each on one core. RUNS/LEVELS/seedK/test
# keeps what `mmaslp test` measured; a training that was killed goes on.
set -e
data=$(realpath "$1") runs=$(realpath -m "$2") here=$(realpath "$(dirname "$0")")
export OMP_NUM_THREADS=1 PYTHONPATH=$here:$PYTHONPATH
mim=$(python -c 'import mmseg, os; print(os.path.dirname(mmseg.__file__))')/.mim
mkdir -p "$runs"
cd "$runs"
# MMSegmentation's own tools do not read mmseg:: in _base_.
sed "s#'mmseg::#'$mim/configs/#" "$here/mmseg/fpn_polyp.py" > stock.py
for seed in 0 1; do
    for levels in none band image_band image; do
        out=$levels/seed$seed
        [ -e $levels.py ] || mmaslp doctor stock.py --data "$data" --levels $levels \
            --patch $levels.py
        [ -e $out/epoch_12.pth ] || python "$mim/tools/train.py" $levels.py --resume \
            --work-dir $out --cfg-options randomness.seed=$seed \
            default_hooks.checkpoint.interval=1 default_hooks.checkpoint.max_keep_ckpts=1
        mmaslp test $levels.py $out/epoch_12.pth --eval ece iou --overwrite \
            --work-dir $out/test
    done
done
