#!/usr/bin/env python3
"""Writes spark_text.json.gz: what Spark's Tokenizer, HashingTF and IDF give, for tests/data/spark_text_test.cpp.

Run by hand, with pyspark and a JDK; the tests only read the file:
    python3 tests/golden/spark_text.py tests/golden/spark_text.json.gz
"""
import gzip
import json
import random
import sys

import pyspark
from pyspark.ml.feature import HashingTF, IDF, Tokenizer
from pyspark.sql import SparkSession

SIZES = [1, 2, 10, 1000, 1 << 16, 1 << 18, 1000003, (1 << 31) - 1]


def random_terms(count):
    draw = random.Random(42)
    ranges = [(0x20, 0x7E), (0xA0, 0x24F), (0x370, 0x52F), (0x5D0, 0x6FF), (0x1E00, 0x1FFF), (0x2010, 0x2BFF),
              (0x3040, 0x30FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0x1F300, 0x1FAFF), (0x10400, 0x1044F)]
    terms = ["", "a", "ab", "abc", "abcd", "abcde", "\u00e9", "\U0001F600"]
    while len(terms) < count:
        low, high = ranges[draw.randrange(len(ranges))]
        letters = [chr(draw.randint(low, high)) for _ in range(draw.randint(1, 9))]
        if draw.random() < 0.3:
            letters += [chr(draw.randint(0x61, 0x7A)) for _ in range(draw.randint(1, 20))]
        terms.append("".join(letters))
    return terms


def odd_texts():
    texts = ["", " ", "  ", "a", " a", "a ", "  a  b  ", "A\tB\nC\x0bD\x0cE\rF", "a\u00a0b", "a\u2003b\u3000c", "a\u0085b",
             "\u1680", "tab\t\tdouble", "\r\n", "x\r\ny\r\n", "UPPER lower MiXeD", "ÀÉÎÕÜ ÿŸ ŠŽ ĀĂĄ", "Straße STRASSE ẞ", "İstanbul IĞDIR ı",
             "ΑΒΓ ΩΣ ΟΔΥΣΣΕΥΣ Σ ΣΑΣ ς", "ΑΣ. ΑΣΑ", "Σ'Α ΑΣ' ΑΣ'Α", "ΌΣΟΣ,ΌΣΟΣ", "АБВГД ЁЖ ЇЄҐ", "ԱԲԳ", "ႠႡႢ ᲐᲑ", "Ꭰꭰ ᎠᎡ", "ＡＢＣ", "ǄǅǆǇ Ȿ Ɐ",
             "ⅠⅡ ⒶⒷ", "𐐀𐐁 𐐨", "Ⱥ Ⱦ K Å Ω", "日本語 テスト", "emoji 😀 👍🏽", "é É E\u0301", "\"quoted\" it's", "a,b;c|d", "1.5e-3 -7"]
    draw = random.Random(7)
    pool = list(" \t\n\x0b\x0c\rabAB") + ["É", "Σ", "Ж", "ß", "\u00a0", "\u2028", "字"]
    while len(texts) < 500:
        texts.append("".join(draw.choice(pool) for _ in range(draw.randint(0, 14))))
    return texts


def cased_letters():
    """Every letter above U+007F whose lower case is another, a text each (Unicode 14 of Python 3.11; so JDK 19 or later)."""
    letters = []
    for code in range(0x80, 0x20000):
        if 0xD800 <= code < 0xE000:
            continue
        if chr(code).lower() != chr(code):
            letters.append("a" + chr(code) + "b")
    return letters


def main(path):
    spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    terms = random_terms(10000)
    buckets = {}
    frame = spark.createDataFrame([([t],) for t in terms], ["terms"]).coalesce(1)
    for size in SIZES:
        rows = HashingTF(inputCol="terms", outputCol="out", numFeatures=size).transform(frame).select("out").collect()
        buckets[str(size)] = [int(r.out.indices[0]) for r in rows]
    texts = odd_texts() + cased_letters()
    frame = spark.createDataFrame([(t,) for t in texts], ["text"]).coalesce(1)
    tokenizer = Tokenizer(inputCol="text", outputCol="tokens")
    tokens = [r.tokens for r in tokenizer.transform(frame).select("tokens").collect()]
    corpus = ["the cat sat", "The dog sat down", "a cat and a dog", "", "nothing else the the the"]
    frame = spark.createDataFrame([(t,) for t in corpus], ["text"]).coalesce(1)
    counts = HashingTF(inputCol="tokens", outputCol="counts", numFeatures=1 << 18).transform(tokenizer.transform(frame))
    weighted = IDF(inputCol="counts", outputCol="weighted").fit(counts).transform(counts).collect()
    document = {
        "spark": pyspark.__version__,
        "terms": terms,
        "buckets": buckets,
        "texts": texts,
        "tokens": tokens,
        "tfidf": {"texts": corpus, "buckets": 1 << 18,
                  "indices": [[int(i) for i in r.weighted.indices] for r in weighted],
                  "values": [[float(v) for v in r.weighted.values] for r in weighted]},
    }
    with open(path, "wb") as file, gzip.GzipFile(fileobj=file, mode="wb", mtime=0, filename="") as packed:
        packed.write(json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode())
    spark.stop()


if __name__ == "__main__":
    main(sys.argv[1])
