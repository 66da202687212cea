"""One run of LIBMF in a process of its own: python mf_libmf.py LIBRARY FOLDER key=value...

LIBRARY is LIBMF as a shared library with the C interface of PyPI's libmf. Prints a line of JSON:
seconds per epoch (a long run less a short one: LIBMF reports no times), test RMSE after each epoch.
"""

import ctypes
import json
import os
import pathlib
import sys
import tempfile
import time

import numpy as np

SHORT = 2  # epochs of the run that is subtracted


class Parameters(ctypes.Structure):  # mf_parameter of mf.h
    _fields_ = [("fun", ctypes.c_int), ("k", ctypes.c_int), ("nr_threads", ctypes.c_int),
                ("nr_bins", ctypes.c_int), ("nr_iters", ctypes.c_int), ("lambda_p1", ctypes.c_float),
                ("lambda_p2", ctypes.c_float), ("lambda_q1", ctypes.c_float),
                ("lambda_q2", ctypes.c_float), ("eta", ctypes.c_float), ("do_nmf", ctypes.c_bool),
                ("quiet", ctypes.c_bool), ("copy_data", ctypes.c_bool)]


def triples(folder, name):
    folder = pathlib.Path(folder)
    columns = [np.fromfile(folder / f"{name}.{part}", dtype).astype(np.float32)
               for part, dtype in (("user.i32", np.int32), ("item.i32", np.int32),
                                   ("value.f32", np.float32))]
    return np.ascontiguousarray(np.column_stack(columns))


def printed(call):
    """What a C++ function writes to standard output."""
    with tempfile.TemporaryFile() as file:
        stdout = os.dup(1)
        os.dup2(file.fileno(), 1)
        call()
        os.dup2(stdout, 1)
        file.seek(0)
        return file.read().decode()


def main():
    library, folder, *pairs = sys.argv[1:]
    o = {key: json.loads(value) for key, value in (pair.split("=", 1) for pair in pairs)}
    mf = ctypes.CDLL(library)
    train, test = triples(folder, "train"), triples(folder, "test")

    def pointer(array):
        return array.ctypes.data_as(ctypes.POINTER(ctypes.c_float))

    def parameters(epochs, quiet):
        return Parameters(0, o["factors"], o["threads"], o["bins"], epochs, 0, o["l2"], 0, o["l2"],
                          o["learning_rate"], False, quiet, True)

    def fit(epochs):
        start = time.perf_counter(), time.process_time()
        mf.fit_interface(len(train), pointer(train), ctypes.byref(parameters(epochs, True)))
        return time.perf_counter() - start[0], time.process_time() - start[1]

    short, long = fit(SHORT), fit(o["epochs"])
    wall, cpu = ((long[i] - short[i]) / (o["epochs"] - SHORT) for i in range(2))
    rmse = []
    if o.get("judge"):
        text = printed(lambda: mf.train_valid_interface(
            len(train), len(test), pointer(train), pointer(test),
            ctypes.byref(parameters(o["epochs"], False))))
        rmse = [float(line.split()[2]) for line in text.splitlines()[1:]]
    print(json.dumps({"seconds": [wall], "cpu_seconds": [cpu], "preparation_s": short[0] - SHORT * wall,
                      "test_rmse": rmse}))


if __name__ == "__main__":
    main()
