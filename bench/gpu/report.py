#!/usr/bin/env python3
"""Makes bench/gpu/run's report from kernels.json and the runs' metrics: report-DEVICE.md and .json.

  report.py FOLDER      the folder of kernels.json and runs/<algorithm>-k<factors>-gpus<ranks>/
"""
import json
import pathlib
import platform
import re
import sys
import time


def model_rows(runs):
    """Median ratings per second of each run's epochs but the first, which warms up."""
    for run in sorted(runs.glob("*-k*-gpus*")):
        algorithm, factors, gpus = re.fullmatch(r"(\w+)-k(\d+)-gpus(\d+)", run.name).groups()
        records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        rates = sorted(r["ratings_per_second"] for r in records[1:] if r.get("ratings_per_second"))
        if not rates:
            sys.exit(f"{run}/metrics.jsonl: no epoch has ratings_per_second")
        rate = rates[len(rates) // 2]
        yield {"model": algorithm, "factors": int(factors), "gpus": int(gpus), "epochs": len(rates),
               "ratings_per_s": rate, "ratings_per_s_per_gpu": rate / int(gpus)}


def table(head, rows):
    align = "| " + " | ".join("---" if i == 0 else "---:" for i in range(len(head))) + " |"
    return "\n".join(["| " + " | ".join(head) + " |", align] + ["| " + " | ".join(r) + " |" for r in rows])


def markdown(report):
    mark = " (simulated)" if report["simulated"] else ""
    kernels = [
        [k["kernel"], k["shape"], f"{k['median_s'] * 1e3:.3f}", f"{k['min_s'] * 1e3:.3f}", f"{k['gb_per_s']:.0f}",
         f"{k['gflop_per_s']:.0f}", f"{100 * k['share_of_limit']:.0f} %" if "share_of_limit" in k else "-"]
        for k in report["kernels"]
    ]
    models = [
        [m["model"], str(m["factors"]), str(m["gpus"]), f"{m['ratings_per_s'] / 1e6:.2f}",
         f"{m['ratings_per_s_per_gpu'] / 1e6:.2f}"]
        for m in report["models"]
    ]
    lines = [f"# gradmill on {report['device']}{mark}", "", f"{report['time']}, host {report['host']}, {report['system']}.", ""]
    if report["simulated"]:
        lines += ["**Simulated**: no real device was there. Kernel times are a model's estimates, model rates are those of "
                  "a CPU that executes GPU instructions. No figure on this page is a measurement of a GPU.", ""]
    if report["bytes_per_second"]:
        lines += [f"Limits by the data sheet's formula: {report['bytes_per_second'] / 1e9:.0f} GB/s, "
                  f"{report['flops_per_second'] / 1e12:.1f} TFLOP/s in fp32 without tensor cores.", ""]
    lines += [f"## Kernels{mark}", "",
              "GB/s and GFLOP/s count what a kernel's contract says must be moved and done. The last column is the least "
              "time by the device's limits, divided by the median time.", "",
              table(["kernel", "shape", "median ms", "least ms", "GB/s", "GFLOP/s", "of the limit"], kernels), "",
              f"## Models{mark}", "", "Millions of ratings per second; an epoch visits each once.", "",
              table(["model", "factors", "GPUs", "in all", "per GPU"], models), ""]
    return "\n".join(lines)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    report = json.loads((folder / "kernels.json").read_text())
    report["models"] = list(model_rows(folder / "runs"))
    report["time"] = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    report["host"], report["system"] = platform.node(), platform.platform()
    slug = re.sub(r"[^a-z0-9]+", "-", report["device"].lower()).strip("-")
    text = markdown(report)
    (folder / f"report-{slug}.json").write_text(json.dumps(report, indent=2) + "\n")
    (folder / f"report-{slug}.md").write_text(text)
    print(text)
    print(f"Report: {folder / f'report-{slug}.md'}")


if __name__ == "__main__":
    main()
