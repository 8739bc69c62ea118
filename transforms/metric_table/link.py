"""Metrics of a fabric or network port, by node_exporter."""

from typing import Any

from transforms.metric_table.naming import Row


def _port(
    name: str, unit: str, kind: str, meaning: str, ib: str = "", net: str = "", **more: Any
) -> Row:
    """One port metric by its InfiniBand and its network-device names; no name is in both."""
    names = [(f"node_infiniband_{n}", 1.0) for n in ib.split()]
    names += [(f"node_network_{n}", 1.0) for n in net.split()]
    return (name, "link_samples", unit, kind, meaning, tuple(names), 0.0, more)


def _traffic(name: str, unit: str, meaning: str, ib: str = "", net: str = "") -> Row:
    return _port(name, unit, "counter", meaning, ib, net)


def _errors(name: str, meaning: str, ib: str = "", net: str = "") -> Row:
    return _port(name, "count", "counter", meaning, ib, net)


ROWS: tuple[Row, ...] = (
    _port(
        "port_state_code",
        "code",
        "code",
        "InfiniBand: 1 down, 2 init, 3 armed, 4 active",
        "state_id",
        high=15.0,
    ),
    _port(
        "port_physical_state_code",
        "code",
        "code",
        "InfiniBand: 2 polling, 3 disabled, 5 up, 6 error recovery",
        "physical_state_id",
        high=15.0,
    ),
    _port("is_up", "flag", "code", "network device is up", net="up", high=1.0),
    _port("has_carrier", "flag", "code", "network device has a link", net="carrier", high=1.0),
    _port(
        "rate_bytes_per_s",
        "bytes/s",
        "gauge",
        "signalling rate",
        "rate_bytes_per_second",
        "speed_bytes",
        blanks=(-125000.0,),  # the kernel says -1 Mb/s where there is no link
    ),
    _errors("carrier_changes", "link lost or found", net="carrier_changes_total"),
    _errors("carrier_ups", "link found", net="carrier_up_changes_total"),
    _errors("carrier_downs", "link lost", net="carrier_down_changes_total"),
    _errors("link_downed", "port went down", "link_downed_total"),
    _errors("link_recoveries", "port recovered by itself", "link_error_recovery_total"),
    _errors("symbol_errors", "symbols that were not valid", "symbol_error_total"),
    _errors("integrity_errors", "local link integrity", "local_link_integrity_errors_total"),
    _errors("buffer_overruns", "receive buffer overrun", "excessive_buffer_overrun_errors_total"),
    _traffic(
        "rx_bytes",
        "bytes",
        "received",
        "port_data_received_bytes_total",
        "receive_bytes_total",
    ),
    _traffic(
        "tx_bytes",
        "bytes",
        "sent",
        "port_data_transmitted_bytes_total",
        "transmit_bytes_total",
    ),
    _traffic(
        "rx_packets",
        "count",
        "received",
        "port_packets_received_total",
        "receive_packets_total",
    ),
    _traffic(
        "tx_packets",
        "count",
        "sent",
        "port_packets_transmitted_total",
        "transmit_packets_total",
    ),
    _errors("rx_errors", "received damaged", "port_errors_received_total", "receive_errs_total"),
    _errors("tx_errors", "could not be sent", net="transmit_errs_total"),
    _errors(
        "rx_discards",
        "received and dropped",
        "port_discards_received_total",
        "receive_drop_total",
    ),
    _errors(
        "tx_discards",
        "to send and dropped",
        "port_discards_transmitted_total",
        "transmit_drop_total",
    ),
    _errors("rx_constraint_errors", "refused", "port_constraint_errors_received_total"),
    _errors("tx_constraint_errors", "refused", "port_constraint_errors_transmitted_total"),
    _errors(
        "rx_remote_errors",
        "marked bad by the other end",
        "port_receive_remote_physical_errors_total",
    ),
    _errors("rx_relay_errors", "could not be relayed", "port_receive_switch_relay_errors_total"),
    _errors("vl15_dropped", "management packets dropped", "vl15_dropped_total"),
    _errors(
        "tx_wait_ticks",
        "ticks with data and no credit; 32-bit ports stick at 4294967295",
        "port_transmit_wait_total",
    ),
    _traffic("rx_multicast", "count", "received", "multicast_packets_received_total"),
    _traffic("tx_multicast", "count", "sent", "multicast_packets_transmitted_total"),
    _traffic("rx_unicast", "count", "received", "unicast_packets_received_total"),
    _traffic("tx_unicast", "count", "sent", "unicast_packets_transmitted_total"),
)
