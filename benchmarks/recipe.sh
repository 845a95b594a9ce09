#!/bin/sh
# Print the runs of the results page for queue.sh, the most telling first.
#
#     sh benchmarks/recipe.sh ../shared/data > QUEUE
data=$1
few='--train-images 120 --epochs 100'
line() { # regime, set, method, seed, out of distribution, more options
    echo "$1/$2/$3/seed$4 --data $data/$2 --ood $data/$5 --method $3 --seed $4 $6"
}
sets='ccp_person dsb2018_nuclei sd_saliency_900 mt_defect kvasir_seg_320'
for seed in 0 1 2; do
    for method in bce border; do
        for set in $sets; do
            line few "$set" $method $seed dtd_ood "$few --shift"
            line few_swap "$set" $method $seed dtd_ood "$few --swap"
            line all "$set" $method $seed dtd_ood --shift
        done
        for set in kvasir_seg_320 ccp_person_320; do
            line pretrained "$set" $method $seed dtd_ood_320 '--network pretrained --shift'
        done
    done
    for set in $sets; do
        for method in svls crac ml1_ace_band adafocal adafocal_band; do
            line few "$set" $method $seed dtd_ood "$few"
        done
    done
done
