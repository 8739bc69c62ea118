"""Metrics of a fabric or network port, by node_exporter, the kernel's sysfs and perfquery.

A file of sysfs is named by its folder and name (`counters/symbol_error`), one of perfquery by its
field. Both give InfiniBand data in units of 4 octets (methods D-8).
"""

from typing import Any

from transforms.metric_table.naming import Row

OCTETS = 4.0


def _port(
    name: str,
    unit: str,
    kind: str,
    meaning: str,
    ib: str = "",
    net: str = "",
    fabric: str = "",
    **more: Any,
) -> Row:
    """One port metric by its InfiniBand, network-device and fabric names; no name is in two."""
    names = [(f"node_infiniband_{n}", 1.0) for n in ib.split()]
    names += [(f"node_network_{n}", 1.0) for n in net.split()]
    names += [(n, OCTETS if unit == "bytes" else 1.0) for n in fabric.split()]
    names += [("ports/rate", 1.25e8)] if name == "rate_bytes_per_s" else []  # sysfs says Gb/s
    return (name, "link_samples", unit, kind, meaning, tuple(names), 0.0, more)


def _traffic(
    name: str, unit: str, meaning: str, ib: str = "", net: str = "", fabric: str = ""
) -> Row:
    return _port(name, unit, "counter", meaning, ib, net, fabric)


def _errors(name: str, meaning: str, ib: str = "", net: str = "", fabric: str = "") -> Row:
    return _port(name, "count", "counter", meaning, ib, net, fabric)


def _transport(name: str, meaning: str, file: str) -> Row:
    """One counter of the transport engine, which only sysfs shows."""
    return _port(name, "count", "counter", meaning, fabric=f"hw_counters/{file}")


ROWS: tuple[Row, ...] = (
    _port(
        "port_state_code",
        "code",
        "code",
        "InfiniBand: 1 down, 2 init, 3 armed, 4 active",
        "state_id",
        high=15.0,
        fabric="ports/state",
    ),
    _port(
        "port_physical_state_code",
        "code",
        "code",
        "InfiniBand: 2 polling, 3 disabled, 5 up, 6 error recovery",
        "physical_state_id",
        high=15.0,
        fabric="ports/phys_state",
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
    _errors(
        "link_downed",
        "port went down",
        "link_downed_total",
        fabric="counters/link_downed LinkDownedCounter LinkDowned",
    ),
    _errors(
        "link_recoveries",
        "port recovered by itself",
        "link_error_recovery_total",
        fabric="counters/link_error_recovery LinkErrorRecoveryCounter LinkRecovers LinkErrorRecovery",
    ),
    _errors(
        "symbol_errors",
        "symbols that were not valid",
        "symbol_error_total",
        fabric="counters/symbol_error SymbolErrorCounter SymbolErrors",
    ),
    _errors(
        "integrity_errors",
        "local link integrity",
        "local_link_integrity_errors_total",
        fabric="counters/local_link_integrity_errors LocalLinkIntegrityErrors LinkIntegrityErrors",
    ),
    _errors(
        "buffer_overruns",
        "receive buffer overrun",
        "excessive_buffer_overrun_errors_total",
        fabric="counters/excessive_buffer_overrun_errors ExcessiveBufferOverrunErrors ExcBufOverrunErrors",
    ),
    _traffic(
        "rx_bytes",
        "bytes",
        "received",
        "port_data_received_bytes_total",
        "receive_bytes_total",
        fabric="counters/port_rcv_data PortRcvData RcvData",
    ),
    _traffic(
        "tx_bytes",
        "bytes",
        "sent",
        "port_data_transmitted_bytes_total",
        "transmit_bytes_total",
        fabric="counters/port_xmit_data PortXmitData XmtData",
    ),
    _traffic(
        "rx_packets",
        "count",
        "received",
        "port_packets_received_total",
        "receive_packets_total",
        fabric="counters/port_rcv_packets PortRcvPkts RcvPkts",
    ),
    _traffic(
        "tx_packets",
        "count",
        "sent",
        "port_packets_transmitted_total",
        "transmit_packets_total",
        fabric="counters/port_xmit_packets PortXmitPkts XmtPkts",
    ),
    _errors(
        "rx_errors",
        "received damaged",
        "port_errors_received_total",
        "receive_errs_total",
        fabric="counters/port_rcv_errors PortRcvErrors RcvErrors",
    ),
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
        fabric="counters/port_xmit_discards PortXmitDiscards XmtDiscards",
    ),
    _errors("rx_frame_errors", "received misaligned", net="receive_frame_total"),
    _errors("rx_fifo_errors", "received faster than taken", net="receive_fifo_total"),
    _errors("tx_carrier_errors", "link lost while sending", net="transmit_carrier_total"),
    _errors(
        "rx_constraint_errors",
        "refused",
        "port_constraint_errors_received_total",
        fabric="counters/port_rcv_constraint_errors PortRcvConstraintErrors RcvConstraintErrors",
    ),
    _errors(
        "tx_constraint_errors",
        "refused",
        "port_constraint_errors_transmitted_total",
        fabric="counters/port_xmit_constraint_errors PortXmitConstraintErrors XmtConstraintErrors",
    ),
    _errors(
        "rx_remote_errors",
        "marked bad by the other end",
        "port_receive_remote_physical_errors_total",
        fabric="counters/port_rcv_remote_physical_errors PortRcvRemotePhysicalErrors RcvRemotePhysErrors",
    ),
    _errors(
        "rx_relay_errors",
        "could not be relayed",
        "port_receive_switch_relay_errors_total",
        fabric="counters/port_rcv_switch_relay_errors PortRcvSwitchRelayErrors RcvSwRelayErrors",
    ),
    _errors(
        "vl15_dropped",
        "management packets dropped",
        "vl15_dropped_total",
        fabric="counters/VL15_dropped VL15Dropped",
    ),
    _errors(
        "tx_wait_ticks",
        "ticks with data and no credit; 32-bit ports stick at 4294967295",
        "port_transmit_wait_total",
        fabric="counters/port_xmit_wait PortXmitWait XmtWait",
    ),
    _traffic(
        "rx_multicast",
        "count",
        "received",
        "multicast_packets_received_total",
        fabric="counters/multicast_rcv_packets PortMulticastRcvPkts",
    ),
    _traffic(
        "tx_multicast",
        "count",
        "sent",
        "multicast_packets_transmitted_total",
        fabric="counters/multicast_xmit_packets PortMulticastXmitPkts",
    ),
    _traffic(
        "rx_unicast",
        "count",
        "received",
        "unicast_packets_received_total",
        fabric="counters/unicast_rcv_packets PortUnicastRcvPkts",
    ),
    _traffic(
        "tx_unicast",
        "count",
        "sent",
        "unicast_packets_transmitted_total",
        fabric="counters/unicast_xmit_packets PortUnicastXmitPkts",
    ),
    _errors("qp1_dropped", "queries to the port dropped", fabric="QP1Dropped"),
    _transport("out_of_sequence", "packets out of sequence", "out_of_sequence"),
    _transport(
        "packet_sequence_errors", "the other end asked for a packet again", "packet_seq_err"
    ),
    _transport("ack_timeouts", "no answer in time, sent again", "local_ack_timeout_err"),
    _transport("implied_naks", "answers that skip a request", "implied_nak_seq_err"),
    _transport("duplicate_requests", "requests that came twice", "duplicate_request"),
    _transport(
        "receiver_not_ready", "retries used up on a receiver not ready", "rnr_nak_retry_err"
    ),
    _transport("out_of_buffer", "dropped for want of a receive buffer", "out_of_buffer"),
    _transport("adaptive_retransmits", "adaptive retransmissions", "roce_adp_retrans"),
    _transport("adaptive_retransmit_timeouts", "of those, after a timeout", "roce_adp_retrans_to"),
    _transport("slow_restarts", "slow restarts", "roce_slow_restart"),
    _transport("slow_restart_cnps", "congestion notices by slow restart", "roce_slow_restart_cnps"),
    _transport("slow_restart_transitions", "changes to slow restart", "roce_slow_restart_trans"),
    _transport("cnps_sent", "congestion notices sent", "np_cnp_sent"),
    _transport("cnps_handled", "congestion notices obeyed", "rp_cnp_handled"),
    _transport("cnps_ignored", "congestion notices not obeyed", "rp_cnp_ignored"),
    _transport("ecn_marked", "packets marked by a congested switch", "np_ecn_marked_roce_packets"),
    _transport("request_errors", "requests that completed with an error", "req_cqe_error"),
    _transport("request_flushes", "requests flushed after an error", "req_cqe_flush_error"),
    _transport("response_errors", "answers that completed with an error", "resp_cqe_error"),
    _transport("response_flushes", "answers flushed after an error", "resp_cqe_flush_error"),
    _transport("request_access_errors", "refused by the other end", "req_remote_access_errors"),
    _transport("request_invalid_errors", "invalid to the other end", "req_remote_invalid_request"),
    _transport("response_access_errors", "refused to the other end", "resp_remote_access_errors"),
    _transport("response_length_errors", "of a wrong length", "resp_local_length_error"),
    _transport("rx_icrc_errors", "packets with a wrong checksum", "rx_icrc_encapsulated"),
    _transport("rx_reads", "read requests received", "rx_read_requests"),
    _transport("rx_writes", "write requests received", "rx_write_requests"),
    _transport("rx_atomics", "atomic requests received", "rx_atomic_requests"),
    _transport("rx_dct_connects", "dynamic connections asked for", "rx_dct_connect"),
)
