#!/bin/sh -e
# All figures of docs/nnunet.md: sh benchmarks/nnunet.sh DATA, see nnunet.py.
cd "$(dirname "$0")"
export OMP_NUM_THREADS=1 nnUNet_def_n_proc=1 PYTHONPATH="$PWD/..:$PYTHONPATH"
export nnUNet_extTrainer=$(python -m mmaslp.integrations.nnunet):$PWD/nnunet_trainers
export nnUNet_n_proc_DA=1  # the planner refuses 0
python nnunet.py layout "$1"
python nnunet.py toy
for id in 501 502; do
  nnUNetv2_extract_fingerprint -d $id -np 1
  nnUNetv2_plan_experiment -d $id
done
python nnunet.py plans
nnUNetv2_preprocess -d 501 -c 2d -np 1
nnUNetv2_preprocess -d 502 -c 3d_fullres -np 1

export nnUNet_n_proc_DA=0  # batches in the order of their seeds
person=$nnUNet_results/Dataset501_Person
for trainer in ShortDefault ShortBandLevels; do
  nnUNetv2_train 501 2d 0 -tr $trainer -device cpu --npz
  nnUNetv2_predict -d 501 -c 2d -f 0 -tr $trainer -device cpu --save_probabilities \
    -i $nnUNet_raw/Dataset501_Person/imagesTs -npp 1 -nps 1 \
    -o $person/${trainer}__nnUNetPlans__2d/test
done
python nnunet.py noise ShortDefault
python nnunet.py views ShortDefault
python nnunet.py table ShortDefault ShortBandLevels

# In 3-D: killed in its sixth epoch and resumed; uninterrupted.
fold=$nnUNet_results/Dataset502_Balls/ShortestBandLevels__nnUNetPlans__3d_fullres/fold_0
ball() { nnUNetv2_train 502 3d_fullres 0 -tr ShortestBandLevels -device cpu "$@"; }
ball > /dev/null & killed=$!
until [ -f $fold/checkpoint_latest.pth ]; do sleep 0.2; done
kill -9 $killed
ball --c --npz
mv $fold $fold.resumed
ball --npz
python nnunet.py same $fold.resumed $fold
