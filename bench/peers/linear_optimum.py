"""Whether the optimum is reached: the objective at our parameters and at those of LIBLINEAR and scikit-learn at
tight tolerance, all evaluated in double precision on the same numbers. The comparison `optimum` of
bench/peers/linear; exit code 1 if ours is more than 1e-6 (relative) above the best of the others.
"""

import gzip
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import scipy.sparse as sp

import linear_data

WITHIN = 1e-6


def read_svm(path, separator=":", skip=1):
    labels, indptr, indices, values = [], [0], [], []
    with gzip.open(path, "rt") as file:
        for line in file:
            fields = line.split()
            labels.append(float(fields[0]))
            for entry in fields[skip:]:
                index, value = entry.split(separator)
                indices.append(int(index))
                values.append(float(value))
            indptr.append(len(indices))
    return sp.csr_matrix((np.float32(values), np.int32(indices), indptr)), np.array(labels)


def standardized(x):
    spread = x.std(axis=0)
    x, spread = x[:, spread > 0], spread[spread > 0]
    return sp.csr_matrix(((x - x.mean(axis=0)) / spread).astype(np.float32))


def table(path, delimiter=",", header=0):
    with gzip.open(path, "rt") as file:
        return np.loadtxt(file, delimiter=delimiter, skiprows=header)


def wide_synthetic():
    """More columns than rows, ratings of -10 to 10 of a few of them a row, as Jester's."""
    rng = np.random.default_rng(5)
    rows, features, length = 600, 20_000, 60
    columns = np.concatenate([np.sort(rng.choice(features, length, replace=False)) for _ in range(rows)])
    x = sp.csr_matrix((np.round(rng.uniform(-10, 10, rows * length), 2).astype(np.float32), columns.astype(np.int32),
                       np.arange(rows + 1) * length), shape=(rows, features))
    return x, np.where(x @ rng.normal(0, 1, features) + rng.logistic(0, 20, rows) > 0, 1.0, -1.0)


def data_sets(folder):
    """name -> (X of float32, labels, task)."""
    signs = lambda y: np.where(y > 0, 1.0, -1.0)
    x, y = read_svm(folder / "a9a" / "a9a.gz")
    yield "a9a", x, y, "classes"
    x, y = read_svm(folder / "rcv1-vw" / "rcv1_small.dat.gz", skip=2)
    yield "rcv1-vw", x, signs(y), "classes"
    x, y = read_svm(folder / "agaricus" / "agaricus.txt.train.gz")
    yield "agaricus", x, signs(y), "classes"
    covtype = table(folder / "covtype-20k" / "covtype.20k.data.gz")
    yield "covtype-20k", standardized(covtype[:, :-1]), covtype[:, -1], "softmax"
    housing = table(folder / "california-housing" / "cal_housing.data.gz", header=1)
    y = housing[:, -1]
    yield "california-housing", standardized(housing[:, :-1]), ((y - y.mean()) / y.std()).astype(np.float32).astype(float), "values"
    x, y = wide_synthetic()
    yield "wide synthetic", x, y, "classes"


class Objective:
    """mean loss + l2 / 2 |w|^2 + l1 |w|_1 with free intercepts; w [C, n], b [C]."""

    def __init__(self, x, y, loss, l2, l1):
        self.x, self.y, self.loss, self.l2, self.l1 = x.astype(np.float64), y, loss, l2, l1

    def __call__(self, w, b):
        w = np.atleast_2d(np.asarray(w, np.float64))
        w = np.pad(w, ((0, 0), (0, self.x.shape[1] - w.shape[1])))
        z = np.asarray(self.x @ w.T + np.ravel(b))
        if self.loss == "softmax":
            at = z[np.arange(len(z)), np.searchsorted(np.unique(self.y), self.y)]
            top = z.max(axis=1)
            losses = top + np.log(np.exp(z - top[:, None]).sum(axis=1)) - at
        else:
            z = z[:, 0]
            losses = {"logistic": lambda: np.logaddexp(0, -self.y * z), "squared": lambda: (z - self.y) ** 2 / 2,
                      "squared_hinge": lambda: np.maximum(0, 1 - self.y * z) ** 2}[self.loss]()
        return losses.mean() + self.l2 / 2 * (w**2).sum() + self.l1 * np.abs(w).sum()


def write_svm(path, x, y):
    with open(path, "w") as out:
        for row in range(x.shape[0]):
            begin, end = x.indptr[row], x.indptr[row + 1]
            entries = " ".join(f"{i + 1}:{v:.9g}" for i, v in zip(x.indices[begin:end], x.data[begin:end]))
            out.write(f"{y[row]:.9g} {entries}\n")


def gradmill(program, read_tensor, data, loss, l2, l1, intercept, optimizer):
    with tempfile.TemporaryDirectory() as runs:
        settings = {"data.train": data, "data.holdout": 0, "run.dir": runs, "run.name": "run", "loss.kind": loss,
                    "train.device": "cpu", "train.threads": 2, "train.epochs": 20000, "train.patience": 0,
                    "checkpoint.every": 0, "optimizer.l2": l2, "optimizer.l1": l1, "optimizer.tolerance": 1e-9,
                    "optimizer.kind": optimizer, "model.intercept": str(intercept).lower()}
        flags = [x for k, v in settings.items() for x in ("--set", f"{k}={v}")]
        process = subprocess.run([program, "train", "linear", *flags], capture_output=True, text=True)
        output = process.stdout + process.stderr
        if process.returncode != 0:
            sys.exit(output)
        model = next(pathlib.Path(f"{runs}/run/model").glob("*.safetensors"))
        b = read_tensor(model, "intercepts").astype(np.float64)
        w = read_tensor(model, "coefficients").astype(np.float64).reshape(len(b), -1)
        return w, b, len(open(f"{runs}/run/metrics.jsonl").readlines())


def liblinear(data, solver, cost, features):
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run(["liblinear-train", "-s", str(solver), "-c", repr(cost), "-e", "1e-10", "-q", data,
                        f"{scratch}/model"], check=True)
        head, weights = open(f"{scratch}/model").read().split("\nw\n")
        w = np.array([float(v.split()[0]) for v in weights.splitlines()])[:features]
        return w * (1 if re.search(r"label 1\b", head) else -1), 0.0


def scikit(x, y, loss, l2, l1, intercept):
    """name -> (w, b), of every solver of scikit-learn that has this problem."""
    from sklearn.linear_model import Lasso, LogisticRegression, Ridge

    cost, x, found = 1 / ((l1 or l2) * len(y)), x.astype(np.float64), {}
    if loss == "squared":
        model = Lasso(alpha=l1, tol=1e-14, max_iter=1_000_000) if l1 else Ridge(alpha=l2 * len(y), solver="cholesky")
        model.fit(x.toarray(), y)
        return {"Lasso" if l1 else "Ridge": (model.coef_, model.intercept_)}
    if l1 and (intercept or loss == "softmax"):
        solvers = {"saga": 3_000}
    else:
        solvers = {} if l1 else {"newton-cg": 10_000, "lbfgs": 100_000}
    for solver, iterations in solvers.items():
        model = LogisticRegression(C=cost, solver=solver, tol=1e-10 if l1 else 1e-12, fit_intercept=intercept,
                                   max_iter=iterations, random_state=1, **({"l1_ratio": 1.0} if l1 else {}))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(x.toarray() if x.shape[1] < 100 else x, y)
        found[f"sklearn {solver}"] = model.coef_, model.intercept_
    return found


def problems(name, task):
    """loss, penalty, with intercept, LIBLINEAR's solver or None."""
    if task == "values":
        return [("squared", "l2", True, None), ("squared", "l1", True, None)]
    if task == "softmax":
        return [("softmax", "l2", True, None), ("softmax", "l1", True, None)]
    more = [("logistic", "l2", True, None), ("squared_hinge", "l2", False, 2), ("squared_hinge", "l1", False, 5)]
    return [("logistic", "l2", False, 0), ("logistic", "l1", False, 6)] + (more if name == "a9a" else [])


def run(program, read_tensor):
    """Records, one a problem and optimizer."""
    folder = linear_data.shared_folder()
    if folder is None:
        sys.exit("optimum reads real data sets; say where they are with GRADMILL_SHARED_DATA")
    print(f"{'data':19} {'loss':13} {'':2} intercept  {'best of the others':42} {'gradmill':32} above")
    for name, x, y, task in data_sets(folder):
        with tempfile.NamedTemporaryFile(suffix=".svm") as data:
            write_svm(data.name, x, y)
            for loss, penalty, intercept, solver in problems(name, task):
                strength = 1 / len(y) if task == "classes" else 1e-3
                l2, l1 = (strength, 0) if penalty == "l2" else (0, strength)
                objective = Objective(x, y, loss, l2, l1)
                others = scikit(x, y, loss, l2, l1, intercept) if loss != "squared_hinge" else {}
                if solver is not None:
                    others[f"liblinear -s {solver}"] = liblinear(data.name, solver, 1 / (strength * len(y)), x.shape[1])
                values = {who: objective(*found) for who, found in others.items()}
                who = min(values, key=values.get)
                for optimizer in ("auto", "lbfgs") if penalty == "l2" else ("auto", "owlqn"):
                    w, b, epochs = gradmill(program, read_tensor, data.name, loss, l2, l1, intercept, optimizer)
                    ours = objective(w, b)
                    above = ours / values[who] - 1
                    print(f"{name:19} {loss:13} {penalty} {'free' if intercept else 'none':9}  {who:22} {values[who]:<19.12g} "
                          f"{optimizer:6} {ours:<16.12g} {epochs:5} it. {above:+.1e}", flush=True)
                    yield dict(data=name, loss=loss, penalty=penalty, intercept=intercept, optimizer=optimizer,
                               objective=ours, iterations=epochs, others=values, above=above, reached=bool(above <= WITHIN))
