#!/bin/sh
# The first start writes a configuration with every key as a comment, which you edit; restart the add-on after a change.
set -eu
config=/config/myceliumd.toml
[ -e "$config" ] || myceliumd init >"$config"
exec myceliumd run --config "$config" --data-dir /config/data
