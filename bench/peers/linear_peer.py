"""One run of one peer in a process of its own: python linear_peer.py NAME FOLDER key=value...

Prints a line of JSON: seconds of training, load_s of reading the text (where the peer reads text), loss,
version. Started by linear_compare.py with the threads and the BLAS set for it.
"""

import importlib.metadata
import json
import resource
import subprocess
import sys
import time

import numpy as np

import linear_data


def objective(folder, o, w):
    x, y = linear_data.read(folder, "train")
    return linear_data.objective(x, y, np.asarray(w, np.float64)[:x.shape[1]], o["loss"], o["penalty"], o["cost"])


def run_liblinear(folder, o):
    """The C library through its Python module, which hands scipy's arrays over: no text is read."""
    if o["threads"] > 1:
        sys.path.insert(0, o["multicore"])
    from liblinear.liblinearutil import parameter, problem, train

    x, y = linear_data.read(folder, "train")
    flags = f"-s {o['solver']} -c {o['cost']} -e {o['tolerance']} -q"
    if o["threads"] > 1:
        flags += f" -m {o['threads']}"
    p = problem(y, x.astype(np.float64))
    start = time.perf_counter(), time.process_time()
    model = train(p, parameter(flags))
    seconds, cpu = time.perf_counter() - start[0], time.process_time() - start[1]
    w = np.array([model.w[i] for i in range(x.shape[1])]) * (1 if model.get_labels()[0] > 0 else -1)
    name = "liblinear-multicore" if o["threads"] > 1 else "liblinear-official"
    return dict(loss=objective(folder, o, w), seconds=[seconds], cpu_seconds=[cpu],
                  version=o.get("version") or importlib.metadata.version(name))


def run_liblinear_text(folder, o):
    """The program liblinear-train from text to model, all in one."""
    model = f"{o['scratch']}/model"
    start = time.perf_counter()
    subprocess.run(["liblinear-train", "-s", str(o["solver"]), "-c", str(o["cost"]), "-e", str(o["tolerance"]),
                    "-q", f"{folder}/train.svm", model], check=True)
    seconds = time.perf_counter() - start
    lines = open(model).read().split("\nw\n")
    w = np.array([float(v.split()[0]) for v in lines[1].splitlines()])
    w *= 1 if "label 1 " in lines[0] else -1
    return dict(loss=objective(folder, o, w), seconds=[seconds], version="Debian")


def run_sklearn(folder, o):
    import sklearn
    from sklearn.linear_model import LogisticRegression

    x, y = linear_data.read(folder, "train")
    if o.get("dense"):
        x = x.toarray()
    model = LogisticRegression(C=o["cost"], solver=o["solver"], tol=o["tolerance"], fit_intercept=False,
                               max_iter=1000)
    start = time.perf_counter(), time.process_time()
    model.fit(x, y)
    seconds, cpu = time.perf_counter() - start[0], time.process_time() - start[1]
    return dict(loss=objective(folder, o, model.coef_[0]), seconds=[seconds], cpu_seconds=[cpu],
                  version=sklearn.__version__)


def run_sklearn_sgd(folder, o):
    import sklearn
    from sklearn.linear_model import SGDClassifier

    x, y = linear_data.read(folder, "train")
    x = x.astype(np.float64)
    model = SGDClassifier(loss="log_loss", alpha=o["l2"], max_iter=o["passes"], tol=None, random_state=1,
                          average=False)
    start = time.perf_counter()
    model.fit(x, y)
    seconds = time.perf_counter() - start
    x, y = linear_data.read(folder, "test")
    loss = linear_data.log_loss(y, model.decision_function(x.astype(np.float64)))
    return dict(loss=loss, seconds=[seconds], version=sklearn.__version__)


def run_vw(folder, o):
    """One pass from its cache; an earlier one, which is not counted, makes that of the text."""
    from vowpalwabbit import Workspace

    def workspace(flags):
        start = time.perf_counter()
        vw = Workspace(f"--quiet --cache_file {o['scratch']}/cache {flags}")
        if not vw.parser_ran:  # without -d
            vw.run_parser()
        vw.finish()
        return time.perf_counter() - start

    learn = f"--loss_function logistic -b 22 --noconstant {o['flags']}"
    load = workspace(f"-d {folder}/train.vw {learn}")
    seconds = workspace(f"{learn} -f {o['scratch']}/model")
    Workspace(f"--quiet -t -i {o['scratch']}/model -d {folder}/test.vw -r {o['scratch']}/margins").finish()
    margins = np.loadtxt(f"{o['scratch']}/margins")
    _, y = linear_data.read(folder, "test")
    return dict(loss=linear_data.log_loss(y, margins), seconds=[seconds], load_s=load,
                version=importlib.metadata.version("vowpalwabbit"))


def run_snapml(folder, o):
    import snapml

    x, y = linear_data.read(folder, "train")
    if o.get("dense"):
        x = x.toarray()
    model = snapml.LogisticRegression(regularizer=1 / o["cost"], tol=o["tolerance"], n_jobs=o["threads"],
                                      max_iter=1000, fit_intercept=False, random_state=1)
    start = time.perf_counter()
    model.fit(x, y)
    seconds = time.perf_counter() - start
    return dict(loss=objective(folder, o, np.ravel(model.coef_)), seconds=[seconds], version=importlib.metadata.version("snapml"))


def run_spark(folder, o):
    import pyspark
    from pyspark.ml.classification import LogisticRegression
    from pyspark.sql import SparkSession

    spark = (SparkSession.builder.master(f"local[{o['threads']}]").appName("linear")
             .config("spark.driver.memory", "12g").config("spark.ui.enabled", "false")
             .config("spark.driver.host", "127.0.0.1").getOrCreate())
    spark.sparkContext.setLogLevel("ERROR")
    x, y = linear_data.read(folder, "train")
    start = time.perf_counter()
    text = f"{o['scratch']}/train01.svm"
    with open(text, "w") as out:
        for line in open(f"{folder}/train.svm"):
            out.write("0" + line[2:] if line.startswith("-1") else line)
    data = (spark.read.format("libsvm").option("numFeatures", x.shape[1]).load(text)
            .repartition(o["threads"]).cache())
    data.count()
    load = time.perf_counter() - start
    # Its objective is the mean loss + regParam |w|^2 / 2.
    lr = LogisticRegression(regParam=1 / (o["cost"] * len(y)), fitIntercept=False, standardization=False,
                            tol=o["tolerance"], maxIter=500)
    LogisticRegression(maxIter=1).fit(data)  # warms the virtual machine up
    start = time.perf_counter()
    model = lr.fit(data)
    seconds = time.perf_counter() - start
    w = model.coefficients.toArray()
    spark.stop()
    return dict(loss=objective(folder, o, w), seconds=[seconds], load_s=load, version=pyspark.__version__)


def main():
    name, folder, *pairs = sys.argv[1:]
    options = {}
    for key, value in (pair.split("=", 1) for pair in pairs):
        try:
            options[key] = json.loads(value)
        except ValueError:
            options[key] = value
    result = globals()[f"run_{name}"](folder, options)
    result["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(result))


if __name__ == "__main__":
    main()
