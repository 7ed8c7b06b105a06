"""`slotwise serve`: an Ollama-compatible server with N slots, in the foreground."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from harness.app.options import GatewayOptions, ServeOptions
from harness.cli.conclude import INTERRUPTED
from harness.cli.options import (
    Policies,
    Quiet,
    assume_option,
    extrapolate_option,
    model_option,
    numbers,
    profile_option,
)
from harness.errors import UserError

if TYPE_CHECKING:
    from harness.app.gateway import RunningGateway
    from harness.app.serve import RunningServer

__all__ = ["serve"]


def serve(
    model: Annotated[
        str | None, model_option("A built-in model's name, or the path of a GGUF file; default: smollm2-135m.")
    ] = None,
    slots: Annotated[
        list[int] | None,
        typer.Option(
            min=1,
            max=64,
            metavar="N",
            help="Calls served at the same time; default: 1. Gateway: of each upstream.",
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0: open to other machines.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 11435,
    context_tokens: Annotated[
        int | None, typer.Option(min=256, help="Context of one slot, in tokens; default: 2048.")
    ] = None,
    batch_tokens: Annotated[
        int | None, typer.Option(min=1, max=4096, help="Most prompt tokens in one engine step; default: 512.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, max=512, help="Engine threads; default: every core.")] = None,
    profile: Annotated[
        str | None, profile_option("Simulate the machine of this profile; no model runs.", metavar="NAME|FILE")
    ] = None,
    speed_up: Annotated[float | None, typer.Option(help="Simulated: divide all its times by this.")] = None,
    assume: Annotated[
        list[str] | None,
        assume_option("Simulated: a value that the profile lacks; repeatable.", metavar="KEY=VALUE"),
    ] = None,
    extrapolate: Annotated[bool, extrapolate_option("Simulated: extrapolate slots that the profile lacks.")] = False,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FAULT=SHARE", help="Simulated: 503, delay, cut, malformed or hang, such as cut=0.05 (repeatable)."
        ),
    ] = None,
    fault_seed: Annotated[int | None, typer.Option(help="Simulated: seed of the faults.")] = None,
    fault_delay_s: Annotated[float | None, typer.Option(help="Simulated: how long `delay` delays a call.")] = None,
    upstream: Annotated[
        list[str] | None, typer.Option(metavar="URL", help="Gateway: stand before this running server (repeatable).")
    ] = None,
    run: Annotated[
        str | None, typer.Option("--from", metavar="RUN", help="Gateway: the policy that this run recommends.")
    ] = None,
    concurrency: Annotated[
        str | None, typer.Option(metavar="POLICY", help="Gateway: how many calls at once; default: window.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Gateway: most calls at once on each upstream.")] = None,
    reserve: Annotated[int | None, typer.Option(min=1, help="Gateway: slots that batch calls leave free.")] = None,
    scheduling: Annotated[
        str | None, typer.Option(metavar="POLICY", help="Gateway: who goes first; default: interactive-first.")
    ] = None,
    ageing_s: Annotated[float | None, typer.Option(min=0, help="Gateway: head start of interactive calls.")] = None,
    placement: Annotated[
        str | None, typer.Option(metavar="POLICY", help="Gateway: which upstream; default: least-loaded.")
    ] = None,
    queue: Annotated[int | None, typer.Option(min=0, help="Gateway: most calls that wait; default: 512.")] = None,
    default_class: Annotated[
        str | None, typer.Option(metavar="CLASS", help="Gateway: interactive or batch (default), if nothing says it.")
    ] = None,
    interactive_model: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Gateway: offer it as interactive/NAME too.")
    ] = None,
    interactive_key: Annotated[
        str | None, typer.Option(metavar="ENV|FILE", help="Gateway: has the key of interactive programs.")
    ] = None,
    interactive_user_agent: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="Gateway: programs that are interactive; `*` is anything.")
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Another name that it may be called by.")
    ] = None,
    allow_origin: Annotated[
        list[str] | None, typer.Option(metavar="ORIGIN", help="A web page that may call it.")
    ] = None,
    policies: Policies = None,
    upstream_key_env: Annotated[
        str | None, typer.Option(metavar="ENV", help="Gateway: variable with the upstreams' key.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Serve a model with N slots to any Ollama client, until Ctrl-C; or stand before servers that run already."""
    gateway_only = {
        "concurrency": concurrency,
        "limit": limit,
        "reserve": reserve,
        "scheduling": scheduling,
        "ageing_s": ageing_s,
        "placement": placement,
        "queue": queue,
        "default_class": default_class,
        "interactive_models": None if interactive_model is None else tuple(interactive_model),
        "interactive_key": interactive_key,
        "interactive_user_agents": None if interactive_user_agent is None else tuple(interactive_user_agent),
        "upstream_key_env": upstream_key_env,
        "policies": policies,
    }
    if run is not None:
        for name in ("concurrency", "limit", "reserve", "scheduling", "ageing_s", "placement"):
            if gateway_only[name] is not None:
                raise UserError(f"--{name.replace('_', '-')} goes without --from, which takes the policy of a run")
        gateway_only["run"] = run
    let_in = {"allow_hosts": tuple(allow_host or ()), "allow_origins": tuple(allow_origin or ())}
    given = {name: value for name, value in gateway_only.items() if value is not None}
    if upstream:
        served = {
            "--context-tokens": context_tokens,
            "--batch-tokens": batch_tokens,
            "--threads": threads,
            "--profile": profile,
            "--speed-up": speed_up,
            "--assume": assume,
            "--extrapolate": extrapolate or None,
            "--fault": fault,
            "--fault-seed": fault_seed,
            "--fault-delay-s": fault_delay_s,
        }
        for flag, value in served.items():
            if value is not None:
                raise UserError(f"{flag} goes with a server that is started here, not with --upstream; leave it out")
        if default_class not in (None, "interactive", "batch"):
            raise UserError(f'--default-class: expected interactive or batch, found "{default_class}"')
        at = {"model": model, "host": host, "port": port, "slots": tuple(slots or ()), **let_in}
        _gateway(GatewayOptions(upstreams=tuple(upstream), **at, **given), quiet=quiet)  # type: ignore[arg-type]  # of several types
        return
    if given:
        name = {"run": "from", "ageing_s": "ageing-s"}.get(first := next(iter(given)), first)
        many = ("interactive_models", "interactive_user_agents")
        flag = f"--{(name[:-1] if name in many else name).replace('_', '-')}"
        raise UserError(f"{flag} goes with a gateway; name its servers with --upstream URL, or leave it out")
    if len(slots or ()) > 1:
        raise UserError("--slots: one number, where a model is served")
    options = ServeOptions(
        slots=slots[0] if slots else 1,
        context_tokens=context_tokens or 2048,
        host=host,
        port=port,
        model=model,
        batch_tokens=batch_tokens,
        threads=threads,
        profile=profile,
        speed_up=speed_up,
        assume=numbers("--assume", assume, "prefill_s_per_token=0.002", "NAME") or None,
        extrapolate=extrapolate or None,
        faults=numbers("--fault", fault, "503=0.1", "NAME") or None,
        fault_seed=fault_seed,
        fault_delay_s=fault_delay_s,
        **let_in,
    )
    from harness.app.serve import serve as until_told
    from harness.report.progress import progress_for

    with progress_for(sys.stderr, quiet=quiet) as progress:

        def up(server: RunningServer) -> None:
            progress.trials(())  # it is set up, and its time is no longer shown
            _say(server, options)

        was_up = until_told(options, up, progress)
    if not was_up:
        raise typer.Exit(INTERRUPTED)
    typer.echo("ended")


def _gateway(options: GatewayOptions, *, quiet: bool) -> None:
    from harness.app.gateway import gateway
    from harness.report.progress import progress_for

    with progress_for(sys.stderr, quiet=quiet) as progress:

        def up(running: RunningGateway) -> None:
            progress.trials(())  # it is set up, and its time is no longer shown
            _say_gateway(running, options)

        was_up = gateway(options, up, progress)
    if not was_up:
        raise typer.Exit(INTERRUPTED)
    typer.echo("ended")


def _say_gateway(running: RunningGateway, options: GatewayOptions) -> None:
    """Tell where the gateway is, what it stands before, and by which rules calls go."""
    from harness.units import count

    for queue in running.plan.queues:
        most = "any number of calls" if queue.most is None else f"at most {count(queue.most, 'call')}"
        batch = "" if queue.most_batch is None else f", {queue.most_batch} of them batch"
        typer.echo(f"{queue.server}: {count(queue.slots, 'slot')}, {most} at once{batch} ({queue.concurrency.name})")
    typer.echo(f"{running.plan.queues[0].scheduling.says}; at most {options.queue} wait".capitalize())
    typer.echo(f"Calls that say nothing of their class are {options.default_class}.")
    typer.echo(f"Point clients at it:  {running.url}   figures: {running.url}/metrics")
    if options.host not in ("127.0.0.1", "::1", "localhost"):
        typer.echo("Anyone who can reach this machine can use it: there is no password.")
    typer.echo("Ctrl-C ends it.")


def _say(server: RunningServer, options: ServeOptions) -> None:
    """Tell where the server is, and how to reach it."""
    from harness.units import count

    typer.echo(
        f"{server.model} at {server.url}: {count(options.slots, 'slot')} of "
        f"{server.details['context_tokens']} tokens ({server.version})"
    )
    address = server.url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
    typer.echo(f"Point a client at it:  OLLAMA_HOST={address}  or  ChatOllama(base_url={address!r})")
    if options.host not in ("127.0.0.1", "::1", "localhost"):
        typer.echo("Anyone who can reach this machine can use it: there is no password.")
    for key, about in (("assumed", "Not from the profile"), ("faults", "Injected faults")):
        if key in server.details:
            typer.echo(f"{about}: {server.details[key]}")
    typer.echo("Ctrl-C ends it.")
