"""Where a web address leads: which ones may be asked for, and at which IP addresses their host is."""
import ipaddress
import socket
from urllib.parse import quote, urljoin

WELL_KNOWN_PORTS = 1024  # below this a port belongs to one protocol; only these two of them speak HTTP
WEB_PORTS = {80, 443}
UNICAST = ipaddress.ip_network("2000::/3")    # all that IANA has opened of IPv6 for public use
NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: the last 32 bits are the IPv4 address that is meant


class BadAddress(Exception):
    """An address that is not asked for; the text says why."""


def checked_url(url, public_only=False):
    """Return `url` normalised and without its fragment, as a urllib3 Url. Raises BadAddress.

    One parser (urllib3's, which also sends the request) reads every address, so that no two can disagree about the host.
    """
    from urllib3.exceptions import LocationParseError
    from urllib3.util import parse_url
    try:
        parts = parse_url(url)
    except LocationParseError:
        raise BadAddress("is not a web address") from None
    if parts.scheme not in ("http", "https") or not parts.host:
        raise BadAddress("is no http(s) address")
    if parts.auth is not None:
        raise BadAddress("holds a user name or password")
    if public_only and port_of(parts) < WELL_KNOWN_PORTS and port_of(parts) not in WEB_PORTS:
        raise BadAddress(f"asks for port {port_of(parts)}, which is not a web server's")
    return parts._replace(path=parts.path or "/", fragment=None)


def port_of(parts):
    """Return the port an address names, its scheme's own without one."""
    return parts.port or (443 if parts.scheme == "https" else 80)


def redirect_target(base, location):
    """Return the address that a Location header means, relative to `base`. Bytes beyond ASCII, which servers do send, stay as they are."""
    location = quote(location.encode("latin-1"), safe="!#$%&'()*+,/:;=?@[]~")  # http.client read the header as Latin-1
    try:
        return urljoin(base, location)
    except ValueError:
        return location  # checked_url says what is wrong with it


def resolve(host, port):
    """Return the IP addresses of a host as text, in the order of the system's preference. Raises OSError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a label longer than 63 characters, an empty one
        raise OSError(f"not a host name: {error}") from None
    return list(dict.fromkeys(entry[4][0] for entry in found))


def is_public(address):
    """Return whether an IP address (text) is one of the public Internet; of one that embeds an IPv4 address, whether that is."""
    ip = ipaddress.ip_address(address)
    if ip.version == 6:  # site-local, IPv4-compatible and other retired kinds count as global in `ipaddress`
        embedded = ip.ipv4_mapped or ip.sixtofour or (ipaddress.IPv4Address(ip.packed[-4:]) if ip in NAT64 else None)
        if embedded is not None:
            return is_public(str(embedded))
        return ip in UNICAST and ip.is_global
    return ip.is_global and not ip.is_multicast
