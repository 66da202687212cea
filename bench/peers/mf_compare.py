"""The comparisons of bench/peers/mf. See that script; not meant to be started directly."""

import argparse
import importlib
import os
import pathlib
import subprocess
import sys
import tempfile

import mf_data
from side_by_side import last_json, write_records

HERE = pathlib.Path(__file__).resolve().parent
DRIVERS = mf_data.ROOT / "build" / "bench" / "bench"
# Each module has compare(options): it yields the records that report() makes.
COMPARISONS = {"ials-cg": "mf_als", "ials-direct": "mf_als", "explicit": "mf_als", "spark": "mf_als",
               "sgd": "mf_sgd"}


def run_peer(name, folder, **options):
    """One run of a peer with the fastest BLAS settings for it: detection by the library itself."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
    env |= {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(HERE)}
    if name == "spark":
        env["PYSPARK_PYTHON"] = sys.executable
    with tempfile.TemporaryDirectory(dir=mf_data.CACHE) as scratch:
        pairs = [f"{k}={v}" for k, v in (options | {"scratch": scratch}).items()]
        return last_json(subprocess.run([sys.executable, HERE / "mf_peer.py", name, folder, *pairs],
                                        env=env, capture_output=True, text=True))


def run_driver(driver, folder, judge, **options):
    """One run of gradmill's driver; judge(users, items) gives the loss of what it wrote."""
    import numpy as np

    with tempfile.TemporaryDirectory(dir=mf_data.CACHE) as output:
        flags = [f"--{k.replace('_', '-')}={v}" for k, v in options.items()]
        result = last_json(subprocess.run([DRIVERS / driver, folder, "--output", output, *flags],
                                          capture_output=True, text=True))
        factors = [np.fromfile(f"{output}/{side}.f32", np.float32).reshape(-1, options["factors"])
                   for side in ("users", "items")]
    result["loss"] = judge(*factors)
    return result


def main():
    parser = argparse.ArgumentParser(prog="bench/peers/mf", description=__doc__)
    parser.add_argument("comparisons", nargs="*", help=f"of {', '.join(COMPARISONS)}; default all")
    parser.add_argument("--quick", action="store_true", help="small data sets, few rounds")
    parser.add_argument("--rounds", type=int, help="default 5, quick 2")
    parser.add_argument("--factors", type=int, nargs="*", default=[64, 128, 256])
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--data", nargs="*", help="data sets, default those of each comparison")
    parser.add_argument("--json", default=str(mf_data.ROOT / "build" / "peers" / "mf.json"))
    options = parser.parse_args()
    for name in options.comparisons:
        if name not in COMPARISONS:
            parser.error(f"no comparison {name}; there are {', '.join(COMPARISONS)}")
    options.rounds = options.rounds or (2 if options.quick else 5)
    mf_data.CACHE.mkdir(parents=True, exist_ok=True)
    records = (record for name in options.comparisons or COMPARISONS
               for record in importlib.import_module(COMPARISONS[name]).compare(name, options))
    for _ in write_records(options.json, records):
        pass


if __name__ == "__main__":
    main()
