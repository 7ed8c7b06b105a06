"""What happens, in a real browser: a candidate is chosen, its repeat is played and zoomed, and changes are seen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from report.chromium import CHROMIUM, Page, chromium
from studio.test_page import FINAL, until, workbench

from harness.content import shipped

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH")

SHOWN = "document.querySelector('#timeline') && !document.querySelector('#timeline').hidden && "
SHOWN += "!document.querySelector('#timeline.stale')"
VIEW = "document.querySelector('#timeline-view')"
MANY = 10_000

CROWD = """\
version: 1
name: crowd
pipelines:
  chat:
    path: interactive
    jobs: 2500
    arrival: {poisson_per_s: 0.15}
    nodes:
      plan: {agent: helper}
      left: {agent: helper, after: [plan]}
      right: {agent: helper, after: [plan]}
      reply: {agent: helper, after: [left, right]}
agents:
  helper: {prompt: "Answer in one sentence.", output_tokens: 8}
servers:
  four-slot: {kind: llamacpp, model: smollm2-135m, slots: 4, context_tokens: 512}
compare:
  share: {placement: four-slot, concurrency: window}
seed: 7
"""

# The answer of a second repeat is a first one's, over and over in time, until there are very many calls.
MUCH = f"""
const real = window.fetch;
window.fetch = async (path, options) => {{
  const answer = await real(path, options);
  if (!path.endsWith("timeline") || !JSON.parse(options.body).repeat) return answer;
  const found = await answer.json();
  const times = found.fields.map((name, at) => (name.endsWith("_s") ? at : -1)).filter((at) => at >= 0);
  const rows = found.calls;
  found.calls = Array.from({{ length: {MANY} }}, (_, n) => {{
    const row = [...rows[n % rows.length]];
    for (const at of times) row[at] += Math.floor(n / rows.length) * found.makespan_s;
    return row;
  }});
  found.jobs = [];
  found.calls_of_trial = {MANY};
  found.makespan_s *= Math.ceil({MANY} / rows.length);
  return new Response(JSON.stringify(found), {{ status: 200 }});
}};
"""


def state(page: Page) -> dict[str, Any]:
    """What the timeline says of itself, for measurements."""
    code = "import('/page/timeline.js').then((one) => JSON.stringify({...one.state(), drawTimes: 0}))"
    found: dict[str, Any] = json.loads(page.run(code))
    return found


def text(page: Page, selector: str) -> str:
    found: str = page.run(f"document.querySelector({selector!r}).textContent")
    return found


def colours(page: Page) -> int:
    """How many colours there are on the canvas."""
    return int(
        page.run(
            f"(() => {{ const {{ data }} = {VIEW}.getContext('2d').getImageData(0, 0, {VIEW}.width, {VIEW}.height); "
            "return new Set(new Uint32Array(data.buffer)).size; })()"
        )
    )


def without_mistakes(page: Page) -> None:
    logged = [event for name, event in page.events if name == "Log.entryAdded" and event["entry"]["level"] == "error"]
    assert logged + [event for name, event in page.events if name == "Runtime.exceptionThrown"] == []


def test_a_candidate_is_chosen_played_zoomed_and_read(tmp_path: Path) -> None:
    file = tmp_path / "chat.yaml"
    file.write_text((shipped() / "workloads/chat-only.yaml").read_text())
    with workbench(file) as url, chromium(tmp_path / "browser") as page:
        page.size(1400, 1000)
        page.ask("Page.addScriptToEvaluateOnNewDocument", source=MUCH)
        page.ask("Page.navigate", url=url)
        until(page, f"{FINAL} && {SHOWN}")
        recommended = page.run("document.querySelector('[aria-pressed=true]').dataset.candidate")
        assert text(page, "#timeline-about").startswith(f"{recommended}, repeat 1 (predicted): 9 calls, ")
        assert text(page, "#split-of").startswith(f"{recommended}: means over the critical paths")
        until(page, "document.querySelector('#split-of').textContent.includes('all 200 repeats')")
        assert "The servers take " in text(page, "#memory-of")

        other = page.run("document.querySelector('[aria-pressed=false]').dataset.candidate")
        page.run("document.querySelector('[aria-pressed=false]').focus()")
        page.key("Enter")
        until(page, f"document.querySelector('#timeline-about').textContent.startsWith('{other}, ')")
        assert page.run("document.activeElement.dataset.candidate") == other
        assert text(page, "#split-of").startswith(f"{other}: ")
        page.click(f"tr[data-of='{recommended}'] td")
        until(page, f"document.querySelector('#timeline-about').textContent.startsWith('{recommended}, ')")

        page.run(f"{VIEW}.focus()")
        page.key("Home")
        facts = text(page, "#timeline-call")
        for part in ("reply", "agentchat", "pipeline, jobchat, 1", "waits in the server", "prompt tokens", "generates"):
            assert part in facts, part
        page.key("ArrowRight")
        assert text(page, "#timeline-call") != facts
        whole = state(page)
        assert (whole["from"], whole["calls"]) == (0, 9)
        page.key("+")
        page.key("+")
        nearer = state(page)
        assert nearer["to"] - nearer["from"] == pytest.approx((whole["to"] - whole["from"]) / 4)
        page.key("ArrowRight", shift=True)
        assert state(page)["from"] > nearer["from"]
        page.key("0")
        assert (state(page)["from"], state(page)["to"]) == (0, whole["to"])

        page.run("document.querySelector('#speed').value = '0.1'")
        page.key("p")
        page.frames()
        assert state(page)["playing"]
        assert text(page, "#play") == "Pause"
        assert text(page, "#timeline-now").startswith("At ")
        page.run("document.querySelector('#speed').value = '1000'")
        until(page, "document.querySelector('#play').textContent === 'Play'")
        assert state(page)["cursor"] == whole["to"]
        assert text(page, "#timeline-now").endswith(": 0 in slots, 0 waiting to be sent, 0 waiting in the server.")

        page.run("document.querySelector('#repeat').focus()")
        page.key("ArrowUp")
        page.key("Enter")
        until(page, f"document.querySelector('#timeline-about').textContent.includes('{MANY} calls')")
        assert state(page)["calls"] == MANY
        page.frames()
        assert colours(page) > 3
        page.run(f"{VIEW}.focus()")
        page.key("End")
        whole_s = state(page)["to"]
        for _ in range(12):
            page.key("+")
        seen = state(page)
        assert seen["chosen"]["number"] >= MANY - 9
        assert seen["to"] - seen["from"] < whole_s / 1000
        assert seen["from"] <= seen["chosen"]["end_s"]
        assert seen["to"] >= seen["chosen"]["begin_s"]
        assert colours(page) > 3
        for width in (1600, 400):
            page.size(width, 900)
            assert page.run("document.documentElement.scrollWidth") == width
        without_mistakes(page)


def test_changes_stand_beside_the_state_before_and_beside_one_that_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "chat.yaml"
    file.write_text((shipped() / "workloads/chat-only.yaml").read_text())

    def turn(page: Page, key: str) -> None:
        version = page.run("import('/page/design.js').then((one) => one.currentVersion())")
        page.run("document.querySelector('#answers').focus()")
        page.key(key)
        assert page.run("import('/page/design.js').then((one) => one.currentVersion())") == version + 1
        until(page, FINAL)

    with workbench(file) as url, chromium(tmp_path / "browser") as page:
        page.size(1400, 1000)
        page.ask("Page.navigate", url=url)
        until(page, FINAL)
        assert page.run("document.querySelectorAll('.change').length") == 0
        assert text(page, "#compared").startswith("Nothing was changed yet")
        page.run("document.querySelector('#keep').focus()")
        page.key("Enter")
        assert text(page, "#compared").startswith("This state is kept")

        turn(page, "ArrowRight")  # answers are longer
        assert text(page, "#compared").startswith("Compared with the state that you kept.")
        worse = text(page, ".change.worse")
        assert worse.startswith("+") and worse.endswith(" %)")
        assert page.run("document.querySelectorAll('.change.better').length") == 0

        turn(page, "ArrowLeft")  # as it was
        assert page.run("document.querySelectorAll('.change').length") == 0
        turn(page, "ArrowLeft")  # shorter than those that were kept
        better = text(page, ".change.better")
        assert better.startswith("−") and better.endswith(" %)")
        page.click("#forget")
        assert text(page, "#compared").startswith("Compared with the state before the last change.")
        assert text(page, ".change.better") == better
        without_mistakes(page)


@pytest.mark.slow  # every candidate is simulated five times first
def test_ten_thousand_calls_that_were_simulated(tmp_path: Path) -> None:
    file = tmp_path / "crowd.yaml"
    file.write_text(CROWD)
    with workbench(file) as url, chromium(tmp_path / "browser") as page:
        page.size(1400, 1000)
        page.ask("Page.navigate", url=url)
        until(page, SHOWN)
        assert f": {MANY} calls, " in text(page, "#timeline-about")
        assert state(page)["calls"] == MANY
        page.run(f"{VIEW}.focus()")
        page.key("Home")
        assert "Critical path of its job" in text(page, "#timeline-call")
        page.frames()
        assert colours(page) > 3
        without_mistakes(page)
