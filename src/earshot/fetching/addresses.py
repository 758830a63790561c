"""A URL as it was written -> one that may be asked for; and which IP addresses strangers may name.

A URL is taken apart once, here, and put together again from what was understood, so that no other
reader can take it for something else. Whether its host leads into a private network is known only
when it is resolved: `is_public` judges the IP address that is then connected to. This module opens
nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from urllib.parse import quote, urljoin, urlsplit

from earshot.errors import AddressRefused

LONGEST_URL = 8192  # characters; servers refuse longer ones
LONGEST_SHOWN = 200
LONGEST_HOST = 253
PORTS = {"http": 80, "https": 443}
# Ports below 1024 belong to services that a line of HTTP might confuse; so do these above
# (https://fetch.spec.whatwg.org/#port-blocking).
LOWEST_FREE_PORT = 1024
BAD_PORTS = frozenset(
    {1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6679, 6697, 10080}
    | set(range(6665, 6670))
)
# Signs that stand for themselves in a path and a query; "%" because what is escaped stays so.
PLAIN_SIGNS = "/?:@!$&'()*+,;=-._~%[]"

# Not public, though `is_global` says so or may say so in some Python: the relays of 6to4, what a
# protocol keeps for itself, and the address at which one cloud's machines ask for their secrets.
NOT_FOR_STRANGERS = tuple(
    ip_network(each) for each in ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32")
)
UNICAST = IPv6Network("2000::/3")
TUNNELS = (IPv6Network("2001::/32"), IPv6Network("2002::/16"))  # Teredo, 6to4: IPv4 inside
TRANSLATED = IPv6Network("64:ff9b::/96")  # NAT64: the IPv4 address is the last 32 bits
ISATAP = frozenset({0x00005EFE, 0x02005EFE})  # before an IPv4 address in the last 64 bits

ANY_NETWORK = ("0.0.0.0/0", "::/0")
"""Networks to allow where nobody but their owner can name addresses."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to ask: scheme, host (ASCII, without brackets), port, and path with query."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def netloc(self) -> str:
        """Host and port as a request names them; a port that goes without saying is left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}{self.target}"


def address(url: str, base: Address | None = None) -> Address:
    """What `url` (relative to `base`, if there is one) asks for; AddressRefused says what it lacks.

    A user name or a password in it is refused, as are ports of other services.
    """
    text = url.strip(" ")
    name = shown(text)
    if len(text) > LONGEST_URL:
        raise AddressRefused(f"{name} has {len(text)} characters, of which {LONGEST_URL} are read.")
    if re.search(r"[\x00-\x1f\x7f\\]", text):
        raise AddressRefused(f"{name} holds control characters or backslashes: no URL does.")
    try:
        parts = urlsplit(urljoin(str(base), text) if base else text)
        port = parts.port
    except ValueError as error:
        raise AddressRefused(f"{name} is no URL: {error}.") from None
    if parts.scheme not in PORTS:
        raise AddressRefused(f"{name} is not fetched: only http and https addresses are.")
    if "@" in parts.netloc:
        raise AddressRefused(f"{name} carries a user name or a password, which is not sent.")
    host = _host(parts.hostname or "", name)
    port = PORTS[parts.scheme] if port is None else port
    if (port < LOWEST_FREE_PORT and port not in PORTS.values()) or port in BAD_PORTS:
        raise AddressRefused(
            f"{name} asks for port {port}, which is another service's: 80, 443 and most ports "
            "from 1024 on are accepted."
        )
    query = f"?{parts.query}" if parts.query else ""
    target = quote((parts.path or "/") + query, safe=PLAIN_SIGNS)
    return Address(parts.scheme, host, port, target)


def is_public(text: str, allowed: Iterable[str] = ()) -> bool:
    """Whether an IP address is one that anyone may name, or lies in a network that is `allowed`."""
    try:
        found = ip_address(text)
    except ValueError:  # with a zone ("fe80::1%eth0"): of this machine's own links
        return False
    networks = [ip_network(each) for each in allowed]
    inside = (IPv4Address(int(found) & 0xFFFFFFFF),) if _holds_v4(found) else ()
    return any(one in net for net in networks for one in (found, *inside)) or _public(found)


def shown(url: str) -> str:
    """A URL in a message: on one line, without its query, which may hold a secret."""
    plain = re.sub(r"//[^/?#]*@", "//", url.partition("?")[0].partition("#")[0])
    plain = plain if len(plain) <= LONGEST_SHOWN else plain[:LONGEST_SHOWN] + "..."
    return plain if plain and plain.isprintable() else repr(plain)


def _host(host: str, name: str) -> str:
    """A host as DNS knows it."""
    if ":" in host:  # IPv6, which `urlsplit` took out of its brackets
        if "%" in host:
            raise AddressRefused(f"{name} names one of this machine's own network interfaces.")
        return host
    try:
        plain = host.encode("idna").decode("ascii").lower()
    except UnicodeError:
        plain = ""
    if not re.fullmatch(r"[a-z0-9_.-]+", plain) or len(plain) > LONGEST_HOST:
        raise AddressRefused(f"{name} names no host that could be asked.")
    return plain


def _public(found: IPv4Address | IPv6Address) -> bool:
    if isinstance(found, IPv4Address):
        special = found.is_multicast or found.is_reserved or found.is_unspecified
        return (
            found.is_global and not special and not any(found in net for net in NOT_FOR_STRANGERS)
        )
    if _holds_v4(found):
        return _public(IPv4Address(int(found) & 0xFFFFFFFF))
    if found not in UNICAST or any(found in net for net in TUNNELS):
        return False
    if (int(found) >> 32) & 0xFFFFFFFF in ISATAP:
        return False
    return found.is_global


def _holds_v4(found: IPv4Address | IPv6Address) -> bool:
    """Whether it is an IPv4 address written as an IPv6 one."""
    if isinstance(found, IPv4Address):
        return False
    return found.ipv4_mapped is not None or found in TRANSLATED
