"""Tables from files, read whole: CSV, and Parquet where pyarrow is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
    import pandas as pd

_PARQUET_MARK = b"PAR1"


def read_table(path: Path) -> pd.DataFrame:
    """Read a table.

    Args:
        path: A Parquet file, or a text with a row a line, in UTF-8, with commas between (tabs where its name ends in
            .tsv). Its cells stay texts: "NA", "007" and "1.0" are themselves, and only empty cells are NULL.

    Returns:
        The table.

    Raises:
        InputError: The file cannot be read.
        OSError: The file cannot be opened.
    """
    import pandas as pd

    with path.open("rb") as file:
        is_parquet = file.read(len(_PARQUET_MARK)) == _PARQUET_MARK
    if is_parquet:
        try:
            return pd.read_parquet(path)
        except ImportError:
            raise InputError(
                "Parquet files need pyarrow, not installed here. Install with: "
                'pip install "huggingface_api_handler[parquet]"'
            ) from None
        except (OSError, ValueError) as error:
            raise InputError(f"{path} cannot be read as Parquet: {error}") from None
    separator = "\t" if path.suffix == ".tsv" else ","
    try:
        return pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, na_values=[""], encoding="utf-8-sig")
    except ValueError as error:  # of pandas' parser, of its decoder, and of a file without a line
        raise InputError(f"{path} cannot be read as CSV: {error}") from None
