#!/bin/sh
# Creates the namespace and Pilothouse's search attributes. Safe to run again.
set -eu
temporal operator namespace describe --namespace default >/dev/null 2>&1 ||
  temporal operator namespace create --namespace default --retention 720h
temporal operator search-attribute create --namespace default \
  --name PilothouseRepository --type Keyword \
  --name PilothouseEnvironment --type Keyword \
  --name PilothouseRevision --type Keyword \
  --name PilothousePhase --type Keyword \
  --name PilothouseOutcome --type Keyword
