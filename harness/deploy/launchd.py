"""Settings as a launch agent of macOS for each server.

Ollama's documentation has `launchctl setenv` for its application (docs/faq.mdx), which is lost at the next start of the
Mac. An agent that does the same at each login keeps it, and every Ollama that is started after it has the variables:
the application as well as the service of Homebrew. The plist of that service is no place for them: `brew services`
writes it again at each start (Homebrew/homebrew-services #71 and #81).

A second server is an agent that runs `ollama serve` with variables of its own.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.deploy.deployment import FIRST_SERVICE, DeployedServer, Deployment

__all__ = ["AGENTS", "agent_label", "agent_text", "launchd_texts"]

AGENTS = "~/Library/LaunchAgents"
# The variables are arguments and never a part of what the shell reads.
SET_ALL = 'while [ "$#" -gt 1 ]; do /bin/launchctl setenv "$1" "$2"; shift 2; done'
HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
PROGRAMS = "/opt/homebrew/bin:/usr/local/bin:/usr/bin:/bin"  # Homebrew's, and where the application links its own


def launchd_texts(deployment: Deployment) -> dict[str, str]:
    """Return the agent of each server by its path."""
    return {f"{AGENTS}/{agent_label(server.service)}.plist": _with_comments(server) for server in deployment.servers}


def _with_comments(server: DeployedServer) -> str:
    path = f"{AGENTS}/{agent_label(server.service)}.plist"
    comments = [path, f"then: launchctl load {path}"]
    if server.service == FIRST_SERVICE:
        comments.append("and quit Ollama and open it again, or: brew services restart ollama")
    comments += [risk.removeprefix("# ") for risk in server.risks]
    return agent_text(server.service, server.environment_on_host, comments)


def agent_label(service: str) -> str:
    """Return the label of a server's agent, which is also the name of its file."""
    return f"slotwise.{service}"


def agent_text(service: str, environment: Mapping[str, str], comments: list[str] | None = None) -> str:
    """Return the property list of a server's agent."""
    import plistlib  # late: the help of a command reads which kinds there are

    agent: dict[str, object] = {"Label": agent_label(service), "RunAtLoad": True}
    if service == FIRST_SERVICE:
        agent["ProgramArguments"] = ["/bin/sh", "-c", SET_ALL, "sh", *(w for pair in environment.items() for w in pair)]
    else:
        agent["ProgramArguments"] = ["/usr/bin/env", "ollama", "serve"]
        agent["EnvironmentVariables"] = {"PATH": PROGRAMS, **environment}
        agent["KeepAlive"] = True
    text = plistlib.dumps(agent, sort_keys=False).decode().replace("\t", "  ")
    said = "".join(f"<!-- {comment.replace('--', '- -')} -->\n" for comment in comments or [])
    return text.replace(HEAD, HEAD + said, 1)
