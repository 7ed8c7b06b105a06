"""Images of agents: what may be written, what their tokens are, and that a run keeps the files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.errors import WorkloadError
from harness.workload.describe import describe
from harness.workload.image_files import data_url, image_files
from harness.workload.load import Loaded, load_workload
from harness.workload.longest import needs_of

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels"
WORKLOAD = """
version: 1
name: w
pipelines:
  p: {path: interactive, jobs: 1, nodes: {read: {agent: reader}}}
agents:
  reader: {prompt: "0123456789abcdef", output_tokens: 9, IMAGES}
servers:
  s: {kind: KIND}
compare:
  one: {placement: s}
"""
SEEN = "images: [a.png, pictures/b.webp], image_tokens: 500"


def load(folder: Path, images: str = SEEN, kind: str = "llamacpp") -> Loaded:
    (folder / "pictures").mkdir(exist_ok=True)
    (folder / "a.png").write_bytes(PNG)
    (folder / "b.txt").write_bytes(b"no image")
    (folder / "pictures" / "b.webp").write_bytes(b"RIFF....WEBPVP8 ")
    kind = "ollama, model: m" if kind == "ollama" else kind
    text = WORKLOAD.replace("IMAGES", images).replace("KIND", kind)
    (folder / "w.yaml").write_text(text, encoding="utf-8")
    return load_workload(folder / "w.yaml")


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ("images: [a.png]", "`images` needs `image_tokens`: how many prompt tokens the model makes of all of them"),
        ("image_tokens: 9", "`image_tokens` goes with `images`; name the files, or remove it"),
        (
            "images: [c.png], image_tokens: 9",
            'image "c.png": the image cannot be read (No such file',
        ),
        ("images: [b.txt], image_tokens: 9", 'image "b.txt": expected a PNG, JPEG or WebP image'),
        ("images: [../a.png], image_tokens: 9", "expected the path of an image below the workload's folder"),
        ("images: [/a.png], image_tokens: 9", "expected the path of an image below the workload's folder"),
        ("images: [pictures], image_tokens: 9", "the image cannot be read (Is a directory)"),
    ],
)
def test_mistakes(tmp_path: Path, images: str, message: str) -> None:
    with pytest.raises(WorkloadError) as caught:
        load(tmp_path, images)
    assert message in str(caught.value)
    assert re.search(r"w\.yaml:\d+:\d+: ", str(caught.value))


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "outside.png").write_bytes(PNG)
    folder = tmp_path / "inside"
    folder.mkdir()
    (folder / "link.png").symlink_to(tmp_path / "outside.png")
    with pytest.raises(WorkloadError, match="leads out of"):
        load(folder, "images: [link.png], image_tokens: 9")


def test_their_tokens_are_those_of_the_prompt(tmp_path: Path) -> None:
    loaded, without = load(tmp_path), load(tmp_path, "temperature: 0")
    tokens = [describe(one).total.prompt_tokens for one in (loaded, without)]
    assert tokens[0] == tokens[1] + 500
    assert needs_of(loaded)[0].prompt_tokens == needs_of(without)[0].prompt_tokens + 500


def test_a_run_keeps_the_files_and_their_digest(tmp_path: Path) -> None:
    loaded = load(tmp_path)
    copies = loaded.copies()
    assert copies == {"a.png": PNG, "pictures/b.webp": b"RIFF....WEBPVP8 "}
    assert copies == image_files(loaded.agents.values(), tmp_path)
    before = loaded.work()
    (tmp_path / "a.png").write_bytes(PNG + b"!")
    assert loaded.work()["inputs"] != before["inputs"]
    assert loaded.work()["agents"] == before["agents"]


@pytest.mark.parametrize(
    ("kind", "hint"),
    [
        ("llamacpp", "s: the embedded engine takes no images, so slotwise run refuses this"),
        ("ollama", 's: m must be a model that sees (`ollama show m` lists "vision").'),
    ],
)
def test_check_says_what_a_server_needs(tmp_path: Path, kind: str, hint: str) -> None:
    assert any(one.startswith(hint) for one in describe(load(tmp_path, kind=kind)).hints)


def test_a_url_holds_an_image() -> None:
    assert data_url(PNG) == "data:image/png;base64,iVBORw0KGgpwaXhlbHM="
    assert data_url(b"\xff\xd8\xff").startswith("data:image/jpeg;base64,")


@pytest.mark.parametrize(("pipeline", "node", "image"), [("accounts", "read", "receipt"), ("claim", "look", "damage")])
def test_the_examples_of_the_page_load(tmp_path: Path, pipeline: str, node: str, image: str) -> None:
    page = (Path(__file__).parents[2] / "docs/reference/language/images.md").read_text(encoding="utf-8")
    texts = re.findall(r"^```yaml with images\n(.*?)^```$", page, re.M | re.S)
    (text,) = (text for text in texts if f"  {pipeline}:" in text)
    (tmp_path / f"{image}.png").write_bytes(PNG)
    (tmp_path / "w.yaml").write_text(text, encoding="utf-8")
    assert load_workload(tmp_path / "w.yaml").agents[pipeline, node].images == (f"{image}.png",)
