"""Packs files and folders as `sam package` does, and prints how many bytes they have unpacked and packed."""

import io
import sys
import zipfile
from pathlib import Path

archive = io.BytesIO()
unpacked = 0
with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
    for given in map(Path, sys.argv[1:]):
        for path in [given, *given.rglob("*")]:
            if path.is_file() and "__pycache__" not in path.parts:
                packed.write(path, path.relative_to(given.parent))
                unpacked += path.stat().st_size
print(unpacked, archive.getbuffer().nbytes)
