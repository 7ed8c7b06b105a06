"""Every mistake a person can make in a workload, and the whole message that it gets."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from harness import content
from harness.errors import WorkloadError
from harness.workload.load import load_workload
from harness.workload.source import MAX_BYTES

HEAD = """\
version: 1
name: w
pipelines:
  p:
    path: batch
    jobs: 1
    nodes:
      a: {agent: {prompt: "Hi", output_tokens: 5}}
"""

INLINE = '{agent: {prompt: "Hi", output_tokens: 5}'


def message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> str:
    monkeypatch.chdir(tmp_path)
    Path("w.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(WorkloadError) as caught:
        load_workload(Path("w.yaml"))
    return str(caught.value)


def nodes(text: str) -> str:
    """A workload with these nodes; they begin on line 8."""
    start = HEAD[: HEAD.index("      a:")]
    return start + textwrap.indent(textwrap.dedent(text).strip("\n"), " " * 6) + "\n"


def pipelines(text: str) -> str:
    """A workload with these pipelines; they begin on line 4."""
    start = HEAD[: HEAD.index("  p:")]
    return start + textwrap.indent(textwrap.dedent(text).strip("\n"), "  ") + "\n"


def sub(text: str) -> str:
    """A sub-pipeline called review with these nodes."""
    return "subpipelines:\n  review:\n    nodes:\n" + textwrap.indent(text, " " * 6) + "\n"


CASES = {
    "unknown key": (
        HEAD + "seeds: 3\n",
        'w.yaml:9:1: unknown key "seeds"; did you mean "seed"?',
    ),
    "unknown key below": (
        HEAD.replace("jobs: 1", "jobs: 1\n    gaol: {p50_s: 1}"),
        'w.yaml:7:5: unknown key "gaol" in pipelines.p; did you mean "goal"?',
    ),
    "unknown key, nothing close": (
        HEAD + "measure: {zzz: 3}\n",
        'w.yaml:9:11: unknown key "zzz" in measure; expected repeats, warmup',
    ),
    "unknown key of a node": (
        nodes("a: {agent: {prompt: x, output_tokens: 5}, aftr: [b]}"),
        'w.yaml:8:49: unknown key "aftr" in pipelines.p.nodes.a; did you mean "after"?',
    ),
    "unknown key of an inline agent": (
        nodes("a: {agent: {prompt: x, output_tokens: 5, systm: y}}"),
        'w.yaml:8:48: unknown key "systm" in pipelines.p.nodes.a.agent; did you mean "system"?',
    ),
    "unknown key of a server": (
        HEAD + "servers: {s: {kind: llamacpp, slot: 4}}\n",
        'w.yaml:9:31: unknown key "slot" in servers.s; did you mean "slots"?',
    ),
    "unknown key of a candidate": (
        HEAD + "compare: {c: {caps: serial}}\n",
        'w.yaml:9:15: unknown key "caps" in compare.c; did you mean "cap"?',
    ),
    "text for a number": (
        HEAD.replace("jobs: 1", 'jobs: "3"'),
        'w.yaml:6:11: pipelines.p.jobs: expected a whole number, found "3"',
    ),
    "fraction for a whole number": (
        HEAD.replace("jobs: 1", "jobs: 1.5"),
        "w.yaml:6:11: pipelines.p.jobs: expected a whole number, found 1.5",
    ),
    "true for a number": (
        HEAD.replace("jobs: 1", "jobs: true"),
        "w.yaml:6:11: pipelines.p.jobs: expected a whole number, found true",
    ),
    "number without end": (
        HEAD + f"seed: {'9' * 400}\n",
        f'w.yaml:9:7: seed: expected a whole number, found "{"9" * 37}..."',
    ),
    "infinity": (
        HEAD + "timeout_s: .inf\n",
        'w.yaml:9:12: timeout_s: expected a number, found ".inf"',
    ),
    "number for text": (
        HEAD + "description: 3\n",
        "w.yaml:9:14: description: expected text, found 3",
    ),
    "list for a mapping": (
        HEAD + "inputs: [a]\n",
        "w.yaml:9:9: inputs: expected a mapping, found a list",
    ),
    "braces without quotes": (
        nodes("a: {agent: {prompt: {item}, output_tokens: 5}}"),
        "w.yaml:8:27: pipelines.p.nodes.a.agent.prompt: expected text, found a mapping; "
        'text with braces needs quotes ("{item}")',
    ),
    "a name for a list": (
        nodes(f"a: {INLINE}}}\nb: {INLINE}, after: a}}"),
        'w.yaml:9:59: pipelines.p.nodes.b.after: expected a list, found "a"; write [a]',
    ),
    "missing key": (
        HEAD.replace("    path: batch\n", ""),
        'w.yaml:4:3: pipelines.p.path is missing; expected "batch" or "interactive"',
    ),
    "missing version": (
        HEAD.replace("version: 1\n", ""),
        "w.yaml:1:1: version is missing; expected 1",
    ),
    "missing output_tokens": (
        nodes("a: {agent: {prompt: x}}"),
        "w.yaml:8:11: pipelines.p.nodes.a.agent.output_tokens is missing (most tokens of one answer (num_predict))",
    ),
    "missing kind": (
        HEAD + "servers: {s: {slots: 2}}\n",
        'w.yaml:9:11: servers.s.kind is missing; expected "llamacpp", "ollama" or "simulated"',
    ),
    "negative number": (
        HEAD.replace("jobs: 1", "jobs: -2"),
        "w.yaml:6:11: pipelines.p.jobs: expected more than 0, found -2",
    ),
    "negative seconds": (
        nodes(f"a: {INLINE}}}\nb: {{tool: {{delay_s: -1}}}}"),
        "w.yaml:9:27: pipelines.p.nodes.b.tool.delay_s: expected 0 or more, found -1",
    ),
    "too many slots": (
        HEAD + "servers: {s: {kind: llamacpp, slots: 65}}\n",
        "w.yaml:9:38: servers.s.slots: expected at most 64, found 65",
    ),
    "wrong version": (
        HEAD.replace("version: 1", "version: 2"),
        "w.yaml:1:10: version: expected 1, found 2",
    ),
    "bad name": (
        HEAD.replace("name: w", "name: my work"),
        'w.yaml:2:7: name: expected a name of letters, digits, "-" and "_" that starts with a letter, found "my work"',
    ),
    "bad name of a node": (
        nodes(f"1a: {INLINE}}}"),
        'w.yaml:8:7: pipelines.p.nodes.1a: expected a name of letters, digits, "-" and "_" that starts with a '
        'letter, found "1a"',
    ),
    "unknown path": (
        HEAD.replace("path: batch", "path: batched"),
        'w.yaml:5:11: pipelines.p.path: expected "batch" or "interactive", found "batched"; did you mean "batch"?',
    ),
    "unknown server kind": (
        HEAD + "servers: {s: {kind: llamcpp}}\n",
        'w.yaml:9:21: servers.s.kind: expected "llamacpp", "ollama" or "simulated", found "llamcpp"; '
        'did you mean "llamacpp"?',
    ),
    "bad address": (
        HEAD + "servers: {s: {kind: ollama, model: m, url: 'localhost:1'}}\n",
        'w.yaml:9:44: servers.s.url: expected an address that starts with http:// or https://, found "localhost:1"',
    ),
    "unknown cap as a word": (
        HEAD + "compare: {c: serail}\n",
        'w.yaml:9:14: compare.c: expected "serial", "window", "waves", "unbounded" or "reserve", found "serail"; '
        'did you mean "serial"?',
    ),
    "unknown cap": (
        HEAD + "compare: {c: {cap: wave}}\n",
        'w.yaml:9:20: compare.c.cap: expected "serial", "window", "waves", "unbounded" or "reserve", found "wave"; '
        'did you mean "waves"?',
    ),
    "cap of the wrong type": (
        HEAD + "compare: {c: {cap: 4}}\n",
        "w.yaml:9:20: compare.c.cap: expected a cap or a cap per server (four-slot: window), found 4",
    ),
    "unknown order": (
        HEAD + "compare: {c: {order: lifo}}\n",
        'w.yaml:9:22: compare.c.order: expected "fifo", "interactive-first", "oldest-job-first", "least-served-first", '
        '"shortest-first" or "critical-path-first", found "lifo"; did you mean "fifo"?',
    ),
    "unknown arrival": (
        HEAD.replace("jobs: 1", "jobs: 1\n    arrival: {evry_s: 2}"),
        "w.yaml:7:14: pipelines.p.arrival: expected a mapping with one of `every_s`, `at_s`, `closed`, "
        "`poisson_per_s`, `ramp`, `bursts`, `trace`, "
        'found `evry_s`; did you mean "every_s"?',
    ),
    "two arrivals": (
        HEAD.replace("jobs: 1", "jobs: 1\n    arrival: {every_s: 2, closed: 1}"),
        "w.yaml:7:14: pipelines.p.arrival: expected a mapping with one of `every_s`, `at_s`, `closed`, "
        "`poisson_per_s`, `ramp`, `bursts`, `trace`, "
        "found `every_s`, `closed`",
    ),
    "unknown agent": (
        nodes("a: {agent: sumarizer}"),
        'w.yaml:8:18: node "a" needs an agent: no agent "sumarizer"; did you mean "summarizer"?',
    ),
    "unknown server": (
        HEAD + "servers: {four-slot: {kind: llamacpp, slots: 4}}\ncompare: {c: {place: for-slot}}\n",
        'w.yaml:10:22: candidate "c" is placed: no server "for-slot"; did you mean "four-slot"?',
    ),
    "unknown server of a cap": (
        HEAD + "servers: {s: {kind: llamacpp}}\ncompare: {c: {place: s, cap: {zzz: serial}}}\n",
        'w.yaml:10:31: candidate "c" has a cap: no server "zzz"; there is: s',
    ),
    "cap of a server without work": (
        HEAD + "servers: {s: {kind: llamacpp}, t: {kind: llamacpp}}\ncompare: {c: {place: s, cap: {t: serial}}}\n",
        'w.yaml:10:31: candidate "c" has a cap for "t", but places nothing there',
    ),
    "unknown pipeline in place": (
        HEAD + "servers: {s: {kind: llamacpp}}\ncompare: {c: {place: {q: s}}}\n",
        'w.yaml:10:23: candidate "c" places "q": no pipeline "q"; there is: p',
    ),
    "a setting without effect": (
        HEAD + "compare: {c: {cap: serial, max_in_flight: 3}}\n",
        'w.yaml:9:28: candidate "c": `max_in_flight` goes with cap: window or reserve; remove it',
    ),
    "ageing where nothing ages": (
        HEAD + "compare: {c: {order: oldest-job-first, ageing_s: 3}}\n",
        'w.yaml:9:40: candidate "c": `ageing_s` goes with order: interactive-first, shortest-first or '
        "critical-path-first; remove it",
    ),
    "reserve without its cap": (
        HEAD + "compare: {c: {reserve: 2}}\n",
        'w.yaml:9:15: candidate "c": `reserve` goes with cap: reserve; remove it',
    ),
    "nothing left for batch calls": (
        HEAD + "servers: {s: {kind: llamacpp, slots: 2}}\ncompare: {c: {cap: reserve, reserve: 2}}\n",
        'w.yaml:10:29: candidate "c" lets at most 2 calls go to "s" and reserves 2 of them; batch calls need at least '
        "one",
    ),
    "a slot reserved of one": (
        HEAD + "servers: {s: {kind: llamacpp, slots: 1}}\ncompare: {c: reserve}\n",
        'w.yaml:10:11: candidate "c" lets at most 1 call go to "s" and reserves 1 of them; batch calls need at least '
        "one",
    ),
    "an unknown choice of servers": (
        HEAD + "servers: {s: {kind: llamacpp}}\ncompare: {c: {place: {p: {least-laoded: [s, s]}}}}\n",
        "w.yaml:10:26: compare.c.place.p: expected a server's name or a mapping with one of `least-loaded`, "
        '`affinity`, found `least-laoded`; did you mean "least-loaded"?',
    ),
    "an unknown choice of servers for all": (
        HEAD + "servers: {s: {kind: llamacpp}}\ncompare: {c: {place: {afinity: [s, s]}}}\n",
        "w.yaml:10:22: compare.c.place: expected a server's name, a server per pipeline or node (digest: four-slot, "
        "digest.merge: one-slot) or a mapping with one of `least-loaded`, `affinity`, found `afinity`; did you mean "
        '"affinity"?',
    ),
    "a list of servers without a choice": (
        HEAD + "servers: {s: {kind: llamacpp}}\ncompare: {c: {place: {p: [s, s]}}}\n",
        "w.yaml:10:26: compare.c.place.p: expected a server's name or a mapping with one of `least-loaded`, "
        "`affinity`, found a list",
    ),
    "a choice of one server": (
        HEAD + "servers: {s: {kind: llamacpp}}\ncompare: {c: {place: {least-loaded: s}}}\n",
        'w.yaml:10:23: candidate "c" places "least-loaded": least-loaded goes with several servers: [s, ...]',
    ),
    "a choice of a list of one": (
        HEAD + "servers: {s: {kind: llamacpp}}\ncompare: {c: {place: {affinity: [s]}}}\n",
        'w.yaml:10:34: compare.c.place: expected at least two servers, found "s"; write the one without affinity',
    ),
    "the same server twice": (
        HEAD + "servers: {s: {kind: llamacpp}}\ncompare: {c: {place: {p: {affinity: [s, s]}}}}\n",
        'w.yaml:10:41: compare.c.place.p: server "s" stands twice',
    ),
    "an unknown server of several": (
        HEAD + "servers: {s: {kind: llamacpp}, t: {kind: llamacpp}}\ncompare: {c: {place: {affinity: [s, u]}}}\n",
        'w.yaml:10:37: candidate "c" is placed: no server "u"; there is: s, t',
    ),
    "unknown input": (
        nodes(f"a: {INLINE}, over: docs}}") + "inputs: {documents: {list: [x]}, doc: {list: [y]}}\n",
        'w.yaml:8:58: node "a" fans out: no input "docs"; did you mean "doc"?',
    ),
    "no input": (
        nodes(f"a: {INLINE}, over: docs}}"),
        'w.yaml:8:58: node "a" fans out: no input "docs"; there is none',
    ),
    "unknown node": (
        nodes(f"writer: {INLINE}}}\ncritic: {INLINE}, after: [writter]}}"),
        'w.yaml:9:65: node "critic" waits for "writter": no node "writter"; did you mean "writer"?',
    ),
    "the same node twice": (
        nodes(f"a: {INLINE}}}\nb: {INLINE}, after: [a, a]}}"),
        'w.yaml:9:63: node "b" waits for "a" twice; name it once',
    ),
    "a circle": (
        nodes(
            f"""
            start: {INLINE}}}
            a: {INLINE}, after: [start, c]}}
            b: {INLINE}, after: [a]}}
            c: {INLINE}, after: [b]}}
            """
        ),
        "w.yaml:9:52: nodes wait for each other in a circle: a -> b -> c -> a; remove one `after`",
    ),
    "a circle of one, and a node behind it": (
        nodes(f"a: {INLINE}, after: [a]}}\nb: {INLINE}, after: [a]}}"),
        "w.yaml:8:52: nodes wait for each other in a circle: a -> a; remove one `after`\n"
        'w.yaml:9:7: node "b" can never start: it comes after the circle a -> a',
    ),
    "neither agent nor tool": (
        nodes(f"a: {INLINE}}}\nb: {{after: [a]}}"),
        "w.yaml:9:10: pipelines.p.nodes.b: a node needs `agent`, `tool` or `pipeline`, found none of them",
    ),
    "agent and tool": (
        nodes(f"a: {INLINE}, tool: {{delay_s: 1}}}}"),
        "w.yaml:8:52: pipelines.p.nodes.a: a node has either `agent` or `tool`, found both",
    ),
    "a tool over an input": (
        nodes("a: {tool: {delay_s: 1}, over: docs}"),
        "w.yaml:8:31: pipelines.p.nodes.a: `over` goes with `agent`, not with `tool`",
    ),
    "no agent at all": (
        nodes("a: {tool: {delay_s: 1}}"),
        'w.yaml:4:3: pipeline "p" calls no agent; give a node `agent`',
    ),
    "no nodes": (
        HEAD[: HEAD.index("    nodes:")] + "    nodes: {}\n",
        "w.yaml:7:12: pipelines.p.nodes: expected at least one, found a mapping",
    ),
    "neither jobs nor while": (
        HEAD.replace("    jobs: 1\n", ""),
        "w.yaml:5:5: pipelines.p: expected `jobs: NUMBER` or `while: PIPELINE`, found neither",
    ),
    "jobs and while": (
        HEAD.replace("jobs: 1", "jobs: 1\n    while: p"),
        "w.yaml:7:5: pipelines.p: a pipeline has either `jobs` or `while`, found both",
    ),
    "while itself": (
        HEAD.replace("jobs: 1", "while: p\n    arrival: {closed: 1}"),
        'w.yaml:6:12: pipeline "p" has while: itself; name another pipeline',
    ),
    "while of a pipeline that is not there": (
        HEAD.replace("jobs: 1", "while: digest\n    arrival: {closed: 1}"),
        'w.yaml:6:12: pipeline "p" has while: no pipeline "digest"; there is: p',
    ),
    "while without a pace": (
        HEAD.replace("jobs: 1", "while: q"),
        "w.yaml:4:3: pipelines.p: with `while` jobs need a pace: expected an `arrival` with `closed`, with a "
        "rate or with `every_s` above 0, found every_s 0 (jobs without end at once)",
    ),
    "a circle of while and after": (
        pipelines(
            f"""
            a: {{path: batch, jobs: 1, after: b, nodes: {{n: {INLINE}}}}}}}
            b: {{path: batch, while: a, arrival: {{closed: 1}}, nodes: {{n: {INLINE}}}}}}}
            """
        ),
        "w.yaml:4:36: pipelines wait for each other's end in a circle: a -> b -> a",
    ),
    "jobs unlike at_s": (
        HEAD.replace("jobs: 1", "jobs: 2\n    arrival: {at_s: [0, 1, 4]}"),
        "w.yaml:6:5: pipelines.p: `at_s` lists 3 starts, so `jobs` must be 3 or left out, found 2",
    ),
    "at_s going back": (
        HEAD.replace("jobs: 1", "arrival: {at_s: [0, 4, 1]}"),
        "w.yaml:6:28: pipelines.p.arrival: at_s must not decrease, found 1 after 4",
    ),
    "goal on a batch path": (
        HEAD.replace("jobs: 1", "jobs: 1\n    goal: {p50_s: 1}"),
        "w.yaml:7:5: pipelines.p: `goal` goes with path: interactive, found path: batch",
    ),
    "empty fan-out": (
        nodes(f"a: {INLINE}, over: docs}}") + "inputs: {docs: {list: []}}\n",
        'w.yaml:9:23: input "docs" has no items, so nothing fans out over it',
    ),
    "a pattern that matches nothing": (
        HEAD + 'inputs: {docs: {files: "data/*.md"}}\n',
        'w.yaml:9:24: no file matches "data/*.md" in the folder .',
    ),
    "a missing input file": (
        HEAD + "inputs: {docs: {files: notes.md}}\n",
        'w.yaml:9:24: no file matches "notes.md" in the folder .',
    ),
    "a path out of the folder": (
        HEAD + 'inputs: {docs: {files: "../*.md"}}\n',
        'w.yaml:9:24: expected a path that stays in the workload\'s folder, found "../*.md"',
    ),
    "an absolute path": (
        HEAD + "inputs: {docs: {files: /etc/passwd}}\n",
        'w.yaml:9:24: expected a path below the workload\'s folder, found "/etc/passwd"',
    ),
    "a template with an unknown name": (
        nodes('a: {agent: {prompt: "{documnts}", output_tokens: 5}}') + "inputs: {documents: {list: [x]}}\n",
        'w.yaml:8:27: agent "a" in node "a" of pipeline "p" names {documnts}: '
        'no input or earlier node "documnts"; did you mean "documents"?',
    ),
    "a template with a node that is no ancestor": (
        nodes(f'a: {INLINE}}}\nb: {{agent: {{prompt: "{{a}}", output_tokens: 5}}}}'),
        'w.yaml:9:27: agent "b" in node "b" of pipeline "p" names {a}: that node need not be done by then; '
        "add `after: [a]`",
    ),
    "a template with a tool": (
        nodes('a: {tool: {delay_s: 1}}\nb: {agent: {prompt: "{a}", output_tokens: 5}, after: [a]}'),
        'w.yaml:9:27: agent "b" in node "b" of pipeline "p" names {a}: that node is a tool and has no text',
    ),
    "an item without a fan-out": (
        nodes('a: {agent: {prompt: "{item}", output_tokens: 5}}'),
        'w.yaml:8:27: agent "a" in node "a" of pipeline "p" names {item}: there is an item only where the node '
        "fans out; add `over: INPUT`",
    ),
    "a template that reaches for attributes": (
        nodes('a: {agent: {prompt: "{item.__class__}", output_tokens: 5}}'),
        'w.yaml:8:27: agent "a": expected a name in braces, such as {item}, found "{item.__class__}"; '
        "for a brace itself write {{",
    ),
    "a node called as an input": (
        nodes(f"docs: {INLINE}}}") + "inputs: {docs: {list: [x]}}\n",
        'w.yaml:8:7: "docs" is an input as well, so {docs} would be ambiguous; rename the node',
    ),
    "an input called item": (
        HEAD + "inputs: {item: {list: [x]}}\n",
        'w.yaml:9:10: "item" is the item of a fan-out; rename the input',
    ),
    "too much made-up text": (
        HEAD + "inputs: {d: {synthetic: {count: 10000, tokens: 100000}}}\n",
        "w.yaml:9:25: inputs.d.synthetic: expected at most 5000000 tokens in all, found 10000 x 100000",
    ),
    "shares that do not add up": (
        nodes(f"a: {INLINE}, branch: {{x: 0.6, y: 0.3}}}}"),
        "w.yaml:8:52: pipelines.p.nodes.a: expected shares that add up to 1, found 0.6 + 0.3 = 0.9",
    ),
    "one label": (
        nodes(f"a: {INLINE}, branch: {{x: 1}}}}"),
        "w.yaml:8:52: pipelines.p.nodes.a: expected at least two labels, found 1",
    ),
    "a share above 1": (
        nodes(f"a: {INLINE}, branch: {{x: 1.5, y: 0.3}}}}"),
        "w.yaml:8:64: pipelines.p.nodes.a.branch.x: expected at most 1, found 1.5",
    ),
    "otherwise before others": (
        nodes(f"a: {INLINE}, branch: {{x: {{p: 0.5, when: {{otherwise: true}}}}, y: 0.5}}}}"),
        "w.yaml:8:61: pipelines.p.nodes.a: `otherwise` is always true, so it must be the last label",
    ),
    "a rule that is none": (
        nodes(f"a: {INLINE}, branch: {{x: {{p: 0.5, when: {{regx: y}}}}, y: 0.5}}}}"),
        "w.yaml:8:79: pipelines.p.nodes.a.branch.x.when: expected a mapping with one of `regex`, `first_word`, `json`, "
        '`otherwise`, found `regx`; did you mean "regex"?',
    ),
    "a pattern that cannot be read": (
        nodes(f"a: {INLINE}, branch: {{x: {{p: 0.5, when: {{regex: '(y'}}}}, y: 0.5}}}}"),
        "w.yaml:8:87: pipelines.p.nodes.a.branch.x.when.regex: expected a regular expression, found one that cannot "
        "be read: missing ), unterminated subpattern at position 0",
    ),
    "an unknown label": (
        nodes(f"a: {INLINE}, branch: {{yes: 0.5, no: 0.5}}}}\nb: {INLINE}, after: [a.yess]}}"),
        'w.yaml:9:60: node "b" waits for "a.yess": no label "yess"; did you mean "yes"?',
    ),
    "a label of a node without a branch": (
        nodes(f"a: {INLINE}}}\nb: {INLINE}, after: [a.yes]}}"),
        'w.yaml:9:60: node "b" waits for "a.yes": "a" has no branch and so no labels; write a',
    ),
    "a label beside its node": (
        nodes(f"a: {INLINE}, branch: {{x: 0.5, y: 0.5}}}}\nb: {INLINE}, after: [a, a.x]}}"),
        'w.yaml:9:63: node "b" waits for "a.x" twice; name it once',
    ),
    "a loop without a bound": (
        nodes(f"a: {INLINE}, repeat: {{until: 0.5}}}}"),
        "w.yaml:8:52: pipelines.p.nodes.a.repeat.max is missing (most passes; a loop needs a bound, such as max: 3)",
    ),
    "a loop that never repeats": (
        nodes(f"a: {INLINE}, repeat: {{max: 3, until: {{p: 0.5, when: {{otherwise: true}}}}}}}}"),
        "w.yaml:8:85: pipelines.p.nodes.a.repeat.until: `otherwise` is always true, so the loop would never repeat; "
        "expected another rule",
    ),
    "need more than there are": (
        nodes(f"a: {INLINE}}}\nb: {INLINE}, after: [a], need: 2}}"),
        "w.yaml:9:64: pipelines.p.nodes.b: expected at most 1, because `after` names 1 node, found 2",
    ),
    "enough more than there are": (
        nodes(f"a: {INLINE}, over: d, enough: 3}}") + "inputs: {d: {list: [x, y]}}\n",
        'w.yaml:8:69: node "a": expected at most 2, because there are no more items, found 3',
    ),
    "enough without a fan-out": (
        nodes(f"a: {INLINE}, enough: 3}}"),
        "w.yaml:8:52: pipelines.p.nodes.a: `enough` goes with `over`",
    ),
    "losers of nothing": (
        nodes(f"a: {INLINE}, losers: run}}"),
        "w.yaml:8:52: pipelines.p.nodes.a: `losers` goes with `need` or `enough`: without them there are none",
    ),
    "over and branch": (
        nodes(f"a: {INLINE}, over: d, branch: {{x: 0.5, y: 0.5}}}}") + "inputs: {d: {list: [x, y]}}\n",
        "w.yaml:8:61: pipelines.p.nodes.a: `over` and `branch` do not go together; "
        "give a node after this one the branch",
    ),
    "over a node that is not before it": (
        nodes(f"a: {INLINE}}}\nb: {INLINE}, over: a, items: {{count: 3}}}}"),
        'w.yaml:9:58: node "b" fans out: the node "a" need not be done by then; add `after: [a]`',
    ),
    "over a node without a size": (
        nodes(f"a: {INLINE}}}\nb: {INLINE}, over: a, after: [a]}}"),
        'w.yaml:9:58: node "b" fans out over what "a" answers: add `items: {count: [2, 5], max: 8}`',
    ),
    "a list without a bound": (
        nodes(f"a: {INLINE}}}\nb: {INLINE}, over: a, items: {{count: {{exponential: {{mean: 3}}}}}}, after: [a]}}"),
        'w.yaml:9:61: node "b": the list needs a bound; add `max` to `items`',
    ),
    "over a tool": (
        nodes(f"a: {INLINE}}}\nt: {{tool: {{delay_s: 1}}}}\nb: {INLINE}, over: t, items: {{count: 3}}, after: [t]}}"),
        'w.yaml:10:58: node "b" fans out: "t" is a tool; name an agent node that answers one list',
    ),
    "over a misspelt node": (
        nodes(f"plan: {INLINE}}}\nb: {INLINE}, over: plann, items: {{count: 3}}, after: [plan]}}"),
        'w.yaml:9:58: node "b" fans out: no input or node "plann"; did you mean "plan"?',
    ),
    "an unknown sub-pipeline": (
        nodes(f"a: {INLINE}}}\nb: {{pipeline: revew}}") + sub(f"c: {INLINE}}}"),
        'w.yaml:9:21: node "b" uses: no sub-pipeline "revew"; did you mean "review"?',
    ),
    "a sub-pipeline that includes itself": (
        nodes(f"a: {INLINE}}}\nb: {{pipeline: review}}") + sub(f"c: {INLINE}}}\nd: {{pipeline: review, after: [c]}}"),
        "w.yaml:14:21: a sub-pipeline includes itself: review -> review; for a loop write `repeat`",
    ),
    "until a node that is not in the body": (
        nodes("b: {pipeline: review, repeat: {max: 2, until: {p: 0.5, node: critc}}}") + sub(f"critic: {INLINE}}}"),
        'w.yaml:8:68: node "b" repeats until: sub-pipeline "review" has no node "critc"; did you mean "critic"?',
    ),
    "until nobody says so": (
        nodes("b: {pipeline: review, repeat: {max: 2, until: {p: 0.5, when: {regex: x}}}}")
        + sub(f"c: {INLINE}}}\nd: {INLINE}}}"),
        'w.yaml:8:46: node "b" repeats until: sub-pipeline "review" does not end in one call, so say whose answer: '
        "add `node`",
    ),
    "until of a single call": (
        nodes(f"a: {INLINE}, repeat: {{max: 2, until: {{p: 0.5, node: a}}}}}}"),
        'w.yaml:8:85: node "a": a loop of one call reads its own answer; remove `node`',
    ),
    "two loops that read one answer": (
        nodes("b: {pipeline: review, repeat: {max: 2, until: 0.5}}").replace("name: w", "name: w\ncontrol: model")
        + sub(f"c: {INLINE}, repeat: {{max: 2, until: 0.5}}}}"),
        'w.yaml:9:29: pipeline "p": the answer of "b/c" cannot end both "b/c" and "b"; name another `node`',
    ),
    "previous without a loop": (
        nodes('a: {agent: {prompt: "{previous}", output_tokens: 5}}'),
        'w.yaml:8:27: agent "a" in node "a" of pipeline "p" names {previous}: there is that only in a loop (`repeat`) '
        "or in a sub-pipeline",
    ),
    "an input that nothing comes into": (
        nodes("b: {pipeline: review}") + sub('c: {agent: {prompt: "{input}", output_tokens: 5}}'),
        'w.yaml:12:27: agent "c" in node "c" of sub-pipeline "review" names {input}: node "b" comes after nothing that '
        "has a text; add `after`",
    ),
    "a sub-pipeline that looks outside": (
        nodes(f"a: {INLINE}}}\nb: {{pipeline: review, after: [a]}}")
        + sub('c: {agent: {prompt: "{a}", output_tokens: 5}}'),
        'w.yaml:13:27: agent "c" in node "c" of sub-pipeline "review" names {a}: no input or earlier node "a"; there '
        "is: input, previous (a sub-pipeline sees its own nodes alone)",
    ),
    "too many nodes by nesting": (
        nodes(f"a: {INLINE}}}\nb: {{pipeline: s0, after: [a]}}")
        + "subpipelines:\n"
        + "".join(f"  s{i}: {{nodes: {{x: {{pipeline: s{i + 1}}}, y: {{pipeline: s{i + 1}}}}}}}\n" for i in range(12))
        + f"  s12: {{nodes: {{x: {INLINE}}}}}}}\n",
        'w.yaml:4:3: pipeline "p": expected at most 1000 nodes with its sub-pipelines, found 12288',
    ),
    "an unknown node in place": (
        HEAD + "servers: {s: {kind: llamacpp}}\ncompare: {c: {place: {p.b: s}}}\n",
        'w.yaml:10:23: candidate "c" places "p.b": pipeline "p" has no node "b"; there is: a',
    ),
    "a model that the server has not": (
        nodes("a: {agent: {prompt: x, output_tokens: 5, model: other}}")
        + "servers: {s: {kind: llamacpp, model: m}}\ncompare: {c: {place: s}}\n",
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
    "made-up text without a bound": (
        HEAD + "inputs: {d: {synthetic: {count: 3, tokens: {exponential: {mean: 9}}}}}\n",
        "w.yaml:9:36: inputs.d.synthetic: made-up text needs a bound; expected `max` beside the distribution's figures",
    ),
    "several at once, in the file's order": (
        HEAD.replace("jobs: 1", "jobs: 0").replace("version: 1", "version: 3"),
        "w.yaml:1:10: version: expected 1, found 3\nw.yaml:6:11: pipelines.p.jobs: expected more than 0, found 0",
    ),
    "empty": ("", "w.yaml: the file is empty; `slotwise init` writes one to start from"),
    "only a comment": ("# todo\n", "w.yaml: the file is empty; `slotwise init` writes one to start from"),
    "a list": ("- a\n", "w.yaml:1:1: expected a mapping (version: 1, name: ...), found a list"),
    "text": ("hello\n", 'w.yaml:1:1: expected a mapping (version: 1, name: ...), found "hello"'),
}


@pytest.mark.parametrize("case", CASES)
def test_message(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, expected = CASES[case]
    assert message(tmp_path, monkeypatch, text) == expected


REPLACEMENTS = ["null", "3", "[]", "{}", "text", "'{'", "&x [*x]", "{prompt: x, output_tokens: 3}"]


def test_no_damage_to_a_file_gives_anything_but_mistakes(tmp_path: Path) -> None:
    """Every line left out, every line's value replaced: the file loads or its mistakes are listed in plain words."""
    source = content.shipped() / "workloads" / "review-panel.yaml"
    lines = [line for line in source.read_text().split("\n") if not line.startswith("#")]
    path = tmp_path / "w.yaml"
    refused = 0
    for i, line in enumerate(lines):
        value = REPLACEMENTS[i % len(REPLACEMENTS)]
        for damaged in ([], [f"{line.split(': ')[0].rstrip(':')}: {value}"]):
            path.write_text("\n".join(lines[:i] + damaged + lines[i + 1 :]))
            try:
                load_workload(path)
            except WorkloadError as error:
                refused += 1
                assert str(error).startswith(str(tmp_path)), error
                assert "Input should" not in str(error), error
    assert refused > len(lines) / 2


def test_lists_at_most_ten_mistakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = message(tmp_path, monkeypatch, HEAD + "".join(f"x{i}: 1\n" for i in range(14)))
    assert len(text.split("\n")) == 11
    assert text.split("\n")[-1] == "... and 4 more"


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match=r"no\.yaml: no such file$"):
        load_workload(tmp_path / "no.yaml")


def test_folder(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError) as caught:
        load_workload(tmp_path)
    assert str(caught.value) == f"{tmp_path}: expected a file, found a folder"


def test_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_bytes(b"version: 1\nname: caf\xe9\n")
    with pytest.raises(WorkloadError) as caught:
        load_workload(path)
    assert str(caught.value) == f"{path}:2:10: expected UTF-8 text, found the byte 0xe9"


def test_too_large(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(WorkloadError) as caught:
        load_workload(path)
    assert str(caught.value) == f"{path}: expected at most {MAX_BYTES} bytes, found more"


def test_input_behind_a_link_out_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "note.md").symlink_to(tmp_path / "secret.txt")
    expected = "note.md: leads out of .; copy the file there"
    assert message(folder, monkeypatch, HEAD + "inputs: {docs: {files: '*.md'}}\n") == expected


def test_input_files_that_are_empty_or_not_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.md").write_bytes(b"ok\n\xff")
    (tmp_path / "b.md").write_text(" \n")
    assert message(tmp_path, monkeypatch, HEAD + "inputs: {docs: {files: '*.md'}}\n") == (
        'a.md:2:1: expected UTF-8 text, found the byte 0xff\nb.md: the file is empty; input "docs" needs text in each'
    )


def test_mistake_in_a_role_card_is_shown_in_the_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "agents").mkdir()
    card = "---\noutput_tokens: 5\n---\n## System\nBe kind to {nobody}.\n\n## Prompt\nOne.\nTwo: {a}\n"
    (tmp_path / "agents" / "mine.md").write_text(card)
    place = 'agent "mine" in node "b" of pipeline "p" names'
    assert message(tmp_path, monkeypatch, nodes(f"a: {INLINE}}}\nb: {{agent: mine}}")) == (
        f'agents/mine.md:5:12: {place} {{nobody}}: no input or earlier node "nobody"; there is none\n'
        f"agents/mine.md:9:6: {place} {{a}}: that node need not be done by then; add `after: [a]`"
    )
