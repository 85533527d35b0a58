"""House rule: no file names a registry's host or a path of one machine."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.txt", "requirements-dev.txt", "web/package-lock.json")


def test_lock_files_name_no_host() -> None:
    for name in LOCKS:
        path = ROOT / name
        hits = re.findall(r"https?://[^\s\"']+", path.read_text())
        fine = [hit for hit in hits if "funding" in hit or re.search(r"opencollective|github\.com/sponsors|tidelift", hit)]
        assert sorted(set(hits) - set(fine)) == [], f"{name} names hosts"


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
