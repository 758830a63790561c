"""Anyone's URL -> a file, or a message sent there; never an address that strangers may not reach.

    addresses    a URL as it was written -> one that may be asked for; which networks are public
    connecting   a connection to the very address that was checked, in the time that there is
    requesting   one request, and the redirects that follow it
    downloading  all of a body into a file: limits, attempts, going on where it broke off

Only http and https, no proxy, no cookies, no credentials, nothing compressed. What goes wrong is a
FetchError of one sentence. Nothing here knows of media, libraries or servers of our own.
"""

from earshot.fetching.addresses import ANY_NETWORK, Address, address, is_public, shown
from earshot.fetching.connecting import Resolver, Rules
from earshot.fetching.downloading import Fetched, FetchProgress, download
from earshot.fetching.requesting import Answer, send

__all__ = [
    "ANY_NETWORK",
    "Address",
    "Answer",
    "FetchProgress",
    "Fetched",
    "Resolver",
    "Rules",
    "address",
    "download",
    "is_public",
    "send",
    "shown",
]
