#!/usr/bin/env python3
"""Checks what the documents say against the tree: links lead somewhere, exit codes are the source's."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def documents():
    skip = {"build", "runs", ".git"}
    return sorted(p for p in ROOT.rglob("*.md") if not skip & set(p.relative_to(ROOT).parts))


def broken_links(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path = target.split("#")[0]
        if path and not re.match(r"[a-z]+:", path) and not (page.parent / path).exists():
            yield f"{page.relative_to(ROOT)}: link to {target}, which is not there"


RETRY = {"no": "no", "once": "once", "yes": "yes", "elsewhere": "yes, on another node", "resume": "yes"}


def exit_code_problems():
    source = (ROOT / "runtime/error.cpp").read_text()
    table = re.findall(r'\{(\d+|kCrashLoop), "([^"]+)", Retry::(\w+)\}', source)
    loop = re.search(r"kCrashLoop = (\d+);", (ROOT / "runtime/exit_codes.h").read_text()).group(1)
    codes = {loop if code == "kCrashLoop" else code: (name, retry) for code, name, retry in table}
    page = (ROOT / "docs/exit-codes.md").read_text()
    rows = {code: cells for code, *cells in re.findall(r"^\| (\d+) \| ([^|]+?) \|[^|]*\| ?([^|]*?) ?\|$", page, re.MULTILINE)}
    if not codes:
        yield "runtime/error.cpp: the table of exit codes was not found"
    for code, (name, retry) in codes.items():
        said = rows.get(code)
        if said is None or said[0] != name or not re.match(rf"{RETRY[retry]}\b", said[1]):
            yield f'docs/exit-codes.md: code {code} is "{name}", try again "{RETRY[retry]}" in runtime/error.cpp, {said} here'
    for code in rows.keys() - codes.keys() - {"0"}:
        yield f"docs/exit-codes.md: code {code} is not in runtime/error.cpp"


def main():
    pages = documents()
    problems = [p for page in pages for p in broken_links(page)] + list(exit_code_problems())
    print("\n".join(problems) if problems else f"{len(pages)} documents agree with the tree")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
