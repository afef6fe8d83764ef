#!/bin/sh
# Debian's QEMU, for the tests of the firmware on the cores of other chips:
# qemu-system-arm (every run) or qemu-system-riscv32 (campaigns).
set -eu
program=${1:-qemu-system-arm}
command -v "$program" >/dev/null 2>&1 && exit 0
case "$program" in
qemu-system-arm) packages=qemu-system-arm ;;
# Debian 12 has it among others, Debian 13 apart.
qemu-system-riscv32) packages="qemu-system-riscv qemu-system-misc" ;;
*) echo "openams: no machine of QEMU is run by $program" >&2 && exit 1 ;;
esac
if ! command -v apt-get >/dev/null 2>&1 || [ "$(id -u)" != 0 ]; then
    echo "openams: no $program: run  sudo apt-get install ${packages##* }  and try again" >&2
    exit 1
fi
apt-get update -q
for package in $packages; do
    apt-cache show "$package" >/dev/null 2>&1 || continue
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$package"
    command -v "$program" >/dev/null 2>&1 && exit 0
done
echo "openams: no package of this machine has $program" >&2
exit 1
