#!/bin/sh
# A client of the /v1 face in sh, curl and coreutils, written from docs/protocol.md alone.
# Needs SERVER, and TOKEN for the bucket in BUCKET. Works in the current directory.
set -eu
base="$SERVER/v1/buckets/$BUCKET"
step=0

ok() { step=$((step + 1)); echo "ok $step $1"; }
fail() { echo "not ok: $1" >&2; exit 1; }
same() { [ "$1" = "$2" ] || fail "$3: $1 is not $2"; }
# Any request; the body goes to ./body, the headers to ./head, the status to $status.
ask() { status=$(curl -sS -o body -D head -w '%{http_code}' -H "Authorization: Bearer $TOKEN" "$@"); }
want() { same "$status" "$1" "$2 ($(cat body))"; }
field() { sed -n "s/.*\"$1\":\"\{0,1\}\([^\",}]*\).*/\1/p" body | head -n 1; }
header() { tr -d '\r' < head | sed -n "s/^$1: //p" | tail -n 1; }
hash() { sha256sum < "$1" | cut -c 1-64; }
size() { echo $(($(wc -c < "$1"))); }
newid() { od -An -N 16 -tx1 /dev/urandom | tr -d ' \n'; }
octets() { for byte in $(printf %s "$1" | fold -w 2); do printf "\\$(printf %03o "0x$byte")"; done; }
frames() {
  for chunk in "$@"; do octets "$(hash "$chunk")"; octets "$(printf %08x "$(size "$chunk")")"; cat "$chunk"; done
  octets "$(printf %072d 0)"
}

ask "$base"
want 404 'a bucket that is not there'
same "$(field code)" NotFound 'its code'
ask -X PUT "$base"
want 201 'making it'
ask -X PUT "$base"
want 409 'making it twice'
ok 'make a bucket'

printf 'hello\n' > hello
ask -T hello -H 'Content-Type: text/plain' -H 'If-None-Match: *' -H 'x-blobs-meta-mode: 644' "$base/blobs/notes/hello%20world.txt"
want 201 'a first put'
same "$(field version)" 1 'its version'
same "$(field hash)" "$(hash hello)" 'its hash'
etag=$(header etag)
ok 'put'

printf 'hello again\n' > again
ask -T again -H "If-Match: $etag" -H "x-blobs-sha256: $(hash again)" "$base/blobs/notes/hello%20world.txt"
want 200 'a put over the ETag'
same "$(field version)" 2 'its version'
ok 'conditional put'

ask -T hello -H "If-Match: $etag" "$base/blobs/notes/hello%20world.txt"
want 412 'a put over an old ETag'
same "$(field code)" VersionConflict 'its code'
grep -q '"current":{[^}]*"version":2' body || fail 'the conflict names the current version'
ask -T hello -H 'If-None-Match: *' "$base/blobs/notes/hello%20world.txt"
want 412 'a put where something is'
ok 'conflict'

ask -T hello -H "x-blobs-sha256: $(hash again)" "$base/blobs/notes/other"
want 422 'a put with the hash of other bytes'
ask "$base/blobs/notes/other"
want 404 'what was refused'
ok 'wrong hash'

ask -r 6-10 "$base/blobs/notes/hello%20world.txt"
want 206 'a range'
same "$(cat body)" again 'its bytes'
same "$(header content-range)" 'bytes 6-10/12' 'its place'
same "$(header x-blobs-meta-mode)" '' 'metadata is that of the version'
ask "$base/blobs/notes/hello%20world.txt?version=1"
cmp body hello || fail 'the first version'
same "$(header x-blobs-meta-mode)" 644 'its metadata'
ok 'range get, old version'

ask "$base/blobs?prefix=notes/"
want 200 'a listing'
same "$(field key)" 'notes/hello world.txt' 'its item'
grep -q '"complete":true' body || fail 'the listing says that it is complete'
ask "$base/blobs?delimiter=/"
grep -q '"prefixes":\["notes/"\]' body || fail 'folded listing'
ok 'list'

# A file of several chunks, cut at 64 KiB: any cut is valid.
seq 1 30000 > large
mkdir cut && split -b 65536 large cut/
refs='' hashes=''
for piece in cut/*; do
  refs="$refs,{\"hash\":\"$(hash "$piece")\",\"size\":$(size "$piece")}"
  hashes="$hashes,\"$(hash "$piece")\""
done
printf '{"hashes":[%s]}' "${hashes#,}" > hashes
ask -d @hashes "$base/chunks/missing"
want 200 'asking what is missing'
for piece in cut/*; do grep -q "$(hash "$piece")" body || fail "$piece is missing at first"; done
first=$(find cut -type f | sort | head -n 1)
frames "$first" > sent
ask --data-binary @sent -H 'Content-Type: application/vnd.blobs.frames' "$base/chunks"
want 200 'sending one'
ask -d @hashes "$base/chunks/missing"
if grep -q "$(hash "$first")" body; then fail 'what was sent is not missing'; fi
set --
for piece in cut/*; do if grep -q "$(hash "$piece")" body; then set -- "$@" "$piece"; fi; done
frames "$@" > sent
head -c 100000 sent > truncated
ask --data-binary @truncated -H 'Content-Type: application/vnd.blobs.frames' "$base/chunks"
want 400 'a body without its end'
ask --data-binary @sent -H 'Content-Type: application/vnd.blobs.frames' "$base/chunks"
want 200 'sending the rest'
same "$(field staged)" "$#" 'how many'
ask -d @hashes "$base/chunks/missing"
same "$(cat body)" '{"missing":[]}' 'nothing is missing'
ok 'chunks by frames'

id=$(newid)
printf '{"entries":[{"id":"%s","device":"curl","changes":[
  {"type":"put","key":"large","expect":"absent","hash":"%s","size":%d,"body":{"depth":0,"refs":[%s]},"contentType":"text/plain","meta":{}},
  {"type":"put","key":"copy","expect":"absent","hash":"%s","size":6,"body":{"copy":{"key":"notes/hello world.txt","version":1}},"contentType":"text/plain","meta":{}},
  {"type":"delete","key":"notes/hello world.txt","expect":{"version":2,"hash":"%s"}}]}]}' \
  "$id" "$(hash large)" "$(size large)" "${refs#,}" "$(hash hello)" "$(hash again)" > entries
ask -d @entries "$base/commit"
want 200 'a batch'
grep -q '"ok":true' body || fail "the batch happened: $(cat body)"
cp body outcome
ask -d @entries "$base/commit"
cmp body outcome || fail 'the same id gives the same outcome'
sed "s/$id/$(newid)/" entries > other
ask -d @other "$base/commit"
want 200 'a batch that conflicts'
grep -q '"ok":false' body || fail 'the second batch conflicts'
ask "$base/blobs/large"
cmp body large || fail 'the large file comes back'
ask "$base/blobs/copy"
cmp body hello || fail 'the copy comes back'
ask "$base/blobs/notes/hello%20world.txt"
want 404 'what was deleted'
same "$(header x-blobs-deleted)" true 'it is a tombstone'
ok 'commit a batch'

ask -d '{"wants":[{"key":"none","version":1},{"key":"copy","version":1}]}' "$base/fetch"
want 200 'fetching two'
{ octets "$(printf %064d 0 | tr 0 f)"; octets 00000000; frames hello; } > expected
cmp body expected || fail 'the frames of a fetch'
ok 'fetch'

ask "$base/changes"
want 200 'the changes'
same "$(grep -c '"type":"put"' body)" 4 'puts'
same "$(grep -c '"type":"delete"' body)" 1 'deletes'
tail -n 1 body | grep -q '"type":"bookmark"' || fail 'it ends with a bookmark'
cursor=$(tail -n 1 body | sed 's/.*"cursor":"\([^"]*\)".*/\1/')
ask -X DELETE "$base/blobs/copy"
want 204 'a delete'
ask "$base/changes?since=$cursor"
same "$(grep -c '"type"' body)" 2 'what happened since'
same "$(field key)" copy 'it is the delete'
ask "$base/changes?since=$(newid):2:$(newid)"
want 409 'a cursor of another history'
ok 'changes by cursor'

status=$(curl -sS -o body -w '%{http_code}' "$base")
want 401 'no token'
ask "${base}x"
want 403 'another bucket'
ok 'tokens'
echo done
