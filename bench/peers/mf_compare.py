"""The comparisons of bench/peers/mf. See that script; not meant to be started directly."""

import argparse
import importlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import mf_data

HERE = pathlib.Path(__file__).resolve().parent
DRIVERS = mf_data.ROOT / "build" / "bench" / "bench"
# Each module has compare(options): it yields the records that report() makes.
COMPARISONS = {"ials-cg": "mf_als", "ials-direct": "mf_als", "explicit": "mf_als", "spark": "mf_als",
               "sgd": "mf_sgd"}


def last_json(process):
    if process.returncode != 0:
        sys.exit(f"{' '.join(map(str, process.args))}\n{process.stdout}{process.stderr}")
    return json.loads(process.stdout.strip().splitlines()[-1])


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


def interleave(rounds, contenders):
    """Runs every contender once per round, in turn: {name: function -> result with seconds, loss}."""
    runs = {name: [] for name in contenders}
    loads = []
    for _ in range(rounds):
        for name, run in contenders.items():
            loads.append(os.getloadavg()[0])
            runs[name].append(run())
    return runs, loads


def cpu_median(results):
    """Processor seconds per epoch, all threads together: steadier than wall time on a busy machine."""
    seconds = [s for r in results for s in r.get("cpu_seconds", [])]
    return statistics.median(seconds) if seconds else None


def report(what, runs, loads, ours="gradmill", allowed_loss=1.001):
    """Prints a comparison and returns its record. Equal quality: our loss is at most the peer's
    times allowed_loss."""
    record = {"comparison": what, "loadavg": [round(x, 2) for x in loads], "results": []}
    timing = {}
    for name, results in runs.items():
        seconds = [s for r in results for s in r["seconds"]]
        timing[name] = (min(seconds), statistics.median(seconds))
    for name, results in runs.items():
        entry = {"name": name, "min_s": timing[name][0], "median_s": timing[name][1],
                 "cpu_median_s": cpu_median(results), "loss": results[-1]["loss"], "peak_mb": results[-1].get("peak_mb"),
                 "version": results[-1].get("version"), "blas": results[-1].get("blas")}
        line = f"{what:44} {name:18} min {entry['min_s']:8.4f} s  median {entry['median_s']:8.4f} s  "
        line += f"loss {entry['loss']:.6g}"
        if name != ours:
            entry["ratio_min"] = timing[name][0] / timing[ours][0]
            entry["ratio_median"] = timing[name][1] / timing[ours][1]
            entry["equal_quality"] = bool(runs[ours][-1]["loss"] <= results[-1]["loss"] * allowed_loss)
            line += f"  {entry['ratio_min']:.2f}x / {entry['ratio_median']:.2f}x"
            if entry["cpu_median_s"]:
                entry["ratio_cpu"] = entry["cpu_median_s"] / record["results"][0]["cpu_median_s"]
                line += f", CPU time {entry['ratio_cpu']:.2f}x"
            line += "" if entry["equal_quality"] else "  QUALITY DIFFERS"
        print(line, flush=True)
        record["results"].append(entry)
    print(f"{'':44} load average {min(loads):.1f} to {max(loads):.1f}", flush=True)
    return record


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
    cpu = next(line.split(":")[1].strip() for line in open("/proc/cpuinfo") if "model name" in line)
    result = {"cpu": cpu, "cores": os.cpu_count(), "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
              "records": []}
    for name in options.comparisons or COMPARISONS:
        if not (HERE / f"{COMPARISONS[name]}.py").exists():
            print(f"{name}: {COMPARISONS[name]}.py is not there, skipped")
            continue
        module = importlib.import_module(COMPARISONS[name])
        for record in module.compare(name, options):
            result["records"].append(record)
            pathlib.Path(options.json).write_text(json.dumps(result, indent=1) + "\n")
    print(f"written: {options.json}")


if __name__ == "__main__":
    main()
