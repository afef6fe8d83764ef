#!/bin/sh
# Debian's QEMU, for the tests of the firmware on the cores of other chips:
# qemu-system-arm (every run) or qemu-system-riscv32 (campaigns).
set -eu
. "$(dirname "$0")/debian.sh"
program=${1:-qemu-system-arm}
command -v "$program" >/dev/null 2>&1 && exit 0
case "$program" in
qemu-system-arm) packages=qemu-system-arm ;;
# Debian 12 has it among others, Debian 13 apart.
qemu-system-riscv32) packages="qemu-system-riscv qemu-system-misc" ;;
*) echo "openams: no machine of QEMU is run by $program" >&2 && exit 1 ;;
esac
debian_update "no $program" "${packages##* }"
for package in $packages; do
    apt-cache show "$package" >/dev/null 2>&1 || continue
    debian_install "$package"
    command -v "$program" >/dev/null 2>&1 && exit 0
done
echo "openams: no package of this machine has $program" >&2
exit 1
