#!/usr/bin/env python3
"""A worker: keeps a share of all pictures back for testing, always the same ones. Needs nothing but Python."""

import json
import sys

for line in sys.stdin:
    request = json.loads(line)
    share = request["options"].get("share", 0.1)
    # Depends on the picture's content alone: new photos and new names move no other picture.
    place = int(request["digest"][:8], 16) / 2**32
    if (place < share) == request["options"].get("for_testing", False):
        answer = {"outputs": [{"same": True}]}
    else:
        answer = {"reject": f"held out: its place is {place:.3f}", "kind": "held_out"}
    print(json.dumps({"id": request["id"], **answer}), flush=True)
