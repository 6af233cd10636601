#!/bin/sh
# A batch: lets through what has some detail. A picture of which nothing much can be told is a small PNG.
set -eu
least=$1
tab=$(printf '\t')

while IFS="$tab" read -r change id input out rest; do
    if [ "$change" = removed ]; then
        continue
    fi
    bytes=$(($(wc -c < "$input")))
    if [ "$bytes" -lt "$least" ]; then
        printf '{"id":%s,"reject":"%s bytes say it all","kind":"no_detail"}\n' "$id" "$bytes"
    else
        cp "$input" "$out/picture.png" # your own program here
        printf '{"id":%s,"outputs":[{"file":"picture.png","facts":{"png_bytes":%s}}]}\n' "$id" "$bytes"
    fi
done < "$CATGEN_DELTA"
