#!/bin/sh
# Creates or upgrades both of Temporal's databases. Safe to run again: each step skips what is there.
set -eu
SQL_PASSWORD="$(cat /run/secrets/postgres_password)"
export SQL_PASSWORD
for pair in temporal:temporal temporal_visibility:visibility; do
  database="${pair%%:*}"
  schema="postgresql/v12/${pair##*:}"
  temporal-sql-tool --database "$database" create-database
  temporal-sql-tool --database "$database" setup-schema --version 0.0
  temporal-sql-tool --database "$database" update-schema --schema-name "$schema"
done
