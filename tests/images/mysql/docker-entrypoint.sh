#!/bin/bash
# The interface of the official image's entrypoint: MYSQL_ROOT_PASSWORD(_FILE), _DATABASE, _USER,
# _PASSWORD(_FILE), _ROOT_HOST, _ALLOW_EMPTY_PASSWORD, _RANDOM_ROOT_PASSWORD, and
# /docker-entrypoint-initdb.d at the first start.
set -Eeo pipefail

data=/var/lib/mysql
socket=/var/run/mysqld/mysqld.sock

note() { printf '[Entrypoint]: %s\n' "$*"; }

fail() {
  printf '[ERROR] [Entrypoint]: %s\n' "$*" >&2
  exit 1
}

# file_env VAR [DEFAULT]: VAR, or the content of the file VAR_FILE names, never both.
file_env() {
  local var=$1 file=$1_FILE
  if [ -n "${!var}" ] && [ -n "${!file}" ]; then
    fail "Both $var and $file are set (but are exclusive)"
  fi
  if [ -n "${!file}" ]; then
    export "$var=$(< "${!file}")"
  else
    export "$var=${!var:-$2}"
  fi
  unset "$file"
}

read_environment() {
  file_env MYSQL_ROOT_HOST '%'
  file_env MYSQL_DATABASE
  file_env MYSQL_USER
  file_env MYSQL_PASSWORD
  file_env MYSQL_ROOT_PASSWORD
}

check_environment() {
  if [ -z "$MYSQL_ROOT_PASSWORD$MYSQL_ALLOW_EMPTY_PASSWORD$MYSQL_RANDOM_ROOT_PASSWORD" ]; then
    fail 'Database is uninitialized and password option is not specified' \
      '(MYSQL_ROOT_PASSWORD, MYSQL_ALLOW_EMPTY_PASSWORD or MYSQL_RANDOM_ROOT_PASSWORD)'
  fi
  if [ "$MYSQL_USER" = root ]; then
    fail 'MYSQL_USER="root": MYSQL_USER and MYSQL_PASSWORD are for a regular user'
  fi
  if [ -n "$MYSQL_USER" ] && [ -z "$MYSQL_PASSWORD" ]; then
    note 'MYSQL_USER specified, but not MYSQL_PASSWORD; MYSQL_USER will not be created'
  fi
}

# literal TEXT: TEXT as a string in SQL, quotes included.
literal() {
  local text=${1//\\/\\\\}
  printf "'%s'" "${text//\'/\\\'}"
}

# option TEXT: TEXT as a value in an option file, quotes included.
option() {
  local text=${1//\\/\\\\}
  printf '"%s"' "${text//\"/\\\"}"
}

# As root over the socket. The password comes by a file that is a pipe, never by an argument.
client() {
  local program=$1
  shift
  "$program" --defaults-extra-file=<(
    printf '[client]\nuser=root\nprotocol=socket\nsocket=%s\n' "$socket"
    [ -z "$root_password" ] || printf 'password=%s\n' "$(option "$root_password")"
  ) "$@"
}

sql() { client mysql --comments "$@"; }

set_up_accounts() {
  local password=$MYSQL_ROOT_PASSWORD
  if [ -n "$MYSQL_RANDOM_ROOT_PASSWORD" ]; then
    password=$(head -c 24 /dev/urandom | base64)
    note "GENERATED ROOT PASSWORD: $password"
  fi
  {
    # Not for replicas: the accounts belong to this server alone.
    echo 'SET @@SESSION.SQL_LOG_BIN=0;'
    printf 'ALTER USER root@localhost IDENTIFIED BY %s;\n' "$(literal "$password")"
    if [ -n "$MYSQL_ROOT_HOST" ] && [ "$MYSQL_ROOT_HOST" != localhost ]; then
      printf 'CREATE USER root@%s IDENTIFIED BY %s;\n' \
        "$(literal "$MYSQL_ROOT_HOST")" "$(literal "$password")"
      printf 'GRANT ALL ON *.* TO root@%s WITH GRANT OPTION;\n' "$(literal "$MYSQL_ROOT_HOST")"
    fi
    echo 'DROP DATABASE IF EXISTS test;'
  } | sql mysql
  root_password=$password
  {
    if [ -n "$MYSQL_DATABASE" ]; then
      printf "CREATE DATABASE IF NOT EXISTS \`%s\`;\n" "$MYSQL_DATABASE"
    fi
    if [ -n "$MYSQL_USER" ] && [ -n "$MYSQL_PASSWORD" ]; then
      printf "CREATE USER %s@'%%' IDENTIFIED BY %s;\n" \
        "$(literal "$MYSQL_USER")" "$(literal "$MYSQL_PASSWORD")"
      if [ -n "$MYSQL_DATABASE" ]; then
        printf "GRANT ALL ON \`%s\`.* TO %s@'%%';\n" \
          "${MYSQL_DATABASE//_/\\_}" "$(literal "$MYSQL_USER")"
      fi
    fi
  } | sql mysql
}

run_init_file() {
  # shellcheck disable=SC1090
  case $1 in
    *.sh) if [ -x "$1" ]; then "$1"; else . "$1"; fi ;;
    *.sql) sql ${MYSQL_DATABASE:+"$MYSQL_DATABASE"} < "$1" ;;
    *.sql.gz) gunzip --stdout "$1" | sql ${MYSQL_DATABASE:+"$MYSQL_DATABASE"} ;;
    *) note "ignoring $1" ;;
  esac
}

# As upstream: a start that is interrupted from here on leaves $data/mysql behind, and the next
# one takes that for a finished database.
initialise() {
  local file root_password=
  note 'Initializing database files'
  "$@" --initialize-insecure --default-time-zone=SYSTEM --autocommit=1
  note 'Starting temporary server'
  # On the socket alone: nobody may connect before there is a password.
  "$@" --daemonize --skip-networking --mysqlx=OFF --default-time-zone=SYSTEM --socket="$socket" \
    --log-error=/var/run/mysqld/init.log || { cat /var/run/mysqld/init.log >&2; exit 1; }
  set_up_accounts
  for file in /docker-entrypoint-initdb.d/*; do
    if [ -e "$file" ]; then run_init_file "$file"; fi
  done
  note 'Stopping temporary server'
  client mysqladmin shutdown
  rm -f /var/run/mysqld/init.log
  note 'MySQL init process done. Ready for start up.'
}

if [ "${1:0:1}" = - ]; then set -- mysqld "$@"; fi
if [ "$1" = mysqld ]; then
  # Before root is dropped: a secret may be readable by its owner alone.
  read_environment
  mkdir -p "$data" "${socket%/*}"
  if [ "$(id -u)" = 0 ]; then
    find "$data" "${socket%/*}" \! -user mysql -exec chown --no-dereference mysql '{}' +
    note "Switching to dedicated user 'mysql'"
    exec setpriv --reuid=mysql --regid=mysql --init-groups -- "$0" "$@"
  fi
  if [ ! -d "$data/mysql" ]; then
    check_environment
    initialise "$@"
  fi
fi
exec "$@"
