#!/usr/bin/env bash
# Measure this project on a GPU, in about six minutes: scripts/gpu_check.sh [FOLDER]. Prints the
# seconds of configs/monet.cfg twice, and once without cuDNN's trials, and what its log says, a table
# of steps, a longer run twice, of which the second compiles nothing, whether runs repeat and resume
# to the byte, the cost of 8192x6144 px in tiles, and batches. Each part has a time limit of its own,
# so that one that hangs leaves time for the others; what parts print is also kept in FOLDER.
set -uo pipefail
checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=${1:-gpu_check}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
# Of an earlier check, whose runs would be found finished.
rm -rf "$folder"/{once,again,stopped,long_1,long_2,cache,driver}
python=${PYTHON:-python3}
export PYTHONPATH=$checkout${PYTHONPATH:+:$PYTHONPATH} TF_CPP_MIN_LOG_LEVEL=${TF_CPP_MIN_LOG_LEVEL:-3}
# So that the first run is a first one, also for what NVIDIA's driver compiles of kernels for which
# TensorFlow has no machine code.
export XDG_CACHE_HOME=$folder/cache CUDA_CACHE_PATH=$folder/driver
mkdir -p "$CUDA_CACHE_PATH"
unset PYTHONDONTWRITEBYTECODE # without bytecode, an import takes twice as long
failures=0

part() { # NAME SECONDS COMMAND...
    local name=$1 limit=$2 began=$SECONDS
    shift 2
    echo "== $name"
    timeout --kill-after=5 "$limit" "$@" >"$folder/$name.txt" 2>"$folder/$name.err" &
    local group=$! # of all its processes: those that a part started may outlive it
    wait $group
    local status=$?
    kill -KILL -- -$group 2>/dev/null
    cat "$folder/$name.txt"
    if [ $status -ne 0 ]; then
        failures=$((failures + 1))
        echo "$name failed with status $status:"
        grep -v '^[IWE][0-9]' "$folder/$name.err" | tail -n 30
    fi
    echo "== $name took $((SECONDS - began)) s"
}

bench() { "$python" "$checkout/scripts/bench.py" "$@"; }
run() { # NAME FLAGS...: a run of the sample pictures, in place of the shell
    local name=$1
    shift
    exec "$python" -m nst_keras.run --content="$checkout/configs/images/harbor.jpg" \
        --style="$checkout/configs/images/lily_pond.jpg" --workdir="$folder/$name" --gif=false \
        --noscores --size=256 "$@"
}
kept_by_driver() { echo "kept by the driver: $(du -sk "$CUDA_CACHE_PATH" | cut -f1) KiB"; }
same() { cmp "$folder/$1/result.png" "$folder/$2/result.png" && echo "$1 and $2: the same bytes"; }

# Two runs, and a third one that is stopped and goes on.
repeats() {
    local flags=(--deterministic --checkpoint_every=20 "$@")
    (run once "${flags[@]}") && (run again "${flags[@]}") && same once again || return 1
    run stopped "${flags[@]}" &
    local job=$!
    while kill -0 $job 2>/dev/null && ! ls "$folder"/stopped/checkpoints/*.npz >/dev/null 2>&1; do
        sleep 0.1
    done
    kill -TERM $job 2>/dev/null
    wait $job
    [ $? -eq 75 ] || { echo "it had ended before it was stopped"; return 1; }
    (run stopped "${flags[@]}") && same once stopped
}

# A run that is long enough for XLA; what it says of its plan, of XLA and of its time.
long() {
    local name=$1
    (run "$name" --size=512 --scales=1 --iterations=3000) 2>&1 | tee "$folder/$name.log" |
        grep -E ' (plan|xla|time): | step [0-9]+/'
    return "${PIPESTATUS[0]}"
}

export -f bench kept_by_driver run same repeats long
export python checkout folder

part first_job 55 bash -c 'bench job && kept_by_driver'
part second_job 45 bash -c 'bench job && kept_by_driver'
# How much of it is cuDNN, which tries its algorithms for each size of a convolution, and what steps
# take without that.
part job_without_trials 45 env TF_CUDNN_USE_AUTOTUNE=0 "$python" "$checkout/scripts/bench.py" job
part steps 110 bash -c 'bench step --sweep --seconds=80'
part first_long_run 80 bash -c 'long long_1'
part second_long_run 55 bash -c 'long long_2'
part repeats 60 bash -c 'repeats'
part tiles 55 bash -c 'bench tiling --size=8192x6144 --whole=2048x1536 --tile_sizes=2048 --rounds=1'
part batch_of_4 40 bash -c 'bench job --batch=4'
part batch_of_16 50 bash -c 'bench job --batch=16'
echo "$failures of 10 parts failed; in all $SECONDS s"
exit $((failures > 0))
