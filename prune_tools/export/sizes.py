"""How large exported models are, as they lie there and packed."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path


def folder_bytes(path: str | Path) -> int:
    """Bytes of all files below a folder, or of one file."""
    return sum(file.stat().st_size for file in _files(Path(path)))


def zip_bytes(path: str | Path) -> int:
    """Bytes of a zip archive (deflate, level 6) of a file or of all files below a folder."""
    path, packed = Path(path), io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for file in _files(path):
            archive.write(file, file.relative_to(path.parent))
    return packed.getbuffer().nbytes


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
