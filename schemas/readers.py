"""Who reads what is published, and how each meets a change that a contract does not allow."""
from __future__ import annotations
from typing import Literal
Change = Literal["removed","renamed","retyped","reinterpreted","reordered","inserted","required","nullable","narrowed","key"]
def breaks(form: str, change: str) -> dict[str, str]:
    return {}
