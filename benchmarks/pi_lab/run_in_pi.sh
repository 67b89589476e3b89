#!/bin/bash
# run_in_pi.sh [--dir DIR] [--cpu CPU] [--runtime litert|tflite] python3 ARG...
#
# Runs a python command with the emulated Pi's python 3.11 and numpy, in the
# current directory and environment (PYTHONPATH is kept), for example:
#     run_in_pi.sh python3 -c 'import numpy; print(numpy.__version__)'
# CPU: cortex-a53, cortex-a72 (default), cortex-a76. sys.executable and
# 'python3' on PATH lead back into the emulation; any OTHER program that the
# python starts is this machine's own.
set -euo pipefail
usage() { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2; }
dir=${FRAMESTEP_PI_LAB:-${HOME:-/tmp}/.cache/framestep-pi-lab} cpu=cortex-a72 runtime=litert
while [ $# -gt 0 ]; do
    case $1 in
        --dir) dir=${2:?}; shift ;;
        --cpu) cpu=${2:?}; shift ;;
        --runtime) runtime=${2:?}; shift ;;
        python|python3|python3.11) shift; break ;;
        *) usage ;;
    esac
    shift
done
case $cpu in
    cortex-a53|cortex-a72|cortex-a76) ;;
    *) echo "run_in_pi: unknown CPU $cpu" >&2; usage ;;
esac
[ -x "$dir/arm64/bin/python3" ] || { echo "run_in_pi: nothing in $dir; run setup.sh $dir first" >&2; exit 2; }
dir=$(realpath "$dir")
export PI_LAB_CPU=$cpu PI_LAB_RUNTIME=$runtime
exec "$dir/arm64/bin/python3" "$@"
