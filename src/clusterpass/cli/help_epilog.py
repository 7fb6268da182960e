"""Formats the examples at the end of a command's help page."""


def examples(*lines: str) -> str:
    """A click epilog that shows ``lines`` as shell commands, unwrapped."""
    heading = "Example:" if len(lines) == 1 else "Examples:"
    return "\n".join(["\b", heading, *(f"  {line}" for line in lines)])
