#!/usr/bin/env python3
"""Writes spark_sms.json: what Spark's Tokenizer, HashingTF(1000) and LogisticRegression learn from the example
of short messages, for tests/launch/linear_training_test.cpp.

Run by hand, with pyspark and a JDK; the tests only read the file:
    python3 tests/golden/spark_sms.py data/examples/sms-spam/SMSSpamCollection.gz tests/golden/spark_sms.json

standardization=False: with it, regParam weighs the coefficients of features divided by their standard
deviations, which is another objective than ours (and LIBLINEAR's, and scikit-learn's).
"""
import gzip
import json
import sys

import pyspark
from pyspark.ml import Pipeline
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.feature import HashingTF, Tokenizer
from pyspark.sql import SparkSession

REG_PARAM = 0.001
spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
rows = [line.rstrip("\n").split("\t", 1) for line in gzip.open(sys.argv[1], "rt", encoding="utf-8", newline="\n")]
rows = [(text, 1.0 if label == "spam" else 0.0) for label, text in rows]
data = spark.createDataFrame(rows, ["text", "label"])
pipeline = Pipeline(stages=[
    Tokenizer(inputCol="text", outputCol="words"),
    HashingTF(inputCol="words", outputCol="features", numFeatures=1000),
    LogisticRegression(regParam=REG_PARAM, maxIter=10000, tol=1e-12, standardization=False)])
model = pipeline.fit(data).stages[-1]
json.dump({"pyspark": pyspark.__version__, "rows": len(rows), "reg_param": REG_PARAM,
           "objective": model.summary.objectiveHistory[-1], "intercept": model.intercept,
           "coefficients": [round(float(c), 9) for c in model.coefficients.toArray()]},
          open(sys.argv[2], "w"))
