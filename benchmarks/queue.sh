#!/bin/sh
# Work through a list of runs, one at a time; start it twice for two processes.
#
#     sh benchmarks/queue.sh QUEUE RUNS
#
# A line of QUEUE is a folder below RUNS and the options of train.py. The list may be
# edited meanwhile. Finished runs are skipped, those of another process too.
queue=$1 runs=$2
export OMP_NUM_THREADS=1
# Keep freed memory: page faults are an eighth of the time.
export MALLOC_MMAP_THRESHOLD_=33554432 MALLOC_TRIM_THRESHOLD_=17179869184
while :; do
    started=
    while read -r folder options; do
        out=$runs/$folder
        [ -n "$folder" ] && [ ! -e "$out/run.json" ] && [ ! -e "$out/failed" ] || continue
        mkdir -p "$out"
        flock -n -E 9 "$out/lock" sh -c '
            [ -e "$0/run.json" ] || python "$1/train.py" --out "$0" $2 \
                >> "$0/log" 2>&1 || touch "$0/failed"' "$out" "$(dirname "$0")" "$options" \
            < /dev/null
        [ $? -eq 9 ] && continue
        started=1
        break
    done < "$queue"
    [ -n "$started" ] || break
done
