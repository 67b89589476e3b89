"""No password in anything that is shown."""

from __future__ import annotations

import re

_USER = re.compile(r"(?P<scheme>[a-z][a-z0-9+.\-]*://)[^/@\s]*@", re.IGNORECASE)
_QUERY = re.compile(r"\?[^\s\"']*")


def redacted(text: str) -> str:
    """Replace whatever stands before the @ of an address, and whatever follows its question mark."""
    return _QUERY.sub("?…", _USER.sub(r"\g<scheme>…@", text)) if "://" in text else text
