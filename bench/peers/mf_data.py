"""Data sets of bench/peers/mf, generated from a seed or read from a shared folder, and their files.

A data set is a folder with, for each side ("users" by rows, "items" by columns):
  SIDE.offsets.i64, SIDE.indices.i32, SIDE.values.f32    compressed sparse rows
  SIDE.initK.f32                                         factors to start from
"""

import gzip
import os
import pathlib

import numpy as np
import scipy.sparse as sp

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = ROOT / "build" / "peers" / "data"


def long_tail(users, items, entries, seed):
    """Users and items drawn from p(i) ~ 1 / (i + shift), distinct pairs, in random order of ids."""
    rng = np.random.default_rng(seed)

    def cumulative(count, shift, exponent):
        p = 1 / (np.arange(count) + count * shift) ** exponent
        return np.cumsum(p / p.sum())

    by_user, by_item = cumulative(users, 0.05, 1.0), cumulative(items, 0.02, 1.1)
    keys = np.empty(0, np.int64)
    while len(keys) < entries:
        draws = int((entries - len(keys)) * 1.3) + 1000
        user = np.searchsorted(by_user, rng.random(draws))
        item = np.searchsorted(by_item, rng.random(draws))
        keys = np.unique(np.concatenate([keys, user.astype(np.int64) * items + item]))
    keys = rng.permutation(keys)[:entries]
    user, item = rng.permutation(users)[keys // items], rng.permutation(items)[keys % items]
    return sp.csr_matrix((np.ones(entries, np.float32), (user, item)), shape=(users, items))


def with_ratings(matrix, seed, num_factors=16):
    """The same pairs with ratings 1..5: a low-rank model with biases and noise, rounded to halves."""
    rng = np.random.default_rng(seed)
    matrix = matrix.tocsr()
    users, items = matrix.shape
    p = rng.normal(0, 0.45, (users, num_factors)) / num_factors**0.25
    q = rng.normal(0, 0.9, (items, num_factors)) / num_factors**0.25
    user_bias, item_bias = rng.normal(0, 0.35, users), rng.normal(0, 0.45, items)
    user = np.repeat(np.arange(users), np.diff(matrix.indptr))
    item = matrix.indices
    rating = 3.54 + user_bias[user] + item_bias[item] + rng.normal(0, 0.7, len(user))
    for first in range(0, len(user), 1 << 20):
        part = slice(first, first + (1 << 20))
        rating[part] += np.einsum("ij,ij->i", p[user[part]], q[item[part]])
    matrix.data[:] = np.clip(np.round(rating * 2) / 2, 1, 5)
    return matrix


def shared_folder():
    folder = pathlib.Path(os.environ.get("GRADMILL_SHARED_DATA", ROOT.parent / "shared" / "data"))
    return folder if folder.is_dir() else None


def ml1m_implicit():
    user, item = [], []
    with gzip.open(shared_folder() / "ml-1m-implicit" / "m1-train.txt.gz", "rt") as file:
        for line in file:
            ids = [int(x) for x in line.split()]
            user += ids[:1] * (len(ids) - 1)
            item += ids[1:]
    return sp.csr_matrix((np.ones(len(user), np.float32), (user, item)))


def matrix(name):
    if name == "ml1m-like":
        return long_tail(6_040, 3_706, 1_000_209, seed=1)
    if name == "ml1m-like-ratings":
        return with_ratings(matrix("ml1m-like"), seed=2)
    if name == "zipf20m":
        return long_tail(138_000, 27_000, 20_000_000, seed=3)
    if name == "zipf20m-ratings":
        return with_ratings(matrix("zipf20m"), seed=4)
    if name == "ml1m-implicit":
        return ml1m_implicit() if shared_folder() else None
    raise ValueError(f"no data set {name}")


def initial_factors(name, side, rows, num_factors):
    """As implicit starts: uniform in [0, 0.01). For ratings, as Spark: normal, rows of norm about 1."""
    seed = [num_factors, side == "users"]
    if name.endswith("-ratings"):
        normal = np.random.default_rng(seed).normal(0, num_factors**-0.5, (rows, num_factors))
        return normal.astype(np.float32)
    return np.random.default_rng(seed).random((rows, num_factors), dtype=np.float32) * np.float32(0.01)


def folder(name, num_factors):
    """The data set's folder, made if it is not there; None if its source is not there."""
    path = CACHE / name
    if not (path / "done").exists():
        ratings = matrix(name)
        if ratings is None:
            return None
        path.mkdir(parents=True, exist_ok=True)
        for side, csr in (("users", ratings.tocsr()), ("items", ratings.T.tocsr())):
            csr.sort_indices()
            csr.indptr.astype(np.int64).tofile(path / f"{side}.offsets.i64")
            csr.indices.astype(np.int32).tofile(path / f"{side}.indices.i32")
            csr.data.astype(np.float32).tofile(path / f"{side}.values.f32")
        (path / "done").touch()
    for side in ("users", "items"):
        init = path / f"{side}.init{num_factors}.f32"
        if not init.exists():
            rows = os.path.getsize(path / f"{side}.offsets.i64") // 8 - 1
            initial_factors(name, side, rows, num_factors).tofile(init)
    return path


def read(path, side="users"):
    path = pathlib.Path(path)
    other = {"users": "items", "items": "users"}[side]
    offsets = np.fromfile(path / f"{side}.offsets.i64", np.int64)
    columns = os.path.getsize(path / f"{other}.offsets.i64") // 8 - 1
    indices = np.fromfile(path / f"{side}.indices.i32", np.int32)
    values = np.fromfile(path / f"{side}.values.f32", np.float32)
    return sp.csr_matrix((values, indices, offsets.astype(np.int32)), shape=(len(offsets) - 1, columns))


def read_init(path, num_factors):
    return [np.fromfile(pathlib.Path(path) / f"{side}.init{num_factors}.f32", np.float32)
            .reshape(-1, num_factors) for side in ("users", "items")]


def scores(ratings, users, items):
    user = np.repeat(np.arange(ratings.shape[0]), np.diff(ratings.indptr))
    result = np.empty(ratings.nnz)
    for first in range(0, ratings.nnz, 1 << 20):
        part = slice(first, first + (1 << 20))
        result[part] = np.einsum("ij,ij->i", users[user[part]].astype(np.float64),
                                 items[ratings.indices[part]].astype(np.float64))
    return result


def implicit_loss(ratings, users, items, alpha, regularization):
    """sum over all (u, i) of c (p - x_u . y_i)^2 + regularization (|X|^2 + |Y|^2), Hu et al. 2008:
    c = 1 + alpha r, p = 1 where there is an entry; c = 1, p = 0 elsewhere."""
    s = scores(ratings, users, items)
    x, y = users.astype(np.float64), items.astype(np.float64)
    everywhere = ((x.T @ x) * (y.T @ y)).sum()
    entries = ((1 + alpha * ratings.data) * (1 - s) ** 2 - s**2).sum()
    return everywhere + entries + regularization * ((x**2).sum() + (y**2).sum())


def explicit_loss(ratings, users, items, offset, regularization):
    """sum of (r - offset - x_u . y_i)^2 + regularization (sum n_u |x_u|^2 + sum n_i |y_i|^2)."""
    errors = ratings.data - offset - scores(ratings, users, items)
    per_user = np.diff(ratings.indptr)
    per_item = np.bincount(ratings.indices, minlength=ratings.shape[1])
    ridge = (per_user @ (users.astype(np.float64) ** 2).sum(1) +
             per_item @ (items.astype(np.float64) ** 2).sum(1))
    return (errors**2).sum() + regularization * ridge
