# Debian's packages, for the scripts that source this: root installs them, anybody else is told how.

# debian_update LACK PACKAGE...: LACK is what is missing, in words. Ends the script where this may
# not install PACKAGE...
debian_update() {
    lack=$1
    shift
    if ! command -v apt-get >/dev/null 2>&1 || [ "$(id -u)" != 0 ]; then
        echo "openams: $lack: run  sudo apt-get install $*  and try again" >&2
        exit 1
    fi
    apt-get update -q
}

debian_install() {
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"
}
