"""Where a webhook may go: checks of a URL, and of every address at the socket, so that rebinding finds no window.

``ipaddress.is_global`` calls multicast, 6to4, NAT64 and others global, so the ranges are listed here.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from typing import Any
from urllib.parse import urlsplit

from pipelines.errors import UsageError

ALLOWED_PORTS = (443, 8443)
BLOCKED = "address is not allowed"

_DENIED_V4 = (
    "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 "
    "192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4 "
    "168.63.129.16/32"
)
_DENIED_V6 = (
    "::/8 64:ff9b::/96 64:ff9b:1::/48 100::/64 100:0:0:1::/64 2001::/23 2001:db8::/32 2002::/16 3fff::/20 5f00::/16 "
    "fc00::/7 fe80::/10 fec0::/10 ff00::/8"
)
DENIED_V4 = tuple(ipaddress.IPv4Network(text) for text in _DENIED_V4.split())
DENIED_V6 = tuple(ipaddress.IPv6Network(text) for text in _DENIED_V6.split())


class BlockedAddressError(OSError):
    """A connection was about to leave for an address that webhooks may not reach."""

    def __init__(self) -> None:
        # Several addresses of one host give one message, by which the caller knows it.
        super().__init__(errno.EACCES, BLOCKED)


def is_public(address: str) -> bool:
    """Whether webhooks may reach an IP address given as text; false for what is no address."""
    try:
        found = ipaddress.ip_address(address.split("%", 1)[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    if isinstance(found, ipaddress.IPv4Address):
        return not any(found in network for network in DENIED_V4)
    return not any(found in network for network in DENIED_V6)


def public_socket(addr_info: tuple[Any, ...]) -> socket.socket:
    """A socket for a resolved address; the factory of a connector for public endpoints.

    Raises:
        BlockedAddressError: the address is not public.
    """
    family, kind, protocol, _, address = addr_info
    if not is_public(str(address[0])):
        raise BlockedAddressError
    return socket.socket(family, kind, protocol)


def check_url(url: str, *, allow_private: bool) -> None:
    """Refuse a URL that a webhook is never sent to.

    Args:
        url: of the endpoint.
        allow_private: http, any port and private addresses are allowed, for development and inner networks.

    Raises:
        UsageError: with the reason; user names and passwords are not repeated.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UsageError("the URL of an endpoint cannot be read; give one such as https://example.com/hooks") from None
    reason = _syntax_problem(url, parts.scheme, parts.hostname, "@" in parts.netloc, allow_private)
    if reason is None and not allow_private:
        reason = _public_problem(str(parts.hostname), port)
    if reason:
        shown = f"{parts.scheme}://{parts.hostname or ''}"
        raise UsageError(f"endpoint {shown}: {reason}")


def _syntax_problem(url: str, scheme: str, host: str | None, has_user: bool, allow_private: bool) -> str | None:
    if has_user:
        return "a URL with a user name or password is refused; receivers check the signature instead"
    if not host or any(character <= " " or character == "\x7f" for character in url):
        return "is not a URL with a host"
    if scheme != "https" and not (allow_private and scheme == "http"):
        return "only https is sent to; for a receiver of your own use --allow-private or MURMUR_DEVELOPMENT=1"
    return None


def _public_problem(host: str, port: int | None) -> str | None:
    if port is not None and port not in ALLOWED_PORTS:
        return f"port {port} is not one of {', '.join(map(str, ALLOWED_PORTS))}; --allow-private allows any"
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return None
    return None if is_public(host) else "private and reserved addresses are refused; --allow-private allows them"
