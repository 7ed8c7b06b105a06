"""The compiled agent graph: tuples and indices, nothing to look up by name while the walk runs.

`harness.workload.build` checks the graph with networkx, and compiles it into these ("Compile once" in the design).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from harness.core.arrival_processes import ArrivalProcess
from harness.core.records import Path
from harness.core.sizes import Distribution

__all__ = ["Graph", "Growth", "Node", "Pipeline", "Session"]


class Growth(NamedTuple):
    """A conversation that goes on from pass to pass of a loop: what is said before and so many new tokens."""

    by: Distribution
    reuse_prefix: bool = True  # let the server keep it in its prompt cache


class Node(NamedTuple):
    """A vertex: `agent` makes `width` calls at once, `tool` waits, `until` ends a loop or begins its next pass.

    An embedding is an `agent` without a name, each of whose calls is a request with up to `batch` of its `texts`.
    A loop's body stands before its `until` node like any other nodes; that node takes no time. An edge into a node is
    dead where its source was skipped or took another label; a node with no edge left alive is skipped itself.
    """

    name: str
    kind: Literal["agent", "tool", "until"]
    predecessors: tuple[int, ...]
    successors: tuple[int, ...]
    width: int = 1  # calls made when it becomes ready: 1, or the number of items it fans out over (at most)
    delay_s: float = 0.0  # tools only
    agent: str = ""  # agents only; "" = an embedding
    model: str = ""  # "" = whatever model the server was started with
    timeout_s: float | None = None  # per attempt, counted from its dispatch
    expected_prompt_tokens: int | None = None
    expected_output_tokens: int | None = None
    takes: tuple[int | None, ...] = ()  # beside `predecessors`: the label that an edge needs, None = any; () = all None
    need: int | None = None  # how many live predecessors must be done; None = all
    enough: int | None = None  # how many items must be done; None = all
    losers: Literal["cancel", "run"] = "cancel"  # what happens to those in flight that are needed no more
    labels: tuple[str, ...] = ()  # of a branch
    shares: tuple[float, ...] = ()  # how often each is taken
    over: int | None = None  # fan out over the list that this node answered
    items: Distribution | None = None  # how long that list is
    delay: Distribution | None = None  # tools: instead of `delay_s`
    output_tokens: Distribution | None = None  # of each call; None: `expected_output_tokens`
    thinking: Distribution | None = None  # tokens of thinking before the answer, which are not in these; None: none
    retries: int = 0
    backoff_s: float = 0.0  # before the first retry; twice that before the second, and so on
    priority: int = 0  # higher goes first on a server
    body: tuple[int, ...] = ()  # until: the nodes that run again
    end_share: float = 0.0  # until: how often a pass is the last
    max_iterations: int = 1  # until: passes at most
    answers: bool = False  # its answer is the reply that a person waits for
    decides: int | None = None  # until: whose answer the rule reads
    passes: Distribution | None = None  # until: how many passes, drawn when its loop begins; instead of `end_share`
    grows: Growth | None = None  # agents in a loop
    texts: int = 0  # embeddings: in all requests together, at most
    batch: int = 0  # embeddings: of these in one request, at most
    num_ctx: int | None = None  # the context that its calls ask for, in tokens; None = the server's
    keep_s: float | None = None  # how long they ask the server to keep the model afterwards; None = they do not

    @property
    def expected_generated(self) -> int | None:
        """The tokens that a call is expected to generate: answer and thinking."""
        if self.thinking is None:
            return self.expected_output_tokens
        return (self.expected_output_tokens or 0) + round(self.thinking.mean)

    def texts_of(self, item: int) -> int:
        """Return how many texts a request of an embedding has; 0: this is no embedding."""
        return min(self.batch, self.texts - item * self.batch)


class Graph(NamedTuple):
    """Nodes in topological order; indices in `predecessors` and `successors` point into `nodes`."""

    nodes: tuple[Node, ...]


class Session(NamedTuple):
    """Conversations: each arrival opens one of several turns, a job each; a turn's prompts hold those before it."""

    turns: Distribution
    think: Distribution
    reuse_prefix: bool = False  # let the server keep the conversation in its prompt cache


class Pipeline(NamedTuple):
    """A graph with its arrivals. Exactly one of `jobs` and `until` bounds it.

    `after` holds the whole pipeline back: its arrivals count from the end of that pipeline. `draws_as` names the one
    whose draws it shares, so that two ways to do the same are compared on the same lengths and arrivals.
    """

    name: str
    path: Path
    graph: Graph
    arrival: ArrivalProcess
    jobs: int | None  # how many jobs in all
    until: int | None = None  # index of the pipeline whose end stops new arrivals (`while:` in the workload)
    after: int | None = None  # index of the pipeline that must have ended first
    session: Session | None = None
    draws_as: str = ""  # "" = its own name

    @property
    def drawn_by(self) -> str:
        """The name in the keys of everything drawn for it."""
        return self.draws_as or self.name
