#!/bin/bash
# setup.sh [DIR] - build the Pi lab in DIR, without touching the rest of the
# machine. Default DIR: $FRAMESTEP_PI_LAB, else ~/.cache/framestep-pi-lab.
#
# Runs as root or not, in a container without privileges: no chroot, no
# binfmt_misc, no foreign architecture added to dpkg. Steps already done with
# the same versions are skipped, so it can be run again at will.
# Needs here: x86-64; apt-get with Debian 12 "bookworm" sources (or such a
# .list or .sources file named in $PI_LAB_SOURCES, used in their place); gcc;
# python3 with pip; setarch (util-linux).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
usage() { sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; exit 2; }
case ${1:-} in -*) usage ;; esac
[ $# -le 1 ] || usage
dir=${1:-${FRAMESTEP_PI_LAB:-${HOME:-/tmp}/.cache/framestep-pi-lab}}
mkdir -p "$dir/.stamp"
dir=$(cd "$dir" && pwd)
case $dir in *[[:space:]\":]*) echo "setup: no blanks, quotes, colons in $dir" >&2; exit 2 ;; esac
t0=$SECONDS
say() { echo "setup: $*"; }
fail() { echo "setup: $*" >&2; exit 1; }

# ---- versions: the fixed ones (the Debian packages are bookworm's newest) ----
PY=3.11
LITERT=(ai-edge-litert==2.1.6 numpy==2.4.6 flatbuffers==25.12.19 protobuf==7.36.2 tqdm==4.70.1
        typing-extensions==4.16.0 backports.strenum==1.2.8)
TFLITE=(tflite-runtime==2.14.0 numpy==1.26.4)    # the last tflite-runtime needs numpy < 2
QEMU_PKGS=(qemu-user libcapstone4 liburing2)
# What else qemu-user links to, unpacked only where the machine lacks any of it.
QEMU_LIBS=(libglib2.0-0 libgnutls30 libnuma1 zlib1g libp11-kit0 libidn2-0 libunistring2 libtasn1-6
           libnettle8 libhogweed6 libgmp10 libffi8 libpcre2-8-0)
# The guest: CPython and the libraries that its standard modules and the wheels need.
ROOT_PKGS=(libc6 libgcc-s1 libstdc++6 libgomp1 zlib1g libexpat1 libssl3 libffi8 libbz2-1.0
           liblzma5 libsqlite3-0 libuuid1 libncursesw6 libtinfo6 libreadline8 libcrypt1 libdb5.3
           libpython3.11-minimal libpython3.11-stdlib python3.11-minimal libpython3.11)

# ---- tools of this machine ---------------------------------------------------
for tool in apt-get dpkg-deb gcc python3 setarch; do
    command -v "$tool" >/dev/null || fail "$tool is missing; install it first"
done
python3 -m pip --version >/dev/null 2>&1 || fail "python3 has no pip; install python3-pip first"
echo '#include <stdio.h>' | gcc -E - >/dev/null 2>&1 || fail "gcc finds no headers; install libc6-dev first"

# ---- a private apt: own lists, cache and status, two architectures -----------
apt=$dir/.apt
trap 'rm -rf "$apt"' EXIT
apt_ready=
apt_update() {
    [ -z "$apt_ready" ] || return 0
    apt_ready=1
    mkdir -p "$apt"/{state/lists/partial,cache/archives/partial}
    : > "$apt/status"
    cat > "$apt/apt.conf" <<END
Dir::State "$apt/state"; Dir::State::status "$apt/status";
Dir::Cache "$apt/cache";
APT::Architecture "amd64";
APT::Architectures { "amd64"; "arm64"; };
APT::Sandbox::User ""; Acquire::Languages "none"; Acquire::Retries "3";
END
    if [ -n "${PI_LAB_SOURCES:-}" ]; then      # only this file, not the machine's own
        mkdir -p "$apt/parts"
        cp "$PI_LAB_SOURCES" "$apt/parts/"
        echo "Dir::Etc::sourcelist \"/dev/null\"; Dir::Etc::sourceparts \"$apt/parts\";" >> "$apt/apt.conf"
    fi
    say "apt-get update (private)"
    # One index of several may fail for a moment; what counts is the next line.
    apt-get -c "$apt/apt.conf" update >"$apt/update.log" 2>&1 ||
        say "note: apt-get update was incomplete: $(grep -m1 ^E: "$apt/update.log" || true)"
    apt-cache -c "$apt/apt.conf" show libpython3.11:arm64 >/dev/null 2>&1 || {
        cat "$apt/update.log" >&2
        fail "no python3.11 for arm64 in the apt sources: Debian bookworm's are needed (see PI_LAB_SOURCES)"
    }
}
unpack() {             # unpack ARCH ROOT PACKAGE...: download and unpack there
    local arch=$1 root=$2 p d
    shift 2
    apt_update
    d=$(mktemp -d "$apt/debs.XXXX")
    mkdir -p "$root"
    (cd "$d" && apt-get -c "$apt/apt.conf" -qq download "${@/%/:$arch}")
    for p in "$d"/*.deb; do
        dpkg-deb -x "$p" "$root"
        # shellcheck disable=SC2016  # the format is dpkg's, not the shell's
        dpkg-deb -W --showformat='${Package} ${Version} ${Architecture}\n' "$p" >> "$versions"
    done
    rm -rf "$d"
}
begin() {              # begin NAME KEY...: true if NAME must be (re)done for KEY
    current=$1
    shift
    key=$*
    if [ "$(cat "$dir/.stamp/$current" 2>/dev/null)" = "$key" ]; then
        say "$current: already there"
        return 1
    fi
    say "$current: building ($key)"
    rm -f "$dir/.stamp/$current"
    versions=$dir/.stamp/$current.versions
    : > "$versions"
}
finish() { echo "$key" > "$dir/.stamp/$current"; }

# ---- 1. QEMU, user mode ------------------------------------------------------
qemu() { LD_LIBRARY_PATH=$dir/qemu/lib "$dir/qemu/bin/qemu-aarch64" "$@"; }
if begin qemu "${QEMU_PKGS[@]}"; then
    rm -rf "$dir/qemu" "$dir/.q"
    unpack amd64 "$dir/.q" "${QEMU_PKGS[@]}"
    mkdir -p "$dir/qemu/bin" "$dir/qemu/lib"
    cp "$dir/.q/usr/bin/qemu-aarch64" "$dir/qemu/bin/"
    take() {
        cp -a "$dir"/.q/usr/lib/x86_64-linux-gnu/*.so.* "$dir/qemu/lib/"
        cp -a "$dir"/.q/lib/x86_64-linux-gnu/*.so.* "$dir/qemu/lib/" 2>/dev/null || true
    }
    take
    if LD_LIBRARY_PATH=$dir/qemu/lib ldd "$dir/qemu/bin/qemu-aarch64" | grep -q "not found"; then
        say "qemu: unpacking the other libraries it links to as well"
        unpack amd64 "$dir/.q" "${QEMU_LIBS[@]}"
        take
    fi
    rm -rf "$dir/.q"
    finish
fi
say "$(qemu --version | head -1)"
qemu --help | grep -q -- -plugin || fail "this QEMU has no plugins"

# ---- 2. the counting plugin, and what calls it --------------------------------
if begin plugin "$(sha256sum < "$here/insn.c" | cut -c1-16)"; then
    gcc -O2 -Wall -fPIC -fvisibility=hidden -shared -o "$dir/insn.so" "$here/insn.c"
    finish
fi
cp "$here/count.sh" "$here/guest_count.py" "$here/run_in_pi.sh" "$dir/"

# ---- 3. the guest: root, runtimes, one view per CPU, python3 wrapper ----------
wheels() {             # wheels FOLDER PACKAGE...: binary wheels of another machine
    local target=$1 p plat=()
    shift
    for p in manylinux2014 manylinux_2_{17,27,28,31,34,35,36}; do
        plat+=(--platform "${p}_aarch64")
    done
    rm -rf "$target"
    PIP_ROOT_USER_ACTION=ignore python3 -m pip install -q --no-compile --no-deps \
        --only-binary=:all: --implementation cp --python-version $PY --abi cp311 --abi abi3 --abi none \
        "${plat[@]}" --target "$target" "$@" 2> >(grep -v -e "Location 'file:" -e '^\[notice' >&2)
    printf '%s\n' "$@" >> "$versions"
}

# view CPU PART VARIANT REVISION FEATURES
# A directory for qemu -L: the guest root by links, with the /proc/cpuinfo and
# the CPU list of the board. QEMU's user mode would show the guest this
# machine's own; then XNNPACK does not recognise the core and takes generic
# kernels in place of those tuned for it.
view() {
    local v=$dir/arm64/cpu/$1 i c
    mkdir -p "$v/proc" "$v/sys/devices/system/cpu"
    for i in etc lib usr; do ln -sfn "../../root/$i" "$v/$i"; done
    for i in 0 1 2 3; do
        printf 'processor\t: %d\nBogoMIPS\t: 108.00\nFeatures\t: %s\n' "$i" "$5"
        printf 'CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: %s\n' "$3"
        printf 'CPU part\t: %s\nCPU revision\t: %s\n\n' "$2" "$4"
    done > "$v/proc/cpuinfo"
    c=$v/sys/devices/system/cpu
    for i in possible present online; do echo 0-3 > "$c/$i"; done
}

wrapper() {            # DIR/arm64/bin/python3: a host script that runs the guest's python,
    local name         # and is what the guest sees as sys.executable and first on PATH
    mkdir -p "$dir/arm64/bin"
    cat > "$dir/arm64/bin/python3" <<END
#!/bin/bash
# Written by setup.sh. Environment: PI_LAB_CPU, PI_LAB_RUNTIME (a folder beside
# bin: litert or tflite), PI_LAB_PLUGIN (argument for qemu -plugin).
d=$dir/arm64
paths=\${PYTHONPATH:-}
rt=\$d/\${PI_LAB_RUNTIME:-litert}
cpu=\${PI_LAB_CPU:-cortex-a72}
case :\$paths: in *:\$rt:*) ;; *) paths=\${paths:+\$paths:}\$rt ;; esac
case :\$PATH: in :\$d/bin:*) ;; *) PATH=\$d/bin:\$PATH ;; esac
LD_LIBRARY_PATH=$dir/qemu/lib exec $dir/qemu/bin/qemu-aarch64 \\
    -cpu "\$cpu" -L "\$d/cpu/\$cpu" -0 "\$d/bin/python3" \\
    \${PI_LAB_PLUGIN:+-seed 1 -plugin "\$PI_LAB_PLUGIN"} -U LD_LIBRARY_PATH -E PATH="\$PATH" \\
    -E PYTHONHOME="\$d/root/usr" -E PYTHONPATH="\$paths" -E PYTHONNOUSERSITE=1 \\
    "\$d/root/usr/bin/python$PY" "\$@"
END
    chmod +x "$dir/arm64/bin/python3"
    for name in python python$PY; do ln -sf python3 "$dir/arm64/bin/$name"; done
}

smoke() {              # smoke CPU RUNTIME: imports (and compiles) it once
    PI_LAB_CPU=$1 PI_LAB_RUNTIME=$2 "$dir/arm64/bin/python3" -c '
import platform, numpy, json, argparse, statistics, subprocess, sys
try: from ai_edge_litert.interpreter import Interpreter
except ImportError: from tflite_runtime.interpreter import Interpreter
child = subprocess.run([sys.executable, "-c", "import os; print(os.uname().machine)"],
                       capture_output=True, text=True, check=True).stdout.strip()
print("setup: ok:", platform.machine(), "python", platform.python_version(), "numpy",
      numpy.__version__, Interpreter.__module__, "child", child)'
}

if begin arm64-root "${ROOT_PKGS[@]}"; then
    rm -rf "$dir/arm64/root"
    unpack arm64 "$dir/arm64/root" "${ROOT_PKGS[@]}"
    rm -rf "$dir/arm64/root/usr/share/"{doc,man,lintian}
    : > "$dir/arm64/root/etc/ld.so.cache"      # hides this machine's own
    finish
fi
if begin arm64-litert "${LITERT[@]}"; then wheels "$dir/arm64/litert" "${LITERT[@]}"; finish; fi
if begin arm64-tflite "${TFLITE[@]}"; then wheels "$dir/arm64/tflite" "${TFLITE[@]}"; finish; fi
a8="fp asimd evtstrm crc32 cpuid"
view cortex-a53 0xd03 0x0 4 "$a8"                          # Pi 3, Zero 2 W
view cortex-a72 0xd08 0x0 3 "$a8"                          # Pi 4
view cortex-a76 0xd0b 0x4 1 "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"  # Pi 5
wrapper
smoke cortex-a72 litert
smoke cortex-a76 tflite

rm -rf "$apt"
{ qemu --version | head -1; sort -u "$dir"/.stamp/*.versions; } > "$dir/versions.txt"
say "done in $((SECONDS - t0)) s, $(du -sh "$dir" | cut -f1) in $dir; versions in versions.txt"
