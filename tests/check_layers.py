#!/usr/bin/env python3
"""Checks who includes whom (docs/ARCHITECTURE.md). Exit status 1 and one line for each violation.

  check_layers.py [ROOT]      the repository; by default the one that holds this file
"""
import pathlib
import re
import sys

# A folder may include itself and these.
MAY_INCLUDE = {
    "runtime": set(),
    "kernels": {"runtime"},
    "dist": {"runtime"},
    "data": {"runtime"},
    "models": {"runtime", "kernels", "dist"},
    "launch": {"runtime", "kernels", "dist", "data", "models"},
}
# Libraries that stay within a folder: no header that another folder includes leads to one of them.
PRIVATE_LIBRARIES = re.compile(
    r"(cuda|cublas|nvtx|nccl|cub/|thrust/|cooperative_groups|mma\.h|Eigen/|mpi\.h|hdf5|H5|zlib|xxhash|toml\+\+/|nlohmann/|CLI/)"
)
# nvcc should not have to parse these, not even through a header of ours.
NOT_IN_CUDA = re.compile(r"(fmt/|Eigen/|nlohmann/|toml\+\+/|CLI/|mpi\.h|hdf5|H5)")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)
SUFFIXES = {".h", ".cpp", ".cu", ".cuh"}


def includes(path):
    text = path.read_text(encoding="utf-8")
    return [(text.count("\n", 0, m.start()) + 1, m[1] == '"', m[2]) for m in INCLUDE.finditer(text)]


def reached_libraries(root, path, seen, trail):
    """(trail of our files, library header) for everything that this file includes, directly or not."""
    for _, ours, name in includes(path):
        if not ours:
            yield trail, name
        elif name not in seen and (root / name).is_file():
            seen.add(name)
            yield from reached_libraries(root, root / name, seen, trail + [name])


def check(root):
    problems, files, public = [], 0, set()
    for folder, allowed in MAY_INCLUDE.items():
        for path in sorted(p for p in (root / folder).rglob("*") if p.suffix in SUFFIXES):
            files += 1
            here = path.relative_to(root)
            for line, ours, name in includes(path):
                if not ours:
                    continue
                target = name.split("/")[0]
                if not (root / name).is_file():
                    problems.append(f'{here}:{line}: "{name}" is not a path from the top of the repository')
                elif target != folder and target not in allowed:
                    may = ", ".join(sorted(allowed)) or "nothing else"
                    problems.append(f"{here}:{line}: {folder}/ may not include {target}/ (it may include: {may})")
                elif target != folder:
                    public.add(name)
            if path.suffix in {".cu", ".cuh"}:
                for trail, name in reached_libraries(root, path, set(), [str(here)]):
                    if NOT_IN_CUDA.match(name):
                        problems.append(f"{here}: nvcc would parse <{name}>, by {' -> '.join(trail)}")
    for header in sorted(public):
        for trail, name in reached_libraries(root, root / header, {header}, [header]):
            if PRIVATE_LIBRARIES.match(name):
                problems.append(f"{' -> '.join(trail)}: <{name}> in a header that other folders include")
    return problems, files


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent).resolve()
    problems, files = check(root)
    print("\n".join(problems) if problems else f"{files} files keep to the layers")
    if files == 0:
        print(f"no source files under {root}")
    return 1 if problems or files == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
