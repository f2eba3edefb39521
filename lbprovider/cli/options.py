"""Options that several commands have: what each is called, where else it is read from, and what it is for."""

from pathlib import Path
from typing import Annotated, Final

import typer

NAMESPACE: Final = "lbprovider-system"
"""The namespace that lbprovider runs in, unless told otherwise."""

Kubeconfig = Annotated[
    Path | None, typer.Option(envvar="KUBECONFIG", help="A kubeconfig file; kubectl's own if left out.")
]
Namespace = Annotated[
    str, typer.Option(envvar="POD_NAMESPACE", help="The namespace that lbprovider runs in, with its pools.")
]
LbClass = Annotated[str, typer.Option(help="As the controller's.")]
DefaultClass = Annotated[bool, typer.Option(help="As the controller's.")]
