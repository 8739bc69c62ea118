"""Kernel logs, one file a node, in the stamp forms that different collectors leave behind.

A node keeps one form for the whole window. Records of a form without a year need the time of
collection to be dated: the files are as old as the horizon.
"""

from itertools import groupby

from transforms.simulate.history import History
from transforms.simulate.moments import SECOND, at


def short_iso_precise(ms: int, host: str, text: str) -> str:
    """journalctl -k -o short-iso-precise"""
    moment = at(ms)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond:06d}+00:00 {host} kernel: {text}"


def rfc3164(ms: int, host: str, text: str) -> str:
    """/var/log/kern.log: no year, whole seconds."""
    moment = at(ms)
    return f"{moment:%b} {moment.day:2d} {moment:%H:%M:%S} {host} kernel: {text}"


def rfc5424(ms: int, host: str, text: str) -> str:
    """A syslog relay's file."""
    moment = at(ms)
    return f"<6>1 {moment:%Y-%m-%dT%H:%M:%S}.{ms % SECOND:03d}Z {host} kernel - - - {text}"


def short_unix(ms: int, host: str, text: str) -> str:
    """journalctl -k -o short-unix"""
    return f"{ms // SECOND}.{ms % SECOND:03d}000 {host} kernel: {text}"


FORMS = (short_iso_precise, rfc3164, rfc5424, short_unix)


def kernel_logs(history: History) -> dict[str, list[str]]:
    """Host name to its lines, in the order in which they were written."""
    ordered = sorted(history.lines, key=lambda line: (line.node, line.at))
    logs = {}
    for node, lines in groupby(ordered, key=lambda line: line.node):
        host, form = history.nodes[node].name, FORMS[node % len(FORMS)]
        logs[host] = [form(line.at, host, line.text) for line in lines]
    return logs
