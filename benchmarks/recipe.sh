#!/bin/sh
# Print the runs of the results page for queue.sh, the most telling first.
#
#     sh benchmarks/recipe.sh ../shared/data > QUEUE
data=$1
few='--train-images 120 --epochs 100'
line() { # regime, set, method, seed, out of distribution, more options
    echo "$1/$2/$3/seed$4 --data $data/$2 --ood $data/$5 --method $3 --seed $4 $6"
}
empty() { # regime, set, training, method, seed, more options; for windows.py
    other=ccp_person
    case $2 in ccp_person*) other=kvasir_seg_320 ;; esac
    echo "$1/$2/$3/seed$5 --data $data/$2 --ood $data/dtd_ood --other $data/$other" \
        "--method $4 --seed $5 $6"
}
sets='ccp_person dsb2018_nuclei sd_saliency_900 mt_defect kvasir_seg_320'
for seed in 0 1 2; do
    for method in bce band; do
        for set in $sets; do
            empty few "$set" $method $method $seed "$few --shift"
            line few_swap "$set" $method $seed dtd_ood "$few --swap"
            empty all "$set" $method $method $seed --shift
        done
        for set in kvasir_seg_320 ccp_person_320; do
            [ $method = bce ] && continue # below, with another domain
            line pretrained "$set" $method $seed dtd_ood_320 '--network pretrained --shift'
        done
    done
    for set in kvasir_seg_320 ccp_person_320; do
        other=ccp_person_320
        [ "$set" = ccp_person_320 ] && other=kvasir_seg_320
        for kind in bce bce_windows; do
            more=--shift
            [ $kind = bce_windows ] && more='--replace .125 --shift'
            echo "pretrained/$set/$kind/seed$seed --data $data/$set" \
                "--ood $data/dtd_ood_320 --other $data/$other --method bce" \
                "--seed $seed --network pretrained $more"
        done
    done
    for set in $sets; do
        empty few "$set" monai_patches bce $seed "$few --patches"
        empty few "$set" bce_windows bce $seed "$few --replace .125"
        empty few "$set" band_windows band $seed "$few --replace .125"
        for method in mc me fb slp smoothing; do
            empty few "$set" $method $method $seed "$few"
        done
        empty all "$set" bce_windows16 bce $seed '--replace .0625 --shift'
    done
    for set in $sets; do
        for method in svls crac ml1_ace_band adafocal adafocal_band; do
            line few "$set" $method $seed dtd_ood "$few"
        done
    done
done
