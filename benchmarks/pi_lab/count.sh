#!/bin/bash
# count.sh MODEL.tflite [--cpu CPU] [--runtime litert|tflite] [--invokes N]
#          [--warmup N] [--signature NAME] [--no-xnnpack] [--dir DIR] [--verbose]
#
# Prints one JSON line with the guest instructions that one invoke takes
# (README.md explains the fields). CPU: cortex-a53, cortex-a72 (default) or
# cortex-a76. DIR is what was given to setup.sh (default: $FRAMESTEP_PI_LAB,
# else ~/.cache/framestep-pi-lab).
set -euo pipefail
usage() { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
model='' cpu=cortex-a72 runtime=litert verbose='' pass=()
dir=${FRAMESTEP_PI_LAB:-${HOME:-/tmp}/.cache/framestep-pi-lab}
while [ $# -gt 0 ]; do
    case $1 in
        --cpu) cpu=${2:?}; shift ;;
        --runtime) runtime=${2:?}; shift ;;
        --dir) dir=${2:?}; shift ;;
        --invokes|--warmup|--signature) pass+=("$1" "${2:?}"); shift ;;
        --no-xnnpack) pass+=("$1") ;;
        --verbose) verbose=1 ;;
        -*) usage ;;
        *) [ -z "$model" ] || usage; model=$1 ;;
    esac
    shift
done
[ -n "$model" ] || usage
[ -r "$model" ] || { echo "count: cannot read $model" >&2; exit 2; }
case $cpu in
    cortex-a53|cortex-a72|cortex-a76) ;;
    *) echo "count: unknown CPU $cpu" >&2; usage ;;
esac
if ! [ -d "$dir/arm64/$runtime" ] || ! [ -x "$dir/arm64/bin/python3" ]; then
    echo "count: no $runtime in $dir; run setup.sh $dir first" >&2
    exit 2
fi
dir=$(realpath "$dir")

tmp=$(mktemp -d /tmp/pi_count.XXXXXXXX)
trap 'rm -rf "$tmp"' EXIT
ln -s "$(realpath "$model")" "$tmp/model.tflite"
cp "$here/guest_count.py" "$tmp/count.py"
# Same environment, same argument lengths, no address randomisation (where the
# container allows to switch it off): the guest then does the same every time.
fixed=()
setarch -R true 2>/dev/null && fixed=(setarch -R)
rc=0
(cd "$tmp" && exec env -i HOME=/ LANG=C.UTF-8 PATH=/usr/bin:/bin PYTHONHASHSEED=0 \
    PYTHONDONTWRITEBYTECODE=1 OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 \
    PI_LAB_CPU="$cpu" PI_LAB_RUNTIME="$runtime" PI_LAB_LOG="$tmp/log" \
    PI_LAB_PLUGIN="$dir/insn.so,log=$tmp/log" "${fixed[@]}" "$dir/arm64/bin/python3" \
    count.py model.tflite --cpu "$cpu" --runtime "$runtime" ${pass[@]+"${pass[@]}"}
) >"$tmp/out" 2>"$tmp/err" || rc=$?
if [ $rc -ne 0 ] || [ -n "$verbose" ]; then cat "$tmp/err" >&2; fi
[ $rc -eq 0 ] || { echo "count: the guest ended with status $rc" >&2; exit $rc; }
cat "$tmp/out"
