"""Hook of mkdocs: pages that stand elsewhere in the repository, with their links put right."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
# Page of the site: file of the repository.
PAGES = {
    "index.md": "README.md",
    "example.md": "examples/han-reader/README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changes.md": "CHANGELOG.md",
    "test-data.md": "tests/data/README.md",
}
_LINK = re.compile(r"(\]\()([^)#:\s]+)((?:#[^)]*)?\))")


def on_files(files: Files, config: Any) -> Files:
    for page, source in PAGES.items():
        path = ROOT / source
        files.append(File.generated(config, page, content=_with_links(path.read_text(), path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    if page.file.generated_by:
        return markdown
    return _with_links(markdown, Path(page.file.abs_src_path))


def on_post_build(config: Any) -> None:
    """The search as scripts: from a disk a page may load those, and nothing else."""
    folder = Path(config["site_dir"]) / "search"
    pages = json.loads((folder / "search_index.json").read_text())["docs"]
    (folder / "search_index.js").write_text(f"window.openamsDocs = {json.dumps(pages)};\n")
    (folder / "main.js").write_text((ROOT / "tools" / "docs_search.js").read_text())
    (folder / "worker.js").unlink()


def _with_links(text: str, source: Path) -> str:
    """A link to a file of the repository leads to its page."""
    places = {ROOT / name: page for page, name in PAGES.items()}
    here = source.parent

    def page_of(match: re.Match[str]) -> str:
        target = (here / match[2]).resolve()
        if target in places:
            link = places[target]
        elif source in places and target.is_relative_to(ROOT / "docs"):
            link = target.relative_to(ROOT / "docs").as_posix()
        else:
            return match[0]
        up = "../" * len(here.relative_to(ROOT / "docs").parts) if source not in places else ""
        return f"{match[1]}{up}{link}{match[3]}"

    return _LINK.sub(page_of, text)
