"""House rule: no file names a registry's host or a path of one machine."""

import json
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.txt", "requirements-dev.txt", "web/package-lock.json")


def test_lock_files_name_no_host() -> None:
    for name in LOCKS[:2]:
        assert re.findall(r"https?://[^\s\"']+", (ROOT / name).read_text()) == [], f"{name} names hosts"
    packages = json.loads((ROOT / LOCKS[2]).read_text())["packages"]
    assert [path for path, package in packages.items() if "resolved" in package] == []


def test_no_file_names_a_path_of_this_machine() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    pattern = re.compile(r"/(?:home|Users)/\w+/|/work/")
    bad = []
    for name in listed:
        path = ROOT / name
        if path.suffix in {".py", ".md", ".ts", ".tsx", ".toml", ".json", ".yml", ".sh", ""} and path.is_file():
            if name == "tests/lint/test_words.py":
                continue
            text = path.read_text(errors="ignore")
            bad += [f"{name}: {match}" for match in pattern.findall(text)]
    assert bad == []
