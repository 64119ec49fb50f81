#!/bin/sh
# Installs what is missing: Tesseract with French and English, and a virtual environment from the hash-locked file.
# In a folder with only this script and the lock file it installs the dependencies, and when run again the project itself, as
# deploy/Dockerfile does.
# usage: scripts/setup.sh LOCKFILE     (requirements.lock, or requirements-dev.lock for tests and checks)
set -eu
cd "$(dirname "$0")/.."
lock=$1

say() { printf '%s\n' "$*" >&2; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

can_apt() {
    command -v apt-get >/dev/null && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }
}

apt_install() {
    say "installing $* with apt-get"
    DEBIAN_FRONTEND=noninteractive as_root apt-get install -y -qq "$@" >/dev/null 2>&1 || {
        as_root apt-get update -qq
        DEBIAN_FRONTEND=noninteractive as_root apt-get install -y -qq "$@" >/dev/null
    }
}

has_tesseract() {
    command -v tesseract >/dev/null || return 1
    languages=$(tesseract --list-langs 2>/dev/null) || return 1
    printf '%s\n' "$languages" | grep -qx fra && printf '%s\n' "$languages" | grep -qx eng
}

if ! has_tesseract; then
    if can_apt; then
        apt_install tesseract-ocr tesseract-ocr-fra
    elif command -v brew >/dev/null; then
        say "installing tesseract with Homebrew"
        brew install --quiet tesseract tesseract-lang
    fi
    has_tesseract || {
        say "Tesseract with French and English is missing, and this script may not install it here."
        say "Install it (Debian, Ubuntu: sudo apt-get install tesseract-ocr tesseract-ocr-fra; Fedora: sudo dnf install"
        say "tesseract tesseract-langpack-fra; macOS: brew install tesseract tesseract-lang) and run this again."
        exit 1
    }
fi

find_python() {
    for candidate in ${PYTHON:-} python3.13 python3.12 python3.11 python3.14 python3; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    say "Python 3.11 to 3.14 is needed and was not found; install it, or name it: make PYTHON=/path/to/python3.12 ..."
    exit 1
}

if ! [ -x .venv/bin/python ]; then
    python=$(find_python)
    say "making .venv with $("$python" --version)"
    if ! "$python" -m venv .venv 2>/dev/null; then
        rm -rf .venv
        version=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
        can_apt && apt_install "$version"
        "$python" -m venv .venv || {
            rm -rf .venv
            say "$python cannot make a virtual environment; on Debian and Ubuntu: sudo apt-get install $version"
            exit 1
        }
    fi
fi

stamp=.venv/installed-$(basename "$lock")
if ! cmp -s "$lock" "$stamp"; then
    say "installing the packages of $lock (a minute or two the first time)"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r "$lock"
    cp "$lock" "$stamp"
fi
[ -f pyproject.toml ] || exit 0
if ! [ -x .venv/bin/notaflow ] || ! cmp -s pyproject.toml .venv/installed-pyproject.toml; then
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
    cp pyproject.toml .venv/installed-pyproject.toml
fi
