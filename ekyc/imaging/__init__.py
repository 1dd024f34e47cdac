"""Images that strangers send: decoded by a process that can do nothing else, and kept as pixels alone.

:mod:`~ekyc.imaging.sandbox` starts the worker and believes nothing that it says beyond its bounds;
:mod:`~ekyc.imaging.worker` puts up the walls of :mod:`~ekyc.imaging.confinement` and then decodes
(:mod:`~ekyc.imaging.decoding`). What comes back was encoded anew.
"""

from ekyc.imaging.limits import ImageLimits
from ekyc.imaging.sandbox import CleanImage, ImageReader

__all__ = ["CleanImage", "ImageLimits", "ImageReader"]
