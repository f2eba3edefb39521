from __future__ import annotations

import subprocess
import sys


def test_what_kopf_would_import_for_nothing_stays_out_and_can_be_imported_later() -> None:
    program = (
        "import sys; import lbprovider.controller.app; print('pydantic' in sys.modules);"
        "import kubernetes.aio.config; print('pydantic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["False", "True"]
