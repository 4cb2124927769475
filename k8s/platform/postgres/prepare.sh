#!/bin/sh
# Make the database cluster where there is none, and the role and database of MLflow with the password of the Secret.
# DATA: folder of the cluster. PASSWORD_FILE: file with the password. Can be repeated; an initdb that was cut off is
# begun anew.
set -eu
umask 077
: "${DATA:?folder of the database cluster}" "${PASSWORD_FILE:?file with the password of the role mlflow}"
PATH=/usr/lib/postgresql/15/bin:$PATH

password=$(cat "$PASSWORD_FILE")
case $password in
  '') echo "$PASSWORD_FILE is empty: a password is needed" >&2; exit 1 ;;
  *[!A-Za-z0-9_.~-]*) echo "$PASSWORD_FILE: allowed are letters, digits and _ . ~ -" >&2; exit 1 ;;
esac

if [ ! -e "$DATA" ]; then
  rm -rf "$DATA.new"
  initdb --pgdata="$DATA.new" --username=postgres --auth=peer --encoding=UTF8 --locale=C.UTF-8 --data-checksums
  mv "$DATA.new" "$DATA"
fi
chmod 0700 "$DATA"

# Without a server: nobody can connect before the roles are right.
single() {
  postgres --single -j -D "$DATA" -c exit_on_error=on postgres >/dev/null
}

single <<SQL
DO \$\$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'mlflow') THEN CREATE ROLE mlflow LOGIN; END IF;
END \$\$;

SET password_encryption = 'scram-sha-256';

ALTER ROLE mlflow PASSWORD '$password';

SQL

found="$DATA.databases"
echo "SELECT 'found' FROM pg_database WHERE datname = 'mlflow'" \
  | postgres --single -D "$DATA" -c exit_on_error=on postgres >"$found"
if ! grep -q '"found"' "$found"; then
  echo "CREATE DATABASE mlflow OWNER mlflow" | postgres --single -D "$DATA" -c exit_on_error=on postgres >/dev/null
fi
rm -f "$found"
echo "the database mlflow is there"
