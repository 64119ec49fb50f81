#!/bin/sh
# Runs a command with NOTAFLOW_TEST_DATABASE_URL for a temporary PostgreSQL of the machine's own packages, for tests on
# another version than the embedded one. The server listens on a socket in a temporary folder, and is removed afterwards.
# usage: scripts/with_postgres.sh VERSION COMMAND [ARGUMENT...]     (VERSION as in /usr/lib/postgresql/VERSION, such as 15)
set -eu

say() { printf '%s\n' "$*" >&2; }

[ $# -ge 2 ] || { say "usage: $0 VERSION COMMAND [ARGUMENT...]"; exit 2; }
version=$1
shift

binaries=/usr/lib/postgresql/$version/bin
[ -x "$binaries/initdb" ] || binaries=$(pg_config --bindir 2>/dev/null || true)
if [ ! -x "$binaries/initdb" ] || ! "$binaries/postgres" --version | grep -q " $version[. ]"; then
    say "The server programs of PostgreSQL $version are not installed (Debian: apt-get install postgresql-$version, or"
    say "postgresql where that is the version of the release). Neither /usr/lib/postgresql/$version/bin nor pg_config has them."
    exit 3
fi

# PostgreSQL refuses to run as root
as_server() { "$@"; }
if [ "$(id -u)" = 0 ]; then
    id postgres >/dev/null 2>&1 || { say "there is no user postgres, as whom root could run the server"; exit 3; }
    as_server() { runuser -u postgres -- "$@"; }
fi

folder=$(mktemp -d "${TMPDIR:-/tmp}/notaflow-postgres-XXXXXX")
if [ "$(id -u)" = 0 ]; then chown postgres "$folder"; fi
chmod 755 "$folder"
end() {
    as_server "$binaries/pg_ctl" -D "$folder/data" -m immediate -s -w stop >/dev/null 2>&1 || true
    rm -rf "$folder"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

cd "$folder"
as_server "$binaries/initdb" -D "$folder/data" -U postgres -A trust -E UTF8 --locale=C --no-sync >/dev/null
# nothing of the tests needs to survive a power cut
as_server "$binaries/pg_ctl" -D "$folder/data" -l "$folder/log" -s -w start \
    -o "-c listen_addresses='' -k $folder -c fsync=off -c max_connections=300" || { cat "$folder/log" >&2; exit 1; }
cd "$OLDPWD"
say "PostgreSQL $("$binaries/postgres" --version | cut -d' ' -f3) for: $*"
NOTAFLOW_TEST_DATABASE_URL="postgresql://postgres@/postgres?host=$folder" "$@"
