"""What a call in a program does: a model is asked, a graph or a tool is run, work is begun that is waited for later."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Mapping
from types import FunctionType, MethodType
from typing import Any

from harness.imports.reading.objects import is_chat_class, kind_of, told_by, tool_class
from harness.imports.reading.runnables import RunnableReader
from harness.imports.reading.settings import bound_to, path_of, settings_told
from harness.imports.reading.values import (
    UNKNOWN,
    ChainValue,
    CodeValue,
    EitherValue,
    GotoValue,
    ItemsValue,
    KnownValue,
    LaterValue,
    ManyValue,
    MapValue,
    ModelValue,
    SentValue,
    TaskGroupValue,
    ToolValue,
    UnknownValue,
    Value,
    either,
    how_many,
    later_work,
    one_of_them,
    tasks_in,
)
from harness.imports.reading.work import NOTHING, Work, fan, par, seq, some

__all__ = ["CallReader"]

_RUN = {"invoke", "stream", "batch", "generate", "predict", "stream_events", "batch_as_completed", "run", "call_as_llm"}
_RUN |= {f"a{name}" for name in _RUN} | {"astream_log", "arun"}
_SURE_RUN = _RUN - {"run", "arun", "stream", "generate", "agenerate", "call_as_llm", "acall_as_llm"}
_BIND = {
    "bind",
    "bind_tools",
    "with_structured_output",
    "with_config",
    "with_fallbacks",
    "with_types",
    "with_listeners",
}
_BIND |= {"configurable_fields", "configurable_alternatives", "assign", "pick", "with_retry"}
_SDK = (  # the ends of calls of clients that are no LangChain
    *("chat.completions.create", "completions.create", "completions.parse", "responses.create", "responses.parse"),
    *("messages.create", "models.generate_content", "chat.complete", "chat.complete_async"),
)
_SDK_MODULES = {"ollama", "litellm"}
_SDK_NAMES = {"chat", "generate", "completion", "acompletion", "text_completion"}
_OUTSIDE = {"requests", "httpx", "aiohttp", "urllib", "subprocess", "tavily", "sqlite3", "boto3", "wikipedia", "arxiv"}
_SEARCH = {
    "similarity_search",
    "similarity_search_with_score",
    "get_relevant_documents",
    "max_marginal_relevance_search",
}
_SEARCH |= {f"a{name}" for name in _SEARCH}
_SAME_LENGTH = {"list", "tuple", "sorted", "set", "reversed", "iter", "frozenset", "tqdm"}
_TOOL_WORDS = ("retriever", "tool", "search", "loader", "parser", "prompt")  # of a name that nothing else is known of
_MOST = 10_000


class CallReader(RunnableReader):
    """Reads calls; `value` and functions are read by those that come from it."""

    def call(self, node: ast.Call) -> Value:
        """Return what a call gives; what it does is noted."""
        receiver: Value | None = None
        if isinstance(node.func, ast.Attribute):
            receiver = self.value(node.func.value)
            callee = self._attribute(receiver, node.func.attr)
        else:
            callee = self.value(node.func)
        spread = False
        positional: list[Value] = []
        for part in node.args:
            spread = spread or isinstance(part, ast.Starred)
            positional.append(self.value(part))
        named = {word.arg or "": self.value(word.value) for word in node.keywords}
        path = path_of(node.func)
        if any(path.endswith(f".{end}") for end in _SDK):
            return self._asked(callee, path, [settings_told(path.split(".")[0], named)])
        if receiver is not None and isinstance(node.func, ast.Attribute):
            found = self._method(receiver, node.func, positional, named)
            if found is not None:
                return found
        return self._called(callee, positional, named, spread)

    def _asked(self, callee: Value, path: str, clients: list[dict[str, Any]]) -> Value:
        work: Work = {"do": "call", "clients": clients, "sure": True}
        waits = path.split(".")[0].lower().startswith("a") or inspect.iscoroutinefunction(
            getattr(callee, "value", None)
        )
        self.now.append(work)
        return LaterValue(NOTHING, UNKNOWN) if waits else UNKNOWN

    # Methods

    def _method(
        self, receiver: Value, func: ast.Attribute, positional: list[Value], named: dict[str, Value]
    ) -> Value | None:
        name = func.attr
        if isinstance(receiver, TaskGroupValue):
            return self._begun(receiver, name, positional, named)
        if name in _RUN:
            work = self.work_of(receiver)
            if work is None and name in _SURE_RUN and _may_be_model(receiver):
                called = path_of(func.value).rpartition(".")[2].lower()
                tool = next((word for word in _TOOL_WORDS if word in called), "")
                work = {"do": "tool", "name": called} if tool else {"do": "call", "clients": [], "sure": False}
            if work is not None:
                return self._run_method(name, work, positional)
        if name in _BIND and (self.is_runnable(receiver) or isinstance(receiver, UnknownValue)):
            return bound_to(receiver, name, named)
        if name == "pipe" and self.is_runnable(receiver):
            return ChainValue((receiver, *positional))
        if name in ("embed_query", "embed_documents", "aembed_query", "aembed_documents"):
            count = how_many(positional[0]) if positional and name.endswith("documents") else 1
            known = isinstance(receiver, KnownValue) and kind_of(receiver.value) == "embeddings"
            clients = [told_by(receiver.value, {})] if known and isinstance(receiver, KnownValue) else []
            embed: Work = {"do": "embed", "clients": clients, "texts": count}
            return self._now_or_later(name.startswith("a"), embed)
        if name in _SEARCH:
            return self._now_or_later(name.startswith("a"), {"do": "tool", "name": "search"})
        if name == "result" and isinstance(receiver, LaterValue):
            return self.awaited_value(receiver)
        if name in ("append", "add", "extend") and isinstance(func.value, ast.Name) and positional:
            return self._append(func.value.id, name, positional[0])
        if name in ("items", "values", "keys", "copy", "split"):
            count = how_many(receiver) if name != "split" else None
            return ManyValue(_entry(receiver, name), count)
        if name == "get" and positional:
            return self._got(receiver, positional)
        return None

    def _run_method(self, name: str, work: Work, positional: list[Value]) -> Value:
        if "batch" in name:
            given = positional[0] if positional else UNKNOWN
            count = how_many(given)
            work, gives = fan(work, count), ManyValue(UNKNOWN, count)
            if not name.startswith("a") or "completed" in name:
                self.now.append(work)
                return gives
            return LaterValue(work, gives)
        if "stream" in name:
            self.now.append(work)
            return ManyValue(UNKNOWN, None)
        return self._now_or_later(name.startswith("a"), work)

    def _now_or_later(self, later: bool, work: Work) -> Value:
        if later:
            return LaterValue(work, UNKNOWN)
        self.now.append(work)
        return UNKNOWN

    def _begun(self, group: TaskGroupValue, name: str, positional: list[Value], named: dict[str, Value]) -> Value:
        if name == "create_task" and positional:
            group.begun.append(self._taken(positional[0]))
        elif name == "submit" and positional:
            group.begun.append(self._apart_called(positional[0], positional[1:], named))
        elif name == "map" and len(positional) > 1:
            body = self._apart_called(positional[0], [one_of_them(one) for one in positional[1:]], {})
            group.begun.append(fan(body, how_many(positional[1])))
            return ManyValue(UNKNOWN, how_many(positional[1]))
        return LaterValue(NOTHING, UNKNOWN)

    def _append(self, name: str, how: str, item: Value) -> Value:
        before = self._names.get(name, UNKNOWN)
        if how == "extend":
            item_parts = item.parts if isinstance(item, ItemsValue) else None
            if isinstance(before, ItemsValue) and item_parts is not None:
                self._names[name] = ItemsValue((*before.parts, *item_parts))
            elif isinstance(before, ItemsValue) and not before.parts:
                self._names[name] = item
            return UNKNOWN
        if isinstance(before, ItemsValue):
            self._names[name] = ItemsValue((*before.parts, item))
        elif isinstance(before, ManyValue):
            self._names[name] = ManyValue(either([before.item, item]), None)
        return UNKNOWN

    def _got(self, receiver: Value, positional: list[Value]) -> Value | None:
        if isinstance(receiver, MapValue) or (isinstance(receiver, KnownValue) and isinstance(receiver.value, dict)):
            found = self._item(receiver, positional[0])
            return either([found, *positional[1:]])
        return None

    # Functions and classes

    def _called(self, callee: Value, positional: list[Value], named: dict[str, Value], spread: bool = False) -> Value:
        if isinstance(callee, CodeValue):
            work, returns = self._apart_run(callee, positional, named)
            return self._function_gives(isinstance(callee.node, ast.AsyncFunctionDef), work, returns)
        if isinstance(callee, EitherValue):
            return either(self._called(way, positional, named, spread) for way in callee.ways)
        if not isinstance(callee, KnownValue):
            return UNKNOWN
        what = callee.value
        name, module = str(getattr(what, "__name__", "")), str(getattr(what, "__module__", "") or "")
        if name == "Send" and module.startswith("langgraph"):
            return SentValue(positional[0] if positional else named.get("node", UNKNOWN))
        if name == "Command" and module.startswith("langgraph"):
            above = named.get("graph")
            return GotoValue(named.get("goto"), isinstance(above, KnownValue) and above.value is not None)
        if is_chat_class(what) or name == "init_chat_model":
            if positional and "model" not in named:
                named = {**named, "model": positional[0]}
            return ModelValue(settings_told(name, named))
        if module.split(".")[0] in _SDK_MODULES and name in _SDK_NAMES:
            if positional:
                named = {"model": positional[0], **named}
            later = name.startswith("a") or "Async" in type(getattr(what, "__self__", None)).__name__
            return self._now_or_later(later, {"do": "call", "clients": [settings_told(name, named)], "sure": True})
        made = tool_class(what)
        if made:
            return ToolValue(made)
        if name == "interrupt" and module.startswith("langgraph"):
            self.now.append({"do": "person"})
            return UNKNOWN
        special = self._of_python(name, module, positional, named, spread)
        if special is not None:
            return special
        return self._function_called(what, module, positional, named)

    def _of_python(
        self, name: str, module: str, positional: list[Value], named: dict[str, Value], spread: bool
    ) -> Value | None:
        first = positional[0] if positional else UNKNOWN
        if module.startswith("asyncio"):
            if name == "gather":
                gives = first if spread and len(positional) == 1 else ItemsValue(tuple(map(_given, positional)))
                return LaterValue(par(self._taken(one) for one in positional), gives)
            if name in ("create_task", "ensure_future") and isinstance(first, LaterValue):
                task = first._replace(key=len(self.tasks) + 1)
                self.tasks[task.key] = task
                return task
            if name in ("wait_for", "shield", "create_task", "ensure_future", "timeout"):
                return first
            if name == "wait":
                return LaterValue(self._taken(first), UNKNOWN)
            if name == "as_completed":
                self.now.append(self._taken(first))
                return ManyValue(UNKNOWN, how_many(first))
            if name == "run":
                return self.awaited_value(first)
            if name == "to_thread":
                return LaterValue(self._apart_called(first, positional[1:], named), UNKNOWN)
            if name == "TaskGroup":
                return TaskGroupValue([])
        if name == "sleep" and (module.startswith("asyncio") or module == "time"):
            known = first.value if isinstance(first, KnownValue) and isinstance(first.value, int | float) else None
            delay: Work = {"do": "tool", "name": "sleep", **({} if known is None else {"delay_s": float(known)})}
            return self._now_or_later(module != "time", delay)
        if name in ("ThreadPoolExecutor", "ProcessPoolExecutor", "ContextThreadPoolExecutor"):
            return TaskGroupValue([])
        if module == "builtins":
            return self._builtin(name, positional)
        if name == "cast" and module == "typing" and len(positional) > 1:
            return positional[1]
        return None

    def _builtin(self, name: str, positional: list[Value]) -> Value | None:
        first = positional[0] if positional else UNKNOWN
        if name in _SAME_LENGTH:
            return first if positional else ItemsValue(())
        if name == "dict":
            return None if positional else MapValue({})
        if name == "range":
            sizes = [one.value for one in positional if isinstance(one, KnownValue) and isinstance(one.value, int)]
            if len(sizes) == len(positional) and 1 <= len(sizes) <= 3 and (len(sizes) < 3 or sizes[2]):
                many = range(*sizes)
                return KnownValue(many) if len(many) <= _MOST else ManyValue(UNKNOWN, None)
            return ManyValue(UNKNOWN, None)
        if name == "enumerate":
            return ManyValue(ItemsValue((UNKNOWN, one_of_them(first))), how_many(first))
        if name == "zip":
            sizes = [size for one in positional if (size := how_many(one)) is not None]
            return ManyValue(ItemsValue(tuple(map(one_of_them, positional))), min(sizes, default=None))
        if name == "map" and len(positional) > 1:
            work = self._apart_called(first, [one_of_them(one) for one in positional[1:]], {})
            self.now.append(fan(work, how_many(positional[1]), in_turn=True))
            return ManyValue(UNKNOWN, how_many(positional[1]))
        if name == "len":
            size = how_many(first)
            return UNKNOWN if size is None else KnownValue(size)
        return None

    def _function_called(self, what: Any, module: str, positional: list[Value], named: dict[str, Value]) -> Value:
        kind = kind_of(what)
        if kind in ("model", "tool"):
            work = self.work_of(KnownValue(what)) or NOTHING
            self.now.append(work)
            return UNKNOWN
        if module.split(".")[0] in _OUTSIDE and not isinstance(what, type):
            tool: Work = {"do": "tool", "name": str(getattr(what, "__name__", "request"))}
            return self._now_or_later(inspect.iscoroutinefunction(what), tool)
        if kind in ("function", "task", "partial") and self._is_near(what):
            work, returns = self._apart_run(what, positional, named)
            inner = getattr(what, "func", what)
            if inspect.isasyncgenfunction(inner) or inspect.isgeneratorfunction(inner):
                self.now.append(work)
                return ManyValue(UNKNOWN, None)
            return self._function_gives(kind == "task" or inspect.iscoroutinefunction(inner), work, returns)
        if isinstance(what, FunctionType | MethodType) and not module.startswith(("langchain", "langgraph")):
            handed = [one for one in (*positional, *named.values()) if self.is_model(one)]
            if handed:  # a library gets a model: it may call it
                work = self.work_of(handed[0]) or NOTHING
                self.now.append({**work, "sure": False} if work["do"] == "call" else work)
        return UNKNOWN

    def _function_gives(self, later: bool, work: Work, returns: list[Value] | None) -> Value:
        gives = UNKNOWN if returns is None else either(returns)
        if later:
            return LaterValue(work, gives)
        self.now.append(work)
        return gives

    def _is_near(self, what: Any) -> bool:
        """Tell whether a function is the user's, or of the same library as the one that calls it."""
        function = inspect.unwrap(getattr(getattr(what, "func", what), "__func__", getattr(what, "func", what)))
        module = str(getattr(function, "__module__", "") or "")
        top = module.split(".")[0]
        here = (
            self._function.__module__.split(".")[0] if self._function is not None and self._function.__module__ else ""
        )
        if top == here:
            return True
        file = str(getattr(getattr(function, "__code__", None), "co_filename", ""))
        return top not in sys.stdlib_module_names and "site-packages" not in file and "dist-packages" not in file

    def _apart_called(self, callee: Value, positional: list[Value], named: dict[str, Value]) -> Work:
        """Return the work of a call that is made somewhere else."""
        kept, self.now = self.now, []
        found = self._called(callee, positional, named)
        if not self.now and isinstance(callee, UnknownValue):
            self.now.append({"do": "tool", "name": "work"})
        work = seq([*self.now, self._taken(found)])
        self.now = kept
        return work if some(work) else NOTHING

    def _taken(self, value: Value) -> Work:
        """Return what is done when this is waited for; a task in it is then no task of its own any more."""
        self.awaited |= tasks_in(value)
        return later_work(value)

    def awaited_value(self, value: Value) -> Value:
        """Wait for work: it is done here, with all tasks that run by themselves."""
        if isinstance(value, EitherValue) and any(isinstance(way, LaterValue) for way in value.ways):
            self.now.append(self._taken(value))
            return either(_given(way) for way in value.ways)
        if not isinstance(value, LaterValue):
            return value if isinstance(value, UnknownValue) else UNKNOWN
        if not value.key:
            self.now.append(value.work)
        elif value.key not in self.awaited:
            begun = [task.work for key, task in self.tasks.items() if key not in self.awaited]
            self.awaited |= set(self.tasks)
            self.now.append(par(begun))
        return value.gives


def _may_be_model(receiver: Value) -> bool:
    return isinstance(receiver, UnknownValue | ChainValue) or (
        isinstance(receiver, EitherValue) and any(map(_may_be_model, receiver.ways))
    )


def _given(value: Value) -> Value:
    return value.gives if isinstance(value, LaterValue) else UNKNOWN


def _entry(value: Value, how: str) -> Value:
    if how == "copy":
        return one_of_them(value)
    inner: Value = UNKNOWN
    if isinstance(value, MapValue):
        inner = either(value.parts.values())
    elif isinstance(value, KnownValue) and isinstance(value.value, Mapping):
        inner = either(KnownValue(one) for one in list(value.value.values())[:40])
    return ItemsValue((UNKNOWN, inner)) if how == "items" else inner if how == "values" else UNKNOWN
