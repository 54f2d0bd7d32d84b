"""An artifact as one archive in memory, so that it can be pickled."""

from __future__ import annotations

import io
import shutil
import zipfile
from pathlib import Path


def packed(folder: Path) -> bytes:
    """The files of an artifact as one archive."""
    archived = io.BytesIO()
    with zipfile.ZipFile(archived, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
    return archived.getvalue()


def unpack(artifact: bytes, folder: Path) -> None:
    folder.mkdir()
    with zipfile.ZipFile(io.BytesIO(artifact)) as archive:
        for name in archive.namelist():
            if Path(name).name != name:
                raise ValueError(f"{name!r} is no file of a model")
            with archive.open(name) as source, open(folder / name, "wb") as target:
                shutil.copyfileobj(source, target)
