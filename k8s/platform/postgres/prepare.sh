#!/bin/sh
# Make the database cluster where there is none, and for each file in PASSWORDS a role and a database of its name with
# the password that the file holds. DATA: folder of the cluster. Can be repeated; an initdb that was cut off is begun anew.
set -eu
umask 077
: "${DATA:?folder of the database cluster}" "${PASSWORDS:?folder with a file for each role, its password in it}"
PATH=/usr/lib/postgresql/15/bin:$PATH

password_of() {
  password=$(cat "$1")
  case $password in
    '') echo "$1 is empty: a password is needed" >&2; exit 1 ;;
    *[!A-Za-z0-9_.~-]*) echo "$1: allowed are letters, digits and _ . ~ -" >&2; exit 1 ;;
  esac
}

# Before anything is made.
roles=''
for file in "$PASSWORDS"/*; do
  [ -e "$file" ] || { echo "$PASSWORDS holds no passwords" >&2; exit 1; }
  case ${file##*/} in
    postgres | [!a-z]* | *[!a-z_]*) echo "$file: a role's name is of a to z and _, and not postgres" >&2; exit 1 ;;
  esac
  password_of "$file"
  roles="$roles ${file##*/}"
done

if [ ! -e "$DATA" ]; then
  rm -rf "$DATA.new"
  initdb --pgdata="$DATA.new" --username=postgres --auth=peer --encoding=UTF8 --locale=C.UTF-8 --data-checksums
  mv "$DATA.new" "$DATA"
fi
chmod 0700 "$DATA"

# Without a server: nobody can connect before the roles are right.
for role in $roles; do
  password_of "$PASSWORDS/$role"
  postgres --single -j -D "$DATA" -c exit_on_error=on postgres >/dev/null <<SQL
DO \$\$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '$role') THEN CREATE ROLE $role LOGIN; END IF;
END \$\$;

SET password_encryption = 'scram-sha-256';

ALTER ROLE $role PASSWORD '$password';

SQL

  found="$DATA.databases"
  echo "SELECT 'found' FROM pg_database WHERE datname = '$role'" \
    | postgres --single -D "$DATA" -c exit_on_error=on postgres >"$found"
  if ! grep -q '"found"' "$found"; then
    echo "CREATE DATABASE $role OWNER $role" | postgres --single -D "$DATA" -c exit_on_error=on postgres >/dev/null
  fi
  rm -f "$found"
  echo "the database $role is there"
done
