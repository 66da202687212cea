"""Runs of gradmill that are hurt on purpose: starting them, watching their flight recorders, comparing results."""
import hashlib
import json
import os
import pathlib
import random
import shutil
import signal
import struct
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
MOVIELENS = ROOT / "data/examples/movielens/sample_movielens_ratings.txt"
ADULT = ROOT / "data/examples/adult/adult-test.csv.gz"
STEPS = 60

MODELS = {
    "mf-als": ["mf", "--data", MOVIELENS, "--algorithm", "als", "-k", "8"],
    "mf-sgd": ["mf", "--data", MOVIELENS, "--algorithm", "sgd", "-k", "8"],
    "linear": ["linear", "--data", MOVIELENS.with_name("linear.svm"), "--optimizer", "adagrad", "--global-batch", "256"],
    "mlp": ["mlp", "--data", MOVIELENS.with_name("linear.svm"), "--global-batch", "256"],
}


def environment(**more):
    return {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", **more}


class Flight:
    """The head of dist/flight_recorder.cpp's file: who a rank is and what it is at."""

    def __init__(self, path):
        data = path.read_bytes()[:176] if path.exists() else b""
        self.ready = len(data) == 176 and data.startswith(b"gradmill flight\0")
        if not self.ready:
            return
        self.rank, self.world, self.process, self.code, self.generation = struct.unpack_from("<iiiiq", data, 24)
        self.end = data[56]
        _, _, self.step, self.sequence, self.bytes, state, _ = struct.unpack_from("<qqqqqIi", data, 128)
        self.kind, self.phase = state & 0xFF, state >> 8 & 0xFF


TRAIN, EVALUATE, SAVE = 2, 3, 4


class Bench:
    """A folder for runs of one binary, removed at the end."""

    def __init__(self, binary, seed=1):
        self.binary = str(binary)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="gradmill-fault-"))
        self.random = random.Random(seed)
        self.number = 0
        self.references = {}
        self.samples = self.folder / "samples.svm"
        rng = random.Random(7)
        lines = []
        for _ in range(1500):
            x = [rng.gauss(0, 1) for _ in range(8)]
            label = 1 if sum(x[:4]) + rng.gauss(0, 0.5) > 0 else -1
            lines.append(f"{label} " + " ".join(f"{i + 1}:{v:.4f}" for i, v in enumerate(x)))
        self.samples.write_text("\n".join(lines) + "\n")

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def name(self):
        self.number += 1
        return f"r{self.number}"

    def run_folder(self, name):
        return self.folder / "runs" / name

    def train(self, model, name, steps=STEPS, more=()):
        words = ["train"] + [str(self.samples if str(w).endswith("linear.svm") else w) for w in MODELS[model]]
        return words + ["--epochs", str(steps), "--patience", "0", "--threads", "1", "--dir", str(self.folder / "runs"),
                        "--name", name, "--quiet", "--set", "checkpoint.seconds=0", *map(str, more)]

    def launch(self, model, ranks, name, options=(), **train):
        words = [self.binary, "launch", "--quiet", "--nproc", str(ranks), *map(str, options), "--", *self.train(model, name, **train)]
        return subprocess.Popen(words, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def flight(self, name, rank):
        return Flight(self.run_folder(name) / "flight" / f"rank-{rank:03}.bin")

    def wait_for(self, condition, process, seconds=120):
        """What condition() gives as soon as it is true; None if the process ends before."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = condition()
            if found:
                return found
            if process.poll() is not None:
                return condition()
            time.sleep(0.0005)
        raise TimeoutError(f"nothing happened within {seconds} s")

    def wait_for_step(self, name, rank, step, process, phase=None, generation=1):
        def there():
            flight = self.flight(name, rank)
            if flight.ready and flight.generation == generation and flight.step >= step and phase in (None, flight.phase):
                return flight
        return self.wait_for(there, process)

    def result(self, name):
        """What a run has learned: digests of the model's tensors, and the metrics without times."""
        folder = self.run_folder(name)
        tensors = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted((folder / "model").glob("*.safetensors"))}
        metrics = []
        for line in (folder / "metrics.jsonl").read_text().splitlines():
            record = json.loads(line)
            metrics.append({k: v for k, v in record.items() if not any(t in k for t in ("second", "time", "share"))})
        return tensors, metrics

    def reference(self, model, ranks, steps=STEPS):
        key = (model, ranks, steps)
        if key not in self.references:
            name = self.name()
            self.expect_end(self.launch(model, ranks, name, steps=steps), 0)
            self.references[key] = self.result(name)
            assert self.references[key][0], "the reference has no model"
        return self.references[key]

    def expect_end(self, process, *codes, seconds=300):
        try:
            _, errors = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(f"still running after {seconds} s") from None
        assert process.returncode in codes, f"exit code {process.returncode}, expected {codes}:\n{errors}"
        return process.returncode, errors

    def check_result(self, model, ranks, name, steps=STEPS):
        want, have = self.reference(model, ranks, steps), self.result(name)
        assert have[0] == want[0], f"{name}: other bits of the model than of the run that nobody hurt"
        assert have[1] == want[1], f"{name}: other metrics than of the run that nobody hurt"

    def processes(self, name):
        """Processes that are at work on this run."""
        found = []
        for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().split(b"\0")
            except OSError:
                continue
            if name.encode() in words and str(self.folder / "runs").encode() in words:
                found.append(int(path.parent.name))
        return found

    def check_nothing_left(self, name):
        left = self.processes(name)
        for process in left:
            os.kill(process, signal.SIGKILL)
        assert not left, f"{name}: processes {left} were left"


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")
