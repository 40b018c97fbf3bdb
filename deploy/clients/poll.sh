#!/bin/sh
# Prints the newest and every later feature record, one JSON answer a line: MYCELIUM_KEY=... poll.sh http://HOST:8600
query="" url=${1:-http://127.0.0.1:8600}/v1/features
ask() { printf 'X-API-Key: %s\n' "$MYCELIUM_KEY" | curl -fsS -m 60 -H @- "$url$1"; }
while :; do
  if answer=$(ask "$query"); then
    printf '%s\n' "$answer"
    query="?wait=25&since=$(printf '%s' "$answer" | sed -n 's/.*"next":\([0-9]*\).*/\1/p')"
  else sleep 5; fi
done
