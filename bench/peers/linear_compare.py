"""The comparisons of bench/peers/linear. See that script; not meant to be started directly."""

import argparse
import json
import os
import pathlib
import re
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np

import linear_data
import linear_optimum
import side_by_side

HERE = pathlib.Path(__file__).resolve().parent
BUILD = linear_data.ROOT / "build"
GRADMILL = BUILD / "bench" / "bin" / "gradmill"
WITHIN = 1e-5  # relative, of the best objective found: equal quality


def environment(threads):
    env = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
    return env | {"OPENBLAS_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(HERE)}


def run_peer(name, folder, **options):
    with tempfile.TemporaryDirectory(dir=linear_data.CACHE) as scratch:
        options |= {"scratch": scratch, "multicore": BUILD / "peers" / "liblinear-multicore"}
        command = [sys.executable, HERE / "linear_peer.py", name, folder, *(f"{k}={v}" for k, v in options.items())]
        return side_by_side.last_json(subprocess.run(command, env=environment(options.get("threads", 1)),
                                                     capture_output=True, text=True))


def read_tensor(path, name):
    """A tensor of a safetensors file: 8 bytes of length, a JSON header, the values."""
    data = pathlib.Path(path).read_bytes()
    size = int.from_bytes(data[:8], "little")
    entry = json.loads(data[8:8 + size])[name]
    begin, end = (8 + size + x for x in entry["data_offsets"])
    return np.frombuffer(data[begin:end], {"F32": np.float32, "F64": np.float64}[entry["dtype"]])


def run_gradmill(folder, threads, judge, whole=False, **keys):
    """The program itself, from text to model. seconds: training with its preparations, from the run's own clock;
    whole: from the start of the program to its end."""
    with tempfile.TemporaryDirectory(dir=linear_data.CACHE) as runs:
        settings = {"data.train": f"{folder}/train.svm", "data.holdout": 0, "run.dir": runs, "run.name": "run",
                    "train.device": "cpu", "train.threads": threads, "train.patience": 0, "checkpoint.every": 0}
        settings |= {k.replace("__", "."): v for k, v in keys.items()}
        flags = [x for k, v in settings.items() for x in ("--set", f"{k}={str(v).lower() if isinstance(v, bool) else v}")]
        start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        process = subprocess.run([GRADMILL, "train", "linear", *flags], capture_output=True, text=True)
        wall = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if process.returncode != 0:
            sys.exit(f"{' '.join(map(str, process.args))}\n{process.stdout}{process.stderr}")
        output = process.stdout + process.stderr
        records = [json.loads(line) for line in open(f"{runs}/run/metrics.jsonl")]
        read, prepared = map(float, re.search(r"read in ([0-9.]+) s, prepared in ([0-9.]+) s", output).groups())
        model = next(pathlib.Path(f"{runs}/run/model").glob("*.safetensors"))
        w, b = read_tensor(model, "coefficients"), read_tensor(model, "intercepts")
        return {"seconds": [wall if whole else prepared + records[-1]["seconds"]], "load_s": read,
                "loss": judge(w.astype(np.float64), float(b[0])), "epochs": len(records), "peak_mb": after.ru_maxrss / 1024,
                "cpu_seconds": [after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime] if whole else []}


class Problem:
    """A data set with a loss and penalty at C = 1, as LIBLINEAR states it: no intercept."""

    def __init__(self, name, loss, penalty):
        self.folder = linear_data.folder(name)
        self.x, self.y = linear_data.read(self.folder, "train")
        self.loss, self.penalty = loss, penalty

    def gradmill(self, threads, whole=False, **keys):
        rate = 1.0 / len(self.y)
        keys = {"loss__kind": self.loss, "model__intercept": False, "train__epochs": 1000,
                "optimizer__l2": 0 if self.penalty == "l1" else rate, "optimizer__l1": rate if self.penalty == "l1" else 0} | keys
        judge = lambda w, _: linear_data.objective(self.x, self.y, np.pad(w, (0, self.x.shape[1] - len(w))), self.loss,
                                                   self.penalty, 1)
        return lambda: run_gradmill(self.folder, threads, judge, whole, **keys)

    def peer(self, name, threads=1, **options):
        return lambda: run_peer(name, self.folder, loss=self.loss, penalty=self.penalty, cost=1, threads=threads,
                                **options)

    def sides(self, threads, ours, **peers):
        """One round each; equal quality is within WITHIN of the best objective of all."""
        return {"gradmill": self.gradmill(threads, **ours)} | peers


def best_loss(runs):
    return min(r["loss"] for results in runs.values() for r in results)


def compare_batch(what, problem, threads, ours, peers, rounds):
    contenders = {"gradmill": problem.gradmill(threads, **ours)} | peers
    runs, loads = side_by_side.interleave(rounds, contenders)
    best = best_loss(runs)
    record = side_by_side.report(f"{what}, {threads} thread{'s' * (threads > 1)}", runs, loads, allowed_loss=1 + WITHIN)
    for entry in record["results"]:
        entry["above_best"] = entry["loss"] / best - 1
        print(f"{'':44} {entry['name']:22} {entry['above_best']:.1e} above the best objective")
    return record


def compare_logistic(options):
    for name in options.data or ["rcv1-like", "a9a", "dense", "wide"]:
        p = Problem(name, "logistic", "l2")
        dense = {"dense": True} if name == "dense" else {}
        for threads in options.threads:
            peers = {"liblinear -s 0": p.peer("liblinear", solver=0, tolerance=0.01),
                     "scikit-learn lbfgs": p.peer("sklearn", threads, solver="lbfgs", tolerance=1e-6, **dense),
                     "snapml": p.peer("snapml", threads, tolerance=1e-4, **dense)}
            if threads > 1:
                peers["liblinear-multicore"] = p.peer("liblinear", threads, solver=0, tolerance=0.01)
            if name == "wide":
                del peers["snapml"]
            yield compare_batch(f"L2 logistic, {name}", p, threads, {"optimizer__tolerance": options.tolerance}, peers,
                                options.rounds)


def compare_text(options):
    for name in options.data or ["rcv1-like"]:
        p = Problem(name, "logistic", "l2")
        for threads in options.threads:
            yield compare_batch(f"text to model, {name}", p, threads,
                                {"whole": True, "optimizer__tolerance": options.tolerance},
                                {"liblinear-train": p.peer("liblinear_text", solver=0, tolerance=0.01)}, options.rounds)


def compare_hinge(options):
    for name in options.data or ["rcv1-like", "a9a"]:
        p = Problem(name, "hinge", "l2")
        for threads in options.threads:
            yield compare_batch(f"hinge, {name}", p, threads,
                                {"optimizer__kind": "coordinate_descent", "optimizer__tolerance": 1e-5},
                                {"liblinear -s 3": p.peer("liblinear", solver=3, tolerance=0.001)}, options.rounds)


def compare_l1(options):
    for name in options.data or ["rcv1-like", "a9a"]:
        p = Problem(name, "logistic", "l1")
        for threads in options.threads:
            yield compare_batch(f"L1 logistic, {name}", p, threads, {"optimizer__tolerance": 5e-3},
                                {"liblinear -s 6": p.peer("liblinear", solver=6, tolerance=0.001)}, options.rounds)


def compare_online(options):
    """Held-out log loss after some passes, and seconds of all of them with what is made before the first. A pass of
    each peer as it is by default; and scikit-learn's three passes, which it needs for the loss that Adagrad has after two."""
    for name in options.data or ["rcv1-like"]:
        folder = linear_data.folder(name)
        x, y = linear_data.read(folder, "test")
        judge = lambda w, b: linear_data.log_loss(y, x.astype(np.float64) @ np.pad(w, (0, x.shape[1] - len(w)))[:x.shape[1]] + b)

        def ours(kind, passes, **keys):
            return lambda: run_gradmill(folder, 1, judge, loss__kind="logistic", optimizer__kind=kind, optimizer__l2=0,
                                        model__intercept=False, train__epochs=passes, **keys)

        contenders = {"gradmill": ours("adagrad", 1), "gradmill adagrad, 2": ours("adagrad", 2),
                      "gradmill ftrl": ours("ftrl", 1), "gradmill sgd": ours("sgd", 1, train__global_batch=16),
                      "scikit-learn SGD": lambda: run_peer("sklearn_sgd", folder, l2=1e-6, passes=1),
                      "scikit-learn SGD, 2": lambda: run_peer("sklearn_sgd", folder, l2=1e-6, passes=2),
                      "scikit-learn SGD, 3": lambda: run_peer("sklearn_sgd", folder, l2=1e-6, passes=3),
                      "vw": lambda: run_peer("vw", folder, flags=""),
                      "vw -l 2": lambda: run_peer("vw", folder, flags="-l 2"),
                      "vw --ftrl": lambda: run_peer("vw", folder, flags="--ftrl")}
        runs, loads = side_by_side.interleave(options.rounds, contenders)
        yield side_by_side.report(f"online, {name}, 1 thread", runs, loads)


def compare_spark(options):
    for name in options.data or ["rcv1-like"]:
        p = Problem(name, "logistic", "l2")
        yield compare_batch(f"L2 logistic, {name}", p, 2, {"optimizer__tolerance": options.tolerance},
                            {"Spark LogisticRegression": p.peer("spark", 2, tolerance=1e-6)}, min(options.rounds, 2))


def compare_optimum(options):
    yield from linear_optimum.run(GRADMILL, read_tensor)


COMPARISONS = {"logistic": compare_logistic, "text": compare_text, "hinge": compare_hinge, "l1": compare_l1,
               "online": compare_online, "spark": compare_spark, "optimum": compare_optimum}


def main():
    parser = argparse.ArgumentParser(prog="bench/peers/linear", description=__doc__)
    parser.add_argument("comparisons", nargs="*", help=f"of {', '.join(COMPARISONS)}; default all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--data", nargs="*", help="data sets, default those of each comparison; quick: a small one")
    parser.add_argument("--tolerance", type=float, default=1e-3, help="optimizer.tolerance of full-batch runs")
    parser.add_argument("--json", default=str(BUILD / "peers" / "linear.json"))
    options = parser.parse_args()
    for name in options.comparisons:
        if name not in COMPARISONS:
            parser.error(f"no comparison {name}; there are {', '.join(COMPARISONS)}")
    linear_data.CACHE.mkdir(parents=True, exist_ok=True)
    records = (record for name in options.comparisons or COMPARISONS for record in COMPARISONS[name](options))
    missed = [r for r in side_by_side.write_records(options.json, records) if not r.get("reached", True)]
    if missed:
        sys.exit(f"{len(missed)} optima were missed by more than {linear_optimum.WITHIN:.0e}")


if __name__ == "__main__":
    main()
