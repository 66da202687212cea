"""Alternating least squares against implicit, cmfrec and Spark MLlib."""

import mf_data
from mf_compare import run_driver, run_peer
from side_by_side import interleave, report

# Weights of Hu et al. 2008 in gradmill's words: c = 1 + alpha r, ridge the same for every row.
ALPHA, IMPLICIT_RIDGE = 10, 0.1
# ALS-WR: ridge times the number of ratings.
EXPLICIT_RIDGE = 0.05
DATA = {"ials-cg": ["ml1m-like", "ml1m-implicit", "zipf20m"], "ials-direct": ["ml1m-like", "ml1m-implicit"],
        "explicit": ["ml1m-like-ratings"], "spark": ["ml1m-like-ratings"]}


def ials(folder, ratings, k, threads, solver, epochs):
    return run_driver("mf_driver", folder,
                      lambda x, y: mf_data.implicit_loss(ratings, x, y, ALPHA, IMPLICIT_RIDGE),
                      solver=solver, factors=k, threads=threads, epochs=epochs, alpha=ALPHA,
                      regularization=IMPLICIT_RIDGE, ridge_exponent=0, unobserved_weight=1)


def explicit(folder, ratings, k, threads, solver, epochs):
    offset = float(ratings.data.mean())
    return run_driver("mf_driver", folder,
                      lambda x, y: mf_data.explicit_loss(ratings, x, y, offset, EXPLICIT_RIDGE),
                      solver=solver, factors=k, threads=threads, epochs=epochs, offset=offset,
                      regularization=EXPLICIT_RIDGE, ridge_exponent=1)


def contenders(name, folder, ratings, k, threads, epochs):
    weights = {"factors": k, "threads": threads, "epochs": epochs}
    implicit = weights | {"alpha": ALPHA, "regularization": IMPLICIT_RIDGE}
    wr = weights | {"regularization": EXPLICIT_RIDGE}
    if name == "ials-cg":
        return {"gradmill": lambda: ials(folder, ratings, k, threads, "cg", epochs),
                "implicit CG": lambda: run_peer("implicit", folder, cg=1, **implicit)}
    if name == "ials-direct":
        return {"gradmill": lambda: ials(folder, ratings, k, threads, "direct", epochs),
                "implicit Cholesky": lambda: run_peer("implicit", folder, cg=0, **implicit),
                "cmfrec": lambda: run_peer("cmfrec_implicit", folder, **implicit)}
    # The peers report no epochs: their losses are those of a run of one epoch more (by_difference).
    ours = {"gradmill CG": lambda: explicit(folder, ratings, k, threads, "explicit-cg", epochs + 1),
            "gradmill Cholesky": lambda: explicit(folder, ratings, k, threads, "explicit", epochs + 1)}
    if name == "explicit":
        return ours | {"cmfrec": lambda: run_peer("cmfrec_explicit", folder, **wr)}
    return ours | {"Spark MLlib": lambda: run_peer("spark", folder, **wr)}


def compare(name, options):
    """Loss is compared after the same number of epochs; the direct solvers of libraries that start
    from other random factors may differ by a percent."""
    epochs = {"ials-cg": 4, "ials-direct": 2, "explicit": 3, "spark": 3}[name]
    slow = name in ("ials-direct", "spark")
    for data in options.data or DATA[name]:
        if options.quick and data.startswith("zipf"):
            continue
        for k in options.factors[:1] if name == "spark" else options.factors:
            folder = mf_data.folder(data, k)
            if folder is None:
                print(f"{data}: not there, skipped")
                continue
            ratings = mf_data.read(folder)
            for threads in [2] if name == "spark" else options.threads:
                rounds = max(1, options.rounds // 2) if slow or data.startswith("zipf") else options.rounds
                runs, loads = interleave(rounds, contenders(name, folder, ratings, k, threads, epochs))
                yield report(f"{name} {data} k={k} threads={threads}", runs, loads, ours=next(iter(runs)),
                             allowed_loss=1.001 if name in ("ials-cg", "spark") else 1.02)
