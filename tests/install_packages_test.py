#!/usr/bin/env python3
"""Tests of launch/install-packages with stand-ins for dpkg-query, apt-get, id and sudo."""
import os
import pathlib
import subprocess
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parent.parent / "launch/install-packages"
STAND_INS = {
    "dpkg-query": 'for last; do :; done; grep -qx "$last" "$HERE/installed" && printf installed',
    "apt-get": """echo "$*" >>"$HERE/apt.log"
for word; do case $word in
  -s) [ -f "$HERE/lists" ]; exit ;;
  update) touch "$HERE/lists"; exit ;;
  install) [ -f "$HERE/broken" ] && { echo "E: no such package"; exit 100; }; exit 0 ;;
esac; done""",
    "id": 'cat "$HERE/uid"',
    "sudo": '[ -f "$HERE/sudo-works" ] || exit 1; echo "sudo $*" >>"$HERE/apt.log"; [ "$1" = -n ] && exit 0; exec "$@"',
}


class InstallPackages(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.here = pathlib.Path(folder.name)
        for name, body in STAND_INS.items():
            (self.here / name).write_text(f"#!/bin/bash\n{body}\n")
            (self.here / name).chmod(0o755)
        self.write("packages", "# what we need\none\ntwo  # with a reason\n\nthree\n")
        self.write("installed", "one\ntwo\nthree\n")
        self.write("uid", "0\n")

    def write(self, name, text=""):
        (self.here / name).write_text(text)

    def run_script(self):
        environment = {**os.environ, "PATH": f"{self.here}:{os.environ['PATH']}", "HERE": str(self.here)}
        done = subprocess.run([SCRIPT, self.here / "packages"], env=environment, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=60)
        log = self.here / "apt.log"
        return done, log.read_text().splitlines() if log.exists() else []

    def test_nothing_missing_touches_nothing(self):
        done, apt = self.run_script()
        self.assertEqual((done.returncode, apt), (0, []), done.stderr)

    def test_installs_only_what_is_missing(self):
        self.write("installed", "two\n")
        self.write("lists")
        done, apt = self.run_script()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(apt[-1].endswith("install -y --no-install-recommends one three"), apt)
        self.assertFalse(any("update" in line for line in apt), apt)
        self.assertIn("one three", done.stdout)

    def test_updates_the_lists_when_they_do_not_do(self):
        self.write("installed", "two\n")
        done, apt = self.run_script()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(sum("update" in line for line in apt), 1, apt)

    def test_says_why_it_failed(self):
        self.write("installed", "two\n")
        self.write("broken")
        done, _ = self.run_script()
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("E: no such package", done.stderr)

    def test_without_root_or_sudo_it_says_what_to_run(self):
        self.write("installed", "two\n")
        self.write("uid", "1000\n")
        done, apt = self.run_script()
        self.assertEqual((done.returncode, apt), (77, []))
        self.assertIn("apt-get install --no-install-recommends one three", done.stderr)

    def test_with_sudo(self):
        self.write("installed", "two\n")
        self.write("uid", "1000\n")
        self.write("lists")
        self.write("sudo-works")
        done, apt = self.run_script()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(any(line.startswith("sudo env DEBIAN_FRONTEND=noninteractive apt-get") for line in apt), apt)


if __name__ == "__main__":
    unittest.main()
