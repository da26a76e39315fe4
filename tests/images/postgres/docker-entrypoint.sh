#!/bin/bash
# The interface of the official image's entrypoint: POSTGRES_PASSWORD(_FILE), _USER, _DB,
# _INITDB_ARGS, _HOST_AUTH_METHOD, and /docker-entrypoint-initdb.d at the first start.
set -Eeo pipefail

fail() {
  printf 'Error: %s\n' "$*" >&2
  exit 1
}

# file_env VAR [DEFAULT]: VAR, or the content of the file VAR_FILE names, never both.
file_env() {
  local var=$1 file=$1_FILE
  if [ -n "${!var}" ] && [ -n "${!file}" ]; then fail "both $var and $file are set"; fi
  if [ -n "${!file}" ]; then
    export "$var=$(< "${!file}")"
  else
    export "$var=${!var:-$2}"
  fi
  unset "$file"
}

refuse_old_data() {
  local folder
  [ "$PGDATA" = "/var/lib/postgresql/$PG_MAJOR/docker" ] || return 0
  for folder in /var/lib/postgresql /var/lib/postgresql/data /var/lib/postgresql/*/docker; do
    if [ -s "$folder/PG_VERSION" ]; then fail "there is an older database in $folder"; fi
  done
  if grep -qF ' /var/lib/postgresql/data ' /proc/self/mountinfo; then
    fail 'from 18 on the volume belongs at /var/lib/postgresql, not at /var/lib/postgresql/data'
  fi
}

sql() {
  psql -v ON_ERROR_STOP=1 --no-psqlrc --username "$POSTGRES_USER" "$@"
}

run_init_file() {
  # shellcheck disable=SC1090
  case $1 in
    *.sh) if [ -x "$1" ]; then "$1"; else . "$1"; fi ;;
    *.sql) sql --dbname "$POSTGRES_DB" --file "$1" ;;
    *.sql.gz) gunzip --stdout "$1" | sql --dbname "$POSTGRES_DB" ;;
    *) echo "ignoring $1" ;;
  esac
}

initialise() {
  local method=$POSTGRES_HOST_AUTH_METHOD file
  if [ -z "$POSTGRES_PASSWORD" ] && [ "$method" != trust ]; then
    fail 'Database is uninitialized and superuser password is not specified (POSTGRES_PASSWORD).'
  fi
  # The arguments come as one string, with quotes of their own.
  eval 'initdb --username="$POSTGRES_USER" --pwfile=<(printf "%s\n" "$POSTGRES_PASSWORD")' \
    "$POSTGRES_INITDB_ARGS"
  printf '\nhost all all all %s\n' "${method:-scram-sha-256}" >> "$PGDATA/pg_hba.conf"
  # These builds know /tmp alone; Debian's, and so the official image, have the socket elsewhere.
  printf "\nunix_socket_directories = '/var/run/postgresql, /tmp'\n" >> "$PGDATA/postgresql.conf"
  export PGPASSWORD=$POSTGRES_PASSWORD PGHOST=/var/run/postgresql
  pg_ctl --pgdata "$PGDATA" --options "-c listen_addresses='' -p ${PGPORT:-5432}" --wait start
  if [ "$POSTGRES_DB" != postgres ]; then
    sql --dbname postgres --set "db=$POSTGRES_DB" <<< 'CREATE DATABASE :"db";'
  fi
  for file in /docker-entrypoint-initdb.d/*; do
    if [ -e "$file" ]; then run_init_file "$file"; fi
  done
  pg_ctl --pgdata "$PGDATA" --mode fast --wait stop
  unset PGPASSWORD PGHOST
  printf '\nPostgreSQL init process complete; ready for start up.\n\n'
}

if [ "${1:0:1}" = - ]; then set -- postgres "$@"; fi
if [ "$1" = postgres ]; then
  # Before root is dropped: a secret may be readable by its owner alone.
  file_env POSTGRES_PASSWORD
  file_env POSTGRES_USER postgres
  file_env POSTGRES_DB "$POSTGRES_USER"
  file_env POSTGRES_INITDB_ARGS
  mkdir -p "$PGDATA"
  chmod 700 "$PGDATA" || :
  if [ "$(id -u)" = 0 ]; then
    find "$PGDATA" /var/run/postgresql \! -user postgres -exec chown postgres '{}' +
    exec setpriv --reuid=postgres --regid=postgres --init-groups -- "$0" "$@"
  fi
  if [ ! -s "$PGDATA/PG_VERSION" ]; then
    refuse_old_data
    initialise
  else
    echo 'PostgreSQL Database directory appears to contain a database; Skipping initialization'
  fi
fi
exec "$@"
