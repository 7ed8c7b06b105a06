"""What a machine's tools say of its accelerators, read from what they print; anything else means nothing is known."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from harness.core.device import on_accelerator, share_on_cpu
from harness.servers.accelerator import (
    APPLE_SHARE,
    Accelerator,
    accelerators_text,
    find_accelerators,
    free_bytes,
    parse_apple,
    parse_nvidia,
    parse_rocm,
)

NVIDIA = "NVIDIA H100 80GB HBM3, 81559, 81004\nNVIDIA H100 80GB HBM3, 81559, 2048\n"
ROCM = """{"card0": {"Card Series": "Radeon RX 7900 XTX", "Card Model": "0x744c",
"VRAM Total Memory (B)": "25753026560", "VRAM Total Used Memory (B)": "753026560"},
"system": {"Driver version": "6.7.0"}}"""
MIB = 1 << 20


def test_nvidia() -> None:
    one, two = parse_nvidia(NVIDIA)
    assert one == Accelerator("NVIDIA H100 80GB HBM3", 81559 * MIB, 81004 * MIB)
    assert accelerators_text([one, two]) == "2 x NVIDIA H100 80GB HBM3"
    assert free_bytes([one, two]) == (81004 + 2048) * MIB
    # A chip whose memory is the machine's own: what there is is not known, and is not said to be nothing.
    assert parse_nvidia("NVIDIA GB10, [N/A], [N/A]\n") == (Accelerator("NVIDIA GB10", 0, 0),)
    assert free_bytes(parse_nvidia("NVIDIA GB10, [N/A], [N/A]\n")) is None


def test_rocm() -> None:
    assert parse_rocm(ROCM) == (Accelerator("Radeon RX 7900 XTX", 25753026560, 25_000_000_000),)
    assert parse_rocm('{"card0": {"Card series": "N/A", "VRAM Total Memory (B)": "?"}}') == (
        Accelerator("AMD GPU", 0, 0),
    )


def test_apple() -> None:
    (one,) = parse_apple("Apple M3 Max\n", "68719476736\n")
    assert one == Accelerator("Apple M3 Max GPU", 68719476736, round(68719476736 * APPLE_SHARE), shared=True)
    assert parse_apple("Intel(R) Core(TM) i7", "17179869184") == ()


@pytest.mark.parametrize(
    "said",
    ["", "No devices were found", "NVIDIA-SMI has failed, because it couldn't", "[]", "{", '{"card0": 1}', "a,b"],
)
def test_anything_else_is_nothing(said: str) -> None:
    assert parse_nvidia(said) == () and parse_rocm(said) == () and parse_apple(said, said) == ()


def test_each_system_has_its_tool() -> None:
    asked: list[str] = []

    def ask(answers: dict[str, str]) -> object:
        def answer(command: Sequence[str]) -> str:
            asked.append(command[0])
            return answers.get(command[0], "")

        return answer

    def found(answers: dict[str, str], system: str) -> str:
        asked.clear()
        return accelerators_text(find_accelerators(ask(answers), system))  # type: ignore[arg-type]

    assert found({"nvidia-smi": NVIDIA}, "Linux") == "2 x NVIDIA H100 80GB HBM3" and asked == ["nvidia-smi"]
    assert found({"rocm-smi": ROCM}, "Linux") == "Radeon RX 7900 XTX"
    assert found({}, "Linux") == "" and asked == ["nvidia-smi", "rocm-smi"]
    assert found({"sysctl": "Apple M1"}, "Darwin") == "Apple M1 GPU" and asked == ["sysctl", "sysctl"]


def test_where_a_model_lies() -> None:
    """All of it there, a part, nothing (on the CPU, or not told); a profile can say it, too."""
    whole, part = {"size_bytes": 100, "size_vram_bytes": 100}, {"size_bytes": 100, "size_vram_bytes": 60}
    none: dict[str, str | int | float] = {"size_bytes": 100, "size_vram_bytes": 0}
    assert [on_accelerator(details) for details in (whole, part, none, {}, {"accelerator": "NVIDIA L4"})] == [
        *(True, False, False, False, True)
    ]
    assert [share_on_cpu(details) for details in (whole, part, none, {})] == [0, pytest.approx(0.4), 0, 0]
