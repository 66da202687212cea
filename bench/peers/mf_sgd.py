"""Biased SGD against LIBMF: updates per second, and time to the same test RMSE. See bench/peers/mf.

LIBMF is PyPI's libmf: its source is built twice, as `pip install` does and with AVX (-DUSEAVX, all
optimizations), which is the stronger peer.
"""

import pathlib
import statistics
import subprocess
import sys
import tarfile

import numpy as np

import mf_compare
import side_by_side
import mf_data

HERE = pathlib.Path(__file__).resolve().parent
PEERS = mf_data.ROOT / "build" / "peers"
BUILDS = {"LIBMF AVX": ["-O3", "-march=native", "-DUSEAVX"], "LIBMF (pip)": ["-O2"]}
# The same learning rate and regularization for all; both use AdaGrad rates.
PEER_OPTIONS = {"learning_rate": 0.1, "l2": 0.05, "bins": 20}
OUR_OPTIONS = {"learning_rate": 0.1, "l2_factors": 0.05, "l2_biases": 0.05}


def libraries():
    source = PEERS / "libmf-0.9.2" / "src_cpp"
    if not source.is_dir():
        subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary",
                        ":all:", "--dest", PEERS, "libmf==0.9.2"], check=True)
        with tarfile.open(PEERS / "libmf-0.9.2.tar.gz") as archive:
            archive.extractall(PEERS)
    built = {}
    for name, flags in BUILDS.items():
        built[name] = PEERS / f"libmf-{flags[-1].strip('-')}.so"
        if not built[name].exists():
            subprocess.run(["g++", "-std=c++11", "-w", "-shared", "-fPIC", "-pthread", *flags,
                            source / "mf.cpp", source / "libmf_interface.cpp", "-o", built[name]],
                           check=True)
    return built


def split(name):
    """Nine tenths to train on, one to test, in random order."""
    folder = mf_data.CACHE / f"{name}-split"
    if not (folder / "done").exists():
        folder.mkdir(parents=True, exist_ok=True)
        coo = mf_data.matrix(name).tocoo()
        order = np.random.default_rng(5).permutation(coo.nnz)
        cut = coo.nnz // 10
        for part, rows in (("test", order[:cut]), ("train", order[cut:])):
            coo.row[rows].astype(np.int32).tofile(folder / f"{part}.user.i32")
            coo.col[rows].astype(np.int32).tofile(folder / f"{part}.item.i32")
            coo.data[rows].astype(np.float32).tofile(folder / f"{part}.value.f32")
        (folder / "done").touch()
    return folder


def run_libmf(library, folder, **options):
    pairs = [f"{k}={v}" for k, v in (PEER_OPTIONS | options).items()]
    return side_by_side.last_json(subprocess.run(
        [sys.executable, HERE / "mf_libmf.py", library, folder, *pairs], capture_output=True, text=True))


def run_ours(folder, **options):
    flags = [f"--{k.replace('_', '-')}={v}" for k, v in (OUR_OPTIONS | options).items()]
    return side_by_side.last_json(subprocess.run([mf_compare.DRIVERS / "mf_sgd_driver", folder, *flags],
                                               capture_output=True, text=True))


def epochs_to(rmse, target):
    return next((epoch + 1 for epoch, value in enumerate(rmse) if value <= target), None)


def record_of(what, ratings, runs, loads):
    """Updates per second and seconds to the best test RMSE of LIBMF (within 0.05 %)."""
    target = min(min(r["test_rmse"], default=9) for r in runs["LIBMF AVX"]) * 1.0005
    record = {"comparison": what, "loadavg": [round(x, 2) for x in loads], "target_rmse": target,
              "results": []}
    for name, results in runs.items():
        wall = [s for r in results for s in r["seconds"]]
        cpu = statistics.median(s for r in results for s in r["cpu_seconds"])
        rmse = next((r["test_rmse"] for r in results if r["test_rmse"]), [])
        epochs = epochs_to(rmse, target)
        entry = {"name": name, "updates_per_s_best": ratings / min(wall),
                 "updates_per_s_median": ratings / statistics.median(wall),
                 "updates_per_cpu_s": ratings / cpu, "test_rmse": rmse, "epochs_to_target": epochs,
                 "s_to_target_best": epochs and epochs * min(wall),
                 "s_to_target_median": epochs and epochs * statistics.median(wall),
                 "cpu_s_to_target": epochs and epochs * cpu,
                 "preparation_s": min(r["preparation_s"] for r in results)}
        record["results"].append(entry)
        ours = record["results"][0]
        line = (f"{what:34} {name:12} {entry['updates_per_s_best'] / 1e6:6.1f} M updates/s best "
                f"{entry['updates_per_s_median'] / 1e6:6.1f} median "
                f"{entry['updates_per_cpu_s'] / 1e6:6.1f} per CPU s")
        if epochs:
            line += f", RMSE {target:.4f} in {epochs} epochs, {entry['s_to_target_best']:.3f} s"
        if entry is not ours:
            for key in ("updates_per_s_best", "updates_per_s_median", "updates_per_cpu_s"):
                entry[f"ratio_{key}"] = ours[key] / entry[key]
            line += (f"  {entry['ratio_updates_per_s_best']:.2f}x / "
                     f"{entry['ratio_updates_per_s_median']:.2f}x, CPU time "
                     f"{entry['ratio_updates_per_cpu_s']:.2f}x")
            if epochs and ours["epochs_to_target"]:
                entry["ratio_time_to_target"] = entry["s_to_target_best"] / ours["s_to_target_best"]
                entry["ratio_cpu_to_target"] = entry["cpu_s_to_target"] / ours["cpu_s_to_target"]
                line += (f"; to RMSE {entry['ratio_time_to_target']:.2f}x, CPU time "
                         f"{entry['ratio_cpu_to_target']:.2f}x")
        print(line, flush=True)
    print(f"{'':34} load average {min(loads):.1f} to {max(loads):.1f}", flush=True)
    return record


def compare(_name, options):
    built = libraries()
    data = options.data or ["ml1m-like-ratings"] + ([] if options.quick else ["zipf20m-ratings"])
    for name in data:
        folder = split(name)
        ratings = (folder / "train.value.f32").stat().st_size // 4
        epochs = 22 if ratings < 5_000_000 else 10
        for factors in options.factors:
            for threads in options.threads:
                settings = {"factors": factors, "threads": threads, "epochs": epochs}
                judged = {library: False for library in built.values()}

                def peer(library):
                    first = not judged[library]
                    judged[library] = True
                    return run_libmf(library, folder, judge=int(first), **settings)

                contenders = {"gradmill": lambda: run_ours(folder, **settings)}
                for peer_name, library in built.items():
                    contenders[peer_name] = lambda library=library: peer(library)
                runs, loads = side_by_side.interleave(options.rounds, contenders)
                yield record_of(f"sgd {name} k={factors} threads={threads}", ratings, runs, loads)
