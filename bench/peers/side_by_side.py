"""What the comparisons of bench/peers share: interleaved rounds, tables, JSON."""

import json
import os
import pathlib
import statistics
import sys
import time


def last_json(process):
    """The JSON on the last line that a finished process wrote."""
    if process.returncode != 0:
        sys.exit(f"{' '.join(map(str, process.args))}\n{process.stdout}{process.stderr}")
    return json.loads(process.stdout.strip().splitlines()[-1])


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
                 "cpu_median_s": cpu_median(results), "loss": results[-1]["loss"],
                 "load_s": min((r["load_s"] for r in results if "load_s" in r), default=None),
                 "peak_mb": results[-1].get("peak_mb"),
                 "version": results[-1].get("version"), "blas": results[-1].get("blas")}
        line = f"{what:44} {name:22} min {entry['min_s']:8.4f} s  median {entry['median_s']:8.4f} s  "
        line += f"loss {entry['loss']:.8g}"
        if name != ours:
            entry["ratio_min"] = timing[name][0] / timing[ours][0]
            entry["ratio_median"] = timing[name][1] / timing[ours][1]
            entry["equal_quality"] = bool(runs[ours][-1]["loss"] <= results[-1]["loss"] * allowed_loss)
            line += f"  {entry['ratio_min']:.2f}x / {entry['ratio_median']:.2f}x"
            if entry["cpu_median_s"] and record["results"][0]["cpu_median_s"]:
                entry["ratio_cpu"] = entry["cpu_median_s"] / record["results"][0]["cpu_median_s"]
                line += f", CPU time {entry['ratio_cpu']:.2f}x"
            line += "" if entry["equal_quality"] else "  QUALITY DIFFERS"
        print(line, flush=True)
        record["results"].append(entry)
    print(f"{'':44} load average {min(loads):.1f} to {max(loads):.1f}", flush=True)
    return record


def machine():
    cpu = next(line.split(":")[1].strip() for line in open("/proc/cpuinfo") if "model name" in line)
    return {"cpu": cpu, "cores": os.cpu_count(), "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


def write_records(path, records):
    """Yields the records on, after each of which the file holds all so far."""
    result = machine() | {"records": []}
    for record in records:
        result["records"].append(record)
        pathlib.Path(path).write_text(json.dumps(result, indent=1) + "\n")
        yield record
    print(f"written: {path}")
