"""What is said of files, as it may go to a terminal."""


def printable(said: str) -> str:
    """One line of it: names come from the files, and none may break the line or speak to the terminal."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in said)
