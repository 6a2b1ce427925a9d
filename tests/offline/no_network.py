"""Refuse every connection that leaves this machine, and every look-up of a name that is not this machine's."""

import functools
import ipaddress
import socket


class NetworkBlocked(OSError):
    """A test tried to reach the network."""


def _check(host) -> None:
    host = host.decode() if isinstance(host, bytes) else host
    if host in (None, "", "localhost", socket.gethostname()):
        return
    try:
        address = ipaddress.ip_address(host.split("%")[0])
    except ValueError:
        address = None
    if address is None or not (address.is_loopback or address.is_unspecified):
        raise NetworkBlocked(f"tests run without a network, and something asked for {host!r}")


def block() -> None:
    """Replace the ways out of Python's socket module; a second call changes nothing."""
    if getattr(socket, "_sslab_blocked", False):
        return
    socket._sslab_blocked = True

    def guard_method(name):
        original = getattr(socket.socket, name)

        @functools.wraps(original)
        def guarded(self, *args):
            if self.family in (socket.AF_INET, socket.AF_INET6):
                _check(args[-1][0])              # the address comes last: connect(address), sendto(data, address)
            return original(self, *args)

        setattr(socket.socket, name, guarded)

    def guard_function(name):
        original = getattr(socket, name)

        @functools.wraps(original)
        def guarded(host, *args, **options):
            _check(host)
            return original(host, *args, **options)

        setattr(socket, name, guarded)

    for name in ("connect", "connect_ex", "sendto"):
        guard_method(name)
    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
        guard_function(name)
