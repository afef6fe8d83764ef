"""The documentation as pages: strictly built, whole links, nothing from the network."""

from __future__ import annotations

import shutil
import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest

from tests.conftest import ROOT

sys.path.append(str(ROOT / "tools"))

from browser import Browser


def build(root, out):
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", root / "mkdocs.yml"]
        + ["-d", out],
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("site")
    done = build(ROOT, out)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.loaded = set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        of = dict(attributes)
        self.ids |= {of[name] for name in ("id", "name") if of.get(name)}
        if tag == "a" and of.get("href"):
            self.links.append(of["href"])
        for name in ("src", "href"):
            if tag in ("script", "link", "img") and of.get(name):
                self.loaded.append(of[name])


def test_every_link_leads_somewhere_and_nothing_comes_from_elsewhere(site):
    pages = {path: Page(path.read_text()) for path in site.rglob("*.html")}
    pages.pop(site / "404.html")  # its links are those of a server
    assert len(pages) > 25
    for path, page in pages.items():
        for link in page.loaded:
            parts = urlsplit(link)
            assert not parts.netloc and (path.parent / unquote(parts.path)).is_file(), (path, link)
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.is_file(), (path.name, link)
            if parts.fragment and target in pages:
                assert parts.fragment in pages[target].ids, (path.name, link)


def test_every_page_of_docs_is_there_and_the_readme_with_its_picture(site):
    for source in (ROOT / "docs").rglob("*.md"):
        place = source.relative_to(ROOT / "docs").with_suffix(".html").as_posix()
        assert (site / place.replace("README", "index")).is_file(), place
    text = (site / "index.html").read_text()
    assert "live.svg" in text and (site / "live.svg").is_file()
    assert "example.html" in text and "docs/" not in Page(text).links


@pytest.mark.parametrize("broken", ["[x](nowhere.md)", "[x](keys.md#no-such-heading)"])
def test_a_broken_link_fails_the_build(tmp_path, broken):
    for name in ("docs", "tools", "examples"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / "tests" / "data").mkdir(parents=True)
    for name in (
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "mkdocs.yml",
        "tests/data/README.md",
    ):
        shutil.copy(ROOT / name, tmp_path / name)
    with (tmp_path / "docs" / "links.md").open("a") as page:
        page.write(f"\n{broken}\n")
    done = build(tmp_path, tmp_path / "out")
    assert done.returncode != 0 and "links.md" in done.stdout + done.stderr


@pytest.fixture(scope="module")
def browser():
    if shutil.which("chromium") is None:
        subprocess.run(["sh", str(ROOT / "tools" / "chromium.sh")], check=False)
    if shutil.which("chromium") is None:
        pytest.skip("no chromium: sudo apt-get install chromium")
    found = Browser()
    yield found
    found.close()


def test_the_search_works_from_a_disk(site, browser):
    for page in ("index.html", "boards/pico.html"):
        browser.open((site / page).as_uri())
        browser.wait(f"document.readyState === 'complete' && location.href.endsWith('{page}')")
        ask = "(() => {{ const i = document.querySelector('#mkdocs-search-query'); i.value = {0};"
        ask += " i.dispatchEvent(new Event('input')); }})()"
        links = "[...document.querySelectorAll('#mkdocs-search-results a')]"
        links += ".map(a => a.getAttribute('href'))"
        browser.run(ask.format("'keystore'"))
        browser.wait(f"{links}.length > 0")
        found = browser.run(links)
        assert any("keys.html" in link for link in found), found
        for link in found:
            place = (site / page).parent / link.split("#")[0]
            assert place.resolve().is_file(), link
        browser.run(ask.format("'zzzqqqxxx'"))
        place = "document.querySelector('#mkdocs-search-results')"
        browser.wait(f"{place}.textContent.includes('Nothing')")
    assert browser.errors == []


@pytest.mark.parametrize("width", [1280, 768, 360])
def test_no_page_is_wider_than_the_screen(site, browser, width):
    browser.size(width, 800, mobile=width < 700)
    for page in ("objects.html", "index.html", "links.html", "han.html", "storage.html"):
        browser.open((site / page).as_uri())
        browser.wait(f"document.readyState === 'complete' && location.href.endsWith('{page}')")
        wide = browser.run("document.documentElement.scrollWidth")
        assert wide <= width, (page, wide)
