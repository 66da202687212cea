#!/usr/bin/env python3
"""Tests that check_layers.py finds each kind of violation, and nothing in a sound tree."""
import pathlib
import tempfile
import unittest

import check_layers

SOUND = {
    "runtime/a.h": "#include <vector>\n",
    "runtime/a.cpp": '#include "runtime/a.h"\n#include <fmt/format.h>\n',
    "kernels/op/op.h": '#include "runtime/a.h"\n',
    "kernels/op/op.cu": '#include "kernels/op/op.h"\n#include <cuda_runtime.h>\n',
    "dist/private.h": "#include <mpi.h>\n",
    "dist/x.cpp": '#include "dist/private.h"\n',
    "launch/main.cpp": '#include "kernels/op/op.h"\n',
}


class CheckLayers(unittest.TestCase):
    def problems(self, **changes):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for name, text in {**SOUND, **changes.get("files", {})}.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text)
            return check_layers.check(root)[0]

    def expect_one(self, files, words):
        found = self.problems(files=files)
        self.assertEqual(len(found), 1, found)
        self.assertIn(words, found[0])

    def test_sound_tree(self):
        self.assertEqual(self.problems(), [])

    def test_upward_include(self):
        self.expect_one({"runtime/b.cpp": '#include "kernels/op/op.h"\n'}, "runtime/b.cpp:1: runtime/ may not include kernels/")

    def test_sideways_include(self):
        self.expect_one({"data/d.cpp": '\n#include "dist/private.h"\n'}, "data/d.cpp:2: data/ may not include dist/")

    def test_product_includes_tests(self):
        files = {"tests/t.h": "", "dist/y.cpp": '#include "tests/t.h"\n'}
        self.expect_one(files, "dist/ may not include tests/")

    def test_relative_include(self):
        self.expect_one({"kernels/op/op.cpp": '#include "op.h"\n'}, "not a path from the top")

    def test_private_library_in_public_header(self):
        files = {"runtime/b.h": "#include <Eigen/Core>\n", "kernels/op/op.h": '#include "runtime/a.h"\n#include "runtime/b.h"\n'}
        found = self.problems(files=files)
        self.assertTrue(any("runtime/b.h: <Eigen/Core>" in p for p in found), found)

    def test_private_header_used_outside(self):
        found = self.problems(files={"models/m.cpp": '#include "dist/private.h"\n'})
        self.assertEqual(found, ["dist/private.h: <mpi.h> in a header that other folders include"])

    def test_fmt_reaches_cuda(self):
        files = {"runtime/c.h": "#include <fmt/format.h>\n", "kernels/op/op.cu": '#include "runtime/c.h"\n'}
        self.expect_one(files, "nvcc would parse <fmt/format.h>, by kernels/op/op.cu -> runtime/c.h")


if __name__ == "__main__":
    unittest.main()
