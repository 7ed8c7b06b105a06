"""Mistakes in what is compared and where it is placed, and the whole message that each gets."""

from __future__ import annotations

from pathlib import Path

import pytest
from workload.mistaken import HEAD, keys, message, nodes, one_of

from harness.core.concurrency import CONCURRENCY
from harness.core.placement import PLACEMENT
from harness.core.scheduling import SCHEDULING

LIMITED = one_of((name for name, policy in CONCURRENCY.items() if "limit" in policy.settings), quote="")
AGED = one_of((name for name, policy in SCHEDULING.items() if "ageing_s" in policy.settings), quote="")

CASES = {
    "unknown concurrency policy as a word": (
        HEAD + "compare: {c: serail}\n",
        f'w.yaml:9:14: compare.c: expected {one_of(CONCURRENCY)}, found "serail"; did you mean "serial"?',
    ),
    "unknown concurrency policy": (
        HEAD + "compare: {c: {concurrency: wave}}\n",
        f'w.yaml:9:28: compare.c.concurrency: expected {one_of(CONCURRENCY)}, found "wave"; did you mean "waves"?',
    ),
    "concurrency of the wrong type": (
        HEAD + "compare: {c: {concurrency: 4}}\n",
        "w.yaml:9:28: compare.c.concurrency: expected a concurrency policy or one per server (four-slot: window), "
        "found 4",
    ),
    "unknown scheduling policy": (
        HEAD + "compare: {c: {scheduling: lifo}}\n",
        f'w.yaml:9:27: compare.c.scheduling: expected {one_of(SCHEDULING)}, found "lifo"; did you mean "fifo"?',
    ),
    "unknown server": (
        HEAD + "servers: {four-slot: {kind: llamacpp, slots: 4}}\ncompare: {c: {placement: for-slot}}\n",
        'w.yaml:10:26: candidate "c" is placed: no server "for-slot"; did you mean "four-slot"?',
    ),
    "unknown server of a concurrency policy": (
        HEAD + "servers: {s: {kind: llamacpp}}\ncompare: {c: {placement: s, concurrency: {zzz: serial}}}\n",
        'w.yaml:10:43: candidate "c" has concurrency: no server "zzz"; there is: s',
    ),
    "concurrency of a server without work": (
        HEAD
        + "servers: {s: {kind: llamacpp}, t: {kind: llamacpp}}\n"
        + "compare: {c: {placement: s, concurrency: {t: serial}}}\n",
        'w.yaml:10:43: candidate "c" has concurrency for "t", but places nothing there',
    ),
    "unknown pipeline in place": (
        HEAD + "servers: {s: {kind: llamacpp}}\ncompare: {c: {placement: {q: s}}}\n",
        'w.yaml:10:27: candidate "c" places "q": no pipeline "q"; there is: p',
    ),
    "a setting without effect": (
        HEAD + "compare: {c: {concurrency: serial, limit: 3}}\n",
        f'w.yaml:9:36: candidate "c": `limit` goes with concurrency: {LIMITED}; remove it',
    ),
    "ageing where nothing ages": (
        HEAD + "compare: {c: {scheduling: oldest-job-first, ageing_s: 3}}\n",
        f'w.yaml:9:45: candidate "c": `ageing_s` goes with scheduling: {AGED}; remove it',
    ),
    "reserve without its cap": (
        HEAD + "compare: {c: {reserve: 2}}\n",
        'w.yaml:9:15: candidate "c": `reserve` goes with concurrency: reserve; remove it',
    ),
    "nothing left for batch calls": (
        HEAD + "servers: {s: {kind: llamacpp, slots: 2}}\ncompare: {c: {concurrency: reserve, reserve: 2}}\n",
        'w.yaml:10:37: candidate "c" lets at most 2 calls go to "s" and reserves 2 of them; batch calls need at least '
        "one",
    ),
    "a slot reserved of one": (
        HEAD + "servers: {s: {kind: llamacpp, slots: 1}}\ncompare: {c: reserve}\n",
        'w.yaml:10:11: candidate "c" lets at most 1 call go to "s" and reserves 1 of them; batch calls need at least '
        "one",
    ),
    "an unknown choice of servers": (
        HEAD + "servers: {s: {kind: llamacpp}}\ncompare: {c: {placement: {p: {least-laoded: [s, s]}}}}\n",
        f"w.yaml:10:31: compare.c.placement.p: expected one of {keys(PLACEMENT)} with a list of servers, "
        'found `least-laoded`; did you mean "least-loaded"?',
    ),
    "an unknown choice of servers for all": (
        HEAD + "servers: {s: {kind: llamacpp}}\ncompare: {c: {placement: {afinity: [s, s]}}}\n",
        f"w.yaml:10:27: compare.c.placement: expected one of {keys(PLACEMENT)} with a list of servers, "
        'found `afinity`; did you mean "affinity"?',
    ),
    "a list of servers without a choice": (
        HEAD + "servers: {s: {kind: llamacpp}}\ncompare: {c: {placement: {p: [s, s]}}}\n",
        f"w.yaml:10:27: compare.c.placement: expected one of {keys(PLACEMENT)} with a list of servers, "
        "found `p`; a policy of your own comes with --policies FILE",
    ),
    "a choice of one server": (
        HEAD + "servers: {s: {kind: llamacpp}}\ncompare: {c: {placement: {least-loaded: s}}}\n",
        'w.yaml:10:27: candidate "c" places "least-loaded": least-loaded goes with several servers: [s, ...]',
    ),
    "a choice of a list of one": (
        HEAD + "servers: {s: {kind: llamacpp}}\ncompare: {c: {placement: {affinity: [s]}}}\n",
        'w.yaml:10:38: compare.c.placement: expected at least two servers, found "s"; write the one without affinity',
    ),
    "the same server twice": (
        HEAD + "servers: {s: {kind: llamacpp}}\ncompare: {c: {placement: {p: {affinity: [s, s]}}}}\n",
        'w.yaml:10:45: compare.c.placement.p: server "s" stands twice',
    ),
    "an unknown server of several": (
        HEAD + "servers: {s: {kind: llamacpp}, t: {kind: llamacpp}}\ncompare: {c: {placement: {affinity: [s, u]}}}\n",
        'w.yaml:10:41: candidate "c" is placed: no server "u"; there is: s, t',
    ),
    "an unknown node in place": (
        HEAD + "servers: {s: {kind: llamacpp}}\ncompare: {c: {placement: {p.b: s}}}\n",
        'w.yaml:10:27: candidate "c" places "p.b": pipeline "p" has no node "b"; there is: a',
    ),
    "a model that the server has not": (
        nodes("a: {agent: {prompt: x, output_tokens: 5, model: other}}")
        + "servers: {s: {kind: llamacpp, model: m}}\ncompare: {c: {placement: s}}\n",
        'w.yaml:8:18: node "a" of pipeline "p" asks for model "other", and candidate "c" finds it on no server ("s" '
        "has m); place it on a server with that model, or use kind: ollama, which can serve several",
    ),
    "several models on a simulated server": (
        nodes(
            """
            a: {agent: {prompt: x, output_tokens: 5, model: m}}
            b: {agent: {prompt: x, output_tokens: 5, model: n}}
            """
        )
        + "servers: {s: {kind: simulated, profile: m1-published}}\ncompare: {c: window}\n",
        'w.yaml:10:11: server "s" is simulated, which has the timings of one model, and nodes ask it for m, n; place '
        "them on a server each",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_message(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, expected = CASES[case]
    assert message(tmp_path, monkeypatch, text) == expected
