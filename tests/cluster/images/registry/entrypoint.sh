#!/bin/sh
# As in the public image: a configuration file or `serve` starts the registry, any other command is run as it is.
set -e
case "$1" in
    *.yaml | *.yml) set -- registry serve "$@" ;;
    serve | garbage-collect | help | -*) set -- registry "$@" ;;
esac
exec "$@"
