"""Make `tests/fixtures/storage_0_1_0`: what version 0.1.0 leaves on disk, and what it answered.

    python tools/make_upgrade_fixture.py PATH/TO/A/CHECKOUT/OF/0.1.0

Run it with the Python of an environment that has MindsDB 26.1 and what the handler needs. The package comes from the
checkout, whatever is installed beside it. It is put into that environment's MindsDB and taken out again.

A service on 127.0.0.1:47913 answers, in place of Hugging Face. It takes two minutes.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import importlib
import io
import json
import os
import sqlite3
import sys
import tarfile
import tempfile
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.support import upgrade  # noqa: E402 -- which imports nothing of the package

LABEL = "POSITIVE"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, help="a checkout of version 0.1.0")
    checkout = parser.parse_args().checkout.resolve()
    sys.path.insert(0, str(checkout))
    # MindsDB and its processes import the package too.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(checkout), os.environ.get("PYTHONPATH")]))
    os.environ[upgrade.KEY_VARIABLE] = upgrade.KEY
    import huggingface_api_handler

    found = Path(huggingface_api_handler.__file__).resolve().parents[1]
    if found != checkout or huggingface_api_handler.__version__ != "0.1.0":
        print(f"Version {huggingface_api_handler.__version__} in {found} is not 0.1.0 in {checkout}.", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with upgrade.the_port_to_itself(), upgrade.running_service(LABEL) as service:
            expected = {**_through_sql(folder, service), "calls": _from_python(folder / upgrade.PYTHON, service)}
        _pack(folder, checkout)
    upgrade.EXPECTED.write_text(_lines(expected), encoding="utf-8")
    print(f"{upgrade.ARCHIVE.name}: {upgrade.ARCHIVE.stat().st_size:,} bytes; ", end="")
    print(f"{upgrade.EXPECTED.name}: {upgrade.EXPECTED.stat().st_size:,} bytes")
    return 0


def _lines(expected: dict[str, Any]) -> str:
    """As JSON, a line for each model and each call."""
    parts = [
        f"{json.dumps(part)}: {{\n"
        + ",\n".join(f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in found.items())
        + "\n}"
        for part, found in expected.items()
    ]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _through_sql(folder: Path, service: upgrade.Service) -> dict[str, Any]:
    from huggingface_api_handler.demo.mindsdb_server import SQLError, running_mindsdb
    from huggingface_api_handler.demo.show import installed

    storage = folder / upgrade.MINDSDB
    storage.mkdir()
    variables = {
        "MINDSDB_STORAGE_DIR": str(storage),
        "HF_HOME": str(folder / upgrade.HF_HOME),
        upgrade.KEY_VARIABLE: upgrade.KEY,
    }
    with installed(), running_mindsdb(environment=variables) as server:
        server.upload(_table(folder), upgrade.TABLE.removeprefix("files."))
        for name, using in upgrade.ENGINES.items():
            server.sql(f"CREATE ML_ENGINE {name} FROM huggingface_api USING {_using(using)}")
        for name, using in upgrade.MODELS.items():
            server.sql(f"CREATE MODEL mindsdb.{name} PREDICT {upgrade.TARGET} USING {_using(using)}")
            server.wait_for_model(name)
        answers = {}
        for name, query in upgrade.QUERIES.items():
            first, asked = server.sql(query), len(service.asked)
            again = server.sql(query)
            if len(service.asked) != asked or sorted(map(str, again.rows)) != sorted(map(str, first.rows)):
                raise RuntimeError(f"0.1.0 does not find its own answers of {name}")
            answers[name] = {"columns": first.columns, "rows": first.rows}
        for query in upgrade.FAILING:
            with suppress(SQLError):  # the only row of a query
                server.sql(query)
        described = {name: _described(server, name) for name in upgrade.MODELS}
    return {"answers": answers, "described": described}


def _described(server: Any, model: str) -> dict[str, Any]:
    parts = {part: server.sql(f"DESCRIBE mindsdb.{model}.{part}") for part in ("settings", "task", "usage", "model")}
    usage = parts["usage"]
    return {
        "settings": dict(parts["settings"].rows),
        "given": {row[0]: row[3] for row in parts["task"].rows},
        "usage": [dict(zip(usage.columns, row, strict=True)) for row in usage.rows],
        "model": dict(parts["model"].rows),
    }


def _table(folder: Path) -> Path:
    file = folder / "rows.csv"
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(upgrade.ROWS)
        writer.writerows(zip(*upgrade.ROWS.values(), strict=True))
    return file


def _using(arguments: dict[str, Any]) -> str:
    return ", ".join(
        f"{name} = {repr(value) if isinstance(value, str) else json.dumps(value)}" for name, value in arguments.items()
    )


def _from_python(folder: Path, service: upgrade.Service) -> dict[str, Any]:
    import pandas as pd

    from huggingface_api_handler.inference import predict

    expected = {}
    for name, call in upgrade.CALLS.items():
        engine = {**call["engine"], "cache_dir": str(folder)}
        first = predict(pd.DataFrame(call["frame"]), call["using"], engine)
        asked = len(service.asked)
        again = predict(pd.DataFrame(call["frame"]), call["using"], engine)
        if first[f"{upgrade.TARGET}_error"].notna().any():
            raise RuntimeError(f"0.1.0 does not answer {name}: {first.to_dict()}")
        if len(service.asked) != asked or again.attrs["usage"]["stored"] != again.attrs["usage"]["distinct"]:
            raise RuntimeError(f"0.1.0 does not find its own answers of {name}")
        expected[name] = upgrade.plain(first)
    # A module of 0.1.0 only.
    importlib.import_module("huggingface_api_handler.inference.store").close_stores()
    return expected


PACKED = (upgrade.MINDSDB, upgrade.HF_HOME, upgrade.PYTHON)
LEFT_OUT = ("config.json", "temporary", "tmp", "log", "locks", "cache", "static")
"""Of MindsDB's folder: what it writes anew at each start, and the web page that it downloads."""


def _pack(folder: Path, checkout: Path) -> None:
    files = [file for top in PACKED for file in sorted((folder / top).rglob("*")) if file.is_file()]
    files = [file for file in files if not set(file.relative_to(folder).parts) & set(LEFT_OUT)]
    for file in files:
        if file.suffix in (".db", ".sqlite"):
            with closing(sqlite3.connect(file)) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    upgrade.FIXTURE.mkdir(parents=True, exist_ok=True)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for file in files:
            if not file.exists() or file.name.endswith(("-wal", "-shm")):
                continue
            content = file.read_bytes()
            for path in (folder, checkout, Path.home(), Path(sys.prefix)):
                if str(path).encode() + b"/" in content:
                    raise RuntimeError(f"{file.relative_to(folder)} holds the path {path}")
            member = tarfile.TarInfo(file.relative_to(folder).as_posix())
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
            print(f"  {member.name} ({member.size:,} bytes)")
    upgrade.ARCHIVE.write_bytes(gzip.compress(packed.getvalue(), mtime=0))


if __name__ == "__main__":
    sys.exit(main())
