"""``python -m tests.sql.law --queries 100000 --seed N``: the long run, which prints differences made small."""

from __future__ import annotations

import argparse
import sys
import time

from tests.sql.law.cases import Case, cases
from tests.sql.law.compare import Difference
from tests.sql.law.homes import Plain, ours
from tests.sql.law.run import Summary, minimised, run, told

_PROGRESS_EVERY = 1000


def main() -> int:
    """Run the law as the arguments say.

    Returns:
        1 where a query differs, else 0.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.sql.law", description=__doc__)
    parser.add_argument("--queries", type=int, default=2000, help="how many random queries (default: 2000)")
    parser.add_argument("--seed", type=int, default=0, help="of the chance (default: 0)")
    parser.add_argument("--most", type=int, default=1, help="after so many differences it ends (default: 1)")
    arguments = parser.parse_args()
    started = time.monotonic()

    def progress(number: int, summary: Summary) -> None:
        if number % _PROGRESS_EVERY == 0 and number:
            seconds = time.monotonic() - started
            print(f"{number} queries, {len(summary.differences)} differ, {seconds:.0f} s", flush=True)

    plain = Plain()
    with ours() as tested:

        def show(case: Case, found: Difference) -> None:
            print(f"\n{'=' * 80}\n{told(*minimised(case, found, plain, tested))}", flush=True)

        all_cases = cases(arguments.seed, arguments.queries)
        summary = run(all_cases, plain, tested, most=arguments.most, progress=progress, on_difference=show)
    invalid = sum(summary.invalid.values())
    print(
        f"\n{summary.compared} compared, {len(summary.differences)} differ, {invalid} that "
        f"plain DuckDB refuses, {time.monotonic() - started:.0f} s, seed {arguments.seed}"
    )
    return 1 if summary.differences else 0


if __name__ == "__main__":
    sys.exit(main())
