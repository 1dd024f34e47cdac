"""What is refused of packets that stations collected.

EkycError
└── packet     PacketInvalid, PacketSignatureInvalid, PacketUnreadable, PacketReplayed, PacketOutOfOrder, PacketExpired,
               PacketTimesWrong, StationUnknown, ClaimUnknown, CaseIncomplete, CaseUnknown, StationFolderInvalid
"""

from __future__ import annotations

from ekyc.errors import EkycError
from foundation.errors import Kind


class PacketInvalid(EkycError):
    """Not a packet by its form, its size, or the digests of its items (``problem``)."""

    code = "ekyc.packet_invalid"
    kind = Kind.INVALID


class PacketSignatureInvalid(EkycError):
    """The officer of the station did not sign this manifest."""

    code = "ekyc.packet_signature_invalid"
    kind = Kind.FORBIDDEN


class PacketUnreadable(EkycError):
    """An item is not what was sealed in its place to the service's key."""

    code = "ekyc.packet_unreadable"
    kind = Kind.INVALID


class PacketReplayed(EkycError):
    """This packet was taken over, or another one with its number was."""

    code = "ekyc.packet_replayed"
    kind = Kind.CONFLICT


class PacketOutOfOrder(EkycError):
    """A packet of the station is missing before it, or it does not follow the one before."""

    code = "ekyc.packet_out_of_order"
    kind = Kind.CONFLICT


class PacketExpired(EkycError):
    """It was collected too long ago. Its number is used up; nothing in it was taken over."""

    code = "ekyc.packet_expired"
    kind = Kind.CONFLICT


class PacketTimesWrong(EkycError):
    """Its times lie in the future, before the station began, or before the packet in front of it."""

    code = "ekyc.packet_times_wrong"
    kind = Kind.INVALID


class StationUnknown(EkycError):
    """No such station, or it was withdrawn."""

    code = "ekyc.station_unknown"
    kind = Kind.FORBIDDEN


class ClaimUnknown(EkycError):
    """No packet has this code, or its person proved a contact already."""

    code = "ekyc.claim_unknown"
    kind = Kind.NOT_FOUND


class CaseIncomplete(EkycError):
    """A case at a station lacks what every packet has (``missing``)."""

    code = "ekyc.case_incomplete"
    kind = Kind.CONFLICT


class CaseUnknown(EkycError):
    code = "ekyc.case_unknown"
    kind = Kind.NOT_FOUND


class StationFolderInvalid(EkycError):
    """A station's folder holds something that is not the station's, or what is captured is not of its kind."""

    code = "ekyc.station_folder_invalid"
    kind = Kind.INVALID
