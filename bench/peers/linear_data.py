"""Data sets of bench/peers/linear, generated from a seed or read from a shared folder, and their files.

A data set is a folder with, for each part ("train", "test"):
  PART.svm   LIBSVM text, indices from 1, labels -1 and +1
  PART.npz   the same numbers as scipy's CSR matrix (float32) and labels
  PART.vw    the same in Vowpal Wabbit's text
"""

import gzip
import os
import pathlib

import numpy as np
import scipy.sparse as sp

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = ROOT / "build" / "peers" / "data"
CHUNK = 100_000  # rows generated and written at a time


def zipf_columns(rng, rows, mean_length, features, exponent, shift, spread):
    """Rows of distinct columns drawn from p(j) ~ 1 / (j + shift)^exponent, as a CSR pattern with counts."""
    p = 1 / (np.arange(features) + shift) ** exponent
    cumulative = np.cumsum(p / p.sum())
    lengths = np.maximum(1, rng.lognormal(np.log(mean_length) - spread**2 / 2, spread, rows).astype(int))
    row = np.repeat(np.arange(rows), lengths)
    column = np.searchsorted(cumulative, rng.random(len(row)))
    keys, counts = np.unique(row * np.int64(features) + np.minimum(column, features - 1), return_counts=True)
    indptr = np.searchsorted(keys // features, np.arange(rows + 1))
    return sp.csr_matrix((counts.astype(np.float64), (keys % features).astype(np.int32), indptr),
                         shape=(rows, features)), p / p.sum()


def labels_of(rng, x, truth, noise):
    margins = x @ truth
    margins = (margins - np.median(margins)) / margins.std()
    return np.where(margins + rng.logistic(0, noise, len(margins)) > 0, 1, -1).astype(np.int8)


def rcv1_like(rows, rng, truth):
    """Unit-length tf-idf rows, 75 entries each on average, as in the RCV1 text collection."""
    x, p = zipf_columns(rng, rows, 78, 47_236, 0.9, 30, 0.7)
    x.data = (1 + np.log(x.data)) * np.log(1 / p[x.indices] / 50 + 1)
    norms = np.sqrt(np.add.reduceat(x.data**2, x.indptr[:-1]))
    x.data = np.round(x.data / np.repeat(norms, np.diff(x.indptr)), 7).astype(np.float32)
    return x, labels_of(rng, x, truth, 0.25)


def wide(rows, rng, truth):
    """40 one-hot features of 2^20 a row, as clicks are logged; long-tailed."""
    x, _ = zipf_columns(rng, rows, 44, 1 << 20, 1.05, 20, 0.1)
    x.data = np.ones(x.nnz, np.float32)
    return x, labels_of(rng, x, truth, 0.6)


def dense(rows, rng, truth):
    x = rng.normal(0, 1, (rows, 100))
    x[:, 1:] += 0.6 * x[:, :-1]
    return sp.csr_matrix(np.round(x, 5).astype(np.float32)), labels_of(rng, x, truth, 0.5)


GENERATED = {"rcv1-like": (rcv1_like, 200_000, 22_222, 47_236), "wide": (wide, 4_000_000, 200_000, 1 << 20),
             "dense": (dense, 500_000, 50_000, 100), "quick": (rcv1_like, 20_000, 5_000, 47_236)}


def parts(name, part):
    """Pieces of a part of a data set, the same whenever they are asked for."""
    make, train_rows, test_rows, features = GENERATED[name]
    truth = np.random.default_rng(11).normal(0, 1, features)
    rows = train_rows if part == "train" else test_rows
    for first in range(0, rows, CHUNK):
        rng = np.random.default_rng([12, part == "test", first])
        yield make(min(CHUNK, rows - first), rng, truth)


def a9a(part):
    folder = shared_folder() / "a9a"
    labels, rows = [], []
    with gzip.open(folder / ("a9a.gz" if part == "train" else "a9a.t.gz"), "rt") as file:
        for line in file:
            label, *entries = line.split()
            labels.append(int(label))
            rows.append([int(e.split(":")[0]) - 1 for e in entries])
    indptr = np.cumsum([0] + [len(r) for r in rows])
    indices = np.concatenate([np.array(r, np.int32) for r in rows])
    x = sp.csr_matrix((np.ones(len(indices), np.float32), indices, indptr), shape=(len(rows), 123))
    yield x, np.array(labels, np.int8)


def shared_folder():
    folder = pathlib.Path(os.environ.get("GRADMILL_SHARED_DATA", ROOT.parent / "shared" / "data"))
    return folder if folder.is_dir() else None


def write_text(svm, vw, x, labels):
    all_ones = bool(np.all(x.data == 1))
    indices, values, bounds = (x.indices + 1).tolist(), x.data.tolist(), x.indptr.tolist()
    for row, label in enumerate(labels.tolist()):
        begin, end = bounds[row], bounds[row + 1]
        if all_ones:
            entries = [f"{i}:1" for i in indices[begin:end]]
        else:
            entries = [f"{i}:{v:.7g}" for i, v in zip(indices[begin:end], values[begin:end])]
        text = " ".join(entries)
        svm.write(f"{'+1' if label > 0 else '-1'} {text}\n")
        vw.write(f"{label} | {text.replace(':1 ', ' ') if all_ones else text}\n")


def folder(name):
    """The folder of a data set; makes it when it is not there."""
    path = CACHE / f"linear-{name}"
    if (path / "complete").exists():
        return path
    path.mkdir(parents=True, exist_ok=True)
    print(f"generating {path}", flush=True)
    for part in ("train", "test"):
        pieces, labels = [], []
        with open(path / f"{part}.svm", "w") as svm, open(path / f"{part}.vw", "w") as vw:
            for x, y in a9a(part) if name == "a9a" else parts(name, part):
                write_text(svm, vw, x, y)
                pieces.append(x)
                labels.append(y)
        x = sp.vstack(pieces, format="csr")
        np.savez(path / f"{part}.npz", data=x.data.astype(np.float32), indices=x.indices.astype(np.int32),
                 indptr=x.indptr, shape=x.shape, labels=np.concatenate(labels))
    (path / "complete").touch()
    return path


def read(path, part):
    file = np.load(f"{path}/{part}.npz")
    x = sp.csr_matrix((file["data"], file["indices"], file["indptr"]), shape=tuple(file["shape"]))
    return x, file["labels"].astype(np.float64)


def objective(x, y, w, loss, penalty, cost):
    """cost * sum of losses + |w|^2 / 2 or |w|_1, in double precision."""
    z = y * (x.astype(np.float64) @ w)
    value = {"logistic": lambda: np.logaddexp(0, -z), "hinge": lambda: np.maximum(0, 1 - z),
             "squared_hinge": lambda: np.maximum(0, 1 - z) ** 2}[loss]().sum()
    return cost * value + (np.abs(w).sum() if penalty == "l1" else w @ w / 2)


def log_loss(y, margins):
    return float(np.logaddexp(0, -y * margins).mean())
