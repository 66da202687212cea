"""One run of one peer in a process of its own: python mf_peer.py NAME FOLDER key=value...

Prints a line of JSON: seconds per epoch without loading, loss after the last epoch, version, BLAS.
Started by mf_compare.py with one BLAS thread, as implicit asks for.
"""

import importlib.metadata
import json
import os
import resource
import sys
import time

import numpy as np

import mf_data


def blas():
    from threadpoolctl import threadpool_info

    return sorted({f"{b['internal_api']} {b.get('architecture', '')}".strip() for b in threadpool_info()
                   if b["user_api"] == "blas"})


def run_implicit(folder, o):
    import implicit
    from implicit.als import AlternatingLeastSquares

    ratings = mf_data.read(folder)
    users, items = mf_data.read_init(folder, o["factors"])
    # Its confidence is alpha r where an entry is, gradmill's 1 + alpha r: equal for r = 1.
    model = AlternatingLeastSquares(
        factors=o["factors"], regularization=o["regularization"], alpha=1 + o["alpha"],
        iterations=o["epochs"], use_cg=bool(o["cg"]), num_threads=o["threads"], use_native=True)
    model.user_factors, model.item_factors = users, items
    seconds, cpu = [], [time.process_time()]

    def epoch_done(_epoch, elapsed, *_):
        seconds.append(elapsed)
        cpu.append(time.process_time())

    model.fit(ratings, show_progress=False, callback=epoch_done)
    loss = mf_data.implicit_loss(ratings, model.user_factors, model.item_factors, o["alpha"],
                                 o["regularization"])
    return {"version": implicit.__version__, "seconds": seconds, "cpu_seconds": list(np.diff(cpu)),
            "loss": loss}


def by_difference(fit, epochs, cpu_clock=time.process_time):
    """Seconds per epoch of a library that reports none: a run of `epochs` + 1 less a run of 1."""
    clocks = []
    for length in (1, epochs + 1):
        start = time.perf_counter(), cpu_clock()
        model = fit(length)
        clocks.append((time.perf_counter() - start[0], cpu_clock() - start[1]))
    wall, cpu = ((clocks[1][i] - clocks[0][i]) / epochs for i in range(2))
    return model, {"seconds": [wall], "cpu_seconds": [cpu]}


def run_cmfrec_implicit(folder, o):
    import cmfrec

    ratings = mf_data.read(folder)

    def fit(epochs):
        model = cmfrec.CMF_implicit(
            k=o["factors"], lambda_=o["regularization"], alpha=o["alpha"], use_cg=False, niter=epochs,
            use_float=True, nthreads=o["threads"], precompute_for_predictions=False, verbose=False)
        return model.fit(ratings.tocoo())

    model, clocks = by_difference(fit, o["epochs"])
    loss = mf_data.implicit_loss(ratings, model.A_, model.B_, o["alpha"], o["regularization"])
    return {"version": importlib.metadata.version("cmfrec"), "loss": loss} | clocks


def run_cmfrec_explicit(folder, o):
    import cmfrec

    ratings = mf_data.read(folder)

    def fit(epochs):
        model = cmfrec.CMF(
            k=o["factors"], lambda_=o["regularization"], scale_lam=True, method="als", use_cg=False,
            user_bias=False, item_bias=False, center=True, niter=epochs, use_float=True,
            nthreads=o["threads"], precompute_for_predictions=False, verbose=False)
        return model.fit(ratings.tocoo())

    model, clocks = by_difference(fit, o["epochs"])
    loss = mf_data.explicit_loss(ratings, model.A_, model.B_, model.glob_mean_, o["regularization"])
    return {"version": importlib.metadata.version("cmfrec"), "loss": loss} | clocks


def run_spark(folder, o):
    """Spark MLlib's ALS, local[threads]; its half-steps are the same ALS-WR."""
    import pyspark
    from pyspark.ml.recommendation import ALS
    from pyspark.sql import SparkSession

    spark = (SparkSession.builder.master(f"local[{o['threads']}]").appName("mf")
             .config("spark.driver.memory", "6g").config("spark.ui.enabled", "false")
             .config("spark.sql.shuffle.partitions", 4).config("spark.driver.host", "127.0.0.1")
             .getOrCreate())
    spark.sparkContext.setLogLevel("ERROR")
    ratings = mf_data.read(folder)
    offset = float(ratings.data.mean()) if o["factors"] else 0.0
    coo = ratings.tocoo()
    csv = f"{o['scratch']}/ratings.csv"
    np.savetxt(csv, np.column_stack([coo.row, coo.col, coo.data - offset]), fmt="%d,%d,%.7g")
    data = spark.read.csv(csv, schema="user int, item int, rating float").repartition(4).cache()
    data.count()

    def fit(epochs):
        return ALS(rank=o["factors"], maxIter=epochs, regParam=o["regularization"], numUserBlocks=4,
                   numItemBlocks=4, userCol="user", itemCol="item", ratingCol="rating", seed=1).fit(data)

    def cpu_clock():  # of the Java process
        fields = open(f"/proc/{spark.sparkContext._gateway.proc.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    fit(1)  # warms the virtual machine up
    model, clocks = by_difference(fit, o["epochs"], cpu_clock)
    factors = []
    for table, rows in ((model.userFactors, ratings.shape[0]), (model.itemFactors, ratings.shape[1])):
        dense = np.zeros((rows, o["factors"]), np.float32)
        for row in table.collect():
            dense[row["id"]] = row["features"]
        factors.append(dense)
    loss = mf_data.explicit_loss(ratings, *factors, offset, o["regularization"])
    spark.stop()
    return {"version": pyspark.__version__, "loss": loss} | clocks


def main():
    name, folder, *pairs = sys.argv[1:]
    options = {}
    for key, value in (pair.split("=", 1) for pair in pairs):
        try:
            options[key] = json.loads(value)
        except ValueError:
            options[key] = value
    result = globals()[f"run_{name}"](folder, options)
    result["blas"] = blas()
    result["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(result))


if __name__ == "__main__":
    main()
