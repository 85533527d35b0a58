"""Metrics of many processes on one page: each sample with the name of its process (Prometheus' text format 0.0.4)."""

from collections.abc import Mapping


def merge_metrics(pages: Mapping[str, bytes]) -> bytes:
    """Return the pages of processes, by name, as one; every sample gets a ``process`` label.

    The format wants a family's samples together and its HELP and TYPE once.
    """
    heads: dict[str, list[str]] = {}
    samples: dict[str, list[str]] = {}
    for process, page in pages.items():
        family = ""
        for line in page.decode("utf-8", "replace").splitlines():
            if line.startswith("# "):
                _, keyword, name, *_ = [*line.split(" ", 3), "", ""]
                if keyword not in {"HELP", "TYPE"}:
                    continue
                family = name
                head = heads.setdefault(family, [])
                if not any(seen.startswith(f"# {keyword} ") for seen in head):
                    head.append(line)
            elif line:
                samples.setdefault(family, []).append(_labelled(line, process))
    lines = [line for family, found in samples.items() for line in (*heads.get(family, ()), *found)]
    return ("\n".join(lines) + "\n").encode() if lines else b""


def _labelled(sample: str, process: str) -> str:
    """Return one sample line with a ``process`` label first; an older label of that name stays as it is."""
    name, space, rest = sample.partition(" ")
    if "{" not in name:
        return f'{name}{{process="{process}"}}{space}{rest}'
    name, _, rest = sample.partition("{")
    if rest.startswith('process="') or ',process="' in rest:
        return sample
    comma = "" if rest.startswith("}") else ","
    return f'{name}{{process="{process}"{comma}{rest}'
