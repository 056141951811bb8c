#!/bin/sh
# Usage: inner-certificate.sh DIRECTORY
# Makes inner.crt and inner.key there: by it nginx, the servers, NATS and Prometheus know each other. It lasts ten years; nothing is replaced.
set -eu
directory=${1:?"usage: $0 DIRECTORY"}
mkdir -p "$directory"
cd "$directory"
for file in inner.crt inner.key; do
  if [ -e "$file" ]; then
    echo "$directory/$file is there already; take it away to make a new one" >&2
    exit 1
  fi
done
names=DNS:blobs,DNS:localhost,IP:127.0.0.1
for number in 0 1 2 3; do
  names="$names,DNS:blobs-$number,DNS:nats-$number,DNS:nats-$number.nats"
done
umask 077
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj /CN=blobs \
  -addext "subjectAltName=$names" -keyout inner.key -out inner.crt
chmod 0644 inner.crt
